/*
 * shm: files that are mapped by several processes, and how those sleep.
 *
 * A file is built under a temporary name, allocated in full (a full tmpfs is a
 * sentence and not a SIGBUS) and renamed when it is whole; so what can be
 * opened by its name is complete.  A mapping of a file that another process
 * truncates raises SIGBUS; shm_guard() turns that into one sentence and exit
 * status 4.
 */
#ifndef RV_FRAME_SHM_H
#define RV_FRAME_SHM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"

struct shm {
    uint8_t *map; /* NULL: not mapped */
    size_t size;
    int fd;
    bool is_writable;
    char path[1024];      /* final name */
    char temporary[1024]; /* "": already renamed */
};

/* clang-format off */
#define SHM_EMPTY ((struct shm){ .map = NULL, .fd = -1 })
/* clang-format on */

/*
 * Creates and maps a zeroed file of `size` bytes, mode 0600, under a temporary
 * name beside `path`; shm_publish() renames it to `path`, replacing what is
 * there.  shm_close() before that removes the temporary file.
 */
int shm_create(struct shm *shm, const char *path, size_t size, struct err *err);
int shm_publish(struct shm *shm, struct err *err);

/*
 * The same for who will not be allowed to make, rename or remove a file:
 * shm_reserve() makes it empty under its own name, shm_fill() allocates and
 * maps it.  What it holds must tell when it is whole; shm_publish() does
 * nothing, and shm_close() leaves it there.
 */
int shm_reserve(struct shm *shm, const char *path, struct err *err);
int shm_fill(struct shm *shm, size_t size, struct err *err);

/*
 * Maps what exists.  `what` is the word for it in sentences ("pool", "stage
 * ring").  ERR_UNREACHABLE when there is nothing; ERR_INPUT when it is no
 * regular file, smaller than min_size, or not owned by us or root.
 */
int shm_open_map(struct shm *shm, const char *path, const char *what,
                 bool is_writable, size_t min_size, struct err *err);
void shm_close(struct shm *shm);

/* Installs the SIGBUS handler; once a process, early in main(). */
void shm_guard(void);

/*
 * Liveness.  The writer of a file holds an exclusive lock on it (an open file
 * description lock, gone with the process; whoever maps the file may ask).
 * shm_lock: 0, or -1 with ERR_STATE when another process holds it.
 */
int shm_lock(struct shm *shm, struct err *err);
bool shm_is_locked(const struct shm *shm); /* by another process */
/* True when no name leads to the file any more: nobody will come to it.  Costs
 * a system call. */
bool shm_is_unlinked(const struct shm *shm);

/*
 * Sleeps until *word differs from `seen`, somebody wakes us, a signal comes or
 * timeout_us has passed (at most 1 s whatever is asked: every wait is
 * bounded).  Shared between processes.  May return early: look again.
 */
void futex_wait(const _Atomic uint32_t *word, uint32_t seen,
                int64_t timeout_us);
void futex_wake(_Atomic uint32_t *word);

/* The same on up to 128 words at once (futex_waitv, Linux 5.16). */
struct futex_word {
    const _Atomic uint32_t *word;
    uint32_t seen;
};
void futex_wait_any(const struct futex_word *words, int count,
                    int64_t timeout_us);

/*
 * A bell: what a sleeper waits on and others ring.  `asleep` is raised by the
 * sleeper before its last look and lowered after; a ringer bumps and wakes
 * only while it is up, so that a busy pair makes no system call.
 *
 *     sleeper: seen = bell_arm(); look again; futex_wait(&count, seen);
 *              bell_disarm()
 *     ringer:  publish (seq_cst or RMW); bell_ring()
 */
struct bell {
    _Atomic uint32_t count; /* the futex word */
    _Atomic uint32_t asleep;
};

uint32_t bell_arm(struct bell *bell);
void bell_disarm(struct bell *bell);
void bell_ring(struct bell *bell);        /* only if somebody sleeps */
void bell_ring_always(struct bell *bell); /* rare events */

#endif
