/* asset_video: pictures out of packets, and which one is on screen when. */
#include "media/asset_impl.h"

#include <string.h>
#include <libavutil/display.h>

#include "clock/clock.h"
#include "media/picture.h"

/* So far from the start a key picture is looked for. */
#define KEY_PACKETS 600
#define KEY_BYTES   (32u << 20)
/* Pictures that may refer to what lies before it. */
#define DAMAGED_FIRST 16

int64_t asset_work_us(const struct asset *asset)
{
    return clock_monotonic_us() - asset->waited_us;
}

void asset_video_reset(struct asset *asset)
{
    if (asset->video_decoder)
        avcodec_flush_buffers(asset->video_decoder);
    av_frame_unref(asset->now.frame);
    av_frame_unref(asset->next.frame);
    av_frame_unref(asset->former);
    fields_eye_reset(&asset->eye);
    asset->now.number = asset->next.number = -1;
    asset->has_next = false;
    asset->is_video_end = false;
    asset->is_draining = false;
    asset->drain_errors = 0;
    asset->is_changing = false;
    av_packet_unref(asset->changed);
    asset->hurry_until = asset->hurried_past = INT64_MIN;
}

static uint32_t turn_of(const struct asset *asset, const AVFrame *frame)
{
    const AVFrameSideData *side =
        av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);

    if (side && side->size >= 9 * sizeof(int32_t))
        return picture_turn((const int32_t *)side->data);
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(
        asset->format->streams[asset->video], AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 9 * sizeof(int32_t)
               ? picture_turn((const int32_t *)data)
               : 0u;
}

void asset_shape(struct asset *asset, AVFrame *frame,
                 struct asset_picture *picture)
{
    picture->sar = av_guess_sample_aspect_ratio(
        asset->format, asset->format->streams[asset->video], frame);
    picture->turn = turn_of(asset, frame);
}

/* Ticks of one picture by the stream's rate; at least 1. */
static int64_t usual_duration(const struct asset *asset)
{
    if (asset->rate.num <= 0 || asset->rate.den <= 0)
        return 1;
    return FFMAX(1, av_rescale_q(1, av_inv_q(asset->rate), asset->base));
}

static int64_t ten_seconds(const struct asset *asset)
{
    return av_rescale_q(10, (AVRational){ 1, 1 }, asset->base);
}

/* Pictures follow each other at one rate. */
static bool is_steady(const struct asset *asset)
{
    return av_cmp_q(asset->rate, asset->grid_rate) == 0;
}

static int64_t duration_of(const struct asset *asset, const AVFrame *frame)
{
    const AVRational coded = asset->video_decoder->framerate;
    int64_t least = 0;

    /* The last one's is a field's in an MPEG-TS. */
    if (asset->video_decoder->codec_id == AV_CODEC_ID_MPEG2VIDEO &&
        coded.num > 0 && coded.den > 0)
        least = av_rescale_q(2 + FFMIN(frame->repeat_pict, 4),
                             av_mul_q(av_inv_q(coded), (AVRational){ 1, 2 }),
                             asset->base);
    if (frame->pkt_duration > 0 && frame->pkt_duration <= ten_seconds(asset))
        return FFMAX(frame->pkt_duration, least);
    return FFMAX(usual_duration(asset), least);
}

static void note_captions(struct asset_picture *picture)
{
    const AVFrameSideData *side =
        av_frame_get_side_data(picture->frame, AV_FRAME_DATA_A53_CC);

    picture->captions_size = 0;
    if (side == NULL)
        return;
    const size_t size = FFMIN(side->size, sizeof(picture->captions)) / 3 * 3;
    memcpy(picture->captions, side->data, size);
    picture->captions_size = (uint32_t)size;
}

/*
 * Film with 2:3 pulldown by flags is shown as film: what follows a picture of
 * three fields comes half a field earlier, when it was exposed, or a house of
 * the film's rate would lose every other picture.  At 29.97 and 59.94 it makes
 * no difference.  The tick more is the container's rounding.
 */
