/*
 * limiter: gain, and a true-peak limiter behind it.
 *
 *   in * gain -> peak, 4x oversampled as in ITU-R BS.1770-4 annex 2 -> what
 * gain keeps it below the ceiling -> released by a ramp -> smallest within the
 *   look-ahead -> mean over the look-ahead -> times the sound, as much later
 *
 * Below the ceiling of -1 dBTP (EBU R 128) nothing is touched: 16-bit sound
 * with a gain of 1 comes out bit by bit.
 *
 * What comes out depends on a bounded neighbourhood only: the ramp reaches 1
 * from anywhere within its length, and all arithmetic behind the gain is in
 * whole numbers.  So who begins in the middle and gives limiter_history()
 * samples first gets the same samples as who began at the start.
 *
 * Nothing is allocated but in limiter_init().  One thread.
 */
#ifndef RV_MEDIA_LIMITER_H
#define RV_MEDIA_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#define LIMITER_TAPS     24
#define LIMITER_PHASES   3
#define LIMITER_CHANNELS 8 /* the most */
/* Groups of four frames that reach over the taps, wherever they begin. */
#define LIMITER_GROUPS 8

/* The smallest value of the newest so many, see limiter.c. */
struct valley {
    int64_t *place;
    int32_t *value;
    int head, count;
};

struct limiter;
struct wave;
/* Finds what lies between the samples of four frames. */
typedef void limiter_between(double *most, const struct wave *wave,
                             const struct limiter *limiter, int at);

struct limiter {
    limiter_between *between; /* as this machine does it best */
    int channels;
    int span;      /* of the look-ahead, in samples */
    int size;      /* frames in `line`, a power of 2 */
    int32_t *line; /* what came in, 1.0 is 1 << 24 */
    int64_t at;    /* frames that came in */
    double scale;  /* gain and unit */
    double phase[LIMITER_TAPS][LIMITER_PHASES]; /* whole, 1 / 2^20 */
    int64_t loud_from; /* what is below cannot have a peak over the ceiling */
    double crest;      /* what lies between samples is less than so many
                          times the largest of them */
    int64_t largest[LIMITER_GROUPS]; /* samples of the newest groups */
    int loud; /* frames until no loud one is in the window */
    int64_t former_peak;
    int32_t ramp, step; /* 1 << 30 is a gain of 1 */
    struct valley valley;
    int32_t *recent; /* the last `span` of them, around `oldest` */
    int oldest;
    int64_t sum;
};

/* clang-format off */
#define LIMITER_EMPTY ((struct limiter){ .line = NULL })
/* clang-format on */

/* 0; -1: no memory. */
int limiter_init(struct limiter *limiter, int sample_rate, int channels);
void limiter_clear(struct limiter *limiter);

/* Samples that must go in before those that count, and how much later a sample
 * comes out than it goes in. */
int limiter_history(const struct limiter *limiter);
int limiter_ahead(const struct limiter *limiter);

/* Forgets all that came in; `gain` is a factor. */
void limiter_reset(struct limiter *limiter, double gain);

/* `count` samples of all channels in, as many out (NULL: not wanted), those of
 * limiter_ahead() samples ago. */
void limiter_run(struct limiter *limiter, const float *in, int count,
                 int16_t *out);

#endif
