/*
 * source_ring: frames from the pools that a stage ring names.
 *
 * Nothing is copied: a frame's planes and sound point into the pool.  A pool
 * is mapped when the first reference to it is seen, ahead of its turn, and
 * unmapped when the release point has passed its last frame; the stage may
 * have unlinked it long before.  What is wrong in shared memory must not stop
 * the channel, so it is bridged with the last picture.
 */
#include "source.h"

#include <stdlib.h>
#include <string.h>

#include "log/log.h"

#define LUMA_BLACK   16
#define CHROMA_BLACK 128

int source_ring_open(struct source_ring *source, const char *path,
                     bool needs_stage, struct err *err)
{
    *source = SOURCE_RING_EMPTY;
    if (stage_ring_open(&source->ring, path, err) < 0)
        return -1;
    if (needs_stage && !stage_ring_has_stage(&source->ring) &&
        stage_ring_end(&source->ring) == INT64_MAX) {
        source_ring_close(source, false);
        return err_set(err, ERR_UNREACHABLE, "ring %s: no rv-stage writes it",
                       path);
    }
    if (stage_ring_attach(&source->ring, 0, err) < 0) {
        source_ring_close(source, false);
        return -1;
    }
    source->is_attached = true;
    const struct house *house = &source->ring.house;
    const size_t luma = (size_t)house->width * (size_t)house->height;
    source->sound = calloc((size_t)house_max_samples(house),
                           sizeof(int16_t) * (size_t)house->channels);
    source->black = malloc(luma * 3 / 2);
    if (source->sound == NULL || source->black == NULL) {
        source_ring_close(source, false);
        return err_set(err, ERR_SYSTEM, "no memory for a picture");
    }
    memset(source->black, LUMA_BLACK, luma);
    memset(source->black + luma, CHROMA_BLACK, luma / 2);
    return 0;
}

void source_ring_close(struct source_ring *source, bool is_done)
{
    for (int i = 0; i < SOURCE_POOLS; i++) {
        if (source->pools[i].is_open)
            pool_close(&source->pools[i].pool);
    }
    /* Who dies stays attached, so that its successor finds everything. */
    if (source->is_attached && is_done)
        stage_ring_detach(&source->ring, 0);
    stage_ring_close(&source->ring);
    free(source->sound);
    free(source->black);
    *source = SOURCE_RING_EMPTY;
}

/* --- pools ---------------------------------------------------------------- */

static void forget_pool(struct source_pool *slot)
{
    if (slot->is_open)
        pool_close(&slot->pool);
    slot->is_open = false;
    slot->is_bad = false;
}

/* A place for another pool: a free one, else the one used longest ago. */
static struct source_pool *pool_place(struct source_ring *source)
{
    struct source_pool *oldest = &source->pools[0];

    for (int i = 0; i < SOURCE_POOLS; i++) {
        struct source_pool *slot = &source->pools[i];
        if (!slot->is_open && !slot->is_bad)
            return slot;
        if (slot->last_n < oldest->last_n)
            oldest = slot;
    }
    forget_pool(oldest);
    return oldest;
}

static void open_pool(struct source_ring *source, struct source_pool *slot,
                      uint32_t id)
{
    struct log_ctx ctx = { .channel = source->ring.channel };
    struct err err = ERR_EMPTY;
    char path[1024];

    slot->id = id;
    stage_ring_pool_path(&source->ring, id, path);
    slot->is_open = pool_open(&slot->pool, path, false, &err) == 0;
    if (slot->is_open && !house_equal(&slot->pool.house, &source->ring.house)) {
        err_set(&err, ERR_INPUT,
                "pool %s: has another house format than the "
                "ring",
                path);
        forget_pool(slot);
    }
    slot->is_bad = !slot->is_open;
    if (slot->is_bad)
        log_warn(&ctx, "%s; the last picture is held", err.text);
}

/* The pool `id`, NULL if it cannot be had. */
static const struct pool *find_pool(struct source_ring *source, uint32_t id,
                                    int64_t n)
{
    struct source_pool *slot = NULL;

    for (int i = 0; i < SOURCE_POOLS && slot == NULL; i++) {
        struct source_pool *one = &source->pools[i];
        if ((one->is_open || one->is_bad) && one->id == id)
            slot = one;
    }
    if (slot == NULL) {
        slot = pool_place(source);
        slot->last_n = n;
        open_pool(source, slot, id);
    }
    slot->last_n = n > slot->last_n ? n : slot->last_n;
    return slot->is_open ? &slot->pool : NULL;
}

void source_ring_tidy(struct source_ring *source)
{
    const int64_t tail = stage_ring_tail(&source->ring);
    const int64_t release = stage_ring_release_point(&source->ring);
    struct stage_ref ref;

    for (int i = 0; i < SOURCE_POOLS; i++) {
        struct source_pool *slot = &source->pools[i];
        if ((slot->is_open || slot->is_bad) && slot->id != 0 &&
            slot->last_n < release)
            forget_pool(slot);
    }
    if (tail > 0 && stage_ring_read(&source->ring, tail - 1, &ref) == RING_OK)
        find_pool(source, ref.pool, ref.n);
}

