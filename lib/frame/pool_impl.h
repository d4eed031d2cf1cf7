/*
 * pool_impl: the layout of a pool, for lib/frame and its tests only.
 *
 *   0        header: what never changes after pool_create
 *   64       decoder's line        ready, end_index, status
 *   128      stage's line          released
 *   192,256  the two bells
 *   320      the sentence of a failed pool
 *   1536     records[POOL_RECORDS], then audio slots, then picture slots,
 *            each part begins at a multiple of 4096
 *
 * Where the parts lie follows from slot_count, picture_bytes and audio_bytes,
 * so a header cannot name a place outside the file: its size must be exactly
 * what these three give.
 */
#ifndef RV_FRAME_POOL_IMPL_H
#define RV_FRAME_POOL_IMPL_H

#include <stddef.h>

#include "frame/pool.h"

#define POOL_MAGIC        0x4c505652u /* "RVPL" */
#define POOL_FAILURE_SIZE 1024

struct pool_header {
    _Atomic uint32_t magic;
    uint32_t version;
    uint32_t record_size;
    uint32_t slot_count;
    uint32_t picture_bytes;
    uint32_t audio_bytes;
    int32_t width, height;
    int32_t rate_num, rate_den;
    int32_t sample_rate, channels;

    _Alignas(64) _Atomic uint64_t ready;
    _Atomic int64_t end_index;
    _Atomic uint32_t status;

    _Alignas(64) _Atomic uint64_t released;

    _Alignas(64) struct bell ready_bell;
    _Alignas(64) struct bell free_bell;

    _Alignas(64) uint32_t failure_kind; /* plain, before status */
    char failure[POOL_FAILURE_SIZE];
};

_Static_assert(offsetof(struct pool_header, ready) == 64, "layout");
_Static_assert(offsetof(struct pool_header, released) == 128, "layout");
_Static_assert(offsetof(struct pool_header, ready_bell) == 192, "layout");
_Static_assert(offsetof(struct pool_header, free_bell) == 256, "layout");
_Static_assert(offsetof(struct pool_header, failure_kind) == 320, "layout");
_Static_assert(sizeof(struct pool_header) == 1408, "layout");
_Static_assert(sizeof(struct pool_frame) == 1360, "layout");
_Static_assert((POOL_RECORDS & (POOL_RECORDS - 1)) == 0, "a power of two");

struct pool_layout {
    uint64_t records, audio, pictures, size; /* bytes from the file's start */
};

void pool_layout(struct pool_layout *layout, uint32_t slot_count,
                 uint32_t picture_bytes, uint32_t audio_bytes);

/* A pool that nobody can open before pool_show(). */
int pool_build(struct pool *pool, const char *path,
               const struct pool_config *config, struct err *err);
int pool_show(struct pool *pool, struct err *err);

/* Plane p of a tightly packed house picture with 64-byte strides. */
uint32_t pool_plane_stride(const struct house *house, int plane);
uint32_t pool_plane_offset(const struct house *house, int plane);

#endif
