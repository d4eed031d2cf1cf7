/* Pools: both ends as threads (for TSan) and as processes that are killed,
 * counters near wrap-around, and files that are no pools. */
#include "frame/pool_impl.h"
#include "frame/slate.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct house SMALL = { .width = 32,
                                    .height = 16,
                                    .rate = { 30000, 1001 },
                                    .sample_rate = 48000,
                                    .channels = 2 };

static char folder[] = "/tmp/test_pool.XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/pool-1", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void make_pool(struct pool *pool, uint32_t slots)
{
    const struct pool_config config = { .house = SMALL, .slots = slots };
    struct err err = ERR_EMPTY;

    if (pool_create(pool, path, &config, &err) < 0)
        fail_msg("%s", err.text);
}

/* A frame whose first byte of picture and sound is its number. */
static void put_frame(struct pool *pool, int slot, int64_t index)
{
    struct pool_frame *frame = pool_begin(pool);

    frame->index = index;
    frame->picture = (uint32_t)slot;
    for (int p = 0; p < 3; p++) {
        frame->plane_offset[p] = pool_plane_offset(&pool->house, p);
        frame->stride_bytes[p] = pool_plane_stride(&pool->house, p);
    }
    frame->samples = house_pool_samples(&pool->house, index);
    *pool_picture(pool, (uint32_t)slot) = (uint8_t)index;
    *pool_audio(pool, pool->next) = (int16_t)index;
    pool_publish(pool);
}

static void a_frame_arrives_as_it_was_written(void **state)
{
    struct pool a, b;
    struct pool_frame frame;
    struct err err = ERR_EMPTY;

    (void)state;
    make_pool(&a, 4);
    assert_int_equal(pool_open(&b, path, true, &err), 0);
    assert_true(pool_has_producer(&b));
    assert_int_equal(pool_status(&b), POOL_OPENING);
    const int slot = pool_slot_take(&a);
    put_frame(&a, slot, 7);
    pool_slot_drop(&a, slot);
    assert_int_equal(pool_status(&b), POOL_RUNNING);
    assert_int_equal(pool_ready(&b), 1);
    assert_int_equal(pool_read(&b, 0, &frame, &err), 0);
    assert_int_equal(frame.index, 7);
    assert_int_equal(*pool_picture(&b, frame.picture), 7);
    assert_int_equal(*pool_audio(&b, 0), 7);
    assert_int_equal(pool_end_index(&b), INT64_MAX);
    pool_end(&a, 8, NULL);
    assert_int_equal(pool_status(&b), POOL_ENDED);
    assert_int_equal(pool_end_index(&b), 8);
    pool_close(&a);
    assert_false(pool_has_producer(&b));
    pool_close(&b);
    pool_close(&b);
}

static void a_slot_is_free_only_when_nobody_needs_it(void **state)
{
    struct pool a, b;
    struct err err = ERR_EMPTY;

    (void)state;
    make_pool(&a, 2);
    assert_int_equal(pool_open(&b, path, true, &err), 0);
    const int slot = pool_slot_take(&a);
    put_frame(&a, slot, 0);
    put_frame(&a, slot, 1); /* repeated picture */
    assert_true(pool_has_room(&a, 1));
    assert_false(pool_has_room(&a, 2));
    pool_slot_drop(&a, slot);
    assert_false(pool_has_room(&a, 2));
    pool_release(&b, 1);
    assert_false(pool_has_room(&a, 2)); /* frame 1 still names it */
    pool_release(&b, 2);
    assert_true(pool_has_room(&a, 2));
    const int one = pool_slot_take(&a), two = pool_slot_take(&a);
    assert_true(one >= 0 && two >= 0 && one != two);
    assert_int_equal(pool_slot_take(&a), -1);
    assert_false(pool_wait_room(&a, 1, 1000));
    pool_slot_drop(&a, one);
    assert_true(pool_wait_room(&a, 1, 1000));
    pool_close(&a);
    pool_close(&b);
}

static void records_run_out_before_they_are_overwritten(void **state)
{
    struct pool a, b;
    struct err err = ERR_EMPTY;

    (void)state;
    make_pool(&a, 1);
    assert_int_equal(pool_open(&b, path, true, &err), 0);
    const int slot = pool_slot_take(&a);
    for (int i = 0; i < POOL_RECORDS; i++)
        put_frame(&a, slot, i);
    assert_null(pool_begin(&a));
    assert_false(pool_has_room(&a, 0));
    pool_release(&b, 1);
    assert_non_null(pool_begin(&a));
    pool_close(&a);
    pool_close(&b);
}

