/* fields: looking for combs, and weaving; see the header. */
#include "media/fields.h"

#include <stdlib.h>
#include <string.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "media/comb_line.h"
#include "media/picture.h"

#define BLOCK COMB_LINE_BLOCK

/* A block is combed from here on: an edge that moves by two pixels. */
#define COMBED_LEAST 32
/* One pair fits a block if it has so many times less than the other. */
#define RATIO 3
/* So many times more blocks say this than the contrary. */
#define MAJORITY 20
/* A picture is whole if one of so many blocks that others comb says so: of
 * whole ones two thirds and more do, of two fields at most one. */
#define WHOLE 2
/* One of so many blocks may be combed for reasons of its own. */
#define EXCEPTIONS 1000

/* Of pictures without flags so many lines of a block are looked at first. */
#define GLANCE 2
/* Around one that was found: two turns of 2:3 pulldown (less than what a seek
 * decodes before its moment, so that nothing depends on where that began). */
#define ALERT 10

/* --- combs ---------------------------------------------------------------- */

/* What is left at the right and below is less than a block: not looked at. */
static bool make_room(struct combs *combs, const AVFrame *frame)
{
    const int across = frame->width / BLOCK;
    const int down = (frame->height - 3) / BLOCK;

    if (combs->across == across && combs->down == down)
        return true;
    free(combs->of_block);
    *combs = (struct combs){ .of_block = NULL };
    if (across == 0 || down <= 0)
        return false;
    combs->of_block = calloc((size_t)across, (size_t)down);
    if (combs->of_block == NULL)
        return false;
    combs->across = across;
    combs->down = down;
    return true;
}

/* Pictures are looked at in columns of so many pixels. */
#define COLUMN 2048

static const uint8_t *line_of(const AVFrame *frame, int y)
{
    return frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
}

/* Two fields: the even lines of one picture and the odd ones of another. */
struct pair {
    const AVFrame *even, *odd;
    const AVFrame *former; /* shows motion; may be one of them */
};

/* Some of a row of blocks: of each the first `lines` lines. */
static void look_at_blocks(struct combs *combs, const struct pair *pair,
                           int row, int left, int lines)
{
    const comb_line count = comb_line_fastest();
    const int depth = av_pix_fmt_desc_get(pair->even->format)->comp[0].depth;
    const int skip = left * (depth > 8 ? 2 : 1);
    const int width = FFMIN(COLUMN, combs->across * BLOCK - left);
    uint8_t *block = combs->of_block + row * combs->across + left / BLOCK;
    uint8_t places[COLUMN] = { 0 };

    for (int y = row * BLOCK; y < row * BLOCK + lines; y++) {
        struct comb_lines four;
        for (int i = 0; i < 4; i++)
            four.at[i] =
                line_of((y + i) & 1 ? pair->odd : pair->even, y + i) + skip;
        const AVFrame *from = (y + 1) & 1 ? pair->odd : pair->even;
        const AVFrame *other = from != pair->former ? pair->former
                               : from == pair->even ? pair->odd
                                                    : pair->even;
        four.other = line_of(other, y + 1) + skip;
        count(places, &four, width, depth);
    }
    for (int x = 0; x < width; x += BLOCK) {
        int sum = 0;
        for (int i = 0; i < BLOCK; i++)
            sum += places[x + i];
        *block++ = (uint8_t)FFMIN(sum * BLOCK / lines, 255);
    }
}

/* At all of it, or a glance at GLANCE lines of each block. */
static bool look_at_pair(struct combs *combs, const struct pair *pair,
                         int lines)
{
    combs->is_known = make_room(combs, pair->even);
    if (!combs->is_known)
        return false;
    for (int row = 0; row < combs->down; row++) {
        for (int left = 0; left < combs->across * BLOCK; left += COLUMN)
            look_at_blocks(combs, pair, row, left, lines);
    }
    return true;
}

static int64_t total_of(const struct combs *combs)
{
    int64_t total = 0;

    for (int i = 0; i < combs->across * combs->down; i++)
        total += combs->of_block[i];
    return total;
}

/* More blocks than may be. */
static bool is_combed(const struct combs *combs)
{
    const int blocks = combs->across * combs->down;
    int count = 0;

    for (int i = 0; i < blocks; i++)
        count += combs->of_block[i] >= COMBED_LEAST;
    return count > 1 + blocks / EXCEPTIONS;
}

