/*
 * deinterlace: one field of an interlaced picture in full height.
 *
 * The field's own lines are kept.  Each line between them is made of the lines
 * around it in this field and in those before and behind it, by the filter that
 * the BBC described for field-rate conversion (M. Weston, "w3f") held within
 * the limits of yadif's temporal and spatial checks: what FFmpeg's bwdif does,
 * and in the middle of a stream the same to the bit.
 *
 *          former          now             next
 *         A     B        A     B          A     B      fields in time
 *   A:        "old"     kept  "new"
 *   B:                 "old"  kept      "new"
 *
 * A pure function of three pictures, so a decoder that begins in the middle
 * makes the same pictures.  Each plane is treated in its own lines: 4:2:0
 * chroma of interlaced pictures alternates by field as well.
 */
#include "media/picture.h"

#include <stdlib.h>
#include <string.h>
#include <libavutil/pixdesc.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* The filter's coefficients as 1 / 8192. */
#define LOW_1   4309
#define LOW_3   213
#define HIGH_0  5570
#define HIGH_2  3801
#define HIGH_4  1016
#define SPACE_1 5077
#define SPACE_3 981

/* Lines around the one that is made; [0] and [1] of `now` are below and above
 * by one, [2] and [3] by three; of old and new 0, +2, -2, +4, -4. */
