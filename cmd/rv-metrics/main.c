/* rv-metrics: all counters of a run folder for Prometheus.  See rv-metrics(1).
 */
#include <bsd/string.h>
#include <stdio.h>

#include "cli/cli.h"
#include "log/log.h"
#include "metrics.h"

struct opts {
    const char *run_dir;
    struct where where;
    bool is_once;
};

enum { OPT_RUN_DIR = 256, OPT_FD, OPT_ONCE };

static const struct argp_option options[] = {
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder whose pages are read", 0 },
    { "listen", 'l', "HOST:PORT", 0,
      "Listen there; port 0 picks a free one (127.0.0.1:9308)", 0 },
    { "listen-fd", OPT_FD, "N", 0, "Listen on the inherited socket N", 0 },
    { "once", OPT_ONCE, NULL, 0, "Write to standard output once and end", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case 'l':
        cli_host_port(state, "--listen", arg, opts->where.host,
                      sizeof(opts->where.host), &opts->where.port);
        return 0;
    case OPT_FD:
        opts->where.fd = (int)cli_number(state, "--listen-fd", arg, 3, 1 << 20);
        return 0;
    case OPT_ONCE:
        opts->is_once = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too much; rv-metrics takes options only",
                   arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .doc = "Tell Prometheus what all channels of a run folder count.",
};

int main(int argc, char **argv)
{
    struct opts opts = { .where = {
                             .host = "127.0.0.1", .port = 9308, .fd = -1 } };
    struct metrics metrics;
    struct err err = ERR_EMPTY;

    cli_start("rv-metrics", &argp, argc, argv, &opts);
    shm_guard();
    int rc = metrics_open(&metrics, opts.run_dir, &err);
    if (rc == 0 && opts.is_once) {
        metrics_collect(&metrics);
        metrics_write(&metrics, stdout);
    } else if (rc == 0) {
        log_in_service();
        rc = serve(&metrics, &opts.where, &err);
    }
    metrics_close(&metrics);
    return cli_finish(rc, &err);
}
