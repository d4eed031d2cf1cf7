/* copy: one frame out of a pool, if it holds still. */
#include <stdatomic.h>
#include <string.h>

#include "tap.h"

/*
 * What was copied are plain bytes; `released` must be looked at after them.
 * The one place where our programs fence (ThreadSanitizer knows no fences).
 */
static void order_copy(void)
{
#if defined(__SANITIZE_THREAD__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_acquire);
#endif
}

static void copy_plane(const struct tap *tap, const uint8_t *slot, int plane)
{
    const struct tap_frame *frame = &tap->frame;
    const int width = plane ? tap->house.width / 2 : tap->house.width;
    const int height = plane ? tap->house.height / 2 : tap->house.height;
    const uint8_t *from = slot + frame->info.plane_offset[plane];
    uint8_t *to = frame->planes.data[plane];

    for (int y = 0; y < height; y++) {
        memcpy(to, from, (size_t)width);
        from += frame->info.stride_bytes[plane];
        to += frame->planes.stride[plane];
    }
}

/* S(n+1) - S(n) samples, as house.h says; what is not there is silence. */
static void copy_sound(struct tap *tap, const int16_t *from, int64_t origin)
{
    struct tap_frame *frame = &tap->frame;
    const struct house *house = &tap->house;
    const int channels = house->channels;
    const int32_t skip = house_audio_skip(house, origin, frame->info.index);
    const int32_t want = (int32_t)(house_samples_before(house, frame->n + 1) -
                                   house_samples_before(house, frame->n));
    int32_t there = frame->info.samples - skip;

    if (there < 0)
        there = 0;
    if (there > want)
        there = want;
    memcpy(frame->sound, from + skip * channels,
           sizeof(int16_t) * (size_t)(there * channels));
    memset(frame->sound + there * channels, 0,
           sizeof(int16_t) * (size_t)((want - there) * channels));
    frame->samples = want;
}

enum copy_result copy_frame(struct tap *tap, const struct pool *pool,
                            uint64_t seq, int64_t origin, int64_t n,
                            struct err *err)
{
    struct tap_frame *frame = &tap->frame;

    if (pool_read(pool, seq, &frame->info, err) < 0) {
        /* A record that was given back while we read it may be anything. */
        order_copy();
        return pool_released(pool) > seq ? COPY_GONE : COPY_WRONG;
    }
    frame->n = n;
    if (tap->opts.form != TAP_JSON) {
        const uint8_t *slot = pool_picture(pool, frame->info.picture);
        for (int plane = 0; plane < 3; plane++)
            copy_plane(tap, slot, plane);
        copy_sound(tap, pool_audio(pool, seq), origin);
    }
    order_copy();
    return pool_released(pool) > seq ? COPY_GONE : COPY_OK;
}
