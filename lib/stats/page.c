/*
 * stats: a channel's page of counters, gauges and texts.
 *
 *   page       written by    order                 read by  order
 *   counters   all           relaxed add           all      relaxed
 *   gauges     one each      relaxed               all      relaxed
 *   latency    decoders      relaxed add           all      relaxed
 *   words      one a text    release, before       all      acquire
 *   index      one a text    release               all      acquire, before
 *                                                           and after
 *   magic      creator       release, last         openers  acquire, first
 *
 * A text has two copies and an index that names the whole one, so a writer
 * that dies half-way leaves the old text.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proc/rundir.h"
#include "stats/stats.h"

#define MAGIC      UINT64_C(0x313030737374767a) /* "zvtss001" */
#define WORDS      (STATS_TEXT_SIZE / 8)
#define READ_TRIES 100

const int64_t stats_bucket_us[STATS_BUCKETS] = {
    2500, 5000, 10000, 25000, 50000, 100000, 250000, INT64_MAX,
};

struct text_cell {
    alignas(64) _Atomic uint32_t index;
    alignas(64) _Atomic uint64_t words[2][WORDS];
};

struct stats_page {
    _Atomic uint64_t magic;
    uint32_t version;
    alignas(64) _Atomic uint64_t counters[STATS_COUNTERS];
    alignas(64) _Atomic int64_t gauges[STATS_GAUGES];
    alignas(64) _Atomic uint64_t buckets[STATS_BUCKETS];
    _Atomic uint64_t latency_sum_us;
    struct text_cell texts[STATS_TEXTS];
};

_Static_assert(offsetof(struct stats_page, counters) == 64, "layout 1");
_Static_assert(STATS_TEXT_SIZE % 8 == 0, "texts are whole words");

static int page_open(struct stats *stats, const char *path, bool is_writable,
                     struct err *err)
{
    if (shm_open_map(&stats->shm, path, "stats page", is_writable,
                     sizeof(struct stats_page), err) < 0)
        return -1;
    struct stats_page *page = (struct stats_page *)stats->shm.map;
    if (atomic_load_explicit(&page->magic, memory_order_acquire) != MAGIC ||
        page->version != STATS_LAYOUT_VERSION) {
        shm_close(&stats->shm);
        return err_set(err, ERR_INPUT,
                       "stats page %s: is none of version %d; remove it", path,
                       STATS_LAYOUT_VERSION);
    }
    stats->page = page;
    return 0;
}

static int page_create(struct stats *stats, const char *path, struct err *err)
{
    if (shm_create(&stats->shm, path, sizeof(struct stats_page), err) < 0)
        return -1;
    struct stats_page *page = (struct stats_page *)stats->shm.map;
    page->version = STATS_LAYOUT_VERSION;
    atomic_store_explicit(&page->magic, MAGIC, memory_order_release);
    if (shm_publish(&stats->shm, err) < 0) {
        shm_close(&stats->shm);
        return -1;
    }
    stats->page = page;
    return 0;
}

int stats_open(struct stats *stats, const char *folder, bool create,
               struct err *err)
{
    char path[1024];

    *stats = STATS_EMPTY;
    if (snprintf(path, sizeof(path), "%s/stats", folder) >= (int)sizeof(path))
        return err_set(err, ERR_INPUT, "folder %.40s...: is too long", folder);
    if (!create) {
        if (page_open(stats, path, true, NULL) == 0)
            return 0;
        return page_open(stats, path, false, err);
    }
    const int lock = rundir_lock(folder, err);
    if (lock < 0)
        return -1;
    int rc = page_open(stats, path, true, NULL);
    if (rc < 0)
        rc = page_create(stats, path, err);
    close(lock);
    return rc;
}

void stats_close(struct stats *stats)
{
    shm_close(&stats->shm);
    stats->page = NULL;
}

static bool can_write(const struct stats *stats)
{
    return stats->page != NULL && stats->shm.is_writable;
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t by)
{
    if (can_write(stats))
        atomic_fetch_add_explicit(&stats->page->counters[counter], by,
                                  memory_order_relaxed);
}

void stats_set(struct stats *stats, enum stats_gauge gauge, int64_t value)
{
    if (can_write(stats))
        atomic_store_explicit(&stats->page->gauges[gauge], value,
                              memory_order_relaxed);
}

void stats_latency(struct stats *stats, int64_t us)
{
    int bucket = 0;

    if (!can_write(stats))
        return;
    if (us < 0)
        us = 0;
    while (us > stats_bucket_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&stats->page->latency_sum_us, (uint64_t)us,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->page->buckets[bucket], 1,
                              memory_order_relaxed);
}

/* At most `room` bytes of text that end with a whole UTF-8 character. */
static size_t cut_length(const char *text, size_t room)
{
    size_t length = strnlen(text, room + 1);

    if (length <= room)
        return length;
    length = room;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

void stats_set_text(struct stats *stats, enum stats_text which,
                    const char *text)
{
    uint64_t words[WORDS] = { 0 };

    if (!can_write(stats))
        return;
    memcpy(words, text, cut_length(text, STATS_TEXT_SIZE - 1));
    struct text_cell *cell = &stats->page->texts[which];
    const uint32_t next =
        atomic_load_explicit(&cell->index, memory_order_relaxed) + 1;
    for (int i = 0; i < WORDS; i++)
        atomic_store_explicit(&cell->words[next & 1][i], words[i],
                              memory_order_release);
    atomic_store_explicit(&cell->index, next, memory_order_release);
}

uint64_t stats_get(const struct stats *stats, enum stats_counter counter)
{
    if (stats->page == NULL)
        return 0;
    return atomic_load_explicit(&stats->page->counters[counter],
                                memory_order_relaxed);
}

int64_t stats_get_gauge(const struct stats *stats, enum stats_gauge gauge)
{
    if (stats->page == NULL)
        return 0;
    return atomic_load_explicit(&stats->page->gauges[gauge],
                                memory_order_relaxed);
}

void stats_get_text(const struct stats *stats, enum stats_text which,
                    char text[STATS_TEXT_SIZE])
{
    uint64_t words[WORDS];

    text[0] = '\0';
    if (stats->page == NULL)
        return;
    const struct text_cell *cell = &stats->page->texts[which];
    for (int try = 0; try < READ_TRIES; try++) {
        const uint32_t index =
            atomic_load_explicit(&cell->index, memory_order_acquire);
        for (int i = 0; i < WORDS; i++)
            words[i] = atomic_load_explicit(&cell->words[index & 1][i],
                                            memory_order_acquire);
        if (atomic_load_explicit(&cell->index, memory_order_acquire) != index)
            continue;
        memcpy(text, words, STATS_TEXT_SIZE);
        text[STATS_TEXT_SIZE - 1] = '\0';
        return;
    }
}

void stats_latencies(const struct stats *stats, uint64_t counts[STATS_BUCKETS],
                     uint64_t *sum_us)
{
    *sum_us = 0;
    memset(counts, 0, sizeof(*counts) * STATS_BUCKETS);
    if (stats->page == NULL)
        return;
    for (int i = 0; i < STATS_BUCKETS; i++)
        counts[i] = atomic_load_explicit(&stats->page->buckets[i],
                                         memory_order_relaxed);
    *sum_us = atomic_load_explicit(&stats->page->latency_sum_us,
                                   memory_order_relaxed);
}