static bool is_known(const struct combs *a, const struct combs *b)
{
    return a->is_known && b->is_known && a->across == b->across &&
           a->down == b->down;
}

/* Of so many blocks where `worse` is combed it is much better. */
struct votes {
    int blocks, better;
};

static struct votes count_votes(const struct combs *better,
                                const struct combs *worse)
{
    struct votes votes = { 0, 0 };

    for (int i = 0; i < worse->across * worse->down; i++) {
        const int comb = worse->of_block[i];
        votes.blocks += comb >= COMBED_LEAST;
        votes.better +=
            comb >= COMBED_LEAST && better->of_block[i] * RATIO <= comb;
    }
    return votes;
}

/*
 * Which pair was one picture: all that moves says so, and nothing is left that
 * might be a comb.
 */
static enum fields_better compare(const struct combs *earlier,
                                  const struct combs *later)
{
    if (!is_known(earlier, later))
        return BETTER_UNKNOWN;
    const int for_earlier = count_votes(earlier, later).better;
    const int for_later = count_votes(later, earlier).better;
    if (for_earlier > 1 && for_later * MAJORITY <= for_earlier)
        return is_combed(earlier) ? BETTER_UNKNOWN : BETTER_EARLIER;
    if (for_later > 1 && for_earlier * MAJORITY <= for_later)
        return is_combed(later) ? BETTER_UNKNOWN : BETTER_LATER;
    return BETTER_UNKNOWN;
}

/* What looks like combs are patterns, since other fields fit much worse. */
static bool is_whole(const struct combs *own, const struct combs *other)
{
    const struct votes votes = count_votes(own, other);

    return votes.better > 1 && votes.better * WHOLE >= votes.blocks;
}

/* --- what a picture is ---------------------------------------------------- */

bool fields_may_hide(const AVFrame *frame, AVRational rate)
{
    static const int HEIGHTS[] = { 480, 486, 512, 576, 608, 1080, 1088 };

    if (rate.num <= 0 || av_cmp_q(rate, (AVRational){ 31, 1 }) > 0)
        return false;
    for (size_t i = 0; i < sizeof(HEIGHTS) / sizeof(HEIGHTS[0]); i++) {
        if (frame->height == HEIGHTS[i])
            return true;
    }
    return false;
}

static bool look_at_own(struct combs *combs, const AVFrame *frame,
                        const AVFrame *former, int lines)
{
    const struct pair pair = { frame, frame, former };

    return look_at_pair(combs, &pair, lines);
}

/* First field of a picture with the second one before it. */
static bool look_before(struct combs *combs, const AVFrame *frame,
                        const AVFrame *former, bool is_top_first, int lines)
{
    const struct pair pair = { is_top_first ? frame : former,
                               is_top_first ? former : frame, former };

    return look_at_pair(combs, &pair, lines);
}

/*
 * Is a picture without flags two fields?  Then its lines are combed, and they
 * fit no better than each of them does with the picture before.
 */
static bool is_two_fields(struct fields_eye *eye, const AVFrame *frame,
                          const AVFrame *former, int lines)
{
    return look_at_own(&eye->own, frame, former, lines) &&
           is_combed(&eye->own) &&
           look_before(&eye->before, frame, former, true, lines) &&
           look_before(&eye->contrary, frame, former, false, lines) &&
           !(is_whole(&eye->own, &eye->before) &&
             is_whole(&eye->own, &eye->contrary));
}

/* Its first field is the one that is nearer to the picture before; where that
 * is not clear, the one that was. */
static void find_order(struct fields_eye *eye)
{
    const int64_t upper = total_of(&eye->before);
    const int64_t lower = total_of(&eye->contrary);

    if (eye->alert == 0)
        eye->is_top_first = upper <= lower;
    else if (eye->is_top_first)
        eye->is_top_first = upper * 3 <= lower * 4;
    else
        eye->is_top_first = upper * 4 <= lower * 3;
    if (!eye->is_top_first)
        FFSWAP(struct combs, eye->before, eye->contrary);
    eye->alert = ALERT;
}

