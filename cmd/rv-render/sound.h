/*
 * sound: AAC by libavcodec, on a grid that anybody can compute.
 *
 * Packet k covers the samples [1024 k, 1024 (k + 1)) counted from frame 0 of
 * the channel; PES packet g carries the packets 2g and 2g + 1.  So which
 * packets belong to a stretch is a pure function of its frame numbers, and a
 * new encoder's first PES packet for a start at frame n is
 * ceil(S(n) / 2048).  It is fed with four packets more from before
 * (SOUND_WARM_UP: facts A5) and what comes out below its first one is dropped.
 *
 * libavcodec allocates inside.
 */
#ifndef RV_RENDER_SOUND_H
#define RV_RENDER_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"

#define SOUND_PACKET  1024 /* samples; ISO/IEC 14496-3 */
#define SOUND_PER_PES 2
#define SOUND_WARM_UP 4 /* packets */

struct sound_encoder; /* sound.c */

/* Whole ADTS frames of PES packet `group`; lent until it is dropped. */
struct sound_unit {
    const uint8_t *data;
    size_t size;
    int64_t group;
};

/* First PES packet whose start is at or after sample S(n). */
int64_t sound_group_at(const struct house *house, int64_t n);
/* 90 kHz PTS of a PES packet, sample 0's being `base`; does not wrap. */
int64_t sound_pts(const struct house *house, int64_t base, int64_t group);

/* Gives PES packets from first_group on; feed from sound_first_frame() on. */
struct sound_encoder *sound_open(const struct house *house,
                                 int32_t bitrate_kbit, int64_t first_group,
                                 struct err *err);
void sound_close(struct sound_encoder *encoder);
/* First frame whose sound such a start wants; may be negative. */
int64_t sound_first_frame(const struct house *house, int64_t first_group);

/* The samples of frame n, S(n) to S(n+1); NULL is silence. */
int sound_feed(struct sound_encoder *encoder, int64_t n, const int16_t *samples,
               struct err *err);
/* No more sound comes: what is held back comes out. */
int sound_flush(struct sound_encoder *encoder, struct err *err);

/* Are all PES packets below `group` complete? */
bool sound_has(const struct sound_encoder *encoder, int64_t group);
/* PES packet `group`, false if there is none; drop those below. */
bool sound_unit(const struct sound_encoder *encoder, int64_t group,
                struct sound_unit *unit);

#endif
