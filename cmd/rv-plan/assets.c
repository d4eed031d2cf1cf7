/*
 * assets: what check tells of an asset: a row, a block or a record.
 *
 *   film.mkv              0:00:04.000     120f  160x90 to 1280x720, 25 to 29.97
 */
#include "rv_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock/clock.h"

#define NAME_COLUMNS 28

/* ", fade in 1.5 s": a time that is given. */
static void print_time(const char *word, const struct plan_time *time,
                       const struct house *house)
{
    struct rational seconds;

    if (!time->is_given || plan_time_seconds(time, house, &seconds) < 0 ||
        seconds.num == 0)
        return;
    printf(", %s %.6g s", word, (double)seconds.num / (double)seconds.den);
}

/* What a segment adds to its asset. */
static void print_segment(const struct plan_segment *s,
                          const struct house *house)
{
    printf("  %-10s %s", "segment", s->segment.id);
    print_time("from", &s->in, house);
    print_time("for", &s->duration, house);
    if (s->segment.gain_db < 0 || s->segment.gain_db > 0)
        printf(", gain %+g dB before the limiter", s->segment.gain_db);
    print_time("fade in", &s->fade_in, house);
    print_time("fade out", &s->fade_out, house);
    putchar('\n');
}

static void print_block(const struct source *source,
                        const struct asset_use *use)
{
    const struct explain *explain = use->probe->explain;
    struct explain_line lines[EXPLAIN_LINES_MAX];
    const int count = explain_lines(explain, lines);

    text_cell(stdout, explain->path, text_columns(explain->path));
    putchar('\n');
    for (int i = 0; i < count; i++)
        printf("  %-10s %s\n", lines[i].what, lines[i].text);
    for (int i = 0; i < use->count; i++)
        print_segment(&source->plan.segment[use->segments[i]], &source->house);
}

static void print_row(const struct explain *explain)
{
    const char *name = strrchr(explain->path, '/');
    char text[512];

    name = name && name[1] ? name + 1 : explain->path;
    explain_brief(explain, text, sizeof(text));
    text_cell(stdout, name, NAME_COLUMNS);
    printf("  %s\n", text);
}

/* A record as a problem's, of level "info". */
static int print_record(const struct source *source, const struct opts *opts,
                        const struct asset_use *use)
{
    const struct plan_segment *first = &source->plan.segment[use->segments[0]];
    char field[64] = "", text[512];
    json_t *list = json_array();

    if (first->line > 0)
        snprintf(field, sizeof(field), "segments[%d].asset", use->segments[0]);
    explain_brief(use->probe->explain, text, sizeof(text));
    for (int i = 0; i < use->count; i++)
        json_array_append_new(list, json_integer(use->segments[i]));
    json_t *record = json_pack("{ss si ss ss ss so so}", "file", opts->name,
                               "line", first->line, "field", field, "level",
                               "info", "text", text, "segments", list,
                               "explain", explain_json(use->probe->explain));
    char *line =
        record ? json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(12))
               : NULL;
    const int rc = line ? puts(line) : -1;
    free(line);
    json_decref(record);
    return rc < 0 ? -1 : 0;
}

int asset_tell(const struct source *source, const struct opts *opts,
               const struct asset_use *use)
{
    if (opts->is_json)
        return print_record(source, opts, use);
    if (opts->is_explain)
        print_block(source, use);
    else
        print_row(use->probe->explain);
    return 0;
}
