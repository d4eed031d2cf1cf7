/*
 * timeline_list: the list of inputs that says what the timeline says.  Each
 * stretch of a segment is a piece from a frame to another; pieces that a cut
 * hides are left out or cut short, and what is not open yet ends the list, so
 * that the stage waits for it instead of taking the hole for a gap.
 */
#include "timeline_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

struct piece {
    const struct laid *laid;
    struct stretch *stretch;
    bool has_at;
    int64_t at, until;
    bool is_kept; /* shows nothing: named, so that its frames stay */
};

struct pieces {
    struct piece piece[INPUTS_MAX];
    int count;
};

/* From this frame on, until something hides it or it ends. */
static void add_piece(struct pieces *pieces, struct laid *laid, int i,
                      int64_t at, int64_t hidden_from)
{
    if (pieces->count >= INPUTS_MAX - 2)
        return;
    struct piece *piece = &pieces->piece[pieces->count];
    piece->laid = laid;
    piece->stretch = &laid->stretch[i];
    piece->has_at = laid->has_first;
    piece->at = at;
    piece->until = min64(laid_end(laid), hidden_from);
    if (i + 1 < laid->count && laid->has_first)
        piece->until =
            min64(piece->until, laid->first + laid->stretch[i + 1].from);
    if (!piece->has_at || piece->until > max64(piece->at, 0))
        pieces->count++;
}

/* Does it stand by for what is behind a short preview? */
static bool stands_by(const struct timeline *timeline, uint32_t pool,
                      int64_t position)
{
    const int64_t since =
        position + timeline->standby - KEEP_SECONDS * timeline->second;

    for (int i = 0; timeline->standby > 0 && i < timeline->count; i++) {
        const struct laid *laid = &timeline->laid[i];
        for (int k = 0; laid->has_first && k < laid->count; k++) {
            if (laid->stretch[k].pool == pool &&
                laid->first + laid->stretch[k].from >= since)
                return true;
        }
    }
    return false;
}

/* Hides it a cut that may turn out to be a short one? */
static bool is_hidden_in_doubt(const struct timeline *timeline, int64_t frame)
{
    for (int i = 0; i < timeline->cuts; i++) {
        const struct laid *cut = &timeline->cut[i];
        if (cut->is_doubtful && cut->first <= frame &&
            frame < timeline_cut_end(timeline, i))
            return true;
    }
    return false;
}

/*
 * What a cut hides that may turn out to be a short one is kept, from this frame
 * on, as long as that is in doubt; and what stands by.  Of two that
 * claim a frame the later one has it, so it stands where the cut begins, before
 * it.
 */
static void keep_piece(const struct timeline *timeline, struct pieces *pieces,
                       struct laid *laid, int i, int64_t frame,
                       int64_t position)
{
    const int64_t since = timeline_hidden_since(timeline, frame);

    if ((!is_hidden_in_doubt(timeline, frame) &&
         !stands_by(timeline, laid->stretch[i].pool, position)) ||
        pieces->count >= INPUTS_MAX - 2)
        return;
    struct piece *piece = &pieces->piece[pieces->count++];
    piece->laid = laid;
    piece->stretch = &laid->stretch[i];
    piece->has_at = piece->is_kept = true;
    piece->at = piece->until = since;
}

/* A stretch of the plan, on both sides of the cuts that it reaches across. */
static void add_pieces(const struct timeline *timeline, struct pieces *pieces,
                       struct laid *laid, int i, int64_t position)
{
    const struct stretch *stretch = &laid->stretch[i];
    const int64_t end = i + 1 < laid->count
                            ? laid->first + laid->stretch[i + 1].from
                            : laid_end(laid);
    int64_t hidden = max64(laid->first + stretch->from, 0);
    int64_t at = timeline_reach(timeline, hidden);

    while (at < end) {
        const int64_t next = timeline_next_cut(timeline, at);
        add_piece(pieces, laid, i, at, next);
        if (next >= end)
            return;
        hidden = next;
        at = timeline_reach(timeline, hidden);
    }
    if (at == FRAME_NEVER && stretch->pool != 0)
        keep_piece(timeline, pieces, laid, i, hidden, position);
}

