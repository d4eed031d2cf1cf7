/*
 * clock: the MasterClock, the one source of time.  UTC in microseconds.
 *
 * <run>/clock is a page with two copies of (UTC, monotonic time, rate) and one
 * index; it is kept by whoever holds its lock (rv-ctl serve, else a director).
 * Readers map UTC from CLOCK_MONOTONIC with it.  Without a page a program maps
 * UTC once at its start and then counts monotonic time.
 *
 * Two sources: real (follows the system's clock, slewing its steps by at most
 * 500 ppm; over 5 s is a jump) and virtual (set by hand, any rate, may stand
 * still; a test's script drives it).  No program asks a system clock for
 * timing except through this module (a test greps for it).
 *
 *   page        written by  order                    read by  order
 *   copies[i]   keeper      release, before index    all      acquire
 *   index       keeper      release; futex word      all      acquire, before
 *                                                             and after
 *   source      creator     relaxed, before magic    all      relaxed
 *   jumps       keeper      relaxed                  all      relaxed
 *   kind, value author      relaxed, before asked    keeper   relaxed
 *   asked       author      release                  keeper   acquire
 *   obeyed      keeper      release                  authors  acquire
 *   resume_rate keeper      relaxed                  keeper   relaxed
 *   magic       creator     release, last            openers  acquire, first
 *
 * The index names the copy that is whole; the keeper writes the other one. So
 * a keeper that dies between any two stores leaves a clock that runs on, and a
 * copy says itself when its slewing is over.  An author of orders holds the
 * run folder's lock while it writes one.
 */
#ifndef RV_CLOCK_CLOCK_H
#define RV_CLOCK_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/shm.h"

#define CLOCK_LAYOUT_VERSION 2
#define CLOCK_SLEW_PPM       500
#define CLOCK_JUMP_US        INT64_C(5000000)
#define CLOCK_STEP_MAX_US    (INT64_C(1000) * 366 * 86400 * 1000000)

/* Names a file with microseconds that are added to the system's clock. */
#define CLOCK_TEST_OFFSET_ENV "RETROVUE_TEST_CLOCK_OFFSET"

/* AS_IT_IS: for clock_keep() only, whatever page is there, else a real one. */
enum clock_source {
    CLOCK_SOURCE_REAL = 0,
    CLOCK_SOURCE_VIRTUAL,
    CLOCK_SOURCE_AS_IT_IS
};

struct clock_page;

struct clock {
    struct shm shm;
    struct clock_page *page; /* NULL: no page, offset_us counts */
    int64_t offset_us;       /* UTC minus monotonic at open */
    bool is_keeper;
};

/* clang-format off */
#define CLOCK_EMPTY ((struct clock){ .shm = SHM_EMPTY, .page = NULL })
/* clang-format on */

/*
 * Opens <run_dir>/clock, or maps UTC once when run_dir is NULL or has none.
 * ERR_INPUT when the page is wrong.
 */
int clock_open(struct clock *clock, const char *run_dir, struct err *err);
void clock_close(struct clock *clock);
/* Takes the page that is there now, if it is another one: for programs that
 * outlive keepers.  Costs one stat(); once a second is enough. */
void clock_refresh(struct clock *clock, const char *run_dir);

/* Now.  Any thread. */
int64_t clock_utc_us(const struct clock *clock);
/* CLOCK_MONOTONIC in microseconds: for time-outs and heartbeats only. */
int64_t clock_monotonic_us(void);
/* How long by CLOCK_MONOTONIC until the MasterClock shows utc_us: 0 if past,
 * INT64_MAX while it stands still. */
int64_t clock_us_until(const struct clock *clock, int64_t utc_us);
/* What the MasterClock shows more after real_us by CLOCK_MONOTONIC, at the
 * present rate but at least real_us: bounds for work, which takes its time
 * however fast a virtual clock runs. */
int64_t clock_in_us(const struct clock *clock, int64_t real_us);
/* Sleeps until then, at most max_us; ends early on a signal.  A step or a new
 * rate of a virtual clock is felt at once. */
void clock_sleep_until(const struct clock *clock, int64_t utc_us,
                       int64_t max_us);

/* --- keeper --------------------------------------------------------------- */

/* Creates or takes over <run_dir>/clock and locks it; ERR_STATE if another
 * process keeps it.  A new virtual clock starts at utc_us with
 * rate 1, one that is taken over goes on. */
int clock_keep(struct clock *clock, const char *run_dir,
               enum clock_source source, int64_t utc_us, struct err *err);
/* Real: looks at the system clock, slews or jumps.  Virtual: carries out what
 * was ordered.  Call every 100 ms or so.  Gives the jump in microseconds when
 * there was one, else 0. */
int64_t clock_tick(struct clock *clock);
/* Virtual: rate in millionths (1000000: real time, 0: stands still), step; a
 * step of more than 5 s counts as a jump. */
void clock_set_rate(struct clock *clock, int64_t rate_millionths);
void clock_step(struct clock *clock, int64_t by_us);

/* --- orders --------------------------------------------------------------- */

enum clock_order {
    CLOCK_ORDER_RATE = 1, /* millionths; 0 pauses */
    CLOCK_ORDER_RESUME,   /* at the rate before the pause */
    CLOCK_ORDER_STEP      /* microseconds, +-CLOCK_STEP_MAX_US */
};

/* Tells the keeper of a virtual clock, and waits at most 2 s for it.
 * ERR_STATE: the clock is real; ERR_UNREACHABLE: no page or no keeper. */
int clock_order(const char *run_dir, enum clock_order order, int64_t value,
                struct err *err);

/* "real", "virtual" (from now on) or "virtual:UTC". */
int clock_parse_source(const char *text, enum clock_source *source,
                       int64_t *utc_us, struct err *err);

/* --- for people and metrics ----------------------------------------------- */

struct clock_state {
    enum clock_source source;
    int64_t utc_us;
    int64_t offset_us; /* MasterClock minus system UTC */
    int64_t rate_millionths;
    int64_t left_to_slew_us;
    uint64_t jumps;
    bool has_page;
    bool has_keeper;
};
void clock_state(const struct clock *clock, struct clock_state *state);
/* How often it jumped: a new number is a reason for a new epoch. */
uint64_t clock_jumps(const struct clock *clock);

/* "2026-11-23T14:00:00.000Z" (ms) into text; and strictly back, with an
 * optional fraction, "Z" or "+HH:MM". */
void clock_format_utc(int64_t utc_us, char text[32]);
/* A time that passes: "0:10:00.000", of no less than 0. */
#define CLOCK_SPAN_SIZE 32
void clock_span(char text[CLOCK_SPAN_SIZE], int64_t us);
int clock_parse_utc(const char *text, int64_t *utc_us, struct err *err);

#endif
