/* timeline: what the stage is told for plans, cuts, deaths and new plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../cmd/rv-ctl/timeline.c"
#include "../../cmd/rv-ctl/timeline_wants.c"
#include "../../cmd/rv-ctl/timeline_list.c"

#define FOLDER "/run/1"

static const struct house HOUSE = { 320, 180, { 25, 1 }, 48000, 2 };

struct bench {
    struct plan plan;
    struct timeline timeline;
    struct inputs inputs;
    uint32_t pool;
};

static struct bench *bench_new(const char *json, int64_t base)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct err err = ERR_EMPTY;

    if (plan_parse(&bench->plan, json, strlen(json), "/plans/a.json", NULL,
                   &err) < 0)
        fail_msg("%s", err.text);
    timeline_start(&bench->timeline, &bench->plan, &HOUSE, base);
    return bench;
}

static void bench_free(struct bench *bench)
{
    inputs_clear(&bench->inputs);
    plan_clear(&bench->plan);
    free(bench);
}

/* Lays, starts and opens every decoder that is wanted; gives how many. */
static int arm(struct bench *bench, int64_t position, int64_t horizon,
               int64_t now_us)
{
    struct timeline *timeline = &bench->timeline;
    struct want wants[16];
    struct err err = ERR_EMPTY;

    assert_int_equal(timeline_lay(timeline, position, horizon, &err), 0);
    const int count =
        timeline_wants(timeline, position, horizon, now_us, wants, 16);
    for (int i = 0; i < count; i++) {
        struct laid *laid = timeline_find(timeline, wants[i].laid);
        laid_starts(laid, ++bench->pool, wants[i].from);
        laid_opened(laid, bench->pool);
    }
    return count;
}

static const struct inputs *list(struct bench *bench, int64_t floor,
                                 const struct laid *now)
{
    struct err err = ERR_EMPTY;

    inputs_clear(&bench->inputs);
    assert_int_equal(timeline_inputs(&bench->timeline, FOLDER, floor, floor,
                                     now, 0, &bench->inputs, &err),
                     0);
    return &bench->inputs;
}

static void is_pool(const struct inputs *inputs, int i, const char *name,
                    int64_t at, int64_t origin)
{
    assert_true(i < inputs->count);
    const struct input *input = &inputs->input[i];

    assert_string_equal(input->pool, name);
    assert_int_equal(input->at_kind, INPUT_AT);
    assert_int_equal(input->at, at);
    assert_true(input->has_origin);
    assert_int_equal(input->origin, origin);
}

static void is_slate_at(const struct inputs *inputs, int i, int64_t at,
                        enum stage_reason reason, int state)
{
    assert_true(i < inputs->count);
    const struct input *input = &inputs->input[i];

    assert_string_equal(input->pool, "");
    assert_int_equal(input->at_kind, INPUT_AT);
    assert_int_equal(input->at, at);
    assert_int_equal(input->reason, reason);
    assert_int_equal(input->state, state);
}

static const char TWO[] =
    "{\"version\":1,\"segments\":["
    "{\"id\":\"a\",\"asset\":\"a.mkv\",\"duration\":\"100f\"},"
    "{\"id\":\"b\",\"asset\":\"b.mkv\",\"duration\":\"50f\"}]}";

static void known_lengths_are_laid_by_number(void **state)
{
    struct bench *bench = bench_new(TWO, 0);

    (void)state;
    assert_int_equal(arm(bench, 0, 250, 0), 2);
    const struct inputs *inputs = list(bench, 0, NULL);
    assert_int_equal(inputs->count, 3);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    is_pool(inputs, 1, FOLDER "/pool-2", 100, 100);
    is_slate_at(inputs, 2, 150, REASON_SLATE_END_OF_PLAN, 2);
    assert_int_equal(arm(bench, 10, 250, 0), 0);
    bench_free(bench);
}

