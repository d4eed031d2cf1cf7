/*
 * probe: can an asset be played, and how long is it?
 *
 * The length is that of the pictures (rv-plan(5): a segment ends with its last
 * picture), else that of the sound.  A header may lie, so it is looked up, as
 * lib/media/length.h does; else, where no header tells it, the packets are read
 * to the end.  A server that does not answer costs 20 s at the most.
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

/* --- what is done to it --------------------------------------------------- */

static int64_t explain_until; /* 0: as long as it takes */

static bool is_enough(void)
{
    return cli_stopping() ||
           (explain_until != 0 && clock_monotonic_us() > explain_until);
}

/* The sentence without the asset's name, which the problem's line has. */
static void say_why(struct probe *probe, const char *asset,
                    const struct err *err)
{
    const size_t length = strlen(asset);
    const char *text = err->text;

    if (strncmp(text, "asset ", 6) == 0 &&
        strncmp(text + 6, asset, length) == 0 &&
        strncmp(text + 6 + length, ": ", 2) == 0)
        text += 6 + length + 2;
    probe->problem = strdup(text);
}

void probe_explain(struct probe *probe, const struct explain_config *config)
{
    const bool is_url = segment_asset_is_url(config->path);
    struct explain_config one = *config;
    struct err err = ERR_EMPTY;

    if (probe->problem != NULL)
        return;
    probe->explain = malloc(sizeof(*probe->explain));
    if (probe->explain == NULL) {
        say(probe, "no memory to look at it", 0);
        return;
    }
    explain_until = is_url ? clock_monotonic_us() + PROBE_US : 0;
    one.is_quick = config->is_quick || is_url;
    one.is_stopping = is_enough;
    if (explain_asset(probe->explain, &one, &err) < 0) {
        if (!is_enough())
            say_why(probe, config->path, &err);
        free(probe->explain);
        probe->explain = NULL;
    } else if (probe->explain->length.way >= LENGTH_INDEX) {
        probe->has_length = true;
        probe->length_us = probe->explain->length.end_us;
    }
}

void probe_clear(struct probe *probe)
{
    free(probe->problem);
    free(probe->explain);
    *probe = (struct probe){ .problem = NULL };
}
