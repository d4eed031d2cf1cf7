/*
 * client: one connection, one stream, one loop around poll(); see client.h.
 *
 * The status is in the trailers, or in the headers of an answer without a
 * body.  An answer that is no gRPC (a web server at that port) is
 * ERR_UNREACHABLE: the server that was meant is not there.
 */
#include "rpc/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/address.h"
#include "rpc/h2conn.h"
#include "rpc/pbcheck.h"
#include "rpc/reflection.h"
#include "rpc/timers.h"
#include "rpc/wire.h"

#define REPLY_BYTES (4 << 20)

struct client {
    struct h2conn h2;
    const char *address;
    int32_t stream_id;
    struct rpc_buf out;
    struct rpc_buf in;
    int http_status; /* 0: no answer yet */
    bool is_grpc;
    bool is_gzip;
    bool is_closed; /* the stream */
    bool is_too_long;
    int status; /* -1: none came */
    char message[sizeof(((struct err *)NULL)->text)];
};

/* --- nghttp2's callbacks ------------------------------------------------- */

static bool is_name(const uint8_t *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static int small_number(const uint8_t *text, size_t size)
{
    int value = 0;

    if (size == 0 || size > 3)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)flags;
    struct client *client = user;
    if (frame->hd.stream_id != client->stream_id)
        return 0;
    if (is_name(name, name_size, ":status"))
        client->http_status = small_number(value, value_size);
    else if (is_name(name, name_size, "content-type"))
        client->is_grpc =
            value_size >= 16 && memcmp(value, "application/grpc", 16) == 0;
    else if (is_name(name, name_size, "grpc-encoding"))
        client->is_gzip = is_name(value, value_size, "gzip");
    else if (is_name(name, name_size, "grpc-status"))
        client->status = small_number(value, value_size);
    else if (is_name(name, name_size, "grpc-message"))
        rpc_percent_decode((const char *)value, value_size, client->message,
                           sizeof(client->message));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                   const uint8_t *data, size_t size, void *user)
{
    (void)session;
    (void)flags;
    struct client *client = user;
    if (stream_id != client->stream_id || client->is_too_long)
        return 0;
    if (rpc_buf_size(&client->in) + size > REPLY_BYTES + RPC_PREFIX_BYTES)
        client->is_too_long = true;
    else if (rpc_buf_add(&client->in, data, size) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id,
                           uint32_t code, void *user)
{
    (void)session;
    (void)code;
    struct client *client = user;
    if (stream_id == client->stream_id)
        client->is_closed = true;
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t stream_id,
                        uint8_t *buf, size_t length, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)stream_id;
    (void)user;
    struct rpc_buf *out = source->ptr;
    size_t n = rpc_buf_size(out);

    if (n > length)
        n = length;
    memcpy(buf, out->data + out->start, n);
    rpc_buf_drop(out, n);
    if (rpc_buf_size(out) == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* --- the call --------------------------------------------------------------
 */

static int begin_session(struct client *client, struct err *err)
{
    nghttp2_session_callbacks *cb = NULL;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 },
    };
    int rc = nghttp2_session_callbacks_new(&cb);

    if (rc == 0) {
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb,
                                                               on_stream_close);
        rc = nghttp2_session_client_new(&client->h2.session, cb, client);
    }
    nghttp2_session_callbacks_del(cb);
    if (rc == 0)
        rc = nghttp2_submit_settings(client->h2.session, NGHTTP2_FLAG_NONE,
                                     settings, 2);
    if (rc != 0)
        return err_set(err, ERR_SYSTEM, "gRPC client: %s",
                       nghttp2_strerror(rc));
    return 0;
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name,
                         (uint8_t *)(uintptr_t)value, strlen(name),
                         strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int submit(struct client *client, const char *method,
                  const ProtobufCMessage *request, int timeout_ms,
                  struct err *err)
{
    char timeout[16];
    const nghttp2_data_provider provider = { .source.ptr = &client->out,
                                             .read_callback = read_out };

    rpc_timeout_format(timeout_ms, timeout, sizeof(timeout));
    const nghttp2_nv headers[] = {
        nv(":method", "POST"),
        nv(":scheme", "http"),
        nv(":path", method),
        nv(":authority", "localhost"),
        nv("te", "trailers"),
        nv("content-type", "application/grpc"),
        nv("user-agent", "grpc-c-retrovue/" RV_VERSION),
        nv("grpc-timeout", timeout),
        nv("playout-api-version", rpc_api_version()),
    };
    if (rpc_buf_add_message(&client->out, request) < 0)
        return err_set(err, ERR_SYSTEM, "gRPC client: no memory");
    client->stream_id = nghttp2_submit_request(
        client->h2.session, NULL, headers, sizeof(headers) / sizeof(headers[0]),
        &provider, NULL);
    if (client->stream_id < 0)
        return err_set(err, ERR_SYSTEM, "gRPC client: %s",
                       nghttp2_strerror(client->stream_id));
    return 0;
}

