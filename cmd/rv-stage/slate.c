/*
 * slate: what is shown when there is nothing else, and its place in its loop.
 *
 *   pool-0   the built-in card; written before anything else, so that there is
 *            always a slate
 *   slate    a picture or video of the operator's: made once by an rv-decode,
 *            which cannot rename in its sandbox, so we do when it has ended.
 *            From then on slate is this one; until then, and if it cannot be
 *            made, the card
 *
 * Nothing waits for that rv-decode but the first frames of a channel that has
 * no epoch yet.  It ends when its standard input does, so it cannot outlive us;
 * killed half way it leaves only a temporary file, which we or the next stage
 * remove.  A new stage finds the slate by its name.
 */
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "frame/slate.h"
#include "proc/spawn.h"

#define TRIES    3
#define TRY_US   INT64_C(30000000)
#define CLOSE_MS 500

/* What somebody who was killed had begun to write. */
static void remove_unfinished(const struct stage *stage)
{
    DIR *folder = opendir(stage->folder);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        const char *end = strrchr(name, '.');
        if ((strncmp(name, "slate.", 6) == 0 ||
             strncmp(name, "pool-0.", 7) == 0) &&
            strcmp(end, ".new") == 0)
            unlinkat(dirfd(folder), name, 0);
    }
    if (folder != NULL)
        closedir(folder);
}

/* This pool is the slate from now on, if it can be. */
static bool take(struct stage *stage, uint32_t id, struct err *err)
{
    char path[1024];
    struct pool pool;

    stage_ring_pool_path(&stage->ring, id, path);
    if (slate_open(&pool, path, &stage->ring.house, err) < 0)
        return false;
    stage->slate_pool = id;
    stage->slate_frames = (int64_t)pool_ready(&pool);
    pool_close(&pool);
    return true;
}

static int make_card(struct stage *stage, struct err *err)
{
    const struct options *opts = &stage->opts;
    char path[1024], title[32] = "";

    if (stage->is_taken_over && take(stage, STAGE_POOL_CARD, NULL))
        return 0;
    stage_ring_pool_path(&stage->ring, STAGE_POOL_CARD, path);
    if (stage->is_service)
        snprintf(title, sizeof(title), "channel %d", opts->channel);
    if (slate_create_card(path, &stage->ring.house,
                          opts->title ? opts->title : title, opts->has_tone,
                          err) < 0)
        return -1;
    return take(stage, STAGE_POOL_CARD, err) ? 0 : -1;
}

/* --- the decoder that makes it -------------------------------------------- */

static void tell_card(const struct stage *stage, const struct err *why)
{
    log_warn(&stage->log, "slate: %s; the built-in card is in its place",
             why->text);
}

/* Where the slate is made. */
static void unfinished_path(const struct stage *stage, char path[1048])
{
    char slate[1024];

    stage_ring_pool_path(&stage->ring, STAGE_POOL_SLATE, slate);
    snprintf(path, 1048, "%s.%d.new", slate, (int)getpid());
}

static void start_maker(struct stage *stage)
{
    struct slate_maker *maker = &stage->maker;
    char house[HOUSE_TEXT_SIZE], path[1048], number[16];
    struct err err = ERR_EMPTY;
    int leash[2];

    house_format(&stage->ring.house, house);
    unfinished_path(stage, path);
    snprintf(number, sizeof(number), "%d", stage->opts.channel);
    const char *sound = stage->opts.has_tone ? "tone" : "silence";
    const char *words[] = { "rv-decode",
                            "--run-dir",
                            stage->run,
                            "--channel",
                            number,
                            "--house",
                            house,
                            "--pool",
                            path,
                            "--slate",
                            sound,
                            "--sandbox",
                            stage->opts.sandbox,
                            "--",
                            maker->file,
                            NULL };
    const char **argv = words;
    if (!stage->is_service) {
        argv += 4; /* no channel, and perhaps no run folder */
        argv[0] = words[0];
    }
    if (pipe2(leash, O_CLOEXEC) < 0) {
        err_errno(&err, ERR_SYSTEM, "asset %s: no pipe", maker->file);
        tell_card(stage, &err);
        return;
    }
    const struct spawn spawn = { "rv-decode", argv, leash[0], -1, -1 };
    maker->tries++;
    if (spawn_start(&spawn, &maker->pid, &maker->pidfd, &err) < 0) {
        err_prefix(&err, "asset %s", maker->file);
        tell_card(stage, &err);
        close(leash[1]);
    } else {
        maker->leash = leash[1];
        maker->until_us = clock_monotonic_us() + TRY_US;
    }
    close(leash[0]);
}

