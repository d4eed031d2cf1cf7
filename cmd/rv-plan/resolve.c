/*
 * resolve: the plan as segment lines on standard output, for rv-decode.
 *
 * Written with write(2), not stdio: a looping plan never ends, so this waits
 * for its reader for most of its life and must end at once when asked to.
 */
#include "rv_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "log/log.h"

enum written { WRITTEN, WRITTEN_ENOUGH, WRITTEN_ERROR };

static enum written write_line(char *line, struct err *err)
{
    size_t length = strlen(line);
    const char *at = line;

    line[length++] = '\n';
    while (length > 0) {
        if (cli_stopping())
            return WRITTEN_ENOUGH;
        const ssize_t put = write(STDOUT_FILENO, at, length);
        if (put >= 0) {
            at += put;
            length -= (size_t)put;
        } else if (errno == EPIPE) {
            return WRITTEN_ENOUGH;
        } else if (errno != EINTR) {
            err_errno(err, ERR_SYSTEM, "standard output");
            return WRITTEN_ERROR;
        }
    }
    return WRITTEN;
}

static enum written write_segment(const struct segment *segment,
                                  struct err *err)
{
    char *line = segment_format(segment);

    if (line == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for a line");
        return WRITTEN_ERROR;
    }
    const enum written written = write_line(line, err);
    free(line);
    return written;
}

/* Goes to what is on at --at; `frame` is where in the plan that is. */
static int join(const struct source *source, const struct opts *opts,
                struct plan_walk *walk, int64_t *frame, struct err *err)
{
    int64_t utc_us;

    *frame = 0;
    if (opts->at == NULL)
        return 0;
    if (!source->plan.has_start)
        return err_set(
            err, ERR_INPUT,
            "plan %s has no start, so nothing is on at a time; give it a start or leave out --at",
            opts->name);
    if (source_time(opts, &utc_us, err) < 0)
        return -1;
    if (utc_us <= source->plan.start_us)
        return 0;
    *frame = house_frame_at_us(&source->house, utc_us - source->plan.start_us);
    return plan_walk_seek(walk, *frame, err);
}

/* The first line when joined in progress: the part that is over is skipped. */
static int skip_into(struct segment *segment, int64_t frame, struct err *err)
{
    if (!segment->has_first || segment->first >= frame)
        return 0;
    if (!segment->has_frames && segment->type != SEGMENT_SLATE)
        return err_set(
            err, ERR_INPUT,
            "segment '%s' has no duration, so what is on later cannot be known; give durations",
            segment->id);
    segment->skip = frame - segment->first;
    return 0;
}

static int resolve(const struct source *source, const struct opts *opts,
                   struct err *err)
{
    struct plan_walk walk;
    struct segment segment;
    int64_t frame;
    int rc;

    plan_walk_start(&walk, &source->plan, &source->house);
    if (join(source, opts, &walk, &frame, err) < 0)
        return -1;
    int64_t end = -1;
    while (!cli_stopping() &&
           (rc = plan_walk_next(&walk, &segment, NULL, err)) != 0) {
        if (rc < 0 || skip_into(&segment, frame, err) < 0)
            return -1;
        /* Counted from the pass that was joined. */
        if (end < 0)
            end = opts->passes > 0 ? walk.pass + opts->passes : INT64_MAX;
        if (walk.pass >= end)
            return 0;
        const enum written written = write_segment(&segment, err);
        if (written != WRITTEN)
            return written == WRITTEN_ENOUGH ? 0 : -1;
        frame = 0;
    }
    if (frame > 0)
        log_warn(NULL, "the plan was over before that time");
    return 0;
}

int verb_resolve(const struct opts *opts, struct err *err)
{
    struct source source;

    int rc = source_load(&source, opts, err);
    source_print_problems(&source, opts, rc);
    if (rc == 0)
        rc = resolve(&source, opts, err);
    source_clear(&source);
    return rc;
}