struct rows {
    const void *now[4], *old[5], *new[5], *former[2], *next[2];
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int at(const void *row, int x, int bytes)
{
    return bytes == 1 ? ((const uint8_t *)row)[x] : ((const uint16_t *)row)[x];
}

ALWAYS_INLINE void put(void *row, int x, int bytes, int value)
{
    if (bytes == 1)
        ((uint8_t *)row)[x] = (uint8_t)value;
    else
        ((uint16_t *)row)[x] = (uint16_t)value;
}

/* Written without branches, for the compiler to make vectors of it. */
ALWAYS_INLINE void middle_rows(void *restrict to, const struct rows *rows,
                               int width, int depth)
{
    const int bytes = depth > 8 ? 2 : 1;
    const int most = (1 << depth) - 1;
    const void *now1 = rows->now[0];
    const void *now_1 = rows->now[1];
    const void *now3 = rows->now[2];
    const void *now_3 = rows->now[3];
    const void *old0 = rows->old[0];
    const void *new0 = rows->new[0];
    const void *old2 = rows->old[1];
    const void *old_2 = rows->old[2];
    const void *new2 = rows->new[1];
    const void *new_2 = rows->new[2];
    const void *old4 = rows->old[3];
    const void *old_4 = rows->old[4];
    const void *new4 = rows->new[3];
    const void *new_4 = rows->new[4];
    const void *former1 = rows->former[0];
    const void *former_1 = rows->former[1];
    const void *next1 = rows->next[0];
    const void *next_1 = rows->next[1];

    for (int x = 0; x < width; x++) {
        const int above = at(now_1, x, bytes);
        const int below = at(now1, x, bytes);
        const int still = (at(old0, x, bytes) + at(new0, x, bytes)) >> 1;
        /* how much this place changes from field to field */
        const int change = abs(at(old0, x, bytes) - at(new0, x, bytes));
        const int before = (abs(at(former_1, x, bytes) - above) +
                            abs(at(former1, x, bytes) - below)) >>
                           1;
        const int after = (abs(at(next_1, x, bytes) - above) +
                           abs(at(next1, x, bytes) - below)) >>
                          1;
        const int moves = MAX(change >> 1, MAX(before, after));
        /* detail finer than a field's lines is no motion */
        const int b =
            ((at(old_2, x, bytes) + at(new_2, x, bytes)) >> 1) - above;
        const int f = ((at(old2, x, bytes) + at(new2, x, bytes)) >> 1) - below;
        const int dc = still - above;
        const int de = still - below;
        const int top = MAX(de, MAX(dc, MIN(b, f)));
        const int bottom = MIN(de, MIN(dc, MAX(b, f)));
        const int room = MAX(moves, MAX(bottom, -top));
        const int near = above + below;
        const int far = at(now_3, x, bytes) + at(now3, x, bytes);
        const int high = HIGH_0 * (at(old0, x, bytes) + at(new0, x, bytes)) -
                         HIGH_2 * (at(old_2, x, bytes) + at(new_2, x, bytes) +
                                   at(old2, x, bytes) + at(new2, x, bytes)) +
                         HIGH_4 * (at(old_4, x, bytes) + at(new_4, x, bytes) +
                                   at(old4, x, bytes) + at(new4, x, bytes));
        const int mixed = ((high >> 2) + LOW_1 * near - LOW_3 * far) >> 13;
        const int alone = (SPACE_1 * near - SPACE_3 * far) >> 13;
        int value = abs(above - below) > change ? mixed : alone;
        value = MIN(MAX(value, still - room), still + room);
        value = MIN(MAX(value, 0), most);
        put(to, x, bytes, moves ? value : still);
    }
}

/* Near the upper and lower edge, where lines are missing. */
static void edge_rows(void *to, const struct rows *rows, int width, int depth,
                      bool has_2)
{
    const int bytes = depth > 8 ? 2 : 1;
    const void *now1 = rows->now[0];
    const void *now_1 = rows->now[1];
    const void *old0 = rows->old[0];
    const void *new0 = rows->new[0];
    const void *old2 = rows->old[1];
    const void *old_2 = rows->old[2];
    const void *new2 = rows->new[1];
    const void *new_2 = rows->new[2];
    const void *former1 = rows->former[0];
    const void *former_1 = rows->former[1];
    const void *next1 = rows->next[0];
    const void *next_1 = rows->next[1];

    for (int x = 0; x < width; x++) {
        const int above = at(now_1, x, bytes);
        const int below = at(now1, x, bytes);
        const int still = (at(old0, x, bytes) + at(new0, x, bytes)) >> 1;
        const int before = (abs(at(former_1, x, bytes) - above) +
                            abs(at(former1, x, bytes) - below)) >>
                           1;
        const int after = (abs(at(next_1, x, bytes) - above) +
                           abs(at(next1, x, bytes) - below)) >>
                          1;
        int room = MAX(abs(at(old0, x, bytes) - at(new0, x, bytes)) >> 1,
                       MAX(before, after));
        if (room == 0) {
            put(to, x, bytes, still);
            continue;
        }
        if (has_2) {
            const int b =
                ((at(old_2, x, bytes) + at(new_2, x, bytes)) >> 1) - above;
            const int f =
                ((at(old2, x, bytes) + at(new2, x, bytes)) >> 1) - below;
            const int dc = still - above;
            const int de = still - below;
            const int top = MAX(de, MAX(dc, MIN(b, f)));
            const int bottom = MIN(de, MIN(dc, MAX(b, f)));
            room = MAX(room, MAX(bottom, -top));
        }
        const int mean = (above + below) >> 1;
        put(to, x, bytes, MIN(MAX(mean, still - room), still + room));
    }
}

/* From this field alone, where there is none before or behind it. */
static void alone_rows(void *to, const struct rows *rows, int width, int depth)
{
    const int bytes = depth > 8 ? 2 : 1;
    const int most = (1 << depth) - 1;

    for (int x = 0; x < width; x++) {
        const int near =
            at(rows->now[0], x, bytes) + at(rows->now[1], x, bytes);
        int value = near >> 1;
        if (rows->now[2]) {
            const int far =
                at(rows->now[2], x, bytes) + at(rows->now[3], x, bytes);
            value = (SPACE_1 * near - SPACE_3 * far) >> 13;
        }
        put(to, x, bytes, MIN(MAX(value, 0), most));
    }
}

/* The depth is a constant in the most frequent case, which is worth most. */
ALWAYS_INLINE void middle_line(void *to, const struct rows *rows, int width,
                               int depth)
{
    if (depth == 8)
        middle_rows(to, rows, width, 8);
    else
        middle_rows(to, rows, width, FFMAX(depth, 9));
}

static void middle_plain(void *to, const struct rows *rows, int width,
                         int depth)
{
    middle_line(to, rows, width, depth);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void
middle_avx2(void *to, const struct rows *rows, int width, int depth)
{
    middle_line(to, rows, width, depth);
}
#endif

typedef void (*middle_function)(void *, const struct rows *, int, int);

static middle_function middle_of_this_machine(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return middle_avx2;
#endif
    return middle_plain;
}

bool deinterlace_can(int pixel_format)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(pixel_format);

    return about && (about->flags & AV_PIX_FMT_FLAG_PLANAR) &&
           !(about->flags & (AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_HWACCEL |
                             AV_PIX_FMT_FLAG_FLOAT)) &&
           about->nb_components >= 3 && about->comp[0].depth <= 16 &&
           about->comp[0].shift == 0 &&
           about->comp[1].plane != about->comp[2].plane;
}

/* One plane of the three pictures. */
struct plane {
    const uint8_t *former, *now, *next;
    int former_stride, now_stride, next_stride;
    int width, height, depth;
    int kept; /* parity of the field's own lines */
    bool is_second, is_alone;
};

/* The lines around line y; `down` and `up` stay inside the picture. */
static struct rows rows_at(const struct plane *plane, int y)
{
    const uint8_t *former = plane->former + y * plane->former_stride;
    const uint8_t *now = plane->now + y * plane->now_stride;
    const uint8_t *next = plane->next + y * plane->next_stride;
    const uint8_t *old = plane->is_second ? now : former;
    const uint8_t *new = plane->is_second ? next : now;
    const int old_stride =
        plane->is_second ? plane->now_stride : plane->former_stride;
    const int new_stride =
        plane->is_second ? plane->next_stride : plane->now_stride;
    static const int AT[5] = { 0, 2, -2, 4, -4 };
    const int down = y + 1 < plane->height ? 1 : -1;
    const int up = y > 0 ? -1 : 1;
    struct rows rows = {
        .now = { now + down * plane->now_stride, now + up * plane->now_stride },
        .former = { former + down * plane->former_stride,
                    former + up * plane->former_stride },
        .next = { next + down * plane->next_stride,
                  next + up * plane->next_stride },
    };

