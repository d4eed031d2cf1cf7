/*
 * timeline_impl: what timeline.c, timeline_wants.c and timeline_list.c share.
 */
#ifndef RV_CTL_TIMELINE_IMPL_H
#define RV_CTL_TIMELINE_IMPL_H

#include "timeline.h"

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The cuts that are doubtful at this position. */
void timeline_doubt(struct timeline *timeline, int64_t position);
bool laid_is_slate(const struct laid *laid);
/* Is the last of its stretches slate? */
bool laid_ends_in_slate(const struct laid *laid);
/* From segment frame `from` on this pool (0: slate, for this reason) and
 * nothing else. */
void laid_add_stretch(struct laid *laid, uint32_t pool, int64_t from,
                      const char *why);
/* What is known of one segment may give the next one's place. */
void timeline_resolve(struct timeline *timeline);
/* The first frame at or after `frame` that no cut hides; FRAME_NEVER if the
 * end of the cut is not known. */
int64_t timeline_not_hidden(const struct timeline *timeline, int64_t frame);
/* The first cut that begins after `frame`. */
int64_t timeline_next_cut(const struct timeline *timeline, int64_t frame);
/* The first frame at or after `frame` that a decoder shows which is there
 * already; FRAME_NEVER: it does not reach across the cut that hides `frame`.
 * The stage keeps all that is not past. */
int64_t timeline_reach(const struct timeline *timeline, int64_t frame);
/* Where the last of the cuts begins that hide `frame`; the frame itself, if
 * none does. */
int64_t timeline_hidden_since(const struct timeline *timeline, int64_t frame);

#endif
