/*
 * timeline_wants: which decoders are wanted, and from which frame on.
 */
#include "timeline_impl.h"

static bool has_stretch(const struct laid *laid, int64_t from, int64_t to)
{
    if (laid->pending != 0 && laid->pending_from >= from &&
        laid->pending_from < to)
        return true;
    for (int i = 0; i < laid->count; i++) {
        if (laid->stretch[i].from >= from && laid->stretch[i].from < to)
            return true;
    }
    return false;
}

/* Does one that begins at segment frame `from` show channel frame `frame`? */
static bool shows(const struct timeline *timeline, const struct laid *laid,
                  int64_t from, int64_t frame)
{
    int64_t at = timeline_reach(timeline, max64(laid->first + from, 0));

    while (at != FRAME_NEVER && at < frame) {
        const int64_t next = timeline_next_cut(timeline, at);
        if (next > frame)
            return true;
        at = timeline_reach(timeline, next);
    }
    return at == frame;
}

/* Is there a decoder, or one that is opening, that reaches this frame? */
static bool is_reached(const struct timeline *timeline, const struct laid *laid,
                       int64_t frame)
{
    if (laid->pending != 0 && laid->first + laid->pending_from <= frame &&
        shows(timeline, laid, laid->pending_from, frame))
        return true;
    for (int i = laid->count - 1; i >= 0; i--) {
        const struct stretch *stretch = &laid->stretch[i];
        if (laid->first + stretch->from <= frame)
            return shows(timeline, laid, stretch->from, frame);
    }
    return false;
}

struct wanting {
    struct timeline *timeline;
    int64_t position, horizon, now_us;
    struct want *wants;
    int count, max;
};

static void want(struct wanting *wanting, struct laid *laid, int64_t from)
{
    if (laid_is_slate(laid)) {
        laid_add_stretch(laid, 0, from, "slate in the plan");
        return;
    }
    if (wanting->count == wanting->max || laid->pending != 0)
        return;
    struct want *one = &wanting->wants[wanting->count++];
    one->laid = laid->id;
    one->from = from;
    one->at = laid->has_first ? laid->first + from : FRAME_NEVER;
}

/* A decoder died: when, and from which frame on, is it tried again? */
static void want_retry(struct wanting *wanting, struct laid *laid)
{
    int64_t from = laid->retry_from;

    if (!laid->is_retrying || laid->pending != 0 ||
        wanting->now_us < laid->retry_at_us)
        return;
    if (laid->has_first) {
        /* Behind slate it comes in where it can; else exactly there. */
        const int64_t margin =
            laid_ends_in_slate(laid) ? wanting->timeline->second : 0;
        from = max64(from, wanting->position + margin - laid->first);
    }
    if (laid->has_first && laid->first + from >= laid_end(laid)) {
        laid->is_retrying = false;
        return;
    }
    want(wanting, laid, from);
}

/* Each stretch of the segment that is to be seen needs a decoder. */
static void want_visible(struct wanting *wanting, struct laid *laid)
{
    const struct timeline *timeline = wanting->timeline;
    int64_t frame = max64(laid->first, 0);

    for (int rounds = 0; rounds <= TIMELINE_CUTS; rounds++) {
        frame = timeline_not_hidden(timeline, frame);
        if (frame >= wanting->horizon || frame >= laid_end(laid))
            return;
        const int64_t to =
            min64(laid_end(laid), timeline_next_cut(timeline, frame));
        /* What began before the channel's first frame runs into it. */
        const int64_t from = frame == 0 ? INT64_MIN : frame - laid->first;
        /* Too late for its first frame: come in a little later. */
        const bool is_late = frame < wanting->position;
        const int64_t join =
            is_late ? wanting->position + timeline->second / 3 : frame;
        const int64_t until = min64(join + 1, to) - laid->first;
        if (to > wanting->position && !is_reached(timeline, laid, frame) &&
            !(is_late && has_stretch(laid, from, until))) {
            if (join < to)
                want(wanting, laid, join - laid->first);
        }
        frame = to;
    }
}

/* Puts an unnamed cut over the others; false: no place.  Taken away again by
 * whoever asks what would be. */
static bool suppose_cut(struct timeline *timeline, int64_t frames,
                        int64_t first)
{
    const int last = timeline->cuts;

    if (last == TIMELINE_CUTS ||
        (last > 0 && timeline->cut[last - 1].first >= first))
        return false;
    timeline->cut[last] = (struct laid){ .has_first = true,
                                         .first = first,
                                         .has_frames = true,
                                         .frames = frames,
                                         .until = FRAME_NEVER };
    timeline->cuts++;
    return true;
}

bool timeline_returns(struct timeline *timeline, int64_t frames, int64_t first,
                      uint32_t *pool)
{
    const int64_t frame = first + frames;
    const struct laid *laid = timeline_plan_at(timeline, frame);
    bool is_there = false;

    *pool = 0;
    if (laid == NULL || laid_is_slate(laid) || laid_ends_in_slate(laid) ||
        !suppose_cut(timeline, frames, first))
        return true;
    for (int i = laid->count - 1; i >= 0; i--) {
        const struct stretch *stretch = &laid->stretch[i];
        if (laid->first + stretch->from > frame)
            continue;
        is_there = shows(timeline, laid, stretch->from, frame);
        *pool = is_there ? stretch->pool : 0;
        break;
    }
    timeline->cuts--;
    return is_there;
}

/*
 * Half a second from now a short preview may be put over the cut that is on
 * air: a decoder for what the plan shows behind it, unless one is near enough.
 */
static void want_standby(struct wanting *wanting)
{
    struct timeline *timeline = wanting->timeline;
    const int64_t first = wanting->position + timeline->second / 2;
    const int64_t frame = first + timeline->standby;
    struct laid *laid = timeline_plan_at(timeline, frame);

    if (timeline->standby == 0 || laid == NULL || laid_is_slate(laid) ||
        laid->is_retrying || !suppose_cut(timeline, timeline->standby, first))
        return;
    const bool is_there = is_reached(timeline, laid, frame);
    timeline->cuts--;
    if (is_there)
        return;
    const bool begins_within = laid->first > wanting->position;
    const int64_t from = begins_within ? 0 : frame - laid->first;
    if (laid->pending == 0) {
        laid->has_standby = true;
        laid->standby_from = from;
    }
    want(wanting, laid, from);
}

int timeline_wants(struct timeline *timeline, int64_t position, int64_t horizon,
                   int64_t now_us, struct want *wants, int max)
{
    struct wanting wanting = { timeline, position, horizon, now_us,
                               wants,    0,        max };

    for (int i = 0; i < timeline->cuts; i++)
        want_retry(&wanting, &timeline->cut[i]);
    for (int i = 0; i < timeline->count; i++) {
        struct laid *laid = &timeline->laid[i];
        if (laid->is_retrying) {
            want_retry(&wanting, laid);
        } else if (laid->has_first) {
            want_visible(&wanting, laid);
        } else {
            /* Behind one of unknown length: the next one, at once. */
            if (timeline_not_hidden(timeline, max64(position, 0)) !=
                    FRAME_NEVER &&
                !has_stretch(laid, 0, FRAME_NEVER))
                want(&wanting, laid, 0);
            break;
        }
    }
    want_standby(&wanting);
    return wanting.count;
}
