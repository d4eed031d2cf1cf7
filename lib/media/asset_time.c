/*
 * asset_time: packets' timestamps in one line, and the packets into queues.
 *
 * Decoding times go forward.  Where they do not, or step ahead by far, a
 * transport or programme stream may do that (a spliced recording): it is
 * brought into one line at once.  In other containers a step ahead is a gap
 * that is kept, or a damaged timestamp that would freeze the picture for hours
 * and mute the sound behind it; a step back is a file that was joined to
 * another, or damage.  What follows tells which, so the packets are held back:
 *
 *   expected ->|      held         next
 *   ###########       ##     ##########       ahead, then again below `held`:
 *                                             damage, `held` follows `expected`
 *   ###########       ##   ## ## ## ##        goes on: a gap
 *   ###########  | (held and what goes on lie earlier: a new begin)
 *
 * The other stream is a witness: near to `held` as well, it confirms a gap; far
 * from it and going on, it contradicts.
 */
#include "media/asset_impl.h"

#include <stdlib.h>
#include <string.h>

/* Steps that are in doubt. */
#define STEP_US INT64_C(1000000)
/* What goes on for so long is no damage (a cluster of Matroska lasts 5 s). */
#define SURE_US INT64_C(6000000)
/* The other stream is near: containers are interleaved. */
#define NEAR_US  INT64_C(5000000)
#define HELD_MAX (8u << 20)
/* Presentation is not so much later than decoding. */
#define REORDER_US INT64_C(10000000)

static int64_t to_us(const struct asset *asset, const AVPacket *packet,
                     int64_t ticks)
{
    return av_rescale_q(ticks,
                        asset->format->streams[packet->stream_index]->time_base,
                        AV_TIME_BASE_Q);
}

static int64_t to_ticks(const struct asset *asset, const AVPacket *packet,
                        int64_t us)
{
    return av_rescale_q(
        us, AV_TIME_BASE_Q,
        asset->format->streams[packet->stream_index]->time_base);
}

/* A damaged header makes pictures of hours; none of them is that late. */
static int64_t lasts_us(const struct asset *asset, const AVPacket *packet)
{
    const int64_t lasts = to_us(asset, packet, packet->duration);

    return lasts <= JUMP_AHEAD_US ? FFMAX(lasts, 0) : 0;
}

/* Into its queue, its time is right. */
static void accept(struct asset *asset, AVPacket *packet, int kind)
{
    struct packet_queue *queue =
        kind == 0 ? &asset->video_queue : &asset->audio_queue;
    const int64_t shift = to_ticks(asset, packet, asset->offset_us[kind]);

    if (packet->dts != AV_NOPTS_VALUE) {
        asset->next_dts[kind] = to_us(asset, packet, packet->dts) +
                                asset->offset_us[kind] +
                                lasts_us(asset, packet);
        packet->dts += shift;
    }
    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts += shift;
    if (packet->flags & AV_PKT_FLAG_CORRUPT)
        asset_note_packet(asset, packet);
    if (kind == 0 && packet->dts != AV_NOPTS_VALUE)
        asset->newest_us = to_us(asset, packet, packet->dts);
    if (!queue_push(queue, packet))
        asset_note_packet(asset, packet);
}

/* Time begins anew with a step from what was expected. */
static void shift_by(struct asset *asset, int kind, int64_t step)
{
    int64_t *offset = &asset->offset_us[kind];
    const int64_t other = asset->offset_us[!kind];

    /* Both streams jump; by the same, or they would drift apart.  The first one
     * to jump finds the other where it was itself. */
    const bool has_other_jumped = other != *offset;
    *offset -= step;
    if (has_other_jumped && llabs(*offset - other) < JUMP_SAME_US)
        *offset = other;
}

/* --- doubt ---------------------------------------------------------------- */

/* The held ones have the right time. */
static void believe(struct asset *asset, int kind)
{
    struct doubt *doubt = &asset->doubt[kind];
    AVPacket *packet;

    if (doubt->is_back && doubt->held.bytes > 0)
        shift_by(asset, kind, doubt->first_us - asset->next_dts[kind]);
    while ((packet = queue_pop(&doubt->held)) != NULL) {
        accept(asset, packet, kind);
        av_packet_free(&packet);
    }
    doubt->is_open = false;
}

/* They have not: each follows the one before. */
static void put_right(struct asset *asset, int kind)
{
    struct doubt *doubt = &asset->doubt[kind];
    AVPacket *packet;

    while ((packet = queue_pop(&doubt->held)) != NULL) {
        asset_note_damage(asset, asset->next_dts[kind], AV_TIME_BASE_Q);
        if (packet->dts != AV_NOPTS_VALUE) {
            const int64_t dts = to_ticks(
                asset, packet, asset->next_dts[kind] - asset->offset_us[kind]);
            if (packet->pts != AV_NOPTS_VALUE)
                packet->pts += dts - packet->dts;
            packet->dts = dts;
        }
        accept(asset, packet, kind);
        av_packet_free(&packet);
    }
    doubt->is_open = false;
}

