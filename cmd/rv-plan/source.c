/* source: where a verb has its plan from, and its time. */
#include "rv_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "clock/clock.h"

/* Everything from standard input, one byte more than allowed at the most. */
static char *read_stdin(size_t *length, struct err *err)
{
    const size_t room = PLAN_BYTES_MAX + 1u;
    char *text = malloc(room);

    *length = 0;
    if (text == NULL) {
        err_set(err, ERR_SYSTEM, "standard input: no memory to read it");
        return NULL;
    }
    while (*length < room) {
        const ssize_t got = read(STDIN_FILENO, text + *length, room - *length);
        if (got == 0)
            break;
        if (got > 0) {
            *length += (size_t)got;
        } else if (errno != EINTR || cli_stopping()) {
            err_errno(err, ERR_UNREACHABLE, "standard input");
            free(text);
            return NULL;
        }
    }
    return text;
}

/* A plan on standard input has its assets in the present folder. */
static int load_stdin(struct source *source, struct err *err)
{
    size_t length;

    char *text = read_stdin(&length, err);
    if (text == NULL)
        return -1;
    const int rc = plan_parse(&source->plan, text, length, "(standard input)",
                              &source->problems, err);
    free(text);
    return rc;
}

static int load_named(struct source *source, const struct opts *opts,
                      struct err *err)
{
    const char *name = opts->name;
    char path[1024];

    if (strcmp(name, "-") == 0)
        return load_stdin(source, err);
    if (name[0] != '/' && !segment_asset_is_url(name) &&
        (opts->plan_dir == NULL || access(name, F_OK) == 0))
        return plan_load(&source->plan, name, &source->problems, err);
    if (plan_find(path, name, opts->plan_dir, err) < 0)
        return -1;
    return plan_load(&source->plan, path, &source->problems, err);
}

int source_load(struct source *source, const struct opts *opts, struct err *err)
{
    *source = SOURCE_EMPTY;
    if (load_named(source, opts, err) < 0)
        return -1;
    source->house = source->plan.has_house ? source->plan.house : opts->house;
    /* With its own house it was checked while it was read. */
    if (source->plan.has_house)
        return 0;
    return plan_check_house(&source->plan, &source->house, &source->problems,
                            err);
}

void source_clear(struct source *source)
{
    plan_clear(&source->plan);
    plan_problems_clear(&source->problems);
}

void source_print_problem(FILE *to, const char *name,
                          const struct plan_problem *problem)
{
    fprintf(to, "%s:", name);
    if (problem->line > 0)
        fprintf(to, "%d:", problem->line);
    fprintf(to, " %s%s%s%s\n", problem->field, problem->field[0] ? ": " : "",
            problem->is_warning ? "warning: " : "", problem->text);
}

void source_print_problems(const struct source *source, const struct opts *opts,
                           int rc)
{
    bool is_first_error = rc < 0;

    for (int i = 0; i < source->problems.count; i++) {
        const struct plan_problem *problem = &source->problems.problem[i];

        if (is_first_error && !problem->is_warning)
            is_first_error = false;
        else
            source_print_problem(stderr, opts->name, problem);
    }
}

int source_time(const struct opts *opts, int64_t *utc_us, struct err *err)
{
    struct clock clock = CLOCK_EMPTY;

    if (opts->at != NULL && strcmp(opts->at, "now") != 0)
        return clock_parse_utc(opts->at, utc_us, err);
    if (clock_open(&clock, opts->run_dir, err) < 0)
        return -1;
    *utc_us = clock_utc_us(&clock);
    clock_close(&clock);
    return 0;
}
