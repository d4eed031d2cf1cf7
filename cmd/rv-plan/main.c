/*
 * rv-plan: reads a plan and tells what it means: as lines for rv-decode, as
 * problems, as a table, or what is on now.  See rv-plan(1).
 */
#include "rv_plan.h"

#include <locale.h>
#include <string.h>

#include "cli/cli.h"
#include "clock/clock.h"

enum {
    OPT_NO_PROBE = 256,
    OPT_STRICT,
    OPT_QUICK,
    OPT_EXPLAIN,
    OPT_PLAN_DIR,
    OPT_RUN_DIR
};

static const struct argp_option options[] = {
    { "house", 'H', "WxH@RATE", 0,
      "House format of a plan that has none (1280x720@30000/1001)", 0 },
    { "passes", 'p', "N", 0, "resolve: go around a looping plan N times", 0 },
    { "at", 'a', "UTC", 0,
      "resolve: join the plan as it is at that time; now: ask for that time "
      "(2026-11-23T14:00:00Z, or 'now')",
      0 },
    { "json", 'j', NULL, 0, "check, show, now: write JSON", 0 },
    { "explain", OPT_EXPLAIN, NULL, 0,
      "check: say all that is done to each asset, not a row of it", 0 },
    { "quiet", 'q', NULL, 0, "check: only problems, nothing of the assets", 0 },
    { "quick", OPT_QUICK, NULL, 0,
      "check: believe the lengths that containers say", 0 },
    { "no-probe", OPT_NO_PROBE, NULL, 0, "check: do not open the assets", 0 },
    { "strict", OPT_STRICT, NULL, 0, "check: warnings are errors", 0 },
    { "plan-dir", OPT_PLAN_DIR, "DIR", 0, "Folder of plans given by name", 0 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Folder of the MasterClock", 0 },
    { 0 }
};

static const char doc[] =
    "Read a plan and tell what it means.\v"
    "Verbs:\n"
    "  resolve  write segment lines for rv-decode (the default)\n"
    "  check    say what is done to the assets, name every problem\n"
    "  show     draw the timeline as a table\n"
    "  now      say what is on, and what is next\n\n"
    "PLAN is a file (JSON plan, list of files, media file), '-' for standard "
    "input, a URI, or a name in --plan-dir.";

static const struct {
    const char *name;
    int (*run)(const struct opts *opts, struct err *err);
} VERBS[] = {
    { "resolve", verb_resolve },
    { "check", verb_check },
    { "show", verb_show },
    { "now", verb_now },
};

static bool is_verb(const char *word)
{
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (strcmp(word, VERBS[i].name) == 0)
            return true;
    }
    return false;
}

/* A plan alone is resolved: "rv-plan day.json | rv-decode". */
static void complete(const struct argp_state *state, struct opts *opts)
{
    if (opts->name == NULL && opts->verb != NULL && !is_verb(opts->verb)) {
        opts->name = opts->verb;
        opts->verb = "resolve";
    }
    if (opts->name == NULL)
        argp_error(state, "give a PLAN: a file, or '-' for standard input");
}

static void parse_house(const struct argp_state *state, const char *text,
                        struct house *house)
{
    struct err err = ERR_EMPTY;

    if (house_parse(house, text, &err) < 0)
        argp_error(state, "--house: %s", err.text);
}

static void parse_at(const struct argp_state *state, const char *text)
{
    struct err err = ERR_EMPTY;
    int64_t utc_us;

    if (strcmp(text, "now") != 0 && clock_parse_utc(text, &utc_us, &err) < 0)
        argp_error(state, "--at: %s", err.text);
}

static error_t parse_argument(char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    if (state->arg_num == 0)
        opts->verb = arg;
    else if (state->arg_num == 1)
        opts->name = arg;
    else
        argp_error(state, "'%s' is too much; give one PLAN", arg);
    return 0;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case 'H':
        parse_house(state, arg, &opts->house);
        return 0;
    case 'p':
        opts->passes = cli_number(state, "--passes", arg, 1, INT32_MAX);
        return 0;
    case 'a':
        parse_at(state, arg);
        opts->at = arg;
        return 0;
    case 'j':
        opts->is_json = true;
        return 0;
    case OPT_NO_PROBE:
        opts->is_unprobed = true;
        return 0;
    case OPT_EXPLAIN:
        opts->is_explain = true;
        return 0;
    case 'q':
        opts->is_quiet = true;
        return 0;
    case OPT_QUICK:
        opts->is_quick = true;
        return 0;
    case OPT_STRICT:
        opts->is_strict = true;
        return 0;
    case OPT_PLAN_DIR:
        opts->plan_dir = arg;
        return 0;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case ARGP_KEY_ARG:
        return parse_argument(arg, state);
    case ARGP_KEY_END:
        complete(state, opts);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .args_doc = "[resolve|check|show|now] PLAN",
    .doc = doc,
};

static int run(const struct opts *opts, struct err *err)
{
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (strcmp(opts->verb, VERBS[i].name) == 0)
            return VERBS[i].run(opts, err);
    }
    return err_set(err, ERR_USAGE,
                   "'%s' is no verb; give resolve, check, show or now",
                   opts->verb);
}

int main(int argc, char **argv)
{
    struct opts opts = { .house = HOUSE_DEFAULT };
    struct err err = ERR_EMPTY;

    cli_start("rv-plan", &argp, argc, argv, &opts);
    /* Widths of what is shown: plans are UTF-8 wherever they are read. */
    setlocale(LC_CTYPE, "C.UTF-8");
    return cli_finish(run(&opts, &err), &err);
}
