/*
 * reading: everything that rv-readmarks saw, and what it makes of it.
 */
#ifndef RV_TESTS_READING_H
#define RV_TESTS_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <libavutil/rational.h>

#include "mark.h"
#include "sound.h"
#include "tscheck.h"

struct picture {
    int64_t pts_90k;
    struct mark mark; /* clip -1: none */
    uint64_t hash;    /* with --hash */
};

struct reading {
    struct picture *pictures;
    size_t count;
    int width, height;
    AVRational rate;
    double tick_90k; /* the container's time base */
    int64_t decode_errors;
    bool has_sound;
    struct sound sound;
    int channels;
    int64_t samples;
    double sound_first, sound_last; /* 90 kHz ticks */
    int64_t sound_jumps;            /* breaks in its timestamps */
    bool is_ts;
    struct tscheck ts;
    /* with --hash: all samples, interleaved, as decoded */
    uint8_t *pcm;
    size_t pcm_size, pcm_frame;
};

/*
 * Runs as text: "1:0-99 -*30 2:7 2:8-20*2": clip 1 pictures 0 to 99, 30
 * without mark, clip 2 picture 7, then 8 to 20 each shown twice.  You free it.
 */
char *reading_runs(const struct reading *reading);

/* The whole summary as JSON; new reference. */
json_t *reading_summary(const struct reading *reading);

#endif
