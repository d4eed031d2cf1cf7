/* timeline: see timeline.h.  Pure, so that tests can look at every answer. */
#include "timeline_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

/* Zero-length segments that a walk may yield in a row before it is taken for
 * a plan of nothing. */
#define EMPTY_MAX 256

int64_t laid_end(const struct laid *laid)
{
    if (!laid->has_first || !laid->has_frames)
        return laid->until;
    return min64(laid->first + laid->frames, laid->until);
}

bool laid_is_slate(const struct laid *laid)
{
    return laid->segment.type == SEGMENT_SLATE;
}

/* --- laying --------------------------------------------------------------- */

void timeline_start(struct timeline *timeline, const struct plan *plan,
                    const struct house *house, int64_t base)
{
    memset(timeline, 0, sizeof(*timeline));
    timeline->house = *house;
    timeline->second = house_frame_at_us(house, 1000000);
    timeline->base = base;
    timeline->next_id = 1;
    plan_walk_start(&timeline->walk, plan, house);
}

/* What is known of one segment may give the next one's place. */
void timeline_resolve(struct timeline *timeline)
{
    for (int i = 0; i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        struct laid *before = i > 0 ? laid - 1 : NULL;

        if (laid->segment.has_first) {
            laid->has_first = true;
            laid->first = timeline->base + laid->segment.first;
            if (before != NULL)
                before->until = min64(before->until, laid->first);
        } else if (!laid->has_first && before != NULL && before->has_first &&
                   laid_end(before) != FRAME_NEVER) {
            laid->has_first = true;
            laid->first = laid_end(before);
        }
    }
}

/* Where a segment begins whose place the walk does not know: behind. */
static void lay_one(struct timeline *timeline, const struct segment *segment,
                    int index)
{
    struct laid *laid = &timeline->laid[timeline->count++];

    memset(laid, 0, sizeof(*laid));
    laid->id = timeline->next_id++;
    laid->segment = *segment;
    laid->index = index;
    laid->has_frames = segment->has_frames;
    laid->frames = segment->frames;
    laid->until = FRAME_NEVER;
    if (timeline->count == 1 && !segment->has_first) {
        laid->has_first = true;
        laid->first = timeline->base;
    }
}

static void drop_past(struct timeline *timeline, int64_t floor)
{
    int past = 0;

    /* The last one stays: what is laid next finds its place by it. */
    while (past < timeline->count - 1 &&
           laid_end(&timeline->laid[past]) <= floor &&
           timeline->laid[past + 1].has_first)
        past++;
    timeline->count -= past;
    memmove(timeline->laid, timeline->laid + past,
            (size_t)timeline->count * sizeof(timeline->laid[0]));
    past = 0;
    while (past < timeline->cuts && timeline_cut_end(timeline, past) <= floor)
        past++;
    timeline->cuts -= past;
    memmove(timeline->cut, timeline->cut + past,
            (size_t)timeline->cuts * sizeof(timeline->cut[0]));
}

static bool is_covered(const struct timeline *timeline, int64_t horizon)
{
    if (timeline->count == 0)
        return false;
    const struct laid *last = &timeline->laid[timeline->count - 1];
    if (timeline->count >= TIMELINE_LAID)
        return true;
    if (!last->has_first) /* behind one of unknown length */
        return true;
    return laid_end(last) != FRAME_NEVER && laid_end(last) > horizon;
}

int timeline_lay(struct timeline *timeline, int64_t floor, int64_t horizon,
                 struct err *err)
{
    struct segment segment;
    int index, empty = 0;

    timeline_resolve(timeline);
    drop_past(timeline, floor);
    while (!timeline->is_over && !is_covered(timeline, horizon)) {
        const int rc = plan_walk_next(&timeline->walk, &segment, &index, err);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            timeline->is_over = true;
            break;
        }
        if (segment.has_frames && segment.frames == 0) {
            timeline->is_over = ++empty > EMPTY_MAX;
            continue;
        }
        lay_one(timeline, &segment, index);
        timeline_resolve(timeline);
        drop_past(timeline, floor);
    }
    return 0;
}

/* --- looking -------------------------------------------------------------- */

struct laid *timeline_find(struct timeline *timeline, uint32_t id)
{
    for (int i = 0; i < timeline->count; i++) {
        if (timeline->laid[i].id == id)
            return &timeline->laid[i];
    }
    for (int i = 0; i < timeline->cuts; i++) {
        if (timeline->cut[i].id == id)
            return &timeline->cut[i];
    }
    return NULL;
}

