/*
 * asset_read: packets out of the container, in two queues.
 *
 * A demuxer that gives nothing but errors ends the asset.  Timestamps are
 * looked at in asset_time.c.
 */
#include "media/asset_impl.h"

#include <errno.h>
#include <string.h>

#include "clock/clock.h"
#include "media/av.h"

int queue_init(struct packet_queue *queue)
{
    queue->bytes = 0;
    queue->packets =
        av_fifo_alloc2(64, sizeof(AVPacket *), AV_FIFO_FLAG_AUTO_GROW);
    if (queue->packets == NULL)
        return -1;
    av_fifo_auto_grow_limit(queue->packets, 1 << 20);
    return 0;
}

AVPacket *queue_pop(struct packet_queue *queue)
{
    AVPacket *packet = NULL;

    if (queue->packets == NULL || av_fifo_read(queue->packets, &packet, 1) < 0)
        return NULL;
    queue->bytes -= (size_t)packet->size;
    return packet;
}

bool queue_push(struct packet_queue *queue, AVPacket *packet)
{
    AVPacket *copy = av_packet_alloc();

    if (copy == NULL)
        return false;
    av_packet_move_ref(copy, packet);
    if (av_fifo_write(queue->packets, &copy, 1) < 0) {
        av_packet_free(&copy);
        return false;
    }
    queue->bytes += (size_t)copy->size;
    return true;
}

bool queue_take(struct packet_queue *queue, AVPacket *packet)
{
    AVPacket *oldest = queue_pop(queue);

    if (oldest == NULL)
        return false;
    av_packet_unref(packet);
    av_packet_move_ref(packet, oldest);
    av_packet_free(&oldest);
    return true;
}

void queue_clear(struct packet_queue *queue)
{
    for (AVPacket *packet = queue_pop(queue); packet; packet = queue_pop(queue))
        av_packet_free(&packet);
}

void queue_free(struct packet_queue *queue)
{
    queue_clear(queue);
    av_fifo_freep2(&queue->packets);
}

void asset_begin_read(struct asset *asset)
{
    asset->deadline_us =
        asset->has_timeout ? clock_monotonic_us() + READ_TIMEOUT_US : 0;
}

void asset_forget_packets(struct asset *asset)
{
    queue_clear(&asset->video_queue);
    queue_clear(&asset->audio_queue);
    asset->next_dts[0] = asset->next_dts[1] = AV_NOPTS_VALUE;
    asset->is_at_end = false;
    asset->read_errors = 0;
    asset->newest_us = INT64_MIN;
    asset->offset_us[0] = asset->offset_us[1] = 0;
    asset->last_pos[0] = asset->last_pos[1] = -1;
    asset->is_stale[0] = asset->is_stale[1] = false;
    asset->has_key = asset->has_settled = false;
    asset->lost[0] = asset->lost[1] = 0;
    follow_reset(asset);
    asset_forget_doubt(asset);
}

/*
 * A transport stream's demuxer learns that a picture is whole when the next one
 * begins, so the last one on a PID that is used no more comes at the end of the
 * file, with a time that is long past.
 */
static bool is_left_over(struct asset *asset, const AVPacket *packet)
{
    const int kind = packet->stream_index == asset->video ? 0 : 1;

    /* In HLS each file has its own positions. */
    if (!asset_is_of(asset, "mpegts"))
        return false;
    /* What else was in the same PES has no place of its own. */
    if (packet->pos < 0)
        return asset->is_stale[kind];
    asset->is_stale[kind] = packet->pos < asset->last_pos[kind];
    if (!asset->is_stale[kind])
        asset->last_pos[kind] = packet->pos;
    return asset->is_stale[kind];
}

/* Of the eight bytes before an AVI's chunk of data. */
#define AVI_HEADER 8

