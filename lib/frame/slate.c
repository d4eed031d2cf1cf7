/*
 * slate: the card that a channel shows when it has nothing else.
 *
 * Drawn once, with a small font of our own (5 x 7 dots, capitals: small letters
 * are shown as capitals, without their accents) that is scaled by a whole
 * number, in as many lines as make it largest.  It needs no file, so it is
 * there when everything else is missing.
 */
#include "frame/slate.h"

#include <string.h>

#define GLYPH_WIDTH  5
#define GLYPH_HEIGHT 7
#define GLYPH_STEP   6 /* with the gap to the next */
#define LINE_STEP    9 /* with the gap to the next */
#define LINES_MAX    4
#define TITLE_MAX    64

/* Limited range.  Clearly neither black nor white, so that a card is not
 * mistaken for either by eye or by a detector. */
#define LUMA_GROUND 58
#define LUMA_BAND   96
#define LUMA_TEXT   220
#define CB_GROUND   142
#define CR_GROUND   120

/* A glyph is seven rows from the top; bit 4 of a row is its left dot. */
static const uint8_t FONT[64][GLYPH_HEIGHT] = {
    [' ' - 32] = { 0 },
    ['!' - 32] = { 0x04, 0x04, 0x04, 0x04, 0x04, 0x00, 0x04 },
    ['"' - 32] = { 0x0a, 0x0a, 0x0a, 0x00, 0x00, 0x00, 0x00 },
    ['#' - 32] = { 0x0a, 0x0a, 0x1f, 0x0a, 0x1f, 0x0a, 0x0a },
    ['$' - 32] = { 0x04, 0x0f, 0x14, 0x0e, 0x05, 0x1e, 0x04 },
    ['%' - 32] = { 0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03 },
    ['&' - 32] = { 0x0c, 0x12, 0x14, 0x08, 0x15, 0x12, 0x0d },
    ['\'' - 32] = { 0x04, 0x04, 0x08, 0x00, 0x00, 0x00, 0x00 },
    ['(' - 32] = { 0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02 },
    [')' - 32] = { 0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08 },
    ['*' - 32] = { 0x00, 0x04, 0x15, 0x0e, 0x15, 0x04, 0x00 },
    ['+' - 32] = { 0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00 },
    [',' - 32] = { 0x00, 0x00, 0x00, 0x00, 0x0c, 0x04, 0x08 },
    ['-' - 32] = { 0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00 },
    ['.' - 32] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c },
    ['/' - 32] = { 0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x00 },
    ['0' - 32] = { 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e },
    ['1' - 32] = { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e },
    ['2' - 32] = { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f },
    ['3' - 32] = { 0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e },
    ['4' - 32] = { 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 },
    ['5' - 32] = { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e },
    ['6' - 32] = { 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e },
    ['7' - 32] = { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 },
    ['8' - 32] = { 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e },
    ['9' - 32] = { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c },
    [':' - 32] = { 0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00 },
    [';' - 32] = { 0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x04, 0x08 },
    ['<' - 32] = { 0x02, 0x04, 0x08, 0x10, 0x08, 0x04, 0x02 },
    ['=' - 32] = { 0x00, 0x00, 0x1f, 0x00, 0x1f, 0x00, 0x00 },
    ['>' - 32] = { 0x08, 0x04, 0x02, 0x01, 0x02, 0x04, 0x08 },
    ['?' - 32] = { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x00, 0x04 },
    ['@' - 32] = { 0x0e, 0x11, 0x17, 0x15, 0x17, 0x10, 0x0f },
    ['A' - 32] = { 0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11 },
    ['B' - 32] = { 0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e },
    ['C' - 32] = { 0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e },
    ['D' - 32] = { 0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c },
    ['E' - 32] = { 0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f },
    ['F' - 32] = { 0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10 },
    ['G' - 32] = { 0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f },
    ['H' - 32] = { 0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11 },
    ['I' - 32] = { 0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e },
    ['J' - 32] = { 0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c },
    ['K' - 32] = { 0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11 },
    ['L' - 32] = { 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f },
    ['M' - 32] = { 0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11 },
    ['N' - 32] = { 0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11 },
    ['O' - 32] = { 0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e },
    ['P' - 32] = { 0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10 },
    ['Q' - 32] = { 0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d },
    ['R' - 32] = { 0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11 },
    ['S' - 32] = { 0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e },
    ['T' - 32] = { 0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04 },
    ['U' - 32] = { 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e },
    ['V' - 32] = { 0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04 },
    ['W' - 32] = { 0x11, 0x11, 0x11, 0x15, 0x15, 0x15, 0x0a },
    ['X' - 32] = { 0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11 },
    ['Y' - 32] = { 0x11, 0x11, 0x11, 0x0a, 0x04, 0x04, 0x04 },
    ['Z' - 32] = { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f },
    ['[' - 32] = { 0x0e, 0x08, 0x08, 0x08, 0x08, 0x08, 0x0e },
    ['\\' - 32] = { 0x00, 0x10, 0x08, 0x04, 0x02, 0x01, 0x00 },
    [']' - 32] = { 0x0e, 0x02, 0x02, 0x02, 0x02, 0x02, 0x0e },
    ['^' - 32] = { 0x04, 0x0a, 0x11, 0x00, 0x00, 0x00, 0x00 },
    ['_' - 32] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f },
};

