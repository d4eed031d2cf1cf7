/*
 * rv-mkring: decoder and stage in one, for tests of what stands behind them.
 *
 * Makes a stage ring and pools whose frames carry their number (tests/tools/
 * mark.h), a new pool every --pool-frames, keeps the ring as full as it may
 * be, and ends it after --frames.  Nothing is ever repeated or left out, so
 * whatever is wrong behind it was made there.  Waits until all is published,
 * then removes the pools and the ring.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "clock/clock.h"
#include "err/err.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"
#include "mark.h"

#define POOLS_MAX 64
#define WAIT_US   20000

struct opts {
    const char *path;
    struct house house;
    int64_t frames, pool_frames, start_ms;
    int64_t sleep_at, sleep_ms; /* no frame comes meanwhile */
    bool is_paced;
    bool is_noisy;
};

struct feeder {
    const struct opts *opts;
    struct stage_ring ring;
    struct pool pools[POOLS_MAX];
    int64_t first[POOLS_MAX]; /* channel's frame of each pool's index 0 */
    uint32_t id[POOLS_MAX];
    int pool_count, pools_gone;
};

/* clang-format off */
static const struct argp_option options[] = {
    { "house", 'h', "HOUSE", 0, "House format (320x180@30000/1001)", 0 },
    { "frames", 'n', "N", 0, "Frames in all (300)", 0 },
    { "pool-frames", 'p', "N", 0, "Frames of a pool (50)", 0 },
    { "paced", 'c', "MS", 0, "Set an epoch: frame 0 is due in MS", 0 },
    { "noise", 'N', NULL, 0, "Pictures that are hard to encode", 0 },
    { "sleep", 's', "N:MS", 0, "Stage nothing for MS before frame N", 0 },
    { 0 }
};
/* clang-format on */

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;
    struct err err = ERR_EMPTY;

    switch (key) {
    case 'h':
        if (house_parse(&opts->house, arg, &err) < 0)
            argp_error(state, "%s", err.text);
        return 0;
    case 'n':
        opts->frames = cli_number(state, "--frames", arg, 1, 1000000);
        return 0;
    case 'p':
        opts->pool_frames = cli_number(state, "--pool-frames", arg, 1, 100000);
        return 0;
    case 'c':
        opts->is_paced = true;
        opts->start_ms = cli_number(state, "--paced", arg, 0, 60000);
        return 0;
    case 'N':
        opts->is_noisy = true;
        return 0;
    case 's':
        if (sscanf(arg, "%" SCNd64 ":%" SCNd64, &opts->sleep_at,
                   &opts->sleep_ms) != 2)
            argp_error(state, "--sleep: '%s'; give N:MS", arg);
        return 0;
    case ARGP_KEY_ARG:
        opts->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (opts->path == NULL)
            argp_error(state, "give the path of the ring");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void draw_sound(const struct house *house, int64_t first, int64_t index,
                       int16_t *to, int32_t count)
{
    const int64_t origin = house_samples_before(house, first);
    const int64_t from = house_samples_before(house, index);

    for (int32_t i = 0; i < count; i++) {
        const int64_t s = origin + from + i;
        const int64_t n = s * house->rate.num /
                          ((int64_t)house->sample_rate * house->rate.den);
        const double step = 2 * M_PI / house->sample_rate;
        double value =
            MARK_TONE_LEVEL *
            sin(step * (double)(s * mark_tone_hz(1) % house->sample_rate));
        for (int64_t k = n - 1; k <= n + 1; k++) {
            const int64_t since =
                s - mark_sample(k, house->rate, house->sample_rate);
            if (k % MARK_BURST_EVERY == 0 && since >= 0 &&
                since * 1000000 < (int64_t)MARK_BURST_US * house->sample_rate)
                value += MARK_BURST_LEVEL *
                         cos(step * (double)(since * MARK_BURST_HZ));
        }
        for (int c = 0; c < house->channels; c++)
            to[i * house->channels + c] = (int16_t)lrint(value * 32000);
    }
}

/* Releases and removes what nobody needs any more. */
static void tidy(struct feeder *feeder)
{
    const int64_t release = stage_ring_release_point(&feeder->ring);
    char path[1024];

    for (int i = feeder->pools_gone; i < feeder->pool_count; i++) {
        struct pool *pool = &feeder->pools[i];
        int64_t below = release - feeder->first[i];
        if (below <= 0)
            break;
        below = below > feeder->opts->pool_frames ? feeder->opts->pool_frames
                                                  : below;
        pool_release(pool, (uint64_t)below < pool_ready(pool)
                               ? (uint64_t)below
                               : pool_ready(pool));
        if (below == feeder->opts->pool_frames) {
            stage_ring_pool_path(&feeder->ring, feeder->id[i], path);
            unlink(path);
            pool_close(pool);
            feeder->pools_gone++;
        }
    }
}

static int next_pool(struct feeder *feeder, int64_t n, struct err *err)
{
    /* As many slots as the ring may hold, so that it never waits for one */
    const struct pool_config config = {
        .house = feeder->opts->house,
        .slots = (uint32_t)(feeder->opts->pool_frames < 128
                                ? feeder->opts->pool_frames
                                : 128)
    };
    const int i = feeder->pool_count;
    char path[1024];

    if (i == POOLS_MAX)
        return err_set(err, ERR_LIMIT,
                       "more than %d pools; give a larger "
                       "--pool-frames",
                       POOLS_MAX);
    feeder->id[i] = stage_ring_new_pool_id(&feeder->ring);
    feeder->first[i] = n;
    stage_ring_pool_path(&feeder->ring, feeder->id[i], path);
    if (pool_create(&feeder->pools[i], path, &config, err) < 0)
        return -1;
    feeder->pool_count++;
    return 0;
}

/* Gray, or noise that another frame does not predict. */
static void draw_ground(const struct opts *opts, uint8_t *luma, size_t size,
                        int64_t n)
{
    uint32_t state = (uint32_t)n * 2654435761u + 1;

    memset(luma, 96, size);
    for (size_t i = 0; opts->is_noisy && i < size; i++) {
        state = state * 1664525u + 1013904223u;
        luma[i] = (uint8_t)(64 + (state >> 26));
    }
}

static void fill_frame(struct feeder *feeder, struct pool_frame *frame,
                       int slot, int64_t n, int64_t first)
{
    const struct house *house = &feeder->opts->house;
    struct pool *pool = &feeder->pools[feeder->pool_count - 1];
    const uint32_t width = (uint32_t)house->width;
    const uint32_t height = (uint32_t)house->height;
    uint8_t *bytes = pool_picture(pool, (uint32_t)slot);

    frame->index = n - first;
    frame->picture = (uint32_t)slot;
    frame->stride_bytes[0] = (width + 63) / 64 * 64;
    frame->stride_bytes[1] = (width / 2 + 63) / 64 * 64;
    frame->stride_bytes[2] = frame->stride_bytes[1];
    frame->plane_offset[1] = frame->stride_bytes[0] * height;
    frame->plane_offset[2] =
        frame->plane_offset[1] + frame->stride_bytes[1] * height / 2;
    draw_ground(feeder->opts, bytes, frame->plane_offset[1], n);
    memset(bytes + frame->plane_offset[1], 128,
           (size_t)frame->stride_bytes[1] * height);
    mark_draw(bytes, (int)frame->stride_bytes[0], house->width, house->height,
              (struct mark){ .clip = 1, .frame = (int)n });
    frame->samples = house_pool_samples(house, frame->index);
    draw_sound(house, first, frame->index, pool_audio(pool, pool->next),
               frame->samples);
    snprintf(frame->segment, sizeof(frame->segment), "s1");
}

/* Makes frame n and stages it, waiting for room. */
static int feed(struct feeder *feeder, int64_t n, struct err *err)
{
    if (n % feeder->opts->pool_frames == 0 && next_pool(feeder, n, err) < 0)
        return -1;
    const int i = feeder->pool_count - 1;
    struct pool *pool = &feeder->pools[i];
    while (!pool_wait_room(pool, 1, WAIT_US)) {
        tidy(feeder);
        if (cli_stopping())
            return 0;
    }
    const int slot = pool_slot_take(pool);
    struct pool_frame *frame = pool_begin(pool);
    if (slot < 0 || frame == NULL)
        return err_set(err, ERR_LIMIT, "no slot");
    fill_frame(feeder, frame, slot, n, feeder->first[i]);
    const struct stage_ref ref = { .n = n,
                                   .origin = feeder->first[i],
                                   .seq = pool->next,
                                   .pool = feeder->id[i] };
    pool_publish(pool);
    pool_slot_drop(pool, slot);
    while (stage_ring_push(&feeder->ring, &ref) == RING_FULL &&
           !cli_stopping()) {
        struct bell *bell = stage_ring_stage_bell(&feeder->ring);
        const uint32_t seen = bell_arm(bell);
        tidy(feeder);
        futex_wait(&bell->count, seen, WAIT_US);
        bell_disarm(bell);
    }
    tidy(feeder);
    return 0;
}

static void sleep_us(int64_t us)
{
    for (int64_t end = clock_monotonic_us() + us;
         clock_monotonic_us() < end && !cli_stopping();)
        usleep(WAIT_US);
}

static int run(struct feeder *feeder, struct err *err)
{
    const struct opts *opts = feeder->opts;
    const struct stage_ring_config config = { .house = opts->house };
    struct clock clock = CLOCK_EMPTY;

    if (stage_ring_create(&feeder->ring, opts->path, &config, err) < 0 ||
        clock_open(&clock, NULL, err) < 0)
        return -1;
    if (opts->is_paced)
        stage_ring_set_epoch(&feeder->ring, 0,
                             clock_utc_us(&clock) + opts->start_ms * 1000);
    for (int64_t n = 0; n < opts->frames && !cli_stopping(); n++) {
        if (n == opts->sleep_at)
            sleep_us(opts->sleep_ms * 1000);
        if (feed(feeder, n, err) < 0)
            return -1;
    }
    stage_ring_set_end(&feeder->ring, opts->frames);
    while (stage_ring_consumer_cursor(&feeder->ring, 0) < opts->frames &&
           !cli_stopping())
        sleep_us(WAIT_US);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = { .options = options,
                                      .parser = parse_opt,
                                      .args_doc = "RING",
                                      .doc = "Feed a stage ring." };
    static struct feeder feeder;
    struct opts opts = {
        .frames = 300, .pool_frames = 50, .sleep_at = -1, .house = HOUSE_DEFAULT
    };
    struct err err = ERR_EMPTY;
    char path[1024];

    opts.house.width = 320;
    opts.house.height = 180;
    cli_start("rv-mkring", &argp, argc, argv, &opts);
    feeder.opts = &opts;
    feeder.ring = STAGE_RING_EMPTY;
    const int rc = run(&feeder, &err);
    for (int i = feeder.pools_gone; i < feeder.pool_count; i++) {
        stage_ring_pool_path(&feeder.ring, feeder.id[i], path);
        unlink(path);
        pool_close(&feeder.pools[i]);
    }
    stage_ring_close(&feeder.ring);
    unlink(opts.path);
    return cli_finish(rc, &err);
}
