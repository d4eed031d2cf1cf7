/* asset_open: from a path to the first picture. */
#include "media/asset_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bsd/string.h>
#include <libavutil/imgutils.h>

#include "clock/clock.h"
#include "media/av.h"
#include "media/tone.h"

/* More than 8K pictures have is an attack on our memory... */
#define PIXELS_MAX (36 << 20)
/* ... but a photograph is one picture alone: 200 megapixels in RGB. */
#define STILL_BYTES_MAX (640 << 20)
#define REMEDY          "give a file that ffprobe can read"

/* Nothing came in time; libav says only that we asked it to end. */
int asset_reason(const struct asset *asset, int code)
{
    return code == AVERROR_EXIT && !asset_is_stopping(asset)
               ? AVERROR(ETIMEDOUT)
               : code;
}

static const char *remedy_of(const struct asset *asset)
{
    if (strstr(asset->path, "://"))
        return "see that its server answers";
    return asset->own_fd > STDIN_FILENO ? "see that somebody writes into it"
                                        : REMEDY;
}

static int open_container(struct asset *asset, struct err *err)
{
    const bool is_own = asset_io_is_own(asset);
    char url[SEGMENT_ASSET_SIZE + 8];

    asset->format = avformat_alloc_context();
    if (asset->format == NULL)
        return err_set(err, ERR_SYSTEM, "no memory to open an asset");
    asset->format->interrupt_callback =
        (AVIOInterruptCB){ .callback = asset_is_interrupted, .opaque = asset };
    if (is_own && asset_io_open(asset, err) < 0)
        return -1;
    /* "file:" keeps a name with a colon from being taken for a protocol. */
    snprintf(url, sizeof(url), "%s%s", asset->path[0] == '/' ? "file:" : "",
             asset->path);
    asset->has_timeout = asset->own_fd != STDIN_FILENO;
    asset_begin_read(asset);
    AVDictionary *options = NULL;
    /* MPEG-TS: a new PMT with other PIDs goes on with the same streams. */
    av_dict_set(&options, "merge_pmt_versions", "1", 0);
    int rc =
        avformat_open_input(&asset->format, is_own ? "" : url, NULL, &options);
    av_dict_free(&options);
    rc = asset_reason(asset, rc);
    /* No memory: for what a damaged header asks. */
    if (rc == AVERROR_INVALIDDATA || rc == AVERROR_EOF || rc == AVERROR(ENOMEM))
        return av_fail(err, AVERROR_INVALIDDATA, REMEDY,
                       "asset %s: not a media file", asset->path);
    if (rc < 0)
        return av_fail(err, rc, remedy_of(asset), "asset %s: cannot be opened",
                       asset->path);
    asset_begin_read(asset);
    rc = avformat_find_stream_info(asset->format, NULL);
    if (rc < 0)
        return av_fail(err, rc, REMEDY, "asset %s: no streams found",
                       asset->path);
    asset->is_seekable =
        asset->format->pb == NULL ||
        (asset->format->pb->seekable & AVIO_SEEKABLE_NORMAL) != 0;
    return 0;
}

static void close_container(struct asset *asset)
{
    avformat_close_input(&asset->format);
    asset_io_close(asset);
}

/* Frame threads cost memory and delay, so small pictures get one. */
static int thread_count(const struct asset *asset, const AVCodecParameters *par)
{
    const int64_t pixels = (int64_t)par->width * par->height;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = pixels < 1000 * 600 ? 1 : pixels < 2560 * 1440 ? 2 : 4;

    if (asset->threads > 0)
        return asset->threads;
    return (int)FFMAX(1, FFMIN(threads, cpus));
}

/*
 * Sound with checksums is silent where they are wrong; without being asked
 * these decoders give full-scale noise there.  Others would refuse files that
 * only are not quite by the book.
 */
