/*
 * source_media: frames from any media that libavformat reads, as they come:
 * picture i is frame i, and the sound that lies under it in time is its sound.
 *
 * Meant for NUT with raw video and PCM from rv-decode or rv-tap, where this
 * costs one copy; anything else is decoded and, where its pixel or sample
 * format differs, converted.  Size, frame rate, sample rate and channels stay
 * as they are: they make the house format.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>

#include "cli/cli.h"
#include "source.h"

#define PICTURES_MAX 256 /* that wait for their sound */

struct stream {
    int index; /* -1: none */
    AVCodecContext *codec;
    AVRational time_base;
    int64_t first_pts; /* AV_NOPTS_VALUE: none seen */
    bool is_ended;
};

struct source_media {
    const char *name;
    struct house house;
    AVFormatContext *demux;
    AVPacket *packet;
    AVFrame *frame;
    struct stream video, audio;
    struct SwsContext *sws;
    struct SwrContext *swr;
    AVFrame *picture[PICTURES_MAX]; /* decoded, in order */
    int pictures;
    AVFrame *lent;
    int16_t *samples;   /* that were decoded and not yet used */
    int64_t samples_at; /* number of the first of them */
    int64_t samples_count;
    int64_t samples_room;
    bool is_aligned; /* samples_at counts from the first picture */
    bool is_ended;
    int16_t *sound; /* of the frame that is lent */
    uint8_t captions[POOL_CAPTIONS_SIZE];
};

static int is_interrupted(void *unused)
{
    (void)unused;
    return cli_stopping();
}

static int fail(const struct source_media *source, const char *what, int code,
                struct err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE];

    if (code == AVERROR(ENOMEM))
        return err_set(err, ERR_SYSTEM, "%s: no memory", source->name);
    av_strerror(code, text, sizeof(text));
    return err_set(err, ERR_INPUT, "%s: %s: %s", source->name, what, text);
}

/* --- opening -------------------------------------------------------------- */

static int open_stream(struct source_media *source, struct stream *stream,
                       enum AVMediaType type, struct err *err)
{
    const AVCodec *decoder = NULL;
    const int index =
        av_find_best_stream(source->demux, type, -1, -1, &decoder, 0);

    stream->index = -1;
    stream->first_pts = AV_NOPTS_VALUE;
    stream->is_ended = true;
    if (index < 0 || decoder == NULL)
        return 0;
    const AVStream *from = source->demux->streams[index];
    stream->codec = avcodec_alloc_context3(decoder);
    if (stream->codec == NULL)
        return fail(source, "decoder", AVERROR(ENOMEM), err);
    int rc = avcodec_parameters_to_context(stream->codec, from->codecpar);
    stream->codec->pkt_timebase = from->time_base;
    if (rc >= 0)
        rc = avcodec_open2(stream->codec, decoder, NULL);
    if (rc < 0)
        return fail(source, decoder->name, rc, err);
    stream->index = index;
    stream->time_base = from->time_base;
    stream->is_ended = false;
    return 0;
}

static int find_house(struct source_media *source, struct err *err)
{
    struct house *house = &source->house;

    *house = HOUSE_DEFAULT;
    if (source->video.index < 0)
        return err_set(err, ERR_INPUT,
                       "%s: has no picture; give a stream with "
                       "video",
                       source->name);
    AVStream *stream = source->demux->streams[source->video.index];
    const AVRational rate = av_guess_frame_rate(source->demux, stream, NULL);
    av_reduce(&house->rate.num, &house->rate.den, rate.num, rate.den, INT_MAX);
    house->width = source->video.codec->width;
    house->height = source->video.codec->height;
    if (source->audio.index >= 0) {
        house->sample_rate = source->audio.codec->sample_rate;
        house->channels = source->audio.codec->ch_layout.nb_channels;
    }
    if (house_check(house, err) < 0)
        return err_prefix(err, "%s", source->name);
    return 0;
}

