/*
 * state: what a new director must know to go on where a killed one was, as one
 * JSON file <run>/<channel>/state, written beside and renamed at every change.
 * Everything else is looked up: who lives (locks), where the ring stands, what
 * the pools hold.  What is read here was written by ourselves, yet checked: a
 * file that does not fit together is refused, and the channel starts anew.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "log/log.h"

#define STATE_VERSION 1

static void put(json_t *object, const char *name, int64_t value)
{
    json_object_set_new(object, name, json_integer(value));
}

static int64_t get(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static bool is_set(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* --- laid segments -------------------------------------------------------- */

static json_t *laid_to_json(const struct laid *laid)
{
    json_t *object = json_object();
    json_t *stretches = json_array();
    char *line = segment_format(&laid->segment);

    put(object, "id", laid->id);
    json_object_set_new(object, "segment",
                        json_loads(line != NULL ? line : "{}", 0, NULL));
    free(line);
    put(object, "index", laid->index);
    json_object_set_new(object, "is_preview", json_boolean(laid->is_preview));
    if (laid->has_first)
        put(object, "first", laid->first);
    if (laid->has_frames)
        put(object, "frames", laid->frames);
    if (laid->until != FRAME_NEVER)
        put(object, "until", laid->until);
    for (int i = 0; i < laid->count; i++) {
        const struct stretch *stretch = &laid->stretch[i];
        json_array_append_new(
            stretches,
            json_pack("{s:I,s:I,s:b,s:s}", "pool", (json_int_t)stretch->pool,
                      "from", (json_int_t)stretch->from, "is_short",
                      stretch->is_short, "why", stretch->why));
    }
    json_object_set_new(object, "stretches", stretches);
    put(object, "pending", laid->pending);
    put(object, "pending_from", laid->pending_from);
    put(object, "failures", laid->failures);
    json_object_set_new(object, "is_retrying", json_boolean(laid->is_retrying));
    put(object, "retry_from", laid->retry_from);
    return object;
}

static int laid_from_json(struct laid *laid, const json_t *object,
                          struct err *err)
{
    json_t *segment = json_object_get(object, "segment");
    char *line = segment != NULL ? json_dumps(segment, JSON_COMPACT) : NULL;
    const json_t *stretches = json_object_get(object, "stretches");

    memset(laid, 0, sizeof(*laid));
    const int rc = line == NULL
                       ? err_set(err, ERR_INPUT, "a laid segment is missing")
                       : segment_parse(&laid->segment, line, strlen(line), err);
    free(line);
    if (rc < 0)
        return -1;
    laid->id = (uint32_t)get(object, "id");
    laid->index = (int)get(object, "index");
    laid->is_preview = is_set(object, "is_preview");
    laid->has_first = json_object_get(object, "first") != NULL;
    laid->first = get(object, "first");
    laid->has_frames = json_object_get(object, "frames") != NULL;
    laid->frames = get(object, "frames");
    laid->until = json_object_get(object, "until") != NULL
                      ? get(object, "until")
                      : FRAME_NEVER;
    for (size_t i = 0;
         i < json_array_size(stretches) && laid->count < LAID_STRETCHES; i++) {
        const json_t *one = json_array_get(stretches, i);
        struct stretch *stretch = &laid->stretch[laid->count++];
        stretch->pool = (uint32_t)get(one, "pool");
        stretch->from = get(one, "from");
        stretch->is_short = is_set(one, "is_short");
        strlcpy(stretch->why, text_of(one, "why"), sizeof(stretch->why));
    }
    laid->pending = (uint32_t)get(object, "pending");
    laid->pending_from = get(object, "pending_from");
    laid->failures = (int)get(object, "failures");
    laid->is_retrying = is_set(object, "is_retrying");
    laid->retry_from = get(object, "retry_from");
    return 0;
}

/* --- the walk: plain data, opaque but for its pointers -------------------- */

