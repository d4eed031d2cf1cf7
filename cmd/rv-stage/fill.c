/*
 * fill: from the list into the ring, frame by frame.
 *
 * What is staged under a former list and the same under the new one stays; the
 * rest is taken back and staged anew in the same breath.  When the renderer is
 * about to need a frame that no decoder has made ready, slate takes its place
 * and the programme comes back at the frame where it then is: the numbers
 * never wait.
 */
#include "stage.h"

#include <string.h>

#include <bsd/string.h>

/* Before the renderer takes it: room for a wake-up. */
#define MARGIN_US INT64_C(20000)
/* What a renderer needs at the least; its lead grows from there by itself. */
#define START_INTAKE_US INT64_C(150000)
/* No input so long after the start: slate. */
#define START_WAIT_US INT64_C(1500000)
/* What is gathered before a channel's time begins, and for how long. */
#define GATHER_FRAMES 15
#define GATHER_US     INT64_C(400000)
/* A hole that is longer is a new epoch (design, section 5). */
#define HOLE_US INT64_C(5000000)

/* --- runs ----------------------------------------------------------------- */

/* Is frame n of this pool in the same run as the one before it? */
static bool continues(const struct stage_ref *former,
                      const struct stage_ref *ref,
                      const struct pool_frame *frame)
{
    return former->pool == ref->pool && former->reason == ref->reason &&
           former->origin == ref->origin &&
           ref->n - 1 - ref->origin >= frame->segment_first;
}

static bool slate_continues(const struct stage *stage,
                            const struct stage_ref *former,
                            const struct stage_ref *ref)
{
    const struct source *source = timeline_source(stage, ref->n);

    return stage_ref_is_slate(former) && former->reason == ref->reason &&
           (source == NULL || source->input->pool[0] != '\0' ||
            source->start < ref->n);
}

/* What this slate stands for, as its input says. */
static void describe_slate(struct stage *stage, const struct stage_ref *ref,
                           struct slate_run *run)
{
    const struct source *source = timeline_source(stage, ref->n);
    const char *why = stage_reason_text(ref->reason);
    struct err err = ERR_EMPTY;

    *run =
        (struct slate_run){ .first = ref->run_first,
                            .state = ref->reason == REASON_SLATE_MISSING ? 3
                                     : ref->reason == REASON_SLATE_LATE  ? 1
                                                                         : 2 };
    if (source != NULL && ref->reason != REASON_SLATE_GAP) {
        strlcpy(run->segment, source->input->segment, sizeof(run->segment));
        strlcpy(run->asset, source->input->asset, sizeof(run->asset));
    }
    if (source != NULL && source->input->pool[0] == '\0' &&
        source->input->reason == (enum stage_reason)ref->reason) {
        run->state = source->input->state;
        why = source->input->why;
    } else if (source != NULL && source->held != NULL &&
               ref->reason == REASON_SLATE_MISSING) {
        if (source->held->pool.head == NULL)
            err = source->held->why;
        else if (pool_status(&source->held->pool) == POOL_FAILED)
            pool_failure(&source->held->pool, &err);
        if (err.text[0] != '\0')
            why = err.text;
    }
    strlcpy(run->why, why, sizeof(run->why));
}

const struct slate_run *fill_slate_run(struct stage *stage,
                                       const struct stage_ref *ref)
{
    static struct slate_run made;
    const uint32_t count =
        stage->slates < STAGE_SLATES ? stage->slates : STAGE_SLATES;

    for (uint32_t i = 1; i <= count; i++) {
        const struct slate_run *run =
            &stage->slate[(stage->slates - i) % STAGE_SLATES];
        if (run->first == ref->run_first)
            return run;
    }
    describe_slate(stage, ref, &made); /* a dead stage staged it */
    return &made;
}

/* Which run the frame belongs to follows from the one before it. */
static void set_run(struct stage *stage, struct stage_ref *ref,
                    const struct pool_frame *frame)
{
    struct stage_ref former;
    const bool has_former =
        ref->n > 0 &&
        stage_ring_read(&stage->ring, ref->n - 1, &former) == RING_OK;

    const bool is_slate = stage_ref_is_slate(ref);

    if (has_former && (is_slate ? slate_continues(stage, &former, ref)
                                : continues(&former, ref, frame))) {
        ref->run_first = former.run_first;
        ref->run_asset_first = former.run_asset_first;
        return;
    }
    ref->run_first = ref->n;
    ref->run_asset_first = is_slate ? 0 : frame->asset_frame;
    if (is_slate)
        describe_slate(stage, ref,
                       &stage->slate[stage->slates++ % STAGE_SLATES]);
}

/* --- time ----------------------------------------------------------------- */

