/*
 * tap: copies frames out of a pool, or out of the pools that a stage ring
 * names, and holds nobody up.
 *
 * Everything is mapped read-only; nobody knows that we are there.  So a frame
 * may be given back and overwritten while we copy it: it is copied, and then
 * the pool is asked whether the frame was still held (`released` has not
 * passed it).  A copy that lost this race is thrown away and counted.
 */
#ifndef RV_TAP_TAP_H
#define RV_TAP_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"
#include "media/nut.h"
#include "media/picture.h"

#define TAP_POOLS 4 /* open at once; a cut needs two */

enum tap_form { TAP_NUT, TAP_Y4M, TAP_JSON };

struct tap_opts {
    const char *source; /* NULL: channel */
    const char *run_dir;
    int32_t channel;
    int64_t frames; /* 0: all */
    enum tap_form form;
    bool has_sound;
    bool is_following;
};

/* A frame of our own. */
struct tap_frame {
    int64_t n; /* the channel's number; in a pool, its index */
    enum stage_reason reason;
    struct pool_frame info;
    struct planes planes; /* point into `memory` */
    int16_t *sound;
    int32_t samples;
};

struct tap_pool {
    uint32_t id;
    uint64_t used; /* larger: more recently */
    struct pool pool;
};

struct tap {
    struct tap_opts opts;
    struct clock waiting; /* no page: only waits */
    struct house house;
    struct stage_ring ring; /* .head NULL: the source is pools[0] */
    struct tap_pool pools[TAP_POOLS];
    uint64_t uses;
    int64_t next; /* ring: frame number; pool: seq; -1: not begun */
    struct tap_frame frame;
    uint8_t *memory;
    struct nut *nut;
    bool has_header; /* y4m */
    int64_t written, skipped;
};

int tap_open(struct tap *tap, const struct tap_opts *opts, struct err *err);
/* One frame, or a short wait.  1: the end. */
int tap_step(struct tap *tap, struct err *err);
/* Ends the output and says on standard error what was skipped. */
int tap_finish(struct tap *tap, struct err *err);
void tap_close(struct tap *tap);

/* --- copy.c --------------------------------------------------------------- */

enum copy_result { COPY_OK, COPY_GONE, COPY_WRONG };

/* Frame `seq` of a pool as frame n of a channel whose pool began at `origin`.
 * WRONG fills in err. */
enum copy_result copy_frame(struct tap *tap, const struct pool *pool,
                            uint64_t seq, int64_t origin, int64_t n,
                            struct err *err);

/* --- out.c ---------------------------------------------------------------- */

int out_frame(struct tap *tap, struct err *err);
int out_end(struct tap *tap, struct err *err);

#endif
