/*
 * render_open: finds the input, whatever was started first, and the place in
 * it: behind the last stretch of the TS ring, which is the truth; the cursor
 * may lag behind it by one stretch and is raised.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>
#include <libavutil/mathematics.h>

#include "cli/cli.h"
#include "log/log.h"
#include "proc/rundir.h"
#include "render.h"

#define RETRY_US   20000
#define TS_SECONDS 16 /* of the stream that the TS ring keeps at least */
#define BACK_BYTES (UINT64_C(188) * 20000) /* looked through for counters */

/* --- input ---------------------------------------------------------------- */

/* Path of the ring and folder of the channel. */
static int find_ring(struct render *render, char path[1024], struct err *err)
{
    const struct render_opts *opts = render->opts;
    char run[RUNDIR_SIZE], name[32];
    struct stat st;

    if (opts->ring != NULL && strchr(opts->ring, '/') != NULL) {
        const bool is_folder =
            stat(opts->ring, &st) == 0 && S_ISDIR(st.st_mode);
        snprintf(path, 1024, is_folder ? "%s/ring" : "%s", opts->ring);
        strlcpy(render->folder, path, sizeof(render->folder));
        *strrchr(render->folder, '/') = '\0';
        return 0;
    }
    snprintf(name, sizeof(name), "%d", (int)opts->channel);
    if (rundir_find(run, opts->run_dir, err) < 0 ||
        rundir_folder(render->folder, run, opts->ring ? opts->ring : name,
                      false, err) < 0)
        return -1;
    if (snprintf(path, 1024, "%s/ring", render->folder) >= 1024)
        return err_set(err, ERR_INPUT, "the run folder's path is too long");
    return 0;
}

static int enter_folder(struct render *render, struct err *err)
{
    const bool is_service = render->opts->channel != 0;

    if (render->folder[0] == '\0')
        return 0;
    /* Counters are a courtesy in a shell: no page, no counting. */
    if (stats_open(&render->stats, render->folder, is_service,
                   is_service ? err : NULL) < 0 &&
        is_service)
        return -1;
    if (!is_service)
        return 0;
    return stats_proc_enter(&render->proc, render->folder, "render", err);
}

/* In service the page comes first: who waits for a ring is alive, too. */
static int try_ring(struct render *render, struct err *err)
{
    const bool is_service = render->opts->channel != 0;
    char path[1024];

    if (find_ring(render, path, err) < 0 ||
        (is_service && render->proc.page == NULL &&
         enter_folder(render, err) < 0) ||
        source_ring_open(&render->source, path, !is_service, err) < 0)
        return -1;
    return is_service ? 0 : enter_folder(render, err);
}

/* Worth another try?  In service a ring comes when the channel starts, unless
 * somebody has removed the channel's folder. */
static bool may_come(const struct render *render, const struct err *err,
                     int64_t waited_us)
{
    const bool is_missing =
        err->kind == ERR_UNREACHABLE || err->kind == ERR_NOT_FOUND;
    const bool is_over = waited_us >= render->opts->wait_s * 1000000;

    if (cli_stopping())
        return false;
    if (render->opts->channel != 0 && is_missing)
        return !is_over || access(render->folder, F_OK) == 0;
    return (is_missing || err->kind == ERR_STATE) && !is_over;
}

/* Opens the ring; waits for one that is not there yet. */
static int open_ring(struct render *render, struct err *err)
{
    const int64_t begin = clock_monotonic_us();
    int rc;

    while ((rc = try_ring(render, err)) < 0 &&
           may_come(render, err, clock_monotonic_us() - begin)) {
        *err = ERR_EMPTY;
        stats_proc_beat(&render->proc, false);
        clock_sleep_until(&render->clock,
                          clock_utc_us(&render->clock) + RETRY_US, RETRY_US);
    }
    if (rc < 0 &&
        (err->kind == ERR_UNREACHABLE || err->kind == ERR_NOT_FOUND)) {
        err_prefix(err,
                   "no stage ring after %lld s; start rv-stage with the "
                   "same --ring",
                   (long long)render->opts->wait_s);
        err->kind = ERR_UNREACHABLE;
    }
    render->house = render->source.ring.house;
    return rc;
}

