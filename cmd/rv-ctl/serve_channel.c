/*
 * The directors, as the server sees them: started, adopted, watched, stopped.
 * One that dies is started again at once and takes over what runs; the server
 * keeps no knowledge that the director could not tell it.
 */
#include "serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "log/log.h"
#include "proc/spawn.h"

#define STOP_US    INT64_C(1500000) /* a director that does not stop is ended */
#define CONNECT_US INT64_C(5000)

static int place_of(const struct serve *serve, const struct served *served)
{
    return (int)(served - serve->channel);
}

struct served *served_find(struct serve *serve, int32_t id)
{
    for (int i = 0; i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id == id && id > 0)
            return &serve->channel[i];
    }
    return NULL;
}

static void name_of(int32_t id, char name[16])
{
    snprintf(name, 16, "%d", id);
}

struct served *served_new(struct serve *serve, int32_t id, struct err *err)
{
    char name[16];
    struct served *served = served_find(serve, id);

    for (int i = 0; served == NULL && i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id == 0)
            served = &serve->channel[i];
    }
    /* A stopped channel makes room: it is told as NOT_FOUND from then on. */
    for (int i = 0; served == NULL && i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].state == SERVED_STOPPED) {
            name_of(serve->channel[i].id, name);
            (void)rundir_remove(serve->run, name, NULL);
            served = &serve->channel[i];
        }
    }
    if (served == NULL) {
        err_set(err, ERR_LIMIT, "%d channels run already; stop one first",
                SERVE_CHANNELS);
        return NULL;
    }
    const bool was_running = served->id == id;
    free(served->format);
    *served = (struct served){ .id = id,
                               .state = SERVED_STOPPED,
                               .was_running = was_running,
                               .pidfd = -1,
                               .out = -1,
                               .control = CONTROL_EMPTY };
    snprintf(served->folder, sizeof(served->folder), "%.480s/%d", serve->run,
             id);
    return served;
}

/* --- starting ------------------------------------------------------------- */

struct words {
    const char *word[32];
    int count;
};

static void add(struct words *words, const char *option, const char *value)
{
    if (value == NULL || value[0] == '\0' || words->count > 28)
        return;
    words->word[words->count++] = option;
    words->word[words->count++] = value;
}

int served_start(struct serve *serve, struct served *served, bool take_over,
                 struct err *err)
{
    struct words words = { { "rv-ctl", "run" }, 2 };
    char number[16], port[16], lead[16] = "", base[32] = "";
    int out[2];

    name_of(served->id, number);
    snprintf(port, sizeof(port), "%d", served->port);
    if (serve->opts.lead_ms > 0)
        snprintf(lead, sizeof(lead), "%d", serve->opts.lead_ms);
    if (serve->opts.pts_base > 0)
        snprintf(base, sizeof(base), "%lld", (long long)serve->opts.pts_base);
    add(&words, "--run-dir", serve->run);
    add(&words, "--channel", number);
    add(&words, "--plan", served->plan);
    add(&words, "--port", port);
    add(&words, "--house", serve->opts.house);
    add(&words, "--format", served->format);
    add(&words, "--state-dir", serve->opts.state_dir);
    add(&words, "--lead", lead);
    add(&words, "--title", serve->opts.passed.title);
    add(&words, "--slate", serve->opts.passed.slate);
    add(&words, "--slate-sound", serve->opts.passed.sound);
    add(&words, "--sandbox", serve->opts.passed.sandbox);
    add(&words, "--pts-base", base);
    words.word[words.count++] = "--in-service";
    if (take_over)
        words.word[words.count++] = "--take-over";
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(err, ERR_SYSTEM, "pipe to a director");
    const struct spawn spawn = { "rv-ctl", words.word, -1, out[1], -1 };
    const int rc = spawn_start(&spawn, &served->pid, &served->pidfd, err);
    close(out[1]);
    if (rc < 0) {
        close(out[0]);
        served->pidfd = -1;
        return -1;
    }
    served->out = out[0];
    served->line_length = 0;
    served->start_at_us = 0;
    served->state = SERVED_STARTING;
    restart_begins(&served->restart, clock_monotonic_us());
    const int place = place_of(serve, served);
    return serve_watch(serve, served->pidfd, EPOLLIN, SERVE_DIRECTOR_END,
                       place) < 0 ||
                   serve_watch(serve, served->out, EPOLLIN, SERVE_DIRECTOR_LINE,
                               place) < 0
               ? -1
               : 0;
}

