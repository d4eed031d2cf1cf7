/*
 * Server and client of lib/rpc against each other, in one process: the server
 * runs in a thread of its own, the tests are the clients.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "retrovue/playout.pb-c.h"
#include "rpc/client.h"
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "rpc/server.h"

#define START "/retrovue.playout.PlayoutControl/StartChannel"
#define STOP  "/retrovue.playout.PlayoutControl/StopChannel"
#define GET   "/retrovue.playout.PlayoutControl/GetVersion"

static char folder[64];
static char tcp[256];
static char unix_address[256];
static struct rpc_server *server;
static struct rpc_health *health;
static pthread_t thread;
static atomic_bool is_stopping;
static atomic_int done_count;
static struct rpc_call *waiting; /* StopChannel is never answered */

static void start_channel(struct rpc_call *call,
                          const ProtobufCMessage *message, void *user)
{
    const Retrovue__Playout__StartChannelRequest *request =
        (const Retrovue__Playout__StartChannelRequest *)message;
    Retrovue__Playout__StartChannelResponse response =
        RETROVUE__PLAYOUT__START_CHANNEL_RESPONSE__INIT;
    struct err err = ERR_EMPTY;

    (void)user;
    if (request->channel_id <= 0) {
        /* The plan handle names the kind, the format is the sentence. */
        err_set(&err, err_kind_from_name(request->plan_handle), "%s",
                request->program_format_json);
        rpc_call_fail(call, &err);
        rpc_call_fail(call, &err); /* dropped */
        return;
    }
    response.success = 1;
    response.message = request->plan_handle;
    rpc_call_reply(call, &response.base);
}

static void stop_channel(struct rpc_call *call, const ProtobufCMessage *message,
                         void *user)
{
    (void)message;
    (void)user;
    waiting = call;
}

static void get_version(struct rpc_call *call, const ProtobufCMessage *message,
                        void *user)
{
    Retrovue__Playout__ApiVersion response =
        RETROVUE__PLAYOUT__API_VERSION__INIT;

    (void)message;
    (void)user;
    response.version =
        (char *)(uintptr_t)rpc_call_metadata(call, "playout-api-version");
    rpc_call_reply(call, &response.base);
}

static void on_done(struct rpc_call *call, void *user)
{
    (void)user;
    if (call == waiting)
        waiting = NULL;
    atomic_fetch_add(&done_count, 1);
}

static const struct rpc_method METHODS[] = {
    { START, 0, &retrovue__playout__start_channel_request__descriptor,
      &retrovue__playout__start_channel_response__descriptor, start_channel,
      on_done, NULL },
    { STOP, 0, &retrovue__playout__stop_channel_request__descriptor,
      &retrovue__playout__stop_channel_response__descriptor, stop_channel,
      on_done, NULL },
    { GET, 0, &retrovue__playout__api_version_request__descriptor,
      &retrovue__playout__api_version__descriptor, get_version, on_done, NULL },
};

static void *run(void *arg)
{
    struct err err = ERR_EMPTY;

    (void)arg;
    while (!atomic_load(&is_stopping)) {
        struct pollfd p = { .fd = rpc_server_fd(server), .events = POLLIN };
        poll(&p, 1, 10);
        if (rpc_server_dispatch(server, &err) < 0)
            abort();
    }
    return NULL;
}

static int set_up(void **state)
{
    struct err err = ERR_EMPTY;
    char address[128];

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/test_rpc.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof(address), "unix:%s/s", folder);
    server = rpc_server_new(NULL, &err);
    assert_non_null(server);
    assert_int_equal(rpc_server_add_methods(server, METHODS, 3, NULL, &err), 0);
    assert_int_equal(rpc_reflection_add(server, &err), 0);
    health = rpc_health_new(server, &err);
    assert_non_null(health);
    assert_int_equal(
        rpc_server_listen(server, "127.0.0.1:0", tcp, sizeof(tcp), &err), 0);
    assert_int_equal(rpc_server_listen(server, address, unix_address,
                                       sizeof(unix_address), &err),
                     0);
    assert_string_equal(unix_address, address);
    return pthread_create(&thread, NULL, run, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&is_stopping, true);
    pthread_join(thread, NULL);
    rpc_server_free(server);
    rpc_health_free(health);
    return rmdir(folder); /* socket and lock are gone */
}

