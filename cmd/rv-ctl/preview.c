/*
 * preview: LoadPreview and SwitchToLive, carried out as the table in director.c
 * says.  A preview is a segment like any other, decoded in the shadow; a switch
 * puts it over the plan as a cut.
 */
#include "channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "log/log.h"

/* Ids of previews are apart from those of laid segments. */
#define PREVIEW_ID  UINT32_C(0x80000000)
#define NEAR_FRAMES 3 /* who has only so many left is told by the stage */
#define STANDBY_US  INT64_C(3000000)
#define TARGET_BEHIND_LIVE                                                     \
    INT64_C(-1) /* nobody's target: right behind the live one */
#define RESULT_OK        1
#define RESULT_NOT_READY 2
#define RESULT_BUSY      3
#define RESULT_FAILED    5

static json_t *load_answer(const json_t *request, bool success, bool started,
                           int result, const char *message)
{
    json_t *answer = control_answer(request, message);

    json_object_set_new(answer, "success", json_boolean(success));
    json_object_set_new(answer, "shadow_decode_started", json_boolean(started));
    json_object_set_new(answer, "result_code", json_integer(result));
    return answer;
}

bool preview_is_laid(const struct channel *channel, const struct laid *laid)
{
    return laid == &channel->preview.laid || laid == &channel->candidate.laid;
}

/* --- load ----------------------------------------------------------------- */

static int get_int(const json_t *request, const char *name, int64_t *value,
                   struct err *err)
{
    const json_t *member = json_object_get(request, name);

    *value = 0;
    if (member == NULL || json_is_null(member))
        return 0;
    if (!json_is_integer(member))
        return err_set(err, ERR_INPUT, "%s: not a whole number", name);
    *value = json_integer_value(member);
    return 0;
}

