/*
 * channel: which rings there are, and when their stretches are released.
 *
 * One struct channel stands for one ring file.  When the file is replaced,
 * removed or says that the stream is over, the channel is *retired*: what it
 * holds is still released and sent, then its viewers end; whoever comes later
 * finds the new ring or 404.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "log/log.h"

#define WARN_EVERY_US INT64_C(10000000)
#define POLL_US       INT64_C(5000) /* a stretch that is late, a ring that comes */

static int file_path(const struct server *server, int32_t id, const char *name,
                     char path[1024])
{
    return snprintf(path, 1024, "%s/%d%s%s", server->run_dir, (int)id,
                    name[0] ? "/" : "", name);
}

/* The number in <run>/<id>/port; 0: none. */
static uint16_t read_port(const struct server *server, int32_t id)
{
    char path[1024], text[16] = "";

    file_path(server, id, "port", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    const ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\r\n ")] = '\0';
    return (uint16_t)strtonum(text, 1, 65535, &(const char *){ NULL });
}

/* Is this channel for viewers of `port` (0: of any listener of ours)? */
static bool is_for(const struct server *server, uint16_t channel_port,
                   uint16_t port)
{
    if (!server->is_matching_port)
        return true;
    if (port != 0)
        return channel_port == port;
    for (int i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].port == channel_port)
            return true;
    }
    return false;
}

/* A folder without a ring: does its channel start, or is it over? */
static bool is_starting(const char *folder)
{
    static const char *const names[] = { "run", "stage", "render", "decode" };
    struct stats_proc_state proc;
    struct stats stats;
    bool is_stopped = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        stats_proc_look(folder, names[i], &proc);
        if (proc.is_alive)
            return true;
    }
    if (stats_open(&stats, folder, false, NULL) == 0)
        is_stopped = stats_get_gauge(&stats, STATS_STATE) == 0;
    stats_close(&stats);
    return !is_stopped;
}

/*
 * When entry `at` is due.  Deadlines rise; one that is later than that of the
 * newest entry is from before the clock was set back: a new epoch has begun,
 * and the entry is due together with the first one of that.
 */
static int64_t due_us(const struct channel *channel, uint64_t at,
                      const struct ts_stretch *stretch)
{
    const uint64_t count = ts_ring_count(&channel->ring);
    struct ts_stretch next;

    if (count == 0 ||
        ts_ring_entry(&channel->ring, count - 1, &next) != TS_RING_OK ||
        next.due_us >= stretch->due_us)
        return stretch->due_us;
    while (++at < count &&
           ts_ring_entry(&channel->ring, at, &next) == TS_RING_OK) {
        if (next.due_us < stretch->due_us)
            return next.due_us;
    }
    return stretch->due_us;
}

/* Everything that is due by now is old news: released, not timed. */
static void skip_to_now(const struct server *server, struct channel *channel)
{
    const int64_t now = clock_utc_us(&server->clock);
    struct ts_stretch stretch;
    uint64_t key;

    channel->next = ts_ring_count(&channel->ring);
    while (channel->next > 0 &&
           ts_ring_entry(&channel->ring, channel->next - 1, &stretch) ==
               TS_RING_OK &&
           due_us(channel, channel->next - 1, &stretch) > now)
        channel->next--;
    channel->released_end = 0;
    if (channel->next > 0 && ts_ring_entry(&channel->ring, channel->next - 1,
                                           &stretch) == TS_RING_OK) {
        channel->released_end = stretch.end;
        channel->frame = stretch.n_end - 1;
        channel->due_us = stretch.due_us;
    }
    channel->has_key =
        ts_ring_newest_key(&channel->ring, now, &key) == TS_RING_OK &&
        ts_ring_entry(&channel->ring, key, &stretch) == TS_RING_OK;
    if (channel->has_key)
        channel->key_start = stretch.start;
}

static void warn_of_ring(struct server *server, int32_t id,
                         const struct err *err)
{
    const struct log_ctx ctx = { .channel = id };
    const int64_t now_us = clock_monotonic_us();

    if (err->kind == ERR_UNREACHABLE || err->kind == ERR_NOT_FOUND ||
        now_us < server->warn_again_us)
        return;
    log_warn(&ctx, "%s", err->text);
    server->warn_again_us = now_us + WARN_EVERY_US;
}

