/*
 * viewer: sends a channel's released bytes, straight from the ring's map.
 * Bytes may be overwritten while the kernel copies them, so the ring is asked
 * afterwards; a viewer who got rubbish, or is more than the ring behind, is
 * disconnected.  Packets are never left out.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "hold.h"
#include "http.h"
#include "log/log.h"

const char viewer_header[] = "HTTP/1.1 200 OK\r\n"
                             "Content-Type: video/mp2t\r\n"
                             "Cache-Control: no-store\r\n"
                             "Access-Control-Allow-Origin: *\r\n"
                             "Connection: close\r\n"
                             "\r\n";

static void count_viewer(struct server *server, struct channel *channel, int by)
{
    server->viewer_count += by;
    channel->viewer_count += by;
    stats_set(&channel->stats, STATS_VIEWERS, channel->viewer_count);
}

void viewer_join(struct server *server, struct conn *conn,
                 struct channel *channel)
{
    conn->state = WAITING;
    conn->channel = channel;
    conn->deadline_us = clock_monotonic_us() + HTTP_KEYFRAME_US;
    TAILQ_INSERT_TAIL(&channel->viewers, conn, link);
    count_viewer(server, channel, 1);
    stats_add(&channel->stats, STATS_VIEWERS_TOTAL, 1);
    hold_viewer(server, conn);
    viewer_send(server, conn);
}

void viewer_restore(struct server *server, struct conn *conn,
                    struct channel *channel, bool has_started)
{
    conn->state = has_started ? STREAMING : WAITING;
    conn->channel = channel;
    conn->deadline_us =
        has_started ? INT64_MAX : clock_monotonic_us() + HTTP_KEYFRAME_US;
    TAILQ_INSERT_TAIL(&channel->viewers, conn, link);
    count_viewer(server, channel, 1);
}

void viewer_leave(struct server *server, struct conn *conn)
{
    count_viewer(server, conn->channel, -1);
    hold_dropped(server, conn);
    conn->channel = NULL;
}

/* A waiting viewer begins with the newest keyframe that is released. */
static void start(struct server *server, struct conn *conn)
{
    const struct channel *channel = conn->channel;

    if (!channel->has_key ||
        !ts_ring_is_intact(&channel->ring, channel->key_start))
        return;
    conn->state = STREAMING;
    conn->offset = channel->key_start;
    conn->deadline_us = INT64_MAX;
    hold_started(server, conn);
}

/* The rest of the header and what is released: at most three pieces. */
static int gather(const struct conn *conn, struct iovec iov[3])
{
    const struct channel *channel = conn->channel;
    const size_t header_size = strlen(viewer_header);
    int count = 0;
    uint64_t run;

    if (conn->header_sent < header_size) {
        iov[count++] = (struct iovec){
            .iov_base = (char *)(uintptr_t)viewer_header + conn->header_sent,
            .iov_len = header_size - conn->header_sent,
        };
    }
    if (conn->state != STREAMING)
        return count;
    for (uint64_t at = conn->offset; at < channel->released_end; at += run) {
        const uint8_t *bytes =
            ts_ring_bytes(&channel->ring, at, channel->released_end, &run);
        if (run == 0 || count == 3)
            break;
        iov[count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes,
                                       .iov_len = run };
    }
    return count;
}

static void account(struct conn *conn, size_t written)
{
    const size_t header_left = strlen(viewer_header) - conn->header_sent;
    const size_t header = written < header_left ? written : header_left;

    conn->header_sent += (uint32_t)header;
    conn->offset += written - header;
    stats_add(&conn->channel->stats, STATS_VIEWER_BYTES, written - header);
}

static bool is_behind(const struct conn *conn, uint64_t offset)
{
    return conn->state == STREAMING &&
           !ts_ring_is_intact(&conn->channel->ring, offset);
}

/* A reset: behind what is queued for them, no end would ever arrive. */
static void cut(struct server *server, struct conn *conn)
{
    const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    const struct log_ctx ctx = { .channel = conn->channel->id };

    stats_add(&conn->channel->stats, STATS_VIEWERS_TOO_SLOW, 1);
    log_info(&ctx, "a viewer more than the ring behind was disconnected");
    (void)!connect(conn->fd, &nobody, sizeof(nobody));
    conn_drop(server, conn);
}

void viewer_send(struct server *server, struct conn *conn)
{
    struct iovec iov[3];

    if (conn->state == WAITING)
        start(server, conn);
    if (is_behind(conn, conn->offset)) {
        cut(server, conn);
        return;
    }
    while (conn->can_write) {
        const uint64_t offset = conn->offset;
        const int count = gather(conn, iov);
        if (count == 0)
            return;
        const ssize_t n = writev(conn->fd, iov, count);
        if (n < 0 && errno == EAGAIN) {
            conn->can_write = false;
        } else if (n < 0 && errno != EINTR) {
            conn_drop(server, conn);
            return;
        } else if (n > 0) {
            account(conn, (size_t)n);
            if (is_behind(conn, offset)) {
                cut(server, conn);
                return;
            }
        }
    }
}
