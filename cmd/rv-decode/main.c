/* rv-decode: segments into house frames.  See rv-decode(1). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/string.h>

#include "cli/cli.h"
#include "clock/clock.h"
#include "confine.h"
#include "explain.h"
#include "feed.h"
#include "frame/slate.h"
#include "log/log.h"
#include "media/av.h"
#include "plan/inputs.h"
#include "play.h"
#include "proc/rundir.h"
#include "sink.h"
#include "stats/stats.h"

struct opts {
    const char *house, *pool, *run_dir;
    int64_t slots, threads, channel;
    bool is_nut, is_verbose, is_slate, has_tone;
    bool is_explain, is_quick, is_json;
    enum sandbox_mode sandbox;
    char **files;
    int file_count;
};

struct decode {
    struct opts opts;
    struct house house;
    struct feed feed;
    struct sink sink;
    struct play play;
    struct stats stats;
    bool has_play;
    char pool_path[1024];
    char run[RUNDIR_SIZE];
    char own[24]; /* folder in it of our own pool; "": none */
    int played, failed;
    struct err first_failure;
};

enum {
    OPT_HOUSE = 256,
    OPT_POOL,
    OPT_SLOTS,
    OPT_NUT,
    OPT_RUN_DIR,
    OPT_CHANNEL,
    OPT_THREADS,
    OPT_SLATE,
    OPT_SANDBOX,
    OPT_EXPLAIN,
    OPT_QUICK,
    OPT_JSON,
    OPT_VERBOSE
};

