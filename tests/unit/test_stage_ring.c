/* The stage ring: taken or taken back, never both; positions over the 2^32
 * wrap; both ends as threads (for TSan) and as processes that are killed. */
#include "frame/stage_ring_impl.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test_stage_ring.XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/ring", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void make_ring(struct stage_ring *ring)
{
    const struct stage_ring_config config = { .house = HOUSE_DEFAULT,
                                              .channel = 1 };
    struct err err = ERR_EMPTY;

    if (stage_ring_create(ring, path, &config, &err) < 0)
        fail_msg("%s", err.text);
}

static void open_ring(struct stage_ring *ring)
{
    struct err err = ERR_EMPTY;

    if (stage_ring_open(ring, path, &err) < 0)
        fail_msg("%s", err.text);
}

/* Every member follows from n and the generation, so half of two shows. */
static enum ring_result push(struct stage_ring *ring, int64_t n, uint64_t gen)
{
    const struct stage_ref ref = { .n = n,
                                   .origin = n - (int64_t)gen,
                                   .seq = gen,
                                   .pool = (uint32_t)(gen * 7),
                                   .reason = gen % REASON_COUNT,
                                   .run_first = n - (int64_t)gen,
                                   .run_asset_first = (int64_t)gen };

    return stage_ring_push(ring, &ref);
}

static bool is_whole(const struct stage_ref *ref)
{
    return ref->origin == ref->n - (int64_t)ref->seq &&
           ref->pool == (uint32_t)(ref->seq * 7) &&
           ref->reason == ref->seq % REASON_COUNT &&
           ref->run_first == ref->origin &&
           ref->run_asset_first == (int64_t)ref->seq;
}

/* Sets all positions to n, as if n frames had gone through. */
static void set_positions(struct stage_ring *ring, int64_t n)
{
    atomic_store(&ring->head->word, (uint64_t)(uint32_t)n << 32 | (uint32_t)n);
    for (int c = 0; c < STAGE_RING_CONSUMERS; c++)
        atomic_store(&ring->head->cursor[c].n, n);
}

static void references_come_in_order(void **state)
{
    struct stage_ring a, b;
    struct stage_ref ref;
    struct err err = ERR_EMPTY;

    (void)state;
    make_ring(&a);
    open_ring(&b);
    assert_true(house_equal(&a.house, &b.house));
    assert_int_equal(b.channel, 1);
    assert_int_equal(b.min_depth, 30);
    assert_int_equal(b.max_depth, 60);
    assert_int_equal(b.keep, 4); /* 5 x 1024 samples at 29.97 fps */
    assert_string_equal(b.folder, folder);
    assert_int_equal(stage_ring_attach(&b, 0, &err), 0);
    assert_int_equal(stage_ring_claim(&b, 0, &ref), RING_EMPTY);
    for (int n = 0; n < 60; n++)
        assert_int_equal(push(&a, n, 1), RING_OK);
    assert_int_equal(push(&a, 60, 1), RING_FULL);
    assert_int_equal(push(&a, 61, 1), RING_FULL);
    for (int n = 0; n < 60; n++) {
        assert_int_equal(stage_ring_claim(&b, n, &ref), RING_OK);
        assert_int_equal(ref.n, n);
        assert_true(is_whole(&ref));
        assert_int_equal(stage_ring_claim(&b, n, &ref), RING_OK); /* again */
    }
    assert_int_equal(stage_ring_claim(&b, 60, &ref), RING_EMPTY);
    assert_int_equal(stage_ring_frontier(&a), 60);
    assert_int_equal(stage_ring_release_point(&a), 0);
    stage_ring_set_cursor(&b, 0, 50);
    assert_int_equal(stage_ring_cursor(&a), 50);
    assert_int_equal(stage_ring_release_point(&a), 46);
    stage_ring_set_end(&a, 60);
    assert_int_equal(stage_ring_claim(&b, 60, &ref), RING_END);
    stage_ring_set_end(&a, INT64_MAX);
    assert_int_equal(stage_ring_claim(&b, 60, &ref), RING_EMPTY);
    stage_ring_close(&a);
    stage_ring_close(&b);
}

