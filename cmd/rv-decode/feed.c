/* feed: reads segments, opens their assets ahead of time. */
#include "feed.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bsd/string.h>

#include "clock/clock.h"
#include "proc/rundir.h"

#define WAIT_MS 200

static bool is_quitting(struct feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    const bool quitting = feed->is_quitting;
    pthread_mutex_unlock(&feed->lock);
    return quitting || feed->is_stopping();
}

/* Waits for a change or WAIT_MS; the lock is held. */
static void wait_change(struct feed *feed)
{
    const int64_t until_us = clock_monotonic_us() + WAIT_MS * 1000;
    const struct timespec until = {
        .tv_sec = until_us / 1000000,
        .tv_nsec = until_us % 1000000 * 1000,
    };

    pthread_cond_timedwait(&feed->changed, &feed->lock, &until);
}

/* More of standard input behind what is there: 1, 0 at the end, -1. */
static int read_more(struct feed *feed, struct err *err)
{
    if (feed->line_used >= SEGMENT_LINE_MAX)
        return err_set(err, ERR_INPUT,
                       "standard input: line %d is longer than %d bytes",
                       feed->next + 1, SEGMENT_LINE_MAX);
    while (!is_quitting(feed)) {
        struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
        if (poll(&in, 1, WAIT_MS) <= 0) /* a signal: look again */
            continue;
        const ssize_t got = read(STDIN_FILENO, feed->line + feed->line_used,
                                 SEGMENT_LINE_MAX - feed->line_used);
        if (got > 0) {
            feed->line_used += (size_t)got;
            return 1;
        }
        if (got == 0) {
            feed->is_stdin_end = true;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return err_errno(err, ERR_SYSTEM, "standard input");
    }
    feed->is_stdin_end = true;
    return 0;
}

/* A line's length with its newline, 0 when there is no whole one. */
static size_t whole_line(const struct feed *feed)
{
    const char *end = memchr(feed->line, '\n', feed->line_used);

    if (end)
        return (size_t)(end - feed->line) + 1;
    return feed->is_stdin_end ? feed->line_used : 0;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!strchr(" \t\r\n", text[i]))
            return false;
    }
    return true;
}

/* The next segment on standard input: 1, 0 at the end, -1 (a bad line). */
static int next_line(struct feed *feed, struct segment *segment,
                     struct err *err)
{
    for (;;) {
        size_t length = whole_line(feed);
        while (length == 0 && !feed->is_stdin_end) {
            if (read_more(feed, err) < 0) {
                feed->is_stdin_end = true;
                feed->line_used = 0;
                return -1;
            }
            length = whole_line(feed);
        }
        if (length == 0)
            return 0;
        feed->next++;
        int rc = 0;
        if (!is_blank(feed->line, length)) {
            rc = segment_parse(segment, feed->line, length, err);
            rc = rc < 0 ? err_prefix(err, "standard input: line %d", feed->next)
                        : 1;
        }
        feed->line_used -= length;
        memmove(feed->line, feed->line + length, feed->line_used);
        if (rc != 0)
            return rc;
    }
}

static int next_file(struct feed *feed, struct segment *segment,
                     struct err *err)
{
    if (feed->next >= feed->file_count)
        return 0;
    const char *file = feed->files[feed->next++];
    *segment = (struct segment){ .type = SEGMENT_CONTENT,
                                 .in = { 0, 1 },
                                 .fade_in = { 0, 1 },
                                 .fade_out = { 0, 1 } };
    snprintf(segment->id, sizeof(segment->id), "#%d", feed->next);
    if (strcmp(file, "-") == 0) {
        strlcpy(segment->asset, file, sizeof(segment->asset));
        return 1;
    }
    return path_absolute(segment->asset, sizeof(segment->asset), file, err) < 0
               ? -1
               : 1;
}

static void open_asset(struct feed *feed, struct item *item)
{
    const struct segment *segment = &item->segment;
    const struct asset_config config = {
        .path = segment->asset,
        .house = item->house,
        .languages = segment->languages,
        .language = segment->language,
        .threads = feed->threads,
        .is_stopping = feed->is_stopping,
    };
    const struct moment moment = { .in = moment_in(segment->in),
                                   .frame = segment->skip,
                                   .rate = item->house.rate };

    if (feed->files == NULL && strcmp(segment->asset, "-") == 0) {
        err_set(&item->err, ERR_INPUT,
                "segment %s: standard input has the lines already; give - as "
                "an argument",
                segment->id);
        item->has_failed = true;
        return;
    }
    item->asset = asset_open(&config, &item->err);
    if (item->asset == NULL)
        item->has_failed = true;
    else if (asset_seek(item->asset, &moment, &item->err) < 0) {
        asset_free(item->asset);
        item->asset = NULL;
        item->has_failed = true;
    }
}

