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

#include <string.h>
#include <libavutil/pixdesc.h>

#include "media/field_line.h"

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
static struct field_rows rows_at(const struct plane *plane, int y)
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
    struct field_rows rows = {
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
    const field_line middle = field_line_fastest();
    const int width = plane->width;
    const int height = plane->height;
    const int depth = plane->depth;

    for (int y = 0; y < height; y++, to += to_stride) {
        if ((y & 1) == plane->kept || height < 2) {
            memcpy(to, plane->now + y * plane->now_stride,
                   (size_t)width * (depth > 8 ? 2 : 1));
            continue;
        }
        const struct field_rows rows = rows_at(plane, y);
        if (plane->is_alone)
            field_line_alone(to, &rows, width, depth);
        else if (y >= 4 && y + 5 <= height)
            middle(to, &rows, width, depth);
        else
            field_line_edge(to, &rows, width, depth, y >= 2 && y + 3 <= height);
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
