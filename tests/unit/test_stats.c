/* The stats page: counters outlive who counts, texts are whole, alive is a
 * lock and not a pid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock/clock.h"
#include "stats/stats.h"

static int setup(void **state)
{
    static char dir[64];

    strcpy(dir, "/tmp/rvstats.XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL;
}

static int teardown(void **state)
{
    static const char *const names[] = { "stats", "render.proc" };
    char path[128];

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[i]);
        unlink(path);
    }
    return rmdir(*state);
}

static void counters_survive(void **state)
{
    struct stats stats, other;
    struct err err;
    uint64_t counts[STATS_BUCKETS], sum;

    assert_int_equal(stats_open(&stats, *state, false, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    stats_add(&stats, STATS_UNDERRUNS, 1); /* goes nowhere, harms nobody */
    assert_int_equal(stats_get(&stats, STATS_UNDERRUNS), 0);
    assert_int_equal(stats_open(&stats, *state, true, &err), 0);
    stats_add(&stats, STATS_UNDERRUNS, 3);
    stats_set(&stats, STATS_FRAME_GAP_US, -5);
    stats_latency(&stats, -1);
    stats_latency(&stats, 2500);
    stats_latency(&stats, 2501);
    stats_latency(&stats, 999999999);
    stats_close(&stats);
    stats_close(&stats);
    assert_int_equal(stats_open(&other, *state, true, &err), 0);
    assert_int_equal(stats_get(&other, STATS_UNDERRUNS), 3);
    assert_int_equal(stats_get_gauge(&other, STATS_FRAME_GAP_US), -5);
    stats_latencies(&other, counts, &sum);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[STATS_BUCKETS - 1], 1);
    assert_int_equal(sum, 2500 + 2501 + 999999999);
    stats_close(&other);
}

static void long_texts_end_with_a_character(void **state)
{
    struct stats stats;
    struct err err;
    char text[STATS_TEXT_SIZE], longer[2000];

    assert_int_equal(stats_open(&stats, *state, true, &err), 0);
    stats_get_text(&stats, STATS_TEXT_ASSET, text);
    assert_string_equal(text, "");
    memset(longer, 'a', 1022);
    strcpy(longer + 1022, "\xc3\xa9\xc3\xa9");
    stats_set_text(&stats, STATS_TEXT_ASSET, longer);
    stats_get_text(&stats, STATS_TEXT_ASSET, text);
    assert_int_equal(strlen(text), 1022);
    stats_set_text(&stats, STATS_TEXT_ASSET, "x");
    stats_get_text(&stats, STATS_TEXT_ASSET, text);
    assert_string_equal(text, "x");
    stats_get_text(&stats, STATS_TEXT_SEGMENT, text);
    assert_string_equal(text, "");
    stats_close(&stats);
}

static _Atomic int stop;

static void *write_texts(void *stats)
{
    char text[STATS_TEXT_SIZE] = { 0 };

    for (int i = 0; !atomic_load(&stop); i++) {
        memset(text, 'a' + i % 26, STATS_TEXT_SIZE - 1);
        stats_set_text(stats, STATS_TEXT_SEGMENT, text);
    }
    return NULL;
}

static void nobody_sees_half_a_text(void **state)
{
    struct stats stats;
    struct err err;
    pthread_t thread;
    char text[STATS_TEXT_SIZE];

    assert_int_equal(stats_open(&stats, *state, true, &err), 0);
    pthread_create(&thread, NULL, write_texts, &stats);
    for (int i = 0; i < 20000; i++) {
        stats_get_text(&stats, STATS_TEXT_SEGMENT, text);
        for (size_t c = 1; text[0] != '\0' && c < STATS_TEXT_SIZE - 1; c++)
            assert_int_equal(text[c], text[0]);
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    stats_close(&stats);
}

static void alive_is_a_lock(void **state)
{
    struct stats_proc proc;
    struct stats_proc_state is;
    struct err err;
    int pipes[2];
    char byte;

    stats_proc_look(*state, "render", &is);
    assert_false(is.is_alive);
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (stats_proc_enter(&proc, *state, "render", &err) < 0)
            _exit(1);
        stats_proc_beat(&proc, true);
        if (write(pipes[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    stats_proc_look(*state, "render", &is);
    assert_true(is.is_alive);
    assert_true(is.is_due);
    assert_int_equal(is.pid, child);
    assert_true(clock_monotonic_us() - is.heartbeat_us < 5000000);
    assert_int_equal(stats_proc_enter(&proc, *state, "render", &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    assert_non_null(strstr(err.text, "rv-render runs here already"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    stats_proc_look(*state, "render", &is);
    assert_false(is.is_alive);
    assert_int_equal(stats_proc_enter(&proc, *state, "render", &err), 0);
    stats_proc_look(*state, "render", &is);
    assert_true(is.is_alive);
    assert_int_equal(is.pid, getpid());
    stats_proc_leave(&proc);
    stats_proc_leave(&proc);
    stats_proc_look(*state, "render", &is);
    assert_false(is.is_alive);
    close(pipes[0]);
    close(pipes[1]);
}

static void a_wrong_page_is_a_sentence(void **state)
{
    struct stats stats;
    struct err err;
    char path[128];

    snprintf(path, sizeof(path), "%s/stats", (char *)*state);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(stats_open(&stats, *state, false, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(ftruncate(fd, 65536), 0);
    err = ERR_EMPTY;
    assert_int_equal(stats_open(&stats, *state, false, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(stats_open(&stats, *state, true, &err), 0);
    stats_close(&stats);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(long_texts_end_with_a_character, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_sees_half_a_text, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(alive_is_a_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_page_is_a_sentence, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
