/*
 * stretch: puts coded pictures and sound together until they are closed in
 * display order, and multiplexes them.
 *
 * A stretch [n1,n2) is the shortest run of coded pictures, in decoding order,
 * that leaves no frame out: one picture without B-frames, bframes + 1 with.
 * The sound whose PES packets start in [S(n1),S(n2)) goes with it; the very
 * first one of a stream carries the PES packet before as well, since a decoder
 * needs one packet to say the next one right.  All times
 * follow from n1: the picture at place i is decoded at the time of frame
 * n1 + i - reorder, and the clock runs STRETCH_OFFSET_MS before that.
 */
#ifndef RV_RENDER_STRETCH_H
#define RV_RENDER_STRETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/ts_ring.h"
#include "picture.h"
#include "sound.h"
#include "ts/ts_mux.h"

#define STRETCH_OFFSET_MS 700 /* DTS minus PCR of its stretch's begin */
#define STRETCH_PICTURES  64

struct stretch_picture {
    size_t offset; /* in the arena */
    size_t size;
    int64_t n;
    bool is_key;
    uint32_t vbv_bits;
};

struct stretch {
    struct house house;
    int64_t pts_base; /* of frame 0; one wrap more, so no clock is negative */
    int reorder;      /* frames that decoding runs ahead of display: 0 or 1 */
    int64_t next_n;
    bool has_lead_in; /* the next one carries a PES packet of sound more */
    struct ts_mux mux;
    struct stretch_picture picture[STRETCH_PICTURES];
    size_t pictures;
    uint8_t *arena;
    size_t arena_used, arena_size;
    uint8_t *out;
    size_t out_size;
};

/* clang-format off */
#define STRETCH_EMPTY ((struct stretch){ .arena = NULL })
/* clang-format on */

/* `pts_base`: 90 kHz ticks of frame 0. */
int stretch_init(struct stretch *stretch, const struct house *house,
                 int64_t pts_base, int bframes, struct err *err);
void stretch_clear(struct stretch *stretch);

/* The next picture comes from a new encoder and is frame n.  Gives the first
 * PES packet of sound that is wanted. */
int64_t stretch_start(struct stretch *stretch, int64_t n);
/* Copies a coded picture. */
int stretch_add(struct stretch *stretch, const struct picture_coded *coded,
                struct err *err);
/*
 * 1: the next closed stretch, its bytes lent until the next call, entry filled
 * but for start, end and due_us; 0: not closed yet; -1: error.  `is_last`:
 * sound that is not there will not come.
 */
int stretch_take(struct stretch *stretch, const struct sound_encoder *sound,
                 bool is_last, struct ts_stretch *entry, const uint8_t **bytes,
                 size_t *size, struct err *err);

#endif
