/*
 * length: how many house frames an asset gives when it is played to its end,
 * whatever its container says.
 *
 * Playing it would tell, and takes long.  Only the last picture matters, so:
 *
 *   index     the container's index is whole (MP4, MOV): the last two seconds
 *             are decoded
 *   packets   everything is read, at the disk's speed; from the third last
 *             keyframe on it is decoded as well
 *   decoded   nothing less is sure: sound alone, a pipe, timestamps that are
 *             missing or go back
 *
 * All three give the same number.  If that is wrong, a person is told of an
 * asset what the channel does not do.
 */
#ifndef RV_MEDIA_LENGTH_H
#define RV_MEDIA_LENGTH_H

#include "media/asset.h"

enum length_way {
    LENGTH_UNKNOWN,
    LENGTH_TOLD, /* by the container, not looked up */
    LENGTH_INDEX,
    LENGTH_PACKETS,
    LENGTH_DECODED
};

struct length {
    enum length_way way;
    int64_t frames; /* of the house; -1: unknown */
    int64_t end_us; /* of the last picture; -1: unknown */
    bool has_sound_end;
    int64_t sound_end_us; /* of the last packet, behind the first picture */
    int64_t packets;      /* of video, as far as they were read */
    int64_t unsteady;     /* of them, not on the steady rate's grid */
    bool has_captions;    /* seen in one of them (A/53) */
};

struct length_config {
    bool is_told; /* only what the container says */
    /* Called with each picture that is decoded on the way, may be NULL. */
    void (*look)(void *opaque, const struct asset *asset);
    /* Called now and then with how much was read, may be NULL. */
    void (*progress)(void *opaque, int percent);
    void *opaque;
};

/*
 * Of an asset from its present place on, which must be near its start; the
 * place is lost.  -1: stopped, or reading failed.
 */
int asset_length(struct asset *asset, const struct length_config *config,
                 struct length *length, struct err *err);

/* Does a picture so long behind the first lie on the asset's steady rate? */
bool asset_is_steady(const struct asset *asset, int64_t ticks);

/* What the container says, in microseconds; -1: nothing. */
int64_t asset_told_us(const struct asset *asset);

#endif
