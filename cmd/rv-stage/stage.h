/*
 * stage: what the parts of rv-stage share.
 *
 *   lists.c     where lists of inputs come from (standard input, file)
 *   pools.c     the pools that are open: adopted, released, removed
 *   slate.c     the slate: made, and its place in its loop
 *   timeline.c  the list in force, and what it makes of frame n
 *   fill.c      stages frames, takes back, puts slate where input is late
 *   asrun.c     the as-run log and what is on air
 *   report.c    depth, state and texts for everybody to see
 *   main.c      options, the loop, its end
 *
 * Everything here can be lost at any moment: a new stage makes it again from
 * the ring and the list.  One thread, but for the reader in lists.c.
 */
#ifndef RV_STAGE_STAGE_H
#define RV_STAGE_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"
#include "log/log.h"
#include "plan/inputs.h"
#include "proc/rundir.h"
#include "stats/stats.h"

#define STAGE_POOLS     256 /* pools open at once */
#define STAGE_SLATES    64  /* runs of slate that are remembered */
#define STAGE_RUNS      64  /* runs that are out but not yet on air */
#define STAGE_FRAME_MAX INT64_C(1000000000000)

/* A pool that is in the list, or that references name. */
struct held {
    uint32_t id; /* 0: this place is free */
    struct pool pool;
    bool is_listed;  /* in the list in force */
    bool was_listed; /* in some list of this process */
    bool is_gone;    /* its writer is: it died, or ended and left */
    bool is_retired; /* in a shell: listed, but done with */
    bool is_broken;  /* it holds what cannot be: no more is taken from it */
    uint64_t hint;   /* frame that was looked at last: next to be staged */
    uint64_t floor;  /* first frame that references name, UINT64_MAX: none */
    char told[1024]; /* its path as the list has it */
    struct err why;  /* why it is not open */
};

/* An input of the list, with what is known by now. */
struct source {
    const struct input *input;
    struct held *held; /* NULL: slate */
    bool has_start, has_origin, has_end;
    int64_t start;  /* its first frame */
    int64_t origin; /* the frame of its pool's index 0 */
    int64_t end;    /* one past its last frame */
};

struct timeline {
    struct inputs inputs;
    int count;
    struct source source[INPUTS_MAX];
};

/* What the list makes of a frame. */
enum look { LOOK_FRAME, LOOK_WAIT, LOOK_END };

/* What a run of slate stands for; the ring has no room for texts. */
struct slate_run {
    int64_t first;
    int32_t state;
    char why[256];
    char segment[POOL_SEGMENT_SIZE];
    char asset[POOL_ASSET_SIZE];
};

/* Frames of one segment and one reason, one behind the other. */
struct run {
    int64_t first, last;
    int64_t asset_first;
    enum stage_reason reason;
    char segment[POOL_SEGMENT_SIZE];
    char asset[POOL_ASSET_SIZE];
};

struct asrun {
    int fd;
    bool is_broken; /* could not be written; said once */
    int64_t next;   /* first frame not accounted for */
    struct run run; /* that this frame belongs to; first -1: none yet */
    bool is_open;   /* ... and its line is not written yet */
    struct run out[STAGE_RUNS]; /* not yet on air */
    int outs;
};

struct options {
    const char *ring;
    const char *run_dir;
    int32_t channel; /* 0: in a shell */
    int64_t min_depth, max_depth;
    bool has_house;
    struct house house;
    bool has_epoch;
    int64_t epoch_us;
    bool has_start_delay;
    int64_t start_delay_ms;
    int64_t pts_base; /* 0: not given */
    const char *asrun;
    const char *title;
    const char *slate; /* a file; NULL: the card */
    bool has_tone;
    const char *sandbox; /* of the slate's decoder */
    bool is_no_wait;
};

/* The rv-decode that makes the slate of a file. */
struct slate_maker {
    char file[1024];
    pid_t pid;
    int pidfd; /* -1: none at work */
    int leash; /* its standard input: it ends when we do */
    int tries;
    int64_t until_us; /* monotonic, then it is given up */
};

struct lists; /* lists.c */

struct stage {
    struct options opts;
    bool is_service;
    char run[RUNDIR_SIZE];
    char folder[1024]; /* of the ring */
    char path[1024];   /* the ring's */
    bool made_folder;
    struct stage_ring ring;
    bool is_taken_over; /* the ring was there before us */
    struct clock clock;
    struct stats stats;
    struct stats_proc proc;
    struct lists *lists;
    struct log_ctx log;

    uint32_t slate_pool;  /* the one that slate is shown from */
    int64_t slate_frames; /* of its loop */
    struct slate_maker maker;

    struct held held[STAGE_POOLS];
    struct timeline timeline;
    bool has_list;
    uint32_t read_serial; /* inputs_wanted when the file was last read */

