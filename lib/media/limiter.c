/* limiter: see the header. */
#include "media/limiter.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AHEAD_MS 5
#define RELEASE_MS    300

/* Sound is 8.24, gains are 2.30. */
#define UNIT       (1 << 24)
#define UNITY      (1 << 30)
#define SOUND_MOST (64.0 * UNIT)

/* -1 dBTP; what is above it is brought to -1.2, since the gain that moves adds
 * a little. */
#define CEILING 14952709
#define TARGET  14612344

/* Frames that are looked at together, whether they are quiet, and of loud ones
 * those whose peaks are found together. */
#define PIECE 64
#define GROUP 4

#define PHASE_BITS 20

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The modified Bessel function of order 0. */
static double bessel_0(double x)
{
    double term = 1;
    double sum = 1;

    for (int k = 1; k < 30; k++) {
        term *= x / (2 * k) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

/*
 * Three points between two samples, by a sinc under a Kaiser window of 24 taps
 * (the 12 of BS.1770's example are 0.3 dB short at 12 kHz).
 */
static void make_phases(struct limiter *limiter)
{
    const double beta = 6;
    double most = 0;

    for (int p = 0; p < LIMITER_PHASES; p++) {
        double sum = 0;
        for (int i = 0; i < LIMITER_TAPS; i++) {
            /* from the newest sample back, the point lies between the middle
             * two of them */
            const double x = i - LIMITER_TAPS / 2 + (p + 1) / 4.0;
            const double w = x / (LIMITER_TAPS / 2);
            const double value = sin(M_PI * x) / (M_PI * x) *
                                 bessel_0(beta * sqrt(1 - w * w)) /
                                 bessel_0(beta);
            limiter->phase[i][p] = rint(value * (1 << PHASE_BITS));
            sum += fabs(value);
        }
        most = fmax(most, sum);
    }
    limiter->crest = most + 0.001;
    limiter->loud_from = (int64_t)(CEILING / limiter->crest);
}

/* A piece of sound, a channel behind the other, and what lies before it. */
struct wave {
    double sample[LIMITER_CHANNELS][LIMITER_TAPS - 1 + PIECE + GROUP];
};

typedef double group __attribute__((vector_size(GROUP * 8)));

/*
 * The largest magnitudes between the two middle taps, of the frames from `at`
 * on.  All products and sums are whole numbers under 2^53, so doubles are
 * exact, whatever they are made with and in which order.
 */
static inline __attribute__((always_inline)) void
find_between(double most[GROUP], const struct wave *wave,
             const struct limiter *limiter, int at)
{
    for (int i = 0; i < GROUP; i++)
        most[i] = 0;
    for (int k = 0; k < limiter->channels; k++) {
        const double *newest = &wave->sample[k][at + LIMITER_TAPS - 1];
        /* At a quarter, the middle, and three quarters of the way; by name, or
         * they would not stay in registers. */
        group a = { 0 }, b = { 0 }, c = { 0 };
        for (int i = 0; i < LIMITER_TAPS; i++) {
            const double *phase = limiter->phase[i];
            group x;
            memcpy(&x, newest - i, sizeof(x));
            a += x * phase[0];
            b += x * phase[1];
            c += x * phase[2];
        }
        for (int i = 0; i < GROUP; i++)
            most[i] =
                MAX(most[i], MAX(MAX(fabs(a[i]), fabs(b[i])), fabs(c[i])));
    }
}

static void between_plain(double most[GROUP], const struct wave *wave,
                          const struct limiter *limiter, int at)
{
    find_between(most, wave, limiter, at);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void
between_avx2(double most[GROUP], const struct wave *wave,
             const struct limiter *limiter, int at)
{
    find_between(most, wave, limiter, at);
}
#endif

static limiter_between *between_of_this_machine(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return between_avx2;
#endif
    return between_plain;
}

int limiter_init(struct limiter *limiter, int sample_rate, int channels)
{
    const int span = sample_rate * LOOK_AHEAD_MS / 1000 + 1;
    int size = 64;

    while (size < span + 2 * LIMITER_TAPS + PIECE)
        size *= 2;
    *limiter = (struct limiter){
        .channels = channels,
        .span = span,
        .size = size,
        .between = between_of_this_machine(),
        .step = UNITY / (sample_rate * RELEASE_MS / 1000 + 1) + 1,
        .line = calloc((size_t)size * (size_t)channels, sizeof(int32_t)),
        .valley.place = calloc((size_t)size, sizeof(int64_t)),
        .valley.value = calloc((size_t)size, sizeof(int32_t)),
        .recent = calloc((size_t)span, sizeof(int32_t)),
    };
    if (!limiter->line || !limiter->valley.place || !limiter->valley.value ||
        !limiter->recent) {
        limiter_clear(limiter);
        return -1;
    }
    make_phases(limiter);
    limiter_reset(limiter, 1);
    return 0;
}

void limiter_clear(struct limiter *limiter)
{
    free(limiter->line);
    free(limiter->valley.place);
    free(limiter->valley.value);
    free(limiter->recent);
    *limiter = LIMITER_EMPTY;
}

/* The filter, the ramp, the valley and the mean, one behind the other. */
int limiter_history(const struct limiter *limiter)
{
    return LIMITER_TAPS + 1 + UNITY / limiter->step + 1 + 2 * limiter->span;
}

int limiter_ahead(const struct limiter *limiter)
{
    return limiter->span - 1 + LIMITER_TAPS / 2;
}

void limiter_reset(struct limiter *limiter, double gain)
{
    memset(limiter->line, 0,
           (size_t)limiter->size * (size_t)limiter->channels *
               sizeof(*limiter->line));
    limiter->at = 0;
    limiter->scale = gain * UNIT;
    limiter->loud = 0;
    for (int i = 0; i < LIMITER_GROUPS; i++)
        limiter->largest[i] = 0;
    limiter->former_peak = 0;
    limiter->ramp = UNITY;
    limiter->valley.head = limiter->valley.count = 0;
    limiter->oldest = 0;
    for (int i = 0; i < limiter->span; i++)
        limiter->recent[i] = UNITY;
    limiter->sum = (int64_t)limiter->span * UNITY;
}

static int32_t *frame_at(const struct limiter *limiter, int64_t at)
{
    return limiter->line + (at & (limiter->size - 1)) * limiter->channels;
}

/* As lrint(), of less than 2^31: the sum is so large that its last bits are
 * whole numbers. */
static inline int32_t nearest(double value)
{
    const double sum = value + 0x1.8p52;
    int64_t bits;

    memcpy(&bits, &sum, sizeof(bits));
    return (int32_t)bits;
}

/* A frame into the line; gives its largest magnitude. */
static int64_t take(struct limiter *limiter, const float *in)
{
    int32_t *to = frame_at(limiter, limiter->at);
    int64_t most = 0;

    for (int c = 0; c < limiter->channels; c++) {
        double value = in[c] * limiter->scale;
        if (!(fabs(value) < SOUND_MOST)) /* not a number, too */
            value = value > 0 ? SOUND_MOST : value < 0 ? -SOUND_MOST : 0;
        to[c] = nearest(value);
        most = MAX(most, abs(to[c]));
    }
    return most;
}

/*
 * The smallest of the newest `span` values.  Kept are only those that no later
 * one undercuts, so the first is it; each comes and goes once.
 */
static int32_t lowest(struct limiter *limiter, int64_t place, int32_t value)
{
    struct valley *valley = &limiter->valley;
    const int mask = limiter->size - 1;

    while (valley->count > 0 &&
           valley->value[(valley->head + valley->count - 1) & mask] >= value)
        valley->count--;
    const int last = (valley->head + valley->count++) & mask;
    valley->place[last] = place;
    valley->value[last] = value;
    if (valley->place[valley->head] <= place - limiter->span) {
        valley->head = (valley->head + 1) & mask;
        valley->count--;
    }
    return valley->value[valley->head];
}

static int16_t to_16_bits(int64_t value)
{
    const int64_t rounded = (value + (1 << 8)) >> 9;
    return (int16_t)(rounded > INT16_MAX   ? INT16_MAX
                     : rounded < INT16_MIN ? INT16_MIN
                                           : rounded);
}

/* What came in `ahead` before frame `at`, by the mean of the gains. */
static void give(const struct limiter *limiter, int64_t at, int16_t *out)
{
    const int32_t *from = frame_at(limiter, at - limiter_ahead(limiter));
    /* As whole numbers divide: the sum is less than 2^40. */
    const int64_t gain =
        (int64_t)((double)limiter->sum / (double)limiter->span);

    for (int c = 0; c < limiter->channels; c++)
        out[c] = to_16_bits((from[c] * gain) >> 30);
}

#define TARGET_GAIN ((int64_t)TARGET << 30)

/* The gain that a peak needs, with the ramp back from former ones. */
static int32_t ramped(struct limiter *limiter, int64_t peak)
{
    const int64_t released = MIN(limiter->ramp + limiter->step, UNITY);
    const bool is_over = peak > CEILING && TARGET_GAIN < released * peak;

    limiter->ramp = (int32_t)(is_over ? TARGET_GAIN / peak : released);
    return limiter->ramp;
}

/* The gain of frame `at`, and the mean. */
static void step(struct limiter *limiter, int64_t at, int64_t peak)
{
    /* The place between two samples counts for both of them. */
    const int64_t both = MAX(peak, limiter->former_peak);
    limiter->former_peak = peak;
    const int32_t low = lowest(limiter, at, ramped(limiter, both));
    int32_t *oldest = &limiter->recent[limiter->oldest];
    limiter->sum += low - *oldest;
    *oldest = low;
    if (++limiter->oldest == limiter->span)
        limiter->oldest = 0;
}

/* --- sound that nothing is done to ---------------------------------------- */

/* Is all behind the line at rest?  A quiet frame then changes none of it. */
static bool is_at_rest(const struct limiter *limiter)
{
    return limiter->loud == 0 && limiter->ramp == UNITY &&
           limiter->sum == (int64_t)limiter->span * UNITY;
}

/* As lowest() and step() leave them behind quiet frames. */
static void rest(struct limiter *limiter)
{
    struct valley *valley = &limiter->valley;

    valley->head = 0;
    valley->count = 1;
    valley->place[0] = limiter->at - 1;
    valley->value[0] = UNITY;
    limiter->former_peak = 0; /* under the ceiling */
    for (int i = 0; i < LIMITER_GROUPS; i++)
        limiter->largest[i] = limiter->loud_from;
}

/* Frames from `at` on to the end of the line, which is a ring. */
static int to_end(const struct limiter *limiter, int64_t at)
{
    return limiter->size - (int)(at & (limiter->size - 1));
}

/* As take(), without a branch, for the compiler to make vectors of it; false:
 * some are loud, and have to be taken one by one. */
static bool take_quiet(struct limiter *limiter, const float *restrict in,
                       int count)
{
    int32_t *restrict to = frame_at(limiter, limiter->at);
    const double scale = limiter->scale;
    const double most = (double)limiter->loud_from;
    int is_loud = 0;

    for (int i = 0; i < count; i++) {
        const double value = in[i] * scale;
        to[i] = nearest(value);
        is_loud |= !(fabs(value) <= most); /* not a number, too */
    }
    return !is_loud;
}

static void give_quiet(const int32_t *restrict from, int count,
                       int16_t *restrict out)
{
    for (int i = 0; i < count; i++) {
        const int32_t rounded = (from[i] + (1 << 8)) >> 9;
        out[i] = (int16_t)MAX(MIN(rounded, INT16_MAX), INT16_MIN);
    }
}

/* The same as run_loud(), if it can be done so; how many frames. */
static int run_quiet(struct limiter *limiter, const float *in, int count,
                     int16_t *out)
{
    const int64_t given = limiter->at - limiter_ahead(limiter);

    if (!is_at_rest(limiter))
        return 0;
    count = MIN(count, limiter->size - limiter_ahead(limiter));
    count = MIN(count, to_end(limiter, limiter->at));
    count = MIN(count, to_end(limiter, given));
    if (!take_quiet(limiter, in, count * limiter->channels))
        return 0;
    if (out)
        give_quiet(frame_at(limiter, given), count * limiter->channels, out);
    limiter->at += count;
    rest(limiter);
    return count;
}

/* -------------------------------------------------------------------------- */

/* Takes a piece, and lays it out for find_between(). */
static void take_piece(struct limiter *limiter, const float *in, int count,
                       int64_t peak[PIECE + GROUP], struct wave *wave)
{
    const int before = LIMITER_TAPS - 1;
    const int64_t at = limiter->at;

    for (int i = 0; i < count; i++, limiter->at++)
        peak[i] = take(limiter, in + (ptrdiff_t)i * limiter->channels);
    for (int i = count; i % GROUP != 0; i++)
        peak[i] = 0;
    for (int i = 0; i < before + count; i++) {
        const int32_t *from = frame_at(limiter, at - before + i);
        for (int c = 0; c < limiter->channels; c++)
            wave->sample[c][i] = from[c];
    }
    for (int c = 0; c < limiter->channels; c++) {
        for (int i = 0; i < GROUP; i++)
            wave->sample[c][before + count + i] = 0;
    }
}

/* Is one of them loud, or was one just now? */
static bool is_loud(struct limiter *limiter, const int64_t *peak)
{
    bool was_loud = false;

    for (int i = 0; i < GROUP; i++) {
        if (peak[i] > limiter->loud_from)
            limiter->loud = LIMITER_TAPS;
        was_loud = was_loud || limiter->loud > 0;
        limiter->loud -= limiter->loud > 0;
    }
    return was_loud;
}

/*
 * May a peak between these samples need a lower gain than the ramp gives, for
 * them or for the next one?  In loud sound it mostly comes back from a former
 * one.  Gives the largest of the taps, or more.
 */
static bool may_lower(struct limiter *limiter, const int64_t *peak)
{
    const double released =
        MIN(limiter->ramp + (GROUP + 2.0) * limiter->step, UNITY);
    int64_t *largest = limiter->largest;
    int64_t most = 0;

    memmove(largest, largest + 1, (LIMITER_GROUPS - 1) * sizeof(*largest));
    for (int i = 0; i < GROUP; i++)
        most = MAX(most, peak[i]);
    largest[LIMITER_GROUPS - 1] = most;
    for (int i = 0; i < LIMITER_GROUPS - 1; i++)
        most = MAX(most, largest[i]);
    return limiter->crest * (double)most * released > (double)TARGET_GAIN;
}

static int run_loud(struct limiter *limiter, const float *in, int count,
                    int16_t *out)
{
    const int64_t at = limiter->at;
    int64_t peak[PIECE + GROUP];
    struct wave wave;

    take_piece(limiter, in, count, peak, &wave);
    for (int i = 0; i < count; i++) {
        if (i % GROUP == 0) {
            const bool may = may_lower(limiter, peak + i);
            if (is_loud(limiter, peak + i) && may) {
                double most[GROUP];
                limiter->between(most, &wave, limiter, i);
                for (int k = 0; k < GROUP; k++)
                    peak[i + k] =
                        MAX(peak[i + k], (int64_t)most[k] >> PHASE_BITS);
            }
        }
        step(limiter, at + i, peak[i]);
        if (out)
            give(limiter, at + i, out + (ptrdiff_t)i * limiter->channels);
    }
    return count;
}

void limiter_run(struct limiter *limiter, const float *in, int count,
                 int16_t *out)
{
    while (count > 0) {
        const int piece = MIN(count, PIECE);
        int done = run_quiet(limiter, in, piece, out);
        if (done == 0)
            done = run_loud(limiter, in, piece, out);
        in += (ptrdiff_t)done * limiter->channels;
        if (out)
            out += (ptrdiff_t)done * limiter->channels;
        count -= done;
    }
}
