/*
 * ports: rv-http, one process a port, and rv-metrics.  The listening sockets
 * are opened here and handed down, so that a port stays open, and its backlog
 * kept, while a killed server process is started again.
 */
#include "serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "log/log.h"
#include "proc/spawn.h"

#define BACKLOG   4096
#define LISTEN_FD 3 /* what a child sees its listener as */
/* A server that must be killed leaves its name for others to remove: it gets
 * the time that it needs on a busy machine. */
#define STOP_US   INT64_C(2000000)
#define KILLED_US INT64_C(1000000)

static int open_one(const struct addrinfo *at)
{
    const int on = 1;
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int number = errno;
    close(fd);
    errno = number;
    return -1;
}

static int listen_tcp(const char *host, int port, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%d", port);
    const int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT,
                       "%s:%d: %s; give an address of this machine", host, port,
                       gai_strerror(rc));
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
        fd = open_one(at);
    if (fd < 0)
        err_errno(err, ERR_STATE,
                  "port %d of %s is held by another program, give another port",
                  port, host);
    freeaddrinfo(found);
    return fd;
}

static int bound_port(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof(address);

    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&address)->sin6_port
                     : ((struct sockaddr_in *)&address)->sin_port);
}

struct port *ports_find(struct serve *serve, int port)
{
    for (int i = 0; i < SERVE_PORTS; i++) {
        if (serve->port[i].is_used && !serve->port[i].is_metrics &&
            serve->port[i].port == port)
            return &serve->port[i];
    }
    return NULL;
}

struct port *ports_find_metrics(struct serve *serve)
{
    for (int i = 0; i < SERVE_PORTS; i++) {
        if (serve->port[i].is_used && serve->port[i].is_metrics)
            return &serve->port[i];
    }
    return NULL;
}

static struct port *new_port(struct serve *serve, struct err *err)
{
    for (int i = 0; i < SERVE_PORTS; i++) {
        if (!serve->port[i].is_used)
            return &serve->port[i];
    }
    err_set(err, ERR_LIMIT, "%d ports are open already; use one of them",
            SERVE_PORTS);
    return NULL;
}

static void watch(struct serve *serve, struct port *port)
{
    (void)serve_watch(serve, port->pidfd, EPOLLIN, SERVE_PORT_END,
                      (int)(port - serve->port));
}

static void start(struct serve *serve, struct port *port, int64_t now_us)
{
    char name[32];
    struct err err = ERR_EMPTY;
    const char *const http[] = { "rv-http",     "--run-dir", serve->run,
                                 "--listen-fd", "3",         "--match-port",
                                 "--name",      name,        NULL };
    const char *const metrics[] = { "rv-metrics",  "--run-dir", serve->run,
                                    "--listen-fd", "3",         NULL };

    snprintf(name, sizeof(name), "http-%u", port->port);
    restart_begins(&port->restart, now_us);
    const struct spawn spawn = { port->is_metrics ? "rv-metrics" : "rv-http",
                                 port->is_metrics ? metrics : http, -1, -1,
                                 port->fd };
    if (spawn_start(&spawn, &port->pid, &port->pidfd, &err) < 0) {
        log_error(NULL, "%s", err.text);
        port->pidfd = -1;
        port->start_at_us = now_us + 1000000;
        return;
    }
    watch(serve, port);
}

static int listen_at(struct serve *serve, const char *host, int number,
                     bool is_metrics, struct port **out, struct err *err)
{
    struct port *port = new_port(serve, err);

    if (port == NULL)
        return -1;
    const int fd = listen_tcp(host, number, err);
    if (fd < 0)
        return -1;
    *port = (struct port){ .is_used = true,
                           .is_metrics = is_metrics,
                           .fd = fd,
                           .port = (uint16_t)bound_port(fd),
                           .pidfd = -1 };
    strlcpy(port->host, host, sizeof(port->host));
    snprintf(port->address, sizeof(port->address),
             strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port->port);
    *out = port;
    return 0;
}

int ports_open(struct serve *serve, int number, int *actual, struct err *err)
{
    struct port *port = ports_find(serve, number);

    if (port == NULL) {
        if (listen_at(serve, serve->opts.http_host, number, false, &port, err) <
            0)
            return -1;
        start(serve, port, clock_monotonic_us());
    }
    *actual = port->port;
    return 0;
}

int ports_metrics(struct serve *serve, struct err *err)
{
    char host[256];
    const char *text = serve->opts.metrics;
    const char *colon = strrchr(text, ':');
    struct port *port = ports_find_metrics(serve);

    if (port != NULL)
        return 0;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }
    if (listen_at(serve, host, (int)strtonum(colon + 1, 0, 65535, NULL), true,
                  &port, err) < 0)
        return err_prefix(err, "--metrics");
    start(serve, port, clock_monotonic_us());
    return 0;
}

void ports_ended(struct serve *serve, int place)
{
    struct port *port = &serve->port[place];
    int status = 0;

    if (!port->is_used || port->pidfd < 0 || !spawn_has_ended(port->pidfd))
        return;
    (void)spawn_reap(port->pidfd, &status);
    close(port->pidfd);
    port->pidfd = -1;
    if (serve->is_stopping)
        return;
    port->start_at_us = restart_when(&port->restart, clock_monotonic_us());
    log_warn(NULL, "%s on %s ended, starting anew",
             port->is_metrics ? "rv-metrics" : "rv-http", port->address);
}

