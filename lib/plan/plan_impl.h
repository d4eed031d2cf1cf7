/* plan_impl: what the files of lib/plan share about plans and nobody else. */
#ifndef RV_PLAN_PLAN_IMPL_H
#define RV_PLAN_PLAN_IMPL_H

#include "plan/plan.h"

/* More are not kept; the last one then says so. */
#define PLAN_PROBLEMS_MAX 1000

/* Collects problems while a plan is read. */
struct plan_report {
    struct plan_problems *problems; /* never NULL */
    bool has_error;
    bool is_second; /* what is there already is not told again */
    bool is_out_of_memory;
};

void plan_report(struct plan_report *report, bool is_warning, int line,
                 const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Sorts by line; 0 when no error is in it, else -1 with the first in err. */
int plan_report_finish(struct plan_report *report, const char *path,
                       struct err *err);

/* Walks the timeline once and reports what is wrong with it. */
void plan_check_timeline(const struct plan *plan, const struct house *house,
                         struct plan_report *report);

/* Fills a plan from the text of a JSON plan or of a list of files. */
void plan_read_json(struct plan *plan, const char *text, size_t length,
                    struct plan_report *report);
void plan_read_list(struct plan *plan, const char *text, size_t length,
                    struct plan_report *report);

/* Room for `count` segments, with "#1", "#2" ... as ids; false: no memory. */
bool plan_reserve(struct plan *plan, int count, struct plan_report *report);

/* Sets the asset, made absolute from the plan's folder. */
void plan_set_asset(struct plan *plan, int index, const char *asset, int line,
                    const char *field, struct plan_report *report);

/* "file://..." into a path; -1 with a sentence when it is none. */
int plan_uri_path(char *path, size_t size, const char *uri, struct err *err);

bool plan_is_utf8(const char *text, size_t length);

#endif
