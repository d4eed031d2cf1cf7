/* hold: rv-http's side of rv-hold. */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http.h"
#include "log/log.h"

#define ANSWER_MS 1000 /* rv-hold's time to give what it holds */
#define BYE_MS    200
#define TELL_US   100000 /* a stopped rv-hold costs this once */

extern char **environ;

/* <run>/<name>.hold through a descriptor of <run>: run folders may be longer
 * than the name of a socket. */
static int socket_name(int folder, const char *name, struct sockaddr_un *to)
{
    *to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    const int n = snprintf(to->sun_path, sizeof(to->sun_path),
                           "/proc/self/fd/%d/%s.hold", folder, name);
    return n < (int)sizeof(to->sun_path) ? 0 : -1;
}

/* --- taking over ---------------------------------------------------------- */

/* Bytes that were ever written to the socket. */
static int written(int fd, uint64_t *bytes)
{
    struct tcp_info info = { .tcpi_state = 0 };
    socklen_t size = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
        size < offsetof(struct tcp_info, tcpi_bytes_retrans) +
                   sizeof(info.tcpi_bytes_retrans))
        return -1;
    *bytes = info.tcpi_bytes_sent - info.tcpi_bytes_retrans +
             info.tcpi_notsent_bytes;
    return 0;
}

/* The viewer goes on where it is; -1 when its stream is no more. */
static int restore(struct server *server, const struct hold_message *message,
                   int fd)
{
    struct channel *channel =
        channel_find(server, message->channel, message->port);
    uint64_t bytes;

    if (channel == NULL || message->header_size != strlen(viewer_header) ||
        (message->start != HOLD_NOT_STARTED &&
         (channel->ring.head == NULL || channel->inode != message->inode ||
          channel->device != message->device)) ||
        written(fd, &bytes) < 0)
        return -1;
    const uint64_t header =
        bytes < message->header_size ? bytes : message->header_size;
    struct conn *conn = conn_restore(server, fd, message->port);
    if (conn == NULL)
        return -1;
    conn->viewer = message->viewer;
    conn->header_sent = (uint32_t)header;
    if (message->start != HOLD_NOT_STARTED)
        conn->offset = message->start + (bytes - header);
    viewer_restore(server, conn, channel, message->start != HOLD_NOT_STARTED);
    return 0;
}

/* 0 when all has come. */
static int take_over(struct server *server)
{
    struct pollfd poll_fd = { .fd = server->hold, .events = POLLIN };
    struct hold_message message = { .type = 0 };
    int64_t kept = 0, lost = 0;
    int fd;

    while (message.type != HOLD_END && poll(&poll_fd, 1, ANSWER_MS) == 1) {
        if (hold_receive(server->hold, &message, &fd) <= 0)
            break;
        if (message.type != HOLD_HOLD || fd < 0)
            continue;
        if (message.viewer >= server->next_viewer)
            server->next_viewer = message.viewer + 1;
        if (restore(server, &message, fd) == 0) {
            kept++;
            continue;
        }
        lost++;
        shutdown(fd, SHUT_RDWR);
        close(fd);
        struct hold_message drop = message;
        drop.type = HOLD_DROP;
        (void)hold_send(server->hold, &drop, -1);
    }
    if (kept + lost > 0)
        log_info(NULL, "%lld viewers taken over, %lld ended", (long long)kept,
                 (long long)lost);
    return message.type == HOLD_END ? 0 : -1;
}

static int connect_to(const struct sockaddr_un *name)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd >= 0 &&
        connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* --- starting ------------------------------------------------------------- */

