/*
 * rv-metrics's own types: what is known of each channel, and its text.
 *
 * The pages of a run folder are read anew for each scrape.  Between scrapes
 * only two things are remembered of a channel: that it was there, since a
 * stopped one stays with state 0, and what its counters had come to when its
 * page was made anew, since a counter never goes back.
 */
#ifndef RV_METRICS_METRICS_H
#define RV_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "clock/clock.h"
#include "err/err.h"
#include "proc/rundir.h"
#include "stats/stats.h"

#define METRICS_CHANNELS_MAX 4096
#define METRICS_PROCS_MAX    32

struct proc_look {
    char name[32];
    bool is_alive;
};

/* Everything that only grows, in one copyable piece. */
struct totals {
    uint64_t counters[STATS_COUNTERS];
    uint64_t buckets[STATS_BUCKETS];
    uint64_t latency_sum_us;
};

struct channel {
    int32_t id;
    bool is_there; /* its page was read in this scrape */
    dev_t device;
    ino_t inode;
    struct totals before; /* of pages that were there earlier */
    struct totals page;   /* as read last */
    int64_t gauges[STATS_GAUGES];
    char house[STATS_TEXT_SIZE];
    struct proc_look procs[METRICS_PROCS_MAX];
    int proc_count;
};

struct metrics {
    char run_dir[RUNDIR_SIZE];
    struct clock clock;
    struct channel *channels; /* by id */
    size_t channel_count;
    struct proc_look procs[METRICS_PROCS_MAX]; /* of the run folder itself */
    int proc_count;
    uint64_t errors; /* pages that were wrong, so far */
    char wrong[512]; /* the last such sentence of this scrape, or "" */
    int64_t scrape_us;
};

/* --- collect.c ------------------------------------------------------------ */

int metrics_open(struct metrics *metrics, const char *run_dir, struct err *err);
void metrics_close(struct metrics *metrics);
/* Reads all pages.  What is wrong is skipped and counted. */
void metrics_collect(struct metrics *metrics);
uint64_t channel_total(const struct channel *channel,
                       enum stats_counter counter);
/* Its page is there and, if any process of it has one, one of them lives. */
bool channel_is_live(const struct channel *channel);
/* Contract, section 4: 0 when it is stopped or nobody of it lives. */
int64_t channel_state(const struct channel *channel);

/* --- text.c --------------------------------------------------------------- */

/* What was collected, in Prometheus' text format 0.0.4. */
void metrics_write(const struct metrics *metrics, FILE *out);

/* --- serve.c -------------------------------------------------------------- */

struct where {
    char host[256];
    uint16_t port;
    int fd; /* -1: host and port count */
};

/* Answers scrapes until a signal comes. */
int serve(struct metrics *metrics, const struct where *where, struct err *err);

#endif