/* Of sound in samples of one size an AVI's index counts bytes. */
static int64_t index_unit(AVStream *stream)
{
    const AVIndexEntry *a = avformat_index_get_entry(stream, 0);
    const AVIndexEntry *b = avformat_index_get_entry(stream, 1);

    return a && b && b->timestamp - a->timestamp == a->size
               ? FFMAX(stream->codecpar->block_align, 1)
               : 1;
}

/*
 * AVI has no timestamps, its packets are counted.  Where damage swallows some,
 * the index still says which one this is, and what follows is later by as much.
 */
static void time_by_index(struct asset *asset, AVPacket *packet)
{
    AVStream *stream = asset->format->streams[packet->stream_index];
    int64_t *lost = &asset->lost[packet->stream_index == asset->video ? 0 : 1];
    const AVIndexEntry *entry = NULL;

    if (packet->dts == AV_NOPTS_VALUE || !asset_is_of(asset, "avi"))
        return;
    const int count = avformat_index_get_entries_count(stream);
    const int64_t unit = index_unit(stream);
    const int64_t pos = packet->pos - AVI_HEADER;
    int at = av_index_search_timestamp(stream, (packet->dts + *lost) * unit,
                                       AVSEEK_FLAG_ANY | AVSEEK_FLAG_BACKWARD);
    for (; at >= 0 && at < count; at++) {
        entry = avformat_index_get_entry(stream, at);
        if (entry == NULL || entry->pos >= pos)
            break;
    }
    if (entry && entry->pos == pos && entry->timestamp / unit > packet->dts)
        *lost = entry->timestamp / unit - packet->dts;
    packet->dts += *lost;
    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts += *lost;
}

void asset_note_damage(struct asset *asset, int64_t ticks, AVRational base)
{
    struct asset_damage *damage = &asset->damage;
    int64_t us = asset->damage_us;

    if (asset->has_first && ticks != AV_NOPTS_VALUE)
        us = av_rescale_q(ticks, base, AV_TIME_BASE_Q) -
             av_rescale_q(asset->first_pts, asset->base, AV_TIME_BASE_Q);
    us = FFMAX(us, 0);
    asset->damage_us = us;
    damage->from_us = damage->count ? FFMIN(damage->from_us, us) : us;
    damage->to_us = damage->count ? FFMAX(damage->to_us, us) : us;
    damage->count++;
}

void asset_note_packet(struct asset *asset, const AVPacket *packet)
{
    if (packet == NULL) {
        asset_note_damage(asset, AV_NOPTS_VALUE, AV_TIME_BASE_Q);
        return;
    }
    asset_note_damage(asset,
                      packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts,
                      asset->format->streams[packet->stream_index]->time_base);
}

struct asset_damage asset_damage(struct asset *asset)
{
    const struct asset_damage damage = asset->damage;

    asset->damage.count = 0;
    return damage;
}

/* Is it about what was read, and not about reading? */
static bool is_of_data(int code)
{
    switch (code) {
    case AVERROR_INVALIDDATA:
    case AVERROR_PATCHWELCOME: /* a chained Ogg with pictures */
    case AVERROR_BUG:
    case AVERROR_BUG2:
    case AVERROR_UNKNOWN:
    case AVERROR_STREAM_NOT_FOUND:
    case AVERROR(EPERM): /* the -1 of old demuxers */
    case AVERROR(EINVAL):
    case AVERROR(ENOMEM): /* for what a damaged size asks */
    case AVERROR(ERANGE):
        return true;
    default: /* libav's codes, not ours */
        return false;
    }
}

/* Old demuxers say -1 for whatever happened. */
static int read_code(const struct asset *asset, int code)
{
    const AVIOContext *io = asset->format->pb;

    if (code != AVERROR(EPERM) || io == NULL)
        return code;
    return io->error < 0 ? io->error : io->eof_reached ? AVERROR_EOF : code;
}

/* Why reading ended, when it was not the end of the file. */
static void note_failure(struct asset *asset, int code)
{
    asset->is_at_end = true;
    code = asset_reason(asset, code);
    if (code == AVERROR_EOF || code == AVERROR_EXIT || is_of_data(code))
        return;
    asset->is_broken = true;
    av_fail(&asset->why_broken, code, "see that it stays readable",
            "asset %s: reading failed", asset->path);
}

