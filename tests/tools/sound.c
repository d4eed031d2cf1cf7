/* sound: bursts and gaps in the sound of test media.  See sound.h. */
#include "sound.h"

#include <math.h>
#include <stdlib.h>

#include "mark.h"

#define BURST_THRESHOLD 0.12
#define QUIET_LEVEL     0.02
#define BURST_PEAK      0.35
#define GAP_TICKS       (5 * 90.0)

int sound_init(struct sound *sound, int sample_rate)
{
    *sound = (struct sound)SOUND_EMPTY;
    sound->sample_rate = sample_rate;
    sound->window =
        (int)((int64_t)sample_rate * MARK_BURST_US / INT64_C(1000000));
    if (sound->window < 8)
        sound->window = 8;
    sound->window_re = calloc((size_t)sound->window, sizeof(double));
    sound->window_im = calloc((size_t)sound->window, sizeof(double));
    sound->peak_at = sound->quiet_from = -1;
    sound->reach = sample_rate / 4000;
    sound->block = sample_rate / 200;
    sound->line = calloc((size_t)(2 * sound->reach + 1), sizeof(double));
    return sound->window_re && sound->window_im && sound->line ? 0 : -1;
}

void sound_clear(struct sound *sound)
{
    free(sound->window_re);
    free(sound->window_im);
    free(sound->line);
    free(sound->tones);
    free(sound->bursts);
    free(sound->gaps);
    *sound = (struct sound)SOUND_EMPTY;
}

static double ticks_at(const struct sound *sound, int64_t sample)
{
    return sound->origin + (double)sample * 90000 / sound->sample_rate;
}

double sound_now(const struct sound *sound)
{
    return ticks_at(sound, sound->count);
}

/* Room for one more; a test tool may give up when memory ends. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count % 1024 == 0)
        array = realloc(array, (count + 1024) * size);
    if (array == NULL)
        abort();
    return array;
}

static void add_gap(struct sound *sound, double from, double to)
{
    if (to - from <= GAP_TICKS)
        return;
    sound->gaps = grow(sound->gaps, sound->gap_count, sizeof(struct gap));
    sound->gaps[sound->gap_count++] = (struct gap){ from, to };
}

static void close_burst(struct sound *sound)
{
    if (sound->peak_at < 0)
        return;
    sound->bursts = grow(sound->bursts, sound->burst_count, sizeof(double));
    sound->bursts[sound->burst_count++] =
        ticks_at(sound, sound->peak_at - sound->window);
    sound->peak_at = -1;
}

/* A second difference holds the tone down; its delay is one sample. */
static void find_burst(struct sound *sound, double value)
{
    const double turn = 2 * M_PI * MARK_BURST_HZ / sound->sample_rate;
    const double gain = 2 - 2 * cos(turn);
    const double high = (value - 2 * sound->x1 + sound->x2) / gain;
    const int64_t i = sound->count;
    const int slot = (int)(i % sound->window);
    const double phase = 2 * M_PI *
                         (double)(i * MARK_BURST_HZ % sound->sample_rate) /
                         sound->sample_rate;

    sound->sum_re -= sound->window_re[slot];
    sound->sum_im -= sound->window_im[slot];
    sound->window_re[slot] = high * cos(phase);
    sound->window_im[slot] = high * sin(phase);
    sound->sum_re += sound->window_re[slot];
    sound->sum_im += sound->window_im[slot];
    const double level =
        2 * hypot(sound->sum_re, sound->sum_im) / sound->window;
    if (level > BURST_THRESHOLD &&
        (sound->peak_at < 0 || level > sound->peak)) {
        sound->peak = level;
        sound->peak_at = i;
    } else if (sound->peak_at >= 0 && i - sound->peak_at > sound->window) {
        close_burst(sound);
    }
}

/* Blocks of a millisecond; a tone of 500 Hz or more fills each of them. */
static void find_gap(struct sound *sound, double value)
{
    const int block = sound->sample_rate / 1000;

    sound->block_peak = fmax(sound->block_peak, fabs(value));
    if ((sound->count + 1) % block != 0)
        return;
    const int64_t start = sound->count + 1 - block;
    if (sound->block_peak >= QUIET_LEVEL) {
        if (sound->quiet_from >= 0)
            add_gap(sound, ticks_at(sound, sound->quiet_from),
                    ticks_at(sound, start));
        sound->quiet_from = -1;
    } else if (sound->quiet_from < 0) {
        sound->quiet_from = start;
    }
    sound->block_peak = 0;
}

static void add_tone(struct sound *sound)
{
    const double middle =
        (double)sound->count - sound->reach - sound->block / 2.0;
    double hz = 0;

    if (sound->tone_peak >= QUIET_LEVEL && sound->tone_peak < BURST_PEAK) {
        const double turn = fmax(-1, fmin(1, sound->product / sound->power));
        hz = acos(turn) * sound->sample_rate / (2 * M_PI * sound->reach);
    }
    sound->tones = grow(sound->tones, sound->tone_count, sizeof(struct tone));
    sound->tones[sound->tone_count++] =
        (struct tone){ sound->origin + middle * 90000 / sound->sample_rate,
                       (float)hz };
    sound->product = sound->power = sound->tone_peak = 0;
}

static void find_tone(struct sound *sound, double value)
{
    const int size = 2 * sound->reach + 1;
    const int64_t i = sound->count;

    sound->line[i % size] = value;
    if (i < size)
        return;
    const double middle = sound->line[(i - sound->reach) % size];
    sound->product += middle * (value + sound->line[(i + 1) % size]);
    sound->power += 2 * middle * middle;
    sound->tone_peak = fmax(sound->tone_peak, fabs(value));
    if ((i + 1) % sound->block == 0)
        add_tone(sound);
}

void sound_feed(struct sound *sound, double value)
{
    find_burst(sound, value);
    find_gap(sound, value);
    find_tone(sound, value);
    sound->x2 = sound->x1;
    sound->x1 = value;
    sound->count++;
}

void sound_end(struct sound *sound)
{
    close_burst(sound);
    if (sound->quiet_from >= 0)
        add_gap(sound, ticks_at(sound, sound->quiet_from), sound_now(sound));
    sound->quiet_from = -1;
}

void sound_restart(struct sound *sound, double ticks)
{
    const double end = sound_now(sound);
    const bool is_first = sound->count == 0;

    sound_end(sound);
    if (!is_first)
        add_gap(sound, end, ticks);
    sound->origin = ticks;
    sound->count = 0;
    sound->x1 = sound->x2 = sound->sum_re = sound->sum_im = 0;
    for (int i = 0; i < sound->window; i++)
        sound->window_re[i] = sound->window_im[i] = 0;
    sound->block_peak = 0;
    sound->product = sound->power = sound->tone_peak = 0;
}
