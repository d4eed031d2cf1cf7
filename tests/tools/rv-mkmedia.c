/*
 * rv-mkmedia: makes a media file whose frames carry their own number (mark.h).
 *
 * The same options give the same bytes: encoders run on one thread, with
 * bit-exact flags and nothing random.  Sound is a pure function of the sample
 * number, so cuts and gaps can be checked to the sample.
 */
#include <math.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libavutil/parseutils.h>
#include <libavutil/pixdesc.h>

#include "cli/cli.h"
#include "err/err.h"
#include "mark.h"

struct opts {
    struct mark first;
    int64_t frames, audio_frames; /* audio_frames -1: as frames */
    AVRational rate;
    int width, height;
    int sample_rate, channels;
    int gop, bframes, crf, bitrate_kbit;
    int64_t drop, mute; /* frame index in the file, -1 none */
    int audio_shift_ms;
    bool has_video, has_audio, is_interlaced, has_captions;
    const char *vcodec, *acodec, *pix_fmt, *format, *out;
};

/* One output stream: encoder, a frame that is used again, its next position. */
struct track {
    AVStream *stream;
    AVCodecContext *codec;
    AVFrame *frame;
    int64_t next, end; /* video: frames; audio: samples */
};

#define TRACK_EMPTY                                                            \
    {                                                                          \
        .stream = NULL                                                         \
    }

struct maker {
    const struct opts *opts;
    AVFormatContext *mux;
    AVPacket *packet;
    struct track video, audio;
};

enum {
    OPT_CRF = 256,
    OPT_GOP,
    OPT_BFRAMES,
    OPT_DROP,
    OPT_MUTE,
    OPT_SHIFT,
    OPT_AUDIO_FRAMES,
    OPT_NO_AUDIO,
    OPT_NO_VIDEO,
    OPT_START,
    OPT_CHANNELS,
    OPT_SAMPLE_RATE,
    OPT_VCODEC,
    OPT_ACODEC,
    OPT_PIX_FMT,
    OPT_BITRATE,
    OPT_INTERLACED,
    OPT_CAPTIONS,
    OPT_FORMAT
};

/* clang-format off */
static const struct argp_option options[] = {
    { "clip", 'c', "N", 0, "Number of the clip, 0 to 255 (1)", 0 },
    { "frames", 'n', "N", 0, "Pictures in the file (100)", 0 },
    { "start", OPT_START, "N", 0, "Number of the first picture (0)", 0 },
    { "rate", 'r', "R", 0, "Pictures a second, N/D (30000/1001)", 0 },
    { "size", 's', "WxH", 0, "Picture size (320x180)", 0 },
    { "out", 'o', "FILE", 0, "Where to; - is standard output", 0 },
    { "format", OPT_FORMAT, "NAME", 0, "Container (by the file's name)", 0 },
    { "vcodec", OPT_VCODEC, "NAME", 0, "libav encoder (by container: libx264, mpeg2video, ffv1)", 0 },
    { "acodec", OPT_ACODEC, "NAME", 0, "libav encoder (by container: pcm_s16le, aac, mp2)", 0 },
    { "pix-fmt", OPT_PIX_FMT, "NAME", 0, "Pixel format, planar 4:2:0 of 8 bits (yuv420p)", 0 },
    { "crf", OPT_CRF, "N", 0, "Quality of libx264 (20)", 0 },
    { "bitrate", OPT_BITRATE, "KBIT", 0, "Bit rate of the picture instead of quality", 0 },
    { "gop", OPT_GOP, "N", 0, "Pictures from key frame to key frame (30)", 0 },
    { "bframes", OPT_BFRAMES, "N", 0, "B-frames in a row (2)", 0 },
    { "interlaced", OPT_INTERLACED, NULL, 0, "Code and flag as interlaced, top field first", 0 },
    { "captions", OPT_CAPTIONS, NULL, 0, "A53 captions in each picture that tell its number (libx264)", 0 },
    { "sample-rate", OPT_SAMPLE_RATE, "N", 0, "Samples a second (48000)", 0 },
    { "channels", OPT_CHANNELS, "N", 0, "Channels of sound, 1 to 8 (2)", 0 },
    { "audio-frames", OPT_AUDIO_FRAMES, "N", 0, "Sound as long as N pictures", 0 },
    { "no-audio", OPT_NO_AUDIO, NULL, 0, "No sound", 0 },
    { "no-video", OPT_NO_VIDEO, NULL, 0, "Sound only", 0 },
    { "drop", OPT_DROP, "N", 0, "Leave picture N out of the numbering (a fault to be found)", 0 },
    { "mute", OPT_MUTE, "N", 0, "Silence during picture N (a fault to be found)", 0 },
    { "audio-shift", OPT_SHIFT, "MS", 0, "Sound later by MS (a fault to be found)", 0 },
    { 0 }
};
/* clang-format on */