static int64_t due_of(const struct asset_picture *next, int64_t former_pts,
                      int former_repeats)
{
    const int64_t gap = next->pts - former_pts;

    if (former_pts == AV_NOPTS_VALUE || former_repeats != 1 ||
        next->repeats != 0 || gap < 6)
        return next->pts;
    return next->pts - gap / 6 - 1;
}

/* Codecs that cannot say it are interlaced when their container says so. */
static void note_fields(const struct asset *asset, AVFrame *frame)
{
    const AVCodecParameters *par =
        asset->format->streams[asset->video]->codecpar;
    const enum AVFieldOrder order = par->field_order;

    switch (par->codec_id) {
    case AV_CODEC_ID_V210:
    case AV_CODEC_ID_HUFFYUV:
    case AV_CODEC_ID_FFVHUFF:
    case AV_CODEC_ID_JPEG2000:
        break;
    default: /* libav's enum, not ours */
        return;
    }
    if (order != AV_FIELD_TT && order != AV_FIELD_BB && order != AV_FIELD_TB &&
        order != AV_FIELD_BT)
        return;
    /* TB and BT: coded the one way, shown the other. */
    frame->interlaced_frame = 1;
    frame->top_field_first = order == AV_FIELD_TT || order == AV_FIELD_BT;
}

/* The same of pulldown that was made into the pictures. */
static int64_t due_by_fields(const struct asset *asset)
{
    const struct asset_picture *next = &asset->next;
    const int64_t gap = next->pts - asset->now.pts;

    if (asset->now.number < 0 || gap < 4 ||
        !fields_follow_three(&asset->now.fields, &next->fields, 1))
        return next->due;
    return next->pts - gap / 4 - 1;
}

/* Where a picture's metadata are lost its container still knows. */
static void note_colours(const struct asset *asset, AVFrame *frame)
{
    bool is_own;

    dovi_profile(asset->format->streams[asset->video], &is_own);
    if (is_own)
        frame->colorspace = (enum AVColorSpace)COLOUR_IPT_C2;
}

/* Fills in what goes with the picture in next.frame. */
static void finish_next(struct asset *asset, int64_t former_pts,
                        int64_t former_duration)
{
    struct asset_picture *next = &asset->next;
    const int former_repeats = next->repeats;
    AVFrame *frame = next->frame;

    next->pts = frame->best_effort_timestamp;
    if (next->pts == AV_NOPTS_VALUE)
        next->pts =
            former_pts == AV_NOPTS_VALUE ? 0 : former_pts + former_duration;
    if (former_pts != AV_NOPTS_VALUE && next->pts < former_pts)
        next->pts = former_pts;
    note_fields(asset, frame);
    note_colours(asset, frame);
    fields_look(&asset->eye, &next->fields, frame,
                asset->now.number >= 0 ? asset->now.frame : NULL,
                fields_may_hide(frame, asset->rate));
    next->repeats = frame->interlaced_frame ? 0 : frame->repeat_pict;
    next->due = due_of(next, former_pts, former_repeats);
    next->due = due_by_fields(asset);
    next->grid = asset->has_first ? moment_grid(next->pts - asset->first_pts,
                                                asset->base, asset->grid_rate)
                                  : 0;
    next->is_guess = frame->pkt_duration <= 0;
    next->duration = duration_of(asset, frame);
    next->number = asset->pictures++;
    next->field = 0;
    next->work_us = asset->packet_work_us;
    asset_shape(asset, frame, next);
    note_captions(next);
    if (frame->flags & AV_FRAME_FLAG_CORRUPT || frame->decode_error_flags)
        asset_note_damage(asset, next->pts, asset->base);
    asset->has_next = true;
}

/* On the way to a moment, pictures that no other refers to are left out. */
static void hurry(struct asset *asset, const AVPacket *packet)
{
    const bool may_skip =
        packet->pts != AV_NOPTS_VALUE && packet->pts < asset->hurry_until;

    asset->video_decoder->skip_frame =
        may_skip ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
    if (may_skip && packet->pts > asset->hurried_past)
        asset->hurried_past = packet->pts;
}

