/*
 * air: carries out what the timeline says.  Decoders are armed ahead, the list
 * of inputs is written when it differs from what the stage was told last, and
 * while the stage has yet to say which frame "now" was, nothing else is told.
 */
#include "channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

#define AHEAD_US         INT64_C(10000000)
#define WANTS_MAX        16
#define DECODERS_AT_ONCE 24

int64_t air_position(const struct channel *channel)
{
    return ring_is_open(channel) ? stage_ring_frontier(&channel->ring) : 0;
}

int64_t air_tail(const struct channel *channel)
{
    return ring_is_open(channel) ? stage_ring_tail(&channel->ring) : 0;
}

static int64_t air_floor(const struct channel *channel)
{
    return ring_is_open(channel) ? stage_ring_cursor(&channel->ring) : 0;
}

static int64_t horizon(const struct channel *channel)
{
    return air_tail(channel) +
           house_frame_at_us(&channel->house,
                             clock_in_us(&channel->clock, AHEAD_US));
}

static int running_decoders(const struct channel *channel)
{
    int running = 0;

    for (int i = 0; i < CHANNEL_DECODERS; i++)
        running += channel->decoder[i].pidfd >= 0;
    return running;
}

static void arm(struct channel *channel, struct timeline *timeline,
                int64_t position, int64_t until, int64_t now_us)
{
    struct want wants[WANTS_MAX];
    const int count =
        timeline_wants(timeline, position, until, now_us, wants, WANTS_MAX);

    for (int i = 0; i < count; i++) {
        struct laid *laid = timeline_find(timeline, wants[i].laid);
        if (laid == NULL || running_decoders(channel) >= DECODERS_AT_ONCE)
            continue;
        if (decoders_start(channel, laid, wants[i].from) < 0)
            return;
    }
}

/* What a new plan begins with, or what follows what is on air. */
static void arm_new(struct channel *channel, int64_t position, int64_t now_us)
{
    struct timeline *next = channel->new_timeline;
    const int64_t begin = channel->is_new_kept ? laid_end(&next->laid[0]) : 0;

    arm(channel, next, channel->is_new_kept ? position : 0,
        begin + next->second, now_us);
}

static bool names_pool(const char *list, uint32_t pool)
{
    char name[32];

    snprintf(name, sizeof(name), "/pool-%u\"", pool);
    return strstr(list, name) != NULL;
}

/*
 * The stage empties a pool that was in its list and is in it no longer, so
 * what a preview hides for a while must be decoded anew.
 */
static void forget_unlisted(struct laid *laid, const char *before,
                            const char *after, int64_t position)
{
    for (int i = laid->count - 1; i >= 0; i--) {
        const struct stretch *one = &laid->stretch[i];
        const int64_t end =
            i + 1 < laid->count ? laid->first + one[1].from : laid_end(laid);
        if (one->pool == 0 || (laid->has_first && end <= position) ||
            !names_pool(before, one->pool) || names_pool(after, one->pool))
            continue;
        if (laid->is_preview && !laid->is_retrying) {
            laid->is_retrying = true;
            laid->retry_at_us = 0;
            laid->retry_from = one->from;
        }
        laid->count--;
        memmove(&laid->stretch[i], &laid->stretch[i + 1],
                (size_t)(laid->count - i) * sizeof(laid->stretch[0]));
    }
}

static void forget_what_is_unlisted(struct channel *channel, const char *after)
{
    struct timeline *timeline = channel->timeline;
    const int64_t position = air_position(channel);

    if (channel->told == NULL)
        return;
    for (int i = 0; i < timeline->count; i++)
        forget_unlisted(&timeline->laid[i], channel->told, after, position);
    for (int i = 0; i < timeline->cuts; i++)
        if (timeline_cut_end(timeline, i) > position)
            forget_unlisted(&timeline->cut[i], channel->told, after, position);
}

/*
 * Tells the stage, if this is not what it knows already.  What will be told is
 * on disk first: a new director that finds it unheard tells it again, but one
 * that had not read of it would tell what was before.
 */
