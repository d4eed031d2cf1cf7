/*
 * serve: `rv-ctl serve`, the front door of all channels.  One thread, one
 * loop; no call waits: a gRPC call becomes a line to a director and is
 * answered when the director's line comes back.
 *
 *   gRPC call -> service.c -> orders of a channel -> control socket
 *   director  -> answer line -> pending call -> gRPC answer
 *
 *   serve.c          options, set-up, loop, the end
 *   serve_channel.c  directors: started, adopted, watched, stopped
 *   serve_ports.c    rv-http, one a port, and rv-metrics
 *   serve_exec.c     executing itself anew
 *   service.c        the gRPC methods
 *
 * The directors live without us; what is lost with us is only who asks.
 */
#ifndef RV_CTL_SERVE_H
#define RV_CTL_SERVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock/clock.h"
#include "ctl.h"
#include "director.h"
#include "err/err.h"
#include "proc/control.h"
#include "proc/rundir.h"
#include "rpc/server.h"
#include "stats/stats.h"

#define SERVE_CHANNELS 64
#define SERVE_PORTS    64
#define SERVE_PENDING  256

struct serve_opts {
    const char *run_dir, *state_dir, *plan_dir, *media_root;
    const char *listen, *socket, *metrics, *http_host, *house, *user;
    int http_port;
    int lead_ms;
    struct passed_opts passed;
    int64_t pts_base; /* 0: rv-stage's own */
    enum clock_source clock;
    int64_t clock_us; /* a virtual clock's start */
};

/* A server process that holds a listening socket of ours: rv-http of one port,
 * or rv-metrics. */
struct port {
    bool is_used;
    bool is_metrics;
    uint16_t port;
    char host[256];
    char address[300]; /* HOST:PORT, as bound */
    int fd;            /* listening; -1: adopted without */
    pid_t pid;
    int pidfd; /* -1: not running */
    struct restart restart;
    int64_t start_at_us;
};

enum served_state {
    SERVED_STARTING = 1, /* the director was started, has said nothing yet */
    SERVED_RUNNING,
    SERVED_STOPPING,
    SERVED_STOPPED
};

struct served {
    int32_t id; /* 0: free */
    enum served_state state;
    bool was_running; /* known since before this start: keep it if that fails */
    char folder[RUNDIR_SIZE];
    char
        plan[1024]; /* of the first start; the director keeps the present one */
    char *format;
    int port;
    pid_t pid;
    int pidfd; /* -1: no director */
    int out;   /* its standard output; -1 */
    char line[2048];
    size_t line_length;
    struct err why; /* it said that it cannot start */
    struct control control;
    struct restart restart;
    int64_t start_at_us;   /* start it again then; 0: not to be started */
    int64_t connect_at_us; /* try to connect again */
    int64_t stop_until_us; /* then it is ended by force */
};

enum method {
    METHOD_START = 0,
    METHOD_UPDATE,
    METHOD_STOP,
    METHOD_LOAD,
    METHOD_SWITCH
};

/* A call that waits for a director. */
struct pending {
    struct rpc_call *call; /* NULL: free; or gone, see is_used */
    bool is_used;
    bool is_sent;
    uint64_t id;
    int32_t channel;
    enum method method;
    json_t *order; /* NULL: waits for the director to be up, or to end */
    int64_t until_us;
};

struct serve {
    struct serve_opts opts;
    struct watch watch;
    char run[RUNDIR_SIZE];
    char socket[RUNDIR_SIZE + 32];
    char state_dir[1024], plan_dir[1024], media_root[1024]; /* absolute */
    int lock;
    int epoll;
    struct clock clock;
    bool has_clock;
    struct rpc_server *server;
    struct rpc_health *health;
    char grpc[300];
    struct served channel[SERVE_CHANNELS];
    struct port port[SERVE_PORTS];
    struct pending pending[SERVE_PENDING];
    uint64_t next_id;
    bool is_stopping;
    bool wants_exec;
};

enum serve_source {
    SERVE_SIGNAL = 1,
    SERVE_RPC,
    SERVE_DIRECTOR_END,
    SERVE_DIRECTOR_LINE,
    SERVE_CONTROL,
    SERVE_PORT_END
};
int serve_watch(struct serve *serve, int fd, uint32_t events,
                enum serve_source source, int place);

/* Kills this process when its page says that it hangs. */
void serve_kill_if_hung(const char *folder, const char *name, pid_t pid,
                        int pidfd, int64_t now_us);

/* serve_channel.c */
struct served *served_find(struct serve *serve, int32_t id);
/* A new place, or the stopped one's; ERR_LIMIT. */
struct served *served_new(struct serve *serve, int32_t id, struct err *err);
int served_start(struct serve *serve, struct served *served, bool take_over,
                 struct err *err);
void served_line(struct serve *serve, int place);
void served_ended(struct serve *serve, int place);
void served_control(struct serve *serve, int place);
/* Restarts, connects, ends by force what is due; gives when to come again. */
int64_t served_update(struct serve *serve, int64_t now_us);
void served_adopt_all(struct serve *serve);
void served_stop(struct serve *serve, struct served *served);
bool served_any(const struct serve *serve);
void served_close_all(struct serve *serve);

/* serve_ports.c */
/* Listens on this port and has rv-http serve it; ERR_STATE when it is held. */
int ports_open(struct serve *serve, int port, int *actual, struct err *err);
int ports_metrics(struct serve *serve, struct err *err);
void ports_ended(struct serve *serve, int place);
int64_t ports_update(struct serve *serve, int64_t now_us);
/* Closes a port that no channel has; the server's own stays. */
void ports_release(struct serve *serve, int port);
void ports_close_all(struct serve *serve);
struct port *ports_find(struct serve *serve, int port);
struct port *ports_find_metrics(struct serve *serve);
void ports_adopt_all(struct serve *serve);

/* service.c */
int service_add(struct serve *serve, struct err *err);
/* A director's line has come. */
void service_answer(struct serve *serve, const json_t *answer);
/* Calls that wait for this channel to be up or to be stopped. */
void service_started(struct serve *serve, struct served *served);
void service_start_failed(struct serve *serve, int32_t channel,
                          const struct err *err);
void service_stopped(struct serve *serve, int32_t channel);
/* Sends what waits, when the control connection is there. */
void service_send(struct serve *serve, struct served *served);
/* The connection broke: what was sent is sent again. */
void service_resend(struct serve *serve, int32_t channel);
int64_t service_update(struct serve *serve, int64_t now_us);

/* serve_exec.c */
bool exec_is_renewed(void);
int exec_take(struct serve *serve, struct err *err);
void exec_self(struct serve *serve);

#endif