/* --- frames --------------------------------------------------------------- */

static int32_t wanted_samples(const struct house *house, int64_t n)
{
    return (int32_t)(house_samples_before(house, n + 1) -
                     house_samples_before(house, n));
}

/* Points to the frame's sound, or to a copy that silence completes. */
static void find_sound(struct source_ring *source, const struct stage_ref *ref,
                       const struct pool *pool, struct source_frame *frame)
{
    const struct house *house = &source->ring.house;
    const struct pool_frame *record = &source->record;
    const int32_t skip = house_audio_skip(house, ref->origin, record->index);
    const int32_t wanted = wanted_samples(house, ref->n);
    const size_t sample = sizeof(int16_t) * (size_t)house->channels;

    frame->samples = wanted;
    if (pool != NULL && skip >= 0 && skip + wanted <= record->samples) {
        frame->sound = pool_audio(pool, ref->seq) + skip * house->channels;
        return;
    }
    int32_t have = pool != NULL ? record->samples - (skip > 0 ? skip : 0) : 0;
    have = have < 0 ? 0 : have < wanted ? have : wanted;
    memset(source->sound, 0, sample * (size_t)wanted);
    if (have > 0) {
        memcpy(source->sound,
               pool_audio(pool, ref->seq) +
                   (skip > 0 ? skip : 0) * house->channels,
               sample * (size_t)have);
    }
    frame->sound = source->sound;
}

static void find_picture(struct source_ring *source, const struct pool *pool,
                         struct source_frame *frame)
{
    const struct pool_frame *record = &source->record;
    const uint8_t *slot = pool_picture(pool, record->picture);

    for (int i = 0; i < 3; i++) {
        frame->plane[i] = slot + record->plane_offset[i];
        frame->stride[i] = (int)record->stride_bytes[i];
    }
    frame->captions = record->captions;
    frame->captions_size = record->captions_size;
    frame->flags = record->flags;
}

/* Is the pool of the last picture still mapped? */
static bool has_last(struct source_ring *source)
{
    bool is_there = false;

    for (int i = 0; i < SOURCE_POOLS; i++) {
        is_there |= source->pools[i].is_open &&
                    source->pools[i].id == source->last_pool;
    }
    return source->has_last && is_there;
}

static void hold_picture(struct source_ring *source, struct source_frame *frame)
{
    const struct house *house = &source->ring.house;
    const size_t luma = (size_t)house->width * (size_t)house->height;

    source->damaged++;
    if (has_last(source)) {
        memcpy(frame->plane, source->last.plane, sizeof(frame->plane));
        memcpy(frame->stride, source->last.stride, sizeof(frame->stride));
    } else {
        frame->plane[0] = source->black;
        frame->plane[1] = source->black + luma;
        frame->plane[2] = source->black + luma * 5 / 4;
        frame->stride[0] = house->width;
        frame->stride[1] = frame->stride[2] = house->width / 2;
    }
    frame->captions_size = 0;
    frame->flags = FRAME_HELD;
}

/* The record that a reference names; NULL (said once a pool) if wrong. */
static const struct pool *read_record(struct source_ring *source,
                                      const struct stage_ref *ref)
{
    const struct pool *pool = find_pool(source, ref->pool, ref->n);
    struct log_ctx ctx = { .channel = source->ring.channel,
                           .has_frame = true,
                           .frame = ref->n };
    struct err err = ERR_EMPTY;

    if (pool == NULL || pool_read(pool, ref->seq, &source->record, &err) == 0)
        return pool;
    if (source->damaged == 0)
        log_warn(&ctx, "%s; the last picture is held", err.text);
    return NULL;
}

enum source_result source_ring_take(struct source_ring *source, int64_t n,
                                    struct source_frame *frame)
{
    struct stage_ref ref = { .n = n };
    const enum ring_result got = stage_ring_claim(&source->ring, n, &ref);

    *frame = (struct source_frame){ .n = n };
    if (got == RING_EMPTY)
        return SOURCE_EMPTY;
    if (got != RING_OK && n >= stage_ring_end(&source->ring))
        return SOURCE_END;
    const struct pool *pool =
        got == RING_OK && ref.n == n ? read_record(source, &ref) : NULL;
    ref.n = n;
    find_sound(source, &ref, pool, frame);
    if (pool == NULL) {
        hold_picture(source, frame);
        return SOURCE_OK;
    }
    find_picture(source, pool, frame);
    source->last = *frame;
    source->last_pool = ref.pool;
    source->has_last = true;
    return SOURCE_OK;
}

bool source_ring_sound(struct source_ring *source, int64_t n,
                       struct source_frame *frame)
{
    struct stage_ref ref;

    *frame = (struct source_frame){ .n = n };
    if (stage_ring_read(&source->ring, n, &ref) != RING_OK || ref.n != n)
        return false;
    const struct pool *pool = read_record(source, &ref);
    if (pool != NULL)
        find_sound(source, &ref, pool, frame);
    return pool != NULL;
}
