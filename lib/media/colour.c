/* colour: matrices, ranges and alpha; see the header. */
#include "media/colour.h"

#include <math.h>
#include <libavutil/common.h>
#include <libavutil/pixdesc.h>

#include "media/dovi.h"

#define BLACK_Y 16
#define BLACK_C 128

int colour_house_matrix(const struct house *house)
{
    return house->height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

static bool is_rgb(int pixel_format)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(pixel_format);

    return about && (about->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL |
                                     AV_PIX_FMT_FLAG_BAYER)) != 0;
}

int colour_matrix_of(const AVFrame *frame)
{
    if (is_rgb(frame->format))
        return AVCOL_SPC_RGB;
    if (dovi_is_own(frame))
        return COLOUR_IPT_C2;
    switch ((int)frame->colorspace) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_FCC:
    case AVCOL_SPC_SMPTE240M:
    case AVCOL_SPC_YCGCO:
    case AVCOL_SPC_ICTCP:
    case COLOUR_IPT_C2:
        return (int)frame->colorspace;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        return AVCOL_SPC_SMPTE170M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return AVCOL_SPC_BT2020_NCL;
    default: /* libav's enum, not ours */
        return frame->height >= 720 || frame->width >= 1280
                   ? AVCOL_SPC_BT709
                   : AVCOL_SPC_SMPTE170M;
    }
}

bool colour_is_full(const AVFrame *frame)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(frame->format);

    if (is_rgb(frame->format))
        return false; /* swscale knows; one value, for it is compared */
    if (colour_matrix_of(frame) == COLOUR_IPT_C2)
        return false; /* its metadata are of the code values as they are */
    if (frame->color_range != AVCOL_RANGE_UNSPECIFIED)
        return frame->color_range == AVCOL_RANGE_JPEG;
    switch (frame->format) {
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
        return true;
    default: /* pictures in grey are stills */
        return about && about->nb_components <= 2;
    }
}

void colour_weights(int matrix, double *kr, double *kb)
{
    switch (matrix) {
    case AVCOL_SPC_FCC:
        *kr = 0.30, *kb = 0.11;
        break;
    case AVCOL_SPC_SMPTE170M:
        *kr = 0.299, *kb = 0.114;
        break;
    case AVCOL_SPC_SMPTE240M:
        *kr = 0.212, *kb = 0.087;
        break;
    case AVCOL_SPC_BT2020_NCL:
        *kr = 0.2627, *kb = 0.0593;
        break;
    default: /* libav's enum, not ours */
        *kr = 0.2126, *kb = 0.0722;
        break;
    }
}

/* YCgCo of limited range is made of R, G and B of 219 steps, so its chroma has
 * 219 as well, where others have 224. */
static void ycgco_to_rgb(bool is_full, double to[3][2])
{
    const double step = is_full ? 1 : 224.0 / 219;

    to[0][0] = to[2][0] = to[2][1] = -step;
    to[1][0] = to[0][1] = step;
    to[1][1] = 0;
}

void colour_to_rgb(int matrix, bool is_full, double to[3][2])
{
    double kr, kb;

    if (matrix == AVCOL_SPC_YCGCO) {
        ycgco_to_rgb(is_full, to);
        return;
    }
    colour_weights(matrix, &kr, &kb);
    const double kg = 1 - kr - kb;
    to[0][0] = to[2][1] = 0;
    to[0][1] = 2 * (1 - kr);
    to[2][0] = 2 * (1 - kb);
    to[1][0] = -to[2][0] * kb / kg;
    to[1][1] = -to[0][1] * kr / kg;
}

static int fixed(double value)
{
    return (int)lround(value * 65536);
}

void matrix_init(struct matrix *matrix, int from, bool is_full, int to)
{
    double kr, kb, rgb[3][2];

    colour_to_rgb(from, is_full, rgb);
    colour_weights(to, &kr, &kb);
    const double kg = 1 - kr - kb;
    /* Y of the new matrix, less the old one's */
    const double yu = kr * rgb[0][0] + kg * rgb[1][0] + kb * rgb[2][0];
    const double yv = kr * rgb[0][1] + kg * rgb[1][1] + kb * rgb[2][1];

    *matrix = (struct matrix){
        .yu = fixed(yu * 219 / 224),
        .yv = fixed(yv * 219 / 224),
        .uu = fixed((rgb[2][0] - yu) / (2 * (1 - kb))),
        .uv = fixed((rgb[2][1] - yv) / (2 * (1 - kb))),
        .vu = fixed((rgb[0][0] - yu) / (2 * (1 - kr))),
        .vv = fixed((rgb[0][1] - yv) / (2 * (1 - kr))),
    };
}

