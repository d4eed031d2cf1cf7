/* The arithmetic and the small parts of lib/media. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "media/language.h"
#include "media/limiter.h"
#include "media/moment.h"
#include "media/picture.h"
#include "media/sound.h"

/* --- moment --------------------------------------------------------------- */

static void ticks_are_floored_exactly(void **state)
{
    const struct moment moment = { .in = { 1, 3 },
                                   .frame = 7,
                                   .rate = { 30000, 1001 } };

    (void)state;
    /* 1/3 + 7 * 1001/30000 = 0.5669 s */
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 10000 }, 0), 5669);
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 1000 }, 0), 566);
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 1000 }, 99), 566);
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 1000 }, 100), 567);
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 1000 }, -566900),
                     0);
    assert_int_equal(moment_ticks(&moment, (AVRational){ 1, 1000 }, -566901),
                     -1);
}

static void the_largest_moments_do_not_overflow(void **state)
{
    const struct rational in =
        moment_in((struct rational){ INT64_MAX, INT64_MAX - 2 });
    const struct moment moment = {
        .in = moment_in((struct rational){ INT64_MAX, 1 }),
        .frame = SEGMENT_FRAMES_MAX,
        .rate = { 2147483647, 2147483646 },
    };

    (void)state;
    assert_true(in.den <= 1000000);
    assert_int_equal(in.num, in.den);
    assert_int_equal(moment.in.num, MOMENT_SECONDS_MAX);
    const int64_t seconds = moment_ticks(&moment, (AVRational){ 1, 1 }, 0);
    assert_int_equal(seconds, MOMENT_SECONDS_MAX + 999999999534);
}

static void lengths_round_halves_up(void **state)
{
    const AVRational ms = { 1, 1000 };
    const struct rational zero = { 0, 1 };

    (void)state;
    assert_int_equal(moment_frames(980, ms, zero, (AVRational){ 25, 1 }), 25);
    assert_int_equal(moment_frames(979, ms, zero, (AVRational){ 25, 1 }), 24);
    assert_int_equal(moment_frames(1000, ms, (struct rational){ 1, 2 },
                                   (AVRational){ 25, 1 }),
                     13);
    /* 150 pictures at 23.976 are 187.5 frames at 29.97 */
    assert_int_equal(moment_frames(150, (AVRational){ 1001, 24000 }, zero,
                                   (AVRational){ 30000, 1001 }),
                     188);
}

static void rounded_timestamps_find_their_place(void **state)
{
    const AVRational ms = { 1, 1000 };
    const AVRational ntsc = { 30000, 1001 };

    (void)state;
    for (int64_t n = 0; n < 100000; n++) {
        const int64_t exact = n * 1001 * 1000 / 30000;
        assert_int_equal(moment_grid(exact, ms, ntsc), n);
        if (n > 0)
            assert_int_equal(moment_grid(exact + 1, ms, ntsc), n);
    }
    assert_int_equal(moment_grid(16, ms, ntsc), -1);
    assert_int_equal(moment_grid(40, ms, ntsc), -1);
    assert_int_equal(moment_grid(-1, ms, ntsc), -1);
    /* ticks as coarse as the rate, or no rate */
    assert_int_equal(
        moment_grid(3, (AVRational){ 1, 25 }, (AVRational){ 25, 1 }), -1);
    assert_int_equal(moment_grid(3, ms, (AVRational){ 0, 1 }), -1);
}

/* --- language ------------------------------------------------------------- */

static void languages_match_in_any_code(void **state)
{
    (void)state;
    assert_true(language_matches("ger", "de"));
    assert_true(language_matches("deu", "ger"));
    assert_true(language_matches("EN", "eng"));
    assert_true(language_matches("en-GB", "eng"));
    assert_true(language_matches("qaa", "qaa"));
    assert_false(language_matches("eng", "de"));
    assert_false(language_matches("", "de"));
    assert_false(language_matches("und", "un"));
    assert_false(language_matches("qaa", "qab"));
}

/* --- sound ---------------------------------------------------------------- */

