/*
 * server: gRPC over HTTP/2 on TCP and Unix sockets, inside the owner's loop.
 *
 * A method is a row in a table.  Its handler gets a checked request and may
 * answer at once or later; whoever holds a call is told when it goes.  The
 * server is one epoll descriptor: put rpc_server_fd() into your own loop, call
 * rpc_server_dispatch() when it is readable, nothing else is needed (deadlines
 * and other timers are a timerfd inside).
 *
 *     client opens        handle()          answer                on_done()
 *   ------------------> [ routed ] -----> [ handled ] ---------> [ gone ]
 *                            |                |   cancel, deadline,   ^
 *                            +----------------+-- lost connection ----+
 *
 * One thread: everything is called from the thread that dispatches.  The
 * process must ignore SIGPIPE (cli_start() does).
 */
#ifndef RV_RPC_SERVER_H
#define RV_RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "err/err.h"

struct rpc_call;
struct rpc_server;

/* Flags of a method. */
#define RPC_CLIENT_STREAMS 1u /* the client may send any number of messages */
#define RPC_SERVER_STREAMS 2u /* the answer is any number of messages */

/*
 * A request has come.  Lent: of a unary call until its on_done, of a streaming
 * call until the handler returns.  Answer with one of the functions below, now
 * or later.
 */
typedef void (*rpc_handler)(struct rpc_call *call,
                            const ProtobufCMessage *request, void *user);

/*
 * The call is over, however it ended: answered and sent, cancelled by the
 * client, past its deadline, connection lost, never decoded.  Comes exactly
 * once for each call that named this method; `call` is invalid when this
 * returns.  Only rpc_call_data() and answers to other calls are allowed here.
 */
typedef void (*rpc_done)(struct rpc_call *call, void *user);

struct rpc_method {
    const char *name; /* "/package.Service/Method" */
    unsigned flags;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    rpc_handler handle;
    rpc_done on_done;     /* may be NULL */
    rpc_done on_half_end; /* RPC_CLIENT_STREAMS: client sends no more; NULL:
                             the call ends with OK by itself */
};

struct rpc_server_options {
    size_t max_message_bytes;    /* one request, unpacked from gzip or not */
    size_t max_inbound_bytes;    /* headers and requests of all calls */
    unsigned max_streams;        /* calls at once on one connection */
    unsigned max_connections;    /* the longest idle one makes room */
    unsigned first_byte_ms;      /* TLS handshake and HTTP/2 preface */
    unsigned idle_ms;            /* a connection without calls */
    unsigned stall_ms;           /* a peer that does not read */
    unsigned max_call_ms;        /* a unary call without its own deadline */
    const char *tls_certificate; /* PEM file with chain; NULL: no TLS on TCP */
    const char *tls_key;         /* PEM file */
    const char *tls_client_ca;   /* PEM file; NULL: clients need none */
};

/* clang-format off */
#define RPC_SERVER_OPTIONS                                                    \
    ((struct rpc_server_options){ .max_message_bytes = 256 << 10,             \
        .max_inbound_bytes = 16 << 20, .max_streams = 256,                    \
        .max_connections = 256, .first_byte_ms = 10000,                       \
        .idle_ms = 30 * 60 * 1000, .stall_ms = 20000,                         \
        .max_call_ms = 10 * 60 * 1000 })
/* clang-format on */

/*
 * A server without listeners and methods.  Copies the options (NULL: the
 * defaults above).  NULL with ERR_SYSTEM, or ERR_INPUT for bad TLS files.
 */
struct rpc_server *rpc_server_new(const struct rpc_server_options *options,
                                  struct err *err);

/*
 * Ends all calls and connections at once and removes the Unix sockets that
 * rpc_server_listen() made.  NULL is fine.
 */
void rpc_server_free(struct rpc_server *server);

/* Keeps the rows; `user` goes to their handlers.  ERR_SYSTEM. */
int rpc_server_add_methods(struct rpc_server *server,
                           const struct rpc_method *methods, size_t count,
                           void *user, struct err *err);

