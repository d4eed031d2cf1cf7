/*
 * server: listeners, the table of methods, one round of work, the way down.
 * Connections are conn.c, calls are call.c.
 */
#include "rpc/server_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <bsd/string.h>

#define EVENTS          64
#define FIRST_GOAWAY_MS 50 /* calls under way arrive before the second one */

static void on_drain_timer(void *owner);

static int watch(struct rpc_server *server, int fd, enum source *source,
                 struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

    if (fd < 0 || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return err_errno(err, ERR_SYSTEM, "gRPC server");
    return 0;
}

static int open_all(struct rpc_server *server, struct err *err)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->callbacks = session_callbacks();
    server->h2_options = session_options();
    if (server->epoll_fd < 0)
        return err_errno(err, ERR_SYSTEM, "gRPC server: epoll");
    if (server->callbacks == NULL || server->h2_options == NULL)
        return err_set(err, ERR_SYSTEM, "gRPC server: no memory");
    if (watch(server, server->timer_fd, &server->timer_source, err) < 0 ||
        watch(server, server->wake_fd, &server->wake_source, err) < 0)
        return -1;
    const struct rpc_server_options *o = &server->options;
    if (o->tls_certificate) {
        server->tls = rpc_tls_context_new(o->tls_certificate, o->tls_key,
                                          o->tls_client_ca, err);
        if (server->tls == NULL)
            return -1;
    }
    return 0;
}

struct rpc_server *rpc_server_new(const struct rpc_server_options *options,
                                  struct err *err)
{
    struct rpc_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        err_set(err, ERR_SYSTEM, "gRPC server: no memory");
        return NULL;
    }
    server->options = options ? *options : RPC_SERVER_OPTIONS;
    TAILQ_INIT(&server->listeners);
    TAILQ_INIT(&server->conns);
    TAILQ_INIT(&server->dirty);
    TAILQ_INIT(&server->dead);
    server->timers = RPC_TIMERS_EMPTY;
    server->timer_source = SOURCE_TIMER;
    server->wake_source = SOURCE_WAKE;
    server->armed_ms = INT64_MAX;
    server->drain_timer.fire = on_drain_timer;
    server->drain_timer.owner = server;
    server->epoll_fd = server->timer_fd = server->wake_fd = -1;
    if (open_all(server, err) < 0) {
        rpc_server_free(server);
        return NULL;
    }
    return server;
}

static void kill_all(struct rpc_server *server)
{
    struct conn *conn = NULL;
    struct conn *next = NULL;

    TAILQ_FOREACH_SAFE(conn, &server->conns, link, next)
    conn_kill(conn);
}

static void bury_all(struct rpc_server *server)
{
    while (!TAILQ_EMPTY(&server->dead))
        conn_bury(TAILQ_FIRST(&server->dead));
}

void rpc_server_free(struct rpc_server *server)
{
    if (server == NULL)
        return;
    kill_all(server);
    bury_all(server);
    while (!TAILQ_EMPTY(&server->listeners)) {
        struct listener *listener = TAILQ_FIRST(&server->listeners);
        TAILQ_REMOVE(&server->listeners, listener, link);
        rpc_timer_stop(&server->timers, &listener->rearm);
        if (listener->info.lock_fd >= 0) {
            rpc_address_unlink(listener->info.address);
            close(listener->info.lock_fd);
        }
        close(listener->info.fd);
        free(listener);
    }
    rpc_timers_clear(&server->timers);
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->h2_options);
    rpc_tls_context_free(server->tls);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    free(server->routes);
    free(server);
}

int rpc_server_add_methods(struct rpc_server *server,
                           const struct rpc_method *methods, size_t count,
                           void *user, struct err *err)
{
    /* Open calls point into the table; it must not move under them. */
    if (server->stats.connections > 0)
        return err_set(err, ERR_SYSTEM,
                       "gRPC server: methods come before connections");
    struct route *routes = realloc(
        server->routes, (server->route_count + count) * sizeof(routes[0]));
    if (routes == NULL)
        return err_set(err, ERR_SYSTEM, "gRPC server: no memory");
    server->routes = routes;
    for (size_t i = 0; i < count; i++)
        routes[server->route_count++] =
            (struct route){ .method = &methods[i], .user = user };
    return 0;
}

/* --- listeners ------------------------------------------------------------ */

static int prepare_fd(int fd, struct err *err)
{
    int listening = 0;
    socklen_t size = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
        !listening)
        return err_set(err, ERR_INPUT, "descriptor %d: not a listening socket",
                       fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return err_errno(err, ERR_SYSTEM, "descriptor %d", fd);
    return 0;
}

int rpc_server_add_listener(struct rpc_server *server, int fd, int lock_fd,
                            struct err *err)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL) {
        err_set(err, ERR_SYSTEM, "gRPC server: no memory");
        goto failed;
    }
    *listener = (struct listener){ .source = SOURCE_LISTENER,
                                   .server = server,
                                   .info = { .fd = fd, .lock_fd = lock_fd } };
    if (prepare_fd(fd, err) < 0 ||
        rpc_address_of_socket(fd, listener->info.address,
                              sizeof(listener->info.address), err) < 0 ||
        watch(server, fd, &listener->source, err) < 0)
        goto failed;
    if (lock_fd >= 0)
        fcntl(lock_fd, F_SETFD, FD_CLOEXEC);
    listener->is_unix = strncmp(listener->info.address, "unix:", 5) == 0;
    TAILQ_INSERT_TAIL(&server->listeners, listener, link);
    return 0;