static void what_is_past_is_left_out(void **state)
{
    struct bench *bench = bench_new(TWO, 0);

    (void)state;
    arm(bench, 0, 250, 0);
    arm(bench, 100, 250, 0);
    const struct inputs *inputs = list(bench, 100, NULL);
    is_pool(inputs, 0, FOLDER "/pool-2", 100, 100);
    assert_false(timeline_uses(&bench->timeline, 1, 100));
    assert_true(timeline_uses(&bench->timeline, 2, 100));
    bench_free(bench);
}

static void a_plan_is_joined_in_progress(void **state)
{
    struct bench *bench = bench_new(TWO, -120);
    struct want wants[4];

    (void)state;
    timeline_lay(&bench->timeline, 0, 250, NULL);
    assert_int_equal(timeline_wants(&bench->timeline, 0, 250, 0, wants, 4), 1);
    assert_int_equal(wants[0].from, 20);
    arm(bench, 0, 250, 0);
    is_pool(list(bench, 0, NULL), 0, FOLDER "/pool-1", 0, -20);
    bench_free(bench);
}

static const char OPEN[] =
    "{\"version\":1,\"loop\":true,\"segments\":["
    "{\"id\":\"a\",\"asset\":\"a.mkv\"},{\"id\":\"b\",\"asset\":\"b.mkv\"}]}";

static void an_unknown_length_has_its_successor_behind(void **state)
{
    struct bench *bench = bench_new(OPEN, 0);
    struct timeline *timeline = &bench->timeline;

    (void)state;
    assert_int_equal(arm(bench, 0, 250, 0), 2);
    assert_int_equal(arm(bench, 0, 250, 0), 0);
    const struct inputs *inputs = list(bench, 0, NULL);
    assert_int_equal(inputs->count, 2);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    assert_int_equal(inputs->input[1].at_kind, INPUT_BEHIND);
    assert_false(inputs->input[1].has_origin);
    laid_over(timeline, &timeline->laid[0], 1, DECODER_ENDED, 77, "", 0);
    assert_int_equal(arm(bench, 30, 250, 0), 1);
    inputs = list(bench, 30, NULL);
    assert_int_equal(inputs->count, 3);
    is_pool(inputs, 1, FOLDER "/pool-2", 77, 77);
    assert_int_equal(inputs->input[2].at_kind, INPUT_BEHIND);
    bench_free(bench);
}

static void a_crashed_decoder_is_replaced_at_the_exact_frame(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;

    (void)state;
    arm(bench, 0, 250, 0);
    laid_over(timeline, &timeline->laid[0], 1, DECODER_CRASHED, 40, "", 1000);
    assert_int_equal(arm(bench, 10, 250, 1000), 1);
    const struct inputs *inputs = list(bench, 10, NULL);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    assert_int_equal(inputs->input[0].until, 40);
    is_pool(inputs, 1, FOLDER "/pool-3", 40, 0);
    bench_free(bench);
}

static void a_second_crash_without_a_frame_backs_off(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    struct laid *laid = &timeline->laid[0];

    (void)state;
    arm(bench, 0, 250, 0);
    laid_over(timeline, laid, 1, DECODER_CRASHED, 40, "", 1000);
    arm(bench, 10, 250, 1000);
    laid_over(timeline, laid, 3, DECODER_CRASHED, 40, "it died", 2000);
    assert_int_equal(arm(bench, 10, 250, 2000), 0);
    is_slate_at(list(bench, 10, NULL), 1, 40, REASON_SLATE_MISSING, 3);
    assert_int_equal(laid->retry_at_us, 2000 + 1000000);
    /* Then it comes in a second behind what is taken. */
    assert_int_equal(arm(bench, 20, 250, 1002000), 1);
    const struct inputs *inputs = list(bench, 20, NULL);
    is_slate_at(inputs, 1, 40, REASON_SLATE_MISSING, 3);
    is_pool(inputs, 2, FOLDER "/pool-4", 45, 0);
    bench_free(bench);
}