static const struct house HOUSE = { .width = 64,
                                    .height = 32,
                                    .rate = { 25, 1 },
                                    .sample_rate = 48000,
                                    .channels = 1 };

/* A frame of `count` samples with values from `first` on. */
static AVFrame *samples(int count, int first)
{
    AVFrame *frame = av_frame_alloc();

    assert_non_null(frame);
    frame->format = AV_SAMPLE_FMT_S16;
    frame->sample_rate = 48000;
    frame->nb_samples = count;
    av_channel_layout_default(&frame->ch_layout, 1);
    assert_true(av_frame_get_buffer(frame, 0) >= 0);
    for (int i = 0; i < count; i++)
        ((int16_t *)frame->data[0])[i] = (int16_t)(first + i);
    return frame;
}

static void push(struct sound *sound, int64_t position, int count, int first)
{
    AVFrame *frame = samples(count, first);

    assert_int_equal(sound_push(sound, frame, true, position, NULL), 0);
    av_frame_free(&frame);
}

/* What sound_read() gives, as 16 bits, forgetting all before the last one. */
static int read_16(struct sound *sound, int64_t position, int count,
                   int16_t *out)
{
    static float in[4096];
    const int real = sound_real(sound, position, count);

    assert_true(count <= 4096);
    sound_read(sound, position, count, in);
    for (int i = 0; i < count; i++)
        out[i] = (int16_t)lrintf(in[i] * 32768);
    sound_forget(sound, position + count - 1);
    return real;
}

static void sound_lies_where_its_timestamp_says(void **state)
{
    struct sound sound;
    int16_t out[8];

    (void)state;
    sound_init(&sound, &HOUSE);
    push(&sound, 100, 50, 1000);
    push(&sound, 150, 50, 1050);
    assert_int_equal(read_16(&sound, 96, 8, out), 4);
    const int16_t begin[8] = { 0, 0, 0, 0, 1000, 1001, 1002, 1003 };
    assert_memory_equal(out, begin, sizeof(out));
    /* the last one of a read is read again */
    assert_int_equal(read_16(&sound, 103, 8, out), 8);
    assert_int_equal(out[0], 1003);
    assert_int_equal(read_16(&sound, 196, 8, out), 4);
    assert_int_equal(out[3], 1099);
    assert_int_equal(out[4], 0);
    sound_clear(&sound);
}

static void small_steps_are_left_alone_large_ones_are_not(void **state)
{
    struct sound sound;
    int16_t out[4000];

    (void)state;
    sound_init(&sound, &HOUSE);
    push(&sound, 0, 1000, 0);
    push(&sound, 1010, 1000, 1000); /* 0.2 ms late: follows at once */
    push(&sound, 3000, 500, 5000);  /* 21 ms late: a gap */
    push(&sound, 2500, 1500, 6000); /* 21 ms early: its beginning is cut */
    assert_int_equal(read_16(&sound, 0, 4000, out), 4000);
    assert_int_equal(out[1000], 1000);
    assert_int_equal(out[1999], 1999);
    assert_int_equal(out[2000], 0);
    assert_int_equal(out[2999], 0);
    assert_int_equal(out[3000], 5000);
    assert_int_equal(out[3499], 5499);
    assert_int_equal(out[3500], 7000);
    assert_int_equal(out[3999], 7499);
    sound_clear(&sound);
}

static void sound_before_what_is_wanted_is_not_kept(void **state)
{
    struct sound sound;
    int16_t out[10];

    (void)state;
    sound_init(&sound, &HOUSE);
    sound_reset(&sound, 5000);
    for (int i = 0; i < 10; i++)
        push(&sound, 1000 * i, 1000, 1000 * i);
    assert_true(sound.start >= 5000);
    assert_int_equal(read_16(&sound, 5000, 10, out), 10);
    assert_int_equal(out[0], 5000);
    sound_clear(&sound);
    sound_clear(&sound);
}

