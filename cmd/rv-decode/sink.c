/* sink: frames into a pool or into NUT. */
#include "sink.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock/clock.h"
#include "frame/slate.h"

/* The stage and the renderer hold this many frames at the most (design 4). */
#define DEPTH_MAX 60
#define SPARE     8
#define WAIT_US   200000

int sink_open_pool(struct sink *sink, const char *path,
                   const struct house *house, struct asset *asset,
                   int64_t frames, uint32_t slots, struct err *err)
{
    uint32_t own = 4;
    uint32_t bytes = 0;

    if (asset && asset->video_decoder) {
        bytes = buffers_bytes(asset->video_decoder);
        own = buffers_held(asset->video_decoder);
    }
    if (slots == 0) {
        slots = DEPTH_MAX + SPARE + own;
        if (frames >= 0 && (uint64_t)frames + own + 2 < slots)
            slots = (uint32_t)frames + own + 2;
    }
    const struct pool_config config = {
        .house = *house,
        .slots = slots < POOL_SLOTS_MAX ? slots : POOL_SLOTS_MAX,
        .picture_bytes = bytes,
        .reserved = &sink->reserved,
    };
    sink->house = *house;
    if (pool_create(&sink->pool, path, &config, err) < 0)
        return -1;
    sink->is_open = true;
    return 0;
}

int sink_open_slate(struct sink *sink, const char *path,
                    const struct house *house, int frames, struct err *err)
{
    sink->house = *house;
    sink->is_slate = true;
    if (slate_build(&sink->pool, path, house, frames, &sink->reserved, err) < 0)
        return -1;
    sink->is_open = true;
    return 0;
}

int sink_open_nut(struct sink *sink, const struct house *house, struct err *err)
{
    sink->house = *house;
    sink->is_nut = true;
    sink->memory = aligned_alloc(64, (planes_bytes(house) + 63u) & ~63u);
    sink->sound = calloc((size_t)house_max_samples(house),
                         (size_t)house->channels * sizeof(*sink->sound));
    if (sink->memory == NULL || sink->sound == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a picture");
    if (nut_open(&sink->nut, house, true, err) < 0)
        return -1;
    sink->is_open = true;
    return 0;
}

int sink_end(struct sink *sink, const struct err *why, struct err *err)
{
    if (!sink->is_open)
        return 0;
    if (sink->is_nut)
        return sink->has_failed ? 0 : nut_end(sink->nut, err);
    if (sink->is_slate)
        return why != NULL ? slate_fail(&sink->pool, why, err)
                           : slate_publish(&sink->pool, sink->has_tone, err);
    pool_end(&sink->pool, sink->next_index, why);
    return 0;
}

void sink_close(struct sink *sink)
{
    nut_free(sink->nut);
    shm_close(&sink->reserved);
    if (sink->pool.head)
        pool_close(&sink->pool);
    free(sink->memory);
    free(sink->sound);
    *sink = SINK_EMPTY;
}

bool sink_is_alone(const struct sink *sink)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return sink->ends_with_reader && poll(&out, 1, 0) > 0 &&
           (out.revents & POLLERR);
}

int sink_wait(struct sink *sink, uint32_t slots)
{
    if (sink->is_stopping())
        return -1;
    if (sink->is_nut || pool_has_room(&sink->pool, slots))
        return 0;
    const int64_t begin = clock_monotonic_us();
    bool has_room = false;
    while (!has_room && !sink->is_stopping() && !sink_is_alone(sink))
        has_room = pool_wait_room(&sink->pool, slots, WAIT_US);
    sink->waited_us += clock_monotonic_us() - begin;
    return has_room ? 0 : -1;
}

int sink_place(struct sink *sink, struct place *place)
{
    sink_drop(sink, place);
    place->is_set = true;
    if (sink->is_nut) {
        planes_lay(&place->planes, &sink->house, sink->memory);
        return 0;
    }
    while (place->slot < 0) {
        if (sink_wait(sink, 1) < 0)
            return -1;
        place->slot = pool_slot_take(&sink->pool);
    }
    planes_lay(&place->planes, &sink->house,
               pool_picture(&sink->pool, (uint32_t)place->slot));
    return 0;
}

void sink_drop(struct sink *sink, struct place *place)
{
    if (place->slot >= 0)
        pool_slot_drop(&sink->pool, place->slot);
    place->slot = -1;
    place->is_set = false;
}

int16_t *sink_sound(struct sink *sink)
{
    return sink->is_nut ? sink->sound
                        : pool_audio(&sink->pool, sink->pool.next);
}

static int emit_to_pool(struct sink *sink, const struct pool_frame *frame,
                        const struct place *place)
{
    struct pool *pool = &sink->pool;
    struct pool_frame *record = pool_begin(pool);

    if (record == NULL) /* sink_wait() came before */
        return -1;
    *record = *frame;
    record->picture = (uint32_t)place->slot;
    const uint8_t *slot = pool_picture(pool, record->picture);
    for (int i = 0; i < 3; i++) {
        record->plane_offset[i] = (uint32_t)(place->planes.data[i] - slot);
        record->stride_bytes[i] = (uint32_t)place->planes.stride[i];
    }
    pool_publish(pool);
    return 0;
}

int sink_emit(struct sink *sink, const struct pool_frame *frame,
              const struct place *place, struct err *err)
{
    int rc = 0;

    if (sink->is_nut)
        rc = nut_write(sink->nut, frame->index, &place->planes, sink->sound,
                       frame->samples - 1, err);
    else if (emit_to_pool(sink, frame, place) < 0)
        rc = err_set(err, ERR_STATE, "pool %s: no record is free",
                     sink->pool.shm.path);
    if (rc < 0) {
        sink->has_failed = true;
        return -1;
    }
    sink->next_index = frame->index + 1;
    sink->frames++;
    return 0;
}
