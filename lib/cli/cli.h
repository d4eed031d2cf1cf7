/*
 * cli: what every program does the same way at its start and at its end.
 *
 * Options by argp with our exit status for wrong usage (2), --version, signals
 * (SIGTERM and SIGINT ask for a clean end, SIGPIPE ends a filter quietly), and
 * a last look at standard output, whose write errors would otherwise be lost.
 */
#ifndef RV_CLI_CLI_H
#define RV_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"

/* The version of all programs and of the library, e.g. "0.1.0". */
extern const char cli_version[];

/*
 * Parses options into `opts` (argp's input), installs the signal handlers,
 * ignores SIGPIPE (writes then fail with EPIPE, see cli_finish) and names the
 * program for the log.  On wrong usage it prints argp's sentence and exits
 * with status 2.  Call once, first thing in main().
 */
void cli_start(const char *program, const struct argp *argp, int argc,
               char **argv, void *opts);

/*
 * True once SIGTERM or SIGINT has come.  Waits in the library are bounded, so
 * a loop that asks between waits ends soon.  cli_stop() sets it by hand.
 */
bool cli_stopping(void);
void cli_stop(void);

/*
 * Flushes and checks standard output, prints the error's sentence as
 * "program: sentence" when rc < 0, and gives the exit status for main().  A
 * reader of standard output that went away (EPIPE) is a clean end, status 0.
 */
int cli_finish(int rc, const struct err *err);

/*
 * For option parsers: reads a whole number in min..max, or ends the program
 * with usage status and a sentence that names the option and the range.
 */
int64_t cli_number(const struct argp_state *state, const char *option,
                   const char *text, int64_t min, int64_t max);

/* One of the words "a|b|c": which, from 0 on.  Usage error as above. */
int cli_choice(const struct argp_state *state, const char *option,
               const char *text, const char *words);

/*
 * A HOST:PORT argument into host (NUL-terminated, brackets of IPv6 removed)
 * and port 0..65535.  Usage error as above.
 */
void cli_host_port(const struct argp_state *state, const char *option,
                   const char *text, char *host, size_t host_size,
                   uint16_t *port);

#endif
