/*
 * sound: feeds whole packets to the encoder and keeps what comes out by its
 * number, so that nothing is ever counted up: if a packet's number were wrong
 * by one, every restart would shift the sound by 21 ms.
 */
#include "sound.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mathematics.h>
#include <libavutil/opt.h>

#define ADTS_HEADER   7
#define GROUPS        64 /* kept; a power of two */
#define GROUP_BYTES   (SOUND_PER_PES * (ADTS_HEADER + 768 * 8))
#define GROUP_SAMPLES (SOUND_PACKET * SOUND_PER_PES)

struct group {
    int64_t group;
    int packets;
    size_t size;
    uint8_t bytes[GROUP_BYTES];
};

struct sound_encoder {
    struct house house;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    int filled;           /* samples in `frame` */
    int64_t next_sample;  /* that it wants */
    int64_t first_group;  /* below: warm-up */
    int64_t whole_groups; /* below: complete */
    uint8_t adts[ADTS_HEADER];
    struct group groups[GROUPS];
};

int64_t sound_group_at(const struct house *house, int64_t n)
{
    const int64_t samples = house_samples_before(house, n);

    return (samples + GROUP_SAMPLES - 1) / GROUP_SAMPLES;
}

int64_t sound_pts(const struct house *house, int64_t base, int64_t group)
{
    return base + av_rescale_rnd(group * GROUP_SAMPLES, 90000,
                                 house->sample_rate, AV_ROUND_DOWN);
}

static int64_t first_sample(int64_t first_group)
{
    return first_group * GROUP_SAMPLES - SOUND_WARM_UP * SOUND_PACKET;
}

int64_t sound_first_frame(const struct house *house, int64_t first_group)
{
    const int64_t from = first_sample(first_group);
    int64_t n = av_rescale_rnd(from, house->rate.num,
                               (int64_t)house->sample_rate * house->rate.den,
                               AV_ROUND_UP);

    while (house_samples_before(house, n) > from)
        n--;
    return n;
}

/* --- lifetime ------------------------------------------------------------- */

static int set_codec(struct sound_encoder *encoder, int32_t bitrate_kbit,
                     struct err *err)
{
    static const AVChannelLayout layouts[] = {
        AV_CHANNEL_LAYOUT_MONO, AV_CHANNEL_LAYOUT_STEREO,
        AV_CHANNEL_LAYOUT_5POINT1_BACK, AV_CHANNEL_LAYOUT_7POINT1_WIDE_BACK
    };
    AVCodecContext *codec = encoder->codec;
    const struct house *house = &encoder->house;

    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].nb_channels == house->channels)
            codec->ch_layout = layouts[i];
    }
    codec->sample_rate = house->sample_rate;
    codec->sample_fmt = AV_SAMPLE_FMT_FLTP;
    codec->bit_rate = (int64_t)bitrate_kbit * 1000;
    codec->time_base = (AVRational){ 1, house->sample_rate };
    codec->profile = FF_PROFILE_AAC_LOW;
    codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    /* libavcodec 59 still begins with "twoloop", which swallows one click in
     * fifty at 192 kbit/s; "fast", its later default, none, at the same rate.
     */
    (void)av_opt_set(codec->priv_data, "aac_coder", "fast", 0);
    if (avcodec_open2(codec, codec->codec, NULL) < 0 ||
        codec->frame_size != SOUND_PACKET || codec->extradata_size < 2) {
        return err_set(err, ERR_INPUT,
                       "AAC at %d Hz with %d channels and %d kbit/s is not "
                       "possible; give 48000 or 44100 Hz, or another bitrate",
                       house->sample_rate, house->channels, bitrate_kbit);
    }
    return 0;
}

/* ADTS (14496-3 1.A.2.2) from the AudioSpecificConfig; lengths come later. */
static void set_adts(struct sound_encoder *encoder)
{
    const uint8_t *config = encoder->codec->extradata;
    const unsigned rate = (config[0] & 7u) << 1 | config[1] >> 7;
    const unsigned channels = config[1] >> 3 & 15u;

    encoder->adts[0] = 0xff;
    encoder->adts[1] = 0xf1; /* MPEG-4, no CRC */
    encoder->adts[2] = (uint8_t)(1u << 6 | rate << 2 | channels >> 2); /* LC */
    encoder->adts[3] = (uint8_t)(channels << 6);
    encoder->adts[5] = 0x1f; /* buffer fullness 0x7ff: variable rate */
    encoder->adts[6] = 0xfc;
}

