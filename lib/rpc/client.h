/*
 * client: one call with a deadline, blocking.  What a command line needs.
 *
 * Connects, calls, waits, closes: about a millisecond on one machine.  The
 * metadata `playout-api-version` is sent with every call, so that a server of
 * another major version can say so.
 */
#ifndef RV_RPC_CLIENT_H
#define RV_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "err/err.h"

/*
 * Calls `method` ("/package.Service/Method") at `address` ("HOST:PORT",
 * "[IPV6]:PORT" or "unix:PATH") and gives the unpacked response; free it with
 * protobuf_c_message_free_unpacked(response, NULL).  timeout_ms > 0 is for all
 * of it and goes to the server as the call's deadline.
 *
 * Errors: a status of the server becomes its kind (INVALID_ARGUMENT ERR_INPUT,
 * NOT_FOUND ERR_NOT_FOUND, FAILED_PRECONDITION ERR_STATE, RESOURCE_EXHAUSTED
 * ERR_LIMIT, INTERNAL ERR_SYSTEM ...) with the server's sentence unchanged;
 * nobody there, connection lost, or no answer in time is ERR_UNREACHABLE.
 */
int rpc_client_call(const char *address, const char *method,
                    const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response_type,
                    int timeout_ms, ProtobufCMessage **response,
                    struct err *err);

#endif
