/* health: grpc.health.v1.Health; see health.h. */
#include "rpc/health.h"

#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>
#include <bsd/sys/queue.h>

#include "grpc/health/v1/health.pb-c.h"
#include "rpc/wire.h"

#define SERVICES_MAX 32
#define NAME_BYTES   128

struct watcher {
    struct rpc_call *call;
    char name[NAME_BYTES];
    LIST_ENTRY(watcher) link;
};

struct rpc_health {
    struct {
        char name[NAME_BYTES];
        bool is_serving;
    } services[SERVICES_MAX];
    size_t count;
    LIST_HEAD(, watcher) watchers;
};

/* The status of a service, -1 if it is not known. */
static int find(const struct rpc_health *health, const char *name)
{
    for (size_t i = 0; i < health->count; i++) {
        if (strcmp(health->services[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static Grpc__Health__V1__HealthCheckResponse
response_for(const struct rpc_health *health, int i)
{
    Grpc__Health__V1__HealthCheckResponse response =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (i < 0)
        response.status =
            GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    else if (health->services[i].is_serving)
        response.status =
            GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    else
        response.status =
            GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return response;
}

static void check(struct rpc_call *call, const ProtobufCMessage *message,
                  void *user)
{
    const struct rpc_health *health = user;
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;

    const int i = find(health, request->service);
    if (i < 0) {
        rpc_call_fail_status(call, RPC_NOT_FOUND, "no such service");
        return;
    }
    const Grpc__Health__V1__HealthCheckResponse response =
        response_for(health, i);
    rpc_call_reply(call, &response.base);
}

/* A watcher that does not read is ended; it will ask again. */
static void tell(const struct rpc_health *health, const struct watcher *w)
{
    const Grpc__Health__V1__HealthCheckResponse response =
        response_for(health, find(health, w->name));

    if (rpc_call_send(w->call, &response.base) == RPC_FULL)
        rpc_call_fail_status(w->call, RPC_RESOURCE_EXHAUSTED,
                             "the watcher does not read");
}

static void watch(struct rpc_call *call, const ProtobufCMessage *message,
                  void *user)
{
    struct rpc_health *health = user;
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    struct watcher *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        rpc_call_fail_status(call, RPC_INTERNAL, "no memory");
        return;
    }
    if (strlcpy(w->name, request->service, sizeof(w->name)) >=
        sizeof(w->name)) {
        free(w);
        rpc_call_fail_status(call, RPC_INVALID_ARGUMENT,
                             "service: longer than 127 bytes");
        return;
    }
    w->call = call;
    rpc_call_set_data(call, w);
    LIST_INSERT_HEAD(&health->watchers, w, link);
    tell(health, w);
}

static void watch_done(struct rpc_call *call, void *user)
{
    (void)user;
    struct watcher *w = rpc_call_data(call);
    if (w == NULL)
        return;
    LIST_REMOVE(w, link);
    free(w);
}

static const struct rpc_method METHODS[] = {
    { .name = "/grpc.health.v1.Health/Check",
      .request = &grpc__health__v1__health_check_request__descriptor,
      .response = &grpc__health__v1__health_check_response__descriptor,
      .handle = check },
    { .name = "/grpc.health.v1.Health/Watch",
      .flags = RPC_SERVER_STREAMS,
      .request = &grpc__health__v1__health_check_request__descriptor,
      .response = &grpc__health__v1__health_check_response__descriptor,
      .handle = watch,
      .on_done = watch_done },
};

struct rpc_health *rpc_health_new(struct rpc_server *server, struct err *err)
{
    struct rpc_health *health = calloc(1, sizeof(*health));

    if (health == NULL) {
        err_set(err, ERR_SYSTEM, "health service: no memory");
        return NULL;
    }
    LIST_INIT(&health->watchers);
    if (rpc_health_set(health, "", true, err) < 0 ||
        rpc_server_add_methods(server, METHODS, 2, health, err) < 0) {
        free(health);
        return NULL;
    }
    return health;
}

void rpc_health_free(struct rpc_health *health)
{
    free(health);
}

int rpc_health_set(struct rpc_health *health, const char *service,
                   bool is_serving, struct err *err)
{
    const struct watcher *w = NULL;
    int i = find(health, service);

    if (i >= 0 && health->services[i].is_serving == is_serving)
        return 0;
    if (i < 0) {
        if (health->count == SERVICES_MAX || strlen(service) >= NAME_BYTES)
            return err_set(err, ERR_LIMIT,
                           "health service: at most %d names of %d bytes",
                           SERVICES_MAX, NAME_BYTES - 1);
        i = (int)health->count++;
        strlcpy(health->services[i].name, service, NAME_BYTES);
    }
    health->services[i].is_serving = is_serving;
    LIST_FOREACH(w, &health->watchers, link)
    {
        if (strcmp(w->name, service) == 0)
            tell(health, w);
    }
    return 0;
}