/* The plan's pieces that no cut hides, up to what is not there yet and due
 * within a second of `soon`. */
static void plan_pieces(struct timeline *timeline, int64_t position,
                        int64_t soon, struct pieces *pieces)
{
    for (int k = 0; k < timeline->count; k++) {
        struct laid *laid = &timeline->laid[k];
        /* Not there yet: the stage shall wait for it as long as it can, and
         * would show slate if what follows were told. */
        const int64_t seen_from = max64(max64(laid->first, position), 0);
        if (laid->count == 0 &&
            (laid_end(laid) == FRAME_NEVER ||
             laid_end(laid) > soon + timeline->second) &&
            timeline_not_hidden(timeline, seen_from) < laid_end(laid))
            return;
        if (!laid->has_first) {
            if (timeline->cuts > 0 &&
                timeline_not_hidden(timeline, timeline->cut[0].first) ==
                    FRAME_NEVER)
                return;
            add_piece(pieces, laid, 0, 0, FRAME_NEVER);
            return; /* one of unknown place at a time */
        }
        for (int i = 0; i < laid->count; i++)
            add_pieces(timeline, pieces, laid, i, position);
    }
}

static void cut_pieces(struct timeline *timeline, struct pieces *pieces)
{
    for (int k = 0; k < timeline->cuts; k++) {
        struct laid *cut = &timeline->cut[k];
        for (int i = 0; i < cut->count; i++)
            add_piece(pieces, cut, i, cut->first + cut->stretch[i].from,
                      timeline_cut_end(timeline, k));
    }
}

static int by_place(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    if (x->has_at != y->has_at)
        return x->has_at ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return y->is_kept - x->is_kept;
}

static void set_slate(struct input *input, const struct laid *laid,
                      const struct stretch *stretch)
{
    const bool is_planned = laid->segment.type == SEGMENT_SLATE;

    input->state = is_planned || stretch->is_short ? 2 : 3;
    input->reason = is_planned          ? strcmp(laid->segment.id, "gap") == 0
                                              ? REASON_SLATE_GAP
                                              : REASON_SLATE_PLANNED
                    : stretch->is_short ? REASON_SLATE_SHORT
                                        : REASON_SLATE_MISSING;
    strlcpy(input->why, stretch->why, sizeof(input->why));
}

static struct input *add_input(struct inputs *inputs, const char *folder,
                               const struct laid *laid,
                               const struct stretch *stretch)
{
    struct input *input = &inputs->input[inputs->count++];

    memset(input, 0, sizeof(*input));
    strlcpy(input->segment, laid->segment.id, sizeof(input->segment));
    strlcpy(input->asset, laid->segment.asset, sizeof(input->asset));
    if (stretch->pool == 0) {
        set_slate(input, laid, stretch);
        return input;
    }
    snprintf(input->pool, sizeof(input->pool), "%s/pool-%u", folder,
             stretch->pool);
    input->reason = laid->is_preview ? REASON_PREVIEW : REASON_PLAN;
    return input;
}

static void add_from_piece(struct inputs *inputs, const char *folder,
                           const struct piece *piece)
{
    struct input *input =
        add_input(inputs, folder, piece->laid, piece->stretch);

    if (piece->has_at) {
        input->at_kind = INPUT_AT;
        input->at = max64(piece->at, 0);
        input->has_origin = piece->stretch->pool != 0;
        input->origin = input->has_origin ? piece->laid->first : 0;
    }
    if (piece->until != FRAME_NEVER) {
        input->has_until = true;
        input->until = piece->until;
    }
}

static void add_end_of_plan(const struct timeline *timeline,
                            struct inputs *inputs)
{
    const struct laid *last =
        timeline->count > 0 ? &timeline->laid[timeline->count - 1] : NULL;
    struct input *input = &inputs->input[inputs->count++];

