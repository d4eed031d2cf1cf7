/* outlet: the writing thread and its queue. */
#include "outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/cli.h"

#define QUEUE_BYTES (32u << 20)
#define WAIT_US     100000
#define CHUNK       (21 * 188) /* below PIPE_BUF: a ready pipe takes it whole */

/* Writes all; 0 or an errno, ECANCELED when the program is stopping. */
static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        struct pollfd ready = { .fd = fd, .events = POLLOUT };
        if (cli_stopping())
            return ECANCELED;
        if (poll(&ready, 1, WAIT_US / 1000) <= 0)
            continue;
        const ssize_t n = write(fd, bytes, size < CHUNK ? size : CHUNK);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

/* --- the thread ----------------------------------------------------------- */

/* Waits for the next entry; false at the end. */
static bool wait_entry(struct outlet *outlet, uint64_t at)
{
    for (;;) {
        const uint32_t seen = bell_arm(&outlet->tail_bell);
        /* is_ended before tail: what was put before the end is written */
        const bool is_ended =
            atomic_load_explicit(&outlet->is_ended, memory_order_seq_cst);
        const bool is_there =
            atomic_load_explicit(&outlet->tail, memory_order_seq_cst) > at;
        if (!is_there && !is_ended && !cli_stopping())
            futex_wait(&outlet->tail_bell.count, seen, WAIT_US);
        bell_disarm(&outlet->tail_bell);
        if (cli_stopping())
            return false;
        if (is_there || is_ended)
            return is_there;
    }
}

/* When entry `at` is due.  Deadlines rise; one that is later than the newest is
 * from before the clock was set back, and due with the first of the new epoch.
 */
static int64_t due_us(struct outlet *outlet, uint64_t at)
{
    const uint64_t tail =
        atomic_load_explicit(&outlet->tail, memory_order_acquire);
    const struct outlet_entry *entry = outlet->entry;
    const int64_t mine_us = entry[at & (OUTLET_ENTRIES - 1)].due_us;

    if (entry[(tail - 1) & (OUTLET_ENTRIES - 1)].due_us >= mine_us)
        return mine_us;
    while (++at < tail) {
        const int64_t next_us = entry[at & (OUTLET_ENTRIES - 1)].due_us;
        if (next_us < mine_us)
            return next_us;
    }
    return mine_us;
}

static void wait_due(struct outlet *outlet, uint64_t at)
{
    while (!cli_stopping() &&
           clock_us_until(outlet->clock, due_us(outlet, at)) > 0)
        clock_sleep_until(outlet->clock, due_us(outlet, at), WAIT_US);
}

static int write_entry(struct outlet *outlet, const struct outlet_entry *entry)
{
    const uint64_t place = outlet->bytes_out % outlet->bytes_size;
    const uint64_t room = outlet->bytes_size - place;
    const size_t first = entry->size < room ? entry->size : (size_t)room;
    int failed = write_all(outlet->fd, outlet->bytes + place, first);

    if (failed == 0)
        failed = write_all(outlet->fd, outlet->bytes, entry->size - first);
    outlet->bytes_out += entry->size;
    return failed;
}

static void *run(void *argument)
{
    struct outlet *outlet = argument;

    for (uint64_t at = 0; wait_entry(outlet, at); at++) {
        const struct outlet_entry *entry =
            &outlet->entry[at & (OUTLET_ENTRIES - 1)];
        wait_due(outlet, at);
        const int failed = write_entry(outlet, entry);
        stats_set(outlet->stats, STATS_FRAME_GAP_US,
                  entry->due_us - clock_utc_us(outlet->clock));
        atomic_store_explicit(&outlet->bytes_done, outlet->bytes_out,
                              memory_order_release);
        atomic_store_explicit(&outlet->head, at + 1, memory_order_seq_cst);
        if (failed != 0) {
            atomic_store_explicit(&outlet->failed, failed,
                                  memory_order_seq_cst);
            bell_ring_always(&outlet->head_bell);
            return NULL;
        }
        bell_ring(&outlet->head_bell);
    }
    return NULL;
}

