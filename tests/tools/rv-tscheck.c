/*
 * rv-tscheck: checks a transport stream of ours strictly, see
 * lib/ts/ts_check.h.
 *
 * Reads a file, standard input, or what is whole in a TS ring (--ring), says
 * each kind of fault in a line on standard error and a summary as one JSON
 * object on standard output.  Exit status 1 when there was any fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "err/err.h"
#include "frame/ts_ring.h"
#include "ts/ts_check.h"

struct opts {
    const char *source;
    bool is_ring;
    const char *copy; /* NULL: none */
    struct ts_check_config config;
};

/* clang-format off */
static const struct argp_option options[] = {
    { "rate", 'r', "N/D", 0, "Pictures a second (by the first two)", 0 },
    { "gop", 'g', "N", 0, "At most N pictures from keyframe to keyframe", 0 },
    { "vbv", 'v', "KBIT,KBIT", 0, "Rate and size of the video buffer", 0 },
    { "copy", 'o', "FILE", 0, "Write what is in the TS ring to FILE", 0 },
    { "ring", 'R', NULL, 0, "The file is a TS ring", 0 },
    { 0 }
};
/* clang-format on */

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;
    int64_t rate, size;

    switch (key) {
    case 'r':
        opts->config.rate.den = 1;
        if (sscanf(arg, "%d/%d", &opts->config.rate.num,
                   &opts->config.rate.den) < 1 ||
            opts->config.rate.num <= 0 || opts->config.rate.den <= 0)
            argp_error(state, "--rate: '%s' is no rate; give N or N/D", arg);
        return 0;
    case 'g':
        opts->config.gop = cli_number(state, "--gop", arg, 1, 100000);
        return 0;
    case 'v':
        if (sscanf(arg, "%" SCNd64 ",%" SCNd64, &rate, &size) != 2)
            argp_error(state, "--vbv: '%s'; give RATE,SIZE in kbit", arg);
        opts->config.vbv_rate_bits = rate * 1000;
        opts->config.vbv_size_bits = size * 1000;
        return 0;
    case 'o':
        opts->copy = arg;
        return 0;
    case 'R':
        opts->is_ring = true;
        return 0;
    case ARGP_KEY_ARG:
        opts->source = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int feed_file(struct ts_check *check, const char *path, struct err *err)
{
    static uint8_t bytes[188 * 256];
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return err_errno(err, ERR_INPUT, "%s", path);
    do {
        got = read(fd, bytes, sizeof(bytes));
        if (got > 0)
            ts_check_feed(check, bytes, (size_t)got);
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? err_errno(err, ERR_INPUT, "%s", path) : 0;
}

/* From the oldest keyframe that is whole to the end. */
static int feed_ring(struct ts_check *check, const char *path, FILE *copy,
                     struct err *err)
{
    struct ts_ring ring;
    struct ts_stretch s;
    bool is_begun = false;

    if (ts_ring_open(&ring, path, false, err) < 0)
        return -1;
    const uint64_t count = ts_ring_count(&ring);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t run;
        if (ts_ring_entry(&ring, i, &s) != TS_RING_OK ||
            !ts_ring_is_intact(&ring, s.start))
            continue;
        is_begun |= s.is_key != 0;
        for (uint64_t at = s.start; is_begun && at < s.end; at += run) {
            const uint8_t *bytes = ts_ring_bytes(&ring, at, s.end, &run);
            ts_check_feed(check, bytes, run);
            if (copy != NULL)
                fwrite(bytes, 1, run, copy);
        }
    }
    ts_ring_close(&ring);
    return 0;
}

static void print_report(const struct ts_check_report *r)
{
    const char *comma = "";

    printf("{\"packets\":%" PRIu64 ",\"pictures\":%" PRIu64
           ",\"keyframes\":%" PRIu64 ",\"b_pictures\":%" PRIu64
           ",\"sounds\":%" PRIu64 ",\"first_pts\":%" PRId64
           ",\"last_pts\":%" PRId64 ",\"discontinuities\":%" PRIu64
           ",\"pcr_max_us\":%" PRId64 ",\"psi_max_us\":%" PRId64
           ",\"pts_max_us\":%" PRId64 ",\"margin_us\":[%" PRId64 ",%" PRId64
           "],\"offset_us\":%" PRId64 ",\"faults\":{",
           r->packets, r->pictures, r->keyframes, r->b_pictures, r->sounds,
           r->first_pts_90k, r->last_pts_90k, r->discontinuities, r->pcr_max_us,
           r->psi_max_us, r->pts_max_us, r->margin_min_us, r->margin_max_us,
           r->offset_us);
    for (int i = 0; i < TS_FAULTS; i++) {
        if (r->faults[i] == 0)
            continue;
        printf("%s\"%s\":%" PRIu64, comma, ts_fault_name((enum ts_fault)i),
               r->faults[i]);
        fprintf(stderr, "%s: %s\n", ts_fault_name((enum ts_fault)i),
                r->first[i]);
        comma = ",";
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    static const struct argp argp = { .options = options,
                                      .parser = parse_opt,
                                      .args_doc = "FILE",
                                      .doc = "Check a transport stream." };
    struct opts opts = { .source = "-", .config = { .rate = { 0, 1 } } };
    struct err err = ERR_EMPTY;

    cli_start("rv-tscheck", &argp, argc, argv, &opts);
    struct ts_check *check = ts_check_new(&opts.config);
    if (check == NULL) {
        err_set(&err, ERR_SYSTEM, "no memory");
        return cli_finish(-1, &err);
    }
    FILE *copy = opts.copy ? fopen(opts.copy, "we") : NULL;
    int rc = 0;
    if (opts.copy != NULL && copy == NULL)
        rc = err_errno(&err, ERR_INPUT, "%s", opts.copy);
    else if (opts.is_ring)
        rc = feed_ring(check, opts.source, copy, &err);
    else
        rc = feed_file(check, opts.source, &err);
    if (copy != NULL && fclose(copy) != 0)
        rc = err_errno(&err, ERR_SYSTEM, "%s", opts.copy);
    if (rc == 0) {
        const struct ts_check_report *report = ts_check_end(check);
        print_report(report);
        if (report->fault_count > 0) {
            rc = err_set(&err, ERR_INPUT, "%s: %" PRIu64 " faults", opts.source,
                         report->fault_count);
        }
    }
    ts_check_free(check);
    return cli_finish(rc, &err);
}
