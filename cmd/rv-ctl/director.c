/* director: the table and the numbers.  See director.h. */
#include "director.h"

#define SECOND_US INT64_C(1000000)

/* clang-format off */
static const struct preview_step steps[PREVIEW_STATES][PREVIEW_EVENTS] = {
    [PREVIEW_NONE] = {
        [EVENT_LOAD]         = { PREVIEW_NONE,    ACTION_OPEN },
        [EVENT_OPENED]       = { PREVIEW_LOADED,  ACTION_REPLACE },
        [EVENT_SWITCH_READY] = { PREVIEW_NONE,    ACTION_NO_PREVIEW },
        [EVENT_SWITCH_EARLY] = { PREVIEW_NONE,    ACTION_NO_PREVIEW },
        [EVENT_READY]        = { PREVIEW_NONE,    ACTION_NONE },
        [EVENT_TAKEN]        = { PREVIEW_NONE,    ACTION_NONE },
        [EVENT_GONE]         = { PREVIEW_NONE,    ACTION_NONE },
    },
    [PREVIEW_LOADED] = {
        [EVENT_LOAD]         = { PREVIEW_LOADED,  ACTION_OPEN },
        [EVENT_OPENED]       = { PREVIEW_LOADED,  ACTION_REPLACE },
        [EVENT_SWITCH_READY] = { PREVIEW_CUTTING, ACTION_CUT },
        [EVENT_SWITCH_EARLY] = { PREVIEW_ARMED,   ACTION_NOT_READY },
        [EVENT_READY]        = { PREVIEW_LOADED,  ACTION_NONE },
        [EVENT_TAKEN]        = { PREVIEW_LOADED,  ACTION_NONE },
        [EVENT_GONE]         = { PREVIEW_NONE,    ACTION_DROP },
    },
    [PREVIEW_ARMED] = {
        [EVENT_LOAD]         = { PREVIEW_ARMED,   ACTION_BUSY },
        [EVENT_OPENED]       = { PREVIEW_ARMED,   ACTION_BUSY },
        [EVENT_SWITCH_READY] = { PREVIEW_CUTTING, ACTION_CUT },
        [EVENT_SWITCH_EARLY] = { PREVIEW_ARMED,   ACTION_NOT_READY },
        [EVENT_READY]        = { PREVIEW_CUTTING, ACTION_CUT },
        [EVENT_TAKEN]        = { PREVIEW_ARMED,   ACTION_NONE },
        [EVENT_GONE]         = { PREVIEW_NONE,    ACTION_DROP },
    },
    [PREVIEW_CUTTING] = {
        [EVENT_LOAD]         = { PREVIEW_CUTTING, ACTION_BUSY },
        [EVENT_OPENED]       = { PREVIEW_CUTTING, ACTION_BUSY },
        [EVENT_SWITCH_READY] = { PREVIEW_CUTTING, ACTION_WAIT },
        [EVENT_SWITCH_EARLY] = { PREVIEW_CUTTING, ACTION_WAIT },
        [EVENT_READY]        = { PREVIEW_CUTTING, ACTION_NONE },
        [EVENT_TAKEN]        = { PREVIEW_LIVE,    ACTION_REPORT },
        [EVENT_GONE]         = { PREVIEW_CUTTING, ACTION_NONE },
    },
    [PREVIEW_LIVE] = {
        [EVENT_LOAD]         = { PREVIEW_LIVE,    ACTION_OPEN },
        [EVENT_OPENED]       = { PREVIEW_LOADED,  ACTION_REPLACE },
        [EVENT_SWITCH_READY] = { PREVIEW_LIVE,    ACTION_REPORT },
        [EVENT_SWITCH_EARLY] = { PREVIEW_LIVE,    ACTION_REPORT },
        [EVENT_READY]        = { PREVIEW_LIVE,    ACTION_NONE },
        [EVENT_TAKEN]        = { PREVIEW_LIVE,    ACTION_NONE },
        [EVENT_GONE]         = { PREVIEW_LIVE,    ACTION_NONE },
    },
};
/* clang-format on */

struct preview_step preview_step(enum preview_state state,
                                 enum preview_event event)
{
    return steps[state][event];
}

const char *preview_state_name(enum preview_state state)
{
    static const char *const names[PREVIEW_STATES] = { "none", "loaded",
                                                       "armed", "cutting",
                                                       "live" };

    return names[state];
}

void restart_begins(struct restart *restart, int64_t now_us)
{
    restart->started_us = now_us;
}

int64_t restart_when(struct restart *restart, int64_t now_us)
{
    if (now_us - restart->started_us >= SECOND_US)
        restart->quick_deaths = 0;
    else
        restart->quick_deaths++;
    return restart->quick_deaths >= 3 ? now_us + SECOND_US : now_us;
}

void watch_turn(struct watch *watch, int64_t now_us)
{
    if (watch->turn_us > 0 && now_us - watch->turn_us > SECOND_US / 2)
        watch->patient_until_us = now_us + 2 * SECOND_US;
    watch->turn_us = now_us;
}

bool watch_is_patient(const struct watch *watch, int64_t now_us)
{
    return now_us < watch->patient_until_us;
}

bool is_hung(int64_t heartbeat_us, bool is_due, int64_t now_us)
{
    return is_due && heartbeat_us > 0 && now_us - heartbeat_us > SECOND_US;
}
