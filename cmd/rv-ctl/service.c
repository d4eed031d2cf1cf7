/*
 * service: the gRPC methods.  A call is checked here as far as that needs no
 * channel, becomes an order, and is answered when the director's answer comes.
 * A client that goes away changes nothing: its order is carried out all the
 * same and the answer is dropped.
 */
#include "serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "log/log.h"
#include "plan/plan.h"
#include "retrovue/playout.pb-c.h"
#include "retrovue/playout_status.pb-c.h"
#include "rpc/health.h"
#include "rpc/reflection.h"

#define ORDER_US  INT64_C(15000000) /* an order that is not answered by then */
#define SWITCH_US INT64_C(5000000)  /* the same, after a switch's target */

/* --- pending calls -------------------------------------------------------- */

static struct pending *find_pending(struct serve *serve, uint64_t id)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        if (serve->pending[i].is_used && serve->pending[i].id == id)
            return &serve->pending[i];
    }
    return NULL;
}

static void forget(struct pending *pending)
{
    json_decref(pending->order);
    *pending = (struct pending){ .is_used = false };
}

static void call_gone(struct rpc_call *call, void *user)
{
    struct serve *serve = user;

    for (int i = 0; i < SERVE_PENDING; i++) {
        if (serve->pending[i].is_used && serve->pending[i].call == call)
            serve->pending[i].call = NULL;
    }
}

static struct pending *new_pending(struct serve *serve, struct rpc_call *call,
                                   int32_t channel, enum method method,
                                   json_t *order)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        if (pending->is_used)
            continue;
        *pending =
            (struct pending){ .is_used = true,
                              .call = call,
                              .id = ++serve->next_id,
                              .channel = channel,
                              .method = method,
                              .order = order,
                              .until_us = clock_monotonic_us() + ORDER_US };
        if (order != NULL)
            json_object_set_new(order, "id",
                                json_integer((json_int_t)pending->id));
        return pending;
    }
    struct err err = ERR_EMPTY;
    err_set(&err, ERR_LIMIT, "%d calls wait already; try again later",
            SERVE_PENDING);
    rpc_call_fail(call, &err);
    json_decref(order);
    return NULL;
}

/* --- answers -------------------------------------------------------------- */

static bool get_bool(const json_t *answer, const char *name)
{
    return json_is_true(json_object_get(answer, name));
}

static int64_t get_int(const json_t *answer, const char *name)
{
    return json_integer_value(json_object_get(answer, name));
}