/* Sets the flags that are missing. */
static bool find_hidden(struct fields_eye *eye, AVFrame *frame,
                        const AVFrame *former)
{
    if (eye->alert == 0 && !is_two_fields(eye, frame, former, GLANCE)) {
        eye->own.is_known = false;
        return false;
    }
    if (!is_two_fields(eye, frame, former, BLOCK))
        return false;
    find_order(eye);
    frame->interlaced_frame = 1;
    frame->top_field_first = eye->is_top_first;
    return true;
}

/* Looks at the picture's first field and the one before it, where there is an
 * order. */
static bool look_in_order(struct fields_eye *eye, const AVFrame *frame,
                          const AVFrame *former)
{
    const bool has_order =
        frame->interlaced_frame || former->interlaced_frame || eye->alert > 0;
    const bool is_top_first = frame->interlaced_frame ? frame->top_field_first
                              : former->interlaced_frame
                                  ? former->top_field_first
                                  : eye->is_top_first;

    return has_order &&
           look_before(&eye->before, frame, former, is_top_first, BLOCK);
}

static void look(struct fields_eye *eye, struct fields *fields, AVFrame *frame,
                 const AVFrame *former)
{
    if (!frame->interlaced_frame)
        fields->is_found = find_hidden(eye, frame, former);
    else if (!look_at_own(&eye->own, frame, former, BLOCK))
        return;
    if (!fields->is_found && !look_in_order(eye, frame, former))
        return;
    if (former->interlaced_frame && frame->interlaced_frame &&
        former->top_field_first != frame->top_field_first)
        return;
    fields->before = compare(&eye->last, &eye->before);
    fields->own = compare(&eye->before, &eye->own);
}

void fields_look(struct fields_eye *eye, struct fields *fields, AVFrame *frame,
                 const AVFrame *former, bool may_hide)
{
    *fields = (struct fields){ .is_found = false };
    if (!picture_is_alike(former, frame) || !deinterlace_can(frame->format) ||
        (!frame->interlaced_frame && !may_hide)) {
        fields_eye_reset(eye);
        return;
    }
    look(eye, fields, frame, former);
    eye->alert = FFMAX(eye->alert - 1, 0);
    FFSWAP(struct combs, eye->last, eye->own);
}

void fields_eye_reset(struct fields_eye *eye)
{
    eye->last.is_known = false;
    eye->alert = 0;
}

void fields_eye_clear(struct fields_eye *eye)
{
    free(eye->own.of_block);
    free(eye->before.of_block);
    free(eye->contrary.of_block);
    free(eye->last.of_block);
    *eye = FIELDS_EYE_EMPTY;
}

/* --- who belongs together ------------------------------------------------- */

enum field_partner fields_partner(const struct fields *now,
                                  const struct fields *next, int field)
{
    if (field == 0)
        return now->own == BETTER_LATER     ? PARTNER_OWN
               : now->own == BETTER_EARLIER ? PARTNER_FORMER
                                            : PARTNER_NONE;
    if (next == NULL)
        return PARTNER_NONE;
    return next->before == BETTER_EARLIER ? PARTNER_OWN
           : next->before == BETTER_LATER ? PARTNER_NEXT
                                          : PARTNER_NONE;
}

bool fields_follow_three(const struct fields *now, const struct fields *next,
                         int at)
{
    /* The pairs on both sides of the cut fit better than it; and the one
     * before does not fit better than the one before that. */
    if (at == 0)
        return now->own == BETTER_EARLIER && next->before == BETTER_LATER &&
               now->before != BETTER_LATER;
    return next->before == BETTER_EARLIER && next->own == BETTER_LATER &&
           now->own != BETTER_LATER;
}

void fields_weave(AVFrame *to, const AVFrame *former, const AVFrame *now,
                  const AVFrame *next, int field)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(to->format);
    const AVFrame *partner = field == 0 ? former : next;
    const int kept = field ^ (now->top_field_first ? 0 : 1);

    for (int p = 0; p < about->nb_components; p++) {
        const int bytes = av_image_get_linesize(to->format, to->width, p);
        const int shift = p == 1 || p == 2 ? about->log2_chroma_h : 0;
        const int height = AV_CEIL_RSHIFT(to->height, shift);
        for (int y = 0; y < height; y++) {
            const AVFrame *from = (y & 1) == kept ? now : partner;
            memcpy(to->data[p] + (ptrdiff_t)y * to->linesize[p],
                   from->data[p] + (ptrdiff_t)y * from->linesize[p],
                   (size_t)bytes);
        }
    }
}