    for (int i = 0; i < 5; i++) {
        const int there = y + AT[i];
        const int at = there < 0 || there >= plane->height ? 0 : AT[i];
        rows.old[i] = old + at * old_stride;
        rows.new[i] = new + at *new_stride;
    }
    if (y >= 3 && y + 3 < plane->height) {
        rows.now[2] = now + 3 * plane->now_stride;
        rows.now[3] = now - 3 * plane->now_stride;
    }
    return rows;
}

static void deinterlace_plane(uint8_t *to, int to_stride,
                              const struct plane *plane)
{
    const middle_function middle = middle_of_this_machine();
    const int width = plane->width;
    const int height = plane->height;
    const int depth = plane->depth;

    for (int y = 0; y < height; y++, to += to_stride) {
        if ((y & 1) == plane->kept || height < 2) {
            memcpy(to, plane->now + y * plane->now_stride,
                   (size_t)width * (depth > 8 ? 2 : 1));
            continue;
        }
        const struct rows rows = rows_at(plane, y);
        if (plane->is_alone)
            alone_rows(to, &rows, width, depth);
        else if (y >= 4 && y + 5 <= height)
            middle(to, &rows, width, depth);
        else
            edge_rows(to, &rows, width, depth, y >= 2 && y + 3 <= height);
    }
}

void deinterlace(AVFrame *to, const AVFrame *former, const AVFrame *now,
                 const AVFrame *next, int field)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(to->format);
    const int kept = field ^ (now->top_field_first ? 0 : 1);

    const bool is_alone = !picture_is_alike(field == 0 ? former : next, now);
    if (!picture_is_alike(former, now))
        former = now;
    if (!picture_is_alike(next, now))
        next = now;
    for (int p = 0; p < about->nb_components; p++) {
        const bool is_chroma =
            (p == 1 || p == 2) && !(about->flags & AV_PIX_FMT_FLAG_RGB);
        const struct plane plane = {
            .former = former->data[p],
            .now = now->data[p],
            .next = next->data[p],
            .former_stride = former->linesize[p],
            .now_stride = now->linesize[p],
            .next_stride = next->linesize[p],
            .width = is_chroma ? AV_CEIL_RSHIFT(to->width, about->log2_chroma_w)
                               : to->width,
            .height = is_chroma
                          ? AV_CEIL_RSHIFT(to->height, about->log2_chroma_h)
                          : to->height,
            .depth = about->comp[p].depth,
            .kept = kept,
            .is_second = field == 1,
            .is_alone = is_alone,
        };
        deinterlace_plane(to->data[p], to->linesize[p], &plane);
    }
}
