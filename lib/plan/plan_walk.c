/*
 * plan_walk: the timeline of a plan in house frames.
 *
 * A boundary is the exact sum of all durations since the plan's start, rounded
 * once.  Nothing that was rounded is ever added up: 30 s + 30 s at 29.97 fps
 * are 1798 frames, not 2 x 899.  If this is wrong, a channel drifts away from
 * its plan by a frame now and then, and nobody sees where.
 */
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>
#include <bsd/string.h>

#include "plan/plan_impl.h"
#include "plan/rational.h"

/* Bounds that keep every product below within 127 bits. */
#define SUM_DEN_MAX   ((__int128)1 << 86)
#define SUM_WHOLE_MAX (INT64_MAX / 4)
#define SUM_TIMES_MAX (INT64_C(1) << 40)
#define SEEK_PASSES   (INT64_C(1) << 20)

static __int128 gcd128(__int128 a, __int128 b)
{
    while (b != 0) {
        const __int128 rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void sum_reduce(struct plan_sum *sum)
{
    sum->whole += (int64_t)(sum->num / sum->den);
    sum->num %= sum->den;
    const __int128 common = gcd128(sum->den, sum->num);
    sum->num /= common;
    sum->den /= common;
}

static int sum_add(struct plan_sum *sum, struct rational r)
{
    const __int128 common = gcd128(sum->den, r.den);
    const __int128 factor = r.den / common;

    if (sum->den > SUM_DEN_MAX / factor ||
        sum->whole > SUM_WHOLE_MAX - r.num / r.den)
        return -1;
    const __int128 den = sum->den * factor;
    sum->whole += r.num / r.den;
    sum->num = sum->num * factor + r.num % r.den * (den / r.den);
    sum->den = den;
    sum_reduce(sum);
    return 0;
}

static int sum_multiply(struct plan_sum *sum, int64_t times)
{
    const __int128 whole = (__int128)sum->whole * times;

    if (times > SUM_TIMES_MAX || whole > SUM_WHOLE_MAX)
        return -1;
    sum->whole = (int64_t)whole;
    sum->num *= times;
    sum_reduce(sum);
    return 0;
}

/*
 * Nearest frame, halves up.  The whole seconds are divided first, so that only
 * their remainder meets the denominator: 2^31 * 2^86 * 4 still fits.
 */
static int64_t sum_frames(const struct plan_sum *sum, AVRational rate)
{
    const __int128 whole = (__int128)sum->whole * rate.num;
    const __int128 rest =
        whole % rate.den * sum->den + sum->num * (__int128)rate.num;
    const __int128 unit = sum->den * rate.den;

    return (int64_t)(whole / rate.den + (2 * rest + unit) / (2 * unit));
}

/* us >= 0: a start before the plan's is an error of the plan. */
static struct plan_sum sum_from_us(int64_t us)
{
    if (us < 0)
        us = 0;
    struct plan_sum sum = { us / 1000000, us % 1000000, 1000000 };

    sum_reduce(&sum);
    return sum;
}

void plan_walk_start(struct plan_walk *walk, const struct plan *plan,
                     const struct house *house)
{
    *walk = (struct plan_walk){
        .plan = plan,
        .house = plan->has_house ? plan->house : *house,
        .sum = { 0, 0, 1 },
    };
}

static int too_fine(const struct plan_walk *walk, struct err *err)
{
    return err_set(
        err, ERR_INPUT,
        "segments[%d].duration: the sum of the durations can no longer be kept exactly; use denominators that fit together",
        walk->next);
}

static void set_utc(const struct plan_walk *walk, struct segment *segment)
{
    segment->has_utc = walk->plan->has_start && segment->has_first;
    if (segment->has_utc)
        segment->utc_us =
            walk->plan->start_us + house_us(&walk->house, segment->first);
}

static void yield_gap(struct plan_walk *walk, int64_t until,
                      struct segment *segment)
{
    *segment = SEGMENT_EMPTY;
    strlcpy(segment->id, "gap", sizeof(segment->id));
    segment->type = SEGMENT_SLATE;
    segment->has_first = segment->has_frames = true;
    segment->first = walk->end_frame;
    segment->frames = until - walk->end_frame;
    segment->has_house = true;
    segment->house = walk->house;
    set_utc(walk, segment);
    walk->end_frame = until;
}

static int check_reach(const struct plan_walk *walk, int64_t frame,
                       struct err *err)
{
    if (frame <= SEGMENT_FRAMES_MAX)
        return 0;
    return err_set(
        err, ERR_INPUT,
        "segments[%d]: reaches behind frame %lld; nothing may lie that far ahead",
        walk->next, (long long)SEGMENT_FRAMES_MAX);
}

/* Where a segment with its own start stands; 1: a gap comes first. */
static int take_start(struct plan_walk *walk, const struct plan_segment *from,
                      struct segment *segment, struct err *err)
{
    const struct plan_sum sum =
        sum_from_us(from->start_us - walk->plan->start_us);
    const int64_t first = sum_frames(&sum, walk->house.rate);

    if (check_reach(walk, first, err) < 0)
        return -1;
    if (!walk->is_open && first > walk->end_frame) {
        yield_gap(walk, first, segment);
        return 1;
    }
    walk->is_open = false;
    walk->base_frame = 0;
    walk->sum = sum;
    walk->end_frame = first;
    return 0;
}

static int fill_segment(struct plan_walk *walk, const struct plan_segment *from,
                        struct segment *segment, struct err *err)
{
    const AVRational rate = walk->house.rate;
    struct rational length;

    *segment = from->segment;
    segment->has_house = true;
    segment->house = walk->house;
    segment->has_first = !walk->is_open;
    segment->first = walk->is_open ? 0 : walk->end_frame;
    set_utc(walk, segment);
    if (plan_time_seconds(&from->in, &walk->house, &segment->in) < 0 ||
        plan_time_seconds(&from->fade_in, &walk->house, &segment->fade_in) <
            0 ||
        plan_time_seconds(&from->fade_out, &walk->house, &segment->fade_out) <
            0 ||
        plan_time_seconds(&from->duration, &walk->house, &length) < 0)
        return too_fine(walk, err);
    if (!from->duration.is_given) {
        walk->is_open = true;
        walk->sum = (struct plan_sum){ 0, 0, 1 };
        return 0;
    }
    const int64_t before = sum_frames(&walk->sum, rate);
    if (sum_add(&walk->sum, length) < 0)
        return too_fine(walk, err);
    segment->has_frames = true;
    segment->frames = sum_frames(&walk->sum, rate) - before;
    walk->end_frame = segment->first + segment->frames;
    return check_reach(walk, walk->end_frame, err);
}

/* Is there a segment to come?  Goes around where the plan loops. */
static bool has_next(struct plan_walk *walk)
{
    const struct plan *plan = walk->plan;

    if (walk->next < plan->count)
        return true;
    const struct plan_segment *last =
        plan->count > 0 ? &plan->segment[plan->count - 1] : NULL;
    if (!plan->is_loop || last == NULL ||
        (last->segment.type == SEGMENT_SLATE && !last->duration.is_given))
        return false;
    walk->next = 0;
    walk->pass++;
    return true;
}

int plan_walk_next(struct plan_walk *walk, struct segment *segment, int *index,
                   struct err *err)
{
    if (index != NULL)
        *index = -1;
    if (!has_next(walk))
        return 0;
    const struct plan_segment *from = &walk->plan->segment[walk->next];
    const int gap = from->has_start ? take_start(walk, from, segment, err) : 0;
    if (gap != 0)
        return gap;
    if (fill_segment(walk, from, segment, err) < 0)
        return -1;
    if (index != NULL)
        *index = walk->next;
    walk->next++;
    return 1;
}

void plan_walk_ended(struct plan_walk *walk, int64_t end_frame)
{
    if (!walk->is_open)
        return;
    walk->is_open = false;
    walk->base_frame = end_frame - sum_frames(&walk->sum, walk->house.rate);
    walk->end_frame = end_frame;
}

/* The exact length of one pass; false when it is not known. */
static bool pass_length(const struct plan_walk *walk, struct plan_sum *sum)
{
    *sum = (struct plan_sum){ 0, 0, 1 };
    for (int i = 0; i < walk->plan->count; i++) {
        const struct plan_segment *s = &walk->plan->segment[i];
        struct rational length;
        if (!s->duration.is_given || s->has_start ||
            plan_time_seconds(&s->duration, &walk->house, &length) < 0 ||
            sum_add(sum, length) < 0)
            return false;
    }
    return sum->whole > 0 || sum->num > 0;
}

/*
 * Skips the passes before `frame`: a million passes are counted in frames and
 * rounded up, so it is never one too many, and again for what is left.
 */
static int skip_passes(struct plan_walk *walk, int64_t frame, struct err *err)
{
    struct plan_sum pass, many;
    int64_t passes = 0;

    if (!walk->plan->is_loop || !pass_length(walk, &pass))
        return 0;
    many = pass;
    if (sum_multiply(&many, SEEK_PASSES) < 0)
        return 0; /* so long that few will do */
    const int64_t frames = sum_frames(&many, walk->house.rate) + 1;
    if (frames <= SEEK_PASSES / 2)
        return err_set(
            err, ERR_INPUT,
            "loop: the segments together are shorter than a frame; give longer durations");
    for (;;) {
        const int64_t more = (int64_t)((__int128)(frame - walk->end_frame) *
                                       SEEK_PASSES / frames);
        struct plan_sum sum = pass;
        if (more <= 0)
            return 0;
        if (sum_multiply(&sum, passes + more) < 0)
            return check_reach(walk, INT64_MAX, err);
        passes += more;
        walk->pass = passes;
        walk->sum = sum;
        walk->end_frame = sum_frames(&sum, walk->house.rate);
    }
}

int plan_walk_seek(struct plan_walk *walk, int64_t frame, struct err *err)
{
    struct segment segment;
    struct plan_walk ahead;
    int rc;

    if (check_reach(walk, frame, err) < 0 || skip_passes(walk, frame, err) < 0)
        return -1;
    for (;;) {
        ahead = *walk;
        rc = plan_walk_next(&ahead, &segment, NULL, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        if (!segment.has_first || !segment.has_frames ||
            segment.first + segment.frames > frame)
            return 0;
        *walk = ahead;
    }
    *walk = ahead;
    return 0;
}

static void check_overlap(const struct plan_walk *walk, int index,
                          struct plan_report *report)
{
    const struct plan_segment *s = &walk->plan->segment[index];
    const struct plan_sum sum = sum_from_us(s->start_us - walk->plan->start_us);
    const int64_t first = sum_frames(&sum, walk->house.rate);
    char field[64];

    snprintf(field, sizeof(field), "segments[%d].start", index);
    if (s->start_us < walk->plan->start_us) {
        plan_report(report, false, s->line, field,
                    "lies before the plan's start; give a later time");
        return;
    }
    if (index == 0 || walk->is_open || first >= walk->end_frame)
        return;
    plan_report(
        report, false, s->line, field,
        "overlaps segments[%d] ('%s') by %lld frames; start later or make that one shorter",
        index - 1, walk->plan->segment[index - 1].segment.id,
        (long long)(walk->end_frame - first));
}

static void check_fades(const struct plan_walk *walk,
                        const struct segment *segment, int index,
                        struct plan_report *report)
{
    struct plan_sum sum = { 0, 0, 1 };

    if (index < 0 || !segment->has_frames ||
        (segment->fade_in.num == 0 && segment->fade_out.num == 0))
        return;
    if (sum_add(&sum, segment->fade_in) < 0 ||
        sum_add(&sum, segment->fade_out) < 0 ||
        sum_frames(&sum, walk->house.rate) <= segment->frames)
        return;
    char field[64];
    snprintf(field, sizeof(field), "segments[%d]", index);
    plan_report(report, true, walk->plan->segment[index].line, field,
                "fade_in and fade_out are longer than the segment");
}

void plan_check_timeline(const struct plan *plan, const struct house *house,
                         struct plan_report *report)
{
    struct plan once = *plan;
    struct plan_walk walk;
    struct segment segment;
    struct err err = ERR_EMPTY;
    int rc, index;

    once.is_loop = false;
    plan_walk_start(&walk, &once, house);
    do {
        if (walk.next < once.count && once.segment[walk.next].has_start)
            check_overlap(&walk, walk.next, report);
        rc = plan_walk_next(&walk, &segment, &index, &err);
        if (rc > 0)
            check_fades(&walk, &segment, index, report);
    } while (rc > 0);
    if (rc < 0)
        plan_report(report, false, plan->segment[walk.next].line, "", "%s",
                    err.text);
    if (plan->is_loop && rc == 0 && !walk.is_open && walk.end_frame < 1)
        plan_report(
            report, false, 0, "loop",
            "the segments together are shorter than a frame; give longer durations");
}
