/*
 * clock_impl: the page of the MasterClock; for this folder only.
 *
 * Who shares what: the table in clock.h.
 */
#ifndef RV_CLOCK_CLOCK_IMPL_H
#define RV_CLOCK_CLOCK_IMPL_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/clock.h"

#define CLOCK_MAGIC    UINT64_C(0x313030636c767472) /* "rtvlc001" */
#define CLOCK_RATE_ONE INT64_C(1000000)
#define CLOCK_RATE_MAX (CLOCK_RATE_ONE * 1000000)

struct clock_copy {
    _Atomic int64_t utc_us;
    _Atomic int64_t monotonic_us;
    _Atomic int64_t rate; /* millionths */
    _Atomic int64_t length_us;
};

struct clock_page {
    _Atomic uint64_t magic;
    uint32_t version;
    uint32_t source;
    uint64_t boot; /* a page of before the last boot counts for nothing */
    _Atomic uint64_t jumps;
    alignas(64) _Atomic uint32_t index;
    alignas(64) struct clock_copy copies[2];
    alignas(64) _Atomic uint32_t asked; /* serial of the newest order */
    _Atomic uint32_t kind;              /* enum clock_order */
    _Atomic int64_t value;
    alignas(64) _Atomic uint32_t obeyed; /* serial of the newest obeyed */
    _Atomic int64_t resume_rate;         /* before the pause; 0: none */
};

_Static_assert(offsetof(struct clock_page, index) == 64, "layout 2");
_Static_assert(offsetof(struct clock_page, copies) == 128, "layout 2");
_Static_assert(offsetof(struct clock_page, asked) == 192, "layout 2");
_Static_assert(offsetof(struct clock_page, obeyed) == 256, "layout 2");
_Static_assert(sizeof(struct clock_page) == 320, "layout 2");

/* The page, writable; ERR_UNREACHABLE when there is none. */
int clock_open_to_order(struct clock *clock, const char *run_dir,
                        struct err *err);
/* Keeper: carries out the order that is new, if there is one.  Gives the step
 * in microseconds when it was a jump, else 0. */
int64_t clock_orders_obey(struct clock *clock);

#endif
