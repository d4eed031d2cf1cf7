/*
 * timeline: what a channel shall show on which frame, and what the stage must
 * be told so that it does.  Pure: no clock, no file, no process; events come
 * in, and three questions are answered: which decoders are wanted, which pools
 * are still of use, and what the list of inputs is.
 *
 *   plan        | s1          | s2 (unknown length)  | s3 ...
 *   cuts                  | preview A     |
 *   on air      | s1      | preview A     | s2  ...  | s3
 *
 * The plan is laid segment by segment on the channel's frame numbers, looking
 * ahead a bounded way; previews that were switched to are *cuts* that lie over
 * it and hide it.  A laid segment is played by *stretches*: mostly one pool
 * from its first frame on, more than one after a decoder died, slate where
 * its asset cannot be played.  Behind a preview of up to two seconds the same
 * stretch goes on, its pool stays listed meanwhile; what comes behind a longer
 * one is decoded anew from that very frame.
 *
 * If this is wrong, a frame is shown twice, or not, or at another time than
 * the plan says; so it is here alone, where a unit test can look at it.
 */
#ifndef RV_CTL_TIMELINE_H
#define RV_CTL_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "plan/inputs.h"
#include "plan/plan.h"
#include "plan/segment.h"

#define LAID_STRETCHES 12
#define TIMELINE_CUTS  16
#define TIMELINE_LAID  64 /* segments laid at once */
#define FRAME_NEVER    INT64_MAX
/* A cut of up to so many seconds keeps the pools that it hides: a decoder has
 * no time to begin anew behind it.  A longer one would keep them for nothing.
 */
#define KEEP_SECONDS 2

/* From segment frame `from` on: this pool, or slate (pool 0). */
struct stretch {
    uint32_t pool;
    int64_t from;
    bool is_short; /* slate: the asset ended early, which is no failure */
    char why[200]; /* slate: the reason */
};

/* A segment with its place on the channel. */
struct laid {
    uint32_t id; /* of this run of the channel, rising */
    struct segment segment;
    int index; /* place in the plan; -1: gap, or a preview */
    bool is_preview;
    bool has_first; /* else right behind the one before, whose end is open */
    int64_t first;  /* channel's number of its frame 0; may be negative */
    bool has_frames;
    int64_t frames;
    /* A preview: so many it has, or at least KEEP_SECONDS of them.  What was
     * asked for may be more than its asset has. */
    bool is_sure;
    bool is_doubtful; /* as a cut: not sure, and not on air for KEEP_SECONDS */
    int64_t until;    /* cut off here by what follows; FRAME_NEVER */
    int count;
    struct stretch stretch[LAID_STRETCHES];
    uint32_t pending; /* pool of a decoder that is opening, 0: none */
    int64_t pending_from;
    bool has_standby;
    int64_t standby_from; /* of the last decoder wanted on standby */
    int failures;         /* in a row without a new frame */
    bool is_retrying;
    int64_t retry_at_us; /* monotonic */
    int64_t retry_from;
};

struct timeline {
    struct house house;
    int64_t second; /* frames in one second, rounded up */
    struct laid laid[TIMELINE_LAID];
    int count;
    struct laid cut[TIMELINE_CUTS]; /* by first */
    int cuts;
    struct plan_walk walk; /* keeps the plan */
    bool is_over;          /* the walk has ended */
    int64_t base;          /* channel frame of the plan's frame 0 */
    uint32_t next_id;
    /* A preview of so few frames may be put over a cut at any moment, and no
     * decoder could begin anew behind it: the plan's stands by.  0: none. */
    int64_t standby;
    bool is_wary; /* a doubtful cut's end counts as not known */
};

/* A decoder that the timeline wants. */
struct want {
    uint32_t laid;
    int64_t from; /* segment frame to start with: segment.skip */
    int64_t at;   /* channel frame, FRAME_NEVER if not known */
};

/* How a decoder ended. */
enum decoder_end {
    DECODER_ENDED,  /* all of it is in the pool */
    DECODER_FAILED, /* it says that the asset cannot be played */
    DECODER_CRASHED /* killed, out of memory ...: nothing said */
};

