/*
 * asset_follow: which streams are read, and which take over from them.
 *
 * A transport stream that was joined out of two goes on with other streams of
 * its programme when its tables have changed.  Nothing announces that: the old
 * ones just end.  So packets of a stream of the same kind are held back, up to
 * HELD_US of them.  If the chosen stream gives another packet meanwhile, both
 * run side by side and the other one is refused for good; if it does not, the
 * other one is its successor.
 *
 *   chosen  ####........          chosen  ####  ####  ####
 *   other       ####### -> chosen  other     ####  ####   -> refused
 */
#include "media/asset_impl.h"

#include <string.h>

/* More than lies between two packets of sound in one PES each. */
#define HELD_US    INT64_C(700000)
#define HELD_BYTES (8u << 20)
/* Streams that can be refused: bits in a word. */
#define STREAMS_MAX 64

/* A programme has only the streams of its newest table. */
static bool is_of_programme(const struct asset *asset, int index)
{
    const AVFormatContext *format = asset->format;

    for (unsigned p = 0; p < format->nb_programs; p++) {
        const AVProgram *program = format->programs[p];
        if (program->id != asset->follow.programme)
            continue;
        for (unsigned i = 0; i < program->nb_stream_indexes; i++) {
            if ((int)program->stream_index[i] == index)
                return true;
        }
    }
    return false;
}

int follow_kind(const struct asset *asset, int index)
{
    const struct follow *follow = &asset->follow;
    AVStream *const *streams = asset->format->streams;

    if (index >= STREAMS_MAX || follow->refused >> index & 1 ||
        !asset_is_of(asset, "mpegts"))
        return -1;
    for (int kind = 0; kind < 2; kind++) {
        const int own = kind == 0 ? asset->video : asset->audio;
        if (own >= 0 && own != index &&
            streams[own]->codecpar->codec_type ==
                streams[index]->codecpar->codec_type &&
            is_of_programme(asset, index))
            return kind;
    }
    return -1;
}

void follow_choose(struct asset *asset)
{
    const int own = asset->video >= 0 ? asset->video : asset->audio;
    const AVProgram *program =
        av_find_program_from_stream(asset->format, NULL, own);

    if (program && !asset->has_first)
        asset->follow.programme = program->id;
    asset->follow.refused = 0;
    for (int i = 0; i < (int)asset->format->nb_streams; i++) {
        if (i != asset->video && i != asset->audio && follow_kind(asset, i) < 0)
            asset->format->streams[i]->discard = AVDISCARD_ALL;
    }
}

void follow_reset(struct asset *asset)
{
    for (int kind = 0; kind < 2; kind++) {
        queue_clear(&asset->follow.held[kind]);
        asset->follow.other[kind] = -1;
    }
}

void follow_own(struct asset *asset, int kind)
{
    struct follow *follow = &asset->follow;

    if (follow->other[kind] < 0)
        return;
    follow->refused |= UINT64_C(1) << follow->other[kind];
    queue_clear(&follow->held[kind]);
    follow->other[kind] = -1;
}

int follow_other(struct asset *asset, AVPacket *packet)
{
    struct follow *follow = &asset->follow;
    const int index = packet->stream_index;
    const int kind = follow_kind(asset, index);

    if (kind < 0) {
        asset->format->streams[index]->discard = AVDISCARD_ALL;
        return -1;
    }
    const bool has_dts = packet->dts != AV_NOPTS_VALUE;
    const bool is_held = follow->other[kind] == index;
    /* Packets without a time go with the one before. */
    if (!is_held && (!has_dts || follow->other[kind] >= 0 ||
                     packet->pos < asset->last_pos[kind]))
        return -1;
    const int64_t us =
        has_dts ? av_rescale_q(packet->dts,
                               asset->format->streams[index]->time_base,
                               AV_TIME_BASE_Q)
                : follow->since_us[kind];
    if (!is_held)
        follow->since_us[kind] = us;
    follow->other[kind] = index;
    queue_push(&follow->held[kind], packet);
    return us - follow->since_us[kind] >= HELD_US ||
                   follow->held[kind].bytes > HELD_BYTES
               ? kind
               : -1;
}

void follow_take_over(struct asset *asset, int kind)
{
    struct follow *follow = &asset->follow;

    if (kind == 0)
        asset->video = follow->other[kind];
    else
        asset->audio = follow->other[kind];
    follow->other[kind] = -1;
    follow->refused = 0;
}