static int checks_of(enum AVCodecID codec)
{
    switch (codec) {
    case AV_CODEC_ID_FLAC:
    case AV_CODEC_ID_WAVPACK:
    case AV_CODEC_ID_TTA:
    case AV_CODEC_ID_AC3:
    case AV_CODEC_ID_EAC3:
    case AV_CODEC_ID_MP1:
    case AV_CODEC_ID_MP2:
    case AV_CODEC_ID_MP3:
        return AV_EF_CRCCHECK | AV_EF_EXPLODE;
    default: /* libav's enum, not ours */
        return 0;
    }
}

/* The largest pictures that this stream may have. */
static int64_t most_pixels(const struct asset *asset,
                           const AVCodecParameters *par)
{
    const char *container = asset->format->iformat->name;
    const size_t length = strlen(container);
    const bool is_still =
        strcmp(container, "image2") == 0 ||
        (length > 5 && strcmp(container + length - 5, "_pipe") == 0);
    const int bytes =
        is_still
            ? av_image_get_buffer_size(par->format, par->width, par->height, 1)
            : -1;

    /* Decoders round its sides up. */
    return bytes > 0 && bytes <= STILL_BYTES_MAX
               ? FFMAX(PIXELS_MAX,
                       (int64_t)(par->width + 256) * (par->height + 256))
               : PIXELS_MAX;
}

/* libav's own decoders of VP8 and VP9 leave their alpha out. */
static const AVCodec *find_decoder(const AVStream *stream)
{
    const enum AVCodecID id = stream->codecpar->codec_id;
    const AVDictionaryEntry *tag =
        av_dict_get(stream->metadata, "alpha_mode", NULL, 0);
    const char *name = id == AV_CODEC_ID_VP8   ? "libvpx"
                       : id == AV_CODEC_ID_VP9 ? "libvpx-vp9"
                                               : NULL;
    const bool has_alpha = tag && strcmp(tag->value, "1") == 0;
    const AVCodec *codec =
        has_alpha && name ? avcodec_find_decoder_by_name(name) : NULL;

    return codec ? codec : avcodec_find_decoder(id);
}

/* A decoder for a stream; gives, NULL with the sentence. */
static AVCodecContext *open_decoder(struct asset *asset, int index,
                                    bool is_video, struct err *err)
{
    const AVStream *stream = asset->format->streams[index];
    const AVCodecParameters *par = stream->codecpar;
    const AVCodec *codec = find_decoder(stream);

    if (codec == NULL) {
        const bool is_known = par->codec_id != AV_CODEC_ID_NONE;
        err_set(err, ERR_INPUT,
                "asset %s: there is no decoder for its %s in %s; convert it",
                asset->path, is_video ? "pictures" : "sound",
                is_known ? avcodec_get_name(par->codec_id)
                         : "an unknown coding");
        return NULL;
    }
    const int64_t most = most_pixels(asset, par);
    if ((int64_t)par->width * par->height > most) {
        err_set(err, ERR_INPUT,
                "asset %s: its pictures of %dx%d are too large; scale them "
                "down to %d megapixels",
                asset->path, par->width, par->height, PIXELS_MAX / 1000000);
        return NULL;
    }
    AVCodecContext *decoder = avcodec_alloc_context3(codec);
    int rc =
        decoder ? avcodec_parameters_to_context(decoder, par) : AVERROR(ENOMEM);
    if (rc >= 0) {
        decoder->pkt_timebase = stream->time_base;
        decoder->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
        decoder->thread_count = 1;
        decoder->max_pixels = most;
        decoder->err_recognition |= checks_of(par->codec_id);
        if (is_video) {
            decoder->flags |= AV_CODEC_FLAG_UNALIGNED;
            decoder->thread_count = thread_count(asset, par);
            buffers_attach(&asset->buffers, decoder);
        }
        rc = avcodec_open2(decoder, codec, NULL);
    }
    if (rc < 0) {
        av_fail(err, rc, REMEDY, "asset %s: the %s decoder does not start",
                asset->path, codec->name);
        avcodec_free_context(&decoder);
    }
    return decoder;
}