/* The luma plane that is drawn into. */
struct canvas {
    uint8_t *luma;
    uint32_t stride_bytes;
    int width, height;
};

static void fill_rect(const struct canvas *canvas, int x, int y, int width,
                      int height, uint8_t value)
{
    for (int row = y < 0 ? 0 : y; row < y + height && row < canvas->height;
         row++) {
        for (int col = x < 0 ? 0 : x; col < x + width && col < canvas->width;
             col++)
            canvas->luma[(size_t)row * canvas->stride_bytes + (size_t)col] =
                value;
    }
}

/* --- the text ------------------------------------------------------------- */

/* U+00C0 to U+017F (Latin-1 and Latin Extended-A) without their accents. */
static const char PLAIN[] = "AAAAAAACEEEEIIIIDNOOOOOXOUUUUYTS"
                            "AAAAAAACEEEEIIIIDNOOOOO/OUUUUYTY"
                            "AAAAAACCCCCCCCDDDDEEEEEEEEEEGGGG"
                            "GGGGHHHHIIIIIIIIIIJJJJKKKLLLLLLL"
                            "LLLNNNNNNNNNOOOOOOOORRRRRRSSSSSS"
                            "SSTTTTTTUUUUUUUUUUUUWWYYYZZZZZZS";

_Static_assert(sizeof(PLAIN) == 0x180 - 0xc0 + 1, "a letter each");

/* The next character of UTF-8 text as one that the font has. */
static char next_char(const uint8_t **text)
{
    const uint8_t c = *(*text)++;

    if (c < 0x80) {
        const char upper =
            c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : (char)c;
        return upper < ' ' || upper > '_' ? '?' : upper;
    }
    unsigned point = 0;
    if ((c == 0xc3 || c == 0xc4 || c == 0xc5) && (**text & 0xc0) == 0x80)
        point = (c & 0x1fu) << 6 | (**text & 0x3fu);
    while (c >= 0xc0 && (**text & 0xc0) == 0x80)
        (*text)++;
    return point >= 0xc0 ? PLAIN[point - 0xc0] : '?';
}

static void spell(const char *title, char text[TITLE_MAX + 1])
{
    const uint8_t *from = (const uint8_t *)title;
    int length = 0;

    while (*from != '\0' && length < TITLE_MAX)
        text[length++] = next_char(&from);
    text[length] = '\0';
}

struct line {
    const char *text;
    int length;
};

/*
 * Words into lines of at most `columns`: how many, 0 when they do not fit.
 * With `is_last` they must: a long word is broken, what is over is left out.
 */
static int wrap(const char *text, int columns, bool is_last,
                struct line line[LINES_MAX])
{
    int count = 0;

