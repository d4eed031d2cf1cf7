/*
 * plans: read once, compared, put in place of each other.
 *
 * A new plan that holds what is on air goes on with it at its place; if its
 * next segment is due in a moment, that one is decoded in the shadow first, and
 * the present plan goes on until it is there.  Else one
 * with wall-clock times joins in progress a moment from now, one without times
 * begins with its first segment: that is decoded in the shadow first and comes
 * in at "now", like a preview.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "log/log.h"

#define START_LEAD_US  INT64_C(800000)  /* from the start to frame 0 */
#define READY_LEAD_US  INT64_C(500000)  /* the same once its picture is there */
#define START_WAIT_US  INT64_C(1200000) /* for that picture */
#define SHADOW_WAIT_US INT64_C(3000000) /* for first frames of a new plan */
#define SEAM_US        INT64_C(1500000) /* a decoder needs less */

/* Keeps both plans' ids apart, and those of plans from those of previews. */
#define NEW_IDS 1000
#define IDS_MAX (UINT32_C(0x80000000) - 2 * NEW_IDS)

/* --- reading -------------------------------------------------------------- */

static char *read_text(const char *path, size_t *length)
{
    struct stat st;
    char *text = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size <= (off_t)PLAN_BYTES_MAX &&
        (text = malloc((size_t)st.st_size + 1)) != NULL) {
        size_t used = 0;
        ssize_t got;
        while (used < (size_t)st.st_size &&
               (got = read(fd, text + used, (size_t)st.st_size - used)) > 0)
            used += (size_t)got;
        *length = used;
    }
    close(fd);
    return text;
}

static void keep_copy(const char *copy, const char *text, size_t length)
{
    char beside[RUNDIR_SIZE + 16];

    snprintf(beside, sizeof(beside), "%s.new", copy);
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool is_whole = fd >= 0 && write(fd, text, length) == (ssize_t)length;
    if (fd >= 0)
        close(fd);
    if (!is_whole || rename(beside, copy) < 0)
        log_warn(NULL, "%s: cannot be written: %s", copy, strerror(errno));
}

static void copy_path(const struct channel *channel, char path[],
                      const char *name)
{
    snprintf(path, RUNDIR_SIZE + 16, "%s/%s", channel->folder, name);
}

/*
 * Reads a plan and, where it is text, leaves what was read in `copy`; a media
 * file is its own copy.  `is_copy`: read the text from `copy`, not from `path`.
 */
static struct plan *load(const char *path, const char *copy, bool is_copy,
                         struct err *err)
{
    struct plan *plan = calloc(1, sizeof(*plan));
    size_t length = 0;

    if (plan == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for the plan");
        return NULL;
    }
    char *text = read_text(is_copy ? copy : path, &length);
    if (text != NULL && plan_parse(plan, text, length, path, NULL, NULL) == 0) {
        if (!is_copy)
            keep_copy(copy, text, length);
        free(text);
        return plan;
    }
    free(text);
    /* A media file; or not usable, and then this says why. */
    if (plan_load(plan, path, NULL, err) < 0) {
        free(plan);
        return NULL;
    }
    (void)unlink(copy);
    return plan;
}

struct plan *plans_load(const char *path, const char *copy, struct err *err)
{
    return load(path, copy, true, err);
}

static void plan_free(struct plan *plan)
{
    if (plan != NULL)
        plan_clear(plan);
    free(plan);
}

/* --- the house ------------------------------------------------------------ */

static int house_from_format(struct house *house, const char *text,
                             struct err *err)
{
    json_error_t why;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    int rc;

    if (object == NULL)
        rc = err_set(err, ERR_INPUT, "program_format_json: line %d: %s",
                     why.line, why.text);
    else if ((rc = house_from_json(house, object, err)) < 0)
        err_prefix(err, "program_format_json");
    json_decref(object);
    return rc;
}

/* The format that is asked for, else the plan's, else the server's. */
static int choose_house(const struct channel *channel, const struct plan *plan,
                        const char *format, struct house *house,
                        struct err *err)
{
    *house = HOUSE_DEFAULT;
    if (format != NULL && format[0] != '\0')
        return house_from_format(house, format, err);
    if (plan->has_house) {
        *house = plan->house;
        return 0;
    }
    return channel->opts.house != NULL
               ? house_parse(house, channel->opts.house, err)
               : 0;
}