/* Where a cut ends: at its last frame, or where the next one begins. */
int64_t timeline_cut_end(const struct timeline *timeline, int i)
{
    const bool is_open = timeline->is_wary && timeline->cut[i].is_doubtful;
    const int64_t end = is_open ? FRAME_NEVER : laid_end(&timeline->cut[i]);

    return i + 1 < timeline->cuts ? min64(end, timeline->cut[i + 1].first)
                                  : end;
}

/*
 * A preview that has fewer frames than was asked for ends where nobody thought
 * it would.  Told the end that was asked for, the stage would pass what the
 * plan shows behind the real one, and its decoder would be ended.
 */
void timeline_doubt(struct timeline *timeline, int64_t position)
{
    for (int i = 0; i < timeline->cuts; i++) {
        struct laid *cut = &timeline->cut[i];
        cut->is_doubtful =
            cut->is_preview && !cut->is_sure &&
            position <= cut->first + KEEP_SECONDS * timeline->second;
    }
}

/* The first frame at or after `frame` that no cut hides; FRAME_NEVER if the
 * end of the cut is not known. */
int64_t timeline_not_hidden(const struct timeline *timeline, int64_t frame)
{
    for (int i = 0; i < timeline->cuts; i++) {
        if (frame >= timeline->cut[i].first)
            frame = max64(frame, timeline_cut_end(timeline, i));
    }
    return frame;
}

/* The first cut that begins after `frame`. */
int64_t timeline_next_cut(const struct timeline *timeline, int64_t frame)
{
    for (int i = 0; i < timeline->cuts; i++) {
        if (timeline->cut[i].first > frame)
            return timeline->cut[i].first;
    }
    return FRAME_NEVER;
}

int64_t timeline_reach(const struct timeline *timeline, int64_t frame)
{
    const int64_t seen = timeline_not_hidden(timeline, frame);

    return seen == FRAME_NEVER || seen - frame > KEEP_SECONDS * timeline->second
               ? FRAME_NEVER
               : seen;
}

int64_t timeline_hidden_since(const struct timeline *timeline, int64_t frame)
{
    int64_t first = frame;

    for (int i = 0; i < timeline->cuts; i++) {
        if (timeline->cut[i].first <= frame &&
            timeline_cut_end(timeline, i) > frame)
            first = timeline->cut[i].first;
    }
    return first;
}

struct laid *timeline_plan_at(struct timeline *timeline, int64_t frame)
{
    for (int i = 0; i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        if (laid->has_first && frame >= laid->first && frame < laid_end(laid))
            return laid;
    }
    return NULL;
}

struct laid *timeline_at(struct timeline *timeline, int64_t frame)
{
    for (int i = timeline->cuts - 1; i >= 0; i--) {
        if (frame >= timeline->cut[i].first &&
            frame < timeline_cut_end(timeline, i))
            return &timeline->cut[i];
    }
    return timeline_plan_at(timeline, frame);
}

/* --- stretches ----------------------------------------------------------- */

static void set_stretch(struct stretch *stretch, uint32_t pool, int64_t from,
                        const char *why)
{
    stretch->pool = pool;
    stretch->from = from;
    stretch->is_short = false;
    strlcpy(stretch->why, why, sizeof(stretch->why));
}

static void drop_oldest(struct laid *laid)
{
    laid->count--;
    memmove(laid->stretch, laid->stretch + 1,
            (size_t)laid->count * sizeof(laid->stretch[0]));
}

void laid_add_stretch(struct laid *laid, uint32_t pool, int64_t from,
                      const char *why)
{
    /* What begins at or after this one is not wanted any more. */
    while (laid->count > 0 && laid->stretch[laid->count - 1].from >= from)
        laid->count--;
    if (laid->count == LAID_STRETCHES)
        drop_oldest(laid);
    set_stretch(&laid->stretch[laid->count++], pool, from, why);
}

/* One on standby: the one behind the cut that is on air stays. */
static void insert_stretch(struct laid *laid, uint32_t pool, int64_t from)
{
    if (laid->count == LAID_STRETCHES)
        drop_oldest(laid);
    int at = laid->count++;
    for (; at > 0 && laid->stretch[at - 1].from > from; at--)
        laid->stretch[at] = laid->stretch[at - 1];
    set_stretch(&laid->stretch[at], pool, from, "");
}

