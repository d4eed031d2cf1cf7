/*
 * h2conn: a socket, its TLS if any, and nghttp2's session, as one thing that
 * is fed and flushed.  Both ends use it.
 *
 * Never flush inside a callback of the session: mark the connection and flush
 * at the end of the round, or the session is used after it was freed.
 */
#ifndef RV_RPC_H2CONN_H
#define RV_RPC_H2CONN_H

#include <stdbool.h>

#include <nghttp2/nghttp2.h>

#include "rpc/tls.h"
#include "rpc/wire.h"

struct h2conn {
    int fd;
    nghttp2_session *session;
    struct rpc_tls *tls; /* NULL: plain */
    struct rpc_buf out;  /* for the socket */
    bool is_broken;      /* what came was no HTTP/2, or too much of it */
};

/* clang-format off */
#define H2CONN_EMPTY ((struct h2conn){ .fd = -1 })
/* clang-format on */

/*
 * Feeds the session with what has come, at most 64 KiB a call, so that others
 * get their turn.  The number of bytes, or -1 when the connection is over
 * (closed by the peer, or the session refused what came).
 */
int h2conn_receive(struct h2conn *conn);

/*
 * Writes what the session has to say until the socket would block.  The
 * number of bytes written, or -1 when the connection is over.
 */
int h2conn_flush(struct h2conn *conn);

/* Bytes wait for the socket. */
bool h2conn_is_blocked(const struct h2conn *conn);

/* Neither side has anything more to say. */
bool h2conn_is_finished(const struct h2conn *conn);

/* Closes the socket and frees session and buffers. */
void h2conn_close(struct h2conn *conn);

#endif