static int set_frame(struct sound_encoder *encoder, struct err *err)
{
    AVFrame *frame = encoder->frame;

    frame->format = AV_SAMPLE_FMT_FLTP;
    frame->nb_samples = SOUND_PACKET;
    frame->sample_rate = encoder->house.sample_rate;
    if (av_channel_layout_copy(&frame->ch_layout, &encoder->codec->ch_layout) <
            0 ||
        av_frame_get_buffer(frame, 0) < 0)
        return err_set(err, ERR_SYSTEM, "no memory for the sound");
    return 0;
}

struct sound_encoder *sound_open(const struct house *house,
                                 int32_t bitrate_kbit, int64_t first_group,
                                 struct err *err)
{
    const AVCodec *aac = avcodec_find_encoder_by_name("aac");
    struct sound_encoder *encoder = calloc(1, sizeof(*encoder));

    if (encoder == NULL || aac == NULL)
        goto no_memory;
    encoder->house = *house;
    encoder->next_sample = first_sample(first_group);
    encoder->first_group = first_group;
    encoder->whole_groups = encoder->first_group;
    for (int i = 0; i < GROUPS; i++)
        encoder->groups[i].group = INT64_MIN;
    encoder->codec = avcodec_alloc_context3(aac);
    encoder->frame = av_frame_alloc();
    encoder->packet = av_packet_alloc();
    if (!encoder->codec || !encoder->frame || !encoder->packet)
        goto no_memory;
    if (set_codec(encoder, bitrate_kbit, err) < 0 ||
        set_frame(encoder, err) < 0) {
        sound_close(encoder);
        return NULL;
    }
    set_adts(encoder);
    return encoder;
no_memory:
    err_set(err, ERR_SYSTEM,
            "no memory for the encoder, or libavcodec has no "
            "encoder 'aac'");
    sound_close(encoder);
    return NULL;
}

void sound_close(struct sound_encoder *encoder)
{
    if (encoder == NULL)
        return;
    avcodec_free_context(&encoder->codec);
    av_frame_free(&encoder->frame);
    av_packet_free(&encoder->packet);
    free(encoder);
}

/* --- packets -------------------------------------------------------------- */

/* The packet that starts at `sample`, into its group. */
static int keep_packet(struct sound_encoder *encoder, int64_t sample,
                       struct err *err)
{
    const AVPacket *packet = encoder->packet;
    /* Shifted: the first packets of all lie before sample 0 */
    const int64_t number =
        (sample + 16 * GROUP_SAMPLES) / SOUND_PACKET - 16 * SOUND_PER_PES;
    const int64_t in = (number + 16 * SOUND_PER_PES) / SOUND_PER_PES - 16;
    struct group *group = &encoder->groups[in & (GROUPS - 1)];
    const size_t size = (size_t)packet->size + ADTS_HEADER;

    if (sample < encoder->first_group * GROUP_SAMPLES)
        return 0;
    if (group->group != in) {
        group->group = in;
        group->packets = 0;
        group->size = 0;
    }
    if (sample % SOUND_PACKET != 0 || group->packets >= SOUND_PER_PES ||
        number - in * SOUND_PER_PES != group->packets || size > 0x1fff ||
        group->size + size > GROUP_BYTES) {
        return err_set(err, ERR_SYSTEM,
                       "libavcodec gave sound that is not on the grid: %lld",
                       (long long)sample);
    }
    uint8_t *to = group->bytes + group->size;
    memcpy(to, encoder->adts, ADTS_HEADER);
    to[3] |= (uint8_t)(size >> 11);
    to[4] = (uint8_t)(size >> 3);
    to[5] |= (uint8_t)(size << 5);
    memcpy(to + ADTS_HEADER, packet->data, (size_t)packet->size);
    group->size += size;
    group->packets++;
    if (group->packets == SOUND_PER_PES)
        encoder->whole_groups = in + 1;
    return 0;
}

