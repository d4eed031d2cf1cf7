/*
 * timeline: the list in force, and what it makes of frame n.
 *
 *   source     | A  start 0    | B  behind A      | C  at 480
 *   pool         ....end 300     300 ...   ended    C's first frame
 *   frame n    0           299   300 ....  443 | slate | 480 ...
 *
 * A source's start, origin and end become known as its pool and the one before
 * it tell them; what is known stays, also over a new list that has the same
 * input in it.  A new stage learns the origins from the references that are in
 * the ring.  Of two sources that claim a frame the later one has it.
 */
#include "stage.h"

#include <stdlib.h>
#include <string.h>

static bool in_range(int64_t n)
{
    return n >= -STAGE_FRAME_MAX && n <= STAGE_FRAME_MAX;
}

/* --- what sources know ---------------------------------------------------- */

/* What the former list knew of the same input. */
static void carry_over(const struct timeline *before, struct source *source)
{
    for (int i = 0; i < before->count; i++) {
        const struct source *old = &before->source[i];
        const struct input *a = old->input, *b = source->input;
        if (source->held == NULL || old->held != source->held ||
            a->at_kind != b->at_kind || a->at != b->at ||
            a->has_origin != b->has_origin || a->origin != b->origin)
            continue;
        source->has_start = old->has_start;
        source->start = old->start;
        source->has_origin = old->has_origin;
        source->origin = old->origin;
        return;
    }
}

/* What a dead stage's references tell: the pool's origin, and since when. */
static void learn_from_ring(const struct stage *stage, struct source *source)
{
    const int64_t tail = stage_ring_tail(&stage->ring);
    struct stage_ref ref;

    for (int64_t n = tail - 1; n >= 0 && n > tail - 1000; n--) {
        if (stage_ring_read(&stage->ring, n, &ref) != RING_OK)
            break;
        if (ref.pool != source->held->id)
            continue;
        source->has_origin = true;
        source->origin = ref.origin;
        if (source->input->at_kind == INPUT_BEHIND) {
            source->has_start = true;
            source->start = n;
        }
    }
}

void timeline_clear(struct stage *stage)
{
    inputs_clear(&stage->timeline.inputs);
    stage->timeline.count = 0;
}

void timeline_forget(struct stage *stage)
{
    for (int k = 0; k < stage->timeline.count; k++) {
        struct source *source = &stage->timeline.source[k];
        const struct source *former = k > 0 ? source - 1 : NULL;
        if (source->input->at_kind == INPUT_BEHIND && former != NULL &&
            !former->has_end) {
            source->has_start = false;
            source->has_origin = source->input->has_origin;
        }
        if (source->held != NULL && source->held->pool.head != NULL &&
            source->has_end && source->end == source->start)
            source->has_end = false; /* an empty one finds it again */
    }
}

bool timeline_has_now(const struct stage *stage, int64_t *not_before)
{
    for (int k = 0; k < stage->timeline.count; k++) {
        const struct source *source = &stage->timeline.source[k];
        if (source->input->at_kind != INPUT_NOW || source->has_start)
            continue;
        *not_before = source->input->at;
        return true;
    }
    return false;
}

void timeline_set_now(struct stage *stage, int64_t n)
{
    for (int k = 0; k < stage->timeline.count; k++) {
        struct source *source = &stage->timeline.source[k];
        if (source->input->at_kind == INPUT_NOW && !source->has_start) {
            source->has_start = true;
            source->start = n < source->input->at ? source->input->at : n;
        }
    }
}

/* Its decoder is dead and did not say how it ended.  In service the director
 * starts another one; in a shell nobody does. */
static bool is_lost(const struct stage *stage, const struct held *held)
{
    const enum pool_status status = pool_status(&held->pool);

    return !stage->is_service && held->is_gone &&
           (status == POOL_OPENING || status == POOL_RUNNING);
}

/* Nothing follows what is ready. */
static bool is_over(const struct stage *stage, const struct held *held)
{
    const enum pool_status status = pool_status(&held->pool);

    return status == POOL_ENDED || status == POOL_FAILED ||
           is_lost(stage, held) || held->is_broken;
}

static int read_frame(struct stage *stage, struct held *held, uint64_t seq,
                      struct pool_frame *frame)
{
    struct err err = ERR_EMPTY;

    if (pool_read(&held->pool, seq, frame, &err) == 0 && in_range(frame->index))
        return 0;
    if (!held->is_broken)
        log_error(&stage->log, "%s; nothing more is taken from it",
                  err.text[0] != '\0' ? err.text : "a frame has no place");
    held->is_broken = true;
    return -1;
}