    for (;;) {
        text += strspn(text, " ");
        if (*text == '\0')
            return count;
        if (count == LINES_MAX)
            return is_last ? count : 0;
        int length = 0;
        for (int end = 0; end <= columns; end++) {
            if (text[end] != ' ' && text[end] != '\0')
                continue;
            length = end;
            if (text[end] == '\0')
                break;
        }
        while (length > 0 && text[length - 1] == ' ')
            length--;
        if (length == 0 && !is_last)
            return 0;
        if (length == 0)
            length = columns;
        line[count++] = (struct line){ .text = text, .length = length };
        text += length;
    }
}

static void draw_line(const struct canvas *canvas, int y, int scale,
                      const struct line *line)
{
    int x = (canvas->width - (line->length * GLYPH_STEP - 1) * scale) / 2;

    for (int i = 0; i < line->length; i++, x += GLYPH_STEP * scale) {
        const uint8_t *glyph = FONT[line->text[i] - ' '];
        for (int row = 0; row < GLYPH_HEIGHT; row++) {
            for (int col = 0; col < GLYPH_WIDTH; col++) {
                if (glyph[row] & (0x10 >> col))
                    fill_rect(canvas, x + col * scale, y + row * scale, scale,
                              scale, LUMA_TEXT);
            }
        }
    }
}

/* The largest scale at which the text fits into 4/5 of the width and 3/5 of
 * the height in `most` lines; 0: none. */
static int largest_scale(const struct canvas *canvas, const char *text,
                         int most, struct line line[LINES_MAX])
{
    for (int scale = canvas->height / 6 / GLYPH_HEIGHT; scale > 0; scale--) {
        const int columns = canvas->width * 4 / 5 / (GLYPH_STEP * scale);
        const int count = wrap(text, columns, false, line);
        if (count > 0 && count <= most &&
            count * LINE_STEP * scale <= canvas->height * 3 / 5)
            return scale;
    }
    return 0;
}

/* The scale, and the lines: one more only where letters get half as large
 * again. */
static int fit(const struct canvas *canvas, const char *text,
               struct line line[LINES_MAX], int *count)
{
    int best = 0;

    for (int lines = 1; lines <= LINES_MAX; lines++) {
        const int scale = largest_scale(canvas, text, lines, line);
        if (scale > 0 && 2 * scale >= 3 * best)
            best = scale;
    }
    const int scale = best > 0 ? best : 1;
    const int columns = best > 0 ? canvas->width * 4 / 5 / (GLYPH_STEP * best)
                                 : canvas->width / GLYPH_STEP;
    const int lines = canvas->height / (LINE_STEP * scale);
    *count = wrap(text, columns > 0 ? columns : 1, true, line);
    if (*count > lines)
        *count = lines > 0 ? lines : 1;
    return scale;
}

static void draw_title(const struct canvas *canvas, const char *title)
{
    char text[TITLE_MAX + 1];
    struct line line[LINES_MAX];
    int count;

    spell(title, text);
    if (text[strspn(text, " ")] == '\0')
        spell("retrovue", text);
    const int scale = fit(canvas, text, line, &count);
    const int height = ((count - 1) * LINE_STEP + GLYPH_HEIGHT) * scale;
    const int margin = GLYPH_HEIGHT * scale * 2 / 3;
    const int top = (canvas->height - height) / 2;
    fill_rect(canvas, 0, top - margin, canvas->width, height + 2 * margin,
              LUMA_BAND);
    for (int i = 0; i < count; i++)
        draw_line(canvas, top + i * LINE_STEP * scale, scale, &line[i]);
}

void slate_draw(uint8_t *const plane[3], const uint32_t stride_bytes[3],
                const struct house *house, const char *title)
{
    const struct canvas canvas = { .luma = plane[0],
                                   .stride_bytes = stride_bytes[0],
                                   .width = house->width,
                                   .height = house->height };
    const size_t chroma_rows = (size_t)house->height / 2;

    fill_rect(&canvas, 0, 0, canvas.width, canvas.height, LUMA_GROUND);
    memset(plane[1], CB_GROUND, stride_bytes[1] * chroma_rows);
    memset(plane[2], CR_GROUND, stride_bytes[2] * chroma_rows);
    draw_title(&canvas, title);
}