static void a_missing_asset_is_slate_for_its_time(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    struct want wants[4];
    static const int64_t waits[] = { 1, 2, 4, 8, 16, 16 };

    (void)state;
    timeline_lay(timeline, 0, 250, NULL);
    timeline_wants(timeline, 0, 10, 0, wants, 4);
    for (int i = 0; i < 6; i++) {
        laid_starts(&timeline->laid[0], 10u + (unsigned)i, 0);
        laid_over(timeline, &timeline->laid[0], 10u + (unsigned)i,
                  DECODER_FAILED, 0, "no such file", 5);
        assert_int_equal(timeline->laid[0].retry_at_us, 5 + waits[i] * 1000000);
    }
    const struct inputs *inputs = list(bench, 0, NULL);
    is_slate_at(inputs, 0, 0, REASON_SLATE_MISSING, 3);
    assert_string_equal(inputs->input[0].why, "no such file");
    assert_string_equal(inputs->input[0].segment, "a");
    assert_int_equal(inputs->input[0].until, 100);
    bench_free(bench);
}

static void a_missing_asset_without_duration_takes_a_second(void **state)
{
    struct bench *bench = bench_new(OPEN, 0);
    struct timeline *timeline = &bench->timeline;

    (void)state;
    timeline_lay(timeline, 0, 250, NULL);
    laid_starts(&timeline->laid[0], 9, 0);
    laid_over(timeline, &timeline->laid[0], 9, DECODER_FAILED, 0, "gone", 0);
    assert_int_equal(laid_end(&timeline->laid[0]), 25);
    arm(bench, 0, 250, 0);
    is_pool(list(bench, 0, NULL), 1, FOLDER "/pool-1", 25, 25);
    bench_free(bench);
}

static struct laid preview(uint32_t pool, int64_t frames)
{
    struct laid laid = { .id = 0x80000001,
                         .is_preview = true,
                         .until = FRAME_NEVER,
                         .has_frames = frames > 0,
                         .frames = frames,
                         .is_sure = frames > 0 };

    laid_starts(&laid, pool, 0);
    laid_opened(&laid, pool);
    return laid;
}

static const char LONG[] =
    "{\"version\":1,\"segments\":["
    "{\"id\":\"a\",\"asset\":\"a.mkv\",\"duration\":\"500f\"},"
    "{\"id\":\"b\",\"asset\":\"b.mkv\",\"duration\":\"50f\"}]}";

static void behind_a_long_cut_the_plan_is_decoded_anew(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    const struct laid shown = preview(50, 60);

    (void)state;
    arm(bench, 0, 600, 0);
    assert_int_equal(timeline_cut(&bench->timeline, &shown, 40, NULL), 0);
    assert_int_equal(arm(bench, 20, 600, 0), 1);
    const struct inputs *inputs = list(bench, 20, NULL);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    assert_int_equal(inputs->input[0].until, 40);
    is_pool(inputs, 1, FOLDER "/pool-50", 40, 40);
    assert_int_equal(inputs->input[1].until, 100);
    assert_int_equal(inputs->input[1].reason, REASON_PREVIEW);
    is_pool(inputs, 2, FOLDER "/pool-3", 100, 0);
    is_pool(inputs, 3, FOLDER "/pool-2", 500, 500);
    assert_false(timeline_uses(&bench->timeline, 1, 40));
    bench_free(bench);
}

static void behind_a_short_cut_the_same_decoder_goes_on(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    struct laid shown = preview(50, 30);

    (void)state;
    arm(bench, 0, 250, 0);
    /* Over the seam: the second segment's first frames are hidden. */
    timeline_cut(timeline, &shown, 80, NULL);
    assert_int_equal(arm(bench, 20, 250, 0), 0);
    const struct inputs *inputs = list(bench, 20, NULL);
    assert_int_equal(inputs->count, 4);
    assert_int_equal(inputs->input[0].until, 80);
    is_pool(inputs, 1, FOLDER "/pool-50", 80, 80);
    is_pool(inputs, 2, FOLDER "/pool-2", 110, 100);
    /* Within a segment: it goes on behind. */
    shown.id++;
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 20, 250, 0), 0);
    inputs = list(bench, 20, NULL);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    is_pool(inputs, 1, FOLDER "/pool-50", 40, 40);
    is_pool(inputs, 2, FOLDER "/pool-1", 70, 0);
    assert_int_equal(inputs->input[2].until, 100);
    is_pool(inputs, 3, FOLDER "/pool-2", 100, 100);
    assert_true(timeline_uses(timeline, 1, 60));
    /* A shorter one comes in its place: what it does not hide is still there.
     */
    shown = preview(51, 5);
    timeline_cut(timeline, &shown, 45, NULL);
    assert_int_equal(arm(bench, 44, 250, 0), 0);
    is_pool(list(bench, 44, NULL), 2, FOLDER "/pool-1", 50, 0);
    bench_free(bench);
}