static void find_origin(struct stage *stage, struct source *source)
{
    struct held *held = source->held;
    struct pool_frame frame;

    if (source->input->has_origin) {
        source->has_origin = true;
        source->origin = source->input->origin;
        return;
    }
    if (!source->has_start || held->pool.head == NULL)
        return;
    const bool was_over = is_over(stage, held);
    const uint64_t first = pool_released(&held->pool);
    if (pool_ready(&held->pool) > first) {
        if (read_frame(stage, held, first, &frame) < 0)
            return;
        source->has_origin = true;
        source->origin = source->start - frame.index;
    } else if (was_over) {
        source->has_origin = true; /* it never held a frame */
        source->origin = source->start;
    }
}

/* One past the last frame that its pool has or will have, on its index. */
static bool end_of_pool(struct stage *stage, struct held *held, int64_t *end)
{
    struct pool_frame frame;

    if (!is_over(stage, held))
        return false;
    *end = pool_end_index(&held->pool);
    if (in_range(*end) && *end >= 0)
        return true;
    *end = 0;
    if (pool_ready(&held->pool) > pool_released(&held->pool) &&
        read_frame(stage, held, pool_ready(&held->pool) - 1, &frame) == 0)
        *end = frame.index + 1;
    return true;
}

static void find_end(struct stage *stage, struct source *source)
{
    const struct input *input = source->input;
    struct held *held = source->held;
    int64_t end;

    if (held == NULL || (held->pool.head == NULL && !held->is_retired)) {
        /* Slate ends when it is told to; a pool that is not there has no
         * length, so what comes behind it comes in its place. */
        source->has_end =
            input->has_until || (source->has_start && input->pool[0] != '\0');
        source->end = input->has_until ? input->until : source->start;
        return;
    }
    if (held->pool.head == NULL || !source->has_origin ||
        !end_of_pool(stage, held, &end))
        return;
    source->has_end = true;
    source->end = source->origin + end;
    if (input->has_until && input->until < source->end)
        source->end = input->until;
    if (source->has_start && source->end < source->start)
        source->end = source->start;
}

/* As much as can be known now. */
static void resolve(struct stage *stage)
{
    struct timeline *timeline = &stage->timeline;

    for (int k = 0; k < timeline->count; k++) {
        struct source *source = &timeline->source[k];
        const struct source *former = k > 0 ? source - 1 : NULL;
        if (!source->has_start && source->input->at_kind == INPUT_AT) {
            source->has_start = true;
            source->start = source->input->at;
        } else if (!source->has_start &&
                   source->input->at_kind == INPUT_BEHIND) {
            source->has_start = former == NULL || former->has_end;
            source->start = former == NULL ? 0 : former->end;
        }
        if (source->held != NULL && !source->has_origin)
            find_origin(stage, source);
        if (!source->has_end)
            find_end(stage, source);
    }
}

void timeline_set(struct stage *stage, struct inputs *inputs)
{
    struct timeline *timeline = &stage->timeline;
    struct timeline *before = malloc(sizeof(*before));

    if (before == NULL) {
        log_error(&stage->log, "no memory for a new list of inputs");
        inputs_clear(inputs);
        return;
    }
    *before = *timeline;
    for (int i = 0; i < STAGE_POOLS; i++)
        stage->held[i].is_listed = false;
    timeline->inputs = *inputs;
    timeline->count = inputs->count;
    for (int k = 0; k < inputs->count; k++) {
        struct source *source = &timeline->source[k];
        *source = (struct source){ .input = &inputs->input[k] };
        if (source->input->pool[0] == '\0')
            continue;
        source->held = pools_open(stage, source->input->pool);
        if (source->held == NULL)
            continue;
        source->held->is_listed = true;
        if (source->held->pool.head != NULL)
            source->held->hint = pool_released(&source->held->pool);
        carry_over(before, source);
        if (!stage->has_list && stage->is_taken_over)
            learn_from_ring(stage, source);
    }
    inputs_clear(&before->inputs);
    free(before);
    *inputs = INPUTS_EMPTY;
    resolve(stage); /* who has a place of its own takes it from the others */
}

const struct source *timeline_source(const struct stage *stage, int64_t n)
{
    const struct source *found = NULL;

    for (int k = 0; k < stage->timeline.count; k++) {
        const struct source *source = &stage->timeline.source[k];
        if (source->has_start && source->start <= n)
            found = source;
    }
    return found;
}

/* --- what they make of a frame -------------------------------------------- */

