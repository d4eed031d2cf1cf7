/* wire: gRPC's framing, timeouts and text encodings; see wire.h. */
#include "rpc/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

int rpc_buf_add(struct rpc_buf *buf, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    if (buf->start > 0 && buf->end + size > buf->cap) {
        memmove(buf->data, buf->data + buf->start, rpc_buf_size(buf));
        buf->end -= buf->start;
        buf->start = 0;
    }
    if (buf->end + size > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 256;
        while (cap < buf->end + size)
            cap *= 2;
        uint8_t *grown = realloc(buf->data, cap);
        if (grown == NULL)
            return -1;
        buf->data = grown;
        buf->cap = cap;
    }
    memcpy(buf->data + buf->end, data, size);
    buf->end += size;
    return 0;
}

void rpc_buf_drop(struct rpc_buf *buf, size_t size)
{
    buf->start += size;
    if (buf->start >= buf->end)
        buf->start = buf->end = 0;
}

void rpc_buf_clear(struct rpc_buf *buf)
{
    free(buf->data);
    *buf = RPC_BUF_EMPTY;
}

int rpc_buf_add_message(struct rpc_buf *buf, const ProtobufCMessage *message)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t prefix[RPC_PREFIX_BYTES] = { 0, (uint8_t)(size >> 24),
                                         (uint8_t)(size >> 16),
                                         (uint8_t)(size >> 8), (uint8_t)size };

    if (size > UINT32_MAX)
        return -1;
    uint8_t *packed = malloc(size ? size : 1);
    if (packed == NULL)
        return -1;
    protobuf_c_message_pack(message, packed);
    int rc = rpc_buf_add(buf, prefix, sizeof(prefix));
    if (rc == 0 && rpc_buf_add(buf, packed, size) < 0) {
        buf->end -= sizeof(prefix);
        rc = -1;
    }
    free(packed);
    return rc;
}

int rpc_deframe(const struct rpc_buf *in, size_t max_bytes, bool is_gzip,
                const uint8_t **payload, size_t *size, uint8_t **unpacked,
                size_t *used, struct err *err)
{
    *unpacked = NULL;
    if (rpc_buf_size(in) < RPC_PREFIX_BYTES)
        return 0;
    const uint8_t *p = in->data + in->start;
    const uint32_t length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 |
                            (uint32_t)p[3] << 8 | p[4];
    if (p[0] > 1)
        return err_set(err, ERR_INPUT,
                       "message: compressed flag is %u; it must be 0 or 1",
                       p[0]);
    if (p[0] == 1 && !is_gzip)
        return err_set(err, ERR_INPUT,
                       "message: compressed without grpc-encoding: gzip");
    if (length > max_bytes)
        return err_set(err, ERR_LIMIT,
                       "message: %u bytes; at most %zu are allowed", length,
                       max_bytes);
    if (rpc_buf_size(in) - RPC_PREFIX_BYTES < length)
        return 0;
    *used = RPC_PREFIX_BYTES + length;
    *payload = p + RPC_PREFIX_BYTES;
    *size = length;
    if (p[0] == 1) {
        if (rpc_gunzip(*payload, length, max_bytes, unpacked, size, err) < 0)
            return -1;
        *payload = *unpacked;
    }
    return 1;
}

int rpc_gunzip(const uint8_t *data, size_t size, size_t max_bytes,
               uint8_t **out, size_t *out_size, struct err *err)
{
    struct rpc_buf buf = RPC_BUF_EMPTY;
    z_stream z = { .next_in = (Bytef *)(uintptr_t)data,
                   .avail_in = (uInt)size };
    uint8_t chunk[4096];
    int state = Z_OK;
    int rc = -1;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return err_set(err, ERR_SYSTEM, "gzip: no memory");
    do {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        state = inflate(&z, Z_NO_FLUSH);
        const size_t got = sizeof(chunk) - z.avail_out;
        if (rpc_buf_size(&buf) + got > max_bytes) {
            err_set(err, ERR_LIMIT,
                    "message: unpacks to more than %zu bytes, the most allowed",
                    max_bytes);
            goto out;
        }
        if (rpc_buf_add(&buf, chunk, got) < 0) {
            err_set(err, ERR_SYSTEM, "gzip: no memory");
            goto out;
        }
    } while (state == Z_OK);
    if (state != Z_STREAM_END) {
        err_set(err, ERR_INPUT, "message: not valid gzip");
        goto out;
    }
    *out = buf.data ? buf.data : calloc(1, 1);
    *out_size = buf.end;
    buf = RPC_BUF_EMPTY;
    rc = 0;
out:
    inflateEnd(&z);
    rpc_buf_clear(&buf);
    return rc;
}

