/*
 * collect: reads the pages of all channels.  A page is input: one that is
 * wrong costs its channel's fresh figures and nothing else.
 */
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "metrics.h"

int metrics_open(struct metrics *metrics, const char *run_dir, struct err *err)
{
    *metrics = (struct metrics){ .clock = CLOCK_EMPTY };
    if (rundir_find(metrics->run_dir, run_dir, err) < 0)
        return -1;
    return clock_open(&metrics->clock, metrics->run_dir, err);
}

void metrics_close(struct metrics *metrics)
{
    clock_close(&metrics->clock);
    free(metrics->channels);
    metrics->channels = NULL;
    metrics->channel_count = 0;
}

uint64_t channel_total(const struct channel *channel,
                       enum stats_counter counter)
{
    return channel->before.counters[counter] + channel->page.counters[counter];
}

bool channel_is_live(const struct channel *channel)
{
    bool is_alive = channel->proc_count == 0; /* nobody keeps a page */

    for (int i = 0; i < channel->proc_count; i++)
        is_alive = is_alive || channel->procs[i].is_alive;
    return channel->is_there && is_alive;
}

int64_t channel_state(const struct channel *channel)
{
    const int64_t state = channel->gauges[STATS_STATE];

    return channel_is_live(channel) && state >= 0 && state <= 3 ? state : 0;
}

static void add_totals(struct totals *to, const struct totals *from)
{
    for (int i = 0; i < STATS_COUNTERS; i++)
        to->counters[i] += from->counters[i];
    for (int i = 0; i < STATS_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->latency_sum_us += from->latency_sum_us;
}

/* The channel's place in the sorted table, made when it is new. */
static struct channel *find(struct metrics *metrics, int32_t id)
{
    size_t at = 0;

    while (at < metrics->channel_count && metrics->channels[at].id < id)
        at++;
    if (at < metrics->channel_count && metrics->channels[at].id == id)
        return &metrics->channels[at];
    if (metrics->channel_count == METRICS_CHANNELS_MAX)
        return NULL;
    struct channel *more =
        reallocarray(metrics->channels, metrics->channel_count + 1,
                     sizeof(*metrics->channels));
    if (more == NULL)
        return NULL;
    metrics->channels = more;
    memmove(more + at + 1, more + at,
            (metrics->channel_count - at) * sizeof(*more));
    metrics->channel_count++;
    more[at] = (struct channel){ .id = id };
    return &more[at];
}

static void look_at_procs(const char *folder, struct proc_look *procs,
                          int *count)
{
    DIR *entries = opendir(folder);
    struct stats_proc_state state;

    *count = 0;
    if (entries == NULL)
        return;
    for (const struct dirent *entry = readdir(entries);
         entry != NULL && *count < METRICS_PROCS_MAX;
         entry = readdir(entries)) {
        const size_t length = strlen(entry->d_name);
        struct proc_look *proc = &procs[*count];
        if (length < 6 || length - 5 >= sizeof(proc->name) ||
            strcmp(entry->d_name + length - 5, ".proc") != 0)
            continue;
        memcpy(proc->name, entry->d_name, length - 5);
        proc->name[length - 5] = '\0';
        stats_proc_look(folder, proc->name, &state);
        proc->is_alive = state.is_alive;
        (*count)++;
    }
    closedir(entries);
}

static void read_page(struct channel *channel, const struct stats *stats)
{
    for (int i = 0; i < STATS_COUNTERS; i++)
        channel->page.counters[i] = stats_get(stats, (enum stats_counter)i);
    for (int i = 0; i < STATS_GAUGES; i++)
        channel->gauges[i] = stats_get_gauge(stats, (enum stats_gauge)i);
    stats_latencies(stats, channel->page.buckets,
                    &channel->page.latency_sum_us);
    stats_get_text(stats, STATS_TEXT_HOUSE, channel->house);
}

static void collect_channel(struct metrics *metrics, int32_t id,
                            const char *folder)
{
    struct stats stats;
    struct stat st;
    struct err err = ERR_EMPTY;

    if (stats_open(&stats, folder, false, &err) < 0 ||
        fstat(stats.shm.fd, &st) < 0) {
        if (err.kind != ERR_UNREACHABLE && err.kind != ERR_NOT_FOUND) {
            metrics->errors++;
            strlcpy(metrics->wrong, err.text, sizeof(metrics->wrong));
        }
        return;
    }
    struct channel *channel = find(metrics, id);
    if (channel != NULL) {
        if (channel->inode != st.st_ino || channel->device != st.st_dev) {
            add_totals(&channel->before, &channel->page);
            channel->page = (struct totals){ { 0 } };
        }
        channel->inode = st.st_ino;
        channel->device = st.st_dev;
        channel->is_there = true;
        read_page(channel, &stats);
        look_at_procs(folder, channel->procs, &channel->proc_count);
    }
    stats_close(&stats);
}

void metrics_collect(struct metrics *metrics)
{
    const int64_t begin_us = clock_monotonic_us();
    char path[RUNDIR_SIZE];
    const char *why;

    metrics->wrong[0] = '\0';
    for (size_t i = 0; i < metrics->channel_count; i++)
        metrics->channels[i].is_there = false;
    clock_refresh(&metrics->clock, metrics->run_dir);
    look_at_procs(metrics->run_dir, metrics->procs, &metrics->proc_count);
    DIR *entries = opendir(metrics->run_dir);
    for (const struct dirent *entry = entries ? readdir(entries) : NULL;
         entry != NULL; entry = readdir(entries)) {
        const int32_t id = (int32_t)strtonum(entry->d_name, 1, INT32_MAX, &why);
        if (why == NULL && entry->d_name[0] >= '1' &&
            rundir_folder(path, metrics->run_dir, entry->d_name, false, NULL) ==
                0)
            collect_channel(metrics, id, path);
    }
    if (entries != NULL)
        closedir(entries);
    metrics->scrape_us = clock_monotonic_us() - begin_us;
}
