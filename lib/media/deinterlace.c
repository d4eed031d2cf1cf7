/*
 * deinterlace: one progressive picture from an interlaced one.
 *
 * The first field's lines are kept.  A line of the other field is kept too
 * where it fits between its neighbours (nothing moved: full resolution), and
 * interpolated along the best of three directions where it does not (combing).
 * Each plane is treated in its own lines: 4:2:0 chroma of interlaced pictures
 * alternates by field as well.
 */
#include "media/picture.h"

#include <stdlib.h>
#include <string.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

/* How far a pixel may lie outside its neighbours before it is combing. */
#define COMB 10

bool deinterlace_can(int pixel_format)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(pixel_format);

    return about && (about->flags & AV_PIX_FMT_FLAG_PLANAR) &&
           !(about->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_ALPHA |
                             AV_PIX_FMT_FLAG_HWACCEL)) &&
           about->nb_components == 3 && about->comp[0].depth == 8;
}

/* Edge-directed average of the lines above and below. */
static int interpolate(const uint8_t *above, const uint8_t *below, int x,
                       int width)
{
    int best = abs(above[x] - below[x]);
    int value = (above[x] + below[x] + 1) >> 1;

    if (x < 1 || x + 1 >= width)
        return value;
    for (int d = -1; d <= 1; d += 2) {
        const int cost = abs(above[x + d] - below[x - d]);
        if (cost + 4 < best) {
            best = cost;
            value = (above[x + d] + below[x - d] + 1) >> 1;
        }
    }
    return value;
}

static void line(uint8_t *to, const uint8_t *own, const uint8_t *above,
                 const uint8_t *below, int width)
{
    for (int x = 0; x < width; x++) {
        const int low = FFMIN(above[x], below[x]) - COMB;
        const int high = FFMAX(above[x], below[x]) + COMB;
        to[x] = own[x] >= low && own[x] <= high
                    ? own[x]
                    : (uint8_t)interpolate(above, below, x, width);
    }
}

static void plane(uint8_t *to, int to_stride, const uint8_t *from,
                  int from_stride, int width, int height, int kept)
{
    for (int y = 0; y < height; y++) {
        const uint8_t *own = from + y * from_stride;
        if ((y & 1) == kept) {
            memcpy(to + y * to_stride, own, (size_t)width);
            continue;
        }
        const uint8_t *above = y > 0 ? own - from_stride : own + from_stride;
        const uint8_t *below = y + 1 < height ? own + from_stride : above;
        line(to + y * to_stride, own, above, below, width);
    }
}

void deinterlace(AVFrame *to, const AVFrame *from)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(to->format);
    const int kept = from->top_field_first ? 0 : 1;

    for (int p = 0; p < 3; p++) {
        const int width =
            p ? AV_CEIL_RSHIFT(to->width, about->log2_chroma_w) : to->width;
        const int height =
            p ? AV_CEIL_RSHIFT(to->height, about->log2_chroma_h) : to->height;
        plane(to->data[p], to->linesize[p], from->data[p], from->linesize[p],
              width, height, height > 1 ? kept : 0);
    }
}
