/*
 * call: one call from its headers to its trailers.
 *
 *   headers -> routed -> messages -> half end -> answered -> stream closed
 *
 * A refusal at any point is an answer like any other, so there is one way out:
 * finish() submits what there is, on_stream_close() frees.  What arrives after
 * the answer is dropped.
 */
#include "rpc/server_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/pbcheck.h"

#define META_COUNT 64
#define META_BYTES 16384

static bool streams(const struct rpc_call *call, unsigned flags)
{
    return call->route != NULL && (call->route->method->flags & flags) != 0;
}

/* --- memory and time ------------------------------------------------------ */

/* Counts bytes that the client makes us hold; -1 when all hold too much. */
static int charge(struct rpc_call *call, size_t size)
{
    struct rpc_server *server = call->conn->server;

    if (server->stats.inbound_bytes + size > server->options.max_inbound_bytes)
        return -1;
    call->charged += size;
    server->stats.inbound_bytes += size;
    return 0;
}

static void uncharge(struct rpc_call *call, size_t size)
{
    call->charged -= size;
    call->conn->server->stats.inbound_bytes -= size;
}

void call_set_timer(struct rpc_call *call, int64_t due_ms)
{
    struct rpc_timers *timers = &call->conn->server->timers;

    if (due_ms == INT64_MAX)
        rpc_timer_stop(timers, &call->timer);
    else
        rpc_timer_start(timers, &call->timer, due_ms);
}

int64_t call_stall_due(const struct rpc_call *call)
{
    return rpc_now_ms() + call->conn->server->options.stall_ms;
}

static void on_timer(void *owner)
{
    struct rpc_call *call = owner;

    if (call->is_answered || !call->is_routed) {
        nghttp2_submit_rst_stream(call->conn->h2.session, NGHTTP2_FLAG_NONE,
                                  call->stream_id, NGHTTP2_CANCEL);
        conn_mark_dirty(call->conn);
    } else if (rpc_now_ms() >= call->deadline_ms) {
        rpc_call_fail_status(call, RPC_DEADLINE_EXCEEDED,
                             "the call's deadline has passed");
    } else {
        rpc_call_fail_status(call, RPC_DEADLINE_EXCEEDED,
                             "the request did not come in time; send it whole");
    }
}

struct rpc_call *call_new(struct conn *conn, int32_t stream_id)
{
    struct rpc_server *server = conn->server;
    struct rpc_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->conn = conn;
    call->stream_id = stream_id;
    call->deadline_ms = INT64_MAX;
    call->timer.fire = on_timer;
    call->timer.owner = call;
    if (rpc_timer_start(&server->timers, &call->timer, call_stall_due(call)) <
        0) {
        free(call);
        return NULL;
    }
    LIST_INSERT_HEAD(&conn->calls, call, link);
    conn->call_count++;
    server->stats.open_calls++;
    return call;
}

void call_close(struct rpc_call *call)
{
    struct conn *conn = call->conn;
    struct rpc_server *server = conn->server;

    call->is_answered = true;
    rpc_timer_stop(&server->timers, &call->timer);
    LIST_REMOVE(call, link);
    conn->call_count--;
    server->stats.open_calls--;
    if (call->route != NULL && call->route->method->on_done != NULL)
        call->route->method->on_done(call, call->route->user);
    uncharge(call, call->charged);
    if (call->request)
        protobuf_c_message_free_unpacked(call->request, NULL);
    rpc_buf_clear(&call->meta);
    rpc_buf_clear(&call->in);
    rpc_buf_clear(&call->out);
    free(call->message);
    free(call);
}

/* --- headers -------------------------------------------------------------- */

