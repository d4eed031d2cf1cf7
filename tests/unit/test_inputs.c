/* inputs: the stage's list, good, bad, there and back, and as a file */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/inputs.h"

static int parse(struct inputs *inputs, const char *text, struct err *err)
{
    *err = ERR_EMPTY;
    return inputs_parse(inputs, text, strlen(text), err);
}

static const char EXAMPLE[] =
    "{\"serial\":7,\"end\":true,\"new\":[1],\"inputs\":["
    "{\"pool\":\"/r/1/pool-12\",\"at\":null,\"origin\":null,"
    "\"reason\":\"plan\"},"
    "{\"pool\":\"/r/1/pool-13\",\"at\":480,\"origin\":-20,\"until\":500,"
    "\"reason\":\"preview\"},"
    "{\"pool\":\"/r/1/pool-14\",\"at\":\"now\",\"not_before\":52},"
    "{\"slate\":\"end of plan\",\"reason\":\"slate: end of plan\",\"at\":null,"
    "\"state\":2},"
    "{\"slate\":\"no such file\",\"reason\":"
    "\"slate: asset cannot be played\",\"state\":3,\"segment\":\"s4\","
    "\"asset\":\"/a.mkv\"}]}\n";

static void check_example(const struct inputs *in)
{
    assert_int_equal(in->serial, 7);
    assert_true(in->is_end);
    assert_int_equal(in->count, 5);
    assert_string_equal(in->input[0].pool, "/r/1/pool-12");
    assert_int_equal(in->input[0].at_kind, INPUT_BEHIND);
    assert_false(in->input[0].has_origin || in->input[0].has_until);
    assert_int_equal(in->input[1].at_kind, INPUT_AT);
    assert_int_equal(in->input[1].at, 480);
    assert_true(in->input[1].has_origin && in->input[1].origin == -20);
    assert_true(in->input[1].has_until && in->input[1].until == 500);
    assert_int_equal(in->input[1].reason, REASON_PREVIEW);
    assert_int_equal(in->input[2].at_kind, INPUT_NOW);
    assert_int_equal(in->input[2].at, 52);
    assert_int_equal(in->input[2].reason, REASON_PLAN);
    assert_string_equal(in->input[3].pool, "");
    assert_string_equal(in->input[3].why, "end of plan");
    assert_int_equal(in->input[3].reason, REASON_SLATE_END_OF_PLAN);
    assert_int_equal(in->input[3].state, 2);
    assert_int_equal(in->input[4].state, 3);
    assert_string_equal(in->input[4].segment, "s4");
    assert_string_equal(in->input[4].asset, "/a.mkv");
}

static void reads_every_member_and_back(void **state)
{
    struct inputs in, back;
    struct err err;

    (void)state;
    assert_int_equal(parse(&in, EXAMPLE, &err), 0);
    check_example(&in);
    char *text = inputs_format(&in);
    assert_non_null(text);
    assert_int_equal(parse(&back, text, &err), 0);
    check_example(&back);
    free(text);
    inputs_clear(&in);
    inputs_clear(&in);
    inputs_clear(&back);
}

struct bad {
    const char *text, *says;
};

static void says_what_is_wrong(void **state)
{
    static const struct bad cases[] = {
        { "{}", "serial is missing" },
        { "{\"serial\":1}", "inputs must be a list" },
        { "{\"serial\":4294967296,\"inputs\":[]}", "serial must be" },
        { "{\"serial\":-1,\"inputs\":[]}", "serial must be" },
        { "{\"serial\":1,\"end\":1,\"inputs\":[]}", "end must be true" },
        { "{\"serial\":1,\"inputs\":[7]}", "inputs[0] is no object" },
        { "{\"serial\":1,\"inputs\":[{}]}", "inputs[0]: give either pool" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"slate\":\"x\"}]}",
          "give either" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\"},{\"pool\":5}]}",
          "inputs[1]: pool is no string" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"at\":-1}]}",
          "at must be" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"at\":\"noon\"}]}",
          "at 'noon' is unknown" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"at\":9,\"until\":8}]}",
          "until must not be below at" },
        { "{\"serial\":1,\"inputs\":[{\"slate\":\"x\",\"state\":4}]}",
          "state must be a whole number from 2 to 3" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"reason\":\"x\"}]}",
          "reason 'x' is unknown" },
        { "{\"serial\":1,\"inputs\":[{\"pool\":\"p\",\"origin\":1e99}]}",
          "origin must be" },
        { "nonsense", "no valid JSON" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct inputs in;
        struct err err;
        assert_int_equal(parse(&in, cases[i].text, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_null(in.input);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s\n  said: %s", cases[i].text, err.text);
    }
}

static void bounds_the_number_of_inputs(void **state)
{
    char text[8192] = "{\"serial\":1,\"inputs\":[";
    struct inputs in;
    struct err err;

    (void)state;
    for (int i = 0; i < INPUTS_MAX; i++)
        strcat(text, i ? ",{\"slate\":\"x\"}" : "{\"slate\":\"x\"}");
    const size_t used = strlen(text);
    strcat(text, "]}");
    assert_int_equal(parse(&in, text, &err), 0);
    assert_int_equal(in.count, INPUTS_MAX);
    inputs_clear(&in);
    strcpy(text + used, ",{\"slate\":\"x\"}]}");
    assert_int_equal(parse(&in, text, &err), -1);
    assert_non_null(strstr(err.text, "at most 96"));
}

static void goes_through_a_file(void **state)
{
    char folder[] = "/tmp/test_inputs.XXXXXX";
    char path[64];
    struct inputs in, back;
    struct err err;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/inputs", folder);
    assert_int_equal(inputs_read_file(&back, path, &err), -1);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(parse(&in, EXAMPLE, &err), 0);
    assert_int_equal(inputs_write_file(&in, path, &err), 0);
    assert_int_equal(inputs_write_file(&in, path, &err), 0);
    assert_int_equal(inputs_read_file(&back, path, &err), 0);
    check_example(&back);
    inputs_clear(&back);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(inputs_read_file(&back, path, &err), -1);
    assert_non_null(strstr(err.text, "not a file"));
    unlink(path);
    /* Nothing else was left behind. */
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(inputs_write_file(&in, path, &err), -1);
    inputs_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_member_and_back),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(bounds_the_number_of_inputs),
        cmocka_unit_test(goes_through_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
