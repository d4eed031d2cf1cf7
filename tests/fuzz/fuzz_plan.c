/*
 * fuzz_plan: any bytes as a plan, a segment line and an inputs line.
 *
 * Beyond not crashing: what is taken can be written and taken again and is
 * then the same, each line of a plan's walk is one that rv-decode takes, and a
 * walk's frames join.  Built with libFuzzer (tests/long/fuzz.bats) or with
 * tests/fuzz/mutate.c, which needs nothing (tests/fuzz.bats).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/inputs.h"
#include "plan/plan.h"
#include "plan/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "fuzz_plan: %s\n", what);
    abort();
}

static void take_segment_again(const struct segment *segment)
{
    struct segment again;
    struct err err = ERR_EMPTY;

    char *line = segment_format(segment);
    must(line != NULL, "a segment cannot be written");
    if (segment_parse(&again, line, strlen(line), &err) < 0) {
        fprintf(stderr, "%s\n%s\n", line, err.text);
        must(0, "a segment's own line is refused");
    }
    char *second = segment_format(&again);
    must(second != NULL && strcmp(line, second) == 0,
         "a segment's line changed");
    free(line);
    free(second);
}

static void try_segment(const char *text, size_t size)
{
    struct segment segment;
    struct err err = ERR_EMPTY;

    if (segment_parse(&segment, text, size, &err) == 0)
        take_segment_again(&segment);
    else
        must(err.text[0] != '\0', "a segment is refused without a sentence");
}

static void try_inputs(const char *text, size_t size)
{
    struct inputs inputs, again;
    struct err err = ERR_EMPTY;

    if (inputs_parse(&inputs, text, size, &err) < 0) {
        must(err.text[0] != '\0', "inputs are refused without a sentence");
        return;
    }
    char *line = inputs_format(&inputs);
    must(line != NULL, "inputs cannot be written");
    must(inputs_parse(&again, line, strlen(line), &err) == 0,
         "the inputs' own line is refused");
    char *second = inputs_format(&again);
    must(second != NULL && strcmp(line, second) == 0, "inputs changed");
    free(line);
    free(second);
    inputs_clear(&inputs);
    inputs_clear(&again);
}

static void try_walk(const struct plan *plan, const struct house *house)
{
    struct plan_walk walk;
    struct segment segment;
    struct err err = ERR_EMPTY;
    int64_t end = 0;
    int is_known = 1;

    plan_walk_start(&walk, plan, house);
    for (int i = 0; i < 50; i++) {
        const int rc = plan_walk_next(&walk, &segment, NULL, &err);
        if (rc <= 0)
            break;
        take_segment_again(&segment);
        must(!is_known || (segment.has_first && segment.first == end),
             "frames do not join");
        is_known = segment.has_first && segment.has_frames;
        end = segment.first + segment.frames;
    }
    plan_walk_start(&walk, plan, house);
    if (plan_walk_seek(&walk, INT64_C(123456789), &err) == 0 &&
        plan_walk_next(&walk, &segment, NULL, &err) > 0 && segment.has_frames &&
        segment.has_first)
        must(segment.first + segment.frames > INT64_C(123456789),
             "a seek stopped early");
}

static void try_plan(const char *text, size_t size)
{
    struct plan_problems problems;
    struct plan plan;
    struct err err = ERR_EMPTY;

    if (plan_parse(&plan, text, size, "/plans/fuzz", &problems, &err) == 0) {
        must(plan.count > 0, "a plan without segments is taken");
        if (plan_check_house(&plan, &HOUSE_DEFAULT, &problems, &err) == 0) {
            try_walk(&plan, &HOUSE_DEFAULT);
            plan_hash(&plan, &HOUSE_DEFAULT);
        }
    } else {
        must(err.text[0] != '\0', "a plan is refused without a sentence");
        must(plan.segment == NULL, "a plan that is refused is kept");
    }
    plan_clear(&plan);
    plan_problems_clear(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* At its own length, so that a read beyond it is seen. */
    char *text = malloc(size ? size : 1);

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    try_segment(text, size);
    try_inputs(text, size);
    try_plan(text, size);
    free(text);
    return 0;
}
