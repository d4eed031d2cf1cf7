/*
 * rv-readmarks: reads the numbers that rv-mkmedia put into pictures and sound.
 *
 * Decodes anything that libav reads and says frame by frame what is in it, or
 * sums it up for a test.  A transport stream is also checked as bytes, before
 * a demuxer has smoothed anything over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/murmur3.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "cli/cli.h"
#include "err/err.h"
#include "mark.h"
#include "reading.h"

enum { IO_SIZE = 65536 };

struct opts {
    const char *source;
    bool is_json, is_summary, is_hash;
    const char *expect;
    int64_t frames; /* 0: all */
};

struct reader {
    const struct opts *opts;
    struct reading reading;
    int fd; /* standard input, or -1 */
    size_t fed;
    AVIOContext *io;
    AVFormatContext *demux;
    AVCodecContext *video, *audio;
    int video_index, audio_index;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *scaler;
    uint8_t *gray;
    size_t bursts_told;
};

/* clang-format off */
static const struct argp_option options[] = {
    { "json", 'j', NULL, 0, "One JSON object a line", 0 },
    { "summary", 's', NULL, 0, "Only a summary, as one JSON object", 0 },
    { "hash", 'h', NULL, 0, "Hash of each picture and of its sound", 0 },
    { "check", 'c', "RUNS", 0, "Compare with runs as in the summary, e.g. '1:0-99 -*30 2:0-9'; '-' alone is any number without mark", 0 },
    { "frames", 'n', "N", 0, "Stop after N pictures", 0 },
    { 0 }
};
/* clang-format on */

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case 'j':
        opts->is_json = true;
        break;
    case 's':
        opts->is_summary = true;
        break;
    case 'h':
        opts->is_hash = true;
        break;
    case 'c':
        opts->expect = arg;
        break;
    case 'n':
        opts->frames = cli_number(state, "--frames", arg, 1, INT64_MAX);
        break;
    case ARGP_KEY_ARG:
        if (opts->source != NULL)
            argp_error(state, "'%s' is too much; give one file or -", arg);
        opts->source = arg;
        break;
    case ARGP_KEY_END:
        if (opts->source == NULL)
            argp_error(state, "no input; give a file or -");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int err_av(struct err *err, int code, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE];

    av_strerror(code, text, sizeof(text));
    return err_set(err, ERR_INPUT, "%s: %s", what, text);
}

/* The first bytes decide whether it is a transport stream. */
static void feed_check(struct reader *reader, const uint8_t *bytes, size_t size)
{
    if (reader->fed == 0) {
        reader->reading.is_ts = tscheck_is_ts(bytes, size);
        tscheck_init(&reader->reading.ts);
    }
    reader->fed += size;
    if (reader->reading.is_ts)
        tscheck_feed(&reader->reading.ts, bytes, size);
}

/* Reads until the buffer holds enough to judge, or the end. */
static ssize_t read_some(int fd, uint8_t *bytes, size_t size, bool is_first)
{
    size_t have = 0;

    do {
        const ssize_t got = read(fd, bytes + have, size - have);
        if (got < 0 && errno == EINTR && !cli_stopping())
            continue;
        if (got <= 0)
            return have > 0 ? (ssize_t)have : got;
        have += (size_t)got;
    } while (is_first && have < 4 * TS_PACKET);
    return (ssize_t)have;
}

static int read_input(void *opaque, uint8_t *bytes, int size)
{
    struct reader *reader = opaque;
    const ssize_t got =
        read_some(reader->fd, bytes, (size_t)size, reader->fed == 0);

    if (got <= 0 || cli_stopping())
        return got < 0 ? AVERROR(errno) : AVERROR_EOF;
    feed_check(reader, bytes, (size_t)got);
    return (int)got;
}

/* A file is checked before it is decoded: the demuxer seeks about in it. */
static int check_file(struct reader *reader, const char *path, struct err *err)
{
    uint8_t bytes[IO_SIZE];
    struct stat st;
    ssize_t got;

    if (stat(path, &st) < 0)
        return err_errno(err, ERR_INPUT, "%s", path);
    if (!S_ISREG(st.st_mode))
        return 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, ERR_INPUT, "%s", path);
    while ((got = read_some(fd, bytes, sizeof(bytes), true)) > 0)
        feed_check(reader, bytes, (size_t)got);
    close(fd);
    return 0;
}

