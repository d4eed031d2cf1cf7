/*
 * rv-ringread: a renderer without an encoder, for tests of stage and decoder.
 *
 * Takes every frame of a stage ring, looks at its picture when it takes it and
 * again when it publishes it, and prints runs:
 *
 *   FIRST-LAST clip C index FIRST-LAST reason          (frames of rv-poolgen)
 *   FIRST-LAST pool P index FIRST-LAST reason          (other pools)
 *   FIRST-LAST slate reason
 *
 * With --hash a line a frame instead, of pictures of any kind: the segment ("-"
 * for slate), its frame, the frame's flags, hashes of the picture and the
 * sound.
 *
 *   h N SEGMENT FRAME FLAGS PICTURE SOUND
 *
 * Exit 1 with a sentence when a frame is not what its reference says.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavutil/mem.h>
#include <libavutil/murmur3.h>

#include "cli/cli.h"
#include "clock/clock.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"

#define LAG_MAX 32

struct opts {
    const char *ring, *run_dir;
    int64_t frames, lag, pace_us, intake_us, skip_check;
    bool is_paced, is_plain, is_hash;
};

/* What was taken and is not yet published. */
struct taken {
    struct stage_ref ref;
    int64_t index, clip;
    uint64_t picture, sound; /* hashes, if asked for */
};

struct reader {
    struct opts opts;
    struct stage_ring ring;
    struct clock clock;
    uint32_t pool_id;
    struct pool pool;
    struct taken taken[LAG_MAX];
    struct taken first, last; /* of the run */
    struct AVMurMur3 *hash;
    bool has_run;
};

enum { RING = 0x100, FRAMES, LAG, PACE, PACED, RUN_DIR, INTAKE, PLAIN, HASH };

