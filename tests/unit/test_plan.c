/* plan: reading, all problems at once, boundaries, loops, handles */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/plan.h"

#define START_US INT64_C(1795442400000000) /* 2026-11-23T14:00:00Z */

static int parse(struct plan *plan, const char *text,
                 struct plan_problems *problems, struct err *err)
{
    *err = ERR_EMPTY;
    return plan_parse(plan, text, strlen(text), "/plans/day.json", problems,
                      err);
}

static void must_parse(struct plan *plan, const char *text)
{
    struct err err;

    if (parse(plan, text, NULL, &err) < 0)
        fail_msg("%s\n  said: %s", text, err.text);
}

static void reads_the_contracts_example(void **state)
{
    static const char text[] =
        "{ \"version\": 1,\n"
        "  \"start\": \"2026-11-23T14:00:00Z\",\n"
        "  \"loop\": false,\n"
        "  \"house\": {\"video\": {\"width\": 1280, \"height\": 720,"
        "               \"frame_rate\": \"30000/1001\"},\n"
        "    \"audio\": {\"sample_rate\": 48000, \"channels\": 2}},\n"
        "  \"segments\": [\n"
        "    {\"id\": \"s1\", \"type\": \"content\", \"asset\": \"film.mkv\","
        "     \"in\": \"00:10:00.000\", \"duration\": \"240f\"},\n"
        "    {\"id\": \"s2\", \"type\": \"filler\","
        "     \"asset\": \"../spots/cola.mp4\", \"duration\": 30,"
        "     \"pad\": \"black\"},\n"
        "    {\"id\": \"s3\", \"type\": \"slate\", \"duration\": 2.5} ] }\n";
    struct plan_problems problems;
    struct plan_walk walk;
    struct segment s;
    struct plan plan;
    struct err err;
    int index;

    (void)state;
    assert_int_equal(parse(&plan, text, &problems, &err), 0);
    assert_int_equal(problems.count, 0);
    assert_true(plan.has_start && plan.start_us == START_US);
    assert_int_equal(plan.segment[2].line, 9);
    plan_walk_start(&walk, &plan, &HOUSE_DEFAULT);
    assert_int_equal(plan_walk_next(&walk, &s, &index, &err), 1);
    assert_string_equal(s.asset, "/plans/film.mkv");
    assert_int_equal(s.in.num, 600);
    assert_true(s.has_first && s.first == 0 && s.frames == 240);
    assert_true(s.has_utc && s.utc_us == START_US);
    assert_int_equal(plan_walk_next(&walk, &s, &index, &err), 1);
    assert_string_equal(s.asset, "/plans/../spots/cola.mp4");
    assert_int_equal(s.type, SEGMENT_FILLER);
    assert_int_equal(s.pad, PAD_BLACK);
    assert_int_equal(s.first, 240);
    assert_int_equal(s.frames, 899); /* 38.008 s = 1139.1 frames */
    assert_true(s.utc_us == START_US + 8008000);
    assert_int_equal(plan_walk_next(&walk, &s, &index, &err), 1);
    assert_int_equal(index, 2);
    assert_int_equal(s.first, 1139);
    assert_int_equal(s.frames, 75); /* 40.508 s = 1214.03 frames */
    assert_int_equal(plan_walk_next(&walk, &s, &index, &err), 0);
    plan_clear(&plan);
    plan_clear(&plan);
}

struct time_case {
    const char *text;
    int64_t num, den; /* seconds; den 0: num frames; -1: refused */
};