bool asset_is_other(const AVCodecContext *decoder, const AVPacket *packet)
{
    return (intptr_t)packet->opaque != (intptr_t)decoder->codec_id;
}

int asset_change_decoder(struct asset *asset, const AVPacket *packet)
{
    const bool is_video = packet->stream_index == asset->video;
    AVCodecContext *decoder =
        open_decoder(asset, packet->stream_index, is_video, NULL);

    if (decoder == NULL) {
        asset_note_packet(asset, packet);
        return -1;
    }
    if (is_video) {
        avcodec_free_context(&asset->video_decoder);
        asset->video_decoder = decoder;
    } else {
        avcodec_free_context(&asset->audio_decoder);
        asset->audio_decoder = decoder;
    }
    return 0;
}

/* The picture of a cover or of a sound file's tag; missing is no error. */
static void decode_still(struct asset *asset)
{
    AVCodecContext *decoder = open_decoder(asset, asset->video, true, NULL);

    asset->still = av_frame_alloc();
    if (decoder == NULL || asset->still == NULL ||
        avcodec_send_packet(
            decoder, &asset->format->streams[asset->video]->attached_pic) < 0 ||
        avcodec_send_packet(decoder, NULL) < 0 ||
        avcodec_receive_frame(decoder, asset->still) < 0)
        av_frame_free(&asset->still);
    if (asset->still)
        asset_shape(asset, asset->still, &asset->now);
    avcodec_free_context(&decoder);
}

/* Files that tell 29.97 or 23.976 in decimals mean the NTSC rate. */
static AVRational ntsc_of(AVRational rate)
{
    const int64_t whole = av_rescale_rnd(
        rate.num, 1001, rate.den * INT64_C(1000), AV_ROUND_NEAR_INF);
    const AVRational ntsc = { (int)FFMIN(whole, 1000) * 1000, 1001 };
    const int64_t off =
        (int64_t)rate.num * ntsc.den - (int64_t)ntsc.num * rate.den;

    /* 20 ppm, where a whole rate is 1000 off */
    return llabs(off) * 50000 <= (int64_t)ntsc.num * rate.den ? ntsc : rate;
}

/* How many times `a` is `b`, to two per cent: 1, 2, or 0 for none of them. */
static int times(AVRational a, AVRational b)
{
    const int64_t x = (int64_t)a.num * b.den, y = (int64_t)b.num * a.den;

    for (int n = 1; n <= 2; n++) {
        if (llabs(x - n * y) <= n * y / 50)
            return n;
    }
    return 0;
}

/*
 * libav's mean rate may come from the first few packets; where the rate that
 * all timestamps fit is near to it, or twice it (fields), that one is right.
 * Else the rate is variable, and that one is the grid which pictures are left
 * out of: another would move pictures that lie on it by chance.
 */
static void note_rates(struct asset *asset, const AVStream *stream)
{
    const AVRational mean = stream->avg_frame_rate;
    const AVRational fine = stream->r_frame_rate;
    const bool has_mean = mean.num > 0 && mean.den > 0;
    const bool has_fine = fine.num > 0 && fine.den > 0;
    const int n = has_mean && has_fine ? times(fine, mean) : 0;

    if (n > 0)
        asset->rate = av_mul_q(fine, (AVRational){ 1, n });
    else
        asset->rate = has_mean ? mean : fine;
    if (asset->rate.num > 0 && asset->rate.den > 0)
        asset->rate = ntsc_of(asset->rate);
    asset->grid_rate =
        has_mean && has_fine && n == 0 ? ntsc_of(fine) : asset->rate;
}

static int open_video(struct asset *asset, struct err *err)
{
    const AVStream *stream = asset->format->streams[asset->video];

    if (stream->disposition & AV_DISPOSITION_ATTACHED_PIC) {
        decode_still(asset);
        asset->video = -1;
        return 0;
    }
    asset->base = stream->time_base;
    note_rates(asset, stream);
    asset->video_decoder = open_decoder(asset, asset->video, true, err);
    return asset->video_decoder ? 0 : -1;
}