static char *get_text(const json_t *answer, const char *name)
{
    const char *text = json_string_value(json_object_get(answer, name));

    /* protobuf-c's strings are not const; packing only reads them. */
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static void reply_simple(struct pending *pending, char *message)
{
    Retrovue__Playout__StartChannelResponse started =
        RETROVUE__PLAYOUT__START_CHANNEL_RESPONSE__INIT;
    Retrovue__Playout__UpdatePlanResponse updated =
        RETROVUE__PLAYOUT__UPDATE_PLAN_RESPONSE__INIT;
    Retrovue__Playout__StopChannelResponse stopped =
        RETROVUE__PLAYOUT__STOP_CHANNEL_RESPONSE__INIT;

    started.success = updated.success = stopped.success = 1;
    started.message = updated.message = stopped.message = message;
    if (pending->method == METHOD_START)
        rpc_call_reply(pending->call, &started.base);
    else if (pending->method == METHOD_UPDATE)
        rpc_call_reply(pending->call, &updated.base);
    else
        rpc_call_reply(pending->call, &stopped.base);
}

static void reply_load(struct pending *pending, const json_t *answer)
{
    Retrovue__Playout__LoadPreviewResponse response =
        RETROVUE__PLAYOUT__LOAD_PREVIEW_RESPONSE__INIT;

    response.success = get_bool(answer, "success");
    response.message = get_text(answer, "message");
    response.shadow_decode_started = get_bool(answer, "shadow_decode_started");
    response.result_code =
        (Retrovue__Playout__ResultCode)get_int(answer, "result_code");
    rpc_call_reply(pending->call, &response.base);
}

static void reply_switch(struct pending *pending, const json_t *answer)
{
    Retrovue__Playout__SwitchToLiveResponse response =
        RETROVUE__PLAYOUT__SWITCH_TO_LIVE_RESPONSE__INIT;

    response.success = get_bool(answer, "success");
    response.message = get_text(answer, "message");
    response.pts_contiguous = get_bool(answer, "pts_contiguous");
    response.live_start_pts = (uint64_t)get_int(answer, "live_start_pts");
    response.result_code =
        (Retrovue__Playout__ResultCode)get_int(answer, "result_code");
    response.switch_completion_time_ms =
        get_int(answer, "switch_completion_time_ms");
    response.violation_reason = get_text(answer, "violation_reason");
    rpc_call_reply(pending->call, &response.base);
}

static void start_message(struct serve *serve, const struct served *served,
                          const char *how, char *text, size_t size)
{
    const struct port *port = ports_find(serve, served->port);

    snprintf(text, size, "channel %d%s http://%s/channel/%d.ts", served->id,
             how, port != NULL ? port->address : "", served->id);
}

static void answer_start(struct serve *serve, struct pending *pending,
                         const json_t *answer)
{
    const struct served *served = served_find(serve, pending->channel);
    char text[700] = "", url[400] = "";

    if (served != NULL)
        start_message(serve, served, "", url, sizeof(url));
    snprintf(text, sizeof(text), "%s runs already, %s", url,
             get_text(answer, "message"));
    reply_simple(pending, text);
}

static void reply(struct serve *serve, struct pending *pending,
                  const json_t *answer)
{
    if (!get_bool(answer, "ok")) {
        struct err err = ERR_EMPTY;
        err_set(&err, err_kind_from_name(get_text(answer, "kind")), "%s",
                get_text(answer, "message"));
        rpc_call_fail(pending->call, &err);
        return;
    }
    switch (pending->method) {
    case METHOD_START:
        answer_start(serve, pending, answer);
        return;
    case METHOD_UPDATE:
    case METHOD_STOP:
        reply_simple(pending, get_text(answer, "message"));
        return;
    case METHOD_LOAD:
        reply_load(pending, answer);
        return;
    case METHOD_SWITCH:
        reply_switch(pending, answer);
        return;
    }
}

void service_answer(struct serve *serve, const json_t *answer)
{
    struct pending *pending =
        find_pending(serve, (uint64_t)get_int(answer, "id"));

    if (pending == NULL)
        return;
    if (pending->call != NULL)
        reply(serve, pending, answer);
    forget(pending);
}

void service_started(struct serve *serve, struct served *served)
{
    char text[400];

    start_message(serve, served, " plays at", text, sizeof(text));
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        if (!pending->is_used || pending->channel != served->id ||
            pending->order != NULL || pending->method != METHOD_START)
            continue;
        if (pending->call != NULL)
            reply_simple(pending, text);
        forget(pending);
    }
}

static void fail_all(struct serve *serve, int32_t channel,
                     const struct err *err, bool with_stop)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        if (!pending->is_used || pending->channel != channel ||
            (pending->method == METHOD_STOP && !with_stop))
            continue;
        if (pending->call != NULL)
            rpc_call_fail(pending->call, err);
        forget(pending);
    }
}

void service_start_failed(struct serve *serve, int32_t channel,
                          const struct err *err)
{
    fail_all(serve, channel, err, true);
}

void service_stopped(struct serve *serve, int32_t channel)
{
    struct err err = ERR_EMPTY;
    char text[64];

    snprintf(text, sizeof(text), "channel %d is stopped", channel);
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        if (!pending->is_used || pending->channel != channel ||
            pending->method != METHOD_STOP)
            continue;
        if (pending->call != NULL)
            reply_simple(pending, text);
        forget(pending);
    }
    err_set(&err, ERR_STATE, "channel %d is stopped; start it first", channel);
    fail_all(serve, channel, &err, true);
}

