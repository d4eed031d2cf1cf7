/*
 * run: `rv-ctl run CHANNEL`, one channel's director: options, set-up, the loop
 * and the end.  Nothing in the loop waits: an order that takes time is answered
 * when it is done.  Killed at any moment, it leaves the channel playing; the
 * next one reads the state on disk and goes on.
 */
#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/cli.h"
#include "ctl.h"
#include "frame/ts_ring.h"
#include "log/log.h"
#include "proc/spawn.h"

#define CLOCK_TICK_US INT64_C(100000)
#define KILL_AFTER_US INT64_C(500000)
#define GIVE_UP_US    INT64_C(900000)
#define HOLE_US       INT64_C(5000000) /* longer: a new epoch, not the old one */

enum {
    OPT_RUN_DIR = 1000,
    OPT_CHANNEL,
    OPT_STATE_DIR,
    OPT_PLAN,
    OPT_PORT,
    OPT_HOUSE,
    OPT_FORMAT,
    OPT_LEAD,
    OPT_MIN,
    OPT_MAX,
    OPT_PTS_BASE,
    OPT_SERVICE,
    OPT_TAKE_OVER
};

struct run_args {
    struct run_opts opts;
    bool is_take_over;
    int words;
};

static const struct argp_option options[] = {
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder", 0 },
    { "channel", OPT_CHANNEL, "N", 0, "The channel, instead of CHANNEL", 0 },
    { "state-dir", OPT_STATE_DIR, "DIR", 0,
      "Folder of the as-run log (default: the run folder)", 0 },
    { "plan", OPT_PLAN, "PATH", 0, "Plan, list of files or media file to play",
      0 },
    { "port", OPT_PORT, "N", 0, "Port that rv-http shall serve it on", 0 },
    { "house", OPT_HOUSE, "WxH@RATE", 0, "House format where the plan has none",
      0 },
    { "format", OPT_FORMAT, "JSON", 0,
      "House format that overrides the plan's (program_format_json)", 0 },
    { "lead", OPT_LEAD, "MS", 0, "Lead of rv-render", 0 },
    { "min-depth", OPT_MIN, "N", 0, "Least frames staged", 0 },
    { "max-depth", OPT_MAX, "N", 0, "Most frames staged", 0 },
    { "pts-base", OPT_PTS_BASE, "TICKS", 0,
      "PTS of the channel's frame 0, in 90 kHz ticks (900000)", 0 },
    { "in-service", OPT_SERVICE, NULL, OPTION_HIDDEN,
      "A server reads standard output and the stats page", 0 },
    { "take-over", OPT_TAKE_OVER, NULL, 0,
      "Go on with what runs already; --plan only where nothing does", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct run_args *args = state->input;
    struct run_opts *opts = &args->opts;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &opts->passed;
        break;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        break;
    case OPT_STATE_DIR:
        opts->state_dir = arg;
        break;
    case OPT_PLAN:
        opts->plan = arg;
        break;
    case OPT_PORT:
        opts->port = (int)cli_number(state, "--port", arg, 0, 65535);
        break;
    case OPT_HOUSE:
        opts->house = arg;
        break;
    case OPT_FORMAT:
        opts->format = arg;
        break;
    case OPT_LEAD:
        opts->lead_ms = (int)cli_number(state, "--lead", arg, 0, 60000);
        break;
    case OPT_MIN:
        opts->min_depth =
            (int)cli_number(state, "--min-depth", arg, 1, STAGE_DEPTH_MAX);
        break;
    case OPT_MAX:
        opts->max_depth =
            (int)cli_number(state, "--max-depth", arg, 1, STAGE_DEPTH_MAX);
        break;
    case OPT_PTS_BASE:
        opts->pts_base = cli_number(state, "--pts-base", arg,
                                    HOUSE_PTS_BASE_MIN, HOUSE_PTS_WRAP - 1);
        break;
    case OPT_SERVICE:
        opts->keeps_stats = true;
        break;
    case OPT_TAKE_OVER:
        args->is_take_over = true;
        break;
    case OPT_CHANNEL:
    case ARGP_KEY_ARG:
        if (args->words++ > 0)
            argp_error(state, "one channel at a time");
        opts->channel =
            (int32_t)cli_number(state, "CHANNEL", arg, 1, INT32_MAX);
        break;
    case ARGP_KEY_END:
        if (args->words == 0)
            argp_error(state, "no CHANNEL; give a number, e.g. 1");
        if (opts->plan == NULL && !args->is_take_over)
            argp_error(state, "no --plan; give a plan's path");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = { { .argp = &passed_argp }, { 0 } };

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .children = children,
    .args_doc = "CHANNEL",
    .doc = "Direct one channel: play its plan until told to stop."
};

void loop_add(struct channel *channel, int fd, uint32_t events,
              enum source source, int place)
{
    struct epoll_event event = { .events = events,
                                 .data.u64 =
                                     (uint64_t)source << 32 | (uint32_t)place };

    if (epoll_ctl(channel->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        log_error(NULL, "epoll: %s", strerror(errno));
}

/* --- set-up --------------------------------------------------------------- */

static void open_clock(struct channel *channel)
{
    struct err err = ERR_EMPTY;

    if (clock_keep(&channel->clock, channel->run, CLOCK_SOURCE_AS_IT_IS, 0,
                   &err) == 0)
        return;
    if (clock_open(&channel->clock, channel->run, &err) < 0)
        log_warn(NULL, "%s", err.text);
}

/* Whoever keeps the clock may die: then it is ours to keep. */
static void tick_clock(struct channel *channel, int64_t now_us)
{
    struct clock_state state;
    struct clock mine;

    if (now_us - channel->clock_tick_us < CLOCK_TICK_US)
        return;
    channel->clock_tick_us = now_us;
    if (channel->clock.is_keeper) {
        const int64_t jump_us = clock_tick(&channel->clock);
        if (jump_us != 0)
            log_warn(NULL, "the clock jumped by %+lld ms",
                     (long long)(jump_us / 1000));
        return;
    }
    clock_state(&channel->clock, &state);
    if (state.has_keeper ||
        clock_keep(&mine, channel->run, CLOCK_SOURCE_AS_IT_IS, 0, NULL) < 0)
        return;
    clock_close(&channel->clock);
    channel->clock = mine;
}

static int set_asrun(struct channel *channel, struct err *err)
{
    const char *folder = channel->opts.state_dir != NULL
                             ? channel->opts.state_dir
                             : channel->run;
    char absolute[1024];

    if (path_absolute(absolute, sizeof(absolute), folder, err) < 0)
        return -1;
    if (mkdir(absolute, 0755) < 0 && errno != EEXIST)
        return err_errno(err, ERR_SYSTEM, "state folder %s", absolute);
    snprintf(channel->asrun, sizeof(channel->asrun), "%s/asrun-%d.jsonl",
             absolute, channel->opts.channel);
    return 0;
}

static int set_folder(struct channel *channel, struct err *err)
{
    char name[16];

    snprintf(name, sizeof(name), "%d", channel->opts.channel);
    if (rundir_find(channel->run, channel->opts.run_dir, err) < 0 ||
        rundir_folder(channel->folder, channel->run, name, true, err) < 0 ||
        set_asrun(channel, err) < 0 ||
        stats_proc_enter(&channel->self, channel->folder, "run", err) < 0)
        return -1;
    return stats_open(&channel->stats, channel->folder, true, err);
}

/* Removes what an earlier run of the channel left, but what is of use. */
static void clean_folder(const struct channel *channel)
{
    DIR *folder = opendir(channel->folder);
    const struct dirent *entry;

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        if (name[0] == '.' || strcmp(name, "stats") == 0 ||
            strcmp(name, "run.proc") == 0)
            continue;
        unlinkat(dirfd(folder), name, 0);
    }
    closedir(folder);
}

/* Does something of an earlier director live, or did until just now? */
static bool is_alive(struct channel *channel)
{
    char path[RUNDIR_SIZE + 8];
    struct stats_proc_state stage, render;

    snprintf(path, sizeof(path), "%s/ring", channel->folder);
    if (stage_ring_open(&channel->ring, path, NULL) < 0)
        return false;
    stats_proc_look(channel->folder, "stage", &stage);
    stats_proc_look(channel->folder, "render", &render);
    const struct stage_epoch epoch = stage_ring_epoch(&channel->ring);
    const int64_t due_us = stage_ring_deadline_us(
        &channel->ring, &epoch, stage_ring_cursor(&channel->ring));
    if (stage.is_alive || render.is_alive ||
        (epoch.serial != 0 &&
         due_us > clock_utc_us(&channel->clock) -
                      clock_in_us(&channel->clock, HOLE_US)))
        return true;
    stage_ring_close(&channel->ring);
    return false;
}

/* Ends what is left of a channel whose state is of no use. */
static void end_leftovers(struct channel *channel)
{
    procs_adopt(channel);
    struct proc *const all[] = { &channel->stage, &channel->render };
    for (int i = 0; i < 2; i++) {
        if (all[i]->pidfd < 0)
            continue;
        spawn_signal(all[i]->pidfd, SIGKILL);
        close(all[i]->pidfd);
        all[i]->pidfd = -1;
    }
    stage_ring_close(&channel->ring);
}

/* What runs was taken over, and this is what it shall play from now on. */
static void play_instead(struct channel *channel, const char *plan)
{
    struct conn nobody = { .control = CONTROL_EMPTY };
    char path[1024];

    if (path_absolute(path, sizeof(path), plan, NULL) < 0)
        return;
    json_t *request = json_pack("{s:s}", "plan", path);
    plans_update(channel, &nobody, request);
    json_decref(request);
}

static int take_over_or_start(struct channel *channel, bool is_take_over,
                              struct err *err)
{
    const char *plan = channel->opts.plan;

    if (is_alive(channel)) {
        const int rc = state_read(channel, err);
        if (rc == 1) {
            procs_adopt(channel);
            channel->is_adopted = true;
            log_info(NULL, "channel %d taken over at frame %lld",
                     channel->opts.channel, (long long)air_position(channel));
            if (!is_take_over && plan != NULL)
                play_instead(channel, plan);
            return 0;
        }
        if (rc < 0)
            log_warn(NULL, "%s", err->text);
        end_leftovers(channel);
        plans_free(channel);
    }
    if (plan == NULL)
        return err_set(err, ERR_STATE,
                       "channel %d: nothing runs that could be taken over; "
                       "give --plan",
                       channel->opts.channel);
    clean_folder(channel);
    return plans_first(channel, err);
}

static int write_port(const struct channel *channel, struct err *err)
{
    char path[RUNDIR_SIZE + 16], beside[RUNDIR_SIZE + 16];

    snprintf(path, sizeof(path), "%s/port", channel->folder);
    if (channel->opts.port == 0) {
        (void)unlink(path);
        return 0;
    }
    snprintf(beside, sizeof(beside), "%s/port.new", channel->folder);
    FILE *file = fopen(beside, "we");
    if (file == NULL)
        return err_errno(err, ERR_SYSTEM, "%s", beside);
    fprintf(file, "%d\n", channel->opts.port);
    if (fclose(file) != 0 || rename(beside, path) < 0)
        return err_errno(err, ERR_SYSTEM, "%s", path);
    return 0;
}

static int open_loop(struct channel *channel, struct err *err)
{
    sigset_t mask;

    channel->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (channel->epoll < 0)
        return err_errno(err, ERR_SYSTEM, "epoll");
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return err_errno(err, ERR_SYSTEM, "signalfd");
    loop_add(channel, signals, EPOLLIN, SOURCE_SIGNAL, signals);
    return 0;
}

static int open_control(struct channel *channel, struct err *err)
{
    char path[RUNDIR_SIZE + 16];

    snprintf(path, sizeof(path), "%s/control", channel->folder);
    channel->listener = control_listen(path, err);
    if (channel->listener < 0)
        return -1;
    loop_add(channel, channel->listener, EPOLLIN, SOURCE_LISTENER, 0);
    return 0;
}

static int set_up(struct channel *channel, const struct run_args *args,
                  struct err *err)
{
    char house[HOUSE_TEXT_SIZE];

    channel->opts = args->opts;
    channel->self = STATS_PROC_EMPTY;
    channel->stats = STATS_EMPTY;
    channel->clock = CLOCK_EMPTY;
    channel->ring = STAGE_RING_EMPTY;
    channel->listener = -1;
    for (int i = 0; i < CHANNEL_CONNS; i++)
        channel->conn[i].control = CONTROL_EMPTY;
    procs_init(channel);
    decoders_init(channel);
    if (set_folder(channel, err) < 0)
        return -1;
    open_clock(channel);
    if (open_loop(channel, err) < 0 ||
        take_over_or_start(channel, args->is_take_over, err) < 0 ||
        write_port(channel, err) < 0 || open_control(channel, err) < 0)
        return -1;
    house_format(&channel->house, house);
    stats_set(&channel->stats, STATS_PORT, channel->opts.port);
    stats_set_text(&channel->stats, STATS_TEXT_HOUSE, house);
    return 0;
}

/* --- loop ----------------------------------------------------------------- */

static void dispatch(struct channel *channel, uint64_t what, int64_t now_us)
{
    const int place = (int)(uint32_t)what;
    struct signalfd_siginfo info;

    switch ((enum source)(what >> 32)) {
    case SOURCE_SIGNAL:
        if (read(place, &info, sizeof(info)) == (ssize_t)sizeof(info))
            channel->is_stopping = true;
        break;
    case SOURCE_LISTENER:
        orders_accept(channel);
        break;
    case SOURCE_CONN:
        orders_read(channel, place);
        break;
    case SOURCE_PROC:
        procs_ended(channel, place, now_us);
        break;
    case SOURCE_DECODER_END:
        decoders_ended(channel, place, now_us);
        break;
    case SOURCE_DECODER_LINE:
        decoders_line(channel, place, now_us);
        break;
    }
}

static void wait_and_dispatch(struct channel *channel, int64_t until_us)
{
    struct epoll_event events[32];
    const int64_t left_us = until_us - clock_monotonic_us();
    const int wait_ms = left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
    const int count =
        epoll_wait(channel->epoll, events, 32, wait_ms < 100 ? wait_ms : 100);

    watch_turn(&channel->watch, clock_monotonic_us());
    for (int i = 0; i < count; i++)
        dispatch(channel, events[i].data.u64, clock_monotonic_us());
}

static void play(struct channel *channel)
{
    int64_t next_us = 0;

    while (!channel->is_stopping) {
        wait_and_dispatch(channel, next_us);
        const int64_t now_us = clock_monotonic_us();
        tick_clock(channel, now_us);
        stats_proc_beat(&channel->self, true); /* always at work */
        plans_settle_epoch(channel, now_us);
        const int64_t procs_us = procs_update(channel, now_us);
        const int64_t air_us = air_update(channel, now_us);
        next_us = procs_us < air_us ? procs_us : air_us;
    }
}

/* --- the end -------------------------------------------------------------- */

static void end_stream(struct channel *channel)
{
    char path[RUNDIR_SIZE + 8];
    struct ts_ring ring = TS_RING_EMPTY;

    snprintf(path, sizeof(path), "%s/ts", channel->folder);
    if (ts_ring_open(&ring, path, true, NULL) == 0)
        ts_ring_close_stream(&ring);
    ts_ring_close(&ring);
}

static bool any_alive(const struct channel *channel)
{
    return channel->stage.pidfd >= 0 || channel->render.pidfd >= 0 ||
           decoders_any(channel);
}

static void signal_all(struct channel *channel, int number)
{
    spawn_signal(channel->stage.pidfd, number);
    spawn_signal(channel->render.pidfd, number);
    decoders_kill_all(channel, SIGKILL); /* nothing of theirs is kept */
}

static void end_processes(struct channel *channel)
{
    const int64_t begin_us = clock_monotonic_us();
    bool is_killed = false;

    signal_all(channel, SIGTERM);
    for (;;) {
        const int64_t now_us = clock_monotonic_us();
        /* A killed process whose end is not told (adopted) is polled. */
        wait_and_dispatch(channel, now_us + 5000);
        procs_ended(channel, 0, now_us);
        procs_ended(channel, 1, now_us);
        if (!any_alive(channel) || now_us - begin_us > GIVE_UP_US)
            return;
        if (!is_killed && now_us - begin_us > KILL_AFTER_US) {
            signal_all(channel, SIGKILL);
            is_killed = true;
        }
    }
}

static json_t *stopped(struct channel *channel, const json_t *request,
                       const void *data)
{
    char text[64];

    (void)data;
    snprintf(text, sizeof(text), "channel %d is stopped",
             channel->opts.channel);
    json_t *answer = control_answer(request, text);
    json_object_set_new(answer, "success", json_true());
    return answer;
}

static void empty_folder(struct channel *channel)
{
    char name[16];

    snprintf(name, sizeof(name), "%d", channel->opts.channel);
    clean_folder(channel);
    stats_proc_leave(&channel->self);
    if (!channel->opts.keeps_stats)
        (void)rundir_remove(channel->run, name, NULL);
}

/* Whoever keeps the clock takes its page along, unless others are here. */
static void remove_clock(struct channel *channel)
{
    DIR *folder = opendir(channel->run);
    const struct dirent *entry;
    char path[RUNDIR_SIZE + 8];
    bool is_alone = channel->clock.is_keeper;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        is_alone =
            is_alone && (entry->d_name[0] < '1' || entry->d_name[0] > '9');
    if (folder != NULL)
        closedir(folder);
    snprintf(path, sizeof(path), "%s/clock", channel->run);
    if (is_alone)
        (void)unlink(path);
    clock_close(&channel->clock);
    channel->clock = CLOCK_EMPTY;
}

static void tear_down(struct channel *channel)
{
    struct err err = ERR_EMPTY;

    end_stream(channel);
    end_processes(channel);
    stats_set(&channel->stats, STATS_STATE, 0);
    stats_set(&channel->stats, STATS_VIEWERS, 0);
    stats_set(&channel->stats, STATS_DEPTH_FRAMES, 0);
    stage_ring_close(&channel->ring);
    empty_folder(channel);
    orders_answer_all(channel, channel->stop_waits, stopped, NULL);
    err_set(&err, ERR_STATE, "channel %d is stopped", channel->opts.channel);
    orders_answer_all(channel, channel->load_waits, orders_refusal_maker, &err);
    orders_answer_all(channel, channel->switch_waits, orders_refusal_maker,
                      &err);
    orders_answer_all(channel, channel->update_waits, orders_refusal_maker,
                      &err);
    orders_close(channel);
    stats_close(&channel->stats);
    remove_clock(channel);
}

/* A server reads these lines: that it runs, or why not. */
static void say(const struct channel *channel, int rc, const struct err *err)
{
    if (rc < 0 && !channel->opts.keeps_stats)
        return; /* the sentence goes to standard error */
    json_t *line = rc < 0 ? control_refusal(NULL, err)
                          : control_answer(NULL, "the channel runs");
    json_object_set_new(line, "channel", json_integer(channel->opts.channel));
    json_object_set_new(line, "folder", json_string(channel->folder));
    json_object_set_new(line, "pid", json_integer(getpid()));
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

int run_main(int argc, char **argv)
{
    struct run_args args = { .words = 0 };
    struct channel *channel = calloc(1, sizeof(*channel));
    struct err err = ERR_EMPTY;

    cli_start("rv-ctl", &argp, argc, argv, &args);
    shm_guard();
    if (channel == NULL) {
        err_set(&err, ERR_SYSTEM, "no memory");
        return cli_finish(-1, &err);
    }
    if (args.opts.keeps_stats)
        log_in_service();
    const int rc = set_up(channel, &args, &err);
    say(channel, rc, &err);
    if (rc == 0) {
        play(channel);
        tear_down(channel);
    } else if (channel->self.page != NULL && !channel->is_adopted) {
        empty_folder(channel);
        remove_clock(channel);
    }
    const int status = cli_finish(rc, &err);
    plans_free(channel);
    free(channel->told);
    free(channel);
    return status;
}