/* Decoders for the chosen streams. */
static int open_decoders(struct asset *asset, struct err *err)
{
    if (asset->video >= 0 && open_video(asset, err) < 0)
        return -1;
    if (asset->audio < 0)
        return 0;
    asset->audio_decoder = open_decoder(asset, asset->audio, false,
                                        asset->video >= 0 ? NULL : err);
    if (asset->audio_decoder)
        return 0;
    if (asset->video < 0)
        return -1;
    /* A film without sound is better than none. */
    asset_note_packet(asset, NULL);
    asset->format->streams[asset->audio]->discard = AVDISCARD_ALL;
    asset->audio = -1;
    return 0;
}

static int open_streams(struct asset *asset, const struct asset_config *config,
                        struct err *err)
{
    asset_choose(asset, config);
    if (asset->video < 0 && asset->audio < 0)
        return err_set(err, ERR_INPUT,
                       "asset %s: has neither picture nor sound; " REMEDY,
                       asset->path);
    if (open_decoders(asset, err) < 0)
        return -1;
    asset->follow.opened[0] = asset->video;
    asset->follow.opened[1] = asset->audio;
    return 0;
}

/* HDR's static metadata: with the picture, else of the stream. */
static int peak_of(const struct asset *asset)
{
    static const enum AVPacketSideDataType KINDS[] = {
        AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_MASTERING_DISPLAY_METADATA
    };
    int peak = tone_peak_of(asset->next.frame);

    for (int i = 0; i < 2 && peak == 0; i++) {
        size_t size = 0;
        const uint8_t *data = av_stream_get_side_data(
            asset->format->streams[asset->video], KINDS[i], &size);
        if (data)
            peak = i == 0 ? tone_peak_of_light(data, size)
                          : tone_peak_of_display(data, size);
    }
    return peak;
}

/*
 * AVI and some MXF have no presentation times: libav counts decoding times and
 * shows pictures so much later as the decoder reorders.  Sound does not wait:
 * its time 0 is the first packet.
 */
static void note_lag(struct asset *asset)
{
    const int64_t lag = asset->first_dts == AV_NOPTS_VALUE
                            ? 0
                            : asset->first_pts - asset->first_dts;

    if (lag > 0 && av_compare_ts(lag, asset->base, 1, (AVRational){ 1, 1 }) < 0)
        asset->lag = lag;
}

static int first_picture(struct asset *asset, struct err *err)
{
    if (asset->video >= 0) {
        const int rc = asset_decode_first(asset);
        if (rc == 1 && !asset->has_first) {
            asset->first_pts = asset->next.pts;
            note_lag(asset);
            /* Once, so that a seek does not change what pictures look like. */
            asset->peak_nits = peak_of(asset);
        }
        asset->has_first = asset->has_first || rc == 1;
        if (rc < 0)
            return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
        if (rc == 0)
            return err_set(err, ERR_INPUT,
                           "asset %s: no picture in it can be decoded; " REMEDY,
                           asset->path);
        return 0;
    }
    asset->base = (AVRational){ 1, asset->house.sample_rate };
    asset_fill_sound(asset, 1);
    if (!asset->has_first)
        return err_set(err, ERR_INPUT,
                       "asset %s: no sound in it can be decoded; " REMEDY,
                       asset->path);
    return 0;
}

int asset_reopen(struct asset *asset, struct err *err)
{
    avcodec_free_context(&asset->video_decoder);
    avcodec_free_context(&asset->audio_decoder);
    close_container(asset);
    asset_forget_packets(asset);
    asset_video_reset(asset);
    asset->is_audio_end = false;
    if (strcmp(asset->path, "-") == 0)
        lseek(STDIN_FILENO, 0, SEEK_SET);
    if (open_container(asset, err) < 0)
        return -1;
    const int streams = (int)asset->format->nb_streams;
    asset->video = asset->follow.opened[0];
    asset->audio = asset->follow.opened[1];
    if (asset->video >= streams || asset->audio >= streams)
        return err_set(err, ERR_INPUT,
                       "asset %s: has changed while it was read", asset->path);
    follow_choose(asset);
    return open_decoders(asset, err) < 0 ? -1 : first_picture(asset, err);
}

