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
            limiter->phase[p][i] = (int32_t)lrint(value * (1 << 20));
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
    for (int i = 0; i < limiter->span; i++)
        limiter->recent[i] = UNITY;
    limiter->sum = (int64_t)limiter->span * UNITY;
}

static int32_t *frame_at(const struct limiter *limiter, int64_t at)
{
    return limiter->line + (at & (limiter->size - 1)) * limiter->channels;
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
        to[c] = (int32_t)lrint(value);
        if (llabs(to[c]) > most)
            most = llabs(to[c]);
    }
    return most;
}

/* The largest of the values between the two middle taps. */
static int64_t between(const struct limiter *limiter)
{
    int64_t most = 0;

    for (int c = 0; c < limiter->channels; c++) {
        int64_t value[LIMITER_PHASES] = { 0 };
        for (int i = 0; i < LIMITER_TAPS; i++) {
            const int64_t x = frame_at(limiter, limiter->at - i)[c];
            for (int p = 0; p < LIMITER_PHASES; p++)
                value[p] += x * limiter->phase[p][i];
        }
        for (int p = 0; p < LIMITER_PHASES; p++)
            if (llabs(value[p]) > most)
                most = llabs(value[p]);
    }
    return most >> 20;
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
    const int64_t whole = (int64_t)limiter->span * UNITY;
    const int64_t gain = limiter->sum / limiter->span;

    for (int c = 0; c < limiter->channels; c++)
        out[c] = to_16_bits(limiter->sum == whole ? from[c]
                                                  : (from[c] * gain) >> 30);
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
    int32_t *oldest = &limiter->recent[limiter->at % limiter->span];
    limiter->sum += low - *oldest;
    *oldest = low;
}

void limiter_run(struct limiter *limiter, const float *in, int count,
                 int16_t *out)
{
    for (int i = 0; i < count; i++) {
        step(limiter, in + (ptrdiff_t)i * limiter->channels);
        if (out)
            give(limiter, out + (ptrdiff_t)i * limiter->channels);
        limiter->at++;
    }
}