static int open_input(struct render *render, struct err *err)
{
    if (render->opts->media == NULL)
        return open_ring(render, err);
    render->media =
        source_media_open(render->opts->media, render->opts->first_frame, err);
    if (render->media == NULL)
        return -1;
    render->house = *source_media_house(render->media);
    return 0;
}

/* --- encoders' parameters ------------------------------------------------- */

/* Good for a mixed channel at 25 to 30 frames a second. */
static int32_t default_bitrate(const struct house *house)
{
    static const struct {
        int32_t height, kbit;
    } table[] = { { 240, 600 },  { 360, 1000 },  { 480, 1500 },  { 576, 2000 },
                  { 720, 4000 }, { 1080, 8000 }, { 1440, 14000 } };
    int32_t kbit = 30000;

    for (size_t i = sizeof(table) / sizeof(table[0]); i > 0; i--) {
        if (house->height <= table[i - 1].height)
            kbit = table[i - 1].kbit;
    }
    return house->rate.num > 31 * house->rate.den ? kbit * 3 / 2 : kbit;
}

static void set_config(struct render *render)
{
    const struct render_opts *opts = render->opts;
    const AVRational rate = render->house.rate;
    const int32_t kbit = opts->bitrate_kbit ? opts->bitrate_kbit
                                            : default_bitrate(&render->house);

    render->config = (struct picture_config){
        .house = render->house,
        .preset = opts->preset,
        .bitrate_kbit = kbit,
        .vbv_kbit = kbit / 2,
        .gop = opts->gop ? opts->gop
                         : (int32_t)((rate.num + rate.den / 2) / rate.den),
        .bframes = opts->bframes,
        .lookahead = opts->lookahead,
        .threads = opts->threads,
    };
    if (render->config.gop < 1)
        render->config.gop = 1;
}

/* Lead and what the encoders hold back. */
static void set_intake(struct render *render)
{
    const struct house *house = &render->house;
    /* A PES packet's end, and what the AAC encoder looks ahead */
    const int64_t samples = (SOUND_PER_PES + 3) * SOUND_PACKET;
    const int64_t for_sound = av_rescale_rnd(
        samples, house->rate.num, (int64_t)house->sample_rate * house->rate.den,
        AV_ROUND_UP);
    const int64_t for_picture = picture_delay(render->picture);

    render->intake_us =
        render->opts->lead_ms * 1000 +
        house_us(house, (for_picture > for_sound ? for_picture : for_sound) +
                            render->opts->bframes + 1);
    if (render->media == NULL)
        stage_ring_set_intake_us(&render->source.ring, render->intake_us);
}

/* --- output --------------------------------------------------------------- */

static uint64_t ts_bytes(const struct render *render)
{
    const uint64_t kbit = (uint64_t)render->config.bitrate_kbit +
                          2 * (uint64_t)render->opts->audio_kbit;
    const uint64_t wanted = kbit * 1000 / 8 * TS_SECONDS / 188 * 188;
    const uint64_t most = (UINT64_C(1) << 30) / 188 * 188;

    if (wanted > most)
        return most;
    return wanted > TS_RING_DEFAULT_BYTES ? wanted : TS_RING_DEFAULT_BYTES;
}

/* Counters from the newest packets, the VBV's fill and the place. */
static int go_on(struct render *render, struct err *err)
{
    const uint64_t count = ts_ring_count(&render->ts);
    struct ts_stretch last;
    uint32_t seen = 0;
    uint64_t run;

    if (count == 0)
        return 0;
    if (ts_ring_entry(&render->ts, count - 1, &last) != TS_RING_OK)
        return err_set(err, ERR_INPUT,
                       "TS ring %s: its last entry is wrong; "
                       "remove the file",
                       render->ts.shm.path);
    for (uint64_t at = last.end; at >= 188 && last.end - at < BACK_BYTES &&
                                 ts_ring_is_intact(&render->ts, at - 188);) {
        at -= 188;
        if (ts_mux_saw(&render->stretch.mux,
                       ts_ring_bytes(&render->ts, at, at + 188, &run), &seen))
            break;
    }
    render->vbv_bits = last.vbv_bits;
    if (last.n_end < render->next)
        ts_mux_jump(&render->stretch.mux);
    else
        render->next = last.n_end;
    return 0;
}