static void fades_clip_and_ramp(void **state)
{
    int16_t loud[2] = { 30000, -30000 };
    int16_t ramp[4] = { 1000, 1000, 1000, 1000 };

    (void)state;
    sound_scale(loud, 2, 1, 2 << 16, 2 << 16);
    assert_int_equal(loud[0], INT16_MAX);
    assert_int_equal(loud[1], INT16_MIN);
    sound_scale(ramp, 4, 1, 0, 1 << 16);
    const int16_t want[4] = { 0, 250, 500, 750 };
    assert_memory_equal(ramp, want, sizeof(ramp));
}

/* --- limiter -------------------------------------------------------------- */

enum { LIMITED = 60000 };

/* Noise with loud stretches, 1.0 is full scale. */
static void make_noise(float *noise, float level)
{
    uint32_t random = 7;

    for (int i = 0; i < LIMITED; i++) {
        random = random * 1664525 + 1013904223;
        const float value = (float)((int)(random >> 16) - 32768) / 32768;
        noise[i] = value * (i / 5000 % 3 == 1 ? level : 0.2F);
    }
}

static void below_the_ceiling_sound_is_untouched(void **state)
{
    struct limiter limiter;
    float in[4000];
    int16_t out[4000];

    (void)state;
    assert_int_equal(limiter_init(&limiter, 48000, 1), 0);
    for (int i = 0; i < 4000; i++)
        in[i] = (float)((i * 37) % 26000 - 13000) / 32768;
    limiter_run(&limiter, in, 4000, out);
    const int ahead = limiter_ahead(&limiter);
    assert_in_range(ahead, 200, 300);
    for (int i = ahead; i < 4000; i++)
        assert_int_equal(out[i], lrintf(in[i - ahead] * 32768));
    limiter_clear(&limiter);
    limiter_clear(&limiter);
}

static void what_is_limited_is_below_the_ceiling(void **state)
{
    static float in[LIMITED];
    static int16_t out[LIMITED];
    struct limiter limiter;

    (void)state;
    make_noise(in, 3);
    assert_int_equal(limiter_init(&limiter, 48000, 1), 0);
    limiter_run(&limiter, in, LIMITED, out);
    for (int i = 0; i < LIMITED; i++)
        assert_in_range(out[i] + 32768, 32768 - 29205, 32768 + 29205);
    limiter_clear(&limiter);
}

static void the_limiter_forgets_all_but_its_history(void **state)
{
    static float in[LIMITED];
    static int16_t whole[LIMITED], part[LIMITED];
    struct limiter limiter;

    (void)state;
    make_noise(in, 5);
    in[30000] = NAN;
    assert_int_equal(limiter_init(&limiter, 48000, 1), 0);
    limiter_run(&limiter, in, LIMITED, whole);
    for (int from = 0; from < 40000; from += 7777) {
        const int first = from + limiter_history(&limiter);
        const int ahead = limiter_ahead(&limiter);
        limiter_reset(&limiter, 1);
        for (int i = from; i < LIMITED; i += 500) /* in pieces */
            limiter_run(&limiter, in + i, LIMITED - i < 500 ? LIMITED - i : 500,
                        part + i);
        assert_memory_equal(part + first + ahead, whole + first + ahead,
                            (size_t)(LIMITED - first - ahead) * sizeof(*part));
    }
    limiter_clear(&limiter);
}

/* --- pictures ------------------------------------------------------------- */

static void display_matrices_become_turns(void **state)
{
    const int32_t one = 1 << 16;
    const int32_t upright[9] = { one, 0, 0, 0, one, 0, 0, 0, 1 << 30 };
    const int32_t half[9] = { -one, 0, 0, 0, -one, 0, 0, 0, 1 << 30 };
    /* a phone held upright: 90 degrees clockwise */
    const int32_t quarter[9] = { 0, one, 0, -one, 0, 0, 0, 0, 1 << 30 };
    const int32_t askew[9] = { one, one, 0, -one, one, 0, 0, 0, 1 << 30 };

    (void)state;
    assert_int_equal(picture_turn(upright), TURN_NONE);
    assert_int_equal(picture_turn(half), TURN_MIRROR_X | TURN_MIRROR_Y);
    assert_int_equal(picture_turn(quarter), TURN_TRANSPOSE | TURN_MIRROR_X);
    assert_int_equal(picture_turn(askew), TURN_NONE);
}