/* A packet (or at the end none) into the decoder: 0, -1 stopped. */
static int feed(struct asset *asset)
{
    AVPacket *packet = asset->packet;

    if (asset->wait_room && asset->wait_room(asset->wait_opaque) < 0)
        return -1;
    if (asset->is_stopping && asset->is_stopping())
        return -1;
    asset->packet_work_us = asset_work_us(asset);
    bool has_packet = asset_read_video(asset) == 1;
    if (!asset->is_fed && has_packet && packet->pts == AV_NOPTS_VALUE)
        asset->first_dts = packet->dts;
    asset->is_fed = true;
    if (has_packet && asset_is_other(asset->video_decoder, packet)) {
        av_packet_move_ref(asset->changed, packet);
        asset->is_changing = true;
        has_packet = false;
    }
    if (has_packet)
        hurry(asset, packet);
    const int rc =
        avcodec_send_packet(asset->video_decoder, has_packet ? packet : NULL);
    if (rc < 0 && rc != AVERROR_EOF && has_packet)
        asset_note_packet(asset, packet);
    if (has_packet)
        av_packet_unref(packet);
    else
        asset->is_draining = true;
    return 0;
}

/* The decoder has given its last picture: is there another codec behind it? */
static bool go_on(struct asset *asset)
{
    if (!asset->is_changing)
        return false;
    asset->is_changing = asset->is_draining = false;
    if (asset_change_decoder(asset, asset->changed) == 0 &&
        avcodec_send_packet(asset->video_decoder, asset->changed) < 0)
        asset_note_packet(asset, asset->changed);
    av_packet_unref(asset->changed);
    return true;
}

