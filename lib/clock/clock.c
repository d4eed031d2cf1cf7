/*
 * clock: reading and keeping the page with the time.
 *
 *   UTC(m) = utc + (m - monotonic) * rate      for the copy's `length`
 *          = ... and from there on at rate 1   (a slew that is over)
 *
 * Two copies and an index: see clock.h.  What breaks if this is wrong: every
 * deadline of every channel.
 */
#include "clock/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock/clock_impl.h"
#include "proc/rundir.h"

#define RATE_ONE       CLOCK_RATE_ONE
#define RATE_MAX       CLOCK_RATE_MAX
#define READ_TRIES     1000
#define SLEEP_SLICE_US INT64_C(500000)
#define DEADBAND_US    20 /* reading two clocks is no more exact */

/* A private copy: one stretch of time at one rate. */
struct line {
    int64_t utc_us;
    int64_t monotonic_us;
    int64_t rate;
    int64_t length_us;
};

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/* What a test adds to the system's clock, which no test may set; 0. */
static int64_t offset_for_tests_us(void)
{
    const char *path = getenv(CLOCK_TEST_OFFSET_ENV);
    char text[32] = "";

    if (path == NULL)
        return 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strtoll(text, NULL, 10);
}

/* UTC minus monotonic, from the narrowest of some readings. */
static int64_t system_offset_us(void)
{
    int64_t best = INT64_MAX;
    int64_t offset = 0;

    for (int i = 0; i < 5 && best > 2; i++) {
        const int64_t before = clock_monotonic_us();
        const int64_t utc = read_us(CLOCK_REALTIME);
        const int64_t after = clock_monotonic_us();
        if (after - before < best) {
            best = after - before;
            offset = utc - before - best / 2;
        }
    }
    return offset + offset_for_tests_us();
}

static uint64_t boot_hash(void)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    char id[64];
    const int fd =
        open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));

    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)id[i]) * UINT64_C(1099511628211);
    return hash;
}

static int64_t clamp(__int128 value)
{
    const int64_t limit = INT64_MAX / 4;

    if (value > limit)
        return limit;
    return value < -limit ? -limit : (int64_t)value;
}

/* The copy that counts.  It cannot be torn unless the keeper writes a thousand
 * times while we read once; the last reading is used then. */
static struct line read_line(const struct clock_page *page)
{
    struct line line = { .rate = RATE_ONE };

    for (int i = 0; i < READ_TRIES; i++) {
        const uint32_t index =
            atomic_load_explicit(&page->index, memory_order_acquire);
        const struct clock_copy *copy = &page->copies[index & 1];
        line.utc_us = atomic_load_explicit(&copy->utc_us, memory_order_acquire);
        line.monotonic_us =
            atomic_load_explicit(&copy->monotonic_us, memory_order_acquire);
        line.rate = atomic_load_explicit(&copy->rate, memory_order_acquire);
        line.length_us =
            atomic_load_explicit(&copy->length_us, memory_order_acquire);
        if (atomic_load_explicit(&page->index, memory_order_acquire) == index)
            break;
    }
    if (line.rate < 0 || line.rate > RATE_MAX)
        line.rate = RATE_ONE;
    if (line.length_us < 0)
        line.length_us = 0;
    return line;
}

static void write_line(struct clock_page *page, const struct line *line)
{
    const uint32_t next =
        atomic_load_explicit(&page->index, memory_order_relaxed) + 1;
    struct clock_copy *copy = &page->copies[next & 1];

    atomic_store_explicit(&copy->utc_us, line->utc_us, memory_order_release);
    atomic_store_explicit(&copy->monotonic_us, line->monotonic_us,
                          memory_order_release);
    atomic_store_explicit(&copy->rate, line->rate, memory_order_release);
    atomic_store_explicit(&copy->length_us, line->length_us,
                          memory_order_release);
    atomic_store_explicit(&page->index, next, memory_order_release);
}

static int64_t line_utc_us(const struct line *line, int64_t monotonic_us)
{
    const __int128 passed = (__int128)monotonic_us - line->monotonic_us;
    const __int128 at_rate =
        passed > line->length_us ? (__int128)line->length_us : passed;

    return clamp(line->utc_us + at_rate * line->rate / RATE_ONE +
                 (passed - at_rate));
}

