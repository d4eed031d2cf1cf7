/*
 * ts_ring_impl: the layout of a TS ring in memory.  Only ts_ring.c and its
 * tests look at it; who writes what is the table in ts_ring.h.
 *
 *   0          fixed (magic .. house)
 *   64         reserved
 *   128        count
 *   192        is_closed
 *   4096       entries[TS_RING_ENTRIES], 64 bytes each
 *   4096+64K   data
 */
#ifndef RV_FRAME_TS_RING_IMPL_H
#define RV_FRAME_TS_RING_IMPL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "frame/ts_ring.h"

#define TS_RING_MAGIC    UINT64_C(0x31676e6952535456) /* "VTSRing1" */
#define TS_PACKET_BYTES  188
#define TS_RING_SIZE_MIN (UINT64_C(188) * 1024)
#define TS_RING_SIZE_MAX ((UINT64_C(1) << 30) / 188 * 188)

/* A stretch, field by field: a reader may look while it is overwritten. */
struct ts_ring_entry {
    _Atomic uint64_t start;
    _Atomic uint64_t end;
    _Atomic int64_t n_first;
    _Atomic int64_t n_end;
    _Atomic int64_t due_us;
    _Atomic uint32_t is_key;
    _Atomic uint32_t vbv_bits;
    uint64_t unused[2];
};

struct ts_ring_header {
    _Atomic uint64_t magic;
    uint32_t layout_version;
    uint32_t entries;
    uint64_t data_size;
    struct house house;
    _Alignas(64) _Atomic uint64_t reserved; /* data below it may be written */
    _Alignas(64) _Atomic uint64_t count;    /* entries published */
    _Alignas(64) _Atomic uint32_t is_closed;
    _Alignas(4096) struct ts_ring_entry entry[TS_RING_ENTRIES];
};

_Static_assert(sizeof(struct ts_ring_entry) == 64, "one line an entry");
_Static_assert(offsetof(struct ts_ring_header, reserved) == 64, "layout");
_Static_assert(offsetof(struct ts_ring_header, count) == 128, "layout");
_Static_assert(offsetof(struct ts_ring_header, is_closed) == 192, "layout");
_Static_assert(offsetof(struct ts_ring_header, entry) == 4096, "layout");
_Static_assert(sizeof(struct ts_ring_header) == 4096 + 64 * TS_RING_ENTRIES,
               "layout");

#endif
