/*
 * procs: rv-stage and rv-render of a channel.  What dies is started again at
 * once; what hangs while a frame is due is killed first.  Alive means: holds
 * the lock on its page, so one that an earlier director started is found and
 * watched just so, though it is nobody's child.
 */
#include "channel.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/string.h>

#include "log/log.h"
#include "proc/spawn.h"

#define WATCH_US INT64_C(100000)

static const struct log_ctx *about(const struct channel *channel)
{
    static struct log_ctx ctx;

    ctx = LOG_CTX_EMPTY;
    ctx.channel = channel->opts.channel;
    return &ctx;
}

void procs_init(struct channel *channel)
{
    channel->stage = (struct proc){ .name = "stage",
                                    .counter = STATS_RESTARTS_STAGE,
                                    .is_wanted = true,
                                    .pidfd = -1 };
    channel->render = (struct proc){ .name = "render",
                                     .counter = STATS_RESTARTS_RENDER,
                                     .is_wanted = true,
                                     .pidfd = -1 };
}

bool ring_is_open(const struct channel *channel)
{
    return channel->ring.head != NULL;
}

struct words {
    const char *word[40];
    int count;
};

static void add(struct words *words, const char *word)
{
    if (words->count < 39)
        words->word[words->count++] = word;
}

static void add_common(struct words *words, const char *name,
                       const struct channel *channel, char number[16])
{
    snprintf(number, 16, "%d", channel->opts.channel);
    add(words, name);
    add(words, "--run-dir");
    add(words, channel->run);
    add(words, "--channel");
    add(words, number);
}

static void add_number(struct words *words, const char *option, char text[32],
                       int64_t value)
{
    if (value == 0)
        return;
    snprintf(text, 32, "%lld", (long long)value);
    add(words, option);
    add(words, text);
}

/* An option whose text has the channel's number for each %d. */
static void add_text(struct words *words, const char *option,
                     const struct channel *channel, const char *text,
                     char out[1024])
{
    char number[16];

    if (text == NULL)
        return;
    snprintf(number, sizeof(number), "%d", channel->opts.channel);
    out[0] = '\0';
    while (*text != '\0') {
        const size_t length = strlen(out);
        const bool is_number = text[0] == '%' && text[1] == 'd';
        if (is_number)
            strlcat(out, number, 1024);
        else if (length < 1023)
            memcpy(out + length, (char[2]){ *text, '\0' }, 2);
        text += is_number ? 2 : 1;
    }
    add(words, option);
    add(words, out);
}

static int start_stage(struct channel *channel, pid_t *pid, int *pidfd,
                       struct err *err)
{
    struct words words = { .count = 0 };
    char number[16], epoch[32], low[32], high[32], base[32];
    char house[HOUSE_TEXT_SIZE], title[1024], slate[1024];

    house_format(&channel->house, house);
    add_common(&words, "rv-stage", channel, number);
    add(&words, "--house");
    add(&words, house);
    add(&words, "--asrun");
    add(&words, channel->asrun);
    add_number(&words, "--epoch", epoch, channel->forced_epoch_us);
    add_number(&words, "--min-depth", low, channel->opts.min_depth);
    add_number(&words, "--max-depth", high, channel->opts.max_depth);
    add_text(&words, "--title", channel, channel->opts.passed.title, title);
    add_text(&words, "--slate", channel, channel->opts.passed.slate, slate);
    if (channel->opts.passed.sound != NULL) {
        add(&words, "--slate-sound");
        add(&words, channel->opts.passed.sound);
    }
    if (channel->opts.passed.sandbox != NULL) {
        add(&words, "--sandbox");
        add(&words, channel->opts.passed.sandbox);
    }
    add_number(&words, "--pts-base", base, channel->opts.pts_base);
    const struct spawn spawn = { "rv-stage", words.word, -1, -1, -1 };
    return spawn_start(&spawn, pid, pidfd, err);
}

static int start_render(struct channel *channel, pid_t *pid, int *pidfd,
                        struct err *err)
{
    struct words words = { .count = 0 };
    char number[16], lead[32];

    add_common(&words, "rv-render", channel, number);
    add(&words, "--ts-ring");
    add_number(&words, "--lead-ms", lead, channel->opts.lead_ms);
    const struct spawn spawn = { "rv-render", words.word, -1, -1, -1 };
    return spawn_start(&spawn, pid, pidfd, err);
}

