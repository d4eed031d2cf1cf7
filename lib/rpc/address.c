/* address: parse, listen, connect; see address.h. */
#include "rpc/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/string.h>

#include "rpc/timers.h"

#define BACKLOG 128

static int parse_unix(struct rpc_address *address, const char *path,
                      struct err *err)
{
    address->is_unix = true;
    if (*path == '\0')
        return err_set(err, ERR_INPUT,
                       "address unix: without a path; give unix:PATH");
    if (strlcpy(address->path, path, sizeof(address->path)) >=
        sizeof(address->path))
        return err_set(
            err, ERR_INPUT,
            "socket %s: path longer than %zu bytes; choose a shorter one", path,
            sizeof(address->path) - 1);
    return 0;
}

int rpc_address_parse(struct rpc_address *address, const char *text,
                      struct err *err)
{
    *address = (struct rpc_address){ .is_unix = false };
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(address, text + 5, err);
    if (text[0] == '/')
        return parse_unix(address, text, err);

    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    const char *host = text;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        len = 0; /* an IPv6 address without brackets */
    }
    char *end = NULL;
    const unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (len == 0 || len >= sizeof(address->host) || colon[1] < '0' ||
        colon[1] > '9' || *end != '\0' || port > 65535)
        return err_set(
            err, ERR_INPUT,
            "address %s: give HOST:PORT, [IPV6]:PORT or unix:PATH, port 0 to 65535",
            text);
    memcpy(address->host, host, len);
    snprintf(address->port, sizeof(address->port), "%lu", port);
    return 0;
}

static int resolve(const struct rpc_address *address, int flags,
                   struct addrinfo **list, struct err *err)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = flags | AI_NUMERICSERV };
    const int rc = getaddrinfo(address->host, address->port, &hints, list);

    if (rc != 0)
        return err_set(err, ERR_UNREACHABLE, "host %s: %s", address->host,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return 0;
}

static int listen_tcp(const struct rpc_address *address, struct err *err)
{
    struct addrinfo *list = NULL;
    const int on = 1;
    int fd = -1;

    if (resolve(address, AI_PASSIVE, &list, err) < 0) {
        if (err)
            err->kind = ERR_INPUT;
        return -1;
    }
    for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
            listen(fd, BACKLOG) < 0) {
            const int number = errno;
            close(fd);
            fd = -1;
            errno = number;
        }
    }
    const int number = errno;
    freeaddrinfo(list);
    errno = number;
    if (fd < 0 && number == EADDRINUSE)
        return err_set(
            err, ERR_STATE,
            "%s:%s: in use by another program; stop it or choose another port",
            address->host, address->port);
    if (fd < 0 && number == EACCES)
        return err_set(
            err, ERR_STATE,
            "%s:%s: not allowed to listen there; choose a port above 1023",
            address->host, address->port);
    if (fd < 0)
        return err_errno(err, ERR_INPUT, "cannot listen on %s:%s",
                         address->host, address->port);
    return fd;
}

/* Takes the lock beside the socket; the descriptor, or -1. */
static int take_lock(const char *path, struct err *err)
{
    char lock_path[sizeof(((struct rpc_address *)NULL)->path) + 8];

    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    for (int attempt = 0; attempt < 8; attempt++) {
        struct stat locked;
        struct stat named;
        const int fd =
            open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_errno(err, ERR_INPUT, "lock %s", lock_path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            close(fd);
            return err_set(
                err, ERR_STATE,
                "socket %s: in use by another server, which holds %s; stop it or "
                "choose another path",
                path, lock_path);
        }
        if (fstat(fd, &locked) == 0 && stat(lock_path, &named) == 0 &&
            locked.st_ino == named.st_ino && locked.st_dev == named.st_dev)
            return fd;
        close(fd); /* its holder removed it meanwhile */
    }
    return err_set(err, ERR_STATE, "lock %s: changes hands all the time",
                   lock_path);
}

static struct sockaddr_un unix_name(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    memcpy(name.sun_path, path, strlen(path) + 1);
    return name;
}

