/* Which fields were one picture: 2:3 pulldown, segmented frames, video; made
 * of a texture that moves, in each depth and at any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libavutil/pixdesc.h>

#include "media/fields.h"

#define WIDTH  200
#define HEIGHT 120

static AVFrame *blank(int format, int width, int height)
{
    AVFrame *frame = av_frame_alloc();

    frame->format = format;
    frame->width = width;
    frame->height = height;
    assert_true(av_frame_get_buffer(frame, 0) >= 0);
    for (int p = 0; p < 4 && frame->buf[p]; p++)
        memset(frame->buf[p]->data, 0, frame->buf[p]->size);
    return frame;
}

/* Bright bars on dark, moved on by five pixels a moment. */
static int texture(int x, int moment)
{
    return (x + 5 * moment) % 23 < 9 ? 200 : 40;
}

/* Lines of one parity as they are at a moment. */
static void paint(AVFrame *frame, int parity, int moment)
{
    const int depth = av_pix_fmt_desc_get(frame->format)->comp[0].depth;

    for (int y = parity; y < frame->height; y += 2) {
        uint8_t *row = frame->data[0] + y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++) {
            const int value = texture(x, moment) << (depth - 8);
            if (depth == 8)
                row[x] = (uint8_t)value;
            else
                ((uint16_t *)row)[x] = (uint16_t)value;
        }
    }
}

/* A picture whose fields are of two moments. */
static AVFrame *picture(int format, bool is_top_first, int first, int second)
{
    AVFrame *frame = blank(format, WIDTH, HEIGHT);

    frame->interlaced_frame = 1;
    frame->top_field_first = is_top_first;
    paint(frame, is_top_first ? 0 : 1, first);
    paint(frame, is_top_first ? 1 : 0, second);
    return frame;
}

/* What is found of pictures in a row whose fields are of these moments. */
static void find(struct fields *fields, int count, const int *moments,
                 int format, bool is_top_first, bool is_flagged)
{
    struct fields_eye eye = FIELDS_EYE_EMPTY;
    AVFrame *former = NULL;

    for (int i = 0; i < count; i++) {
        AVFrame *frame =
            picture(format, is_top_first, moments[2 * i], moments[2 * i + 1]);
        if (!is_flagged)
            frame->interlaced_frame = frame->top_field_first = 0;
        fields_look(&eye, &fields[i], frame, former, !is_flagged);
        if (fields[i].is_found)
            assert_int_equal(frame->top_field_first, is_top_first);
        av_frame_free(&former);
        former = frame;
    }
    av_frame_free(&former);
    fields_eye_clear(&eye);
}

/* A A, B B, B C, C D, D D and once more */
static const int FILM[] = { 0, 0, 1, 1, 1, 2, 2, 3, 3, 3,
                            4, 4, 5, 5, 5, 6, 6, 7, 7, 7 };

static const int FORMATS[] = { AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P10,
                               AV_PIX_FMT_YUV444P12, AV_PIX_FMT_GBRP16 };

static void fields_of_film_find_each_other(void **state)
{
    struct fields f[10];

    (void)state;
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        for (int order = 0; order < 2; order++) {
            find(f, 10, FILM, FORMATS[i], order == 0, true);
            assert_int_equal(fields_partner(&f[6], &f[7], 0), PARTNER_OWN);
            assert_int_equal(fields_partner(&f[6], &f[7], 1), PARTNER_NONE);
            assert_int_equal(fields_partner(&f[7], &f[8], 0), PARTNER_FORMER);
            assert_int_equal(fields_partner(&f[7], &f[8], 1), PARTNER_NEXT);
            assert_int_equal(fields_partner(&f[8], &f[9], 0), PARTNER_FORMER);
            assert_int_equal(fields_partner(&f[8], &f[9], 1), PARTNER_NEXT);
            assert_int_equal(fields_partner(&f[5], &f[6], 0), PARTNER_OWN);
            assert_int_equal(fields_partner(&f[5], &f[6], 1), PARTNER_OWN);
            /* behind B B B at the second field of B C, behind D D D at A A */
            for (int n = 1; n < 9; n++) {
                assert_int_equal(fields_follow_three(&f[n], &f[n + 1], 0),
                                 n % 5 == 2);
                assert_int_equal(fields_follow_three(&f[n], &f[n + 1], 1),
                                 n % 5 == 4);
            }
        }
    }
}

static void film_without_flags_is_found_where_it_is_combed(void **state)
{
    struct fields f[10];

    (void)state;
    for (int order = 0; order < 2; order++) {
        find(f, 10, FILM, AV_PIX_FMT_YUV420P, order == 0, false);
        for (int n = 1; n < 10; n++)
            assert_int_equal(f[n].is_found, n % 5 == 2 || n % 5 == 3);
        assert_int_equal(fields_partner(&f[7], &f[8], 0), PARTNER_FORMER);
        assert_int_equal(fields_partner(&f[8], &f[9], 1), PARTNER_NEXT);
    }
}

