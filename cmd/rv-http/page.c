/*
 * page: what people and watchdogs see at / and /healthz.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

static const char *state_word(int64_t state)
{
    static const char *const words[] = { "stopped", "buffering", "ready",
                                         "error" };

    return state >= 0 && state < 4 ? words[state] : "unknown";
}

static void put_escaped(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            fputs("&lt;", out);
        else if (*c == '>')
            fputs("&gt;", out);
        else if (*c == '&')
            fputs("&amp;", out);
        else if (*c == '"')
            fputs("&quot;", out);
        else if ((unsigned char)*c >= 0x20)
            fputc(*c, out);
    }
}

static bool is_shown(const struct server *server, const struct channel *channel,
                     const struct conn *conn)
{
    return channel->retired_us == 0 &&
           (!server->is_matching_port || channel->port == conn->port);
}

static void put_row(FILE *out, const struct channel *channel)
{
    char asset[STATS_TEXT_SIZE];
    const bool has_stats = channel->stats.page != NULL;

    stats_get_text(&channel->stats, STATS_TEXT_ASSET, asset);
    fprintf(out, "<tr><td><a href=\"/channel/%d.ts\">%d</a></td><td>",
            (int)channel->id, (int)channel->id);
    fputs(channel->ring.head == NULL ? "starting"
          : has_stats
              ? state_word(stats_get_gauge(&channel->stats, STATS_STATE))
              : "on the air",
          out);
    fputs("</td><td>", out);
    put_escaped(out, asset);
    fprintf(out, "</td><td class=n>%dx%d</td><td class=n>%lld</td>",
            (int)channel->ring.house.width, (int)channel->ring.house.height,
            (long long)channel->viewer_count);
    fprintf(out, "<td class=n>%lld</td></tr>\n", (long long)channel->frame);
}

void page_list(struct server *server, struct conn *conn, bool is_head)
{
    const struct channel *channel;
    char *body = NULL;
    size_t size = 0;
    int rows = 0;
    FILE *out = open_memstream(&body, &size);

    if (out == NULL) {
        conn_drop(server, conn);
        return;
    }
    channel_scan(server);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width\">"
          "<meta http-equiv=\"refresh\" content=\"5\">"
          "<title>Channels</title><style>"
          "body{font:16px system-ui,sans-serif;margin:2em}"
          "table{border-collapse:collapse}"
          "td,th{padding:.4em 1em;border-bottom:1px solid #ccc;text-align:left}"
          ".n{text-align:right}</style></head><body><h1>Channels</h1>\n"
          "<table><tr><th>Channel</th><th>State</th><th>On air</th>"
          "<th>Size</th><th>Viewers</th><th>Frame</th></tr>\n",
          out);
    TAILQ_FOREACH(channel, &server->channels, link)
    {
        if (!is_shown(server, channel, conn))
            continue;
        put_row(out, channel);
        rows++;
    }
    fputs("</table>\n", out);
    if (rows == 0)
        fputs("<p>No channel is on the air.</p>\n", out);
    fputs("<p>Open a channel's link with a player, for example "
          "<code>ffplay</code> or <code>vlc</code>.</p></body></html>\n",
          out);
    if (fclose(out) != 0) {
        free(body);
        body = NULL;
    }
    conn_answer(server, conn, 200, "text/html; charset=utf-8", body, size,
                is_head);
}

static void put_health(FILE *out, const struct server *server,
                       const struct channel *channel)
{
    const bool has_ring = channel->ring.head != NULL;
    const int64_t late_us = clock_utc_us(&server->clock) - channel->due_us;

    fprintf(out, "{\"channel\":%d,\"viewers\":%lld,", (int)channel->id,
            (long long)channel->viewer_count);
    if (!has_ring || channel->released_end == 0)
        fputs("\"frame\":null,\"age_ms\":null,", out);
    else
        fprintf(out, "\"frame\":%lld,\"age_ms\":%lld,",
                (long long)channel->frame, (long long)(late_us / 1000));
    fprintf(out, "\"has_renderer\":%s}",
            has_ring && ts_ring_has_writer(&channel->ring) ? "true" : "false");
}

void page_health(struct server *server, struct conn *conn, bool is_head)
{
    const struct channel *channel;
    const char *comma = "";
    char *body = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&body, &size);

    if (out == NULL) {
        conn_drop(server, conn);
        return;
    }
    fprintf(out, "{\"status\":\"ok\",\"viewers\":%lld,\"channels\":[",
            (long long)server->viewer_count);
    TAILQ_FOREACH(channel, &server->channels, link)
    {
        if (!is_shown(server, channel, conn))
            continue;
        fputs(comma, out);
        put_health(out, server, channel);
        comma = ",";
    }
    fputs("]}\n", out);
    if (fclose(out) != 0) {
        free(body);
        body = NULL;
    }
    conn_answer(server, conn, 200, "application/json", body, size, is_head);
}
