/*
 * stats: what is counted, where everybody can see it.
 *
 * <run>/<channel>/stats is one page a channel.  Every process of the channel
 * adds to its counters with relaxed atomic adds and no system call, so that a
 * counter survives the death of the process that counted.  Gauges and texts
 * have one named writer each.  rv-metrics is the only reader that formats
 * them.
 *
 * <run>/<channel>/NAME.proc is one page a process: it holds the lock on it
 * while it lives ("alive" means exactly this), and shows pid and heartbeat.
 */
#ifndef RV_STATS_STATS_H
#define RV_STATS_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/shm.h"

#define STATS_LAYOUT_VERSION 2

enum stats_counter {
    STATS_FRAMES_DECODED = 0, /* made ready in a pool, pre-roll not counted */
    STATS_FRAMES_STAGED,
    STATS_FRAMES_TAKEN_BACK,
    STATS_FRAMES_SLATE, /* slate frames that were published */
    STATS_FRAMES_RENDERED,
    STATS_FRAMES_DROPPED, /* of the timeline, never sent */
    STATS_UNDERRUNS,
    STATS_DECODE_FAILURES,
    STATS_PACKETS_DAMAGED, /* corrupt packets and pictures, skipped */
    STATS_RESTARTS_DECODE,
    STATS_RESTARTS_STAGE,
    STATS_RESTARTS_RENDER,
    STATS_RESTARTS_RUN,
    STATS_TS_BYTES,
    STATS_VIEWERS_TOTAL,    /* viewers that ever came */
    STATS_VIEWER_BYTES,     /* sent to viewers */
    STATS_VIEWERS_TOO_SLOW, /* disconnected: a ring behind */
    STATS_SWITCHES,
    STATS_PLAN_UPDATES,
    STATS_CLOCK_JUMPS,
    STATS_RESTARTS_HTTP, /* of the rv-http that serves it; by itself */
    STATS_COUNTERS
};

enum stats_gauge {
    STATS_STATE = 0,      /* stage (0 by the director): contract, section 4 */
    STATS_DEPTH_FRAMES,   /* stage */
    STATS_FRAME_GAP_US,   /* rv-http, else rv-render: + early, - late */
    STATS_LEAD_US,        /* renderer: published end's deadline minus now */
    STATS_READY_SINCE_US, /* stage: UTC of the last change to ready, 0: never */
    STATS_FRAME_ON_AIR,   /* renderer: newest frame whose deadline has come */
    STATS_FRAME_RENDERED, /* renderer: newest frame published */
    STATS_VIEWERS,        /* rv-http: now */
    STATS_PORT,           /* director */
    STATS_MIN_DEPTH,      /* stage */
    STATS_MAX_DEPTH,      /* stage */
    STATS_RUNTIME_OFFSET_US, /* director: MasterClock minus the runtime's, by
                                the last SwitchToLive that told the time */
    STATS_GAUGES
};

enum stats_text {
    STATS_TEXT_SEGMENT = 0, /* stage: id of the segment on air */
    STATS_TEXT_ASSET,       /* stage */
    STATS_TEXT_REASON,      /* stage: why the state is what it is */
    STATS_TEXT_HOUSE,       /* director: house_format() */
    STATS_TEXTS
};
#define STATS_TEXT_SIZE 1024

/* Upper bounds of the decode latency's buckets, in microseconds. */
#define STATS_BUCKETS 8
extern const int64_t stats_bucket_us[STATS_BUCKETS]; /* last: INT64_MAX */

struct stats_page;

struct stats {
    struct shm shm;
    struct stats_page *page; /* NULL: counts go nowhere */
};

/* clang-format off */
#define STATS_EMPTY ((struct stats){ .shm = SHM_EMPTY, .page = NULL })
/* clang-format on */

/* Opens <folder>/stats; with `create` makes it when it is not there. */
int stats_open(struct stats *stats, const char *folder, bool create,
               struct err *err);
void stats_close(struct stats *stats);

/* All of these do nothing on a closed page.  Any thread. */
void stats_add(struct stats *stats, enum stats_counter counter, uint64_t by);
void stats_set(struct stats *stats, enum stats_gauge gauge, int64_t value);
void stats_latency(struct stats *stats, int64_t us); /* decode latency */
/* One writer a text; readers never see half of one. */
void stats_set_text(struct stats *stats, enum stats_text which,
                    const char *text);

uint64_t stats_get(const struct stats *stats, enum stats_counter counter);
int64_t stats_get_gauge(const struct stats *stats, enum stats_gauge gauge);
void stats_get_text(const struct stats *stats, enum stats_text which,
                    char text[STATS_TEXT_SIZE]);
/* Counts of each bucket (not cumulated) and the sum of all latencies. */
void stats_latencies(const struct stats *stats, uint64_t counts[STATS_BUCKETS],
                     uint64_t *sum_us);

/* --- a process's own page ------------------------------------------------- */

struct stats_proc_page;

struct stats_proc {
    struct shm shm;
    struct stats_proc_page *page;
};

/* clang-format off */
#define STATS_PROC_EMPTY ((struct stats_proc){ .shm = SHM_EMPTY, .page = NULL })
/* clang-format on */

/* Creates or takes over <folder>/<name>.proc and locks it.  ERR_STATE when a
 * living process of that name is there. */
int stats_proc_enter(struct stats_proc *proc, const char *folder,
                     const char *name, struct err *err);
void stats_proc_leave(struct stats_proc *proc); /* unlinks it */
/* Still at work.  `is_due`: a frame is due, so silence means a hang. */
void stats_proc_beat(struct stats_proc *proc, bool is_due);

struct stats_proc_state {
    bool is_alive;
    int32_t pid;
    int64_t heartbeat_us; /* monotonic */
    bool is_due;
};
/* Looks at <folder>/<name>.proc; is_alive false when there is none. */
void stats_proc_look(const char *folder, const char *name,
                     struct stats_proc_state *state);

#endif