/* After a seek a decoder may give pictures whose references are missing. */
static bool is_unwanted(struct asset *asset, const AVFrame *frame)
{
    const bool is_damaged = (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;

    /* At the start, those that refer to what came before it; never all. */
    if (is_damaged && asset->damaged_left > 0 && !asset->is_draining) {
        asset->damaged_left--;
        return true;
    }
    asset->damaged_left = 0;
    asset->skips_damaged = asset->skips_damaged && is_damaged;
    return asset->skips_damaged;
}

/*
 * A recording of a transport stream begins anywhere.  What lies before its
 * first key picture would be shown as grey smear, so it goes; without one soon,
 * all is taken as it is.  Other codecs' decoders see to that themselves.
 */
static void skip_to_key(struct asset *asset)
{
    const enum AVCodecID codec = asset->video_decoder->codec_id;
    struct packet_queue kept;

    if ((codec != AV_CODEC_ID_H264 && codec != AV_CODEC_ID_HEVC) ||
        queue_init(&kept) < 0)
        return;
    for (int i = 0; i < KEY_PACKETS && kept.bytes < KEY_BYTES; i++) {
        if (asset_read_video(asset) != 1)
            break;
        const bool is_key = (asset->packet->flags & AV_PKT_FLAG_KEY) != 0;
        if (is_key)
            queue_clear(&kept);
        if (!queue_push(&kept, asset->packet) || is_key)
            break;
    }
    while (queue_take(&asset->video_queue, asset->packet))
        queue_push(&kept, asset->packet);
    queue_free(&asset->video_queue);
    asset->video_queue = kept;
}

int asset_decode_first(struct asset *asset)
{
    skip_to_key(asset);
    asset->damaged_left = DAMAGED_FIRST;
    const int rc = asset_decode_next(asset);
    asset->damaged_left = 0;
    return rc;
}

int asset_decode_next(struct asset *asset)
{
    struct asset_picture *next = &asset->next;
    const bool has_former = next->number >= 0;
    const int64_t former_pts = has_former ? next->pts : AV_NOPTS_VALUE;
    const int64_t former_duration = next->duration;

    asset->has_next = false;
    av_frame_unref(next->frame);
    while (!asset->is_video_end) {
        const int rc = avcodec_receive_frame(asset->video_decoder, next->frame);
        if (rc == 0) {
            if (is_unwanted(asset, next->frame)) {
                av_frame_unref(next->frame);
                continue;
            }
            finish_next(asset, former_pts, former_duration);
            return 1;
        }
        if (rc != AVERROR_EOF && rc != AVERROR(EAGAIN)) {
            asset_note_damage(asset, has_former ? former_pts : AV_NOPTS_VALUE,
                              asset->base);
            if (asset->is_draining && ++asset->drain_errors < READ_ERRORS_MAX)
                continue;
        }
        if (asset->is_draining || rc == AVERROR_EOF)
            asset->is_video_end = !go_on(asset);
        else if (feed(asset) < 0)
            return -1;
    }
    return 0;
}

/* Makes `next` the picture on screen; captions of pictures that nobody sees
 * go with the one that is seen. */
static void advance(struct asset *asset, bool was_shown)
{
    struct asset_picture former = asset->now;
    uint8_t kept[POOL_CAPTIONS_SIZE];
    const uint32_t kept_size = was_shown ? 0 : former.captions_size;

    memcpy(kept, former.captions, sizeof(kept));
    /* The deinterlacer looks back as well. */
    av_frame_unref(asset->former);
    if (asset->next.frame->interlaced_frame)
        av_frame_move_ref(asset->former, former.frame);
    else
        av_frame_unref(former.frame);
    asset->now = asset->next;
    asset->next.frame = former.frame; /* empty */
    asset->has_next = false;
    struct asset_picture *now = &asset->now;
    if (kept_size && kept_size + now->captions_size <= sizeof(kept)) {
        memmove(now->captions + kept_size, now->captions, now->captions_size);
        memcpy(now->captions, kept, kept_size);
        now->captions_size += kept_size;
    }
}

bool asset_is_due(const struct asset *asset, int64_t pts,
                  const struct moment *moment)
{
    const int64_t ticks = pts - asset->first_pts;
    const int64_t grid = moment_grid(ticks, asset->base, asset->grid_rate);

    if (grid >= 0)
        return grid <= moment_ticks(moment, av_inv_q(asset->grid_rate), 0);
    return ticks <= moment_ticks(moment, asset->base, 0);
}

/*
 * Which field of the present picture is on screen: the second from half way to
 * the next picture on, or a quarter earlier, see due_by_fields().  On the
 * asset's steady rate that is exact, see moment_grid().
 */
static int field_on_screen(const struct asset *asset,
                           const struct moment *moment)
{
    const struct asset_picture *now = &asset->now;
    const struct asset_picture *next = asset->has_next ? &asset->next : NULL;

    if (now->number < 0 || !now->frame->interlaced_frame)
        return 0;
    const int early =
        next && fields_follow_three(&now->fields, &next->fields, 0);
    if (now->grid >= 0 && (next ? next->grid > now->grid : is_steady(asset))) {
        const AVRational quarter =
            av_mul_q(av_inv_q(asset->grid_rate), (AVRational){ 1, 4 });
        const int64_t end = next ? next->grid : now->grid + 1;
        return moment_ticks(moment, quarter, 0) >=
               2 * (now->grid + end) - early;
    }
    const int64_t end = next ? next->pts : now->pts + now->duration;
    const int64_t middle = (now->pts + end) / 2 - early * (end - now->pts) / 4;
    return moment_ticks(moment, asset->base, 0) >= middle - asset->first_pts;
}

enum field_partner asset_partner(const struct asset *asset)
{
    const struct asset_picture *now = &asset->now;

    if (asset->video < 0 || now->number < 0 || !now->frame->interlaced_frame)
        return PARTNER_NONE;
    return fields_partner(
        &now->fields, asset->has_next ? &asset->next.fields : NULL, now->field);
}

static enum asset_result is_over(const struct asset *asset,
                                 const struct moment *moment)
{
    const int64_t frames = asset_frames(asset, moment->in);
    return frames >= 0 && moment->frame >= frames ? ASSET_OVER : ASSET_SHOWN;
}

/*
 * Where pictures stand alone they come in the order of packets, so the next
 * packet tells when the next picture does.  Until then it is not decoded: the
 * present one is drawn while it lies in the cache, which large ones leave.
 */
static bool is_next_later(struct asset *asset, const struct moment *moment)
{
    const struct asset_picture *now = &asset->now;
    const AVCodecContext *decoder = asset->video_decoder;
    const AVCodecDescriptor *codec = avcodec_descriptor_get(decoder->codec_id);

    if (now->number < 0 || now->frame->interlaced_frame || codec == NULL ||
        !(codec->props & AV_CODEC_PROP_INTRA_ONLY) ||
        decoder->active_thread_type & FF_THREAD_FRAME || asset->is_changing ||
        asset->is_draining)
        return false;
    const AVPacket *packet = asset_peek_video(asset);
    if (packet == NULL || packet->pts == AV_NOPTS_VALUE)
        return false;
    /* Film may be due a quarter earlier, see due_by_fields(). */
    const int64_t early = packet->pts - (packet->pts - now->pts) / 4 - 1;
    return early > now->pts && !asset_is_due(asset, packet->pts, moment) &&
           !asset_is_due(asset, early, moment);
}

enum asset_result asset_show(struct asset *asset, const struct moment *moment)
{
    if (asset->video < 0) {
        asset_fill_sound(asset, moment_ticks(moment, asset->base, 0) +
                                    house_max_samples(&asset->house));
        return is_over(asset, moment);
    }
    /* What lies before the first moment asked for is nobody's caption. */
    bool was_shown = true;
    for (;;) {
        if (!asset->has_next && !asset->is_video_end) {
            if (is_next_later(asset, moment))
                break;
            if (asset_decode_next(asset) < 0)
                return ASSET_STOPPED;
        }
        /* Before the first picture there is the first. */
        if (!asset->has_next || (asset->now.number >= 0 &&
                                 !asset_is_due(asset, asset->next.due, moment)))
            break;
        advance(asset, was_shown || !asset->has_shown);
        was_shown = false;
    }
    asset->has_shown = true;
    asset->now.field = field_on_screen(asset, moment);
    return is_over(asset, moment);
}

/* Is it one step of the grid? */
static bool has_usual_duration(const struct asset *asset,
                               const struct asset_picture *picture)
{
    const int64_t step =
        av_rescale_q(1, av_inv_q(asset->grid_rate), asset->base);
    const int64_t off = picture->duration - step;

    return off >= -1 && off <= 1;
}

/*
 * How long the last picture is, where packets do not say it and no other is a
 * measure: MP4 knows it, libav tells it by the length of the track.
 */
static int64_t last_duration(const struct asset *asset,
                             const struct asset_picture *last)
{
    const AVStream *stream = asset->format->streams[asset->video];
    const bool is_mov = strstr(asset->format->iformat->name, "mov") != NULL;

    if (!last->is_guess || !is_mov || is_steady(asset) ||
        stream->start_time == AV_NOPTS_VALUE ||
        stream->duration == AV_NOPTS_VALUE)
        return last->duration;
    const int64_t left = stream->start_time + stream->duration - last->pts;
    return left > 0 && left <= ten_seconds(asset) ? left : last->duration;
}

bool asset_end(const struct asset *asset, int64_t *ticks, AVRational *base)
{
    const struct asset_picture *last = &asset->now;

    *ticks = 0;
    *base = asset->base;
    if (asset->video < 0) {
        if (asset->is_audio_end && asset->sound.has_position)
            *ticks = asset->sound.end;
        return asset->is_audio_end;
    }
    if (!asset->is_video_end || asset->has_next)
        return false;
    if (last->number < 0)
        return true;
    if (last->grid >= 0 && has_usual_duration(asset, last)) {
        *ticks = last->grid + 1;
        *base = av_inv_q(asset->grid_rate);
    } else {
        *ticks = last->pts + last_duration(asset, last) - asset->first_pts;
    }
    return true;
}

int64_t asset_frames(const struct asset *asset, struct rational in)
{
    AVRational base;
    int64_t ticks;

    if (!asset_end(asset, &ticks, &base))
        return -1;
    return ticks == 0
               ? 0
               : FFMAX(moment_frames(ticks, base, in, asset->house.rate), 0);
}

int64_t asset_played(const struct asset *asset)
{
    const struct asset_picture *last = &asset->now;
    const struct rational start = { 0, 1 };
    const int64_t frames = asset_frames(asset, start);

    if (asset->video < 0 || frames < 0 || last->pts <= asset->first_pts)
        return frames;
    /* Up to the frame that it is due at nobody knows that it is the last. */
    struct moment moment = { .in = start, .rate = asset->house.rate };
    moment.frame = frames;
    while (!asset_is_due(asset, last->due, &moment))
        moment.frame++;
    return moment.frame;
}