static enum look slate(int64_t n, enum stage_reason reason,
                       struct stage_ref *ref)
{
    *ref = (struct stage_ref){ .n = n, .origin = n, .reason = reason };
    return LOOK_FRAME;
}

/*
 * Behind a source's last frame.  `why`: the reason for slate until the next
 * source that has a place of its own.
 */
static enum look behind(const struct stage *stage, const struct source *source,
                        int64_t n, enum stage_reason why, struct stage_ref *ref)
{
    const struct timeline *timeline = &stage->timeline;
    const struct source *next = source + 1;

    if (next < timeline->source + timeline->count)
        return next->has_start ? slate(n, why, ref) : LOOK_WAIT;
    if (timeline->inputs.is_end)
        return LOOK_END;
    return why == REASON_SLATE_MISSING ? slate(n, why, ref) : LOOK_WAIT;
}

/* The first frame of the pool at or above this index; hint is where it is. */
static bool seek(struct stage *stage, struct held *held, int64_t index,
                 struct pool_frame *frame)
{
    const uint64_t ready = pool_ready(&held->pool);
    const uint64_t released = pool_released(&held->pool);
    uint64_t seq = held->hint;

    seq = seq < released ? released : seq > ready ? ready : seq;
    while (seq > released) {
        if (read_frame(stage, held, seq - 1, frame) < 0)
            return false;
        if (frame->index < index)
            break;
        seq--;
    }
    for (; seq < ready; seq++) {
        if (read_frame(stage, held, seq, frame) < 0)
            return false;
        if (frame->index >= index)
            break;
    }
    held->hint = seq;
    return seq < ready;
}

static enum look from_pool(struct stage *stage, const struct source *source,
                           int64_t n, struct stage_ref *ref,
                           struct pool_frame *frame)
{
    struct held *held = source->held;

    if (held == NULL || held->pool.head == NULL)
        return behind(stage, source, n, REASON_SLATE_MISSING, ref);
    /* Its end is looked at before its frames: none is published after it. */
    const bool was_over = is_over(stage, held);
    const bool has_failed = pool_status(&held->pool) == POOL_FAILED ||
                            is_lost(stage, held) || held->is_broken;
    if (!source->has_origin)
        return LOOK_WAIT;
    if (seek(stage, held, n - source->origin, frame)) {
        if (frame->index > n - source->origin)
            return slate(n, REASON_SLATE_GAP, ref);
        *ref = (struct stage_ref){ .n = n,
                                   .origin = source->origin,
                                   .seq = held->hint,
                                   .pool = held->id,
                                   .reason = source->input->reason };
        return LOOK_FRAME;
    }
    if (!was_over && !held->is_broken)
        return LOOK_WAIT;
    if (!source->has_end || n < source->end)
        return slate(n, has_failed ? REASON_SLATE_MISSING : REASON_SLATE_SHORT,
                     ref);
    return behind(stage, source, n,
                  has_failed ? REASON_SLATE_MISSING : REASON_SLATE_SHORT, ref);
}

static enum look look(struct stage *stage, int64_t n, struct stage_ref *ref,
                      struct pool_frame *frame)
{
    const struct timeline *timeline = &stage->timeline;
    const struct source *source = timeline_source(stage, n);

    if (source == NULL) {
        if (timeline->count > 0 && timeline->source[0].has_start)
            return slate(n, REASON_SLATE_GAP, ref);
        return timeline->count == 0 && timeline->inputs.is_end ? LOOK_END
                                                               : LOOK_WAIT;
    }
    if (source->input->has_until && n >= source->input->until)
        return behind(stage, source, n, REASON_SLATE_GAP, ref);
    if (source->input->pool[0] == '\0')
        return slate(n, source->input->reason, ref);
    return from_pool(stage, source, n, ref, frame);
}

enum look timeline_at(struct stage *stage, int64_t n, struct stage_ref *ref,
                      struct pool_frame *frame)
{
    const struct source *source = timeline_source(stage, n);

    /* Only an edge needs more than what is known. */
    if (source == NULL || !source->has_origin || source->held == NULL)
        resolve(stage);
    enum look result = look(stage, n, ref, frame);
    if (result != LOOK_FRAME || ref->pool == 0) {
        resolve(stage);
        result = look(stage, n, ref, frame);
    }
    return result;
}

void timeline_retire(struct stage *stage, int64_t n)
{
    const struct source *now = timeline_source(stage, n);

    if (stage->is_service)
        return;
    for (int k = 0; k < stage->timeline.count; k++) {
        const struct source *source = &stage->timeline.source[k];
        if (source == now)
            break;
        if (source->held != NULL && source->has_end && source->end <= n)
            source->held->is_retired = true;
    }
}