static int call_start(const char *address, int32_t channel, const char *plan,
                      const char *format, char **message, struct err *err)
{
    Retrovue__Playout__StartChannelRequest request =
        RETROVUE__PLAYOUT__START_CHANNEL_REQUEST__INIT;
    ProtobufCMessage *response = NULL;

    request.channel_id = channel;
    request.plan_handle = (char *)(uintptr_t)plan;
    request.program_format_json = (char *)(uintptr_t)format;
    const int rc =
        rpc_client_call(address, START, &request.base,
                        &retrovue__playout__start_channel_response__descriptor,
                        5000, &response, err);
    if (rc == 0) {
        *message = strdup(
            ((Retrovue__Playout__StartChannelResponse *)response)->message);
        protobuf_c_message_free_unpacked(response, NULL);
    }
    return rc;
}

static void test_call_answers_on_both(void **state)
{
    const char *addresses[] = { tcp, unix_address };

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct err err = ERR_EMPTY;
        char *message = NULL;
        const int before = atomic_load(&done_count);
        if (call_start(addresses[i % 2], 1, "plan \xc3\xa4", "", &message,
                       &err) != 0)
            fail_msg("%s", err.text);
        assert_string_equal(message, "plan \xc3\xa4");
        free(message);
        for (int wait = 0; wait < 500 && atomic_load(&done_count) == before;
             wait++)
            poll(NULL, 0, 1);
        assert_int_equal(atomic_load(&done_count), before + 1);
    }
}

static void test_kinds_come_back(void **state)
{
    static const struct {
        const char *name;
        enum err_kind kind;
    } CASES[] = {
        { "input", ERR_INPUT },         { "usage", ERR_INPUT },
        { "not-found", ERR_NOT_FOUND }, { "state", ERR_STATE },
        { "limit", ERR_LIMIT },         { "unreachable", ERR_UNREACHABLE },
        { "system", ERR_SYSTEM },       { "none", ERR_SYSTEM },
    };
    const char *sentence = "plan /p/\xc3\xa4.json:3: 100% wrong; mend it";

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_EMPTY;
        char *message = NULL;
        assert_int_equal(
            call_start(tcp, 0, CASES[i].name, sentence, &message, &err), -1);
        assert_int_equal(err.kind, CASES[i].kind);
        assert_string_equal(err.text, sentence);
    }
}

static void test_bad_text_is_refused(void **state)
{
    struct err err = ERR_EMPTY;
    char *message = NULL;

    (void)state;
    assert_int_equal(call_start(tcp, 1, "\xff", "", &message, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.text, "field plan_handle: not UTF-8"));
}

static void test_long_sentence_survives(void **state)
{
    struct err err = ERR_EMPTY;
    char sentence[1001];
    char *message = NULL;

    (void)state;
    memset(sentence, '%', 1000); /* three bytes each on the wire */
    sentence[1000] = '\0';
    call_start(tcp, 0, "state", sentence, &message, &err);
    assert_string_equal(err.text, sentence);
}

static int call_empty(const char *address, const char *method, int timeout_ms,
                      ProtobufCMessage **response, struct err *err)
{
    Retrovue__Playout__ApiVersionRequest request =
        RETROVUE__PLAYOUT__API_VERSION_REQUEST__INIT;

    return rpc_client_call(address, method, &request.base,
                           &retrovue__playout__api_version__descriptor,
                           timeout_ms, response, err);
}

static void test_version_is_sent(void **state)
{
    struct err err = ERR_EMPTY;
    ProtobufCMessage *response = NULL;

    (void)state;
    assert_int_equal(call_empty(tcp, GET, 5000, &response, &err), 0);
    assert_string_equal(((Retrovue__Playout__ApiVersion *)response)->version,
                        "1.0.0");
    protobuf_c_message_free_unpacked(response, NULL);
}

static void test_deadline_ends_a_call(void **state)
{
    struct err err = ERR_EMPTY;
    ProtobufCMessage *response = NULL;
    const int before = atomic_load(&done_count);

    (void)state;
    assert_int_equal(call_empty(tcp, STOP, 50, &response, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "no answer in 50 ms"));
    for (int i = 0; i < 500 && atomic_load(&done_count) == before; i++)
        poll(NULL, 0, 10);
    assert_int_equal(atomic_load(&done_count), before + 1);
    assert_null(waiting);
}

