/*
 * check: what is done to the assets of a plan, and every problem of it and
 * them, each with its place.
 *
 * Each asset is looked at once, however often it is in the plan; again only for
 * segments that want its sound in other languages.  Problems come last, where
 * they are seen.
 */
#include "rv_plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "clock/clock.h"
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

/* What is wrong with the plan itself. */
static void tell_plan(struct check *c)
{
    for (int i = 0; i < c->source->problems.count; i++)
        tell(c, &c->source->problems.problem[i]);
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
    char text[256], has[CLOCK_SPAN_SIZE], needs[CLOCK_SPAN_SIZE];

    if (!probe->has_length ||
        plan_time_seconds(&s->in, &c->source->house, &in) < 0 ||
        plan_time_seconds(&s->duration, &c->source->house, &duration) < 0)
        return;
    const int64_t in_us = (int64_t)((__int128)in.num * 1000000 / in.den);
    const int64_t end_us =
        in_us + (int64_t)((__int128)duration.num * 1000000 / duration.den);
    clock_span(has, probe->length_us);
    clock_span(needs, in_us);
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
    clock_span(needs, end_us);
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
    const struct segment *segment;
    int index;
    int probe; /* of its asset */
};

/* Assets, and wanted languages: what plays alike has the same. */
static int compare_assets(const struct segment *a, const struct segment *b)
{
    int order = strcmp(a->asset, b->asset);

    if (order == 0)
        order = a->languages - b->languages;
    for (int i = 0; i < a->languages && order == 0; i++)
        order = strcmp(a->language[i], b->language[i]);
    return order;
}

static int by_asset(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    const int order = compare_assets(x->segment, y->segment);

    return order != 0 ? order : x->index - y->index;
}

static int by_index(const void *a, const void *b)
{
    const struct use *x = a, *y = b;

    return x->index - y->index;
}

struct progress {
    int done, all;
    const char *asset;
};

static void show_progress(void *opaque, int percent)
{
    const struct progress *progress = opaque;
    const char *name = strrchr(progress->asset, '/');

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rprobing %d of %d: ", progress->done, progress->all);
    text_cell(stderr, name ? name + 1 : progress->asset, 50);
    if (percent > 0)
        fprintf(stderr, " %3d %%", percent);
    fflush(stderr);
}

static void probe_one(const struct check *c, struct probe *probe,
                      const struct segment *segment, struct progress *progress)
{
    const struct explain_config config = {
        .path = segment->asset,
        .house = c->source->house,
        .languages = segment->languages,
        .language = segment->language,
        .is_quick = c->opts->is_quick,
        .progress = show_progress,
        .opaque = progress,
    };

    progress->done++;
    progress->asset = segment->asset;
    show_progress(progress, 0);
    probe_asset(probe, segment->asset);
    probe_explain(probe, &config);
}

/* Probes what is used, in uses' order by asset; gives how many assets. */
static int probe_all(const struct check *c, struct use *uses, int count,
                     struct probe *probes)
{
    struct progress progress = { .done = 0 };

    for (int i = 0; i < count; i++) {
        progress.all +=
            i == 0 || compare_assets(uses[i].segment, uses[i - 1].segment) != 0;
        uses[i].probe = progress.all - 1;
    }
    for (int i = 0; i < count && !cli_stopping(); i++) {
        if (i == 0 || uses[i].probe != uses[i - 1].probe)
            probe_one(c, &probes[uses[i].probe], uses[i].segment, &progress);
    }
    if (progress.done > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return progress.all;
}

/* What is done to the assets, in the plan's order. */
static void tell_assets(struct check *c, const struct use *uses, int count,
                        const struct probe *probes, int assets)
{
    int *segments = calloc((size_t)count + 1, sizeof(*segments));
    bool *is_told = calloc((size_t)assets + 1, sizeof(*is_told));

    if (segments == NULL || is_told == NULL)
        c->is_out_of_memory = true;
    for (int i = 0; i < count && !c->is_out_of_memory; i++) {
        const struct probe *probe = &probes[uses[i].probe];
        struct asset_use use = { .probe = probe, .segments = segments };
        if (is_told[uses[i].probe] || probe->explain == NULL)
            continue;
        is_told[uses[i].probe] = true;
        for (int j = i; j < count; j++) {
            if (uses[j].probe == uses[i].probe)
                segments[use.count++] = uses[j].index;
        }
        if (asset_tell(c->source, c->opts, &use) < 0)
            c->is_out_of_memory = true;
    }
    free(segments);
    free(is_told);
}

/* The plan's problems, then the assets'. */
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
            uses[count++] = (struct use){ &plan->segment[i].segment, i, 0 };
    }
    qsort(uses, (size_t)count, sizeof(*uses), by_asset);
    const int assets = probe_all(c, uses, count, probes);
    qsort(uses, (size_t)count, sizeof(*uses), by_index);
    if (!c->opts->is_quiet && !cli_stopping())
        tell_assets(c, uses, count, probes, assets);
    tell_plan(c);
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
    if (rc < 0 && source.problems.count == 0) {
        *err = why; /* not even read */
    } else {
        if (rc == 0 && !opts->is_unprobed)
            check_assets(&c);
        else
            tell_plan(&c);
        rc = verdict(&c, err);
    }
    source_clear(&source);
    return rc;
}
