/*
 * health: the standard grpc.health.v1.Health service, Check and Watch.
 *
 * The names "" (the whole server) and those set here are known; Check of
 * another is NOT_FOUND, Watch of it says SERVICE_UNKNOWN until it is set.
 */
#ifndef RV_RPC_HEALTH_H
#define RV_RPC_HEALTH_H

#include <stdbool.h>

#include "rpc/server.h"

struct rpc_health;

/*
 * Adds the service to a server; "" is serving.  Free it after the server.
 * NULL with ERR_SYSTEM.
 */
struct rpc_health *rpc_health_new(struct rpc_server *server, struct err *err);
void rpc_health_free(struct rpc_health *health);

/* Sets a service's health and tells who watches.  ERR_LIMIT: 32 names. */
int rpc_health_set(struct rpc_health *health, const char *service,
                   bool is_serving, struct err *err);

#endif
