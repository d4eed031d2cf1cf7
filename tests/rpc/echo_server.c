/*
 * echo_server: lib/rpc as a program, for the tests' clients to talk to.
 *
 *     echo_server [OPTION...] ADDRESS...
 *
 * Prints one JSON line with the addresses when it listens.  SIGTERM drains,
 * SIGUSR1 turns the health of "retrovue.test.Echo" over.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bsd/sys/queue.h>

#include "cli/cli.h"
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "rpc/server.h"
#include "rpc/timers.h"
#include "tests/rpc/echo.pb-c.h"

#define ADDRESSES_MAX 4

struct held {
    struct rpc_call *call;
    int64_t due_ms;
    const Retrovue__Test__EchoRequest *request;
    LIST_ENTRY(held) link;
};

struct echo {
    struct rpc_server *server;
    struct rpc_health *health;
    LIST_HEAD(, held) held;
    int64_t done;
};

struct opts {
    struct rpc_server_options server;
    const char *addresses[ADDRESSES_MAX];
    size_t address_count;
    rlim_t nofile;
};

static volatile sig_atomic_t is_turned;

static void answer(struct rpc_call *call,
                   const Retrovue__Test__EchoRequest *request)
{
    Retrovue__Test__EchoResponse response = RETROVUE__TEST__ECHO_RESPONSE__INIT;
    const char *metadata = rpc_call_metadata(call, request->metadata_key);

    if (*request->fail_kind) {
        struct err err = ERR_EMPTY;
        err_set(&err, err_kind_from_name(request->fail_kind), "%s",
                request->text);
        rpc_call_fail(call, &err);
        return;
    }
    response.text = request->text;
    response.data = request->data;
    response.metadata = (char *)(uintptr_t)(metadata ? metadata : "");
    response.remaining_ms = rpc_call_remaining_ms(call);
    rpc_call_reply(call, &response.base);
}

static void on_echo(struct rpc_call *call, const ProtobufCMessage *message,
                    void *user)
{
    struct echo *echo = user;
    const Retrovue__Test__EchoRequest *request =
        (const Retrovue__Test__EchoRequest *)message;

    if (request->wait_ms == 0) {
        answer(call, request);
        return;
    }
    struct held *held = calloc(1, sizeof(*held));
    if (held == NULL)
        abort();
    *held = (struct held){ .call = call,
                           .due_ms = rpc_now_ms() + request->wait_ms,
                           .request = request };
    rpc_call_set_data(call, held);
    LIST_INSERT_HEAD(&echo->held, held, link);
}

static void let_go(struct held *held)
{
    rpc_call_set_data(held->call, NULL);
    LIST_REMOVE(held, link);
    free(held);
}

static void on_done(struct rpc_call *call, void *user)
{
    struct echo *echo = user;

    echo->done++;
    if (rpc_call_data(call) != NULL)
        let_go(rpc_call_data(call));
}

/* Answers what is due; milliseconds until the next one, -1 for never. */
static int answer_held(struct echo *echo)
{
    const int64_t now = rpc_now_ms();
    int64_t next = -1;
    struct held *held = NULL;
    struct held *after = NULL;

    LIST_FOREACH_SAFE(held, &echo->held, link, after)
    {
        if (held->due_ms <= now) {
            struct rpc_call *call = held->call;
            const Retrovue__Test__EchoRequest *request = held->request;
            let_go(held);
            answer(call, request);
        } else if (next < 0 || held->due_ms - now < next) {
            next = held->due_ms - now;
        }
    }
    return (int)next;
}

static int64_t resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void on_stats(struct rpc_call *call, const ProtobufCMessage *message,
                     void *user)
{
    const struct echo *echo = user;
    const struct rpc_server_stats stats = rpc_server_stats(echo->server);
    const struct held *held = NULL;
    Retrovue__Test__StatsResponse response =
        RETROVUE__TEST__STATS_RESPONSE__INIT;

    (void)message;
    response.open_calls = (int64_t)stats.open_calls;
    response.open_connections = (int64_t)stats.open_connections;
    response.inbound_bytes = (int64_t)stats.inbound_bytes;
    response.refused = (int64_t)stats.refused;
    response.calls = (int64_t)stats.calls;
    response.done = echo->done;
    LIST_FOREACH(held, &echo->held, link)
    response.held++;
    response.rss_kb = resident_kb();
    rpc_call_reply(call, &response.base);
}

static void on_repeat(struct rpc_call *call, const ProtobufCMessage *message,
                      void *user)
{
    const Retrovue__Test__EchoRequest *request =
        (const Retrovue__Test__EchoRequest *)message;
    Retrovue__Test__EchoResponse response = RETROVUE__TEST__ECHO_RESPONSE__INIT;

    (void)user;
    response.text = request->text;
    response.data = request->data;
    if (rpc_call_send(call, &response.base) == RPC_FULL)
        rpc_call_fail_status(call, 8, "queue full");
}

static const struct rpc_method METHODS[] = {
    { .name = "/retrovue.test.Echo/Echo",
      .request = &retrovue__test__echo_request__descriptor,
      .response = &retrovue__test__echo_response__descriptor,
      .handle = on_echo,
      .on_done = on_done },
    { .name = "/retrovue.test.Echo/Stats",
      .request = &retrovue__test__stats_request__descriptor,
      .response = &retrovue__test__stats_response__descriptor,
      .handle = on_stats },
    { .name = "/retrovue.test.Echo/Repeat",
      .flags = RPC_CLIENT_STREAMS | RPC_SERVER_STREAMS,
      .request = &retrovue__test__echo_request__descriptor,
      .response = &retrovue__test__echo_response__descriptor,
      .handle = on_repeat },
};

