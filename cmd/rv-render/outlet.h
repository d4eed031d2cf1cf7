/*
 * outlet: a descriptor that the stream is written to, each stretch at its time.
 *
 * Unpaced it is a plain write.  Paced, a thread of its own waits for each
 * stretch's deadline, so that a picture in the encoder makes no other one late;
 * a queue of bytes and entries without a lock lies between (one producer, one
 * consumer; both sleep on bells).
 *
 *   queue     written by  order      read by   order
 *   tail      renderer    release    thread    acquire
 *   head      thread      release    renderer  acquire
 *   failed    thread      release    renderer  acquire
 *   is_ended  renderer    release    thread    acquire
 *   on_air    thread      relaxed    renderer  relaxed
 *   bells     both        seq_cst (frame/shm.h)
 */
#ifndef RV_RENDER_OUTLET_H
#define RV_RENDER_OUTLET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"
#include "frame/ts_ring.h"
#include "stats/stats.h"

#define OUTLET_ENTRIES 1024 /* a power of two */

struct outlet_entry {
    size_t size;
    int64_t due_us;
};

struct outlet {
    int fd; /* -1: closed */
    bool is_ours;
    bool is_paced;
    char name[256]; /* for sentences */
    const struct clock *clock;
    struct stats *stats;
    pthread_t thread;
    uint8_t *bytes; /* paced only */
    uint64_t bytes_size;
    uint64_t bytes_in, bytes_out; /* renderer's, thread's */
    struct outlet_entry entry[OUTLET_ENTRIES];
    _Alignas(64) _Atomic uint64_t tail; /* entries put */
    _Alignas(64) _Atomic uint64_t head; /* entries written */
    _Atomic uint64_t bytes_done;
    _Atomic int failed; /* errno */
    _Atomic bool is_ended;
    struct bell tail_bell, head_bell;
};

/* clang-format off */
#define OUTLET_EMPTY ((struct outlet){ .fd = -1 })
/* clang-format on */

/* `path` NULL or "-": standard output.  Keeps clock and stats. */
int outlet_open(struct outlet *outlet, const char *path, bool is_paced,
                const struct clock *clock, struct stats *stats,
                struct err *err);
/*
 * Copies a stretch into the queue, or writes it.  1: done; 0: the reader is
 * gone (a clean end); -1: error.
 */
int outlet_put(struct outlet *outlet, const uint8_t *bytes, size_t size,
               int64_t due_us, struct err *err);
/* Waits until all is written (not when the program is stopping). */
int outlet_close(struct outlet *outlet, struct err *err);

#endif