static json_t *walk_to_json(const struct plan_walk *walk)
{
    static const char digits[] = "0123456789abcdef";
    struct plan_walk bare = *walk;
    char hex[2 * sizeof(bare) + 1];
    const unsigned char *bytes = (const unsigned char *)&bare;

    bare.plan = NULL;
    for (size_t i = 0; i < sizeof(bare); i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * sizeof(bare)] = '\0';
    return json_string(hex);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int walk_from_json(struct plan_walk *walk, const char *hex,
                          const struct plan *plan, struct err *err)
{
    unsigned char bytes[sizeof(*walk)];

    if (strlen(hex) != 2 * sizeof(bytes))
        return err_set(err, ERR_INPUT, "walk: of another release");
    for (size_t i = 0; i < sizeof(bytes); i++) {
        const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return err_set(err, ERR_INPUT, "walk: damaged");
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(walk, bytes, sizeof(bytes));
    walk->plan = plan;
    if (walk->next < 0 || walk->next > plan->count || walk->pass < 0)
        return err_set(err, ERR_INPUT, "walk: does not fit the plan");
    return 0;
}

/* --- timeline ------------------------------------------------------------- */

static json_t *timeline_to_json(const struct timeline *timeline)
{
    json_t *object = json_object();
    json_t *laid = json_array(), *cuts = json_array();

    for (int i = 0; i < timeline->count; i++)
        json_array_append_new(laid, laid_to_json(&timeline->laid[i]));
    for (int i = 0; i < timeline->cuts; i++)
        json_array_append_new(cuts, laid_to_json(&timeline->cut[i]));
    json_object_set_new(object, "laid", laid);
    json_object_set_new(object, "cuts", cuts);
    json_object_set_new(object, "walk", walk_to_json(&timeline->walk));
    json_object_set_new(object, "is_over", json_boolean(timeline->is_over));
    put(object, "base", timeline->base);
    put(object, "next_id", timeline->next_id);
    return object;
}

static int laid_array(struct laid *laid, int *count, int max,
                      const json_t *array, struct err *err)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (*count == max)
            return err_set(err, ERR_INPUT, "more segments than ever laid");
        if (laid_from_json(&laid[*count], json_array_get(array, i), err) < 0)
            return -1;
        (*count)++;
    }
    return 0;
}

static int timeline_from_json(struct channel *channel, const json_t *object,
                              struct err *err)
{
    struct timeline *timeline = channel->timeline;

    timeline_start(timeline, channel->plan, &channel->house, 0);
    timeline->is_over = is_set(object, "is_over");
    timeline->base = get(object, "base");
    timeline->next_id = (uint32_t)get(object, "next_id");
    if (walk_from_json(&timeline->walk, text_of(object, "walk"), channel->plan,
                       err) < 0)
        return -1;
    return laid_array(timeline->laid, &timeline->count, TIMELINE_LAID,
                      json_object_get(object, "laid"), err) < 0 ||
                   laid_array(timeline->cut, &timeline->cuts, TIMELINE_CUTS,
                              json_object_get(object, "cuts"), err) < 0
               ? -1
               : 0;
}

/* --- preview and decoders ------------------------------------------------- */

static json_t *preview_to_json(const struct channel *channel)
{
    const struct preview *preview = &channel->preview;
    const struct cut_figures *figures = &channel->figures;
    json_t *object = json_object();

    put(object, "state", channel->preview_state);
    put(object, "next_id", channel->next_preview_id);
    put(object, "target_ms", channel->target_ms);
    put(object, "cut_id", channel->cut_id);
    put(object, "now_serial",
        channel->now_kind == NOW_PREVIEW ? channel->now_serial : 0);
    put(object, "frame", figures->frame);
    put(object, "live_start_pts", figures->live_start_pts);
    put(object, "completion_ms", figures->completion_ms);
    json_object_set_new(object, "is_contiguous",
                        json_boolean(figures->is_contiguous));
    json_object_set_new(object, "violation", json_string(figures->violation));
    if (preview->is_there) {
        json_object_set_new(object, "laid", laid_to_json(&preview->laid));
        put(object, "start_frame", preview->start_frame);
        put(object, "frame_count", preview->frame_count);
        put(object, "rate_num", preview->rate.num);
        put(object, "rate_den", preview->rate.den);
    }
    return object;
}

