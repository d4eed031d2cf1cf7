/*
 * fields: which two fields of interlaced pictures were one picture.
 *
 * Film in an interlaced stream has been taken apart into fields: two by two
 * (segmented frames, PsF), or two and three (2:3 pulldown), and often nothing
 * says so.  Fields of one moment fit together without a comb, fields of two do
 * not where something moves; so a field that fits one neighbour in time and
 * not the other is woven with the one it fits, and the film is there again.
 *
 *   film      A     B       C     D
 *   fields    A A   B B B   C C   D D D
 *   coded     A/A   B/B   B/C   C/D   D/D     (first / second field)
 *   own       fits  fits  comb  comb  fits
 *   before    comb  comb  fits  fits  fits    (the second one before it)
 *
 * It is found from a picture and its two neighbours alone, so a decoder that
 * begins in the middle finds the same.  What is not clear stays two fields.
 */
#ifndef RV_MEDIA_FIELDS_H
#define RV_MEDIA_FIELDS_H

#include <libavutil/frame.h>
#include <libavutil/rational.h>
#include <stdbool.h>
#include <stdint.h>

/* Combs of two fields that are woven: of each block of 16 by 16 pixels the
 * number of places.  What stands still has none. */
struct combs {
    uint8_t *of_block; /* at most 255 */
    int across, down;
    bool is_known;
};

/* Which of two pairs of fields, one a field later, fits better. */
enum fields_better { BETTER_UNKNOWN, BETTER_EARLIER, BETTER_LATER };

/* What is known of a picture. */
struct fields {
    /* its first field with the one before it, against the two before it */
    enum fields_better before;
    /* its two fields, against its first one with the one before it */
    enum fields_better own;
    bool is_found; /* it is interlaced, though nothing says so */
};

/* Looks at pictures as they come. */
struct fields_eye {
    struct combs own, before;
    struct combs contrary; /* `before`, if the other field were the first */
    struct combs last;     /* `own` of the picture before */
    int alert;             /* so many pictures more are looked at in any case */
    bool is_top_first;     /* of the last one that was found */
};

/* clang-format off */
#define FIELDS_EYE_EMPTY ((struct fields_eye){ .alert = 0 })
/* clang-format on */

void fields_eye_clear(struct fields_eye *eye);

/* What comes next does not follow on what came before. */
void fields_eye_reset(struct fields_eye *eye);

/*
 * Looks at a picture, and at the one before it (or NULL).  `may_hide`: it may
 * be interlaced without a flag; where it is, it gets the flags.  Without
 * memory nothing is found.
 */
void fields_look(struct fields_eye *eye, struct fields *fields, AVFrame *frame,
                 const AVFrame *former, bool may_hide);

/* Do pictures of this size and rate come from where interlace is in use? */
bool fields_may_hide(const AVFrame *frame, AVRational rate);

/* With what a field is one picture. */
enum field_partner {
    PARTNER_NONE,   /* it has to be deinterlaced */
    PARTNER_OWN,    /* the other field of its picture */
    PARTNER_FORMER, /* the second field of the picture before */
    PARTNER_NEXT    /* the first field of the next one */
};

/* Of field 0 or 1 of `now`; `next` may be NULL. */
enum field_partner fields_partner(const struct fields *now,
                                  const struct fields *next, int field);

/*
 * Does film begin here whose former picture had three fields: at the second
 * field of `now` (0), at the first one of `next` (1)?  Then it is due half a
 * field earlier, when it was exposed.
 */
bool fields_follow_three(const struct fields *now, const struct fields *next,
                         int at);

/* Weaves field `field` of `now` with its partner, which is not its own. */
void fields_weave(AVFrame *to, const AVFrame *former, const AVFrame *now,
                  const AVFrame *next, int field);

#endif
