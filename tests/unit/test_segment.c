/* segment: lines between rv-plan and rv-decode, good, bad and there and back */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/rational.h"
#include "plan/segment.h"

static int parse(struct segment *s, const char *line, struct err *err)
{
    *err = ERR_EMPTY;
    return segment_parse(s, line, strlen(line), err);
}

static void reads_every_member(void **state)
{
    struct segment s;
    struct err err;

    (void)state;
    assert_int_equal(
        parse(&s,
              "{\"segment\":\"s1\",\"type\":\"filler\",\"asset\":\"/f.mkv\","
              "\"in\":\"1200/2\",\"first\":-5,\"frames\":240,\"skip\":7,"
              "\"pad\":\"hold\",\"gain_db\":-3.5,\"fade_in\":\"1/2\","
              "\"fade_out\":\"0.25\",\"audio\":[\"en\",\"pt-BR\"],\"x\":[{}],"
              "\"house\":{\"video\":{\"width\":320,\"height\":180,"
              "\"frame_rate\":\"25\"},\"audio\":{\"sample_rate\":48000,"
              "\"channels\":2}},\"utc\":\"2026-11-23T14:00:00.000Z\"}\n",
              &err),
        0);
    assert_string_equal(s.id, "s1");
    assert_int_equal(s.type, SEGMENT_FILLER);
    assert_string_equal(s.asset, "/f.mkv");
    assert_int_equal(s.in.num, 600);
    assert_int_equal(s.in.den, 1);
    assert_true(s.has_first && s.first == -5);
    assert_true(s.has_frames && s.frames == 240);
    assert_int_equal(s.skip, 7);
    assert_int_equal(s.pad, PAD_HOLD);
    assert_true(s.gain_db == -3.5);
    assert_int_equal(s.fade_in.den, 2);
    assert_int_equal(s.fade_out.den, 4);
    assert_int_equal(s.languages, 2);
    assert_string_equal(s.language[1], "pt-BR");
    assert_true(s.has_house && s.house.width == 320);
    assert_true(s.has_utc);
    assert_true(s.utc_us == INT64_C(1795442400000000));
}

static void fills_in_what_is_absent_or_null(void **state)
{
    struct segment s;
    struct err err;

    (void)state;
    assert_int_equal(parse(&s,
                           "{\"segment\":\"a\",\"asset\":\"http://h/x.ts\","
                           "\"first\":null,\"frames\":null,\"house\":null}",
                           &err),
                     0);
    assert_int_equal(s.type, SEGMENT_CONTENT);
    assert_int_equal(s.in.den, 1);
    assert_false(s.has_first || s.has_frames || s.has_house || s.has_utc);
    assert_int_equal(s.pad, PAD_SLATE);
    assert_int_equal(parse(&s, "{\"segment\":\"a\",\"type\":\"slate\"}", &err),
                     0);
    assert_string_equal(s.asset, "");
}

static void comes_back_as_it_went(void **state)
{
    struct segment s, back;
    struct err err;

    (void)state;
    assert_int_equal(parse(&s,
                           "{\"segment\":\"\\u00e4\\\"\",\"asset\":\"-\","
                           "\"in\":\"1001/30000\",\"first\":0,\"frames\":9,"
                           "\"audio\":[\"deu\"],\"gain_db\":0.1,"
                           "\"utc\":\"2026-11-23T14:00:00.040Z\"}",
                           &err),
                     0);
    char *line = segment_format(&s);
    assert_non_null(line);
    assert_null(strchr(line, '\n'));
    assert_int_equal(parse(&back, line, &err), 0);
    char *again = segment_format(&back);
    assert_string_equal(line, again);
    free(again);
    free(line);
}

struct bad {
    const char *line, *says;
};

