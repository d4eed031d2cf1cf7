/*
 * session: nghttp2's callbacks of a server's connection: frames become calls,
 * and a peer is bounded in what it may send.
 *
 * A peer pays from a budget for frames that cost us and bring nothing (resets,
 * pings, settings, priorities, empty data): burst CONN_BUDGET, filled up at
 * BUDGET_PER_MS.  Who overdraws is told ENHANCE_YOUR_CALM and cut; that bounds
 * rapid reset (CVE-2023-44487) to CONN_BUDGET / COST_RESET calls in a burst.
 */
#include "rpc/server_impl.h"

#define BUDGET_PER_MS 1
#define COST_RESET    5

static int frame_cost(const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_GOAWAY:
        return 0;
    case NGHTTP2_DATA:
        return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_RST_STREAM:
        return COST_RESET;
    }
    return 1;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
                          void *user)
{
    struct conn *conn = user;
    const int cost = frame_cost(hd);

    if (cost == 0)
        return 0;
    const int64_t now = rpc_now_ms();
    conn->budget += (now - conn->budget_ms) * BUDGET_PER_MS;
    if (conn->budget > CONN_BUDGET)
        conn->budget = CONN_BUDGET;
    conn->budget_ms = now;
    conn->budget -= cost;
    if (conn->budget >= 0)
        return 0;
    nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session,
                            const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct rpc_call *call = call_new(user, frame->hd.stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct rpc_call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL && frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        call_header(call, name, name_size, value, value_size);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                   const uint8_t *data, size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct rpc_call *call =
        nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL)
        call_receive(call, data, size);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    struct conn *conn = user;

    if (frame->hd.type == NGHTTP2_SETTINGS)
        conn->has_begun = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct rpc_call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        call_route(call);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        call_half_end(call);
    return 0;
}

/*
 * A call that was answered before the client had sent all: tell it to stop.
 * Only here, behind the trailers; submitted beside them a reset overtakes.
 */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    const struct rpc_call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL && !call->is_half_ended)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                  frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id,
                           uint32_t code, void *user)
{
    (void)code;
    (void)user;
    struct rpc_call *call =
        nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        call_close(call);
    }
    return 0;
}

nghttp2_session_callbacks *session_callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    return cb;
}

nghttp2_option *session_options(void)
{
    nghttp2_option *option = NULL;

    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, 32);
    nghttp2_option_set_max_outbound_ack(option, 1000);
    return option;
}
