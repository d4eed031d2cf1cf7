/*
 * plan_hash: is it the same plan?  Two plans are, when they show the same at
 * the same time: how a time is written, line numbers, unknown fields and the
 * file's own place (as long as assets stay the same) do not count.
 */
#include "plan/plan.h"

#include <string.h>

/* FNV-1a, 64 bits. */
static void mix(uint64_t *hash, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < length; i++)
        *hash = (*hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void mix_int(uint64_t *hash, int64_t value)
{
    mix(hash, &value, sizeof(value));
}

static void mix_text(uint64_t *hash, const char *text)
{
    mix(hash, text, strlen(text) + 1);
}

static void mix_time(uint64_t *hash, const struct plan_time *time,
                     const struct house *house)
{
    struct rational seconds;

    mix_int(hash, time->is_given);
    if (plan_time_seconds(time, house, &seconds) < 0)
        seconds = (struct rational){ time->frames, 0 };
    mix_int(hash, seconds.num);
    mix_int(hash, seconds.den);
}

static void mix_segment(uint64_t *hash, const struct plan_segment *s,
                        const struct house *house)
{
    mix_text(hash, s->segment.id);
    mix_text(hash, s->segment.asset);
    mix_int(hash, s->segment.type);
    mix_int(hash, s->segment.pad);
    mix(hash, &s->segment.gain_db, sizeof(s->segment.gain_db));
    mix_int(hash, s->segment.languages);
    for (int i = 0; i < s->segment.languages; i++)
        mix_text(hash, s->segment.language[i]);
    mix_time(hash, &s->in, house);
    mix_time(hash, &s->duration, house);
    mix_time(hash, &s->fade_in, house);
    mix_time(hash, &s->fade_out, house);
    mix_int(hash, s->has_start);
    mix_int(hash, s->has_start ? s->start_us : 0);
}

uint64_t plan_hash(const struct plan *plan, const struct house *house)
{
    const struct house *in_force = plan->has_house ? &plan->house : house;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    mix_int(&hash, in_force->width);
    mix_int(&hash, in_force->height);
    mix_int(&hash, in_force->rate.num);
    mix_int(&hash, in_force->rate.den);
    mix_int(&hash, in_force->sample_rate);
    mix_int(&hash, in_force->channels);
    mix_int(&hash, plan->is_loop);
    mix_int(&hash, plan->has_start);
    mix_int(&hash, plan->has_start ? plan->start_us : 0);
    mix_int(&hash, plan->count);
    for (int i = 0; i < plan->count; i++)
        mix_segment(&hash, &plan->segment[i], in_force);
    return hash;
}
