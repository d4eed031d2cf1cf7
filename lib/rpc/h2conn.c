/* h2conn: bytes between a socket and nghttp2's session; see h2conn.h. */
#include "rpc/h2conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES  16384
#define READ_ROUNDS 4
#define OUT_BYTES   32768 /* fetched from the session before a write */

static int feed_session(struct h2conn *conn, const uint8_t *data, size_t size)
{
    if (nghttp2_session_mem_recv(conn->session, data, size) == (ssize_t)size)
        return 0;
    conn->is_broken = true;
    return -1;
}

static int feed_tls(struct h2conn *conn, const uint8_t *data, size_t size)
{
    uint8_t plain[READ_BYTES];
    int n = 0;

    if (rpc_tls_feed(conn->tls, data, size) < 0)
        return -1;
    while ((n = rpc_tls_read(conn->tls, plain, sizeof(plain))) > 0) {
        if (feed_session(conn, plain, (size_t)n) < 0)
            return -1;
    }
    return n;
}

int h2conn_receive(struct h2conn *conn)
{
    uint8_t data[READ_BYTES];
    int total = 0;

    for (int round = 0; round < READ_ROUNDS; round++) {
        const ssize_t n = recv(conn->fd, data, sizeof(data), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0)
            return -1;
        total += (int)n;
        const int rc = conn->tls ? feed_tls(conn, data, (size_t)n)
                                 : feed_session(conn, data, (size_t)n);
        if (rc < 0)
            return -1;
        if (n < (ssize_t)sizeof(data))
            break;
    }
    return total;
}

/* Fetches from the session; 0 when it has nothing more to say. */
static int fill_out(struct h2conn *conn)
{
    if (conn->tls && !rpc_tls_is_ready(conn->tls))
        return rpc_tls_drain(conn->tls, &conn->out);
    while (rpc_buf_size(&conn->out) < OUT_BYTES) {
        const uint8_t *data = NULL;
        const ssize_t n = nghttp2_session_mem_send(conn->session, &data);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        const int rc = conn->tls ? rpc_tls_write(conn->tls, data, (size_t)n)
                                 : rpc_buf_add(&conn->out, data, (size_t)n);
        if (rc < 0 || (conn->tls && rpc_tls_drain(conn->tls, &conn->out) < 0))
            return -1;
    }
    return conn->tls ? rpc_tls_drain(conn->tls, &conn->out) : 0;
}

int h2conn_flush(struct h2conn *conn)
{
    int total = 0;

    for (;;) {
        if (fill_out(conn) < 0)
            return -1;
        const size_t size = rpc_buf_size(&conn->out);
        if (size == 0)
            return total;
        const ssize_t n = send(conn->fd, conn->out.data + conn->out.start, size,
                               MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return total;
        if (n < 0)
            return -1;
        rpc_buf_drop(&conn->out, (size_t)n);
        total += (int)n;
    }
}

bool h2conn_is_blocked(const struct h2conn *conn)
{
    return rpc_buf_size(&conn->out) > 0;
}

bool h2conn_is_finished(const struct h2conn *conn)
{
    return !h2conn_is_blocked(conn) &&
           !nghttp2_session_want_read(conn->session) &&
           !nghttp2_session_want_write(conn->session);
}

void h2conn_close(struct h2conn *conn)
{
    nghttp2_session_del(conn->session);
    rpc_tls_free(conn->tls);
    rpc_buf_clear(&conn->out);
    if (conn->fd >= 0)
        close(conn->fd);
    *conn = H2CONN_EMPTY;
}