static void a_released_counter_out_of_range_is_not_believed(void **state)
{
    struct pool a;

    (void)state;
    make_pool(&a, 2);
    const int slot = pool_slot_take(&a);
    put_frame(&a, slot, 0);
    pool_slot_drop(&a, slot);
    atomic_store(&a.head->released, UINT64_MAX);
    assert_false(pool_has_room(&a, 2));
    atomic_store(&a.head->released, 2);
    assert_false(pool_has_room(&a, 2));
    atomic_store(&a.head->released, 1);
    assert_true(pool_has_room(&a, 2));
    pool_close(&a);
}

static void a_failed_pool_tells_its_sentence(void **state)
{
    struct pool a, b;
    struct err err = ERR_EMPTY;

    (void)state;
    make_pool(&a, 1);
    assert_int_equal(pool_open(&b, path, false, &err), 0);
    err_set(&err, ERR_NOT_FOUND, "film.mkv: No such file");
    pool_end(&a, 0, &err);
    err = ERR_EMPTY;
    assert_int_equal(pool_status(&b), POOL_FAILED);
    pool_failure(&b, &err);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_string_equal(err.text, "film.mkv: No such file");
    pool_close(&a);
    pool_close(&b);
}

static void broken_records_are_sentences(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        const char *says;
    } cases[] = {
        { offsetof(struct pool_frame, picture), 2, "picture slot" },
        { offsetof(struct pool_frame, plane_offset[1]), 1u << 31, "plane" },
        { offsetof(struct pool_frame, stride_bytes[0]), 31, "plane" },
        { offsetof(struct pool_frame, stride_bytes[2]), UINT32_MAX, "plane" },
        { offsetof(struct pool_frame, samples), UINT32_MAX, "sound" },
        { offsetof(struct pool_frame, samples), 5000, "sound" },
        { offsetof(struct pool_frame, captions_size), 129, "captions" },
        { offsetof(struct pool_frame, segment_first), 99, "segment" },
    };
    struct pool a;
    struct pool_frame frame;
    struct err err = ERR_EMPTY;

    (void)state;
    make_pool(&a, 2);
    put_frame(&a, pool_slot_take(&a), 3);
    struct pool_frame *record =
        (struct pool_frame *)(a.shm.map + 4096 * 1); /* header: one page */
    assert_int_equal(record->index, 3);
    const struct pool_frame good = *record;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy((char *)record + cases[i].offset, &cases[i].value, 4);
        assert_int_equal(pool_read(&a, 0, &frame, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.text, cases[i].says));
        *record = good;
        assert_int_equal(pool_read(&a, 0, &frame, &err), 0);
    }
    memset(record->segment, 'x', sizeof(record->segment));
    assert_int_equal(pool_read(&a, 0, &frame, &err), 0);
    assert_int_equal(strlen(frame.segment), sizeof(frame.segment) - 1);
    assert_int_equal(pool_read(&a, 1, &frame, &err), -1);
    pool_close(&a);
}

/* --- files that are no pools ---------------------------------------------- */

static void expect_refused(const char *says)
{
    struct pool pool;
    struct err err = ERR_EMPTY;

    assert_int_equal(pool_open(&pool, path, true, &err), -1);
    if (strstr(err.text, says) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, says);
    assert_null(pool.head);
}

static void poke(size_t offset, uint32_t value)
{
    struct pool pool;

    make_pool(&pool, 2);
    memcpy(pool.shm.map + offset, &value, sizeof(value));
    pool_close(&pool);
}

