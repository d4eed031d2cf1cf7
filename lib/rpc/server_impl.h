/*
 * server_impl: what server.c (listen, route, shut down), conn.c and session.c
 * (one connection), call.c and answer.c (one call) share.  Of others only
 * reflection.c includes it, for the table of methods.
 *
 *     server --> conn --> call        lists; a call is freed when its stream
 *                                     closes, a connection at the end of the
 *                                     round in which it died
 */
#ifndef RV_RPC_SERVER_IMPL_H
#define RV_RPC_SERVER_IMPL_H

#include <string.h>

#include <bsd/sys/queue.h>

#include "rpc/address.h"
#include "rpc/h2conn.h"
#include "rpc/server.h"
#include "rpc/timers.h"
#include "rpc/wire.h"

/* clang-format off */
/* A header for nghttp2, which copies both strings. */
#define NV(n, v)                                                              \
    ((nghttp2_nv){ (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v),      \
                   strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE })
/* clang-format on */

/* What an epoll event belongs to; first member of its owner. */
enum source { SOURCE_LISTENER, SOURCE_CONN, SOURCE_TIMER, SOURCE_WAKE };

struct route {
    const struct rpc_method *method;
    void *user;
};

struct listener {
    enum source source;
    struct rpc_server *server;
    struct rpc_listener info;
    bool is_unix;
    struct rpc_timer rearm; /* after EMFILE */
    TAILQ_ENTRY(listener) link;
};

struct conn {
    enum source source;
    struct rpc_server *server;
    struct h2conn h2;
    LIST_HEAD(, rpc_call) calls;
    size_t call_count;
    struct rpc_timer timer; /* first byte, idle or stall */
    int64_t active_ms;      /* last byte either way */
    int64_t blocked_ms;     /* output waits since; 0: none waits */
    int64_t budget;         /* of frames that cost us and bring nothing */
    int64_t budget_ms;      /* when it was last filled up */
    bool has_begun;         /* its SETTINGS came */
    bool is_leaving;        /* told to go; close when it has */
    bool is_dirty;          /* in the server's list of those to flush */
    bool is_dead;           /* in the server's list of those to free */
    bool wants_write;       /* as epoll knows it */
    TAILQ_ENTRY(conn) link; /* open or dead */
    TAILQ_ENTRY(conn) dirty;
};

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(listener_list, listener);

struct rpc_call {
    struct conn *conn;
    int32_t stream_id;
    const struct route *route; /* NULL: no such method, or refused before */
    const char *path;          /* in meta */
    struct rpc_buf meta;       /* name NUL value NUL ... */
    unsigned meta_count;
    struct rpc_buf in;      /* not yet a whole message */
    struct rpc_buf out;     /* not yet in frames */
    struct rpc_timer timer; /* whole request, deadline, then sending */
    int64_t deadline_ms;    /* INT64_MAX: none */
    ProtobufCMessage *request;
    size_t charged; /* of the server's inbound bytes */
    int status;     /* once answered */
    char *message;  /* grpc-message, encoded; NULL: none */
    bool is_gzip;
    bool is_routed;     /* headers are done */
    bool is_half_ended; /* client sends no more */
    bool is_answered;
    bool has_headers; /* response headers are submitted */
    bool is_deferred; /* nghttp2 waits for rpc data */
    void *data;
    LIST_ENTRY(rpc_call) link;
};

struct rpc_server {
    struct rpc_server_options options;
    struct ssl_ctx_st *tls;
    struct route *routes;
    size_t route_count;
    struct listener_list listeners;
    struct conn_list conns;
    struct conn_list dirty;
    struct conn_list dead;
    struct rpc_timers timers;
    struct rpc_timer drain_timer;
    int64_t kill_ms; /* end of the grace */
    int epoll_fd;
    int timer_fd;
    int wake_fd;
    enum source timer_source;
    enum source wake_source;
    int64_t armed_ms; /* what the timerfd is set to */
    bool is_dispatching;
    bool is_draining;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *h2_options;
    struct rpc_server_stats stats;
};

/* session.c */
#define CONN_BUDGET 2000
nghttp2_session_callbacks *session_callbacks(void);
nghttp2_option *session_options(void);

/* conn.c */
void conn_accept(struct rpc_server *server, struct listener *listener);
void conn_ready(struct conn *conn, uint32_t events);
void conn_mark_dirty(struct conn *conn);
void conn_flush(struct conn *conn);
void conn_leave(struct conn *conn); /* second GOAWAY */
void conn_kill(struct conn *conn);  /* ends its calls; freed by conn_bury */
void conn_bury(struct conn *conn);

/* call.c: called by conn.c as frames come */
struct rpc_call *call_new(struct conn *conn, int32_t stream_id);
void call_header(struct rpc_call *call, const uint8_t *name, size_t name_size,
                 const uint8_t *value, size_t value_size);
void call_route(struct rpc_call *call);
void call_receive(struct rpc_call *call, const uint8_t *data, size_t size);
void call_half_end(struct rpc_call *call);
void call_close(struct rpc_call *call); /* on_done, then freed */
void call_drain(struct rpc_call *call); /* ends a stream at shutdown */

/* call.c, for answer.c: when the call's timer fires; INT64_MAX stops it */
void call_set_timer(struct rpc_call *call, int64_t due_ms);
int64_t call_stall_due(const struct rpc_call *call);

#endif
