/*
 * conn: one client's connection from accept to its end, and its one timer.
 *
 * A connection dies at once (conn_kill: its calls end, its socket closes) but
 * is freed at the end of the round, since events of this round may name it.
 */
#include "rpc/server_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_ROUNDS  16
#define REARM_MS       50
#define HEADER_BYTES   16384
#define KEEPALIVE_S    60
#define KEEPALIVE_MISS 4

/* The one timer of a connection stands at what is due next. */
static void arm(struct conn *conn)
{
    const struct rpc_server_options *o = &conn->server->options;
    int64_t due = conn->active_ms + o->idle_ms;

    if (!conn->has_begun)
        due = conn->timer.due_ms;
    else if (conn->blocked_ms != 0)
        due = conn->blocked_ms + o->stall_ms;
    if (due != conn->timer.due_ms || conn->timer.place == 0)
        rpc_timer_start(&conn->server->timers, &conn->timer, due);
}

static void on_timer(void *owner)
{
    struct conn *conn = owner;
    const int64_t now = rpc_now_ms();
    const struct rpc_server_options *o = &conn->server->options;

    if (!conn->has_begun ||
        (conn->blocked_ms != 0 && now >= conn->blocked_ms + o->stall_ms)) {
        conn->server->stats.refused++;
        conn_kill(conn);
    } else if (conn->call_count == 0 &&
               now >= conn->active_ms + (int64_t)o->idle_ms) {
        conn_leave(conn);
    } else {
        rpc_timer_start(&conn->server->timers, &conn->timer, now + o->idle_ms);
    }
}

static int watch(struct conn *conn, int op)
{
    struct epoll_event event = { .events =
                                     conn->wants_write ? EPOLLOUT : EPOLLIN,
                                 .data.ptr = conn };

    return epoll_ctl(conn->server->epoll_fd, op, conn->h2.fd, &event);
}

static int begin_session(struct conn *conn)
{
    struct rpc_server *server = conn->server;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
          server->options.max_streams },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_BYTES },
    };

    if (nghttp2_session_server_new2(&conn->h2.session, server->callbacks, conn,
                                    server->h2_options) != 0)
        return -1;
    return nghttp2_submit_settings(conn->h2.session, NGHTTP2_FLAG_NONE,
                                   settings, 2) == 0
               ? 0
               : -1;
}

static void conn_new(struct rpc_server *server, int fd, bool is_unix)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    const int64_t now = rpc_now_ms();

    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->source = SOURCE_CONN;
    conn->server = server;
    conn->h2 = H2CONN_EMPTY;
    conn->h2.fd = fd;
    LIST_INIT(&conn->calls);
    conn->active_ms = conn->budget_ms = now;
    conn->budget = CONN_BUDGET;
    conn->timer.fire = on_timer;
    conn->timer.owner = conn;
    TAILQ_INSERT_TAIL(&server->conns, conn, link);
    server->stats.connections++;
    server->stats.open_connections++;
    if (server->tls && !is_unix)
        conn->h2.tls = rpc_tls_new(server->tls);
    if ((server->tls && !is_unix && conn->h2.tls == NULL) ||
        rpc_timer_start(&server->timers, &conn->timer,
                        now + server->options.first_byte_ms) < 0 ||
        begin_session(conn) < 0 || watch(conn, EPOLL_CTL_ADD) < 0) {
        conn_kill(conn);
        return;
    }
    conn_mark_dirty(conn);
}

/* Peers of a Unix socket must be us or root, whatever the file's mode says. */
static bool is_own_peer(int fd)
{
    struct ucred peer = { .pid = 0 };
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void set_tcp_options(int fd)
{
    const int on = 1;
    const int idle = KEEPALIVE_S;
    const int misses = KEEPALIVE_MISS;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &misses, sizeof(misses));
}

/* The connection that has been quiet for longest goes; false if all are busy.
 */
static bool make_room(struct rpc_server *server)
{
    struct conn *oldest = NULL;
    struct conn *conn = NULL;

    TAILQ_FOREACH(conn, &server->conns, link)
    {
        if (conn->call_count == 0 &&
            (oldest == NULL || conn->active_ms < oldest->active_ms))
            oldest = conn;
    }
    if (oldest == NULL)
        return false;
    conn_kill(oldest);
    return true;
}

