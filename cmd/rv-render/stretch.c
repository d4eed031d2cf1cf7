/* stretch: what is closed, which sound belongs to it, and when it is sent. */
#include "stretch.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#define SOUNDS_MAX 64

int stretch_init(struct stretch *stretch, const struct house *house,
                 int64_t pts_base, int bframes, struct err *err)
{
    /* A coded picture is hardly ever larger than a raw one; untouched memory
     * costs nothing. */
    const size_t raw = (size_t)house->width * (size_t)house->height * 3 / 2;

    *stretch = STRETCH_EMPTY;
    stretch->house = *house;
    stretch->pts_base = pts_base + HOUSE_PTS_WRAP;
    stretch->reorder = bframes > 0;
    stretch->arena_size = raw * 4 + (4u << 20);
    stretch->out_size = stretch->arena_size / TS_PACKET_SIZE * TS_PACKET_SIZE;
    stretch->arena = malloc(stretch->arena_size);
    stretch->out = malloc(stretch->out_size);
    if (stretch->arena == NULL || stretch->out == NULL) {
        stretch_clear(stretch);
        return err_set(err, ERR_SYSTEM, "no memory for the coded pictures");
    }
    ts_mux_init(&stretch->mux);
    return 0;
}

void stretch_clear(struct stretch *stretch)
{
    free(stretch->arena);
    free(stretch->out);
    *stretch = STRETCH_EMPTY;
}

int64_t stretch_start(struct stretch *stretch, int64_t n)
{
    stretch->next_n = n;
    stretch->pictures = 0;
    stretch->arena_used = 0;
    return sound_group_at(&stretch->house, n) - stretch->has_lead_in;
}

int stretch_add(struct stretch *stretch, const struct picture_coded *coded,
                struct err *err)
{
    if (stretch->pictures == STRETCH_PICTURES ||
        coded->size > stretch->arena_size - stretch->arena_used) {
        return err_set(err, ERR_LIMIT,
                       "frame %lld: %zu bytes of a picture do not fit; use a "
                       "lower bitrate",
                       (long long)coded->n, coded->size);
    }
    stretch->picture[stretch->pictures++] =
        (struct stretch_picture){ .offset = stretch->arena_used,
                                  .size = coded->size,
                                  .n = coded->n,
                                  .is_key = coded->is_key,
                                  .vbv_bits = coded->vbv_bits };
    memcpy(stretch->arena + stretch->arena_used, coded->data, coded->size);
    stretch->arena_used += coded->size;
    return 0;
}

/* Pictures that the next stretch consists of; 0: not closed yet. */
static size_t closed_pictures(const struct stretch *stretch)
{
    int64_t newest = stretch->next_n - 1;

    for (size_t i = 0; i < stretch->pictures; i++) {
        const int64_t n = stretch->picture[i].n;
        newest = n > newest ? n : newest;
        if (newest - stretch->next_n == (int64_t)i)
            return i + 1;
    }
    return 0;
}

static int64_t clock_27m(const struct stretch *stretch, int64_t n)
{
    const struct house *house = &stretch->house;

    return stretch->pts_base * 300 - STRETCH_OFFSET_MS * TS_PCR_HZ / 1000 +
           av_rescale_rnd(n - stretch->reorder, TS_PCR_HZ * house->rate.den,
                          house->rate.num, AV_ROUND_DOWN);
}

static void set_pictures(const struct stretch *stretch, size_t count,
                         struct ts_unit *unit)
{
    const struct house *house = &stretch->house;
    const int64_t base = stretch->pts_base;

    for (size_t i = 0; i < count; i++) {
        const struct stretch_picture *from = &stretch->picture[i];
        const int64_t place = stretch->next_n + (int64_t)i - stretch->reorder;
        unit[i] = (struct ts_unit){ .data = stretch->arena + from->offset,
                                    .size = from->size,
                                    .pts_90k = house_pts(house, base, from->n),
                                    .dts_90k = house_pts(house, base, place),
                                    .is_key = from->is_key };
    }
}

static size_t set_sounds(const struct stretch *stretch,
                         const struct sound_encoder *sound, int64_t from,
                         int64_t to, struct ts_unit *unit)
{
    struct sound_unit got;
    size_t count = 0;

    for (int64_t g = from; g < to && count < SOUNDS_MAX; g++) {
        if (!sound_unit(sound, g, &got))
            continue;
        unit[count++] =
            (struct ts_unit){ .data = got.data,
                              .size = got.size,
                              .pts_90k = sound_pts(&stretch->house,
                                                   stretch->pts_base, g) };
    }
    return count;
}

static void drop_pictures(struct stretch *stretch, size_t count)
{
    const size_t left = stretch->pictures - count;
    const size_t gone =
        left > 0 ? stretch->picture[count].offset : stretch->arena_used;

    stretch->arena_used -= gone;
    memmove(stretch->arena, stretch->arena + gone, stretch->arena_used);
    for (size_t i = 0; i < left; i++) {
        stretch->picture[i] = stretch->picture[count + i];
        stretch->picture[i].offset -= gone;
    }
    stretch->pictures = left;
}

int stretch_take(struct stretch *stretch, const struct sound_encoder *sound,
                 bool is_last, struct ts_stretch *entry, const uint8_t **bytes,
                 size_t *size, struct err *err)
{
    struct ts_unit picture[STRETCH_PICTURES], sounds[SOUNDS_MAX];
    const size_t count = closed_pictures(stretch);
    const int64_t n1 = stretch->next_n, n2 = n1 + (int64_t)count;
    const int64_t from =
        sound_group_at(&stretch->house, n1) - stretch->has_lead_in;
    const int64_t to = sound_group_at(&stretch->house, n2);

    if (count == 0 || (!is_last && !sound_has(sound, to)))
        return 0;
    set_pictures(stretch, count, picture);
    const struct ts_mux_input input = { .picture = picture,
                                        .pictures = count,
                                        .sound = sounds,
                                        .sounds = set_sounds(stretch, sound,
                                                             from, to, sounds),
                                        .pcr_start_27m = clock_27m(stretch, n1),
                                        .pcr_end_27m = clock_27m(stretch, n2) };
    if (ts_mux_stretch(&stretch->mux, &input, stretch->out, stretch->out_size,
                       size, err) < 0)
        return err_prefix(err, "frame %lld", (long long)n1);
    *bytes = stretch->out;
    *entry =
        (struct ts_stretch){ .n_first = n1,
                             .n_end = n2,
                             .is_key = picture[0].is_key,
                             .vbv_bits = stretch->picture[count - 1].vbv_bits };
    drop_pictures(stretch, count);
    stretch->next_n = n2;
    stretch->has_lead_in = false;
    return 1;
}
