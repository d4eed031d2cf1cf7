/*
 * answer: what a call sends: headers, messages, trailers.
 *
 * Bytes wait in call->out until nghttp2 asks for them; behind the last ones of
 * an answered call go the trailers.  An answer without a message is one frame,
 * headers and trailers in one.
 */
#include "rpc/server_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_BYTES   (1 << 20) /* of a streaming answer, not yet in frames */
#define MESSAGE_BYTES 3072      /* grpc-message, encoded */

static size_t fill_trailers(const struct rpc_call *call, nghttp2_nv *nv,
                            char *status, size_t size)
{
    snprintf(status, size, "%d", call->status);
    nv[0] = NV("grpc-status", status);
    if (call->message == NULL)
        return 1;
    nv[1] = NV("grpc-message", call->message);
    return 2;
}

/* nghttp2 wants bytes of the body; behind the last ones go the trailers. */
static ssize_t read_out(nghttp2_session *session, int32_t stream_id,
                        uint8_t *buf, size_t length, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    (void)user;
    struct rpc_call *call = source->ptr;
    size_t n = rpc_buf_size(&call->out);

    if (n > length)
        n = length;
    if (n > 0)
        memcpy(buf, call->out.data + call->out.start, n);
    rpc_buf_drop(&call->out, n);
    if (rpc_buf_size(&call->out) > 0)
        return (ssize_t)n;
    if (call->is_answered) {
        nghttp2_nv trailers[2];
        char status[8];
        const size_t count =
            fill_trailers(call, trailers, status, sizeof(status));
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream_id, trailers, count) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        return (ssize_t)n;
    }
    if (n == 0) {
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

/* Submits headers if that is to do, wakes nghttp2's reading of the body. */
static void push(struct rpc_call *call)
{
    nghttp2_session *session = call->conn->h2.session;
    nghttp2_nv nv[5] = { NV(":status", "200"),
                         NV("content-type", "application/grpc"),
                         NV("grpc-accept-encoding", "identity,gzip") };
    const nghttp2_data_provider provider = { .source.ptr = call,
                                             .read_callback = read_out };
    char status[8];
    size_t count = 3;
    int rc = 0;

    if (!call->has_headers) {
        const bool is_trailers_only =
            call->is_answered && rpc_buf_size(&call->out) == 0;
        if (is_trailers_only)
            count += fill_trailers(call, nv + count, status, sizeof(status));
        call->has_headers = true;
        rc = nghttp2_submit_response(session, call->stream_id, nv, count,
                                     is_trailers_only ? NULL : &provider);
    } else if (call->is_deferred) {
        call->is_deferred = false;
        rc = nghttp2_session_resume_data(session, call->stream_id);
    }
    if (rc != 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream_id,
                                  NGHTTP2_INTERNAL_ERROR);
    conn_mark_dirty(call->conn);
}

static void finish(struct rpc_call *call, int status, const char *text)
{
    if (call->is_answered)
        return;
    call->is_answered = true;
    call->status = status;
    if (text != NULL && *text != '\0') {
        call->message = malloc(MESSAGE_BYTES);
        if (call->message != NULL)
            rpc_percent_encode(text, call->message, MESSAGE_BYTES);
    }
    call_set_timer(call, call_stall_due(call));
    push(call);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->is_answered)
        return;
    if (rpc_buf_add_message(&call->out, message) < 0)
        finish(call, RPC_INTERNAL, "no memory");
    else
        finish(call, RPC_OK, NULL);
}

void rpc_call_fail(struct rpc_call *call, const struct err *err)
{
    const int status = err_grpc_status(err->kind);

    finish(call, status != RPC_OK ? status : RPC_INTERNAL, err->text);
}

void rpc_call_fail_status(struct rpc_call *call, int status, const char *text)
{
    finish(call, status, text);
}

enum rpc_send rpc_call_send(struct rpc_call *call,
                            const ProtobufCMessage *message)
{
    if (call->is_answered)
        return RPC_GONE;
    if (rpc_buf_size(&call->out) > 0 &&
        rpc_buf_size(&call->out) + protobuf_c_message_get_packed_size(message) >
            QUEUE_BYTES)
        return RPC_FULL;
    if (rpc_buf_add_message(&call->out, message) < 0)
        return RPC_FULL;
    push(call);
    return RPC_SENT;
}

void rpc_call_finish(struct rpc_call *call)
{
    finish(call, RPC_OK, NULL);
}