static uint8_t clip(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Pixels of a row that go through each loop together, each loop simple enough
 * for the compiler to make vectors of it. */
enum { STRIP = 256 };

/* Chroma of a strip; `more` is what it adds to the luma over it. */
ALWAYS_INLINE void matrix_chroma(const struct matrix *matrix,
                                 uint8_t *restrict cb, uint8_t *restrict cr,
                                 int16_t *restrict more, int width)
{
    const struct matrix m = *matrix;
    const int half = 1 << 15;

    for (int x = 0; x < width; x++) {
        const int u = cb[x] - BLACK_C;
        const int v = cr[x] - BLACK_C;
        more[x] = (int16_t)((m.yu * u + m.yv * v + half) >> 16);
        cb[x] = clip(BLACK_C + ((m.uu * u + m.uv * v + half) >> 16));
        cr[x] = clip(BLACK_C + ((m.vu * u + m.vv * v + half) >> 16));
    }
}

/* Two rows of luma over one of chroma. */
ALWAYS_INLINE void matrix_rows(const struct matrix *matrix,
                               uint8_t *restrict y0, uint8_t *restrict y1,
                               uint8_t *restrict cb, uint8_t *restrict cr,
                               int width)
{
    int16_t more[STRIP / 2];
    int16_t wide[STRIP];

    for (int at = 0; at < width; at += STRIP) {
        const int count = FFMIN(STRIP, width - at);
        matrix_chroma(matrix, cb + at / 2, cr + at / 2, more, count / 2);
        for (int x = 0; x < count / 2; x++)
            wide[2 * x] = wide[2 * x + 1] = more[x];
        for (int x = 0; x < count; x++)
            y0[at + x] = clip(y0[at + x] + wide[x]);
        for (int x = 0; x < count; x++)
            y1[at + x] = clip(y1[at + x] + wide[x]);
    }
}

typedef void (*rows_function)(const struct matrix *, uint8_t *, uint8_t *,
                              uint8_t *, uint8_t *, int);

static void rows_plain(const struct matrix *matrix, uint8_t *y0, uint8_t *y1,
                       uint8_t *cb, uint8_t *cr, int width)
{
    matrix_rows(matrix, y0, y1, cb, cr, width);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void
rows_avx2(const struct matrix *matrix, uint8_t *y0, uint8_t *y1, uint8_t *cb,
          uint8_t *cr, int width)
{
    matrix_rows(matrix, y0, y1, cb, cr, width);
}
#endif

static rows_function rows_of_this_machine(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return rows_avx2;
#endif
    return rows_plain;
}

void matrix_apply(const struct matrix *matrix, const struct planes *planes,
                  int width, int height)
{
    const rows_function rows = rows_of_this_machine();

    for (int y = 0; y + 1 < height; y += 2) {
        uint8_t *luma = planes->data[0] + y * planes->stride[0];
        rows(matrix, luma, luma + planes->stride[0],
             planes->data[1] + y / 2 * planes->stride[1],
             planes->data[2] + y / 2 * planes->stride[2], width & ~1);
    }
}

/* black + (value - black) * alpha / (255 << shift); 257 / 65536 is 1 / 255. */
static uint8_t over(int value, int black, int alpha, int shift)
{
    const int half = 1 << (15 + shift);
    return (uint8_t)(black +
                     (((value - black) * alpha * 257 + half) >> (16 + shift)));
}

void colour_over_black(const struct planes *planes, int width, int height,
                       const uint8_t *alpha, int alpha_stride)
{
    for (int y = 0; y < height; y++) {
        uint8_t *restrict luma = planes->data[0] + y * planes->stride[0];
        const uint8_t *a = alpha + y * alpha_stride;
        for (int x = 0; x < width; x++)
            luma[x] = over(luma[x], BLACK_Y, a[x], 0);
    }
    for (int y = 0; y < height / 2; y++) {
        const uint8_t *a = alpha + 2 * y * alpha_stride;
        const uint8_t *b = a + alpha_stride;
        for (int p = 1; p < 3; p++) {
            uint8_t *restrict chroma = planes->data[p] + y * planes->stride[p];
            for (int x = 0; x < width / 2; x++) {
                const int sum =
                    a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1];
                chroma[x] = over(chroma[x], BLACK_C, sum, 2);
            }
        }
    }
}
