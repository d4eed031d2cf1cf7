/* The clock: what readers see of a keeper that steps, slews, stops or dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock/clock.h"

#define S INT64_C(1000000)
/* How far two readings of one clock, and two lines of a test, may lie apart on
 * a machine that is busy with something else, or under valgrind. */
#define NEAR (S / 5)
#define BUSY (60 * S)

static int setup(void **state)
{
    static char dir[64];

    strcpy(dir, "/tmp/rvclock.XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL;
}

static int teardown(void **state)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/clock", (char *)*state);
    unlink(path);
    return rmdir(*state);
}

static void text_of_time(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-11-23T14:00:00Z", 1795442400 * S },
        { "2026-11-23T14:00:00.5Z", 1795442400 * S + 500000 },
        { "2026-11-23T14:00:00.123456789Z", 1795442400 * S + 123456 },
        { "2026-11-23T15:30:00+01:30", 1795442400 * S },
        { "2026-11-23T12:00:00-02:00", 1795442400 * S },
        { "2024-02-29T00:00:00Z", 1709164800 * S },
    };
    static const char *const bad[] = {
        "",
        "now",
        "2026-11-23",
        "2026-11-23T14:00:00",
        "2026-11-23 14:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T14:00:60Z",
        "2026-11-23T14:00:00.Z",
        "2026-11-23T14:00:00Zx",
        "2026-11-23T14:00:00+1:00",
        "2026-11-23T14:00:00+24:00",
        "-026-11-23T14:00:00Z",
        "2026-11-23T14:00:00.1234567890Z",
        "2026-04-31T00:00:00Z",
    };
    struct err err;
    char text[32];
    int64_t us;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(clock_parse_utc(good[i].text, &us, &err), 0);
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = ERR_EMPTY;
        assert_int_equal(clock_parse_utc(bad[i], &us, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.text, "2026-11-23T14:00:00Z"));
    }
    clock_format_utc(1795442400 * S + 123999, text);
    assert_string_equal(text, "2026-11-23T14:00:00.123Z");
    clock_format_utc(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format_utc(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void without_a_page(void **state)
{
    struct clock clock;
    struct clock_state is;
    struct err err;

    assert_int_equal(clock_open(&clock, *state, &err), 0);
    assert_null(clock.page);
    clock_state(&clock, &is);
    assert_false(is.has_page);
    assert_true(is.offset_us > -NEAR && is.offset_us < NEAR);
    const int64_t now = clock_utc_us(&clock);
    assert_int_equal(clock_us_until(&clock, now), 0);
    const int64_t wait = clock_us_until(&clock, now + 100 * S);
    assert_true(wait > 100 * S - BUSY && wait <= 100 * S);
    clock_sleep_until(&clock, now + 20000, S);
    assert_true(clock_utc_us(&clock) >= now + 20000);
    clock_sleep_until(&clock, now + 100 * S, 10000);
    assert_true(clock_utc_us(&clock) < now + 50 * S);
    clock_close(&clock);
    clock_close(&clock);
}

static void virtual_time(void **state)
{
    struct clock keeper, reader;
    struct clock_state is;
    struct err err;

    assert_int_equal(
        clock_keep(&keeper, *state, CLOCK_SOURCE_VIRTUAL, 5000 * S, &err), 0);
    clock_set_rate(&keeper, 0);
    assert_int_equal(clock_open(&reader, *state, &err), 0);
    assert_non_null(reader.page);
    const int64_t then = clock_utc_us(&reader);
    assert_true(then >= 5000 * S && then < 5000 * S + BUSY);
    assert_int_equal(clock_us_until(&reader, then), 0);
    assert_true(clock_us_until(&reader, then + 1) == INT64_MAX);
    clock_step(&keeper, 3600 * S);
    assert_int_equal(clock_utc_us(&reader), then + 3600 * S);
    clock_step(&keeper, -1);
    assert_int_equal(clock_utc_us(&reader), then + 3600 * S - 1);
    assert_int_equal(clock_in_us(&keeper, 5 * S), 5 * S); /* stands still */
    clock_set_rate(&keeper, 1000 * S); /* a thousand times as fast */
    assert_int_equal(clock_in_us(&keeper, 5 * S), 5000 * S);
    const int64_t wait = clock_us_until(&reader, then + 723600 * S);
    assert_true(wait > 720 * S - BUSY && wait < 721 * S);
    clock_state(&reader, &is);
    assert_int_equal(is.rate_millionths, 1000 * S);
    assert_int_equal(is.source, CLOCK_SOURCE_VIRTUAL);
    assert_true(is.has_keeper);
    assert_int_equal(is.jumps, 1); /* the hour */
    assert_int_equal(clock_tick(&keeper), 0);
    clock_close(&reader);
    clock_close(&keeper);
}

struct author {
    const char *dir;
    enum clock_order order;
    int64_t value;
    int rc;
};

static void *give_order(void *argument)
{
    struct author *author = argument;
    struct err err;

    author->rc = clock_order(author->dir, author->order, author->value, &err);
    return NULL;
}

/* An order from outside; gives what the keeper's tick gave. */
static int64_t order(struct clock *keeper, const char *dir,
                     enum clock_order kind, int64_t value)
{
    struct author author = { .dir = dir, .order = kind, .value = value };
    pthread_t thread;
    int64_t jump = 0;

    pthread_create(&thread, NULL, give_order, &author);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        jump += clock_tick(keeper);
    assert_int_equal(author.rc, 0);
    return jump;
}

static void orders_reach_the_keeper(void **state)
{
    struct clock keeper;
    struct clock_state is;
    struct err err = ERR_EMPTY;

    assert_int_equal(clock_order(*state, CLOCK_ORDER_RESUME, 0, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    assert_int_equal(
        clock_keep(&keeper, *state, CLOCK_SOURCE_VIRTUAL, 5000 * S, &err), 0);
    assert_int_equal(order(&keeper, *state, CLOCK_ORDER_RATE, 20 * S), 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.rate_millionths, 20 * S);
    order(&keeper, *state, CLOCK_ORDER_RATE, 0);
    const int64_t then = clock_utc_us(&keeper);
    assert_int_equal(order(&keeper, *state, CLOCK_ORDER_STEP, 3 * S), 0);
    assert_int_equal(clock_utc_us(&keeper), then + 3 * S);
    assert_int_equal(clock_jumps(&keeper), 0);
    assert_int_equal(order(&keeper, *state, CLOCK_ORDER_STEP, -60 * S),
                     -60 * S);
    assert_int_equal(clock_utc_us(&keeper), then - 57 * S);
    assert_int_equal(clock_jumps(&keeper), 1);
    /* what cannot be is not done, and keeps nobody waiting */
    order(&keeper, *state, CLOCK_ORDER_STEP, INT64_MIN);
    order(&keeper, *state, CLOCK_ORDER_RATE, -1);
    order(&keeper, *state, (enum clock_order)99, 1);
    assert_int_equal(clock_utc_us(&keeper), then - 57 * S);
    order(&keeper, *state, CLOCK_ORDER_RESUME, 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.rate_millionths, 20 * S);
    clock_close(&keeper);
    /* a director that finds it keeps it as it is */
    assert_int_equal(
        clock_keep(&keeper, *state, CLOCK_SOURCE_AS_IT_IS, 0, &err), 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.source, CLOCK_SOURCE_VIRTUAL);
    clock_close(&keeper);
    assert_int_equal(clock_keep(&keeper, *state, CLOCK_SOURCE_REAL, 0, &err),
                     0);
    assert_int_equal(clock_order(*state, CLOCK_ORDER_STEP, 1, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    clock_close(&keeper);
}

static void *step_soon(void *clock)
{
    usleep(20000);
    clock_step(clock, 10 * S);
    return NULL;
}

static void a_step_wakes_a_sleeper(void **state)
{
    struct clock keeper, reader;
    pthread_t thread;
    struct err err;

    assert_int_equal(clock_keep(&keeper, *state, CLOCK_SOURCE_VIRTUAL, 0, &err),
                     0);
    clock_set_rate(&keeper, 0);
    assert_int_equal(clock_open(&reader, *state, &err), 0);
    pthread_create(&thread, NULL, step_soon, &keeper);
    const int64_t begin = clock_monotonic_us();
    clock_sleep_until(&reader, 5 * S, 1000 * S);
    assert_true(clock_utc_us(&reader) >= 5 * S);
    assert_true(clock_monotonic_us() - begin < BUSY);
    pthread_join(thread, NULL);
    clock_close(&reader);
    clock_close(&keeper);
}

static void one_keeper_and_its_successor(void **state)
{
    struct clock first, second;
    struct clock_state is;
    struct err err;

    assert_int_equal(
        clock_keep(&first, *state, CLOCK_SOURCE_VIRTUAL, 7 * S, &err), 0);
    assert_int_equal(clock_keep(&second, *state, CLOCK_SOURCE_VIRTUAL, 0, &err),
                     -1);
    assert_int_equal(err.kind, ERR_STATE);
    assert_null(second.page);
    clock_step(&first, 100 * S);
    clock_close(&first); /* dies */
    assert_int_equal(clock_open(&first, *state, &err), 0);
    clock_state(&first, &is);
    assert_false(is.has_keeper);
    assert_true(is.utc_us >= 107 * S);
    assert_int_equal(clock_keep(&second, *state, CLOCK_SOURCE_VIRTUAL, 0, &err),
                     0);
    assert_true(clock_utc_us(&second) >= is.utc_us);
    clock_step(&second, 100 * S); /* the reader's mapping is the same page */
    assert_true(clock_utc_us(&first) >= 207 * S);
    clock_close(&second);
    /* another source: a new page */
    assert_int_equal(clock_keep(&second, *state, CLOCK_SOURCE_REAL, 0, &err),
                     0);
    clock_state(&second, &is);
    assert_int_equal(is.source, CLOCK_SOURCE_REAL);
    clock_close(&second);
    clock_close(&first);
}

/* Writes utc of the copy that counts; offsets as asserted in clock.c. */
static void shift_page(const char *dir, int64_t by_us)
{
    char path[128];
    uint32_t index;
    int64_t utc;

    snprintf(path, sizeof(path), "%s/clock", dir);
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &index, 4, 64), 4);
    const off_t at = 128 + 32 * (index & 1);
    assert_int_equal(pread(fd, &utc, 8, at), 8);
    utc += by_us;
    assert_int_equal(pwrite(fd, &utc, 8, at), 8);
    close(fd);
}

static void steps_are_slewed_and_jumps_told(void **state)
{
    struct clock keeper;
    struct clock_state is;
    struct err err;

    assert_int_equal(clock_keep(&keeper, *state, CLOCK_SOURCE_REAL, 0, &err),
                     0);
    assert_int_equal(clock_tick(&keeper), 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.rate_millionths, S);
    /* as if the system's clock had been set back by 4 s */
    shift_page(*state, 4 * S);
    assert_int_equal(clock_tick(&keeper), 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.rate_millionths, S - CLOCK_SLEW_PPM);
    assert_true(is.offset_us > 4 * S - NEAR && is.offset_us < 4 * S + NEAR);
    assert_true(is.left_to_slew_us < -4 * S + NEAR);
    /* it takes 2000 s and then it is over, keeper or not */
    const int64_t wait = clock_us_until(&keeper, is.utc_us + 10000 * S);
    assert_true(wait > 10004 * S - BUSY && wait < 10004 * S + NEAR);
    shift_page(*state, -8 * S);
    assert_int_equal(clock_tick(&keeper), 0);
    clock_state(&keeper, &is);
    assert_int_equal(is.rate_millionths, S + CLOCK_SLEW_PPM);
    assert_true(is.left_to_slew_us > 4 * S - NEAR);
    /* more than 5 s: a jump, at once */
    shift_page(*state, -60 * S);
    const int64_t jump = clock_tick(&keeper);
    assert_true(jump > 64 * S - NEAR && jump < 64 * S + NEAR);
    clock_state(&keeper, &is);
    assert_int_equal(is.jumps, 1);
    assert_int_equal(is.left_to_slew_us, 0);
    assert_true(is.offset_us > -NEAR && is.offset_us < NEAR);
    clock_close(&keeper);
}

static void a_wrong_page_is_a_sentence(void **state)
{
    struct clock clock;
    struct err err;
    char path[128];

    snprintf(path, sizeof(path), "%s/clock", (char *)*state);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(clock_open(&clock, *state, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(ftruncate(fd, 4096), 0);
    err = ERR_EMPTY;
    assert_int_equal(clock_open(&clock, *state, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.text, path));
    /* a keeper makes a good one */
    assert_int_equal(clock_keep(&clock, *state, CLOCK_SOURCE_REAL, 0, &err), 0);
    clock_close(&clock);
    assert_int_equal(clock_open(&clock, *state, &err), 0);
    assert_non_null(clock.page);
    clock_close(&clock);
    close(fd);
}

static _Atomic int stop;

static void *keep_stepping(void *clock)
{
    while (!atomic_load(&stop))
        clock_step(clock, 1);
    return NULL;
}

/* The clock never goes back under a keeper that writes without a pause. */
static void readers_never_see_half_of_it(void **state)
{
    struct clock keeper, reader;
    pthread_t thread;
    struct err err;

    assert_int_equal(
        clock_keep(&keeper, *state, CLOCK_SOURCE_VIRTUAL, 1000 * S, &err), 0);
    clock_set_rate(&keeper, 0);
    assert_int_equal(clock_open(&reader, *state, &err), 0);
    pthread_create(&thread, NULL, keep_stepping, &keeper);
    int64_t before = clock_utc_us(&reader);
    for (int i = 0; i < 300000; i++) {
        const int64_t now = clock_utc_us(&reader);
        assert_true(now >= before && now < 2000 * S);
        before = now;
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    clock_close(&reader);
    clock_close(&keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_time),
        cmocka_unit_test_setup_teardown(without_a_page, setup, teardown),
        cmocka_unit_test_setup_teardown(virtual_time, setup, teardown),
        cmocka_unit_test_setup_teardown(orders_reach_the_keeper, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_step_wakes_a_sleeper, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_keeper_and_its_successor, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(steps_are_slewed_and_jumps_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wrong_page_is_a_sentence, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(readers_never_see_half_of_it, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
