/*
 * hold: viewers outlive rv-http.
 *
 * A small process, rv-hold, holds a copy of each viewer's socket.  When rv-http
 * is killed the connections stay, and the next rv-http of that name gets them
 * at <run>/<name>.hold and goes on at the very byte: the body is not chunked,
 * so what the kernel says was written is where the viewer is.
 *
 *   rv-http -> rv-hold   HOLD (with the socket), START, DROP, BYE
 *   rv-hold -> rv-http   HOLD (with the socket) for each one held, then END
 *
 * rv-hold knows nothing of HTTP.  It ends with its server's BYE, or when no
 * server has come for two seconds.  Without it (killed, or stopped so that
 * it takes no message) everything works, but viewers end with rv-http.
 */
#ifndef RV_HTTP_HOLD_H
#define RV_HTTP_HOLD_H

#include <stdint.h>
#include <sys/types.h>

#include "err/err.h"

#define HOLD_NOT_STARTED UINT64_MAX
#define HOLD_PROGRAM     "rv-hold"

enum hold_type { HOLD_HOLD = 1, HOLD_START, HOLD_DROP, HOLD_BYE, HOLD_END };

/* One message; which members count depends on the type. */
struct hold_message {
    uint32_t type;
    uint32_t header_size;   /* bytes in front of the body */
    uint64_t viewer;        /* number that the first server gave */
    uint64_t start;         /* ring offset of the first body byte */
    uint64_t device, inode; /* of the ring */
    int32_t channel;
    uint16_t port;
    uint16_t unused;
};

/* --- hold.c --------------------------------------------------------------- */

struct server;
struct conn;

/* Takes over what is held, or starts a new rv-hold.  Only warns. */
void hold_open(struct server *server, const char *name);
/* The viewers need no more holding. */
void hold_close(struct server *server);

void hold_viewer(struct server *server, struct conn *conn);
void hold_started(struct server *server, const struct conn *conn);
void hold_dropped(struct server *server, const struct conn *conn);

/* --- keeper.c: the process rv-hold ---------------------------------------- */

/* A message with a descriptor (-1: none); 0, or -1 when it did not go out. */
int hold_send(int socket, const struct hold_message *message, int fd);
/* 1: a message, 0: the other side is gone, -1: nothing there. */
int hold_receive(int socket, struct hold_message *message, int *fd);

/* argv: program, path of its socket's name; descriptors 3 and 4 are its server
 * and its listener. */
int hold_main(int argc, char **argv);

#endif
