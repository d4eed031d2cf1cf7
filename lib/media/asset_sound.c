/* asset_sound: sound out of packets, laid on the asset's timeline. */
#include "media/asset_impl.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* A timestamp of the stream of sound, in house samples since time 0. */
static int64_t position_at(const struct asset *asset, int64_t pts)
{
    const AVRational sample = { 1, asset->house.sample_rate };

    return av_rescale_q(pts, asset->format->streams[asset->audio]->time_base,
                        sample) -
           av_rescale_q(asset->first_pts - asset->lag, asset->base, sample);
}

/* Where a frame's first sample belongs, in house samples since time 0. */
static bool position_of(struct asset *asset, const AVFrame *frame,
                        int64_t *position)
{
    const AVRational sample = { 1, asset->house.sample_rate };
    const int64_t pts = frame->pts != AV_NOPTS_VALUE
                            ? frame->pts
                            : frame->best_effort_timestamp;

    if (pts == AV_NOPTS_VALUE)
        return false;
    if (!asset->has_first) {
        /* Sound only: it makes time 0 itself. */
        asset->first_pts = av_rescale_q(
            pts, asset->format->streams[asset->audio]->time_base, sample);
        asset->base = sample;
        asset->has_first = true;
    }
    *position = position_at(asset, pts);
    return true;
}

/*
 * Matroska rounds timestamps to milliseconds.  Frames of one size lie on a grid
 * from the stream's start; one within a tick of its place is taken to be
 * there, or sound after a seek would lie a few samples off what was played.
 */
static int64_t on_grid(const struct asset *asset, int64_t position)
{
    const AVStream *stream = asset->format->streams[asset->audio];
    const AVCodecParameters *par = stream->codecpar;
    if (par->frame_size <= 0 || par->sample_rate != asset->house.sample_rate ||
        stream->start_time == AV_NOPTS_VALUE)
        return position;
    const AVRational sample = { 1, par->sample_rate };
    const int64_t tick = av_rescale_q(1, stream->time_base, sample);
    if (tick < 2 || tick * 4 > par->frame_size)
        return position;
    const int64_t first = position_at(asset, stream->start_time);
    const int64_t size = par->frame_size;
    const int64_t off = ((position - first) % size + size) % size;
    if (off <= tick)
        return position - off;
    return size - off <= tick ? position + size - off : position;
}

/* Bare samples: half a packet of a WAV without a length is still right. */
static bool is_plain(const struct asset *asset)
{
    return av_get_exact_bits_per_sample(asset->audio_decoder->codec_id) > 0;
}

/* A packet (NULL: nothing follows) through the decoder. */
static void decode(struct asset *asset, const AVPacket *packet)
{
    int64_t position = 0;
    int errors = 0;

    /* Half a packet makes noise; silence is better. */
    if (packet && (packet->flags & AV_PKT_FLAG_CORRUPT) && !is_plain(asset))
        return;
    if (packet && asset_is_other(asset->audio_decoder, packet)) {
        decode(asset, NULL);
        if (asset_change_decoder(asset, packet) < 0)
            return;
    }
    if (avcodec_send_packet(asset->audio_decoder, packet) < 0 && packet)
        asset_note_packet(asset, packet);
    for (;;) {
        const int rc =
            avcodec_receive_frame(asset->audio_decoder, asset->audio_frame);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return;
        if (rc < 0) {
            asset_note_packet(asset, packet);
            if (++errors > READ_ERRORS_MAX)
                return;
            continue;
        }
        const bool has_position =
            position_of(asset, asset->audio_frame, &position);
        if (has_position && !asset->sound.has_position)
            position = on_grid(asset, position);
        /* Sound that cannot be converted is missing sound: counted, silence. */
        if (sound_push(&asset->sound, asset->audio_frame, has_position,
                       position, NULL) < 0)
            asset_note_packet(asset, packet);
        av_frame_unref(asset->audio_frame);
    }
}

void asset_fill_sound(struct asset *asset, int64_t end)
{
    if (asset->audio < 0)
        return;
    while (!asset->is_audio_end &&
           (!asset->sound.has_position || asset->sound.end < end)) {
        const int64_t zero_us =
            asset->has_first
                ? av_rescale_q(asset->first_pts, asset->base, AV_TIME_BASE_Q)
                : 0;
        const int64_t wanted_us =
            zero_us + av_rescale(end, 1000000, asset->house.sample_rate);
        if (asset_read_audio(asset, wanted_us)) {
            decode(asset, asset->packet);
            av_packet_unref(asset->packet);
        } else if (asset->is_at_end) {
            decode(asset, NULL);
            if (sound_finish(&asset->sound, NULL) < 0)
                asset_note_packet(asset, NULL);
            asset->is_audio_end = true;
        } else {
            return; /* none near */
        }
        if (asset->is_stopping && asset->is_stopping())
            return;
    }
}

int64_t asset_sound_from(const struct asset *asset, int64_t position)
{
    return position - limiter_history(&asset->limiter);
}

/* Sound of [from, end) into the limiter; `out` NULL: nothing out. */
static void limit(struct asset *asset, int64_t from, int64_t end, int16_t *out)
{
    while (from < end) {
        const int count = (int)FFMIN(end - from, SOUND_CHUNK);
        sound_read(&asset->sound, from, count, asset->sound_in);
        limiter_run(&asset->limiter, asset->sound_in, count, out);
        from += count;
        if (out)
            out += (ptrdiff_t)count * asset->house.channels;
    }
}

/* Makes the limiter go on at `position`, wherever it was. */
static void begin_at(struct asset *asset, int64_t position, double gain)
{
    const int64_t ahead = limiter_ahead(&asset->limiter);

    limiter_reset(&asset->limiter, gain);
    limit(asset, asset_sound_from(asset, position), position + ahead, NULL);
    asset->is_sound_running = true;
    asset->sound_gain = gain;
    asset->sound_next = position;
}

int asset_sound(struct asset *asset, int64_t position, int count, double gain,
                int16_t *out)
{
    const int64_t ahead = limiter_ahead(&asset->limiter);
    const size_t channels = (size_t)asset->house.channels;
    const int64_t end = position + count;

    asset_fill_sound(asset, end + ahead);
    const int real = sound_real(&asset->sound, position, count);
    const bool is_same =
        asset->is_sound_running && !(fabs(asset->sound_gain - gain) > 0);
    /* A frame has the first sample of the next one too. */
    if (is_same && asset->sound_next == position + 1) {
        memcpy(out, asset->sound_last, channels * sizeof(*out));
        out += channels;
    } else if (!is_same || asset->sound_next != position) {
        begin_at(asset, position, gain);
    }
    limit(asset, asset->sound_next + ahead, end + ahead, out);
    if (end > asset->sound_next)
        memcpy(asset->sound_last,
               out + (size_t)(end - asset->sound_next - 1) * channels,
               channels * sizeof(*out));
    asset->sound_next = end;
    sound_forget(&asset->sound, end - 1);
    return real;
}
