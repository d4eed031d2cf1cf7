/* rv_plan: what the verbs of rv-plan share. */
#ifndef RV_CMD_RV_PLAN_H
#define RV_CMD_RV_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "media/explain.h"
#include "plan/plan.h"

struct opts {
    const char *verb;
    const char *name; /* of the plan, as given */
    const char *plan_dir;
    const char *run_dir;
    struct house house; /* for a plan that has none */
    int64_t passes;     /* 0: for ever */
    const char *at;     /* NULL: not given */
    bool is_json, is_strict, is_unprobed;
    bool is_quiet, is_quick, is_explain; /* check */
};

/* A plan that was read, and what was found wrong. */
struct source {
    struct plan plan;
    struct plan_problems problems;
    struct house house; /* in force */
};

/* clang-format off */
#define SOURCE_EMPTY \
    ((struct source){ .plan = PLAN_EMPTY, .problems = PLAN_PROBLEMS_EMPTY })
/* clang-format on */

/* The plan by name, handle or from standard input; checks it against the house
 * in force.  -1: not usable (`problems` tell more than err). */
int source_load(struct source *source, const struct opts *opts,
                struct err *err);
void source_clear(struct source *source);

/* "day.json:3: segments[0].duration: is negative" */
void source_print_problem(FILE *to, const char *name,
                          const struct plan_problem *problem);
/*
 * All of them on standard error; after a failed load (rc < 0) without the
 * first error, which is the sentence that main() prints.
 */
void source_print_problems(const struct source *source, const struct opts *opts,
                           int rc);

/* The time of --at, or now by the MasterClock. */
int source_time(const struct opts *opts, int64_t *utc_us, struct err *err);

/* --- what check tells of assets --- */

/* One asset, and where the plan uses it. */
struct asset_use {
    const struct probe *probe;
    const int *segments; /* their places in the plan */
    int count;
};

/* As a row, a block (--explain) or a JSON record; -1: no memory. */
int asset_tell(const struct source *source, const struct opts *opts,
               const struct asset_use *use);

/* The verbs: 0, or -1 with err. */
int verb_resolve(const struct opts *opts, struct err *err);
int verb_check(const struct opts *opts, struct err *err);
int verb_show(const struct opts *opts, struct err *err);
int verb_now(const struct opts *opts, struct err *err);

/* What libavformat says of an asset. */
struct probe {
    char *problem; /* NULL: can be played; owned */
    bool has_video, has_audio;
    bool has_length;
    int64_t length_us; /* of the pictures, else of the sound */
    char languages[8][16];
    int language_count;
    struct explain *explain; /* NULL: not looked at; owned */
};

/* Opens an asset and reads its header, for at most 20 s; never fails, see
 * `problem`. */
void probe_asset(struct probe *probe, const char *asset);

/*
 * What is done to it, and its real length into `probe`; `config` says all but
 * is_stopping.  A server's assets are believed their length and cost 20 s at
 * the most.
 */
void probe_explain(struct probe *probe, const struct explain_config *config);
void probe_clear(struct probe *probe);

/* --- texts for people ----------------------------------------------------- */

/* Text in at most `columns` columns, padded; controls become '?'. */
void text_cell(FILE *to, const char *text, int columns);
int text_columns(const char *text);

#endif
