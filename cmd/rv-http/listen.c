/*
 * listen: sockets that viewers come in by.  When descriptors run out a spare
 * one is given up to take the next caller in and send it away at once;
 * otherwise a full backlog would spin the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "log/log.h"

#define BACKLOG         4096
#define ACCEPTS_A_ROUND 256
#define PAUSE_US        INT64_C(100000)

/* Address and port that the socket really has. */
static int name_listener(struct listener *listener, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[64], port[8];

    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return err_set(err, ERR_INPUT,
                       "descriptor %d: is no TCP socket; give one that listens",
                       listener->fd);
    const bool is_v6 = address.ss_family == AF_INET6;
    listener->port = ntohs(is_v6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                 : ((struct sockaddr_in *)&address)->sin_port);
    snprintf(listener->address, sizeof(listener->address),
             is_v6 ? "[%s]:%s" : "%s:%s", host, port);
    return 0;
}

static int add_listener(struct server *server, int fd, struct err *err)
{
    struct listener *listener = &server->listeners[server->listener_count];

    if (server->listener_count == HTTP_LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d listeners; give fewer",
                       HTTP_LISTENERS_MAX);
    *listener = (struct listener){ .source = SOURCE_LISTENER, .fd = fd };
    if (name_listener(listener, err) < 0)
        return -1;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_errno(err, ERR_SYSTEM, "listener %s", listener->address);
    server->listener_count++;
    return 0;
}

static int open_socket(const struct addrinfo *at)
{
    const int on = 1;
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int number = errno;
    close(fd);
    errno = number;
    return -1;
}

int listen_on(struct server *server, const char *host, uint16_t port,
              struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%u", (unsigned)port);
    const int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT,
                       "--listen %s:%u: %s; give an address of "
                       "this machine",
                       host, (unsigned)port, gai_strerror(rc));
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
        fd = open_socket(at);
    if (fd < 0) {
        err_errno(err, ERR_STATE,
                  "--listen %s:%u: cannot listen there, give another port",
                  host, (unsigned)port);
        freeaddrinfo(found);
        return -1;
    }
    freeaddrinfo(found);
    if (add_listener(server, fd, err) < 0) {
        close(fd);
        return -1;
    }
    return 0;
}

int listen_on_fd(struct server *server, int fd, struct err *err)
{
    int is_listening = 0;
    socklen_t size = sizeof(is_listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0 ||
        !is_listening)
        return err_set(err, ERR_INPUT,
                       "--listen-fd %d: is no listening socket; give the "
                       "number of one that was inherited",
                       fd);
    return add_listener(server, fd, err);
}

int listen_watch(struct server *server, bool is_watched, struct err *err)
{
    for (int i = 0; i < server->listener_count; i++) {
        struct listener *listener = &server->listeners[i];
        struct epoll_event event = { .events = is_watched ? EPOLLIN : 0,
                                     .data.ptr = listener };
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, listener->fd, &event) < 0 &&
            (errno != EEXIST ||
             epoll_ctl(server->epoll, EPOLL_CTL_MOD, listener->fd, &event) < 0))
            return err_errno(err, ERR_SYSTEM, "listener %s", listener->address);
    }
    server->listen_again_us = is_watched ? 0 : clock_monotonic_us() + PAUSE_US;
    return 0;
}

/* No descriptor is left: sends one caller away with a sentence. */
static void turn_away(struct server *server, struct listener *listener)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
        "Connection: close\r\nRetry-After: 5\r\n\r\n"
        "no descriptor is left for another viewer; come back later\n";

    if (server->spare >= 0)
        close(server->spare);
    const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) {
        (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || server->spare < 0) {
        log_warn(NULL, "no descriptor is left, not listening for 100 ms");
        listen_watch(server, false, NULL);
    }
}

void listen_accept(struct server *server, struct listener *listener)
{
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        const int fd =
            accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(server, fd, listener->port);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE)
            turn_away(server, listener);
        else if (errno == ENOBUFS || errno == ENOMEM)
            listen_watch(server, false, NULL);
        else if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
            continue;
        return;
    }
}