static void parse_coding(struct opts *opts, int key, char *arg,
                         struct argp_state *state)
{
    switch (key) {
    case OPT_VCODEC:
        opts->vcodec = arg;
        break;
    case OPT_ACODEC:
        opts->acodec = arg;
        break;
    case OPT_PIX_FMT:
        opts->pix_fmt = arg;
        break;
    case OPT_CRF:
        opts->crf = (int)cli_number(state, "--crf", arg, 0, 51);
        break;
    case OPT_BITRATE:
        opts->bitrate_kbit =
            (int)cli_number(state, "--bitrate", arg, 1, 1000000);
        break;
    case OPT_GOP:
        opts->gop = (int)cli_number(state, "--gop", arg, 1, 10000);
        break;
    case OPT_BFRAMES:
        opts->bframes = (int)cli_number(state, "--bframes", arg, 0, 16);
        break;
    case OPT_INTERLACED:
        opts->is_interlaced = true;
        break;
    case OPT_CAPTIONS:
        opts->has_captions = true;
        break;
    }
}

static void parse_sound(struct opts *opts, int key, char *arg,
                        struct argp_state *state)
{
    switch (key) {
    case OPT_SAMPLE_RATE:
        opts->sample_rate =
            (int)cli_number(state, "--sample-rate", arg, 8000, 192000);
        break;
    case OPT_CHANNELS:
        opts->channels = (int)cli_number(state, "--channels", arg, 1, 8);
        break;
    case OPT_AUDIO_FRAMES:
        opts->audio_frames =
            cli_number(state, "--audio-frames", arg, 0, MARK_FRAME_MAX);
        break;
    case OPT_NO_AUDIO:
        opts->has_audio = false;
        break;
    case OPT_NO_VIDEO:
        opts->has_video = false;
        break;
    case OPT_DROP:
        opts->drop = cli_number(state, "--drop", arg, 0, MARK_FRAME_MAX);
        break;
    case OPT_MUTE:
        opts->mute = cli_number(state, "--mute", arg, 0, MARK_FRAME_MAX);
        break;
    case OPT_SHIFT:
        opts->audio_shift_ms =
            (int)cli_number(state, "--audio-shift", arg, 0, 10000);
        break;
    }
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case 'c':
        opts->first.clip =
            (int)cli_number(state, "--clip", arg, 0, MARK_CLIP_MAX);
        break;
    case 'n':
        opts->frames = cli_number(state, "--frames", arg, 1, MARK_FRAME_MAX);
        break;
    case OPT_START:
        opts->first.frame =
            (int)cli_number(state, "--start", arg, 0, MARK_FRAME_MAX);
        break;
    case 'r':
        if (av_parse_video_rate(&opts->rate, arg) < 0)
            argp_error(state, "--rate: '%s' is no rate; give N or N/D", arg);
        break;
    case 's':
        if (av_parse_video_size(&opts->width, &opts->height, arg) < 0 ||
            opts->width < 48 || opts->height < 32 || opts->width > 8192 ||
            opts->height > 8192)
            argp_error(
                state,
                "--size: '%s' is no size; give WxH from 48x32 to 8192x8192",
                arg);
        break;
    case 'o':
        opts->out = arg;
        break;
    case OPT_FORMAT:
        opts->format = arg;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too much; the file is given by --out", arg);
        break;
    case ARGP_KEY_END:
        if (opts->out == NULL)
            argp_error(state, "no file; give --out FILE");
        break;
    default:
        if (key < OPT_CRF || key > OPT_FORMAT)
            return ARGP_ERR_UNKNOWN;
        parse_coding(opts, key, arg, state);
        parse_sound(opts, key, arg, state);
    }
    return 0;
}