static void connect_control(struct serve *serve, struct served *served,
                            int64_t now_us)
{
    char path[RUNDIR_SIZE + 16];

    snprintf(path, sizeof(path), "%s/control", served->folder);
    if (control_connect(&served->control, path, NULL) < 0) {
        served->connect_at_us = now_us + CONNECT_US;
        return;
    }
    (void)serve_watch(serve, served->control.fd, EPOLLIN, SERVE_CONTROL,
                      place_of(serve, served));
    service_send(serve, served);
}

static void runs(struct serve *serve, struct served *served)
{
    served->state = SERVED_RUNNING;
    served->was_running = true;
    connect_control(serve, served, clock_monotonic_us());
    service_started(serve, served);
}

static void said(struct serve *serve, struct served *served, const char *line)
{
    json_t *object = json_loads(line, 0, NULL);

    if (json_is_true(json_object_get(object, "ok"))) {
        runs(serve, served);
    } else if (json_is_object(object)) {
        const char *kind = json_string_value(json_object_get(object, "kind"));
        const char *text =
            json_string_value(json_object_get(object, "message"));
        err_set(&served->why, err_kind_from_name(kind != NULL ? kind : ""),
                "%s", text != NULL ? text : "the director could not start");
        log_warn(&(struct log_ctx){ .channel = served->id }, "%s",
                 served->why.text);
        served->state = SERVED_STOPPED; /* answered when it is gone */
    }
    json_decref(object);
}

void served_line(struct serve *serve, int place)
{
    struct served *served = &serve->channel[place];

    if (served->out < 0)
        return;
    for (;;) {
        const ssize_t got =
            read(served->out, served->line + served->line_length,
                 sizeof(served->line) - 1 - served->line_length);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0)
            break;
        served->line_length += (size_t)got;
        served->line[served->line_length] = '\0';
        if (strchr(served->line, '\n') == NULL)
            continue;
        served->line_length = 0;
        if (served->state == SERVED_STARTING)
            said(serve, served, served->line);
        break; /* one line is all there is */
    }
    close(served->out);
    served->out = -1;
}

/* --- ending --------------------------------------------------------------- */

/* How many hold the lock on a page in this folder; all are sent `signal`, if
 * not 0. */
static int signal_pages(const char *folder, int signal)
{
    DIR *pages = opendir(folder);
    int living = 0;
    const struct dirent *entry;

    while (pages != NULL && (entry = readdir(pages)) != NULL) {
        char name[64];
        const char *dot = strstr(entry->d_name, ".proc");
        struct stats_proc_state state;
        if (dot == NULL || dot[5] != '\0' ||
            (size_t)(dot - entry->d_name) >= sizeof(name))
            continue;
        strlcpy(name, entry->d_name, (size_t)(dot - entry->d_name) + 1);
        stats_proc_look(folder, name, &state);
        const int pidfd = state.is_alive ? spawn_watch(state.pid) : -1;
        if (pidfd < 0)
            continue;
        living++;
        if (signal != 0)
            spawn_signal(pidfd, signal);
        close(pidfd);
    }
    if (pages != NULL)
        closedir(pages);
    return living;
}