static AVCodecContext *open_codec(struct reader *reader, enum AVMediaType type,
                                  int *index)
{
    const AVCodec *codec = NULL;

    *index = av_find_best_stream(reader->demux, type, -1, -1, &codec, 0);
    if (*index < 0 || codec == NULL)
        return NULL;
    AVStream *stream = reader->demux->streams[*index];
    AVCodecContext *context = avcodec_alloc_context3(codec);
    if (context == NULL)
        abort();
    context->pkt_timebase = stream->time_base;
    context->thread_count = 1;
    if (avcodec_parameters_to_context(context, stream->codecpar) < 0 ||
        avcodec_open2(context, codec, NULL) < 0)
        avcodec_free_context(&context);
    return context;
}

static int reader_open(struct reader *reader, const struct opts *opts,
                       struct err *err)
{
    const bool is_stdin = strcmp(opts->source, "-") == 0;

    reader->opts = opts;
    reader->packet = av_packet_alloc();
    reader->frame = av_frame_alloc();
    reader->demux = avformat_alloc_context();
    if (!reader->packet || !reader->frame || !reader->demux)
        return err_set(err, ERR_SYSTEM, "no memory");
    if (is_stdin) {
        reader->fd = STDIN_FILENO;
        reader->io = avio_alloc_context(av_malloc(IO_SIZE), IO_SIZE, 0, reader,
                                        read_input, NULL, NULL);
        if (reader->io == NULL)
            return err_set(err, ERR_SYSTEM, "no memory");
        reader->demux->pb = reader->io;
    } else if (check_file(reader, opts->source, err) < 0) {
        return -1;
    }
    int rc = avformat_open_input(&reader->demux, is_stdin ? NULL : opts->source,
                                 NULL, NULL);
    if (rc >= 0)
        rc = avformat_find_stream_info(reader->demux, NULL);
    if (rc < 0)
        return err_av(err, rc, opts->source);
    reader->video =
        open_codec(reader, AVMEDIA_TYPE_VIDEO, &reader->video_index);
    reader->audio =
        open_codec(reader, AVMEDIA_TYPE_AUDIO, &reader->audio_index);
    if (reader->video == NULL && reader->audio == NULL)
        return err_set(err, ERR_INPUT, "%s: neither picture nor sound in it",
                       opts->source);
    if (reader->video != NULL) {
        AVStream *stream = reader->demux->streams[reader->video_index];
        reader->reading.rate = av_guess_frame_rate(reader->demux, stream, NULL);
        reader->reading.tick_90k = 90000 * av_q2d(stream->time_base);
    }
    return 0;
}

static void reader_close(struct reader *reader)
{
    avcodec_free_context(&reader->video);
    avcodec_free_context(&reader->audio);
    avformat_close_input(&reader->demux);
    if (reader->io != NULL)
        av_freep(&reader->io->buffer);
    avio_context_free(&reader->io);
    av_packet_free(&reader->packet);
    av_frame_free(&reader->frame);
    sws_freeContext(reader->scaler);
    av_freep(&reader->gray);
    sound_clear(&reader->reading.sound);
    free(reader->reading.pictures);
    free(reader->reading.pcm);
}

/* Eight-bit luma of the picture: in place, or scaled to gray. */
static const uint8_t *luma_of(struct reader *reader, int *stride)
{
    const AVFrame *frame = reader->frame;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    const int dst_stride = FFALIGN(frame->width, 64);
    uint8_t *planes[4] = { NULL };
    const int strides[4] = { dst_stride };

    if (desc->comp[0].depth == 8 && desc->comp[0].step == 1 &&
        !(desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL))) {
        *stride = frame->linesize[0];
        return frame->data[0];
    }
    reader->scaler =
        sws_getCachedContext(reader->scaler, frame->width, frame->height,
                             frame->format, frame->width, frame->height,
                             AV_PIX_FMT_GRAY8, SWS_POINT, NULL, NULL, NULL);
    if (av_reallocp(&reader->gray,
                    (size_t)dst_stride * (size_t)(frame->height + 1)) < 0 ||
        reader->scaler == NULL)
        return NULL;
    planes[0] = reader->gray;
    sws_scale(reader->scaler, (const uint8_t *const *)frame->data,
              frame->linesize, 0, frame->height, planes, strides);
    *stride = dst_stride;
    return reader->gray;
}