/* Each pixel comes from where the turn says, in sizes around a square's 16, and
 * nothing beside the plane is written. */
static void planes_are_turned_pixel_by_pixel(void **state)
{
    enum { MOST = 50, STRIDE = 64 };
    static const int sizes[] = { 1, 2, 15, 16, 17, 31, 32, 33, MOST };
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    uint8_t from[MOST * STRIDE];
    uint8_t to[MOST * STRIDE];

    (void)state;
    for (int i = 0; i < MOST * STRIDE; i++)
        from[i] = (uint8_t)(i * 167 >> 3);
    for (uint32_t turn = TURN_NONE; turn < 8; turn++) {
        for (int i = 0; i < SIZES * SIZES; i++) {
            const int width = sizes[i % SIZES];
            const int height = sizes[i / SIZES];
            memset(to, 77, sizeof(to));
            turn_plane(to, STRIDE, from, STRIDE, width, height, turn);
            for (int at = 0; at < MOST * STRIDE; at++) {
                const int x = at % STRIDE;
                const int y = at / STRIDE;
                const int u = turn & TURN_MIRROR_X ? width - 1 - x : x;
                const int v = turn & TURN_MIRROR_Y ? height - 1 - y : y;
                const int source =
                    turn & TURN_TRANSPOSE ? u * STRIDE + v : v * STRIDE + u;
                assert_int_equal(to[at],
                                 x < width && y < height ? from[source] : 77);
            }
        }
    }
}

