/* length: going to an asset's last picture; see the header. */
#include "media/length.h"

#include <string.h>

#include "media/asset_impl.h"

/* Packets that are kept for the end: from this many keyframes on. */
#define KEYFRAMES 3
/* More of them cannot be kept. */
#define KEPT_BYTES_MAX (4 * (size_t)QUEUE_BYTES_MAX)
/* Where the index tells the end, decoding begins so long before. */
#define TAIL_US INT64_C(2000000)
/* Packets between two words about progress. */
#define PROGRESS_PACKETS 512

struct scan {
    struct asset *asset;
    const struct length_config *config;
    struct length *length;
    struct packet_queue kept; /* newest packets of video */
    int keyframes;            /* among them */
    bool is_whole;            /* all since the scan began */
    bool is_doubtful;         /* the end alone does not tell the length */
    int64_t last_dts, latest; /* latest: presentation */
};

bool asset_is_steady(const struct asset *asset, int64_t ticks)
{
    const AVRational unit = av_inv_q(asset->rate);

    if (asset->rate.num <= 0 || asset->rate.den <= 0)
        return false;
    /* A tick may be as long as a picture (Ogg, AVI): then it must be exact. */
    return moment_grid(ticks, asset->base, asset->rate) >= 0 ||
           av_compare_ts(av_rescale_q(ticks, asset->base, unit), unit, ticks,
                         asset->base) == 0;
}

/* --- what passes by ------------------------------------------------------- */

static int64_t behind_first_us(const struct asset *asset, int64_t ticks,
                               AVRational base)
{
    return av_rescale_q(ticks, base, AV_TIME_BASE_Q) -
           av_rescale_q(asset->first_pts, asset->base, AV_TIME_BASE_Q);
}

/* Sound is not decoded; only its end is of interest. */
static void pass_sound(struct asset *asset, struct length *length)
{
    AVPacket *packet;

    if (asset->audio < 0 || asset->video < 0)
        return;
    const AVStream *stream = asset->format->streams[asset->audio];
    while ((packet = queue_pop(&asset->audio_queue)) != NULL) {
        if (packet->pts != AV_NOPTS_VALUE) {
            const int64_t end =
                behind_first_us(asset, packet->pts + packet->duration,
                                stream->time_base) +
                av_rescale_q(asset->lag, asset->base, AV_TIME_BASE_Q);
            if (!length->has_sound_end || end > length->sound_end_us)
                length->sound_end_us = end;
            length->has_sound_end = true;
        }
        av_packet_free(&packet);
    }
}

/* Captions are user data that begins "GA94", 3 (ATSC A/53 part 4, 6.2.3). */
static bool has_captions(const AVPacket *packet)
{
    return memmem(packet->data, (size_t)packet->size, "GA94\3", 5) != NULL;
}

/*
 * The end tells the length only where timestamps go forward: what goes back is
 * held by asset_video.c at the latest one before, and without any the pictures
 * are counted.
 */
static void look_at(struct scan *scan, const AVPacket *packet)
{
    const struct asset *asset = scan->asset;
    struct length *length = scan->length;

    length->packets++;
    length->has_captions = length->has_captions || has_captions(packet);
    if (packet->pts == AV_NOPTS_VALUE || packet->dts == AV_NOPTS_VALUE ||
        packet->dts <= scan->last_dts || packet->pts < packet->dts ||
        av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, NULL))
        scan->is_doubtful = true;
    scan->last_dts = packet->dts;
    if (packet->pts != AV_NOPTS_VALUE && packet->pts > scan->latest)
        scan->latest = packet->pts;
    if (packet->pts == AV_NOPTS_VALUE || packet->pts < asset->first_pts ||
        !asset_is_steady(asset, packet->pts - asset->first_pts))
        length->unsteady++;
}

static void tell_progress(const struct scan *scan)
{
    const AVIOContext *io = scan->asset->format->pb;
    const int64_t size = io ? avio_size(scan->asset->format->pb) : -1;

    if (scan->config->progress && size > 0)
        scan->config->progress(
            scan->config->opaque,
            (int)(avio_tell(scan->asset->format->pb) * 100 / size));
}

static bool is_stopped(const struct asset *asset)
{
    return asset->is_stopping && asset->is_stopping();
}

