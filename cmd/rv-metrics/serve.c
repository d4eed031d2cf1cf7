/*
 * serve: answers scrapes with libmicrohttpd, one thread of its own, so that
 * nobody who reads slowly keeps the next one waiting.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "log/log.h"
#include "metrics.h"

#define BACKLOG         128
#define CONNECTIONS_MAX 128
#define TIMEOUT_SECONDS 10
#define BEAT_US         INT64_C(200000)

static const char page[] =
    "<!DOCTYPE html><html lang=\"en\"><title>rv-metrics</title>"
    "<p><a href=\"/metrics\">/metrics</a></p></html>\n";

static enum MHD_Result answer(struct MHD_Connection *connection,
                              unsigned status, const char *type, char *body,
                              size_t size, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, body, mode);

    if (response == NULL) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                            "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    const enum MHD_Result rc = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
                              unsigned status, const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8",
                  (char *)(uintptr_t)text, strlen(text),
                  MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result scrape(struct MHD_Connection *connection,
                              struct metrics *metrics)
{
    char *body = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&body, &size);

    if (out == NULL)
        return MHD_NO;
    metrics_collect(metrics);
    metrics_write(metrics, out);
    if (fclose(out) != 0) {
        free(body);
        return MHD_NO;
    }
    return answer(connection, MHD_HTTP_OK,
                  "text/plain; version=0.0.4; charset=utf-8", body, size,
                  MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection,
                              const char *url, const char *method,
                              const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    (void)version;
    (void)upload;
    (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        *upload_size = 0;
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                      "this method is not for here; use GET or HEAD\n");
    }
    if (strcmp(url, "/metrics") == 0)
        return scrape(connection, context);
    if (strcmp(url, "/") == 0)
        return answer(connection, MHD_HTTP_OK, "text/html; charset=utf-8",
                      (char *)(uintptr_t)page, sizeof(page) - 1,
                      MHD_RESPMEM_PERSISTENT);
    return refuse(connection, MHD_HTTP_NOT_FOUND,
                  "there is nothing at this address; ask for /metrics\n");
}

static int open_listener(const struct where *where, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    const int on = 1;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%u", (unsigned)where->port);
    const int rc = getaddrinfo(where->host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT,
                       "--listen %s:%u: %s; give an address of this machine",
                       where->host, (unsigned)where->port, gai_strerror(rc));
    fd =
        socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 ||
        listen(fd, BACKLOG) < 0) {
        err_errno(err, ERR_STATE,
                  "--listen %s:%u: cannot listen there, give another port",
                  where->host, (unsigned)where->port);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Says on standard output where it listens. */
static int announce(int fd, struct err *err)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof(at);
    char host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0 ||
        getnameinfo((struct sockaddr *)&at, size, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return err_set(err, ERR_INPUT,
                       "descriptor %d: is no TCP socket; give one that listens",
                       fd);
    printf(strchr(host, ':') ? "{\"metrics\":\"[%s]:%s\"}\n"
                             : "{\"metrics\":\"%s:%s\"}\n",
           host, port);
    fflush(stdout);
    return 0;
}

static int run(struct metrics *metrics, int fd, struct err *err)
{
    /* The daemon's thread may change the MasterClock; this one only waits. */
    const struct clock waiting = CLOCK_EMPTY;
    struct stats_proc proc;

    if (stats_proc_enter(&proc, metrics->run_dir, "metrics", err) < 0)
        return -1;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, handle,
        metrics, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)TIMEOUT_SECONDS, MHD_OPTION_END);
    if (daemon == NULL) {
        stats_proc_leave(&proc);
        return err_set(err, ERR_SYSTEM,
                       "listener %d: libmicrohttpd cannot serve it; give one "
                       "that listens",
                       fd);
    }
    int rc = announce(fd, err);
    while (rc == 0 && !cli_stopping()) {
        stats_proc_beat(&proc, false);
        clock_sleep_until(&waiting, INT64_MAX / 8, BEAT_US);
    }
    MHD_stop_daemon(daemon); /* closes fd */
    stats_proc_leave(&proc);
    return rc;
}

int serve(struct metrics *metrics, const struct where *where, struct err *err)
{
    const int fd = where->fd >= 0 ? where->fd : open_listener(where, err);
    int is_listening = 0;
    socklen_t size = sizeof(is_listening);

    if (fd < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0 ||
        !is_listening)
        return err_set(err, ERR_INPUT,
                       "--listen-fd %d: is no listening socket; give the "
                       "number of one that was inherited",
                       fd);
    return run(metrics, fd, err);
}
