/* plans and lines when the 1st, 2nd, 3rd ... allocation of jansson fails */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "plan/inputs.h"
#include "plan/plan.h"
#include "plan/segment.h"

static long left;  /* allocations before the one that fails */
static long alive; /* not yet freed */

static void *failing_malloc(size_t size)
{
    if (left-- == 0)
        return NULL;
    void *memory = malloc(size);
    alive += memory != NULL;
    return memory;
}

static void counting_free(void *memory)
{
    alive -= memory != NULL;
    free(memory);
}

static const char PLAN[] =
    "{\"version\":1,\"start\":\"2026-11-23T14:00:00Z\",\"loop\":false,"
    "\"house\":{\"video\":{\"width\":320,\"height\":180,"
    "\"frame_rate\":\"25\"},\"audio\":{\"sample_rate\":48000,"
    "\"channels\":2}},\"segments\":[{\"id\":\"a\",\"type\":\"filler\","
    "\"asset\":\"a.mkv\",\"in\":\"0:01\",\"duration\":2.5,\"pad\":\"hold\","
    "\"gain_db\":-3.5,\"fade_in\":\"5f\",\"audio\":[\"en\",\"de\"]},"
    "{\"type\":\"slate\"}]}";

static int plan_once(struct err *err)
{
    struct plan plan;

    const int rc = plan_parse(&plan, PLAN, strlen(PLAN), "/p", NULL, err);
    plan_clear(&plan);
    return rc;
}

static const char SEGMENT[] =
    "{\"segment\":\"a\",\"asset\":\"/a\",\"in\":\"1/2\",\"frames\":5,"
    "\"gain_db\":1.5,\"audio\":[\"en\"],\"utc\":\"2026-11-23T14:00:00Z\","
    "\"house\":{\"video\":{\"width\":320,\"height\":180,"
    "\"frame_rate\":\"25\"},\"audio\":{\"sample_rate\":48000,"
    "\"channels\":2}}}";

static int segment_once(struct err *err)
{
    struct segment segment;

    if (segment_parse(&segment, SEGMENT, strlen(SEGMENT), err) < 0)
        return -1;
    char *line = segment_format(&segment);
    if (line == NULL)
        return err_set(err, ERR_SYSTEM, "no memory");
    counting_free(line);
    return 0;
}

static const char INPUTS[] =
    "{\"serial\":1,\"end\":true,\"inputs\":[{\"pool\":\"/p\",\"at\":5,"
    "\"origin\":4,\"until\":9,\"reason\":\"plan\"},{\"slate\":\"x\","
    "\"segment\":\"s\",\"asset\":\"/a\",\"at\":\"now\",\"state\":3}]}";

static int inputs_once(struct err *err)
{
    struct inputs inputs;

    if (inputs_parse(&inputs, INPUTS, strlen(INPUTS), err) < 0)
        return -1;
    char *line = inputs_format(&inputs);
    inputs_clear(&inputs);
    if (line == NULL)
        return err_set(err, ERR_SYSTEM, "no memory");
    counting_free(line);
    return 0;
}

/*
 * jansson's lexer loses a character when its buffer cannot grow (2.14), so
 * what comes out may be taken or be a complaint about the text; what is ours is
 * that nothing crashes, nothing leaks, and a refusal has its sentence.
 */
static void fails_cleanly(int (*once)(struct err *err))
{
    long n = 0;

    do {
        struct err err = ERR_EMPTY;
        left = n;
        alive = 0;
        const int rc = once(&err);
        assert_int_equal(alive, 0);
        assert_true(rc == 0 || err.text[0] != '\0');
    } while (left < 0 && ++n < 5000);
    assert_true(n > 10 && n < 5000);
}

static void reads_plans(void **state)
{
    (void)state;
    fails_cleanly(plan_once);
}

static void reads_and_writes_segments(void **state)
{
    (void)state;
    fails_cleanly(segment_once);
}

static void reads_and_writes_inputs(void **state)
{
    (void)state;
    fails_cleanly(inputs_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_plans),
        cmocka_unit_test(reads_and_writes_segments),
        cmocka_unit_test(reads_and_writes_inputs),
    };

    json_set_alloc_funcs(failing_malloc, counting_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
