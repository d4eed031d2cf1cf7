/*
 * moment: exact arithmetic between house frames and an asset's timestamps.
 *
 * A moment is `in` seconds plus `frame` house frames after the presentation of
 * the asset's first picture.  Everything is an exact rational in 128 bits and
 * rounded once; a sum of durations would drift, a double would round a picture
 * to the wrong side of a cut.
 */
#ifndef RV_MEDIA_MOMENT_H
#define RV_MEDIA_MOMENT_H

#include <libavutil/rational.h>
#include <stdint.h>

#include "plan/segment.h"

/* Longest `in` that is believed, in seconds (over three years). */
#define MOMENT_SECONDS_MAX INT64_C(100000000)

struct moment {
    struct rational in;
    int64_t frame;
    AVRational rate; /* house frames a second */
};

/*
 * `in` made fit for the arithmetic: at most MOMENT_SECONDS_MAX, and where its
 * denominator is over a million, rounded to microseconds.
 */
struct rational moment_in(struct rational in);

/* floor((in + frame / rate + extra) / base): the last tick that is not later
 * than the moment and `extra_us` more.  base > 0. */
int64_t moment_ticks(const struct moment *moment, AVRational base,
                     int64_t extra_us);

/* (ticks * base - in) * rate, rounded to the nearest frame, halves up. */
int64_t moment_frames(int64_t ticks, AVRational base, struct rational in,
                      AVRational rate);

/* in * per_second, rounded to the nearest, halves up. */
int64_t moment_scale(struct rational in, AVRational per_second);

/*
 * Containers round timestamps (Matroska to milliseconds), which would show a
 * picture of a steady rate one frame late here and there.  So a timestamp that
 * lies within one tick of a place n / rate of that rate's grid is taken to be
 * there: n, else -1.  `ticks` counts from the first picture.
 */
int64_t moment_grid(int64_t ticks, AVRational base, AVRational rate);

#endif
