/*
 * log: one line a record on standard error.
 *
 * On a terminal a line is for people; otherwise it is a JSON object with time
 * (UTC), level, program, channel and, where known, segment, asset, frame and
 * clock drift.  In service (log_in_service) a line that cannot be written at
 * once is dropped and counted, so that nobody who stops reading stops the
 * picture.  Never called on a frame's way.
 *
 * Thread-safe: a record is one write(2).
 */
#ifndef RV_LOG_LOG_H
#define RV_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* What a record is about; any member may be left empty. */
struct log_ctx {
    int32_t channel;     /* 0: none */
    const char *segment; /* NULL: none */
    const char *asset;   /* NULL: none */
    bool has_frame;
    int64_t frame; /* channel's frame number, if has_frame */
    bool has_drift;
    int64_t drift_us; /* MasterClock minus system clock, if has_drift */
};

/* clang-format off */
#define LOG_CTX_EMPTY ((struct log_ctx){ .channel = 0 })
/* clang-format on */

/* Names the program; keeps the string.  cli_start() calls it. */
void log_start(const char *program);

/* From now on never wait for standard error: drop and count instead. */
void log_in_service(void);

/* Lines dropped so far. */
uint64_t log_dropped(void);

/*
 * A record.  `ctx` may be NULL.  The text is a fact in lower case without a
 * full stop; control characters in it are escaped.
 */
void log_info(const struct log_ctx *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_warn(const struct log_ctx *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_error(const struct log_ctx *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
