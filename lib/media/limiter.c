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

/* Frames that are looked at together, whether they are quiet. */
#define PIECE 64

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
            limiter->phase[i][p] = rint(value * (1 << 20));
            sum += fabs(value);
        }
        most = fmax(most, sum);
    }
    limiter->loud_from = (int64_t)(CEILING / (most + 0.001));
}

int limiter_init(struct limiter *limiter, int sample_rate, int channels)
{
    const int span = sample_rate * LOOK_AHEAD_MS / 1000 + 1;
    int size = 64;

    while (size < span + 2 * LIMITER_TAPS)
        size *= 2;
    *limiter = (struct limiter){
        .channels = channels,
        .span = span,
        .size = size,
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

typedef double pair __attribute__((vector_size(16)));

/*
 * The largest of the values between the two middle taps.  All products and sums
 * are whole numbers under 2^53, so doubles are exact, and made two at a time.
 */
static int64_t between(const struct limiter *limiter)
{
    double most = 0;

    for (int c = 0; c < limiter->channels; c++) {
        pair value[LIMITER_LANES / 2] = { { 0 } };
        for (int i = 0; i < LIMITER_TAPS; i++) {
            const double x = frame_at(limiter, limiter->at - i)[c];
            pair phase[LIMITER_LANES / 2];
            memcpy(phase, limiter->phase[i], sizeof(phase));
            for (int p = 0; p < LIMITER_LANES / 2; p++)
                value[p] += phase[p] * x;
        }
        for (int p = 0; p < LIMITER_PHASES; p++)
            most = MAX(most, fabs(value[p / 2][p % 2]));
    }
    return (int64_t)most >> 20;
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

static void give(const struct limiter *limiter, int16_t *out)
{
    const int32_t *from =
        frame_at(limiter, limiter->at - limiter_ahead(limiter));
    const bool is_whole = limiter->sum == (int64_t)limiter->span * UNITY;
    const int64_t gain = is_whole ? UNITY : limiter->sum / limiter->span;

    for (int c = 0; c < limiter->channels; c++)
        out[c] = to_16_bits((from[c] * gain) >> 30);
}

/* The gain that a peak needs, with the ramp back from former ones. */
static int32_t ramped(struct limiter *limiter, int64_t peak)
{
    const int32_t wanted =
        peak > CEILING ? (int32_t)(((int64_t)TARGET << 30) / peak) : UNITY;
    const int32_t released = UNITY - limiter->ramp > limiter->step
                                 ? limiter->ramp + limiter->step
                                 : UNITY;

    limiter->ramp = wanted < released ? wanted : released;
    return limiter->ramp;
}

static void step(struct limiter *limiter, const float *in)
{
    int64_t peak = take(limiter, in);

    if (peak > limiter->loud_from)
        limiter->loud = LIMITER_TAPS;
    if (limiter->loud > 0) {
        limiter->loud--;
        const int64_t there = between(limiter);
        peak = there > peak ? there : peak;
    }
    /* The place between two samples counts for both of them. */
    const int64_t both =
        peak > limiter->former_peak ? peak : limiter->former_peak;
    limiter->former_peak = peak;
    const int32_t low = lowest(limiter, limiter->at, ramped(limiter, both));
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

static int run_loud(struct limiter *limiter, const float *in, int count,
                    int16_t *out)
{
    for (int i = 0; i < count; i++) {
        step(limiter, in + (ptrdiff_t)i * limiter->channels);
        if (out)
            give(limiter, out + (ptrdiff_t)i * limiter->channels);
        limiter->at++;
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
