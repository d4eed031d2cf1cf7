/*
 * ctl: the verbs of rv-ctl.  Each has a main of its own; argv[0] is what its
 * usage shows ("rv-ctl serve").
 */
#ifndef RV_CTL_CTL_H
#define RV_CTL_CTL_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "err/err.h"

/* What rv-stage is told about the slate, and it and rv-decode about the
 * sandbox; NULL: its default.  In title and slate %d is the channel's number.
 */
struct passed_opts {
    const char *title, *slate, *sound;
    const char *sandbox;
};
/* Their options, a child of run's and serve's; its input is the struct. */
extern const struct argp passed_argp;

int run_main(int argc, char **argv);
int serve_main(int argc, char **argv);
/* Shows the MasterClock of a run folder (NULL: the usual one). */
int clock_show(const char *run_dir, bool is_json, struct err *err);
/* What `rv-ctl clock` was told to do first; kind 0: nothing. */
struct clock_wish {
    enum clock_order kind;
    int64_t value;
};
/* "20", "0.5": times real time, in millionths. */
int clock_parse_rate(const char *text, int64_t *millionths, struct err *err);
int clock_set(const char *run_dir, const struct clock_wish *wish,
              struct err *err);
/* start, update, stop, load, switch, status, version, clock. */
int client_main(int argc, char **argv);

#endif
