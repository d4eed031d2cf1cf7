/* dovi: metadata read and checked, curves; see the header. */
#include "media/dovi.h"

#include <math.h>
#include <string.h>
#include <libavutil/crc.h>

/* --- what is told --------------------------------------------------------- */

static const AVDOVIMetadata *metadata_of(const AVFrame *frame)
{
    const AVFrameSideData *side =
        av_frame_get_side_data(frame, AV_FRAME_DATA_DOVI_METADATA);

    return side && side->size >= sizeof(AVDOVIMetadata)
               ? (const AVDOVIMetadata *)side->data
               : NULL;
}

/* Profile 5 has no number in its RPU, but no other is of full range and not of
 * VDR profile 1. */
bool dovi_is_own(const AVFrame *frame)
{
    const AVDOVIMetadata *data = metadata_of(frame);

    if (data == NULL)
        return false;
    const AVDOVIRpuDataHeader *header = av_dovi_get_header(data);
    return header->vdr_rpu_profile == 0 && header->bl_video_full_range_flag;
}

/* Profiles of old say no compatibility; of 8 and later 0 is one: none. */
int dovi_profile(const AVStream *stream, bool *is_own)
{
    size_t size = 0;
    const AVDOVIDecoderConfigurationRecord *record =
        (const AVDOVIDecoderConfigurationRecord *)(const void *)
            av_stream_get_side_data(stream, AV_PKT_DATA_DOVI_CONF, &size);

    *is_own = false;
    if (record == NULL || size < sizeof(*record))
        return 0;
    *is_own =
        record->dv_profile == 5 ||
        (record->dv_profile >= 8 && record->dv_bl_signal_compatibility_id == 0);
    return record->dv_profile;
}

/* --- metadata, checked ---------------------------------------------------- */

static void read_polynomial(struct dovi_curve *to, int i,
                            const AVDOVIReshapingCurve *from, double unit)
{
    for (int k = 0; k <= from->poly_order[i]; k++)
        to->polynomial[i][k] = (float)(unit * (double)from->poly_coef[i][k]);
}

static void read_mmr(struct dovi_curve *to, int i,
                     const AVDOVIReshapingCurve *from, double unit)
{
    to->is_mmr[i] = true;
    to->mmr[i][0][0] = (float)(unit * (double)from->mmr_constant[i]);
    for (int k = 0; k < from->mmr_order[i]; k++) {
        for (int t = 1; t < DOVI_TERMS; t++)
            to->mmr[i][k][t] =
                (float)(unit * (double)from->mmr_coef[i][k][t - 1]);
    }
}

static bool read_piece(struct dovi_curve *to, int i, bool is_luma,
                       const AVDOVIReshapingCurve *from, double unit)
{
    switch ((int)from->mapping_idc[i]) {
    case AV_DOVI_MAPPING_POLYNOMIAL:
        if (from->poly_order[i] < 1 || from->poly_order[i] > 2)
            return false;
        read_polynomial(to, i, from, unit);
        return true;
    case AV_DOVI_MAPPING_MMR:
        if (is_luma || from->mmr_order[i] < 1 || from->mmr_order[i] > 3)
            return false;
        read_mmr(to, i, from, unit);
        return true;
    default: /* libav's enum, not ours */
        return false;
    }
}

static bool read_curve(struct dovi_curve *to, bool is_luma,
                       const AVDOVIReshapingCurve *from,
                       const AVDOVIRpuDataHeader *header)
{
    const double unit = ldexp(1, -header->coef_log2_denom);

    if (from->num_pivots < 2 || from->num_pivots > DOVI_PIECES + 1)
        return false;
    to->pieces = from->num_pivots - 1;
    for (int i = 0; i <= to->pieces; i++) {
        if (i > 0 && from->pivots[i] < from->pivots[i - 1])
            return false;
        to->pivots[i] = (float)ldexp(from->pivots[i], -header->bl_bit_depth);
    }
    for (int i = 0; i < to->pieces; i++) {
        if (!read_piece(to, i, is_luma, from, unit))
            return false;
    }
    return true;
}

static bool read_values(float *to, const AVRational *from, int count)
{
    for (int i = 0; i < count; i++) {
        if (from[i].den <= 0)
            return false;
        to[i] = (float)av_q2d(from[i]);
    }
    return true;
}

/* Grey is grey, and white stays white. */
static bool read_colours(struct dovi *dovi, const AVDOVIColorMetadata *from)
{
    if (!read_values(dovi->to_signal[0], from->ycc_to_rgb_matrix, 9) ||
        !read_values(dovi->offset, from->ycc_to_rgb_offset, 3) ||
        !read_values(dovi->to_lms[0], from->rgb_to_lms_matrix, 9))
        return false;
    for (int i = 0; i < 3; i++) {
        const float *lms = dovi->to_lms[i];
        if (fabsf(lms[0] + lms[1] + lms[2] - 1) > 0.01f ||
            fabsf(dovi->to_signal[i][0] - dovi->to_signal[0][0]) > 0.001f ||
            dovi->offset[i] > 1)
            return false;
    }
    dovi->source_max = from->source_max_pq;
    return dovi->to_signal[0][0] >= 0.5f && dovi->to_signal[0][0] <= 2;
}

static bool read_metadata(struct dovi *dovi, const AVDOVIMetadata *data)
{
    const AVDOVIRpuDataHeader *header = av_dovi_get_header(data);
    const AVDOVIDataMapping *mapping = av_dovi_get_mapping(data);

    memset(dovi, 0, sizeof(*dovi)); /* compared with memcmp() */
    if (header->bl_bit_depth < 8 || header->bl_bit_depth > 16 ||
        header->coef_log2_denom > 32)
        return false;
    for (int c = 0; c < 3; c++) {
        if (!read_curve(&dovi->curves[c], c == 0, &mapping->curves[c], header))
            return false;
    }
    return read_colours(dovi, av_dovi_get_color(data));
}

