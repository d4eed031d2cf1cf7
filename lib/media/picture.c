/*
 * picture: scaling into house pictures.
 *
 *   decoded -> (deinterlace) -> swscale -> (matrix or tone) -> (alpha) ->
 * (turn)
 *           -> planes inside black bars
 *
 * swscale writes straight into the target (a pool slot) unless the picture is
 * turned as well or has bars at its sides; matrix and alpha work there in
 * place.
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

/* The "J" formats of old are said by the range. */
static int plain_format(int format)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ411P:
        return AV_PIX_FMT_YUV411P;
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    default:
        return format;
    }
}

bool picture_is_alike(const AVFrame *a, const AVFrame *b)
{
    return a && a->buf[0] && a->width == b->width && a->height == b->height &&
           a->format == b->format;
}

void picture_format_of(struct picture_format *format, const AVFrame *frame,
                       AVRational sar, uint32_t turn)
{
    const bool has_sar = sar.num > 0 && sar.den > 0;
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(frame->format);

    memset(format, 0, sizeof(*format)); /* compared with memcmp() */
    format->width = frame->width;
    format->height = frame->height;
    format->is_full = colour_is_full(frame);
    format->pixel_format = plain_format(frame->format);
    format->matrix = colour_matrix_of(frame);
    format->siting = (int)frame->chroma_location;
    format->has_alpha = about && (about->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
    format->tone = (int)tone_kind_of(frame);
    format->primaries = tone_primaries_of(frame);
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
           format->tone == TONE_NONE && format->sar.num == format->sar.den &&
           format->matrix == colour_house_matrix(house);
}

void scaler_init(struct scaler *scaler, const struct house *house)
{
    *scaler = SCALER_EMPTY;
    scaler->house = *house;
}

static void forget(struct scaler *scaler)
{
    sws_freeContext(scaler->sws);
    scaler->sws = NULL;
    av_frame_free(&scaler->field);
    av_frame_free(&scaler->target);
    av_frame_free(&scaler->flat);
    av_frame_free(&scaler->alpha);
    av_frame_free(&scaler->deep);
    tone_free(scaler->tone);
    scaler->tone = NULL;
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

/* The display aspect kept, in the middle. */
static void fit_into_house(struct picture_way *way,
                           const struct picture_format *format,
                           const struct house *house)
{
    const bool is_lying = (format->turn & TURN_TRANSPOSE) != 0;
    AVRational shape; /* display width / height */

    av_reduce(&shape.num, &shape.den, (int64_t)format->width * format->sar.num,
              (int64_t)format->height * format->sar.den, 1 << 20);
    if (shape.num <= 0 || shape.den <= 0)
        shape = (AVRational){ 1, 1 };
    if (is_lying)
        shape = (AVRational){ shape.den, shape.num };
    if ((int64_t)house->width * shape.den <=
        (int64_t)house->height * shape.num) {
        way->width = house->width;
        way->height = fit(house->width, shape.den, shape.num, house->height);
    } else {
        way->height = house->height;
        way->width = fit(house->height, shape.num, shape.den, house->width);
    }
    way->left = (house->width - way->width) / 4 * 2;
    way->top = (house->height - way->height) / 4 * 2;
}

/* The scaled picture's own matrix; RGB gets the house's at once, or one that
 * holds its primaries. */
static int scaled_matrix(const struct picture_format *format, int house)
{
    if (format->matrix != AVCOL_SPC_RGB)
        return format->matrix;
    return format->tone ? AVCOL_SPC_BT2020_NCL : house;
}

void picture_way_of(struct picture_way *way,
                    const struct picture_format *format,
                    const struct house *house)
{
    way->is_house = picture_is_house(format, house);
    way->matrix_out = colour_house_matrix(house);
    way->matrix_in = scaled_matrix(format, way->matrix_out);
    way->has_matrix = !format->tone && way->matrix_in != way->matrix_out;
    fit_into_house(way, format, house);
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

/*
 * Where chroma lies in the luma grid, in 1/256 of its step (ITU-T H.273 figure
 * 10); -513: swscale's own.  Pictures that say nothing are sited as MPEG-2 and
 * later are, left; of full range as JPEG's, in the middle.
 */
static void chroma_place(const struct picture_format *format, int *across,
                         int *down)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(format->pixel_format);
    const bool is_yuv =
        about && about->nb_components >= 3 && format->matrix != AVCOL_SPC_RGB;
    int siting = format->siting;

    if (siting == AVCHROMA_LOC_UNSPECIFIED)
        siting = format->is_full ? AVCHROMA_LOC_CENTER : AVCHROMA_LOC_LEFT;
    *across = *down = -513;
    if (is_yuv && about->log2_chroma_w == 1)
        *across = siting == AVCHROMA_LOC_CENTER || siting == AVCHROMA_LOC_TOP ||
                          siting == AVCHROMA_LOC_BOTTOM
                      ? 128
                      : 0;
    if (is_yuv && about->log2_chroma_h == 1)
        *down =
            siting == AVCHROMA_LOC_TOPLEFT || siting == AVCHROMA_LOC_TOP ? 0
            : siting == AVCHROMA_LOC_BOTTOM || siting == AVCHROMA_LOC_BOTTOMLEFT
                ? 256
                : 128;
}

/* The range must be known before swscale chooses its functions. */
static struct SwsContext *make_sws(const struct picture_format *format,
                                   int width, int height, int pixel_format)
{
    struct SwsContext *sws = sws_alloc_context();
    int across, down;

    if (sws == NULL)
        return NULL;
    chroma_place(format, &across, &down);
    av_opt_set_int(sws, "srcw", format->width, 0);
    av_opt_set_int(sws, "srch", format->height, 0);
    av_opt_set_int(sws, "src_format", format->pixel_format, 0);
    av_opt_set_int(sws, "src_range", format->is_full, 0);
    av_opt_set_int(sws, "src_h_chr_pos", across, 0);
    av_opt_set_int(sws, "src_v_chr_pos", down, 0);
    av_opt_set_int(sws, "dstw", width, 0);
    av_opt_set_int(sws, "dsth", height, 0);
    av_opt_set_int(sws, "dst_format", pixel_format, 0);
    av_opt_set_int(sws, "dst_range", 0, 0);
    av_opt_set_int(sws, "dst_h_chr_pos", 0, 0);
    av_opt_set_int(sws, "dst_v_chr_pos", 128, 0);
    av_opt_set_int(sws, "sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND, 0);
    if (sws_init_context(sws, NULL, NULL) < 0) {
        sws_freeContext(sws);
        return NULL;
    }
    return sws;
}

static int sws_matrix(int matrix)
{
    switch (matrix) {
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE170M:
        return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
        return SWS_CS_BT2020;
    default: /* libav's enum, not ours */
        return SWS_CS_ITU709;
    }
}

/* What swscale makes. */
static int scaled_format(const struct picture_format *format)
{
    if (format->tone)
        return format->has_alpha ? AV_PIX_FMT_YUVA420P10 : AV_PIX_FMT_YUV420P10;
    return format->has_alpha ? AV_PIX_FMT_YUVA420P : AV_PIX_FMT_YUV420P;
}

/* What lies beside the scaled picture: 0, -1 no memory. */
static int make_memory(struct scaler *scaler, int width, int height)
{
    const struct picture_format *format = &scaler->format;
    /* swscale writes whole vectors, so beyond the right edge. */
    const bool has_flat =
        format->turn || scaler->way.width < scaler->house.width;

    if (has_flat)
        scaler->flat = picture_memory(width, height, AV_PIX_FMT_YUV420P);
    if (format->has_alpha)
        scaler->alpha = picture_memory(width, height, AV_PIX_FMT_GRAY8);
    if (format->tone)
        scaler->deep = picture_memory(width, height, scaled_format(format));
    return (has_flat && !scaler->flat) ||
                   (format->has_alpha && !scaler->alpha) ||
                   (format->tone && !scaler->deep)
               ? -1
               : 0;
}

/* How the scaled picture's colours become the house's: 0, -1 no memory. */
static int make_colours(struct scaler *scaler)
{
    const struct picture_format *format = &scaler->format;
    const struct picture_way *way = &scaler->way;
    const struct tone_config config = { .kind = (enum tone_kind)format->tone,
                                        .primaries = format->primaries,
                                        .from = way->matrix_in,
                                        .is_full = format->is_full,
                                        .to = way->matrix_out,
                                        .peak_nits = scaler->peak_nits };

    matrix_init(&scaler->matrix, way->matrix_in, format->is_full,
                way->matrix_out);
    scaler->tone_peak = scaler->peak_nits;
    if (format->tone)
        scaler->tone = tone_new(&config);
    return format->tone && scaler->tone == NULL ? -1 : 0;
}

static int remake(struct scaler *scaler, const struct picture_format *format,
                  struct err *err)
{
    forget(scaler);
    scaler->format = *format;
    picture_way_of(&scaler->way, format, &scaler->house);
    const struct picture_way *way = &scaler->way;
    const bool is_lying = (format->turn & TURN_TRANSPOSE) != 0;
    const int width = is_lying ? way->height : way->width;
    const int height = is_lying ? way->width : way->height;

    if (make_memory(scaler, width, height) < 0 || make_colours(scaler) < 0)
        return err_set(err, ERR_SYSTEM, "no memory for a picture");
    scaler->sws = make_sws(format, width, height, scaled_format(format));
    if (scaler->sws == NULL) {
        const char *name = av_get_pix_fmt_name(format->pixel_format);
        return err_set(err, ERR_INPUT,
                       "a picture of %dx%d in %s cannot be scaled to %dx%d",
                       format->width, format->height, name ? name : "?", width,
                       height);
    }
    const int *table = sws_getCoefficients(sws_matrix(way->matrix_in));
    sws_setColorspaceDetails(scaler->sws, table, format->is_full, table, 0, 0,
                             1 << 16, 1 << 16);
    return 0;
}

static void bars(const struct scaler *scaler, const struct planes *to)
{
    const struct house *house = &scaler->house;
    const struct picture_way *way = &scaler->way;
    const int right = way->left + way->width;
    const int bottom = way->top + way->height;

    fill(to, 0, 0, house->width, way->top);
    fill(to, 0, bottom, house->width, house->height - bottom);
    fill(to, 0, way->top, way->left, way->height);
    fill(to, right, way->top, house->width - right, way->height);
}

/* The part of the house picture that is not bars. */
static struct planes inner(const struct scaler *scaler, const struct planes *to)
{
    const struct picture_way *way = &scaler->way;
    struct planes in = *to;

    for (int p = 0; p < 3; p++)
        in.data[p] +=
            (way->top >> (p > 0)) * in.stride[p] + (way->left >> (p > 0));
    return in;
}

/* The alpha of 10 bits as 8. */
static void narrow_alpha(const AVFrame *to, const AVFrame *deep)
{
    for (int y = 0; y < to->height; y++) {
        const uint16_t *from =
            (const uint16_t *)(deep->data[3] + y * deep->linesize[3]);
        uint8_t *row = to->data[0] + y * to->linesize[0];
        for (int x = 0; x < to->width; x++)
            row[x] = (uint8_t)((from[x] & 1023) >> 2);
    }
}

/* Scales and recolours into `to`, of the scaled size, not yet turned. */
static int scale(struct scaler *scaler, const AVFrame *frame,
                 const struct planes *to, int width, int height,
                 struct err *err)
{
    const AVFrame *alpha = scaler->alpha;
    const AVFrame *deep = scaler->deep;
    uint8_t *data[4] = { to->data[0], to->data[1], to->data[2],
                         alpha ? alpha->data[0] : NULL };
    const int stride[4] = { to->stride[0], to->stride[1], to->stride[2],
                            alpha ? alpha->linesize[0] : 0 };
    const int rc =
        sws_scale(scaler->sws, (const uint8_t *const *)frame->data,
                  frame->linesize, 0, scaler->format.height,
                  deep ? deep->data : data, deep ? deep->linesize : stride);

    if (rc < 0)
        return av_fail(err, rc, NULL, "a picture cannot be scaled");
    if (deep)
        tone_apply(scaler->tone, deep, to, width, height);
    if (deep && alpha)
        narrow_alpha(alpha, deep);
    if (scaler->way.has_matrix)
        matrix_apply(&scaler->matrix, to, width, height);
    if (alpha)
        colour_over_black(to, width, height, alpha->data[0],
                          alpha->linesize[0]);
    return 0;
}

/* Pictures with and without fields may take turns, and are scaled alike. */
static bool is_made_for(const struct scaler *scaler,
                        const struct picture_format *format)
{
    struct picture_format wanted = *format;

    wanted.is_interlaced = scaler->format.is_interlaced;
    return scaler->sws && scaler->tone_peak == scaler->peak_nits &&
           memcmp(&wanted, &scaler->format, sizeof(wanted)) == 0;
}

/* The field that is wanted, in full height. */
static void make_field(const struct scaler *scaler, AVFrame *to,
                       const AVFrame *frame)
{
    if (scaler->partner == PARTNER_NONE)
        deinterlace(to, scaler->former, frame, scaler->next, scaler->which);
    else
        fields_weave(to, scaler->former, frame, scaler->next, scaler->which);
}

/* Where nothing else is to be done: into the target. */
static int draw_field(struct scaler *scaler, const AVFrame *frame,
                      const struct planes *to)
{
    if (scaler->target == NULL)
        scaler->target = av_frame_alloc();
    if (scaler->target == NULL)
        return -1;
    scaler->target->width = frame->width;
    scaler->target->height = frame->height;
    scaler->target->format = frame->format;
    for (int p = 0; p < 3; p++) {
        scaler->target->data[p] = to->data[p];
        scaler->target->linesize[p] = to->stride[p];
    }
    make_field(scaler, scaler->target, frame);
    return 0;
}

/* Beside it, to be scaled. */
static const AVFrame *keep_field(struct scaler *scaler, const AVFrame *frame)
{
    if (scaler->field == NULL)
        scaler->field =
            picture_memory(frame->width, frame->height, frame->format);
    if (scaler->field)
        make_field(scaler, scaler->field, frame);
    return scaler->field;
}

/* Dolby Vision's own colours are each picture's own. */
static void follow(struct scaler *scaler, const AVFrame *frame)
{
    struct dovi dovi;

    if (scaler->format.matrix != COLOUR_IPT_C2)
        return;
    dovi_of(&dovi, frame);
    tone_follow(scaler->tone, &dovi);
}

static int draw_scaled(struct scaler *scaler, const AVFrame *frame,
                       uint32_t turn, const struct planes *to, struct err *err)
{
    bars(scaler, to);
    const struct planes in = inner(scaler, to);
    const AVFrame *flat = scaler->flat;
    if (flat == NULL)
        return scale(scaler, frame, &in, scaler->way.width, scaler->way.height,
                     err);
    const struct planes out = {
        .data = { flat->data[0], flat->data[1], flat->data[2] },
        .stride = { flat->linesize[0], flat->linesize[1], flat->linesize[2] },
    };
    if (scale(scaler, frame, &out, flat->width, flat->height, err) < 0)
        return -1;
    for (int p = 0; p < 3; p++)
        turn_plane(in.data[p], in.stride[p], out.data[p], out.stride[p],
                   scaler->way.width >> (p > 0), scaler->way.height >> (p > 0),
                   turn);
    return 0;
}

int scaler_draw(struct scaler *scaler, const AVFrame *frame, AVRational sar,
                uint32_t turn, const struct planes *to, struct err *err)
{
    struct picture_format format;

    picture_format_of(&format, frame, sar, turn);
    if (!is_made_for(scaler, &format) && remake(scaler, &format, err) < 0)
        return -1;
    follow(scaler, frame);
    if (format.is_interlaced && scaler->partner != PARTNER_OWN &&
        deinterlace_can(format.pixel_format)) {
        format.is_interlaced = false;
        if (picture_is_house(&format, &scaler->house))
            return draw_field(scaler, frame, to) < 0
                       ? err_set(err, ERR_SYSTEM, "no memory for a picture")
                       : 0;
        frame = keep_field(scaler, frame);
        if (frame == NULL)
            return err_set(err, ERR_SYSTEM, "no memory for a picture");
    }
    return draw_scaled(scaler, frame, turn, to, err);
}