/* What was armed for behind the first is too late behind the second. */
static void a_cut_that_ends_before_the_one_it_replaces(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    struct timeline *timeline = &bench->timeline;
    struct laid shown = preview(50, 100);

    (void)state;
    arm(bench, 0, 600, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 20, 600, 0), 1); /* at 140 */
    shown = preview(51, 30);
    timeline_cut(timeline, &shown, 95, NULL);
    assert_int_equal(arm(bench, 94, 600, 0), 1);
    const struct inputs *inputs = list(bench, 94, NULL);
    is_pool(inputs, 1, FOLDER "/pool-51", 95, 95);
    is_pool(inputs, 2, FOLDER "/pool-4", 125, 0);
    assert_int_equal(inputs->input[2].until, 500);
    bench_free(bench);
}

/* Asked for more frames than there are: the plan goes on where it ends. */
static void a_preview_that_ends_early_is_shorter(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    struct timeline *timeline = &bench->timeline;
    const struct laid shown = preview(50, 100);

    (void)state;
    arm(bench, 0, 600, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 20, 600, 0), 1); /* behind it, at 140 */
    laid_over(timeline, &timeline->cut[0], 50, DECODER_ENDED, 70, "", 0);
    assert_int_equal(arm(bench, 50, 600, 0), 1);
    const struct inputs *inputs = list(bench, 50, NULL);
    is_pool(inputs, 0, FOLDER "/pool-50", 40, 40);
    assert_int_equal(inputs->input[0].until, 110);
    is_pool(inputs, 1, FOLDER "/pool-4", 110, 0);
    assert_false(timeline_uses(timeline, 3, 50));
    bench_free(bench);
}

/*
 * Asked for 81 frames, has 44, and that is found out behind the cut: nothing
 * of the plan may have been let go of until then.
 */
static void what_a_doubtful_preview_hides_is_kept(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    struct laid shown = preview(50, 81);

    (void)state;
    shown.is_sure = false;
    arm(bench, 0, 250, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 40, 250, 0), 0); /* the second reaches on */
    const struct inputs *inputs = list(bench, 40, NULL);
    assert_int_equal(inputs->count, 3);
    is_pool(inputs, 0, FOLDER "/pool-1", 40, 0); /* kept */
    assert_int_equal(inputs->input[0].until, 40);
    is_pool(inputs, 1, FOLDER "/pool-2", 40, 100); /* this one, too */
    assert_int_equal(inputs->input[1].until, 40);
    is_pool(inputs, 2, FOLDER "/pool-50", 40, 40);
    assert_true(timeline_uses(timeline, 1, 41));
    assert_true(timeline_uses(timeline, 2, 41)); /* as asked for */
    laid_over(timeline, &timeline->cut[0], 50, DECODER_ENDED, 44, "", 0);
    assert_int_equal(arm(bench, 41, 250, 0), 0);
    inputs = list(bench, 41, NULL);
    is_pool(inputs, 0, FOLDER "/pool-50", 40, 40);
    assert_int_equal(inputs->input[0].until, 84);
    is_pool(inputs, 1, FOLDER "/pool-1", 84, 0);
    is_pool(inputs, 2, FOLDER "/pool-2", 100, 100);
    bench_free(bench);
}