/* clang-format off */
static const struct argp_option options[] = {
    { "house", OPT_HOUSE, "WxH@RATE[:SR:CH]", 0, "House format (default: the first segment's, else 1280x720@30000/1001)", 0 },
    { "pool", OPT_POOL, "PATH", 0, "Where to make the pool (default: in the run folder)", 0 },
    { "slots", OPT_SLOTS, "N", 0, "Picture slots of the pool (default: as many as the codec needs and 68)", 0 },
    { "nut", OPT_NUT, NULL, 0, "Write NUT with raw video and PCM to standard output, no pool", 0 },
    { "threads", OPT_THREADS, "N", 0, "Threads of the video decoder (default: by picture size)", 0 },
    { "slate", OPT_SLATE, "silence|tone", 0, "Make FILE a slate of at most 250 frames, with this where it has no sound", 0 },
    { "sandbox", OPT_SANDBOX, SANDBOX_WORDS, 0, "Give up all but the FILEs or the channel's asset and the pool (off); strict: or fail", 0 },
    { "explain", OPT_EXPLAIN, NULL, 0, "Say what is done to each FILE and how long it is, decode no more than that needs", 0 },
    { "quick", OPT_QUICK, NULL, 0, "--explain: believe the length that the container says", 0 },
    { "json", OPT_JSON, NULL, 0, "--explain: write one JSON object a file", 0 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder", 0 },
    { "channel", OPT_CHANNEL, "N", 0, "In service of channel N: play one line, count in its stats page", 0 },
    { "verbose", OPT_VERBOSE, NULL, 0, "Log what libav complains about", 0 },
    { 0 }
};
/* clang-format on */

static void check_opts(const struct opts *opts, const struct argp_state *state)
{
    if (opts->is_explain &&
        (opts->is_nut || opts->pool || opts->slots || opts->is_slate ||
         opts->channel || opts->file_count == 0))
        argp_error(state, "--explain needs a FILE and makes no pool; leave out "
                          "--nut, --pool, --slots, --slate and --channel");
    if ((opts->is_quick || opts->is_json) && !opts->is_explain)
        argp_error(state, "--quick and --json need --explain");
    if (opts->is_nut && (opts->pool || opts->slots))
        argp_error(state, "--nut makes no pool; leave out --pool and --slots");
    if (opts->is_slate && (!opts->pool || !opts->house || opts->is_nut ||
                           opts->slots || opts->file_count != 1))
        argp_error(state, "--slate needs --pool PATH, --house WxH@RATE and one "
                          "FILE, without --nut and --slots");
    if (opts->sandbox == SANDBOX_OFF)
        return;
    if (opts->channel == 0 && opts->file_count == 0)
        argp_error(state, "--sandbox must know what is read; give FILEs");
    if (!opts->is_explain && !opts->is_nut && !opts->pool)
        argp_error(state, "--sandbox: nothing can be removed from in there, "
                          "the pool's own folder neither; give --pool PATH");
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case OPT_HOUSE:
        opts->house = arg;
        break;
    case OPT_POOL:
        opts->pool = arg;
        break;
    case OPT_SLOTS:
        opts->slots = cli_number(state, "--slots", arg, 2, POOL_SLOTS_MAX);
        break;
    case OPT_NUT:
        opts->is_nut = true;
        break;
    case OPT_THREADS:
        opts->threads = cli_number(state, "--threads", arg, 1, 16);
        break;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        break;
    case OPT_CHANNEL:
        opts->channel = cli_number(state, "--channel", arg, 1, INT32_MAX);
        break;
    case OPT_SLATE:
        if (strcmp(arg, "silence") != 0 && strcmp(arg, "tone") != 0)
            argp_error(state, "--slate: '%s' is unknown; give silence or tone",
                       arg);
        opts->is_slate = true;
        opts->has_tone = strcmp(arg, "tone") == 0;
        break;
    case OPT_SANDBOX:
        opts->sandbox = (enum sandbox_mode)cli_choice(state, "--sandbox", arg,
                                                      SANDBOX_WORDS);
        break;
    case OPT_EXPLAIN:
        opts->is_explain = true;
        break;
    case OPT_QUICK:
        opts->is_quick = true;
        break;
    case OPT_JSON:
        opts->is_json = true;
        break;
    case OPT_VERBOSE:
        opts->is_verbose = true;
        break;
    case ARGP_KEY_ARGS:
        opts->files = state->argv + state->next;
        opts->file_count = state->argc - state->next;
        break;
    case ARGP_KEY_END:
        check_opts(opts, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .args_doc = "[FILE...]",
    .doc = "Decode segments (lines on standard input) or files into house "
           "frames in a pool.\vA FILE of - is media on standard input."
};

/* --- setup ---------------------------------------------------------------- */

/* --pool, absolute: the stage may run in another folder. */
static int name_pool(struct decode *decode, struct err *err)
{
    const char *path = decode->opts.pool;
    char folder[sizeof(decode->pool_path)] = "";

    if (path[0] != '/' && getcwd(folder, sizeof(folder)) == NULL)
        return err_errno(err, ERR_SYSTEM, "--pool %s", path);
    const int length = snprintf(decode->pool_path, sizeof(decode->pool_path),
                                "%s%s%s", folder, folder[0] ? "/" : "", path);
    /* Room for the temporary name beside it. */
    if (path[0] == '\0' || length + 16 > (int)sizeof(decode->pool_path))
        return err_set(err, ERR_USAGE,
                       "--pool: '%.40s' is empty or too long; give a path",
                       path);
    return 0;
}

/* The pool's path, and the channel's counters. */
static int find_places(struct decode *decode, struct err *err)
{
    const struct opts *opts = &decode->opts;
    char folder[RUNDIR_SIZE], name[16];

    if (opts->pool && name_pool(decode, err) < 0)
        return -1;
    const bool wants_pool = !opts->pool && !opts->is_nut;
    if (!wants_pool && (opts->channel == 0 || opts->is_slate))
        return 0;
    if (rundir_find(decode->run, opts->run_dir, err) < 0)
        return -1;
    if (wants_pool) {
        /* A folder of our own, so whoever takes the pool takes it along. */
        snprintf(decode->own, sizeof(decode->own), "decode-%d", (int)getpid());
        if (rundir_folder(folder, decode->run, decode->own, true, err) < 0)
            return -1;
        snprintf(decode->pool_path, sizeof(decode->pool_path), "%s/pool-1",
                 folder);
    }
    if (opts->channel == 0)
        return 0;
    snprintf(name, sizeof(name), "%d", (int)opts->channel);
    if (rundir_folder(folder, decode->run, name, true, err) < 0)
        return -1;
    return stats_open(&decode->stats, folder, true, err);
}

/*
 * In a shell the pool begins where the ring does, also when its first segment
 * has no picture of its own (slate, an asset that is missing).
 */
static int print_inputs(const struct decode *decode, const struct item *first,
                        struct err *err)
{
    struct input input = { .at_kind = INPUT_BEHIND,
                           .has_origin = decode->opts.channel == 0,
                           .origin = -first->segment.skip,
                           .reason = REASON_PLAN };
    struct inputs inputs = {
        .serial = 1, .is_end = true, .count = 1, .input = &input
    };

    strlcpy(input.pool, decode->sink.pool.shm.path, sizeof(input.pool));
    char *line = inputs_format(&inputs);
    if (line == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for the inputs line");
    printf("%s\n", line);
    free(line);
    if (fflush(stdout) == 0)
        return 0;
    const bool is_alone = errno == EPIPE && decode->opts.channel > 0;
    clearerr(stdout);
    /* A new director cannot know of one that was still opening, and starts
     * another.  In a shell the sink sees that the reader is gone. */
    if (is_alone)
        return err_set(err, ERR_STATE,
                       "asset %s: opened for a director that has ended",
                       first->segment.asset);
    return 0;
}

/* How many frames a slate of this asset may need. */
static int slate_frames(struct asset *asset, const struct house *house)
{
    const struct moment begin = { .in = { 0, 1 }, .rate = house->rate };
    const AVFormatContext *format = asset->format;
    const int most = slate_most(house);
    int64_t frames = -1;

    /* It looks one picture ahead, so a still's length is known by then. */
    if (asset_show(asset, &begin) != ASSET_STOPPED)
        frames = asset_frames(asset, begin.in);
    if (frames < 0 && format->duration > 0 &&
        format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE)
        frames = moment_frames(format->duration + AV_TIME_BASE, AV_TIME_BASE_Q,
                               begin.in, house->rate);
    return frames < 0 || frames > most ? most : FFMAX((int)frames, 1);
}

static int open_slate(struct decode *decode, const struct item *item,
                      struct err *err)
{
    struct asset *asset = item->asset;

    if (asset->video < 0 && asset->still == NULL)
        return err_set(err, ERR_INPUT,
                       "asset %s: has no picture; give a picture or a video",
                       asset->path);
    const int frames = slate_frames(asset, &decode->house);
    decode->sink.has_tone = decode->opts.has_tone && asset->audio < 0;
    if (sink_open_slate(&decode->sink, decode->pool_path, &decode->house,
                        frames, err) < 0)
        return -1;
    play_init(&decode->play, &decode->sink, &decode->stats, &decode->feed,
              &decode->house);
    decode->play.most = frames;
    decode->has_play = true;
    return 0;
}

static int open_sink(struct decode *decode, const struct item *item,
                     struct err *err)
{
    struct sink *sink = &decode->sink;
    const bool is_single =
        decode->opts.channel > 0 || decode->opts.file_count == 1;
    const int64_t frames = is_single && item->segment.has_frames
                               ? item->segment.frames - item->segment.skip
                               : -1;

    decode->house = item->house;
    if (decode->opts.is_slate)
        return item->has_failed ? 0 : open_slate(decode, item, err);
    if (decode->opts.is_nut) {
        if (sink_open_nut(sink, &decode->house, err) < 0)
            return -1;
    } else {
        if (sink_open_pool(sink, decode->pool_path, &decode->house, item->asset,
                           item->has_failed && is_single ? 0 : frames,
                           (uint32_t)decode->opts.slots, err) < 0)
            return -1;
        /* In service the line says that the asset is open: no line, if not. */
        const bool is_told = !item->has_failed || decode->opts.channel == 0;
        if (is_told && print_inputs(decode, item, err) < 0)
            return -1;
    }
    play_init(&decode->play, sink, &decode->stats, &decode->feed,
              &decode->house);
    decode->play.channel = (int32_t)decode->opts.channel;
    decode->has_play = true;
    return 0;
}

/* --- the run -------------------------------------------------------------- */

static void note_failure(struct decode *decode, const struct item *item,
                         const struct err *why)
{
    const struct log_ctx ctx = {
        .channel = (int32_t)decode->opts.channel,
        .segment = item->segment.id[0] ? item->segment.id : NULL,
        .asset = item->segment.asset[0] ? item->segment.asset : NULL,
    };

    stats_add(&decode->stats, STATS_DECODE_FAILURES, 1);
    if (decode->failed++ == 0)
        decode->first_failure = *why;
    else
        log_error(&ctx, "%s", why->text);
}

/* One item; -1: the run ends (err->kind ERR_NONE: stopped). */
static int play_item(struct decode *decode, struct item *item, struct err *err)
{
    struct err why = item->err;
    int rc = 0;

    if (!decode->sink.is_open && open_sink(decode, item, err) < 0)
        return -1;
    decode->played++;
    if (!item->has_failed) {
        rc = play_segment(&decode->play, item, &why);
        if (rc == 0)
            return 0;
        if (why.kind == ERR_NONE || cli_stopping() || decode->sink.has_failed) {
            *err = why;
            return -1;
        }
    }
    note_failure(decode, item, &why);
    return decode->opts.channel > 0 || decode->opts.is_slate
               ? 0
               : play_gap(&decode->play, &item->segment, !item->has_failed,
                          err);
}

static int run(struct decode *decode, struct err *err)
{
    struct item item = ITEM_EMPTY;
    int rc = 0;

    while (rc == 0 && feed_next(&decode->feed, &item) == 1) {
        rc = play_item(decode, &item, err);
        if (decode->has_play)
            decode->play.asset = NULL;
        asset_free(item.asset);
    }
    return rc;
}

/* Standard input is a pipe: whoever holds the other end wants the slate, and
 * does not read what we print. */
static bool has_leash(void)
{
    struct stat in;

    return fstat(STDIN_FILENO, &in) == 0 && S_ISFIFO(in.st_mode);
}

static bool slate_is_unwanted(void)
{
    struct pollfd in = { .fd = STDIN_FILENO };

    return cli_stopping() ||
           (has_leash() && poll(&in, 1, 0) > 0 && (in.revents & POLLHUP));
}

/* The pool tells whoever holds the leash why it is none. */
static int tell_in_slate(struct decode *decode, struct err *err)
{
    struct sink *sink = &decode->sink;
    const struct err why = *err;

    if (!sink->is_open &&
        sink_open_slate(sink, decode->pool_path, &decode->house, 1, err) < 0)
        return -1;
    return sink_end(sink, &why, err);
}

/* A slate is as long as it goes; one without a picture says why. */
static int conclude_slate(struct decode *decode, int rc, struct err *err)
{
    const struct err why = rc < 0 ? *err : decode->first_failure;
    const uint64_t frames = decode->sink.frames;

    if (decode->has_play)
        play_clear(&decode->play);
    if (slate_is_unwanted())
        return 0;
    if (frames == 0) {
        *err = why;
        if (why.text[0] == '\0')
            err_set(err, ERR_INPUT, "slate %s: has no picture",
                    decode->opts.files[0]);
        return has_leash() ? tell_in_slate(decode, err) : -1;
    }
    if (decode->failed > 0 || rc < 0)
        log_warn(NULL, "%s; %llu frames of it are the slate", why.text,
                 (unsigned long long)frames);
    else if (decode->play.is_cut)
        log_info(NULL,
                 "slate %s: is longer than a slate may be; its first "
                 "%llu frames are",
                 decode->opts.files[0], (unsigned long long)frames);
    return sink_end(&decode->sink, NULL, err);
}

/* Ends the pool with the right word and gives the program's result. */
static int conclude(struct decode *decode, int rc, struct err *err)
{
    struct sink *sink = &decode->sink;
    const bool is_stopped = cli_stopping() || (rc < 0 && err->kind == ERR_NONE);
    struct err why = ERR_EMPTY;

    if (decode->has_play)
        play_clear(&decode->play);
    if (is_stopped) {
        err_set(&why, ERR_STATE, "rv-decode was stopped by a signal");
        sink_end(sink, sink->is_nut ? NULL : &why, err);
        return 0;
    }
    if (rc < 0) {
        sink_end(sink, err, NULL);
        return -1;
    }
    if (decode->failed > 0) {
        *err = decode->first_failure;
        if (decode->played > 1)
            err_prefix(err, "%d of %d segments could not be played, first",
                       decode->failed, decode->played);
        const bool ends_badly =
            decode->opts.channel > 0 || decode->failed == decode->played;
        sink_end(sink, ends_badly ? &decode->first_failure : NULL, NULL);
        return -1;
    }
    if (decode->played == 0 && decode->opts.channel > 0)
        return 0; /* a waiting worker that was not needed */
    if (decode->played == 0)
        return err_set(err, ERR_INPUT,
                       "standard input: no segment; give segment lines "
                       "(rv-plan) or a file");
    return sink_end(sink, NULL, err);
}

/* Nothing was decoded, and no stage waits to be told so through a pipe. */
static bool is_of_no_use(const struct sink *sink)
{
    struct stat out;

    return pool_ready(&sink->pool) == 0 &&
           !(fstat(STDOUT_FILENO, &out) == 0 && S_ISFIFO(out.st_mode));
}

/* A pool that nobody will adopt goes, and its folder. */
static void remove_unwanted(const struct decode *decode)
{
    const struct sink *sink = &decode->sink;

    if (decode->own[0] != '\0' && (!sink->is_open || cli_stopping() ||
                                   sink_is_alone(sink) || is_of_no_use(sink)))
        rundir_remove(decode->run, decode->own, NULL);
}

/* --house, when it is given. */
static int read_house(const struct opts *opts, struct house *house,
                      struct err *err)
{
    if (opts->house == NULL || house_parse(house, opts->house, err) == 0)
        return 0;
    err->kind = ERR_USAGE;
    return err_prefix(err, "--house");
}

static int explain(const struct opts *opts, struct err *err)
{
    struct house house = HOUSE_DEFAULT;
    const struct explain_config config = { .threads = (int)opts->threads,
                                           .is_quick = opts->is_quick,
                                           .is_stopping = cli_stopping };

    if (read_house(opts, &house, err) < 0 ||
        confine_reader(opts->sandbox, opts->files, opts->file_count, err) < 0)
        return -1;
    return explain_files(opts->files, opts->file_count, opts->is_json, &house,
                         &config, err);
}

static int start(struct decode *decode, struct err *err)
{
    const struct opts *opts = &decode->opts;

    decode->feed = (struct feed){
        .files = opts->file_count > 0 ? opts->files : NULL,
        .file_count = opts->file_count,
        .threads = (int)opts->threads,
        .is_single = opts->channel > 0,
        .is_stopping = opts->is_slate ? slate_is_unwanted : cli_stopping,
    };
    decode->sink.is_stopping = decode->feed.is_stopping;
    decode->sink.ends_with_reader = opts->channel == 0 && !opts->is_slate;
    if (read_house(opts, &decode->feed.house, err) < 0)
        return -1;
    decode->feed.has_house = opts->house != NULL;
    if (opts->is_nut && isatty(STDOUT_FILENO))
        return err_set(err, ERR_USAGE,
                       "standard output is a terminal; send NUT into a file "
                       "or a pipe");
    if (find_places(decode, err) < 0)
        return -1;
    av_warm_up();
    if (feed_open(&decode->feed, err) < 0 ||
        confine(opts->sandbox, &decode->feed, &decode->sink, decode->pool_path,
                (int32_t)opts->channel, err) < 0)
        return -1;
    return feed_start(&decode->feed, err);
}

int main(int argc, char **argv)
{
    static struct decode decode;
    struct err err = ERR_EMPTY;

    decode.sink = SINK_EMPTY;
    decode.stats = STATS_EMPTY;
    cli_start("rv-decode", &argp, argc, argv, &decode.opts);
    if (decode.opts.channel > 0)
        log_in_service();
    shm_guard();
    av_quiet(decode.opts.is_verbose);
    if (decode.opts.is_explain)
        return cli_finish(explain(&decode.opts, &err), &err);
    int rc = start(&decode, &err);
    if (rc == 0) {
        rc = run(&decode, &err);
        rc = decode.opts.is_slate ? conclude_slate(&decode, rc, &err)
                                  : conclude(&decode, rc, &err);
    }
    if (decode.opts.is_slate && slate_is_unwanted()) {
        sink_close(&decode.sink);
        _exit(0); /* a thread may hang in the opening of its file */
    }
    feed_stop(&decode.feed);
    remove_unwanted(&decode);
    sink_close(&decode.sink);
    stats_close(&decode.stats);
    return cli_finish(rc, &err);
}