/* A director that could not clean up: end all, keep the stats page. */
static void sweep(struct served *served)
{
    struct stats stats = STATS_EMPTY;
    DIR *folder;
    const struct dirent *entry;

    (void)signal_pages(served->folder, SIGKILL);
    if (stats_open(&stats, served->folder, false, NULL) == 0)
        stats_set(&stats, STATS_STATE, 0);
    stats_close(&stats);
    if ((folder = opendir(served->folder)) == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "stats") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

static void is_stopped(struct serve *serve, struct served *served)
{
    control_close(&served->control);
    served->state = SERVED_STOPPED;
    served->start_at_us = 0;
    service_stopped(serve, served->id);
}

/* As if it had never been asked for. */
static void could_not_start(struct serve *serve, struct served *served)
{
    const int32_t id = served->id;
    const int port = served->port;
    char name[16];

    served->start_at_us = 0;
    if (!served->was_running) {
        name_of(id, name);
        (void)rundir_remove(serve->run, name, NULL);
        free(served->format);
        *served = (struct served){ .id = 0,
                                   .pidfd = -1,
                                   .out = -1,
                                   .why = served->why,
                                   .control = CONTROL_EMPTY };
    }
    ports_release(serve, port);
    service_start_failed(serve, id, &served->why);
}

static void died(struct serve *serve, struct served *served)
{
    struct stats stats = STATS_EMPTY;

    control_close(&served->control);
    service_resend(serve, served->id);
    if (stats_open(&stats, served->folder, false, NULL) == 0)
        stats_add(&stats, STATS_RESTARTS_RUN, 1);
    stats_close(&stats);
    served->start_at_us = restart_when(&served->restart, clock_monotonic_us());
    log_warn(&(struct log_ctx){ .channel = served->id },
             "the director ended, starting a new one");
}

void served_ended(struct serve *serve, int place)
{
    struct served *served = &serve->channel[place];
    int status = -1;

    if (served->pidfd < 0 || !spawn_has_ended(served->pidfd))
        return;
    if (served->out >= 0)
        served_line(serve, place);
    const bool is_known = spawn_reap(served->pidfd, &status) == 0;
    close(served->pidfd);
    served->pidfd = -1;
    if (served->out >= 0)
        close(served->out);
    served->out = -1;
    if (served->control.fd >= 0 && served->state == SERVED_STOPPING)
        served_control(serve, place); /* its last answers */
    const bool is_clean =
        is_known && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    char page[RUNDIR_SIZE + 16];
    snprintf(page, sizeof(page), "%s/state", served->folder);
    const bool is_gone = !is_known && access(page, F_OK) < 0;
    switch (served->state) {
    case SERVED_STOPPED: /* it said that it cannot start */
        could_not_start(serve, served);
        break;
    case SERVED_STOPPING:
        if (!is_clean)
            sweep(served);
        is_stopped(serve, served);
        break;
    case SERVED_RUNNING:
    case SERVED_STARTING:
        if (is_clean || is_gone)
            is_stopped(serve, served); /* somebody told it to stop */
        else
            died(serve, served);
        break;
    }
}

void served_stop(struct serve *serve, struct served *served)
{
    (void)serve;
    served->state = SERVED_STOPPING;
    served->stop_until_us = clock_monotonic_us() + STOP_US;
    if (served->pidfd >= 0)
        spawn_signal(served->pidfd, SIGTERM);
}

void served_control(struct serve *serve, int place)
{
    struct served *served = &serve->channel[place];
    json_t *answer;

    if (served->control.fd < 0)
        return;
    const int rc = control_fill(&served->control, NULL);
    while ((answer = control_next(&served->control)) != NULL) {
        service_answer(serve, answer);
        json_decref(answer);
    }
    if (rc == 0 && control_flush(&served->control, NULL) == 0)
        return;
    control_close(&served->control);
    service_resend(serve, served->id);
    served->connect_at_us = clock_monotonic_us() + CONNECT_US;
}

/* --- as time goes by ------------------------------------------------------ */

static void update_one(struct serve *serve, struct served *served,
                       int64_t now_us)
{
    struct err err = ERR_EMPTY;

    if (served->pidfd >= 0 && served->state == SERVED_RUNNING &&
        !watch_is_patient(&serve->watch, now_us))
        serve_kill_if_hung(served->folder, "run", served->pid, served->pidfd,
                           now_us);
    if (served->pidfd < 0 && served->start_at_us > 0 &&
        served->start_at_us <= now_us &&
        served_start(serve, served, true, &err) < 0) {
        log_error(NULL, "%s", err.text);
        served->start_at_us = now_us + 1000000;
    }
    if (served->state == SERVED_RUNNING && served->control.fd < 0 &&
        served->pidfd >= 0 && served->connect_at_us <= now_us)
        connect_control(serve, served, now_us);
    if (served->state == SERVED_STOPPING && served->pidfd >= 0 &&
        served->stop_until_us <= now_us) {
        log_warn(&(struct log_ctx){ .channel = served->id },
                 "the director does not stop, killed");
        spawn_signal(served->pidfd, SIGKILL);
        served->stop_until_us = now_us + STOP_US;
    }
    if (served->state == SERVED_STOPPING && served->pidfd < 0) {
        sweep(served);
        is_stopped(serve, served);
    }
}

int64_t served_update(struct serve *serve, int64_t now_us)
{
    int64_t next_us = now_us + 100000;

    for (int i = 0; i < SERVE_CHANNELS; i++) {
        struct served *served = &serve->channel[i];
        if (served->id == 0)
            continue;
        update_one(serve, served, now_us);
        if (served->state == SERVED_RUNNING && served->control.fd < 0)
            next_us = now_us + CONNECT_US;
        if (served->start_at_us > 0 && served->start_at_us < next_us)
            next_us = served->start_at_us;
    }
    return next_us;
}

bool served_any(const struct serve *serve)
{
    for (int i = 0; i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id != 0 &&
            serve->channel[i].state != SERVED_STOPPED)
            return true;
    }
    return false;
}