/* --- the first plan ------------------------------------------------------- */

/* Frame 0 lies on the grid of the plan's own frames. */
static int64_t base_of_wall_clock(struct channel *channel, int64_t lead_us)
{
    const struct house *house = &channel->house;
    const int64_t start_us = channel->plan->start_us;
    const int64_t from_us = clock_utc_us(&channel->clock) + lead_us - start_us;
    const int64_t elapsed = house_frame_at_us(house, from_us);

    channel->forced_epoch_us = start_us + house_us(house, elapsed);
    return -elapsed;
}

static struct timeline *new_timeline(void)
{
    return calloc(1, sizeof(struct timeline));
}

int plans_first(struct channel *channel, struct err *err)
{
    char copy[RUNDIR_SIZE + 16], path[1024];

    if (path_absolute(path, sizeof(path), channel->opts.plan, err) < 0)
        return -1;
    copy_path(channel, copy, "plan");
    channel->plan = load(path, copy, false, err);
    if (channel->plan == NULL ||
        choose_house(channel, channel->plan, channel->opts.format,
                     &channel->house, err) < 0)
        return -1;
    channel->plan->has_house = true;
    channel->plan->house = channel->house;
    channel->plan_hash = plan_hash(channel->plan, &channel->house);
    channel->timeline = new_timeline();
    if (channel->timeline == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for the timeline");
    const int64_t base = channel->plan->has_start
                             ? base_of_wall_clock(channel, START_LEAD_US)
                             : 0;
    channel->is_epoch_open = channel->plan->has_start;
    channel->begin_us = clock_monotonic_us();
    timeline_start(channel->timeline, channel->plan, &channel->house, base);
    return 0;
}

/*
 * The epoch of a plan with times is set when its first pictures are there:
 * what was decoded for an earlier frame 0 than that is passed over.
 */
void plans_settle_epoch(struct channel *channel, int64_t now_us)
{
    struct timeline *timeline = channel->timeline;
    const int64_t base = timeline->base;

    if (!channel->is_epoch_open || (timeline->count == 0 && !timeline->is_over))
        return;
    const struct laid *first = timeline_plan_at(timeline, 0);
    if (first != NULL && !is_ready_for_air(channel, first) &&
        now_us - channel->begin_us < START_WAIT_US)
        return;
    channel->is_epoch_open = false;
    /* Never earlier than what is being decoded. */
    if (clock_utc_us(&channel->clock) + READY_LEAD_US <=
        channel->forced_epoch_us)
        return;
    timeline_shift(timeline, base_of_wall_clock(channel, READY_LEAD_US) - base);
}

/* --- a new plan ----------------------------------------------------------- */

static void forget_new(struct channel *channel)
{
    plan_free(channel->new_plan);
    free(channel->new_timeline);
    channel->new_plan = NULL;
    channel->new_timeline = NULL;
}

void plans_free(struct channel *channel)
{
    forget_new(channel);
    plan_free(channel->plan);
    free(channel->timeline);
    channel->plan = NULL;
    channel->timeline = NULL;
}

struct report {
    int64_t frame;
    const char *how;
};

static json_t *updated(struct channel *channel, const json_t *request,
                       const void *data)
{
    const struct report *report = data;
    char text[160];

    snprintf(text, sizeof(text), "%s from frame %" PRId64, report->how,
             report->frame);
    json_t *answer = control_answer(request, text);
    json_object_set_new(answer, "success", json_true());
    json_object_set_new(answer, "frame", json_integer(report->frame));
    json_object_set_new(answer, "port", json_integer(channel->opts.port));
    return answer;
}

/* The new plan is the plan. */
static void take_over(struct channel *channel, int64_t frame, const char *how)
{
    const struct report report = { frame, how };
    char fresh[RUNDIR_SIZE + 16], copy[RUNDIR_SIZE + 16];

    plan_free(channel->plan);
    free(channel->timeline);
    channel->plan = channel->new_plan;
    channel->timeline = channel->new_timeline;
    channel->plan_hash = channel->new_hash;
    channel->new_plan = NULL;
    channel->new_timeline = NULL;
    copy_path(channel, fresh, "plan.new"); /* where load() left the text */
    copy_path(channel, copy, "plan");
    if (rename(fresh, copy) < 0)
        (void)unlink(copy); /* a media file: no copy */
    channel->is_dirty = true;
    stats_add(&channel->stats, STATS_PLAN_UPDATES, 1);
    orders_answer_all(channel, channel->update_waits, updated, &report);
}

/* What the present plan shows until `frame` becomes a cut over the new one. */
static void show_until(struct channel *channel, int64_t position, int64_t frame)
{
    struct timeline *next = channel->new_timeline;
    const struct laid *on_air = timeline_plan_at(channel->timeline, position);

    if (on_air == NULL)
        return;
    (void)timeline_cut(next, on_air, on_air->first, NULL);
    struct laid *cut = &next->cut[next->cuts - 1];
    cut->until = frame;
    /* Whatever is behind in time is not needed. */
}

static bool is_cut_over(struct channel *channel, int64_t position)
{
    const struct timeline *timeline = channel->timeline;

    if (channel->preview_state == PREVIEW_CUTTING)
        return true;
    for (int i = 0; i < timeline->cuts; i++) {
        if (laid_end(&timeline->cut[i]) > position)
            return true;
    }
    return false;
}

static void keep_cuts(struct channel *channel)
{
    struct timeline *next = channel->new_timeline;

    memcpy(next->cut, channel->timeline->cut, sizeof(next->cut));
    next->cuts = channel->timeline->cuts;
}

static int64_t frame_of_utc(const struct channel *channel, int64_t utc_us)
{
    const struct stage_epoch epoch = stage_ring_epoch(&channel->ring);

    return epoch.n0 + house_frame_at_us(&channel->house, utc_us - epoch.utc_us);
}

static bool has_epoch(const struct channel *channel)
{
    return ring_is_open(channel) &&
           stage_ring_epoch(&channel->ring).serial != 0;
}

static uint32_t new_ids(const struct channel *channel)
{
    const uint32_t next = channel->timeline->next_id;

    return next < IDS_MAX ? next + NEW_IDS : 1;
}

/* Behind what is on air comes something of the new plan, sooner than it could
 * be decoded. */
static bool is_seam_near(const struct channel *channel, int64_t position)
{
    const struct laid *on_air = &channel->new_timeline->laid[0];
    const int64_t end = laid_end(on_air);

    return on_air->count > 0 && on_air->pending == 0 && !on_air->is_retrying &&
           end != FRAME_NEVER &&
           house_us(&channel->house, end - position) < SEAM_US;
}

/* The plan goes on with what is on air: now, or when what follows is there. */
static void lay_kept(struct channel *channel, int64_t position)
{
    struct timeline *next = channel->new_timeline;

    next->next_id = new_ids(channel);
    channel->is_new_kept = false;
    if (is_cut_over(channel, position) || !is_seam_near(channel, position) ||
        clock_monotonic_us() >= channel->new_deadline_us) {
        take_over(channel, position, "what is on air goes on, the new plan");
        return;
    }
    channel->is_new_kept = true;
    if (timeline_lay(next, position, laid_end(&next->laid[0]) + next->second,
                     NULL) < 0)
        next->is_over = true;
}

/* A plan with times, where the clock now is in it: from a moment on, until
 * which what is on air goes on. */
static int64_t join_in_progress(struct channel *channel,
                                const struct plan *plan, int64_t position)
{
    struct timeline *next = channel->new_timeline;
    const int64_t join = position + channel->timeline->second;
    const uint32_t ids = new_ids(channel);

    timeline_start(next, plan, &channel->house,
                   frame_of_utc(channel, plan->start_us));
    next->next_id = ids;
    (void)plan_walk_seek(&next->walk, join - next->base, NULL);
    if (is_cut_over(channel, position))
        keep_cuts(channel);
    else
        show_until(channel, position, join);
    return join;
}

/* How the new plan comes in; see the top of the file. */
static void lay_new(struct channel *channel, int64_t now_us)
{
    struct timeline *next = channel->new_timeline;
    const struct plan *plan = channel->new_plan;
    const int64_t position = air_position(channel);
    const uint32_t ids = new_ids(channel);

    timeline_start(next, plan, &channel->house, 0);
    if (timeline_keep_place(next, channel->timeline, position)) {
        lay_kept(channel, position);
        return;
    }
    channel->is_new_kept = false;
    next->next_id = ids;
    if (plan->has_start && has_epoch(channel)) {
        const int64_t join = join_in_progress(channel, plan, position);
        take_over(channel, join, "the new plan is joined in progress");
        return;
    }
    if (is_cut_over(channel, position)) {
        timeline_start(next, plan, &channel->house, position);
        next->next_id = ids;
        keep_cuts(channel);
        take_over(channel, position,
                  "a preview is on air; behind it the new "
                  "plan, whose time counts");
        return;
    }
    if (channel->new_deadline_us < now_us)
        channel->new_deadline_us = now_us + SHADOW_WAIT_US;
    if (timeline_lay(next, 0, next->second, NULL) < 0)
        next->is_over = true;
}

/* Reads the plan of an order; NULL: refused already. */
static struct plan *read_new(struct channel *channel, struct conn *conn,
                             json_t *request, const char *format, bool is_start)
{
    const char *path = json_string_value(json_object_get(request, "plan"));
    char copy[RUNDIR_SIZE + 16];
    struct err err = ERR_EMPTY;
    struct plan *plan = NULL;
    struct house house;

    copy_path(channel, copy, "plan.new");
    if (path == NULL || path[0] != '/') {
        err_set(&err, ERR_INPUT, "plan: give the absolute path of a plan");
    } else if ((plan = load(path, copy, false, &err)) != NULL) {
        if (choose_house(channel, plan, format, &house, &err) == 0) {
            if (house_equal(&house, &channel->house) ||
                (!is_start && !plan->has_house)) {
                plan->has_house = true;
                plan->house = channel->house;
                return plan;
            }
            char have[HOUSE_TEXT_SIZE], asked[HOUSE_TEXT_SIZE];
            house_format(&channel->house, have);
            house_format(&house, asked);
            err_set(&err, is_start ? ERR_STATE : ERR_INPUT,
                    "channel %d runs with the house format %s, not %s; stop "
                    "the channel to change it",
                    channel->opts.channel, have, asked);
        }
    }
    plan_free(plan);
    (void)unlink(copy);
    orders_refuse(channel, conn, request, &err);
    return NULL;
}

static void bring_in(struct channel *channel, struct conn *conn,
                     json_t *request, struct plan *plan)
{
    const uint64_t hash = plan_hash(plan, &channel->house);
    const bool is_pending = channel->new_plan != NULL;

    if (hash == channel->plan_hash && !is_pending) {
        const struct report report = { air_position(channel),
                                       "this plan is on air already, nothing "
                                       "changes" };
        plan_free(plan);
        orders_reply(channel, conn->serial, updated(channel, request, &report));
        return;
    }
    orders_wait(channel->update_waits, channel, conn, request);
    if (is_pending && hash == channel->new_hash) {
        plan_free(plan);
        return;
    }
    if (channel->now_kind == NOW_PLAN) /* told already: a moment's wait */
        channel->now_kind = NOW_NONE;
    forget_new(channel);
    channel->new_plan = plan;
    channel->new_hash = hash;
    channel->new_timeline = new_timeline();
    if (channel->new_timeline == NULL) {
        struct err err = ERR_EMPTY;
        err_set(&err, ERR_SYSTEM, "no memory for the new plan");
        forget_new(channel);
        orders_answer_all(channel, channel->update_waits, orders_refusal_maker,
                          &err);
        return;
    }
    channel->new_deadline_us = clock_monotonic_us() + SHADOW_WAIT_US;
    lay_new(channel, clock_monotonic_us());
}

void plans_update(struct channel *channel, struct conn *conn, json_t *request)
{
    struct plan *plan = read_new(channel, conn, request, NULL, false);

    if (plan != NULL)
        bring_in(channel, conn, request, plan);
}

void plans_start(struct channel *channel, struct conn *conn, json_t *request)
{
    const char *format = json_string_value(json_object_get(request, "format"));
    const json_t *port = json_object_get(request, "port");
    struct err err = ERR_EMPTY;

    if (json_is_integer(port) &&
        json_integer_value(port) != channel->opts.port) {
        err_set(&err, ERR_STATE,
                "channel %d runs on port %d, not %d; stop the channel to "
                "change it",
                channel->opts.channel, channel->opts.port,
                (int)json_integer_value(port));
        orders_refuse(channel, conn, request, &err);
        return;
    }
    struct plan *plan = read_new(channel, conn, request, format, true);
    if (plan != NULL)
        bring_in(channel, conn, request, plan);
}

/* Until what follows is decoded; what is on air may be another by then. */
static bool wait_for_seam(struct channel *channel, int64_t now_us)
{
    struct timeline *next = channel->new_timeline;
    const int64_t position = air_position(channel);
    const struct laid *on_air = timeline_plan_at(channel->timeline, position);

    if (on_air == NULL || on_air->id != next->laid[0].id ||
        is_cut_over(channel, position)) {
        lay_new(channel, now_us);
        return channel->new_timeline != NULL;
    }
    if (next->count > 1 && !is_ready_for_air(channel, &next->laid[1]) &&
        now_us < channel->new_deadline_us)
        return true;
    /* It may have got another decoder meanwhile. */
    const int index = next->laid[0].index;
    next->laid[0] = *on_air;
    next->laid[0].segment.has_first = false;
    next->laid[0].index = index;
    next->laid[0].until = FRAME_NEVER;
    keep_cuts(channel);
    take_over(channel, position, "what is on air goes on, the new plan");
    return false;
}

/* True while the first frames of a new plan are awaited. */
bool plans_waiting(struct channel *channel, int64_t now_us)
{
    const struct timeline *next = channel->new_timeline;

    if (next == NULL)
        return false;
    if (channel->is_new_kept)
        return wait_for_seam(channel, now_us);
    if (channel->now_kind != NOW_NONE)
        return true;
    const bool is_empty = next->count == 0;
    const bool is_ready =
        !is_empty && is_ready_for_air(channel, &next->laid[0]);
    if (is_empty || is_cut_over(channel, air_position(channel))) {
        /* Nothing to wait for: it begins out of sight. */
        plans_cut_known(channel, air_position(channel));
        return false;
    }
    if (is_ready && ring_is_open(channel)) {
        channel->now_kind = NOW_PLAN;
        channel->now_serial = 0;
    } else if (now_us >= channel->new_deadline_us) {
        /* It takes its time: the plan begins all the same, with slate. */
        plans_cut_known(channel, air_position(channel));
        return false;
    }
    return true;
}

void plans_cut_known(struct channel *channel, int64_t frame)
{
    struct timeline *next = channel->new_timeline;

    if (next == NULL)
        return;
    timeline_shift(next, frame);
    /* Cuts that are not past yet lie over the new plan as over the old. */
    keep_cuts(channel);
    take_over(channel, frame, "the new plan is on air");
}

/*
 * After a jump of the clock, or a long hole, the frames have another UTC, so a
 * plan with times has another segment for them.
 */
void plans_watch_epoch(struct channel *channel)
{
    const uint32_t serial =
        ring_is_open(channel) ? stage_ring_epoch(&channel->ring).serial : 0;
    const bool is_first = channel->epoch_serial == 0;

    if (serial == 0 || serial == channel->epoch_serial)
        return;
    if (!is_first && channel->plan->has_start) {
        if (channel->new_plan != NULL || channel->now_kind != NOW_NONE)
            return; /* one after the other */
        channel->new_timeline = new_timeline();
        if (channel->new_timeline == NULL)
            return;
        const int64_t join =
            join_in_progress(channel, channel->plan, air_position(channel));
        free(channel->timeline);
        channel->timeline = channel->new_timeline;
        channel->new_timeline = NULL;
        log_info(NULL,
                 "the clock has another time: the plan is joined in progress "
                 "from frame %" PRId64,
                 join);
    }
    channel->epoch_serial = serial;
    channel->is_dirty = true;
}