static int stopped(const struct asset *asset, struct err *err)
{
    return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
}

/* --- decoding to the end -------------------------------------------------- */

/* All that is left, frame by frame as it is played. */
static int decode_on(struct scan *scan, struct err *err)
{
    struct asset *asset = scan->asset;
    struct moment moment = { .in = { 0, 1 }, .rate = asset->house.rate };
    enum asset_result result = ASSET_SHOWN;

    /* Where it is now; a moment behind what is on screen costs nothing. */
    asset->sound.wanted = INT64_MAX / 4; /* keep none of it */
    while (result == ASSET_SHOWN) {
        result = asset_show(asset, &moment);
        if (result == ASSET_SHOWN && scan->config->look)
            scan->config->look(scan->config->opaque, asset);
        pass_sound(asset, scan->length);
        if (moment.frame++ % PROGRESS_PACKETS == 0)
            tell_progress(scan);
        if (is_stopped(asset))
            result = ASSET_STOPPED;
    }
    scan->length->way = LENGTH_DECODED;
    return result == ASSET_STOPPED ? stopped(asset, err) : 0;
}

/* Straight to the last picture. */
static int show_last(struct scan *scan, struct err *err)
{
    struct asset *asset = scan->asset;
    const struct moment moment = { .in = { MOMENT_SECONDS_MAX / 1000, 1 },
                                   .rate = asset->house.rate };

    return asset_show(asset, &moment) == ASSET_STOPPED ? stopped(asset, err)
                                                       : 0;
}

/* --- by the index --------------------------------------------------------- */

/* Time of the last sample (behind the first picture), by an index that covers
 * the file; -1: there is none such. */
static int64_t indexed_end_us(const struct asset *asset)
{
    AVStream *stream = asset->format->streams[asset->video];
    const int count = avformat_index_get_entries_count(stream);
    const AVIndexEntry *last =
        count > 0 ? avformat_index_get_entry(stream, count - 1) : NULL;

    /* A file in fragments has no samples in its header. */
    if (strncmp(asset->format->iformat->name, "mov,", 4) != 0 || last == NULL ||
        stream->nb_frames <= 0 || asset->format->pb == NULL ||
        last->pos + last->size > avio_size(asset->format->pb))
        return -1;
    return behind_first_us(asset, last->timestamp, stream->time_base);
}

/* The index has decoding times; a steady rate's are as steady. */
static void look_at_index(struct scan *scan)
{
    const struct asset *asset = scan->asset;
    AVStream *stream = asset->format->streams[asset->video];
    const int count = avformat_index_get_entries_count(stream);
    const AVIndexEntry *first = avformat_index_get_entry(stream, 0);

    for (int i = 0; i < count; i++) {
        const AVIndexEntry *entry = avformat_index_get_entry(stream, i);
        scan->length->packets++;
        scan->length->unsteady +=
            !asset_is_steady(asset, entry->timestamp - first->timestamp);
    }
}

static int by_index(struct scan *scan, int64_t end_us, struct err *err)
{
    struct asset *asset = scan->asset;
    const struct rational tail = { FFMAX(end_us - TAIL_US, 0), 1000000 };
    const struct moment moment = { .in = moment_in(tail),
                                   .rate = asset->house.rate };

    look_at_index(scan);
    if (asset_seek(asset, &moment, err) < 0 || show_last(scan, err) < 0)
        return -1;
    pass_sound(asset, scan->length);
    scan->length->way = LENGTH_INDEX;
    return 0;
}

/* --- by all packets ------------------------------------------------------- */

/* Lets go of what lies before the third last keyframe. */
static void keep_newest(struct scan *scan)
{
    while (scan->keyframes > KEYFRAMES) {
        AVPacket *packet = queue_pop(&scan->kept);
        const bool was_key = (packet->flags & AV_PKT_FLAG_KEY) != 0;
        AVPacket *next = NULL;

        av_packet_free(&packet);
        scan->is_whole = false;
        scan->keyframes -= was_key;
        /* It begins with a keyframe again. */
        while (av_fifo_peek(scan->kept.packets, &next, 1, 0) >= 0 &&
               !(next->flags & AV_PKT_FLAG_KEY)) {
            packet = queue_pop(&scan->kept);
            av_packet_free(&packet);
        }
    }
}