static int err_av(struct err *err, int code, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE];

    av_strerror(code, text, sizeof(text));
    return err_set(err, ERR_INPUT, "%s: %s", what, text);
}

/* Encoders that go without saying, by container. */
static void default_codecs(const char *container, const char **video,
                           const char **audio)
{
    static const char *const table[][3] = {
        { "mp4", "libx264", "aac" },     { "mpegts", "libx264", "aac" },
        { "mpeg", "mpeg2video", "mp2" }, { "vob", "mpeg2video", "mp2" },
        { "nut", "ffv1", "pcm_s16le" },  { "webm", "libvpx", "libopus" },
        { "flv", "libx264", "aac" },     { NULL, "libx264", "pcm_s16le" },
    };
    int i = 0;

    while (table[i][0] != NULL && strcmp(table[i][0], container) != 0)
        i++;
    if (*video == NULL)
        *video = table[i][1];
    if (*audio == NULL)
        *audio = table[i][2];
}

static int track_start(struct maker *maker, struct track *track,
                       struct err *err)
{
    AVCodecContext *codec = track->codec;

    codec->flags |= AV_CODEC_FLAG_BITEXACT;
    codec->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL;
    codec->thread_count = 1;
    if (maker->mux->oformat->flags & AVFMT_GLOBALHEADER)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int rc = avcodec_open2(codec, NULL, NULL);
    if (rc < 0)
        return err_av(err, rc, codec->codec->name);
    track->stream = avformat_new_stream(maker->mux, NULL);
    track->frame = av_frame_alloc();
    if (track->stream == NULL || track->frame == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a stream");
    track->stream->time_base = codec->time_base;
    rc = avcodec_parameters_from_context(track->stream->codecpar, codec);
    return rc < 0 ? err_av(err, rc, "stream parameters") : 0;
}

static AVCodecContext *find_codec(const char *name, struct err *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(name);

    if (codec == NULL) {
        err_set(err, ERR_INPUT, "no encoder '%s'; see ffmpeg -encoders", name);
        return NULL;
    }
    AVCodecContext *context = avcodec_alloc_context3(codec);
    if (context == NULL)
        err_set(err, ERR_SYSTEM, "no memory for encoder %s", name);
    return context;
}

static int video_start(struct maker *maker, const char *name, struct err *err)
{
    const struct opts *opts = maker->opts;
    struct track *track = &maker->video;
    AVCodecContext *codec = track->codec = find_codec(name, err);

    if (codec == NULL)
        return -1;
    codec->width = opts->width;
    codec->height = opts->height;
    codec->pix_fmt = av_get_pix_fmt(opts->pix_fmt);
    codec->sample_aspect_ratio = (AVRational){ 1, 1 };
    codec->framerate = opts->rate;
    codec->time_base = av_inv_q(opts->rate);
    codec->gop_size = opts->gop;
    codec->max_b_frames = opts->bframes;
    if (opts->is_interlaced)
        codec->flags |=
            AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME;
    if (opts->bitrate_kbit > 0)
        codec->bit_rate = opts->bitrate_kbit * INT64_C(1000);
    else if (codec->codec_id == AV_CODEC_ID_MPEG2VIDEO)
        codec->bit_rate = INT64_C(6) * opts->width * opts->height;
    if (strcmp(name, "libx264") == 0) {
        av_opt_set(codec->priv_data, "preset", "veryfast", 0);
        av_opt_set_int(codec->priv_data, "sc_threshold", 0, 0);
        if (opts->bitrate_kbit == 0)
            av_opt_set_double(codec->priv_data, "crf", opts->crf, 0);
    }
    if (track_start(maker, track, err) < 0)
        return -1;
    track->stream->avg_frame_rate = opts->rate;
    track->stream->sample_aspect_ratio = codec->sample_aspect_ratio;
    track->frame->format = codec->pix_fmt;
    track->frame->width = codec->width;
    track->frame->height = codec->height;
    track->end = opts->frames;
    const int rc = av_frame_get_buffer(track->frame, 0);
    return rc < 0 ? err_av(err, rc, "picture") : 0;
}

static int audio_start(struct maker *maker, const char *name, struct err *err)
{
    const struct opts *opts = maker->opts;
    struct track *track = &maker->audio;
    AVCodecContext *codec = track->codec = find_codec(name, err);

    if (codec == NULL)
        return -1;
    codec->sample_rate = opts->sample_rate;
    codec->time_base = (AVRational){ 1, opts->sample_rate };
    codec->sample_fmt = codec->codec->sample_fmts ? codec->codec->sample_fmts[0]
                                                  : AV_SAMPLE_FMT_S16;
    codec->bit_rate = INT64_C(96000) * opts->channels;
    av_channel_layout_default(&codec->ch_layout, opts->channels);
    if (track_start(maker, track, err) < 0)
        return -1;
    track->frame->format = codec->sample_fmt;
    track->frame->sample_rate = codec->sample_rate;
    track->frame->nb_samples = codec->frame_size > 0 ? codec->frame_size : 1024;
    av_channel_layout_copy(&track->frame->ch_layout, &codec->ch_layout);
    track->end =
        mark_sample(opts->audio_frames < 0 ? opts->frames : opts->audio_frames,
                    opts->rate, opts->sample_rate);
    const int rc = av_frame_get_buffer(track->frame, 0);
    return rc < 0 ? err_av(err, rc, "sound") : 0;
}

/* A gradient that moves, under the mark; chroma moves too. */
static void draw(const struct opts *opts, AVFrame *frame, int64_t n)
{
    const int64_t number =
        opts->first.frame + n + (opts->drop >= 0 && n >= opts->drop);
    const int step = (int)(number & 0xFFFF);

    for (int y = 0; y < frame->height; y++) {
        uint8_t *row = frame->data[0] + (int64_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++)
            row[x] = (uint8_t)(32 + ((x + y / 2 + 3 * step) >> 1) % 80);
    }
    for (int plane = 1; plane <= 2; plane++) {
        for (int y = 0; y < AV_CEIL_RSHIFT(frame->height, 1); y++) {
            uint8_t *row =
                frame->data[plane] + (int64_t)y * frame->linesize[plane];
            const int value =
                128 + (plane == 1 ? 24 : -24) * ((y + step) % 64 - 32) / 32;
            memset(row, value, (size_t)AV_CEIL_RSHIFT(frame->width, 1));
        }
    }
    mark_draw(
        frame->data[0], frame->linesize[0], frame->width, frame->height,
        (struct mark){ opts->first.clip, (int)(number & MARK_FRAME_MAX) });
}

/* ATSC A/53 part 4, 6.2.3: pairs of bytes for field 1, field 2 and DTVCC. */
static int put_captions(AVFrame *frame, struct mark mark)
{
    const uint8_t high = (uint8_t)(mark.frame >> 7 & 0x7f);
    const uint8_t low = (uint8_t)(mark.frame & 0x7f);
    const uint8_t bytes[] = { 0xfc, high, low,
                              0xfd, low,  high,
                              0xff, low,  (uint8_t)mark.clip };

    av_frame_remove_side_data(frame, AV_FRAME_DATA_A53_CC);
    AVFrameSideData *side =
        av_frame_new_side_data(frame, AV_FRAME_DATA_A53_CC, sizeof(bytes));
    if (side == NULL)
        return AVERROR(ENOMEM);
    memcpy(side->data, bytes, sizeof(bytes));
    return 0;
}

/* Sample s of the clip; frame numbers count from opts->first.frame. */
static double sample_value(const struct opts *opts, int64_t s)
{
    const double step = 2 * M_PI / opts->sample_rate;
    const int hz = mark_tone_hz(opts->first.clip);

    s -= (int64_t)opts->audio_shift_ms * opts->sample_rate / 1000;
    if (s < 0)
        return 0;
    int64_t n = av_rescale(s, opts->rate.num,
                           (int64_t)opts->rate.den * opts->sample_rate);
    if (mark_sample(n + 1, opts->rate, opts->sample_rate) <= s)
        n++;
    else if (mark_sample(n, opts->rate, opts->sample_rate) > s)
        n--;
    if (n == opts->mute)
        return 0;
    /* s mod the sample rate keeps the phase exact: whole Hz only */
    double value =
        MARK_TONE_LEVEL * sin(step * (double)(s % opts->sample_rate * hz));
    const int64_t since = s - mark_sample(n, opts->rate, opts->sample_rate);
    if ((opts->first.frame + n) % MARK_BURST_EVERY == 0 &&
        since * 1000000 < (int64_t)MARK_BURST_US * opts->sample_rate)
        value += MARK_BURST_LEVEL * cos(step * (double)(since * MARK_BURST_HZ));
    return value;
}

static void put_sample(AVFrame *frame, int i, double value)
{
    const int channels = frame->ch_layout.nb_channels;
    const bool is_planar = av_sample_fmt_is_planar(frame->format);

    for (int c = 0; c < channels; c++) {
        uint8_t *plane = frame->extended_data[is_planar ? c : 0];
        const int at = is_planar ? i : i * channels + c;
        switch (av_get_packed_sample_fmt(frame->format)) {
        case AV_SAMPLE_FMT_S16:
            ((int16_t *)(void *)plane)[at] = (int16_t)lrint(value * 32767);
            break;
        case AV_SAMPLE_FMT_S32:
            ((int32_t *)(void *)plane)[at] = (int32_t)lrint(value * 2147483647);
            break;
        case AV_SAMPLE_FMT_FLT:
            ((float *)(void *)plane)[at] = (float)value;
            break;
        default:
            ((double *)(void *)plane)[at] = value;
        }
    }
}

/* Sends a frame (NULL: the end) and writes the packets that come of it. */
static int encode(struct maker *maker, struct track *track, AVFrame *frame,
                  struct err *err)
{
    int rc = avcodec_send_frame(track->codec, frame);

