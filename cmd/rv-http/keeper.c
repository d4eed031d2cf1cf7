/* keeper: the process that holds viewers' sockets while rv-http comes back. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock/clock.h"
#include "hold.h"

#define SERVER_FD   3
#define LISTENER_FD 4
#define GRACE_US    INT64_C(2000000) /* for the next server to come */
#define SEND_MS     1000             /* a server that takes over must read */

struct held {
    struct hold_message message;
    int fd;
};

struct keeper {
    struct held *held;
    size_t count, room;
    int server; /* -1: none */
    int64_t alone_since_us;
};

int hold_send(int socket, const struct hold_message *message, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { .bytes = { 0 } };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)message,
                         .iov_len = sizeof(*message) };
    struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *part = CMSG_FIRSTHDR(&header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    }
    ssize_t n;
    do {
        n = sendmsg(socket, &header, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*message) ? 0 : -1;
}

int hold_receive(int socket, struct hold_message *message, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
    struct msghdr header = { .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes) };
    ssize_t n;

    *fd = -1;
    do {
        n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return -1;
    for (struct cmsghdr *part = n > 0 ? CMSG_FIRSTHDR(&header) : NULL;
         part != NULL; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(part), sizeof(*fd));
    }
    return n == (ssize_t)sizeof(*message) ? 1 : 0;
}

static struct held *find(struct keeper *keeper, uint64_t viewer)
{
    for (size_t i = 0; i < keeper->count; i++) {
        if (keeper->held[i].message.viewer == viewer)
            return &keeper->held[i];
    }
    return NULL;
}

static void hold(struct keeper *keeper, const struct hold_message *message,
                 int fd)
{
    if (keeper->count == keeper->room) {
        const size_t room = keeper->room ? keeper->room * 2 : 64;
        struct held *more =
            reallocarray(keeper->held, room, sizeof(*keeper->held));
        if (more == NULL) {
            close(fd);
            return;
        }
        keeper->held = more;
        keeper->room = room;
    }
    keeper->held[keeper->count++] =
        (struct held){ .message = *message, .fd = fd };
}

static void drop(struct keeper *keeper, uint64_t viewer)
{
    struct held *held = find(keeper, viewer);

    if (held == NULL)
        return;
    close(held->fd);
    *held = keeper->held[--keeper->count];
}

static void leave_server(struct keeper *keeper)
{
    if (keeper->server >= 0)
        close(keeper->server);
    keeper->server = -1;
    keeper->alone_since_us = clock_monotonic_us();
}

/* What the server said.  False: it said goodbye. */
static bool listen_to_server(struct keeper *keeper)
{
    struct hold_message message;
    struct held *held;
    int fd;

    for (;;) {
        const int got = hold_receive(keeper->server, &message, &fd);
        if (got < 0)
            return true;
        if (got == 0) {
            leave_server(keeper);
            return true;
        }
        switch ((enum hold_type)message.type) {
        case HOLD_HOLD:
            if (fd >= 0)
                hold(keeper, &message, fd);
            break;
        case HOLD_START:
            held = find(keeper, message.viewer);
            if (held != NULL) {
                held->message.start = message.start;
                held->message.device = message.device;
                held->message.inode = message.inode;
            }
            break;
        case HOLD_DROP:
            drop(keeper, message.viewer);
            break;
        case HOLD_BYE:
            return false;
        case HOLD_END:
            break;
        }
    }
}

/* A new server gets everything. */
static void take_server(struct keeper *keeper)
{
    const struct hold_message end = { .type = HOLD_END };
    const struct timeval limit = { .tv_sec = SEND_MS / 1000 };
    struct ucred who;
    socklen_t size = sizeof(who);
    const int fd = accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 ||
        who.uid != geteuid()) {
        close(fd);
        return;
    }
    leave_server(keeper);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    for (size_t i = 0; i < keeper->count; i++) {
        if (hold_send(fd, &keeper->held[i].message, keeper->held[i].fd) < 0) {
            close(fd);
            return;
        }
    }
    if (hold_send(fd, &end, -1) < 0) {
        close(fd);
        return;
    }
    keeper->server = fd;
}

/* One round; false: it is over. */
static bool step(struct keeper *keeper)
{
    struct pollfd fds[2] = {
        { .fd = LISTENER_FD, .events = POLLIN },
        { .fd = keeper->server, .events = POLLIN },
    };

    if (keeper->server < 0 &&
        clock_monotonic_us() - keeper->alone_since_us > GRACE_US)
        return false;
    if (poll(fds, 2, keeper->server < 0 ? 100 : -1) < 0)
        return errno == EINTR;
    if (fds[1].revents != 0 && !listen_to_server(keeper))
        return false;
    if (fds[0].revents & (POLLNVAL | POLLERR))
        return false;
    if (fds[0].revents != 0)
        take_server(keeper);
    return true;
}

int hold_main(int argc, char **argv)
{
    struct keeper keeper = { .server = SERVER_FD };

    if (argc != 2 || chdir(argv[1]) < 0)
        return 2;
    prctl(PR_SET_NAME, HOLD_PROGRAM);
    while (step(&keeper))
        continue;
    /* Whoever ended it removes the name; a lonely end does so here. */
    if (keeper.server < 0) {
        struct sockaddr_storage name = { 0 };
        socklen_t size = sizeof(name);
        if (getsockname(LISTENER_FD, (struct sockaddr *)&name, &size) == 0) {
            const char *path = ((struct sockaddr *)&name)->sa_data;
            const char *slash = strrchr(path, '/');
            unlink(slash != NULL ? slash + 1 : path);
        }
    }
    for (size_t i = 0; i < keeper.count; i++) {
        shutdown(keeper.held[i].fd, SHUT_RDWR);
        close(keeper.held[i].fd);
    }
    free(keeper.held);
    return 0;
}