static void what_is_taken_stays_taken(void **state)
{
    static const int64_t starts[] = { 0, 1000, (INT64_C(1) << 32) - 20,
                                      (INT64_C(7) << 32) - 41,
                                      (INT64_C(1) << 31) - 3 };

    (void)state;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const int64_t s = starts[i];
        struct stage_ring ring;
        struct stage_ref ref;
        make_ring(&ring);
        set_positions(&ring, s);
        for (int n = 0; n < 50; n++)
            assert_int_equal(push(&ring, s + n, 1), RING_OK);
        for (int n = 0; n < 25; n++)
            assert_int_equal(stage_ring_claim(&ring, s + n, &ref), RING_OK);
        assert_int_equal(stage_ring_tail(&ring), s + 50);
        assert_int_equal(stage_ring_frontier(&ring), s + 25);
        assert_int_equal(stage_ring_take_back(&ring, s + 60), s + 50);
        assert_int_equal(stage_ring_take_back(&ring, s + 40), s + 40);
        assert_int_equal(stage_ring_take_back(&ring, 0), s + 25);
        assert_int_equal(stage_ring_tail(&ring), s + 25);
        assert_int_equal(stage_ring_claim(&ring, s + 25, &ref), RING_EMPTY);
        assert_int_equal(stage_ring_read(&ring, s + 25, &ref), RING_EMPTY);
        assert_int_equal(push(&ring, s + 25, 2), RING_OK);
        assert_int_equal(stage_ring_claim(&ring, s + 25, &ref), RING_OK);
        assert_int_equal(ref.seq, 2);
        assert_int_equal(stage_ring_take_back(&ring, INT64_MAX), s + 26);
        assert_int_equal(stage_ring_read(&ring, s + 3, &ref), RING_OK);
        assert_int_equal(ref.n, s + 3);
        stage_ring_close(&ring);
    }
}

static void entries_that_a_new_renderer_needs_are_not_reused(void **state)
{
    struct stage_ring ring;
    struct stage_ref ref;
    struct err err = ERR_EMPTY;
    int64_t n = 0;

    (void)state;
    make_ring(&ring);
    assert_int_equal(stage_ring_attach(&ring, 0, &err), 0);
    while (push(&ring, n, 1) == RING_OK) {
        assert_int_equal(stage_ring_claim(&ring, n, &ref), RING_OK);
        n++;
    }
    assert_int_equal(n, STAGE_RING_ENTRIES); /* cursor stands at 0 */
    stage_ring_set_cursor(&ring, 0, 10);
    assert_int_equal(push(&ring, n, 1), RING_OK);
    stage_ring_close(&ring);
}

