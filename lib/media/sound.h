/*
 * sound: decoded audio of one asset, brought to the house's rate and channels
 * and laid on the asset's timeline.
 *
 * Positions are house samples; 0 is the presentation of the asset's first
 * picture.  The first frame after a reset is laid where its timestamp says.
 * From then on samples are counted, and timestamps only watched:
 *   - off by SOUND_JUMP_US or more: a real gap (silence is put in) or overlap
 *     (what comes twice is cut);
 *   - less: the container's rounding, not touched, but when the mean of
 *     SOUND_DRIFT_FRAMES frames is over SOUND_DRIFT_US the resampler makes it
 *     good softly over one second.
 * What is asked for and not there is silence.
 *
 * More channels than the house has are mixed down by ITU-R BS.775 annex 4
 * without making it quieter, so sound is kept in floating point and may be over
 * full scale: the limiter comes behind.  One thread.
 */
#ifndef RV_MEDIA_SOUND_H
#define RV_MEDIA_SOUND_H

#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"

#define SOUND_JUMP_US      20000
#define SOUND_DRIFT_US     5000
#define SOUND_DRIFT_FRAMES 64

struct sound {
    int rate, channels; /* of the house */
    SwrContext *resampler;
    int in_rate, in_format;
    AVChannelLayout in_layout;
    float *samples; /* [start, end), interleaved; 1.0 is full scale */
    int64_t start, end;
    int64_t wanted; /* nothing below is kept */
    int64_t cut;    /* samples still to be cut off what comes */
    size_t capacity;
    bool has_position;
    int64_t drift_sum; /* house samples, over drift_count frames */
    int drift_count;
};

/* clang-format off */
#define SOUND_EMPTY ((struct sound){ .resampler = NULL, .samples = NULL })
/* clang-format on */

void sound_init(struct sound *sound, const struct house *house);
void sound_clear(struct sound *sound);

/* The layout that sound tells, or the usual one of so many channels; negative:
 * there is none. */
int sound_layout(AVChannelLayout *layout, const AVChannelLayout *told);

/* Forgets all samples (after a seek); what lies before `wanted` is dropped. */
void sound_reset(struct sound *sound, int64_t wanted);

/*
 * A decoded frame whose first sample belongs to `position`; when it has no
 * timestamp (`has_position` false) it follows the former one.
 */
int sound_push(struct sound *sound, const AVFrame *frame, bool has_position,
               int64_t position, struct err *err);

/* Nothing follows: what the resampler still holds. */
int sound_finish(struct sound *sound, struct err *err);

/* Copies `count` samples (each of all channels) from `position` on, silence
 * where there are none. */
void sound_read(const struct sound *sound, int64_t position, int count,
                float *out);

/* How many of those are real. */
int sound_real(const struct sound *sound, int64_t position, int count);

/* What lies before `position` is not needed any more. */
void sound_forget(struct sound *sound, int64_t position);

/* Multiplies, from gain_from at the first to gain_to behind the last sample
 * (1 << 16 is unity), and clips. */
void sound_scale(int16_t *samples, int count, int channels, int64_t gain_from,
                 int64_t gain_to);

#endif
