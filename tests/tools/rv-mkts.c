/*
 * rv-mkts: a TS ring without a renderer, for the tests of what reads rings.
 *
 *   rv-mkts write RING [--stretches N] [--packets P] [--gop G] [--lead MS]
 *                      [--rate FPS] [--bytes B] [--run-dir DIR] [--close]
 *   rv-mkts check FILE
 *
 * `write` publishes stretches in real time, goes on with a ring that is there,
 * and prints "ready" behind its first one.  Packet k of the stream carries k
 * and whether it begins a keyframe; `check` reads such a stream back and
 * prints what a viewer got as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "clock/clock.h"
#include "frame/ts_ring.h"

#define PACKET 188

struct opts {
    const char *words[2];
    const char *run_dir;
    int64_t stretches, packets, gop, lead_us, rate, bytes;
    bool is_closing;
};

enum {
    OPT_STRETCHES = 256,
    OPT_PACKETS,
    OPT_GOP,
    OPT_LEAD,
    OPT_RATE,
    OPT_BYTES,
    OPT_CLOSE,
    OPT_RUN_DIR
};

static const struct argp_option options[] = {
    { "stretches", OPT_STRETCHES, "N", 0, "Then end", 0 },
    { "packets", OPT_PACKETS, "P", 0, "Packets a stretch", 0 },
    { "gop", OPT_GOP, "G", 0, "Stretches a keyframe", 0 },
    { "lead", OPT_LEAD, "MS", 0, "Publish that much ahead", 0 },
    { "rate", OPT_RATE, "FPS", 0, "Stretches a second", 0 },
    { "bytes", OPT_BYTES, "B", 0, "Size of the ring's data", 0 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Whose MasterClock counts", 0 },
    { "close", OPT_CLOSE, NULL, 0, "Close the stream at the end", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case OPT_STRETCHES:
        opts->stretches = cli_number(state, "--stretches", arg, 1, INT32_MAX);
        return 0;
    case OPT_PACKETS:
        opts->packets = cli_number(state, "--packets", arg, 1, 100000);
        return 0;
    case OPT_GOP:
        opts->gop = cli_number(state, "--gop", arg, 1, 100000);
        return 0;
    case OPT_LEAD:
        opts->lead_us = cli_number(state, "--lead", arg, 0, 60000) * 1000;
        return 0;
    case OPT_RATE:
        opts->rate = cli_number(state, "--rate", arg, 1, 1000);
        return 0;
    case OPT_BYTES:
        opts->bytes = cli_number(state, "--bytes", arg, 0, INT32_MAX);
        return 0;
    case OPT_RUN_DIR:
        opts->run_dir = arg;
        return 0;
    case OPT_CLOSE:
        opts->is_closing = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "'%s' is too much", arg);
        opts->words[state->arg_num] = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num != 2)
            argp_error(state, "give write RING or check FILE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = { .options = options,
                                  .parser = parse_opt,
                                  .args_doc = "write|check PATH" };

static void fill(uint8_t *packet, uint64_t number, bool is_key)
{
    memset(packet, 0xff, PACKET);
    packet[0] = 0x47;
    packet[1] = is_key ? 1 : 0;
    packet[2] = 0x00;
    packet[3] = 0x10 | (number & 15);
    memcpy(packet + 4, &number, sizeof(number));
    for (int i = 12; i < PACKET; i++)
        packet[i] = (uint8_t)(number * 31 + (uint64_t)i);
}

static int publish(struct ts_ring *ring, const struct opts *opts,
                   struct ts_stretch *stretch, struct err *err)
{
    uint8_t *bytes = malloc((size_t)opts->packets * PACKET);
    const uint64_t first = stretch->end / PACKET;

    if (bytes == NULL)
        return err_set(err, ERR_SYSTEM, "no memory");
    for (int64_t i = 0; i < opts->packets; i++)
        fill(bytes + i * PACKET, first + (uint64_t)i,
             i == 0 && stretch->is_key);
    const int rc = ts_ring_publish(
        ring, bytes, (uint64_t)opts->packets * PACKET, stretch, err);
    free(bytes);
    return rc;
}

static int write_ring(const struct opts *opts, struct err *err)
{
    struct clock clock = CLOCK_EMPTY;
    struct ts_ring ring = TS_RING_EMPTY;
    struct ts_stretch stretch = { .n_end = 0 };
    int64_t due_us;
    int rc = 0;

    if (clock_open(&clock, opts->run_dir, err) < 0)
        return -1;
    if (ts_ring_own(&ring, opts->words[1], NULL) < 0 &&
        ts_ring_create(&ring, opts->words[1], &HOUSE_DEFAULT,
                       (uint64_t)opts->bytes / PACKET * PACKET, err) < 0)
        return -1;
    due_us = clock_utc_us(&clock);
    const uint64_t count = ts_ring_count(&ring);
    if (count > 0 && ts_ring_entry(&ring, count - 1, &stretch) == TS_RING_OK)
        due_us = stretch.due_us + 1000000 / opts->rate;
    for (int64_t i = 0; rc == 0 && !cli_stopping() &&
                        (opts->stretches == 0 || i < opts->stretches);
         i++) {
        clock_sleep_until(&clock, due_us - opts->lead_us, INT64_MAX / 8);
        stretch.n_first = stretch.n_end++;
        stretch.is_key = stretch.n_first % opts->gop == 0;
        stretch.due_us = due_us;
        rc = publish(&ring, opts, &stretch, err);
        if (i == 0) {
            printf("ready\n");
            fflush(stdout);
        }
        due_us += 1000000 / opts->rate;
    }
    if (opts->is_closing)
        ts_ring_close_stream(&ring);
    ts_ring_close(&ring);
    return rc;
}

static int check_file(const char *path, struct err *err)
{
    uint8_t packet[PACKET], wanted[PACKET];
    uint64_t number, first = 0, packets = 0, wrong = 0, holes = 0, next = 0;
    bool begins_with_key = false;
    size_t got;
    FILE *in = fopen(path, "rb");

    if (in == NULL)
        return err_errno(err, ERR_INPUT, "%s", path);
    while ((got = fread(packet, 1, PACKET, in)) == PACKET) {
        memcpy(&number, packet + 4, sizeof(number));
        fill(wanted, number, packet[1] == 1);
        wrong += memcmp(packet, wanted, PACKET) != 0;
        if (packets++ == 0) {
            first = number;
            begins_with_key = packet[1] == 1;
        } else {
            holes += number != next;
        }
        next = number + 1;
    }
    fclose(in);
    printf("{\"first\":%" PRIu64 ",\"packets\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"holes\":%" PRIu64 ",\"rest\":%zu,\"key\":%s}\n",
           first, packets, wrong, holes, got,
           begins_with_key ? "true" : "false");
    return 0;
}

int main(int argc, char **argv)
{
    struct opts opts = { .packets = 20,
                         .gop = 25,
                         .lead_us = 500000,
                         .rate = 25,
                         .bytes = TS_RING_DEFAULT_BYTES };
    struct err err = ERR_EMPTY;
    int rc;

    cli_start("rv-mkts", &argp, argc, argv, &opts);
    if (strcmp(opts.words[0], "write") == 0)
        rc = write_ring(&opts, &err);
    else
        rc = check_file(opts.words[1], &err);
    return cli_finish(rc, &err);
}
