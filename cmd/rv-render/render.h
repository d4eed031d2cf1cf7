/*
 * render: takes frames, encodes and publishes them, at the right time.
 *
 *            start(n)             hole, end: flush
 *   WAITING ----------> RUNNING ------------------> WAITING or done
 *
 * One thread (and the outlet's).  An encoder is started at a frame n and knows
 * nothing from before but the VBV's fill; so a new process, a hole and the
 * first frame of all are the same thing.
 */
#ifndef RV_RENDER_RENDER_H
#define RV_RENDER_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/ts_ring.h"
#include "outlet.h"
#include "picture.h"
#include "sound.h"
#include "source.h"
#include "stats/stats.h"
#include "stretch.h"

struct render_opts {
    const char *ring;    /* NAME or PATH; NULL: see run_dir, media */
    const char *run_dir; /* NULL: found */
    int32_t channel;     /* 0: not in service */
    const char *media;   /* "-": standard input */
    const char *output;  /* file; NULL or "-": standard output */
    bool has_ts_ring;
    bool is_paced;
    int64_t lead_ms;
    int64_t wait_s;
    const char *preset;
    int32_t bitrate_kbit; /* 0: by size */
    int32_t audio_kbit;
    int32_t gop; /* 0: one second */
    int32_t bframes;
    int32_t lookahead;
    int32_t threads;
    int64_t first_frame; /* of a stream: for tests of large numbers */
    int64_t pts_base; /* of a stream (0: HOUSE_PTS_BASE); a ring has its own */
};

struct render {
    const struct render_opts *opts;
    char folder[1024]; /* of the channel; "": none */
    struct clock clock;
    struct stats stats;
    struct stats_proc proc;
    struct source_ring source;
    struct source_media *media;
    struct house house;
    struct ts_ring ts;
    struct outlet outlet;
    struct stretch stretch;
    struct picture_config config;
    struct picture_encoder *picture; /* NULL: WAITING */
    struct sound_encoder *sound;
    uint32_t vbv_bits;
    int64_t next;      /* frame that goes into the encoders next */
    int64_t discarded; /* frames skipped in the present hole */
    int64_t intake_us;
    struct stage_epoch epoch; /* the ring's, else our own */
    int64_t late_since_us;    /* monotonic: waits for a new epoch; 0 */
    int64_t epoch_sought_us;  /* monotonic, when it was first missed; 0 */
    int64_t stage_gone_us;    /* monotonic; 0: it lives */
    int64_t looked_us;        /* monotonic: whether the rings have names */
    uint64_t slate[4];        /* bit n % 256: frame n is slate */
    bool is_done;
};

/* clang-format off */
#define RENDER_EMPTY                                                           \
    ((struct render){ .clock = CLOCK_EMPTY, .stats = STATS_EMPTY,              \
                      .proc = STATS_PROC_EMPTY, .source = SOURCE_RING_EMPTY,   \
                      .ts = TS_RING_EMPTY, .outlet = OUTLET_EMPTY,             \
                      .stretch = STRETCH_EMPTY })
/* clang-format on */

/* Opens input and output, waits for a ring that is not there yet. */
int render_open(struct render *render, const struct render_opts *opts,
                struct err *err);
/* One frame, or one bounded wait. */
int render_step(struct render *render, struct err *err);
/* rc: of the steps; a clean end detaches and closes the stream. */
int render_close(struct render *render, int rc, struct err *err);

/* render_open.c's half and render.c's meet here. */
int render_start_encoders(struct render *render, struct err *err);

#endif
