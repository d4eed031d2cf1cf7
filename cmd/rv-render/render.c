/*
 * render: the loop.  Publication first, cursor second: a renderer that dies
 * between the two has a successor that finds the truth in the TS ring's last
 * entry.  The other way round a frame would be lost.
 */
#include "render.h"

#include <string.h>

#include "cli/cli.h"
#include "log/log.h"

#define BEAT_US       100000  /* longest sleep: the heartbeat stays fresh */
#define HOLE_US       1000000 /* later than this is not caught up with */
#define EPOCH_HOLE_US 5000000 /* later than this is a new epoch */
#define STAGE_WAIT_US 2000000 /* for the stage to see that, too */
#define EPOCH_WAIT_US 500000
#define US_PER_S      INT64_C(1000000)

/* --- time ----------------------------------------------------------------- */

static int64_t deadline_us(const struct render *render, int64_t n)
{
    return render->epoch.utc_us +
           house_us(&render->house, n - render->epoch.n0);
}

/*
 * The epoch by which frames are due.  A stream on a descriptor has none, and a
 * ring may have none (a stage without a clock): then the first frame is due
 * one intake from now.  False: not known yet.
 */
static bool find_epoch(struct render *render)
{
    const int64_t now = clock_monotonic_us();
    struct stage_epoch epoch = { .serial = 0 };

    if (render->media == NULL)
        epoch = stage_ring_epoch(&render->source.ring);
    if (epoch.serial != 0) {
        render->epoch = epoch;
        return true;
    }
    if (render->epoch.utc_us != 0)
        return true;
    if (render->media == NULL && render->opts->is_paced) {
        if (render->epoch_sought_us == 0 &&
            stage_ring_tail(&render->source.ring) > render->next)
            render->epoch_sought_us = now;
        if (render->epoch_sought_us == 0 ||
            now - render->epoch_sought_us < EPOCH_WAIT_US)
            return false;
    }
    render->epoch =
        (struct stage_epoch){ .n0 = render->next,
                              .utc_us = clock_utc_us(&render->clock) +
                                        render->intake_us };
    return true;
}

static void show_progress(struct render *render)
{
    const int64_t now = clock_utc_us(&render->clock);
    const int64_t end = render->stretch.next_n;

    stats_proc_beat(&render->proc, render->picture != NULL);
    if (!render->opts->is_paced || render->epoch.utc_us == 0)
        return;
    stats_set(&render->stats, STATS_LEAD_US, deadline_us(render, end) - now);
    /* The newest frame that is due and out: the first at or after now, less
     * one, but none that was not published. */
    int64_t on_air =
        render->epoch.n0 - 1 +
        house_frame_at_us(&render->house, now - render->epoch.utc_us + 1);
    on_air = on_air < end - 1 ? on_air : end - 1;
    if (on_air >= 0)
        stats_set(&render->stats, STATS_FRAME_ON_AIR, on_air);
}

/* --- publication ---------------------------------------------------------- */

static void count_published(struct render *render,
                            const struct ts_stretch *entry, size_t size)
{
    uint64_t slate = 0;

    for (int64_t n = entry->n_first; n < entry->n_end; n++)
        slate += render->slate[n / 64 % 4] >> (n % 64) & 1;
    stats_add(&render->stats, STATS_FRAMES_RENDERED,
              (uint64_t)(entry->n_end - entry->n_first));
    stats_add(&render->stats, STATS_FRAMES_SLATE, slate);
    stats_add(&render->stats, STATS_TS_BYTES, size);
    stats_set(&render->stats, STATS_FRAME_RENDERED, entry->n_end - 1);
}

static int publish(struct render *render, struct ts_stretch *entry,
                   const uint8_t *bytes, size_t size, struct err *err)
{
    entry->due_us = render->opts->is_paced ? deadline_us(render, entry->n_first)
                                           : clock_utc_us(&render->clock);
    if (render->ts.head != NULL &&
        ts_ring_publish(&render->ts, bytes, size, entry, err) < 0)
        return -1;
    if (render->outlet.fd >= 0) {
        const int put =
            outlet_put(&render->outlet, bytes, size, entry->due_us, err);
        if (put < 0)
            return -1;
        render->is_done |= put == 0;
    }
    if (render->media == NULL)
        stage_ring_set_cursor(&render->source.ring, 0, entry->n_end);
    render->vbv_bits = entry->vbv_bits;
    count_published(render, entry, size);
    return 0;
}

