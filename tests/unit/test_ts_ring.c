/* The TS ring: what is published is whole, what is gone is said to be gone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame/ts_ring.h"
#include "frame/ts_ring_impl.h"

#define SIZE (TS_RING_SIZE_MIN)

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rv-ts-ring-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/ts", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Stretch n: `packets` packets whose 8-byte words all say n. */
static void fill(uint64_t *words, uint64_t n, uint64_t packets)
{
    for (uint64_t i = 0; i < (packets * 188 + 7) / 8; i++)
        words[i] = n;
}

static int publish(struct ts_ring *ring, int64_t n, uint64_t packets,
                   bool is_key, struct err *err)
{
    static uint64_t words[SIZE / 8];
    struct ts_stretch s = { .n_first = n,
                            .n_end = n + 1,
                            .is_key = is_key,
                            .due_us = n * 1000,
                            .vbv_bits = 77 };

    fill(words, (uint64_t)n, packets);
    return ts_ring_publish(ring, (uint8_t *)words, packets * 188, &s, err);
}

/* True when all bytes of the stretch say n_first; false when overtaken. */
static bool holds(const struct ts_ring *ring, const struct ts_stretch *s)
{
    bool is_right = true;
    for (uint64_t at = s->start; at < s->end && is_right; at += 4) {
        uint64_t run;
        uint32_t half;
        const uint8_t *from = ts_ring_bytes(ring, at, s->end, &run);
        assert_true(run >= 4);
        memcpy(&half, from, 4);
        is_right = half == (uint32_t)s->n_first || half == 0;
    }
    return is_right;
}

static void goes_round_and_forgets(void **state)
{
    struct ts_ring w, r;
    struct ts_stretch s;
    struct err err = ERR_EMPTY;
    uint64_t i;
    (void)state;

    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    assert_int_equal(ts_ring_open(&r, path, false, &err), 0);
    assert_int_equal(ts_ring_count(&r), 0);
    assert_int_equal(ts_ring_entry(&r, 0, &s), TS_RING_NONE);
    assert_int_equal(ts_ring_newest_key(&r, 1 << 30, &i), TS_RING_NONE);
    assert_true(house_equal(&r.house, &HOUSE_DEFAULT));
    for (int64_t n = 0; n < 40; n++) {
        assert_int_equal(publish(&w, n, 100, n % 5 == 0, &err), 0);
        assert_int_equal(ts_ring_entry(&r, (uint64_t)n, &s), TS_RING_OK);
        assert_int_equal(s.start, n * 18800);
        assert_int_equal(s.end, n * 18800 + 18800);
        assert_int_equal(s.vbv_bits, 77);
        assert_true(ts_ring_is_intact(&r, s.start));
        assert_true(holds(&r, &s));
    }
    /* 1024 packets: ten stretches of 100 and a bit are kept. */
    assert_int_equal(ts_ring_entry(&r, 29, &s), TS_RING_OK);
    assert_false(ts_ring_is_intact(&r, s.start));
    assert_int_equal(ts_ring_entry(&r, 30, &s), TS_RING_OK);
    assert_true(ts_ring_is_intact(&r, s.start));
    assert_true(holds(&r, &s));
    assert_int_equal(ts_ring_newest_key(&r, 39000, &i), TS_RING_OK);
    assert_int_equal(i, 35);
    assert_int_equal(ts_ring_newest_key(&r, 34999, &i), TS_RING_OK);
    assert_int_equal(i, 30);
    assert_int_equal(ts_ring_newest_key(&r, 29999, &i), TS_RING_GONE);
    assert_false(ts_ring_is_closed(&r));
    ts_ring_close_stream(&w);
    assert_true(ts_ring_is_closed(&r));
    ts_ring_close(&r);
    ts_ring_close(&w);
    ts_ring_close(&w);
}

static void entries_go_round_too(void **state)
{
    struct ts_ring w;
    struct ts_stretch s;
    struct err err = ERR_EMPTY;
    (void)state;

    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    for (int64_t n = 0; n < TS_RING_ENTRIES + 10; n++)
        assert_int_equal(publish(&w, n, 1, false, &err), 0);
    assert_int_equal(ts_ring_entry(&w, 10, &s), TS_RING_GONE);
    assert_int_equal(ts_ring_entry(&w, 11, &s), TS_RING_OK);
    assert_int_equal(s.n_first, 11);
    ts_ring_close(&w);
}

