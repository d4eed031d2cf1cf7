/* serve: options, set-up, the loop and the end.  See serve.h. */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/cli.h"
#include "ctl.h"
#include "frame/house.h"
#include "log/log.h"
#include "proc/spawn.h"
#include "rpc/health.h"

#define TICK_US     INT64_C(100000)
#define STOP_ALL_US INT64_C(3000000)

enum {
    OPT_RUN_DIR = 2000,
    OPT_STATE_DIR,
    OPT_PLAN_DIR,
    OPT_MEDIA_ROOT,
    OPT_LISTEN,
    OPT_SOCKET,
    OPT_METRICS,
    OPT_HTTP_HOST,
    OPT_HTTP_PORT,
    OPT_HOUSE,
    OPT_USER,
    OPT_LEAD,
    OPT_PTS_BASE,
    OPT_CLOCK
};

static const struct argp_option options[] = {
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder", 0 },
    { "state-dir", OPT_STATE_DIR, "DIR", 0,
      "Folder of the as-run logs (default: the run folder)", 0 },
    { "plan-dir", OPT_PLAN_DIR, "DIR", 0, "Where plans are found by name", 0 },
    { "media-root", OPT_MEDIA_ROOT, "DIR", 0,
      "Where a preview's relative path begins", 0 },
    { "listen", OPT_LISTEN, "HOST:PORT", 0,
      "gRPC over TCP (127.0.0.1:50051); port 0 picks a free one", 0 },
    { "socket", OPT_SOCKET, "PATH", 0,
      "gRPC over a Unix socket (<run>/playout.sock)", 0 },
    { "metrics", OPT_METRICS, "HOST:PORT", 0,
      "Prometheus metrics (127.0.0.1:9308); port 0 picks a free one", 0 },
    { "http-host", OPT_HTTP_HOST, "HOST", 0,
      "Address that viewers come to (127.0.0.1)", 0 },
    { "http-port", OPT_HTTP_PORT, "PORT", 0,
      "Port of channels that are started with port 0 (8090)", 0 },
    { "house", OPT_HOUSE, "WxH@RATE", 0,
      "House format of plans that have none (1280x720@30000/1001)", 0 },
    { "user", OPT_USER, "NAME", 0, "Run as this user (when started as root)",
      0 },
    { "lead", OPT_LEAD, "MS", 0, "Lead of every channel's renderer (500)", 0 },
    { "pts-base", OPT_PTS_BASE, "TICKS", 0,
      "PTS of every channel's frame 0, in 90 kHz ticks (900000)", 0 },
    { "clock", OPT_CLOCK, "SOURCE", 0,
      "MasterClock: real, virtual or virtual:UTC (what the run folder has, else "
      "real)",
      0 },
    { 0 }
};

static error_t parse_places(int key, char *arg, struct serve_opts *opts)
{
    switch (key) {
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case OPT_STATE_DIR:
        opts->state_dir = arg;
        return 0;
    case OPT_PLAN_DIR:
        opts->plan_dir = arg;
        return 0;
    case OPT_MEDIA_ROOT:
        opts->media_root = arg;
        return 0;
    case OPT_SOCKET:
        opts->socket = arg;
        return 0;
    case OPT_USER:
        opts->user = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct serve_opts *opts = state->input;
    char host[256];
    uint16_t port;
    struct house house;
    struct err err = ERR_EMPTY;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &opts->passed;
        return 0;
    case OPT_LISTEN:
    case OPT_METRICS:
        cli_host_port(state, key == OPT_LISTEN ? "--listen" : "--metrics", arg,
                      host, sizeof(host), &port);
        *(key == OPT_LISTEN ? &opts->listen : &opts->metrics) = arg;
        return 0;
    case OPT_HTTP_HOST:
        opts->http_host = arg;
        return 0;
    case OPT_HTTP_PORT:
        opts->http_port = (int)cli_number(state, "--http-port", arg, 0, 65535);
        return 0;
    case OPT_HOUSE:
        if (house_parse(&house, arg, &err) < 0)
            argp_error(state, "--house: %s", err.text);
        opts->house = arg;
        return 0;
    case OPT_LEAD:
        opts->lead_ms = (int)cli_number(state, "--lead", arg, 1, 60000);
        return 0;
    case OPT_PTS_BASE:
        opts->pts_base = cli_number(state, "--pts-base", arg,
                                    HOUSE_PTS_BASE_MIN, HOUSE_PTS_WRAP - 1);
        return 0;
    case OPT_CLOCK:
        if (clock_parse_source(arg, &opts->clock, &opts->clock_us, &err) < 0)
            argp_error(state, "--clock: %s", err.text);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too much; serve takes options only", arg);
        return 0;
    default:
        return parse_places(key, arg, opts);
    }
}