    while (rc >= 0) {
        rc = avcodec_receive_packet(track->codec, maker->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        if (rc < 0)
            break;
        maker->packet->stream_index = track->stream->index;
        if (track == &maker->video && maker->packet->duration == 0)
            maker->packet->duration = 1;
        av_packet_rescale_ts(maker->packet, track->codec->time_base,
                             track->stream->time_base);
        rc = av_interleaved_write_frame(maker->mux, maker->packet);
    }
    return err_av(err, rc, track->codec->codec->name);
}

static int video_step(struct maker *maker, struct err *err)
{
    struct track *track = &maker->video;

    if (track->next == track->end)
        return encode(maker, track, NULL, err);
    const int rc = av_frame_make_writable(track->frame);
    if (rc < 0)
        return err_av(err, rc, "picture");
    draw(maker->opts, track->frame, track->next);
    if (maker->opts->has_captions &&
        put_captions(track->frame, (struct mark){ maker->opts->first.clip,
                                                  maker->opts->first.frame +
                                                      (int)track->next }) < 0)
        return err_set(err, ERR_SYSTEM, "no memory for captions");
    track->frame->pts = track->next;
    track->frame->interlaced_frame = maker->opts->is_interlaced;
    track->frame->top_field_first = maker->opts->is_interlaced;
    return encode(maker, track, track->frame, err);
}

static int audio_step(struct maker *maker, struct err *err)
{
    struct track *track = &maker->audio;
    const int size =
        track->codec->frame_size > 0 ? track->codec->frame_size : 1024;
    const int count = (int)FFMIN(size, track->end - track->next);

    if (count <= 0)
        return encode(maker, track, NULL, err);
    const int rc = av_frame_make_writable(track->frame);
    if (rc < 0)
        return err_av(err, rc, "sound");
    track->frame->nb_samples = count;
    for (int i = 0; i < count; i++)
        put_sample(track->frame, i, sample_value(maker->opts, track->next + i));
    track->frame->pts = track->next;
    track->next += count - 1; /* the last one is counted by make_all() */
    return encode(maker, track, track->frame, err);
}

/* Both tracks in order of time; each ends with a step at its end. */
static int make_all(struct maker *maker, struct err *err)
{
    struct track *video = &maker->video, *audio = &maker->audio;
    bool has_video = video->codec != NULL, has_audio = audio->codec != NULL;

    while ((has_video || has_audio) && !cli_stopping()) {
        const bool is_video =
            has_video &&
            (!has_audio ||
             av_compare_ts(video->next, video->codec->time_base, audio->next,
                           audio->codec->time_base) <= 0);
        struct track *track = is_video ? video : audio;
        bool *has = is_video ? &has_video : &has_audio;
        if (track->next == track->end)
            *has = false;
        if ((is_video ? video_step : audio_step)(maker, err) < 0)
            return -1;
        track->next++;
    }
    return 0;
}

static int maker_open(struct maker *maker, const struct opts *opts,
                      struct err *err)
{
    const char *url = strcmp(opts->out, "-") == 0 ? "pipe:1" : opts->out;
    const char *vcodec = opts->vcodec, *acodec = opts->acodec;
    AVDictionary *settings = NULL;

