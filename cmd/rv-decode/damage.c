/* damage: stretches of damage, and their lines. */
#include "damage.h"

#include <libavutil/common.h>

#define SECOND_US     INT64_C(1000000)
#define APART_MOST_US (60 * SECOND_US)
/* One without an end is told in parts. */
#define LENGTH_MOST_US (60 * SECOND_US)

void damage_init(struct damage *damage, int64_t begin_us)
{
    *damage = (struct damage){ .begin_us = begin_us };
}

static int64_t apart_us(const struct damage *damage)
{
    return FFMIN(SECOND_US << FFMIN(damage->lines, 6), APART_MOST_US);
}

bool damage_note(struct damage *damage, const struct asset_damage *found,
                 int64_t now_us)
{
    /* Before where the segment begins a decoder may lack references. */
    if (found->count > 0 && found->to_us >= damage->begin_us) {
        const int64_t from_us = FFMAX(found->from_us, damage->begin_us);
        damage->from_us =
            damage->is_open ? FFMIN(damage->from_us, from_us) : from_us;
        damage->to_us =
            damage->is_open ? FFMAX(damage->to_us, found->to_us) : found->to_us;
        damage->count += found->count;
        damage->is_open = true;
    }
    return damage->is_open &&
           (now_us - damage->to_us > apart_us(damage) ||
            damage->to_us - damage->from_us > LENGTH_MOST_US);
}

void damage_tell(struct damage *damage, const struct log_ctx *ctx)
{
    if (!damage->is_open)
        return;
    log_warn(ctx,
             "the asset is damaged from %.3f s to %.3f s: %llu packets or "
             "pictures, shown as far as they can be",
             (double)damage->from_us / 1e6, (double)damage->to_us / 1e6,
             (unsigned long long)damage->count);
    damage->is_open = false;
    damage->count = 0;
    damage->lines++;
    damage->begin_us = damage->to_us + 1; /* a filler that begins again */
}
