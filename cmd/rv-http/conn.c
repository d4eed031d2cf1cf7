/*
 * conn: a connection from its first byte to its last.  Every state has a
 * deadline, so whoever comes and says nothing, or little by little, goes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

#define HEARD_MAX    65536  /* bytes behind the request */
#define UNSENT_MAX   262144 /* the ring holds the rest, not the kernel */
#define IDLE_SECONDS 30     /* then the kernel asks whether they are there */

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Service Unavailable";
    }
}

static struct conn_list *list_of(struct server *server, struct conn *conn)
{
    switch (conn->state) {
    case READING:
        return &server->reading;
    case WAITING:
    case STREAMING:
        return &conn->channel->viewers;
    case ANSWERING:
    case ENDING:
        return &server->answering;
    case DEAD:
        break;
    }
    return &server->dead;
}

/* Off its list, with what belonged to that state. */
static void unlist(struct server *server, struct conn *conn)
{
    TAILQ_REMOVE(list_of(server, conn), conn, link);
    if (conn->state == READING) {
        server->reading_count--;
        request_free(conn->request);
        conn->request = NULL;
    } else if (conn->state == WAITING || conn->state == STREAMING) {
        viewer_leave(server, conn);
    }
}

static void relist(struct server *server, struct conn *conn,
                   enum conn_state state, int64_t within_us)
{
    unlist(server, conn);
    conn->state = state;
    conn->deadline_us = clock_monotonic_us() + within_us;
    TAILQ_INSERT_TAIL(list_of(server, conn), conn, link);
}

void conn_drop(struct server *server, struct conn *conn)
{
    if (conn->state == DEAD)
        return;
    unlist(server, conn);
    /* rv-hold may have the socket too: close() alone neither ends the
     * connection nor takes it out of epoll. */
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
    shutdown(conn->fd, SHUT_RDWR);
    close(conn->fd);
    server->conn_count--;
    conn->state = DEAD;
    TAILQ_INSERT_TAIL(&server->dead, conn, link);
}

void conn_bury(struct server *server)
{
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE(conn, &server->dead, link, next)
    {
        TAILQ_REMOVE(&server->dead, conn, link);
        free(conn->out);
        free(conn);
    }
}

void conn_end(struct server *server, struct conn *conn)
{
    relist(server, conn, ENDING, HTTP_ENDING_US);
    shutdown(conn->fd, SHUT_WR);
}

/* --- answers -------------------------------------------------------------- */

static void answer_more(struct server *server, struct conn *conn)
{
    while (conn->can_write && conn->out_sent < conn->out_size) {
        const ssize_t n = send(conn->fd, conn->out + conn->out_sent,
                               conn->out_size - conn->out_sent, MSG_NOSIGNAL);
        if (n >= 0) {
            conn->out_sent += (size_t)n;
        } else if (errno == EAGAIN) {
            conn->can_write = false;
        } else if (errno != EINTR) {
            conn_drop(server, conn);
            return;
        }
    }
    if (conn->out_sent == conn->out_size)
        conn_end(server, conn);
}

void conn_answer(struct server *server, struct conn *conn, int status,
                 const char *type, char *body, size_t size, bool is_head)
{
    char *out = NULL;

    if (body != NULL) {
        const int n = asprintf(
            &out,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n"
            "X-Content-Type-Options: nosniff\r\n%s%s"
            "Connection: close\r\n\r\n%s",
            status, status_text(status), type, size,
            status == 405 ? "Allow: GET, HEAD\r\n" : "",
            status == 503 ? "Retry-After: 5\r\n" : "", is_head ? "" : body);
        if (n < 0)
            out = NULL;
        free(body);
    }
    if (out == NULL) {
        conn_drop(server, conn);
        return;
    }
    conn->out = out;
    conn->out_size = strlen(out);
    conn->out_sent = 0;
    relist(server, conn, ANSWERING, HTTP_ANSWER_US);
    answer_more(server, conn);
}

void conn_refuse(struct server *server, struct conn *conn, int status,
                 const char *fmt, ...)
{
    char text[512];
    char *body = NULL;
    va_list ap;
    const bool is_head = conn->request && request_is_head(conn->request);

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (asprintf(&body, "%s\n", text) < 0)
        body = NULL;
    conn_answer(server, conn, status, "text/plain; charset=utf-8", body,
                body ? strlen(body) : 0, is_head);
}

/* --- requests ------------------------------------------------------------- */

static void open_channel(struct server *server, struct conn *conn, int32_t id)
{
    struct channel *channel = channel_find(server, id, conn->port);

    if (channel == NULL) {
        conn_refuse(server, conn, 404,
                    "channel %d is not on the air here; start it, or look at "
                    "/ for those that are",
                    (int)id);
        return;
    }
    if (request_is_head(conn->request)) {
        free(conn->out);
        conn->out = strdup(viewer_header);
        conn->out_size = conn->out ? strlen(conn->out) : 0;
        relist(server, conn, ANSWERING, HTTP_ANSWER_US);
        answer_more(server, conn);
        return;
    }
    if (server->viewer_count >= server->max_viewers) {
        conn_refuse(server, conn, 503,
                    "%lld viewers are here and no more are let in; come back "
                    "later",
                    (long long)server->viewer_count);
        return;
    }
    unlist(server, conn);
    viewer_join(server, conn, channel);
}