static void wrong_headers_are_sentences(void **state)
{
    struct pool pool;

    (void)state;
    poke(0, 0);
    expect_refused("not made yet");
    poke(0, 1);
    expect_refused("this is no pool");
    poke(offsetof(struct pool_header, version), 99);
    expect_refused("layout 99");
    poke(offsetof(struct pool_header, slot_count), 0);
    expect_refused("slots");
    poke(offsetof(struct pool_header, slot_count), 3);
    expect_refused("cut short or damaged");
    poke(offsetof(struct pool_header, picture_bytes), UINT32_MAX);
    expect_refused("cut short or damaged");
    poke(offsetof(struct pool_header, audio_bytes), 64);
    expect_refused("audio slots");
    poke(offsetof(struct pool_header, rate_den), 0);
    expect_refused("pool");
    poke(offsetof(struct pool_header, width), 0x7fffffff);
    expect_refused("pool");
    make_pool(&pool, 2);
    pool_close(&pool);
    assert_int_equal(truncate(path, 100), 0);
    expect_refused("too few");
    assert_int_equal(truncate(path, 5000), 0);
    expect_refused("cut short");
    unlink(path);
    expect_refused("No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused("");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused("not a file");
    unlink(path);
}

/* Whatever the bytes: an answer, never a crash. */
static void random_bytes_never_crash_a_reader(void **state)
{
    struct pool pool, reader;
    struct pool_frame frame;
    struct err err = ERR_EMPTY;
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 300; round++) {
        make_pool(&pool, 2);
        put_frame(&pool, pool_slot_take(&pool), 3);
        for (int i = 0; i < 40; i++) {
            const size_t span = round % 2 ? 4096 + 1360 : 320;
            const size_t from = round % 2 ? 48 : 0;
            const size_t at = from + (size_t)rand_r(&seed) % (span - from);
            pool.shm.map[at] = (uint8_t)rand_r(&seed);
        }
        if (pool_open(&reader, path, true, &err) == 0) {
            pool_read(&reader, pool_ready(&reader) - 1, &frame, &err);
            pool_read(&reader, 0, &frame, &err);
            pool_failure(&reader, &err);
            pool_release(&reader, 1);
            pool_close(&reader);
        }
        pool_has_room(&pool, 2);
        pool_close(&pool);
    }
}

static void a_full_disk_is_a_sentence(void **state)
{
    const struct pool_config config = { .house = HOUSE_DEFAULT, .slots = 60 };
    const struct rlimit small = { 1 << 20, RLIM_INFINITY };
    struct rlimit before;
    struct pool pool;
    struct err err = ERR_EMPTY;

    (void)state;
    unlink(path);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const int rc = pool_create(&pool, path, &config, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "no room for"));
    assert_int_equal(access(path, F_OK), -1);
}

/* --- slate ---------------------------------------------------------------- */

static void a_slate_shows_its_title(void **state)
{
    static const struct house hd = { .width = 1280,
                                     .height = 720,
                                     .rate = { 25, 1 },
                                     .sample_rate = 48000,
                                     .channels = 2 };
    struct pool pool;
    struct pool_frame frame;
    struct err err = ERR_EMPTY;
    int lit = 0;

    (void)state;
    assert_int_equal(
        slate_create_card(path, &hd, "Channel 1 ~\x80", false, &err), 0);
    assert_int_equal(pool_open(&pool, path, false, &err), 0);
    assert_int_equal(pool_status(&pool), POOL_ENDED);
    assert_int_equal(pool_end_index(&pool), 1);
    assert_int_equal(pool_read(&pool, 0, &frame, &err), 0);
    assert_int_equal(frame.flags, FRAME_SLATE | FRAME_SILENT);
    assert_int_equal(frame.samples, house_pool_samples(&hd, 0));
    const uint8_t *luma = pool_picture(&pool, frame.picture);
    for (size_t y = 0; y < 720; y++) {
        for (size_t x = 0; x < 1280; x++) {
            const uint8_t value = luma[y * frame.stride_bytes[0] + x];
            assert_true(value > 32 && value < 236);
            lit += value > 200;
        }
    }
    assert_in_range(lit, 5000, 200000);
    pool_close(&pool);
    const struct house odd = { .width = 16,
                               .height = 16,
                               .rate = { 240, 1 },
                               .sample_rate = 8000,
                               .channels = 8 };
    assert_int_equal(slate_create_card(path, &odd, "", false, &err), 0);
}

/* --- both ends at once ---------------------------------------------------- */

#define FRAMES 20000

static void produce(struct pool *pool, int64_t frames)
{
    for (int64_t i = (int64_t)pool->next; i < frames; i++) {
        while (!pool_wait_room(pool, 1, 100000))
            ;
        const int slot = pool_slot_take(pool);
        put_frame(pool, slot, i);
        pool_slot_drop(pool, slot);
    }
    pool_end(pool, frames, NULL);
}

static void *producer_thread(void *pool)
{
    produce(pool, FRAMES);
    return NULL;
}

