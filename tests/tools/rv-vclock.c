/*
 * rv-vclock: keeps a virtual MasterClock that a script drives.
 *
 *   rv-vclock RUN-DIR [UTC]        UTC like 2026-11-23T14:00:00Z
 *
 * Starts standing still and prints "ready".  Takes lines on standard input and
 * answers each with the time: "rate N" (millionths: 1000000 is real time),
 * "step SECONDS" (may have a fraction of up to six digits), "now".  Ends at the
 * end of its input; the clock then stays as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "clock/clock.h"

struct opts {
    const char *words[2];
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    if (key == ARGP_KEY_END && state->arg_num == 0)
        argp_error(state, "give a run folder");
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (state->arg_num > 1)
        argp_error(state, "'%s' is too much", arg);
    opts->words[state->arg_num] = arg;
    return 0;
}

static const struct argp argp = { .parser = parse_opt,
                                  .args_doc = "RUN-DIR [UTC]" };

static int obey(struct clock *clock, const char *line, struct err *err)
{
    char utc[32];
    double seconds;
    long long rate;

    if (sscanf(line, "rate %lld", &rate) == 1)
        clock_set_rate(clock, rate);
    else if (sscanf(line, "step %lf", &seconds) == 1)
        clock_step(clock, (int64_t)(seconds * 1e6));
    else if (strcmp(line, "now\n") != 0)
        return err_set(err, ERR_INPUT,
                       "'%.40s': give rate N, step SECONDS or now", line);
    clock_format_utc(clock_utc_us(clock), utc);
    puts(utc);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct opts opts = { .words = { NULL, "2026-11-23T14:00:00Z" } };
    struct clock clock = CLOCK_EMPTY;
    struct err err = ERR_EMPTY;
    int64_t utc_us;
    char line[128];

    cli_start("rv-vclock", &argp, argc, argv, &opts);
    int rc = clock_parse_utc(opts.words[1], &utc_us, &err);
    if (rc == 0)
        rc = clock_keep(&clock, opts.words[0], CLOCK_SOURCE_VIRTUAL, utc_us,
                        &err);
    if (rc == 0) {
        clock_set_rate(&clock, 0);
        clock_step(&clock, utc_us - clock_utc_us(&clock));
        printf("ready\n");
        fflush(stdout);
    }
    while (rc == 0 && !cli_stopping() &&
           fgets(line, sizeof(line), stdin) != NULL)
        rc = obey(&clock, line, &err);
    clock_close(&clock);
    return cli_finish(rc, &err);
}
