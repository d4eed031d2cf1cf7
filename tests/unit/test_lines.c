/* Lines made in vectors are the plain ones to the bit: of deinterlacing and of
 * looking for combs, in each depth and at any width. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "media/comb_line.h"
#include "media/field_line.h"

#define WIDEST 200
#define ROWS   18
#define ROUNDS 400

static uint32_t dice = 1;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)dice * sides) >> 32);
}

/* A row ends where it ends: what reads or writes behind it is seen. */
static void *row_new(int width, int depth)
{
    void *row = malloc((size_t)width * (depth > 8 ? 2 : 1));

    assert_non_null(row);
    return row;
}

/* Extremes, steps about the ones that count, and noise around one value. */
static void fill(void *row, int width, int depth)
{
    const uint32_t most = (1u << depth) - 1;
    const uint32_t middle = roll(most + 1);
    const uint32_t kind = roll(4);

    for (int x = 0; x < width; x++) {
        uint32_t value = roll(most + 1);
        if (kind == 1)
            value = roll(2) ? most : 0;
        else if (kind == 2)
            value = middle + roll(24 << (depth - 8));
        else if (kind == 3)
            value = middle;
        value = value > most ? most : value;
        if (depth == 8)
            ((uint8_t *)row)[x] = (uint8_t)value;
        else
            ((uint16_t *)row)[x] = (uint16_t)value;
    }
}

static void fill_rows(void *rows[ROWS], int width, int depth)
{
    for (int i = 0; i < ROWS; i++) {
        /* one like another one, so that there is nothing that moves */
        const void *like = i > 0 && roll(4) == 0 ? rows[roll((uint32_t)i)] : 0;
        rows[i] = row_new(width, depth);
        if (like)
            memcpy(rows[i], like, (size_t)width * (depth > 8 ? 2 : 1));
        else
            fill(rows[i], width, depth);
    }
}

static void free_rows(void *rows[ROWS])
{
    for (int i = 0; i < ROWS; i++)
        free(rows[i]);
}

static struct field_rows field_rows_of(void *rows[ROWS])
{
    struct field_rows field;

    for (int i = 0; i < 4; i++)
        field.now[i] = rows[i];
    for (int i = 0; i < 5; i++) {
        field.old[i] = rows[4 + i];
        field.new[i] = rows[9 + i];
    }
    for (int i = 0; i < 2; i++) {
        field.former[i] = rows[14 + i];
        field.next[i] = rows[16 + i];
    }
    return field;
}

static void between_lines_at(int width, int depth)
{
    const field_line fastest = field_line_fastest();
    const size_t size = (size_t)width * (depth > 8 ? 2 : 1);
    void *rows[ROWS];
    void *plain = row_new(width, depth);
    void *fast = row_new(width, depth);

    fill_rows(rows, width, depth);
    const struct field_rows field = field_rows_of(rows);
    field_line_plain(plain, &field, width, depth);
    fastest(fast, &field, width, depth);
    assert_memory_equal(fast, plain, size);
    free(plain);
    free(fast);
    free_rows(rows);
}

static void lines_between_lines_are_the_plain_ones(void **state)
{
    static const int DEPTHS[] = { 8, 9, 10, 12, 14, 16 };

    (void)state;
    if (field_line_fastest() == field_line_plain)
        skip(); /* this machine has no vectors to compare */
    for (size_t d = 0; d < sizeof(DEPTHS) / sizeof(DEPTHS[0]); d++) {
        for (int width = 1; width <= 70; width++)
            between_lines_at(width, DEPTHS[d]);
        for (int i = 0; i < ROUNDS; i++)
            between_lines_at(1 + (int)roll(WIDEST), DEPTHS[d]);
    }
}

/* Where nothing moves, a line is the mean of those before and behind it. */
static void what_stands_still_is_kept(void **state)
{
    static const uint8_t LINE[WIDEST] = { 1, 2, 3 };
    static const uint8_t ABOVE[WIDEST] = { 200, 0, 200 };
    struct field_rows field;
    uint8_t to[WIDEST] = { 9 };

    (void)state;
    for (int i = 0; i < 4; i++)
        field.now[i] = ABOVE;
    for (int i = 0; i < 5; i++)
        field.old[i] = field.new[i] = LINE;
    for (int i = 0; i < 2; i++)
        field.former[i] = field.next[i] = ABOVE;
    field_line_fastest()(to, &field, WIDEST, 8);
    assert_memory_equal(to, LINE, WIDEST);
}

static int combs_at(int width, int depth)
{
    const comb_line fastest = comb_line_fastest();
    uint8_t *plain = row_new(width, 8);
    uint8_t *fast = row_new(width, 8);
    struct comb_lines lines;
    void *rows[ROWS];
    int found = 0;

    fill_rows(rows, width, depth);
    for (int i = 0; i < 4; i++)
        lines.at[i] = rows[i];
    lines.other = rows[4];
    for (int x = 0; x < width; x++)
        plain[x] = fast[x] = (uint8_t)roll(200);
    const uint8_t first = plain[0];
    comb_line_plain(plain, &lines, width, depth);
    fastest(fast, &lines, width, depth);
    assert_memory_equal(fast, plain, width);
    found = plain[0] != first;
    free(plain);
    free(fast);
    free_rows(rows);
    return found;
}

static void combs_are_counted_as_the_plain_ones(void **state)
{
    static const int DEPTHS[] = { 8, 9, 10, 12, 16 };

    (void)state;
    if (comb_line_fastest() == comb_line_plain)
        skip();
    for (size_t d = 0; d < sizeof(DEPTHS) / sizeof(DEPTHS[0]); d++) {
        int found = 0;
        for (int i = 0; i < ROUNDS; i++) {
            const int blocks = 1 + (int)roll(WIDEST / COMB_LINE_BLOCK);
            found += combs_at(blocks * COMB_LINE_BLOCK, DEPTHS[d]);
        }
        assert_in_range(found, ROUNDS / 20, ROUNDS / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_between_lines_are_the_plain_ones),
        cmocka_unit_test(what_stands_still_is_kept),
        cmocka_unit_test(combs_are_counted_as_the_plain_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
