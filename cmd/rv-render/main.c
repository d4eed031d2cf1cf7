/*
 * rv-render: frames in, MPEG transport stream out, at the time when it is due.
 * See rv-render(1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/log.h>

#include "cli/cli.h"
#include "err/err.h"
#include "frame/shm.h"
#include "log/log.h"
#include "render.h"

enum {
    OPT_RUN_DIR = 256,
    OPT_CHANNEL,
    OPT_TS_RING,
    OPT_NO_PACE,
    OPT_LEAD,
    OPT_WAIT,
    OPT_PRESET,
    OPT_BITRATE,
    OPT_AUDIO_BITRATE,
    OPT_GOP,
    OPT_BFRAMES,
    OPT_LOOKAHEAD,
    OPT_THREADS,
    OPT_FIRST_FRAME,
    OPT_PTS_BASE
};

/* clang-format off */
static const struct argp_option options[] = {
    { 0, 0, 0, 0, "Input", 1 },
    { "ring", 'r', "NAME|PATH", 0, "Take frames from this stage ring", 1 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder", 1 },
    { "channel", OPT_CHANNEL, "N", 0, "In service: ring, TS ring and counters of channel N", 1 },
    { "wait-s", OPT_WAIT, "S", 0, "Wait so long for the ring in a shell (10)", 1 },
    { "first-frame", OPT_FIRST_FRAME, "N", 0, "Number of a stream's first frame (0)", 1 },
    { "pts-base", OPT_PTS_BASE, "TICKS", 0, "PTS of frame 0 of a stream, in 90 kHz ticks (900000)", 1 },
    { 0, 0, 0, 0, "Output", 2 },
    { "output", 'o', "FILE", 0, "Write to FILE (standard output)", 2 },
    { "ts-ring", OPT_TS_RING, NULL, 0, "Publish in the TS ring beside the ring", 2 },
    { "no-pace", OPT_NO_PACE, NULL, 0, "As fast as it can, without a clock", 2 },
    { "lead-ms", OPT_LEAD, "MS", 0, "Be ready so long before the deadline (500)", 2 },
    { 0, 0, 0, 0, "Encoders", 3 },
    { "preset", OPT_PRESET, "NAME", 0, "Preset of libx264 (veryfast)", 3 },
    { "bitrate", OPT_BITRATE, "KBIT", 0, "Of the picture, with or without k (by size: 720p 4000)", 3 },
    { "audio-bitrate", OPT_AUDIO_BITRATE, "KBIT", 0, "Of the sound (192)", 3 },
    { "gop", OPT_GOP, "FRAMES", 0, "Frames from keyframe to keyframe (one second)", 3 },
    { "bframes", OPT_BFRAMES, "N", 0, "B-frames in a row, 0 to 2 (0)", 3 },
    { "lookahead", OPT_LOOKAHEAD, "N", 0, "Frames that rate control looks ahead, 0 to 4 (4)", 3 },
    { "threads", OPT_THREADS, "N", 0, "Slices encoded at a time, 1 to 16 (1)", 3 },
    { 0 }
};
/* clang-format on */

/* "4000" or "4000k". */
static int32_t kbit(const struct argp_state *state, const char *option,
                    const char *text, int64_t min, int64_t max)
{
    char digits[16];
    const size_t length = strlen(text);

    if (length > 1 && length < sizeof(digits) && text[length - 1] == 'k') {
        memcpy(digits, text, length - 1);
        digits[length - 1] = '\0';
        text = digits;
    }
    return (int32_t)cli_number(state, option, text, min, max);
}

static error_t parse_encoder(struct render_opts *opts, int key, char *arg,
                             struct argp_state *state)
{
    switch (key) {
    case OPT_PRESET:
        opts->preset = arg;
        return 0;
    case OPT_BITRATE:
        opts->bitrate_kbit = kbit(state, "--bitrate", arg, 50, 200000);
        return 0;
    case OPT_AUDIO_BITRATE:
        opts->audio_kbit = kbit(state, "--audio-bitrate", arg, 16, 1024);
        return 0;
    case OPT_GOP:
        opts->gop = (int32_t)cli_number(state, "--gop", arg, 1, 3600);
        return 0;
    case OPT_BFRAMES:
        opts->bframes = (int32_t)cli_number(state, "--bframes", arg, 0, 2);
        return 0;
    case OPT_LOOKAHEAD:
        opts->lookahead = (int32_t)cli_number(state, "--lookahead", arg, 0, 4);
        return 0;
    case OPT_THREADS:
        opts->threads = (int32_t)cli_number(state, "--threads", arg, 1, 16);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void check_opts(const struct render_opts *opts, struct argp_state *state)
{
    const int inputs =
        (opts->ring != NULL) + (opts->channel != 0) + (opts->media != NULL);

    if (inputs != 1)
        argp_error(state, "give one input: --ring, --channel, or - for "
                          "standard input");
    if (opts->pts_base != 0 && opts->media == NULL)
        argp_error(state, "--pts-base is for a stream (-); a stage ring has "
                          "its own, see rv-stage(1)");
    if (opts->has_ts_ring && opts->media != NULL)
        argp_error(state, "--ts-ring lies beside a stage ring; with - write to "
                          "a file or pipe");
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct render_opts *opts = state->input;

    switch (key) {
    case 'r':
        opts->ring = arg;
        return 0;
    case 'o':
        opts->output = arg;
        return 0;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case OPT_CHANNEL:
        opts->channel =
            (int32_t)cli_number(state, "--channel", arg, 1, INT32_MAX);
        opts->has_ts_ring = true;
        return 0;
    case OPT_TS_RING:
        opts->has_ts_ring = true;
        return 0;
    case OPT_NO_PACE:
        opts->is_paced = false;
        return 0;
    case OPT_LEAD:
        opts->lead_ms = cli_number(state, "--lead-ms", arg, 0, 10000);
        return 0;
    case OPT_WAIT:
        opts->wait_s = cli_number(state, "--wait-s", arg, 0, 3600);
        return 0;
    case OPT_FIRST_FRAME:
        opts->first_frame =
            cli_number(state, "--first-frame", arg, 0, INT64_C(1000000000000));
        return 0;
    case OPT_PTS_BASE:
        opts->pts_base = cli_number(state, "--pts-base", arg,
                                    HOUSE_PTS_BASE_MIN, HOUSE_PTS_WRAP - 1);
        return 0;
    case ARGP_KEY_ARG:
        if (opts->media != NULL)
            return ARGP_ERR_UNKNOWN;
        opts->media = arg;
        return 0;
    case ARGP_KEY_END:
        check_opts(opts, state);
        return 0;
    default:
        return parse_encoder(opts, key, arg, state);
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_opt,
        .args_doc = "[-]",
        .doc = "Encode frames of a stage ring, or of a media stream, to an "
               "MPEG transport stream and release it at the time when it is "
               "due."
    };
    struct render_opts opts = { .is_paced = true,
                                .lead_ms = 500,
                                .wait_s = 10,
                                .preset = "veryfast",
                                .audio_kbit = 192,
                                .lookahead = 4,
                                .threads = 1 };
    static struct render render;
    struct err err = ERR_EMPTY;

    cli_start("rv-render", &argp, argc, argv, &opts);
    shm_guard();
    av_log_set_level(AV_LOG_FATAL);
    if (opts.channel != 0)
        log_in_service();
    int rc = render_open(&render, &opts, &err);
    while (rc == 0 && !cli_stopping() && !render.is_done)
        rc = render_step(&render, &err);
    rc = render_close(&render, cli_stopping() ? 0 : rc, &err);
    return cli_finish(rc, &err);
}
