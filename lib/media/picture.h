/*
 * picture: any decoded picture made a house picture: display aspect kept,
 * black bars, rotation, deinterlaced, the house's matrix, limited range.
 */
#ifndef RV_MEDIA_PICTURE_H
#define RV_MEDIA_PICTURE_H

#include <libavutil/frame.h>
#include <libavutil/rational.h>
#include <libswscale/swscale.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "media/colour.h"
#include "media/fields.h"
#include "media/tone.h"

/* How a decoded picture is to be turned: transpose first, then mirror. */
enum picture_turn {
    TURN_NONE = 0,
    TURN_TRANSPOSE = 1 << 0,
    TURN_MIRROR_X = 1 << 1,
    TURN_MIRROR_Y = 1 << 2
};

/* The turn of a display matrix (9 values, 16.16); odd angles are ignored. */
uint32_t picture_turn(const int32_t *matrix);

/* turn.c: a plane of a picture, turned; `width` and `height` are those of `to`,
 * which lies apart from `from`. */
void turn_plane(uint8_t *to, int to_stride, const uint8_t *from,
                int from_stride, int width, int height, uint32_t turn);

/* Bytes of a house picture with 64-byte strides, and its planes in memory. */
uint32_t planes_bytes(const struct house *house);
void planes_lay(struct planes *planes, const struct house *house,
                uint8_t *memory);

void planes_black(const struct planes *planes, const struct house *house);
void planes_copy(const struct planes *to, const AVFrame *from,
                 const struct house *house);
/* Towards black: 256 is unity, 0 black. */
void planes_fade(const struct planes *planes, const struct house *house,
                 int gain);

/* What a picture looks like, as far as conversion depends on it. */
struct picture_format {
    int width, height, pixel_format;
    int matrix;   /* AVCOL_SPC_..., see colour_matrix_of() */
    int siting;   /* AVCHROMA_LOC_... */
    bool is_full; /* range */
    bool has_alpha;
    int tone;      /* enum tone_kind */
    int primaries; /* AVCOL_PRI_..., of BT.709's kind: AVCOL_PRI_BT709 */
    bool is_interlaced;
    AVRational sar; /* never 0 */
    uint32_t turn;
};

/* Two pictures of one size and pixel format, so that their lines can be
 * compared; false without one. */
bool picture_is_alike(const AVFrame *a, const AVFrame *b);

void picture_format_of(struct picture_format *format, const AVFrame *frame,
                       AVRational sar, uint32_t turn);

/* Needs no conversion: its planes are a house picture. */
bool picture_is_house(const struct picture_format *format,
                      const struct house *house);

/* What has to be done to a picture, and where in the house's it then lies. */
struct picture_way {
    bool is_house; /* nothing: it is taken as it is */
    int left, top, width, height;
    int matrix_in;   /* of the scaled picture */
    int matrix_out;  /* the house's */
    bool has_matrix; /* the one is converted to the other */
};

void picture_way_of(struct picture_way *way,
                    const struct picture_format *format,
                    const struct house *house);

struct scaler {
    struct house house;
    struct picture_format format; /* that `sws` is made for */
    struct picture_way way;       /* the same */
    struct SwsContext *sws;
    int peak_nits; /* of PQ, set by the owner before scaler_draw(); 0: usual */
    int tone_peak; /* that `tone` is made for */
    struct tone *tone; /* instead of `matrix`, or NULL */
    struct matrix matrix;
    /* Set by the owner before scaler_draw() of an interlaced picture. */
    const AVFrame *former, *next;
    int which; /* field: 0 the first in time, 1 the second */
    enum field_partner partner;
    AVFrame *field;  /* deinterlaced or woven, at source size */
    AVFrame *target; /* lends a house picture's planes, instead of `field` */
    AVFrame *flat;   /* scaled, not yet turned nor put between bars */
    AVFrame *alpha;  /* scaled, 8 bits (with `deep`: made from its 10) */
    AVFrame *deep;   /* scaled, in 10 bits for `tone` */
};

/* clang-format off */
#define SCALER_EMPTY ((struct scaler){ .sws = NULL })
/* clang-format on */

void scaler_init(struct scaler *scaler, const struct house *house);
void scaler_clear(struct scaler *scaler);

/* Draws all of `to`.  A change of format remakes the scaler. */
int scaler_draw(struct scaler *scaler, const AVFrame *frame, AVRational sar,
                uint32_t turn, const struct planes *to, struct err *err);

/*
 * deinterlace.c: `to` gets a field of `now` in full height: 0 the first in
 * time, 1 the second.  `former` and `next` are the pictures around it; NULL,
 * or of another format: as if nothing moved there.
 */
void deinterlace(AVFrame *to, const AVFrame *former, const AVFrame *now,
                 const AVFrame *next, int field);
bool deinterlace_can(int pixel_format);

#endif