/* Takes and checks frames up to `until`; false when the pool ends before. */
static bool consume(struct pool *pool, uint64_t until)
{
    struct pool_frame frame;
    struct err err = ERR_EMPTY;
    struct bell *bell = pool_ready_bell(pool);

    for (uint64_t seq = pool_released(pool); seq < until; seq++) {
        while (pool_ready(pool) <= seq) {
            if (pool_status(pool) == POOL_ENDED && pool_ready(pool) <= seq)
                return false;
            const uint32_t seen = bell_arm(bell);
            if (pool_ready(pool) <= seq && pool_status(pool) != POOL_ENDED)
                futex_wait(&bell->count, seen, 100000);
            bell_disarm(bell);
        }
        if (pool_read(pool, seq, &frame, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(frame.index, seq);
        assert_int_equal(*pool_picture(pool, frame.picture), (uint8_t)seq);
        assert_int_equal(*pool_audio(pool, seq), (int16_t)seq);
        if (seq >= 3) /* hold a few back, as a renderer does */
            pool_release(pool, seq - 2);
    }
    return true;
}

static void threads_pass_every_frame_once(void **state)
{
    struct pool a, b;
    struct err err = ERR_EMPTY;
    pthread_t thread;

    (void)state;
    make_pool(&a, 8);
    assert_int_equal(pool_open(&b, path, true, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, producer_thread, &a), 0);
    assert_true(consume(&b, FRAMES));
    assert_false(consume(&b, FRAMES + 1));
    pthread_join(thread, NULL);
    pool_close(&a);
    pool_close(&b);
}

static void *taker_thread(void *arg)
{
    struct pool *pool = arg;

    for (int i = 0; i < 20000; i++) {
        const int slot = pool_slot_take(pool);
        if (slot >= 0) {
            uint8_t *byte = pool_picture(pool, (uint32_t)slot);
            *byte = (uint8_t)(*byte + 1); /* TSan: nobody else may */
            pool_slot_drop(pool, slot);
        }
    }
    return NULL;
}

static void no_slot_is_given_to_two_threads(void **state)
{
    struct pool pool;
    pthread_t thread[3];

    (void)state;
    make_pool(&pool, 2);
    for (int i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, taker_thread, &pool);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_true(pool_has_room(&pool, 2));
    pool_close(&pool);
}

/* A consumer is killed anywhere; the next one goes on from `released`. */
static void a_killed_consumer_loses_nothing(void **state)
{
    struct pool a, b;
    struct err err = ERR_EMPTY;
    unsigned seed = 7;
    int status = 0;

    (void)state;
    make_pool(&a, 8);
    const pid_t producer = fork();
    if (producer == 0) {
        produce(&a, FRAMES);
        _exit(0);
    }
    for (int round = 0; round < 40; round++) {
        const pid_t pid = fork();
        if (pid == 0) {
            if (pool_open(&b, path, true, &err) < 0)
                _exit(1);
            consume(&b, FRAMES);
            _exit(0);
        }
        usleep((useconds_t)(rand_r(&seed) % 2000));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    }
    assert_int_equal(pool_open(&b, path, true, &err), 0);
    assert_true(consume(&b, FRAMES));
    waitpid(producer, &status, 0);
    assert_int_equal(status, 0);
    pool_close(&b);
    pool_close(&a);
}

static void a_dead_producer_is_seen(void **state)
{
    struct pool pool;
    struct err err = ERR_EMPTY;
    int gate[2], status;

    (void)state;
    assert_int_equal(pipe(gate), 0);
    unlink(path);
    const pid_t pid = fork();
    if (pid == 0) {
        make_pool(&pool, 1);
        if (write(gate[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(gate[0], &byte, 1), 1);
    assert_int_equal(pool_open(&pool, path, true, &err), 0);
    assert_true(pool_has_producer(&pool));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_false(pool_has_producer(&pool));
    pool_close(&pool);
    close(gate[0]);
    close(gate[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_arrives_as_it_was_written),
        cmocka_unit_test(a_slot_is_free_only_when_nobody_needs_it),
        cmocka_unit_test(records_run_out_before_they_are_overwritten),
        cmocka_unit_test(a_released_counter_out_of_range_is_not_believed),
        cmocka_unit_test(a_failed_pool_tells_its_sentence),
        cmocka_unit_test(broken_records_are_sentences),
        cmocka_unit_test(wrong_headers_are_sentences),
        cmocka_unit_test(random_bytes_never_crash_a_reader),
        cmocka_unit_test(a_full_disk_is_a_sentence),
        cmocka_unit_test(a_slate_shows_its_title),
        cmocka_unit_test(threads_pass_every_frame_once),
        cmocka_unit_test(no_slot_is_given_to_two_threads),
        cmocka_unit_test(a_killed_consumer_loses_nothing),
        cmocka_unit_test(a_dead_producer_is_seen),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