int64_t clock_utc_us(const struct clock *clock)
{
    if (clock->page == NULL)
        return clock_monotonic_us() + clock->offset_us;
    const struct line line = read_line(clock->page);
    return line_utc_us(&line, clock_monotonic_us());
}

int64_t clock_us_until(const struct clock *clock, int64_t utc_us)
{
    const int64_t now = clock_monotonic_us();

    if (clock->page == NULL) {
        const __int128 wait = (__int128)utc_us - now - clock->offset_us;
        return wait > 0 ? clamp(wait) : 0;
    }
    const struct line line = read_line(clock->page);
    if (line_utc_us(&line, now) >= utc_us)
        return 0;
    /* Where the stretch at this rate ends, and what lies behind it. */
    const __int128 gain = (__int128)line.length_us * line.rate / RATE_ONE;
    const __int128 need = (__int128)utc_us - line.utc_us;
    __int128 passed;
    if (need > gain)
        passed = (__int128)line.length_us + (need - gain);
    else if (line.rate == 0)
        return INT64_MAX;
    else
        passed = (need * RATE_ONE + line.rate - 1) / line.rate;
    const __int128 until = passed + line.monotonic_us;
    if (until >= INT64_MAX / 4)
        return INT64_MAX;
    return until > now ? (int64_t)(until - now) : 0;
}

int64_t clock_in_us(const struct clock *clock, int64_t real_us)
{
    if (clock->page == NULL || clock->page->source != CLOCK_SOURCE_VIRTUAL)
        return real_us;
    const struct line line = read_line(clock->page);
    return line.rate <= RATE_ONE
               ? real_us
               : clamp((__int128)real_us * line.rate / RATE_ONE);
}

void clock_sleep_until(const struct clock *clock, int64_t utc_us,
                       int64_t max_us)
{
    static const _Atomic uint32_t no_page;
    const _Atomic uint32_t *word = clock->page ? &clock->page->index : &no_page;
    const int64_t begin = clock_monotonic_us();

    for (;;) {
        const uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
        int64_t wait = clock_us_until(clock, utc_us);
        const int64_t left = max_us - (clock_monotonic_us() - begin);
        if (wait > left)
            wait = left;
        if (wait <= 0)
            return;
        if (wait > SLEEP_SLICE_US)
            wait = SLEEP_SLICE_US; /* the clock may jump meanwhile */
        errno = 0;
        futex_wait(word, seen, wait);
        if (errno == EINTR)
            return;
    }
}

/* --- opening -------------------------------------------------------------- */

static int page_path(char path[1024], const char *run_dir, struct err *err)
{
    if (snprintf(path, 1024, "%s/clock", run_dir) >= 1024)
        return err_set(err, ERR_INPUT, "run folder %.40s...: is too long",
                       run_dir);
    return 0;
}

/* Maps the page and believes it, or not: ERR_INPUT. */
static int page_open(struct clock *clock, const char *path, bool is_writable,
                     struct err *err)
{
    if (shm_open_map(&clock->shm, path, "clock", is_writable,
                     sizeof(struct clock_page), err) < 0)
        return -1;
    struct clock_page *page = (struct clock_page *)clock->shm.map;
    if (atomic_load_explicit(&page->magic, memory_order_acquire) !=
            CLOCK_MAGIC ||
        page->version != CLOCK_LAYOUT_VERSION ||
        page->source > CLOCK_SOURCE_VIRTUAL) {
        shm_close(&clock->shm);
        return err_set(err, ERR_INPUT,
                       "clock %s: no clock page of version %d; remove it", path,
                       CLOCK_LAYOUT_VERSION);
    }
    clock->page = page;
    return 0;
}

int clock_open(struct clock *clock, const char *run_dir, struct err *err)
{
    char path[1024];
    struct err why = ERR_EMPTY;

    *clock = CLOCK_EMPTY;
    clock->offset_us = system_offset_us();
    if (run_dir == NULL)
        return 0;
    if (page_path(path, run_dir, err) < 0)
        return -1;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (page_open(clock, path, false, &why) < 0) {
        if (err != NULL)
            *err = why;
        return -1;
    }
    if (clock->page->boot != boot_hash())
        clock_close(clock);
    return 0;
}