static void test_unknown_method(void **state)
{
    struct err err = ERR_EMPTY;
    ProtobufCMessage *response = NULL;

    (void)state;
    assert_int_equal(call_empty(tcp, "/a.B/C", 5000, &response, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    assert_string_equal(err.text, "/a.B/C: no such method");
}

static void test_nobody_there(void **state)
{
    static const char *const ADDRESSES[] = { "unix:/nonexistent/s",
                                             "127.0.0.1:1" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_EMPTY;
        ProtobufCMessage *response = NULL;
        assert_int_equal(call_empty(ADDRESSES[i], GET, 2000, &response, &err),
                         -1);
        assert_int_equal(err.kind, ERR_UNREACHABLE);
        assert_non_null(strstr(err.text, ADDRESSES[i]));
    }
}

static void test_addresses_in_use(void **state)
{
    const char *addresses[] = { tcp, unix_address };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_EMPTY;
        struct rpc_server *second = rpc_server_new(NULL, &err);
        assert_int_equal(rpc_server_listen(second, addresses[i], NULL, 0, &err),
                         -1);
        assert_int_equal(err.kind, ERR_STATE);
        assert_non_null(strstr(err.text, "in use"));
        rpc_server_free(second);
    }
    /* The refused one has taken nothing away. */
    test_call_answers_on_both(state);
}

static void test_bad_addresses(void **state)
{
    static const char *const BAD[] = {
        "",      "localhost", ":1",      "127.0.0.1:",
        "::1:5", "[::1]",     "h:65536", "h:-1",
        "h: 1",  "h:1x",      "unix:",   "127.0.0.1:99999999999999999999",
    };
    struct err err = ERR_EMPTY;
    struct rpc_server *second = rpc_server_new(NULL, &err);
    char path[300];

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        err = ERR_EMPTY;
        assert_int_equal(rpc_server_listen(second, BAD[i], NULL, 0, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
    }
    memset(path, 'a', sizeof(path));
    memcpy(path, "unix:/", 6);
    path[299] = '\0';
    assert_int_equal(rpc_server_listen(second, path, NULL, 0, &err), -1);
    assert_non_null(strstr(err.text, "longer than 107"));
    snprintf(path, sizeof(path), "unix:%s", folder); /* a folder is there */
    assert_int_equal(rpc_server_listen(second, path, NULL, 0, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.text, "something else is there"));
    rpc_server_free(second);
}

static void test_stale_socket_is_replaced(void **state)
{
    struct err err = ERR_EMPTY;
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    char address[256];
    struct stat st;

    (void)state;
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/stale", folder);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    close(fd);
    struct rpc_server *second = rpc_server_new(NULL, &err);
    snprintf(address, sizeof(address), "unix:%s", name.sun_path);
    assert_int_equal(rpc_server_listen(second, address, NULL, 0, &err), 0);
    assert_int_equal(stat(name.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700 & st.st_mode & 0777);
    rpc_server_free(second);
    assert_int_equal(stat(name.sun_path, &st), -1);
}

static void test_listeners_can_be_passed(void **state)
{
    struct err err = ERR_EMPTY;
    struct rpc_listener listeners[4];
    char address[256];
    struct rpc_server *second = rpc_server_new(NULL, &err);
    struct rpc_server *third = rpc_server_new(NULL, &err);

    (void)state;
    snprintf(address, sizeof(address), "unix:%s/p", folder);
    assert_int_equal(rpc_server_listen(second, "[::1]:0", NULL, 0, &err), 0);
    assert_int_equal(rpc_server_listen(second, address, NULL, 0, &err), 0);
    assert_int_equal(rpc_server_listeners(second, listeners, 4), 2);
    assert_int_equal(strncmp(listeners[0].address, "[::1]:", 6), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(rpc_server_add_listener(
                             third, dup(listeners[i].fd),
                             i == 1 ? dup(listeners[i].lock_fd) : -1, &err),
                         0);
    assert_int_equal(rpc_server_listeners(third, listeners, 4), 2);
    assert_string_equal(listeners[1].address, address);
    rpc_server_free(second);
    rpc_server_free(third);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    third = rpc_server_new(NULL, &err);
    assert_int_equal(rpc_server_add_listener(third, fd, -1, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    rpc_server_free(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_answers_on_both),
        cmocka_unit_test(test_kinds_come_back),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_long_sentence_survives),
        cmocka_unit_test(test_version_is_sent),
        cmocka_unit_test(test_deadline_ends_a_call),
        cmocka_unit_test(test_unknown_method),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_addresses_in_use),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_listeners_can_be_passed),
    };

    return cmocka_run_group_tests_name("rpc_call", tests, set_up, tear_down);
}