static int64_t late_at(struct stage *stage, const struct stage_epoch *epoch,
                       int64_t n)
{
    const int64_t deadline = stage_ring_deadline_us(&stage->ring, epoch, n);
    const int64_t since = deadline - epoch->utc_us;
    int64_t intake = stage_ring_intake_us(&stage->ring);

    /* Right behind an epoch a renderer has no lead yet, so a decoder that has
     * just begun may be as late as it is. */
    if (since >= 0 && START_INTAKE_US + since / 2 < intake)
        intake = START_INTAKE_US + since / 2;
    return deadline - intake - clock_in_us(&stage->clock, MARGIN_US);
}

static bool is_late(struct stage *stage, int64_t n)
{
    const struct stage_epoch epoch = stage_ring_epoch(&stage->ring);

    return epoch.serial != 0 &&
           clock_utc_us(&stage->clock) >= late_at(stage, &epoch, n);
}

int64_t fill_us_until_late(struct stage *stage)
{
    const struct stage_epoch epoch = stage_ring_epoch(&stage->ring);

    if (stage->look != LOOK_WAIT || stage->is_full || epoch.serial == 0)
        return INT64_MAX;
    return clock_us_until(
        &stage->clock, late_at(stage, &epoch, stage_ring_tail(&stage->ring)));
}

/*
 * The first frames are there.  A decoder's first pictures come slowly (threads
 * start, a machine is busy), so a few are gathered before time runs, or the
 * channel would begin with slate.
 */
static bool has_gathered(struct stage *stage)
{
    const int64_t now = clock_monotonic_us();

    if (stage_ring_tail(&stage->ring) == 0)
        return false;
    if (stage->gather_until_us == 0)
        stage->gather_until_us = now + GATHER_US;
    return stage_ring_tail(&stage->ring) >= GATHER_FRAMES || stage->is_full ||
           now >= stage->gather_until_us;
}

static void start_epoch(struct stage *stage)
{
    const struct options *opts = &stage->opts;
    const int64_t now = clock_utc_us(&stage->clock);

    if (opts->has_epoch) {
        stage_ring_set_epoch(&stage->ring, 0, opts->epoch_us);
        return;
    }
    if (!stage->is_service && !opts->has_start_delay)
        return;
    if (has_gathered(stage) ||
        (stage->is_service &&
         clock_monotonic_us() - stage->begin_us > START_WAIT_US))
        stage_ring_set_epoch(&stage->ring, 0,
                             now + opts->start_delay_ms * 1000);
}

/* The clock was set back or forward by hand; far deadlines alone are none. */
static bool has_clock_jumped(struct stage *stage)
{
    const uint64_t jumps = clock_jumps(&stage->clock);
    const bool has_jumped = jumps != stage->clock_jumps;

    stage->clock_jumps = jumps;
    return has_jumped;
}

void fill_epoch(struct stage *stage)
{
    const struct stage_epoch epoch = stage_ring_epoch(&stage->ring);

    if (epoch.serial == 0) {
        start_epoch(stage);
        return;
    }
    const uint64_t seen = stage->clock_jumps;
    const bool has_jumped = has_clock_jumped(stage);
    if (has_jumped && stage->has_seen_clock)
        stats_add(&stage->stats, STATS_CLOCK_JUMPS, stage->clock_jumps - seen);
    stage->has_seen_clock = true;
    const int64_t n = stage_ring_cursor(&stage->ring);
    const int64_t now = clock_utc_us(&stage->clock);
    const int64_t late = now - stage_ring_deadline_us(&stage->ring, &epoch, n);
    const int64_t hole_us = clock_in_us(&stage->clock, HOLE_US);
    const bool is_far =
        has_jumped && -late > hole_us + stage_ring_intake_us(&stage->ring);
    if ((late <= hole_us && !is_far) || n >= stage_ring_end(&stage->ring))
        return;
    stage_ring_set_epoch(&stage->ring, n,
                         now + stage->opts.start_delay_ms * 1000);
    log_warn(&stage->log,
             "frame %lld was %lld ms late%s: a new epoch begins with it",
             (long long)n, (long long)(late / 1000),
             has_jumped ? " by a jump of the clock" : "");
}

/* --- staging -------------------------------------------------------------- */

/* As long as nothing is due nothing needs the card in the slate's place. */
static bool waits_for_slate(const struct stage *stage)
{
    return slate_is_coming(stage) && stage_ring_epoch(&stage->ring).serial == 0;
}

