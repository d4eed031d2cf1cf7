/* tone: the curves and the table; see the header. */
#include "media/tone.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <libavutil/common.h>
#include <libavutil/mastering_display_metadata.h>

/* Signal in quarters of a 10-bit code above black; 876 codes are 1.0. */
#define SIGNAL_UNIT  (4 * 876)
#define SIGNAL_STEPS 4096

/*
 * Functions of light are tables with 256 places an octave, found by the bits
 * of a float, from 2^-24 (a tenth of an 8-bit level) up to 2^6 (over the
 * 10000 cd/m2 of PQ).
 */
#define LIGHT_STEPS (30 * 256)
#define LIGHT_SHIFT 15 /* of a float's 23 bits of mantissa, 8 are left */
#define LIGHT_LEAST 0x1p-24f
#define LIGHT_MOST  0x1.ffp5f

struct tone {
    struct tone_config config; /* its peak_nits: the present picture's */
    int told_nits;
    bool is_hlg, is_wide, is_dovi;
    float light_most;          /* what is more is clipped */
    float light[SIGNAL_STEPS]; /* of one colour; 1.0 is SDR's white */
    float ootf[LIGHT_STEPS];   /* HLG: gain by scene luminance */
    float gain[LIGHT_STEPS];   /* of signals, by the largest light */
    float signal[LIGHT_STEPS]; /* by light */
    float luminance[3];        /* HLG: of what has been made light */
    float primaries[3][3];
    int16_t luma[DOVI_CODES]; /* as a signal */
    int to_rgb[3][2];         /* of Cb and Cr, 16.16 */
    struct dovi dovi;         /* instead of them */
    struct dovi_chroma chroma;
    float kr, kg, kb, per_cb, per_cr; /* of what comes out */
};

/* --- what a picture says -------------------------------------------------- */

static bool is_lms(const AVFrame *frame)
{
    const int matrix = colour_matrix_of(frame);
    return matrix == AVCOL_SPC_ICTCP || matrix == COLOUR_IPT_C2;
}

int tone_primaries_of(const AVFrame *frame)
{
    const bool is_hdr = frame->color_trc == AVCOL_TRC_SMPTE2084 ||
                        frame->color_trc == AVCOL_TRC_ARIB_STD_B67;

    if (is_lms(frame))
        return AVCOL_PRI_BT2020; /* L, M and S are made of it */
    switch (frame->color_primaries) {
    case AVCOL_PRI_BT2020:
    case AVCOL_PRI_SMPTE432:
        return (int)frame->color_primaries;
    case AVCOL_PRI_UNSPECIFIED:
    case AVCOL_PRI_RESERVED:
    case AVCOL_PRI_RESERVED0:
        return is_hdr || frame->colorspace == AVCOL_SPC_BT2020_NCL ||
                       frame->colorspace == AVCOL_SPC_BT2020_CL
                   ? AVCOL_PRI_BT2020
                   : AVCOL_PRI_BT709;
    default: /* SD's are so near that nobody converts them */
        return AVCOL_PRI_BT709;
    }
}

enum tone_kind tone_kind_of(const AVFrame *frame)
{
    if (frame->color_trc == AVCOL_TRC_SMPTE2084)
        return TONE_PQ;
    if (frame->color_trc == AVCOL_TRC_ARIB_STD_B67 &&
        colour_matrix_of(frame) != COLOUR_IPT_C2)
        return TONE_HLG;
    if (is_lms(frame))
        return TONE_PQ; /* ITU-T H.273 8.3: whatever else it says */
    return tone_primaries_of(frame) == AVCOL_PRI_BT709 ? TONE_NONE : TONE_WIDE;
}

static int believable_peak(double nits)
{
    return nits > TONE_WHITE_NITS && nits <= 10000 ? (int)nits : 0;
}

int tone_peak_of_light(const uint8_t *data, size_t size)
{
    AVContentLightMetadata light;

    if (size < sizeof(light))
        return 0;
    memcpy(&light, data, sizeof(light));
    return believable_peak(light.MaxCLL);
}

int tone_peak_of_display(const uint8_t *data, size_t size)
{
    AVMasteringDisplayMetadata display;

    if (size < sizeof(display))
        return 0;
    memcpy(&display, data, sizeof(display));
    return display.has_luminance && display.max_luminance.den > 0
               ? believable_peak(av_q2d(display.max_luminance))
               : 0;
}

/* --- curves --------------------------------------------------------------- */

