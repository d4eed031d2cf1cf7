/*
 * text: Prometheus' text format, version 0.0.4.  Names, types and meanings of
 * the first part are the contract's (section 4); numbers are written from
 * integers, so that no locale and no rounding gets into them.
 */
#include <inttypes.h>

#include "cli/cli.h"
#include "metrics.h"

#define PREFIX "retrovue_playout_"

enum form { FORM_PLAIN, FORM_MICROSECONDS };

static void put_head(FILE *out, const char *name, const char *type,
                     const char *help)
{
    fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help,
            name, type);
}

static void put_escaped(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\' || *c == '"')
            fprintf(out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", out);
        else
            fputc(*c, out);
    }
}

/* A signed number of microseconds as seconds: "-0.001500". */
static void put_seconds(FILE *out, int64_t us)
{
    const uint64_t size = us < 0 ? -(uint64_t)us : (uint64_t)us;

    fprintf(out, "%s%" PRIu64 ".%06" PRIu64 "\n", us < 0 ? "-" : "",
            size / 1000000, size % 1000000);
}

static void put_number(FILE *out, enum form form, int64_t value)
{
    if (form == FORM_MICROSECONDS)
        put_seconds(out, value);
    else
        fprintf(out, "%" PRId64 "\n", value);
}

static void put_channel(FILE *out, const char *name,
                        const struct channel *channel)
{
    fprintf(out, PREFIX "%s{channel=\"%" PRId32 "\"} ", name, channel->id);
}

static const struct {
    enum stats_gauge gauge;
    enum form form;
    const char *name;
    const char *help;
} GAUGES[] = {
    { STATS_DEPTH_FRAMES, FORM_PLAIN, "buffer_depth_frames",
      "Frames staged and not yet taken, plus frames ready in the live pool." },
    { STATS_FRAME_GAP_US, FORM_MICROSECONDS, "frame_gap_seconds",
      "Deadline minus release of the frame's last TS byte; positive is early." },
    { STATS_LEAD_US, FORM_MICROSECONDS, "lead_seconds",
      "How far what is encoded runs ahead of the clock." },
    { STATS_VIEWERS, FORM_PLAIN, "viewers", "Viewers connected now." },
    { STATS_FRAME_ON_AIR, FORM_PLAIN, "frame_on_air",
      "Number of the newest frame whose deadline has come." },
    { STATS_FRAME_RENDERED, FORM_PLAIN, "frame_rendered",
      "Number of the newest frame that is encoded and published." },
    { STATS_MIN_DEPTH, FORM_PLAIN, "buffer_depth_min_frames",
      "Depth below which the channel is buffering." },
    { STATS_MAX_DEPTH, FORM_PLAIN, "buffer_depth_max_frames",
      "Depth at which the stage takes no more." },
    { STATS_RUNTIME_OFFSET_US, FORM_MICROSECONDS,
      "runtime_clock_offset_seconds",
      "MasterClock minus the runtime's clock, as its last SwitchToLive told; "
      "the way of the call is in it." },
};

static const struct {
    enum stats_counter counter;
    const char *name;
    const char *help;
} COUNTERS[] = {
    { STATS_FRAMES_DECODED, "frames_decoded_total",
      "Frames made ready in a pool; pre-roll is not counted." },
    { STATS_FRAMES_DROPPED, "frames_dropped_total",
      "Frames of the timeline that were never sent." },
    { STATS_UNDERRUNS, "buffer_underrun_total",
      "Times the depth fell below the minimum after the first ready." },
    { STATS_DECODE_FAILURES, "decode_failure_count",
      "Segments that could not be decoded, each try." },
    { STATS_FRAMES_STAGED, "frames_staged_total",
      "Frame references put into the stage ring." },
    { STATS_FRAMES_TAKEN_BACK, "frames_taken_back_total",
      "Staged references that a change of programme took back." },
    { STATS_FRAMES_SLATE, "frames_slate_total", "Slate frames published." },
    { STATS_FRAMES_RENDERED, "frames_rendered_total",
      "Frames encoded and published." },
    { STATS_PACKETS_DAMAGED, "packets_damaged_total",
      "Corrupt packets and pictures, skipped or concealed." },
    { STATS_TS_BYTES, "ts_bytes_total", "Bytes of the multiplexed stream." },
    { STATS_VIEWERS_TOTAL, "viewer_connections_total",
      "Viewers that ever came." },
    { STATS_VIEWER_BYTES, "viewer_bytes_total", "Bytes sent to viewers." },
    { STATS_VIEWERS_TOO_SLOW, "viewers_too_slow_total",
      "Viewers disconnected because they were more than the ring behind." },
    { STATS_SWITCHES, "switches_total", "Switches from preview to live." },
    { STATS_PLAN_UPDATES, "plan_updates_total", "Plans that were taken over." },
    { STATS_CLOCK_JUMPS, "channel_clock_jumps_total",
      "New epochs after a jump of the clock." },
};

