/*
 * wire: what gRPC lays on top of HTTP/2, as pure functions over bytes.
 *
 *     message = compressed flag (1 byte, 0 or 1)
 *               length          (4 bytes, big endian)
 *               bytes           (length)
 *
 * Source: the gRPC over HTTP2 specification (PROTOCOL-HTTP2.md).  Everything
 * here reads hostile bytes; nothing allocates before a length was checked.
 */
#ifndef RV_RPC_WIRE_H
#define RV_RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "err/err.h"

#define RPC_PREFIX_BYTES 5

/* google.rpc.Code, the ones that are used here by name. */
enum rpc_status {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_STATUS_MAX = 16
};

/* A growing byte buffer; bytes before `start` are used up. */
struct rpc_buf {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t cap;
};

/* clang-format off */
#define RPC_BUF_EMPTY ((struct rpc_buf){ .data = NULL })
/* clang-format on */

static inline size_t rpc_buf_size(const struct rpc_buf *buf)
{
    return buf->end - buf->start;
}

/* Adds bytes; -1 when memory is short. */
int rpc_buf_add(struct rpc_buf *buf, const void *data, size_t size);
void rpc_buf_drop(struct rpc_buf *buf, size_t size);
void rpc_buf_clear(struct rpc_buf *buf);

/* Adds one message with its prefix, not compressed; -1 when memory is short. */
int rpc_buf_add_message(struct rpc_buf *buf, const ProtobufCMessage *message);

/*
 * Looks for a whole message at the front of what has come.  `gives` the
 * payload: *payload points into `in` or, after inflating, into `*unpacked`,
 * which the caller frees (it may be NULL).  *used is what to drop afterwards.
 *
 * 1: a message; 0: more bytes are needed; -1: ERR_LIMIT when it is or would
 * be longer than max_bytes (said before the bytes came), ERR_INPUT else.
 */
int rpc_deframe(const struct rpc_buf *in, size_t max_bytes, bool is_gzip,
                const uint8_t **payload, size_t *size, uint8_t **unpacked,
                size_t *used, struct err *err);

/* Inflates gzip of at most max_bytes into *out (gives, malloc). */
int rpc_gunzip(const uint8_t *data, size_t size, size_t max_bytes,
               uint8_t **out, size_t *out_size, struct err *err);

/* "grpc-timeout": up to 8 digits and a unit H M S m u n.  -1 if it is not. */
int64_t rpc_timeout_parse(const char *text, size_t size);

/* Milliseconds as a grpc-timeout; text of at least 16 bytes. */
void rpc_timeout_format(int64_t ms, char *text, size_t size);

/*
 * Percent-encoding of grpc-message; cut at a whole character when `size` is
 * short.  Decoding never fails: what is no %XX stays as it is.
 */
void rpc_percent_encode(const char *text, char *out, size_t size);
void rpc_percent_decode(const char *text, size_t len, char *out, size_t size);

/*
 * Base64 of a "-bin" value, padded or not.  Gives the number of bytes, at
 * most `size`, or -1 if it is no base64 or too long.
 */
int rpc_base64_decode(const char *text, uint8_t *out, size_t size);

/* A status of the peer's as an error kind; unknown codes are ERR_SYSTEM. */
enum err_kind rpc_kind_of_status(int status);

#endif
