/*
 * tone: pictures of high dynamic range or wide gamut made BT.709 pictures.
 *
 *   PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100 table 5, OOTF for 1000 cd/m2)
 *     -> light of a display -> primaries of BT.709, what lies outside clipped
 *     -> roll-off of the source's peak to 203 cd/m2, which is SDR's 100 %
 *     -> signal for a display of BT.1886
 *
 * The roll-off is the EETF of ITU-R BT.2390 (clause "mapping of display light",
 * black level 0), taken of the largest of R, G and B so that hues stay.  What
 * is darker than its knee (88 cd/m2 for a peak of 1000) keeps its light
 * exactly, reference white (203 cd/m2, ITU-R BT.2408 table 1) comes out at
 * 90 %, the peak at 100 %.  SDR of a wide gamut only changes its primaries.
 *
 * ICtCp (ITU-R BT.2100 tables 6 and 7) has the curves not on R, G and B but on
 * L, M and S: matrices with other numbers, the same work.  So has Dolby Vision,
 * whose numbers come with each picture.
 *
 * Curves are tables, so a pixel costs the same whatever they are.
 */
#ifndef RV_MEDIA_TONE_H
#define RV_MEDIA_TONE_H

#include <libavutil/frame.h>
#include <stddef.h>
#include <stdint.h>

#include "media/colour.h"
#include "media/dovi.h"

/* Peak of a source that does not tell, and of HLG (cd/m2). */
#define TONE_PEAK_NITS 1000
/* SDR's 100 %, HDR's reference white. */
#define TONE_WHITE_NITS 203

enum tone_kind { TONE_NONE, TONE_WIDE, TONE_PQ, TONE_HLG };

/* What a picture says about its transfer function and primaries. */
enum tone_kind tone_kind_of(const AVFrame *frame);

/* AVCOL_PRI_... that have to be converted, else AVCOL_PRI_BT709. */
int tone_primaries_of(const AVFrame *frame);

struct tone_config {
    enum tone_kind kind;
    int primaries; /* AVCOL_PRI_... */
    int from, to;  /* matrices, as colour_matrix_of() */
    bool is_full;  /* the source's range */
    int peak_nits; /* of PQ; 0: TONE_PEAK_NITS */
};

struct tone;

/* gives; NULL: no memory. */
struct tone *tone_new(const struct tone_config *config);
void tone_free(struct tone *tone);

/* What the next picture's metadata say: of COLOUR_IPT_C2 before each
 * tone_apply().  Costs little unless the peak changes, nothing if nothing
 * does. */
void tone_follow(struct tone *tone, const struct dovi *dovi);

/* `from`: yuv420p10, limited range; width and height even. */
void tone_apply(const struct tone *tone, const AVFrame *from,
                const struct planes *to, int width, int height);

/* The roll-off alone: cd/m2 in and out. */
double tone_roll_off(double nits, double peak_nits);

/* Peak that metadata tell, 0: none.  That of Dolby Vision's own colours goes
 * before MaxCLL (CTA-861.3), that before the mastering display (SMPTE ST 2086).
 */
int tone_peak_of(const AVFrame *frame);
int tone_peak_of_light(const uint8_t *data, size_t size);
int tone_peak_of_display(const uint8_t *data, size_t size);

#endif