static int allocate(struct asset *asset)
{
    asset->packet = av_packet_alloc();
    asset->changed = av_packet_alloc();
    asset->audio_frame = av_frame_alloc();
    asset->now.frame = av_frame_alloc();
    asset->next.frame = av_frame_alloc();
    asset->former = av_frame_alloc();
    asset->now.number = asset->next.number = -1;
    asset->hurry_until = asset->hurried_past = INT64_MIN;
    asset->first_dts = AV_NOPTS_VALUE;
    asset->sound_in =
        calloc((size_t)SOUND_CHUNK * (size_t)asset->house.channels,
               sizeof(*asset->sound_in));
    if (limiter_init(&asset->limiter, asset->house.sample_rate,
                     asset->house.channels) < 0 ||
        asset->sound_in == NULL)
        return -1;
    sound_reset(&asset->sound, asset_sound_from(asset, 0));
    if (!asset->packet || !asset->changed || !asset->audio_frame ||
        !asset->now.frame || !asset->next.frame || !asset->former)
        return -1;
    return queue_init(&asset->video_queue) < 0 ||
                   queue_init(&asset->audio_queue) < 0 ||
                   queue_init(&asset->follow.held[0]) < 0 ||
                   queue_init(&asset->follow.held[1]) < 0 ||
                   queue_init(&asset->doubt[0].held) < 0 ||
                   queue_init(&asset->doubt[1].held) < 0
               ? -1
               : 0;
}

struct asset *asset_open(const struct asset_config *config, struct err *err)
{
    struct asset *asset = calloc(1, sizeof(*asset));

    if (asset == NULL) {
        err_set(err, ERR_SYSTEM, "no memory to open an asset");
        return NULL;
    }
    strlcpy(asset->path, config->path, sizeof(asset->path));
    asset->house = config->house;
    asset->is_stopping = config->is_stopping;
    asset->threads = config->threads;
    asset->video = asset->audio = asset->own_fd = -1;
    buffers_init(&asset->buffers, &config->house);
    sound_init(&asset->sound, &config->house);
    if (allocate(asset) < 0) {
        err_set(err, ERR_SYSTEM, "no memory to open an asset");
        goto fail;
    }
    if (open_container(asset, err) < 0)
        goto fail;
    asset_forget_packets(asset);
    if (open_streams(asset, config, err) < 0 || first_picture(asset, err) < 0)
        goto fail;
    return asset;
fail:
    asset_free(asset);
    return NULL;
}

void asset_free(struct asset *asset)
{
    if (asset == NULL)
        return;
    av_frame_free(&asset->now.frame);
    av_frame_free(&asset->next.frame);
    av_frame_free(&asset->former);
    fields_eye_clear(&asset->eye);
    av_frame_free(&asset->audio_frame);
    av_frame_free(&asset->still);
    av_packet_free(&asset->packet);
    av_packet_free(&asset->changed);
    queue_free(&asset->video_queue);
    queue_free(&asset->audio_queue);
    queue_free(&asset->follow.held[0]);
    queue_free(&asset->follow.held[1]);
    queue_free(&asset->doubt[0].held);
    queue_free(&asset->doubt[1].held);
    asset_forget_pieces(asset);
    avcodec_free_context(&asset->video_decoder);
    avcodec_free_context(&asset->audio_decoder);
    buffers_clear(&asset->buffers);
    sound_clear(&asset->sound);
    limiter_clear(&asset->limiter);
    free(asset->sound_in);
    close_container(asset);
    free(asset);
}