static void doubt_ends_with_frames_enough(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    struct laid shown = preview(50, 81), open = preview(51, 0);

    (void)state;
    shown.is_sure = false;
    arm(bench, 0, 250, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    laid_learn(timeline, &timeline->cut[0], 49, false);
    assert_int_equal(list(bench, 40, NULL)->count, 3);
    /* it has begun so long ago that nothing could be kept any more */
    is_pool(list(bench, 91, NULL), 1, FOLDER "/pool-2", 121, 100);
    laid_learn(timeline, &timeline->cut[0], 50, false);
    const struct inputs *inputs = list(bench, 40, NULL);
    is_pool(inputs, 0, FOLDER "/pool-50", 40, 40);
    is_pool(inputs, 1, FOLDER "/pool-2", 121, 100);
    /* All of it is there before it is a cut. */
    laid_learn(timeline, &open, 7, true);
    assert_true(open.has_frames && open.is_sure);
    assert_int_equal(open.frames, 7);
    shown.frames = 5;
    laid_learn(timeline, &shown, 7, true);
    assert_int_equal(shown.frames, 5);
    bench_free(bench);
}

/* What is left of a segment lies behind a cut and has no decoder any more: the
 * one behind it is listed all the same. */
static void a_segment_that_is_hidden_to_its_end_hides_no_other(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    struct timeline *timeline = &bench->timeline;
    const struct laid shown = preview(50, 60);

    (void)state;
    arm(bench, 440, 600, 0);
    timeline_cut(timeline, &shown, 450, NULL); /* to 510 */
    assert_int_equal(timeline->laid[0].count, 1);
    timeline_forget_pool(timeline, 1, 455);
    assert_int_equal(timeline->laid[0].count, 0);
    const struct inputs *inputs = list(bench, 455, NULL);
    is_pool(inputs, 0, FOLDER "/pool-50", 450, 450);
    is_pool(inputs, 1, FOLDER "/pool-2", 510, 500);
    assert_true(timeline_uses(timeline, 2, 455));
    bench_free(bench);
}

static void a_decoder_that_was_ended_is_replaced(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;

    (void)state;
    arm(bench, 0, 250, 0);
    timeline_forget_pool(timeline, 2, 20);
    timeline_forget_pool(timeline, 1, 100); /* has been shown to its end */
    assert_int_equal(timeline->laid[0].count, 1);
    assert_int_equal(arm(bench, 20, 250, 0), 1);
    is_pool(list(bench, 20, NULL), 1, FOLDER "/pool-3", 100, 100);
    bench_free(bench);
}

static void the_plan_stands_by_for_a_short_preview(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    struct timeline *timeline = &bench->timeline;
    const struct laid shown = preview(50, 0), brief = preview(51, 5);
    uint32_t pool = 0;

    (void)state;
    arm(bench, 0, 250, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 200, 325, 0), 0);
    assert_false(timeline_returns(timeline, 5, 200, &pool));
    timeline->standby = 5;
    assert_int_equal(arm(bench, 200, 325, 0), 1);
    const uint32_t by = bench->pool;
    assert_false(timeline_returns(timeline, 5, 211, &pool));
    for (int64_t first = 212; first <= 262; first++) {
        assert_true(timeline_returns(timeline, 5, first, &pool));
        assert_int_equal(pool, by);
    }
    assert_false(timeline_returns(timeline, 5, 263, &pool));
    assert_true(timeline_uses(timeline, by, 262));
    assert_false(timeline_uses(timeline, by, 263));
    /* The next one is there before this one is of no use. */
    assert_int_equal(arm(bench, 250, 375, 0), 0);
    assert_int_equal(arm(bench, 251, 376, 0), 1);
    assert_true(timeline_returns(timeline, 5, 260, &pool));
    assert_int_equal(pool, by);
    assert_true(timeline_returns(timeline, 5, 264, &pool));
    assert_int_equal(pool, bench->pool);
    /* Once named it stays so, also when the long one's end is known. */
    const struct inputs *inputs = list(bench, 255, NULL);
    is_pool(inputs, 0, FOLDER "/pool-2", 40, 0);
    timeline->cut[0].has_frames = true;
    timeline->cut[0].frames = 400;
    inputs = list(bench, 255, NULL);
    is_pool(inputs, 0, FOLDER "/pool-2", 40, 0);
    assert_int_equal(inputs->input[0].until, 40);
    timeline_cut(timeline, &brief, 260, NULL);
    timeline->standby = 0;
    inputs = list(bench, 260, NULL);
    is_pool(inputs, 0, FOLDER "/pool-51", 260, 260);
    is_pool(inputs, 1, FOLDER "/pool-2", 265, 0);
    assert_int_equal(arm(bench, 260, 385, 0), 0);
    bench_free(bench);
}

