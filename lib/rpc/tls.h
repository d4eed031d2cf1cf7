/*
 * tls: OpenSSL over memory, so that a connection reads and writes its socket
 * itself and SSL_write can raise no SIGPIPE.  A peer must choose "h2" by ALPN.
 */
#ifndef RV_RPC_TLS_H
#define RV_RPC_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "rpc/wire.h"

struct ssl_ctx_st;
struct rpc_tls;

/* A server's certificate and key; free with rpc_tls_context_free(). */
struct ssl_ctx_st *rpc_tls_context_new(const char *certificate, const char *key,
                                       const char *client_ca, struct err *err);
void rpc_tls_context_free(struct ssl_ctx_st *context);

struct rpc_tls *rpc_tls_new(struct ssl_ctx_st *context);
void rpc_tls_free(struct rpc_tls *tls);

/* The handshake is through and chose h2. */
bool rpc_tls_is_ready(const struct rpc_tls *tls);

/* Bytes from the socket; -1 when memory is short. */
int rpc_tls_feed(struct rpc_tls *tls, const uint8_t *data, size_t size);

/* Plain bytes: > 0, 0 when more from the socket is needed, -1 on failure. */
int rpc_tls_read(struct rpc_tls *tls, uint8_t *data, size_t size);

/* Encrypts; call it only when ready.  -1 on failure. */
int rpc_tls_write(struct rpc_tls *tls, const uint8_t *data, size_t size);

/* Moves what is for the socket behind `out`; -1 when memory is short. */
int rpc_tls_drain(struct rpc_tls *tls, struct rpc_buf *out);

#endif