static void rearm(void *owner)
{
    struct listener *listener = owner;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };

    epoll_ctl(listener->server->epoll_fd, EPOLL_CTL_MOD, listener->info.fd,
              &event);
}

/* No descriptor or memory left: look again soon instead of spinning. */
static void disarm(struct listener *listener)
{
    struct rpc_server *server = listener->server;
    struct epoll_event event = { .events = 0, .data.ptr = listener };

    listener->rearm.fire = rearm;
    listener->rearm.owner = listener;
    if (rpc_timer_start(&server->timers, &listener->rearm,
                        rpc_now_ms() + REARM_MS) == 0)
        epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, listener->info.fd, &event);
}

void conn_accept(struct rpc_server *server, struct listener *listener)
{
    for (int round = 0; round < ACCEPT_ROUNDS; round++) {
        const int fd = accept4(listener->info.fd, NULL, NULL,
                               SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                disarm(listener);
            return;
        }
        if ((listener->is_unix && !is_own_peer(fd)) ||
            (server->stats.open_connections >=
                 server->options.max_connections &&
             !make_room(server))) {
            server->stats.refused++;
            close(fd);
            continue;
        }
        if (!listener->is_unix)
            set_tcp_options(fd);
        conn_new(server, fd, listener->is_unix);
    }
}

void conn_ready(struct conn *conn, uint32_t events)
{
    if (conn->is_dead)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (h2conn_receive(&conn->h2) < 0) {
            if (conn->h2.is_broken)
                conn->server->stats.refused++;
            h2conn_flush(&conn->h2); /* a last GOAWAY, if there is one */
            conn_kill(conn);
            return;
        }
        conn->active_ms = rpc_now_ms();
    }
    conn_mark_dirty(conn);
}

void conn_mark_dirty(struct conn *conn)
{
    struct rpc_server *server = conn->server;

    if (conn->is_dirty || conn->is_dead)
        return;
    conn->is_dirty = true;
    TAILQ_INSERT_TAIL(&server->dirty, conn, dirty);
    if (!server->is_dispatching) {
        const uint64_t one = 1;
        /* Full means that it is readable already. */
        if (write(server->wake_fd, &one, sizeof(one)) < 0)
            return;
    }
}

void conn_flush(struct conn *conn)
{
    const int n = h2conn_flush(&conn->h2);

    if (n < 0 || h2conn_is_finished(&conn->h2)) {
        conn_kill(conn);
        return;
    }
    const bool is_blocked = h2conn_is_blocked(&conn->h2);
    if (n > 0 || (is_blocked && conn->blocked_ms == 0))
        conn->active_ms = rpc_now_ms();
    if (!is_blocked)
        conn->blocked_ms = 0;
    else if (n > 0 || conn->blocked_ms == 0)
        conn->blocked_ms = conn->active_ms;
    if (is_blocked != conn->wants_write) {
        /* Who does not read is not read from either. */
        conn->wants_write = is_blocked;
        if (watch(conn, EPOLL_CTL_MOD) < 0) {
            conn_kill(conn);
            return;
        }
    }
    arm(conn);
}

void conn_leave(struct conn *conn)
{
    if (conn->is_leaving || conn->is_dead)
        return;
    conn->is_leaving = true;
    nghttp2_submit_goaway(
        conn->h2.session, NGHTTP2_FLAG_NONE,
        nghttp2_session_get_last_proc_stream_id(conn->h2.session),
        NGHTTP2_NO_ERROR, NULL, 0);
    conn_mark_dirty(conn);
}

void conn_kill(struct conn *conn)
{
    struct rpc_server *server = conn->server;

    if (conn->is_dead)
        return;
    conn->is_dead = true;
    if (conn->is_dirty)
        TAILQ_REMOVE(&server->dirty, conn, dirty);
    conn->is_dirty = false;
    rpc_timer_stop(&server->timers, &conn->timer);
    TAILQ_REMOVE(&server->conns, conn, link);
    TAILQ_INSERT_TAIL(&server->dead, conn, link);
    server->stats.open_connections--;
    while (!LIST_EMPTY(&conn->calls))
        call_close(LIST_FIRST(&conn->calls));
    close(conn->h2.fd);
    conn->h2.fd = -1;
}

void conn_bury(struct conn *conn)
{
    TAILQ_REMOVE(&conn->server->dead, conn, link);
    h2conn_close(&conn->h2);
    free(conn);
}