    memset(input, 0, sizeof(*input));
    input->state = 2;
    input->reason = REASON_SLATE_END_OF_PLAN;
    strlcpy(input->why, "end of plan", sizeof(input->why));
    if (last == NULL || laid_end(last) != FRAME_NEVER) {
        const int64_t end = last != NULL ? laid_end(last) : timeline->base;
        input->at_kind = INPUT_AT;
        input->at = max64(timeline_not_hidden(timeline, max64(end, 0)), 0);
        if (input->at == FRAME_NEVER)
            inputs->count--;
    }
}

/* Is the plan's end behind what is listed? */
static bool tells_end(const struct timeline *timeline, int64_t position)
{
    if (!timeline->is_over)
        return false;
    for (int i = 0; i < timeline->count; i++) {
        const struct laid *laid = &timeline->laid[i];
        if (laid->count == 0 && (laid_end(laid) == FRAME_NEVER ||
                                 laid_end(laid) > position + timeline->second))
            return false;
    }
    if (timeline->count == 0)
        return true;
    const struct laid *last = &timeline->laid[timeline->count - 1];
    if (laid_end(last) != FRAME_NEVER)
        return true;
    /* Its length is open: right behind it, if it is listed and no slate. */
    return timeline->cuts == 0 && last->count > 0 &&
           last->stretch[last->count - 1].pool != 0;
}

int timeline_inputs(struct timeline *timeline, const char *folder,
                    int64_t floor, int64_t position, const struct laid *now,
                    int64_t not_before, struct inputs *inputs, struct err *err)
{
    struct pieces *pieces = calloc(1, sizeof(*pieces));

    *inputs = INPUTS_EMPTY;
    inputs->input = calloc(INPUTS_MAX, sizeof(inputs->input[0]));
    if (pieces == NULL || inputs->input == NULL) {
        free(pieces);
        inputs_clear(inputs);
        return err_set(err, ERR_SYSTEM, "no memory for the list of inputs");
    }
    timeline_resolve(timeline);
    timeline_doubt(timeline, position);
    timeline->is_wary = true;
    plan_pieces(timeline, position, position, pieces);
    cut_pieces(timeline, pieces);
    qsort(pieces->piece, (size_t)pieces->count, sizeof(pieces->piece[0]),
          by_place);
    for (int i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->piece[i];
        if (piece->has_at && piece->until <= floor && !piece->is_kept)
            continue;
        add_from_piece(inputs, folder, piece);
    }
    free(pieces);
    if (now != NULL && now->count > 0) {
        struct input *input = add_input(inputs, folder, now, &now->stretch[0]);
        input->at_kind = INPUT_NOW;
        input->at = not_before;
    } else if (now == NULL && tells_end(timeline, position)) {
        add_end_of_plan(timeline, inputs);
    }
    timeline->is_wary = false;
    return 0;
}

/* Does the list name it, if doubtful ends are what was asked for, or not? */
static bool lists_pool(struct timeline *timeline, uint32_t pool,
                       int64_t position, bool is_wary)
{
    struct pieces *pieces = calloc(1, sizeof(*pieces));
    bool used = false;

    if (pieces == NULL)
        return true;
    timeline_doubt(timeline, position);
    timeline->is_wary = is_wary;
    plan_pieces(timeline, position, FRAME_NEVER / 2, pieces);
    cut_pieces(timeline, pieces);
    for (int i = 0; i < pieces->count && !used; i++) {
        const struct piece *piece = &pieces->piece[i];
        used = piece->stretch->pool == pool &&
               (!piece->has_at || piece->is_kept || piece->until > position);
    }
    timeline->is_wary = false;
    free(pieces);
    return used;
}

bool timeline_uses(struct timeline *timeline, uint32_t pool, int64_t position)
{
    bool used = lists_pool(timeline, pool, position, false) ||
                lists_pool(timeline, pool, position, true);

    for (int i = 0; i < timeline->count && !used; i++)
        used = timeline->laid[i].pending == pool ||
               (!timeline->laid[i].has_first && timeline->laid[i].count > 0 &&
                timeline->laid[i].stretch[0].pool == pool);
    for (int i = 0; i < timeline->cuts && !used; i++)
        used = timeline->cut[i].pending == pool;
    return used || stands_by(timeline, pool, position);
}