static int publish_closed(struct render *render, bool is_last, struct err *err)
{
    struct ts_stretch entry;
    const uint8_t *bytes;
    size_t size;
    int got;

    while ((got = stretch_take(&render->stretch, render->sound, is_last, &entry,
                               &bytes, &size, err)) > 0) {
        if (publish(render, &entry, bytes, size, err) < 0)
            return -1;
    }
    return got;
}

/* --- encoders ------------------------------------------------------------- */

/* The sound behind the start, as far as it is still there; else silence. */
static int warm_up(struct render *render, int64_t first_group, struct err *err)
{
    struct source_frame frame;

    for (int64_t n = sound_first_frame(&render->house, first_group);
         n < render->next; n++) {
        const bool is_there = render->media == NULL && n >= 0 &&
                              source_ring_sound(&render->source, n, &frame);
        if (sound_feed(render->sound, n, is_there ? frame.sound : NULL, err) <
            0)
            return -1;
    }
    return 0;
}

int render_start_encoders(struct render *render, struct err *err)
{
    const int64_t first_group = stretch_start(&render->stretch, render->next);

    render->picture = picture_open(&render->config, render->vbv_bits, err);
    if (render->picture == NULL)
        return -1;
    render->sound =
        sound_open(&render->house, render->opts->audio_kbit, first_group, err);
    return render->sound ? warm_up(render, first_group, err) : -1;
}

/* What the encoders hold comes out; they are then gone. */
static int flush_encoders(struct render *render, struct err *err)
{
    struct picture_coded coded;

    if (render->picture == NULL)
        return 0;
    if (sound_flush(render->sound, err) < 0)
        return -1;
    do {
        if (picture_flush(render->picture, &coded, err) < 0 ||
            (coded.size > 0 && stretch_add(&render->stretch, &coded, err) < 0))
            return -1;
    } while (coded.size > 0);
    const int rc = publish_closed(render, true, err);
    picture_close(render->picture);
    sound_close(render->sound);
    render->picture = NULL;
    render->sound = NULL;
    return rc;
}

static int encode(struct render *render, const struct source_frame *frame,
                  struct err *err)
{
    const uint64_t bit = UINT64_C(1) << (frame->n % 64);
    uint64_t *slate = &render->slate[frame->n / 64 % 4];
    struct picture_coded coded;

    *slate = frame->flags & FRAME_SLATE ? *slate | bit : *slate & ~bit;
    if (sound_feed(render->sound, frame->n, frame->sound, err) < 0 ||
        picture_encode(render->picture, frame, &coded, err) < 0 ||
        (coded.size > 0 && stretch_add(&render->stretch, &coded, err) < 0))
        return -1;
    return publish_closed(render, false, err);
}

/* --- holes ---------------------------------------------------------------- */

/*
 * Over 5 s late is a new epoch (design, section 5): nothing is skipped, only
 * deadlines change.  A ring's epoch is the stage's to set, ours is ours.  True
 * while there is none yet.
 */
static bool wait_new_epoch(struct render *render)
{
    const int64_t now = clock_monotonic_us();
    const int64_t late =
        clock_utc_us(&render->clock) - deadline_us(render, render->next);
    const int64_t limit = clock_in_us(
        &render->clock, render->media != NULL ? HOLE_US : EPOCH_HOLE_US);

    if (late <= limit || render->discarded > 0) {
        render->late_since_us = 0;
        return false;
    }
    if (render->epoch.serial == 0) {
        render->epoch.n0 = render->next;
        render->epoch.utc_us = clock_utc_us(&render->clock) + render->intake_us;
        return false;
    }
    if (render->late_since_us == 0)
        render->late_since_us = now;
    if (now - render->late_since_us > STAGE_WAIT_US)
        return false; /* no stage that would: skip */
    clock_sleep_until(&render->clock, clock_utc_us(&render->clock) + BEAT_US,
                      BEAT_US / 5);
    return true;
}

/* All were asleep: what was taken goes out late, what follows is skipped. */
static int begin_hole(struct render *render, struct err *err)
{
    struct log_ctx ctx = { .channel = render->opts->channel,
                           .has_frame = true,
                           .frame = render->next };

    log_warn(&ctx, "frames are skipped: this one is %lld ms late",
             (long long)((clock_utc_us(&render->clock) -
                          deadline_us(render, render->next)) /
                         1000));
    return flush_encoders(render, err);
}

