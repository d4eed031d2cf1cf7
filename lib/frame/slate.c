/*
 * slate: the card that a channel shows when it has nothing else.
 *
 * Drawn once, into a pool of one frame that is never released, with a small
 * font of our own (5 x 7 dots, capitals: small letters are shown as capitals)
 * that is scaled by a whole number.  It needs no file, so it is there when
 * everything else is missing.
 */
#include "frame/pool_impl.h"

#include <libavutil/avutil.h>
#include <string.h>

#include <bsd/string.h>

#define GLYPH_WIDTH  5
#define GLYPH_HEIGHT 7
#define GLYPH_STEP   6 /* with the gap to the next */
#define TITLE_MAX    48

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

static const uint8_t *glyph_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c < ' ' || c > '_')
        c = '?';
    return FONT[c - ' '];
}

static void draw_text(const struct canvas *canvas, int x, int y, int scale,
                      const char *text)
{
    for (; *text != '\0'; text++, x += GLYPH_STEP * scale) {
        const uint8_t *glyph = glyph_of(*text);
        for (int row = 0; row < GLYPH_HEIGHT; row++) {
            for (int col = 0; col < GLYPH_WIDTH; col++) {
                if (glyph[row] & (0x10 >> col))
                    fill_rect(canvas, x + col * scale, y + row * scale, scale,
                              scale, LUMA_TEXT);
            }
        }
    }
}

/* The text in the middle of the card, as large as 4/5 of its width allows. */
static void draw_title(const struct canvas *canvas, const char *title)
{
    char text[TITLE_MAX + 1];

    strlcpy(text, title[0] != '\0' ? title : "RETROVUE", sizeof(text));
    const int length = (int)strlen(text);
    int scale = canvas->width * 4 / 5 / (length * GLYPH_STEP);
    if (scale > canvas->height / 6 / GLYPH_HEIGHT)
        scale = canvas->height / 6 / GLYPH_HEIGHT;
    if (scale < 1)
        scale = 1;
    const int width = (length * GLYPH_STEP - 1) * scale;
    const int height = GLYPH_HEIGHT * scale;
    const int top = (canvas->height - height) / 2;
    fill_rect(canvas, 0, top - 2 * height / 3, canvas->width,
              height + 4 * height / 3, LUMA_BAND);
    draw_text(canvas, (canvas->width - width) / 2, top, scale, text);
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

/* The pool's one frame.  Its sound is zero from shm_create on. */
static void publish_card(struct pool *pool, const char *title)
{
    const int slot = pool_slot_take(pool);
    struct pool_frame *frame = pool_begin(pool);
    uint8_t *plane[3];

    for (int p = 0; p < 3; p++) {
        frame->plane_offset[p] = pool_plane_offset(&pool->house, p);
        frame->stride_bytes[p] = pool_plane_stride(&pool->house, p);
        plane[p] = pool_picture(pool, (uint32_t)slot) + frame->plane_offset[p];
    }
    slate_draw(plane, frame->stride_bytes, &pool->house, title);
    frame->picture = (uint32_t)slot;
    frame->source_pts_us = AV_NOPTS_VALUE;
    frame->source_dts_us = AV_NOPTS_VALUE;
    frame->flags = FRAME_SLATE | FRAME_SILENT;
    frame->samples = house_max_samples(&pool->house);
    strlcpy(frame->segment, "slate", sizeof(frame->segment));
    pool_publish(pool);
    pool_end(pool, 1, NULL);
}

int pool_create_slate(const char *path, const struct house *house,
                      const char *title, struct err *err)
{
    const struct pool_config config = { .house = *house, .slots = 1 };
    struct pool pool;

    if (pool_build(&pool, path, &config, err) < 0)
        return err_prefix(err, "slate");
    publish_card(&pool, title);
    const int rc = shm_publish(&pool.shm, err);
    pool_close(&pool);
    return rc;
}
