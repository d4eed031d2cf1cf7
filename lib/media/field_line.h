/*
 * field_line: a line between two lines of a field, the inner loops of
 * deinterlace.c.
 *
 * The one that makes nearly every line is there in plain C and in vectors.
 * Both make the same samples to the bit, so what a channel shows does not
 * depend on the machine.
 */
#ifndef RV_MEDIA_FIELD_LINE_H
#define RV_MEDIA_FIELD_LINE_H

#include <stdbool.h>

/*
 * Lines around the one that is made, `width` samples each: bytes if the depth
 * is 8, else 16 bits in this machine's order.  [0] and [1] of `now`, `former`
 * and `next` lie below and above by one, [2] and [3] of `now` by three; old and
 * new, the fields of the other parity before and behind it, have 0, +2, -2, +4
 * and -4.
 */
struct field_rows {
    const void *now[4], *old[5], *new[5], *former[2], *next[2];
};

/* Depth is 8 to 16 bits, `to` is none of the rows; any thread.  All rows are
 * there. */
typedef void (*field_line)(void *to, const struct field_rows *rows, int width,
                           int depth);

void field_line_plain(void *to, const struct field_rows *rows, int width,
                      int depth);

/* The fastest one that this machine can run. */
field_line field_line_fastest(void);

/* Near the upper and lower edge, where rows by 3 and 4 are missing and perhaps
 * those by 2. */
void field_line_edge(void *to, const struct field_rows *rows, int width,
                     int depth, bool has_2);

/* From this field alone, where there is none before or behind it: `now`, and
 * its rows by 3 unless NULL. */
void field_line_alone(void *to, const struct field_rows *rows, int width,
                      int depth);

#endif
