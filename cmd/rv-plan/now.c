/*
 * now: what is on at a time, and what is next.
 *
 * On is the segment whose frame was due last; the next one is the first that
 * shows a frame at all.
 */
#include "rv_plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock/clock.h"

struct now {
    int64_t utc_us;
    int64_t frame; /* of the plan, due last; below 0: not begun */
    bool has_on, has_next;
    struct segment on, next;
};

static int take(struct plan_walk *walk, struct segment *segment, bool *has,
                struct err *err)
{
    int rc;

    do
        rc = plan_walk_next(walk, segment, NULL, err);
    while (rc > 0 && segment->has_frames && segment->frames == 0);
    *has = rc > 0;
    return rc < 0 ? -1 : 0;
}

static int find(const struct source *source, struct now *now, struct err *err)
{
    const int64_t since_us = now->utc_us - source->plan.start_us;
    struct plan_walk walk;

    plan_walk_start(&walk, &source->plan, &source->house);
    if (since_us < 0) {
        now->frame = -1;
        return take(&walk, &now->next, &now->has_next, err);
    }
    now->frame = house_frame_at_us(&source->house, since_us + 1) - 1;
    if (plan_walk_seek(&walk, now->frame, err) < 0 ||
        take(&walk, &now->on, &now->has_on, err) < 0)
        return -1;
    return now->has_on ? take(&walk, &now->next, &now->has_next, err) : 0;
}

static json_t *segment_json(bool has, const struct segment *s)
{
    char *line = has ? segment_format(s) : NULL;
    json_t *o = line ? json_loads(line, 0, NULL) : json_null();

    free(line);
    return o;
}

static int print_json(const struct now *now, struct err *err)
{
    char utc[32];

    clock_format_utc(now->utc_us, utc);
    json_t *on = segment_json(now->has_on, &now->on);
    if (now->has_on)
        json_object_set_new(on, "frame",
                            json_integer(now->frame - now->on.first));
    json_t *o = json_pack("{ss so so}", "utc", utc, "on", on, "next",
                          segment_json(now->has_next, &now->next));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (text != NULL)
        puts(text);
    json_decref(o);
    free(text);
    return text ? 0 : err_set(err, ERR_SYSTEM, "no memory for the answer");
}

static void print_segment(const char *what, bool has, const struct segment *s)
{
    char begin[32] = "?", end[32] = "?";

    printf("%-5s ", what);
    if (!has) {
        printf("nothing\n");
        return;
    }
    if (s->has_utc)
        clock_format_utc(s->utc_us, begin);
    if (s->has_utc && s->has_frames)
        clock_format_utc(s->utc_us + house_us(&s->house, s->first + s->frames) -
                             house_us(&s->house, s->first),
                         end);
    printf("%s - %s  ", begin, end);
    text_cell(stdout, s->id, text_columns(s->id));
    printf("  %s", segment_type_name(s->type));
    if (s->asset[0] != '\0') {
        printf("  ");
        text_cell(stdout, s->asset, text_columns(s->asset));
    }
    putchar('\n');
}

static void print_text(const struct now *now)
{
    char utc[32];

    clock_format_utc(now->utc_us, utc);
    printf("at    %s\n", utc);
    print_segment("on", now->has_on, &now->on);
    if (now->has_on && now->on.has_frames)
        printf("      frame %" PRId64 " of %" PRId64 "\n",
               now->frame - now->on.first, now->on.frames);
    else if (now->has_on && now->on.type != SEGMENT_SLATE)
        printf(
            "      its length is not known: what follows may be on already\n");
    print_segment("next", now->has_next, &now->next);
}

static int answer(const struct source *source, const struct opts *opts,
                  struct err *err)
{
    struct now now = { .frame = 0 };

    if (!source->plan.has_start)
        return err_set(
            err, ERR_INPUT,
            "plan %s has no start, so nothing is on at a time; give it a start",
            opts->name);
    if (source_time(opts, &now.utc_us, err) < 0 || find(source, &now, err) < 0)
        return -1;
    if (opts->is_json)
        return print_json(&now, err);
    print_text(&now);
    return 0;
}

int verb_now(const struct opts *opts, struct err *err)
{
    struct source source;

    int rc = source_load(&source, opts, err);
    source_print_problems(&source, opts, rc);
    if (rc == 0)
        rc = answer(&source, opts, err);
    source_clear(&source);
    return rc;
}
