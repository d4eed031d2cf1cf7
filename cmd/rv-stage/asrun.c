/*
 * asrun: one line for each run that is out, and what is on air.
 *
 * A walker follows the renderer's cursor.  A run's line is written when its
 * last frame is out and the frame behind it is known to belong to another run;
 * no frame is given back before the walker has passed it.  A new stage starts
 * at the oldest frame that is still held, so a line may be written twice but
 * is never lost; the run's first frame is in each of its references.
 */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/cli.h"

int asrun_open(struct stage *stage, struct err *err)
{
    struct asrun *asrun = &stage->asrun;

    asrun->fd = STDOUT_FILENO;
    asrun->run.first = -1;
    if (stage->opts.asrun == NULL)
        return 0;
    asrun->fd = open(stage->opts.asrun,
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (asrun->fd < 0)
        return err_errno(err, ERR_SYSTEM, "as-run log %s: cannot be opened",
                         stage->opts.asrun);
    return 0;
}

void asrun_close(struct stage *stage)
{
    if (stage->opts.asrun != NULL && stage->asrun.fd >= 0)
        close(stage->asrun.fd);
    stage->asrun.fd = -1;
}

/* The oldest frame that was not given back: a dead stage had not passed it. */
void asrun_start(struct stage *stage)
{
    const int64_t cursor = stage_ring_cursor(&stage->ring);
    int64_t n = cursor;
    struct stage_ref ref;

    while (n > 0 && n > cursor - 900 &&
           stage_ring_read(&stage->ring, n - 1, &ref) == RING_OK) {
        const struct held *held = pools_by_id(stage, ref.pool);
        if (!stage_ref_is_slate(&ref) &&
            (held == NULL || pool_released(&held->pool) > ref.seq))
            break;
        n--;
    }
    stage->asrun.next = n;
}

/* --- a line --------------------------------------------------------------- */

static char *format_line(struct stage *stage, const struct run *run)
{
    const struct stage_epoch epoch = stage_ring_epoch(&stage->ring);
    char utc[32] = "";

    if (epoch.serial != 0)
        clock_format_utc(
            stage_ring_deadline_us(&stage->ring, &epoch, run->first), utc);
    json_t *line = json_pack(
        "{s:i s:s s:s s:I s:I s:I s:s? s:s}", "channel",
        (int)stage->ring.channel, "segment", run->segment, "asset", run->asset,
        "first_frame", (json_int_t)run->first, "last_frame",
        (json_int_t)run->last, "asset_first_frame",
        (json_int_t)run->asset_first, "utc", utc[0] != '\0' ? utc : NULL,
        "reason", stage_reason_text(run->reason));
    char *text = line != NULL
                     ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER)
                     : NULL;
    json_decref(line);
    return text;
}

/* One write, so that lines of two stages never mix; a reader that has gone
 * stops the log and not the picture. */
static void write_line(struct stage *stage, const struct run *run)
{
    struct asrun *asrun = &stage->asrun;
    char *text = format_line(stage, run);
    const size_t length = text != NULL ? strlen(text) : 0;

    if (text == NULL) {
        log_error(&stage->log, "no memory for an as-run line");
        return;
    }
    text[length] = '\n'; /* in place of the NUL; never read as a string */
    ssize_t written;
    do {
        written = write(asrun->fd, text, length + 1);
    } while (written < 0 && errno == EINTR && !cli_stopping());
    if (written != (ssize_t)length + 1 && !asrun->is_broken)
        log_error(&stage->log, "as-run log cannot be written: %s",
                  written < 0 ? strerror(errno) : "the disk is full");
    asrun->is_broken = written != (ssize_t)length + 1;
    free(text);
}

/* --- the walker ----------------------------------------------------------- */

/* The run that this frame begins, or that a dead stage's walker was in. */
static void begin_run(struct stage *stage, const struct stage_ref *ref)
{
    struct asrun *asrun = &stage->asrun;
    struct run *run = &asrun->run;
    struct pool_frame frame;

    *run = (struct run){ .first = ref->run_first,
                         .last = ref->n,
                         .asset_first = ref->run_asset_first,
                         .reason = ref->reason };
    if (stage_ref_is_slate(ref)) {
        const struct slate_run *slate = fill_slate_run(stage, ref);
        strlcpy(run->segment, slate->segment, sizeof(run->segment));
        strlcpy(run->asset, slate->asset, sizeof(run->asset));
    } else {
        const struct held *held = pools_by_id(stage, ref->pool);
        if (held != NULL &&
            pool_read(&held->pool, ref->seq, &frame, NULL) == 0) {
            strlcpy(run->segment, frame.segment, sizeof(run->segment));
            strlcpy(run->asset, frame.asset, sizeof(run->asset));
        }
    }
    if (asrun->outs == STAGE_RUNS) {
        memmove(asrun->out, asrun->out + 1,
                sizeof(asrun->out[0]) * (STAGE_RUNS - 1));
        asrun->outs--;
    }
    asrun->out[asrun->outs++] = *run;
    asrun->is_open = true;
}

/* Writes the run's line, once. */
static void end_run(struct stage *stage)
{
    if (stage->asrun.is_open)
        write_line(stage, &stage->asrun.run);
    stage->asrun.is_open = false;
}

/* Does the run end with frame n?  -1: it cannot be told yet. */
static int ends_with(struct stage *stage, int64_t n)
{
    struct stage_ref next;

    if (stage_ring_end(&stage->ring) == n + 1)
        return 1;
    if (n + 1 >= stage_ring_frontier(&stage->ring))
        return -1; /* it may still be taken back */
    return stage_ring_read(&stage->ring, n + 1, &next) == RING_OK &&
           next.run_first == n + 1;
}

bool asrun_step(struct stage *stage)
{
    struct asrun *asrun = &stage->asrun;
    const int64_t cursor = stage_ring_cursor(&stage->ring);
    const int64_t before = asrun->next;
    struct stage_ref ref;

    for (; asrun->next < cursor; asrun->next++) {
        const int64_t n = asrun->next;
        if (stage_ring_read(&stage->ring, n, &ref) != RING_OK)
            continue;
        if (asrun->run.first != ref.run_first)
            begin_run(stage, &ref);
        asrun->run.last = n;
        const int ends = ends_with(stage, n);
        if (ends < 0)
            break;
        if (stage_ref_is_slate(&ref))
            stats_add(&stage->stats, STATS_FRAMES_SLATE, 1);
        if (ends)
            end_run(stage);
    }
    return asrun->next != before;
}

void asrun_finish(struct stage *stage)
{
    struct asrun *asrun = &stage->asrun;
    struct stage_ref ref;

    asrun_step(stage);
    /* The step stands where it cannot tell whether a run goes on. */
    const int64_t last = stage_ring_cursor(&stage->ring) - 1;
    if (asrun->next <= last &&
        stage_ring_read(&stage->ring, last, &ref) == RING_OK) {
        if (asrun->run.first != ref.run_first)
            begin_run(stage, &ref);
        asrun->run.last = last;
    }
    end_run(stage);
}
