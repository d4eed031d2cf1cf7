/* sound: resampled audio on the asset's timeline. */
#include "media/sound.h"

#include <stdlib.h>
#include <string.h>
#include <libavutil/channel_layout.h>
#include <libavutil/samplefmt.h>

#include "media/av.h"

/* A longer gap is not written out; the reader makes the silence. */
#define SILENCE_SECONDS 10

void sound_init(struct sound *sound, const struct house *house)
{
    *sound = SOUND_EMPTY;
    sound->rate = house->sample_rate;
    sound->channels = house->channels;
}

void sound_clear(struct sound *sound)
{
    swr_free(&sound->resampler);
    av_channel_layout_uninit(&sound->in_layout);
    free(sound->samples);
    *sound = SOUND_EMPTY;
}

void sound_reset(struct sound *sound, int64_t wanted)
{
    swr_free(&sound->resampler);
    sound->start = sound->end = 0;
    sound->has_position = false;
    sound->wanted = wanted;
    sound->cut = 0;
    sound->drift_sum = 0;
    sound->drift_count = 0;
}

/* Drops what lies before `wanted`. */
static void trim(struct sound *sound)
{
    const int64_t drop = FFMIN(sound->wanted, sound->end) - sound->start;

    if (drop <= 0)
        return;
    const size_t left = (size_t)(sound->end - sound->start - drop);
    memmove(sound->samples, sound->samples + drop * sound->channels,
            left * (size_t)sound->channels * sizeof(*sound->samples));
    sound->start += drop;
}

/* Room for `count` more samples; where they go, or NULL. */
static float *room(struct sound *sound, int64_t count, struct err *err)
{
    trim(sound);
    const size_t used = (size_t)(sound->end - sound->start);
    const size_t need = (used + (size_t)count) * (size_t)sound->channels;

    if (need > sound->capacity) {
        float *more = realloc(sound->samples, need * 2 * sizeof(*more));
        if (more == NULL) {
            err_set(err, ERR_SYSTEM, "no memory for sound");
            return NULL;
        }
        sound->samples = more;
        sound->capacity = need * 2;
    }
    return sound->samples + used * (size_t)sound->channels;
}

/* Feeds the resampler (in NULL: drains it) and keeps what comes out. */
static int convert(struct sound *sound, const uint8_t **in, int count,
                   struct err *err)
{
    const int most = swr_get_out_samples(sound->resampler, count);
    if (most < 0)
        return av_fail(err, most, NULL, "sound cannot be resampled");
    float *at = room(sound, most + 1, err);
    if (at == NULL)
        return -1;
    uint8_t *out[1] = { (uint8_t *)at };
    const int got = swr_convert(sound->resampler, out, most, in, count);
    if (got < 0)
        return av_fail(err, got, NULL, "sound cannot be resampled");
    const int64_t cut = FFMIN(sound->cut, got);
    if (cut > 0) {
        memmove(at, at + cut * sound->channels,
                (size_t)(got - cut) * (size_t)sound->channels * sizeof(*at));
        sound->cut -= cut;
    }
    sound->end += got - cut;
    return 0;
}

int sound_finish(struct sound *sound, struct err *err)
{
    if (sound->resampler == NULL)
        return 0;
    const int rc = convert(sound, NULL, 0, err);
    swr_free(&sound->resampler);
    return rc;
}

static bool is_same_input(const struct sound *sound, const AVFrame *frame)
{
    return sound->resampler && sound->in_rate == frame->sample_rate &&
           sound->in_format == frame->format &&
           av_channel_layout_compare(&sound->in_layout, &frame->ch_layout) == 0;
}

int sound_layout(AVChannelLayout *layout, const AVChannelLayout *told)
{
    if (told->order != AV_CHANNEL_ORDER_UNSPEC)
        return av_channel_layout_copy(layout, told);
    av_channel_layout_default(layout, told->nb_channels);
    return layout->nb_channels == told->nb_channels &&
                   layout->order != AV_CHANNEL_ORDER_UNSPEC
               ? 0
               : AVERROR(EINVAL);
}

static int open_resampler(struct sound *sound, const AVFrame *frame,
                          struct err *err)
{
    AVChannelLayout in = { 0 };
    AVChannelLayout out = { 0 };