void call_header(struct rpc_call *call, const uint8_t *name, size_t name_size,
                 const uint8_t *value, size_t value_size)
{
    const size_t size = name_size + value_size + 2;

    call->meta_count++;
    if (call->meta_count > META_COUNT ||
        rpc_buf_size(&call->meta) + size > META_BYTES ||
        charge(call, size) < 0) {
        call->meta_count = META_COUNT + 1;
        return;
    }
    if (rpc_buf_add(&call->meta, name, name_size) < 0 ||
        rpc_buf_add(&call->meta, "", 1) < 0 ||
        rpc_buf_add(&call->meta, value, value_size) < 0 ||
        rpc_buf_add(&call->meta, "", 1) < 0)
        call->meta_count = META_COUNT + 1;
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key)
{
    const char *p = (const char *)call->meta.data;
    const char *end = p + call->meta.end;

    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, key) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

/* An HTTP answer to who does not speak gRPC. */
static void refuse_http(struct rpc_call *call, const char *status)
{
    const nghttp2_nv headers[] = { NV(":status", status) };

    call->is_answered = true;
    nghttp2_submit_response(call->conn->h2.session, call->stream_id, headers, 1,
                            NULL);
    call_set_timer(call, call_stall_due(call));
    conn_mark_dirty(call->conn);
}

static void set_deadline(struct rpc_call *call)
{
    const char *timeout = rpc_call_metadata(call, "grpc-timeout");
    int64_t ms = call->conn->server->options.max_call_ms;

    if (timeout != NULL) {
        ms = rpc_timeout_parse(timeout, strlen(timeout));
        if (ms < 0) {
            rpc_call_fail_status(
                call, RPC_INVALID_ARGUMENT,
                "grpc-timeout: give up to 8 digits and one of H M S m u n");
            return;
        }
    } else if (streams(call, RPC_CLIENT_STREAMS | RPC_SERVER_STREAMS)) {
        return;
    }
    call->deadline_ms = rpc_now_ms() + ms;
}

static void check_encoding(struct rpc_call *call)
{
    const char *encoding = rpc_call_metadata(call, "grpc-encoding");

    if (encoding != NULL && strcmp(encoding, "gzip") == 0)
        call->is_gzip = true;
    else if (encoding != NULL && strcmp(encoding, "identity") != 0)
        rpc_call_fail_status(
            call, RPC_UNIMPLEMENTED,
            "grpc-encoding: only identity and gzip are understood");
}

static const struct route *find_route(const struct rpc_server *server,
                                      const char *path)
{
    for (size_t i = 0; i < server->route_count; i++) {
        if (strcmp(server->routes[i].method->name, path) == 0)
            return &server->routes[i];
    }
    return NULL;
}

void call_route(struct rpc_call *call)
{
    struct rpc_server *server = call->conn->server;
    const char *method = rpc_call_metadata(call, ":method");
    const char *type = rpc_call_metadata(call, "content-type");
    char text[300];

    call->is_routed = true;
    call->path = rpc_call_metadata(call, ":path");
    if (call->meta_count > META_COUNT) {
        rpc_call_fail_status(call, RPC_RESOURCE_EXHAUSTED,
                             "too much metadata, or too many calls at once");
        return;
    }
    if (method == NULL || strcmp(method, "POST") != 0) {
        refuse_http(call, "405");
        return;
    }
    if (type == NULL || strncmp(type, "application/grpc", 16) != 0 ||
        (type[16] != '\0' && type[16] != '+' && type[16] != ';')) {
        refuse_http(call, "415");
        return;
    }
    call->route = call->path ? find_route(server, call->path) : NULL;
    if (call->route == NULL) {
        snprintf(text, sizeof(text), "%.200s: no such method",
                 call->path ? call->path : "");
        rpc_call_fail_status(call, RPC_UNIMPLEMENTED, text);
        return;
    }
    server->stats.calls++;
    check_encoding(call);
    if (!call->is_answered)
        set_deadline(call);
    if (call->is_answered)
        return;
    if (server->is_draining &&
        streams(call, RPC_CLIENT_STREAMS | RPC_SERVER_STREAMS))
        call_drain(call);
    else if (streams(call, RPC_CLIENT_STREAMS))
        call_set_timer(call, call->deadline_ms);
    else if (call->deadline_ms < call->timer.due_ms)
        call_set_timer(call, call->deadline_ms);
}