static int preview_from_json(struct channel *channel, const json_t *object,
                             struct err *err)
{
    struct preview *preview = &channel->preview;
    struct cut_figures *figures = &channel->figures;
    const int64_t state = get(object, "state");
    const json_t *laid = json_object_get(object, "laid");

    channel->next_preview_id = (uint32_t)get(object, "next_id");
    channel->target_ms = get(object, "target_ms");
    channel->cut_id = (uint32_t)get(object, "cut_id");
    figures->frame = get(object, "frame");
    figures->live_start_pts = get(object, "live_start_pts");
    figures->completion_ms = get(object, "completion_ms");
    figures->is_contiguous = is_set(object, "is_contiguous");
    strlcpy(figures->violation, text_of(object, "violation"),
            sizeof(figures->violation));
    if (laid == NULL)
        return 0;
    if (state < 0 || state >= PREVIEW_STATES ||
        laid_from_json(&preview->laid, laid, err) < 0)
        return err_prefix(err, "preview");
    preview->is_there = true;
    preview->start_frame = get(object, "start_frame");
    preview->frame_count = get(object, "frame_count");
    preview->rate = (AVRational){ (int)get(object, "rate_num"),
                                  (int)get(object, "rate_den") };
    strlcpy(preview->asset, preview->laid.segment.asset,
            sizeof(preview->asset));
    channel->preview_state = (enum preview_state)state;
    channel->now_serial = (uint32_t)get(object, "now_serial");
    return 0;
}

static json_t *decoders_to_json(const struct channel *channel)
{
    json_t *array = json_array();

    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        const struct decoder *decoder = &channel->decoder[i];
        if (decoder->pidfd < 0 || decoder->is_unwanted ||
            decoder->state == DECODER_WARM)
            continue;
        json_array_append_new(
            array,
            json_pack("{s:i,s:I,s:I,s:I,s:i}", "pid", (int)decoder->pid, "pool",
                      (json_int_t)decoder->pool_id, "laid",
                      (json_int_t)decoder->laid, "from",
                      (json_int_t)decoder->from, "state", (int)decoder->state));
    }
    return array;
}

static void adopt_decoders(struct channel *channel, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *one = json_array_get(array, i);
        struct decoder decoder = {
            .pidfd = -1, .in = -1, .out = -1, .pool = POOL_EMPTY
        };
        decoder.pid = (pid_t)get(one, "pid");
        decoder.pool_id = (uint32_t)get(one, "pool");
        decoder.laid = (uint32_t)get(one, "laid");
        decoder.from = get(one, "from");
        decoder.state =
            get(one, "state") == DECODER_OPEN ? DECODER_OPEN : DECODER_OPENING;
        decoders_adopt(channel, &decoder);
    }
}

/* --- the file ------------------------------------------------------------- */

static int write_beside(const char *path, const char *text, struct err *err)
{
    char beside[RUNDIR_SIZE + 24];

    snprintf(beside, sizeof(beside), "%s.new", path);
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, ERR_SYSTEM, "%s", beside);
    const size_t length = strlen(text);
    const bool is_whole = write(fd, text, length) == (ssize_t)length;
    if (!is_whole)
        err_errno(err, ERR_SYSTEM, "%s", beside);
    close(fd);
    if (!is_whole || rename(beside, path) < 0) {
        if (is_whole)
            err_errno(err, ERR_SYSTEM, "%s", path);
        (void)unlink(beside);
        return -1;
    }
    return 0;
}