void service_send(struct serve *serve, struct served *served)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        if (!pending->is_used || pending->is_sent || pending->order == NULL ||
            pending->channel != served->id || served->control.fd < 0)
            continue;
        pending->is_sent = control_send(&served->control,
                                        json_incref(pending->order), NULL) == 0;
    }
}

void service_resend(struct serve *serve, int32_t channel)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        if (serve->pending[i].is_used && serve->pending[i].channel == channel)
            serve->pending[i].is_sent = false;
    }
}

int64_t service_update(struct serve *serve, int64_t now_us)
{
    for (int i = 0; i < SERVE_PENDING; i++) {
        struct pending *pending = &serve->pending[i];
        struct err err = ERR_EMPTY;
        if (!pending->is_used || pending->until_us > now_us)
            continue;
        err_set(&err, ERR_SYSTEM,
                "channel %d gave no answer in time; see its log",
                pending->channel);
        if (pending->call != NULL)
            rpc_call_fail(pending->call, &err);
        forget(pending);
    }
    return now_us + 1000000;
}

/* --- checks --------------------------------------------------------------- */

/* False: refused already. */
static bool accepts(struct serve *serve, struct rpc_call *call, int32_t channel)
{
    const char *theirs = rpc_call_metadata(call, "playout-api-version");
    const char *ours = rpc_api_version();
    struct err err = ERR_EMPTY;

    if (theirs != NULL && strtol(theirs, NULL, 10) != strtol(ours, NULL, 10))
        err_set(&err, ERR_STATE,
                "playout-api-version: the client speaks %.20s, this server "
                "%s; use the same major version",
                theirs, ours);
    else if (channel <= 0)
        err_set(&err, ERR_INPUT,
                "channel_id: %d is out of range; give a number greater than 0",
                channel);
    else if (serve->is_stopping)
        err_set(&err, ERR_STATE, "the server is being stopped");
    else
        return true;
    rpc_call_fail(call, &err);
    return false;
}

/* The running channel, or NULL: refused already. */
static struct served *running(struct serve *serve, struct rpc_call *call,
                              int32_t channel)
{
    struct served *served = served_find(serve, channel);
    struct err err = ERR_EMPTY;

    if (served == NULL)
        err_set(&err, ERR_NOT_FOUND,
                "channel %d is not known; start it with StartChannel", channel);
    else if (served->state == SERVED_STOPPED ||
             served->state == SERVED_STOPPING)
        err_set(&err, ERR_STATE,
                "channel %d is stopped; start it with StartChannel", channel);
    else
        return served;
    rpc_call_fail(call, &err);
    return NULL;
}

static int find_plan(struct serve *serve, const char *handle, char path[1024],
                     struct err *err)
{
    if (handle == NULL || handle[0] == '\0')
        return err_set(err, ERR_INPUT,
                       "plan_handle: is empty; give an absolute path or a "
                       "name in the plan folder");
    if (plan_find(path, handle, serve->opts.plan_dir, err) < 0) {
        if (err->kind == ERR_NOT_FOUND || err->kind == ERR_STATE)
            err->kind = ERR_INPUT;
        return err_prefix(err, "plan_handle");
    }
    return 0;
}

static void order(struct serve *serve, struct rpc_call *call,
                  struct served *served, enum method method, json_t *line)
{
    if (new_pending(serve, call, served->id, method, line) != NULL)
        service_send(serve, served);
}

/* --- methods -------------------------------------------------------------- */