bool fill(struct stage *stage)
{
    bool has_staged = false;
    struct pool_frame frame;
    struct stage_ref ref;

    stage->is_full = false;
    for (;;) {
        const int64_t n = stage_ring_tail(&stage->ring);
        if (n - stage_ring_frontier(&stage->ring) >=
            (int64_t)stage->ring.max_depth) {
            stage->is_full = true;
            return has_staged;
        }
        stage->look = timeline_at(stage, n, &ref, &frame);
        if (stage->look == LOOK_WAIT && is_late(stage, n)) {
            ref = (struct stage_ref){ .n = n,
                                      .origin = n,
                                      .reason = REASON_SLATE_LATE };
            stage->look = LOOK_FRAME;
        }
        if (stage->look == LOOK_END && stage_ring_end(&stage->ring) != n)
            stage_ring_set_end(&stage->ring, n);
        if (stage->look == LOOK_FRAME && stage_ref_is_slate(&ref)) {
            if (waits_for_slate(stage))
                stage->look = LOOK_WAIT;
            slate_place(stage, &ref);
        }
        if (stage->look != LOOK_FRAME)
            return has_staged;
        set_run(stage, &ref, &frame);
        if (stage_ring_push(&stage->ring, &ref) != RING_OK) {
            stage->is_full = true;
            return has_staged;
        }
        has_staged = true;
        stats_add(&stage->stats, STATS_FRAMES_STAGED, 1);
    }
}

static bool is_same(const struct stage_ref *a, const struct stage_ref *b)
{
    return a->pool == b->pool && a->seq == b->seq && a->origin == b->origin &&
           a->reason == b->reason;
}

/* The first staged frame that the list in force has otherwise; the tail. */
static int64_t first_difference(struct stage *stage)
{
    const int64_t tail = stage_ring_tail(&stage->ring);
    int64_t n = stage_ring_frontier(&stage->ring);
    struct pool_frame frame;
    struct stage_ref is, wanted;

    for (; n < tail; n++) {
        if (stage_ring_read(&stage->ring, n, &is) != RING_OK)
            break;
        const enum look what = timeline_at(stage, n, &wanted, &frame);
        if (what == LOOK_FRAME && stage_ref_is_slate(&wanted))
            slate_place(stage, &wanted);
        /* Slate for what was late stays while it still is. */
        if (what == LOOK_WAIT && stage_ref_is_slate(&is) &&
            is.reason == REASON_SLATE_LATE)
            continue;
        if (what != LOOK_FRAME || !is_same(&is, &wanted))
            break;
    }
    return n;
}

/* Slate runs at or behind n are staged anew, with new texts. */
static void forget_slates(struct stage *stage, int64_t n)
{
    for (uint32_t i = 0; i < STAGE_SLATES; i++) {
        if (stage->slate[i].first >= n)
            stage->slate[i].first = -1;
    }
}

static int64_t take_back(struct stage *stage, int64_t n)
{
    const int64_t before = stage_ring_tail(&stage->ring);
    const int64_t tail = stage_ring_take_back(&stage->ring, n);

    if (tail < before) {
        stats_add(&stage->stats, STATS_FRAMES_TAKEN_BACK,
                  (uint64_t)(before - tail));
        forget_slates(stage, tail);
        for (int i = 0; i < STAGE_POOLS; i++) {
            struct held *held = &stage->held[i];
            if (held->id != 0 && held->pool.head != NULL)
                held->hint = pool_released(&held->pool);
        }
    }
    return tail;
}

void fill_apply(struct stage *stage, struct inputs *inputs)
{
    const uint32_t serial = inputs->serial;
    const int64_t tail = stage_ring_tail(&stage->ring);
    int64_t applied_cut, cut, not_before;
    const bool was_applied =
        stage->is_taken_over && !stage->has_list &&
        stage_ring_inputs_applied(&stage->ring, &applied_cut) == serial;

    timeline_set(stage, inputs);
    stage->has_list = true;
    if (was_applied && applied_cut >= 0)
        timeline_set_now(stage, applied_cut); /* by the stage before us */
    if (timeline_has_now(stage, &not_before)) {
        cut = take_back(stage, not_before);
        cut = cut < not_before ? not_before : cut;
        timeline_set_now(stage, cut);
    } else {
        cut = take_back(stage, first_difference(stage));
        cut = cut < tail ? cut : -1;
    }
    if (!stage->timeline.inputs.is_end)
        stage_ring_set_end(&stage->ring, INT64_MAX);
    if (!was_applied)
        stage_ring_applied(&stage->ring, serial, cut);
    stage->is_change = cut >= 0;
    fill(stage);
}

void fill_again(struct stage *stage)
{
    timeline_forget(stage);
    take_back(stage, first_difference(stage));
    fill(stage);
}

void fill_slate_anew(struct stage *stage)
{
    take_back(stage, first_difference(stage));
    fill(stage);
}