    if (sound_finish(sound, err) < 0)
        return -1;
    av_channel_layout_default(&out, sound->channels);
    int rc = sound_layout(&in, &frame->ch_layout);
    if (rc >= 0)
        rc = swr_alloc_set_opts2(&sound->resampler, &out, AV_SAMPLE_FMT_FLT,
                                 sound->rate, &in, frame->format,
                                 frame->sample_rate, 0, NULL);
    if (rc >= 0)
        rc = swr_init(sound->resampler);
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&out);
    if (rc < 0) {
        swr_free(&sound->resampler);
        return av_fail(err, rc, NULL, "sound of %d channels at %d Hz",
                       frame->ch_layout.nb_channels, frame->sample_rate);
    }
    sound->in_rate = frame->sample_rate;
    sound->in_format = frame->format;
    av_channel_layout_uninit(&sound->in_layout);
    return av_channel_layout_copy(&sound->in_layout, &frame->ch_layout) < 0
               ? err_set(err, ERR_SYSTEM, "no memory for sound")
               : 0;
}

/* Silence up to `position`, or a cut of what lies behind it. */
static int jump(struct sound *sound, int64_t position, struct err *err)
{
    sound->drift_sum = 0;
    sound->drift_count = 0;
    if (position < sound->end) {
        sound->cut = sound->end - position;
        return 0;
    }
    const int64_t gap = position - sound->end;
    if (gap > (int64_t)SILENCE_SECONDS * sound->rate) {
        /* The few milliseconds not read yet go with it. */
        sound->start = sound->end = position;
        return 0;
    }
    float *at = room(sound, gap, err);
    if (at == NULL)
        return -1;
    memset(at, 0, (size_t)gap * (size_t)sound->channels * sizeof(*at));
    sound->end = position;
    return 0;
}

/* Watches small deviations; see the header. */
static void watch_drift(struct sound *sound, int64_t off)
{
    sound->drift_sum += off;
    if (++sound->drift_count < SOUND_DRIFT_FRAMES)
        return;
    const int64_t mean = sound->drift_sum / sound->drift_count;
    sound->drift_sum = 0;
    sound->drift_count = 0;
    if (llabs(mean) * 1000000 >= (int64_t)SOUND_DRIFT_US * sound->rate)
        swr_set_compensation(sound->resampler, (int)mean, sound->rate);
}

static int place(struct sound *sound, int64_t position, struct err *err)
{
    if (!sound->has_position) {
        sound->has_position = true;
        sound->start = sound->end = position;
        return 0;
    }
    const int64_t delay =
        sound->resampler ? swr_get_delay(sound->resampler, sound->rate) : 0;
    const int64_t off = position - (sound->end + delay - sound->cut);
    if (llabs(off) * 1000000 < (int64_t)SOUND_JUMP_US * sound->rate) {
        if (sound->resampler)
            watch_drift(sound, off);
        return 0;
    }
    if (sound_finish(sound, err) < 0)
        return -1;
    sound->cut = 0;
    return jump(sound, position, err);
}

int sound_push(struct sound *sound, const AVFrame *frame, bool has_position,
               int64_t position, struct err *err)
{
    if (frame->nb_samples <= 0 || frame->sample_rate <= 0)
        return 0;
    if (!has_position && !sound->has_position)
        position = 0;
    if ((has_position || !sound->has_position) &&
        place(sound, position, err) < 0)
        return -1;
    if (!is_same_input(sound, frame) && open_resampler(sound, frame, err) < 0)
        return -1;
    return convert(sound, (const uint8_t **)frame->extended_data,
                   frame->nb_samples, err);
}

int sound_real(const struct sound *sound, int64_t position, int count)
{
    const int64_t from = FFMAX(position, sound->start);
    const int64_t to = FFMIN(position + count, sound->end);

    return sound->has_position && from < to ? (int)(to - from) : 0;
}

void sound_read(const struct sound *sound, int64_t position, int count,
                float *out)
{
    const int64_t from = FFMAX(position, sound->start);
    const int real = sound_real(sound, position, count);
    const size_t channels = (size_t)sound->channels;

    memset(out, 0, (size_t)count * channels * sizeof(*out));
    if (real > 0)
        memcpy(out + (size_t)(from - position) * channels,
               sound->samples + (size_t)(from - sound->start) * channels,
               (size_t)real * channels * sizeof(*out));
}

void sound_forget(struct sound *sound, int64_t position)
{
    if (position > sound->wanted)
        sound->wanted = position;
}

void sound_scale(int16_t *samples, int count, int channels, int64_t gain_from,
                 int64_t gain_to)
{
    for (int i = 0; i < count; i++) {
        const int64_t gain = gain_from + (gain_to - gain_from) * i / count;
        for (int c = 0; c < channels; c++) {
            int16_t *sample = &samples[i * channels + c];
            const int64_t value = (*sample * gain + (1 << 15)) >> 16;
            *sample = (int16_t)FFMAX(FFMIN(value, INT16_MAX), INT16_MIN);
        }
    }
}
