/*
 * channel: the director of one channel at work: its processes, its timeline,
 * the orders that wait for an answer.  One thread, one loop (run.c):
 *
 *   what happened (a child ended, a line came, time passed)
 *     -> the pure parts decide (timeline.h, director.h)
 *       -> air_update() carries it out: decoders started and ended, the list
 *          of inputs written, the state on disk renewed
 *
 *   run.c      options, set-up, loop, the end
 *   procs.c    rv-stage and rv-render: started, adopted, watched
 *   decoders.c the decoders and the warm one
 *   air.c      from the timeline to decoders and inputs
 *   preview.c  LoadPreview and SwitchToLive
 *   plans.c    plans: read, compared, replaced
 *   orders.c   the control socket
 *   state.c    what a new director needs to go on
 */
#ifndef RV_CTL_CHANNEL_H
#define RV_CTL_CHANNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock/clock.h"
#include "ctl.h"
#include "director.h"
#include "err/err.h"
#include "frame/house.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"
#include "plan/plan.h"
#include "proc/control.h"
#include "proc/rundir.h"
#include "stats/stats.h"
#include "timeline.h"

#define CHANNEL_DECODERS 40
#define CHANNEL_CONNS    32
#define CHANNEL_WAITS    16

struct run_opts {
    const char *run_dir;
    const char *state_dir;
    const char *plan;   /* a path */
    const char *house;  /* in force when neither plan nor format says */
    const char *format; /* program_format_json; NULL: none */
    int32_t channel;
    int port;
    int lead_ms; /* 0: rv-render's own */
    int min_depth, max_depth;
    struct passed_opts passed;
    int64_t pts_base; /* 0: rv-stage's own */
    bool keeps_stats; /* leave the stats page at the end: a server reads it */
};

/* rv-stage or rv-render. */
struct proc {
    const char *name; /* "stage" */
    enum stats_counter counter;
    bool is_wanted;
    pid_t pid;
    int pidfd; /* -1: not running */
    struct restart restart;
    int64_t start_at_us; /* when to start it, monotonic */
};

enum decoder_state { DECODER_WARM = 0, DECODER_OPENING, DECODER_OPEN };

struct decoder {
    enum decoder_state state;
    pid_t pid;
    int pidfd;
    int in, out; /* its standard input and output; -1: closed */
    uint32_t pool_id;
    uint32_t laid; /* id of what it decodes; 0: nothing yet */
    int64_t from;
    bool is_unwanted; /* told to end */
    struct pool pool; /* open from its inputs line on */
    char line[2048];  /* what came on its standard output */
    size_t line_length;
    int64_t started_us;
    uint64_t seen_ready, seen_released; /* when it last made a frame ready */
    int64_t progress_us;
};

/* An order whose answer comes later. */
struct wait {
    bool is_used;
    uint64_t conn; /* serial of the connection */
    json_t *request;
};

struct preview {
    bool is_there;
    struct laid laid; /* until it is cut in; then the timeline has its own */
    char asset[1024];
    int64_t start_frame, frame_count;
    AVRational rate;
};

/* The figures of the last cut. */
struct cut_figures {
    int64_t frame;
    int64_t live_start_pts;
    int64_t completion_ms;
    bool is_contiguous;
    char violation[256];
};

struct conn {
    struct control control; /* fd -1: free */
    uint64_t serial;
};

/* A list whose "now" the stage has yet to turn into a number. */
enum now_kind { NOW_NONE = 0, NOW_PREVIEW, NOW_PLAN };

struct channel {
    struct run_opts opts;
    struct watch watch;
    char run[RUNDIR_SIZE];
    char folder[RUNDIR_SIZE];
    char asrun[1200];
    struct house house;
    int64_t forced_epoch_us; /* 0: the stage sets it */
    bool is_epoch_open;      /* it will be set; no stage until then */
    int64_t begin_us;        /* monotonic */
    uint32_t epoch_serial;   /* that the timeline is laid by, 0: none yet */
    struct clock clock;
    struct stats stats;
    struct stats_proc self;
    struct stage_ring ring;
    struct proc stage, render;
    struct decoder decoder[CHANNEL_DECODERS];
    uint32_t next_pool; /* while there is no ring */

    struct plan *plan;
    uint64_t plan_hash;
    struct timeline *timeline;

    struct plan *new_plan; /* waits for its first frames */
    uint64_t new_hash;
    struct timeline *new_timeline;
    int64_t new_deadline_us;
    bool is_new_kept; /* it goes on with what is on air */

    enum preview_state preview_state;
    struct preview preview, candidate;
    uint32_t next_preview_id;
    uint32_t standby_id; /* preview that the plan's decoders stand by for */
    int64_t standby_since_us; /* monotonic */
    int64_t target_ms;        /* of the armed switch, 0: as soon as possible */
    struct cut_figures figures;
    uint32_t cut_id; /* laid id of the cut in progress */

    enum now_kind now_kind;
    uint32_t now_serial;
    int64_t now_not_before; /* NOW_PREVIEW: the frame of its time */
    uint32_t serial;
    char *told; /* the list as last told, without its serial */

