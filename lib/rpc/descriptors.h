/*
 * descriptors: the FileDescriptorSet of proto/, compiled in, and where things
 * are in it.  Read once, kept for the process.
 */
#ifndef RV_RPC_DESCRIPTORS_H
#define RV_RPC_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

#include "google/protobuf/descriptor.pb-c.h"

struct rpc_file {
    const uint8_t *data; /* packed FileDescriptorProto, lent for ever */
    size_t size;
    const Google__Protobuf__FileDescriptorProto *proto;
};

/* All files, dependencies too; NULL and 0 when memory is short. */
const struct rpc_file *rpc_files(size_t *count);

#endif
