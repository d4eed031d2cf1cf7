/* err: the sentence and the one table of what a kind means outside. */
#include "err/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_status;
    int grpc_status;
} KINDS[] = {
    [ERR_NONE] = { "none", 0, 0 },
    [ERR_USAGE] = { "usage", 2, 3 },
    [ERR_INPUT] = { "input", 1, 3 },
    [ERR_NOT_FOUND] = { "not-found", 1, 5 },
    [ERR_STATE] = { "state", 1, 9 },
    [ERR_LIMIT] = { "limit", 1, 8 },
    [ERR_UNREACHABLE] = { "unreachable", 3, 14 },
    [ERR_SYSTEM] = { "system", 4, 13 },
};

/* Makes the text safe for a terminal and a log: one line, no escapes. */
static void clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

int err_setv(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
{
    if (err == NULL)
        return -1;
    err->kind = kind;
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    clean(err->text);
    return -1;
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_setv(err, kind, fmt, ap);
    va_end(ap);
    return -1;
}

static enum err_kind kind_of_errno(int number, enum err_kind otherwise)
{
    switch (number) {
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EIO:
        return ERR_SYSTEM;
    case ENOENT:
        return otherwise == ERR_INPUT ? ERR_NOT_FOUND : otherwise;
    default:
        return otherwise;
    }
}

int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    const int number = errno;
    va_list ap;

    if (err == NULL)
        return -1;
    va_start(ap, fmt);
    err_setv(err, kind_of_errno(number, kind), fmt, ap);
    va_end(ap);
    const size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror(number));
    return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    char context[256];
    char rest[sizeof(err->text)];
    va_list ap;

    if (err == NULL)
        return -1;
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    memcpy(rest, err->text, sizeof(rest));
    const int n = snprintf(err->text, sizeof(err->text), "%s: ", context);
    const size_t used = n > 0 ? (size_t)n : 0;
    memcpy(err->text + used, rest, sizeof(err->text) - used);
    err->text[sizeof(err->text) - 1] = '\0';
    clean(err->text);
    return -1;
}

int err_exit_status(enum err_kind kind)
{
    return KINDS[kind].exit_status;
}

int err_grpc_status(enum err_kind kind)
{
    return KINDS[kind].grpc_status;
}

const char *err_kind_name(enum err_kind kind)
{
    return KINDS[kind].name;
}

enum err_kind err_kind_from_name(const char *name)
{
    for (size_t i = 0; name && i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        if (strcmp(KINDS[i].name, name) == 0)
            return (enum err_kind)i;
    }
    return ERR_SYSTEM;
}
