/*
 * err: why something failed, as one sentence that is ready to print.
 *
 * Every function that can fail takes a `struct err *` last and returns -1
 * after filling it in.  The sentence names the place (file, line, field), what
 * is wrong and what would be right; callers add context in front of it with
 * err_prefix(); only main() prints it.  One table turns a kind into the exit
 * status of a program and into the status of a gRPC call, so that the same
 * failure means the same thing at a shell and at the ChannelManager.
 *
 * Not thread-safe: one struct err belongs to one thread.
 */
#ifndef RV_ERR_ERR_H
#define RV_ERR_ERR_H

#include <stdarg.h>

enum err_kind {
    ERR_NONE = 0,
    ERR_USAGE,       /* a program was called wrongly */
    ERR_INPUT,       /* what came from outside is not valid */
    ERR_NOT_FOUND,   /* what was named does not exist */
    ERR_STATE,       /* valid, but not now */
    ERR_LIMIT,       /* more than this program allows */
    ERR_UNREACHABLE, /* server, ring or clock is not there; worth a retry */
    ERR_SYSTEM       /* memory, disk, kernel; worth a retry */
};

struct err {
    enum err_kind kind;
    char text[1024]; /* one sentence, no newline, never NULL */
};

/* clang-format off */
#define ERR_EMPTY ((struct err){ .kind = ERR_NONE, .text = "" })
/* clang-format on */

/*
 * Sets kind and sentence and returns -1, so that `return err_set(...)` works.
 * `err` may be NULL: the reason is then lost on purpose.  Control characters
 * in the result become '?', since the text may quote hostile input.
 */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_setv(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/*
 * As err_set(), with ": " and the text of the present errno behind it.
 * ENOMEM, ENOSPC, EMFILE, ENFILE and EIO make the kind ERR_SYSTEM whatever
 * was given, ENOENT turns ERR_INPUT into ERR_NOT_FOUND.
 */
int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the sentence that is there.  Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Exit status of a program that ends with this kind: 0 to 4. */
int err_exit_status(enum err_kind kind);

/* gRPC status code (google.rpc.Code) of this kind: 0, 3, 5, 8, 9, 13, 14. */
int err_grpc_status(enum err_kind kind);

/*
 * The kind's name as it stands in JSON between our programs ("input",
 * "not-found", ...), and back; an unknown name is ERR_SYSTEM.
 */
const char *err_kind_name(enum err_kind kind);
enum err_kind err_kind_from_name(const char *name);

#endif
