/*
 * reflection: the standard server reflection service, v1 and v1alpha.
 *
 * Answers from the FileDescriptorSet that protoc made of proto/ and the
 * Makefile compiled in; so grpcurl and its kind need no .proto file.
 */
#ifndef RV_RPC_REFLECTION_H
#define RV_RPC_REFLECTION_H

#include "rpc/server.h"

/* Adds the service to a server.  ERR_SYSTEM. */
int rpc_reflection_add(struct rpc_server *server, struct err *err);

/*
 * The string of PLAYOUT_API_VERSION in proto/retrovue/playout.proto, e.g.
 * "1.0.0", read once out of the compiled file; "" if it is not there (a test
 * makes sure that it is).  Lent for ever.
 */
const char *rpc_api_version(void);

#endif