/* --- messages ------------------------------------------------------------- */

/* Fails a call for what its request was; names the method. */
static void refuse(struct rpc_call *call, struct err *err)
{
    err_prefix(err, "%s", call->path);
    rpc_call_fail(call, err);
}

static void deliver(struct rpc_call *call, const uint8_t *data, size_t size)
{
    const struct rpc_method *method = call->route->method;
    struct err err = ERR_EMPTY;

    if (call->request != NULL) {
        err_set(&err, ERR_INPUT, "more than one request message; send one");
        refuse(call, &err);
        return;
    }
    ProtobufCMessage *message = pbcheck_unpack(method->request, data, size,
                                               PBCHECK_REQUEST_FIELDS, &err);
    if (message == NULL) {
        refuse(call, &err);
        return;
    }
    if (!streams(call, RPC_CLIENT_STREAMS)) {
        call->request = message;
        return;
    }
    method->handle(call, message, call->route->user);
    protobuf_c_message_free_unpacked(message, NULL);
}

void call_receive(struct rpc_call *call, const uint8_t *data, size_t size)
{
    const size_t max = call->conn->server->options.max_message_bytes;
    struct err err = ERR_EMPTY;
    int rc = 0;

    if (call->is_answered || call->route == NULL)
        return;
    if (charge(call, size) < 0) {
        rpc_call_fail_status(
            call, RPC_RESOURCE_EXHAUSTED,
            "the server holds too many requests; try again later");
        return;
    }
    if (rpc_buf_add(&call->in, data, size) < 0) {
        rpc_call_fail_status(call, RPC_INTERNAL, "no memory");
        return;
    }
    while (!call->is_answered) {
        const uint8_t *payload = NULL;
        uint8_t *unpacked = NULL;
        size_t payload_size = 0;
        size_t used = 0;
        rc = rpc_deframe(&call->in, max, call->is_gzip, &payload, &payload_size,
                         &unpacked, &used, &err);
        if (rc <= 0)
            break;
        deliver(call, payload, payload_size);
        free(unpacked);
        rpc_buf_drop(&call->in, used);
        if (streams(call, RPC_CLIENT_STREAMS))
            uncharge(call, used);
    }
    if (rc < 0)
        refuse(call, &err);
}

void call_half_end(struct rpc_call *call)
{
    call->is_half_ended = true;
    if (call->is_answered || call->route == NULL)
        return;
    const struct rpc_method *method = call->route->method;
    struct err err = ERR_EMPTY;
    if (rpc_buf_size(&call->in) > 0) {
        err_set(&err, ERR_INPUT, "the request ends within a message");
        refuse(call, &err);
    } else if (method->flags & RPC_CLIENT_STREAMS) {
        if (method->on_half_end)
            method->on_half_end(call, call->route->user);
        else
            rpc_call_finish(call);
    } else if (call->request == NULL) {
        err_set(&err, ERR_INPUT, "a request without a message; send one");
        refuse(call, &err);
    } else {
        call_set_timer(call, call->deadline_ms);
        method->handle(call, call->request, call->route->user);
    }
}

void call_drain(struct rpc_call *call)
{
    if (streams(call, RPC_CLIENT_STREAMS | RPC_SERVER_STREAMS))
        rpc_call_fail_status(call, RPC_UNAVAILABLE,
                             "the server is shutting down");
}

/* --- what a handler may ask ---------------------------- */

const char *rpc_call_method(const struct rpc_call *call)
{
    return call->path;
}

int64_t rpc_call_remaining_ms(const struct rpc_call *call)
{
    if (call->deadline_ms == INT64_MAX)
        return INT64_MAX;
    const int64_t left = call->deadline_ms - rpc_now_ms();
    return left > 0 ? left : 0;
}

void rpc_call_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

void *rpc_call_data(const struct rpc_call *call)
{
    return call->data;
}
