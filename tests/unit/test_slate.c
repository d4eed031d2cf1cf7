/* test_slate: the card can be read at every size; the tone is one unbroken sine
 * as a renderer joins it; nothing but a whole slate is opened. */
#include "frame/slate.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "frame/pool_impl.h"

static char folder[] = "/dev/shm/test_slate.XXXXXX";
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/slate", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct house house_of(int width, int height, int num, int den)
{
    return (struct house){ .width = width,
                           .height = height,
                           .rate = { num, den },
                           .sample_rate = 48000,
                           .channels = 2 };
}

/* --- the card ------------------------------------------------------------- */

/* Lit dots of the text, a character a dot, in `dots` (rows with newlines). */
static int read_dots(const struct house *house, const uint8_t *luma,
                     uint32_t stride, char *dots, size_t size)
{
    int left = house->width, right = -1, top = house->height, bottom = -1;

    for (int y = 0; y < house->height; y++) {
        for (int x = 0; x < house->width; x++) {
            if (luma[(size_t)y * stride + (size_t)x] < 200)
                continue;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
        }
    }
    /* "CHANNEL 7" in one line is seven dots high. */
    assert_int_equal((bottom - top + 1) % 7, 0);
    const int dot = (bottom - top + 1) / 7;
    assert_true(left >= house->width / 20 && top >= house->height / 20);
    assert_true(right < house->width - house->width / 20);
    size_t at = 0;
    for (int y = top + dot / 2; y <= bottom; y += dot) {
        for (int x = left + dot / 2; x <= right; x += dot) {
            assert_true(at + 3 < size);
            dots[at++] =
                luma[(size_t)y * stride + (size_t)x] >= 200 ? '#' : '.';
        }
        dots[at++] = '\n';
    }
    dots[at] = '\0';
    return dot;
}

static int draw_and_read(int width, int height, const char *title, char *dots)
{
    const struct house house = house_of(width, height, 25, 1);
    struct pool pool;
    struct pool_frame frame;
    struct err err = ERR_EMPTY;

    assert_int_equal(slate_create_card(path, &house, title, false, &err), 0);
    assert_int_equal(slate_open(&pool, path, &house, &err), 0);
    assert_int_equal(pool_read(&pool, 0, &frame, &err), 0);
    const int dot = read_dots(&house, pool_picture(&pool, frame.picture),
                              frame.stride_bytes[0], dots, 1024);
    pool_close(&pool);
    return dot;
}

static void a_name_can_be_read_at_every_size(void **state)
{
    static const int size[][2] = { { 160, 90 },    { 320, 180 },  { 640, 360 },
                                   { 720, 576 },   { 720, 480 },  { 1280, 720 },
                                   { 1920, 1080 }, { 3840, 2160 } };
    char reference[1024], dots[1024];

    (void)state;
    /* Nine characters of five dots and eight gaps of one. */
    draw_and_read(1920, 1080, "channel 7", reference);
    assert_int_equal(strcspn(reference, "\n"), 9 * 6 - 1);
    for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        const int dot =
            draw_and_read(size[i][0], size[i][1], "Channel 7", dots);
        assert_string_equal(dots, reference);
        assert_in_range(dot * 7, size[i][1] / 9, size[i][1] / 5);
    }
}

static void names_are_no_longer_than_the_card(void **state)
{
    static const char *const title[] = {
        "",
        "   ",
        "~\x80\xc3",
        "T\xc3\xa9l\xc3\xa9vision du Massif Central",
        "Donaudampfschifffahrtsgesellschaftskapitaensmuetzenfernsehprogramm",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8"
    };
    static const int size[][2] = { { 16, 16 },   { 160, 90 },  { 90, 160 },
                                   { 720, 576 }, { 8192, 16 }, { 16, 8192 } };
    struct err err = ERR_EMPTY;

    (void)state;
    for (size_t t = 0; t < sizeof(title) / sizeof(title[0]); t++) {
        for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
            const struct house house = house_of(size[i][0], size[i][1], 240, 1);
            assert_int_equal(
                slate_create_card(path, &house, title[t], false, &err), 0);
        }
    }
}