static void reads_all_forms_of_time(void **state)
{
    static const struct time_case cases[] = {
        { "90.5", 181, 2 },
        { "0", 0, 1 },
        { "1:30", 90, 1 },
        { "90:00", 5400, 1 },
        { "01:30:00.040", 135001, 25 },
        { "100:00:01", 360001, 1 },
        { "1001/30000", 1001, 30000 },
        { "2/4", 1, 2 },
        { "240f", 240, 0 },
        { "0f", 0, 0 },
        { "f", 0, -1 },
        { "-1f", 0, -1 },
        { "-1", 0, -1 },
        { "-0:01", 0, -1 },
        { "1:75", 0, -1 },
        { "1:60:00", 0, -1 },
        { "1:5:5", 3905, 1 },
        { "1:005", 0, -1 },
        { "1:2:3:4", 0, -1 },
        { ":30", 0, -1 },
        { "1:", 0, -1 },
        { "1:-5", 0, -1 },
        { "1:1/2", 0, -1 },
        { "1/0", 0, -1 },
        { "1/", 0, -1 },
        { "1.5/2", 0, -1 },
        { "", 0, -1 },
        { " 1", 0, -1 },
        { "1s", 0, -1 },
        { "1e3", 0, -1 },
        { "1.", 0, -1 },
        { "inf", 0, -1 },
        { "99999999999999999999f", 0, -1 },
        { "99999999999:00:00", 0, -1 },
        { "9999999999999999999999999999999999999999/1", 0, -1 },
        { "1/99999999999999999999999999999999999999999999999", 0, -1 },
        { "0.0000000000000000000000000000000000000000000000000000000000001", 0,
          -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct time_case *c = &cases[i];
        struct plan_time t;
        struct err err = ERR_EMPTY;
        const int rc = plan_time_parse(&t, c->text, strlen(c->text), &err);
        if (rc != (c->den < 0 ? -1 : 0))
            fail_msg("'%s': %d %s", c->text, rc, err.text);
        if (c->den == 0)
            assert_true(t.is_frames && t.frames == c->num);
        else if (c->den > 0)
            assert_true(!t.is_frames && t.seconds.num == c->num &&
                        t.seconds.den == c->den);
        else
            assert_non_null(strstr(err.text, "give seconds"));
    }
}

struct bad {
    const char *text, *says;
    int line;
    const char *field;
};

#define SEG(fields) "{\"version\":1,\n\"segments\":[\n{" fields "}]}"
#define OK          "\"asset\":\"a\",\"duration\":1"

static void says_what_is_wrong_and_where(void **state)
{
    static const struct bad cases[] = {
        { "{\"version\":1,\n\"segments\":[}", "no valid JSON", 2, "" },
        { "{\"version\":1}", "is missing", 1, "segments" },
        { "{\"version\":1,\n\"segments\":[]}", "empty", 2, "segments" },
        { "{\"version\":1,\n\"segments\":{}}", "no list", 2, "segments" },
        { "{\"version\":1,\n\"segments\":[\n7]}", "no object", 3,
          "segments[0]" },
        { "{\"version\":2,\"segments\":[{" OK "}]}", "is not 1", 1, "version" },
        { "{\"version\":1,\"loop\":1,\"segments\":[{" OK "}]}",
          "neither true nor false", 1, "loop" },
        { "{\"version\":1,\n\n\"start\":\"noon\",\"segments\":[{" OK "}]}",
          "no time", 3, "start" },
        { "{\"version\":1,\"start\":\"2016-12-31T23:59:60Z\",\"segments\":[{" OK
          "}]}",
          "leap second", 1, "start" },
        { "{\"version\":1,\"house\":{\"video\":7},\"segments\":[{" OK "}]}", "",
          1, "house" },
        { "{\"version\":1,\"version\":1,\"segments\":[{" OK "}]}", "duplicate",
          1, "" },
        { SEG("\"asset\":\"a\xff\""), "UTF-8", 3, "" },
        { SEG("\"asset\":\"a\\u0000b\""), "no valid JSON", 3, "" },
        { SEG("\"asset\":\"\""), "is no file", 3, "segments[0].asset" },
        { SEG("\"asset\":\"-\""), "is no file", 3, "segments[0].asset" },
        { SEG("\"asset\":5"), "no string", 3, "segments[0].asset" },
        { SEG("\"asset\":\"file://host/a\""), "another host", 3,
          "segments[0].asset" },
        { SEG("\"asset\":\"file:///a%zz\""), "wrong %XX", 3,
          "segments[0].asset" },
        { SEG("\"duration\":1"), "is missing", 3, "segments[0].asset" },
        { SEG("\n\"type\":\"film\",\"asset\":\"a\""), "'film' is unknown", 4,
          "segments[0].type" },
        { SEG("\"type\":\"pad\""), "a pad needs one", 3,
          "segments[0].duration" },
        { SEG("\"type\":\"slate\"},{" OK), "only the last slate", 3,
          "segments[0].duration" },
        { SEG("\"asset\":\"a\",\"duration\":\"1:75\""), "no time", 3,
          "segments[0].duration" },
        { SEG("\"asset\":\"a\",\"duration\":-1"), "negative", 3,
          "segments[0].duration" },
        { SEG("\"asset\":\"a\",\"duration\":1e99"), "longer than", 3,
          "segments[0].duration" },
        { SEG("\"asset\":\"a\",\"duration\":1e-99"), "digits", 3,
          "segments[0].duration" },
        { SEG("\"asset\":\"a\",\"in\":[1]"), "no time", 3, "segments[0].in" },
        { SEG("\"asset\":\"a\",\"in\":\"-5f\""), "negative", 3,
          "segments[0].in" },
        { SEG(OK ",\"pad\":\"x\""), "'x' is unknown", 3, "segments[0].pad" },
        { SEG(OK ",\"id\":\"\""), "empty", 3, "segments[0].id" },
        { SEG(OK ",\"id\":\"a\\n\""), "control", 3, "segments[0].id" },
        { SEG(OK ",\"gain_db\":\"1\""), "no number", 3, "segments[0].gain_db" },
        { SEG(OK ",\"gain_db\":61"), "-60 to 60", 3, "segments[0].gain_db" },
        { SEG(OK ",\"audio\":\"en\""), "no list", 3, "segments[0].audio" },
        { SEG(OK ",\"audio\":[\"english language\"]"), "no language", 3,
          "segments[0].audio" },
        { SEG(OK ",\"id\":\"x\"},\n{" OK ",\"id\":\"x\""),
          "'x' is that of segments[0] (line 3) too", 4, "segments[1].id" },
        { SEG(OK ",\"id\":\"#2\"},\n{" OK), "'#2' is that of", 4,
          "segments[1].id" },
        { SEG(OK "},\n{" OK ",\"start\":\"2026-11-23T14:00:00Z\""),
          "nothing to count from", 4, "segments[1].start" },
        { SEG(OK ",\"start\":\"2026-11-23T14:00:00Z\"},\n{" OK
                 ",\"start\":\"2026-11-23T14:00:00.5Z\""),
          "overlaps segments[0] ('#1') by 15 frames", 4, "segments[1].start" },
        { "{\"version\":1,\"start\":\"2026-11-23T14:00:00Z\",\"segments\":"
          "[{" OK ",\"start\":\"2026-11-23T13:00:00Z\"}]}",
          "before the plan's start", 1, "segments[0].start" },
        { "{\"version\":1,\"loop\":true,\"segments\":"
          "[{" OK ",\"start\":\"2026-11-23T13:00:00Z\"}]}",
          "the plan loops", 1, "segments[0].start" },
        { "{\"version\":1,\"loop\":true,\"segments\":[{\"asset\":\"a\","
          "\"duration\":0.01}]}",
          "shorter than a frame", 0, "loop" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bad *c = &cases[i];
        struct plan_problems p;
        struct plan plan;
        struct err err;
        if (parse(&plan, c->text, &p, &err) != -1)
            fail_msg("taken: %s", c->text);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_null(plan.segment);
        const struct plan_problem *first = p.problem;
        while (first->is_warning)
            first++;
        if (strstr(first->text, c->says) == NULL || first->line != c->line ||
            strcmp(first->field, c->field) != 0)
            fail_msg("%s\n  said: %d: %s: %s", c->text, first->line,
                     first->field, first->text);
        assert_non_null(strstr(err.text, first->text));
        assert_non_null(strstr(err.text, "/plans/day.json"));
        plan_problems_clear(&p);
    }
}

static void tells_all_problems_at_once(void **state)
{
    struct plan_problems p;
    struct plan plan;
    struct err err;

    (void)state;
    assert_int_equal(parse(&plan,
                           "{\"version\": 1, \"mood\": 1,\n"
                           " \"segments\": [\n"
                           "  {\"asset\": \"a\", \"duration\": -1},\n"
                           "  {\"type\": \"pad\",\n"
                           "   \"asset\": \"b\", \"pad\": \"x\"}],\n"
                           " \"loop\": 0}",
                           &p, &err),
                     -1);
    static const struct {
        int line;
        bool is_warning;
        const char *field;
    } wanted[] = {
        { 1, true, "mood" },
        { 3, false, "segments[0].duration" },
        { 4, false, "segments[1].duration" },
        { 4, true, "segments[1].asset" },
        { 5, false, "segments[1].pad" },
        { 6, false, "loop" },
    };
    assert_int_equal(p.count, 6);
    for (int i = 0; i < p.count; i++) {
        assert_int_equal(p.problem[i].line, wanted[i].line);
        assert_int_equal(p.problem[i].is_warning, wanted[i].is_warning);
        assert_string_equal(p.problem[i].field, wanted[i].field);
    }
    plan_problems_clear(&p);
    plan_problems_clear(&p);
}

static void warns_of_unknown_fields_only(void **state)
{
    struct plan_problems p;
    struct plan plan;
    struct err err;

    (void)state;
    assert_int_equal(parse(&plan,
                           "\xef\xbb\xbf{\"$schema\":\"x\",\"start\":null,\n"
                           "\"segments\":[{" OK
                           ",\"in\":null,\n\"fps\":[{}]}]}",
                           &p, &err),
                     0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.problem[0].field, "version");
    assert_string_equal(p.problem[1].field, "segments[0].fps");
    assert_int_equal(p.problem[1].line, 3);
    assert_non_null(strstr(p.problem[1].text, "known are id, type, asset"));
    assert_true(p.problem[0].is_warning && p.problem[1].is_warning);
    plan_problems_clear(&p);
    plan_clear(&plan);
}

/* Appends; the caller gave enough room. */
static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

static void bounds_depth_number_and_size(void **state)
{
    const size_t room = 20u << 20;
    char *text = malloc(room);
    struct plan plan;
    struct err err;

    (void)state;
    char *at = put(text, "{\"version\":1,\"x\":");
    for (int i = 0; i < 40; i++)
        at = put(at, "[");
    assert_int_equal(parse(&plan, text, NULL, &err), -1);
    assert_non_null(strstr(err.text, "deeper than 32"));

    at = put(text, "{\"version\":1,\"segments\":[{\"asset\":\"a\"}");
    for (int i = 1; i < PLAN_SEGMENTS_MAX; i++)
        at = put(at, ",\n{\"asset\":\"a\",\"duration\":0.03336666666666667}");
    put(at, "]}");
    assert_int_equal(parse(&plan, text, NULL, &err), 0);
    assert_int_equal(plan.count, PLAN_SEGMENTS_MAX);
    assert_string_equal(plan.segment[99999].segment.id, "#100000");
    plan_clear(&plan);
    put(at, ",{\"asset\":\"a\"}]}");
    assert_int_equal(parse(&plan, text, NULL, &err), -1);
    assert_non_null(strstr(err.text, "more than 100000"));

    at = put(text, "{\"version\":1,\"x\":[0");
    for (int i = 0; i < 3000000; i++)
        at = put(at, ",0");
    put(at, "]}");
    assert_int_equal(parse(&plan, text, NULL, &err), -1);
    assert_non_null(strstr(err.text, "more than 2000000 values"));

    memset(text, ' ', room);
    assert_int_equal(plan_parse(&plan, text, (16u << 20) + 1, "/p", NULL, &err),
                     -1);
    assert_non_null(strstr(err.text, "16 MiB"));
    free(text);
}

/* What a walk must yield: first and frames; -1: unknown. */
struct step {
    int64_t first, frames;
    const char *id;
};

static void must_walk(struct plan_walk *walk, const struct step *steps,
                      int count)
{
    for (int i = 0; i < count; i++) {
        struct segment s;
        struct err err = ERR_EMPTY;
        if (plan_walk_next(walk, &s, NULL, &err) != 1)
            fail_msg("step %d: %s", i, err.text);
        const int64_t first = s.has_first ? s.first : -1;
        const int64_t frames = s.has_frames ? s.frames : -1;
        if (first != steps[i].first || frames != steps[i].frames ||
            (steps[i].id && strcmp(s.id, steps[i].id) != 0))
            fail_msg("step %d: %s %lld +%lld, wanted %lld +%lld", i, s.id,
                     (long long)first, (long long)frames,
                     (long long)steps[i].first, (long long)steps[i].frames);
    }
}

#define STEPS(array) array, (int)(sizeof(array) / sizeof((array)[0]))

static void rounds_each_boundary_once_halves_up(void **state)
{
    /* At 29.97 fps: 10 s = 299.70, 20 s = 599.40, 30 s = 899.10 frames. */
    static const struct step tens[] = { { 0, 300, NULL },
                                        { 300, 299, NULL },
                                        { 599, 300, NULL } };
    /* At 50 fps 0.01 s is half a frame: 0.5, 1.0, 1.5 -> 1, 1, 2. */
    static const struct step halves[] = { { 0, 1, NULL },
                                          { 1, 0, NULL },
                                          { 1, 1, NULL } };
    struct house fifty = HOUSE_DEFAULT;
    struct plan_walk walk;
    struct plan plan;

    (void)state;
    must_parse(&plan, "{\"version\":1,\"segments\":["
                      "{\"asset\":\"a\",\"duration\":10},"
                      "{\"asset\":\"a\",\"duration\":\"0:10\"},"
                      "{\"asset\":\"a\",\"duration\":\"20/2\"}]}");
    plan_walk_start(&walk, &plan, &HOUSE_DEFAULT);
    must_walk(&walk, STEPS(tens));
    plan_clear(&plan);
    must_parse(&plan, "{\"version\":1,\"segments\":["
                      "{\"asset\":\"a\",\"duration\":0.01},"
                      "{\"asset\":\"a\",\"duration\":0.01},"
                      "{\"asset\":\"a\",\"duration\":1e-2}]}");
    fifty.rate = (AVRational){ 50, 1 };
    plan_walk_start(&walk, &plan, &fifty);
    must_walk(&walk, STEPS(halves));
    plan_clear(&plan);
}

/* Durations as Python prints them, frames/29.97, come out as those frames. */
static void keeps_sums_of_doubles_exact_for_long(void **state)
{
    struct plan_walk walk;
    struct plan plan;
    struct segment s;
    struct err err = ERR_EMPTY;

    (void)state;
    must_parse(&plan, "{\"version\":1,\"loop\":true,\"segments\":["
                      "{\"asset\":\"a\",\"duration\":30.063366666666667},"
                      "{\"asset\":\"a\",\"duration\":0.30000000000000004},"
                      "{\"asset\":\"a\",\"duration\":\"1/7\"},"
                      "{\"asset\":\"a\",\"duration\":\"1f\"}]}");
    plan_walk_start(&walk, &plan, &HOUSE_DEFAULT);
    int64_t end = 0;
    for (int i = 0; i < 40000; i++) {
        assert_int_equal(plan_walk_next(&walk, &s, NULL, &err), 1);
        assert_int_equal(s.first, end);
        end = s.first + s.frames;
    }
    /* 10,000 passes of 901 + 8.991009 + 4.281433 + 1 frames. */
    assert_int_equal(walk.pass, 9999);
    assert_int_equal(end, 9152724);
    plan_clear(&plan);
}

static void goes_on_exactly_in_a_loop_and_seeks_in_it(void **state)
{
    static const struct step around[] = {
        { 0, 300, "#1" },   { 300, 0, "#2" },   { 300, 300, "#1" },
        { 600, 1, "#2" },   { 601, 299, "#1" }, { 900, 1, "#2" },
        { 901, 300, "#1" },
    };
    struct plan_walk walk, far;
    struct plan plan;
    struct segment s, t;
    struct err err = ERR_EMPTY;

    (void)state;
    must_parse(&plan, "{\"version\":1,\"loop\":true,\"segments\":["
                      "{\"asset\":\"a\",\"duration\":10},"
                      "{\"asset\":\"b\",\"duration\":0.02}]}");
    plan_walk_start(&walk, &plan, &HOUSE_DEFAULT);
    must_walk(&walk, STEPS(around));
    /* Seeking finds what walking finds. */
    plan_walk_start(&walk, &plan, &HOUSE_DEFAULT);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(plan_walk_next(&walk, &s, NULL, &err), 1);
        if (s.frames == 0 || i % 7 != 0)
            continue;
        plan_walk_start(&far, &plan, &HOUSE_DEFAULT);
        assert_int_equal(plan_walk_seek(&far, s.first + s.frames - 1, &err), 0);
        assert_int_equal(plan_walk_next(&far, &t, NULL, &err), 1);
        assert_int_equal(t.first, s.first);
        assert_int_equal(t.frames, s.frames);
        assert_int_equal(far.pass, walk.pass);
    }
    /* A century ahead is no work. */
    plan_walk_start(&far, &plan, &HOUSE_DEFAULT);
    assert_int_equal(plan_walk_seek(&far, INT64_C(94608000000), &err), 0);
    assert_int_equal(plan_walk_next(&far, &t, NULL, &err), 1);
    assert_true(t.first <= INT64_C(94608000000) &&
                t.first + t.frames > INT64_C(94608000000));
    plan_clear(&plan);
}

static void counts_on_from_an_unknown_length(void **state)
{
    static const struct step unknown[] = {
        { 0, 25, "a" }, { 25, -1, "b" }, { -1, 25, "c" }, { -1, 5, "d" }
    };
    static const struct step known[] = { { 1000, 25, "c" }, { 1025, 5, "d" } };
    struct house house = HOUSE_DEFAULT;
    struct plan_walk walk, copy;
    struct plan plan;

    (void)state;
    house.rate = (AVRational){ 25, 1 };
    must_parse(&plan, "{\"version\":1,\"segments\":["
                      "{\"id\":\"a\",\"asset\":\"a\",\"duration\":1},"
                      "{\"id\":\"b\",\"asset\":\"b\"},"
                      "{\"id\":\"c\",\"asset\":\"c\",\"duration\":1},"
                      "{\"id\":\"d\",\"asset\":\"d\",\"duration\":\"5f\"}]}");
    plan_walk_start(&walk, &plan, &house);
    must_walk(&walk, unknown, 2);
    copy = walk;
    must_walk(&copy, unknown + 2, 2);
    plan_walk_ended(&walk, 1000);
    must_walk(&walk, STEPS(known));
    /* Told late: where the last one yielded ended. */
    plan_walk_ended(&copy, 1030);
    assert_int_equal(copy.base_frame, 1000);
    plan_walk_ended(&copy, 5);
    assert_int_equal(copy.base_frame, 1000);
    plan_clear(&plan);
}

static void fills_gaps_before_a_start_of_its_own(void **state)
{
    static const struct step steps[] = {
        { 0, 50, "gap" },  { 50, 25, "#1" },  { 75, 25, "gap" },
        { 100, 25, "#2" }, { 125, -1, "#3" }, { 250, 25, "#4" },
        { 275, -1, "#5" },
    };
    static const struct step told[] = { { 200, 50, "gap" }, { 250, 25, "#4" } };
    struct house house = HOUSE_DEFAULT;
    struct plan_walk walk;
    struct plan plan;
    struct segment s;
    struct err err;
    int index;

    (void)state;
    house.rate = (AVRational){ 25, 1 };
    must_parse(&plan, "{\"version\":1,\"start\":\"2026-11-23T14:00:00Z\","
                      "\"segments\":["
                      "{\"asset\":\"a\",\"duration\":1,"
                      "\"start\":\"2026-11-23T14:00:02Z\"},"
                      "{\"asset\":\"a\",\"duration\":1,"
                      "\"start\":\"2026-11-23T15:00:04+01:00\"},"
                      "{\"asset\":\"a\"},"
                      "{\"asset\":\"a\",\"duration\":1,"
                      "\"start\":\"2026-11-23T14:00:10Z\"},"
                      "{\"type\":\"slate\"}]}");
    plan_walk_start(&walk, &plan, &house);
    must_walk(&walk, STEPS(steps));
    assert_int_equal(plan_walk_next(&walk, &s, NULL, &err), 0);
    plan_walk_start(&walk, &plan, &house);
    assert_int_equal(plan_walk_next(&walk, &s, &index, &err), 1);
    assert_int_equal(index, -1);
    assert_int_equal(s.type, SEGMENT_SLATE);
    must_walk(&walk, steps + 1, 4);
    plan_walk_ended(&walk, 200);
    must_walk(&walk, STEPS(told));
    plan_clear(&plan);
}

static void takes_the_first_segments_start_as_the_plans(void **state)
{
    struct plan plan;

    (void)state;
    must_parse(&plan, "{\"version\":1,\"segments\":[{" OK
                      ",\"start\":\"2026-11-23T14:00:00Z\"}]}");
    assert_true(plan.has_start && plan.start_us == START_US);
    plan_clear(&plan);
}

static void checks_the_house_in_force(void **state)
{
    struct plan_problems p = PLAN_PROBLEMS_EMPTY;
    struct house house = HOUSE_DEFAULT;
    struct plan plan;
    struct err err;

    (void)state;
    /* 50 frames are 2 s at 25 fps, 1 s at 50. */
    must_parse(&plan, "{\"version\":1,\"segments\":["
                      "{\"asset\":\"a\",\"duration\":\"50f\","
                      "\"start\":\"2026-11-23T14:00:00Z\"},"
                      "{\"asset\":\"a\",\"start\":\"2026-11-23T14:00:01Z\"}]}");
    house.rate = (AVRational){ 50, 1 };
    assert_int_equal(plan_check_house(&plan, &house, &p, &err), 0);
    house.rate = (AVRational){ 25, 1 };
    assert_int_equal(plan_check_house(&plan, &house, &p, &err), -1);
    assert_non_null(strstr(err.text, "overlaps segments[0] ('#1') by 25"));
    assert_int_equal(p.count, 1);
    plan_problems_clear(&p);
    plan_clear(&plan);
}

static void has_the_same_hash_for_the_same_content(void **state)
{
    static const char *const texts[] = {
        "{\"version\":1,\"segments\":[{\"asset\":\"a\",\"duration\":2}]}",
        "{\"segments\":[{\"duration\":\"50f\",\"asset\":\"./a\",\"x\":1}]}",
        "{\"segments\":[{\"duration\":\"0:02.0\",\"asset\":\"/plans/a\"}]}",
        "{\"segments\":[{\"duration\":\"51f\",\"asset\":\"a\"}]}",
        "{\"segments\":[{\"duration\":2,\"asset\":\"b\"}]}",
        "{\"segments\":[{\"duration\":2,\"asset\":\"a\",\"gain_db\":1}]}",
        "{\"loop\":true,\"segments\":[{\"duration\":2,\"asset\":\"a\"}]}",
    };
    struct house house = HOUSE_DEFAULT;
    uint64_t hash[7];

    (void)state;
    house.rate = (AVRational){ 25, 1 };
    for (int i = 0; i < 7; i++) {
        struct plan plan;
        must_parse(&plan, texts[i]);
        hash[i] = plan_hash(&plan, &house);
        for (int k = 0; k < i; k++)
            assert_int_equal(hash[k] == hash[i], i < 3);
        plan_clear(&plan);
    }
}

static void write_file(const char *folder, const char *name, const void *data,
                       size_t length, char path[256])
{
    snprintf(path, 256, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static void reads_lists_and_media(void **state)
{
    static const char list[] = "\xef\xbb\xbf# a list\r\n\r\n  a b.mkv \r\n"
                               "../c.mp4\n/abs/d.ts\nhttp://h/e.ts\n"
                               "file:///f%20g.mkv";
    static const char media[] = "\x1a\x45\xdf\xa3 matroska";
    static const char latin[] = "one.mkv\nM\xe4rz.mkv\n";
    static const char hls[] = "#EXTM3U\n#EXT-X-TARGETDURATION:6\na.ts\n";
    char folder[] = "/tmp/test_plan.XXXXXX";
    char path[256], wanted[512];
    struct plan_problems p;
    struct plan plan;
    struct err err;

    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "list", list, sizeof(list) - 1, path);
    assert_int_equal(plan_load(&plan, path, NULL, &err), 0);
    assert_int_equal(plan.count, 5);
    assert_int_equal(plan.segment[0].line, 3);
    snprintf(wanted, sizeof(wanted), "%s/a b.mkv", folder);
    assert_string_equal(plan.segment[0].segment.asset, wanted);
    assert_string_equal(plan.segment[0].segment.id, "#1");
    assert_string_equal(plan.segment[2].segment.asset, "/abs/d.ts");
    assert_string_equal(plan.segment[3].segment.asset, "http://h/e.ts");
    assert_string_equal(plan.segment[4].segment.asset, "/f g.mkv");
    plan_clear(&plan);
    write_file(folder, "list", latin, sizeof(latin) - 1, path);
    assert_int_equal(plan_load(&plan, path, &p, &err), -1);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.problem[0].line, 2);
    assert_non_null(strstr(p.problem[0].text, "UTF-8"));
    plan_problems_clear(&p);
    write_file(folder, "list", "# none\n", 7, path);
    assert_int_equal(plan_load(&plan, path, NULL, &err), -1);
    assert_non_null(strstr(err.text, "names no file"));
    write_file(folder, "list", hls, sizeof(hls) - 1, path);
    assert_int_equal(plan_load(&plan, path, NULL, &err), 0);
    assert_string_equal(plan.segment[0].segment.asset, path);
    plan_clear(&plan);
    unlink(path);
    write_file(folder, "m", media, sizeof(media) - 1, path);
    assert_int_equal(plan_load(&plan, path, NULL, &err), 0);
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.segment[0].segment.asset, path);
    assert_false(plan.segment[0].duration.is_given);
    plan_clear(&plan);
    unlink(path);
    assert_int_equal(plan_load(&plan, path, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(plan_load(&plan, path, NULL, &err), -1);
    assert_non_null(strstr(err.text, "not a file"));
    assert_int_equal(plan_load(&plan, "http://h/live.ts", NULL, &err), 0);
    assert_string_equal(plan.segment[0].segment.asset, "http://h/live.ts");
    plan_clear(&plan);
    unlink(path);
    rmdir(folder);
}

static void finds_plans_by_handle(void **state)
{
    char folder[] = "/tmp/test_plan.XXXXXX";
    char path[256], got[1024], uri[512];
    struct err err = ERR_EMPTY;

    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "day 1.json", "{}", 2, path);
    assert_int_equal(plan_find(got, path, NULL, &err), 0);
    assert_string_equal(got, path);
    assert_int_equal(plan_find(got, "day 1", folder, &err), 0);
    assert_string_equal(got, path);
    assert_int_equal(plan_find(got, "day 1.json", folder, &err), 0);
    snprintf(uri, sizeof(uri), "file://localhost%s/day%%201.json", folder);
    assert_int_equal(plan_find(got, uri, NULL, &err), 0);
    assert_string_equal(got, path);
    assert_int_equal(plan_find(got, "http://h/a.ts", NULL, &err), 0);
    static const char *const bad[] = {
        "",          "day 2",         "../day 1",      "a/../day 1",
        "..",        "/no/such/plan", "file://h/x",    "file:///%",
        "file:///x", "bad\xff",       "file:///a%00b", "/tmp",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = ERR_EMPTY;
        if (plan_find(got, bad[i], folder, &err) != -1)
            fail_msg("found: %s", bad[i]);
        assert_int_equal(err.kind, ERR_INPUT);
    }
    assert_int_equal(plan_find(got, "day 1", NULL, &err), -1);
    assert_non_null(strstr(err.text, "--plan-dir"));
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_contracts_example),
        cmocka_unit_test(reads_all_forms_of_time),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(tells_all_problems_at_once),
        cmocka_unit_test(warns_of_unknown_fields_only),
        cmocka_unit_test(bounds_depth_number_and_size),
        cmocka_unit_test(rounds_each_boundary_once_halves_up),
        cmocka_unit_test(keeps_sums_of_doubles_exact_for_long),
        cmocka_unit_test(goes_on_exactly_in_a_loop_and_seeks_in_it),
        cmocka_unit_test(counts_on_from_an_unknown_length),
        cmocka_unit_test(fills_gaps_before_a_start_of_its_own),
        cmocka_unit_test(takes_the_first_segments_start_as_the_plans),
        cmocka_unit_test(checks_the_house_in_force),
        cmocka_unit_test(has_the_same_hash_for_the_same_content),
        cmocka_unit_test(reads_lists_and_media),
        cmocka_unit_test(finds_plans_by_handle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