void served_close_all(struct serve *serve)
{
    for (int i = 0; i < SERVE_CHANNELS; i++) {
        struct served *served = &serve->channel[i];
        char name[16];
        if (served->id == 0)
            continue;
        control_close(&served->control);
        name_of(served->id, name);
        (void)rundir_remove(serve->run, name, NULL);
        free(served->format);
        served->id = 0;
    }
}

/* --- what was there before us --------------------------------------------- */

static int read_port(const struct served *served)
{
    char path[RUNDIR_SIZE + 16], text[16] = "";

    snprintf(path, sizeof(path), "%s/port", served->folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return (int)strtonum(text, 0, 65535, NULL);
}

static bool has_file(const struct served *served, const char *name)
{
    char path[RUNDIR_SIZE + 16];

    snprintf(path, sizeof(path), "%s/%s", served->folder, name);
    return access(path, F_OK) == 0;
}

static void adopt(struct serve *serve, int32_t id)
{
    struct stats_proc_state state;
    struct err err = ERR_EMPTY;

    if (served_find(serve, id) != NULL)
        return; /* stopped, and known from before an execve */
    struct served *served = served_new(serve, id, &err);
    if (served == NULL) {
        log_error(NULL, "%s", err.text);
        return;
    }
    served->port = read_port(served);
    served->was_running = true;
    stats_proc_look(served->folder, "run", &state);
    const int pidfd = state.is_alive ? spawn_watch(state.pid) : -1;
    if (pidfd >= 0) {
        served->pid = state.pid;
        served->pidfd = pidfd;
        (void)serve_watch(serve, pidfd, EPOLLIN, SERVE_DIRECTOR_END,
                          place_of(serve, served));
        runs(serve, served);
        log_info(&(struct log_ctx){ .channel = id },
                 "director, process %d, taken over", (int)state.pid);
    } else if (signal_pages(served->folder, 0) == 0 ||
               !has_file(served, "state") ||
               served_start(serve, served, true, &err) < 0) {
        /* Left by a power cut or a server that ended badly. */
        char name[16];
        (void)signal_pages(served->folder, SIGKILL);
        name_of(id, name);
        (void)rundir_remove(serve->run, name, NULL);
        served->id = 0;
        return;
    }
    if (served->port > 0 &&
        ports_open(serve, served->port, &served->port, &err) < 0)
        log_warn(NULL, "%s", err.text);
}

void served_adopt_all(struct serve *serve)
{
    DIR *folder = opendir(serve->run);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *why = NULL;
        const int64_t id = strtonum(entry->d_name, 1, INT32_MAX, &why);
        char name[16];
        if (why != NULL)
            continue;
        name_of((int32_t)id, name);
        if (strcmp(name, entry->d_name) == 0)
            adopt(serve, (int32_t)id);
    }
    if (folder != NULL)
        closedir(folder);
}