failed:
    free(listener);
    close(fd);
    if (lock_fd >= 0)
        close(lock_fd);
    return -1;
}

int rpc_server_listen(struct rpc_server *server, const char *address,
                      char *bound, size_t bound_size, struct err *err)
{
    struct rpc_address parsed;
    int lock_fd = -1;

    if (rpc_address_parse(&parsed, address, err) < 0)
        return -1;
    const int fd = rpc_address_listen(&parsed, &lock_fd, err);
    if (fd < 0 || rpc_server_add_listener(server, fd, lock_fd, err) < 0)
        return -1;
    if (bound)
        strlcpy(bound,
                TAILQ_LAST(&server->listeners, listener_list)->info.address,
                bound_size);
    return 0;
}

size_t rpc_server_listeners(const struct rpc_server *server,
                            struct rpc_listener *listeners, size_t max)
{
    const struct listener *listener = NULL;
    size_t count = 0;

    TAILQ_FOREACH(listener, &server->listeners, link)
    {
        if (count < max)
            listeners[count] = listener->info;
        count++;
    }
    return count;
}

/* --- a round -------------------------------------------------------------- */

int rpc_server_fd(const struct rpc_server *server)
{
    return server->epoll_fd;
}

static void drain_fd(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof(count)) > 0)
        ;
}

static void handle_event(struct rpc_server *server,
                         const struct epoll_event *event)
{
    switch (*(const enum source *)event->data.ptr) {
    case SOURCE_LISTENER:
        if (!server->is_draining)
            conn_accept(server, event->data.ptr);
        break;
    case SOURCE_CONN:
        conn_ready(event->data.ptr, event->events);
        break;
    case SOURCE_TIMER:
        drain_fd(server->timer_fd);
        server->armed_ms = INT64_MAX;
        break;
    case SOURCE_WAKE:
        drain_fd(server->wake_fd);
        break;
    }
}

/* Sets the timerfd to the first timer, if that has changed to sooner. */
static void arm(struct rpc_server *server)
{
    const int64_t next = rpc_timers_next(&server->timers);

    if (next >= server->armed_ms)
        return; /* fires early at worst, and then comes here again */
    const int64_t due = next > 0 ? next : 1;
    const struct itimerspec at = { .it_value = {
                                       .tv_sec = due / 1000,
                                       .tv_nsec = due % 1000 * 1000000 + 1 } };
    if (timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0)
        server->armed_ms = next;
}

int rpc_server_dispatch(struct rpc_server *server, struct err *err)
{
    struct epoll_event events[EVENTS];

    const int count = epoll_wait(server->epoll_fd, events, EVENTS, 0);
    if (count < 0 && errno != EINTR)
        return err_errno(err, ERR_SYSTEM, "gRPC server: epoll");
    server->is_dispatching = true;
    for (int i = 0; i < count; i++)
        handle_event(server, &events[i]);
    rpc_timers_fire(&server->timers, rpc_now_ms());
    while (!TAILQ_EMPTY(&server->dirty)) {
        struct conn *conn = TAILQ_FIRST(&server->dirty);
        TAILQ_REMOVE(&server->dirty, conn, dirty);
        conn->is_dirty = false;
        conn_flush(conn);
    }
    bury_all(server);
    server->is_dispatching = false;
    arm(server);
    return 0;
}

/* --- the way down --------------------------------------------------------- */

static void on_drain_timer(void *owner)
{
    struct rpc_server *server = owner;
    struct conn *conn = NULL;
    struct conn *next = NULL;

    if (rpc_now_ms() >= server->kill_ms) {
        kill_all(server);
        return;
    }
    TAILQ_FOREACH_SAFE(conn, &server->conns, link, next)
    conn_leave(conn);
    rpc_timer_start(&server->timers, &server->drain_timer, server->kill_ms);
}

static void drain_conn(struct conn *conn)
{
    struct rpc_call *call = NULL;

    LIST_FOREACH(call, &conn->calls, link)
    call_drain(call);
    nghttp2_submit_shutdown_notice(conn->h2.session);
    conn_mark_dirty(conn);
}

void rpc_server_shutdown(struct rpc_server *server, unsigned grace_ms)
{
    struct listener *listener = NULL;
    struct conn *conn = NULL;
    const int64_t now = rpc_now_ms();

    if (server->is_draining)
        return;
    server->is_draining = true;
    server->kill_ms = now + grace_ms;
    TAILQ_FOREACH(listener, &server->listeners, link)
    {
        rpc_timer_stop(&server->timers, &listener->rearm);
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener->info.fd, NULL);
    }
    TAILQ_FOREACH(conn, &server->conns, link)
    drain_conn(conn);
    rpc_timer_start(
        &server->timers, &server->drain_timer,
        now + (grace_ms < FIRST_GOAWAY_MS ? grace_ms : FIRST_GOAWAY_MS));
    if (!server->is_dispatching)
        arm(server);
}

bool rpc_server_is_drained(const struct rpc_server *server)
{
    return server->is_draining && TAILQ_EMPTY(&server->conns);
}

struct rpc_server_stats rpc_server_stats(const struct rpc_server *server)
{
    return server->stats;
}