static void tell(struct channel *channel, struct inputs *inputs, bool has_now)
{
    char path[RUNDIR_SIZE + 16];
    struct err err = ERR_EMPTY;

    inputs->serial = 0;
    char *text = inputs_format(inputs);
    if (text == NULL)
        return;
    if (channel->told != NULL && strcmp(channel->told, text) == 0) {
        free(text);
        return;
    }
    forget_what_is_unlisted(channel, text);
    free(channel->told);
    channel->told = text;
    inputs->serial = ++channel->serial;
    if (has_now)
        channel->now_serial = channel->serial;
    state_write(channel);
    snprintf(path, sizeof(path), "%s/inputs", channel->folder);
    if (inputs_write_file(inputs, path, &err) < 0) {
        log_error(NULL, "%s", err.text);
        free(channel->told);
        channel->told = NULL; /* once more */
        channel->now_serial = 0;
        return;
    }
    if (ring_is_open(channel))
        stage_ring_want_inputs(&channel->ring, channel->serial);
}

/* What begins at "now", if something does. */
static struct laid *now_laid(struct channel *channel)
{
    switch (channel->now_kind) {
    case NOW_NONE:
        return NULL;
    case NOW_PREVIEW:
        return &channel->preview.laid;
    case NOW_PLAN:
        return channel->new_timeline->count > 0
                   ? &channel->new_timeline->laid[0]
                   : NULL;
    }
    return NULL;
}

static void tell_inputs(struct channel *channel)
{
    struct inputs inputs;
    struct err err = ERR_EMPTY;
    struct laid *now = now_laid(channel);

    if (channel->now_kind != NOW_NONE && channel->now_serial != 0)
        return; /* told already, the stage has not answered yet */
    if (timeline_inputs(
            channel->timeline, channel->folder, air_floor(channel),
            air_position(channel), now,
            channel->now_kind == NOW_PREVIEW ? channel->now_not_before : 0,
            &inputs, &err) < 0) {
        log_error(NULL, "%s", err.text);
        return;
    }
    tell(channel, &inputs, now != NULL);
    inputs_clear(&inputs);
}

/* The stage says which frame "now" was. */
static void look_at_now(struct channel *channel)
{
    int64_t cut;

    if (channel->now_kind == NOW_NONE || channel->now_serial == 0 ||
        !ring_is_open(channel))
        return;
    const uint32_t applied = stage_ring_inputs_applied(&channel->ring, &cut);
    if (applied != channel->now_serial)
        return;
    const enum now_kind kind = channel->now_kind;
    channel->now_kind = NOW_NONE;
    channel->now_serial = 0;
    if (cut < 0) /* nothing changed: it cannot have been taken */
        cut = air_position(channel);
    if (kind == NOW_PREVIEW)
        preview_cut_known(channel, cut);
    else
        plans_cut_known(channel, cut);
}

/* When a slept-over retry comes next. */
static int64_t next_retry(const struct channel *channel, int64_t next_us)
{
    const struct timeline *timeline = channel->timeline;

    for (int i = 0; i < timeline->count; i++) {
        if (timeline->laid[i].is_retrying &&
            timeline->laid[i].retry_at_us < next_us)
            next_us = timeline->laid[i].retry_at_us;
    }
    return next_us;
}

int64_t air_update(struct channel *channel, int64_t now_us)
{
    struct err err = ERR_EMPTY;
    int64_t next_us = now_us + 100000;

    if (channel->is_stopping)
        return next_us;
    look_at_now(channel);
    plans_watch_epoch(channel);
    const int64_t position = air_position(channel);
    if (timeline_lay(channel->timeline, air_floor(channel), horizon(channel),
                     &err) < 0)
        log_error(NULL, "%s", err.text);
    /* Until the stage says where "now" is, nobody knows what it hides. */
    if (channel->now_kind == NOW_NONE || channel->now_serial == 0)
        arm(channel, channel->timeline, position, horizon(channel), now_us);
    if (plans_waiting(channel, now_us))
        next_us = now_us + 5000;
    if (channel->new_timeline != NULL)
        arm_new(channel, position, now_us);
    if (preview_update(channel, now_us))
        next_us = now_us + 5000;
    tell_inputs(channel);
    if (channel->now_kind != NOW_NONE)
        next_us = now_us + 1000;
    decoders_sweep(channel, position);
    decoders_watch(channel, now_us);
    decoders_keep_warm(channel);
    if (channel->is_dirty)
        state_write(channel);
    return next_retry(channel, next_us);
}
