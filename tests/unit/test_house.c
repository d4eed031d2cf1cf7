/* house: exact cadences, cuts that lose no sample, words in and out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frame/house.h"

static const AVRational RATES[] = { { 24000, 1001 }, { 25, 1 }, { 30000, 1001 },
                                    { 30, 1 },       { 50, 1 }, { 60000, 1001 },
                                    { 60, 1 },       { 24, 1 } };

#define RATE_COUNT (sizeof(RATES) / sizeof(RATES[0]))

static struct house house_at(size_t i)
{
    struct house house = HOUSE_DEFAULT;

    house.rate = RATES[i];
    return house;
}

static void ntsc_frames_have_1601_or_1602_samples(void **state)
{
    const struct house house = HOUSE_DEFAULT;
    int64_t sum = 0;

    (void)state;
    for (int64_t n = 0; n < 5; n++) {
        const int64_t count = house_samples_before(&house, n + 1) -
                              house_samples_before(&house, n);
        assert_in_range(count, 1601, 1602);
        sum += count;
    }
    assert_int_equal(sum, 8008);
    /* A year on: no drift. */
    assert_int_equal(house_samples_before(&house, 30000 * INT64_C(31536)),
                     48000 * INT64_C(1001) * 31536);
}

/* What a pool carries covers what any place on the timeline asks for. */
static void a_pool_frame_covers_every_origin(void **state)
{
    (void)state;
    for (size_t r = 0; r < RATE_COUNT; r++) {
        const struct house house = house_at(r);

        for (int64_t origin = -7; origin < 1200; origin += 13) {
            for (int64_t i = 0; i < 40; i++) {
                const int32_t skip = house_audio_skip(&house, origin, i);
                const int64_t need =
                    house_samples_before(&house, origin + i + 1) -
                    house_samples_before(&house, origin + i);
                assert_in_range(skip, 0, 1);
                assert_true(skip + need <= house_pool_samples(&house, i));
                assert_true(house_pool_samples(&house, i) <=
                            house_max_samples(&house));
            }
        }
    }
}

static void words_come_back(void **state)
{
    struct err err = ERR_EMPTY;
    struct house house;
    struct house again;
    char text[HOUSE_TEXT_SIZE];

    (void)state;
    assert_int_equal(house_parse(&house, "1920x1080@60000/1001:44100:6", &err),
                     0);
    house_format(&house, text);
    assert_string_equal(text, "1920x1080@60000/1001:44100:6");
    json_t *object = house_to_json(&house);
    assert_int_equal(house_from_json(&again, object, &err), 0);
    assert_true(house_equal(&house, &again));
    json_decref(object);
    assert_int_equal(house_parse(&house, "640x360@50/2", &err), 0);
    assert_int_equal(house.rate.num, 25);
    assert_int_equal(house.channels, 2);
}

static void bad_words_are_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "1280",
        "1280x720",
        "1280x720@",
        "0x720@25",
        "1281x720@25",
        "99999x720@25",
        "1280x720@0",
        "1280x720@1/0",
        "1280x720@25x",
        "1280x720@25:48000",
        "-4x4@25",
        "1280x720@25:48000:3",
        "1280x720@99999999999",
        "1280x720@1/2",
    };
    struct house house;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct err err = ERR_EMPTY;
        assert_int_equal(house_parse(&house, BAD[i], &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_true(err.text[0] != '\0');
    }
}

static void missing_members_are_named(void **state)
{
    struct err err = ERR_EMPTY;
    struct house house;
    json_t *object = json_pack("{s:{s:i,s:s},s:{s:i,s:i}}", "video", "width",
                               640, "frame_rate", "25", "audio", "sample_rate",
                               48000, "channels", 2);

    (void)state;
    assert_int_equal(house_from_json(&house, object, &err), -1);
    assert_non_null(strstr(err.text, "video.height"));
    json_decref(object);
}

static void frames_and_microseconds_agree(void **state)
{
    (void)state;
    for (size_t r = 0; r < RATE_COUNT; r++) {
        const struct house house = house_at(r);

        for (int64_t n = 0; n < 3000; n += 7)
            assert_int_equal(house_frame_at_us(&house, house_us(&house, n)), n);
    }
    const struct house ntsc = HOUSE_DEFAULT;
    assert_int_equal(house_pts(&ntsc, 0, 10) - house_pts(&ntsc, 0, 9), 3003);
    assert_int_equal(house_pts(&ntsc, 90000, 0), 90000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ntsc_frames_have_1601_or_1602_samples),
        cmocka_unit_test(a_pool_frame_covers_every_origin),
        cmocka_unit_test(words_come_back),
        cmocka_unit_test(bad_words_are_refused),
        cmocka_unit_test(missing_members_are_named),
        cmocka_unit_test(frames_and_microseconds_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