static int receive_packets(struct sound_encoder *encoder, struct err *err)
{
    int rc;

    while ((rc = avcodec_receive_packet(encoder->codec, encoder->packet)) >=
           0) {
        /* pts counts the encoder's delay already: it starts 1024 before */
        const int kept = keep_packet(encoder, encoder->packet->pts, err);
        av_packet_unref(encoder->packet);
        if (kept < 0)
            return -1;
    }
    if (rc != AVERROR(EAGAIN) && rc != AVERROR_EOF)
        return err_set(err, ERR_SYSTEM, "libavcodec failed to encode sound");
    return 0;
}

static int send_frame(struct sound_encoder *encoder, struct err *err)
{
    encoder->frame->pts = encoder->next_sample - encoder->filled;
    encoder->frame->nb_samples = encoder->filled;
    encoder->filled = 0;
    if (avcodec_send_frame(encoder->codec, encoder->frame) < 0)
        return err_set(err, ERR_SYSTEM, "libavcodec refused sound");
    return receive_packets(encoder, err);
}

/* Copies `count` samples behind those in the frame, as planes of floats. */
static void convert(struct sound_encoder *encoder, const int16_t *from,
                    int count)
{
    const int channels = encoder->house.channels;

    for (int c = 0; c < channels; c++) {
        float *to =
            (float *)(void *)encoder->frame->extended_data[c] + encoder->filled;
        for (int i = 0; i < count; i++)
            to[i] = from ? (float)from[i * channels + c] / 32768.0f : 0.0f;
    }
}

int sound_feed(struct sound_encoder *encoder, int64_t n, const int16_t *samples,
               struct err *err)
{
    const int64_t end = house_samples_before(&encoder->house, n + 1);
    int64_t at = house_samples_before(&encoder->house, n);

    /* The first frame begins before the sample that is wanted. */
    if (encoder->next_sample > at) {
        const int64_t skip = encoder->next_sample - at;
        if (samples != NULL)
            samples += skip * encoder->house.channels;
        at = encoder->next_sample;
    }
    while (at < end) {
        const int room = SOUND_PACKET - encoder->filled;
        const int count = end - at < room ? (int)(end - at) : room;
        if (av_frame_make_writable(encoder->frame) < 0)
            return err_set(err, ERR_SYSTEM, "no memory for the sound");
        convert(encoder, samples, count);
        if (samples != NULL)
            samples += count * encoder->house.channels;
        at += count;
        encoder->filled += count;
        encoder->next_sample += count;
        if (encoder->filled == SOUND_PACKET && send_frame(encoder, err) < 0)
            return -1;
    }
    return 0;
}

int sound_flush(struct sound_encoder *encoder, struct err *err)
{
    if (encoder->filled > 0) {
        const int rest = SOUND_PACKET - encoder->filled;
        if (av_frame_make_writable(encoder->frame) < 0)
            return err_set(err, ERR_SYSTEM, "no memory for the sound");
        convert(encoder, NULL, rest);
        encoder->filled += rest;
        encoder->next_sample += rest;
        if (send_frame(encoder, err) < 0)
            return -1;
    }
    if (avcodec_send_frame(encoder->codec, NULL) < 0 ||
        receive_packets(encoder, err) < 0)
        return err_set(err, ERR_SYSTEM, "libavcodec failed to end the sound");
    encoder->whole_groups = INT64_MAX;
    return 0;
}

bool sound_has(const struct sound_encoder *encoder, int64_t group)
{
    return encoder->whole_groups >= group;
}

bool sound_unit(const struct sound_encoder *encoder, int64_t group,
                struct sound_unit *unit)
{
    const struct group *from = &encoder->groups[group & (GROUPS - 1)];

    if (from->group != group || from->packets == 0)
        return false;
    *unit = (struct sound_unit){ .data = from->bytes,
                                 .size = from->size,
                                 .group = group };
    return true;
}