static int late(const struct client *client, int timeout_ms, struct err *err)
{
    return err_set(err, ERR_UNREACHABLE, "server at %s: no answer in %d ms",
                   client->address, timeout_ms);
}

/* Sends and receives until the stream is closed. */
static int exchange(struct client *client, int64_t until_ms, int timeout_ms,
                    struct err *err)
{
    for (;;) {
        if (h2conn_flush(&client->h2) < 0)
            break;
        if (client->is_closed)
            return 0;
        if (h2conn_is_finished(&client->h2))
            break;
        struct pollfd p = { .fd = client->h2.fd,
                            .events = h2conn_is_blocked(&client->h2)
                                          ? POLLIN | POLLOUT
                                          : POLLIN };
        const int64_t left = until_ms - rpc_now_ms();
        const int rc = poll(&p, 1, left > 0 ? (int)left : 0);
        if (rc == 0)
            return late(client, timeout_ms, err);
        if (rc < 0 && errno != EINTR)
            return err_errno(err, ERR_SYSTEM, "gRPC client: poll");
        if (rc > 0 && (p.revents & ~POLLOUT) &&
            h2conn_receive(&client->h2) < 0 && !client->is_closed)
            break;
    }
    return err_set(err, ERR_UNREACHABLE,
                   "server at %s: closed the connection without an answer",
                   client->address);
}

static ProtobufCMessage *
read_reply(const struct client *client,
           const ProtobufCMessageDescriptor *response_type, struct err *err)
{
    const uint8_t *payload = NULL;
    uint8_t *unpacked = NULL;
    size_t size = 0;
    size_t used = 0;
    ProtobufCMessage *message = NULL;

    const int rc = client->is_too_long
                       ? err_set(err, ERR_LIMIT, "answer longer than %d bytes",
                                 REPLY_BYTES)
                       : rpc_deframe(&client->in, REPLY_BYTES, client->is_gzip,
                                     &payload, &size, &unpacked, &used, err);
    if (rc == 0)
        err_set(err, ERR_SYSTEM, "answer without a message");
    if (rc == 1)
        message = pbcheck_unpack(response_type, payload, size,
                                 PBCHECK_REPLY_FIELDS, err);
    free(unpacked);
    if (message == NULL) {
        if (err && err->kind == ERR_INPUT)
            err->kind = ERR_SYSTEM; /* not the caller's fault */
        err_prefix(err, "server at %s", client->address);
    }
    return message;
}

/* What came back, as a message or as an error. */
static int judge(const struct client *client, int timeout_ms,
                 const ProtobufCMessageDescriptor *response_type,
                 ProtobufCMessage **response, struct err *err)
{
    if (client->http_status == 0)
        return err_set(err, ERR_UNREACHABLE,
                       "server at %s: refused the call; try again",
                       client->address);
    if (client->http_status != 200 || !client->is_grpc)
        return err_set(
            err, ERR_UNREACHABLE,
            "server at %s: answers HTTP status %d and not gRPC; check the address",
            client->address, client->http_status);
    if (client->status < 0)
        return err_set(err, ERR_UNREACHABLE, "server at %s: broke off the call",
                       client->address);
    if (client->status == RPC_DEADLINE_EXCEEDED)
        return late(client, timeout_ms, err);
    if (client->status != RPC_OK)
        return err_set(err, rpc_kind_of_status(client->status), "%s",
                       client->message[0] ? client->message
                                          : "the server gives no reason");
    *response = read_reply(client, response_type, err);
    return *response ? 0 : -1;
}

int rpc_client_call(const char *address, const char *method,
                    const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response_type,
                    int timeout_ms, ProtobufCMessage **response,
                    struct err *err)
{
    const int64_t until_ms = rpc_now_ms() + timeout_ms;
    struct client client = { .h2 = H2CONN_EMPTY,
                             .address = address,
                             .status = -1 };
    struct rpc_address parsed;
    int rc = -1;

    *response = NULL;
    if (rpc_address_parse(&parsed, address, err) < 0)
        return -1;
    client.h2.fd = rpc_address_connect(&parsed, timeout_ms, err);
    if (client.h2.fd < 0)
        return -1;
    if (begin_session(&client, err) == 0 &&
        submit(&client, method, request, timeout_ms, err) == 0 &&
        exchange(&client, until_ms, timeout_ms, err) == 0)
        rc = judge(&client, timeout_ms, response_type, response, err);
    h2conn_close(&client.h2);
    rpc_buf_clear(&client.in);
    rpc_buf_clear(&client.out);
    return rc;
}