/* A picture of one luma value, with a bright upper left quarter. */
static AVFrame *quartered(int width, int height)
{
    AVFrame *frame = av_frame_alloc();

    assert_non_null(frame);
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = width;
    frame->height = height;
    frame->colorspace = AVCOL_SPC_SMPTE170M;
    assert_true(av_frame_get_buffer(frame, 0) >= 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            frame->data[0][y * frame->linesize[0] + x] =
                x < width / 2 && y < height / 2 ? 200 : 60;
    for (int p = 1; p < 3; p++)
        for (int y = 0; y < (height + 1) / 2; y++)
            memset(frame->data[p] + y * frame->linesize[p], 128,
                   (size_t)(width + 1) / 2);
    return frame;
}

static void pictures_keep_their_shape_and_are_turned(void **state)
{
    const struct house house = { .width = 320,
                                 .height = 180,
                                 .rate = { 25, 1 },
                                 .sample_rate = 48000,
                                 .channels = 2 };
    uint8_t *memory = malloc(planes_bytes(&house));
    AVFrame *frame = quartered(320, 180);
    struct scaler scaler;
    struct planes planes;

    (void)state;
    assert_non_null(memory);
    planes_lay(&planes, &house, memory);
    scaler_init(&scaler, &house);
    /* clockwise: the bright quarter comes to the upper right; 101 x 180 */
    assert_int_equal(scaler_draw(&scaler, frame, (AVRational){ 1, 1 },
                                 TURN_TRANSPOSE | TURN_MIRROR_X, &planes, NULL),
                     0);
    const uint8_t *row = planes.data[0] + 40 * planes.stride[0];
    assert_int_equal(row[5], 16);
    assert_int_equal(row[314], 16);
    assert_in_range(row[160 - 30], 58, 62);
    assert_in_range(row[160 + 30], 198, 202);
    row = planes.data[0] + 140 * planes.stride[0];
    assert_in_range(row[160 + 30], 58, 62);
    /* pixels twice as wide as high: letter box */
    assert_int_equal(
        scaler_draw(&scaler, frame, (AVRational){ 2, 1 }, 0, &planes, NULL), 0);
    assert_int_equal(planes.data[0][20 * planes.stride[0] + 160], 16);
    assert_in_range(planes.data[0][60 * planes.stride[0] + 20], 198, 202);
    scaler_clear(&scaler);
    av_frame_free(&frame);
    free(memory);
}

static void only_a_house_picture_is_taken_as_it_is(void **state)
{
    const struct house house = { .width = 320,
                                 .height = 180,
                                 .rate = { 25, 1 },
                                 .sample_rate = 48000,
                                 .channels = 2 };
    const AVRational square = { 0, 1 };
    AVFrame *frame = quartered(320, 180);
    struct picture_format format;

    (void)state;
    picture_format_of(&format, frame, square, 0);
    assert_true(picture_is_house(&format, &house));
    picture_format_of(&format, frame, (AVRational){ 16, 15 }, 0);
    assert_false(picture_is_house(&format, &house));
    picture_format_of(&format, frame, square, TURN_MIRROR_X);
    assert_false(picture_is_house(&format, &house));
    frame->interlaced_frame = 1;
    picture_format_of(&format, frame, square, 0);
    assert_false(picture_is_house(&format, &house));
    frame->interlaced_frame = 0;
    frame->color_range = AVCOL_RANGE_JPEG;
    picture_format_of(&format, frame, square, 0);
    assert_false(picture_is_house(&format, &house));
    frame->color_range = AVCOL_RANGE_MPEG;
    frame->colorspace = AVCOL_SPC_BT709;
    picture_format_of(&format, frame, square, 0);
    assert_false(picture_is_house(&format, &house));
    av_frame_free(&frame);
}

static void roll_off_is_even_and_ends_at_white(void **state)
{
    double before = -1;

    (void)state;
    for (int peak = 300; peak <= 10000; peak *= 2) {
        before = -1;
        for (int nits = 0; nits <= 12000; nits += 3) {
            const double out = tone_roll_off(nits, peak);
            assert_true(out >= before);
            assert_true(out <= nits + 0.001 && out <= 203);
            before = out;
        }
        assert_true(before > 202.9);
    }
    assert_true(tone_roll_off(87, 1000) == 87);
}

/* Codes that no picture should have stay inside the tables. */
static void any_code_of_hdr_is_converted(void **state)
{
    const struct house house = { .width = 64,
                                 .height = 32,
                                 .rate = { 25, 1 },
                                 .sample_rate = 48000,
                                 .channels = 2 };
    static const enum AVColorTransferCharacteristic KINDS[] = {
        AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67, AVCOL_TRC_BT2020_10
    };
    uint8_t *memory = malloc(planes_bytes(&house));
    AVFrame *frame = av_frame_alloc();
    struct scaler scaler;
    struct planes planes;
    uint32_t random = 1;

    (void)state;
    frame->format = AV_PIX_FMT_YUVA420P10;
    frame->width = 64;
    frame->height = 32;
    frame->color_primaries = AVCOL_PRI_BT2020;
    assert_true(av_frame_get_buffer(frame, 0) >= 0);
    for (int p = 0; p < 4; p++) {
        uint16_t *data = (uint16_t *)frame->data[p];
        const int rows = p == 0 || p == 3 ? 32 : 16;
        for (int i = 0; i < frame->linesize[p] / 2 * rows; i++) {
            random = random * 1103515245 + 12345;
            data[i] = (uint16_t)(random >> 16);
        }
    }
    planes_lay(&planes, &house, memory);
    scaler_init(&scaler, &house);
    for (int i = 0; i < 3; i++) {
        frame->color_trc = KINDS[i];
        assert_int_equal(scaler_draw(&scaler, frame, (AVRational){ 1, 1 },
                                     TURN_MIRROR_X, &planes, NULL),
                         0);
        for (int x = 0; x < 64; x++)
            assert_in_range(planes.data[0][x], 1, 254);
    }
    scaler_clear(&scaler);
    av_frame_free(&frame);
    free(memory);
}

static void deinterlacing_leaves_what_stands_still(void **state)
{
    AVFrame *from = quartered(64, 32);
    AVFrame *to = quartered(64, 32);

    (void)state;
    from->top_field_first = 1;
    for (int field = 0; field < 2; field++) {
        deinterlace(to, from, from, from, field);
        for (int y = 0; y < 32; y++)
            assert_memory_equal(to->data[0] + y * to->linesize[0],
                                from->data[0] + y * from->linesize[0], 64);
    }
    av_frame_free(&from);
    av_frame_free(&to);
}

/* Field f of a picture that gets brighter from field to field. */
static AVFrame *brightening(int f, bool is_top_first)
{
    AVFrame *frame = quartered(64, 32);

    frame->interlaced_frame = 1;
    frame->top_field_first = is_top_first;
    for (int y = 0; y < 32; y++) {
        const int later = (y & 1) == (is_top_first ? 1 : 0);
        memset(frame->data[0] + y * frame->linesize[0], 20 + 10 * (f + later),
               64);
    }
    return frame;
}

static void deinterlacing_shows_each_field_at_its_time(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        AVFrame *former = brightening(0, order);
        AVFrame *now = brightening(2, order);
        AVFrame *next = brightening(4, order);
        AVFrame *to = quartered(64, 32);
        for (int field = 0; field < 2; field++) {
            deinterlace(to, former, now, next, field);
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 64; x++)
                    assert_int_equal(to->data[0][y * to->linesize[0] + x],
                                     40 + 10 * field);
        }
        /* where nothing is before it, from the field alone */
        deinterlace(to, NULL, now, NULL, 0);
        for (int y = 0; y < 32; y++)
            assert_in_range(to->data[0][y * to->linesize[0]], 39, 40);
        av_frame_free(&former);
        av_frame_free(&now);
        av_frame_free(&next);
        av_frame_free(&to);
    }
}

