/*
 * check: every problem of a plan and of its assets, each with its place.
 *
 * Each asset is opened once, however often it is in the plan.
 */
#include "rv_plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "media/language.h"

struct check {
    const struct opts *opts;
    const struct source *source;
    int errors, warnings;
    bool is_out_of_memory;
};

static void print_json(struct check *c, const struct plan_problem *p)
{
    json_t *o = json_pack("{ss si ss ss ss}", "file", c->opts->name, "line",
                          p->line, "field", p->field, "level",
                          p->is_warning ? "warning" : "error", "text", p->text);
    char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;

    if (line != NULL)
        puts(line);
    else
        c->is_out_of_memory = true;
    free(line);
    json_decref(o);
}

static void tell(struct check *c, const struct plan_problem *p)
{
    c->warnings += p->is_warning;
    c->errors += !p->is_warning;
    if (c->opts->is_json)
        print_json(c, p);
    else
        source_print_problem(stdout, c->opts->name, p);
}

static void tell_of(struct check *c, int index, const char *member,
                    bool is_warning, const char *text)
{
    const struct plan_segment *s = &c->source->plan.segment[index];
    struct plan_problem p = { .is_warning = is_warning, .line = s->line };

    if (s->line > 0)
        snprintf(p.field, sizeof(p.field), "segments[%d].%s", index, member);
    snprintf(p.text, sizeof(p.text), "%s", text);
    tell(c, &p);
}

/* Is what the segment shows in the asset? */
static void check_length(struct check *c, int index, const struct probe *probe)
{
    const struct plan_segment *s = &c->source->plan.segment[index];
    struct rational in, duration;
    char text[256], has[SPAN_SIZE], needs[SPAN_SIZE];

    if (!probe->has_length ||
        plan_time_seconds(&s->in, &c->source->house, &in) < 0 ||
        plan_time_seconds(&s->duration, &c->source->house, &duration) < 0)
        return;
    const int64_t in_us = (int64_t)((__int128)in.num * 1000000 / in.den);
    const int64_t end_us =
        in_us + (int64_t)((__int128)duration.num * 1000000 / duration.den);
    text_span(has, probe->length_us);
    text_span(needs, in_us);
    if (in_us >= probe->length_us) {
        snprintf(text, sizeof(text),
                 "%s lies behind the end of the asset, which is %s long", needs,
                 has);
        tell_of(c, index, "in", false, text);
        return;
    }
    /* Up to 250 ms are covered by holding the last picture. */
    if (s->segment.type != SEGMENT_CONTENT || !s->duration.is_given ||
        end_us <= probe->length_us + 250000)
        return;
    text_span(needs, end_us);
    snprintf(text, sizeof(text),
             "needs the asset up to %s, but it is %s long; the rest is %s",
             needs, has, segment_pad_name(s->segment.pad));
    tell_of(c, index, "duration", true, text);
}

static bool has_language(const struct probe *probe, const char *wanted)
{
    for (int i = 0; i < probe->language_count; i++) {
        if (language_matches(probe->languages[i], wanted))
            return true;
    }
    return false;
}

static void check_languages(struct check *c, int index,
                            const struct probe *probe)
{
    const struct segment *s = &c->source->plan.segment[index].segment;

    for (int i = 0; i < s->languages; i++) {
        if (has_language(probe, s->language[i]))
            return;
    }
    if (s->languages > 0 && probe->has_audio && probe->language_count > 0)
        tell_of(c, index, "audio", true,
                "none of these languages is in the asset");
}

static void check_asset(struct check *c, int index, const struct probe *probe)
{
    if (probe->problem != NULL) {
        char text[512];
        snprintf(text, sizeof(text), "%.400s: %s",
                 c->source->plan.segment[index].segment.asset, probe->problem);
        tell_of(c, index, "asset", false, text);
        return;
    }
    check_length(c, index, probe);
    check_languages(c, index, probe);
}

/* --- each asset once --------------------------------------------------------
 */

struct use {
    const char *asset;
    int index;
    int probe; /* of its asset */
};

static int by_asset(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    const int order = strcmp(x->asset, y->asset);

    return order != 0 ? order : x->index - y->index;
}

static int by_index(const void *a, const void *b)
{
    const struct use *x = a, *y = b;

    return x->index - y->index;
}

static void show_progress(int done, int all, const char *asset)
{
    if (!isatty(STDERR_FILENO))
        return;
    const char *name = strrchr(asset, '/');
    fprintf(stderr, "\rprobing %d of %d: ", done, all);
    text_cell(stderr, name ? name + 1 : asset, 50);
    fflush(stderr);
}

/* Probes what is used, in uses' order by asset; gives how many assets. */
static int probe_all(struct use *uses, int count, struct probe *probes)
{
    int assets = 0, done = 0;

    for (int i = 0; i < count; i++) {
        if (i > 0 && strcmp(uses[i].asset, uses[i - 1].asset) != 0)
            assets++;
        uses[i].probe = assets;
    }
    assets += count > 0;
    for (int i = 0; i < count && !cli_stopping(); i++) {
        if (i > 0 && uses[i].probe == uses[i - 1].probe)
            continue;
        show_progress(++done, assets, uses[i].asset);
        probe_asset(&probes[uses[i].probe], uses[i].asset);
    }
    if (done > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return assets;
}

static void check_assets(struct check *c)
{
    const struct plan *plan = &c->source->plan;
    struct use *uses = calloc((size_t)plan->count + 1, sizeof(*uses));
    struct probe *probes = calloc((size_t)plan->count + 1, sizeof(*probes));
    int count = 0;

    if (uses == NULL || probes == NULL) {
        c->is_out_of_memory = true;
        goto out;
    }
    for (int i = 0; i < plan->count; i++) {
        if (plan->segment[i].segment.asset[0] != '\0')
            uses[count++] =
                (struct use){ plan->segment[i].segment.asset, i, 0 };
    }
    qsort(uses, (size_t)count, sizeof(*uses), by_asset);
    const int assets = probe_all(uses, count, probes);
    qsort(uses, (size_t)count, sizeof(*uses), by_index);
    for (int i = 0; i < count && !cli_stopping(); i++)
        check_asset(c, uses[i].index, &probes[uses[i].probe]);
    for (int i = 0; i < assets; i++)
        probe_clear(&probes[i]);
out:
    free(uses);
    free(probes);
}

static int verdict(const struct check *c, struct err *err)
{
    if (c->is_out_of_memory)
        return err_set(err, ERR_SYSTEM, "no memory to check the plan");
    if (cli_stopping())
        return err_set(err, ERR_STATE, "ended before all was checked");
    if (c->errors > 0 || (c->opts->is_strict && c->warnings > 0))
        return err_set(err, ERR_INPUT, "%s: %d error%s, %d warning%s",
                       c->opts->name, c->errors, c->errors == 1 ? "" : "s",
                       c->warnings, c->warnings == 1 ? "" : "s");
    return 0;
}

int verb_check(const struct opts *opts, struct err *err)
{
    struct source source;
    struct check c = { .opts = opts, .source = &source };
    struct err why = ERR_EMPTY;

    int rc = source_load(&source, opts, &why);
    for (int i = 0; i < source.problems.count; i++)
        tell(&c, &source.problems.problem[i]);
    if (rc < 0 && source.problems.count == 0) {
        *err = why; /* not even read */
    } else {
        if (rc == 0 && !opts->is_unprobed)
            check_assets(&c);
        rc = verdict(&c, err);
    }
    source_clear(&source);
    return rc;
}
