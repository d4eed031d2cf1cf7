/*
 * clock_verb: `rv-ctl clock`.  It reads the page itself, so it works without a
 * server; what it wants of a virtual clock, the keeper does.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "proc/rundir.h"

int clock_parse_rate(const char *text, int64_t *millionths, struct err *err)
{
    static const char *const why =
        "'%.40s' is no rate; give times real time, 0 to 1000000, e.g. 20";
    const size_t whole = strspn(text, "0123456789");
    const char *fraction = text[whole] == '.' ? text + whole + 1 : text + whole;
    const size_t digits = strspn(fraction, "0123456789");
    int64_t value = 0;

    if (whole == 0 || whole > 7 || digits > 6 || fraction[digits] != '\0' ||
        (text[whole] == '.' && digits == 0))
        return err_set(err, ERR_INPUT, why, text);
    for (size_t i = 0; i < whole; i++)
        value = value * 10 + (text[i] - '0');
    for (size_t i = 0; i < 6; i++)
        value = value * 10 + (i < digits ? fraction[i] - '0' : 0);
    if (value > INT64_C(1000000000000))
        return err_set(err, ERR_INPUT, why, text);
    *millionths = value;
    return 0;
}

int clock_set(const char *run_dir, const struct clock_wish *wish,
              struct err *err)
{
    char run[RUNDIR_SIZE];

    if (rundir_find(run, run_dir, err) < 0)
        return -1;
    return clock_order(run, wish->kind, wish->value, err);
}

/* "+1.000500": microseconds as seconds, millionths as a number. */
static const char *as_unit(char text[32], int64_t millionths, bool has_sign)
{
    const uint64_t size =
        millionths < 0 ? 0 - (uint64_t)millionths : (uint64_t)millionths;

    snprintf(text, 32, "%s%" PRIu64 ".%06" PRIu64,
             millionths < 0 ? "-"
             : has_sign     ? "+"
                            : "",
             size / 1000000, size % 1000000);
    return text;
}

static void show_json(const struct clock_state *state, const char *utc,
                      const char *source)
{
    json_t *object = json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:s}", "utc", utc, "utc_us",
        (json_int_t)state->utc_us, "offset_us", (json_int_t)state->offset_us,
        "rate_millionths", (json_int_t)state->rate_millionths,
        "left_to_slew_us", (json_int_t)state->left_to_slew_us, "jumps",
        (json_int_t)state->jumps, "has_page", state->has_page, "has_keeper",
        state->has_keeper, "source", source);

    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(object);
}

int clock_show(const char *run_dir, bool is_json, struct err *err)
{
    struct clock clock;
    struct clock_state state;
    char run[RUNDIR_SIZE], utc[32], text[32];

    if (rundir_find(run, run_dir, err) < 0 || clock_open(&clock, run, err) < 0)
        return -1;
    clock_state(&clock, &state);
    clock_close(&clock);
    clock_format_utc(state.utc_us, utc);
    const char *source =
        state.source == CLOCK_SOURCE_VIRTUAL ? "virtual" : "real";
    if (is_json) {
        show_json(&state, utc, source);
        return 0;
    }
    printf("UTC      %s\n", utc);
    printf("SOURCE   %s%s\n", source,
           !state.has_page    ? ", no page"
           : state.has_keeper ? ""
                              : ", nobody keeps it");
    printf("OFFSET   %s s to the system clock\n",
           as_unit(text, state.offset_us, true));
    printf("RATE     %s\n", as_unit(text, state.rate_millionths, false));
    printf("TO SLEW  %s s\n", as_unit(text, state.left_to_slew_us, true));
    printf("JUMPS    %" PRIu64 "\n", state.jumps);
    return 0;
}
