/*
 * picture: scaling into house pictures.
 *
 *   decoded -> (deinterlace) -> swscale -> (turn) -> planes inside black bars
 *
 * swscale writes straight into the target (a pool slot) unless the picture is
 * turned as well.  A picture with another matrix than the house's goes through
 * swscale's own conversion, which costs more; equal matrices are the rule.
 */
#include "media/picture.h"

#include <string.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#include "media/av.h"

#define BLACK_Y 16
#define BLACK_C 128

static int align_64(int value)
{
    return (value + 63) & ~63;
}

uint32_t planes_bytes(const struct house *house)
{
    return (uint32_t)(align_64(house->width) * house->height +
                      align_64(house->width / 2) * house->height);
}

void planes_lay(struct planes *planes, const struct house *house,
                uint8_t *memory)
{
    planes->stride[0] = align_64(house->width);
    planes->stride[1] = planes->stride[2] = align_64(house->width / 2);
    planes->data[0] = memory;
    planes->data[1] = memory + planes->stride[0] * house->height;
    planes->data[2] = planes->data[1] + planes->stride[1] * (house->height / 2);
}

/* A rectangle in luma pixels, all even. */
static void fill(const struct planes *planes, int left, int top, int width,
                 int height)
{
    if (width <= 0 || height <= 0)
        return;
    for (int p = 0; p < 3; p++) {
        const int shift = p > 0;
        for (int y = top >> shift; y < (top + height) >> shift; y++)
            memset(planes->data[p] + y * planes->stride[p] + (left >> shift),
                   p ? BLACK_C : BLACK_Y, (size_t)(width >> shift));
    }
}

void planes_black(const struct planes *planes, const struct house *house)
{
    fill(planes, 0, 0, house->width, house->height);
}

void planes_copy(const struct planes *to, const AVFrame *from,
                 const struct house *house)
{
    for (int p = 0; p < 3; p++) {
        av_image_copy_plane(to->data[p], to->stride[p], from->data[p],
                            from->linesize[p], house->width >> (p > 0),
                            house->height >> (p > 0));
    }
}

void planes_fade(const struct planes *planes, const struct house *house,
                 int gain)
{
    for (int p = 0; p < 3; p++) {
        const int black = p ? BLACK_C : BLACK_Y;
        for (int y = 0; y < house->height >> (p > 0); y++) {
            uint8_t *row = planes->data[p] + y * planes->stride[p];
            for (int x = 0; x < house->width >> (p > 0); x++)
                row[x] = (uint8_t)(black + (((row[x] - black) * gain) >> 8));
        }
    }
}

uint32_t picture_turn(const int32_t *m)
{
    const bool is_upright = m[1] == 0 && m[3] == 0 && m[0] && m[4];
    const bool is_lying = m[0] == 0 && m[4] == 0 && m[1] && m[3];

    /* x' = m0 x + m3 y, y' = m1 x + m4 y */
    if (is_upright)
        return (m[0] < 0 ? TURN_MIRROR_X : 0u) |
               (m[4] < 0 ? TURN_MIRROR_Y : 0u);
    if (is_lying)
        return TURN_TRANSPOSE | (m[3] < 0 ? TURN_MIRROR_X : 0u) |
               (m[1] < 0 ? TURN_MIRROR_Y : 0u);
    return TURN_NONE;
}

static int house_matrix(const struct house *house)
{
    return house->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
}

static int matrix_of(const AVFrame *frame)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    default: /* libav's enum, not ours: the usual guess by size */
        return frame->height >= 720 || frame->width >= 1280 ? SWS_CS_ITU709
                                                            : SWS_CS_ITU601;
    }
}

/* The "J" formats of old mean full range. */
static int plain_format(int format, bool *is_full)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        *is_full = true;
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        *is_full = true;
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        *is_full = true;
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        *is_full = true;
        return AV_PIX_FMT_YUV440P;
    default:
        return format;
    }
}