bool laid_ends_in_slate(const struct laid *laid)
{
    return laid->count > 0 && laid->stretch[laid->count - 1].pool == 0;
}

void timeline_shift(struct timeline *timeline, int64_t by)
{
    timeline->base += by;
    for (int i = 0; i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        if (laid->has_first)
            laid->first += by;
        if (laid->until != FRAME_NEVER)
            laid->until += by;
    }
}

/* --- events --------------------------------------------------------------- */

void laid_starts(struct laid *laid, uint32_t pool, int64_t from)
{
    laid->pending = pool;
    laid->pending_from = from;
    laid->is_retrying = false;
}

void laid_opened(struct laid *laid, uint32_t pool)
{
    if (laid->pending != pool)
        return;
    laid->pending = 0;
    if (laid->has_standby && laid->standby_from == laid->pending_from)
        insert_stretch(laid, pool, laid->pending_from);
    else
        laid_add_stretch(laid, pool, laid->pending_from, "");
}

/* Tried again after 1, 2, 4, 8, 16 and then every 16 s. */
static int64_t back_off_us(int failures)
{
    const int shift = failures - 1 < 4 ? failures - 1 : 4;

    return (INT64_C(1) << (shift > 0 ? shift : 0)) * 1000000;
}

/* Nothing is known about how long it is: give it a second of slate. */
static void bound(const struct timeline *timeline, struct laid *laid,
                  int64_t next)
{
    if (!laid->has_frames) {
        laid->has_frames = true;
        laid->frames = next + timeline->second;
    }
}

static void forget_pool(struct laid *laid, uint32_t pool)
{
    if (laid->pending == pool)
        laid->pending = 0;
    if (laid->count > 0 && laid->stretch[laid->count - 1].pool == pool)
        laid->count--;
}

static void fails(const struct timeline *timeline, struct laid *laid,
                  enum decoder_end end, int64_t next, const char *why,
                  int64_t now_us)
{
    laid->retry_from = next;
    laid->is_retrying = true;
    if (end == DECODER_CRASHED && laid->failures == 1) {
        laid->retry_at_us = now_us; /* the first time: at once */
        return;
    }
    if (laid->is_preview) {
        /* What was live ends here; the plan goes on. */
        laid->is_retrying = false;
        laid->has_frames = true;
        laid->frames = next;
        return;
    }
    bound(timeline, laid, next);
    const int waits =
        end == DECODER_CRASHED ? laid->failures - 1 : laid->failures;
    laid->retry_at_us = now_us + back_off_us(waits);
    if (!laid_ends_in_slate(laid))
        laid_add_stretch(laid, 0, next, why);
}

/*
 * A preview is over before its last frame: what was to come behind it comes
 * here, so a decoder that was armed for behind its former end is of no use.
 */
static void shorten(struct timeline *timeline, struct laid *preview,
                    int64_t frames)
{
    const int64_t former = laid_end(preview);
    const bool is_cut =
        preview >= timeline->cut && preview < timeline->cut + timeline->cuts;

    preview->frames = frames;
    for (int i = 0; is_cut && i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        while (laid->has_first && laid->count > 0 &&
               laid->first + laid->stretch[laid->count - 1].from == former)
            laid->count--;
        if (laid->has_first && laid->pending != 0 &&
            laid->first + laid->pending_from == former)
            laid->pending = 0;
    }
}

void laid_over(struct timeline *timeline, struct laid *laid, uint32_t pool,
               enum decoder_end end, int64_t next, const char *why,
               int64_t now_us)
{
    const bool was_pending = laid->pending == pool;
    const bool is_last =
        laid->count > 0 && laid->stretch[laid->count - 1].pool == pool;
    if (!was_pending && !is_last)
        return; /* of no interest any more */
    const int64_t from =
        was_pending ? laid->pending_from : laid->stretch[laid->count - 1].from;
    const bool is_new = next > from;

    if (end == DECODER_ENDED && (is_new || from > 0)) {
        laid->is_sure = true;
        if (!is_new)
            forget_pool(laid, pool);
        if (!laid->has_frames) {
            /* Joined behind its end, which is not known: it is over here. */
            laid->has_frames = true;
            laid->frames = max64(next, from);
        } else if (laid->is_preview) {
            if (max64(next, from) < laid->frames)
                shorten(timeline, laid, max64(next, from));
        } else if (!is_new) { /* it was over before that frame */
            laid_add_stretch(laid, 0, from, "the asset ended early");
            laid->stretch[laid->count - 1].is_short = true;
        }
        laid->failures = 0;
        return;
    }
    laid->failures = is_new ? 1 : laid->failures + 1;
    if (!is_new)
        forget_pool(laid, pool);
    fails(timeline, laid, end == DECODER_ENDED ? DECODER_FAILED : end,
          max64(next, from), end == DECODER_ENDED ? "no picture in it" : why,
          now_us);
}