static void one_that_stands_by_leaves_what_is_armed(void **state)
{
    struct bench *bench = bench_new(LONG, 0);
    struct timeline *timeline = &bench->timeline;
    const struct laid shown = preview(50, 260); /* 40 to 300 */
    uint32_t pool = 0;

    (void)state;
    arm(bench, 0, 125, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 200, 325, 0), 1); /* behind it */
    const uint32_t behind = bench->pool;
    timeline->standby = 5;
    assert_int_equal(arm(bench, 200, 325, 0), 1);
    assert_true(timeline_returns(timeline, 5, 240, &pool));
    assert_int_equal(pool, bench->pool);
    const struct inputs *inputs = list(bench, 200, NULL);
    assert_int_equal(inputs->count, 3);
    is_pool(inputs, 1, FOLDER "/pool-50", 40, 40);
    char name[64];
    snprintf(name, sizeof(name), FOLDER "/pool-%u", behind);
    is_pool(inputs, 2, name, 300, 0);
    bench_free(bench);
}

static void a_cut_of_unknown_length_hides_until_it_ends(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;
    const struct laid shown = preview(50, 0);

    (void)state;
    arm(bench, 0, 250, 0);
    timeline_cut(timeline, &shown, 40, NULL);
    assert_int_equal(arm(bench, 20, 250, 0), 0);
    /* It may be short: for a while the plan's pools are kept. */
    const struct inputs *inputs = list(bench, 20, NULL);
    assert_int_equal(inputs->count, 4);
    is_pool(inputs, 1, FOLDER "/pool-1", 40, 0);
    assert_int_equal(inputs->input[1].until, 40);
    is_pool(inputs, 2, FOLDER "/pool-2", 40, 100);
    assert_int_equal(inputs->input[2].until, 40);
    is_pool(inputs, 3, FOLDER "/pool-50", 40, 40);
    assert_true(timeline_uses(timeline, 1, 80));
    /* So is what begins a little later, but nothing may come behind the cut. */
    timeline->cut[0].first = 60;
    inputs = list(bench, 50, NULL);
    assert_int_equal(inputs->count, 4);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    is_pool(inputs, 1, FOLDER "/pool-1", 60, 0);
    is_pool(inputs, 2, FOLDER "/pool-2", 60, 100);
    is_pool(inputs, 3, FOLDER "/pool-50", 60, 60);
    timeline->cut[0].first = 40;
    assert_false(timeline_uses(timeline, 1, 95));
    inputs = list(bench, 95, NULL);
    assert_int_equal(inputs->count, 1);
    is_pool(inputs, 0, FOLDER "/pool-50", 40, 40);
    laid_over(timeline, &timeline->cut[0], 50, DECODER_ENDED, 80, "", 0);
    assert_int_equal(arm(bench, 90, 250, 0), 0);
    inputs = list(bench, 90, NULL);
    is_pool(inputs, 1, FOLDER "/pool-2", 120, 100);
    bench_free(bench);
}

/* Each is cut off by the next before its decoder could tell its length. */
static void cuts_of_unknown_length_that_are_past_are_dropped(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    struct timeline *timeline = &bench->timeline;

    (void)state;
    for (int i = 0; i < 3 * TIMELINE_CUTS; i++) {
        const struct laid shown = preview(50 + (uint32_t)i, 0);
        arm(bench, 10 * i, 10 * i + 100, 0);
        assert_int_equal(timeline_cut(timeline, &shown, 10 * i, NULL), 0);
    }
    assert_true(timeline->cuts <= 2);
    bench_free(bench);
}