static void one_stage_and_one_renderer_at_a_time(void **state)
{
    struct stage_ring a, b;
    struct err err = ERR_EMPTY;

    (void)state;
    make_ring(&a);
    open_ring(&b);
    assert_true(stage_ring_has_stage(&b));
    assert_int_equal(stage_ring_own(&b, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    assert_non_null(strstr(err.text, "living stage"));
    assert_int_equal(stage_ring_attach(&b, 0, &err), 0);
    assert_true(stage_ring_has_consumer(&a, 0));
    assert_int_equal(stage_ring_attach(&a, 0, &err), -1);
    assert_non_null(strstr(err.text, "living renderer"));
    stage_ring_set_cursor(&b, 0, 5);
    stage_ring_close(&b); /* dies: its cursor goes on counting */
    assert_false(stage_ring_has_consumer(&a, 0));
    assert_int_equal(stage_ring_cursor(&a), 5);
    open_ring(&b);
    assert_int_equal(stage_ring_attach(&b, 1, &err), 0);
    assert_int_equal(stage_ring_consumer_cursor(&b, 1), 5);
    stage_ring_set_cursor(&b, 1, 9);
    assert_int_equal(stage_ring_cursor(&a), 5);
    stage_ring_detach(&b, 1);
    stage_ring_close(&a);
    assert_false(stage_ring_has_stage(&b));
    assert_int_equal(stage_ring_own(&b, &err), 0);
    stage_ring_close(&b);
}

static void small_records_come_through(void **state)
{
    struct stage_ring a, b;
    struct stage_epoch epoch;
    int64_t cut = 0;
    char pool[1024];

    (void)state;
    make_ring(&a);
    open_ring(&b);
    assert_int_equal(stage_ring_epoch(&b).serial, 0);
    for (uint32_t i = 1; i < 5; i++) {
        stage_ring_set_epoch(&a, i * 100, i * 1000000);
        epoch = stage_ring_epoch(&b);
        assert_int_equal(epoch.serial, i);
        assert_int_equal(epoch.n0, i * 100);
        assert_int_equal(epoch.utc_us, i * 1000000);
    }
    assert_int_equal(stage_ring_deadline_us(&b, &epoch, 400 + 30000),
                     4000000 + INT64_C(1001000000));
    atomic_store(&a.head->epoch_serial, UINT32_MAX);
    stage_ring_set_epoch(&a, 1, 2);
    assert_int_equal(stage_ring_epoch(&b).serial, 2);
    assert_int_equal(stage_ring_epoch(&b).utc_us, 2);
    assert_int_equal(stage_ring_intake_us(&a), STAGE_RING_INTAKE_US);
    stage_ring_set_intake_us(&b, 700000);
    assert_int_equal(stage_ring_intake_us(&a), 700000);
    assert_int_equal(stage_ring_new_pool_id(&a), 1);
    stage_ring_saw_pool_id(&a, 12);
    stage_ring_saw_pool_id(&a, 3);
    assert_int_equal(stage_ring_new_pool_id(&b), 13);
    stage_ring_pool_path(&a, 13, pool);
    assert_non_null(strstr(pool, "/pool-13"));
    stage_ring_want_inputs(&b, 8);
    assert_int_equal(stage_ring_inputs_wanted(&a), 8);
    assert_int_equal(stage_ring_inputs_applied(&b, &cut), 0);
    assert_int_equal(cut, -1);
    stage_ring_applied(&a, 8, 480);
    assert_int_equal(stage_ring_inputs_applied(&b, &cut), 8);
    assert_int_equal(cut, 480);
    for (int r = 0; r < REASON_COUNT; r++)
        assert_int_equal(stage_reason_from_text(stage_reason_text(r)), r);
    assert_int_equal(stage_reason_from_text("slate"), -1);
    stage_ring_close(&a);
    stage_ring_close(&b);
}

/* --- files that are no rings ---------------------------------------------- */

static void expect_refused(const char *says)
{
    struct stage_ring ring;
    struct err err = ERR_EMPTY;

    assert_int_equal(stage_ring_open(&ring, path, &err), -1);
    if (strstr(err.text, says) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, says);
    assert_null(ring.head);
}

static void poke(size_t offset, uint32_t value)
{
    struct stage_ring ring;

    make_ring(&ring);
    memcpy(ring.shm.map + offset, &value, sizeof(value));
    stage_ring_close(&ring);
}

static void wrong_headers_are_sentences(void **state)
{
    struct stage_ring ring;

    (void)state;
    poke(0, 1);
    expect_refused("no stage ring");
    poke(offsetof(struct stage_ring_header, version), 9);
    expect_refused("layout 9");
    poke(offsetof(struct stage_ring_header, entry_count), 9);
    expect_refused("layout");
    poke(offsetof(struct stage_ring_header, pts_base), 89999);
    expect_refused("first PTS 89999, not 90000 to 8589934591");
    poke(offsetof(struct stage_ring_header, max_depth), 601);
    expect_refused("maximum depth 601");
    poke(offsetof(struct stage_ring_header, min_depth), 61);
    expect_refused("minimum depth 61");
    poke(offsetof(struct stage_ring_header, keep), 0);
    expect_refused("keeps 0");
    poke(offsetof(struct stage_ring_header, sample_rate), 0);
    expect_refused("stage ring");
    make_ring(&ring);
    stage_ring_close(&ring);
    assert_int_equal(truncate(path, 5000), 0);
    expect_refused("cut short");
    assert_int_equal(truncate(path, 50), 0);
    expect_refused("too few");
    unlink(path);
    expect_refused("No such file");
}

static void random_bytes_never_crash_anybody(void **state)
{
    struct stage_ring ring, other;
    struct stage_ref ref;
    struct err err = ERR_EMPTY;
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 500; round++) {
        make_ring(&ring);
        for (int n = 0; n < 20; n++)
            push(&ring, n, 1);
        for (int i = 0; i < 60; i++) {
            const size_t from = round % 2 ? 64 : 0;
            ring.shm.map[from + (size_t)rand_r(&seed) % 1600] =
                (uint8_t)rand_r(&seed);
        }
        if (stage_ring_open(&other, path, &err) == 0) {
            const int64_t n = stage_ring_frontier(&other);
            stage_ring_epoch(&other);
            stage_ring_read(&other, n, &ref);
            stage_ring_claim(&other, n, &ref);
            stage_ring_take_back(&other, n);
            push(&other, stage_ring_tail(&other), 1);
            stage_ring_attach(&other, 0, &err);
            stage_ring_close(&other);
        }
        stage_ring_close(&ring);
    }
}

/* --- both ends at once ---------------------------------------------------- */

#define START ((INT64_C(1) << 32) - 5000) /* the wrap is in the middle */

/*
 * What the consumer knows of a frame it took: its generation.  In shared
 * memory, so that a killed consumer's successor knows as well.
 */
struct book {
    _Atomic uint64_t gen;            /* the stage's: bumped at each take-back */
    _Atomic int64_t done;            /* consumer: frames below are published */
    _Atomic uint64_t taken[1 << 18]; /* 1 + seq of frame START + i */
};

static struct book *book;
static int64_t frames; /* of this run */

static void stage_some(struct stage_ring *ring, unsigned *seed)
{
    const int64_t tail = stage_ring_tail(ring);

    if (rand_r(seed) % 8 == 0) {
        const int64_t back = tail - rand_r(seed) % 20;
        atomic_fetch_add(&book->gen, 1);
        const int64_t now = stage_ring_take_back(ring, back);
        assert_true(now <= tail && now >= stage_ring_frontier(ring) - 0);
    }
    for (int i = 0; i < 6; i++) {
        const int64_t n = stage_ring_tail(ring);
        if (n >= START + frames ||
            push(ring, n, atomic_load(&book->gen)) != RING_OK)
            break;
    }
}

static void run_stage(struct stage_ring *ring, unsigned seed)
{
    while (stage_ring_cursor(ring) < START + frames) {
        stage_some(ring, &seed);
        struct bell *bell = stage_ring_stage_bell(ring);
        const uint32_t seen = bell_arm(bell);
        if (stage_ring_tail(ring) - stage_ring_frontier(ring) >= 60)
            futex_wait(&bell->count, seen, 10000);
        bell_disarm(bell);
    }
}

/* Takes, remembers, publishes a few later, as an encoder does. */
static void run_consumer(struct stage_ring *ring)
{
    struct stage_ref ref;
    int64_t n = stage_ring_consumer_cursor(ring, 0);

    while (n < START + frames) {
        if (stage_ring_claim(ring, n, &ref) != RING_OK) {
            stage_ring_wait(ring, n, 10000);
            continue;
        }
        assert_int_equal(ref.n, n);
        assert_true(is_whole(&ref));
        /* Taken before by a dead consumer: it must still be the same. */
        uint64_t was = 0;
        if (!atomic_compare_exchange_strong(&book->taken[n - START], &was,
                                            ref.seq + 1))
            assert_int_equal(was, ref.seq + 1);
        n++;
        if (n - stage_ring_consumer_cursor(ring, 0) > 8 || n == START + frames)
            stage_ring_set_cursor(ring, 0, n == START + frames ? n : n - 4);
    }
}

static void start_run(struct stage_ring *ring, int64_t count)
{
    book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(book != MAP_FAILED);
    frames = count;
    make_ring(ring);
    set_positions(ring, START);
    atomic_store(&ring->head->cursor[0].is_attached, 1);
}

static void *stage_thread(void *ring)
{
    run_stage(ring, 3);
    return NULL;
}

static void threads_agree_on_what_was_taken(void **state)
{
    struct stage_ring a, b;
    struct err err = ERR_EMPTY;
    pthread_t thread;

    (void)state;
    start_run(&a, 100000);
    open_ring(&b);
    assert_int_equal(stage_ring_attach(&b, 0, &err), 0);
    pthread_create(&thread, NULL, stage_thread, &a);
    run_consumer(&b);
    pthread_join(thread, NULL);
    assert_int_equal(stage_ring_cursor(&a), START + frames);
    stage_ring_close(&a);
    stage_ring_close(&b);
    munmap(book, sizeof(*book));
}

static void *looking_thread(void *arg)
{
    const struct stage_ring *ring = arg;
    struct stage_ref ref;

    while (stage_ring_cursor(ring) < START + frames) {
        const int64_t tail = stage_ring_tail(ring);
        for (int64_t n = tail - 5; n < tail; n++) {
            if (stage_ring_read(ring, n, &ref) == RING_OK &&
                (!is_whole(&ref) || ref.n != n))
                return (void *)1;
        }
        const struct stage_epoch epoch = stage_ring_epoch(ring);
        if (epoch.serial != 0 && epoch.n0 != -epoch.utc_us)
            return (void *)2;
        sched_yield(); /* valgrind runs one thread at a time */
    }
    return NULL;
}

static void *epoch_stage_thread(void *arg)
{
    struct stage_ring *ring = arg;
    unsigned seed = 3;

    for (int64_t i = 0; stage_ring_cursor(ring) < START + frames; i++) {
        stage_ring_set_epoch(ring, i, -i);
        stage_some(ring, &seed);
        sched_yield();
    }
    return NULL;
}

static void who_only_looks_never_gets_half_of_two(void **state)
{
    struct stage_ring a, b;
    struct err err = ERR_EMPTY;
    pthread_t stage, looker;
    void *answer = NULL;

    (void)state;
    start_run(&a, 20000);
    open_ring(&b);
    assert_int_equal(stage_ring_attach(&b, 0, &err), 0);
    pthread_create(&stage, NULL, epoch_stage_thread, &a);
    pthread_create(&looker, NULL, looking_thread, &b);
    run_consumer(&b);
    pthread_join(stage, NULL);
    pthread_join(looker, &answer);
    assert_null(answer);
    stage_ring_close(&a);
    stage_ring_close(&b);
    munmap(book, sizeof(*book));
}

static pid_t spawn(bool is_stage, unsigned seed)
{
    const pid_t pid = fork();
    struct stage_ring ring;
    struct err err = ERR_EMPTY;

    if (pid != 0)
        return pid;
    alarm(60);
    open_ring(&ring);
    if (is_stage) {
        if (stage_ring_own(&ring, &err) < 0)
            _exit(9);
        run_stage(&ring, seed);
    } else {
        if (stage_ring_attach(&ring, 0, &err) < 0)
            _exit(9);
        run_consumer(&ring);
    }
    _exit(0);
}

/* Either side is killed at random moments and replaced. */
static void killed_ends_lose_and_double_nothing(void **state)
{
    struct stage_ring ring;
    unsigned seed = 11;
    pid_t pid[2];
    int status, kills = 0;

    (void)state;
    start_run(&ring, 200000);
    stage_ring_close(&ring);
    for (int i = 0; i < 2; i++)
        pid[i] = spawn(i == 0, seed);
    open_ring(&ring);
    while (stage_ring_cursor(&ring) < START + frames && kills < 2000) {
        usleep((useconds_t)(rand_r(&seed) % 3000));
        const int which = (int)(rand_r(&seed) % 2);
        kill(pid[which], SIGKILL);
        waitpid(pid[which], &status, 0);
        if (WIFEXITED(status))
            assert_int_equal(WEXITSTATUS(status), 0);
        else
            assert_int_equal(WTERMSIG(status), SIGKILL);
        pid[which] = spawn(which == 0, seed);
        kills++;
    }
    for (int i = 0; i < 2; i++) {
        waitpid(pid[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(stage_ring_cursor(&ring), START + frames);
    for (int64_t i = 0; i < frames; i++)
        assert_true(atomic_load(&book->taken[i]) != 0);
    print_message("%d kills, %llu take-backs, %lld frames\n", kills,
                  (unsigned long long)atomic_load(&book->gen),
                  (long long)frames);
    stage_ring_close(&ring);
    munmap(book, sizeof(*book));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_come_in_order),
        cmocka_unit_test(what_is_taken_stays_taken),
        cmocka_unit_test(entries_that_a_new_renderer_needs_are_not_reused),
        cmocka_unit_test(one_stage_and_one_renderer_at_a_time),
        cmocka_unit_test(small_records_come_through),
        cmocka_unit_test(wrong_headers_are_sentences),
        cmocka_unit_test(random_bytes_never_crash_anybody),
        cmocka_unit_test(threads_agree_on_what_was_taken),
        cmocka_unit_test(who_only_looks_never_gets_half_of_two),
        cmocka_unit_test(killed_ends_lose_and_double_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