static const struct argp_child children[] = { { .argp = &passed_argp }, { 0 } };

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .children = children,
    .doc = "Serve the playout control API, and run its channels."
};

int serve_watch(struct serve *serve, int fd, uint32_t events,
                enum serve_source source, int place)
{
    struct epoll_event event = { .events = events,
                                 .data.u64 =
                                     (uint64_t)source << 32 | (uint32_t)place };

    if (epoll_ctl(serve->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    log_error(NULL, "epoll: %s", strerror(errno));
    return -1;
}

void serve_kill_if_hung(const char *folder, const char *name, pid_t pid,
                        int pidfd, int64_t now_us)
{
    struct stats_proc_state state;

    stats_proc_look(folder, name, &state);
    /* A second's patience more than a stage gets: nothing waits for these. */
    if (!state.is_alive || state.pid != pid ||
        !is_hung(state.heartbeat_us + 1000000, state.is_due, now_us))
        return;
    log_warn(NULL, "%s of %s, process %d, hangs, killed", name, folder,
             (int)pid);
    spawn_signal(pidfd, SIGKILL);
}

/* --- set-up --------------------------------------------------------------- */

/* Becomes that user for good, before anything of ours is made. */
static int drop_to(const struct serve_opts *opts, struct err *err)
{
    if (geteuid() != 0) {
        return opts->user == NULL
                   ? 0
                   : err_set(err, ERR_USAGE,
                             "--user: only root can become another user");
    }
    if (opts->user == NULL) {
        log_warn(NULL, "runs as root; give --user NAME to drop to a user");
        return 0;
    }
    const struct passwd *user = getpwnam(opts->user);
    if (user == NULL)
        return err_set(err, ERR_USAGE, "--user: there is no user '%s'",
                       opts->user);
    if (opts->run_dir != NULL && mkdir(opts->run_dir, 0700) == 0 &&
        chown(opts->run_dir, user->pw_uid, user->pw_gid) < 0)
        return err_errno(err, ERR_SYSTEM, "--run-dir %s", opts->run_dir);
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
        return err_errno(err, ERR_SYSTEM, "--user %s", opts->user);
    return 0;
}

static int take_lock(struct serve *serve, struct err *err)
{
    char path[RUNDIR_SIZE + 16];

    if (serve->lock >= 0)
        return 0; /* kept over an execve */
    snprintf(path, sizeof(path), "%s/serve.lock", serve->run);
    serve->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (serve->lock < 0)
        return err_errno(err, ERR_SYSTEM, "%s", path);
    if (flock(serve->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return err_set(err, ERR_STATE,
                   "run folder %s: another rv-ctl serve uses it; stop that one "
                   "or give another --run-dir",
                   serve->run);
}

static void try_clock(struct serve *serve)
{
    struct clock mine;

    if (serve->has_clock && serve->clock.is_keeper) {
        const int64_t jump_us = clock_tick(&serve->clock);
        if (jump_us != 0)
            log_warn(NULL, "the clock jumped by %+lld ms",
                     (long long)(jump_us / 1000));
        return;
    }
    if (clock_keep(&mine, serve->run, serve->opts.clock, serve->opts.clock_us,
                   NULL) == 0) {
        if (serve->has_clock)
            clock_close(&serve->clock);
        serve->clock = mine;
        serve->has_clock = true;
    } else if (!serve->has_clock) {
        serve->has_clock = clock_open(&serve->clock, serve->run, NULL) == 0;
    }
}

static int open_loop(struct serve *serve, struct err *err)
{
    sigset_t mask;

    serve->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (serve->epoll < 0)
        return err_errno(err, ERR_SYSTEM, "epoll");
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return err_errno(err, ERR_SYSTEM, "signalfd");
    return serve_watch(serve, signals, EPOLLIN, SERVE_SIGNAL, signals);
}

static int listen_grpc(struct serve *serve, struct err *err)
{
    char address[RUNDIR_SIZE + 48];

    if (exec_is_renewed())
        return 0; /* the listeners were handed on */
    if (rpc_server_listen(serve->server, serve->opts.listen, serve->grpc,
                          sizeof(serve->grpc), err) < 0)
        return err_prefix(err, "--listen");
    snprintf(address, sizeof(address), "unix:%s", serve->socket);
    if (rpc_server_listen(serve->server, address, NULL, 0, err) < 0)
        return err_prefix(err, "--socket");
    return 0;
}

static int set_socket(struct serve *serve, struct err *err)
{
    if (serve->opts.socket == NULL) {
        snprintf(serve->socket, sizeof(serve->socket), "%s/playout.sock",
                 serve->run);
        return 0;
    }
    if (serve->opts.socket[0] == '/') {
        strlcpy(serve->socket, serve->opts.socket, sizeof(serve->socket));
        return 0;
    }
    char here[RUNDIR_SIZE];
    if (getcwd(here, sizeof(here)) == NULL)
        return err_errno(err, ERR_SYSTEM, "present folder");
    snprintf(serve->socket, sizeof(serve->socket), "%.480s/%.60s", here,
             serve->opts.socket);
    return 0;
}

/* Folders as they are from here, wherever a director starts. */
static int make_absolute(const char **path, char absolute[1024],
                         const char *option, struct err *err)
{
    if (*path == NULL)
        return 0;
    if (path_absolute(absolute, 1024, *path, err) < 0)
        return err_prefix(err, "%s", option);
    *path = absolute;
    return 0;
}

static int open_default_port(struct serve *serve)
{
    struct err err = ERR_EMPTY;

    if (ports_open(serve, serve->opts.http_port, &serve->opts.http_port,
                   &err) == 0)
        return 0;
    /* Tried again when a channel wants it. */
    log_warn(NULL, "--http-port: %s", err.text);
    return 0;
}

static int set_up(struct serve *serve, struct err *err)
{
    if (drop_to(&serve->opts, err) < 0 ||
        rundir_find(serve->run, serve->opts.run_dir, err) < 0 ||
        make_absolute(&serve->opts.state_dir, serve->state_dir, "--state-dir",
                      err) < 0 ||
        make_absolute(&serve->opts.plan_dir, serve->plan_dir, "--plan-dir",
                      err) < 0 ||
        make_absolute(&serve->opts.media_root, serve->media_root,
                      "--media-root", err) < 0 ||
        set_socket(serve, err) < 0 || open_loop(serve, err) < 0)
        return -1;
    serve->server = rpc_server_new(NULL, err);
    if (serve->server == NULL || exec_take(serve, err) < 0 ||
        take_lock(serve, err) < 0 || service_add(serve, err) < 0 ||
        listen_grpc(serve, err) < 0)
        return -1;
    try_clock(serve);
    if (!exec_is_renewed())
        ports_adopt_all(serve);
    if (ports_metrics(serve, err) < 0)
        return -1;
    served_adopt_all(serve);
    (void)open_default_port(serve);
    return serve_watch(serve, rpc_server_fd(serve->server), EPOLLIN, SERVE_RPC,
                       0);
}

static void announce(struct serve *serve)
{
    const struct port *metrics = ports_find_metrics(serve);
    json_t *line = json_object();

    json_object_set_new(line, "grpc", json_string(serve->grpc));
    json_object_set_new(line, "socket", json_string(serve->socket));
    json_object_set_new(line, "metrics",
                        json_string(metrics != NULL ? metrics->address : ""));
    json_object_set_new(line, "run_dir", json_string(serve->run));
    json_object_set_new(line, "pid", json_integer(getpid()));
    json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

/* --- loop ----------------------------------------------------------------- */

static void on_signal(struct serve *serve, int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGUSR2)
            serve->wants_exec = true;
        else
            serve->is_stopping = true;
    }
}

static void dispatch(struct serve *serve, uint64_t what)
{
    const int place = (int)(uint32_t)what;
    struct err err = ERR_EMPTY;

    switch ((enum serve_source)(what >> 32)) {
    case SERVE_SIGNAL:
        on_signal(serve, place);
        break;
    case SERVE_RPC:
        if (rpc_server_dispatch(serve->server, &err) < 0)
            log_error(NULL, "%s", err.text);
        break;
    case SERVE_DIRECTOR_END:
        served_ended(serve, place);
        break;
    case SERVE_DIRECTOR_LINE:
        served_line(serve, place);
        break;
    case SERVE_CONTROL:
        served_control(serve, place);
        break;
    case SERVE_PORT_END:
        ports_ended(serve, place);
        break;
    }
}

static void step(struct serve *serve, int64_t until_us)
{
    struct epoll_event events[64];
    const int64_t left_us = until_us - clock_monotonic_us();
    const int wait_ms = left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
    const int count =
        epoll_wait(serve->epoll, events, 64, wait_ms < 100 ? wait_ms : 100);
    struct err err = ERR_EMPTY;

    watch_turn(&serve->watch, clock_monotonic_us());
    for (int i = 0; i < count; i++)
        dispatch(serve, events[i].data.u64);
    /* Answers given outside a dispatch are flushed here. */
    if (rpc_server_dispatch(serve->server, &err) < 0)
        log_error(NULL, "%s", err.text);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void serve_all(struct serve *serve)
{
    int64_t next_us = 0, tick_us = 0;

    while (!serve->is_stopping) {
        step(serve, next_us);
        const int64_t now_us = clock_monotonic_us();
        if (now_us - tick_us >= TICK_US) {
            tick_us = now_us;
            try_clock(serve);
        }
        if (serve->wants_exec) {
            serve->wants_exec = false;
            exec_self(serve);
        }
        next_us = least(
            served_update(serve, now_us),
            least(ports_update(serve, now_us), service_update(serve, now_us)));
    }
}

/* --- the end -------------------------------------------------------------- */

static void stop_all(struct serve *serve)
{
    const int64_t begin_us = clock_monotonic_us();

    for (int i = 0; i < SERVE_CHANNELS; i++) {
        struct served *served = &serve->channel[i];
        if (served->id != 0 && served->state != SERVED_STOPPED)
            served_stop(serve, served);
    }
    while (served_any(serve) && clock_monotonic_us() - begin_us < STOP_ALL_US) {
        step(serve, clock_monotonic_us() + 10000);
        (void)served_update(serve, clock_monotonic_us());
    }
}

static void remove_files(struct serve *serve)
{
    static const char *const names[] = { "serve.lock", "clock" };
    char path[RUNDIR_SIZE + 16];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", serve->run, names[i]);
        (void)unlink(path);
    }
    rundir_tidy(serve->run);
}

static void tear_down(struct serve *serve)
{
    stop_all(serve);
    rpc_server_shutdown(serve->server, 200);
    const int64_t until_us = clock_monotonic_us() + 300000;
    while (!rpc_server_is_drained(serve->server) &&
           clock_monotonic_us() < until_us)
        step(serve, clock_monotonic_us() + 10000);
    ports_close_all(serve);
    served_close_all(serve);
    rpc_server_free(serve->server);
    rpc_health_free(serve->health);
    clock_close(&serve->clock);
    remove_files(serve);
}

int serve_main(int argc, char **argv)
{
    struct serve *serve = calloc(1, sizeof(*serve));
    struct err err = ERR_EMPTY;

    if (serve == NULL)
        return err_exit_status(ERR_SYSTEM);
    serve->opts = (struct serve_opts){ .listen = "127.0.0.1:50051",
                                       .metrics = "127.0.0.1:9308",
                                       .http_host = "127.0.0.1",
                                       .http_port = 8090,
                                       .house = "1280x720@30000/1001",
                                       .clock = CLOCK_SOURCE_AS_IT_IS };
    serve->lock = -1;
    serve->clock = CLOCK_EMPTY;
    cli_start("rv-ctl", &argp, argc, argv, &serve->opts);
    shm_guard();
    const int rc = set_up(serve, &err);
    if (rc == 0) {
        if (!exec_is_renewed())
            announce(serve);
        log_in_service();
        serve_all(serve);
        tear_down(serve);
    } else {
        serve->is_stopping = true;
        ports_close_all(serve);
        if (serve->server != NULL)
            rpc_server_free(serve->server);
    }
    free(serve);
    return cli_finish(rc, &err);
}
