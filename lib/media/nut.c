/* nut: libavformat's NUT muxer over a plain write(2). */
#include "media/nut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>

#include "cli/cli.h"
#include "media/av.h"

#define IO_BYTES (1 << 20)

struct nut {
    struct house house;
    bool has_sound;
    AVFormatContext *format;
    AVIOContext *io;
    AVPacket *picture, *sound;
    int write_errno; /* of the first write that failed */
};

static int write_stdout(void *opaque, uint8_t *data, int size)
{
    struct nut *nut = opaque;

    for (int done = 0; done < size;) {
        const ssize_t n =
            write(STDOUT_FILENO, data + done, (size_t)(size - done));
        if (n < 0 && errno == EINTR && !cli_stopping())
            continue;
        if (n < 0) {
            nut->write_errno = errno;
            return AVERROR(errno);
        }
        done += (int)n;
    }
    return size;
}

static int failed(const struct nut *nut, int code, struct err *err)
{
    if (nut->write_errno == EPIPE || cli_stopping()) {
        *err = ERR_EMPTY;
        return -1;
    }
    return av_fail(err, nut->write_errno ? AVERROR(nut->write_errno) : code,
                   NULL, "standard output: NUT cannot be written");
}

static AVStream *add_stream(struct nut *nut, enum AVMediaType type,
                            enum AVCodecID codec, AVRational base)
{
    AVStream *stream = avformat_new_stream(nut->format, NULL);

    if (stream) {
        stream->codecpar->codec_type = type;
        stream->codecpar->codec_id = codec;
        stream->time_base = base;
    }
    return stream;
}

static int add_video(struct nut *nut)
{
    const struct house *house = &nut->house;
    AVStream *video = add_stream(nut, AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_RAWVIDEO,
                                 av_inv_q(house->rate));

    if (!video)
        return AVERROR(ENOMEM);
    video->codecpar->format = AV_PIX_FMT_YUV420P;
    video->codecpar->codec_tag = MKTAG('I', '4', '2', '0');
    video->codecpar->width = house->width;
    video->codecpar->height = house->height;
    video->codecpar->sample_aspect_ratio = (AVRational){ 1, 1 };
    video->codecpar->color_range = AVCOL_RANGE_MPEG;
    video->avg_frame_rate = house->rate;
    return 0;
}

static int add_sound(struct nut *nut)
{
    const struct house *house = &nut->house;
    AVStream *audio = add_stream(nut, AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_PCM_S16LE,
                                 (AVRational){ 1, house->sample_rate });

    if (!audio)
        return AVERROR(ENOMEM);
    audio->codecpar->format = AV_SAMPLE_FMT_S16;
    audio->codecpar->sample_rate = house->sample_rate;
    audio->codecpar->bits_per_coded_sample = 16;
    audio->codecpar->block_align = 2 * house->channels;
    av_channel_layout_default(&audio->codecpar->ch_layout, house->channels);
    return 0;
}

static int add_streams(struct nut *nut)
{
    int rc = add_video(nut);

    if (rc >= 0 && nut->has_sound)
        rc = add_sound(nut);
    return rc < 0 ? rc : avformat_write_header(nut->format, NULL);
}

int nut_open(struct nut **out, const struct house *house, bool has_sound,
             struct err *err)
{
    struct nut *nut = calloc(1, sizeof(*nut));
    uint8_t *memory = av_malloc(IO_BYTES);

    *out = nut;
    if (nut && memory) {
        nut->house = *house;
        nut->has_sound = has_sound;
        nut->io = avio_alloc_context(memory, IO_BYTES, 1, nut, NULL,
                                     write_stdout, NULL);
        nut->picture = av_packet_alloc();
        nut->sound = av_packet_alloc();
        avformat_alloc_output_context2(&nut->format, NULL, "nut", NULL);
    }
    if (!nut || !nut->io || !nut->picture || !nut->sound || !nut->format) {
        if (!nut || !nut->io)
            av_free(memory);
        return err_set(err, ERR_SYSTEM, "no memory to write NUT");
    }
    nut->format->pb = nut->io;
    nut->io->direct = 1; /* what is large is written from where it lies */
    nut->format->flags |= AVFMT_FLAG_BITEXACT;
    const int rc = add_streams(nut);
    return rc < 0 ? failed(nut, rc, err) : 0;
}

static int write_picture(struct nut *nut, int64_t index,
                         const struct planes *planes)
{
    const int width = nut->house.width;
    const int height = nut->house.height;
    const int size =
        av_image_get_buffer_size(AV_PIX_FMT_YUV420P, width, height, 1);
    /* One memory for all pictures, which the muxer only reads. */
    int rc = nut->picture->data ? 0 : av_new_packet(nut->picture, size);

    if (rc < 0)
        return rc;
    av_image_copy_to_buffer(
        nut->picture->data, size,
        (const uint8_t *const[4]){ planes->data[0], planes->data[1],
                                   planes->data[2], NULL },
        (const int[4]){ planes->stride[0], planes->stride[1], planes->stride[2],
                        0 },
        AV_PIX_FMT_YUV420P, width, height, 1);
    const AVStream *stream = nut->format->streams[0];
    nut->picture->stream_index = 0;
    nut->picture->flags |= AV_PKT_FLAG_KEY;
    nut->picture->duration = 1;
    nut->picture->pts = nut->picture->dts =
        av_rescale_q(index, av_inv_q(nut->house.rate), stream->time_base);
    return av_write_frame(nut->format, nut->picture);
}

static int write_sound(struct nut *nut, int64_t index, const int16_t *sound,
                       int samples)
{
    const int size = samples * nut->house.channels * 2;
    int rc = samples > 0 ? av_new_packet(nut->sound, size) : 0;

    if (rc < 0 || samples <= 0)
        return rc;
    for (int i = 0; i < size / 2; i++) {
        nut->sound->data[2 * i] = (uint8_t)sound[i];
        nut->sound->data[2 * i + 1] = (uint8_t)((uint16_t)sound[i] >> 8);
    }
    const AVStream *stream = nut->format->streams[1];
    nut->sound->stream_index = 1;
    nut->sound->flags |= AV_PKT_FLAG_KEY;
    nut->sound->duration = samples;
    nut->sound->pts = nut->sound->dts = av_rescale_q(
        house_samples_before(&nut->house, index),
        (AVRational){ 1, nut->house.sample_rate }, stream->time_base);
    rc = av_write_frame(nut->format, nut->sound);
    av_packet_unref(nut->sound);
    return rc;
}

int nut_write(struct nut *nut, int64_t index, const struct planes *planes,
              const int16_t *sound, int samples, struct err *err)
{
    int rc = write_picture(nut, index, planes);

    if (rc >= 0 && nut->has_sound)
        rc = write_sound(nut, index, sound, samples);
    avio_flush(nut->io); /* whoever looks wants it now */
    return rc < 0 || nut->write_errno ? failed(nut, rc, err) : 0;
}

int nut_end(struct nut *nut, struct err *err)
{
    const int rc = av_write_trailer(nut->format);

    avio_flush(nut->io);
    return rc < 0 || nut->write_errno ? failed(nut, rc, err) : 0;
}

void nut_free(struct nut *nut)
{
    if (nut == NULL)
        return;
    avformat_free_context(nut->format);
    av_packet_free(&nut->picture);
    av_packet_free(&nut->sound);
    if (nut->io)
        av_freep(&nut->io->buffer);
    avio_context_free(&nut->io);
    free(nut);
}
