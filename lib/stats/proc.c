/*
 * stats: a process's own page, <folder>/NAME.proc.  Alive means: somebody
 * holds the lock on it.  A pid alone says nothing, since pids are used again.
 *
 *   page          written by   order     read by   order
 *   pid           process      relaxed   watchers  relaxed
 *   heartbeat_us  process      release   watchers  acquire
 *   is_due        process      relaxed, before heartbeat_us
 *   magic         creator      release, last       acquire, first
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock/clock.h"
#include "proc/rundir.h"
#include "stats/stats.h"

#define MAGIC UINT64_C(0x3130637270767472) /* "rtvprc01" */

struct stats_proc_page {
    _Atomic uint64_t magic;
    uint32_t version;
    _Atomic int32_t pid;
    _Atomic int64_t heartbeat_us;
    _Atomic uint32_t is_due;
};

static int page_path(char path[1024], const char *folder, const char *name,
                     struct err *err)
{
    if (snprintf(path, 1024, "%s/%s.proc", folder, name) >= 1024)
        return err_set(err, ERR_INPUT, "folder %.40s...: is too long", folder);
    return 0;
}

static bool is_page(const struct stats_proc_page *page)
{
    return atomic_load_explicit(&page->magic, memory_order_acquire) == MAGIC &&
           page->version == STATS_LAYOUT_VERSION;
}

static int page_open(struct stats_proc *proc, const char *path,
                     bool is_writable)
{
    if (shm_open_map(&proc->shm, path, "process page", is_writable,
                     sizeof(struct stats_proc_page), NULL) < 0)
        return -1;
    proc->page = (struct stats_proc_page *)proc->shm.map;
    if (is_page(proc->page))
        return 0;
    shm_close(&proc->shm);
    proc->page = NULL;
    return -1;
}

static int page_create(struct stats_proc *proc, const char *path,
                       struct err *err)
{
    if (shm_create(&proc->shm, path, sizeof(struct stats_proc_page), err) < 0)
        return -1;
    proc->page = (struct stats_proc_page *)proc->shm.map;
    proc->page->version = STATS_LAYOUT_VERSION;
    atomic_store_explicit(&proc->page->magic, MAGIC, memory_order_release);
    return 0;
}

static int enter_locked(struct stats_proc *proc, const char *path,
                        const char *name, struct err *err)
{
    const bool is_old = page_open(proc, path, true) == 0;

    if (!is_old && page_create(proc, path, err) < 0)
        return -1;
    if (shm_lock(&proc->shm, err) < 0) {
        if (is_old)
            err_set(err, ERR_STATE,
                    "%s: rv-%s runs here already, process %d; stop that one",
                    path, name,
                    (int)atomic_load_explicit(&proc->page->pid,
                                              memory_order_relaxed));
        return -1;
    }
    atomic_store_explicit(&proc->page->pid, (int32_t)getpid(),
                          memory_order_relaxed);
    stats_proc_beat(proc, false);
    return is_old ? 0 : shm_publish(&proc->shm, err);
}

int stats_proc_enter(struct stats_proc *proc, const char *folder,
                     const char *name, struct err *err)
{
    char path[1024];

    *proc = STATS_PROC_EMPTY;
    if (page_path(path, folder, name, err) < 0)
        return -1;
    const int lock = rundir_lock(folder, err);
    if (lock < 0)
        return -1;
    const int rc = enter_locked(proc, path, name, err);
    if (rc < 0) {
        shm_close(&proc->shm);
        proc->page = NULL;
    }
    close(lock);
    return rc;
}

void stats_proc_leave(struct stats_proc *proc)
{
    char folder[1024];

    if (proc->page == NULL)
        return;
    /* Nobody may take the page over between its unlink and our unlock. */
    snprintf(folder, sizeof(folder), "%s", proc->shm.path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    const int lock = rundir_lock(folder, NULL);
    unlink(proc->shm.path);
    shm_close(&proc->shm);
    proc->page = NULL;
    if (lock >= 0)
        close(lock);
}

void stats_proc_beat(struct stats_proc *proc, bool is_due)
{
    if (proc->page == NULL)
        return;
    atomic_store_explicit(&proc->page->is_due, is_due, memory_order_relaxed);
    atomic_store_explicit(&proc->page->heartbeat_us, clock_monotonic_us(),
                          memory_order_release);
}

void stats_proc_look(const char *folder, const char *name,
                     struct stats_proc_state *state)
{
    struct stats_proc proc = STATS_PROC_EMPTY;
    char path[1024];

    *state = (struct stats_proc_state){ .is_alive = false };
    if (page_path(path, folder, name, NULL) < 0 ||
        page_open(&proc, path, false) < 0)
        return;
    state->is_alive = shm_is_locked(&proc.shm);
    state->heartbeat_us =
        atomic_load_explicit(&proc.page->heartbeat_us, memory_order_acquire);
    state->pid = atomic_load_explicit(&proc.page->pid, memory_order_relaxed);
    state->is_due =
        atomic_load_explicit(&proc.page->is_due, memory_order_relaxed) != 0;
    shm_close(&proc.shm);
}