/* Begins with the plan's frame 0 at channel frame `base`; keeps `plan`. */
void timeline_start(struct timeline *timeline, const struct plan *plan,
                    const struct house *house, int64_t base);

/*
 * Lays segments until `horizon` (a channel frame) is covered, or a segment of
 * unknown length has its successor; drops those that end at or before
 * `floor`.  ERR_* of the walk.
 */
int timeline_lay(struct timeline *timeline, int64_t floor, int64_t horizon,
                 struct err *err);

/* Laid segment or cut by its id; NULL. */
struct laid *timeline_find(struct timeline *timeline, uint32_t id);
/* The one that is on air at this frame (cuts first); NULL: slate. */
struct laid *timeline_at(struct timeline *timeline, int64_t frame);
/* The plan's own one at this frame, whatever lies over it; NULL. */
struct laid *timeline_plan_at(struct timeline *timeline, int64_t frame);

/* One past its last frame, FRAME_NEVER when not known. */
int64_t laid_end(const struct laid *laid);

/* Where a cut ends: at its last frame, or where the next one begins. */
int64_t timeline_cut_end(const struct timeline *timeline, int i);

/*
 * Decoders to have before `horizon` that are not there and not opening.
 * `position`: the first frame that is not yet taken.  Slate segments get
 * their stretch here.  Gives how many (at most `max`).
 */
int timeline_wants(struct timeline *timeline, int64_t position, int64_t horizon,
                   int64_t now_us, struct want *wants, int max);

/*
 * If a preview of so many frames began at `first`: is a decoder there for what
 * the plan shows behind it?  Its pool is given; 0 where none is needed.
 */
bool timeline_returns(struct timeline *timeline, int64_t frames, int64_t first,
                      uint32_t *pool);

/* The whole plan later (or earlier) by so many frames; no cuts. */
void timeline_shift(struct timeline *timeline, int64_t by);

/* A decoder for this segment was started and writes this pool. */
void laid_starts(struct laid *laid, uint32_t pool, int64_t from);
/* Its asset is open: the pool may be listed. */
void laid_opened(struct laid *laid, uint32_t pool);
/*
 * It is gone.  `next`: the first segment frame that it did not make ready;
 * for ENDED the segment's end as the pool tells it.  `why`: the sentence.
 */
void laid_over(struct timeline *timeline, struct laid *laid, uint32_t pool,
               enum decoder_end end, int64_t next, const char *why,
               int64_t now_us);

/* A preview's decoder has made `ready` frames, and if `is_all` no more come.
 * Not for one that is a cut already and turns out shorter: laid_over() is. */
void laid_learn(const struct timeline *timeline, struct laid *preview,
                int64_t ready, bool is_all);

/* This pool's decoder was ended though it could be shown from `position` on:
 * another one is wanted, if it comes to that. */
void timeline_forget_pool(struct timeline *timeline, uint32_t pool,
                          int64_t position);

/* May this pool still be shown at or after `position`? */
bool timeline_uses(struct timeline *timeline, uint32_t pool, int64_t position);

/* A preview goes on air at frame `first` (copied in).  ERR_LIMIT. */
int timeline_cut(struct timeline *timeline, const struct laid *preview,
                 int64_t first, struct err *err);
/* Takes back a cut that is not taken yet. */
void timeline_uncut(struct timeline *timeline, uint32_t id);

/*
 * The list for the stage.  Pools are named "<folder>/pool-N".  What ends at or
 * before `floor` is left out.  `now` (may be NULL): this one begins at the
 * first frame that is not yet taken, and not before that one; the plan is
 * listed before it, so that its pools are kept, and hidden by it until the next
 * list.
 */
int timeline_inputs(struct timeline *timeline, const char *folder,
                    int64_t floor, int64_t position, const struct laid *now,
                    int64_t not_before, struct inputs *inputs, struct err *err);

/*
 * A new plan in place of the present one: if what the present plan shows at
 * `position` is in it, `next` goes on with it there and true is given.
 * `next` was started with base 0 and is untouched otherwise.
 */
bool timeline_keep_place(struct timeline *next, const struct timeline *present,
                         int64_t position);

#endif
