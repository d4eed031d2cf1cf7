/* timers: a binary heap; see timers.h. */
#include "rpc/timers.h"

#include <stdlib.h>

#include "clock/clock.h"

int64_t rpc_now_ms(void)
{
    return clock_monotonic_us() / 1000;
}

void rpc_timers_clear(struct rpc_timers *timers)
{
    free(timers->heap);
    *timers = RPC_TIMERS_EMPTY;
}

static void put(struct rpc_timers *timers, size_t place,
                struct rpc_timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

/* Moves the timer from `place` up or down to where it belongs. */
static void settle(struct rpc_timers *timers, size_t place)
{
    struct rpc_timer *timer = timers->heap[place];

    while (place > 1 && timers->heap[place / 2]->due_ms > timer->due_ms) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child > timers->count)
            break;
        if (child < timers->count &&
            timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms)
            child++;
        if (timers->heap[child]->due_ms >= timer->due_ms)
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

int rpc_timer_start(struct rpc_timers *timers, struct rpc_timer *timer,
                    int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer->place != 0) {
        settle(timers, timer->place);
        return 0;
    }
    if (timers->count + 1 >= timers->cap) {
        const size_t cap = timers->cap ? timers->cap * 2 : 64;
        void *grown = realloc(timers->heap, cap * sizeof(timers->heap[0]));
        if (grown == NULL)
            return -1;
        timers->heap = grown;
        timers->cap = cap;
    }
    put(timers, ++timers->count, timer);
    settle(timers, timers->count);
    return 0;
}

void rpc_timer_stop(struct rpc_timers *timers, struct rpc_timer *timer)
{
    const size_t place = timer->place;

    if (place == 0)
        return;
    timer->place = 0;
    struct rpc_timer *last = timers->heap[timers->count--];
    if (last == timer)
        return;
    put(timers, place, last);
    settle(timers, place);
}

int64_t rpc_timers_next(const struct rpc_timers *timers)
{
    return timers->count > 0 ? timers->heap[1]->due_ms : INT64_MAX;
}

void rpc_timers_fire(struct rpc_timers *timers, int64_t now_ms)
{
    while (timers->count > 0 && timers->heap[1]->due_ms <= now_ms) {
        struct rpc_timer *timer = timers->heap[1];
        rpc_timer_stop(timers, timer);
        timer->fire(timer->owner);
    }
}
