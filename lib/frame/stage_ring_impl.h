/*
 * stage_ring_impl: the layout of a stage ring, for lib/frame and its tests.
 *
 *   0     header: what never changes after stage_ring_create
 *   64    word                 tail << 32 | frontier
 *   128   cursors, one a line
 *   384   stage's line         end, inputs_applied, cut_frame, epoch
 *   512   others' lines        intake_us; inputs_wanted; next_pool_id
 *   704   the two bells
 *   832   entries[STAGE_RING_ENTRIES], one a line
 *
 * An entry has a stamp, odd while it is written, so that somebody who only
 * looks at a frame that nobody has claimed never gets half of two references.
 * A claimed frame cannot change: its entry is read after the claim, never
 * before, because a take-back and its refill can bring the word back to the
 * very value it had.
 */
#ifndef RV_FRAME_STAGE_RING_IMPL_H
#define RV_FRAME_STAGE_RING_IMPL_H

#include <stddef.h>

#include "frame/stage_ring.h"

#define STAGE_RING_MAGIC 0x52535652u /* "RVSR" */

struct stage_ring_entry {
    _Alignas(64) _Atomic uint64_t stamp;
    _Atomic int64_t n;
    _Atomic int64_t origin;
    _Atomic uint64_t seq;
    _Atomic uint32_t pool;
    _Atomic uint32_t reason;
    _Atomic int64_t run_first;
    _Atomic int64_t run_asset_first;
};

struct stage_ring_cursor {
    _Alignas(64) _Atomic int64_t n;
    _Atomic uint32_t is_attached;
};

struct stage_ring_header {
    _Atomic uint32_t magic;
    uint32_t version;
    uint32_t entry_count, entry_size;
    int32_t width, height;
    int32_t rate_num, rate_den;
    int32_t sample_rate, channels;
    int32_t channel;
    uint32_t min_depth, max_depth, keep;
    int64_t pts_base;

    _Alignas(64) _Atomic uint64_t word;

    struct stage_ring_cursor cursor[STAGE_RING_CONSUMERS];

    _Alignas(64) _Atomic int64_t end_frame;
    _Atomic int64_t cut_frame;
    _Atomic uint32_t inputs_applied;
    _Alignas(64) _Atomic uint32_t epoch_serial; /* copy serial % 2 is valid */
    struct {
        _Atomic int64_t n0, utc_us;
    } epoch[2];

    _Alignas(64) _Atomic int64_t intake_us;
    _Alignas(64) _Atomic uint32_t inputs_wanted;
    _Alignas(64) _Atomic uint32_t next_pool_id;

    _Alignas(64) struct bell stage_bell;
    _Alignas(64) struct bell render_bell;

    struct stage_ring_entry entry[STAGE_RING_ENTRIES];
};

_Static_assert(offsetof(struct stage_ring_header, pts_base) == 56, "layout");
_Static_assert(offsetof(struct stage_ring_header, word) == 64, "layout");
_Static_assert(offsetof(struct stage_ring_header, cursor) == 128, "layout");
_Static_assert(offsetof(struct stage_ring_header, end_frame) == 384, "layout");
_Static_assert(offsetof(struct stage_ring_header, epoch_serial) == 448,
               "layout");
_Static_assert(offsetof(struct stage_ring_header, intake_us) == 512, "layout");
_Static_assert(offsetof(struct stage_ring_header, stage_bell) == 704, "layout");
_Static_assert(offsetof(struct stage_ring_header, entry) == 832, "layout");
_Static_assert(sizeof(struct stage_ring_entry) == 64, "layout");
_Static_assert(sizeof(struct stage_ring_header) ==
                   832 + 64 * STAGE_RING_ENTRIES,
               "layout");

#endif
