/*
 * asset_seek: to a moment, and proof that we came out before it.
 *
 * A container's index may be missing or wrong, a keyframe may be followed by
 * pictures that are shown before it (open GOP), sound needs a little more than
 * its first packet to be clean.  So: aim before the moment, decode one
 * picture, look at its timestamp, and aim earlier when it is too late.
 */
#include "media/asset_impl.h"

#include <string.h>

#include "media/av.h"

/* How much earlier to aim, time after time; then the start.  The first leaves
 * room for the limiter's history of 0.32 s, and before that for sound decoders
 * to settle (Opus wants 80 ms, RFC 7845 4.6). */
static const int64_t EARLIER_US[] = { 450000, 2000000, 12000000, 30000000 };

/* Pictures so long before the moment are decoded only as references. */
#define HURRY_US INT64_C(300000)

/* Ahead by no more than this: decoding on is cheaper than a seek. */
#define AHEAD_US INT64_C(1000000)

static void reset(struct asset *asset, int64_t position)
{
    asset_forget_packets(asset);
    asset_video_reset(asset);
    if (asset->audio_decoder)
        avcodec_flush_buffers(asset->audio_decoder);
    sound_reset(&asset->sound, asset_sound_from(asset, position));
    asset->is_sound_running = false;
    asset->is_audio_end = false;
}

static int jump_to(struct asset *asset, int64_t us)
{
    const int stream = asset->video >= 0 ? asset->video : asset->audio;
    const AVRational base = asset->format->streams[stream]->time_base;
    const int64_t ticks = av_rescale_q(us, AV_TIME_BASE_Q, base);

    asset_begin_read(asset);
    return avformat_seek_file(asset->format, stream, INT64_MIN, ticks, ticks,
                              0);
}

/* Drops video packets up to the first that decoding can begin with; true when
 * that is not later than the target. */
static bool find_keyframe(struct asset *asset, const struct moment *moment)
{
    while (asset_read_video(asset)) {
        AVPacket *packet = asset->packet;
        if (!(packet->flags & AV_PKT_FLAG_KEY)) {
            av_packet_unref(packet);
            continue;
        }
        const int64_t pts = packet->pts;
        if (asset_is_other(asset->video_decoder, packet) &&
            asset_change_decoder(asset, packet) < 0)
            return false;
        asset->video_decoder->skip_frame = AVDISCARD_DEFAULT;
        avcodec_send_packet(asset->video_decoder, packet);
        av_packet_unref(packet);
        return pts == AV_NOPTS_VALUE || asset_is_due(asset, pts, moment);
    }
    return false;
}

/* Did the jump come out at or before the moment?  1, 0, -1 stopped. */
static int landed(struct asset *asset, const struct moment *moment,
                  int64_t position)
{
    if (asset->video < 0) {
        asset_fill_sound(asset, position + 1);
        return asset->sound.has_position && asset->sound.start <= position;
    }
    asset->packet_work_us = asset_work_us(asset);
    asset->skips_damaged = true;
    if (!find_keyframe(asset, moment))
        return 0;
    const int rc = asset_decode_next(asset);
    return rc == 1 ? asset_is_due(asset, asset->next.pts, moment) : rc;
}

/* Is the first picture (without video: the first sound) here again? */
static bool is_first_again(struct asset *asset, int64_t position)
{
    if (asset->video >= 0)
        return asset_decode_first(asset) == 1 &&
               asset->next.pts == asset->first_pts;
    asset_fill_sound(asset, position + 1);
    return asset->sound.has_position && asset->sound.start <= position;
}

int asset_rewind(struct asset *asset, int64_t position, struct err *err)
{
    const AVFormatContext *format = asset->format;
    const int64_t start =
        format->start_time != AV_NOPTS_VALUE ? format->start_time : 0;
    int rc = -1;

    asset_begin_read(asset);
    if (!(format->iformat->flags & AVFMT_NO_BYTE_SEEK))
        rc = av_seek_frame(asset->format, -1, 0, AVSEEK_FLAG_BYTE);
    if (rc < 0)
        rc = avformat_seek_file(asset->format, -1, INT64_MIN, start, start, 0);
    asset->skips_damaged = false;
    reset(asset, position);
    if (rc >= 0 && is_first_again(asset, position))
        return 0;
    reset(asset, position);
    return asset_reopen(asset, err);
}

