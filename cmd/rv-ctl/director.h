/*
 * director: the rules by which a channel is directed.  Pure: a table of state
 * and event, a few numbers; the files around it carry out what it says.
 *
 * The preview's life:
 *
 *            LOAD opened        SWITCH, ready       TAKEN
 *   [NONE] -----------> [LOADED] ----------> [CUTTING] ----> [LIVE]
 *      ^                   | SWITCH, not ready   ^             |
 *      |                   +------> [ARMED] -----+             | LOAD opened
 *      +---- GONE ------------------- READY                    +--> [LOADED]
 *
 *   LOADED   decodes in the shadow; when a live one ends and it is ready, it is
 *            cut in right behind, as if SWITCH had been called
 *   ARMED    was asked for before it was ready; fires by itself
 *   CUTTING  is in the list; the cut can still be taken back
 *   LIVE     its first frame went into the encoder; the figures are known
 */
#ifndef RV_CTL_DIRECTOR_H
#define RV_CTL_DIRECTOR_H

#include <stdbool.h>
#include <stdint.h>

enum preview_state {
    PREVIEW_NONE = 0,
    PREVIEW_LOADED,
    PREVIEW_ARMED,
    PREVIEW_CUTTING,
    PREVIEW_LIVE,
    PREVIEW_STATES
};

enum preview_event {
    EVENT_LOAD = 0,     /* LoadPreview is asked for */
    EVENT_OPENED,       /* its asset is open */
    EVENT_SWITCH_READY, /* SwitchToLive, and the preview is ready */
    EVENT_SWITCH_EARLY, /* SwitchToLive, and it is not */
    EVENT_READY,        /* enough of it is decoded */
    EVENT_TAKEN,        /* its first frame went into the encoder */
    EVENT_GONE,         /* it cannot be played any more */
    PREVIEW_EVENTS
};

enum preview_action {
    ACTION_NONE = 0,
    ACTION_OPEN,       /* start a decoder in the shadow */
    ACTION_BUSY,       /* refuse: a switch is under way */
    ACTION_REPLACE,    /* the opened one becomes the preview */
    ACTION_CUT,        /* put it into the list */
    ACTION_NOT_READY,  /* say so, and remember what was asked */
    ACTION_WAIT,       /* answer when the cut is taken */
    ACTION_REPORT,     /* answer with the figures */
    ACTION_NO_PREVIEW, /* refuse: nothing is loaded */
    ACTION_DROP        /* forget it */
};

struct preview_step {
    enum preview_state next;
    enum preview_action action;
};

struct preview_step preview_step(enum preview_state state,
                                 enum preview_event event);

const char *preview_state_name(enum preview_state state);

/* Restarts: at once, but a second's pause after three deaths within a second
 * of their start. */
struct restart {
    int64_t started_us; /* monotonic */
    int quick_deaths;   /* in a row */
};

void restart_begins(struct restart *restart, int64_t now_us);
/* It died: when (monotonic) it shall be started again. */
int64_t restart_when(struct restart *restart, int64_t now_us);

/* Its heartbeat is older than a second while a frame is due. */
bool is_hung(int64_t heartbeat_us, bool is_due, int64_t now_us);

/*
 * Who watches is stopped with those that it watches (SIGSTOP to all, a machine
 * asleep).  Every heartbeat is old then and nobody hangs, so a watcher whose
 * own turns, at most 0.1 s apart, had a hole of over half a second kills
 * nobody in the two seconds behind it.
 */
struct watch {
    int64_t turn_us; /* monotonic, its last turn; 0: none yet */
    int64_t patient_until_us;
};

void watch_turn(struct watch *watch, int64_t now_us);
bool watch_is_patient(const struct watch *watch, int64_t now_us);

#endif
