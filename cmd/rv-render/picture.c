/* picture: libx264's parameters, captions, and the account of the VBV. */
#include "picture.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <x264.h>

#include <libavutil/mathematics.h>

#define SEI_T35         4 /* user_data_registered_itu_t_t35 */
#define SEI_CAPTION_MAX (11 + POOL_CAPTIONS_SIZE)

/* x264 keeps a pointer to it until the picture is coded. */
struct caption {
    x264_sei_payload_t payload;
    uint8_t bytes[SEI_CAPTION_MAX];
};

struct picture_encoder {
    struct picture_config config;
    x264_t *x264;
    bool is_started;
    int64_t vbv_bits;
    int64_t vbv_size;
    uint64_t captions;
    struct caption caption[PICTURE_DELAY_MAX];
};

static void set_colours(x264_param_t *param, const struct house *house)
{
    /* ISO/IEC 23001-8: 1 is BT.709; 6 is BT.601 with 525 lines, 5 with 625 */
    const int colours = house->height >= 720                           ? 1
                        : house->height == 576 || house->height == 288 ? 5
                                                                       : 6;

    param->vui.b_fullrange = 0;
    param->vui.i_colorprim = colours;
    param->vui.i_transfer = colours == 1 ? 1 : 6;
    param->vui.i_colmatrix = colours;
    param->vui.i_sar_width = 1;
    param->vui.i_sar_height = 1;
}

static void set_rate(x264_param_t *param, const struct picture_config *config,
                     int64_t vbv_bits)
{
    param->rc.i_rc_method = X264_RC_ABR;
    param->rc.i_bitrate = config->bitrate_kbit;
    param->rc.i_vbv_max_bitrate = config->bitrate_kbit;
    param->rc.i_vbv_buffer_size = config->vbv_kbit;
    param->rc.f_vbv_buffer_init =
        (float)((double)vbv_bits / 1000.0 / config->vbv_kbit);
    param->rc.i_lookahead = config->lookahead;
    param->i_sync_lookahead = 0;
    param->i_nal_hrd = X264_NAL_HRD_NONE;
}

static void set_structure(x264_param_t *param,
                          const struct picture_config *config)
{
    const struct house *house = &config->house;

    param->i_csp = X264_CSP_I420;
    param->i_width = house->width;
    param->i_height = house->height;
    param->i_fps_num = (uint32_t)house->rate.num;
    param->i_fps_den = (uint32_t)house->rate.den;
    param->i_timebase_num = (uint32_t)house->rate.den;
    param->i_timebase_den = (uint32_t)house->rate.num;
    param->b_vfr_input = 0;
    param->i_keyint_max = X264_KEYINT_MAX_INFINITE; /* we say where */
    param->i_scenecut_threshold = 0;
    param->b_open_gop = 0;
    param->i_bframe = config->bframes;
    param->i_bframe_pyramid = X264_B_PYRAMID_NONE;
    param->i_threads = config->threads;
    param->b_sliced_threads = config->threads > 1;
    param->b_repeat_headers = 1;
    param->b_annexb = 1;
    param->b_aud = 1;
    param->b_stitchable = 1; /* all encoders of a channel write one SPS */
    param->i_log_level = X264_LOG_NONE;
}

/* x264 would say it on standard error, in its own words. */
static bool is_preset(const char *name)
{
    for (int i = 0; x264_preset_names[i] != NULL; i++) {
        if (strcmp(x264_preset_names[i], name) == 0)
            return true;
    }
    return false;
}

struct picture_encoder *picture_open(const struct picture_config *config,
                                     uint32_t vbv_bits, struct err *err)
{
    struct picture_encoder *encoder = calloc(1, sizeof(*encoder));
    x264_param_t param;

    if (encoder == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for the encoder");
        return NULL;
    }
    encoder->config = *config;
    encoder->vbv_size = (int64_t)config->vbv_kbit * 1000;
    encoder->vbv_bits = vbv_bits > 0 && vbv_bits < encoder->vbv_size
                            ? vbv_bits
                            : encoder->vbv_size * 9 / 10;
    if (!is_preset(config->preset) ||
        x264_param_default_preset(&param, config->preset, NULL) < 0) {
        err_set(err, ERR_INPUT,
                "preset '%s' is not one of libx264; give ultrafast, superfast, "
                "veryfast, faster, fast, medium, slow, slower or veryslow",
                config->preset);
        free(encoder);
        return NULL;
    }
    set_structure(&param, config);
    set_rate(&param, config, encoder->vbv_bits);
    set_colours(&param, &config->house);
    x264_param_apply_profile(&param, "high");
    encoder->x264 = x264_encoder_open(&param);
    if (encoder->x264 == NULL) {
        err_set(err, ERR_INPUT,
                "libx264 refuses %dx%d with %d kbit/s; give another house "
                "format or bitrate",
                config->house.width, config->house.height,
                config->bitrate_kbit);
        free(encoder);
        return NULL;
    }
    return encoder;
}