/* Whatever the size and depth, nothing outside the planes is touched. */
static void deinterlacing_takes_any_size(void **state)
{
    static const int FORMATS[] = { AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P10,
                                   AV_PIX_FMT_YUVA444P, AV_PIX_FMT_GBRP };

    (void)state;
    for (size_t f = 0; f < sizeof(FORMATS) / sizeof(FORMATS[0]); f++) {
        assert_true(deinterlace_can(FORMATS[f]));
        for (int height = 1; height < 20; height++) {
            AVFrame *frame[2];
            for (int i = 0; i < 2; i++) {
                frame[i] = av_frame_alloc();
                frame[i]->format = FORMATS[f];
                frame[i]->width = 37;
                frame[i]->height = height;
                assert_true(av_frame_get_buffer(frame[i], 0) >= 0);
                for (int p = 0; p < 4 && frame[i]->buf[p]; p++)
                    memset(frame[i]->buf[p]->data, 0, frame[i]->buf[p]->size);
            }
            deinterlace(frame[0], frame[1], frame[1], NULL, 0);
            deinterlace(frame[0], NULL, frame[1], frame[1], 1);
            av_frame_free(&frame[0]);
            av_frame_free(&frame[1]);
        }
    }
    assert_false(deinterlace_can(AV_PIX_FMT_YUYV422));
    assert_false(deinterlace_can(AV_PIX_FMT_YUV420P10BE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_floored_exactly),
        cmocka_unit_test(the_largest_moments_do_not_overflow),
        cmocka_unit_test(lengths_round_halves_up),
        cmocka_unit_test(rounded_timestamps_find_their_place),
        cmocka_unit_test(languages_match_in_any_code),
        cmocka_unit_test(sound_lies_where_its_timestamp_says),
        cmocka_unit_test(small_steps_are_left_alone_large_ones_are_not),
        cmocka_unit_test(sound_before_what_is_wanted_is_not_kept),
        cmocka_unit_test(fades_clip_and_ramp),
        cmocka_unit_test(below_the_ceiling_sound_is_untouched),
        cmocka_unit_test(what_is_limited_is_below_the_ceiling),
        cmocka_unit_test(the_limiter_forgets_all_but_its_history),
        cmocka_unit_test(display_matrices_become_turns),
        cmocka_unit_test(planes_are_turned_pixel_by_pixel),
        cmocka_unit_test(pictures_keep_their_shape_and_are_turned),
        cmocka_unit_test(only_a_house_picture_is_taken_as_it_is),
        cmocka_unit_test(roll_off_is_even_and_ends_at_white),
        cmocka_unit_test(any_code_of_hdr_is_converted),
        cmocka_unit_test(deinterlacing_leaves_what_stands_still),
        cmocka_unit_test(deinterlacing_shows_each_field_at_its_time),
        cmocka_unit_test(deinterlacing_takes_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
