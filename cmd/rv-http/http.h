/*
 * rv-http's own types: one thread, one epoll, any number of viewers.
 *
 *   accept -> READING -> ANSWERING -> ENDING -> gone
 *                \-> WAITING -> STREAMING -/
 *
 *   READING    the request's header is not whole yet        10 s
 *   WAITING    200 is sent, no keyframe is released yet      5 s
 *   STREAMING  `offset` is the next byte of the ring to send
 *   ANSWERING  a short answer lies in `out`                  5 s
 *   ENDING     all is sent, the other side closes            2 s
 *
 * A connection is on exactly one list: the server's by state, or its channel's
 * when it is a viewer.  Viewers' sockets are edge-triggered: `can_write` says
 * that the last write did not fill the socket, so a release writes to whom it
 * may and asks nothing else.  Nothing is copied: writev() takes the bytes from
 * the ring's map, and the ring is asked behind it whether they were still
 * there.
 */
#ifndef RV_HTTP_HTTP_H
#define RV_HTTP_HTTP_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/ts_ring.h"
#include "proc/rundir.h"
#include "stats/stats.h"

#define HTTP_LISTENERS_MAX 64
#define HTTP_HEADER_MAX    8192
#define HTTP_PATH_SIZE     256
#define HTTP_READING_MAX   1024 /* beyond it the oldest one goes */

#define HTTP_HEADER_US     INT64_C(10000000)
#define HTTP_KEYFRAME_US   INT64_C(5000000)
#define HTTP_ANSWER_US     INT64_C(5000000)
#define HTTP_ENDING_US     INT64_C(2000000)
#define HTTP_DRAIN_US      INT64_C(2000000)  /* a channel's end: then unpaced */
#define HTTP_DRAIN_LAST_US INT64_C(10000000) /* and then without the slow */

/* What an epoll event points to begins with this. */
enum source { SOURCE_LISTENER, SOURCE_CONN };

struct listener {
    enum source source;
    int fd;
    uint16_t port;
    char address[128]; /* "HOST:PORT" as printed */
};

enum conn_state { READING, WAITING, STREAMING, ANSWERING, ENDING, DEAD };

struct request;
struct channel;

struct conn {
    enum source source;
    enum conn_state state;
    int fd;
    uint16_t port; /* that it came in by */
    bool can_write;
    int64_t deadline_us;     /* monotonic; INT64_MAX: none */
    struct request *request; /* READING only */
    struct channel *channel; /* WAITING, STREAMING */
    uint32_t header_sent;    /* bytes of the stream's header */
    uint32_t heard;          /* bytes that came behind the request */
    uint64_t offset;         /* STREAMING: next byte to send */
    uint64_t viewer;         /* number for rv-hold */
    char *out;               /* ANSWERING */
    size_t out_size, out_sent;
    TAILQ_ENTRY(conn) link;
};
TAILQ_HEAD(conn_list, conn);

/* A channel and the one ring it has now; a new ring is a new channel. */
struct channel {
    int32_t id;
    uint16_t port;       /* of its `port` file; 0: none */
    struct ts_ring ring; /* .head NULL: channel starts, no ring yet */
    dev_t device;
    ino_t inode;
    struct stats stats;
    uint64_t next;         /* entry to be released next */
    uint64_t released_end; /* bytes below may be sent */
    bool has_key;
    uint64_t key_start; /* newest released keyframe */
    int64_t frame;      /* newest released frame */
    int64_t due_us;     /* of the newest released stretch */
    int64_t retired_us; /* monotonic; 0: on the air */
    bool is_broken;     /* its ring has a hole: nothing more is released */
    int64_t viewer_count;
    struct conn_list viewers;
    TAILQ_ENTRY(channel) link;
};
TAILQ_HEAD(channel_list, channel);