/* It has ended, or will have within a moment. */
static void end_maker(struct stage *stage)
{
    struct slate_maker *maker = &stage->maker;
    struct pollfd ended = { .fd = maker->pidfd, .events = POLLIN };
    int status;

    spawn_signal(maker->pidfd, SIGKILL);
    (void)poll(&ended, 1, CLOSE_MS);
    (void)spawn_reap(maker->pidfd, &status);
    close(maker->pidfd);
    close(maker->leash);
    maker->pidfd = -1;
}

bool slate_is_coming(const struct stage *stage)
{
    return stage->maker.pidfd >= 0;
}

bool slate_step(struct stage *stage)
{
    struct slate_maker *maker = &stage->maker;
    struct err err = ERR_EMPTY;
    char path[1024], unfinished[1048];
    struct stat st;

    if (!slate_is_coming(stage))
        return false;
    const bool is_late = clock_monotonic_us() > maker->until_us;
    if (!is_late && !spawn_has_ended(maker->pidfd))
        return false;
    end_maker(stage);
    stage_ring_pool_path(&stage->ring, STAGE_POOL_SLATE, path);
    unfinished_path(stage, unfinished);
    /* The pool tells what it is, an empty file nothing. */
    if (stat(unfinished, &st) == 0 && st.st_size > 0)
        (void)rename(unfinished, path);
    remove_unfinished(stage);
    if (take(stage, STAGE_POOL_SLATE, &err))
        return true;
    if (is_late)
        err_set(&err, ERR_INPUT, "asset %s: was not decoded within %d s",
                maker->file, (int)(TRY_US / 1000000));
    else if (err.kind == ERR_UNREACHABLE) /* it was killed */
        err_set(&err, ERR_SYSTEM, "asset %s: rv-decode died of it %d times",
                maker->file, maker->tries);
    const bool is_final = is_late || err.kind != ERR_SYSTEM;
    unlink(path);
    if (!is_final && maker->tries < TRIES)
        start_maker(stage);
    if (slate_is_coming(stage))
        return false;
    tell_card(stage, &err);
    return false;
}

/* --- all of it ------------------------------------------------------------ */

int slate_begin(struct stage *stage, struct err *err)
{
    struct slate_maker *maker = &stage->maker;
    char path[1024];

    maker->pidfd = -1;
    remove_unfinished(stage);
    if (make_card(stage, err) < 0)
        return -1;
    stage_ring_pool_path(&stage->ring, STAGE_POOL_SLATE, path);
    if (stage->is_taken_over && take(stage, STAGE_POOL_SLATE, NULL))
        return 0;
    unlink(path); /* another pipeline's */
    if (stage->opts.slate == NULL)
        return 0;
    if (path_absolute(maker->file, sizeof(maker->file), stage->opts.slate,
                      NULL) < 0)
        strlcpy(maker->file, stage->opts.slate, sizeof(maker->file));
    start_maker(stage);
    return 0;
}

void slate_place(const struct stage *stage, struct stage_ref *ref)
{
    struct stage_ref former;
    uint64_t frame = 0;

    if (ref->n > 0 &&
        stage_ring_read(&stage->ring, ref->n - 1, &former) == RING_OK &&
        former.pool == stage->slate_pool &&
        former.seq + 1 < (uint64_t)stage->slate_frames)
        frame = former.seq + 1;
    ref->pool = stage->slate_pool;
    ref->seq = frame;
    ref->origin = ref->n - (int64_t)frame;
}

void slate_end(struct stage *stage, bool remove)
{
    char path[1024];

    if (slate_is_coming(stage))
        end_maker(stage);
    remove_unfinished(stage);
    for (int i = 0; remove && i < 2; i++) {
        stage_ring_pool_path(&stage->ring,
                             i == 0 ? STAGE_POOL_CARD : STAGE_POOL_SLATE, path);
        unlink(path);
    }
}
