/*
 * stage ring: references to frames in pools, written by one rv-stage, taken by
 * one rv-render.
 *
 *   release point ... cursor ........ frontier ........ tail
 *   | kept to prime   | taken, not    | staged, may be  | next to be
 *   | a new encoder   | yet published | taken back      | staged
 *
 * tail and frontier are one 64-bit word (tail in the upper half, both modulo
 * 2^32 of the channel's frame number), changed by read-modify-write only, so
 * that both sides always agree on what was taken: the consumer claims a frame
 * by compare-and-swap, the stage takes back by lowering the tail to
 * max(wanted, frontier) the same way.
 *
 * The ring lies in the channel's folder; the pool with id P lies beside it as
 * "pool-P".  Ids are never reused; 0 is the built-in slate card, UINT32_MAX a
 * slate from a file, whose name is "slate".
 *
 *   ring            written by   order       read by    order
 *   word            both         seq_cst*    both       seq_cst*
 *   entries         stage        seqlock of atomics, before the word
 *   cursor[c]       consumer c   seq_cst*    stage      seq_cst*
 *   is_attached[c]  consumer c   seq_cst     stage      seq_cst
 *   epoch copies    stage        seqlock of atomics     acquire
 *   intake_us       renderer     relaxed     stage      relaxed
 *   inputs_wanted   director     seq_cst*    stage      seq_cst*
 *   inputs_applied  stage        release     director   acquire
 *   cut_frame       stage        relaxed, before inputs_applied
 *   end_frame       stage        seq_cst*    renderer   seq_cst*
 *   next_pool_id    anybody      RMW         anybody    relaxed
 *   stage_bell      all          seq_cst     all        seq_cst
 *   render_bell     all          seq_cst     all        seq_cst
 *   magic           creator      release, last  openers acquire, first
 *   * seq_cst next to a bell, or a wake-up is lost
 */
#ifndef RV_FRAME_STAGE_RING_H
#define RV_FRAME_STAGE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/shm.h"

#define STAGE_RING_LAYOUT_VERSION 2
#define STAGE_RING_ENTRIES        1024 /* a power of two */
#define STAGE_RING_CONSUMERS      4
#define STAGE_DEPTH_MAX           600
#define STAGE_POOL_CARD           0
#define STAGE_POOL_SLATE          UINT32_MAX
/* Until a renderer has told its own: the most that the design allows. */
#define STAGE_RING_INTAKE_US INT64_C(800000)

/* Why a frame is what it is; becomes the as-run log's `reason`. */
enum stage_reason {
    REASON_PLAN = 0,          /* "plan" */
    REASON_PREVIEW,           /* "preview" */
    REASON_SLATE_PLANNED,     /* "slate: plan" */
    REASON_SLATE_LATE,        /* "slate: input late" */
    REASON_SLATE_MISSING,     /* "slate: asset cannot be played" */
    REASON_SLATE_GAP,         /* "slate: gap" */
    REASON_SLATE_SHORT,       /* "slate: asset ended early" */
    REASON_SLATE_END_OF_PLAN, /* "slate: end of plan" */
    REASON_COUNT
};

/* The words above, and back (-1: unknown). */
const char *stage_reason_text(enum stage_reason reason);
int stage_reason_from_text(const char *text);

struct stage_ref {
    int64_t n;       /* channel's frame number */
    int64_t origin;  /* n of the pool's index 0 (sound: house.h) */
    uint64_t seq;    /* frame in the pool */
    uint32_t pool;   /* pool's id */
    uint32_t reason; /* enum stage_reason */
    /* Of the run that n belongs to (as-run: same segment, same reason): */
    int64_t run_first;       /* its first frame, <= n */
    int64_t run_asset_first; /* asset_frame of that one */
};

static inline bool stage_ref_is_slate(const struct stage_ref *ref)
{
    return ref->pool == STAGE_POOL_CARD || ref->pool == STAGE_POOL_SLATE;
}

/* Frame n is due at utc_us + (n - n0) / fps. */
struct stage_epoch {
    int64_t n0;
    int64_t utc_us;
    uint32_t serial; /* 0: no epoch yet */
};

struct stage_ring_config {
    struct house house;
    int32_t channel;    /* 0 in a shell */
    uint32_t min_depth; /* frames; 0: 30 */
    uint32_t max_depth; /* frames, <= STAGE_DEPTH_MAX; 0: 60 */
    uint32_t keep;      /* frames behind the cursor; 0: what AAC needs */
    int64_t pts_base;   /* PTS of frame 0 (house.h); 0: HOUSE_PTS_BASE */
};

struct stage_ring_header;

struct stage_ring {
    struct shm shm;
    struct stage_ring_header *head; /* NULL: closed */
    struct house house;
    int32_t channel;
    uint32_t min_depth, max_depth, keep;
    int64_t pts_base;  /* 90 kHz ticks */
    char folder[1024]; /* of the ring and its pools */
};