int64_t rpc_timeout_parse(const char *text, size_t size)
{
    int64_t value = 0;

    if (size < 2 || size > 9)
        return -1;
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    switch (text[size - 1]) {
    case 'H':
        return value * 3600000;
    case 'M':
        return value * 60000;
    case 'S':
        return value * 1000;
    case 'm':
        return value;
    case 'u':
        return (value + 999) / 1000;
    case 'n':
        return (value + 999999) / 1000000;
    }
    return -1;
}

void rpc_timeout_format(int64_t ms, char *text, size_t size)
{
    if (ms < 0)
        ms = 0;
    if (ms <= 99999999)
        snprintf(text, size, "%dm", (int)ms);
    else
        snprintf(text, size, "%dS",
                 (int)(ms / 1000 <= 99999999 ? ms / 1000 : 99999999));
}

/* Bytes of the character at `c`, for cutting at a whole one. */
static size_t char_bytes(const char *c)
{
    size_t n = 1;
    while (n < 4 && ((unsigned char)c[n] & 0xc0) == 0x80)
        n++;
    return n;
}

void rpc_percent_encode(const char *text, char *out, size_t size)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t used = 0;

    while (*text) {
        const size_t bytes = char_bytes(text);
        char buf[13];
        size_t n = 0;
        for (size_t i = 0; i < bytes; i++) {
            const unsigned char c = (unsigned char)text[i];
            if (c >= 0x20 && c <= 0x7e && c != '%') {
                buf[n++] = (char)c;
            } else {
                buf[n++] = '%';
                buf[n++] = HEX[c >> 4];
                buf[n++] = HEX[c & 15];
            }
        }
        if (used + n + 1 > size)
            break;
        memcpy(out + used, buf, n);
        used += n;
        text += bytes;
    }
    if (size > 0)
        out[used] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void rpc_percent_decode(const char *text, size_t len, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < len && used + 1 < size; i++) {
        if (text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            out[used++] =
                (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        } else {
            out[used++] = text[i];
        }
    }
    if (size > 0)
        out[used] = '\0';
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/')
        return c == '+' ? 62 : 63;
    return -1;
}

int rpc_base64_decode(const char *text, uint8_t *out, size_t size)
{
    size_t len = strlen(text);
    uint32_t bits = 0;
    size_t used = 0;

    if (len % 4 == 0) {
        for (int i = 0; i < 2 && len > 0 && text[len - 1] == '='; i++)
            len--;
    }
    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        const int digit = base64_digit(text[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 0)
            continue;
        if (used >= size)
            return -1;
        out[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return (int)used;
}

enum err_kind rpc_kind_of_status(int status)
{
    static const enum err_kind KINDS[RPC_STATUS_MAX + 1] = {
        [0] = ERR_NONE,         /* OK */
        [1] = ERR_UNREACHABLE,  /* CANCELLED */
        [2] = ERR_SYSTEM,       /* UNKNOWN */
        [3] = ERR_INPUT,        /* INVALID_ARGUMENT */
        [4] = ERR_UNREACHABLE,  /* DEADLINE_EXCEEDED */
        [5] = ERR_NOT_FOUND,    /* NOT_FOUND */
        [6] = ERR_STATE,        /* ALREADY_EXISTS */
        [7] = ERR_STATE,        /* PERMISSION_DENIED */
        [8] = ERR_LIMIT,        /* RESOURCE_EXHAUSTED */
        [9] = ERR_STATE,        /* FAILED_PRECONDITION */
        [10] = ERR_STATE,       /* ABORTED */
        [11] = ERR_INPUT,       /* OUT_OF_RANGE */
        [12] = ERR_STATE,       /* UNIMPLEMENTED */
        [13] = ERR_SYSTEM,      /* INTERNAL */
        [14] = ERR_UNREACHABLE, /* UNAVAILABLE */
        [15] = ERR_SYSTEM,      /* DATA_LOSS */
        [16] = ERR_STATE,       /* UNAUTHENTICATED */
    };

    if (status < 0 || status > RPC_STATUS_MAX)
        return ERR_SYSTEM;
    return KINDS[status];
}