static void now_comes_last_and_without_a_number(void **state)
{
    struct bench *bench = bench_new(TWO, 0);
    const struct laid shown = preview(50, 0);

    (void)state;
    arm(bench, 0, 250, 0);
    const struct inputs *inputs = list(bench, 20, &shown);
    assert_int_equal(inputs->count, 3);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    is_pool(inputs, 1, FOLDER "/pool-2", 100, 100); /* kept, not shown */
    assert_string_equal(inputs->input[2].pool, FOLDER "/pool-50");
    assert_int_equal(inputs->input[2].at_kind, INPUT_NOW);
    bench_free(bench);
}

static void a_new_plan_with_the_same_segment_keeps_its_place(void **state)
{
    static const char other[] =
        "{\"version\":1,\"segments\":["
        "{\"id\":\"x\",\"asset\":\"x.mkv\",\"duration\":\"10f\"},"
        "{\"id\":\"a\",\"asset\":\"a.mkv\",\"duration\":\"100f\"},"
        "{\"id\":\"c\",\"asset\":\"c.mkv\",\"duration\":\"20f\"}]}";
    struct bench *old = bench_new(TWO, 0);
    struct bench *bench = bench_new(other, 0);

    (void)state;
    arm(old, 0, 250, 0);
    bench->pool = 10;
    assert_true(timeline_keep_place(&bench->timeline, &old->timeline, 30));
    assert_int_equal(arm(bench, 30, 250, 0), 1);
    const struct inputs *inputs = list(bench, 30, NULL);
    is_pool(inputs, 0, FOLDER "/pool-1", 0, 0);
    is_pool(inputs, 1, FOLDER "/pool-11", 100, 100);
    is_slate_at(inputs, 2, 120, REASON_SLATE_END_OF_PLAN, 2);
    bench_free(bench);
    bench_free(old);
}

static void a_new_plan_without_it_does_not(void **state)
{
    static const char other[] =
        "{\"version\":1,\"loop\":true,\"segments\":["
        "{\"id\":\"a\",\"asset\":\"a.mkv\",\"duration\":\"99f\"}]}";
    struct bench *old = bench_new(TWO, 0);
    struct bench *bench = bench_new(other, 0);

    (void)state;
    arm(old, 0, 250, 0);
    assert_false(timeline_keep_place(&bench->timeline, &old->timeline, 30));
    bench_free(bench);
    bench_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_lengths_are_laid_by_number),
        cmocka_unit_test(what_is_past_is_left_out),
        cmocka_unit_test(a_plan_is_joined_in_progress),
        cmocka_unit_test(an_unknown_length_has_its_successor_behind),
        cmocka_unit_test(a_crashed_decoder_is_replaced_at_the_exact_frame),
        cmocka_unit_test(a_second_crash_without_a_frame_backs_off),
        cmocka_unit_test(a_missing_asset_is_slate_for_its_time),
        cmocka_unit_test(a_missing_asset_without_duration_takes_a_second),
        cmocka_unit_test(behind_a_long_cut_the_plan_is_decoded_anew),
        cmocka_unit_test(behind_a_short_cut_the_same_decoder_goes_on),
        cmocka_unit_test(a_cut_that_ends_before_the_one_it_replaces),
        cmocka_unit_test(a_preview_that_ends_early_is_shorter),
        cmocka_unit_test(what_a_doubtful_preview_hides_is_kept),
        cmocka_unit_test(doubt_ends_with_frames_enough),
        cmocka_unit_test(a_segment_that_is_hidden_to_its_end_hides_no_other),
        cmocka_unit_test(a_decoder_that_was_ended_is_replaced),
        cmocka_unit_test(a_cut_of_unknown_length_hides_until_it_ends),
        cmocka_unit_test(the_plan_stands_by_for_a_short_preview),
        cmocka_unit_test(one_that_stands_by_leaves_what_is_armed),
        cmocka_unit_test(cuts_of_unknown_length_that_are_past_are_dropped),
        cmocka_unit_test(now_comes_last_and_without_a_number),
        cmocka_unit_test(a_new_plan_with_the_same_segment_keeps_its_place),
        cmocka_unit_test(a_new_plan_without_it_does_not),
    };

    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