    maker->opts = opts;
    maker->packet = av_packet_alloc();
    avformat_alloc_output_context2(&maker->mux, NULL, opts->format, url);
    if (maker->packet == NULL || maker->mux == NULL)
        return err_set(err, ERR_INPUT,
                       "%s: no container of that name; give --format",
                       opts->out);
    maker->mux->flags |= AVFMT_FLAG_BITEXACT;
    maker->mux->max_delay = 700000; /* as the ffmpeg program; us */
    default_codecs(maker->mux->oformat->name, &vcodec, &acodec);
    if (opts->has_video && video_start(maker, vcodec, err) < 0)
        return -1;
    if (opts->has_audio && audio_start(maker, acodec, err) < 0)
        return -1;
    int rc = avio_open(&maker->mux->pb, url, AVIO_FLAG_WRITE);
    if (rc < 0)
        return err_av(err, rc, opts->out);
    av_log_set_level(AV_LOG_FATAL); /* from here on return codes tell all */
    rc = avformat_write_header(maker->mux, &settings);
    av_dict_free(&settings);
    return rc < 0 ? err_av(err, rc, opts->out) : 0;
}

static void maker_close(struct maker *maker)
{
    struct track *tracks[] = { &maker->video, &maker->audio };

    for (int i = 0; i < 2; i++) {
        avcodec_free_context(&tracks[i]->codec);
        av_frame_free(&tracks[i]->frame);
    }
    av_packet_free(&maker->packet);
    if (maker->mux != NULL)
        avio_closep(&maker->mux->pb);
    avformat_free_context(maker->mux);
    maker->mux = NULL;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_opt,
        .doc = "Make media whose frames carry their own number, for tests."
    };
    struct opts opts = { .first = { .clip = 1 },
                         .frames = 100,
                         .audio_frames = -1,
                         .rate = { 30000, 1001 },
                         .width = 320,
                         .height = 180,
                         .sample_rate = 48000,
                         .channels = 2,
                         .gop = 30,
                         .bframes = 2,
                         .crf = 20,
                         .drop = -1,
                         .mute = -1,
                         .has_video = true,
                         .has_audio = true,
                         .pix_fmt = "yuv420p" };
    struct maker maker = { .video = TRACK_EMPTY, .audio = TRACK_EMPTY };
    struct err err = ERR_EMPTY;

    cli_start("rv-mkmedia", &argp, argc, argv, &opts);
    av_log_set_level(AV_LOG_ERROR);
    int rc = maker_open(&maker, &opts, &err);
    if (rc == 0)
        rc = make_all(&maker, &err);
    if (rc == 0 && (rc = av_write_trailer(maker.mux)) < 0)
        err_av(&err, rc, opts.out);
    maker_close(&maker);
    return cli_finish(rc, &err);
}