static void letters_lose_their_accents(void **state)
{
    char with[1024], without[1024];

    (void)state;
    draw_and_read(1280, 720, "\xc3\x89\xc5\x81\xc3\xb8\xc5\xbe\xc3\x9f", with);
    draw_and_read(1280, 720, "Elozs", without);
    assert_string_equal(with, without);
}

/* --- the tone ------------------------------------------------------------- */

/* The samples of frames n .. n+count-1, joined as a renderer does it: frame i
 * of the loop with the origin n - i. */
static int join(const struct pool *pool, int64_t n, int64_t count, int16_t *out)
{
    const struct house *house = &pool->house;
    const int64_t loop = (int64_t)pool_ready(pool);
    struct pool_frame frame;
    struct err err = ERR_EMPTY;
    int samples = 0;

    for (int64_t k = 0; k < count; k++) {
        const int64_t i = k % loop;
        assert_int_equal(pool_read(pool, (uint64_t)i, &frame, &err), 0);
        const int32_t skip = house_audio_skip(house, n + k - i, frame.index);
        const int32_t wanted =
            (int32_t)(house_samples_before(house, n + k + 1) -
                      house_samples_before(house, n + k));
        assert_in_range(skip, 0, 1);
        assert_true(skip + wanted <= frame.samples);
        const int16_t *sound = pool_audio(pool, (uint64_t)i);
        for (int32_t s = 0; s < wanted; s++) {
            out[samples++] = sound[(skip + s) * house->channels];
            assert_int_equal(sound[(skip + s) * house->channels],
                             sound[(skip + s) * house->channels + 1]);
        }
    }
    return samples;
}

/* Of a sine every sample follows from the two before it. */
static void assert_is_sine(const int16_t *sound, int count, int rate)
{
    const double twice_cos = 2 * cos(2 * M_PI * SLATE_TONE_HZ / rate);
    double square = 0;

    for (int s = 0; s < count; s++) {
        square += (double)sound[s] * sound[s];
        if (s < 2)
            continue;
        const double off = sound[s] - (twice_cos * sound[s - 1] - sound[s - 2]);
        if (fabs(off) > 2.5)
            fail_msg("sample %d of %d is %.1f off the sine", s, count, off);
    }
    const double level = 20 * log10(sqrt(2 * square / count) / 32767);
    if (fabs(level + 20) > 0.02)
        fail_msg("the tone has %.3f dBFS", level);
}

static void the_tone_is_one_sine_at_every_usual_rate(void **state)
{
    static const int rate[][2] = { { 24000, 1001 }, { 24, 1 }, { 25, 1 },
                                   { 30000, 1001 }, { 30, 1 }, { 50, 1 },
                                   { 60000, 1001 }, { 60, 1 }, { 100, 1 },
                                   { 120000, 1001 } };
    static const int sample_rate[] = { 48000, 44100, 32000 };
    static int16_t sound[1000 * 2100];
    struct pool pool;
    struct err err = ERR_EMPTY;

    (void)state;
    for (size_t r = 0; r < sizeof(rate) / sizeof(rate[0]); r++) {
        for (size_t s = 0; s < 3; s++) {
            struct house house = house_of(32, 32, rate[r][0], rate[r][1]);
            /* No few enough frames of 1/29.97 s are whole samples there. */
            if (sample_rate[s] == 44100 && house.rate.den != 1)
                continue;
            house.sample_rate = sample_rate[s];
            assert_int_equal(slate_create_card(path, &house, "x", true, &err),
                             0);
            assert_int_equal(slate_open(&pool, path, &house, &err), 0);
            for (int64_t n = 0; n < 7; n += 3) {
                const int count = join(&pool, n, 700, sound);
                assert_is_sine(sound, count, house.sample_rate);
            }
            pool_close(&pool);
        }
    }
}

