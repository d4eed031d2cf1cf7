/* plan_report: all problems of a plan at once, in the order of its lines. */
#include "plan/plan_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

static struct plan_problem *add(struct plan_report *report)
{
    struct plan_problems *p = report->problems;

    /* Grows at powers of two. */
    if ((p->count & (p->count - 1)) == 0) {
        const size_t room = p->count ? (size_t)p->count * 2 : 1;
        void *grown = realloc(p->problem, room * sizeof(*p->problem));
        if (grown == NULL) {
            report->is_out_of_memory = true;
            return NULL;
        }
        p->problem = grown;
    }
    return &p->problem[p->count++];
}

static void fill(struct plan_problem *problem, const char *field,
                 const char *fmt, va_list ap)
{
    strlcpy(problem->field, field, sizeof(problem->field));
    vsnprintf(problem->text, sizeof(problem->text), fmt, ap);
    for (char *c = problem->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

static bool is_known(const struct plan_report *report,
                     const struct plan_problem *problem)
{
    for (int i = 0; report->is_second && i < report->problems->count; i++) {
        const struct plan_problem *p = &report->problems->problem[i];
        if (p->line == problem->line && strcmp(p->text, problem->text) == 0 &&
            strcmp(p->field, problem->field) == 0)
            return true;
    }
    return false;
}

void plan_report(struct plan_report *report, bool is_warning, int line,
                 const char *field, const char *fmt, ...)
{
    struct plan_problem found = { .is_warning = is_warning, .line = line };
    va_list ap;

    report->has_error |= !is_warning;
    va_start(ap, fmt);
    fill(&found, field, fmt, ap);
    va_end(ap);
    if (report->problems->count > PLAN_PROBLEMS_MAX || is_known(report, &found))
        return;
    struct plan_problem *problem = add(report);
    if (problem == NULL)
        return;
    *problem = found;
    if (report->problems->count <= PLAN_PROBLEMS_MAX)
        return;
    /* The last one, sorted behind all others, says that there are more. */
    *problem = (struct plan_problem){ .line = INT32_MAX };
    report->has_error = true;
    snprintf(problem->text, sizeof(problem->text),
             "more than %d problems; correct those first", PLAN_PROBLEMS_MAX);
}

static int by_line(const void *a, const void *b)
{
    const struct plan_problem *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->is_warning - y->is_warning;
}

int plan_report_finish(struct plan_report *report, const char *path,
                       struct err *err)
{
    const struct plan_problems *p = report->problems;

    if (report->is_out_of_memory)
        return err_set(err, ERR_SYSTEM, "plan %s: no memory to read it", path);
    if (p->count > 1)
        mergesort(p->problem, (size_t)p->count, sizeof(*p->problem), by_line);
    if (p->count > PLAN_PROBLEMS_MAX)
        p->problem[p->count - 1].line = 0;
    if (!report->has_error)
        return 0;
    for (int i = 0; i < p->count; i++) {
        const struct plan_problem *first = &p->problem[i];
        if (first->is_warning)
            continue;
        char place[32] = "";
        if (first->line > 0)
            snprintf(place, sizeof(place), "line %d: ", first->line);
        return err_set(err, ERR_INPUT, "plan %s: %s%s%s%s", path, place,
                       first->field, first->field[0] ? ": " : "", first->text);
    }
    return err_set(err, ERR_INPUT, "plan %s: not usable", path);
}

void plan_problems_clear(struct plan_problems *problems)
{
    free(problems->problem);
    *problems = PLAN_PROBLEMS_EMPTY;
}

int plan_check_house(const struct plan *plan, const struct house *house,
                     struct plan_problems *problems, struct err *err)
{
    struct plan_problems own = PLAN_PROBLEMS_EMPTY;
    struct plan_report report = { .problems = problems ? problems : &own,
                                  .is_second = true };

    plan_check_timeline(plan, house, &report);
    const int rc = plan_report_finish(&report, plan->path, err);
    plan_problems_clear(&own);
    return rc;
}
