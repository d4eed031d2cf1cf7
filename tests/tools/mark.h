/*
 * mark: a number in the picture, a click in the sound.
 *
 * Test media carry their own frame numbers, so that what comes out of a
 * pipeline is compared with what went in and not with an opinion.  The picture
 * holds a grid of black and white cells around its centre, the sound a burst
 * at the start of every fifth frame over a steady tone:
 *
 *      black margin, 1 cell            bits, row by row, most significant first
 *      +--------------------+            clip   8
 *      |  white frame, 1    |            frame 20
 *      |  +--------------+  |            CRC   12  over the 28 bits before
 *      |  | 8 x 5 cells  |  |
 *      |  +--------------+  |
 *      +--------------------+
 *
 * The reader finds the white frame from outside along the picture's middle
 * row and column, so scaling, letter boxes, fades and lossy coding do no harm.
 * If the CRC were weaker, any slate would sooner or later read as a frame.
 */
#ifndef RV_TESTS_MARK_H
#define RV_TESTS_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include <libavutil/rational.h>

enum {
    MARK_CLIP_MAX = 255,
    MARK_FRAME_MAX = (1 << 20) - 1,
    MARK_COLUMNS = 8,
    MARK_ROWS = 5,
    MARK_BURST_EVERY = 5, /* frames */
    MARK_BURST_HZ = 6000,
    MARK_BURST_US = 2000
};

#define MARK_BURST_LEVEL 0.6
#define MARK_TONE_LEVEL  0.15

struct mark {
    int clip;
    int frame;
};

/* Draws a mark into a plane of 8-bit luma, limited range. */
void mark_draw(uint8_t *luma, int stride, int width, int height,
               struct mark mark);

/* Reads a mark; false when there is none (slate, black, too damaged). */
bool mark_read(const uint8_t *luma, int stride, int width, int height,
               struct mark *mark);

/* The steady tone of a clip: 500 to 1480 Hz. */
int mark_tone_hz(int clip);

/* First sample of frame n: n / rate seconds, rounded to the nearest sample. */
int64_t mark_sample(int64_t n, AVRational rate, int sample_rate);

#endif