/* Is the other stream near to what is held? */
static bool is_confirmed(const struct asset *asset, int kind, int64_t first_us)
{
    const int64_t other = asset->next_dts[!kind];

    return other != AV_NOPTS_VALUE && llabs(other - first_us) < NEAR_US;
}

/* Does it go on elsewhere? */
static bool is_contradicted(const struct asset *asset, int kind)
{
    return asset->doubt[kind].others > 0 && !asset->doubt[!kind].is_open &&
           !is_confirmed(asset, kind, asset->doubt[kind].first_us);
}

/* What is held goes its way, if that is known by now. */
static void settle(struct asset *asset, int kind)
{
    const struct doubt *doubt = &asset->doubt[kind];
    const bool is_sure = llabs(doubt->last_us - doubt->first_us) >= SURE_US &&
                         !is_contradicted(asset, kind);
    const bool is_gap =
        !doubt->is_back && is_confirmed(asset, kind, doubt->first_us);

    if (is_sure || is_gap || doubt->held.bytes > HELD_MAX)
        believe(asset, kind);
}

static void hold(struct asset *asset, AVPacket *packet, int kind, int64_t us)
{
    struct doubt *doubt = &asset->doubt[kind];

    if (!doubt->is_open) {
        doubt->is_open = true;
        doubt->is_back = us < asset->next_dts[kind];
        doubt->first_us = us;
        doubt->others = 0;
    }
    doubt->last_us = us;
    if (!queue_push(&doubt->held, packet))
        asset_note_packet(asset, packet);
    settle(asset, kind);
}

/* A packet at `us` while others are held: are those proved wrong? */
static bool returns(const struct asset *asset, int kind, int64_t us)
{
    const struct doubt *doubt = &asset->doubt[kind];

    if (us - doubt->last_us >= -JUMP_BACK_US && us - doubt->last_us <= STEP_US)
        return false; /* goes on there */
    return us >= asset->next_dts[kind] - STEP_US &&
           (doubt->is_back || us < doubt->first_us);
}

/* In a container where time does not begin anew. */
static void place_strictly(struct asset *asset, AVPacket *packet, int kind)
{
    struct doubt *doubt = &asset->doubt[kind];
    const int64_t us =
        to_us(asset, packet, packet->dts) + asset->offset_us[kind];

    if (packet->pts != AV_NOPTS_VALUE &&
        llabs(to_us(asset, packet, packet->pts - packet->dts)) > REORDER_US)
        packet->pts = AV_NOPTS_VALUE;
    if (doubt->is_open && returns(asset, kind, us))
        put_right(asset, kind);
    const int64_t expected = asset->next_dts[kind];
    const int64_t step = expected == AV_NOPTS_VALUE ? 0 : us - expected;
    if (doubt->is_open || llabs(step) > STEP_US)
        hold(asset, packet, kind, us);
    else
        accept(asset, packet, kind);
}

/*
 * The first packets behind a seek are pieces of pictures and pictures without
 * a timestamp, for which libav counts on from wherever it came out: those
 * steps back mean nothing.  True as long as this may be so.
 */
static bool is_settling(struct asset *asset, const AVPacket *packet, int kind)
{
    if (kind != 0 || asset->has_settled)
        return false;
    asset->has_key = asset->has_key || (packet->flags & AV_PKT_FLAG_KEY) != 0;
    asset->has_settled = asset->has_key && packet->pos >= 0;
    return true;
}

/* Where time may begin anew, it does with such a step. */
static bool is_jump(struct asset *asset, const AVPacket *packet, int kind,
                    int64_t step)
{
    const int64_t back =
        is_settling(asset, packet, kind) ? -STEP_US : -JUMP_BACK_US;

    return asset->next_dts[kind] != AV_NOPTS_VALUE &&
           (step > JUMP_AHEAD_US || step < back);
}

void asset_place(struct asset *asset, AVPacket *packet, int kind)
{
    const bool may_jump =
        (asset->format->iformat->flags & AVFMT_TS_DISCONT) != 0;
    struct doubt *doubt = &asset->doubt[kind];

    asset->doubt[!kind].others++;
    if (packet->dts == AV_NOPTS_VALUE) {
        if (doubt->is_open)
            hold(asset, packet, kind, doubt->last_us);
        else
            accept(asset, packet, kind);
    } else if (!may_jump) {
        place_strictly(asset, packet, kind);
    } else {
        const int64_t step = to_us(asset, packet, packet->dts) +
                             asset->offset_us[kind] - asset->next_dts[kind];
        if (is_jump(asset, packet, kind, step))
            shift_by(asset, kind, step);
        accept(asset, packet, kind);
    }
    if (asset->doubt[!kind].is_open)
        settle(asset, !kind);
}

void asset_place_rest(struct asset *asset)
{
    for (int kind = 0; kind < 2; kind++) {
        if (is_contradicted(asset, kind))
            put_right(asset, kind);
        else
            believe(asset, kind);
    }
}

void asset_forget_doubt(struct asset *asset)
{
    for (int kind = 0; kind < 2; kind++) {
        queue_clear(&asset->doubt[kind].held);
        asset->doubt[kind].is_open = false;
    }
}
