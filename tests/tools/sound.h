/*
 * sound: finds bursts and gaps in the sound of test media (mark.h).
 *
 * Samples come in order; a new time with reset is a break in the timestamps.
 * Bursts are found by a matched filter, whose peak stands where the burst
 * starts, to the sample for PCM and within a fraction of a millisecond for
 * lossy codecs.  A gap is more than 5 ms without the steady tone.  The tone's
 * frequency, which tells whose sound it is, comes from x[n+k] + x[n-k] =
 * 2 cos(k w) x[n], true for every sine; k is a 4000th of a second.
 */
#ifndef RV_TESTS_SOUND_H
#define RV_TESTS_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gap {
    double from, to; /* 90 kHz ticks */
};

/* The tone's frequency in a block of 5 ms; 0: too quiet, or a burst in it. */
struct tone {
    double at; /* 90 kHz ticks, its middle */
    float hz;
};

struct sound {
    int sample_rate;
    double origin; /* time of sample 0 of this stretch, 90 kHz ticks */
    int64_t count; /* samples of this stretch */
    double x1, x2; /* the last two samples */
    double *window_re, *window_im;
    int window;
    double sum_re, sum_im;
    double peak;
    int64_t peak_at; /* -1: not in a burst */
    double block_peak;
    int64_t quiet_from; /* -1: not quiet */
    double *line;       /* the last 2 * reach + 1 samples */
    int reach, block;
    double product, power, tone_peak;
    struct tone *tones;
    size_t tone_count;
    double *bursts;
    size_t burst_count;
    struct gap *gaps;
    size_t gap_count;
};

#define SOUND_EMPTY                                                            \
    {                                                                          \
        .sample_rate = 0                                                       \
    }

/* Returns -1 when there is no memory. */
int sound_init(struct sound *sound, int sample_rate);
void sound_clear(struct sound *sound);

/* The next sample has time `ticks`; what lies between is a gap. */
void sound_restart(struct sound *sound, double ticks);

/* One sample, mixed down to one channel. */
void sound_feed(struct sound *sound, double value);

/* Closes an open burst or gap.  After it only the results are read. */
void sound_end(struct sound *sound);

/* Time of the next sample, 90 kHz ticks. */
double sound_now(const struct sound *sound);

#endif