static void a_new_writer_goes_on(void **state)
{
    struct ts_ring w, other;
    struct ts_stretch s;
    struct err err = ERR_EMPTY;
    (void)state;

    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    assert_int_equal(publish(&w, 0, 10, true, &err), 0);
    assert_true(!ts_ring_has_writer(&w)); /* nobody else */
    assert_int_equal(ts_ring_open(&other, path, false, &err), 0);
    assert_true(ts_ring_has_writer(&other));
    ts_ring_close(&other);
    assert_int_equal(ts_ring_own(&other, path, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    /* Died after the bytes, before the entry. */
    atomic_store(&w.head->reserved, 5000 * 188);
    ts_ring_close(&w);
    assert_int_equal(ts_ring_own(&w, path, &err), 0);
    assert_int_equal(publish(&w, 1, 10, true, &err), 0);
    assert_int_equal(ts_ring_entry(&w, 1, &s), TS_RING_OK);
    assert_int_equal(s.start, 1880);
    assert_int_equal(atomic_load(&w.head->reserved), 5000 * 188);
    ts_ring_close(&w);
}

static void refuses_what_is_wrong(void **state)
{
    struct ts_ring w, r;
    struct err err = ERR_EMPTY;
    struct house bad = HOUSE_DEFAULT;
    (void)state;

    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, 1000, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    bad.width = 3;
    assert_int_equal(ts_ring_create(&w, path, &bad, SIZE, &err), -1);
    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    assert_int_equal(publish(&w, 0, 600, true, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    w.head->layout_version++;
    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
    assert_non_null(strstr(err.text, "layout"));
    w.head->layout_version--;
    w.head->data_size *= 2;
    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
    w.head->data_size /= 2;
    w.head->house.channels = 77;
    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
    w.head->house = HOUSE_DEFAULT;
    atomic_store(&w.head->magic, 1);
    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    ts_ring_close(&w);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(ts_ring_open(&r, path, false, &err), -1);
}

static void a_wrong_entry_is_gone(void **state)
{
    struct ts_ring w;
    struct ts_stretch s;
    struct err err = ERR_EMPTY;
    (void)state;

    assert_int_equal(ts_ring_create(&w, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    assert_int_equal(publish(&w, 0, 10, true, &err), 0);
    atomic_store(&w.head->entry[0].end, UINT64_MAX / 188 * 188);
    assert_int_equal(ts_ring_entry(&w, 0, &s), TS_RING_GONE);
    assert_int_equal(publish(&w, 1, 10, true, &err), -1);
    ts_ring_close(&w);
}

/* A reader that follows gets each stretch whole or is told that it is gone. */
static void a_killed_writer_leaves_it_whole(void **state)
{
    struct ts_ring r;
    struct ts_stretch s;
    struct err err = ERR_EMPTY;
    uint64_t at = 0, whole = 0, gone = 0;
    (void)state;

    assert_int_equal(ts_ring_create(&r, path, &HOUSE_DEFAULT, SIZE, &err), 0);
    ts_ring_close(&r);
    assert_int_equal(ts_ring_open(&r, path, false, &err), 0);
    for (int round = 0; round < 30; round++) {
        const pid_t pid = fork();
        if (pid == 0) {
            struct ts_ring w;
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves none */
            if (ts_ring_own(&w, path, &err) < 0)
                _exit(1);
            for (;;) {
                const int64_t n = (int64_t)ts_ring_count(&w);
                if (publish(&w, n, 1 + (uint64_t)n % 200, false, &err) < 0)
                    _exit(1);
            }
        }
        const uint64_t enough = whole + gone + 40 + (uint64_t)round;
        for (long looks = 0; looks < 50000000 && whole + gone < enough;
             looks++) {
            const enum ts_ring_result got = ts_ring_entry(&r, at, &s);
            if (got == TS_RING_NONE)
                continue;
            if (got == TS_RING_OK) {
                assert_int_equal(s.n_first, at);
                const bool is_right = holds(&r, &s);
                if (ts_ring_is_intact(&r, s.start)) {
                    assert_true(is_right);
                    whole++;
                } else {
                    gone++;
                }
                at = ts_ring_count(&r);
            } else {
                gone++;
                at = ts_ring_count(&r) - 1;
            }
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        /* What the dead one published last is all there. */
        at = ts_ring_count(&r);
        if (at == 0)
            continue;
        assert_int_equal(ts_ring_entry(&r, at - 1, &s), TS_RING_OK);
        assert_true(ts_ring_is_intact(&r, s.start));
        assert_true(holds(&r, &s));
        whole++;
    }
    assert_true(whole > 0);
    ts_ring_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_round_and_forgets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(entries_go_round_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_writer_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_entry_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_it_whole, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