/* --- the program ------------------------------------------------------------
 */

enum {
    KEY_CERT = 256,
    KEY_TLS_KEY,
    KEY_IDLE,
    KEY_FIRST,
    KEY_STALL,
    KEY_NOFILE,
    KEY_INBOUND,
    KEY_CONNECTIONS
};

static const struct argp_option options[] = {
    { "certificate", KEY_CERT, "FILE", 0, "TLS on TCP", 0 },
    { "key", KEY_TLS_KEY, "FILE", 0, "Key of the certificate", 0 },
    { "idle-ms", KEY_IDLE, "N", 0, "Quiet connections go after this", 0 },
    { "first-byte-ms", KEY_FIRST, "N", 0, "Time for the preface", 0 },
    { "stall-ms", KEY_STALL, "N", 0, "Time for who does not read", 0 },
    { "nofile", KEY_NOFILE, "N", 0, "Descriptors allowed", 0 },
    { "inbound", KEY_INBOUND, "BYTES", 0, "Memory of all requests", 0 },
    { "connections", KEY_CONNECTIONS, "N", 0, "Connections allowed", 0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct opts *opts = state->input;

    switch (key) {
    case KEY_CERT:
        opts->server.tls_certificate = arg;
        break;
    case KEY_TLS_KEY:
        opts->server.tls_key = arg;
        break;
    case KEY_IDLE:
        opts->server.idle_ms =
            (unsigned)cli_number(state, "--idle-ms", arg, 1, 1 << 30);
        break;
    case KEY_FIRST:
        opts->server.first_byte_ms =
            (unsigned)cli_number(state, "--first-byte-ms", arg, 1, 1 << 30);
        break;
    case KEY_STALL:
        opts->server.stall_ms =
            (unsigned)cli_number(state, "--stall-ms", arg, 1, 1 << 30);
        break;
    case KEY_NOFILE:
        opts->nofile = (rlim_t)cli_number(state, "--nofile", arg, 8, 4096);
        break;
    case KEY_INBOUND:
        opts->server.max_inbound_bytes =
            (size_t)cli_number(state, "--inbound", arg, 1, 1 << 30);
        break;
    case KEY_CONNECTIONS:
        opts->server.max_connections =
            (unsigned)cli_number(state, "--connections", arg, 1, 4096);
        break;
    case ARGP_KEY_ARG:
        if (opts->address_count == ADDRESSES_MAX)
            argp_error(state, "at most %d addresses", ADDRESSES_MAX);
        opts->addresses[opts->address_count++] = arg;
        break;
    default: /* argp's own keys */
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = { .options = options,
                                  .parser = parse_opt,
                                  .args_doc = "ADDRESS...",
                                  .doc = "Serve the tests' Echo service." };

static void on_usr1(int number)
{
    (void)number;
    is_turned = 1;
}

static int start(struct echo *echo, const struct opts *opts, struct err *err)
{
    char bound[256];

    echo->server = rpc_server_new(&opts->server, err);
    if (echo->server == NULL ||
        rpc_server_add_methods(echo->server, METHODS, 3, echo, err) < 0 ||
        rpc_reflection_add(echo->server, err) < 0)
        return -1;
    echo->health = rpc_health_new(echo->server, err);
    if (echo->health == NULL ||
        rpc_health_set(echo->health, "retrovue.test.Echo", true, err) < 0)
        return -1;
    printf("[");
    for (size_t i = 0; i < opts->address_count; i++) {
        if (rpc_server_listen(echo->server, opts->addresses[i], bound,
                              sizeof(bound), err) < 0)
            return -1;
        printf("%s\"%s\"", i ? "," : "", bound);
    }
    puts("]");
    fflush(stdout);
    return 0;
}

static int serve(struct echo *echo, struct err *err)
{
    bool is_serving = true;
    bool is_ending = false;

    while (!rpc_server_is_drained(echo->server)) {
        const int next = answer_held(echo);
        struct pollfd p = { .fd = rpc_server_fd(echo->server),
                            .events = POLLIN };
        poll(&p, 1, next >= 0 && next < 2000 ? next : 2000);
        if (cli_stopping() && !is_ending) {
            is_ending = true;
            rpc_server_shutdown(echo->server, 2000);
        }
        if (is_turned) {
            is_turned = 0;
            is_serving = !is_serving;
            rpc_health_set(echo->health, "retrovue.test.Echo", is_serving, err);
        }
        if (rpc_server_dispatch(echo->server, err) < 0)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct opts opts = { .server = RPC_SERVER_OPTIONS };
    struct echo echo = { .server = NULL };
    struct err err = ERR_EMPTY;

    cli_start("echo_server", &argp, argc, argv, &opts);
    signal(SIGUSR1, on_usr1);
    if (opts.nofile > 0)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = opts.nofile,
                                                   .rlim_max = opts.nofile });
    int rc = start(&echo, &opts, &err);
    if (rc == 0)
        rc = serve(&echo, &err);
    rpc_server_free(echo.server);
    rpc_health_free(echo.health);
    return cli_finish(rc, &err);
}