static void skip_frame(struct render *render)
{
    render->next++;
    render->discarded++;
    stage_ring_set_cursor(&render->source.ring, 0, render->next);
    stats_add(&render->stats, STATS_FRAMES_DROPPED, 1);
}

static int end_hole(struct render *render, struct err *err)
{
    struct log_ctx ctx = { .channel = render->opts->channel,
                           .has_frame = true,
                           .frame = render->next };

    log_warn(&ctx, "goes on after %lld skipped frames",
             (long long)render->discarded);
    render->discarded = 0;
    ts_mux_jump(&render->stretch.mux);
    render->stretch.has_lead_in = true;
    return render_start_encoders(render, err);
}

/* --- the loop ------------------------------------------------------------- */

/* True when it is too early for the next frame: slept a while. */
static bool wait_intake(struct render *render)
{
    const int64_t due = deadline_us(render, render->next) - render->intake_us;

    if (clock_us_until(&render->clock, due) == 0)
        return false;
    if (render->media == NULL)
        source_ring_tidy(&render->source);
    clock_sleep_until(&render->clock, due, BEAT_US);
    return clock_us_until(&render->clock, due) > 0;
}

/* In service, once a second of waiting: are the rings still to be found?  Who
 * removed them has forgotten us. */
static int look_around(struct render *render, int64_t now, struct err *err)
{
    const struct shm *rings[] = { &render->source.ring.shm, &render->ts.shm };

    if (render->opts->channel == 0 || now - render->looked_us < US_PER_S)
        return 0;
    render->looked_us = now;
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        if (shm_is_unlinked(rings[i]))
            return err_set(err, ERR_UNREACHABLE,
                           "ring %s: was removed; start the channel again",
                           rings[i]->path);
    }
    return 0;
}

/* Nothing staged: wait for it.  In a shell, not for ever for a dead stage. */
static int wait_frame(struct render *render, struct err *err)
{
    const struct stage_ring *ring = &render->source.ring;
    const int64_t now = clock_monotonic_us();

    if (look_around(render, now, err) < 0)
        return -1;
    stage_ring_wait(&render->source.ring, render->next, BEAT_US);
    if (render->opts->channel != 0 || stage_ring_has_stage(ring)) {
        render->stage_gone_us = 0;
        return 0;
    }
    if (render->stage_gone_us == 0)
        render->stage_gone_us = now;
    if (now - render->stage_gone_us < render->opts->wait_s * US_PER_S)
        return 0;
    return err_set(err, ERR_UNREACHABLE,
                   "ring %s: its rv-stage is gone and frame %lld was never "
                   "staged; start rv-stage again",
                   ring->shm.path, (long long)render->next);
}

static enum source_result take(struct render *render,
                               struct source_frame *frame, struct err *err)
{
    if (render->media != NULL)
        return source_media_take(render->media, render->next, frame, err);
    return source_ring_take(&render->source, render->next, frame);
}

static bool is_too_late(const struct render *render)
{
    if (!render->opts->is_paced || render->media != NULL)
        return false;
    const int64_t late =
        clock_utc_us(&render->clock) - deadline_us(render, render->next);
    /* In a hole go on until the encoders have their whole time again, but for
     * what oversleeping takes. */
    const int64_t enough = render->intake_us - house_us(&render->house, 2);
    return render->discarded > 0 ? late > -enough
                                 : late > clock_in_us(&render->clock, HOLE_US);
}

int render_step(struct render *render, struct err *err)
{
    struct source_frame frame;

    show_progress(render);
    if (!find_epoch(render))
        return wait_frame(render, err);
    if (render->opts->is_paced &&
        (wait_intake(render) || wait_new_epoch(render)))
        return 0;
    const bool is_late = is_too_late(render);
    if (is_late && render->picture != NULL && begin_hole(render, err) < 0)
        return -1;
    switch (take(render, &frame, err)) {
    case SOURCE_EMPTY:
        return wait_frame(render, err);
    case SOURCE_END:
        render->is_done = true;
        return flush_encoders(render, err);
    case SOURCE_FAILED:
        return -1;
    case SOURCE_OK:
        break;
    }
    if (is_late) {
        skip_frame(render);
        return 0;
    }
    if (render->picture == NULL && end_hole(render, err) < 0)
        return -1;
    const int rc = encode(render, &frame, err);
    render->next++;
    return rc;
}