static void says_what_is_wrong(void **state)
{
    static const struct bad cases[] = {
        { "", "no valid JSON" },
        { "[]", "not a JSON object" },
        { "{\"segment\":\"a\"", "no valid JSON" },
        { "{\"segment\":\"a\"} x", "no valid JSON" },
        { "{\"segment\":\"\xff\"}", "no valid JSON" },
        { "{\"segment\":\"a\",\"segment\":\"b\"}", "duplicate" },
        { "{\"asset\":\"/f\"}", "segment is missing" },
        { "{\"segment\":7,\"asset\":\"/f\"}", "segment is no string" },
        { "{\"segment\":\"a\",\"type\":\"film\",\"asset\":\"/f\"}",
          "type 'film' is unknown; give content, filler, pad or slate" },
        { "{\"segment\":\"a\"}", "asset is missing" },
        { "{\"segment\":\"a\",\"asset\":\"f.mkv\"}", "relative path" },
        { "{\"segment\":\"a\",\"type\":\"slate\",\"asset\":\"/f\"}",
          "a slate has none" },
        { "{\"segment\":\"a\",\"type\":\"pad\"}", "frames is missing" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"frames\":-1}",
          "frames must be a whole number from 0 to 1000000000000" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"frames\":1.5}", "frames" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"frames\":1e3}", "frames" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"frames\":9223372036854775808}",
          "no valid JSON" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"first\":1000000000001}",
          "first" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"skip\":\"1\"}", "skip" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"in\":\"1/0\"}", "in is no" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"in\":\"-1/2\"}", "negative" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"in\":2}", "in is no time" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"in\":\"1/2x\"}", "in is no" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"in\":\"99999999999/1\"}",
          "longer" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"gain_db\":NaN}", "no valid" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"gain_db\":1e999}",
          "no valid" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"gain_db\":60.1}",
          "gain_db must be a number from -60 to 60" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"pad\":\"x\"}",
          "pad 'x' is unknown; give slate, hold, black or none" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"audio\":\"en\"}", "list" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"audio\":[\"e\"]}", "no lang" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"audio\":[7]}", "no language" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"house\":{}}", "house" },
        { "{\"segment\":\"a\",\"asset\":\"/f\",\"utc\":\"noon\"}", "utc" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct segment s;
        struct err err;
        assert_int_equal(parse(&s, cases[i].line, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s\n  said: %s", cases[i].line, err.text);
        assert_true(strncmp(err.text, "segment line: ", 14) == 0);
    }
}

static void refuses_what_is_too_long_or_too_deep(void **state)
{
    static char line[SEGMENT_LINE_MAX + 2];
    struct segment s;
    struct err err;

    (void)state;
    const int start =
        snprintf(line, sizeof(line), "{\"segment\":\"a\",\"asset\":\"/");
    memset(line + start, 'x', SEGMENT_ASSET_SIZE - 1);
    strcpy(line + start + SEGMENT_ASSET_SIZE - 1, "\"}");
    assert_int_equal(parse(&s, line, &err), -1);
    assert_non_null(strstr(err.text, "asset is 1024 bytes long"));
    strcpy(line + start + SEGMENT_ASSET_SIZE - 2, "\"}");
    assert_int_equal(parse(&s, line, &err), 0);
    memset(line, ' ', sizeof(line) - 1);
    assert_int_equal(parse(&s, line, &err), -1);
    assert_non_null(strstr(err.text, "bytes long"));
    memset(line, '[', 60000);
    line[60000] = '\0';
    assert_int_equal(parse(&s, line, &err), -1);
}

struct decimal {
    const char *text;
    enum rational_result result;
    int64_t num, den;
};

static void keeps_decimals_exactly(void **state)
{
    static const struct decimal cases[] = {
        { "0.1", RATIONAL_OK, 1, 10 },
        { "2.5", RATIONAL_OK, 5, 2 },
        { "30", RATIONAL_OK, 30, 1 },
        { "0", RATIONAL_OK, 0, 1 },
        { "-0.0", RATIONAL_OK, 0, 1 },
        { "1e3", RATIONAL_OK, 1000, 1 },
        { "25E-1", RATIONAL_OK, 5, 2 },
        { "1.50e+0", RATIONAL_OK, 3, 2 },
        { "0e999999999999", RATIONAL_OK, 0, 1 },
        { "0.30000000000000004", RATIONAL_OK, INT64_C(7500000000000001),
          INT64_C(25000000000000000) },
        { "0.000000000000000001", RATIONAL_OK, 1,
          INT64_C(1000000000000000000) },
        { "0.0000000000000000001", RATIONAL_TOO_FINE, 0, 0 },
        { "1e-400", RATIONAL_TOO_FINE, 0, 0 },
        { "1e400", RATIONAL_TOO_LONG, 0, 0 },
        { "1000000000", RATIONAL_OK, 1000000000, 1 },
        { "1000000000.1", RATIONAL_TOO_LONG, 0, 0 },
        { "99999999999999999999999999999999999999999999", RATIONAL_TOO_LONG, 0,
          0 },
        { "-1", RATIONAL_NEGATIVE, 0, 0 },
        { "", RATIONAL_SYNTAX, 0, 0 },
        { ".5", RATIONAL_SYNTAX, 0, 0 },
        { "5.", RATIONAL_SYNTAX, 0, 0 },
        { "5e", RATIONAL_SYNTAX, 0, 0 },
        { "0x10", RATIONAL_SYNTAX, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rational r = { 0, 0 };
        const char *text = cases[i].text;
        const enum rational_result got =
            rational_parse_json(&r, text, strlen(text));
        if (got != cases[i].result || r.num != cases[i].num ||
            r.den != cases[i].den)
            fail_msg("%s: result %d, %lld/%lld", text, got, (long long)r.num,
                     (long long)r.den);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_member),
        cmocka_unit_test(fills_in_what_is_absent_or_null),
        cmocka_unit_test(comes_back_as_it_went),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_what_is_too_long_or_too_deep),
        cmocka_unit_test(keeps_decimals_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