static int bind_unix(const char *path, struct err *err)
{
    const struct sockaddr_un name = unix_name(path);
    struct stat st;

    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(
                err, ERR_INPUT,
                "socket %s: something else is there; remove it or choose another path",
                path);
        if (unlink(path) < 0)
            return err_errno(err, ERR_INPUT, "old socket %s", path);
    }
    const int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, ERR_SYSTEM, "socket %s", path);
    const mode_t mask = umask(0177);
    const int rc = bind(fd, (const struct sockaddr *)&name, sizeof(name));
    const int number = errno;
    umask(mask);
    errno = number;
    if (rc < 0 || listen(fd, BACKLOG) < 0) {
        err_errno(err, ERR_INPUT, "socket %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

int rpc_address_listen(const struct rpc_address *address, int *lock_fd,
                       struct err *err)
{
    *lock_fd = -1;
    if (!address->is_unix)
        return listen_tcp(address, err);
    *lock_fd = take_lock(address->path, err);
    if (*lock_fd < 0)
        return -1;
    const int fd = bind_unix(address->path, err);
    if (fd < 0) {
        char text[128];
        snprintf(text, sizeof(text), "%s.lock", address->path);
        unlink(text);
        close(*lock_fd);
        *lock_fd = -1;
    }
    return fd;
}

int rpc_address_of_socket(int fd, char *text, size_t size, struct err *err)
{
    struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(name);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return err_errno(err, ERR_INPUT, "descriptor %d", fd);
    if (name.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&name;
        snprintf(text, size, "unix:%.*s", (int)sizeof(un->sun_path),
                 un->sun_path);
        return 0;
    }
    const int rc =
        getnameinfo((const struct sockaddr *)&name, len, host, sizeof(host),
                    port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "descriptor %d: no network socket: %s",
                       fd, gai_strerror(rc));
    snprintf(text, size, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
    return 0;
}

void rpc_address_unlink(const char *text)
{
    char lock_path[256];

    if (strncmp(text, "unix:", 5) != 0)
        return;
    unlink(text + 5);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", text + 5);
    unlink(lock_path);
}

/* Waits until a connect in progress is through; 0 or an errno. */
static int connected(int fd, int64_t until_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int number = 0;
    socklen_t len = sizeof(number);

    for (;;) {
        const int64_t left = until_ms - rpc_now_ms();
        const int rc = poll(&p, 1, left > 0 ? (int)left : 0);
        if (rc == 0)
            return ETIMEDOUT;
        if (rc > 0)
            break;
        if (errno != EINTR)
            return errno;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) < 0)
        return errno;
    return number;
}

static int try_connect(int family, const struct sockaddr *name, socklen_t len,
                       int64_t until_ms)
{
    const int on = 1;
    const int fd =
        socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    int number = connect(fd, name, len) < 0 ? errno : 0;
    if (number == EINPROGRESS || number == EINTR)
        number = connected(fd, until_ms);
    if (number != 0) {
        close(fd);
        errno = number;
        return -1;
    }
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int rpc_address_connect(const struct rpc_address *address, int timeout_ms,
                        struct err *err)
{
    const int64_t until_ms = rpc_now_ms() + timeout_ms;
    struct addrinfo *list = NULL;
    int fd = -1;

    if (address->is_unix) {
        const struct sockaddr_un name = unix_name(address->path);
        fd = try_connect(AF_UNIX, (const struct sockaddr *)&name, sizeof(name),
                         until_ms);
        if (fd < 0)
            err_errno(err, ERR_UNREACHABLE, "no server at unix:%s",
                      address->path);
        return fd;
    }
    if (resolve(address, 0, &list, err) < 0)
        return -1;
    for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next)
        fd = try_connect(ai->ai_family, ai->ai_addr, ai->ai_addrlen, until_ms);
    if (fd < 0)
        err_errno(err, ERR_UNREACHABLE, "no server at %s:%s", address->host,
                  address->port);
    freeaddrinfo(list);
    return fd;
}