static int open_resampler(struct source_media *source, struct err *err)
{
    AVCodecContext *codec = source->audio.codec;
    AVChannelLayout layout;
    int rc;

    if (source->audio.index < 0)
        return 0;
    av_channel_layout_default(&layout, codec->ch_layout.nb_channels);
    if (codec->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_copy(&codec->ch_layout, &layout);
    rc = swr_alloc_set_opts2(&source->swr, &layout, AV_SAMPLE_FMT_S16,
                             codec->sample_rate, &codec->ch_layout,
                             codec->sample_fmt, codec->sample_rate, 0, NULL);
    if (rc >= 0)
        rc = swr_init(source->swr);
    av_channel_layout_uninit(&layout);
    return rc < 0 ? fail(source, "sound", rc, err) : 0;
}

static int open_all(struct source_media *source, const char *url,
                    struct err *err)
{
    source->demux = avformat_alloc_context();
    source->packet = av_packet_alloc();
    source->frame = av_frame_alloc();
    if (!source->demux || !source->packet || !source->frame)
        return fail(source, "demuxer", AVERROR(ENOMEM), err);
    source->demux->interrupt_callback.callback = is_interrupted;
    int rc = avformat_open_input(&source->demux, url, NULL, NULL);
    if (rc < 0)
        return fail(source, "no media that libavformat knows", rc, err);
    rc = avformat_find_stream_info(source->demux, NULL);
    if (rc < 0)
        return fail(source, "no streams in it", rc, err);
    if (open_stream(source, &source->video, AVMEDIA_TYPE_VIDEO, err) < 0 ||
        open_stream(source, &source->audio, AVMEDIA_TYPE_AUDIO, err) < 0 ||
        find_house(source, err) < 0 || open_resampler(source, err) < 0)
        return -1;
    source->sound = calloc((size_t)house_max_samples(&source->house),
                           sizeof(int16_t) * (size_t)source->house.channels);
    return source->sound ? 0 : fail(source, "sound", AVERROR(ENOMEM), err);
}

struct source_media *source_media_open(const char *name, int64_t first,
                                       struct err *err)
{
    struct source_media *source = calloc(1, sizeof(*source));
    const bool is_stdin = strcmp(name, "-") == 0;

    if (source == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for the input");
        return NULL;
    }
    source->name = is_stdin ? "standard input" : name;
    if (open_all(source, is_stdin ? "pipe:0" : name, err) < 0) {
        source_media_close(source);
        return NULL;
    }
    source->samples_at = house_samples_before(&source->house, first);
    return source;
}

void source_media_close(struct source_media *source)
{
    if (source == NULL)
        return;
    for (int i = 0; i < source->pictures; i++)
        av_frame_free(&source->picture[i]);
    av_frame_free(&source->lent);
    av_frame_free(&source->frame);
    av_packet_free(&source->packet);
    avcodec_free_context(&source->video.codec);
    avcodec_free_context(&source->audio.codec);
    avformat_close_input(&source->demux);
    sws_freeContext(source->sws);
    swr_free(&source->swr);
    free(source->samples);
    free(source->sound);
    free(source);
}

const struct house *source_media_house(const struct source_media *source)
{
    return &source->house;
}

/* --- decoding ------------------------------------------------------------- */

static int keep_picture(struct source_media *source, struct err *err)
{
    const struct house *house = &source->house;
    AVFrame *from = source->frame;
    AVFrame *to = av_frame_alloc();
    int rc = AVERROR(ENOMEM);

    if (to == NULL)
        return fail(source, "picture", rc, err);
    if (from->format == AV_PIX_FMT_YUV420P && from->width == house->width &&
        from->height == house->height) {
        av_frame_move_ref(to, from);
        source->picture[source->pictures++] = to;
        return 0;
    }
    to->format = AV_PIX_FMT_YUV420P;
    to->width = house->width;
    to->height = house->height;
    source->sws = sws_getCachedContext(
        source->sws, from->width, from->height, from->format, to->width,
        to->height, AV_PIX_FMT_YUV420P, SWS_BICUBIC, NULL, NULL, NULL);
    if (source->sws != NULL && av_frame_copy_props(to, from) >= 0)
        rc = sws_scale_frame(source->sws, to, from);
    if (rc < 0) {
        av_frame_free(&to);
        return fail(source, "picture", rc, err);
    }
    source->picture[source->pictures++] = to;
    return 0;
}

static int keep_sound(struct source_media *source, struct err *err)
{
    const int64_t channels = source->house.channels;
    const int count = source->frame->nb_samples;

    if (source->samples_count + count > source->samples_room) {
        const int64_t room = 2 * (source->samples_count + count);
        int16_t *more = realloc(source->samples,
                                sizeof(int16_t) * (size_t)(room * channels));
        if (more == NULL)
            return fail(source, "sound", AVERROR(ENOMEM), err);
        source->samples = more;
        source->samples_room = room;
    }
    uint8_t *to =
        (uint8_t *)(source->samples + source->samples_count * channels);
    const int got = swr_convert(
        source->swr, &to, count,
        (const uint8_t **)(void *)source->frame->extended_data, count);
    if (got < 0)
        return fail(source, "sound", got, err);
    source->samples_count += got;
    return 0;
}

/* Everything that a decoder has ready. */
static int drain(struct source_media *source, struct stream *stream,
                 struct err *err)
{
    const bool is_video = stream == &source->video;
    int rc;

    while (!is_video || source->pictures < PICTURES_MAX) {
        rc = avcodec_receive_frame(stream->codec, source->frame);
        if (rc == AVERROR_EOF)
            stream->is_ended = true;
        if (rc == AVERROR_EOF || rc == AVERROR(EAGAIN))
            return 0;
        if (rc < 0)
            return fail(source, "decoder", rc, err);
        if (stream->first_pts == AV_NOPTS_VALUE)
            stream->first_pts = source->frame->best_effort_timestamp;
        rc = is_video ? keep_picture(source, err) : keep_sound(source, err);
        av_frame_unref(source->frame);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int read_packet(struct source_media *source, struct err *err)
{
    const int rc = av_read_frame(source->demux, source->packet);
    struct stream *streams[] = { &source->video, &source->audio };

    source->is_ended = rc < 0;
    for (int i = 0; i < 2; i++) {
        struct stream *stream = streams[i];
        if (stream->index < 0 ||
            (rc >= 0 && source->packet->stream_index != stream->index))
            continue;
        /* A damaged packet is skipped: the decoder goes on with the next. */
        avcodec_send_packet(stream->codec, rc < 0 ? NULL : source->packet);
        if (drain(source, stream, err) < 0)
            return -1;
    }
    av_packet_unref(source->packet);
    return 0;
}

/* Sample 0 is the one under the first picture. */
static void align(struct source_media *source)
{
    const AVRational samples = { 1, source->house.sample_rate };
    const struct stream *v = &source->video, *a = &source->audio;

    source->is_aligned = true;
    if (v->first_pts != AV_NOPTS_VALUE && a->first_pts != AV_NOPTS_VALUE) {
        source->samples_at +=
            av_rescale_q(a->first_pts, a->time_base, samples) -
            av_rescale_q(v->first_pts, v->time_base, samples);
    }
}

/* Copies the samples [from, to) to `sound`; what is missing is silence. */
static void take_sound(struct source_media *source, int64_t from, int64_t to)
{
    const int64_t channels = source->house.channels;
    const int64_t end = source->samples_at + source->samples_count;
    const int64_t begin = from > source->samples_at ? from : source->samples_at;
    const int64_t stop = to < end ? to : end;

    memset(source->sound, 0,
           sizeof(int16_t) * (size_t)((to - from) * channels));
    if (begin < stop) {
        memcpy(source->sound + (begin - from) * channels,
               source->samples + (begin - source->samples_at) * channels,
               sizeof(int16_t) * (size_t)((stop - begin) * channels));
    }
    const int64_t used = stop - source->samples_at;
    if (used <= 0)
        return;
    source->samples_count -= used;
    source->samples_at += used;
    memmove(source->samples, source->samples + used * channels,
            sizeof(int16_t) * (size_t)(source->samples_count * channels));
}

static bool has_all(const struct source_media *source, int64_t sample)
{
    return source->pictures > 0 &&
           (source->audio.is_ended || source->pictures >= PICTURES_MAX - 8 ||
            source->samples_at + source->samples_count >= sample);
}

static void lend_picture(struct source_media *source,
                         struct source_frame *frame)
{
    av_frame_free(&source->lent);
    source->lent = source->picture[0];
    source->pictures--;
    memmove(source->picture, source->picture + 1,
            sizeof(source->picture[0]) * (size_t)source->pictures);
    for (int i = 0; i < 3; i++) {
        frame->plane[i] = source->lent->data[i];
        frame->stride[i] = source->lent->linesize[i];
    }
    const AVFrameSideData *cc =
        av_frame_get_side_data(source->lent, AV_FRAME_DATA_A53_CC);
    if (cc != NULL && cc->size <= sizeof(source->captions)) {
        memcpy(source->captions, cc->data, cc->size);
        frame->captions = source->captions;
        frame->captions_size = (uint32_t)cc->size;
    }
}

enum source_result source_media_take(struct source_media *source, int64_t n,
                                     struct source_frame *frame,
                                     struct err *err)
{
    const int64_t from = house_samples_before(&source->house, n);
    const int64_t to = house_samples_before(&source->house, n + 1);

    *frame = (struct source_frame){ .n = n };
    for (;;) {
        if (!source->is_aligned && source->pictures > 0 &&
            (source->samples_count > 0 || source->audio.is_ended))
            align(source);
        if (has_all(source, to) || source->is_ended || cli_stopping())
            break;
        if (read_packet(source, err) < 0)
            return SOURCE_FAILED;
    }
    if (source->pictures == 0)
        return SOURCE_END;
    take_sound(source, from, to);
    frame->sound = source->sound;
    frame->samples = (int32_t)(to - from);
    lend_picture(source, frame);
    return SOURCE_OK;
}
