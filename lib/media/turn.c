/*
 * turn: one plane transposed, mirrored, or both.
 *
 * Read along a column, each pixel is in a cache line of its own; so squares of
 * 16 by 16 are turned in registers, by four rounds that interleave the rows of
 * the upper half with those of the lower one:
 *
 *     row i, row i + 8  ->  row 2 i, row 2 i + 1
 *
 * The number of a byte, row and column in 8 bits, turns by one bit in a round,
 * so that after four row and column have changed places.
 */
#include "media/picture.h"

#include <string.h>
#include <libavutil/imgutils.h>

#define SQUARE 16

typedef uint8_t square_row __attribute__((vector_size(SQUARE)));

static square_row low(square_row a, square_row b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                   21, 6, 22, 7, 23);
}

static square_row high(square_row a, square_row b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                   13, 29, 14, 30, 15, 31);
}

static void transpose_square(uint8_t *to, int to_stride, const uint8_t *from,
                             int from_stride)
{
    square_row rows[2][SQUARE];

    for (int i = 0; i < SQUARE; i++)
        memcpy(&rows[0][i], from + i * from_stride, SQUARE);
    for (int round = 0; round < 4; round++) {
        const square_row *in = rows[round & 1];
        square_row *out = rows[~round & 1];
        for (int i = 0; i < SQUARE / 2; i++) {
            out[2 * i] = low(in[i], in[i + SQUARE / 2]);
            out[2 * i + 1] = high(in[i], in[i + SQUARE / 2]);
        }
    }
    for (int i = 0; i < SQUARE; i++)
        memcpy(to + i * to_stride, &rows[0][i], SQUARE);
}

/* The last square of a row or column lies over its neighbour. */
static int square_at(int at, int length)
{
    return at + SQUARE <= length ? at : length - SQUARE;
}

/* `width` and `height` are the target's, here and below. */
static void transpose(uint8_t *to, int to_stride, const uint8_t *from,
                      int from_stride, int width, int height)
{
    if (width < SQUARE || height < SQUARE) {
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                to[y * to_stride + x] = from[x * from_stride + y];
        return;
    }
    for (int row = 0; row < height; row += SQUARE) {
        const int y = square_at(row, height);
        for (int column = 0; column < width; column += SQUARE) {
            const int x = square_at(column, width);
            transpose_square(to + y * to_stride + x, to_stride,
                             from + x * from_stride + y, from_stride);
        }
    }
}

/* A row from right to left, eight pixels at a time. */
static void mirror_row(uint8_t *to, const uint8_t *from, int width)
{
    int x = 0;

    for (; x + 8 <= width; x += 8) {
        uint64_t eight;
        memcpy(&eight, from + width - 8 - x, sizeof(eight));
        eight = __builtin_bswap64(eight);
        memcpy(to + x, &eight, sizeof(eight));
    }
    for (; x < width; x++)
        to[x] = from[width - 1 - x];
}

void turn_plane(uint8_t *to, int to_stride, const uint8_t *from,
                int from_stride, int width, int height, uint32_t turn)
{
    if (turn & TURN_MIRROR_Y) {
        to += (height - 1) * to_stride;
        to_stride = -to_stride;
    }
    if (turn & TURN_TRANSPOSE) {
        /* a target's row is a column of `from` */
        if (turn & TURN_MIRROR_X) {
            from += (width - 1) * from_stride;
            from_stride = -from_stride;
        }
        transpose(to, to_stride, from, from_stride, width, height);
    } else if (turn & TURN_MIRROR_X) {
        for (int y = 0; y < height; y++)
            mirror_row(to + y * to_stride, from + y * from_stride, width);
    } else {
        av_image_copy_plane(to, to_stride, from, from_stride, width, height);
    }
}