bool feed_look(struct feed *feed, const char **asset)
{
    feed->seen_rc = next_line(feed, &feed->seen, &feed->seen_err);
    feed->has_seen = true;
    *asset = feed->seen_rc > 0 ? feed->seen.asset : "";
    return feed->seen_rc != 0;
}

static int next_segment(struct feed *feed, struct segment *segment,
                        struct err *err)
{
    if (feed->has_seen) {
        feed->has_seen = false;
        *segment = feed->seen;
        *err = feed->seen_err;
        return feed->seen_rc;
    }
    return feed->files ? next_file(feed, segment, err)
                       : next_line(feed, segment, err);
}

/* The next item: true; false at the end. */
static bool produce(struct feed *feed, struct item *item)
{
    *item = ITEM_EMPTY;
    const int rc = next_segment(feed, &item->segment, &item->err);
    if (rc == 0)
        return false;
    if (!feed->has_house && rc > 0) {
        if (item->segment.has_house)
            feed->house = item->segment.house;
        feed->has_house = true;
    }
    item->house = feed->house;
    if (rc < 0) {
        item->has_failed = true;
        return true;
    }
    if (item->segment.asset[0] && (item->segment.type == SEGMENT_CONTENT ||
                                   item->segment.type == SEGMENT_FILLER))
        open_asset(feed, item);
    item->handed_us = clock_monotonic_us();
    return true;
}

/* Hands an item (NULL: the end) over; false: nobody wants it any more. */
static bool hand_over(struct feed *feed, const struct item *item)
{
    pthread_mutex_lock(&feed->lock);
    while (feed->has_item && !feed->is_quitting)
        wait_change(feed);
    const bool is_wanted = !feed->is_quitting;
    if (item && is_wanted) {
        feed->item = *item;
        feed->has_item = true;
        feed->may_open = false;
    } else {
        feed->is_over = true;
    }
    pthread_cond_broadcast(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    return is_wanted;
}

static void wait_allowed(struct feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    while (!feed->may_open && !feed->is_quitting && !feed->is_stopping())
        wait_change(feed);
    pthread_mutex_unlock(&feed->lock);
}

static void *run(void *opaque)
{
    struct feed *feed = opaque;
    struct item item;

    for (;;) {
        wait_allowed(feed);
        if (is_quitting(feed) || !produce(feed, &item))
            break;
        if (!hand_over(feed, &item)) {
            asset_free(item.asset);
            return NULL;
        }
        if (feed->is_single)
            break;
    }
    hand_over(feed, NULL);
    return NULL;
}

int feed_open(struct feed *feed, struct err *err)
{
    pthread_condattr_t attributes;

    feed->line = malloc(SEGMENT_LINE_MAX);
    if (feed->line == NULL)
        return err_set(err, ERR_SYSTEM, "no memory to read segments");
    if (!feed->has_house)
        feed->house = HOUSE_DEFAULT;
    feed->may_open = true;
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    feed->is_open = true;
    return 0;
}

int feed_start(struct feed *feed, struct err *err)
{
    sigset_t all, before;

    /* Signals are for the main thread: its waits must end. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&feed->thread, NULL, run, feed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        errno = rc;
        return err_errno(err, ERR_SYSTEM, "no thread to open assets");
    }
    feed->has_thread = true;
    return 0;
}

void feed_stop(struct feed *feed)
{
    if (feed->has_thread) {
        pthread_mutex_lock(&feed->lock);
        feed->is_quitting = true;
        pthread_cond_broadcast(&feed->changed);
        pthread_mutex_unlock(&feed->lock);
        pthread_join(feed->thread, NULL);
        feed->has_thread = false;
    }
    if (feed->is_open) {
        pthread_mutex_destroy(&feed->lock);
        pthread_cond_destroy(&feed->changed);
        feed->is_open = false;
    }
    if (feed->has_item)
        asset_free(feed->item.asset);
    feed->has_item = false;
    free(feed->line);
    feed->line = NULL;
}

int feed_next(struct feed *feed, struct item *item)
{
    int rc = 0;

    pthread_mutex_lock(&feed->lock);
    feed->may_open = true;
    pthread_cond_broadcast(&feed->changed);
    while (!feed->has_item && !feed->is_over && !feed->is_stopping())
        wait_change(feed);
    if (feed->has_item && !feed->is_stopping()) {
        *item = feed->item;
        feed->has_item = false;
        rc = 1;
    }
    pthread_cond_broadcast(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    return rc;
}

void feed_allow(struct feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    if (!feed->may_open) {
        feed->may_open = true;
        pthread_cond_broadcast(&feed->changed);
    }
    pthread_mutex_unlock(&feed->lock);
}