static const struct {
    enum stats_counter counter;
    const char *stage;
} RESTARTS[] = {
    { STATS_RESTARTS_DECODE, "decode" }, { STATS_RESTARTS_STAGE, "stage" },
    { STATS_RESTARTS_RENDER, "render" }, { STATS_RESTARTS_HTTP, "http" },
    { STATS_RESTARTS_RUN, "run" },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define EACH(metrics, channel)                                                 \
    for (const struct channel *channel = (metrics)->channels,                  \
                              *end_ = channel + (metrics)->channel_count;      \
         channel < end_; channel++)

static void write_state(const struct metrics *metrics, FILE *out)
{
    put_head(out, "channel_state", "gauge",
             "0 stopped, 1 buffering, 2 ready, 3 error.");
    EACH(metrics, channel)
    {
        put_channel(out, "channel_state", channel);
        put_number(out, FORM_PLAIN, channel_state(channel));
    }
    put_head(out, "channel_uptime_seconds", "gauge",
             "Seconds since the channel last became ready.");
    EACH(metrics, channel)
    {
        const int64_t since_us = channel->gauges[STATS_READY_SINCE_US];
        int64_t up_us = 0;
        if (since_us > 0 && channel_state(channel) != 0)
            up_us = clock_utc_us(&metrics->clock) - since_us;
        put_channel(out, "channel_uptime_seconds", channel);
        put_number(out, FORM_MICROSECONDS, up_us > 0 ? up_us : 0);
    }
}

/* What a dead channel would still show as of now is 0. */
static void write_gauges(const struct metrics *metrics, FILE *out)
{
    for (size_t i = 0; i < COUNT(GAUGES); i++) {
        put_head(out, GAUGES[i].name, "gauge", GAUGES[i].help);
        EACH(metrics, channel)
        {
            put_channel(out, GAUGES[i].name, channel);
            put_number(out, GAUGES[i].form,
                       channel_is_live(channel)
                           ? channel->gauges[GAUGES[i].gauge]
                           : 0);
        }
    }
}

static void write_counters(const struct metrics *metrics, FILE *out)
{
    for (size_t i = 0; i < COUNT(COUNTERS); i++) {
        put_head(out, COUNTERS[i].name, "counter", COUNTERS[i].help);
        EACH(metrics, channel)
        {
            put_channel(out, COUNTERS[i].name, channel);
            fprintf(out, "%" PRIu64 "\n",
                    channel_total(channel, COUNTERS[i].counter));
        }
    }
    put_head(out, "restart_total", "counter",
             "Automatic restarts of the channel's processes.");
    EACH(metrics, channel)
    {
        for (size_t i = 0; i < COUNT(RESTARTS); i++)
            fprintf(out,
                    PREFIX "restart_total{channel=\"%" PRId32
                           "\",stage=\"%s\"} %" PRIu64 "\n",
                    channel->id, RESTARTS[i].stage,
                    channel_total(channel, RESTARTS[i].counter));
    }
}

static void write_histogram(const struct channel *channel, FILE *out)
{
    static const char name[] = PREFIX "decode_latency_seconds";
    uint64_t below = 0;

    for (int i = 0; i < STATS_BUCKETS; i++) {
        below += channel->before.buckets[i] + channel->page.buckets[i];
        fprintf(out, "%s_bucket{channel=\"%" PRId32 "\",le=\"", name,
                channel->id);
        if (stats_bucket_us[i] == INT64_MAX)
            fputs("+Inf", out);
        else
            fprintf(out, "%g", (double)stats_bucket_us[i] / 1e6);
        fprintf(out, "\"} %" PRIu64 "\n", below);
    }
    fprintf(out, "%s_sum{channel=\"%" PRId32 "\"} ", name, channel->id);
    put_seconds(out, (int64_t)(channel->before.latency_sum_us +
                               channel->page.latency_sum_us));
    fprintf(out, "%s_count{channel=\"%" PRId32 "\"} %" PRIu64 "\n", name,
            channel->id, below);
}

static void write_processes(const struct metrics *metrics, FILE *out)
{
    put_head(out, "channel_info", "gauge",
             "Always 1; the channel's house format is in the label.");
    EACH(metrics, channel)
    {
        fprintf(out, PREFIX "channel_info{channel=\"%" PRId32 "\",house=\"",
                channel->id);
        put_escaped(out, channel->house);
        fputs("\"} 1\n", out);
    }
    put_head(out, "process_up", "gauge",
             "1 while the process of a channel lives.");
    EACH(metrics, channel)
    {
        for (int i = 0; i < channel->proc_count && channel->is_there; i++) {
            fprintf(out, PREFIX "process_up{channel=\"%" PRId32 "\",process=\"",
                    channel->id);
            put_escaped(out, channel->procs[i].name);
            fprintf(out, "\"} %d\n", channel->procs[i].is_alive);
        }
    }
    put_head(out, "server_up", "gauge",
             "1 while the process that serves all channels lives.");
    for (int i = 0; i < metrics->proc_count; i++) {
        fputs(PREFIX "server_up{process=\"", out);
        put_escaped(out, metrics->procs[i].name);
        fprintf(out, "\"} %d\n", metrics->procs[i].is_alive);
    }
}

static void put_single(FILE *out, const char *name, const char *type,
                       const char *help, enum form form, int64_t value)
{
    put_head(out, name, type, help);
    fprintf(out, PREFIX "%s ", name);
    put_number(out, form, value);
}

static void write_clock(const struct metrics *metrics, FILE *out)
{
    struct clock_state state;

    clock_state(&metrics->clock, &state);
    put_single(out, "clock_offset_seconds", "gauge",
               "MasterClock minus the system's clock.", FORM_MICROSECONDS,
               state.offset_us);
    put_single(out, "clock_left_to_slew_seconds", "gauge",
               "What the MasterClock still has to be slewed by.",
               FORM_MICROSECONDS, state.left_to_slew_us);
    put_single(out, "clock_rate_ratio", "gauge",
               "Seconds of the MasterClock a second.", FORM_MICROSECONDS,
               state.rate_millionths);
    put_single(out, "clock_jumps_total", "counter",
               "Jumps of the system's clock by more than 5 s.", FORM_PLAIN,
               (int64_t)state.jumps);
    put_single(out, "clock_kept", "gauge",
               "1 while a process keeps the MasterClock.", FORM_PLAIN,
               state.has_keeper);
}

void metrics_write(const struct metrics *metrics, FILE *out)
{
    write_state(metrics, out);
    write_gauges(metrics, out);
    write_counters(metrics, out);
    put_head(out, "decode_latency_seconds", "histogram",
             "From reading the packet that let a frame out of the decoder to "
             "ready.");
    EACH(metrics, channel)
    write_histogram(channel, out);
    write_processes(metrics, out);
    write_clock(metrics, out);
    put_single(out, "metrics_errors_total", "counter",
               "Pages that rv-metrics could not read.", FORM_PLAIN,
               (int64_t)metrics->errors);
    put_single(out, "metrics_collect_seconds", "gauge",
               "Time that reading all pages took.", FORM_MICROSECONDS,
               metrics->scrape_us);
    put_head(out, "build_info", "gauge", "Always 1.");
    fprintf(out, PREFIX "build_info{version=\"%s\"} 1\n", cli_version);
    if (metrics->wrong[0] != '\0')
        fprintf(out, "# skipped: %s\n", metrics->wrong);
}