static int spawn(const char *run_dir, int server_fd, int listener)
{
    char *const argv[] = { (char[]){ HOLD_PROGRAM }, (char *)(uintptr_t)run_dir,
                           NULL };
    /* Out of the way: one must not land on the other's number. */
    const int high_server = fcntl(server_fd, F_DUPFD_CLOEXEC, 16);
    const int high_listener = fcntl(listener, F_DUPFD_CLOEXEC, 16);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, high_server, 3);
    posix_spawn_file_actions_adddup2(&actions, high_listener, 4);
    posix_spawn_file_actions_addclosefrom_np(&actions, 5);
    /* A signal to our terminal's group is not for it. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    const int rc = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes,
                               argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(high_server);
    close(high_listener);
    return rc == 0 ? 0 : -1;
}

static int start(struct server *server, const struct sockaddr_un *name)
{
    int pair[2] = { -1, -1 };
    const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int rc = -1;

    unlink(name->sun_path); /* of one that was killed */
    if (listener >= 0 &&
        bind(listener, (const struct sockaddr *)name, sizeof(*name)) == 0 &&
        listen(listener, 4) == 0 &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
        rc = spawn(server->run_dir, pair[1], listener);
    if (rc == 0)
        server->hold = pair[0];
    else if (pair[0] >= 0)
        close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
    if (listener >= 0)
        close(listener);
    return rc;
}

static void forget(struct server *server)
{
    if (server->hold >= 0)
        close(server->hold);
    server->hold = -1;
}

void hold_open(struct server *server, const char *name)
{
    const struct timeval limit = { .tv_usec = TELL_US };
    struct sockaddr_un address;

    signal(SIGCHLD, SIG_IGN); /* rv-hold may end before us: no zombie */
    server->hold = -1;
    server->hold_folder =
        open(server->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server->hold_folder < 0 ||
        socket_name(server->hold_folder, name, &address) < 0)
        return;
    server->hold_name = name;
    server->hold = connect_to(&address);
    if (server->hold >= 0 && take_over(server) < 0)
        forget(server); /* it ended, or stands still */
    if (server->hold < 0 && start(server, &address) < 0)
        log_warn(NULL, "rv-hold cannot be started (%s): viewers end with us",
                 strerror(errno));
    if (server->hold >= 0)
        setsockopt(server->hold, SOL_SOCKET, SO_SNDTIMEO, &limit,
                   sizeof(limit));
}

void hold_close(struct server *server)
{
    const struct hold_message bye = { .type = HOLD_BYE };
    struct pollfd poll_fd = { .fd = server->hold, .events = POLLIN };
    struct sockaddr_un address;

    if (server->hold >= 0 && hold_send(server->hold, &bye, -1) == 0)
        poll(&poll_fd, 1, BYE_MS); /* it hangs up */
    /* Also of one that was killed, which cannot do it. */
    if (server->hold_name != NULL &&
        socket_name(server->hold_folder, server->hold_name, &address) == 0)
        unlink(address.sun_path);
    forget(server);
    if (server->hold_folder >= 0)
        close(server->hold_folder);
    server->hold_folder = -1;
}

/* --- viewers -------------------------------------------------------------- */

static void tell(struct server *server, const struct hold_message *message,
                 int fd)
{
    if (server->hold < 0 || hold_send(server->hold, message, fd) == 0)
        return;
    log_warn(NULL, "rv-hold takes no message: viewers end with us from now on");
    forget(server);
}

void hold_viewer(struct server *server, struct conn *conn)
{
    conn->viewer = server->next_viewer++;
    const struct hold_message message = {
        .type = HOLD_HOLD,
        .viewer = conn->viewer,
        .header_size = (uint32_t)strlen(viewer_header),
        .start = HOLD_NOT_STARTED,
        .channel = conn->channel->id,
        .port = conn->port,
    };
    tell(server, &message, conn->fd);
}

void hold_started(struct server *server, const struct conn *conn)
{
    const struct hold_message message = {
        .type = HOLD_START,
        .viewer = conn->viewer,
        .start = conn->offset,
        .device = conn->channel->device,
        .inode = conn->channel->inode,
    };
    tell(server, &message, -1);
}

void hold_dropped(struct server *server, const struct conn *conn)
{
    const struct hold_message message = { .type = HOLD_DROP,
                                          .viewer = conn->viewer };
    tell(server, &message, -1);
}
