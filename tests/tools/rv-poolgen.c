/*
 * rv-poolgen: a decoder without a codec, for tests of stage and renderer.
 *
 * Writes a pool whose pictures begin with their clip's number and their index,
 * so that a reader can tell that no picture was written over too early.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "frame/pool.h"

struct opts {
    const char *pool, *segment, *fail;
    struct house house;
    int64_t frames, slots, first, clip, pace_us, gap_first, gap_frames, part;
    int64_t die_at, end, serial;
    bool is_line, is_holding;
};

enum {
    KEY = 0x100,
    FRAMES,
    SLOTS,
    FIRST,
    CLIP,
    PACE,
    GAP,
    PART,
    DIE,
    FAIL,
    LINE,
    HOLD,
    HOUSE,
    SEGMENT,
    END
};

static const struct argp_option options[] = {
    { "pool", KEY, "PATH", 0, "The pool", 0 },
    { "frames", FRAMES, "N", 0, "How many (100)", 0 },
    { "slots", SLOTS, "N", 0, "Picture slots (40)", 0 },
    { "first", FIRST, "INDEX", 0, "First index (0)", 0 },
    { "clip", CLIP, "N", 0, "Number in the pictures (1)", 0 },
    { "pace", PACE, "US", 0, "Microseconds a frame (0)", 0 },
    { "gap", GAP, "FIRST:N", 0, "Leave indices out", 0 },
    { "part", PART, "N", 0, "A new segment each N frames", 0 },
    { "die-at", DIE, "INDEX", 0, "Die there", 0 },
    { "fail", FAIL, "TEXT", 0, "End as failed", 0 },
    { "end", END, "INDEX", 0, "Tell this end instead", 0 },
    { "segment", SEGMENT, "ID", 0, "Segment (s)", 0 },
    { "house", HOUSE, "WxH@RATE", 0, "House format (32x16@25)", 0 },
    { "line", LINE, NULL, 0, "Print the list with this one pool", 0 },
    { "hold", HOLD, NULL, 0, "Stay until SIGTERM when done", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *o = state->input;

    switch (key) {
    case KEY:
        o->pool = arg;
        break;
    case FRAMES:
        o->frames = cli_number(state, "--frames", arg, 0, 1000000);
        break;
    case SLOTS:
        o->slots = cli_number(state, "--slots", arg, 1, 512);
        break;
    case FIRST:
        o->first = cli_number(state, "--first", arg, 0, 1000000);
        break;
    case CLIP:
        o->clip = cli_number(state, "--clip", arg, 0, 1000000);
        break;
    case PACE:
        o->pace_us = cli_number(state, "--pace", arg, 0, 10000000);
        break;
    case GAP:
        if (sscanf(arg, "%ld:%ld", &o->gap_first, &o->gap_frames) != 2)
            argp_error(state, "--gap: give FIRST:N");
        break;
    case PART:
        o->part = cli_number(state, "--part", arg, 1, 1000000);
        break;
    case DIE:
        o->die_at = cli_number(state, "--die-at", arg, 0, 1000000);
        break;
    case END:
        o->end = cli_number(state, "--end", arg, 0, 1000000);
        break;
    case FAIL:
        o->fail = arg;
        break;
    case SEGMENT:
        o->segment = arg;
        break;
    case HOUSE:
        if (house_parse(&o->house, arg, NULL) < 0)
            argp_error(state, "--house: give WxH@RATE");
        break;
    case LINE:
        o->is_line = true;
        break;
    case HOLD:
        o->is_holding = true;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = { .options = options, .parser = parse_opt };

static void fill_frame(struct pool *pool, const struct opts *o, int slot,
                       int64_t index)
{
    struct pool_frame *frame = pool_begin(pool);
    const uint32_t width = (uint32_t)pool->house.width;
    const uint32_t luma = width * (uint32_t)pool->house.height;
    uint8_t *picture = pool_picture(pool, (uint32_t)slot);
    const int64_t part = o->part ? index / o->part : 0;

    frame->index = index;
    frame->segment_first = o->part ? part * o->part : o->first;
    frame->asset_frame = index - frame->segment_first;
    frame->picture = (uint32_t)slot;
    frame->plane_offset[1] = luma;
    frame->plane_offset[2] = luma + luma / 4;
    frame->stride_bytes[0] = width;
    frame->stride_bytes[1] = frame->stride_bytes[2] = width / 2;
    frame->samples = house_pool_samples(&pool->house, index);
    if (o->part)
        snprintf(frame->segment, sizeof(frame->segment), "%s%ld", o->segment,
                 (long)part);
    else
        snprintf(frame->segment, sizeof(frame->segment), "%s", o->segment);
    snprintf(frame->asset, sizeof(frame->asset), "/clip/%ld", (long)o->clip);
    memset(picture, 128, luma + luma / 2);
    memcpy(picture, &index, sizeof(index));
    memcpy(picture + 8, &o->clip, sizeof(o->clip));
    pool_publish(pool);
}

static void produce(struct pool *pool, const struct opts *o)
{
    for (int64_t i = o->first; i < o->first + o->frames; i++) {
        if (i >= o->gap_first && i < o->gap_first + o->gap_frames)
            continue;
        if (i == o->die_at)
            _exit(9);
        while (!pool_wait_room(pool, 1, 200000)) {
            if (cli_stopping())
                return;
        }
        const int slot = pool_slot_take(pool);
        fill_frame(pool, o, slot, i);
        pool_slot_drop(pool, slot);
        if (o->pace_us)
            usleep((useconds_t)o->pace_us);
    }
}

int main(int argc, char **argv)
{
    struct opts o = { .frames = 100,
                      .slots = 40,
                      .clip = 1,
                      .die_at = -1,
                      .end = -1,
                      .gap_first = -1,
                      .segment = "s",
                      .house = { 32, 16, { 25, 1 }, 48000, 2 } };
    struct pool pool = POOL_EMPTY;
    struct err err = ERR_EMPTY, why = ERR_EMPTY;

    cli_start("rv-poolgen", &argp, argc, argv, &o);
    const struct pool_config config = { .house = o.house,
                                        .slots = (uint32_t)o.slots };
    int rc = pool_create(&pool, o.pool, &config, &err);
    if (rc == 0) {
        if (o.is_line)
            printf("{\"serial\":1,\"end\":true,\"inputs\":[{\"pool\":\"%s\","
                   "\"at\":null,\"origin\":null,\"reason\":\"plan\"}]}\n",
                   o.pool);
        fflush(stdout);
        fclose(stdout);
        produce(&pool, &o);
        if (o.fail != NULL)
            err_set(&why, ERR_INPUT, "%s", o.fail);
        pool_end(&pool, o.end >= 0 ? o.end : o.first + o.frames,
                 o.fail != NULL ? &why : NULL);
        while (o.is_holding && !cli_stopping())
            usleep(50000);
    }
    pool_close(&pool);
    return rc < 0 ? cli_finish(rc, &err) : 0;
}