void picture_format_of(struct picture_format *format, const AVFrame *frame,
                       AVRational sar, uint32_t turn)
{
    const bool has_sar = sar.num > 0 && sar.den > 0;

    memset(format, 0, sizeof(*format)); /* compared with memcmp() */
    format->width = frame->width;
    format->height = frame->height;
    format->is_full = frame->color_range == AVCOL_RANGE_JPEG;
    format->pixel_format = plain_format(frame->format, &format->is_full);
    format->matrix = matrix_of(frame);
    format->is_interlaced = frame->interlaced_frame != 0;
    format->sar = has_sar ? sar : (AVRational){ 1, 1 };
    format->turn = turn;
}

bool picture_is_house(const struct picture_format *format,
                      const struct house *house)
{
    return format->width == house->width && format->height == house->height &&
           format->pixel_format == AV_PIX_FMT_YUV420P && !format->is_full &&
           !format->is_interlaced && format->turn == TURN_NONE &&
           format->sar.num == format->sar.den &&
           format->matrix == house_matrix(house);
}

void scaler_init(struct scaler *scaler, const struct house *house)
{
    *scaler = SCALER_EMPTY;
    scaler->house = *house;
    scaler->matrix_out = house_matrix(house);
}

static void forget(struct scaler *scaler)
{
    sws_freeContext(scaler->sws);
    scaler->sws = NULL;
    av_frame_free(&scaler->field);
    av_frame_free(&scaler->turned);
}

void scaler_clear(struct scaler *scaler)
{
    forget(scaler);
}

/* a * num / den, to the nearest even number in 2 .. most; near misses of a
 * pixel or two count as full. */
static int fit(int64_t a, int64_t num, int64_t den, int most)
{
    const int64_t even = (a * num + den) / (2 * den) * 2;

    if (even >= most - 2)
        return most;
    return (int)FFMAX(even, 2);
}

static void fit_into_house(struct scaler *scaler)
{
    const struct picture_format *format = &scaler->format;
    const bool is_lying = (format->turn & TURN_TRANSPOSE) != 0;
    AVRational shape; /* display width / height */

    av_reduce(&shape.num, &shape.den, (int64_t)format->width * format->sar.num,
              (int64_t)format->height * format->sar.den, 1 << 20);
    if (shape.num <= 0 || shape.den <= 0)
        shape = (AVRational){ 1, 1 };
    if (is_lying)
        shape = (AVRational){ shape.den, shape.num };
    const struct house *house = &scaler->house;
    if ((int64_t)house->width * shape.den <=
        (int64_t)house->height * shape.num) {
        scaler->width = house->width;
        scaler->height = fit(house->width, shape.den, shape.num, house->height);
    } else {
        scaler->height = house->height;
        scaler->width = fit(house->height, shape.num, shape.den, house->width);
    }
    scaler->left = (house->width - scaler->width) / 4 * 2;
    scaler->top = (house->height - scaler->height) / 4 * 2;
}

static AVFrame *picture_memory(int width, int height, int pixel_format)
{
    AVFrame *frame = av_frame_alloc();

    if (frame == NULL)
        return NULL;
    frame->width = width;
    frame->height = height;
    frame->format = pixel_format;
    if (av_frame_get_buffer(frame, 0) < 0)
        av_frame_free(&frame);
    return frame;
}

