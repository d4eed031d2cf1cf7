/* tap: which frame is next, in a pool or along a stage ring's frontier. */
#include "tap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "log/log.h"
#include "proc/rundir.h"

#define POLL_US INT64_C(4000)

/* --- opening -------------------------------------------------------------- */

static int open_ring(struct tap *tap, const char *path, struct err *err)
{
    if (stage_ring_open(&tap->ring, path, err) < 0)
        return -1;
    /* Others write to it; we must not, not even by mistake. */
    mprotect(tap->ring.shm.map, tap->ring.shm.size, PROT_READ);
    tap->house = tap->ring.house;
    return 0;
}

static int open_source(struct tap *tap, const char *path, struct err *err)
{
    struct err why = ERR_EMPTY;

    if (pool_open(&tap->pools[0].pool, path, false, &why) == 0) {
        tap->house = tap->pools[0].pool.house;
        return 0;
    }
    if (why.kind != ERR_INPUT) {
        *err = why;
        return -1;
    }
    if (open_ring(tap, path, err) == 0)
        return 0;
    if (err->kind != ERR_INPUT)
        return -1;
    return err_set(err, ERR_INPUT,
                   "%s: neither a pool nor a stage ring of this version; give "
                   "the path of one, a ring's name or --channel N",
                   path);
}

