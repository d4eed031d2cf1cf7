/*
 * show: the timeline as a table for people, with a bar for each segment.
 *
 *   #  id  type     at           length       frames  asset      |##......|
 *
 * One pass; what lies behind a segment of unknown length has no known time.
 */
#include "rv_plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#include "cli/cli.h"
#include "clock/clock.h"

#define BAR_MIN 10

struct layout {
    int id, asset, bar; /* columns */
    int64_t frames;     /* of the pass, 0: not known */
    bool is_endless;    /* then slate for ever */
};

/* One pass and no more. */
static void start_pass(const struct source *source, struct plan *once,
                       struct plan_walk *walk)
{
    *once = source->plan;
    once->is_loop = false;
    plan_walk_start(walk, once, &source->house);
}

static int terminal_columns(void)
{
    struct winsize size;
    const char *text = getenv("COLUMNS");
    const char *why = "";

    if (text != NULL) {
        const int columns = (int)strtonum(text, 20, 1000, &why);
        if (why == NULL)
            return columns;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 100;
}

static const char *base_name(const struct segment *s)
{
    const char *slash = strrchr(s->asset, '/');

    return s->asset[0] == '\0' ? "-" : slash && slash[1] ? slash + 1 : s->asset;
}

static int at_most(int value, int most)
{
    return value < most ? value : most;
}

static int lay_out(const struct source *source, struct layout *layout,
                   struct err *err)
{
    struct plan once;
    struct plan_walk walk;
    struct segment s;
    int rc;

    *layout = (struct layout){ .id = 3, .asset = 5 };
    start_pass(source, &once, &walk);
    while ((rc = plan_walk_next(&walk, &s, NULL, err)) > 0) {
        const int id = at_most(text_columns(s.id), 16);
        const int asset = at_most(text_columns(base_name(&s)), 28);
        layout->id = id > layout->id ? id : layout->id;
        layout->asset = asset > layout->asset ? asset : layout->asset;
        layout->is_endless =
            s.type == SEGMENT_SLATE && s.has_first && !s.has_frames;
        if (layout->is_endless)
            layout->frames = s.first;
    }
    if (!layout->is_endless)
        layout->frames = walk.is_open ? 0 : walk.end_frame;
    /* Number, type, time, length, frames: 6 + 8 + 13 + 13 + 9. */
    const int left =
        terminal_columns() - 49 - layout->id - 1 - layout->asset - 4;
    layout->bar = left < BAR_MIN ? BAR_MIN : at_most(left, 60);
    return rc;
}

static void print_bar(const struct layout *layout, const struct segment *s)
{
    if (layout->frames <= 0 || !s->has_first || !s->has_frames)
        return;
    const int from = (int)(s->first * layout->bar / layout->frames);
    int to = (int)((s->first + s->frames) * layout->bar / layout->frames);
    if (to <= from)
        to = at_most(from + 1, layout->bar);
    fputs(" |", stdout);
    for (int i = 0; i < layout->bar; i++)
        putchar(i >= from && i < to ? '#' : '.');
    putchar('|');
}

static void print_row(const struct layout *layout, const struct segment *s,
                      int index)
{
    char at[40] = "?", length[CLOCK_SPAN_SIZE] = "?", frames[32] = "?",
         place[16];

    if (s->has_utc)
        clock_format_utc(s->utc_us, at);
    else if (s->has_first)
        clock_span(at, house_us(&s->house, s->first));
    if (s->has_frames) {
        clock_span(length, house_us(&s->house, s->frames));
        snprintf(frames, sizeof(frames), "%" PRId64, s->frames);
    }
    snprintf(place, sizeof(place), "%d", index);
    printf("%5s ", index < 0 ? "" : place);
    text_cell(stdout, s->id, layout->id);
    /* The time of day; the date is in the head. */
    printf(" %-7s %12.12s %12s %8s ", segment_type_name(s->type),
           s->has_utc ? at + 11 : at, length, frames);
    text_cell(stdout, base_name(s), layout->asset);
    print_bar(layout, s);
    putchar('\n');
}

static void print_head(const struct source *source, const struct layout *layout)
{
    char house[HOUSE_TEXT_SIZE], text[40];

    house_format(&source->house, house);
    printf("plan    ");
    text_cell(stdout, source->plan.path, text_columns(source->plan.path));
    printf("\nhouse   %s%s\n", house,
           source->plan.has_house ? "" : " (not the plan's own)");
    if (source->plan.has_start) {
        clock_format_utc(source->plan.start_us, text);
        printf("start   %s\n", text);
    }
    if (layout->frames > 0) {
        clock_span(text, house_us(&source->house, layout->frames));
        printf("length  %s, %" PRId64 " frames%s\n", text, layout->frames,
               layout->is_endless     ? ", then slate"
               : source->plan.is_loop ? ", then around again"
                                      : "");
    } else {
        printf("length  not known before it is played%s\n",
               source->plan.is_loop ? "; then around again" : "");
    }
    printf("\n    # ");
    text_cell(stdout, "id", layout->id);
    printf(" %-7s %12s %12s %8s asset\n", "type", "at", "length", "frames");
}

static int show_table(const struct source *source, struct err *err)
{
    struct layout layout;
    struct plan once;
    struct plan_walk walk;
    struct segment s;
    int rc, index;

    if (lay_out(source, &layout, err) < 0)
        return -1;
    print_head(source, &layout);
    start_pass(source, &once, &walk);
    while (!cli_stopping() && !ferror(stdout) &&
           (rc = plan_walk_next(&walk, &s, &index, err)) != 0) {
        if (rc < 0)
            return -1;
        print_row(&layout, &s, index);
    }
    return 0;
}

/* The segments of a pass as objects, those of resolve with their place. */
static json_t *pass_json(const struct source *source, struct plan_walk *walk,
                         struct err *err)
{
    json_t *list = json_array();
    struct plan once;
    struct segment s;
    int rc = -1, index;

    start_pass(source, &once, walk);
    while (list && (rc = plan_walk_next(walk, &s, &index, err)) > 0) {
        char *line = segment_format(&s);
        json_t *o = line ? json_loads(line, 0, NULL) : NULL;
        free(line);
        if (o == NULL ||
            json_object_set_new(o, "index",
                                index < 0 ? json_null() : json_integer(index)) <
                0 ||
            json_array_append(list, o) < 0)
            rc = -1;
        json_decref(o);
        if (rc < 0) {
            err_set(err, ERR_SYSTEM, "no memory for the table");
            break;
        }
    }
    walk->plan = NULL;
    if (rc < 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static int show_json(const struct source *source, struct err *err)
{
    struct plan_walk walk;
    char start[32];

    json_t *list = pass_json(source, &walk, err);
    if (list == NULL)
        return err->kind != ERR_NONE
                   ? -1
                   : err_set(err, ERR_SYSTEM, "no memory for the table");
    clock_format_utc(source->plan.start_us, start);
    json_t *o = json_pack(
        "{ss so sb so so so}", "plan", source->plan.path, "start",
        source->plan.has_start ? json_string(start) : json_null(), "loop",
        (int)source->plan.is_loop, "house", house_to_json(&source->house),
        "frames", walk.is_open ? json_null() : json_integer(walk.end_frame),
        "segments", list);
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    if (text != NULL)
        puts(text);
    json_decref(o);
    free(text);
    return text ? 0 : err_set(err, ERR_SYSTEM, "no memory for the table");
}

int verb_show(const struct opts *opts, struct err *err)
{
    struct source source;

    int rc = source_load(&source, opts, err);
    source_print_problems(&source, opts, rc);
    if (rc == 0)
        rc = opts->is_json ? show_json(&source, err) : show_table(&source, err);
    source_clear(&source);
    return rc;
}
