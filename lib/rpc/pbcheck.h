/*
 * pbcheck: a look at a packed message before protobuf-c unpacks it.
 *
 * protobuf-c does not check that proto3 strings are UTF-8, cuts them at an
 * embedded NUL, has no limit on depth (its own stack overflows) and allocates
 * whatever the bytes ask for.  So a message goes through here first.
 */
#ifndef RV_RPC_PBCHECK_H
#define RV_RPC_PBCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "err/err.h"

#define PBCHECK_DEPTH          32   /* messages in messages */
#define PBCHECK_REQUEST_FIELDS 4096 /* about 400 KB once unpacked */
#define PBCHECK_REPLY_FIELDS   1000000

/*
 * ERR_INPUT names the field that is wrong, ERR_LIMIT what is too much.  A
 * message that passes is whole: protobuf-c refuses it only for types that do
 * not fit their fields.
 */
int pbcheck(const ProtobufCMessageDescriptor *type, const uint8_t *data,
            size_t size, size_t max_fields, struct err *err);

/* pbcheck() and unpack; NULL on error.  Gives the message. */
ProtobufCMessage *pbcheck_unpack(const ProtobufCMessageDescriptor *type,
                                 const uint8_t *data, size_t size,
                                 size_t max_fields, struct err *err);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool pbcheck_is_utf8(const uint8_t *text, size_t size);

#endif