void state_write(struct channel *channel)
{
    char path[RUNDIR_SIZE + 16], house[HOUSE_TEXT_SIZE];
    struct err err = ERR_EMPTY;
    json_t *object = json_object();

    channel->is_dirty = false;
    house_format(&channel->house, house);
    put(object, "version", STATE_VERSION);
    json_object_set_new(object, "plan", json_string(channel->plan->path));
    json_object_set_new(object, "house", json_string(house));
    put(object, "port", channel->opts.port);
    put(object, "serial", channel->serial);
    put(object, "epoch_serial", channel->epoch_serial);
    put(object, "lead_ms", channel->opts.lead_ms);
    put(object, "min_depth", channel->opts.min_depth);
    put(object, "max_depth", channel->opts.max_depth);
    put(object, "pts_base", channel->opts.pts_base);
    json_object_set_new(object, "asrun", json_string(channel->asrun));
    json_object_set_new(object, "timeline",
                        timeline_to_json(channel->timeline));
    json_object_set_new(object, "preview", preview_to_json(channel));
    json_object_set_new(object, "decoders", decoders_to_json(channel));
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    snprintf(path, sizeof(path), "%s/state", channel->folder);
    if (text != NULL && write_beside(path, text, &err) < 0)
        log_warn(NULL, "%s; a new director will start the channel anew",
                 err.text);
    free(text);
}

static int restore(struct channel *channel, const json_t *object,
                   struct err *err)
{
    char copy[RUNDIR_SIZE + 16];

    if (get(object, "version") != STATE_VERSION)
        return err_set(err, ERR_INPUT, "version: of another release");
    if (house_parse(&channel->house, text_of(object, "house"), err) < 0)
        return -1;
    snprintf(copy, sizeof(copy), "%s/plan", channel->folder);
    channel->plan = plans_load(text_of(object, "plan"), copy, err);
    channel->timeline = calloc(1, sizeof(*channel->timeline));
    if (channel->plan == NULL)
        return -1;
    if (channel->timeline == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for the timeline");
    channel->plan->has_house = true;
    channel->plan->house = channel->house;
    channel->plan_hash = plan_hash(channel->plan, &channel->house);
    channel->opts.port = (int)get(object, "port");
    channel->opts.lead_ms = (int)get(object, "lead_ms");
    channel->opts.min_depth = (int)get(object, "min_depth");
    channel->opts.max_depth = (int)get(object, "max_depth");
    channel->opts.pts_base = get(object, "pts_base");
    channel->serial = (uint32_t)get(object, "serial");
    channel->epoch_serial = (uint32_t)get(object, "epoch_serial");
    if (text_of(object, "asrun")[0] == '/')
        strlcpy(channel->asrun, text_of(object, "asrun"),
                sizeof(channel->asrun));
    if (timeline_from_json(channel, json_object_get(object, "timeline"), err) <
            0 ||
        preview_from_json(channel, json_object_get(object, "preview"), err) < 0)
        return -1;
    adopt_decoders(channel, json_object_get(object, "decoders"));
    return 0;
}

/* A cut "now" was told and nobody heard which frame it was: the ring knows, or
 * it is told again. */
static void finish_cut(struct channel *channel)
{
    int64_t cut;
    const uint32_t told = channel->now_serial;

    channel->now_serial = 0;
    if (channel->preview_state != PREVIEW_CUTTING || channel->cut_id != 0)
        return;
    if (told != 0 && stage_ring_inputs_applied(&channel->ring, &cut) == told &&
        cut >= 0)
        preview_cut_known(channel, cut);
    else
        channel->preview_state = PREVIEW_ARMED;
}

/* A decoder that was told its segment and whose record was lost: forget it. */
static void forget_lost(struct channel *channel, struct laid *laid)
{
    if (laid->pending != 0 && decoders_of_pool(channel, laid->pending) == NULL)
        laid->pending = 0;
}

int state_read(struct channel *channel, struct err *err)
{
    char path[RUNDIR_SIZE + 16];
    json_error_t why;

    snprintf(path, sizeof(path), "%s/state", channel->folder);
    if (access(path, F_OK) < 0)
        return 0;
    json_t *object = json_load_file(path, 0, &why);
    if (object == NULL)
        return err_set(err, ERR_INPUT, "%s: %s", path, why.text);
    const int rc = restore(channel, object, err);
    json_decref(object);
    if (rc < 0)
        return err_prefix(err, "%s", path);
    for (int i = 0; i < channel->timeline->count; i++)
        forget_lost(channel, &channel->timeline->laid[i]);
    for (int i = 0; i < channel->timeline->cuts; i++)
        forget_lost(channel, &channel->timeline->cut[i]);
    forget_lost(channel, &channel->preview.laid);
    finish_cut(channel);
    return 1;
}