static void start_new(struct serve *serve, struct rpc_call *call,
                      const Retrovue__Playout__StartChannelRequest *request,
                      const char *plan)
{
    struct err err = ERR_EMPTY;
    int port = request->port != 0 ? request->port : serve->opts.http_port;
    struct served *served = served_new(serve, request->channel_id, &err);

    if (served == NULL || ports_open(serve, port, &port, &err) < 0) {
        if (served != NULL && !served->was_running)
            served->id = 0;
        rpc_call_fail(call, &err);
        return;
    }
    served->port = port;
    strlcpy(served->plan, plan, sizeof(served->plan));
    if (request->program_format_json[0] != '\0')
        served->format = strdup(request->program_format_json);
    if (served_start(serve, served, false, &err) < 0) {
        if (!served->was_running)
            served->id = 0;
        ports_release(serve, port);
        rpc_call_fail(call, &err);
        return;
    }
    (void)new_pending(serve, call, served->id, METHOD_START, NULL);
}

static void start_again(struct serve *serve, struct rpc_call *call,
                        struct served *served,
                        const Retrovue__Playout__StartChannelRequest *request,
                        const char *plan)
{
    int port = request->port != 0 ? request->port : serve->opts.http_port;
    const struct port *open = ports_find(serve, served->port);

    /* Port 0 in the options: the one that was picked. */
    if (port == 0 && open != NULL)
        port = open->port;
    order(serve, call, served, METHOD_START,
          json_pack("{s:s,s:s,s:i,s:s}", "do", "start", "plan", plan, "port",
                    port, "format", request->program_format_json));
}