static void dispatch(struct server *server, struct conn *conn)
{
    const bool is_head = request_is_head(conn->request);
    const char *path = request_path(conn->request);
    const int32_t id = request_channel(conn->request);

    if (!is_head && !request_is_get(conn->request))
        conn_refuse(server, conn, 405,
                    "this method is not for here; use GET or HEAD");
    else if (id > 0)
        open_channel(server, conn, id);
    else if (strcmp(path, "/") == 0)
        page_list(server, conn, is_head);
    else if (strcmp(path, "/healthz") == 0)
        page_health(server, conn, is_head);
    else
        conn_refuse(server, conn, 404,
                    "there is nothing at this address; ask for "
                    "/channel/N.ts, / or /healthz");
}

/* What comes behind the request is not for us. */
static void ignore_input(struct server *server, struct conn *conn)
{
    char bytes[4096];

    while (conn->heard < HEARD_MAX) {
        const ssize_t n = recv(conn->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0) {
            conn->heard += (uint32_t)n;
            continue;
        }
        /* The end of what they say; a viewer may still listen. */
        if (n < 0 || conn->state == ENDING)
            conn_drop(server, conn);
        return;
    }
    conn_drop(server, conn);
}

static void read_request(struct server *server, struct conn *conn)
{
    char bytes[4096];
    const char *why = "";
    int status = 400;

    while (conn->state == READING) { /* HTTP_HEADER_MAX bounds it */
        const ssize_t n = recv(conn->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_drop(server, conn);
            return;
        }
        switch (request_feed(conn->request, bytes, (size_t)n, &status, &why)) {
        case REQUEST_MORE:
            break;
        case REQUEST_WHOLE:
            dispatch(server, conn);
            break;
        case REQUEST_WRONG:
            conn_refuse(server, conn, status, "%s", why);
            break;
        }
    }
    /* What is left unread would turn our close into a reset. */
    if (conn->state != DEAD)
        ignore_input(server, conn);
}

static void set_options(int fd)
{
    const int on = 1, idle = IDLE_SECONDS, unsent = UNSENT_MAX;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

/* A connection that epoll watches; NULL: no memory. */
static struct conn *watch(struct server *server, int fd, uint16_t port)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    struct epoll_event event = { .events =
                                     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = conn };

    if (conn == NULL)
        return NULL;
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(conn);
        return NULL;
    }
    conn->source = SOURCE_CONN;
    conn->fd = fd;
    conn->port = port;
    conn->can_write = true;
    server->conn_count++;
    return conn;
}

struct conn *conn_restore(struct server *server, int fd, uint16_t port)
{
    return watch(server, fd, port);
}

void conn_new(struct server *server, int fd, uint16_t port)
{
    struct request *request = request_new();
    struct conn *conn = request ? watch(server, fd, port) : NULL;

    if (conn == NULL) {
        request_free(request);
        close(fd);
        return;
    }
    set_options(fd);
    if (server->reading_count >= HTTP_READING_MAX)
        conn_drop(server, TAILQ_FIRST(&server->reading));
    conn->request = request;
    conn->state = READING;
    conn->deadline_us = clock_monotonic_us() + HTTP_HEADER_US;
    TAILQ_INSERT_TAIL(&server->reading, conn, link);
    server->reading_count++;
    read_request(server, conn); /* mostly it is there already */
}

void conn_event(struct server *server, struct conn *conn, uint32_t events)
{
    if (conn->state == DEAD)
        return; /* dropped earlier in this round */
    if (events & (EPOLLERR | EPOLLHUP)) {
        conn_drop(server, conn);
        return;
    }
    if (events & EPOLLOUT)
        conn->can_write = true;
    if (events & (EPOLLIN | EPOLLRDHUP)) {
        if (conn->state == READING)
            read_request(server, conn);
        else
            ignore_input(server, conn);
    }
    if ((events & EPOLLOUT) == 0)
        return;
    if (conn->state == WAITING || conn->state == STREAMING)
        viewer_send(server, conn);
    else if (conn->state == ANSWERING)
        answer_more(server, conn);
}

/* --- time-outs ------------------------------------------------------------ */

void conn_sweep(struct server *server, int64_t now_us)
{
    struct channel *channel;
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE(conn, &server->reading, link, next)
    {
        if (conn->deadline_us > now_us)
            break; /* they came in this order */
        conn_refuse(server, conn, 408,
                    "no whole request within 10 s; send it at once");
    }
    TAILQ_FOREACH_SAFE(conn, &server->answering, link, next)
    {
        if (conn->deadline_us <= now_us)
            conn_drop(server, conn);
    }
    TAILQ_FOREACH(channel, &server->channels, link)
    {
        TAILQ_FOREACH_SAFE(conn, &channel->viewers, link, next)
        {
            if (conn->state == WAITING && conn->deadline_us <= now_us)
                conn_end(server, conn);
        }
    }
}