static uint64_t murmur(const uint8_t *bytes, size_t size)
{
    uint8_t digest[16];
    uint64_t hash;
    struct AVMurMur3 *state = av_murmur3_alloc();

    if (state == NULL)
        abort();
    av_murmur3_init(state);
    av_murmur3_update(state, bytes, size);
    av_murmur3_final(state, digest);
    av_free(state);
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

static uint64_t hash_picture(const AVFrame *frame)
{
    const int size =
        av_image_get_buffer_size(frame->format, frame->width, frame->height, 1);
    uint8_t *bytes = size > 0 ? malloc((size_t)size) : NULL;

    if (bytes == NULL)
        return 0;
    av_image_copy_to_buffer(bytes, size, (const uint8_t *const *)frame->data,
                            frame->linesize, frame->format, frame->width,
                            frame->height, 1);
    const uint64_t hash = murmur(bytes, (size_t)size);
    free(bytes);
    return hash;
}

/* One without a timestamp (the last of some programme streams) follows on. */
static int64_t pts_of(const struct reading *reading, const AVFrame *frame,
                      AVRational time_base)
{
    if (frame->best_effort_timestamp != AV_NOPTS_VALUE)
        return av_rescale_q(frame->best_effort_timestamp, time_base,
                            (AVRational){ 1, 90000 });
    if (reading->count == 0 || reading->rate.num <= 0)
        return 0;
    return reading->pictures[reading->count - 1].pts_90k +
           av_rescale(90000, reading->rate.den, reading->rate.num);
}

/* With its A53 captions as they were coded, if it has some. */
static void tell_picture(const struct picture *picture, const AVFrame *frame)
{
    const AVFrameSideData *captions =
        av_frame_get_side_data(frame, AV_FRAME_DATA_A53_CC);

    printf("{\"type\":\"v\",\"pts_90k\":%lld,\"clip\":%d,\"frame\":%d",
           (long long)picture->pts_90k, picture->mark.clip,
           picture->mark.frame);
    if (captions != NULL) {
        printf(",\"captions\":\"");
        for (size_t i = 0; i < captions->size; i++)
            printf("%02x", captions->data[i]);
        printf("\"");
    }
    printf("}\n");
}

static void take_picture(struct reader *reader)
{
    struct reading *reading = &reader->reading;
    const AVFrame *frame = reader->frame;
    AVStream *stream = reader->demux->streams[reader->video_index];
    struct picture picture = { .mark = { -1, 0 } };
    int stride;

    picture.pts_90k = pts_of(reading, frame, stream->time_base);
    const uint8_t *luma = luma_of(reader, &stride);
    if (luma != NULL &&
        !mark_read(luma, stride, frame->width, frame->height, &picture.mark))
        picture.mark = (struct mark){ -1, 0 };
    if (reader->opts->is_hash)
        picture.hash = hash_picture(frame);
    if (reading->count % 4096 == 0)
        reading->pictures = reallocarray(
            reading->pictures, reading->count + 4096, sizeof(picture));
    if (reading->pictures == NULL)
        abort();
    reading->pictures[reading->count++] = picture;
    reading->width = frame->width;
    reading->height = frame->height;
    if (reader->opts->is_summary || reader->opts->is_hash ||
        reader->opts->expect)
        return;
    if (reader->opts->is_json)
        tell_picture(&picture, frame);
    else
        printf("v %lld %d %d\n", (long long)picture.pts_90k, picture.mark.clip,
               picture.mark.frame);
}

static double sample_of(const AVFrame *frame, int channel, int i)
{
    const bool is_planar = av_sample_fmt_is_planar(frame->format);
    const void *plane = frame->extended_data[is_planar ? channel : 0];
    const int at = is_planar ? i : i * frame->ch_layout.nb_channels + channel;

    switch (av_get_packed_sample_fmt(frame->format)) {
    case AV_SAMPLE_FMT_U8:
        return (((const uint8_t *)plane)[at] - 128) / 128.0;
    case AV_SAMPLE_FMT_S16:
        return ((const int16_t *)plane)[at] / 32768.0;
    case AV_SAMPLE_FMT_S32:
        return ((const int32_t *)plane)[at] / 2147483648.0;
    case AV_SAMPLE_FMT_FLT:
        return (double)((const float *)plane)[at];
    case AV_SAMPLE_FMT_DBL:
        return ((const double *)plane)[at];
    default:
        return 0;
    }
}

/* With --hash all sound is kept, interleaved, to be cut by pictures later. */
static void keep_pcm(struct reading *reading, const AVFrame *frame)
{
    const size_t one = (size_t)av_get_bytes_per_sample(frame->format);
    const size_t channels = (size_t)frame->ch_layout.nb_channels;
    const size_t size = one * channels * (size_t)frame->nb_samples;
    const bool is_planar = av_sample_fmt_is_planar(frame->format);

    reading->pcm = realloc(reading->pcm, reading->pcm_size + size);
    if (reading->pcm == NULL)
        abort();
    uint8_t *to = reading->pcm + reading->pcm_size;
    for (size_t i = 0; is_planar && i < (size_t)frame->nb_samples; i++) {
        for (size_t c = 0; c < channels; c++, to += one)
            memcpy(to, frame->extended_data[c] + i * one, one);
    }
    if (!is_planar)
        memcpy(to, frame->extended_data[0], size);
    reading->pcm_size += size;
    reading->pcm_frame = one * channels;
}

static void tell_bursts(struct reader *reader)
{
    const struct sound *sound = &reader->reading.sound;

    if (reader->opts->is_summary || reader->opts->is_hash ||
        reader->opts->expect)
        return;
    for (; reader->bursts_told < sound->burst_count; reader->bursts_told++) {
        const double ticks = sound->bursts[reader->bursts_told];
        if (reader->opts->is_json)
            printf("{\"type\":\"a\",\"pts_90k\":%.2f}\n", ticks);
        else
            printf("a %.2f\n", ticks);
    }
}

static void take_sound(struct reader *reader)
{
    struct reading *reading = &reader->reading;
    struct sound *sound = &reading->sound;
    const AVFrame *frame = reader->frame;
    AVStream *stream = reader->demux->streams[reader->audio_index];
    const double tick = 90000 * av_q2d(stream->time_base);
    const double ticks = (double)frame->best_effort_timestamp * tick;
    const int used = frame->ch_layout.nb_channels < 2 ? 1 : 2;

    if (frame->sample_rate < 8000)
        return; /* cannot hold a burst */
    if (!reading->has_sound) {
        if (frame->best_effort_timestamp == AV_NOPTS_VALUE)
            return;
        if (sound_init(sound, frame->sample_rate) < 0)
            abort();
        reading->has_sound = true;
        reading->sound_first = ticks;
        sound_restart(sound, ticks);
    } else if (frame->best_effort_timestamp != AV_NOPTS_VALUE &&
               (ticks - sound_now(sound) > 1.5 * tick + 4 ||
                sound_now(sound) - ticks > 1.5 * tick + 4)) {
        reading->sound_jumps++;
        sound_restart(sound, ticks);
    }
    for (int i = 0; i < frame->nb_samples; i++) {
        double value = sample_of(frame, 0, i);
        if (used == 2)
            value = (value + sample_of(frame, 1, i)) / 2;
        sound_feed(sound, value);
    }
    reading->channels = frame->ch_layout.nb_channels;
    reading->samples += frame->nb_samples;
    reading->sound_last = sound_now(sound);
    if (reader->opts->is_hash)
        keep_pcm(reading, frame);
    tell_bursts(reader);
}

static void decode(struct reader *reader, AVCodecContext *codec,
                   AVPacket *packet)
{
    if (avcodec_send_packet(codec, packet) < 0)
        reader->reading.decode_errors++;
    while (avcodec_receive_frame(codec, reader->frame) >= 0) {
        if (reader->frame->flags & AV_FRAME_FLAG_CORRUPT ||
            reader->frame->decode_error_flags)
            reader->reading.decode_errors++;
        if (codec == reader->video)
            take_picture(reader);
        else
            take_sound(reader);
        av_frame_unref(reader->frame);
    }
}

static bool is_done(const struct reader *reader)
{
    return cli_stopping() ||
           (reader->opts->frames > 0 &&
            reader->reading.count >= (size_t)reader->opts->frames);
}

static void read_all(struct reader *reader)
{
    while (!is_done(reader) &&
           av_read_frame(reader->demux, reader->packet) >= 0) {
        const int index = reader->packet->stream_index;
        if (reader->video != NULL && index == reader->video_index)
            decode(reader, reader->video, reader->packet);
        else if (reader->audio != NULL && index == reader->audio_index)
            decode(reader, reader->audio, reader->packet);
        av_packet_unref(reader->packet);
    }
    if (reader->video != NULL && !is_done(reader))
        decode(reader, reader->video, NULL);
    if (reader->audio != NULL)
        decode(reader, reader->audio, NULL);
    if (reader->reading.has_sound)
        sound_end(&reader->reading.sound);
    tell_bursts(reader);
}

/* h INDEX PTS CLIP FRAME PICTURE-HASH SOUND-HASH */
static void print_hashes(const struct reading *reading)
{
    const int rate = reading->sound.sample_rate;

    for (size_t i = 0; i < reading->count; i++) {
        const struct picture *p = &reading->pictures[i];
        const int64_t next = i + 1 < reading->count ? p[1].pts_90k : INT64_MAX;
        uint64_t hash = 0;
        if (reading->pcm_frame > 0) {
            const int64_t all =
                (int64_t)(reading->pcm_size / reading->pcm_frame);
            /* Rounded on the stream's own time line, so that a frame has the
             * same samples wherever a reader came in. */
            const int64_t first = llrint(reading->sound_first * rate / 90000);
            int64_t from = av_rescale(p->pts_90k, rate, 90000) - first;
            int64_t to =
                next == INT64_MAX ? all : av_rescale(next, rate, 90000) - first;
            from = FFMIN(FFMAX(from, 0), all);
            to = FFMIN(FFMAX(to, from), all);
            hash = murmur(reading->pcm + (size_t)from * reading->pcm_frame,
                          (size_t)(to - from) * reading->pcm_frame);
        }
        printf("h %zu %lld %d %d %016llx %016llx\n", i, (long long)p->pts_90k,
               p->mark.clip, p->mark.frame, (unsigned long long)p->hash,
               (unsigned long long)hash);
    }
}

/* Compares runs word by word; a lone '-' matches any number without mark. */
static int compare_runs(const struct reading *reading, const char *expect,
                        struct err *err)
{
    char *runs = reading_runs(reading);
    const char *a = runs, *b = expect;
    bool is_equal = true;

    while (is_equal && (*a != '\0' || *b != '\0')) {
        const size_t left = strcspn(a, " "), right = strcspn(b, " ");
        is_equal = (right == 1 && *b == '-' && *a == '-') ||
                   (left == right && memcmp(a, b, left) == 0);
        a += left + strspn(a + left, " ");
        b += right + strspn(b + right, " ");
    }
    const int rc =
        is_equal ? 0
                 : err_set(err, ERR_INPUT, "runs are '%.400s', not '%.400s'",
                           runs, expect);
    free(runs);
    return rc;
}

static int report(struct reader *reader, struct err *err)
{
    const struct opts *opts = reader->opts;

    if (opts->is_hash)
        print_hashes(&reader->reading);
    if (opts->is_summary) {
        json_t *summary = reading_summary(&reader->reading);
        json_dumpf(summary, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(summary);
    }
    if (opts->expect != NULL)
        return compare_runs(&reader->reading, opts->expect, err);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_opt,
        .args_doc = "FILE|-",
        .doc = "Read the numbers in pictures and sound of test media."
    };
    struct opts opts = { .source = NULL };
    static struct reader reader = { .fd = -1 };
    struct err err = ERR_EMPTY;

    cli_start("rv-readmarks", &argp, argc, argv, &opts);
    setvbuf(stdout, NULL, _IOLBF, 0);
    av_log_set_level(AV_LOG_FATAL);
    int rc = reader_open(&reader, &opts, &err);
    if (rc == 0) {
        read_all(&reader);
        rc = report(&reader, &err);
    }
    reader_close(&reader);
    return cli_finish(rc, &err);
}
