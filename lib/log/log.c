/* log: formats a record into one buffer and writes it in one go. */
#include "log/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *program_name = "rv";
static bool in_service;
static _Atomic uint64_t dropped;

/* A bounded text that only grows; what does not fit is cut. */
struct line {
    size_t used;
    char text[4096];
};

static void line_add(struct line *line, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void line_add(struct line *line, const char *fmt, ...)
{
    const size_t room = sizeof(line->text) - line->used;
    va_list ap;

    va_start(ap, fmt);
    const int n = vsnprintf(line->text + line->used, room, fmt, ap);
    va_end(ap);
    if (n > 0)
        line->used += (size_t)n < room ? (size_t)n : room - 1;
}

/* Adds text as the inside of a JSON string. */
static void line_add_escaped(struct line *line, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            line_add(line, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            line_add(line, "\\u%04x", (unsigned)(unsigned char)*c);
        else
            line_add(line, "%c", *c);
    }
}

static void line_add_member(struct line *line, const char *name,
                            const char *text)
{
    if (text == NULL)
        return;
    line_add(line, ",\"%s\":\"", name);
    line_add_escaped(line, text);
    line_add(line, "\"");
}

static void line_add_time(struct line *line)
{
    struct timespec now;
    struct tm tm;
    char date[32];

    /* The record's own time is the system's, for comparing with others' logs */
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    line_add(line, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

static void format_json(struct line *line, const char *level,
                        const struct log_ctx *ctx, const char *text)
{
    line_add(line, "{\"time\":\"");
    line_add_time(line);
    line_add(line, "\",\"level\":\"%s\"", level);
    line_add_member(line, "program", program_name);
    if (ctx && ctx->channel)
        line_add(line, ",\"channel\":%d", (int)ctx->channel);
    if (ctx && ctx->has_frame)
        line_add(line, ",\"frame\":%lld", (long long)ctx->frame);
    if (ctx && ctx->has_drift)
        line_add(line, ",\"drift_us\":%lld", (long long)ctx->drift_us);
    if (ctx) {
        line_add_member(line, "segment", ctx->segment);
        line_add_member(line, "asset", ctx->asset);
    }
    line_add_member(line, "message", text);
    line_add(line, "}");
}

static void format_human(struct line *line, const char *level,
                         const struct log_ctx *ctx, const char *text)
{
    line_add_time(line);
    line_add(line, " %s %s: ", level, program_name);
    if (ctx && ctx->channel)
        line_add(line, "channel %d: ", (int)ctx->channel);
    if (ctx && ctx->segment)
        line_add(line, "segment %s: ", ctx->segment);
    if (ctx && ctx->has_frame)
        line_add(line, "frame %lld: ", (long long)ctx->frame);
    line_add(line, "%s", text);
    if (ctx && ctx->asset)
        line_add(line, " (%s)", ctx->asset);
}

static void write_line(struct line *line)
{
    struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

    /* Room for the newline, whatever was cut. */
    if (line->used > sizeof(line->text) - 2)
        line->used = sizeof(line->text) - 2;
    line->text[line->used++] = '\n';
    if (in_service && poll(&fd, 1, 0) != 1) {
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
        return;
    }
    ssize_t n;
    do {
        n = write(STDERR_FILENO, line->text, line->used);
    } while (n < 0 && errno == EINTR);
    if (n < (ssize_t)line->used)
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

static void record(const char *level, const struct log_ctx *ctx,
                   const char *fmt, va_list ap)
{
    struct line line = { .used = 0 };
    char text[2048];

    vsnprintf(text, sizeof(text), fmt, ap);
    if (isatty(STDERR_FILENO))
        format_human(&line, level, ctx, text);
    else
        format_json(&line, level, ctx, text);
    write_line(&line);
}

void log_start(const char *program)
{
    program_name = program;
}

void log_in_service(void)
{
    in_service = true;
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

void log_info(const struct log_ctx *ctx, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record("info", ctx, fmt, ap);
    va_end(ap);
}

void log_warn(const struct log_ctx *ctx, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record("warning", ctx, fmt, ap);
    va_end(ap);
}

void log_error(const struct log_ctx *ctx, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record("error", ctx, fmt, ap);
    va_end(ap);
}
