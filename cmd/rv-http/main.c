/* rv-http: sends TS rings to any number of viewers.  See rv-http(1). */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "hold.h"
#include "http.h"
#include "log/log.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 8090

struct where {
    char host[256]; /* "": fd counts */
    uint16_t port;
    int fd;
};

struct opts {
    const char *run_dir;
    const char *name;
    struct where where[HTTP_LISTENERS_MAX];
    int where_count;
    int64_t max_viewers;
    bool is_matching_port;
};

enum { OPT_RUN_DIR = 256, OPT_FD, OPT_MATCH, OPT_MAX, OPT_NAME };

static const struct argp_option options[] = {
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder whose channels are sent",
      0 },
    { "listen", 'l', "HOST:PORT", 0,
      "Listen there; port 0 picks a free one; may be given again "
      "(127.0.0.1:8090)",
      0 },
    { "listen-fd", OPT_FD, "N", 0,
      "Listen on the inherited socket N; may be given again", 0 },
    { "match-port", OPT_MATCH, NULL, 0,
      "Only channels whose file `port' holds the listener's port", 0 },
    { "max-viewers", OPT_MAX, "N", 0, "Let no more in (10000)", 0 },
    { "name", OPT_NAME, "NAME", 0,
      "Name of this process's page in the run folder (http)", 0 },
    { 0 }
};

static struct where *add_where(struct opts *opts, struct argp_state *state)
{
    if (opts->where_count == HTTP_LISTENERS_MAX)
        argp_error(state, "more than %d listeners; give fewer",
                   HTTP_LISTENERS_MAX);
    return &opts->where[opts->where_count++];
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;
    struct where *where;

    switch (key) {
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case 'l':
        where = add_where(opts, state);
        cli_host_port(state, "--listen", arg, where->host, sizeof(where->host),
                      &where->port);
        return 0;
    case OPT_FD:
        where = add_where(opts, state);
        where->fd = (int)cli_number(state, "--listen-fd", arg, 3, 1 << 20);
        return 0;
    case OPT_MATCH:
        opts->is_matching_port = true;
        return 0;
    case OPT_MAX:
        opts->max_viewers = cli_number(state, "--max-viewers", arg, 1, 1000000);
        return 0;
    case OPT_NAME:
        opts->name = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too much; rv-http takes options only", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .doc = "Send the channels of a run folder to viewers over HTTP.",
};

/* Before anything else is opened: an inherited number must not be ours. */
static int open_listeners(struct server *server, const struct opts *opts,
                          struct err *err)
{
    for (int i = 0; i < opts->where_count; i++) {
        const struct where *where = &opts->where[i];
        const int rc = where->host[0] != '\0'
                           ? listen_on(server, where->host, where->port, err)
                           : listen_on_fd(server, where->fd, err);
        if (rc < 0)
            return -1;
    }
    return opts->where_count > 0
               ? 0
               : listen_on(server, DEFAULT_HOST, DEFAULT_PORT, err);
}

static int start_serving(struct server *server, struct err *err)
{
    if (listen_watch(server, true, err) < 0)
        return -1;
    channel_scan(server);
    if (server->is_restart)
        channel_count_restart(server);
    for (int i = 0; i < server->listener_count; i++)
        printf("{\"http\":\"%s\"}\n", server->listeners[i].address);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    static struct opts opts = { .name = "http", .max_viewers = 10000 };
    static struct server server;
    struct err err = ERR_EMPTY;

    if (strcmp(argv[0], HOLD_PROGRAM) == 0)
        return hold_main(argc, argv);
    cli_start("rv-http", &argp, argc, argv, &opts);
    log_in_service();
    shm_guard();
    server.is_matching_port = opts.is_matching_port;
    server.max_viewers = opts.max_viewers;
    server_init(&server);
    int rc = open_listeners(&server, &opts, &err);
    if (rc == 0)
        rc = server_open(&server, opts.run_dir, opts.name, &err);
    if (rc == 0)
        rc = start_serving(&server, &err);
    while (rc == 0 && !cli_stopping())
        rc = server_step(&server, &err);
    server_close(&server);
    return cli_finish(rc, &err);
}
