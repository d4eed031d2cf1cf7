/*
 * picture: H.264 by libx264, set up so that a successor can go on with it.
 *
 * Keyframes stand where n is a multiple of the GOP, whoever encodes; the first
 * picture is one wherever it stands.  No frame threads and a short lookahead
 * bound the delay.  The VBV's fill is counted here as x264 counts it, so that
 * it can be handed on (facts: with x264's own start value 1,129 of 1,600
 * pictures underflow after six restarts).
 *
 * libx264 allocates and locks inside; nothing else on a frame's way does.
 */
#ifndef RV_RENDER_PICTURE_H
#define RV_RENDER_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "source.h"

#define PICTURE_DELAY_MAX 64

struct picture_config {
    struct house house;
    const char *preset;
    int32_t bitrate_kbit; /* also the VBV's rate */
    int32_t vbv_kbit;     /* the VBV's size */
    int32_t gop;          /* frames */
    int32_t bframes;      /* 0 .. 2 */
    int32_t lookahead;    /* frames */
    int32_t threads;      /* slices */
};

/* A coded picture; data is lent until the next call. */
struct picture_coded {
    const uint8_t *data;
    size_t size; /* 0: none yet */
    int64_t n;
    bool is_key;
    uint32_t vbv_bits; /* fill after it */
};

struct picture_encoder; /* picture.c */

/* vbv_bits: the fill to start with; 0: nine tenths. */
struct picture_encoder *picture_open(const struct picture_config *config,
                                     uint32_t vbv_bits, struct err *err);
void picture_close(struct picture_encoder *encoder);

/* Pictures that it may hold back. */
int picture_delay(const struct picture_encoder *encoder);

/* Takes a picture (it is copied inside) and gives at most one coded one. */
int picture_encode(struct picture_encoder *encoder,
                   const struct source_frame *frame,
                   struct picture_coded *coded, struct err *err);
/* No more pictures come: the next of those held back, size 0: none left. */
int picture_flush(struct picture_encoder *encoder, struct picture_coded *coded,
                  struct err *err);

#endif