    struct slate_run slate[STAGE_SLATES];
    uint32_t slates; /* ever; place is modulo */

    enum look look;       /* what the last frame asked for was */
    bool is_full;         /* the ring is at its maximum depth */
    bool is_tick;         /* a quarter of a second has passed */
    int64_t tick_us;      /* monotonic, when the next one is */
    int64_t begin_us;     /* monotonic */
    uint64_t clock_jumps; /* last seen */
    bool has_seen_clock;  /* what it had before is not counted again */

    struct asrun asrun;
    int64_t gather_until_us; /* monotonic; 0: nothing is staged yet */
    int32_t state;
    bool was_ready, is_below, is_change;
};

/* --- lists.c -------------------------------------------------------------- */

/* In a shell: starts reading standard input. */
int lists_open(struct stage *stage, struct err *err);
void lists_close(struct stage *stage);
/*
 * The newest list if there is one that was not given yet: 1 (inputs filled in,
 * the caller's), 0 none, -1 the first line was wrong, or none came.
 */
int lists_next(struct stage *stage, struct inputs *inputs, struct err *err);
/* In a shell: rung when a list has come; NULL in service. */
struct bell *lists_bell(struct stage *stage);

/* --- pools.c -------------------------------------------------------------- */

/* The pool of this path, opened if it can be; NULL only when all places are
 * taken.  In a shell a pool of another folder is moved beside the ring. */
struct held *pools_open(struct stage *stage, const char *path);
/* The pool of this id, opened if it is there; NULL: it is not. */
struct held *pools_by_id(struct stage *stage, uint32_t id);
/* On a tick: finds out which writers are gone; true when a pool of the list
 * that was not there has come. */
bool pools_look(struct stage *stage);
/* Gives back what nobody needs and removes pools that nobody needs. */
void pools_release(struct stage *stage);
/* At the start: removes what a dead stage left. */
void pools_sweep(struct stage *stage);
void pools_close(struct stage *stage, bool remove);

/* --- slate.c -------------------------------------------------------------- */

/* The card; and begins to make the slate of a file, or finds it. */
int slate_begin(struct stage *stage, struct err *err);
/* True when the slate of a file has just come: slate is another now. */
bool slate_step(struct stage *stage);
/* One is being made. */
bool slate_is_coming(const struct stage *stage);
/* Frame n is slate: which frame of the loop.  It goes on where the frame before
 * is slate, else it begins. */
void slate_place(const struct stage *stage, struct stage_ref *ref);
void slate_end(struct stage *stage, bool remove);

/* --- timeline.c ----------------------------------------------------------- */

/* Takes over `inputs`; `now`: where inputs that begin "now" begin. */
void timeline_set(struct stage *stage, struct inputs *inputs);
/* A pool that was not there has come: what was made of that is wrong. */
void timeline_forget(struct stage *stage);
bool timeline_has_now(const struct stage *stage, int64_t *not_before);
void timeline_set_now(struct stage *stage, int64_t n);
/* Frame n as the list has it: ref, and for a pool's frame its record. */
enum look timeline_at(struct stage *stage, int64_t n, struct stage_ref *ref,
                      struct pool_frame *frame);
/* The source of frame n, NULL: before the first, or none known. */
const struct source *timeline_source(const struct stage *stage, int64_t n);
void timeline_clear(struct stage *stage);
/* In a shell: pools that are done with are no longer listed. */
void timeline_retire(struct stage *stage, int64_t n);

/* --- fill.c --------------------------------------------------------------- */

/* A new list into force: takes back what changes.  Takes `inputs`. */
void fill_apply(struct stage *stage, struct inputs *inputs);
/* The list in force has become another by itself: a pool has come. */
void fill_again(struct stage *stage);
/* Slate is another one: what is staged of it is staged anew. */
void fill_slate_anew(struct stage *stage);
/* Stages what can be; true when it did something. */
bool fill(struct stage *stage);
/* Sets the first epoch, and a new one after a hole. */
void fill_epoch(struct stage *stage);
/* How long until fill() has something to do by the clock. */
int64_t fill_us_until_late(struct stage *stage);
/* What a slate frame stands for; never NULL. */
const struct slate_run *fill_slate_run(struct stage *stage,
                                       const struct stage_ref *ref);

/* --- asrun.c -------------------------------------------------------------- */

int asrun_open(struct stage *stage, struct err *err);
void asrun_start(struct stage *stage);
/* Accounts for what is out; true when it did something. */
bool asrun_step(struct stage *stage);
/* The stage is told to end: what is out so far is a run. */
void asrun_finish(struct stage *stage);
void asrun_close(struct stage *stage);

/* --- report.c ------------------------------------------------------------- */

void report_step(struct stage *stage);

#endif
