/*
 * dovi: Dolby Vision's own colours (profile 5, whose pictures are neither
 * YCbCr nor ICtCp), as far as a picture's metadata (RPU) say what they are:
 *
 *   code value -> reshaped: pieces of polynomials or, of chroma, sums of
 *                 products of all three (MMR; ETSI GS CCM 001)
 *              -> L', M', S' by a matrix -> light by PQ -> L, M, S by another
 *              -> R, G, B of BT.2020
 *
 * tone.h does the rest.  All of it is the picture's own: what came before does
 * not matter, or a decoder that begins elsewhere would show other colours.
 * An RPU whose CRC is wrong (libav does not look at it) or by which white would
 * not stay white is none.
 */
#ifndef RV_MEDIA_DOVI_H
#define RV_MEDIA_DOVI_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/dovi_meta.h>
#include <libavutil/frame.h>
#include <stdbool.h>
#include <stdint.h>

#define DOVI_PIECES 8
#define DOVI_CODES  1024 /* of the 10 bits that pictures are scaled in */
#define DOVI_TERMS  8    /* 1, y, u, v, yu, yv, uv, yuv */

/* Of one component, in signals of 0 to 1. */
struct dovi_curve {
    int pieces;
    float pivots[DOVI_PIECES + 1];
    float polynomial[DOVI_PIECES][3]; /* of 1, x and its square */
    bool is_mmr[DOVI_PIECES];
    float mmr[DOVI_PIECES][3][DOVI_TERMS]; /* of terms and their powers */
};

struct dovi {
    struct dovi_curve curves[3];
    float offset[3];
    float to_signal[3][3]; /* its first column is one value */
    float to_lms[3][3];
    int source_max; /* PQ in 12 bits; 0: not told */
};

/* A picture in these colours, by its own header. */
bool dovi_is_own(const AVFrame *frame);

/* What its metadata say, compared with memcmp(); false: none, or they are not
 * to be believed, and `dovi` is IPT-PQ-c2 as it is without reshaping. */
bool dovi_of(struct dovi *dovi, const AVFrame *frame);

/* The profile that a container tells, 0: none; `is_own`: its pictures are in
 * these colours alone. */
int dovi_profile(const AVStream *stream, bool *is_own);

/* Y, a signal of which all three of L', M', S' have as much. */
float dovi_luma(const struct dovi *dovi, int code);

/* Chroma by code value, as far as it depends on nothing else. */
struct dovi_chroma {
    float value[2][DOVI_CODES];
    int8_t piece[2][DOVI_CODES]; /* of MMR; -1: `value` is it */
};

void dovi_chroma_init(struct dovi_chroma *chroma, const struct dovi *dovi);

/* What chroma adds to L', M' and S'; `y`: the sum of the four code values. */
void dovi_add(const struct dovi *dovi, const struct dovi_chroma *chroma, int y,
              int u, int v, float add[3]);

#endif