/* asset->packet, of video (0) or sound (1), into its queue. */
static void keep(struct asset *asset, int kind)
{
    AVPacket *packet = asset->packet;

    if (is_left_over(asset, packet))
        return;
    /* A new table may change it before this packet is decoded. */
    const AVStream *stream = asset->format->streams[packet->stream_index];
    packet->opaque = (void *)(intptr_t)stream->codecpar->codec_id;
    time_by_index(asset, packet);
    asset_place(asset, packet, kind);
}

/* The stream that was held back is the chosen one now. */
static void take_over(struct asset *asset, int kind)
{
    follow_take_over(asset, kind);
    while (queue_take(&asset->follow.held[kind], asset->packet))
        keep(asset, kind);
}

/* Nothing more, or an error: true when there is no use in going on. */
static bool ends_reading(struct asset *asset, int rc)
{
    const bool may_go_on = rc == AVERROR(EAGAIN) || is_of_data(rc);

    if (rc != AVERROR_EOF && rc != AVERROR_EXIT)
        asset_note_damage(asset,
                          asset->newest_us != INT64_MIN ? asset->newest_us
                                                        : AV_NOPTS_VALUE,
                          AV_TIME_BASE_Q);
    if (may_go_on && ++asset->read_errors <= READ_ERRORS_MAX)
        return false;
    note_failure(asset, rc);
    for (int kind = 0; kind < 2; kind++) {
        if (asset->follow.other[kind] >= 0)
            take_over(asset, kind);
    }
    asset_place_rest(asset);
    return true;
}

/* One packet into its queue; false: nothing comes any more. */
static bool read_one(struct asset *asset)
{
    AVPacket *packet = asset->packet;

    if (asset->is_at_end)
        return false;
    asset_begin_read(asset);
    const int rc = av_read_frame(asset->format, packet);
    if (rc < 0)
        return !ends_reading(asset, read_code(asset, rc));
    asset->read_errors = 0;
    if (packet->stream_index == asset->video ||
        packet->stream_index == asset->audio) {
        const int kind = packet->stream_index == asset->video ? 0 : 1;
        if (packet->pos >= asset->last_pos[kind])
            follow_own(asset, kind);
        keep(asset, kind);
    } else {
        const int kind = follow_other(asset, packet);
        if (kind >= 0)
            take_over(asset, kind);
    }
    av_packet_unref(packet);
    return true;
}

static AVPacket *oldest(const struct packet_queue *queue)
{
    AVPacket *packet = NULL;

    if (av_fifo_peek(queue->packets, &packet, 1, 0) < 0)
        return NULL;
    return packet;
}

const AVPacket *asset_peek_video(struct asset *asset)
{
    while (oldest(&asset->video_queue) == NULL) {
        if (!read_one(asset))
            break;
        /* Sound far ahead of its pictures: the oldest goes. */
        while (asset->audio_queue.bytes > QUEUE_BYTES_MAX) {
            AVPacket *packet = queue_pop(&asset->audio_queue);
            asset_note_packet(asset, packet);
            av_packet_free(&packet);
        }
    }
    return oldest(&asset->video_queue);
}

int asset_read_video(struct asset *asset)
{
    asset_peek_video(asset);
    return queue_take(&asset->video_queue, asset->packet);
}

int asset_read_audio(struct asset *asset, int64_t wanted_us)
{
    while (!queue_take(&asset->audio_queue, asset->packet)) {
        if (asset->video >= 0 &&
            (asset->video_queue.bytes > QUEUE_BYTES_MAX ||
             (asset->newest_us != INT64_MIN &&
              asset->newest_us > wanted_us + INTERLEAVE_US)))
            return 0;
        if (!read_one(asset))
            return queue_take(&asset->audio_queue, asset->packet);
    }
    return 1;
}