/* A path; or the name of a ring in the run folder. */
static int find_source(struct tap *tap, struct err *err)
{
    const char *source = tap->opts.source;
    char run[RUNDIR_SIZE], folder[RUNDIR_SIZE], name[16], path[1024];
    struct stat st;

    if (source != NULL && stat(source, &st) == 0 && !S_ISDIR(st.st_mode))
        return open_source(tap, source, err);
    if (source != NULL && strchr(source, '/') != NULL) {
        snprintf(path, sizeof(path), "%s%s", source,
                 stat(source, &st) == 0 ? "/ring" : "");
        return open_source(tap, path, err);
    }
    if (source == NULL) {
        snprintf(name, sizeof(name), "%d", (int)tap->opts.channel);
        source = name;
    }
    if (rundir_find(run, tap->opts.run_dir, err) < 0 ||
        rundir_folder(folder, run, source, false, err) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/ring", folder);
    return open_ring(tap, path, err);
}

int tap_open(struct tap *tap, const struct tap_opts *opts, struct err *err)
{
    *tap = (struct tap){ .opts = *opts,
                         .waiting = CLOCK_EMPTY,
                         .ring = STAGE_RING_EMPTY,
                         .next = -1 };
    for (int i = 0; i < TAP_POOLS; i++)
        tap->pools[i].pool = POOL_EMPTY;
    if (find_source(tap, err) < 0)
        return -1;
    tap->memory = malloc(planes_bytes(&tap->house));
    tap->frame.sound = calloc((size_t)house_max_samples(&tap->house) + 1,
                              sizeof(int16_t) * (size_t)tap->house.channels);
    if (tap->memory == NULL || tap->frame.sound == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a frame of %dx%d",
                       (int)tap->house.width, (int)tap->house.height);
    planes_lay(&tap->frame.planes, &tap->house, tap->memory);
    return 0;
}

void tap_close(struct tap *tap)
{
    nut_free(tap->nut);
    tap->nut = NULL;
    for (int i = 0; i < TAP_POOLS; i++)
        pool_close(&tap->pools[i].pool);
    stage_ring_close(&tap->ring);
    free(tap->memory);
    free(tap->frame.sound);
    tap->memory = NULL;
    tap->frame.sound = NULL;
}

/* --- a ring's pools ------------------------------------------------------- */

/* The open pool of that id; NULL when it cannot be opened (any more). */
static const struct pool *pool_of(struct tap *tap, uint32_t id)
{
    struct tap_pool *oldest = &tap->pools[0];
    char path[1024];

    for (int i = 0; i < TAP_POOLS; i++) {
        struct tap_pool *at = &tap->pools[i];
        if (at->pool.head != NULL && at->id == id) {
            at->used = ++tap->uses;
            return &at->pool;
        }
        if (at->used < oldest->used)
            oldest = at;
    }
    pool_close(&oldest->pool);
    stage_ring_pool_path(&tap->ring, id, path);
    if (pool_open(&oldest->pool, path, false, NULL) < 0)
        return NULL;
    if (!house_equal(&oldest->pool.house, &tap->house)) {
        pool_close(&oldest->pool);
        return NULL;
    }
    oldest->id = id;
    oldest->used = ++tap->uses;
    return &oldest->pool;
}

/* --- steps ---------------------------------------------------------------- */

/* Waits a little for more; 1 when none will come. */
static int wait_or_end(struct tap *tap, bool is_over)
{
    if (is_over || !tap->opts.is_following)
        return 1;
    clock_sleep_until(&tap->waiting, INT64_MAX / 8, POLL_US);
    return 0;
}

static int take(struct tap *tap, const struct pool *pool, uint64_t seq,
                int64_t origin, int64_t n, struct err *err)
{
    switch (copy_frame(tap, pool, seq, origin, n, err)) {
    case COPY_OK:
        if (out_frame(tap, err) < 0)
            return -1;
        tap->written++;
        return tap->written == tap->opts.frames ? 1 : 0;
    case COPY_GONE:
        tap->skipped++;
        return 0;
    case COPY_WRONG:
        break;
    }
    return -1;
}

static bool is_unlinked(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

static int step_ring(struct tap *tap, struct err *err)
{
    const int64_t frontier = stage_ring_frontier(&tap->ring);
    struct stage_ref ref;

    if (tap->next < 0)
        tap->next = frontier > 0 ? frontier - 1 : 0;
    if (tap->next >= frontier)
        return wait_or_end(tap, stage_ring_end(&tap->ring) <= tap->next ||
                                    is_unlinked(tap->ring.shm.fd));
    if (tap->next < stage_ring_release_point(&tap->ring) ||
        stage_ring_read(&tap->ring, tap->next, &ref) != RING_OK) {
        tap->skipped += frontier - 1 - tap->next; /* on with the newest */
        if (tap->next == frontier - 1)
            return wait_or_end(tap, is_unlinked(tap->ring.shm.fd));
        tap->next = frontier - 1;
        return 0;
    }
    const int64_t n = tap->next++;
    const struct pool *pool = pool_of(tap, ref.pool);
    if (pool == NULL) {
        tap->skipped++;
        return 0;
    }
    tap->frame.reason = (enum stage_reason)ref.reason;
    return take(tap, pool, ref.seq, ref.origin, n, err);
}

static int step_pool(struct tap *tap, struct err *err)
{
    const struct pool *pool = &tap->pools[0].pool;
    const bool has_ended =
        pool_status(pool) >= POOL_ENDED || !pool_has_producer(pool);
    const uint64_t released = pool_released(pool);
    struct pool_frame info;

    if (tap->next < 0)
        tap->next = (int64_t)released;
    if ((uint64_t)tap->next < released) {
        tap->skipped += (int64_t)released - tap->next;
        tap->next = (int64_t)released;
    }
    if ((uint64_t)tap->next >= pool_ready(pool))
        return wait_or_end(tap, has_ended);
    const uint64_t seq = (uint64_t)tap->next++;
    if (pool_read(pool, seq, &info, NULL) < 0)
        info.index = 0; /* take() finds out why */
    return take(tap, pool, seq, 0, info.index, err);
}

int tap_step(struct tap *tap, struct err *err)
{
    return tap->ring.head != NULL ? step_ring(tap, err) : step_pool(tap, err);
}

int tap_finish(struct tap *tap, struct err *err)
{
    const int rc = out_end(tap, err);

    if (tap->skipped > 0)
        fprintf(stderr,
                "rv-tap: %" PRId64 " frames skipped: given back before they "
                "were read\n",
                tap->skipped);
    return rc;
}