/* The range must be known before swscale chooses its functions. */
static struct SwsContext *make_sws(const struct picture_format *format,
                                   int width, int height)
{
    struct SwsContext *sws = sws_alloc_context();

    if (sws == NULL)
        return NULL;
    av_opt_set_int(sws, "srcw", format->width, 0);
    av_opt_set_int(sws, "srch", format->height, 0);
    av_opt_set_int(sws, "src_format", format->pixel_format, 0);
    av_opt_set_int(sws, "src_range", format->is_full, 0);
    av_opt_set_int(sws, "dstw", width, 0);
    av_opt_set_int(sws, "dsth", height, 0);
    av_opt_set_int(sws, "dst_format", AV_PIX_FMT_YUV420P, 0);
    av_opt_set_int(sws, "dst_range", 0, 0);
    av_opt_set_int(sws, "sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND, 0);
    if (sws_init_context(sws, NULL, NULL) < 0) {
        sws_freeContext(sws);
        return NULL;
    }
    return sws;
}

static int remake(struct scaler *scaler, const struct picture_format *format,
                  struct err *err)
{
    forget(scaler);
    scaler->format = *format;
    fit_into_house(scaler);
    const bool is_lying = (format->turn & TURN_TRANSPOSE) != 0;
    const int width = is_lying ? scaler->height : scaler->width;
    const int height = is_lying ? scaler->width : scaler->height;
    const bool is_weave =
        format->is_interlaced && deinterlace_can(format->pixel_format);

    if (is_weave)
        scaler->field =
            picture_memory(format->width, format->height, format->pixel_format);
    if (format->turn)
        scaler->turned = picture_memory(width, height, AV_PIX_FMT_YUV420P);
    if ((is_weave && !scaler->field) || (format->turn && !scaler->turned))
        return err_set(err, ERR_SYSTEM, "no memory for a picture");

    scaler->sws = make_sws(format, width, height);
    if (scaler->sws == NULL) {
        const char *name = av_get_pix_fmt_name(format->pixel_format);
        return err_set(err, ERR_INPUT,
                       "a picture of %dx%d in %s cannot be scaled to %dx%d",
                       format->width, format->height, name ? name : "?", width,
                       height);
    }
    sws_setColorspaceDetails(
        scaler->sws, sws_getCoefficients(format->matrix), format->is_full,
        sws_getCoefficients(scaler->matrix_out), 0, 0, 1 << 16, 1 << 16);
    return 0;
}

/* One plane, turned: (x, y) goes to where `turn` says. */
static void turn_plane(uint8_t *to, int to_stride, const uint8_t *from,
                       int from_stride, int width, int height, uint32_t turn)
{
    /* width and height are the target's. */
    for (int y = 0; y < height; y++) {
        const int v = turn & TURN_MIRROR_Y ? height - 1 - y : y;
        uint8_t *row = to + y * to_stride;
        for (int x = 0; x < width; x++) {
            const int u = turn & TURN_MIRROR_X ? width - 1 - x : x;
            row[x] = turn & TURN_TRANSPOSE ? from[u * from_stride + v]
                                           : from[v * from_stride + u];
        }
    }
}

static void bars(const struct scaler *scaler, const struct planes *to)
{
    const struct house *house = &scaler->house;
    const int right = scaler->left + scaler->width;
    const int bottom = scaler->top + scaler->height;

    fill(to, 0, 0, house->width, scaler->top);
    fill(to, 0, bottom, house->width, house->height - bottom);
    fill(to, 0, scaler->top, scaler->left, scaler->height);
    fill(to, right, scaler->top, house->width - right, scaler->height);
}

int scaler_draw(struct scaler *scaler, const AVFrame *frame, AVRational sar,
                uint32_t turn, const struct planes *to, struct err *err)
{
    struct picture_format format;
    uint8_t *inner[4] = { NULL };
    int stride[4] = { 0 };

    picture_format_of(&format, frame, sar, turn);
    if ((scaler->sws == NULL ||
         memcmp(&format, &scaler->format, sizeof(format)) != 0) &&
        remake(scaler, &format, err) < 0)
        return -1;
    if (scaler->field) {
        deinterlace(scaler->field, frame);
        frame = scaler->field;
    }
    bars(scaler, to);
    for (int p = 0; p < 3; p++) {
        inner[p] = to->data[p] + (scaler->top >> (p > 0)) * to->stride[p] +
                   (scaler->left >> (p > 0));
        stride[p] = to->stride[p];
    }
    AVFrame *turned = scaler->turned;
    const int rc = sws_scale(scaler->sws, (const uint8_t *const *)frame->data,
                             frame->linesize, 0, format.height,
                             turned ? turned->data : inner,
                             turned ? turned->linesize : stride);
    if (rc < 0)
        return av_fail(err, rc, NULL, "a picture cannot be scaled");
    for (int p = 0; turned && p < 3; p++) {
        turn_plane(inner[p], stride[p], turned->data[p], turned->linesize[p],
                   scaler->width >> (p > 0), scaler->height >> (p > 0), turn);
    }
    return 0;
}
