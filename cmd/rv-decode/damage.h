/*
 * damage: which stretches of an asset are damaged, each told once.
 *
 * Damaged packets and pictures that lie close to each other are one stretch.
 * How close: a second, and with each line twice as far, up to a minute, so an
 * asset that is damaged all through gives a handful of lines and not one for
 * each picture, and none of it is left untold.
 */
#ifndef RV_DECODE_DAMAGE_H
#define RV_DECODE_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "log/log.h"
#include "media/asset.h"

struct damage {
    bool is_open;
    int64_t from_us, to_us; /* the stretch, in the asset's time */
    uint64_t count;         /* damaged packets and pictures in it */
    int64_t begin_us;       /* what lies before is not shown, or told already */
    int lines;              /* told so far */
};

/* Of a segment that begins at `begin_us` of its asset. */
void damage_init(struct damage *damage, int64_t begin_us);

/* Takes note of what was found while `now_us` of the asset is shown; true: a
 * stretch is over, to be told first. */
bool damage_note(struct damage *damage, const struct asset_damage *found,
                 int64_t now_us);

/* A line about the stretch, if there is one; none is open afterwards. */
void damage_tell(struct damage *damage, const struct log_ctx *ctx);

#endif