/* Takes the ring if there is one that is not over. */
static bool open_ring(struct server *server, struct channel *channel)
{
    const struct log_ctx ctx = { .channel = channel->id };
    struct err err = ERR_EMPTY;
    struct stat st;
    char path[1024];

    file_path(server, channel->id, "ts", path);
    if (ts_ring_open(&channel->ring, path, false, &err) < 0) {
        warn_of_ring(server, channel->id, &err);
        return false;
    }
    if (ts_ring_is_closed(&channel->ring) ||
        fstat(channel->ring.shm.fd, &st) < 0) {
        ts_ring_close(&channel->ring);
        return false;
    }
    channel->device = st.st_dev;
    channel->inode = st.st_ino;
    skip_to_now(server, channel);
    log_info(&ctx, "on the air, %llu stretches in its ring",
             (unsigned long long)ts_ring_count(&channel->ring));
    return true;
}

static void open_stats(struct server *server, struct channel *channel)
{
    char folder[1024];

    file_path(server, channel->id, "", folder);
    if (stats_open(&channel->stats, folder, false, NULL) == 0)
        stats_set(&channel->stats, STATS_VIEWERS, channel->viewer_count);
}

static struct channel *current(struct server *server, int32_t id)
{
    struct channel *channel;

    TAILQ_FOREACH(channel, &server->channels, link)
    {
        if (channel->id == id && channel->retired_us == 0)
            return channel;
    }
    return NULL;
}

static void retire(struct channel *channel, const char *why)
{
    const struct log_ctx ctx = { .channel = channel->id };

    channel->retired_us = clock_monotonic_us();
    log_info(&ctx, "%s, its viewers end", why);
}

/* Has the file behind the channel been closed, replaced or removed? */
static void check_ring(struct server *server, struct channel *channel)
{
    struct stat st;
    char path[1024];

    file_path(server, channel->id, "ts", path);
    if (ts_ring_is_closed(&channel->ring))
        retire(channel, "the stream is over");
    else if (stat(path, &st) < 0)
        retire(channel, "the ring is gone");
    else if (st.st_ino != channel->inode || st.st_dev != channel->device)
        retire(channel, "there is a new ring");
}

static struct channel *make(struct server *server, int32_t id, uint16_t port)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    char folder[1024];
    struct stat st;

    if (channel == NULL)
        return NULL;
    channel->id = id;
    channel->port = port;
    channel->ring = TS_RING_EMPTY;
    channel->stats = STATS_EMPTY;
    TAILQ_INIT(&channel->viewers);
    file_path(server, id, "", folder);
    if (!open_ring(server, channel)) {
        char ts[1024];
        file_path(server, id, "ts", ts);
        /* A ring that is over or wrong is no start. */
        if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode) ||
            lstat(ts, &st) == 0 || !is_starting(folder)) {
            free(channel);
            return NULL;
        }
    }
    open_stats(server, channel);
    TAILQ_INSERT_TAIL(&server->channels, channel, link);
    return channel;
}

struct channel *channel_find(struct server *server, int32_t id, uint16_t port)
{
    struct channel *channel = current(server, id);
    const uint16_t channel_port = read_port(server, id);

    if (!is_for(server, channel_port, port))
        return NULL;
    if (channel != NULL && channel->ring.head != NULL)
        check_ring(server, channel);
    if (channel != NULL && channel->retired_us == 0)
        return channel;
    return make(server, id, channel_port);
}

void channel_scan(struct server *server)
{
    DIR *folder = opendir(server->run_dir);
    const char *why;

    if (folder == NULL)
        return;
    for (const struct dirent *entry = readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        const int32_t id = (int32_t)strtonum(entry->d_name, 1, INT32_MAX, &why);
        if (why != NULL || entry->d_name[0] == '0' || entry->d_name[0] == '+')
            continue;
        struct channel *channel = current(server, id);
        const uint16_t port = read_port(server, id);
        if (channel == NULL && is_for(server, port, 0))
            channel = make(server, id, port);
        if (channel == NULL)
            continue;
        channel->port = port;
        if (channel->stats.page == NULL)
            open_stats(server, channel);
    }
    closedir(folder);
    struct channel *channel;
    TAILQ_FOREACH(channel, &server->channels, link)
    {
        if (channel->retired_us == 0 && channel->ring.head != NULL)
            check_ring(server, channel);
    }
}

void channel_count_restart(struct server *server)
{
    struct channel *channel;

    TAILQ_FOREACH(channel, &server->channels, link)
    stats_add(&channel->stats, STATS_RESTARTS_HTTP, 1);
}