void laid_learn(const struct timeline *timeline, struct laid *preview,
                int64_t ready, bool is_all)
{
    if (is_all && (!preview->has_frames || ready < preview->frames)) {
        preview->has_frames = true;
        preview->frames = ready;
    }
    if (is_all || ready >= KEEP_SECONDS * timeline->second)
        preview->is_sure = true;
}

void timeline_forget_pool(struct timeline *timeline, uint32_t pool,
                          int64_t position)
{
    for (int i = 0; i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        for (int k = laid->count - 1; k >= 0; k--) {
            const struct stretch *one = &laid->stretch[k];
            const int64_t end = k + 1 < laid->count && laid->has_first
                                    ? laid->first + one[1].from
                                    : laid_end(laid);
            if (one->pool != pool || end <= position)
                continue;
            laid->count--;
            memmove(&laid->stretch[k], &laid->stretch[k + 1],
                    (size_t)(laid->count - k) * sizeof(laid->stretch[0]));
        }
    }
}

/* --- cuts ----------------------------------------------------------------- */

int timeline_cut(struct timeline *timeline, const struct laid *preview,
                 int64_t first, struct err *err)
{
    int at = timeline->cuts;

    /* A cut that begins later than this one is replaced by it. */
    while (at > 0 && timeline->cut[at - 1].first >= first)
        at--;
    if (at == TIMELINE_CUTS)
        return err_set(err, ERR_LIMIT,
                       "%d previews follow each other within the ring; wait "
                       "a little",
                       TIMELINE_CUTS);
    timeline->cut[at] = *preview;
    timeline->cut[at].has_first = true;
    timeline->cut[at].first = first;
    timeline->cuts = at + 1;
    return 0;
}

void timeline_uncut(struct timeline *timeline, uint32_t id)
{
    for (int i = 0; i < timeline->cuts; i++) {
        if (timeline->cut[i].id == id) {
            timeline->cuts = i;
            return;
        }
    }
}

/* --- a new plan ----------------------------------------------------------- */

static bool is_same_rational(struct rational a, struct rational b)
{
    return a.num == b.num && a.den == b.den;
}

/* Same asset, in, duration, and place or id. */
static bool is_same_segment(const struct laid *laid,
                            const struct segment *segment, int index)
{
    const struct segment *mine = &laid->segment;

    return mine->type == segment->type &&
           strcmp(mine->asset, segment->asset) == 0 &&
           is_same_rational(mine->in, segment->in) &&
           mine->has_frames == segment->has_frames &&
           (!mine->has_frames || mine->frames == segment->frames) &&
           (index == laid->index || strcmp(mine->id, segment->id) == 0);
}

bool timeline_keep_place(struct timeline *next, const struct timeline *present,
                         int64_t position)
{
    struct laid *on_air =
        timeline_plan_at((struct timeline *)present, position);
    struct plan_walk walk = next->walk;
    struct segment segment;
    int index;

    if (on_air == NULL || on_air->index < 0)
        return false;
    for (int i = 0; i < PLAN_SEGMENTS_MAX; i++) {
        if (plan_walk_next(&walk, &segment, &index, NULL) != 1 || walk.pass > 1)
            return false;
        if (index >= 0 && is_same_segment(on_air, &segment, index))
            break;
        if (i == PLAN_SEGMENTS_MAX - 1)
            return false;
    }
    next->walk = walk;
    next->count = 1;
    next->laid[0] = *on_air;
    next->laid[0].segment.has_first = false;
    next->laid[0].index = index;
    next->laid[0].until = FRAME_NEVER;
    if (segment.has_first)
        next->base = on_air->first - segment.first;
    memcpy(next->cut, present->cut, sizeof(next->cut));
    next->cuts = present->cuts;
    next->next_id = present->next_id;
    return true;
}
