/* mark: draws and reads the number in the picture.  See mark.h. */
#include "mark.h"

#include <libavutil/common.h>
#include <libavutil/mathematics.h>

enum {
    WHITE = 235,
    BLACK = 16,
    BITS = MARK_COLUMNS * MARK_ROWS,
    FRAME_COLUMNS = MARK_COLUMNS + 2, /* with the white frame */
    FRAME_ROWS = MARK_ROWS + 2
};

/* CRC-12 (x^12 + x^11 + x^3 + x^2 + x + 1) of 28 bits, not zero for zero. */
static unsigned crc12(uint32_t value)
{
    unsigned crc = 0xABC;

    for (int i = 27; i >= 0; i--) {
        const unsigned bit = ((crc >> 11) ^ (value >> i)) & 1;
        crc = ((crc << 1) & 0xFFF) ^ (bit ? 0x80F : 0);
    }
    return crc;
}

static void fill(uint8_t *luma, int stride, int x, int y, int width, int height,
                 uint8_t value)
{
    for (int row = y; row < y + height; row++) {
        for (int column = x; column < x + width; column++)
            luma[(int64_t)row * stride + column] = value;
    }
}

void mark_draw(uint8_t *luma, int stride, int width, int height,
               struct mark mark)
{
    const uint32_t payload = (uint32_t)mark.clip << 20 | (uint32_t)mark.frame;
    const uint64_t code = (uint64_t)payload << 12 | crc12(payload);
    const int unit = FFMAX(2, FFMIN(width / 16, height / 11) & ~1);
    const int left = (width - FRAME_COLUMNS * unit) / 2;
    const int top = (height - FRAME_ROWS * unit) / 2;

    fill(luma, stride, left - unit, top - unit, (FRAME_COLUMNS + 2) * unit,
         (FRAME_ROWS + 2) * unit, BLACK);
    fill(luma, stride, left, top, FRAME_COLUMNS * unit, FRAME_ROWS * unit,
         WHITE);
    for (int i = 0; i < BITS; i++) {
        const bool is_set = code >> (BITS - 1 - i) & 1;
        fill(luma, stride, left + (1 + i % MARK_COLUMNS) * unit,
             top + (1 + i / MARK_COLUMNS) * unit, unit, unit,
             is_set ? WHITE : BLACK);
    }
}

struct plane {
    const uint8_t *luma;
    int stride, width, height;
};

struct box {
    double left, top, unit_x, unit_y;
};

static int at(const struct plane *plane, int x, int y)
{
    return plane->luma[(int64_t)y * plane->stride + x];
}

/* First position from `from` on by `step` where two pixels pass the level. */
static int edge(const struct plane *plane, bool is_row, int across, int from,
                int to, int step, int level)
{
    int seen = 0;

    for (int i = from; i != to; i += step) {
        const int value = is_row ? at(plane, i, across) : at(plane, across, i);
        seen = value > level ? seen + 1 : 0;
        if (seen == 2)
            return i - step;
    }
    return -1;
}

static bool find_box(const struct plane *plane, int row, struct box *box)
{
    int peak = 0;

    for (int x = 0; x < plane->width; x++)
        peak = FFMAX(peak, at(plane, x, row));
    if (peak < 48)
        return false;
    const int level = BLACK + (peak - BLACK) * 72 / 100;
    const int left = edge(plane, true, row, 0, plane->width, 1, level);
    const int right = edge(plane, true, row, plane->width - 1, -1, -1, level);
    if (left < 0 || right - left < 2 * FRAME_COLUMNS)
        return false;
    const int middle = (left + right) / 2;
    const int top = edge(plane, false, middle, 0, plane->height, 1, level);
    const int bottom =
        edge(plane, false, middle, plane->height - 1, -1, -1, level);
    if (top < 0 || bottom - top < 2 * FRAME_ROWS)
        return false;
    box->left = left;
    box->top = top;
    box->unit_x = (right + 1 - left) / (double)FRAME_COLUMNS;
    box->unit_y = (bottom + 1 - top) / (double)FRAME_ROWS;
    return true;
}

/* Mean of the inner half of a cell; cells count from the frame's corner. */
static int cell(const struct plane *plane, const struct box *box, int column,
                int row)
{
    const int x0 = (int)(box->left + (column + 0.25) * box->unit_x);
    const int y0 = (int)(box->top + (row + 0.25) * box->unit_y);
    const int x1 =
        FFMAX(x0 + 1, (int)(box->left + (column + .75) * box->unit_x));
    const int y1 = FFMAX(y0 + 1, (int)(box->top + (row + 0.75) * box->unit_y));
    int sum = 0;
    int count = 0;

    for (int y = FFMAX(y0, 0); y < FFMIN(y1, plane->height); y++) {
        for (int x = FFMAX(x0, 0); x < FFMIN(x1, plane->width); x++) {
            sum += at(plane, x, y);
            count++;
        }
    }
    return count ? sum / count : 0;
}

/* Darkest cell of the white frame and brightest of the black margin. */
static bool contrast(const struct plane *plane, const struct box *box,
                     int *white, int *black)
{
    *white = 255;
    *black = 0;
    for (int column = -1; column <= FRAME_COLUMNS; column++) {
        for (int row = -1; row <= FRAME_ROWS; row++) {
            const bool is_margin = column < 0 || row < 0 ||
                                   column == FRAME_COLUMNS || row == FRAME_ROWS;
            const bool is_frame = column == 0 || row == 0 ||
                                  column == FRAME_COLUMNS - 1 ||
                                  row == FRAME_ROWS - 1;
            if (is_margin)
                *black = FFMAX(*black, cell(plane, box, column, row));
            else if (is_frame)
                *white = FFMIN(*white, cell(plane, box, column, row));
        }
    }
    return *white - *black >= 20;
}

static bool read_row(const struct plane *plane, int row, struct mark *mark)
{
    struct box box;
    int white, black;
    uint64_t code = 0;

    if (!find_box(plane, row, &box) || !contrast(plane, &box, &white, &black))
        return false;
    const int middle = (white + black) / 2;
    const int margin = (white - black) / 6;
    for (int i = 0; i < BITS; i++) {
        const int value =
            cell(plane, &box, 1 + i % MARK_COLUMNS, 1 + i / MARK_COLUMNS);
        if (FFABS(value - middle) < margin)
            return false;
        code = code << 1 | (value > middle);
    }
    const uint32_t payload = (uint32_t)(code >> 12);
    if (crc12(payload) != (code & 0xFFF))
        return false;
    mark->clip = (int)(payload >> 20);
    mark->frame = (int)(payload & MARK_FRAME_MAX);
    return true;
}

bool mark_read(const uint8_t *luma, int stride, int width, int height,
               struct mark *mark)
{
    const struct plane plane = { luma, stride, width, height };
    static const int offsets[] = { 0, -3, 3 };

    for (int i = 0; i < 3; i++) {
        const int row = height / 2 + offsets[i];
        if (row >= 0 && row < height && read_row(&plane, row, mark))
            return true;
    }
    return false;
}

int mark_tone_hz(int clip)
{
    return 500 + clip * 7 % 50 * 20; /* neighbours lie 140 Hz apart */
}

int64_t mark_sample(int64_t n, AVRational rate, int sample_rate)
{
    return av_rescale_rnd(n, (int64_t)rate.den * sample_rate, rate.num,
                          AV_ROUND_NEAR_INF);
}