void channel_free(struct server *server, struct channel *channel)
{
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE(conn, &channel->viewers, link, next)
    conn_drop(server, conn);
    TAILQ_REMOVE(&server->channels, channel, link);
    ts_ring_close(&channel->ring);
    stats_close(&channel->stats);
    free(channel);
}

/* --- releases ------------------------------------------------------------- */

/* Releases the stretch at `next` if it is due; false: not yet, or none. */
static bool release_one(struct server *server, struct channel *channel)
{
    const struct log_ctx ctx = { .channel = channel->id };
    struct ts_stretch stretch;
    bool is_due;

    switch (ts_ring_entry(&channel->ring, channel->next, &stretch)) {
    case TS_RING_NONE:
        return false;
    case TS_RING_GONE:
        log_warn(&ctx, "the ring ran away, going on with its newest stretch");
        skip_to_now(server, channel);
        return false;
    case TS_RING_OK:
        break;
    }
    is_due = due_us(channel, channel->next, &stretch) <=
             clock_utc_us(&server->clock);
    if (channel->retired_us != 0 &&
        clock_monotonic_us() - channel->retired_us > HTTP_DRAIN_US)
        is_due = true;
    if (!is_due)
        return false;
    if (stretch.start != channel->released_end && channel->released_end != 0) {
        channel->is_broken = true;
        retire(channel, "the ring has a hole");
        return false;
    }
    channel->next++;
    channel->released_end = stretch.end;
    channel->frame = stretch.n_end - 1;
    channel->due_us = stretch.due_us;
    if (stretch.is_key) {
        channel->has_key = true;
        channel->key_start = stretch.start;
    }
    return true;
}

static void send_all(struct server *server, struct channel *channel)
{
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE(conn, &channel->viewers, link, next)
    viewer_send(server, conn);
}

/* A retired channel: whoever has all goes; true when nobody is left. */
static bool drain(struct server *server, struct channel *channel)
{
    struct conn *conn, *next;
    const int64_t since_us = clock_monotonic_us() - channel->retired_us;
    const bool is_all_out = channel->ring.head == NULL || channel->is_broken ||
                            channel->next == ts_ring_count(&channel->ring);

    TAILQ_FOREACH_SAFE(conn, &channel->viewers, link, next)
    {
        if (since_us > HTTP_DRAIN_LAST_US)
            conn_drop(server, conn);
        else if (is_all_out && (conn->state == WAITING ||
                                conn->offset >= channel->released_end))
            conn_end(server, conn);
    }
    return TAILQ_EMPTY(&channel->viewers);
}

/* A channel without a ring whose folder has gone too, or that nobody awaits. */
static bool is_given_up(const struct server *server,
                        const struct channel *channel)
{
    char folder[1024];

    file_path(server, channel->id, "", folder);
    return TAILQ_EMPTY(&channel->viewers) || access(folder, F_OK) < 0;
}

static void run(struct server *server, struct channel *channel)
{
    bool has_new = false;

    if (channel->ring.head == NULL) {
        if (!open_ring(server, channel)) {
            if (is_given_up(server, channel))
                channel_free(server, channel);
            return;
        }
        send_all(server, channel);
    }
    if (channel->retired_us == 0 && ts_ring_is_closed(&channel->ring))
        retire(channel, "the stream is over");
    while (!channel->is_broken && release_one(server, channel))
        has_new = true;
    if (has_new) {
        send_all(server, channel);
        stats_set(&channel->stats, STATS_FRAME_GAP_US,
                  channel->due_us - clock_utc_us(&server->clock));
    }
    if (channel->retired_us != 0 && drain(server, channel))
        channel_free(server, channel);
}

void channel_run_all(struct server *server)
{
    struct channel *channel, *next;

    TAILQ_FOREACH_SAFE(channel, &server->channels, link, next)
    run(server, channel);
}

int64_t channel_wait_us(const struct server *server, int64_t max_us)
{
    const struct channel *channel;
    struct ts_stretch stretch;

    TAILQ_FOREACH(channel, &server->channels, link)
    {
        int64_t wait = POLL_US;
        if (channel->ring.head != NULL &&
            ts_ring_entry(&channel->ring, channel->next, &stretch) ==
                TS_RING_OK)
            wait = clock_us_until(&server->clock,
                                  due_us(channel, channel->next, &stretch));
        if (wait < max_us)
            max_us = wait;
    }
    return max_us;
}
