/*
 * orders: a virtual clock is set by its keeper alone, and whoever wants it set
 * leaves an order in the page: what, how much, then one store of a serial
 * number.  The keeper looks at every tick and says the serial back.
 *
 * An order whose author dies before the serial is no order; one that its
 * keeper dies over is carried out by the next, at most once more.  The page is
 * input: what is out of range is said to be done and is not.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock/clock.h"
#include "clock/clock_impl.h"
#include "proc/rundir.h"

#define WAIT_US  INT64_C(2000000) /* a keeper ticks ten times a second */
#define SLICE_US INT64_C(5000)

static int64_t rate_now(const struct clock *clock)
{
    struct clock_state state;

    clock_state(clock, &state);
    return state.rate_millionths;
}

static void set_rate(struct clock *clock, int64_t rate)
{
    const int64_t was = rate_now(clock);

    if (rate == 0 && was != 0)
        atomic_store_explicit(&clock->page->resume_rate, was,
                              memory_order_relaxed);
    clock_set_rate(clock, rate);
}

static void resume(struct clock *clock)
{
    const int64_t rate =
        atomic_load_explicit(&clock->page->resume_rate, memory_order_relaxed);

    if (rate_now(clock) == 0)
        clock_set_rate(clock, rate > 0 ? rate : CLOCK_RATE_ONE);
}

static int64_t obey(struct clock *clock, uint32_t kind, int64_t value)
{
    switch (kind) {
    case CLOCK_ORDER_RATE:
        if (value >= 0 && value <= CLOCK_RATE_MAX)
            set_rate(clock, value);
        return 0;
    case CLOCK_ORDER_RESUME:
        resume(clock);
        return 0;
    case CLOCK_ORDER_STEP:
        if (value < -CLOCK_STEP_MAX_US || value > CLOCK_STEP_MAX_US)
            return 0;
        clock_step(clock, value);
        return value > CLOCK_JUMP_US || value < -CLOCK_JUMP_US ? value : 0;
    default: /* another process wrote it */
        return 0;
    }
}

int64_t clock_orders_obey(struct clock *clock)
{
    struct clock_page *page = clock->page;
    const uint32_t asked =
        atomic_load_explicit(&page->asked, memory_order_acquire);

    if (asked == atomic_load_explicit(&page->obeyed, memory_order_relaxed))
        return 0;
    const int64_t jump_us =
        obey(clock, atomic_load_explicit(&page->kind, memory_order_relaxed),
             atomic_load_explicit(&page->value, memory_order_relaxed));
    atomic_store_explicit(&page->obeyed, asked, memory_order_release);
    return jump_us;
}

/* --- whoever orders ------------------------------------------------------- */

static bool wait_obeyed(struct clock_page *page, uint32_t serial)
{
    const int64_t until_us = clock_monotonic_us() + WAIT_US;

    while ((int32_t)(atomic_load_explicit(&page->obeyed, memory_order_acquire) -
                     serial) < 0) {
        if (clock_monotonic_us() >= until_us)
            return false;
        usleep(SLICE_US);
    }
    return true;
}

static int publish(struct clock_page *page, const char *run_dir,
                   enum clock_order order, int64_t value, uint32_t *serial,
                   struct err *err)
{
    const int lock = rundir_lock(run_dir, err); /* one author at a time */

    if (lock < 0)
        return -1;
    *serial = atomic_load_explicit(&page->asked, memory_order_relaxed);
    const bool is_free = wait_obeyed(page, *serial);
    if (is_free) {
        *serial += 1;
        atomic_store_explicit(&page->kind, (uint32_t)order,
                              memory_order_relaxed);
        atomic_store_explicit(&page->value, value, memory_order_relaxed);
        atomic_store_explicit(&page->asked, *serial, memory_order_release);
    }
    close(lock);
    return is_free
               ? 0
               : err_set(err, ERR_UNREACHABLE,
                         "clock of %s: its keeper does not answer", run_dir);
}

int clock_order(const char *run_dir, enum clock_order order, int64_t value,
                struct err *err)
{
    struct clock clock;
    struct clock_state state;
    uint32_t serial = 0;
    int rc = -1;

    if (clock_open_to_order(&clock, run_dir, err) < 0)
        return -1;
    clock_state(&clock, &state);
    if (state.source != CLOCK_SOURCE_VIRTUAL)
        err_set(err, ERR_STATE,
                "clock of %s: it is the system's and cannot be set; start "
                "rv-ctl serve with --clock virtual",
                run_dir);
    else if (!state.has_keeper)
        err_set(err, ERR_UNREACHABLE,
                "clock of %s: nobody keeps it; start rv-ctl serve", run_dir);
    else if (publish(clock.page, run_dir, order, value, &serial, err) == 0)
        rc = wait_obeyed(clock.page, serial)
                 ? 0
                 : err_set(err, ERR_UNREACHABLE,
                           "clock of %s: its keeper does not answer", run_dir);
    clock_close(&clock);
    return rc;
}

int clock_parse_source(const char *text, enum clock_source *source,
                       int64_t *utc_us, struct err *err)
{
    struct clock clock;

    *utc_us = 0;
    if (strcmp(text, "real") == 0) {
        *source = CLOCK_SOURCE_REAL;
        return 0;
    }
    if (strncmp(text, "virtual", 7) != 0 || (text[7] != '\0' && text[7] != ':'))
        return err_set(err, ERR_INPUT,
                       "'%.40s' is no clock; give real, virtual or "
                       "virtual:2026-11-23T14:00:00Z",
                       text);
    *source = CLOCK_SOURCE_VIRTUAL;
    if (text[7] == ':')
        return clock_parse_utc(text + 8, utc_us, err);
    if (clock_open(&clock, NULL, err) < 0)
        return -1;
    *utc_us = clock_utc_us(&clock);
    clock_close(&clock);
    return 0;
}