static const struct argp_option options[] = {
    { "ring", RING, "PATH", 0, "The ring", 0 },
    { "frames", FRAMES, "N", 0, "Stop behind frame N - 1", 0 },
    { "lag", LAG, "N", 0, "Publish so many frames late (5)", 0 },
    { "pace", PACE, "US", 0, "Microseconds a frame (0)", 0 },
    { "paced", PACED, NULL, 0, "Take each at its deadline less intake", 0 },
    { "intake", INTAKE, "US", 0, "Intake to announce (300000)", 0 },
    { "run-dir", RUN_DIR, "DIR", 0, "For the clock", 0 },
    { "plain", PLAIN, NULL, 0, "Pictures are not rv-poolgen's", 0 },
    { "hash", HASH, NULL, 0, "A line a frame, with hashes; implies --plain",
      0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *o = state->input;

    switch (key) {
    case RING:
        o->ring = arg;
        break;
    case FRAMES:
        o->frames = cli_number(state, "--frames", arg, 0, INT64_MAX);
        break;
    case LAG:
        o->lag = cli_number(state, "--lag", arg, 0, LAG_MAX - 1);
        break;
    case PACE:
        o->pace_us = cli_number(state, "--pace", arg, 0, 10000000);
        break;
    case INTAKE:
        o->intake_us = cli_number(state, "--intake", arg, 0, 10000000);
        break;
    case PACED:
        o->is_paced = true;
        break;
    case PLAIN:
        o->is_plain = true;
        break;
    case HASH:
        o->is_hash = o->is_plain = true;
        break;
    case RUN_DIR:
        o->run_dir = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = { .options = options, .parser = parse_opt };

static void print_run(struct reader *r)
{
    const struct taken *a = &r->first, *b = &r->last;
    const char *reason = stage_reason_text(a->ref.reason);

    if (!r->has_run)
        return;
    printf("%" PRId64 "-%" PRId64 " ", a->ref.n, b->ref.n);
    if (a->ref.pool == 0)
        printf("%s\n", reason);
    else if (r->opts.is_plain)
        printf("pool %u index %" PRId64 "-%" PRId64 " %s\n", a->ref.pool,
               a->index, b->index, reason);
    else
        printf("clip %" PRId64 " index %" PRId64 "-%" PRId64 " %s\n", a->clip,
               a->index, b->index, reason);
    fflush(stdout);
}

static uint64_t end_hash(struct reader *r)
{
    uint8_t digest[16];
    uint64_t hash;

    av_murmur3_final(r->hash, digest);
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

/* What a viewer would see and hear of it. */
static void hash_frame(struct reader *r, struct taken *t,
                       const struct pool_frame *frame)
{
    const struct house *house = &r->pool.house;
    const uint8_t *slot = pool_picture(&r->pool, frame->picture);

    av_murmur3_init(r->hash);
    for (int p = 0; p < 3; p++) {
        const int width = p == 0 ? house->width : (house->width + 1) / 2;
        const int height = p == 0 ? house->height : (house->height + 1) / 2;
        for (int y = 0; y < height; y++)
            av_murmur3_update(r->hash,
                              slot + frame->plane_offset[p] +
                                  (size_t)y * frame->stride_bytes[p],
                              (size_t)width);
    }
    t->picture = end_hash(r);
    av_murmur3_init(r->hash);
    /* Not the sample that is the next frame's. */
    av_murmur3_update(r->hash, (uint8_t *)pool_audio(&r->pool, t->ref.seq),
                      (size_t)(frame->samples - 1) * (size_t)house->channels *
                          sizeof(int16_t));
    t->sound = end_hash(r);
}

static void tell_frame(const struct taken *t, const struct pool_frame *frame)
{
    const bool is_slate = t->ref.pool == 0 || frame->segment[0] == '\0';

    printf("h %" PRId64 " %s %" PRId64 " %u %016" PRIx64 " %016" PRIx64 "\n",
           t->ref.n, is_slate ? "-" : frame->segment,
           frame->index - frame->segment_first, frame->flags, t->picture,
           t->sound);
    fflush(stdout);
}

static void note(struct reader *r, const struct taken *t)
{
    if (r->opts.is_hash)
        return;
    const struct taken *b = &r->last;
    const bool is_next = r->has_run && t->ref.pool == b->ref.pool &&
                         t->ref.reason == b->ref.reason && t->clip == b->clip &&
                         (t->ref.pool == 0 || t->index == b->index + 1);

    if (!is_next) {
        print_run(r);
        r->first = *t;
        r->has_run = true;
    }
    r->last = *t;
}

/* The frame as it now is in its pool. */
static int look(struct reader *r, struct taken *t, bool is_first,
                struct err *err)
{
    struct pool_frame frame;
    char path[1024];

    if (r->pool.head == NULL || r->pool_id != t->ref.pool) {
        pool_close(&r->pool);
        stage_ring_pool_path(&r->ring, t->ref.pool, path);
        if (pool_open(&r->pool, path, false, err) < 0)
            return -1;
        r->pool_id = t->ref.pool;
    }
    if (pool_read(&r->pool, t->ref.seq, &frame, err) < 0)
        return -1;
    t->index = frame.index;
    t->clip = 0;
    if (r->opts.is_hash)
        hash_frame(r, t, &frame);
    if (r->opts.is_hash && is_first)
        tell_frame(t, &frame);
    if (t->ref.pool == 0)
        return frame.flags & FRAME_SLATE
                   ? 0
                   : err_set(err, ERR_INPUT, "frame %" PRId64 ": no slate",
                             t->ref.n);
    if (t->ref.n - t->ref.origin != frame.index)
        return err_set(err, ERR_INPUT,
                       "frame %" PRId64 ": index %" PRId64
                       " with origin %" PRId64,
                       t->ref.n, frame.index, t->ref.origin);
    if (r->opts.is_plain)
        return 0;
    const uint8_t *picture = pool_picture(&r->pool, frame.picture);
    int64_t shown;
    memcpy(&shown, picture, sizeof(shown));
    memcpy(&t->clip, picture + 8, sizeof(t->clip));
    if (shown != frame.index)
        return err_set(err, ERR_INPUT,
                       "frame %" PRId64 ": shows %" PRId64 ", not %" PRId64,
                       t->ref.n, shown, frame.index);
    return 0;
}

static int publish(struct reader *r, int64_t n, struct err *err)
{
    const struct taken *was = &r->taken[n % LAG_MAX];
    struct taken now = *was;

    if (look(r, &now, false, err) < 0)
        return err_prefix(err, "when it was published");
    if (now.index != was->index || now.clip != was->clip ||
        now.picture != was->picture || now.sound != was->sound)
        return err_set(err, ERR_INPUT, "frame %" PRId64 " was written over", n);
    stage_ring_set_cursor(&r->ring, 0, n + 1);
    return 0;
}

static void wait_turn(struct reader *r, int64_t n)
{
    if (r->opts.pace_us)
        usleep((useconds_t)r->opts.pace_us);
    while (r->opts.is_paced && !cli_stopping()) {
        const struct stage_epoch epoch = stage_ring_epoch(&r->ring);
        const int64_t due =
            stage_ring_deadline_us(&r->ring, &epoch, n) - r->opts.intake_us;
        if (epoch.serial == 0)
            usleep(2000);
        else if (clock_utc_us(&r->clock) >= due)
            return;
        else
            clock_sleep_until(&r->clock, due, 100000);
    }
}

static int read_frames(struct reader *r, struct err *err)
{
    int64_t n = stage_ring_consumer_cursor(&r->ring, 0);
    int64_t out = n;

    for (; n < r->opts.frames && !cli_stopping(); n++) {
        struct taken *t = &r->taken[n % LAG_MAX];
        enum ring_result result;
        wait_turn(r, n);
        while ((result = stage_ring_claim(&r->ring, n, &t->ref)) ==
                   RING_EMPTY &&
               !cli_stopping())
            stage_ring_wait(&r->ring, n, 200000);
        if (result != RING_OK)
            break;
        if (look(r, t, true, err) < 0)
            return err_prefix(err, "frame %" PRId64, n);
        note(r, t);
        for (; out + r->opts.lag <= n; out++) {
            if (publish(r, out, err) < 0)
                return -1;
        }
    }
    for (; out < n && !cli_stopping(); out++) {
        if (publish(r, out, err) < 0)
            return -1;
    }
    print_run(r);
    return 0;
}

int main(int argc, char **argv)
{
    static struct reader r;
    struct err err = ERR_EMPTY;

    r.opts =
        (struct opts){ .frames = INT64_MAX, .lag = 5, .intake_us = 300000 };
    r.pool = POOL_EMPTY;
    r.clock = CLOCK_EMPTY;
    cli_start("rv-ringread", &argp, argc, argv, &r.opts);
    r.hash = av_murmur3_alloc();
    if (r.hash == NULL)
        abort();
    int rc = -1;
    for (int i = 0; rc < 0 && i < 500 && !cli_stopping(); i++) {
        rc = stage_ring_open(&r.ring, r.opts.ring, &err);
        if (rc < 0)
            usleep(10000);
    }
    if (rc == 0)
        rc = stage_ring_attach(&r.ring, 0, &err);
    if (rc == 0)
        rc = clock_open(&r.clock, r.opts.run_dir, &err);
    if (rc == 0) {
        stage_ring_set_intake_us(&r.ring, r.opts.intake_us);
        rc = read_frames(&r, &err);
    }
    av_free(r.hash);
    pool_close(&r.pool);
    stage_ring_close(&r.ring);
    clock_close(&r.clock);
    return cli_finish(rc, &err);
}