/* SMPTE ST 2084 clause 5 */
#define PQ_M1 (2610.0 / 16384)
#define PQ_M2 (2523.0 / 4096 * 128)
#define PQ_C1 (3424.0 / 4096)
#define PQ_C2 (2413.0 / 4096 * 32)
#define PQ_C3 (2392.0 / 4096 * 32)

static double pq_to_nits(double signal)
{
    const double n = pow(fmin(fmax(signal, 0), 1), 1 / PQ_M2);
    return 10000 * pow(fmax(n - PQ_C1, 0) / (PQ_C2 - PQ_C3 * n), 1 / PQ_M1);
}

static double pq_from_nits(double nits)
{
    const double y = pow(fmax(nits, 0) / 10000, PQ_M1);
    return pow((PQ_C1 + PQ_C2 * y) / (1 + PQ_C3 * y), PQ_M2);
}

/* ITU-R BT.2100 table 5: the inverse OETF, scene light 0 to 1. */
static double hlg_to_scene(double signal)
{
    const double a = 0.17883277;
    const double b = 1 - 4 * a;
    const double c = 0.5 - a * log(4 * a);

    if (signal <= 0.5)
        return signal < 0 ? 0 : signal * signal / 3;
    return (exp((fmin(signal, 1) - c) / a) + b) / 12;
}

static int dovi_peak(const struct dovi *dovi)
{
    return believable_peak(round(pq_to_nits(dovi->source_max / 4095.0)));
}

