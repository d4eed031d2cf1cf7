/*
 * pools: the pools that are open, what is given back to their decoders, and
 * who removes them.  A frame is given back when no reference from the ring's
 * release point on names it and the timeline has passed it; a pool is removed
 * when it was listed once, is no longer, its decoder is gone and no reference
 * names it.  Released too early, a decoder writes into a picture that is being
 * encoded; too late, it stands still.
 */
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

/* "pool-12" is 12; 0 for the slate and for what is no pool's name. */
static uint32_t id_of_name(const char *name)
{
    const char *why = NULL;

    if (strncmp(name, "pool-", 5) != 0 || name[5] < '1' || name[5] > '9')
        return 0;
    const int64_t id = strtonum(name + 5, 1, STAGE_POOL_SLATE - 1, &why);
    return why == NULL ? (uint32_t)id : 0;
}

/* Is this path in the ring's folder, by whatever links? */
static bool is_beside_ring(const struct stage *stage, const char *path)
{
    char folder[1024];
    struct stat a, b;
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        strlcpy(folder, ".", sizeof(folder));
    else
        snprintf(folder, sizeof(folder), "%.*s",
                 (int)(slash == path ? 1 : slash - path), path);
    return stat(folder, &a) == 0 && stat(stage->folder, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static struct held *find_id(struct stage *stage, uint32_t id)
{
    for (int i = 0; i < STAGE_POOLS; i++) {
        if (stage->held[i].id == id)
            return &stage->held[i];
    }
    return NULL;
}

static struct held *find_told(struct stage *stage, const char *path)
{
    for (int i = 0; i < STAGE_POOLS; i++) {
        if (stage->held[i].id != 0 && strcmp(stage->held[i].told, path) == 0)
            return &stage->held[i];
    }
    return NULL;
}

static struct held *new_held(struct stage *stage, uint32_t id)
{
    struct held *held = find_id(stage, 0);

    if (held != NULL)
        *held =
            (struct held){ .id = id, .pool = POOL_EMPTY, .floor = UINT64_MAX };
    return held;
}

/* Opens, and refuses what is not in the ring's house format. */
static int open_pool(struct stage *stage, struct held *held, const char *path)
{
    char is[HOUSE_TEXT_SIZE], want[HOUSE_TEXT_SIZE];

    if (pool_open(&held->pool, path, true, &held->why) < 0)
        return -1;
    if (!house_equal(&held->pool.house, &stage->ring.house)) {
        house_format(&held->pool.house, is);
        house_format(&stage->ring.house, want);
        pool_close(&held->pool);
        return err_set(&held->why, ERR_INPUT,
                       "pool %s: its house format is %s, the ring's is %s; "
                       "decode with --house %s",
                       path, is, want, want);
    }
    held->hint = pool_released(&held->pool);
    return 0;
}

/* What rv-decode made for its pool alone, <run>/decode-PID, goes with it. */
static void remove_former_folder(const char *path)
{
    char run[1024];
    char *slash;

    strlcpy(run, path, sizeof(run));
    for (int i = 0; i < 2; i++) {
        slash = strrchr(run, '/');
        if (slash == NULL || slash == run)
            return;
        *slash = '\0';
    }
    if (strncmp(slash + 1, "decode-", 7) == 0)
        rundir_remove(run, slash + 1, NULL);
}

/* In a shell: a pool from elsewhere gets a number and a place of ours.  Its
 * decoder keeps its mapping and does not notice. */
static void adopt(struct stage *stage, struct held *held, const char *path)
{
    char ours[1024];

    if (open_pool(stage, held, path) < 0)
        return;
    stage_ring_pool_path(&stage->ring, held->id, ours);
    if (rename(path, ours) == 0) {
        remove_former_folder(path);
        return;
    }
    err_errno(&held->why, ERR_SYSTEM,
              "pool %s: cannot be moved to %s; let rv-decode write it beside "
              "the ring",
              path, ours);
    pool_close(&held->pool);
}

static struct held *open_new(struct stage *stage, const char *path)
{
    const char *slash = strrchr(path, '/');
    uint32_t id = id_of_name(slash != NULL ? slash + 1 : path);
    const bool is_ours = id != 0 && is_beside_ring(stage, path);

    if (is_ours)
        stage_ring_saw_pool_id(&stage->ring, id);
    else
        id = stage_ring_new_pool_id(&stage->ring);
    struct held *held = is_ours ? find_id(stage, id) : NULL;
    if (held == NULL)
        held = new_held(stage, id);
    if (held == NULL)
        return NULL;
    strlcpy(held->told, path, sizeof(held->told));
    if (held->pool.head != NULL)
        return held;
    if (is_ours)
        open_pool(stage, held, path);
    else if (!stage->is_service)
        adopt(stage, held, path);
    else
        err_set(&held->why, ERR_INPUT,
                "pool %s: not in the ring's folder %s; give a pool of it", path,
                stage->folder);
    return held;
}

struct held *pools_open(struct stage *stage, const char *path)
{
    struct held *held = find_told(stage, path);
    const bool was_known = held != NULL;

    if (held == NULL)
        held = open_new(stage, path);
    else if (held->pool.head == NULL && !held->is_gone &&
             is_beside_ring(stage, path))
        open_pool(stage, held, path); /* it may be there by now */
    if (held == NULL) {
        log_error(&stage->log, "pool %s: more than %d pools at once", path,
                  STAGE_POOLS);
        return NULL;
    }
    if (held->pool.head == NULL && !was_known)
        log_error(&stage->log, "%s", held->why.text);
    held->was_listed = true;
    return held;
}

struct held *pools_by_id(struct stage *stage, uint32_t id)
{
    struct held *held = find_id(stage, id);
    char path[1024];

    if (id == STAGE_POOL_CARD || id == STAGE_POOL_SLATE)
        return NULL;
    if (held != NULL)
        return held->pool.head != NULL ? held : NULL;
    stage_ring_pool_path(&stage->ring, id, path);
    if (access(path, F_OK) < 0 || (held = new_held(stage, id)) == NULL)
        return NULL;
    strlcpy(held->told, path, sizeof(held->told));
    held->was_listed = true; /* a reference names it, so it was */
    if (open_pool(stage, held, path) == 0)
        return held;
    held->id = 0;
    return NULL;
}

bool pools_look(struct stage *stage)
{
    bool has_come = false;

    for (int i = 0; i < STAGE_POOLS; i++) {
        struct held *held = &stage->held[i];
        if (held->id == 0 || held->is_gone)
            continue;
        if (held->pool.head != NULL)
            held->is_gone = !pool_has_producer(&held->pool);
        else if (held->is_listed && is_beside_ring(stage, held->told))
            has_come |= open_pool(stage, held, held->told) == 0;
    }
    return has_come;
}

/* The first frame of each pool that references from `from` on name. */
static void find_floors(struct stage *stage, int64_t from)
{
    const int64_t tail = stage_ring_tail(&stage->ring);
    struct held *held = NULL;
    struct stage_ref ref;

    for (int i = 0; i < STAGE_POOLS; i++)
        stage->held[i].floor = UINT64_MAX;
    for (int64_t n = from; n < tail; n++) {
        if (stage_ring_read(&stage->ring, n, &ref) != RING_OK ||
            stage_ref_is_slate(&ref))
            continue;
        if (held == NULL || held->id != ref.pool)
            held = pools_by_id(stage, ref.pool);
        if (held != NULL && ref.seq < held->floor)
            held->floor = ref.seq;
    }
}

static void remove_pool(struct stage *stage, struct held *held)
{
    char path[1024];

    stage_ring_pool_path(&stage->ring, held->id, path);
    unlink(path);
    pool_close(&held->pool);
    if (held->is_listed)
        return; /* in a shell: done with, but its line is told on */
    held->id = 0;
}

/* Its place in the list in force; NULL: none. */
static const struct source *source_of(const struct stage *stage,
                                      const struct held *held)
{
    for (int k = 0; k < stage->timeline.count; k++) {
        const struct source *source = &stage->timeline.source[k];
        if (source->held == held && source->has_origin)
            return source;
    }
    return NULL;
}

/*
 * The first frame of a listed pool that is still of use.  What is hidden now
 * may be shown after all, when a preview ends earlier than was thought or
 * another takes its place: so nothing goes that is not past.  A pool has room
 * for that, it holds more frames than the ring.
 */
static uint64_t first_of_use(const struct stage *stage, const struct held *held)
{
    const struct source *source = source_of(stage, held);
    const int64_t frontier = stage_ring_frontier(&stage->ring);
    uint64_t seq = pool_released(&held->pool);
    struct pool_frame frame;

    if (source == NULL)
        return held->hint;
    while (seq < held->hint && pool_read(&held->pool, seq, &frame, NULL) == 0 &&
           source->origin + frame.index < frontier)
        seq++;
    return seq;
}

static void release_one(struct stage *stage, struct held *held)
{
    const bool is_needed = held->is_listed && !held->is_retired;
    const uint64_t passed =
        is_needed ? first_of_use(stage, held) : pool_ready(&held->pool);

    pool_release(&held->pool, passed < held->floor ? passed : held->floor);
    /* Only on a tick: no bell of it is armed then. */
    if (stage->is_tick && !is_needed && held->was_listed && held->is_gone &&
        held->floor == UINT64_MAX)
        remove_pool(stage, held);
}

void pools_release(struct stage *stage)
{
    const int64_t point = stage_ring_release_point(&stage->ring);
    const int64_t from = point < stage->asrun.next ? point : stage->asrun.next;

    timeline_retire(stage, from);
    find_floors(stage, from);
    for (int i = 0; i < STAGE_POOLS; i++) {
        struct held *held = &stage->held[i];
        if (held->id == 0)
            continue;
        if (held->pool.head != NULL)
            release_one(stage, held);
        else if (!held->is_listed)
            held->id = 0;
    }
}

/*
 * Pools of a dead decoder that a dead stage had begun to release, or that are
 * no pools.  One of which nothing was released may be a preview that waits.
 */
static void sweep_one(struct stage *stage, uint32_t id)
{
    char path[1024];
    struct pool pool;

    stage_ring_saw_pool_id(&stage->ring, id);
    if (find_id(stage, id) != NULL)
        return;
    stage_ring_pool_path(&stage->ring, id, path);
    if (pool_open(&pool, path, false, NULL) < 0)
        return;
    if (!pool_has_producer(&pool) && pool_released(&pool) > 0)
        unlink(path);
    pool_close(&pool);
}

void pools_sweep(struct stage *stage)
{
    DIR *folder = opendir(stage->folder);
    const struct dirent *entry;

    find_floors(stage, stage_ring_release_point(&stage->ring));
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const uint32_t id = id_of_name(entry->d_name);
        if (id != 0)
            sweep_one(stage, id);
    }
    if (folder != NULL)
        closedir(folder);
}

void pools_close(struct stage *stage, bool remove)
{
    for (int i = 0; i < STAGE_POOLS; i++) {
        struct held *held = &stage->held[i];
        if (held->id == 0)
            continue;
        held->is_listed = false;
        if (remove)
            remove_pool(stage, held);
        else
            pool_close(&held->pool);
        held->id = 0;
    }
}
