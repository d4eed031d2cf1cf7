/*
 * rv-stage: puts references to frames of pools into a channel's stage ring, in
 * the order of a list of inputs.  See rv-stage(1).
 *
 * The loop asks every part whether there is something to do, and sleeps on the
 * bells of the ring and of the pools when there is not.
 */
#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/cli.h"
#include "proc/sandbox.h"

#define TICK_US     INT64_C(250000)
#define WAIT_WORDS  120
#define SLATE_US    INT64_C(20000) /* how often we ask whether it has come */
#define START_DELAY 300

enum key {
    KEY_MIN_DEPTH = 0x100,
    KEY_MAX_DEPTH,
    KEY_HOUSE,
    KEY_EPOCH,
    KEY_START_DELAY,
    KEY_PTS_BASE,
    KEY_ASRUN,
    KEY_TITLE,
    KEY_SLATE,
    KEY_SLATE_SOUND,
    KEY_SANDBOX,
    KEY_NO_WAIT,
    KEY_RUN_DIR
};

static const struct argp_option options[] = {
    { "ring", 'r', "NAME|PATH", 0,
      "In a shell: the ring, by name in the run folder or by path", 0 },
    { "run-dir", KEY_RUN_DIR, "DIR", 0, "The run folder", 0 },
    { "channel", 'c', "N", 0,
      "In service: this channel's ring, and lists from its file inputs", 0 },
    { "min-depth", KEY_MIN_DEPTH, "FRAMES", 0,
      "Below it the channel is buffering (30)", 0 },
    { "max-depth", KEY_MAX_DEPTH, "FRAMES", 0, "Stage no more than this (60)",
      0 },
    { "house", KEY_HOUSE, "WxH@RATE", 0,
      "House format (in a shell: that of the first pool)", 0 },
    { "epoch", KEY_EPOCH, "UTC_US", 0, "Deadline of frame 0, in microseconds",
      0 },
    { "start-delay", KEY_START_DELAY, "MS", 0,
      "From the first frame staged to its deadline (300)", 0 },
    { "pts-base", KEY_PTS_BASE, "TICKS", 0,
      "PTS of frame 0, in 90 kHz ticks (900000)", 0 },
    { "asrun", KEY_ASRUN, "FILE", 0,
      "Append as-run lines to FILE (standard output)", 0 },
    { "title", KEY_TITLE, "TEXT", 0,
      "What the built-in slate card says (channel N)", 0 },
    { "slate", KEY_SLATE, "FILE", 0,
      "A picture or video as slate instead of the card", 0 },
    { "slate-sound", KEY_SLATE_SOUND, "silence|tone", 0,
      "What is heard where the slate has no sound (silence)", 0 },
    { "sandbox", KEY_SANDBOX, SANDBOX_WORDS, 0,
      "Whether the slate's decoder gives up all but FILE and its pool (on)",
      0 },
    { "no-wait", KEY_NO_WAIT, NULL, 0,
      "At the end of the input do not wait for a consumer to come", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct options *opts = state->input;
    struct err err = ERR_EMPTY;

    switch (key) {
    case 'r':
        opts->ring = arg;
        break;
    case KEY_RUN_DIR:
        opts->run_dir = arg;
        break;
    case 'c':
        opts->channel =
            (int32_t)cli_number(state, "--channel", arg, 1, INT32_MAX);
        break;
    case KEY_MIN_DEPTH:
        opts->min_depth =
            cli_number(state, "--min-depth", arg, 1, STAGE_DEPTH_MAX);
        break;
    case KEY_MAX_DEPTH:
        opts->max_depth =
            cli_number(state, "--max-depth", arg, 1, STAGE_DEPTH_MAX);
        break;
    case KEY_HOUSE:
        if (house_parse(&opts->house, arg, &err) < 0)
            argp_error(state, "--house: %s", err.text);
        opts->has_house = true;
        break;
    case KEY_EPOCH:
        opts->epoch_us =
            cli_number(state, "--epoch", arg, 0, INT64_C(253402300799000000));
        opts->has_epoch = true;
        break;
    case KEY_START_DELAY:
        opts->start_delay_ms =
            cli_number(state, "--start-delay", arg, 0, 3600000);
        opts->has_start_delay = true;
        break;
    case KEY_PTS_BASE:
        opts->pts_base = cli_number(state, "--pts-base", arg,
                                    HOUSE_PTS_BASE_MIN, HOUSE_PTS_WRAP - 1);
        break;
    case KEY_ASRUN:
        opts->asrun = arg;
        break;
    case KEY_TITLE:
        opts->title = arg;
        break;
    case KEY_SLATE:
        if (arg[0] == '\0')
            argp_error(state, "--slate: no file is named; give a path");
        opts->slate = arg;
        break;
    case KEY_SLATE_SOUND:
        if (strcmp(arg, "silence") != 0 && strcmp(arg, "tone") != 0)
            argp_error(state,
                       "--slate-sound: '%s' is unknown; give silence or tone",
                       arg);
        opts->has_tone = strcmp(arg, "tone") == 0;
        break;
    case KEY_SANDBOX:
        (void)cli_choice(state, "--sandbox", arg, SANDBOX_WORDS);
        opts->sandbox = arg;
        break;
    case KEY_NO_WAIT:
        opts->is_no_wait = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': no argument is expected; give options only",
                   arg);
        break;
    case ARGP_KEY_END:
        if ((opts->ring != NULL) == (opts->channel != 0))
            argp_error(state, "give either --ring or --channel");
        if (opts->channel != 0 && !opts->has_house)
            argp_error(state, "--channel needs --house WxH@RATE");
        if (opts->min_depth > opts->max_depth)
            argp_error(state, "--min-depth %lld is above --max-depth %lld",
                       (long long)opts->min_depth, (long long)opts->max_depth);
        break;
    default: /* argp's own keys */
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .doc = "Put references to frames of pools into a stage ring, in the order "
           "of a list of inputs.\v"
           "In a shell lists are lines on standard input, as rv-decode writes "
           "them:\n\n"
           "  rv-plan list.json | rv-decode | rv-stage --ring one &\n"
           "  rv-render --ring one >one.ts\n\n"
           "In service (--channel) the director writes them into a file.  See "
           "rv-stage(1)."
};

/* --- setup ---------------------------------------------------------------- */

/* A ring's path: its folder is made when it is not there. */
static int find_path(struct stage *stage, struct err *err)
{
    const char *slash = strrchr(stage->opts.ring, '/');

    strlcpy(stage->path, stage->opts.ring, sizeof(stage->path));
    snprintf(stage->folder, sizeof(stage->folder), "%.*s",
             (int)(slash == stage->opts.ring ? 1 : slash - stage->opts.ring),
             stage->opts.ring);
    if (strlen(stage->opts.ring) > 900 || slash[1] == '\0')
        return err_set(err, ERR_INPUT,
                       "ring '%.64s': no path of a file; give FOLDER/ring",
                       stage->opts.ring);
    if (mkdir(stage->folder, 0700) == 0)
        stage->made_folder = true;
    else if (errno != EEXIST)
        return err_errno(err, ERR_SYSTEM, "folder %s: cannot be made",
                         stage->folder);
    return 0;
}

static int find_folder(struct stage *stage, struct err *err)
{
    char name[16], folder[RUNDIR_SIZE];

    if (stage->opts.ring != NULL && strchr(stage->opts.ring, '/') != NULL)
        return find_path(stage, err);
    if (rundir_find(stage->run, stage->opts.run_dir, err) < 0)
        return -1;
    snprintf(name, sizeof(name), "%d", stage->opts.channel);
    if (rundir_folder(folder, stage->run,
                      stage->is_service ? name : stage->opts.ring, true,
                      err) < 0)
        return -1;
    strlcpy(stage->folder, folder, sizeof(stage->folder));
    snprintf(stage->path, sizeof(stage->path), "%s/ring", folder);
    return 0;
}

static int create_ring(struct stage *stage, struct err *err)
{
    const struct stage_ring_config config = {
        .house = stage->opts.house,
        .channel = stage->opts.channel,
        .min_depth = (uint32_t)stage->opts.min_depth,
        .max_depth = (uint32_t)stage->opts.max_depth,
        .pts_base = stage->opts.pts_base
    };

    return stage_ring_create(&stage->ring, stage->path, &config, err);
}

/* A ring that is there goes on; 1 when there is none that may. */
static int take_over_ring(struct stage *stage, struct err *err)
{
    char is[HOUSE_TEXT_SIZE];

    if (access(stage->path, F_OK) < 0)
        return 1;
    if (stage_ring_open(&stage->ring, stage->path, err) < 0 ||
        stage_ring_own(&stage->ring, err) < 0)
        return -1;
    /* In a shell what nobody reads is a left-over of another pipeline. */
    if (!stage->is_service && !stage_ring_has_consumer(&stage->ring, 0)) {
        stage_ring_close(&stage->ring);
        return 1;
    }
    if (stage->opts.has_house &&
        !house_equal(&stage->opts.house, &stage->ring.house)) {
        house_format(&stage->ring.house, is);
        return err_set(
            err, ERR_STATE,
            "stage ring %s: its house format is %s; stop the channel "
            "to change it",
            stage->path, is);
    }
    stage->is_taken_over = true;
    return 0;
}

static int open_ring(struct stage *stage, struct err *err)
{
    int rc = take_over_ring(stage, err);

    if (rc == 1)
        rc = create_ring(stage, err);
    if (rc < 0 || slate_begin(stage, err) < 0)
        return -1;
    asrun_start(stage);
    stats_set(&stage->stats, STATS_MIN_DEPTH, stage->ring.min_depth);
    stats_set(&stage->stats, STATS_MAX_DEPTH, stage->ring.max_depth);
    return 0;
}

/* In a shell: the ring has the house format of the first pool. */
static int house_from_list(struct stage *stage, const struct inputs *inputs,
                           struct err *err)
{
    struct pool pool;

    for (int k = 0; k < inputs->count; k++) {
        if (inputs->input[k].pool[0] == '\0')
            continue;
        if (pool_open(&pool, inputs->input[k].pool, false, err) < 0)
            return err_prefix(err, "house format");
        stage->opts.house = pool.house;
        stage->opts.has_house = true;
        pool_close(&pool);
        return 0;
    }
    return err_set(err, ERR_INPUT,
                   "the list names no pool; give --house WxH@RATE");
}

static int stage_open(struct stage *stage, struct err *err)
{
    stage->is_service = stage->opts.channel != 0;
    stage->log.channel = stage->opts.channel;
    stage->begin_us = clock_monotonic_us();
    stage->ring = STAGE_RING_EMPTY;
    stage->stats = STATS_EMPTY;
    stage->proc = STATS_PROC_EMPTY;
    stage->timeline.inputs = INPUTS_EMPTY;
    stage->clock = CLOCK_EMPTY;
    stage->asrun.fd = -1;
    if (find_folder(stage, err) < 0)
        return -1;
    if (stage->is_service) {
        log_in_service();
        if (stats_proc_enter(&stage->proc, stage->folder, "stage", err) < 0 ||
            stats_open(&stage->stats, stage->folder, true, err) < 0)
            return -1;
        stage->was_ready =
            stats_get_gauge(&stage->stats, STATS_READY_SINCE_US) != 0;
        stage->state = (int32_t)stats_get_gauge(&stage->stats, STATS_STATE);
        stage->is_below = stage->state == 1;
    }
    if (clock_open(&stage->clock, stage->run[0] ? stage->run : NULL, err) < 0 ||
        asrun_open(stage, err) < 0 || lists_open(stage, err) < 0)
        return -1;
    if (stage->opts.has_house)
        return open_ring(stage, err);
    return 0;
}

/* In a shell everything goes with us; in service the director cleans up. */
static void stage_close(struct stage *stage)
{
    const bool is_ours = stage->ring.head != NULL && !stage->is_service &&
                         !stage_ring_has_stage(&stage->ring);

    if (cli_stopping() && stage->ring.head != NULL && stage->asrun.fd >= 0)
        asrun_finish(stage);
    lists_close(stage);
    pools_close(stage, is_ours);
    timeline_clear(stage);
    slate_end(stage, is_ours);
    if (is_ours)
        unlink(stage->path);
    stage_ring_close(&stage->ring);
    const bool is_bare = !stage->is_service && access(stage->path, F_OK) < 0;
    if (is_bare && stage->run[0] != '\0')
        rundir_remove(stage->run, stage->opts.ring, NULL);
    if (stage->made_folder)
        rmdir(stage->folder);
    asrun_close(stage);
    stats_close(&stage->stats);
    stats_proc_leave(&stage->proc);
    clock_close(&stage->clock);
}

/* --- the loop ------------------------------------------------------------- */

/* In service: somebody has removed the channel's folder under us. */
static bool is_orphan(const struct stage *stage, struct err *err)
{
    if (!stage->is_service || !shm_is_unlinked(&stage->ring.shm))
        return false;
    err_set(err, ERR_UNREACHABLE,
            "stage ring %s: was removed; start the channel again", stage->path);
    return true;
}

/* 1: something was done, 0: nothing to do, -1: the end, by an error. */
static int stage_step(struct stage *stage, struct err *err)
{
    struct inputs inputs;
    const bool had_list = stage->has_list;
    bool is_busy = false;
    const int rc = lists_next(stage, &inputs, err);

    if (rc < 0)
        return -1;
    if (rc > 0) {
        if (stage->ring.head == NULL &&
            (house_from_list(stage, &inputs, err) < 0 ||
             open_ring(stage, err) < 0)) {
            inputs_clear(&inputs);
            return -1;
        }
        fill_epoch(stage);
        fill_apply(stage, &inputs);
        is_busy = true;
    }
    if (stage->ring.head == NULL)
        return 0;
    if (stage->has_list && !had_list && stage->is_taken_over)
        pools_sweep(stage);
    if (stage->is_tick && is_orphan(stage, err))
        return -1;
    if (stage->is_tick && pools_look(stage))
        fill_again(stage);
    if (slate_step(stage))
        fill_slate_anew(stage);
    fill_epoch(stage); /* before slate goes in for what is late by a jump */
    is_busy |= fill(stage);
    fill_epoch(stage); /* of the first frame */
    is_busy |= asrun_step(stage);
    pools_release(stage);
    report_step(stage);
    return is_busy;
}

/* In a shell: all is out, or nobody will ever come for it. */
static bool is_done(struct stage *stage)
{
    if (stage->is_service || stage->ring.head == NULL)
        return false;
    const int64_t end = stage_ring_end(&stage->ring);
    if (end == INT64_MAX)
        return false;
    return stage->asrun.next >= end || /* also in the as-run log */
           (stage->opts.is_no_wait &&
            !stage_ring_has_consumer(&stage->ring, 0));
}

static void arm(struct bell *bells[], struct futex_word words[], int count)
{
    for (int i = 0; i < count; i++)
        words[i] = (struct futex_word){ .word = &bells[i]->count,
                                        .seen = bell_arm(bells[i]) };
}

/* Whose ringing can give us something to do. */
static int collect_bells(struct stage *stage, struct bell *bells[])
{
    int count = 0;

    if (stage->ring.head != NULL)
        bells[count++] = stage_ring_stage_bell(&stage->ring);
    if (lists_bell(stage) != NULL)
        bells[count++] = lists_bell(stage);
    for (int i = 0; i < STAGE_POOLS && !stage->is_full; i++) {
        struct held *held = &stage->held[i];
        if (count < WAIT_WORDS && held->id != 0 && held->is_listed &&
            held->pool.head != NULL)
            bells[count++] = pool_ready_bell(&held->pool);
    }
    return count;
}

static int64_t us_to_sleep(struct stage *stage)
{
    int64_t tick = stage->tick_us - clock_monotonic_us();
    const int64_t late =
        stage->ring.head != NULL ? fill_us_until_late(stage) : INT64_MAX;

    if (slate_is_coming(stage) && tick > SLATE_US)
        tick = SLATE_US;
    return late < tick ? late : tick;
}

static void begin_tick(struct stage *stage)
{
    const int64_t now = clock_monotonic_us();

    stage->is_tick = now >= stage->tick_us;
    if (stage->is_tick)
        stage->tick_us = now + TICK_US;
}

/* Works until nothing is left to do, looks once more with the bells armed, and
 * sleeps. */
static int stage_turn(struct stage *stage, struct err *err)
{
    struct bell *bells[WAIT_WORDS];
    struct futex_word words[WAIT_WORDS];

    begin_tick(stage);
    stats_proc_beat(&stage->proc, true);
    int rc = stage_step(stage, err);
    if (rc != 0 || is_done(stage))
        return rc < 0 ? -1 : 0;
    const int count = collect_bells(stage, bells);
    arm(bells, words, count);
    stage->is_tick = false;
    rc = stage_step(stage, err);
    if (rc == 0 && !cli_stopping() && !is_done(stage))
        futex_wait_any(words, count, us_to_sleep(stage));
    for (int i = 0; i < count; i++)
        bell_disarm(bells[i]);
    return rc < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static struct stage stage; /* large */
    struct err err = ERR_EMPTY;

    stage.opts = (struct options){ .start_delay_ms = START_DELAY,
                                   .min_depth = 30,
                                   .max_depth = 60,
                                   .sandbox = "on" };
    stage.asrun.fd = -1;
    stage.maker.pidfd = -1;
    cli_start("rv-stage", &argp, argc, argv, &stage.opts);
    shm_guard();
    int rc = stage_open(&stage, &err);
    while (rc == 0 && !cli_stopping() && !is_done(&stage))
        rc = stage_turn(&stage, &err);
    stage_close(&stage);
    return cli_finish(rc, &err);
}
