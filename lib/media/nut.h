/*
 * nut: house frames as a NUT stream (raw video and PCM) on standard output,
 * for a person who wants to look, or for any program that reads NUT.
 */
#ifndef RV_MEDIA_NUT_H
#define RV_MEDIA_NUT_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "media/picture.h"

struct nut;

/* Writes the header; without `has_sound` there is no stream for it.  On
 * failure *nut is still to be freed. */
int nut_open(struct nut **nut, const struct house *house, bool has_sound,
             struct err *err);

/* One frame and its `samples` samples.  A reader that went away is ERR_NONE
 * with -1: a clean end. */
int nut_write(struct nut *nut, int64_t index, const struct planes *planes,
              const int16_t *sound, int samples, struct err *err);

int nut_end(struct nut *nut, struct err *err);
void nut_free(struct nut *nut);

#endif