static int64_t gcd64(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int get_rate(const struct channel *channel, const json_t *request,
                    AVRational *rate, struct err *err)
{
    int64_t num, den;

    if (get_int(request, "fps_numerator", &num, err) < 0 ||
        get_int(request, "fps_denominator", &den, err) < 0)
        return -1;
    *rate = channel->house.rate;
    if (num == 0 && den == 0)
        return 0;
    if (num <= 0 || den <= 0 || num > INT32_MAX || den > INT32_MAX ||
        num / den > 1000)
        return err_set(err, ERR_INPUT,
                       "fps_numerator/fps_denominator: %" PRId64 "/%" PRId64
                       " is no frame rate; give both greater than 0, or 0/0 "
                       "for the house rate",
                       num, den);
    const int64_t divisor = gcd64(num, den);
    *rate = (AVRational){ (int)(num / divisor), (int)(den / divisor) };
    return 0;
}

/* Times in the asset, exactly: frames at the given rate. */
static int set_times(const struct channel *channel, struct preview *preview,
                     struct err *err)
{
    const AVRational rate = preview->rate, house = channel->house.rate;
    struct segment *segment = &preview->laid.segment;

    if (preview->start_frame < 0 || preview->start_frame > INT64_C(1) << 31)
        return err_set(err, ERR_INPUT,
                       "start_frame: %" PRId64
                       " is out of range; give 0 or more",
                       preview->start_frame);
    if (preview->frame_count < -1 || preview->frame_count > INT64_C(1) << 31)
        return err_set(err, ERR_INPUT,
                       "frame_count: %" PRId64
                       " is out of range; give the number of frames, or 0 or "
                       "-1 for all",
                       preview->frame_count);
    const int64_t num = preview->start_frame * rate.den;
    const int64_t divisor = num != 0 ? gcd64(num, rate.num) : rate.num;
    segment->in = (struct rational){ num / divisor, rate.num / divisor };
    segment->has_frames = preview->frame_count > 0;
    if (segment->has_frames) {
        /* In house frames, rounded to the nearest, halves up. */
        const __int128 top =
            (__int128)preview->frame_count * rate.den * house.num * 2;
        const __int128 bottom = (__int128)rate.num * house.den;
        segment->frames = (int64_t)((top + bottom) / (bottom * 2));
        if (segment->frames == 0)
            segment->frames = 1;
    }
    preview->laid.has_frames = segment->has_frames;
    preview->laid.frames = segment->frames;
    return 0;
}

static int parse_load(struct channel *channel, const json_t *request,
                      struct preview *preview, struct err *err)
{
    const char *asset = json_string_value(json_object_get(request, "asset"));

    memset(preview, 0, sizeof(*preview));
    if (asset == NULL || asset[0] == '\0')
        return err_set(err, ERR_INPUT,
                       "asset_path: is empty; give the path of a media file");
    if (strlcpy(preview->asset, asset, sizeof(preview->asset)) >=
        sizeof(preview->asset))
        return err_set(err, ERR_INPUT, "asset_path: longer than %zu bytes",
                       sizeof(preview->asset) - 1);
    if (get_int(request, "start_frame", &preview->start_frame, err) < 0 ||
        get_int(request, "frame_count", &preview->frame_count, err) < 0 ||
        get_rate(channel, request, &preview->rate, err) < 0)
        return -1;
    struct laid *laid = &preview->laid;
    laid->id = PREVIEW_ID + ++channel->next_preview_id;
    laid->is_preview = true;
    laid->index = -1;
    laid->until = FRAME_NEVER;
    laid->segment.type = SEGMENT_CONTENT;
    laid->segment.pad = PAD_NONE;
    laid->segment.fade_in = laid->segment.fade_out = (struct rational){ 0, 1 };
    snprintf(laid->segment.id, sizeof(laid->segment.id), "preview-%u",
             channel->next_preview_id);
    strlcpy(laid->segment.asset, asset, sizeof(laid->segment.asset));
    return set_times(channel, preview, err);
}

static bool is_same_preview(const struct preview *a, const struct preview *b)
{
    return a->is_there && strcmp(a->asset, b->asset) == 0 &&
           a->start_frame == b->start_frame &&
           a->frame_count == b->frame_count && av_cmp_q(a->rate, b->rate) == 0;
}

static json_t *replaced(struct channel *channel, const json_t *request,
                        const void *data)
{
    (void)channel;
    (void)data;
    return load_answer(request, false, false, RESULT_FAILED,
                       "a newer LoadPreview took this one's place");
}

static json_t *busy(struct channel *channel, const json_t *request,
                    const void *data)
{
    (void)channel;
    (void)data;
    return load_answer(request, false, false, RESULT_BUSY,
                       "a switch is under way; load the next preview after it");
}

void preview_load(struct channel *channel, struct conn *conn, json_t *request)
{
    const struct preview_step step =
        preview_step(channel->preview_state, EVENT_LOAD);
    struct preview wanted;
    struct err err = ERR_EMPTY;

    if (parse_load(channel, request, &wanted, &err) < 0) {
        orders_refuse(channel, conn, request, &err);
        return;
    }
    if (step.action == ACTION_BUSY) {
        orders_reply(channel, conn->serial, busy(channel, request, NULL));
        return;
    }
    if (channel->preview_state == PREVIEW_LOADED &&
        is_same_preview(&channel->preview, &wanted)) {
        orders_reply(channel, conn->serial,
                     load_answer(request, true, true, RESULT_OK,
                                 "this preview is loaded already"));
        return;
    }
    if (channel->candidate.is_there &&
        is_same_preview(&channel->candidate, &wanted)) {
        orders_wait(channel->load_waits, channel, conn, request);
        return;
    }
    orders_answer_all(channel, channel->load_waits, replaced, NULL);
    channel->candidate = wanted;
    channel->candidate.is_there = true;
    if (decoders_start(channel, &channel->candidate.laid, 0) < 0) {
        channel->candidate.is_there = false;
        err_set(&err, ERR_SYSTEM,
                "no decoder could be started; see the log of the channel");
        orders_refuse(channel, conn, request, &err);
        return;
    }
    orders_wait(channel->load_waits, channel, conn, request);
}

static json_t *loaded(struct channel *channel, const json_t *request,
                      const void *data)
{
    (void)channel;
    (void)data;
    return load_answer(request, true, true, RESULT_OK,
                       "the preview decodes in the shadow");
}

void preview_opened(struct channel *channel, struct laid *laid)
{
    if (laid != &channel->candidate.laid || !channel->candidate.is_there)
        return;
    const struct preview_step step =
        preview_step(channel->preview_state, EVENT_OPENED);
    if (step.action != ACTION_REPLACE) { /* a switch came in between */
        channel->candidate.is_there = false;
        orders_answer_all(channel, channel->load_waits, busy, NULL);
        return;
    }
    channel->preview = channel->candidate;
    channel->candidate.is_there = false;
    channel->preview_state = step.next;
    channel->is_dirty = true;
    orders_answer_all(channel, channel->load_waits, loaded, NULL);
}

void preview_failed(struct channel *channel, struct laid *laid,
                    const struct err *why)
{
    struct err err = *why;

    if (laid == NULL || laid != &channel->candidate.laid ||
        !channel->candidate.is_there)
        return;
    channel->candidate.is_there = false;
    err.kind = ERR_INPUT;
    orders_answer_all(channel, channel->load_waits, orders_refusal_maker, &err);
}

/* --- switch --------------------------------------------------------------- */

static json_t *switch_answer(const struct channel *channel,
                             const json_t *request)
{
    const struct cut_figures *figures = &channel->figures;
    char text[200];

    snprintf(text, sizeof(text), "on air from frame %" PRId64, figures->frame);
    json_t *answer = control_answer(request, text);
    json_object_set_new(answer, "success", json_true());
    json_object_set_new(answer, "result_code", json_integer(RESULT_OK));
    json_object_set_new(answer, "cut_frame", json_integer(figures->frame));
    json_object_set_new(answer, "pts_contiguous",
                        json_boolean(figures->is_contiguous));
    json_object_set_new(answer, "live_start_pts",
                        json_integer(figures->live_start_pts));
    json_object_set_new(answer, "switch_completion_time_ms",
                        json_integer(figures->completion_ms));
    json_object_set_new(answer, "violation_reason",
                        json_string(figures->violation));
    return answer;
}

static json_t *figures_maker(struct channel *channel, const json_t *request,
                             const void *data)
{
    (void)data;
    return switch_answer(channel, request);
}

static uint64_t enough_frames(const struct channel *channel)
{
    return ring_is_open(channel) ? channel->ring.min_depth : 30;
}

bool is_ready_for_air(struct channel *channel, const struct laid *laid)
{
    if (laid->count == 0)
        return false;
    const struct stretch *first = &laid->stretch[0];
    const struct decoder *decoder = decoders_of_pool(channel, first->pool);
    if (first->pool == 0 || decoder == NULL || decoder->pidfd < 0)
        return true; /* slate, or its decoder has ended: all of it is there */
    if (decoder->pool.head == NULL)
        return false;
    if (pool_status(&decoder->pool) == POOL_ENDED)
        return true;
    const uint64_t depth =
        pool_ready(&decoder->pool) - pool_released(&decoder->pool);
    return depth >= enough_frames(channel);
}

/*
 * A preview of less than a second leaves no time to begin the plan anew behind
 * it.  Where the plan is hidden by another preview, its decoders stand by.
 */
static void set_standby(struct channel *channel)
{
    const struct preview *preview = &channel->preview;
    struct timeline *timeline = channel->timeline;
    const struct laid *laid = &preview->laid;
    const bool may_cut = channel->preview_state == PREVIEW_LOADED ||
                         channel->preview_state == PREVIEW_ARMED ||
                         (channel->preview_state == PREVIEW_CUTTING &&
                          channel->now_kind != NOW_NONE);
    const bool is_short = preview->is_there && may_cut && laid->has_frames &&
                          laid->frames < timeline->second;

    timeline->standby = is_short ? laid->frames : 0;
    if (is_short && channel->standby_id != laid->id) {
        channel->standby_id = laid->id;
        channel->standby_since_us = clock_monotonic_us();
    }
}

/* Is there what comes behind it, if it begins at this frame? */
static bool has_return(struct channel *channel, int64_t first)
{
    struct timeline *timeline = channel->timeline;
    uint32_t pool;

    if (!timeline_returns(timeline, timeline->standby, first, &pool))
        return false;
    const struct decoder *decoder = decoders_of_pool(channel, pool);
    return pool == 0 || decoder == NULL || decoder->pool.head == NULL ||
           pool_status(&decoder->pool) != POOL_RUNNING ||
           pool_ready(&decoder->pool) >= enough_frames(channel);
}

/* A preview so short waits for what comes behind it; not for ever: the plan may
 * have no picture there.  Where "now" is, the stage will say a little later. */
static bool is_return_ready(struct channel *channel)
{
    const int64_t position = air_position(channel);

    set_standby(channel);
    if (channel->timeline->standby == 0 ||
        clock_monotonic_us() - channel->standby_since_us > STANDBY_US)
        return true;
    return has_return(channel, position) &&
           has_return(channel, position + channel->timeline->second / 4);
}

/* The frame whose deadline is nearest to this time. */
static int64_t frame_at(const struct channel *channel, int64_t utc_ms)
{
    const struct stage_epoch epoch = stage_ring_epoch(&channel->ring);
    const int64_t half_us = house_us(&channel->house, 1) / 2;
    const int64_t since_us = utc_ms * 1000 - epoch.utc_us - half_us;

    return epoch.n0 +
           (since_us > 0 ? house_frame_at_us(&channel->house, since_us) : 0);
}

static void cut_now(struct channel *channel, int64_t not_before)
{
    channel->now_kind = NOW_PREVIEW;
    channel->now_serial = 0;
    channel->now_not_before = not_before;
}

static void cut_at(struct channel *channel, int64_t frame)
{
    struct err err = ERR_EMPTY;

    if (timeline_cut(channel->timeline, &channel->preview.laid, frame, &err) <
        0) {
        log_error(NULL, "%s", err.text);
        channel->preview_state = PREVIEW_ARMED;
        return;
    }
    channel->cut_id = channel->preview.laid.id;
    channel->figures.frame = frame;
}

/* Puts the preview into the list: at its time, or as soon as possible. */
static void begin_cut(struct channel *channel)
{
    channel->figures = (struct cut_figures){ .frame = -1 };
    channel->cut_id = 0;
    channel->is_dirty = true;
    if (channel->target_ms <= 0 ||
        stage_ring_epoch(&channel->ring).serial == 0) {
        cut_now(channel, 0);
        return;
    }
    const int64_t frame = frame_at(channel, channel->target_ms);
    const int64_t first = air_position(channel) + NEAR_FRAMES;
    if (frame >= first)
        cut_at(channel, frame);
    else
        cut_now(channel, frame);
}

void preview_cut_known(struct channel *channel, int64_t frame)
{
    cut_at(channel, frame);
}

static int64_t deadline_ms(const struct channel *channel, int64_t frame)
{
    const struct stage_epoch epoch = stage_ring_epoch(&channel->ring);

    if (epoch.serial == 0)
        return 0;
    return stage_ring_deadline_us(&channel->ring, &epoch, frame) / 1000;
}

/* Measured in the ring: the frames on both sides of the cut are there, the new
 * one is the preview's first. */
static bool measure_contiguous(const struct channel *channel, int64_t frame)
{
    struct stage_ref before, after;

    if (stage_ring_read(&channel->ring, frame, &after) != RING_OK ||
        after.reason != REASON_PREVIEW || after.origin != frame)
        return false;
    return frame == 0 ||
           (stage_ring_read(&channel->ring, frame - 1, &before) == RING_OK &&
            before.n + 1 == after.n && before.reason != REASON_SLATE_LATE);
}

static void set_violation(struct channel *channel)
{
    struct cut_figures *figures = &channel->figures;
    const int64_t late_ms = figures->completion_ms - channel->target_ms;

    figures->violation[0] = '\0';
    if (channel->target_ms > 0 &&
        figures->frame > frame_at(channel, channel->target_ms))
        snprintf(figures->violation, sizeof(figures->violation),
                 "the target was %" PRId64
                 " ms before the first frame that could still be changed",
                 late_ms);
}

static void measure(struct channel *channel)
{
    struct cut_figures *figures = &channel->figures;

    figures->live_start_pts =
        house_pts(&channel->house, channel->ring.pts_base, figures->frame) %
        HOUSE_PTS_WRAP;
    figures->completion_ms = deadline_ms(channel, figures->frame);
    figures->is_contiguous = measure_contiguous(channel, figures->frame);
    set_violation(channel);
    stats_add(&channel->stats, STATS_SWITCHES, 1);
}

static json_t *not_ready(const json_t *request)
{
    json_t *answer = control_answer(
        request, "the preview is not decoded far enough yet; it goes on air as "
                 "soon as it is");

    json_object_set_new(answer, "success", json_false());
    json_object_set_new(answer, "result_code", json_integer(RESULT_NOT_READY));
    json_object_set_new(
        answer, "violation_reason",
        json_string("fewer frames decoded than the minimum depth"));
    return answer;
}

static int parse_target(const json_t *request, int64_t *target, struct err *err)
{
    if (get_int(request, "target_ms", target, err) < 0)
        return -1;
    if (*target < 0 || *target > INT64_C(253402300800000))
        return err_set(err, ERR_INPUT,
                       "target_boundary_time_ms: %" PRId64
                       " is out of range; give UTC in milliseconds, or 0 for "
                       "as soon as possible",
                       *target);
    return 0;
}

/* The runtime's own clock, as far as it tells: shown, never followed. */
static int compare_clocks(struct channel *channel, const json_t *request,
                          struct err *err)
{
    int64_t issued;

    if (get_int(request, "issued_ms", &issued, err) < 0)
        return -1;
    if (issued > 0 && issued < INT64_C(253402300800000))
        stats_set(&channel->stats, STATS_RUNTIME_OFFSET_US,
                  clock_utc_us(&channel->clock) - issued * 1000);
    return 0;
}

/* A cut that still waits for its time may be given another one. */
static void retarget(struct channel *channel, int64_t target_ms)
{
    if (channel->cut_id == 0 || channel->target_ms == target_ms ||
        air_position(channel) + NEAR_FRAMES >= channel->figures.frame)
        return;
    const struct laid *cut = timeline_find(channel->timeline, channel->cut_id);
    if (cut != NULL) /* it may have got another decoder meanwhile */
        channel->preview.laid = *cut;
    timeline_uncut(channel->timeline, channel->cut_id);
    channel->target_ms = target_ms;
    begin_cut(channel);
}

/* What its pool tells about how long a preview is. */
static void learn(struct channel *channel, struct laid *laid, bool is_cut)
{
    const struct decoder *decoder =
        laid->count > 0 && !laid->is_sure
            ? decoders_of_pool(channel, laid->stretch[laid->count - 1].pool)
            : NULL;

    if (decoder == NULL || decoder->pool.head == NULL)
        return;
    const bool is_all = pool_status(&decoder->pool) == POOL_ENDED;
    const int64_t ready = is_all ? pool_end_index(&decoder->pool)
                                 : (int64_t)pool_ready(&decoder->pool);
    /* A cut's end moves others: when its decoder is gone, laid_over(). */
    if (ready > 0 && (!is_cut || !is_all))
        laid_learn(channel->timeline, laid, ready, is_all);
}

static void learn_lengths(struct channel *channel)
{
    struct timeline *timeline = channel->timeline;

    if (channel->preview.is_there)
        learn(channel, &channel->preview.laid, false);
    for (int i = 0; i < timeline->cuts; i++)
        learn(channel, &timeline->cut[i], true);
}

void preview_switch(struct channel *channel, struct conn *conn, json_t *request)
{
    struct err err = ERR_EMPTY;
    int64_t target;

    if (parse_target(request, &target, &err) < 0 ||
        compare_clocks(channel, request, &err) < 0) {
        orders_refuse(channel, conn, request, &err);
        return;
    }
    learn_lengths(channel);
    const bool is_ready = channel->preview.is_there && ring_is_open(channel) &&
                          is_ready_for_air(channel, &channel->preview.laid) &&
                          is_return_ready(channel) &&
                          channel->now_kind == NOW_NONE;
    const struct preview_step step =
        preview_step(channel->preview_state,
                     is_ready ? EVENT_SWITCH_READY : EVENT_SWITCH_EARLY);
    channel->preview_state = step.next;
    switch (step.action) {
    case ACTION_NO_PREVIEW:
        err_set(&err, ERR_STATE,
                "no preview is loaded; call LoadPreview first");
        orders_refuse(channel, conn, request, &err);
        return;
    case ACTION_NOT_READY:
        channel->target_ms = target;
        orders_reply(channel, conn->serial, not_ready(request));
        return;
    case ACTION_CUT:
        channel->target_ms = target;
        begin_cut(channel);
        orders_wait(channel->switch_waits, channel, conn, request);
        return;
    case ACTION_WAIT:
        retarget(channel, target);
        orders_wait(channel->switch_waits, channel, conn, request);
        return;
    case ACTION_REPORT:
        orders_reply(channel, conn->serial, switch_answer(channel, request));
        return;
    case ACTION_NONE:
    case ACTION_OPEN:
    case ACTION_BUSY:
    case ACTION_REPLACE:
    case ACTION_DROP:
        return;
    }
}

/* --- as time goes by ------------------------------------------------------ */

static void event(struct channel *channel, enum preview_event what)
{
    const struct preview_step step = preview_step(channel->preview_state, what);

    channel->preview_state = step.next;
    if (step.action == ACTION_CUT) {
        begin_cut(channel);
    } else if (step.action == ACTION_REPORT) {
        measure(channel);
        channel->is_dirty = true;
        orders_answer_all(channel, channel->switch_waits, figures_maker, NULL);
    } else if (step.action == ACTION_DROP) {
        channel->preview.is_there = false;
        channel->is_dirty = true;
    }
}

/* A preview in the shadow whose decoder died gets another one. */
static void care_for_decoder(struct channel *channel, int64_t now_us)
{
    struct laid *laid = &channel->preview.laid;

    if (!channel->preview.is_there || channel->cut_id == laid->id ||
        (channel->preview_state != PREVIEW_LOADED &&
         channel->preview_state != PREVIEW_ARMED))
        return;
    if (laid->is_retrying && laid->pending == 0 && now_us >= laid->retry_at_us)
        (void)decoders_start(channel, laid, laid->retry_from);
    if (!laid->is_retrying && laid->pending == 0 && laid->count == 0)
        event(channel, EVENT_GONE);
}

/*
 * A preview that is ready follows a live one that ends, right behind its last
 * frame.  Decided as late as is safe: until then SwitchToLive may come.  True
 * while that moment is near.
 */
static bool follow_live(struct channel *channel)
{
    const struct timeline *timeline = channel->timeline;

    if (channel->preview_state != PREVIEW_LOADED || timeline->cuts == 0 ||
        channel->now_kind != NOW_NONE)
        return false;
    const int64_t end = laid_end(&timeline->cut[timeline->cuts - 1]);
    const int64_t left = end == FRAME_NEVER ? end : end - air_position(channel);
    if (left < NEAR_FRAMES || left > 2 * timeline->second)
        return false;
    /* One that is being loaded in its place shall follow instead. */
    const int64_t enough =
        channel->candidate.is_there ? 2 * NEAR_FRAMES : timeline->second / 2;
    if (left > enough || !is_ready_for_air(channel, &channel->preview.laid))
        return true;
    channel->preview_state =
        preview_step(PREVIEW_LOADED, EVENT_SWITCH_READY).next;
    channel->target_ms = TARGET_BEHIND_LIVE;
    channel->figures = (struct cut_figures){ .frame = -1 };
    channel->is_dirty = true;
    cut_at(channel, end);
    return true;
}

bool preview_update(struct channel *channel, int64_t now_us)
{
    learn_lengths(channel);
    care_for_decoder(channel, now_us);
    set_standby(channel);
    const bool is_following = follow_live(channel);
    if (channel->preview_state == PREVIEW_ARMED &&
        channel->now_kind == NOW_NONE &&
        is_ready_for_air(channel, &channel->preview.laid) &&
        is_return_ready(channel))
        event(channel, EVENT_READY);
    if (channel->preview_state == PREVIEW_CUTTING && channel->cut_id != 0 &&
        channel->now_kind == NOW_NONE &&
        air_position(channel) > channel->figures.frame)
        event(channel, EVENT_TAKEN);
    return is_following || channel->preview_state == PREVIEW_ARMED ||
           channel->preview_state == PREVIEW_CUTTING;
}