static int start_thread(struct outlet *outlet, struct err *err)
{
    sigset_t all, before;

    outlet->bytes_size = QUEUE_BYTES;
    outlet->bytes = malloc(outlet->bytes_size);
    if (outlet->bytes == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for the output's queue");
    /* Signals are the main thread's, whose waits they end. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&outlet->thread, NULL, run, outlet);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        free(outlet->bytes);
        outlet->bytes = NULL;
        return err_set(err, ERR_SYSTEM, "no thread for the output: %s",
                       strerror(failed));
    }
    return 0;
}

/* --- the renderer's side -------------------------------------------------- */

int outlet_open(struct outlet *outlet, const char *path, bool is_paced,
                const struct clock *clock, struct stats *stats, struct err *err)
{
    const bool is_stdout = path == NULL || strcmp(path, "-") == 0;

    *outlet = OUTLET_EMPTY;
    outlet->is_ours = !is_stdout;
    outlet->is_paced = is_paced;
    outlet->clock = clock;
    outlet->stats = stats;
    strlcpy(outlet->name, is_stdout ? "standard output" : path,
            sizeof(outlet->name));
    outlet->fd =
        is_stdout ? STDOUT_FILENO
                  : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (outlet->fd < 0)
        return err_errno(err, ERR_INPUT, "%s: cannot be written", path);
    if (is_stdout && isatty(outlet->fd)) {
        outlet->fd = -1;
        return err_set(err, ERR_USAGE,
                       "standard output is a terminal; give "
                       "-o FILE, or a pipe");
    }
    if (is_paced && start_thread(outlet, err) < 0) {
        if (outlet->is_ours)
            close(outlet->fd);
        outlet->fd = -1;
        return -1;
    }
    return 0;
}

static int report(const struct outlet *outlet, int failed, struct err *err)
{
    if (failed == 0)
        return 1;
    if (failed == EPIPE || failed == ECANCELED)
        return 0;
    errno = failed;
    return err_errno(err, ERR_SYSTEM, "%s: cannot be written", outlet->name);
}

static bool has_room(const struct outlet *outlet, size_t size)
{
    const uint64_t tail =
        atomic_load_explicit(&outlet->tail, memory_order_relaxed);
    const uint64_t head =
        atomic_load_explicit(&outlet->head, memory_order_seq_cst);
    const uint64_t done =
        atomic_load_explicit(&outlet->bytes_done, memory_order_acquire);

    return tail - head < OUTLET_ENTRIES &&
           outlet->bytes_in + size - done <= outlet->bytes_size;
}

/* Sleeps until `size` bytes fit (or the queue is empty); gives `failed`. */
static int wait_room(struct outlet *outlet, size_t size)
{
    for (;;) {
        const uint32_t seen = bell_arm(&outlet->head_bell);
        const int failed =
            atomic_load_explicit(&outlet->failed, memory_order_seq_cst);
        const bool is_there = has_room(outlet, size);
        if (!is_there && failed == 0 && !cli_stopping())
            futex_wait(&outlet->head_bell.count, seen, WAIT_US);
        bell_disarm(&outlet->head_bell);
        if (failed != 0 || is_there)
            return failed;
        if (cli_stopping())
            return ECANCELED;
    }
}

int outlet_put(struct outlet *outlet, const uint8_t *bytes, size_t size,
               int64_t due_us, struct err *err)
{
    if (!outlet->is_paced)
        return report(outlet, write_all(outlet->fd, bytes, size), err);
    if (size > outlet->bytes_size)
        return err_set(err, ERR_LIMIT,
                       "%zu bytes in one stretch; use a lower "
                       "bitrate",
                       size);
    const int failed = wait_room(outlet, size);
    if (failed != 0)
        return report(outlet, failed, err);
    const uint64_t tail =
        atomic_load_explicit(&outlet->tail, memory_order_relaxed);
    const uint64_t place = outlet->bytes_in % outlet->bytes_size;
    const uint64_t room = outlet->bytes_size - place;
    const size_t first = size < room ? size : (size_t)room;
    memcpy(outlet->bytes + place, bytes, first);
    memcpy(outlet->bytes, bytes + first, size - first);
    outlet->bytes_in += size;
    outlet->entry[tail & (OUTLET_ENTRIES - 1)] =
        (struct outlet_entry){ .size = size, .due_us = due_us };
    atomic_store_explicit(&outlet->tail, tail + 1, memory_order_seq_cst);
    bell_ring(&outlet->tail_bell);
    return 1;
}

int outlet_close(struct outlet *outlet, struct err *err)
{
    int rc = 0;

    if (outlet->fd < 0)
        return 0;
    if (outlet->is_paced) {
        atomic_store_explicit(&outlet->is_ended, true, memory_order_seq_cst);
        bell_ring_always(&outlet->tail_bell);
        pthread_join(outlet->thread, NULL);
        rc = report(outlet,
                    atomic_load_explicit(&outlet->failed, memory_order_acquire),
                    err);
        free(outlet->bytes);
    }
    if (outlet->is_ours && close(outlet->fd) < 0 && rc >= 0)
        rc = err_errno(err, ERR_SYSTEM, "%s: cannot be written", outlet->name);
    *outlet = OUTLET_EMPTY;
    return rc < 0 ? -1 : 0;
}
