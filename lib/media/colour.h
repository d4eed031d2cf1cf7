/*
 * colour: which colours a decoded picture has, and how they become the
 * house's: limited range, BT.709 from 720 lines up, else BT.601.
 *
 * Scaling is swscale's and never changes the matrix; what is here works in
 * place on the scaled picture, so it costs the house's pixels and not the
 * source's.
 */
#ifndef RV_MEDIA_COLOUR_H
#define RV_MEDIA_COLOUR_H

#include <libavutil/frame.h>
#include <libavutil/pixfmt.h>
#include <stdbool.h>
#include <stdint.h>

#include "frame/house.h"

/* ITU-T H.273 table 4; this libav has no name for it.  Here it stands for
 * Dolby Vision's own colours, see dovi.h. */
#define COLOUR_IPT_C2 15

/* Planes of a picture in yuv420p. */
struct planes {
    uint8_t *data[3];
    int stride[3];
};

/* AVCOL_SPC_BT709 or AVCOL_SPC_SMPTE170M, which stands for all of BT.601. */
int colour_house_matrix(const struct house *house);

/*
 * The matrix of a picture: what it says, else BT.709 from 1280 columns or 720
 * lines up and BT.601 below (ITU-R BT.709, BT.601: what HD and SD are made
 * in).  RGB gives AVCOL_SPC_RGB.
 */
int colour_matrix_of(const AVFrame *frame);

/* Full range: what the picture says, else what its format is used for. */
bool colour_is_full(const AVFrame *frame);

/* Kr and Kb of a matrix (ITU-T H.273 table 4). */
void colour_weights(int matrix, double *kr, double *kb);

/*
 * R, G and B of a matrix, less Y, as so much Cb and so much Cr (ITU-T H.273
 * 8.3).  Limited range, or full range scaled to limited.
 */
void colour_to_rgb(int matrix, bool is_full, double to[3][2]);

/*
 * From one matrix to another, both limited range (the first perhaps scaled
 * from full range): with y = Y - 16,
 * u = Cb - 128, v = Cr - 128 as 16.16
 *
 *   y' = y + yu u + yv v     u' = uu u + uv v     v' = vu u + vv v
 *
 * Chroma never depends on luma, since grey stays grey.
 */
struct matrix {
    int yu, yv, uu, uv, vu, vv;
};

void matrix_init(struct matrix *matrix, int from, bool is_full, int to);
void matrix_apply(const struct matrix *matrix, const struct planes *planes,
                  int width, int height);

/* Lays the picture over black; width and height even, `alpha` 0 to 255. */
void colour_over_black(const struct planes *planes, int width, int height,
                       const uint8_t *alpha, int alpha_stride);

#endif