static void handle_start(struct rpc_call *call, const ProtobufCMessage *message,
                         void *user)
{
    const Retrovue__Playout__StartChannelRequest *request =
        (const void *)message;
    struct serve *serve = user;
    struct err err = ERR_EMPTY;
    char plan[1024];

    if (!accepts(serve, call, request->channel_id))
        return;
    if (request->port < 0 || request->port > 65535) {
        err_set(&err, ERR_INPUT,
                "port: %d is out of range; give 1 to 65535, or 0 for the "
                "server's own",
                request->port);
        rpc_call_fail(call, &err);
        return;
    }
    if (find_plan(serve, request->plan_handle, plan, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    struct served *served = served_find(serve, request->channel_id);
    if (served == NULL || served->state == SERVED_STOPPED) {
        if (served != NULL && served->pidfd >= 0) {
            err_set(&err, ERR_STATE, "channel %d ends just now; try again",
                    request->channel_id);
            rpc_call_fail(call, &err);
            return;
        }
        start_new(serve, call, request, plan);
    } else if (served->state == SERVED_STOPPING) {
        err_set(&err, ERR_STATE, "channel %d is being stopped; try again",
                request->channel_id);
        rpc_call_fail(call, &err);
    } else {
        start_again(serve, call, served, request, plan);
    }
}

static void handle_update(struct rpc_call *call,
                          const ProtobufCMessage *message, void *user)
{
    const Retrovue__Playout__UpdatePlanRequest *request = (const void *)message;
    struct serve *serve = user;
    struct err err = ERR_EMPTY;
    struct served *served;
    char plan[1024];

    if (!accepts(serve, call, request->channel_id) ||
        (served = running(serve, call, request->channel_id)) == NULL)
        return;
    if (find_plan(serve, request->plan_handle, plan, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    order(serve, call, served, METHOD_UPDATE,
          json_pack("{s:s,s:s}", "do", "update", "plan", plan));
}

static void handle_stop(struct rpc_call *call, const ProtobufCMessage *message,
                        void *user)
{
    const Retrovue__Playout__StopChannelRequest *request =
        (const void *)message;
    struct serve *serve = user;
    struct err err = ERR_EMPTY;

    if (!accepts(serve, call, request->channel_id))
        return;
    struct served *served = served_find(serve, request->channel_id);
    if (served == NULL) {
        err_set(&err, ERR_NOT_FOUND, "channel %d is not known; nothing to stop",
                request->channel_id);
        rpc_call_fail(call, &err);
        return;
    }
    if (new_pending(serve, call, served->id, METHOD_STOP, NULL) == NULL)
        return;
    if (served->state == SERVED_STOPPED)
        service_stopped(serve, served->id);
    else if (served->state != SERVED_STOPPING)
        served_stop(serve, served);
}

/* A relative asset lies in the media folder. */
static void find_asset(const struct serve *serve, const char *asset, char *path,
                       size_t size)
{
    const bool is_plain =
        asset[0] != '/' && asset[0] != '\0' && strstr(asset, "://") == NULL;

    if (is_plain && serve->opts.media_root != NULL)
        snprintf(path, size, "%s/%s", serve->opts.media_root, asset);
    else
        strlcpy(path, asset, size);
}

static void handle_load(struct rpc_call *call, const ProtobufCMessage *message,
                        void *user)
{
    const Retrovue__Playout__LoadPreviewRequest *request =
        (const void *)message;
    struct serve *serve = user;
    struct served *served;
    char asset[2048];

    if (!accepts(serve, call, request->channel_id) ||
        (served = running(serve, call, request->channel_id)) == NULL)
        return;
    find_asset(serve, request->asset_path, asset, sizeof(asset));
    order(serve, call, served, METHOD_LOAD,
          json_pack("{s:s,s:s,s:I,s:I,s:i,s:i}", "do", "load", "asset", asset,
                    "start_frame", (json_int_t)request->start_frame,
                    "frame_count", (json_int_t)request->frame_count,
                    "fps_numerator", (int)request->fps_numerator,
                    "fps_denominator", (int)request->fps_denominator));
}

static void handle_switch(struct rpc_call *call,
                          const ProtobufCMessage *message, void *user)
{
    const Retrovue__Playout__SwitchToLiveRequest *request =
        (const void *)message;
    struct serve *serve = user;
    struct served *served;

    if (!accepts(serve, call, request->channel_id) ||
        (served = running(serve, call, request->channel_id)) == NULL)
        return;
    struct pending *pending = new_pending(
        serve, call, served->id, METHOD_SWITCH,
        json_pack("{s:s,s:I,s:I}", "do", "switch", "target_ms",
                  (json_int_t)request->target_boundary_time_ms, "issued_ms",
                  (json_int_t)request->issued_at_time_ms));
    if (pending == NULL)
        return;
    const int64_t ahead_us =
        request->target_boundary_time_ms * 1000 - clock_utc_us(&serve->clock);
    if (request->target_boundary_time_ms > 0 &&
        request->target_boundary_time_ms < INT64_C(253402300800000) &&
        ahead_us > 0)
        pending->until_us = clock_monotonic_us() + ahead_us + SWITCH_US;
    service_send(serve, served);
}

static void handle_version(struct rpc_call *call,
                           const ProtobufCMessage *message, void *user)
{
    Retrovue__Playout__ApiVersion response =
        RETROVUE__PLAYOUT__API_VERSION__INIT;

    (void)message;
    (void)user;
    /* Answered whatever version the client speaks: it asks to find out. */
    response.version = (char *)(uintptr_t)rpc_api_version();
    rpc_call_reply(call, &response.base);
}

/* --- status --------------------------------------------------------------- */

struct status {
    Retrovue__Playout__ChannelStatus message;
    char reason[STATS_TEXT_SIZE], segment[STATS_TEXT_SIZE];
    char asset[STATS_TEXT_SIZE], url[400];
};

static void read_status(struct serve *serve, const struct served *served,
                        struct status *status)
{
    Retrovue__Playout__ChannelStatus *message = &status->message;
    const struct port *port = ports_find(serve, served->port);
    struct stats stats = STATS_EMPTY;

    retrovue__playout__channel_status__init(message);
    message->channel = served->id;
    message->state_reason = status->reason;
    message->segment = status->segment;
    message->asset = status->asset;
    message->url = status->url;
    message->port = served->port;
    if (port != NULL)
        snprintf(status->url, sizeof(status->url), "http://%s/channel/%d.ts",
                 port->address, served->id);
    if (stats_open(&stats, served->folder, false, NULL) == 0 &&
        served->state != SERVED_STOPPED) {
        message->state = (int32_t)stats_get_gauge(&stats, STATS_STATE);
        message->depth = stats_get_gauge(&stats, STATS_DEPTH_FRAMES);
        message->lead_ms = stats_get_gauge(&stats, STATS_LEAD_US) / 1000;
        message->frame = stats_get_gauge(&stats, STATS_FRAME_ON_AIR);
        message->viewers = (int32_t)stats_get_gauge(&stats, STATS_VIEWERS);
        stats_get_text(&stats, STATS_TEXT_REASON, status->reason);
        stats_get_text(&stats, STATS_TEXT_SEGMENT, status->segment);
        stats_get_text(&stats, STATS_TEXT_ASSET, status->asset);
    }
    stats_close(&stats);
}

static int by_channel(const void *a, const void *b)
{
    const Retrovue__Playout__ChannelStatus *const *x = a, *const *y = b;

    return (*x)->channel < (*y)->channel ? -1 : (*x)->channel > (*y)->channel;
}

static void handle_list(struct rpc_call *call, const ProtobufCMessage *message,
                        void *user)
{
    struct serve *serve = user;
    struct status *all = calloc(SERVE_CHANNELS, sizeof(*all));
    Retrovue__Playout__ChannelStatus *list[SERVE_CHANNELS];
    Retrovue__Playout__ListChannelsResponse response =
        RETROVUE__PLAYOUT__LIST_CHANNELS_RESPONSE__INIT;

    (void)message;
    for (int i = 0; all != NULL && i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id == 0)
            continue;
        struct status *one = &all[response.n_channels];
        read_status(serve, &serve->channel[i], one);
        list[response.n_channels++] = &one->message;
    }
    qsort(list, response.n_channels, sizeof(list[0]), by_channel);
    response.channels = list;
    rpc_call_reply(call, &response.base);
    free(all);
}

/* --- the table ------------------------------------------------------------ */

#define CONTROL "/retrovue.playout.PlayoutControl/"
#define STATUS  "/retrovue.playout.PlayoutStatus/"
#define ROW(path, method, request_type, response_type)                         \
    {                                                                          \
        .name = path, .handle = method, .on_done = call_gone,                  \
        .request = &retrovue__playout__##request_type##__descriptor,           \
        .response = &retrovue__playout__##response_type##__descriptor          \
    }

static const struct rpc_method methods[] = {
    ROW(CONTROL "StartChannel", handle_start, start_channel_request,
        start_channel_response),
    ROW(CONTROL "UpdatePlan", handle_update, update_plan_request,
        update_plan_response),
    ROW(CONTROL "StopChannel", handle_stop, stop_channel_request,
        stop_channel_response),
    ROW(CONTROL "GetVersion", handle_version, api_version_request, api_version),
    ROW(CONTROL "LoadPreview", handle_load, load_preview_request,
        load_preview_response),
    ROW(CONTROL "SwitchToLive", handle_switch, switch_to_live_request,
        switch_to_live_response),
    ROW(STATUS "ListChannels", handle_list, list_channels_request,
        list_channels_response),
};

int service_add(struct serve *serve, struct err *err)
{
    serve->health = rpc_health_new(serve->server, err);
    if (serve->health == NULL || rpc_reflection_add(serve->server, err) < 0 ||
        rpc_server_add_methods(serve->server, methods,
                               sizeof(methods) / sizeof(methods[0]), serve,
                               err) < 0)
        return -1;
    return rpc_health_set(serve->health, "retrovue.playout.PlayoutControl",
                          true, err) < 0 ||
                   rpc_health_set(serve->health,
                                  "retrovue.playout.PlayoutStatus", true,
                                  err) < 0
               ? -1
               : 0;
}
