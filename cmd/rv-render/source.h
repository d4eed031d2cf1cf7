/*
 * source: where frames come from, one after the other: a stage ring, or a
 * stream of any media on a descriptor.
 *
 * A frame is lent: its memory is valid until the cursor passes it (ring) or
 * until the next frame is taken (stream).
 */
#ifndef RV_RENDER_SOURCE_H
#define RV_RENDER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/house.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"

struct source_frame {
    int64_t n;
    const uint8_t *plane[3];
    int stride[3];
    const int16_t *sound; /* interleaved; S(n+1) - S(n) samples */
    int32_t samples;
    const uint8_t *captions; /* A53 cc_data */
    uint32_t captions_size;
    uint32_t flags; /* enum frame_flag */
};

enum source_result { SOURCE_OK, SOURCE_EMPTY, SOURCE_END, SOURCE_FAILED };

/* --- a stage ring --------------------------------------------------------- */

#define SOURCE_POOLS 12

struct source_pool {
    bool is_open;
    bool is_bad; /* could not be opened: said once */
    uint32_t id;
    int64_t last_n; /* last frame that named it */
    struct pool pool;
};

struct source_ring {
    struct stage_ring ring;
    bool is_attached;
    struct source_pool pools[SOURCE_POOLS];
    struct pool_frame record;
    int16_t *sound;   /* for frames whose sound is not in one piece */
    uint8_t *black;   /* a house picture */
    uint64_t damaged; /* frames whose record was wrong */
    struct source_frame last;
    uint32_t last_pool; /* that `last` lies in */
    bool has_last;
};

/* clang-format off */
#define SOURCE_RING_EMPTY ((struct source_ring){ .ring = STAGE_RING_EMPTY })
/* clang-format on */

/*
 * Opens the ring at `path` and becomes its consumer 0.  With `needs_stage` a
 * ring that no stage writes and that has no end is what another pipeline left
 * behind: ERR_UNREACHABLE, as if it were not there.
 */
int source_ring_open(struct source_ring *source, const char *path,
                     bool needs_stage, struct err *err);
/* `is_done`: everything was published, so nobody takes over. */
void source_ring_close(struct source_ring *source, bool is_done);

/*
 * Claims frame n.  A frame that is wrong (a pool gone, a broken record) is
 * not an error: the last picture is held, with silence, and counted.
 */
enum source_result source_ring_take(struct source_ring *source, int64_t n,
                                    struct source_frame *frame);
/* Sound of a frame behind the cursor, for a new encoder; false if gone. */
bool source_ring_sound(struct source_ring *source, int64_t n,
                       struct source_frame *frame);
/* Opens ahead what the newest reference names, closes what none does. */
void source_ring_tidy(struct source_ring *source);

/* --- media on a descriptor ------------------------------------------------ */

struct source_media; /* source_media.c */

/* "-" is standard input; finds the house format from the streams.  Its first
 * picture is frame `first`. */
struct source_media *source_media_open(const char *name, int64_t first,
                                       struct err *err);
void source_media_close(struct source_media *source);
const struct house *source_media_house(const struct source_media *source);
/* The next frame; `n` only goes up by one. */
enum source_result source_media_take(struct source_media *source, int64_t n,
                                     struct source_frame *frame,
                                     struct err *err);

#endif
