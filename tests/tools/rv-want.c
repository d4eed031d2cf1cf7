/*
 * rv-want: the director's part of a change of inputs, for tests.  Writes the
 * list on standard input beside the ring, tells its serial, and prints the
 * first frame that the stage has changed, once it has applied it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "frame/stage_ring.h"
#include "plan/inputs.h"

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    *(const char **)state->input = arg;
    return 0;
}

static int want(struct stage_ring *ring, struct err *err)
{
    static char text[1 << 20];
    const size_t length = fread(text, 1, sizeof(text), stdin);
    struct inputs inputs = INPUTS_EMPTY;
    char path[1100];
    int64_t cut = -1;

    snprintf(path, sizeof(path), "%s/inputs", ring->folder);
    if (inputs_parse(&inputs, text, length, err) < 0) {
        FILE *file = fopen(path, "w"); /* as it is: the stage must refuse it */
        if (file != NULL)
            fwrite(text, 1, length, file);
        if (file != NULL)
            fclose(file);
        stage_ring_want_inputs(ring, 999);
        return -1;
    }
    if (inputs_write_file(&inputs, path, err) < 0)
        return -1;
    const uint32_t serial = inputs.serial;
    inputs_clear(&inputs);
    stage_ring_want_inputs(ring, serial);
    for (int i = 0; i < 500; i++) {
        if (stage_ring_inputs_applied(ring, &cut) == serial) {
            printf("%" PRId64 "\n", cut);
            return 0;
        }
        usleep(10000);
    }
    return err_set(err, ERR_STATE, "list %u was not applied within 5 s",
                   serial);
}

int main(int argc, char **argv)
{
    static const struct argp argp = { .parser = parse_opt, .args_doc = "RING" };
    struct stage_ring ring = STAGE_RING_EMPTY;
    struct err err = ERR_EMPTY;
    const char *path = "ring";

    cli_start("rv-want", &argp, argc, argv, &path);
    int rc = -1;
    for (int i = 0; rc < 0 && i < 300; i++) {
        rc = stage_ring_open(&ring, path, &err);
        if (rc < 0)
            usleep(10000);
    }
    if (rc == 0)
        rc = want(&ring, &err);
    stage_ring_close(&ring);
    return cli_finish(rc, &err);
}