struct server {
    char run_dir[RUNDIR_SIZE];
    bool is_matching_port;
    bool is_restart; /* one of our name was killed */
    int64_t max_viewers;
    struct clock clock;
    struct stats_proc proc;
    int epoll;
    int spare; /* given up for a moment when descriptors run out */
    struct listener listeners[HTTP_LISTENERS_MAX];
    int listener_count;
    int64_t listen_again_us; /* monotonic; 0: listeners are being watched */
    struct channel_list channels;
    struct conn_list reading, answering, dead;
    int64_t reading_count, conn_count, viewer_count;
    int64_t next_scan_us, next_sweep_us; /* monotonic */
    int64_t warn_again_us;               /* a wrong ring is met at every scan */
    int hold;                            /* socket to rv-hold; -1: none */
    int hold_folder;                     /* run_dir, to reach its name */
    const char *hold_name;
    uint64_t next_viewer;
};

/* --- server.c ------------------------------------------------------------- */

/* Nothing is open: server_close() is safe from here on. */
void server_init(struct server *server);
int server_open(struct server *server, const char *run_dir, const char *name,
                struct err *err);
/* One round: wait, events, releases, time-outs. */
int server_step(struct server *server, struct err *err);
void server_close(struct server *server);

/* --- listen.c ------------------------------------------------------------- */

int listen_on(struct server *server, const char *host, uint16_t port,
              struct err *err);
int listen_on_fd(struct server *server, int fd, struct err *err);
int listen_watch(struct server *server, bool is_watched, struct err *err);
void listen_accept(struct server *server, struct listener *listener);

/* --- conn.c --------------------------------------------------------------- */

void conn_new(struct server *server, int fd, uint16_t port);
void conn_event(struct server *server, struct conn *conn, uint32_t events);
/* A viewer's connection that another rv-http had; on no list yet. */
struct conn *conn_restore(struct server *server, int fd, uint16_t port);
/* A whole answer; takes `body` (malloc).  NULL body: no memory, drops. */
void conn_answer(struct server *server, struct conn *conn, int status,
                 const char *type, char *body, size_t size, bool is_head);
/* An answer of one sentence. */
void conn_refuse(struct server *server, struct conn *conn, int status,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Nothing more is sent; the other side reads what there is and closes. */
void conn_end(struct server *server, struct conn *conn);
void conn_drop(struct server *server, struct conn *conn);
void conn_sweep(struct server *server, int64_t now_us);
void conn_bury(struct server *server); /* frees the dropped ones */

/* --- request.c ------------------------------------------------------------ */

enum request_result { REQUEST_MORE, REQUEST_WHOLE, REQUEST_WRONG };

struct request *request_new(void);
void request_free(struct request *request);
/* Takes bytes in; `why` is a sentence when they are wrong. */
enum request_result request_feed(struct request *request, const char *bytes,
                                 size_t size, int *status, const char **why);
bool request_is_head(const struct request *request);
bool request_is_get(const struct request *request);
const char *request_path(const struct request *request);
/* N of "/channel/N.ts", 0 for any other path. */
int32_t request_channel(const struct request *request);

/* --- channel.c ------------------------------------------------------------ */

/* The channel as a viewer at that port finds it; NULL: 404. */
struct channel *channel_find(struct server *server, int32_t id, uint16_t port);
/* Looks which channels have come and gone. */
void channel_scan(struct server *server);
/* Counts our restart with each channel that is there. */
void channel_count_restart(struct server *server);
/* Releases what is due and sends it; frees what is over. */
void channel_run_all(struct server *server);
/* Until the next release, at most max_us. */
int64_t channel_wait_us(const struct server *server, int64_t max_us);
void channel_free(struct server *server, struct channel *channel);

/* --- viewer.c ------------------------------------------------------------- */

extern const char viewer_header[];
/* Makes `conn` a viewer of the channel. */
void viewer_join(struct server *server, struct conn *conn,
                 struct channel *channel);
/* A viewer of a former rv-http; `has_started`: offset is set. */
void viewer_restore(struct server *server, struct conn *conn,
                    struct channel *channel, bool has_started);
void viewer_leave(struct server *server, struct conn *conn);
/* Sends what is released. */
void viewer_send(struct server *server, struct conn *conn);

/* --- page.c --------------------------------------------------------------- */

void page_list(struct server *server, struct conn *conn, bool is_head);
void page_health(struct server *server, struct conn *conn, bool is_head);

#endif
