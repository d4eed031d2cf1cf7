/* reading: the summary of what rv-readmarks saw.  See reading.h. */
#include "reading.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIST_MAX = 1000 };

/* A group: one picture and how often it is shown in a row. */
struct group {
    struct mark mark;
    int64_t times;
};

static bool is_same(struct mark a, struct mark b)
{
    return a.clip == b.clip && (a.clip < 0 || a.frame == b.frame);
}

static struct group group_at(const struct reading *reading, size_t *at)
{
    struct group group = { reading->pictures[*at].mark, 0 };

    while (*at < reading->count &&
           is_same(group.mark, reading->pictures[*at].mark)) {
        (*at)++;
        group.times++;
    }
    return group;
}

static void print_run(FILE *out, struct group first, int last, bool is_begin)
{
    if (!is_begin)
        fputc(' ', out);
    if (first.mark.clip < 0)
        fputc('-', out);
    else if (last != first.mark.frame)
        fprintf(out, "%d:%d-%d", first.mark.clip, first.mark.frame, last);
    else
        fprintf(out, "%d:%d", first.mark.clip, first.mark.frame);
    if (first.times != 1 || first.mark.clip < 0)
        fprintf(out, "*%lld", (long long)first.times);
}

char *reading_runs(const struct reading *reading)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool is_begin = true;
    size_t at = 0;

    if (out == NULL)
        abort();
    while (at < reading->count) {
        const struct group first = group_at(reading, &at);
        int last = first.mark.frame;
        while (first.mark.clip >= 0 && at < reading->count) {
            size_t next = at;
            const struct group group = group_at(reading, &next);
            if (group.mark.clip != first.mark.clip ||
                group.times != first.times || group.mark.frame != last + 1)
                break;
            last++;
            at = next;
        }
        print_run(out, first, last, is_begin);
        is_begin = false;
    }
    fclose(out);
    return text;
}

/* One entry a stretch of the same clip, with what is wrong inside it. */
static json_t *clips(const struct reading *reading)
{
    json_t *list = json_array();
    size_t at = 0;

    while (at < reading->count && json_array_size(list) < LIST_MAX) {
        const struct picture *first = &reading->pictures[at];
        int64_t missing = 0, repeated = 0, backward = 0;
        const size_t from = at++;
        while (at < reading->count &&
               reading->pictures[at].mark.clip == first->mark.clip) {
            const int step = reading->pictures[at].mark.frame -
                             reading->pictures[at - 1].mark.frame;
            missing += step > 1 ? step - 1 : 0;
            repeated += step == 0 && first->mark.clip >= 0;
            backward += step < 0;
            at++;
        }
        json_array_append_new(
            list,
            json_pack("{s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:I}", "clip",
                      first->mark.clip, "first", first->mark.frame, "last",
                      reading->pictures[at - 1].mark.frame, "pictures",
                      (json_int_t)(at - from), "pts_90k",
                      (json_int_t)first->pts_90k, "missing",
                      (json_int_t)missing, "repeated", (json_int_t)repeated,
                      "backward", (json_int_t)backward));
    }
    return list;
}

static void put_steps(json_t *root, const struct reading *reading)
{
    json_t *steps = json_object();
    int64_t min = INT64_MAX, max = INT64_MIN, backward = 0;

    for (size_t i = 1; i < reading->count; i++) {
        char name[24];
        const int64_t step =
            reading->pictures[i].pts_90k - reading->pictures[i - 1].pts_90k;
        min = step < min ? step : min;
        max = step > max ? step : max;
        backward += step <= 0;
        snprintf(name, sizeof(name), "%lld", (long long)step);
        json_t *old = json_object_get(steps, name);
        if (old != NULL || json_object_size(steps) < 50)
            json_object_set_new(steps, name,
                                json_integer(json_integer_value(old) + 1));
    }
    json_object_set_new(root, "pts_steps", steps);
    json_object_set_new(root, "pts_backward", json_integer(backward));
    /* a step may be rounded to the container's tick on both ends */
    json_object_set_new(
        root, "pts_constant",
        json_boolean(reading->count < 2 ||
                     (double)(max - min) <= fmax(1, ceil(reading->tick_90k))));
}

/* Usual duration of a picture, 90 kHz ticks. */
static double usual_step(const struct reading *reading)
{
    if (reading->count < 2)
        return 3003;
    const struct picture *last = &reading->pictures[reading->count - 1];
    const double mean = (double)(last->pts_90k - reading->pictures[0].pts_90k) /
                        (double)(reading->count - 1);
    if (reading->rate.num > 0 && reading->rate.den > 0)
        return fmin(mean, 90000 * av_q2d(av_inv_q(reading->rate)));
    return mean;
}

