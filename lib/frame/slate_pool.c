/* slate_pool: a slate as a pool, and its tone.  The idea is in slate.h. */
#include <assert.h>
#include <libavutil/avutil.h>
#include <math.h>
#include <string.h>

#include <bsd/string.h>

#include "frame/pool_impl.h"
#include "frame/slate.h"

/* -20 dBFS: a tenth of the largest sample. */
#define TONE_PEAK 3276.7

int slate_most(const struct house *house)
{
    const int64_t bytes =
        (int64_t)pool_plane_offset(house, 2) +
        (int64_t)pool_plane_stride(house, 2) * (house->height / 2);
    const int64_t frames = SLATE_BYTES_MAX / bytes;

    return frames < 1                  ? 1
           : frames > SLATE_FRAMES_MAX ? SLATE_FRAMES_MAX
                                       : (int)frames;
}

/* Whole cycles of the tone in so many frames, and whole samples? */
static bool has_whole(const struct house *house, int64_t frames, int64_t hz)
{
    return frames * hz * house->rate.den % house->rate.num == 0;
}

int slate_repeats(const struct house *house, int frames)
{
    const int most = SLATE_FRAMES_MAX / frames;
    int found = 0;

    for (int k = 1; k <= most; k++) {
        if (!has_whole(house, (int64_t)k * frames, SLATE_TONE_HZ))
            continue;
        if (has_whole(house, (int64_t)k * frames, house->sample_rate))
            return k;
        found = found > 0 ? found : k;
    }
    return found > 0 ? found : most > 0 ? most : 1;
}

/* Whole cycles of the tone in so many frames. */
static int64_t cycles_in(const struct house *house, int64_t frames)
{
    const int64_t num = house->rate.num;

    return (frames * SLATE_TONE_HZ * house->rate.den + num / 2) / num;
}

/* The sound of frame `index` in a loop of `frames`. */
static void write_tone(const struct pool *pool, int64_t index, int64_t frames)
{
    const struct house *house = &pool->house;
    const int64_t first = house_samples_before(house, index);
    const int32_t count = house_pool_samples(house, index);
    /* Cycles at sample s: s * cycles / (frames * sample_rate * den / num). */
    const __int128 up = (__int128)cycles_in(house, frames) * house->rate.num;
    const __int128 down =
        (__int128)frames * house->sample_rate * house->rate.den;
    int16_t *to = pool_audio(pool, (uint64_t)index);

    for (int64_t s = first; s < first + count; s++) {
        const double turn = (double)(s * up % down) / (double)down;
        const int16_t value =
            (int16_t)lrint(TONE_PEAK * sin(2.0 * M_PI * turn));
        for (int32_t c = 0; c < house->channels; c++)
            *to++ = value;
    }
}

/* Frame `index` once more what frame `index` - `back` is. */
static int repeat(struct pool *pool, int64_t index, int64_t back,
                  struct err *err)
{
    struct pool_frame former;

    if (pool_read(pool, (uint64_t)(index - back), &former, err) < 0)
        return -1;
    struct pool_frame *frame = pool_begin(pool);
    assert(frame != NULL); /* SLATE_FRAMES_MAX is less than there are */
    *frame = former;
    frame->index = index;
    frame->samples = house_pool_samples(&pool->house, index);
    frame->flags |= FRAME_REPEATED;
    pool_publish(pool);
    return 0;
}

int slate_build(struct pool *pool, const char *path, const struct house *house,
                int frames, struct shm *reserved, struct err *err)
{
    /* Two more than are shown: a scaler's, and one that is always free. */
    const struct pool_config config = { .house = *house,
                                        .slots = (uint32_t)frames + 2,
                                        .reserved = reserved };

    return pool_build(pool, path, &config, err) < 0 ? err_prefix(err, "slate")
                                                    : 0;
}

int slate_publish(struct pool *pool, bool has_tone, struct err *err)
{
    const int64_t frames = (int64_t)pool->next;
    const int64_t all =
        frames * (has_tone ? slate_repeats(&pool->house, (int)frames) : 1);

    assert(frames > 0 && frames <= SLATE_FRAMES_MAX);
    for (int64_t i = frames; i < all; i++) {
        if (repeat(pool, i, frames, err) < 0)
            return -1;
    }
    for (int64_t i = 0; has_tone && i < all; i++)
        write_tone(pool, i, all);
    pool_end(pool, all, NULL);
    return pool_show(pool, err);
}

int slate_fail(struct pool *pool, const struct err *why, struct err *err)
{
    pool_end(pool, 0, why);
    return pool_show(pool, err);
}

/* --- the card ------------------------------------------------------------- */

/* Its sound is zero from shm_create on. */
static void draw_card(struct pool *pool, const char *title, bool has_tone)
{
    const int slot = pool_slot_take(pool);
    struct pool_frame *frame = pool_begin(pool);
    uint8_t *plane[3];

    for (int p = 0; p < 3; p++) {
        frame->plane_offset[p] = pool_plane_offset(&pool->house, p);
        frame->stride_bytes[p] = pool_plane_stride(&pool->house, p);
        plane[p] = pool_picture(pool, (uint32_t)slot) + frame->plane_offset[p];
    }
    slate_draw(plane, frame->stride_bytes, &pool->house, title);
    frame->picture = (uint32_t)slot;
    frame->source_pts_us = AV_NOPTS_VALUE;
    frame->source_dts_us = AV_NOPTS_VALUE;
    frame->flags = FRAME_SLATE | (has_tone ? 0 : FRAME_SILENT);
    frame->samples = house_pool_samples(&pool->house, 0);
    strlcpy(frame->segment, "slate", sizeof(frame->segment));
    pool_publish(pool);
    pool_slot_drop(pool, slot);
}

int slate_create_card(const char *path, const struct house *house,
                      const char *title, bool has_tone, struct err *err)
{
    const struct pool_config config = { .house = *house, .slots = 1 };
    struct pool pool;

    if (pool_build(&pool, path, &config, err) < 0)
        return err_prefix(err, "slate");
    draw_card(&pool, title, has_tone);
    const int rc = slate_publish(&pool, has_tone, err);
    pool_close(&pool);
    return rc;
}

/* --- who shows it --------------------------------------------------------- */

int slate_open(struct pool *pool, const char *path, const struct house *house,
               struct err *err)
{
    if (pool_open(pool, path, false, err) < 0)
        return -1;
    if (!house_equal(&pool->house, house))
        err_set(err, ERR_INPUT, "slate %s: has another house format", path);
    else if (pool_status(pool) == POOL_FAILED)
        pool_failure(pool, err);
    else if (pool_status(pool) != POOL_ENDED || pool_ready(pool) < 1 ||
             pool_ready(pool) > SLATE_FRAMES_MAX || pool_released(pool) != 0)
        err_set(err, ERR_INPUT, "slate %s: is not whole", path);
    else
        return 0;
    pool_close(pool);
    return -1;
}
