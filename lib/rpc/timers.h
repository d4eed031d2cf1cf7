/*
 * timers: a binary heap of things that are due, for one timerfd.
 *
 * The timer lives in its owner; the heap holds pointers and each timer knows
 * its place, so that stopping one is as cheap as starting it.  Stop a timer
 * before its owner goes, or the heap points at nothing.
 */
#ifndef RV_RPC_TIMERS_H
#define RV_RPC_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_timer {
    int64_t due_ms; /* CLOCK_MONOTONIC */
    size_t place;   /* in the heap, from 1; 0: not running */
    void (*fire)(void *owner);
    void *owner;
};

struct rpc_timers {
    struct rpc_timer **heap; /* from 1 */
    size_t count;
    size_t cap;
};

/* clang-format off */
#define RPC_TIMERS_EMPTY ((struct rpc_timers){ .heap = NULL })
/* clang-format on */

void rpc_timers_clear(struct rpc_timers *timers);

/* Starts or moves a timer.  -1 when memory is short (then it does not run). */
int rpc_timer_start(struct rpc_timers *timers, struct rpc_timer *timer,
                    int64_t due_ms);
void rpc_timer_stop(struct rpc_timers *timers, struct rpc_timer *timer);

/* When the first one is due, INT64_MAX if none runs. */
int64_t rpc_timers_next(const struct rpc_timers *timers);

/* Stops and fires all that are due; they may start and stop timers. */
void rpc_timers_fire(struct rpc_timers *timers, int64_t now_ms);

/* CLOCK_MONOTONIC in milliseconds. */
int64_t rpc_now_ms(void);

#endif