/* Does what the TS ring says fit to this stage ring? */
static bool is_ours(const struct render *render)
{
    const uint64_t count = ts_ring_count(&render->ts);
    struct ts_stretch last;

    if (!house_equal(&render->ts.house, &render->house) ||
        ts_ring_is_closed(&render->ts))
        return false;
    return count == 0 ||
           (ts_ring_entry(&render->ts, count - 1, &last) == TS_RING_OK &&
            (render->media != NULL ||
             last.n_end <= stage_ring_frontier(&render->source.ring)));
}

static int open_ts_ring(struct render *render, struct err *err)
{
    struct err why = ERR_EMPTY;
    char path[1024];

    if (snprintf(path, sizeof(path), "%s/ts", render->folder) >=
        (int)sizeof(path))
        return err_set(err, ERR_INPUT, "the run folder's path is too long");
    if (ts_ring_own(&render->ts, path, &why) == 0) {
        if (is_ours(render))
            return go_on(render, err);
        ts_ring_close(&render->ts);
    } else if (why.kind == ERR_STATE || why.kind == ERR_SYSTEM) {
        *err = why;
        return -1;
    }
    return ts_ring_create(&render->ts, path, &render->house, ts_bytes(render),
                          err);
}

static int open_output(struct render *render, struct err *err)
{
    const struct render_opts *opts = render->opts;

    if (opts->has_ts_ring && open_ts_ring(render, err) < 0)
        return -1;
    if (opts->has_ts_ring && opts->output == NULL)
        return 0;
    return outlet_open(&render->outlet, opts->output, opts->is_paced,
                       &render->clock, &render->stats, err);
}

/* --- all ------------------------------------------------------------------ */

int render_open(struct render *render, const struct render_opts *opts,
                struct err *err)
{
    char run[RUNDIR_SIZE];
    const bool has_run =
        opts->media == NULL && (opts->ring == NULL || !strchr(opts->ring, '/'));

    *render = RENDER_EMPTY;
    render->opts = opts;
    if (has_run && rundir_find(run, opts->run_dir, err) < 0)
        return -1;
    if (clock_open(&render->clock, has_run ? run : NULL, err) < 0 ||
        open_input(render, err) < 0)
        return -1;
    set_config(render);
    int64_t base = render->source.ring.pts_base;
    if (render->media != NULL)
        base = opts->pts_base != 0 ? opts->pts_base : HOUSE_PTS_BASE;
    if (stretch_init(&render->stretch, &render->house, base, opts->bframes,
                     err) < 0)
        return -1;
    render->next = render->media != NULL
                       ? opts->first_frame
                       : stage_ring_consumer_cursor(&render->source.ring, 0);
    if (open_output(render, err) < 0)
        return -1;
    render->stretch.has_lead_in =
        render->ts.head == NULL || ts_ring_count(&render->ts) == 0;
    if (render->media == NULL &&
        render->next > stage_ring_consumer_cursor(&render->source.ring, 0))
        stage_ring_set_cursor(&render->source.ring, 0, render->next);
    if (render_start_encoders(render, err) < 0)
        return -1;
    set_intake(render);
    return 0;
}

int render_close(struct render *render, int rc, struct err *err)
{
    const bool is_done = rc == 0 && render->is_done;

    if (outlet_close(&render->outlet, rc == 0 ? err : NULL) < 0 && rc == 0)
        rc = -1;
    picture_close(render->picture);
    sound_close(render->sound);
    stretch_clear(&render->stretch);
    if (is_done && render->ts.head != NULL)
        ts_ring_close_stream(&render->ts);
    ts_ring_close(&render->ts);
    source_ring_close(&render->source,
                      is_done || (render->opts && !render->opts->channel));
    source_media_close(render->media);
    stats_proc_leave(&render->proc);
    stats_close(&render->stats);
    clock_close(&render->clock);
    *render = RENDER_EMPTY;
    return rc;
}
