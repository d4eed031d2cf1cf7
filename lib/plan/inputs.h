/*
 * inputs: what rv-stage shall take frames from, told whole each time.
 *
 * One JSON object a line (in a shell, from rv-decode on standard input; in
 * service the file <run>/<channel>/inputs, written beside and renamed, after
 * which stage_ring_want_inputs() tells its serial):
 *
 *   {"serial":7,"end":false,"inputs":[
 *     {"pool":"/run/retrovue/1/pool-12","at":null,"origin":null,
 *      "reason":"plan"},
 *     {"pool":"/run/retrovue/1/pool-13","at":480,"origin":480,"reason":"plan"},
 *     {"slate":"end of plan","reason":"slate: end of plan","at":null,
 *      "state":2}]}
 *
 *   at      channel's frame number from which it is taken; null: right behind
 *           the former one's last frame (the first: at the ring's start);
 *           "now": the first frame that is not yet taken
 *   not_before  optional, of "now": and no earlier frame than this one
 *   origin  channel's frame number of the pool's index 0 (lies before `at`
 *           when joined in progress or retried); null: `at` minus the first
 *           index that the pool holds
 *   until   optional: one past its last frame; what lies between an input's
 *           last frame and the next one's `at` is slate
 *   slate   instead of a pool: slate for this reason, with the channel's state
 *           meanwhile (2 or 3)
 *   segment, asset  optional: what it plays, or the slate stands for; as-run
 *           lines of slate name it
 *   end     nothing follows the last input: the ring ends there
 *
 * The last serial wins.  What is staged and unchanged stays staged; the stage
 * takes back from the first frame that differs.
 */
#ifndef RV_PLAN_INPUTS_H
#define RV_PLAN_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/stage_ring.h"

#define INPUTS_MAX       96
#define INPUTS_FRAME_MAX INT64_C(1000000000000)

enum input_at { INPUT_BEHIND = 0, INPUT_AT, INPUT_NOW };

struct input {
    char pool[1024]; /* "": slate */
    enum input_at at_kind;
    int64_t at; /* INPUT_AT: from there; INPUT_NOW: not before (0: at once) */
    bool has_origin;
    int64_t origin;
    bool has_until;
    int64_t until;
    enum stage_reason reason;
    int32_t state;     /* slate: channel state meanwhile, 2 or 3 */
    char why[256];     /* slate: its text, for status */
    char segment[128]; /* the segment that it plays or stands for, or "" */
    char asset[1024];  /* the asset, or "" */
};

struct inputs {
    uint32_t serial;
    bool is_end;
    int count;
    struct input *input; /* count members, owned */
};

/* clang-format off */
#define INPUTS_EMPTY ((struct inputs){ .count = 0, .input = NULL })
/* clang-format on */

int inputs_parse(struct inputs *inputs, const char *text, size_t length,
                 struct err *err);
char *inputs_format(const struct inputs *inputs); /* gives; NULL: no memory */
void inputs_clear(struct inputs *inputs);

/* Reads a file; writes beside and renames. */
int inputs_read_file(struct inputs *inputs, const char *path, struct err *err);
int inputs_write_file(const struct inputs *inputs, const char *path,
                      struct err *err);

#endif
