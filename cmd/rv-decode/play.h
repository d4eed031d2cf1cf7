/*
 * play: one segment, frame by frame, onto the sink's timeline.
 */
#ifndef RV_DECODE_PLAY_H
#define RV_DECODE_PLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "damage.h"
#include "err/err.h"
#include "feed.h"
#include "media/picture.h"
#include "sink.h"
#include "stats/stats.h"

struct play {
    struct sink *sink;
    struct stats *stats;
    struct feed *feed;
    struct house house;
    int32_t channel; /* in service, for the log */
    struct scaler scaler;
    bool has_base;
    int64_t base_first; /* the first line's `first` is index 0 */

    /* the segment that plays */
    const struct segment *segment;
    struct asset *asset;
    int64_t first;      /* index of its frame 0 */
    int64_t loop_start; /* frame at which the asset (last) began */
    int64_t in_samples, in_frames;
    struct rational in;
    int64_t length; /* for the fade out; -1: unknown */
    int64_t most;   /* frames of the segment at the most; 0: no limit */
    bool is_cut;    /* ... and it would have had more */
    struct damage damage;
    struct place shown;   /* picture on show */
    int64_t shown_number; /* of the asset's picture, or SHOWN_... */
    int64_t captioned;    /* picture whose captions went out last */
    AVFrame *kept;        /* lies in shown's slot: the decoder's picture */
};

enum { SHOWN_NOTHING = -1, SHOWN_BLACK = -2, SHOWN_FADED = -3 };

void play_init(struct play *play, struct sink *sink, struct stats *stats,
               struct feed *feed, const struct house *house);
void play_clear(struct play *play);

/*
 * Plays an item whose asset (if it needs one) is open.  0: its end is
 * sink->next_index.  -1: stopped (err->kind ERR_NONE) or an error of the sink
 * or of the asset.
 */
int play_segment(struct play *play, const struct item *item, struct err *err);

/*
 * Leaves the gap of a segment that cannot be played: its duration, else one
 * second.  When play_segment() has begun it, only what is left of it.
 */
int play_gap(struct play *play, const struct segment *segment, bool has_begun,
             struct err *err);

#endif