int64_t ports_update(struct serve *serve, int64_t now_us)
{
    int64_t next_us = now_us + 100000;

    for (int i = 0; i < SERVE_PORTS && !serve->is_stopping; i++) {
        struct port *port = &serve->port[i];
        struct err err = ERR_EMPTY;
        if (port->is_used && port->pidfd >= 0 && !port->is_metrics &&
            !watch_is_patient(&serve->watch, now_us)) {
            char name[32];
            snprintf(name, sizeof(name), "http-%u", port->port);
            serve_kill_if_hung(serve->run, name, port->pid, port->pidfd,
                               now_us);
        }
        if (!port->is_used || port->pidfd >= 0)
            continue;
        if (port->start_at_us > now_us) {
            next_us = port->start_at_us < next_us ? port->start_at_us : next_us;
            continue;
        }
        if (port->fd < 0 &&
            (port->fd = listen_tcp(port->host, port->port, &err)) < 0) {
            port->start_at_us = now_us + 1000000;
            log_warn(NULL, "%s", err.text);
            continue;
        }
        start(serve, port, now_us);
    }
    return next_us;
}

void ports_release(struct serve *serve, int number)
{
    struct port *port = ports_find(serve, number);

    for (int i = 0; i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id != 0 && serve->channel[i].port == number)
            return;
    }
    if (port == NULL || number == serve->opts.http_port)
        return;
    if (port->pidfd >= 0) {
        spawn_signal(port->pidfd, SIGTERM);
        close(port->pidfd);
    }
    if (port->fd >= 0)
        close(port->fd);
    *port = (struct port){ .is_used = false };
}

/* Pages and names of servers that are gone, also of those whose rv-ctl serve
 * was killed and which served a port that nobody asked for again. */
static void sweep(struct serve *serve)
{
    DIR *folder = opendir(serve->run);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        struct stats_proc_state state;
        unsigned number;
        char name[32];
        if (sscanf(entry->d_name, "http-%5u.", &number) != 1)
            continue;
        snprintf(name, sizeof(name), "http-%u", number);
        stats_proc_look(serve->run, name, &state);
        if (!state.is_alive)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder != NULL)
        closedir(folder);
}

void ports_close_all(struct serve *serve)
{
    const int64_t begin_us = clock_monotonic_us();
    int alive;

    for (int i = 0; i < SERVE_PORTS; i++) {
        if (serve->port[i].is_used && serve->port[i].pidfd >= 0)
            spawn_signal(serve->port[i].pidfd, SIGTERM);
    }
    do {
        alive = 0;
        for (int i = 0; i < SERVE_PORTS; i++) {
            struct port *port = &serve->port[i];
            if (!port->is_used || port->pidfd < 0)
                continue;
            if (clock_monotonic_us() - begin_us > STOP_US)
                spawn_signal(port->pidfd, SIGKILL);
            ports_ended(serve, i);
            alive += port->pidfd >= 0;
        }
        if (alive > 0)
            clock_sleep_until(&serve->clock, INT64_MAX, 5000);
    } while (alive > 0 &&
             clock_monotonic_us() - begin_us < STOP_US + KILLED_US);
    for (int i = 0; i < SERVE_PORTS; i++) {
        struct port *port = &serve->port[i];
        if (port->is_used && port->fd >= 0)
            close(port->fd);
    }
    sweep(serve);
}

/*
 * rv-http of a server that was killed serves on; we watch it, and borrow its
 * listener (descriptor 3, where we put it).
 */
static void adopt_http(struct serve *serve, uint16_t number)
{
    struct stats_proc_state state;
    struct port *port = new_port(serve, NULL);
    char name[32];

    snprintf(name, sizeof(name), "http-%u", number);
    stats_proc_look(serve->run, name, &state);
    if (!state.is_alive || port == NULL || ports_find(serve, number) != NULL)
        return;
    const int pidfd = spawn_watch(state.pid);
    if (pidfd < 0)
        return;
    *port = (struct port){
        .is_used = true, .port = number, .pid = state.pid, .pidfd = pidfd
    };
    strlcpy(port->host, serve->opts.http_host, sizeof(port->host));
    snprintf(port->address, sizeof(port->address), "%s:%u",
             serve->opts.http_host, number);
    port->fd = (int)syscall(SYS_pidfd_getfd, pidfd, LISTEN_FD, 0);
    watch(serve, port);
    log_info(NULL, "rv-http on %s, process %d, taken over", port->address,
             (int)state.pid);
}

static void end_old_metrics(struct serve *serve)
{
    struct stats_proc_state state;

    stats_proc_look(serve->run, "metrics", &state);
    const int pidfd = state.is_alive ? spawn_watch(state.pid) : -1;
    if (pidfd < 0)
        return;
    spawn_signal(pidfd, SIGKILL);
    for (int i = 0; i < 100 && !spawn_has_ended(pidfd); i++)
        clock_sleep_until(&serve->clock, INT64_MAX, 5000);
    close(pidfd);
}

void ports_adopt_all(struct serve *serve)
{
    DIR *folder = opendir(serve->run);
    const struct dirent *entry;
    unsigned number;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (sscanf(entry->d_name, "http-%5u.proc", &number) == 1 &&
            number <= 65535)
            adopt_http(serve, (uint16_t)number);
    }
    if (folder != NULL)
        closedir(folder);
    end_old_metrics(serve);
}