static void a_loop_is_repeated_as_far_as_the_tone_needs(void **state)
{
    const struct house pal = house_of(32, 32, 25, 1);
    const struct house ntsc = house_of(32, 32, 30000, 1001);
    const struct house odd = house_of(32, 32, 2997, 100);

    (void)state;
    assert_int_equal(slate_repeats(&pal, 1), 1);
    assert_int_equal(slate_repeats(&pal, 77), 1);
    assert_int_equal(slate_repeats(&ntsc, 1), 30);
    assert_int_equal(slate_repeats(&ntsc, 20), 3);
    assert_int_equal(slate_repeats(&ntsc, 90), 1);
    assert_int_equal(slate_repeats(&ntsc, 7), 30);
    /* It would take 330. */
    assert_int_equal(slate_repeats(&ntsc, 11), SLATE_FRAMES_MAX / 11);
    assert_int_equal(slate_repeats(&odd, 1), SLATE_FRAMES_MAX);
    assert_int_equal(slate_repeats(&ntsc, SLATE_FRAMES_MAX), 1);
}

/* --- the pool ------------------------------------------------------------- */

static void a_slate_is_bounded_in_frames_and_bytes(void **state)
{
    const struct house small = house_of(160, 90, 25, 1);
    const struct house uhd = house_of(3840, 2160, 25, 1);
    const struct house huge = house_of(8192, 8192, 25, 1);

    (void)state;
    assert_int_equal(slate_most(&small), SLATE_FRAMES_MAX);
    assert_int_equal(slate_most(&uhd), SLATE_BYTES_MAX / (3840 * 2160 * 3 / 2));
    assert_int_equal(slate_most(&huge), 5);
}

static void put(struct pool *pool)
{
    const int slot = pool_slot_take(pool);
    struct pool_frame *frame = pool_begin(pool);

    assert_true(slot >= 0);
    for (int p = 0; p < 3; p++) {
        frame->plane_offset[p] = pool_plane_offset(&pool->house, p);
        frame->stride_bytes[p] = pool_plane_stride(&pool->house, p);
    }
    frame->index = (int64_t)pool->next;
    frame->picture = (uint32_t)slot;
    pool_publish(pool);
    pool_slot_drop(pool, slot);
}

static void only_a_whole_slate_has_a_name(void **state)
{
    const struct house house = house_of(32, 32, 25, 1);
    const struct house other = house_of(32, 32, 50, 1);
    struct pool pool, seen;
    struct err err = ERR_EMPTY;

    (void)state;
    unlink(path);
    assert_int_equal(slate_build(&pool, path, &house, 3, NULL, &err), 0);
    for (int i = 0; i < 3; i++)
        put(&pool);
    assert_int_equal(slate_open(&seen, path, &house, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    assert_int_equal(slate_publish(&pool, false, &err), 0);
    pool_close(&pool);
    assert_int_equal(slate_open(&seen, path, &house, &err), 0);
    assert_int_equal(pool_ready(&seen), 3);
    pool_close(&seen);
    assert_int_equal(slate_open(&seen, path, &other, &err), -1);
    assert_non_null(strstr(err.text, "another house format"));

    struct err why = ERR_EMPTY;
    err_set(&why, ERR_INPUT, "asset x: is empty");
    assert_int_equal(slate_build(&pool, path, &house, 1, NULL, &err), 0);
    assert_int_equal(slate_fail(&pool, &why, &err), 0);
    pool_close(&pool);
    assert_int_equal(slate_open(&seen, path, &house, &err), -1);
    assert_string_equal(err.text, "asset x: is empty");

    /* What a decoder leaves that plays a segment is none, nor what was begun
     * to be given back. */
    const struct pool_config config = { .house = house, .slots = 2 };
    assert_int_equal(pool_create(&pool, path, &config, &err), 0);
    put(&pool);
    assert_int_equal(slate_open(&seen, path, &house, &err), -1);
    pool_end(&pool, 1, NULL);
    assert_int_equal(slate_open(&seen, path, &house, &err), 0);
    pool_close(&seen);
    pool_release(&pool, 1);
    assert_int_equal(slate_open(&seen, path, &house, &err), -1);
    pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_can_be_read_at_every_size),
        cmocka_unit_test(names_are_no_longer_than_the_card),
        cmocka_unit_test(letters_lose_their_accents),
        cmocka_unit_test(the_tone_is_one_sine_at_every_usual_rate),
        cmocka_unit_test(a_loop_is_repeated_as_far_as_the_tone_needs),
        cmocka_unit_test(a_slate_is_bounded_in_frames_and_bytes),
        cmocka_unit_test(only_a_whole_slate_has_a_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
