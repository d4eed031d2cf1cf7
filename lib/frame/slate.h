/*
 * slate: what a channel shows when it has nothing else, as a pool.
 *
 *   frame 0 | 1 | 2 | ... | L-1 | 0 | 1 ...
 *
 * A slate pool holds a loop of L frames, 1 for a card or a still picture in
 * silence.  It is built under a temporary name, ENDED, and published when it is
 * whole, so whoever can open it has all of it; its frames are never released.
 * Who shows it shows frame i of the loop with the origin n - i (house.h), and
 * begins again behind the last.
 *
 * Its tone is a line-up tone: a sine of 1 kHz at -20 dBFS (SMPTE RP 155; EBU
 * R 68 has -18 dBFS), on all channels.  Sample s of the loop has the phase
 * s / (samples of the loop) * (its whole number of cycles), so it goes through
 * the loop's end without a step: at 29.97 frames a second a still needs 30
 * frames for that, which share their picture.
 */
#ifndef RV_FRAME_SLATE_H
#define RV_FRAME_SLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/pool.h"

/* Frames of a loop at the most: 10 s at 25 frames a second (POOL_RECORDS is
 * the bound), and no more than these bytes of pictures. */
#define SLATE_FRAMES_MAX 250
#define SLATE_BYTES_MAX  (INT64_C(512) << 20)

#define SLATE_TONE_HZ 1000

/* Frames that a slate in this house format may have, at least 1. */
int slate_most(const struct house *house);

/*
 * How often a loop of `frames` is put into the pool so that a tone goes on
 * through its end: until it has whole cycles, and whole samples; where there is
 * no room for that many (44.1 kHz at 29.97 frames a second), whole cycles, and
 * a step of up to a sample at the end; else as often as there is room, with the
 * tone that is nearest to 1 kHz.
 */
int slate_repeats(const struct house *house, int frames);

/*
 * A pool for `frames` pictures (1 .. slate_most()) that has no name yet.  Fill
 * it as any pool, drop the slots, then slate_publish or pool_close.
 */
int slate_build(struct pool *pool, const char *path, const struct house *house,
                int frames, struct shm *reserved, struct err *err);

/* Repeats the loop and puts the tone in where `has_tone`; ENDED, under its
 * name.  At least one frame is there. */
int slate_publish(struct pool *pool, bool has_tone, struct err *err);

/* Instead: it has no frame and has FAILED for this reason. */
int slate_fail(struct pool *pool, const struct err *why, struct err *err);

/* The built-in card with `title` (UTF-8; the channel's name) into planes of the
 * house's size, and as a slate. */
void slate_draw(uint8_t *const plane[3], const uint32_t stride_bytes[3],
                const struct house *house, const char *title);
int slate_create_card(const char *path, const struct house *house,
                      const char *title, bool has_tone, struct err *err);

/* Opens what slate_publish made.  ERR_INPUT: another house format, no frame,
 * or what a FAILED one says. */
int slate_open(struct pool *pool, const char *path, const struct house *house,
               struct err *err);

#endif
