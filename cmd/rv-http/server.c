/*
 * server: the one loop.  It sleeps until a socket has something to say or the
 * next stretch is due by the MasterClock, never longer than 100 ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hold.h"
#include "http.h"
#include "log/log.h"

#define EVENTS_A_ROUND 256
#define WAIT_MAX_US    INT64_C(100000)
#define WAIT_VIRTUAL_US                                                        \
    INT64_C(5000) /* a virtual clock may be set any time                       \
                   */
#define SCAN_US     INT64_C(500000)
#define SWEEP_US    INT64_C(100000)
#define SPARE_FILES 256 /* rings, pages, listeners */

/* As many descriptors as viewers, or as many viewers as descriptors. */
static void fit_limits(struct server *server)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max == RLIM_INFINITY ||
        limit.rlim_max >= (rlim_t)(server->max_viewers + SPARE_FILES))
        return;
    log_warn(NULL, "%llu descriptors are allowed, too few for %lld viewers",
             (unsigned long long)limit.rlim_max,
             (long long)server->max_viewers);
}

/* A page that nobody holds is of one that did not end by itself. */
static void look_for_former(struct server *server, const char *name)
{
    struct stats_proc_state state;

    stats_proc_look(server->run_dir, name, &state);
    server->is_restart = state.pid != 0 && !state.is_alive;
}

void server_init(struct server *server)
{
    server->clock = CLOCK_EMPTY;
    server->proc = STATS_PROC_EMPTY;
    server->epoll = server->spare = server->hold = server->hold_folder = -1;
    TAILQ_INIT(&server->channels);
    TAILQ_INIT(&server->reading);
    TAILQ_INIT(&server->answering);
    TAILQ_INIT(&server->dead);
}

int server_open(struct server *server, const char *run_dir, const char *name,
                struct err *err)
{
    prctl(PR_SET_TIMERSLACK, 1); /* nanosecond; releases are on time */
    fit_limits(server);
    if (rundir_find(server->run_dir, run_dir, err) < 0 ||
        clock_open(&server->clock, server->run_dir, err) < 0)
        return -1;
    look_for_former(server, name);
    if (stats_proc_enter(&server->proc, server->run_dir, name, err) < 0)
        return -1;
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->epoll < 0 || server->spare < 0)
        return err_errno(err, ERR_SYSTEM, "epoll");
    hold_open(server, name);
    return 0;
}

void server_close(struct server *server)
{
    struct channel *channel, *next_channel;
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE(channel, &server->channels, link, next_channel)
    channel_free(server, channel);
    TAILQ_FOREACH_SAFE(conn, &server->reading, link, next)
    conn_drop(server, conn);
    TAILQ_FOREACH_SAFE(conn, &server->answering, link, next)
    conn_drop(server, conn);
    conn_bury(server);
    hold_close(server);
    for (int i = 0; i < server->listener_count; i++)
        close(server->listeners[i].fd);
    server->listener_count = 0;
    if (server->epoll >= 0)
        close(server->epoll);
    if (server->spare >= 0)
        close(server->spare);
    server->epoll = server->spare = -1;
    stats_proc_leave(&server->proc);
    clock_close(&server->clock);
}

static int64_t wait_us(const struct server *server)
{
    struct clock_state state;

    if (server->clock.page != NULL) {
        clock_state(&server->clock, &state);
        if (state.source == CLOCK_SOURCE_VIRTUAL)
            return channel_wait_us(server, WAIT_VIRTUAL_US);
    }
    return channel_wait_us(server, WAIT_MAX_US);
}

static void do_regular_work(struct server *server)
{
    const int64_t now_us = clock_monotonic_us();

    if (now_us >= server->next_scan_us) {
        clock_refresh(&server->clock, server->run_dir);
        channel_scan(server);
        server->next_scan_us = now_us + SCAN_US;
    }
    if (now_us >= server->next_sweep_us) {
        conn_sweep(server, now_us);
        server->next_sweep_us = now_us + SWEEP_US;
    }
    if (server->listen_again_us != 0 && now_us >= server->listen_again_us)
        listen_watch(server, true, NULL);
}

int server_step(struct server *server, struct err *err)
{
    struct epoll_event events[EVENTS_A_ROUND];
    const int64_t us = wait_us(server);
    const struct timespec timeout = { .tv_sec = us / 1000000,
                                      .tv_nsec = us % 1000000 * 1000 };
    int count =
        epoll_pwait2(server->epoll, events, EVENTS_A_ROUND, &timeout, NULL);

    if (count < 0 && errno == ENOSYS) /* Linux before 5.11, valgrind */
        count = epoll_wait(server->epoll, events, EVENTS_A_ROUND,
                           (int)((us + 999) / 1000));
    if (count < 0 && errno != EINTR)
        return err_errno(err, ERR_SYSTEM, "epoll");
    stats_proc_beat(&server->proc, server->viewer_count > 0);
    channel_run_all(server); /* first: they are due */
    for (int i = 0; i < count; i++) {
        const enum source *source = events[i].data.ptr;
        if (*source == SOURCE_LISTENER)
            listen_accept(server, events[i].data.ptr);
        else
            conn_event(server, events[i].data.ptr, events[i].events);
    }
    do_regular_work(server);
    conn_bury(server);
    return 0;
}
