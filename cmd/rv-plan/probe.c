/*
 * probe: can an asset be played, and how long is it?
 *
 * The length is that of the pictures (rv-plan(5): a segment ends with its last
 * picture), else that of the sound.  Where no header tells it, the packets are
 * read to the end.  A server that does not answer costs 20 s at the most.
 */
#include "rv_plan.h"

#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "cli/cli.h"
#include "clock/clock.h"

#define PROBE_US INT64_C(20000000)

static int is_over(void *until)
{
    return cli_stopping() || clock_monotonic_us() > *(int64_t *)until;
}

static void say(struct probe *probe, const char *what, int code)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";

    if (code == AVERROR_EXIT)
        strlcpy(reason, "no answer within 20 s", sizeof(reason));
    else if (code < 0)
        av_strerror(code, reason, sizeof(reason));
    if (asprintf(&probe->problem, "%s%s%s", what, code < 0 ? ": " : "",
                 reason) < 0)
        probe->problem = NULL;
}

static bool is_moving(const AVStream *stream)
{
    return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
           !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
}

static void note_language(struct probe *probe, const AVStream *stream)
{
    const AVDictionaryEntry *tag =
        av_dict_get(stream->metadata, "language", NULL, 0);

    if (tag != NULL && probe->language_count < 8)
        strlcpy(probe->languages[probe->language_count++], tag->value,
                sizeof(probe->languages[0]));
}

/* Gives the stream that tells the length: pictures, else sound, else NULL. */
static const AVStream *look_at_streams(struct probe *probe,
                                       const AVFormatContext *format)
{
    const AVStream *best = NULL;

    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *stream = format->streams[i];
        const bool is_sound =
            stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        if ((!is_moving(stream) && !is_sound) ||
            avcodec_find_decoder(stream->codecpar->codec_id) == NULL)
            continue;
        if (is_sound)
            note_language(probe, stream);
        if (best == NULL || (!is_sound && !probe->has_video))
            best = stream;
        probe->has_audio |= is_sound;
        probe->has_video |= !is_sound;
    }
    return best;
}

/* Reads every packet; gives the end of the last one of `stream`. */
static bool measure(AVFormatContext *format, const AVStream *stream,
                    int64_t *length_us)
{
    AVPacket *packet = av_packet_alloc();
    int64_t begin = INT64_MAX, end = INT64_MIN;
    int rc = packet ? 0 : -1;

    while (rc == 0 && (rc = av_read_frame(format, packet)) == 0) {
        if (packet->stream_index == stream->index &&
            packet->pts != AV_NOPTS_VALUE) {
            const int64_t stop = packet->pts + packet->duration;
            begin = packet->pts < begin ? packet->pts : begin;
            end = stop > end ? stop : end;
        }
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
    if (rc != AVERROR_EOF || end <= begin)
        return false;
    *length_us = av_rescale_q(end - begin, stream->time_base, AV_TIME_BASE_Q);
    return true;
}

static void find_length(struct probe *probe, AVFormatContext *format,
                        const AVStream *stream)
{
    if (stream->duration != AV_NOPTS_VALUE && stream->duration > 0) {
        probe->length_us =
            av_rescale_q(stream->duration, stream->time_base, AV_TIME_BASE_Q);
        probe->has_length = true;
    } else if (format->duration != AV_NOPTS_VALUE && format->duration > 0) {
        probe->length_us = format->duration;
        probe->has_length = true;
    } else {
        probe->has_length = measure(format, stream, &probe->length_us);
    }
}

void probe_asset(struct probe *probe, const char *asset)
{
    int64_t until = clock_monotonic_us() + PROBE_US;
    AVFormatContext *format = avformat_alloc_context();

    *probe = (struct probe){ .problem = NULL };
    av_log_set_level(AV_LOG_QUIET);
    if (format == NULL) {
        say(probe, "no memory to open it", 0);
        return;
    }
    format->interrupt_callback = (AVIOInterruptCB){ is_over, &until };
    int rc = avformat_open_input(&format, asset, NULL, NULL);
    if (rc < 0) {
        say(probe, "cannot be opened", rc);
        return;
    }
    rc = avformat_find_stream_info(format, NULL);
    const AVStream *stream = rc < 0 ? NULL : look_at_streams(probe, format);
    if (rc < 0)
        say(probe, "cannot be read", rc);
    else if (stream == NULL)
        say(probe,
            format->nb_streams > 0
                ? "has neither pictures nor sound that can be decoded"
                : "has no streams",
            0);
    else
        find_length(probe, format, stream);
    avformat_close_input(&format);
}

void probe_clear(struct probe *probe)
{
    free(probe->problem);
    *probe = (struct probe){ .problem = NULL };
}
