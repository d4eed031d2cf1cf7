/*
 * comb_line: counts the places of a line where woven fields comb, the inner
 * loop of fields.c.
 *
 * A comb goes up, down and up again (or the other way) in four lines, where
 * something has changed; a thin line only goes up and down.  There is one in
 * plain C and one in vectors; both count the same.
 */
#ifndef RV_MEDIA_COMB_LINE_H
#define RV_MEDIA_COMB_LINE_H

#include <stdint.h>

/* Widths are multiples of it, in samples. */
#define COMB_LINE_BLOCK 16

/* Four lines that follow each other, and the second one in the other picture:
 * bytes if the depth is 8, else 16 bits in this machine's order. */
struct comb_lines {
    const void *at[4];
    const void *other;
};

/* One more in each of `places` that combs; at most 255 lines are counted in
 * one.  Depth is 8 to 16 bits; any thread. */
typedef void (*comb_line)(uint8_t *places, const struct comb_lines *lines,
                          int width, int depth);

void comb_line_plain(uint8_t *places, const struct comb_lines *lines, int width,
                     int depth);

/* The fastest one that this machine can run. */
comb_line comb_line_fastest(void);

#endif