/* Every packet up to the end of the file; the newest are kept. */
static int read_all(struct scan *scan, struct err *err)
{
    struct asset *asset = scan->asset;

    while (asset_read_video(asset)) {
        look_at(scan, asset->packet);
        scan->keyframes += (asset->packet->flags & AV_PKT_FLAG_KEY) != 0;
        if (!queue_push(&scan->kept, asset->packet))
            return err_set(err, ERR_SYSTEM, "no memory to read an asset");
        keep_newest(scan);
        pass_sound(asset, scan->length);
        if (scan->length->packets % PROGRESS_PACKETS == 0)
            tell_progress(scan);
        if (is_stopped(asset))
            return stopped(asset, err);
        if (scan->kept.bytes > KEPT_BYTES_MAX) {
            scan->is_doubtful = true;
            return 0;
        }
    }
    return 0;
}

/* The packets that were kept go where the decoder takes them from. */
static void give_back(struct scan *scan)
{
    struct asset *asset = scan->asset;
    const struct packet_queue empty = asset->video_queue;

    asset->video_queue = scan->kept;
    scan->kept = empty;
}

static int by_packets(struct scan *scan, struct err *err)
{
    struct asset *asset = scan->asset;

    scan->is_whole = true;
    scan->last_dts = scan->latest = INT64_MIN;
    if (queue_init(&scan->kept) < 0)
        return err_set(err, ERR_SYSTEM, "no memory to read an asset");
    if (read_all(scan, err) < 0)
        return -1;
    const bool has_all = scan->is_whole && asset->is_at_end;
    if (!has_all && (scan->is_doubtful || scan->keyframes < KEYFRAMES)) {
        if (asset_rewind(asset, 0, err) < 0)
            return -1;
        scan->length->has_sound_end = false;
        return decode_on(scan, err);
    }
    give_back(scan);
    if (has_all)
        return decode_on(scan, err);
    asset_video_reset(asset);
    if (show_last(scan, err) < 0)
        return -1;
    scan->length->way = LENGTH_PACKETS;
    /* Something later went by: the end of the file is not that of time, or
     * cannot be decoded. */
    if (asset->now.number < 0 ||
        asset->now.pts + asset->now.duration <= scan->latest) {
        if (asset_rewind(asset, 0, err) < 0)
            return -1;
        return decode_on(scan, err);
    }
    return 0;
}

/* --- which of them -------------------------------------------------------- */

int64_t asset_told_us(const struct asset *asset)
{
    const int64_t duration = asset->format->duration;

    return duration != AV_NOPTS_VALUE && duration > 0 ? duration : -1;
}

static void believe(const struct asset *asset, struct length *length)
{
    const int64_t us = asset_told_us(asset);

    if (us < 0)
        return;
    length->way = LENGTH_TOLD;
    length->end_us = us;
    length->frames = moment_frames(
        us, AV_TIME_BASE_Q, (struct rational){ 0, 1 }, asset->house.rate);
}

int asset_length(struct asset *asset, const struct length_config *config,
                 struct length *length, struct err *err)
{
    struct scan scan = { .asset = asset, .config = config, .length = length };
    AVRational base;
    int64_t ticks;
    int rc = 0;

    *length =
        (struct length){ .way = LENGTH_UNKNOWN, .frames = -1, .end_us = -1 };
    if (config->is_told) {
        believe(asset, length);
        return 0;
    }
    const bool may_jump = asset->video >= 0 && asset->is_seekable;
    const int64_t end_us = may_jump ? indexed_end_us(asset) : -1;
    if (!may_jump)
        rc = decode_on(&scan, err);
    else if (end_us >= 0)
        rc = by_index(&scan, end_us, err);
    else
        rc = by_packets(&scan, err);
    queue_free(&scan.kept);
    if (rc < 0)
        return -1;
    if (asset->is_broken) {
        *err = asset->why_broken;
        return -1;
    }
    length->frames = asset_played(asset);
    if (asset_end(asset, &ticks, &base))
        length->end_us = av_rescale_q(ticks, base, AV_TIME_BASE_Q);
    return 0;
}