static void watch(struct channel *channel, struct proc *proc, pid_t pid,
                  int pidfd)
{
    proc->pid = pid;
    proc->pidfd = pidfd;
    loop_add(channel, pidfd, EPOLLIN, SOURCE_PROC,
             proc == &channel->stage ? 0 : 1);
}

static void start(struct channel *channel, struct proc *proc, int64_t now_us)
{
    struct err err = ERR_EMPTY;
    pid_t pid;
    int pidfd;

    restart_begins(&proc->restart, now_us);
    const int rc = proc == &channel->stage
                       ? start_stage(channel, &pid, &pidfd, &err)
                       : start_render(channel, &pid, &pidfd, &err);
    if (rc < 0) {
        log_error(about(channel), "%s", err.text);
        proc->start_at_us = now_us + 1000000;
        return;
    }
    watch(channel, proc, pid, pidfd);
}

void procs_adopt(struct channel *channel)
{
    struct proc *const all[] = { &channel->stage, &channel->render };

    for (int i = 0; i < 2; i++) {
        struct stats_proc_state state;
        stats_proc_look(channel->folder, all[i]->name, &state);
        if (!state.is_alive)
            continue;
        const int pidfd = spawn_watch(state.pid);
        /* The pid is its own only while the page is locked. */
        stats_proc_look(channel->folder, all[i]->name, &state);
        if (pidfd >= 0 && state.is_alive)
            watch(channel, all[i], state.pid, pidfd);
        else if (pidfd >= 0)
            close(pidfd);
    }
}

void procs_ended(struct channel *channel, int place, int64_t now_us)
{
    struct proc *proc = place == 0 ? &channel->stage : &channel->render;
    int status = 0;

    if (proc->pidfd < 0 || !spawn_has_ended(proc->pidfd))
        return;
    const bool is_known = spawn_reap(proc->pidfd, &status) == 0;
    close(proc->pidfd); /* leaves the epoll set with it */
    proc->pidfd = -1;
    if (channel->is_stopping)
        return;
    proc->start_at_us = restart_when(&proc->restart, now_us);
    stats_add(&channel->stats, proc->counter, 1);
    log_warn(about(channel), "rv-%s, process %d, ended (%s %d), starting anew",
             proc->name, (int)proc->pid,
             !is_known             ? "unknown"
             : WIFSIGNALED(status) ? "signal"
                                   : "status",
             !is_known             ? 0
             : WIFSIGNALED(status) ? WTERMSIG(status)
                                   : WEXITSTATUS(status));
}

static void kill_if_hung(struct channel *channel, struct proc *proc,
                         int64_t now_us)
{
    struct stats_proc_state state;

    stats_proc_look(channel->folder, proc->name, &state);
    if (!state.is_alive || state.pid != proc->pid ||
        !is_hung(state.heartbeat_us, state.is_due, now_us))
        return;
    log_warn(about(channel), "rv-%s, process %d, hangs, killed", proc->name,
             (int)proc->pid);
    spawn_signal(proc->pidfd, SIGKILL);
}

static void open_ring(struct channel *channel)
{
    char path[RUNDIR_SIZE + 8];

    snprintf(path, sizeof(path), "%s/ring", channel->folder);
    if (stage_ring_open(&channel->ring, path, NULL) == 0 &&
        channel->next_pool > 1)
        stage_ring_saw_pool_id(&channel->ring, channel->next_pool - 1);
}

int64_t procs_update(struct channel *channel, int64_t now_us)
{
    struct proc *const all[] = { &channel->stage, &channel->render };
    int64_t next_us = now_us + WATCH_US;

    if (channel->is_stopping)
        return next_us;
    if (channel->is_epoch_open)
        return now_us + 5000;
    if (!ring_is_open(channel)) {
        open_ring(channel);
        next_us = now_us + 2000;
    }
    for (int i = 0; i < 2; i++) {
        /* A renderer has nothing to do before there is a ring. */
        if (all[i] == &channel->render && !ring_is_open(channel))
            continue;
        if (all[i]->pidfd >= 0) {
            if (!watch_is_patient(&channel->watch, now_us))
                kill_if_hung(channel, all[i], now_us);
        } else if (all[i]->is_wanted && all[i]->start_at_us <= now_us) {
            start(channel, all[i], now_us);
        } else if (all[i]->start_at_us < next_us) {
            next_us = all[i]->start_at_us;
        }
    }
    return next_us;
}