/* clang-format off */
#define STAGE_RING_EMPTY ((struct stage_ring){ .shm = SHM_EMPTY, .head = NULL })
/* clang-format on */

enum ring_result { RING_OK, RING_EMPTY, RING_FULL, RING_END };

/* Frames that a new AAC encoder must be fed with before its first packet is
 * right: 4 warm-up packets of 1024 samples and one for the phase. */
uint32_t stage_ring_default_keep(const struct house *house);

/* `path` is the ring's file, <run>/<channel>/ring.  The creator owns it. */
int stage_ring_create(struct stage_ring *ring, const char *path,
                      const struct stage_ring_config *config, struct err *err);
int stage_ring_open(struct stage_ring *ring, const char *path, struct err *err);
void stage_ring_close(struct stage_ring *ring);

/* Becomes the writer of an existing ring (a new stage); ERR_STATE if taken. */
int stage_ring_own(struct stage_ring *ring, struct err *err);
bool stage_ring_has_stage(const struct stage_ring *ring);

/* Path of pool `id` of this ring. */
void stage_ring_pool_path(const struct stage_ring *ring, uint32_t id,
                          char path[1024]);
/* A new pool id, never given before (1, 2, ...).  Any process. */
uint32_t stage_ring_new_pool_id(struct stage_ring *ring);
/* `id` was used, so none up to it is given again. */
void stage_ring_saw_pool_id(struct stage_ring *ring, uint32_t id);

/* Positions, as 64-bit frame numbers.  Any process. */
int64_t stage_ring_tail(const struct stage_ring *ring);
int64_t stage_ring_frontier(const struct stage_ring *ring);
/* Lowest cursor of all attached consumers (0 at first). */
int64_t stage_ring_cursor(const struct stage_ring *ring);
/* cursor - keep: what is below is released. */
int64_t stage_ring_release_point(const struct stage_ring *ring);

/* A checked copy of frame n's reference: OK, EMPTY (n >= tail), END (gone). */
enum ring_result stage_ring_read(const struct stage_ring *ring, int64_t n,
                                 struct stage_ref *ref);

/* Epoch: serial 0 when none is set yet. */
struct stage_epoch stage_ring_epoch(const struct stage_ring *ring);
/* Deadline of frame n in UTC microseconds. */
int64_t stage_ring_deadline_us(const struct stage_ring *ring,
                               const struct stage_epoch *epoch, int64_t n);
int64_t stage_ring_intake_us(const struct stage_ring *ring);

/* --- stage ---------------------------------------------------------------- */

void stage_ring_set_epoch(struct stage_ring *ring, int64_t n0, int64_t utc_us);
/* ref->n must be the tail.  FULL: at max_depth, or entries still needed. */
enum ring_result stage_ring_push(struct stage_ring *ring,
                                 const struct stage_ref *ref);
/* Lowers the tail to max(n, frontier) and gives the new tail. */
int64_t stage_ring_take_back(struct stage_ring *ring, int64_t n);
/* No frame at or after `n` will come: RING_END there.  INT64_MAX undoes. */
void stage_ring_set_end(struct stage_ring *ring, int64_t n);
int64_t stage_ring_end(const struct stage_ring *ring);
void stage_ring_applied(struct stage_ring *ring, uint32_t serial,
                        int64_t cut_frame);
uint32_t stage_ring_inputs_wanted(const struct stage_ring *ring);
struct bell *stage_ring_stage_bell(struct stage_ring *ring);

/* --- consumer ------------------------------------------------------------- */

/*
 * Takes consumer slot `consumer` (0: the renderer).  A consumer that dies
 * stays attached, so nothing that its successor needs is released.  ERR_STATE
 * if a living process has it.
 */
int stage_ring_attach(struct stage_ring *ring, int consumer, struct err *err);
void stage_ring_detach(struct stage_ring *ring, int consumer);
bool stage_ring_has_consumer(const struct stage_ring *ring, int consumer);
/* Consumer 0's cursor: where a new renderer starts. */
int64_t stage_ring_consumer_cursor(const struct stage_ring *ring, int consumer);
/*
 * Frame n into an encoder: OK (also when it was claimed before), EMPTY (not
 * staged yet), END.
 */
enum ring_result stage_ring_claim(struct stage_ring *ring, int64_t n,
                                  struct stage_ref *ref);
/* Everything below n is published. */
void stage_ring_set_cursor(struct stage_ring *ring, int consumer, int64_t n);
void stage_ring_set_intake_us(struct stage_ring *ring, int64_t intake_us);
/* Sleeps until frame n may be there, an end is set, a signal, or timeout. */
void stage_ring_wait(struct stage_ring *ring, int64_t n, int64_t timeout_us);

/* --- director ------------------------------------------------------------- */

/* The file `inputs` was renewed: `serial` is the one in it. */
void stage_ring_want_inputs(struct stage_ring *ring, uint32_t serial);
/* Serial applied last, and the first frame that it changed (-1: none). */
uint32_t stage_ring_inputs_applied(const struct stage_ring *ring,
                                   int64_t *cut_frame);

#endif