    int epoll;
    int listener;
    struct conn conn[CHANNEL_CONNS];
    uint64_t next_conn;
    struct wait load_waits[CHANNEL_WAITS];
    struct wait switch_waits[CHANNEL_WAITS];
    struct wait update_waits[CHANNEL_WAITS];
    struct wait stop_waits[CHANNEL_WAITS];
    bool is_stopping;
    bool is_dirty; /* the state on disk is old */
    bool is_adopted;
    int64_t clock_tick_us;
};

/* run.c: events of the loop carry one of these and a number. */
enum source {
    SOURCE_SIGNAL = 1,
    SOURCE_LISTENER,
    SOURCE_CONN,         /* conn's place */
    SOURCE_PROC,         /* 0 stage, 1 render */
    SOURCE_DECODER_END,  /* decoder's place */
    SOURCE_DECODER_LINE, /* decoder's place */
};
void loop_add(struct channel *channel, int fd, uint32_t events,
              enum source source, int place);

/* procs.c */
void procs_init(struct channel *channel);
/* Starts what shall run, kills what hangs.  Gives when to come again. */
int64_t procs_update(struct channel *channel, int64_t now_us);
void procs_ended(struct channel *channel, int place, int64_t now_us);
/* Takes over what runs already. */
void procs_adopt(struct channel *channel);
bool ring_is_open(const struct channel *channel);

/* decoders.c */
void decoders_init(struct channel *channel);
/* A decoder for this segment from frame `from` on; 0 or -1 (no place, or it
 * cannot be started: tried again later). */
int decoders_start(struct channel *channel, struct laid *laid, int64_t from);
void decoders_keep_warm(struct channel *channel);
void decoders_line(struct channel *channel, int place, int64_t now_us);
void decoders_ended(struct channel *channel, int place, int64_t now_us);
struct decoder *decoders_of_pool(struct channel *channel, uint32_t pool);
/* Ends those whose pool nobody will want. */
void decoders_sweep(struct channel *channel, int64_t position);
/* Kills those that hang: frames were taken from them, and none came. */
void decoders_watch(struct channel *channel, int64_t now_us);
void decoders_kill_all(struct channel *channel, int number);
bool decoders_any(const struct channel *channel);
void decoder_close(struct channel *channel, struct decoder *decoder);
/* Takes over one that runs (from the state on disk). */
void decoders_adopt(struct channel *channel, const struct decoder *found);
struct laid *find_laid(struct channel *channel, uint32_t id);

/* air.c */
int64_t air_position(const struct channel *channel);
int64_t air_tail(const struct channel *channel);
/* Decides and carries out; gives when to come again (monotonic). */
int64_t air_update(struct channel *channel, int64_t now_us);

/* preview.c */
void preview_load(struct channel *channel, struct conn *conn, json_t *request);
void preview_switch(struct channel *channel, struct conn *conn,
                    json_t *request);
void preview_opened(struct channel *channel, struct laid *laid);
void preview_failed(struct channel *channel, struct laid *laid,
                    const struct err *why);
bool preview_is_laid(const struct channel *channel, const struct laid *laid);
/* Is what this decodes deep enough to go on air? */
bool is_ready_for_air(struct channel *channel, const struct laid *laid);
/* The stage turned "now" into this frame. */
void preview_cut_known(struct channel *channel, int64_t frame);
/* Gives true while it wants to be asked again soon. */
bool preview_update(struct channel *channel, int64_t now_us);

/* plans.c */
int plans_first(struct channel *channel, struct err *err);
void plans_free(struct channel *channel);
void plans_settle_epoch(struct channel *channel, int64_t now_us);
void plans_watch_epoch(struct channel *channel);
void plans_start(struct channel *channel, struct conn *conn, json_t *request);
void plans_update(struct channel *channel, struct conn *conn, json_t *request);
bool plans_waiting(struct channel *channel, int64_t now_us);
void plans_cut_known(struct channel *channel, int64_t frame);
/* The plan as it was read, kept for a new director. */
int plans_keep_copy(struct channel *channel, const char *path, struct err *err);
struct plan *plans_load(const char *path, const char *copy, struct err *err);

/* orders.c */
void orders_accept(struct channel *channel);
void orders_read(struct channel *channel, int place);
void orders_reply(struct channel *channel, uint64_t conn, json_t *answer);
void orders_refuse(struct channel *channel, struct conn *conn, json_t *request,
                   const struct err *err);
void orders_wait(struct wait *waits, struct channel *channel, struct conn *conn,
                 json_t *request);
/* Answers all who wait here: `make` gives the answer to one request. */
typedef json_t *(*answer_maker)(struct channel *channel, const json_t *request,
                                const void *data);
void orders_answer_all(struct channel *channel, struct wait *waits,
                       answer_maker make, const void *data);
json_t *orders_refusal_maker(struct channel *channel, const json_t *request,
                             const void *err);
void orders_close(struct channel *channel);

/* state.c */
void state_write(struct channel *channel);
/* 1: there was one and it is taken over; 0: none; -1: unusable. */
int state_read(struct channel *channel, struct err *err);

#endif