static double nearest_burst(const struct sound *sound, double ticks)
{
    size_t low = 0, high = sound->burst_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (sound->bursts[middle] < ticks)
            low = middle + 1;
        else
            high = middle;
    }
    double best = INFINITY;
    if (low < sound->burst_count)
        best = sound->bursts[low] - ticks;
    if (low > 0 && ticks - sound->bursts[low - 1] < fabs(best))
        best = sound->bursts[low - 1] - ticks;
    return best;
}

/* True for a picture that a burst belongs to: a fifth one, newly shown. */
static bool has_burst(const struct reading *reading, size_t i)
{
    const struct picture *picture = &reading->pictures[i];

    return picture->mark.clip >= 0 &&
           picture->mark.frame % MARK_BURST_EVERY == 0 &&
           (i == 0 || !is_same(picture->mark, picture[-1].mark));
}

static void put_av(json_t *root, const struct reading *reading)
{
    const double reach = 2.4 * usual_step(reading);
    json_t *list = json_array();
    int64_t matched = 0, missing = 0;
    double min = INFINITY, max = -INFINITY, sum = 0;

    for (size_t i = 0; i < reading->count; i++) {
        if (!has_burst(reading, i))
            continue;
        const double ms = nearest_burst(&reading->sound,
                                        (double)reading->pictures[i].pts_90k) /
                          90;
        if (fabs(ms) * 90 > reach) {
            missing++;
            continue;
        }
        matched++;
        min = fmin(min, ms);
        max = fmax(max, ms);
        sum += ms;
        if (matched <= LIST_MAX)
            json_array_append_new(list, json_real(round(ms * 1000) / 1000));
    }
    json_t *av = json_pack("{s:I,s:I,s:I,s:o}", "bursts",
                           (json_int_t)reading->sound.burst_count, "matched",
                           (json_int_t)matched, "missing", (json_int_t)missing,
                           "offsets_ms", list);
    if (matched > 0) {
        json_object_set_new(av, "min_ms", json_real(min));
        json_object_set_new(av, "max_ms", json_real(max));
        json_object_set_new(av, "mean_ms", json_real(sum / (double)matched));
        json_object_set_new(av, "max_abs_ms",
                            json_real(fmax(fabs(min), fabs(max))));
    }
    json_object_set_new(root, "av", av);
}

/* How much of a gap lies under marked pictures, 90 kHz ticks. */
static double marked_part(const struct reading *reading, struct gap gap)
{
    const double step = usual_step(reading);
    double part = 0;

    for (size_t i = 0; i < reading->count; i++) {
        const double from = (double)reading->pictures[i].pts_90k;
        const double to = i + 1 < reading->count
                              ? (double)reading->pictures[i + 1].pts_90k
                              : from + step;
        if (reading->pictures[i].mark.clip >= 0 && from < gap.to &&
            to > gap.from)
            part += fmin(to, gap.to) - fmax(from, gap.from);
    }
    return part;
}

static void put_sound(json_t *root, const struct reading *reading)
{
    const struct sound *sound = &reading->sound;
    json_t *list = json_array();
    int64_t gaps = 0;

    for (size_t i = 0; i < sound->gap_count; i++) {
        if (marked_part(reading, sound->gaps[i]) <= 5 * 90)
            continue;
        if (++gaps > LIST_MAX)
            continue;
        json_array_append_new(
            list, json_pack("{s:f,s:f}", "pts_90k", sound->gaps[i].from, "ms",
                            (sound->gaps[i].to - sound->gaps[i].from) / 90));
    }
    json_object_set_new(root, "sample_rate", json_integer(sound->sample_rate));
    json_object_set_new(root, "channels", json_integer(reading->channels));
    json_object_set_new(root, "samples", json_integer(reading->samples));
    json_object_set_new(root, "sound_jumps",
                        json_integer(reading->sound_jumps));
    json_object_set_new(root, "gaps", json_integer(gaps));
    json_object_set_new(root, "gap_list", list);
    json_t *bursts = json_array();
    for (size_t i = 0; i < sound->burst_count && i < LIST_MAX; i++)
        json_array_append_new(bursts, json_real(sound->bursts[i]));
    json_object_set_new(root, "burst_list", bursts);
    if (reading->count == 0)
        return;
    const double begin = (double)reading->pictures[0].pts_90k;
    const double end = (double)reading->pictures[reading->count - 1].pts_90k +
                       usual_step(reading);
    json_object_set_new(root, "sound_start_ms",
                        json_real((reading->sound_first - begin) / 90));
    json_object_set_new(root, "sound_end_ms",
                        json_real((reading->sound_last - end) / 90));
}

