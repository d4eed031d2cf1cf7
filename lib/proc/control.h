/*
 * control: orders to a director, as NDJSON over <run>/<channel>/control.
 *
 * One JSON object a line in both directions; a person with socat can speak it
 * too.  A request names what to `do` and may carry an `id` (any JSON value),
 * which comes back with the answer; answers may come out of order.
 *
 *   {"id":1,"do":"update","plan":"/plans/b.json"}
 *   {"id":1,"ok":true,"message":"the new plan is on air from frame 480",...}
 *   {"id":2,"do":"switch"}
 *   {"id":2,"ok":false,"kind":"state","message":"no preview is loaded; ..."}
 *
 *   do      start {plan, port, format}, update {plan}, load {asset,
 *           start_frame, frame_count, fps}, switch {target_ms}, stop, status
 *   kind    err_kind_name() of what went wrong
 *
 * Nothing here blocks: lines are buffered both ways, bounded; a peer that
 * sends more than CONTROL_LINE_MAX without a newline, or does not read, is cut.
 */
#ifndef RV_PROC_CONTROL_H
#define RV_PROC_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "err/err.h"

#define CONTROL_LINE_MAX  (64u << 10)
#define CONTROL_QUEUE_MAX (1u << 20)

/* One connection, either end. */
struct control {
    int fd; /* -1: closed */
    char *in;
    size_t in_length, in_start;
    char *out;
    size_t out_length, out_size;
};

/* clang-format off */
#define CONTROL_EMPTY ((struct control){ .fd = -1 })
/* clang-format on */

/* Listens (mode 0600) on `path`, in place of a socket that nobody serves any
 * more.  Gives the descriptor; ERR_STATE when somebody serves it. */
int control_listen(const char *path, struct err *err);

/* The next connection, non-blocking; -1: none. */
int control_accept(int listener);

/* Connects to `path`; ERR_UNREACHABLE when nobody is there. */
int control_connect(struct control *control, const char *path, struct err *err);

/* Wraps a connected descriptor (takes it). */
void control_init(struct control *control, int fd);
void control_close(struct control *control);

/* Reads what is there.  -1: the peer is gone or broke the rules. */
int control_fill(struct control *control, struct err *err);

/* The next whole line as a JSON object (gives), NULL: none yet.  A line that
 * is no object is answered with an error object by itself and skipped. */
json_t *control_next(struct control *control);

/* Queues one object as a line (takes the reference) and sends what goes.  -1:
 * the peer is gone or does not read. */
int control_send(struct control *control, json_t *object, struct err *err);

/* Sends what is queued; control_has_queued(): wait for POLLOUT. */
int control_flush(struct control *control, struct err *err);
bool control_has_queued(const struct control *control);

/* The object of an answer: `id` copied from the request (may be NULL). */
json_t *control_answer(const json_t *request, const char *message);
json_t *control_refusal(const json_t *request, const struct err *err);

#endif
