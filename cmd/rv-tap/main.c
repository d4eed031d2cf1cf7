/* rv-tap: copies frames out of a pool or ring, holds nobody up.  See rv-tap(1).
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "media/av.h"
#include "tap.h"

enum {
    OPT_NUT = 256,
    OPT_Y4M,
    OPT_JSON,
    OPT_AUDIO,
    OPT_NO_AUDIO,
    OPT_CHANNEL,
    OPT_RUN_DIR,
    OPT_FOLLOW,
    OPT_NO_FOLLOW
};

static const struct argp_option options[] = {
    { "nut", OPT_NUT, NULL, 0, "Write NUT, raw video and PCM (default)", 0 },
    { "y4m", OPT_Y4M, NULL, 0, "Write YUV4MPEG2, pictures only", 0 },
    { "json", OPT_JSON, NULL, 0, "Write a line of JSON a frame, no pictures",
      0 },
    { "frames", 'n', "N", 0, "Stop after N frames", 0 },
    { "audio", OPT_AUDIO, NULL, 0, "With sound (default)", 0 },
    { "no-audio", OPT_NO_AUDIO, NULL, 0, "Without sound", 0 },
    { "follow", OPT_FOLLOW, NULL, 0, "Go on until the source ends (default)",
      0 },
    { "no-follow", OPT_NO_FOLLOW, NULL, 0, "Stop behind what is there now", 0 },
    { "channel", OPT_CHANNEL, "N", 0, "The ring of channel N", 0 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder of --channel and of names",
      0 },
    { 0 }
};

static error_t parse_arg(char *arg, struct argp_state *state)
{
    struct tap_opts *opts = state->input;

    if (opts->source != NULL)
        argp_error(state, "'%s' is too much; give one source", arg);
    if (arg[0] == '\0')
        argp_error(state, "SOURCE is empty; give a path or a name");
    opts->source = arg;
    return 0;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct tap_opts *opts = state->input;

    switch (key) {
    case OPT_NUT:
        opts->form = TAP_NUT;
        return 0;
    case OPT_Y4M:
        opts->form = TAP_Y4M;
        return 0;
    case OPT_JSON:
        opts->form = TAP_JSON;
        return 0;
    case 'n':
        opts->frames = cli_number(state, "--frames", arg, 1, INT64_MAX);
        return 0;
    case OPT_AUDIO:
    case OPT_NO_AUDIO:
        opts->has_sound = key == OPT_AUDIO;
        return 0;
    case OPT_FOLLOW:
    case OPT_NO_FOLLOW:
        opts->is_following = key == OPT_FOLLOW;
        return 0;
    case OPT_CHANNEL:
        opts->channel =
            (int32_t)cli_number(state, "--channel", arg, 1, INT32_MAX);
        return 0;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case ARGP_KEY_ARG:
        return parse_arg(arg, state);
    case ARGP_KEY_END:
        if ((opts->source != NULL) == (opts->channel != 0))
            argp_error(state, "give one source: a path, a name or --channel N");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .args_doc = "SOURCE\n--channel N",
    .doc = "Copy frames out of a pool or a stage ring to standard output, "
           "without holding anybody up.",
};

static int run(struct tap *tap, const struct tap_opts *opts, struct err *err)
{
    if (opts->form != TAP_JSON && isatty(STDOUT_FILENO))
        return err_set(err, ERR_USAGE,
                       "standard output is a terminal; send the frames to a "
                       "file or program, or give --json");
    if (tap_open(tap, opts, err) < 0)
        return -1;
    int rc = 0;
    while (rc == 0 && !cli_stopping())
        rc = tap_step(tap, err);
    if (rc < 0) {
        struct err ignored;
        tap_finish(tap, &ignored);
        return -1;
    }
    return tap_finish(tap, err);
}

int main(int argc, char **argv)
{
    struct tap_opts opts = { .has_sound = true, .is_following = true };
    static struct tap tap;
    struct err err = ERR_EMPTY;

    cli_start("rv-tap", &argp, argc, argv, &opts);
    av_quiet(false);
    shm_guard();
    int rc = run(&tap, &opts, &err);
    if (rc < 0 && err.kind == ERR_NONE)
        rc = 0; /* the reader went away */
    tap_close(&tap);
    return cli_finish(rc, &err);
}