int clock_open_to_order(struct clock *clock, const char *run_dir,
                        struct err *err)
{
    char path[1024];

    *clock = CLOCK_EMPTY;
    clock->offset_us = system_offset_us();
    if (page_path(path, run_dir, err) < 0)
        return -1;
    if (access(path, F_OK) < 0)
        return err_set(err, ERR_UNREACHABLE,
                       "clock %s: there is none; start rv-ctl serve", path);
    return page_open(clock, path, true, err);
}

void clock_close(struct clock *clock)
{
    const int64_t offset_us = clock->offset_us;

    shm_close(&clock->shm);
    *clock = CLOCK_EMPTY;
    clock->offset_us = offset_us;
}

void clock_refresh(struct clock *clock, const char *run_dir)
{
    struct stat there, mine;
    struct clock other;
    char path[1024];

    if (page_path(path, run_dir, NULL) < 0 || stat(path, &there) < 0)
        return;
    if (clock->page != NULL && fstat(clock->shm.fd, &mine) == 0 &&
        mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
        return;
    if (clock_open(&other, run_dir, NULL) < 0 || other.page == NULL) {
        clock_close(&other);
        return;
    }
    clock_close(clock);
    *clock = other;
}

/* --- keeper --------------------------------------------------------------- */

static int page_create(struct clock *clock, const char *path,
                       enum clock_source source, int64_t utc_us,
                       struct err *err)
{
    if (shm_create(&clock->shm, path, sizeof(struct clock_page), err) < 0)
        return -1;
    struct clock_page *page = (struct clock_page *)clock->shm.map;
    const int64_t now = clock_monotonic_us();
    const struct line line = {
        .utc_us =
            source == CLOCK_SOURCE_VIRTUAL ? utc_us : now + clock->offset_us,
        .monotonic_us = now,
        .rate = RATE_ONE,
        .length_us = INT64_MAX,
    };
    write_line(page, &line);
    page->version = CLOCK_LAYOUT_VERSION;
    page->source = source == CLOCK_SOURCE_VIRTUAL ? source : CLOCK_SOURCE_REAL;
    page->boot = boot_hash();
    atomic_store_explicit(&page->magic, CLOCK_MAGIC, memory_order_release);
    if (shm_lock(&clock->shm, err) < 0 || shm_publish(&clock->shm, err) < 0) {
        shm_close(&clock->shm);
        return -1;
    }
    clock->page = page;
    return 0;
}

/* 1: taken over, 0: there is none that can be, -1: somebody keeps it. */
static int page_take_over(struct clock *clock, const char *path,
                          enum clock_source source, struct err *err)
{
    if (page_open(clock, path, true, NULL) < 0)
        return 0;
    if (shm_lock(&clock->shm, err) < 0) {
        clock_close(clock);
        return -1;
    }
    if ((source == CLOCK_SOURCE_AS_IT_IS ||
         clock->page->source == (uint32_t)source) &&
        clock->page->boot == boot_hash())
        return 1;
    clock_close(clock);
    return 0;
}

int clock_keep(struct clock *clock, const char *run_dir,
               enum clock_source source, int64_t utc_us, struct err *err)
{
    char path[1024];

    *clock = CLOCK_EMPTY;
    clock->offset_us = system_offset_us();
    if (page_path(path, run_dir, err) < 0)
        return -1;
    const int lock = rundir_lock(run_dir, err);
    if (lock < 0)
        return -1;
    int rc = page_take_over(clock, path, source, err);
    if (rc == 0)
        rc = page_create(clock, path, source, utc_us, err);
    close(lock);
    if (rc < 0)
        return -1;
    clock->is_keeper = true;
    return 0;
}

static int64_t follow_system(struct clock *clock)
{
    const int64_t offset_us = system_offset_us();
    const struct line was = read_line(clock->page);
    const int64_t now = clock_monotonic_us(); /* one reading for both clocks */
    const int64_t system_utc = offset_us + now;
    struct line line = { .utc_us = line_utc_us(&was, now),
                         .monotonic_us = now,
                         .rate = RATE_ONE,
                         .length_us = INT64_MAX };
    const int64_t off = system_utc - line.utc_us;

    if (off > CLOCK_JUMP_US || off < -CLOCK_JUMP_US) {
        line.utc_us = system_utc;
        write_line(clock->page, &line);
        atomic_fetch_add_explicit(&clock->page->jumps, 1, memory_order_relaxed);
        futex_wake(&clock->page->index);
        return off;
    }
    if (off > DEADBAND_US || off < -DEADBAND_US) {
        line.rate = RATE_ONE + (off > 0 ? CLOCK_SLEW_PPM : -CLOCK_SLEW_PPM);
        line.length_us = (off > 0 ? off : -off) * (RATE_ONE / CLOCK_SLEW_PPM);
    } else if (was.rate == RATE_ONE) {
        return 0; /* nothing to write */
    }
    write_line(clock->page, &line);
    return 0;
}

int64_t clock_tick(struct clock *clock)
{
    if (!clock->is_keeper)
        return 0;
    const int64_t stepped_us = clock_orders_obey(clock);
    return clock->page->source == CLOCK_SOURCE_REAL ? follow_system(clock)
                                                    : stepped_us;
}

/* Goes on from now at another place or rate. */
static void change_line(struct clock *clock, int64_t by_us, int64_t rate)
{
    struct line line = read_line(clock->page);
    const int64_t now = clock_monotonic_us();

    line.utc_us = clamp((__int128)line_utc_us(&line, now) + by_us);
    line.monotonic_us = now;
    line.rate = rate;
    line.length_us = INT64_MAX;
    write_line(clock->page, &line);
    futex_wake(&clock->page->index);
}

void clock_set_rate(struct clock *clock, int64_t rate_millionths)
{
    if (!clock->is_keeper || clock->page->source != CLOCK_SOURCE_VIRTUAL ||
        rate_millionths < 0 || rate_millionths > RATE_MAX)
        return;
    change_line(clock, 0, rate_millionths);
}

void clock_step(struct clock *clock, int64_t by_us)
{
    if (!clock->is_keeper || clock->page->source != CLOCK_SOURCE_VIRTUAL)
        return;
    const struct line line = read_line(clock->page);
    change_line(clock, by_us, line.rate);
    if (by_us > CLOCK_JUMP_US || by_us < -CLOCK_JUMP_US)
        atomic_fetch_add_explicit(&clock->page->jumps, 1, memory_order_relaxed);
}

uint64_t clock_jumps(const struct clock *clock)
{
    return clock->page == NULL ? 0
                               : atomic_load_explicit(&clock->page->jumps,
                                                      memory_order_relaxed);
}

/* --- for people ----------------------------------------------------------- */

void clock_state(const struct clock *clock, struct clock_state *state)
{
    const int64_t now = clock_monotonic_us();

    *state = (struct clock_state){ .source = CLOCK_SOURCE_REAL,
                                   .utc_us = now + clock->offset_us,
                                   .rate_millionths = RATE_ONE };
    state->offset_us = clock->offset_us - system_offset_us();
    if (clock->page == NULL)
        return;
    const struct line line = read_line(clock->page);
    state->utc_us = line_utc_us(&line, now);
    state->offset_us = state->utc_us - (now + system_offset_us());
    const int64_t passed = now - line.monotonic_us;
    const bool is_at_rate = passed < line.length_us;
    state->has_page = true;
    state->has_keeper = clock->is_keeper || shm_is_locked(&clock->shm);
    state->source = (enum clock_source)clock->page->source;
    state->rate_millionths = is_at_rate ? line.rate : RATE_ONE;
    state->jumps = clock_jumps(clock);
    if (state->source == CLOCK_SOURCE_REAL && is_at_rate) {
        state->left_to_slew_us = clamp((__int128)(line.length_us - passed) *
                                       (line.rate - RATE_ONE) / RATE_ONE);
    }
}
