/*
 * address: "HOST:PORT" and "unix:PATH", and the sockets that listen there.
 *
 * A Unix socket belongs to whoever holds the lock on PATH.lock: only then is
 * an old socket file removed, so that no second server steals the first one's
 * clients.  The lock file goes with its holder; who finds that the file it
 * locked is not the file of that name any more, tries again.
 */
#ifndef RV_RPC_ADDRESS_H
#define RV_RPC_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "err/err.h"

struct rpc_address {
    bool is_unix;
    char host[256]; /* brackets of IPv6 removed */
    char port[8];   /* 0..65535 */
    char path[108];
};

/* ERR_INPUT says what an address looks like. */
int rpc_address_parse(struct rpc_address *address, const char *text,
                      struct err *err);

/* A listening socket, not blocking; *lock_fd is -1 for TCP.  ERR_STATE: used.
 */
int rpc_address_listen(const struct rpc_address *address, int *lock_fd,
                       struct err *err);

/* "HOST:PORT" or "unix:PATH" of a bound socket. */
int rpc_address_of_socket(int fd, char *text, size_t size, struct err *err);

/* Removes socket and lock file of an address text, for the lock's holder. */
void rpc_address_unlink(const char *text);

/* A connected socket within the time, not blocking.  ERR_UNREACHABLE. */
int rpc_address_connect(const struct rpc_address *address, int timeout_ms,
                        struct err *err);

#endif