/* Decoding on from here comes to the target, and soon. */
static bool is_just_ahead(const struct asset *asset,
                          const struct moment *moment)
{
    const struct asset_picture *at =
        asset->now.number >= 0 ? &asset->now : &asset->next;

    if (asset->video < 0 || at->number < 0)
        return false;
    if (at->number > 0 && !asset_is_due(asset, at->pts, moment))
        return false;
    return moment_ticks(moment, asset->base, 0) - (at->pts - asset->first_pts) <
           av_rescale_q(AHEAD_US, AV_TIME_BASE_Q, asset->base);
}

static bool is_at_start(const struct asset *asset)
{
    return asset->video >= 0 ? asset->pictures <= 1 : !asset->is_sound_running;
}

/* One aim at the moment: 1, 0 (came out too late), -1 stopped. */
static int aim(struct asset *asset, const struct moment *moment,
               int64_t earlier_us, bool may_hurry)
{
    const AVRational sample = { 1, asset->house.sample_rate };
    const int64_t position = moment_ticks(moment, sample, 0);
    const int64_t target =
        asset->first_pts + moment_ticks(moment, asset->base, 0);
    const int64_t us =
        av_rescale_q(target, asset->base, AV_TIME_BASE_Q) - earlier_us;
    int64_t offset_us[2] = { 0, 0 };

    if (asset->pieces.count > 0 ? !asset_jump_in_pieces(asset, us, offset_us)
                                : jump_to(asset, us) < 0)
        return 0;
    reset(asset, position);
    memcpy(asset->offset_us, offset_us, sizeof(offset_us));
    if (may_hurry && asset->video >= 0)
        asset->hurry_until =
            target - av_rescale_q(HURRY_US, AV_TIME_BASE_Q, asset->base);
    const int rc = landed(asset, moment, position);
    if (rc != 1 || asset->video < 0)
        return rc;
    if (asset_show(asset, moment) == ASSET_STOPPED)
        return -1;
    /* What was left out might have been the picture on screen. */
    if (may_hurry && asset->now.pts < asset->hurried_past)
        return aim(asset, moment, earlier_us, false);
    asset->hurry_until = INT64_MIN;
    return 1;
}

static int seek(struct asset *asset, const struct moment *moment,
                struct err *err)
{
    const AVRational sample = { 1, asset->house.sample_rate };
    const int64_t position = moment_ticks(moment, sample, 0);
    const AVRational micro = { 1, 1000000 };

    if (is_just_ahead(asset, moment) || !asset->is_seekable ||
        (position == 0 && is_at_start(asset))) {
        sound_forget(&asset->sound, asset_sound_from(asset, position));
        return 0;
    }
    if (asset_find_pieces(asset, err) < 0)
        return -1;
    if (asset->pieces.is_joined)
        return asset_rewind(asset, position, err);
    const size_t tries = sizeof(EARLIER_US) / sizeof(EARLIER_US[0]);
    for (size_t i = 0; i < tries; i++) {
        if (moment_ticks(moment, micro, -EARLIER_US[i]) <= 0)
            break;
        const int rc = aim(asset, moment, EARLIER_US[i], true);
        if (rc < 0)
            return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
        if (rc == 1)
            return 0;
    }
    return asset_rewind(asset, position, err);
}

int asset_seek(struct asset *asset, const struct moment *moment,
               struct err *err)
{
    asset->has_shown = false;
    const int rc = seek(asset, moment, err);
    asset->has_shown = false;
    return rc;
}

int64_t asset_measure(struct asset *asset, struct rational in, struct err *err)
{
    struct moment moment = { .in = { MOMENT_SECONDS_MAX / 1000, 1 },
                             .rate = asset->house.rate };
    const int64_t duration = asset->format->duration;

    if (!asset->is_seekable)
        return err_set(err, ERR_INPUT,
                       "asset %s: its length is not known before it has been"
                       " read; give the segment a duration",
                       asset->path);
    if (duration != AV_NOPTS_VALUE && duration > 1000000) {
        const struct rational near_end = { duration - 1000000, 1000000 };
        const struct moment last = { .in = moment_in(near_end),
                                     .rate = asset->house.rate };
        if (asset_seek(asset, &last, err) < 0)
            return -1;
    }
    asset->sound.wanted = INT64_MAX / 4; /* keep none of it */
    if (asset_show(asset, &moment) == ASSET_STOPPED)
        return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
    return asset_frames(asset, in);
}