int tone_peak_of(const AVFrame *frame)
{
    struct dovi dovi;

    if (colour_matrix_of(frame) == COLOUR_IPT_C2 && dovi_of(&dovi, frame) &&
        dovi_peak(&dovi) > 0)
        return dovi_peak(&dovi);
    const AVFrameSideData *light =
        av_frame_get_side_data(frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
    const AVFrameSideData *display =
        av_frame_get_side_data(frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
    const int peak = light ? tone_peak_of_light(light->data, light->size) : 0;

    return peak == 0 && display
               ? tone_peak_of_display(display->data, display->size)
               : peak;
}

/* ITU-R BT.2390: identity up to the knee, from there a Hermite spline. */
double tone_roll_off(double nits, double peak_nits)
{
    const double peak = pq_from_nits(peak_nits);
    const double white = pq_from_nits(TONE_WHITE_NITS) / peak;
    const double knee = 1.5 * white - 0.5;
    const double in = fmin(pq_from_nits(nits) / peak, 1);

    if (in <= knee)
        return nits;
    const double t = (in - knee) / (1 - knee);
    const double t2 = t * t;
    const double t3 = t2 * t;
    const double out = (2 * t3 - 3 * t2 + 1) * knee +
                       (t3 - 2 * t2 + t) * (1 - knee) +
                       (-2 * t3 + 3 * t2) * white;
    return fmin(pq_to_nits(out * peak), TONE_WHITE_NITS);
}

/* Of one colour: 1.0 is SDR's white; of HLG, scene light. */
static double light_of(enum tone_kind kind, double signal)
{
    if (kind == TONE_PQ)
        return pq_to_nits(signal) / TONE_WHITE_NITS;
    if (kind == TONE_HLG)
        return hlg_to_scene(signal);
    return pow(fmin(fmax(signal, 0), 1), 2.4); /* ITU-R BT.1886 annex 1 */
}

/* ITU-R BT.2100 table 5, note 5f: gamma 1.2 for 1000 cd/m2. */
static double ootf_of(double scene)
{
    return TONE_PEAK_NITS * pow(scene, 0.2) / TONE_WHITE_NITS;
}

/* How much of its signal a pixel keeps whose largest light is this. */
static double gain_of(const struct tone_config *config, double light)
{
    const int told = config->kind == TONE_PQ ? config->peak_nits : 0;
    const double nits = light * TONE_WHITE_NITS;

    if (config->kind == TONE_WIDE)
        return 1;
    return pow(tone_roll_off(nits, told > 0 ? told : TONE_PEAK_NITS) / nits,
               1 / 2.4);
}

/* --- tables --------------------------------------------------------------- */

/* Linear light into BT.709's primaries, both with white D65; derived from the
 * chromaticities of ITU-R BT.709 and BT.2020 table 2, SMPTE EG 432-1. */
static const float SAME[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
static const float BT2020[3][3] = { { 1.660491f, -0.587641f, -0.072850f },
                                    { -0.124550f, 1.132900f, -0.008349f },
                                    { -0.018151f, -0.100579f, 1.118730f } };
static const float P3[3][3] = { { 1.224940f, -0.224940f, 0 },
                                { -0.042057f, 1.042057f, 0 },
                                { -0.019638f, -0.078636f, 1.098274f } };

/* ITU-R BT.2100 tables 6 and 7, inverted: L', M' and S' less I, of Ct and Cp;
 * and R, G and B in BT.2020 of L, M and S. */
static const double ICTCP_PQ[3][2] = { { 0.008609, 0.111030 },
                                       { -0.008609, -0.111030 },
                                       { 0.560031, -0.320627 } };
static const double ICTCP_HLG[3][2] = { { 0.015719, 0.209581 },
                                        { -0.015719, -0.209581 },
                                        { 1.021271, -0.605274 } };
static const float LMS[3][3] = { { 3.436607f, -2.506452f, 0.069845f },
                                 { -0.791330f, 1.983600f, -0.192271f },
                                 { -0.025950f, -0.098914f, 1.124864f } };
/* The same of Dolby Vision's, by the cones of Hunt, Pointer and Estevez. */
static const float CONES[3][3] = { { 3.064397f, -2.165961f, 0.101557f },
                                   { -0.656131f, 1.785569f, -0.129440f },
                                   { 0.017361f, -0.047245f, 1.029889f } };

/* `primaries` takes what comes out of `first`. */
static void put_before(struct tone *tone, const float first[3][3])
{
    float then[3][3];

    memcpy(then, tone->primaries, sizeof(then));
    for (int i = 0; i < 9; i++) {
        const float *row = then[i / 3];
        tone->primaries[i / 3][i % 3] = row[0] * first[0][i % 3] +
                                        row[1] * first[1][i % 3] +
                                        row[2] * first[2][i % 3];
    }
}

static void set_light(struct tone *tone)
{
    static const float WEIGHTS[3] = { 0.2627f, 0.6780f, 0.0593f };
    const struct tone_config *config = &tone->config;
    const float(*light)[3] = tone->is_dovi                     ? CONES
                             : config->from == AVCOL_SPC_ICTCP ? LMS
                                                               : SAME;

    memcpy(tone->primaries,
           config->primaries == AVCOL_PRI_BT2020     ? BT2020
           : config->primaries == AVCOL_PRI_SMPTE432 ? P3
                                                     : SAME,
           sizeof(tone->primaries));
    for (int i = 0; i < 3; i++)
        tone->luminance[i] = WEIGHTS[0] * light[0][i] +
                             WEIGHTS[1] * light[1][i] +
                             WEIGHTS[2] * light[2][i];
    put_before(tone, light);
    if (tone->is_dovi)
        put_before(tone, tone->dovi.to_lms);
}

static int fixed(double value)
{
    return (int)lround(value * 65536);
}

static void set_matrices(struct tone *tone)
{
    const struct tone_config *config = &tone->config;
    const double unit = 4.0 * 876 / 896;
    double kr, kb, to[3][2];

    if (config->from == AVCOL_SPC_ICTCP)
        memcpy(to, tone->is_hlg ? ICTCP_HLG : ICTCP_PQ, sizeof(to));
    else
        colour_to_rgb(config->from, config->is_full, to);
    for (int i = 0; i < 6; i++)
        tone->to_rgb[i / 2][i % 2] = fixed(unit * to[i / 2][i % 2]);
    colour_weights(config->to, &kr, &kb);
    tone->kr = (float)kr;
    tone->kb = (float)kb;
    tone->kg = (float)(1 - kr - kb);
    tone->per_cb = (float)(224 / (2 * (1 - kb)));
    tone->per_cr = (float)(224 / (2 * (1 - kr)));
}

/* What falls into a place of a table of light: the middle of it. */
static double middle(int place)
{
    return ldexp(1 + (place % 256 + 0.5) / 256, place / 256) * LIGHT_LEAST;
}

static void set_gain(struct tone *tone)
{
    for (int i = 0; i < LIGHT_STEPS; i++)
        tone->gain[i] = (float)gain_of(&tone->config, middle(i));
}

static void set_curves(struct tone *tone)
{
    const enum tone_kind kind = tone->config.kind;

    for (int i = 0; i < SIGNAL_STEPS; i++)
        tone->light[i] = (float)light_of(kind, (double)i / SIGNAL_UNIT);
    for (int i = 0; i < LIGHT_STEPS; i++) {
        tone->ootf[i] = (float)ootf_of(middle(i));
        tone->signal[i] = (float)pow(middle(i), 1 / 2.4);
    }
    tone->signal[0] = 0;
    for (int i = 0; i < DOVI_CODES; i++)
        tone->luma[i] = (int16_t)((i - 64) * 4);
}

struct tone *tone_new(const struct tone_config *config)
{
    struct tone *tone = calloc(1, sizeof(*tone));

    if (tone == NULL)
        return NULL;
    tone->config = *config;
    tone->told_nits = config->peak_nits;
    tone->is_hlg = config->kind == TONE_HLG;
    tone->is_dovi = config->from == COLOUR_IPT_C2;
    tone->is_wide = config->kind == TONE_WIDE;
    tone->light_most = config->kind == TONE_WIDE ? 1 : LIGHT_MOST;
    set_curves(tone);
    set_gain(tone);
    set_light(tone);
    set_matrices(tone);
    return tone;
}

/* A peak that is told stays told where a picture's metadata are missing. */
void tone_follow(struct tone *tone, const struct dovi *dovi)
{
    const int peak = dovi_peak(dovi) > 0 ? dovi_peak(dovi) : tone->told_nits;

    if (memcmp(&tone->dovi, dovi, sizeof(*dovi)) == 0)
        return;
    memcpy(&tone->dovi, dovi, sizeof(*dovi));
    for (int i = 0; i < DOVI_CODES; i++)
        tone->luma[i] = (int16_t)lrintf(SIGNAL_UNIT * dovi_luma(dovi, i));
    dovi_chroma_init(&tone->chroma, dovi);
    set_light(tone);
    if (peak == tone->config.peak_nits)
        return;
    tone->config.peak_nits = peak;
    set_gain(tone);
}

void tone_free(struct tone *tone)
{
    free(tone);
}

/* --- pictures ------------------------------------------------------------- */

static unsigned place_of(float light)
{
    uint32_t bits, least;
    const float low = LIGHT_LEAST;
    const float in = light < LIGHT_LEAST  ? LIGHT_LEAST
                     : light > LIGHT_MOST ? LIGHT_MOST
                                          : light;

    memcpy(&bits, &in, sizeof(bits));
    memcpy(&least, &low, sizeof(least));
    return (bits - least) >> LIGHT_SHIFT;
}

static unsigned signal_step(int value)
{
    return value < 0               ? 0
           : value >= SIGNAL_STEPS ? SIGNAL_STEPS - 1
                                   : (unsigned)value;
}

/* Pixels that go through each step together, block by block of two by two:
 * what is arithmetic in a step becomes vectors, what is a table does not. */
enum { RUN = 64 };

struct run {
    float red[RUN], green[RUN], blue[RUN];
};

static void places_of(unsigned *restrict places, const float *restrict light,
                      int count)
{
    for (int i = 0; i < count; i++)
        places[i] = place_of(light[i]);
}

/* The three colours times what `table` says of `by`. */
static void scale_by(const float *restrict table, const float *restrict by,
                     struct run *restrict run, int count)
{
    unsigned places[RUN];

    places_of(places, by, count);
    for (int i = 0; i < count; i++) {
        const float gain = table[places[i]];
        run->red[i] *= gain;
        run->green[i] *= gain;
        run->blue[i] *= gain;
    }
}

static void look_up(const float *restrict table, float *restrict light,
                    int count)
{
    unsigned places[RUN];

    places_of(places, light, count);
    for (int i = 0; i < count; i++)
        light[i] = table[places[i]];
}

static void ootf(const struct tone *tone, struct run *restrict run, int count)
{
    const float *k = tone->luminance;
    float scene[RUN];

    for (int i = 0; i < count; i++)
        scene[i] =
            k[0] * run->red[i] + k[1] * run->green[i] + k[2] * run->blue[i];
    scale_by(tone->ootf, scene, run, count);
}

/* Into BT.709's primaries, clipped; `largest` of each pixel. */
static void to_primaries(const struct tone *tone, struct run *restrict run,
                         float *restrict largest, int count)
{
    const float(*m)[3] = tone->primaries;
    const float most = tone->light_most;

    for (int i = 0; i < count; i++) {
        const float r = run->red[i];
        const float g = run->green[i];
        const float b = run->blue[i];
        const float red = m[0][0] * r + m[0][1] * g + m[0][2] * b;
        const float green = m[1][0] * r + m[1][1] * g + m[1][2] * b;
        const float blue = m[2][0] * r + m[2][1] * g + m[2][2] * b;
        run->red[i] = FFMIN(red, most);
        run->green[i] = FFMIN(green, most);
        run->blue[i] = FFMIN(blue, most);
        largest[i] = FFMAX3(run->red[i], run->green[i], run->blue[i]);
    }
}

/* Light, gains done, into signals. */
static void to_signals(const struct tone *tone, struct run *run, int count)
{
    float largest[RUN];

    if (tone->is_hlg)
        ootf(tone, run, count);
    to_primaries(tone, run, largest, count);
    look_up(tone->signal, run->red, count);
    look_up(tone->signal, run->green, count);
    look_up(tone->signal, run->blue, count);
    if (!tone->is_wide)
        scale_by(tone->gain, largest, run, count);
}

static uint8_t clip(int value)
{
    return (uint8_t)(value < 1 ? 1 : value > 254 ? 254 : value);
}

/* Ordered dither: 10 bits have become 8. */
static const float DITHER[4][4] = {
    { 1 / 32.0f, 17 / 32.0f, 5 / 32.0f, 21 / 32.0f },
    { 25 / 32.0f, 9 / 32.0f, 29 / 32.0f, 13 / 32.0f },
    { 7 / 32.0f, 23 / 32.0f, 3 / 32.0f, 19 / 32.0f },
    { 31 / 32.0f, 15 / 32.0f, 27 / 32.0f, 11 / 32.0f }
};

/* What chroma adds to luma in the three signals. */
static void chroma_of(const struct tone *tone, const uint16_t *const in[4],
                      int x, int add[3])
{
    const int u = in[2][x / 2] & 1023;
    const int v = in[3][x / 2] & 1023;
    const int(*to)[2] = tone->to_rgb;
    float of[3];

    if (!tone->is_dovi) {
        for (int i = 0; i < 3; i++)
            add[i] = (to[i][0] * (u - 512) + to[i][1] * (v - 512)) >> 16;
        return;
    }
    dovi_add(&tone->dovi, &tone->chroma,
             (in[0][x] & 1023) + (in[0][x + 1] & 1023) + (in[1][x] & 1023) +
                 (in[1][x + 1] & 1023),
             u, v, of);
    for (int i = 0; i < 3; i++)
        add[i] = (int)(SIGNAL_UNIT * of[i] + (of[i] < 0 ? -0.5f : 0.5f));
}

/* Blocks of two by two pixels, one behind the other, into light. */
static void take_blocks(const struct tone *tone, const uint16_t *const in[4],
                        int x, int count, struct run *run)
{
    int add[3];

    for (int i = 0; i < count; i += 4, x += 2) {
        chroma_of(tone, in, x, add);
        for (int k = 0; k < 4; k++) {
            const int y = tone->luma[in[k >> 1][x + (k & 1)] & 1023];
            run->red[i + k] = tone->light[signal_step(y + add[0])];
            run->green[i + k] = tone->light[signal_step(y + add[1])];
            run->blue[i + k] = tone->light[signal_step(y + add[2])];
        }
    }
}

/* Luma of each pixel, and the mean of a block's chroma. */
static void give_blocks(const struct tone *tone, const struct run *run,
                        uint8_t *const out[4], int x, int count, int at)
{
    for (int i = 0; i < count; i += 4, x += 2) {
        float cb = 0;
        float cr = 0;
        for (int k = i; k < i + 4; k++) {
            const int row = (k >> 1) & 1;
            const int column = x + (k & 1);
            const float luma = tone->kr * run->red[k] +
                               tone->kg * run->green[k] +
                               tone->kb * run->blue[k];
            cb += run->blue[k] - luma;
            cr += run->red[k] - luma;
            out[row][column] = clip(
                (int)(16 + 219 * luma + DITHER[(at + row) & 3][column & 3]));
        }
        out[2][x / 2] = clip((int)(128.5f + tone->per_cb * cb / 4));
        out[3][x / 2] = clip((int)(128.5f + tone->per_cr * cr / 4));
    }
}

void tone_apply(const struct tone *tone, const AVFrame *from,
                const struct planes *to, int width, int height)
{
    for (int y = 0; y + 1 < height; y += 2) {
        const uint8_t *luma = from->data[0] + y * from->linesize[0];
        const uint16_t *const in[4] = {
            (const uint16_t *)luma,
            (const uint16_t *)(luma + from->linesize[0]),
            (const uint16_t *)(from->data[1] + y / 2 * from->linesize[1]),
            (const uint16_t *)(from->data[2] + y / 2 * from->linesize[2]),
        };
        uint8_t *const out[4] = {
            to->data[0] + y * to->stride[0],
            to->data[0] + (y + 1) * to->stride[0],
            to->data[1] + y / 2 * to->stride[1],
            to->data[2] + y / 2 * to->stride[2],
        };
        for (int x = 0; x < width; x += RUN / 2) {
            const int count = FFMIN(RUN, (width - x) * 2);
            struct run run;
            take_blocks(tone, in, x, count, &run);
            to_signals(tone, &run, count);
            give_blocks(tone, &run, out, x, count, y);
        }
    }
}
