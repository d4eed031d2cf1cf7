/*
 * orders: the control socket.  A line is an order; its answer may come later,
 * and whoever asked may be gone by then, which changes nothing on air.
 */
#include "channel.h"

#include <string.h>
#include <sys/epoll.h>

#include "log/log.h"

static struct conn *find_conn(struct channel *channel, uint64_t serial)
{
    for (int i = 0; i < CHANNEL_CONNS; i++) {
        struct conn *conn = &channel->conn[i];
        if (conn->control.fd >= 0 && conn->serial == serial)
            return conn;
    }
    return NULL;
}

static void watch(struct channel *channel, struct conn *conn)
{
    struct epoll_event event = {
        .events =
            EPOLLIN | (control_has_queued(&conn->control) ? EPOLLOUT : 0u),
        .data.u64 =
            (uint64_t)SOURCE_CONN << 32 | (uint64_t)(conn - channel->conn)
    };

    epoll_ctl(channel->epoll, EPOLL_CTL_MOD, conn->control.fd, &event);
}

void orders_accept(struct channel *channel)
{
    const int fd = control_accept(channel->listener);

    if (fd < 0)
        return;
    for (int i = 0; i < CHANNEL_CONNS; i++) {
        struct conn *conn = &channel->conn[i];
        if (conn->control.fd >= 0)
            continue;
        control_init(&conn->control, fd);
        conn->serial = ++channel->next_conn;
        loop_add(channel, fd, EPOLLIN, SOURCE_CONN, i);
        return;
    }
    struct control busy;
    struct err err = ERR_EMPTY;
    err_set(&err, ERR_LIMIT, "%d control connections already; close one",
            CHANNEL_CONNS);
    control_init(&busy, fd);
    (void)control_send(&busy, control_refusal(NULL, &err), NULL);
    control_close(&busy);
}

void orders_reply(struct channel *channel, uint64_t serial, json_t *answer)
{
    struct conn *conn = find_conn(channel, serial);

    if (conn == NULL) {
        json_decref(answer);
        return;
    }
    if (control_send(&conn->control, answer, NULL) < 0)
        control_close(&conn->control);
    else
        watch(channel, conn);
}

void orders_refuse(struct channel *channel, struct conn *conn, json_t *request,
                   const struct err *err)
{
    orders_reply(channel, conn->serial, control_refusal(request, err));
}

void orders_wait(struct wait *waits, struct channel *channel, struct conn *conn,
                 json_t *request)
{
    struct err err = ERR_EMPTY;

    for (int i = 0; i < CHANNEL_WAITS; i++) {
        if (waits[i].is_used)
            continue;
        waits[i] = (struct wait){ true, conn->serial, json_incref(request) };
        return;
    }
    err_set(&err, ERR_LIMIT, "%d such orders wait already; try again later",
            CHANNEL_WAITS);
    orders_refuse(channel, conn, request, &err);
}

void orders_answer_all(struct channel *channel, struct wait *waits,
                       answer_maker make, const void *data)
{
    for (int i = 0; i < CHANNEL_WAITS; i++) {
        if (!waits[i].is_used)
            continue;
        waits[i].is_used = false;
        orders_reply(channel, waits[i].conn,
                     make(channel, waits[i].request, data));
        json_decref(waits[i].request);
    }
}

json_t *orders_refusal_maker(struct channel *channel, const json_t *request,
                             const void *err)
{
    (void)channel;
    return control_refusal(request, err);
}

/* --- status --------------------------------------------------------------- */

static json_t *status(struct channel *channel, const json_t *request)
{
    static const char *const words[] = { "stopped", "buffering", "ready",
                                         "error" };
    char text[STATS_TEXT_SIZE];
    json_t *answer = control_answer(request, "");
    const int64_t state = stats_get_gauge(&channel->stats, STATS_STATE);

    json_object_set_new(answer, "channel", json_integer(channel->opts.channel));
    json_object_set_new(
        answer, "state",
        json_string(words[state >= 0 && state <= 3 ? state : 0]));
    json_object_set_new(answer, "port", json_integer(channel->opts.port));
    json_object_set_new(
        answer, "depth",
        json_integer(stats_get_gauge(&channel->stats, STATS_DEPTH_FRAMES)));
    json_object_set_new(
        answer, "frame",
        json_integer(stats_get_gauge(&channel->stats, STATS_FRAME_ON_AIR)));
    json_object_set_new(
        answer, "lead_ms",
        json_integer(stats_get_gauge(&channel->stats, STATS_LEAD_US) / 1000));
    stats_get_text(&channel->stats, STATS_TEXT_SEGMENT, text);
    json_object_set_new(answer, "segment", json_string(text));
    stats_get_text(&channel->stats, STATS_TEXT_ASSET, text);
    json_object_set_new(answer, "asset", json_string(text));
    json_object_set_new(
        answer, "preview",
        json_string(preview_state_name(channel->preview_state)));
    json_object_set_new(answer, "plan", json_string(channel->plan->path));
    json_object_set_new(answer, "tail", json_integer(air_tail(channel)));
    json_object_set_new(answer, "taken", json_integer(air_position(channel)));
    json_object_set_new(answer, "adopted", json_boolean(channel->is_adopted));
    return answer;
}

/* --- orders --------------------------------------------------------------- */

static void obey(struct channel *channel, struct conn *conn, json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "do"));
    struct err err = ERR_EMPTY;

    if (what == NULL)
        what = "";
    if (strcmp(what, "status") == 0) {
        orders_reply(channel, conn->serial, status(channel, request));
    } else if (strcmp(what, "stop") == 0) {
        channel->is_stopping = true;
        orders_wait(channel->stop_waits, channel, conn, request);
    } else if (channel->is_stopping) {
        err_set(&err, ERR_STATE, "channel %d is being stopped; start it again",
                channel->opts.channel);
        orders_refuse(channel, conn, request, &err);
    } else if (strcmp(what, "start") == 0) {
        plans_start(channel, conn, request);
    } else if (strcmp(what, "update") == 0) {
        plans_update(channel, conn, request);
    } else if (strcmp(what, "load") == 0) {
        preview_load(channel, conn, request);
    } else if (strcmp(what, "switch") == 0) {
        preview_switch(channel, conn, request);
    } else {
        err_set(&err, ERR_INPUT,
                "do: '%.40s' is no order; give start, update, load, switch, "
                "stop or status",
                what);
        orders_refuse(channel, conn, request, &err);
    }
}

void orders_read(struct channel *channel, int place)
{
    struct conn *conn = &channel->conn[place];
    const uint64_t serial = conn->serial;
    struct err err = ERR_EMPTY;

    if (conn->control.fd < 0)
        return;
    if (control_flush(&conn->control, &err) < 0 ||
        control_fill(&conn->control, &err) < 0) {
        control_close(&conn->control);
        return;
    }
    json_t *request;
    while (conn->control.fd >= 0 && conn->serial == serial &&
           (request = control_next(&conn->control)) != NULL) {
        obey(channel, conn, request);
        json_decref(request);
    }
    if (conn->control.fd >= 0)
        watch(channel, conn);
}

void orders_close(struct channel *channel)
{
    for (int i = 0; i < CHANNEL_CONNS; i++)
        control_close(&channel->conn[i].control);
}