void picture_close(struct picture_encoder *encoder)
{
    if (encoder == NULL)
        return;
    x264_encoder_close(encoder->x264);
    free(encoder);
}

int picture_delay(const struct picture_encoder *encoder)
{
    return x264_encoder_maximum_delayed_frames(encoder->x264);
}

/* ATSC A/53 part 4, table 6.7: captions as registered user data. */
static void add_captions(struct picture_encoder *encoder, x264_picture_t *pic,
                         const struct source_frame *frame)
{
    static const uint8_t head[] = { 0xb5, 0x00, 0x31, 'G', 'A', '9', '4', 3 };
    struct caption *caption =
        &encoder->caption[encoder->captions++ % PICTURE_DELAY_MAX];
    uint8_t *to = caption->bytes;

    memcpy(to, head, sizeof(head));
    to += sizeof(head);
    *to++ = (uint8_t)(0xc0 | (frame->captions_size / 3 & 0x1f));
    *to++ = 0xff;
    memcpy(to, frame->captions, frame->captions_size);
    to += frame->captions_size;
    *to++ = 0xff;
    caption->payload.payload_type = SEI_T35;
    caption->payload.payload_size = (int)(to - caption->bytes);
    caption->payload.payload = caption->bytes;
    pic->extra_sei.num_payloads = 1;
    pic->extra_sei.payloads = &caption->payload;
    pic->extra_sei.sei_free = NULL;
}

/* As x264_ratecontrol.c counts: the picture leaves, a frame's time flows in */
static void count_vbv(struct picture_encoder *encoder, size_t bytes)
{
    const struct picture_config *config = &encoder->config;

    encoder->vbv_bits -= (int64_t)bytes * 8;
    if (encoder->vbv_bits < 0)
        encoder->vbv_bits = 0;
    encoder->vbv_bits +=
        av_rescale((int64_t)config->bitrate_kbit * 1000, config->house.rate.den,
                   config->house.rate.num);
    if (encoder->vbv_bits > encoder->vbv_size)
        encoder->vbv_bits = encoder->vbv_size;
}

static int run_encoder(struct picture_encoder *encoder, x264_picture_t *pic,
                       struct picture_coded *coded, struct err *err)
{
    x264_picture_t out;
    x264_nal_t *nal;
    int nals;
    const int size = x264_encoder_encode(encoder->x264, &nal, &nals, pic, &out);

    *coded = (struct picture_coded){ .size = 0 };
    if (size < 0)
        return err_set(err, ERR_SYSTEM, "libx264 failed to encode a picture");
    if (size == 0)
        return 0;
    count_vbv(encoder, (size_t)size);
    coded->data = nal[0].p_payload; /* all of a picture lie in sequence */
    coded->size = (size_t)size;
    coded->n = out.i_pts;
    coded->is_key = out.b_keyframe != 0;
    coded->vbv_bits = (uint32_t)encoder->vbv_bits;
    return 0;
}

int picture_encode(struct picture_encoder *encoder,
                   const struct source_frame *frame,
                   struct picture_coded *coded, struct err *err)
{
    x264_picture_t pic;

    x264_picture_init(&pic);
    pic.i_pts = frame->n;
    pic.i_type = !encoder->is_started || frame->n % encoder->config.gop == 0
                     ? X264_TYPE_IDR
                     : X264_TYPE_AUTO;
    encoder->is_started = true;
    pic.img.i_csp = X264_CSP_I420;
    pic.img.i_plane = 3;
    for (int i = 0; i < 3; i++) {
        /* x264's interface lacks a const; it only reads */
        pic.img.plane[i] = (uint8_t *)(uintptr_t)frame->plane[i];
        pic.img.i_stride[i] = frame->stride[i];
    }
    if (frame->captions_size >= 3 && frame->captions_size <= 31 * 3)
        add_captions(encoder, &pic, frame);
    return run_encoder(encoder, &pic, coded, err);
}

int picture_flush(struct picture_encoder *encoder, struct picture_coded *coded,
                  struct err *err)
{
    *coded = (struct picture_coded){ .size = 0 };
    while (coded->size == 0 && x264_encoder_delayed_frames(encoder->x264) > 0) {
        if (run_encoder(encoder, NULL, coded, err) < 0)
            return -1;
    }
    return 0;
}
