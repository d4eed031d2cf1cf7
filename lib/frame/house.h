/*
 * house: the one picture size, frame rate, sample rate and channel count that
 * everything of a channel is converted to, and the arithmetic from frame
 * numbers to samples, ticks and microseconds.
 *
 * All times are exact rationals of a frame number; nothing is ever summed up.
 * Pictures are 8-bit 4:2:0 planar (yuv420p), limited range; BT.709 from 720
 * lines up, BT.601 below.  Sound is interleaved signed 16-bit.
 *
 * Sound of a frame.  Frame n of a channel owns the samples S(n) .. S(n+1)-1
 * with S(n) = floor(n * sample_rate / fps): 1601 or 1602 samples at 29.97 fps
 * and 48 kHz.  A pool does not know at which frame number of the channel its
 * first frame (index 0) will stand: its *origin*.  So the pool's frame i
 * carries the samples floor(i*X) .. floor((i+1)*X) of its own timeline, both
 * inclusive (X = sample_rate / fps), one more than it needs at the most.  The
 * renderer skips
 *     skip = S(origin + i) - S(origin) - floor(i*X)      (0 or 1)
 * samples and takes S(n+1) - S(n).  Without the extra sample a cut would have
 * to wait until its frame number were known.
 */
#ifndef RV_FRAME_HOUSE_H
#define RV_FRAME_HOUSE_H

#include <jansson.h>
#include <libavutil/rational.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"

struct house {
    int32_t width;       /* pixels, even, 16 .. 8192 */
    int32_t height;      /* pixels, even, 16 .. 8192 */
    AVRational rate;     /* frames a second, lowest terms, 1 .. 240 */
    int32_t sample_rate; /* Hz, 8000 .. 192000 */
    int32_t channels;    /* 1, 2, 6 (5.1) or 8 (7.1) */
};

/* 1280x720@30000/1001, 48 kHz stereo: the contract's default. */
extern const struct house HOUSE_DEFAULT;

/* 90 kHz ticks of frame 0's presentation time: 10 s, or what the channel's
 * stage ring says, at least 1 s and below where timestamps wrap (ISO/IEC
 * 13818-1 2.4.3.7: 33 bits). */
#define HOUSE_PTS_BASE     INT64_C(900000)
#define HOUSE_PTS_BASE_MIN INT64_C(90000)
#define HOUSE_PTS_WRAP     (INT64_C(1) << 33)

/* Longest output of house_format(), NUL included. */
#define HOUSE_TEXT_SIZE 96

/* Checks every range above; the sentence names the field. */
int house_check(const struct house *house, struct err *err);

/*
 * "WxH@RATE" with RATE "25" or "30000/1001", optionally followed by
 * ":SAMPLE_RATE:CHANNELS" ("1280x720@30000/1001:48000:2"); sound is that of
 * HOUSE_DEFAULT otherwise.
 */
int house_parse(struct house *house, const char *text, struct err *err);

/* The long form of what house_parse() reads. */
void house_format(const struct house *house, char text[HOUSE_TEXT_SIZE]);

/*
 * From and to the JSON object of the contract, section 1
 * (program_format_json): {"video":{...},"audio":{...}}.  Unknown members are
 * ignored, missing ones are an error that names the field.
 */
int house_from_json(struct house *house, const json_t *object, struct err *err);
json_t *house_to_json(const struct house *house); /* gives; NULL: no memory */

bool house_equal(const struct house *a, const struct house *b);

/* S(n): samples before frame n.  n may be negative (floors). */
int64_t house_samples_before(const struct house *house, int64_t n);

/* Samples that frame i of a pool carries: floor((i+1)X) - floor(iX) + 1. */
int32_t house_pool_samples(const struct house *house, int64_t index);

/* The most that house_pool_samples() can be. */
int32_t house_max_samples(const struct house *house);

/* The 0 or 1 samples to skip, see above. */
int32_t house_audio_skip(const struct house *house, int64_t origin,
                         int64_t index);

/* n frames as microseconds, rounded down. */
int64_t house_us(const struct house *house, int64_t n);
/* Frame n's PTS in 90 kHz ticks, frame 0's being `base`; does not wrap. */
int64_t house_pts(const struct house *house, int64_t base, int64_t n);

/* First frame whose time is at or after `us`, counted from frame 0. */
int64_t house_frame_at_us(const struct house *house, int64_t us);

#endif