/* I, P and T of L', M' and S' inverted, and 4 % of each cone's light that the
 * two others have taken back out. */
static void usual(struct dovi *dovi)
{
    static const float TO_SIGNAL[3][3] = { { 1, 0.097569f, 0.205226f },
                                           { 1, -0.113876f, 0.133217f },
                                           { 1, 0.032615f, -0.676887f } };

    memset(dovi, 0, sizeof(*dovi));
    memcpy(dovi->to_signal, TO_SIGNAL, sizeof(TO_SIGNAL));
    for (int c = 0; c < 3; c++) {
        dovi->curves[c].pieces = 1;
        dovi->curves[c].pivots[1] = 1;
        dovi->curves[c].polynomial[0][1] = 1;
        dovi->offset[c] = c > 0 ? 0.5f : 0;
        for (int k = 0; k < 3; k++)
            dovi->to_lms[c][k] = c == k ? 0.98f / 0.94f : -0.02f / 0.94f;
    }
}

/* The CRC of all between the prefix and the last byte, where those that keep
 * start codes out (ISO/IEC 23008-2 7.3.1.1) do not count. */
static bool is_whole(const uint8_t *rpu, size_t size)
{
    const AVCRC *table = av_crc_get_table(AV_CRC_32_IEEE);
    uint32_t crc = UINT32_MAX;
    size_t from = 1;

    while (size > 0 && rpu[size - 1] == 0)
        size--;
    if (size < 6 || rpu[size - 1] != 0x80)
        return false;
    for (size_t i = 3; i < size - 1; i++) {
        if (rpu[i] != 3 || rpu[i - 1] != 0 || rpu[i - 2] != 0)
            continue;
        crc = av_crc(table, crc, rpu + from, i - from);
        from = i + 1;
    }
    return av_crc(table, crc, rpu + from, size - 1 - from) == 0;
}

/* libav goes on with former metadata where a picture has none. */
static bool has_metadata(const AVFrame *frame)
{
    const AVFrameSideData *rpu =
        av_frame_get_side_data(frame, AV_FRAME_DATA_DOVI_RPU_BUFFER);

    return rpu && is_whole(rpu->data, rpu->size) && metadata_of(frame);
}

bool dovi_of(struct dovi *dovi, const AVFrame *frame)
{
    if (has_metadata(frame) && read_metadata(dovi, metadata_of(frame)))
        return true;
    usual(dovi);
    return false;
}

/* --- curves --------------------------------------------------------------- */

static float clip(float value, float least, float most)
{
    return value > least ? value < most ? value : most : least;
}

static int piece_of(const struct dovi_curve *curve, float x)
{
    int i = 0;

    while (i + 1 < curve->pieces && x >= curve->pivots[i + 1])
        i++;
    return i;
}

/* Of a piece that is a polynomial. */
static float reshape(const struct dovi_curve *curve, int piece, float in)
{
    const float x = clip(in, curve->pivots[0], curve->pivots[curve->pieces]);
    const float *of = curve->polynomial[piece];

    return clip(of[0] + x * (of[1] + x * of[2]), 0, 1);
}

static float signal_of(int code)
{
    return (float)code / DOVI_CODES;
}

float dovi_luma(const struct dovi *dovi, int code)
{
    const struct dovi_curve *curve = &dovi->curves[0];
    const float x = signal_of(code);

    return dovi->to_signal[0][0] *
           (reshape(curve, piece_of(curve, x), x) - dovi->offset[0]);
}

void dovi_chroma_init(struct dovi_chroma *chroma, const struct dovi *dovi)
{
    for (int c = 0; c < 2; c++) {
        const struct dovi_curve *curve = &dovi->curves[c + 1];
        for (int i = 0; i < DOVI_CODES; i++) {
            const float x = signal_of(i);
            const int piece = piece_of(curve, x);
            const bool is_mmr = curve->is_mmr[piece];
            chroma->piece[c][i] = (int8_t)(is_mmr ? piece : -1);
            chroma->value[c][i] =
                (is_mmr ? 0 : reshape(curve, piece, x)) - dovi->offset[c + 1];
        }
    }
}

static float mmr(const struct dovi_curve *curve, int piece,
                 const float term[DOVI_TERMS])
{
    const float(*of)[DOVI_TERMS] = curve->mmr[piece];
    float s[DOVI_TERMS];

    for (int t = 0; t < DOVI_TERMS; t++)
        s[t] = term[t] * (of[0][t] + term[t] * (of[1][t] + term[t] * of[2][t]));
    return clip((s[0] + s[1] + (s[2] + s[3])) + (s[4] + s[5] + (s[6] + s[7])),
                0, 1);
}

void dovi_add(const struct dovi *dovi, const struct dovi_chroma *chroma, int y,
              int u, int v, float add[3])
{
    const int code[2] = { u, v };
    float is[2];

    for (int c = 0; c < 2; c++) {
        const int piece = chroma->piece[c][code[c]];
        is[c] = chroma->value[c][code[c]];
        if (piece >= 0) {
            const float a = signal_of(y) / 4, b = signal_of(u),
                        d = signal_of(v);
            const float term[DOVI_TERMS] = { 1,     a,     b,     d,
                                             a * b, a * d, b * d, a * b * d };
            is[c] += mmr(&dovi->curves[c + 1], piece, term);
        }
    }
    for (int i = 0; i < 3; i++)
        add[i] = dovi->to_signal[i][1] * is[0] + dovi->to_signal[i][2] * is[1];
}