/*
 * Pictures under which the sound is that of another clip: most of the blocks
 * that lie inside the picture have another tone.  Quiet ones do not vote.
 */
static void put_wrong_sound(json_t *root, const struct reading *reading)
{
    const struct sound *sound = &reading->sound;
    const double step = usual_step(reading), edge = 3 * 90;
    json_t *list = json_array();
    int64_t wrong = 0;
    size_t at = 0;

    for (size_t i = 0; i < reading->count; i++) {
        const struct picture *picture = &reading->pictures[i];
        const double from = (double)picture->pts_90k;
        int votes = 0;
        while (at > 0 && sound->tones[at - 1].at > from)
            at--;
        for (; at < sound->tone_count && sound->tones[at].at < from + step;
             at++) {
            const struct tone tone = sound->tones[at];
            if (tone.at < from + edge || tone.at > from + step - edge ||
                tone.hz <= 0 || picture->mark.clip < 0)
                continue;
            const bool is_other =
                fabs((double)tone.hz - mark_tone_hz(picture->mark.clip)) > 25;
            votes += is_other ? 1 : -1;
        }
        if (votes > 0 && ++wrong <= LIST_MAX)
            json_array_append_new(list, json_integer((json_int_t)i));
    }
    json_object_set_new(root, "wrong_sound", json_integer(wrong));
    json_object_set_new(root, "wrong_sound_list", list);
}

static json_t *ts_summary(const struct tscheck *ts)
{
    return json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:f,s:I,s:f,s:I,s:I,s:I}",
        "packets", (json_int_t)ts->packets, "sync_losses",
        (json_int_t)ts->sync_losses, "continuity_errors",
        (json_int_t)ts->continuity_errors, "transport_errors",
        (json_int_t)ts->transport_errors, "crc_errors",
        (json_int_t)ts->crc_errors, "discontinuities",
        (json_int_t)ts->discontinuities, "pcr_count", (json_int_t)ts->pcr_count,
        "pcr_max_interval_ms", ts->pcr_max_interval_ms, "pcr_backward",
        (json_int_t)ts->pcr_backward, "pat_count", (json_int_t)ts->pat.count,
        "pat_max_interval_ms", ts->pat.max_interval_ms, "pmt_count",
        (json_int_t)ts->pmt.count, "pmt_max_interval_ms",
        ts->pmt.max_interval_ms, "pts_late", (json_int_t)ts->pts_late,
        "dts_backward", (json_int_t)ts->dts_backward, "scrambled",
        (json_int_t)ts->scrambled);
}

json_t *reading_summary(const struct reading *reading)
{
    json_t *root = json_object();
    char *runs = reading_runs(reading);
    char rate[32];
    int64_t marked = 0;

    for (size_t i = 0; i < reading->count; i++)
        marked += reading->pictures[i].mark.clip >= 0;
    snprintf(rate, sizeof(rate), "%d/%d", reading->rate.num, reading->rate.den);
    json_object_set_new(root, "pictures",
                        json_integer((json_int_t)reading->count));
    json_object_set_new(root, "marked", json_integer(marked));
    json_object_set_new(root, "width", json_integer(reading->width));
    json_object_set_new(root, "height", json_integer(reading->height));
    json_object_set_new(root, "rate", json_string(rate));
    json_object_set_new(root, "runs", json_string(runs));
    json_object_set_new(root, "clips", clips(reading));
    if (reading->count > 0) {
        json_object_set_new(root, "pts_first",
                            json_integer(reading->pictures[0].pts_90k));
        json_object_set_new(
            root, "pts_last",
            json_integer(reading->pictures[reading->count - 1].pts_90k));
    }
    put_steps(root, reading);
    if (reading->has_sound) {
        put_sound(root, reading);
        put_av(root, reading);
        put_wrong_sound(root, reading);
    }
    json_object_set_new(root, "decode_errors",
                        json_integer(reading->decode_errors));
    json_object_set_new(
        root, "ts", reading->is_ts ? ts_summary(&reading->ts) : json_null());
    free(runs);
    return root;
}