/*
 * Listens on "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" (an absolute path
 * alone is a Unix socket too).  Port 0 picks a free one.  A HOST with several
 * addresses listens on the first that works.  A Unix socket is made for its
 * owner only (mode 0600, peers of other users but root are refused) under a
 * lock beside it, PATH.lock.  `bound` (may be NULL) receives "HOST:PORT" or
 * "unix:PATH".
 * ERR_STATE: in use, the sentence names address and fix.  ERR_INPUT: address.
 */
int rpc_server_listen(struct rpc_server *server, const char *address,
                      char *bound, size_t bound_size, struct err *err);

/*
 * Takes a listening socket that was inherited or passed, and the descriptor of
 * its lock file (-1: none; then its path is never removed).
 */
int rpc_server_add_listener(struct rpc_server *server, int fd, int lock_fd,
                            struct err *err);

/* A listener, for handing it on across execve(): descriptors are lent. */
struct rpc_listener {
    int fd;
    int lock_fd; /* -1: none */
    char address[256];
};

/* Copies up to `max` listeners and gives how many there are. */
size_t rpc_server_listeners(const struct rpc_server *server,
                            struct rpc_listener *listeners, size_t max);

/* The descriptor to wait on for reading.  Lent until rpc_server_free(). */
int rpc_server_fd(const struct rpc_server *server);

/*
 * Does what is due, never waits.  Handlers run inside.  ERR_SYSTEM only when
 * epoll itself fails; what one connection does wrong ends that connection.
 */
int rpc_server_dispatch(struct rpc_server *server, struct err *err);

/*
 * Stops listening and asks all clients to go (two GOAWAYs); running unary
 * calls may end, streams are ended, after grace_ms everything is closed.
 * Dispatch until rpc_server_is_drained().  To keep accepting processes happy
 * across execve() the listening sockets themselves stay open until _free.
 */
void rpc_server_shutdown(struct rpc_server *server, unsigned grace_ms);
bool rpc_server_is_drained(const struct rpc_server *server);

/* What the server has seen; for metrics and tests. */
struct rpc_server_stats {
    uint64_t connections; /* accepted since the start */
    uint64_t calls;       /* routed since the start */
    uint64_t refused;     /* connections cut for what they did */
    size_t open_connections;
    size_t open_calls;
    size_t inbound_bytes; /* held now for requests and headers */
};
struct rpc_server_stats rpc_server_stats(const struct rpc_server *server);

/*
 * Ends a unary call with this message.  A second answer, or one that comes
 * after deadline or cancellation but before on_done, is dropped.
 */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message);

/* Ends a call with the status of the error's kind and its sentence. */
void rpc_call_fail(struct rpc_call *call, const struct err *err);

/* As above with a google.rpc.Code that no error kind has. */
void rpc_call_fail_status(struct rpc_call *call, int status, const char *text);

enum rpc_send {
    RPC_SENT,
    RPC_FULL, /* too much is queued for this slow reader; nothing was queued */
    RPC_GONE  /* the call is answered or cancelled already */
};

/* One message of a streaming answer.  rpc_call_finish() ends it with OK. */
enum rpc_send rpc_call_send(struct rpc_call *call,
                            const ProtobufCMessage *message);
void rpc_call_finish(struct rpc_call *call);

/*
 * A value of the call's metadata, NULL if there is none.  Key in lower case.
 * Lent until on_done.  Of a "-bin" key it is the base64 text; decode it with
 * rpc_base64_decode() of rpc/wire.h.
 */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key);

/* The method that was called, and milliseconds left until the deadline. */
const char *rpc_call_method(const struct rpc_call *call);
int64_t rpc_call_remaining_ms(const struct rpc_call *call);

/* A pointer of the handler's, NULL at first. */
void rpc_call_set_data(struct rpc_call *call, void *data);
void *rpc_call_data(const struct rpc_call *call);

#endif
