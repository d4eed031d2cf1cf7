/*
 * report: depth, state and texts, for the metrics and for the director.
 *
 *              depth >= minimum
 *   buffering -----------------> ready      error: what the renderer takes
 *             <-----------------            next cannot be played; from and
 *              depth < minimum              to both of them
 *
 * Depth is what is staged and not yet taken, and what is ready in the pool
 * that the ring is filled from.
 */
#include "stage.h"

#include <stdio.h>
#include <string.h>

#define STATE_BUFFERING 1
#define STATE_READY     2
#define STATE_ERROR     3

/* Ready in the live pool and not staged. */
static int64_t ready_in_pool(struct stage *stage, int64_t tail)
{
    const struct source *source = timeline_source(stage, tail);
    struct stage_ref last;

    if (source == NULL || source->held == NULL ||
        source->held->pool.head == NULL)
        return 0;
    const struct held *held = source->held;
    uint64_t next = held->hint;
    if (tail > 0 && stage_ring_read(&stage->ring, tail - 1, &last) == RING_OK &&
        last.pool == held->id && last.seq >= next)
        next = last.seq + 1;
    const uint64_t ready = pool_ready(&held->pool);
    return ready > next ? (int64_t)(ready - next) : 0;
}

/* The state, and why (a text that stays until the next call). */
static int32_t find_state(struct stage *stage, int64_t depth, const char **why)
{
    static char text[64];
    const int64_t frontier = stage_ring_frontier(&stage->ring);
    struct stage_ref ref;

    *why = "";
    if (stage_ring_read(&stage->ring, frontier, &ref) == RING_OK &&
        stage_ref_is_slate(&ref)) {
        const struct slate_run *slate = fill_slate_run(stage, &ref);
        *why = slate->why;
        if (slate->state == STATE_ERROR)
            return STATE_ERROR;
    }
    if (depth >= (int64_t)stage->ring.min_depth ||
        stage_ring_end(&stage->ring) != INT64_MAX)
        return STATE_READY;
    snprintf(text, sizeof(text), "%lld of %u frames",
             (long long)(depth < 0 ? 0 : depth), stage->ring.min_depth);
    *why = text;
    return STATE_BUFFERING;
}

/* Falls below the minimum, changes of programme not counted. */
static void count_underruns(struct stage *stage, int64_t depth)
{
    const bool is_below = depth < (int64_t)stage->ring.min_depth &&
                          stage_ring_end(&stage->ring) == INT64_MAX;

    if (is_below && !stage->is_below && stage->was_ready && !stage->is_change)
        stats_add(&stage->stats, STATS_UNDERRUNS, 1);
    if (!is_below)
        stage->is_change = false;
    stage->is_below = is_below;
}

static void tell_state(struct stage *stage, int32_t state, const char *why)
{
    static const char *const names[] = { "stopped", "buffering", "ready",
                                         "error" };

    if (state == stage->state)
        return;
    if (state == STATE_READY) {
        stats_set(&stage->stats, STATS_READY_SINCE_US,
                  clock_utc_us(&stage->clock));
        stage->was_ready = true;
    }
    if (stage->is_service)
        log_info(&stage->log, "channel is %s%s%s", names[state],
                 why[0] != '\0' ? ": " : "", why);
    stage->state = state;
}

/* Drops the runs that have been on air; what is first then is on air. */
static void tell_on_air(struct stage *stage)
{
    const struct stage_epoch epoch = stage_ring_epoch(&stage->ring);
    struct asrun *asrun = &stage->asrun;
    int64_t n = stage_ring_cursor(&stage->ring);
    int gone = 0;

    if (epoch.serial != 0)
        n = epoch.n0 +
            house_frame_at_us(&stage->ring.house,
                              clock_utc_us(&stage->clock) - epoch.utc_us);
    while (gone + 1 < asrun->outs && asrun->out[gone + 1].first <= n)
        gone++;
    if (gone > 0) {
        asrun->outs -= gone;
        memmove(asrun->out, asrun->out + gone,
                sizeof(asrun->out[0]) * (size_t)asrun->outs);
    }
    const bool is_any = asrun->outs > 0;
    stats_set_text(&stage->stats, STATS_TEXT_SEGMENT,
                   is_any ? asrun->out[0].segment : "");
    stats_set_text(&stage->stats, STATS_TEXT_ASSET,
                   is_any ? asrun->out[0].asset : "");
}

void report_step(struct stage *stage)
{
    const int64_t tail = stage_ring_tail(&stage->ring);
    const int64_t depth =
        tail - stage_ring_frontier(&stage->ring) + ready_in_pool(stage, tail);
    const char *why;

    if (stage->stats.page == NULL)
        return;
    const int32_t state = find_state(stage, depth, &why);
    count_underruns(stage, depth);
    if (state != stage->state || stage->is_tick) {
        stats_set_text(&stage->stats, STATS_TEXT_REASON, why);
        tell_on_air(stage);
    }
    tell_state(stage, state, why);
    stats_set(&stage->stats, STATS_STATE, state);
    stats_set(&stage->stats, STATS_DEPTH_FRAMES, depth > 0 ? depth : 0);
}