static void segmented_frames_are_pictures(void **state)
{
    static const int MOMENTS[] = { 0, 0, 1, 1, 2, 2, 3, 3 };
    struct fields f[4];

    (void)state;
    find(f, 4, MOMENTS, AV_PIX_FMT_YUV420P, true, true);
    for (int field = 0; field < 2; field++)
        assert_int_equal(fields_partner(&f[2], &f[3], field), PARTNER_OWN);
    assert_false(fields_follow_three(&f[2], &f[3], 0));
    assert_false(fields_follow_three(&f[2], &f[3], 1));
    find(f, 4, MOMENTS, AV_PIX_FMT_YUV420P, true, false);
    assert_false(f[2].is_found);
}

static void video_has_no_partners(void **state)
{
    static const int MOMENTS[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct fields f[4];

    (void)state;
    for (int is_flagged = 0; is_flagged < 2; is_flagged++) {
        find(f, 4, MOMENTS, AV_PIX_FMT_YUV420P, true, is_flagged == 1);
        assert_int_equal(f[2].is_found, is_flagged == 0);
        for (int field = 0; field < 2; field++)
            assert_int_equal(fields_partner(&f[2], &f[3], field), PARTNER_NONE);
    }
}

static void what_stands_still_is_left_alone(void **state)
{
    static const int MOMENTS[] = { 3, 3, 3, 3, 3, 3 };
    struct fields f[3];

    (void)state;
    find(f, 3, MOMENTS, AV_PIX_FMT_YUV420P, true, false);
    assert_false(f[1].is_found || f[2].is_found);
    find(f, 3, MOMENTS, AV_PIX_FMT_YUV420P, true, true);
    assert_int_equal(fields_partner(&f[1], &f[2], 0), PARTNER_NONE);
    assert_int_equal(fields_partner(&f[2], NULL, 1), PARTNER_NONE);
}

static void woven_fields_are_the_picture(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        AVFrame *former = picture(AV_PIX_FMT_YUV420P, order, 1, 1);
        AVFrame *now = picture(AV_PIX_FMT_YUV420P, order, 1, 2);
        AVFrame *next = picture(AV_PIX_FMT_YUV420P, order, 2, 3);
        AVFrame *to = blank(AV_PIX_FMT_YUV420P, WIDTH, HEIGHT);
        for (int field = 0; field < 2; field++) {
            fields_weave(to, former, now, next, field);
            for (int y = 0; y < HEIGHT; y++)
                for (int x = 0; x < WIDTH; x++)
                    assert_int_equal(to->data[0][y * to->linesize[0] + x],
                                     texture(x, 1 + field));
        }
        av_frame_free(&former);
        av_frame_free(&now);
        av_frame_free(&next);
        av_frame_free(&to);
    }
}

/* Sizes come and go; nothing outside the planes is read. */
static void any_size_is_looked_at(void **state)
{
    struct fields_eye eye = FIELDS_EYE_EMPTY;
    struct fields fields;

    (void)state;
    for (size_t f = 0; f < sizeof(FORMATS) / sizeof(FORMATS[0]); f++) {
        for (int size = 1; size < 40; size++) {
            AVFrame *one = blank(FORMATS[f], 2 * size, size);
            AVFrame *other = blank(FORMATS[f], 2 * size, size);
            paint(other, 1, 2);
            other->interlaced_frame = size & 1;
            fields_look(&eye, &fields, one, NULL, true);
            fields_look(&eye, &fields, other, one, true);
            fields_look(&eye, &fields, one, other, true);
            av_frame_free(&one);
            av_frame_free(&other);
        }
    }
    /* wider than what is looked at in one go */
    AVFrame *wide = blank(AV_PIX_FMT_YUV420P, 5000, 40);
    AVFrame *former = blank(AV_PIX_FMT_YUV420P, 5000, 40);
    paint(wide, 1, 2);
    wide->interlaced_frame = 1;
    fields_look(&eye, &fields, wide, former, false);
    assert_int_equal(eye.last.across, 5000 / 16);
    assert_true(eye.last.of_block[5000 / 16 - 1] > 32);
    av_frame_free(&wide);
    av_frame_free(&former);
    fields_eye_clear(&eye);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_film_find_each_other),
        cmocka_unit_test(film_without_flags_is_found_where_it_is_combed),
        cmocka_unit_test(segmented_frames_are_pictures),
        cmocka_unit_test(video_has_no_partners),
        cmocka_unit_test(what_stands_still_is_left_alone),
        cmocka_unit_test(woven_fields_are_the_picture),
        cmocka_unit_test(any_size_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
