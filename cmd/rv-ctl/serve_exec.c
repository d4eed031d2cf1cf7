/*
 * exec: the server executes its own binary anew, in place (SIGUSR2).  What the
 * kernel keeps over execve() is kept: the process, its children, and the
 * descriptors that are told in RV_SERVE_STATE: the lock, the gRPC listeners,
 * the listeners of the ports and the processes that serve them.  The directors
 * are taken over as a new server would.  Nobody but gRPC clients with an open
 * connection notices; they connect again.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <bsd/string.h>

#include "log/log.h"
#include "proc/spawn.h"

#define VARIABLE "RV_SERVE_STATE"

static bool is_renewed;

bool exec_is_renewed(void)
{
    return is_renewed;
}

static void keep_open(int fd, bool keep)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static json_t *describe(struct serve *serve, bool keep)
{
    struct rpc_listener listeners[8];
    const size_t count = rpc_server_listeners(serve->server, listeners, 8);
    json_t *rpc = json_array(), *ports = json_array(), *stopped = json_array();

    for (size_t i = 0; i < count && i < 8; i++) {
        json_array_append_new(rpc, json_pack("{s:i,s:i}", "fd", listeners[i].fd,
                                             "lock", listeners[i].lock_fd));
        keep_open(listeners[i].fd, keep);
        keep_open(listeners[i].lock_fd, keep);
    }
    for (int i = 0; i < SERVE_PORTS; i++) {
        const struct port *port = &serve->port[i];
        if (!port->is_used)
            continue;
        json_array_append_new(
            ports, json_pack("{s:i,s:i,s:i,s:b,s:s,s:s}", "fd", port->fd, "pid",
                             port->pidfd >= 0 ? (int)port->pid : 0, "port",
                             (int)port->port, "is_metrics", port->is_metrics,
                             "host", port->host, "address", port->address));
        keep_open(port->fd, keep);
    }
    for (int i = 0; i < SERVE_CHANNELS; i++) {
        if (serve->channel[i].id != 0 &&
            serve->channel[i].state == SERVED_STOPPED)
            json_array_append_new(stopped, json_integer(serve->channel[i].id));
    }
    keep_open(serve->lock, keep);
    return json_pack("{s:i,s:s,s:i,s:o,s:o,s:o}", "lock", serve->lock, "grpc",
                     serve->grpc, "http_port", serve->opts.http_port, "rpc",
                     rpc, "ports", ports, "stopped", stopped);
}

static char **own_arguments(char *memory, size_t size)
{
    static char *words[64];
    const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, memory, size - 1) : -1;
    int count = 0;

    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return NULL;
    memory[got] = '\0';
    for (char *at = memory; at < memory + got && count < 63;
         at += strlen(at) + 1)
        words[count++] = at;
    words[count] = NULL;
    return words;
}

void exec_self(struct serve *serve)
{
    static char memory[16384];
    char path[1024];
    char **words = own_arguments(memory, sizeof(memory));
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (words == NULL || length <= 0) {
        log_error(NULL, "cannot execute itself: /proc is not there");
        return;
    }
    path[length] = '\0';
    /* A binary that was replaced shows as "... (deleted)"; the new one is. */
    char *deleted = strstr(path, " (deleted)");
    if (deleted != NULL)
        *deleted = '\0';
    json_t *state = describe(serve, true);
    char *text = json_dumps(state, JSON_COMPACT);
    json_decref(state);
    if (text != NULL && setenv(VARIABLE, text, 1) == 0) {
        log_info(NULL, "executes %s anew", path);
        execv(path, words);
        log_error(NULL, "%s cannot be executed: %s; goes on as it is", path,
                  strerror(errno));
    }
    free(text);
    unsetenv(VARIABLE);
    json_decref(describe(serve, false));
}

static int get(const json_t *object, const char *name)
{
    return (int)json_integer_value(json_object_get(object, name));
}

static void take_port(struct serve *serve, int i, const json_t *one)
{
    struct port *port = &serve->port[i];
    const char *host = json_string_value(json_object_get(one, "host"));
    const char *address = json_string_value(json_object_get(one, "address"));

    *port = (struct port){ .is_used = true,
                           .fd = get(one, "fd"),
                           .port = (uint16_t)get(one, "port"),
                           .pid = get(one, "pid"),
                           .is_metrics = json_is_true(
                               json_object_get(one, "is_metrics")) };
    strlcpy(port->host, host != NULL ? host : "", sizeof(port->host));
    strlcpy(port->address, address != NULL ? address : "",
            sizeof(port->address));
    keep_open(port->fd, false);
    port->pidfd = port->pid > 0 ? spawn_watch(port->pid) : -1;
    if (port->pidfd >= 0)
        (void)serve_watch(serve, port->pidfd, EPOLLIN, SERVE_PORT_END, i);
}

int exec_take(struct serve *serve, struct err *err)
{
    const char *text = getenv(VARIABLE);
    json_t *state = text != NULL ? json_loads(text, 0, NULL) : NULL;

    unsetenv(VARIABLE);
    if (state == NULL)
        return 0;
    is_renewed = true;
    serve->lock = get(state, "lock");
    keep_open(serve->lock, false);
    serve->opts.http_port = get(state, "http_port");
    strlcpy(serve->grpc, json_string_value(json_object_get(state, "grpc")),
            sizeof(serve->grpc));
    const json_t *rpc = json_object_get(state, "rpc");
    for (size_t i = 0; i < json_array_size(rpc); i++) {
        const json_t *one = json_array_get(rpc, i);
        keep_open(get(one, "fd"), false);
        keep_open(get(one, "lock"), false);
        if (rpc_server_add_listener(serve->server, get(one, "fd"),
                                    get(one, "lock"), err) < 0) {
            json_decref(state);
            return -1;
        }
    }
    const json_t *ports = json_object_get(state, "ports");
    for (size_t i = 0; i < json_array_size(ports) && i < SERVE_PORTS; i++)
        take_port(serve, (int)i, json_array_get(ports, i));
    const json_t *stopped = json_object_get(state, "stopped");
    for (size_t i = 0; i < json_array_size(stopped); i++) {
        struct served *served = served_new(
            serve, (int32_t)json_integer_value(json_array_get(stopped, i)),
            NULL);
        if (served != NULL)
            served->was_running = true;
    }
    json_decref(state);
    return 0;
}
