/* pbcheck: walks a packed message along its descriptor; see pbcheck.h. */
#include "rpc/pbcheck.h"

#include <string.h>

struct walk {
    size_t fields_left;
    struct err *err;
};

bool pbcheck_is_utf8(const uint8_t *text, size_t size)
{
    size_t i = 0;

    while (i < size) {
        const uint8_t c = text[i++];
        size_t more = 0;
        uint32_t low = 0;
        uint32_t code = c;
        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
            code = c & 0x1f;
            low = 0x80;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            code = c & 0x0f;
            low = 0x800;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            code = c & 0x07;
            low = 0x10000;
        } else {
            return false;
        }
        if (size - i < more)
            return false;
        for (; more > 0; more--, i++) {
            if ((text[i] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (text[i] & 0x3f);
        }
        if (code < low || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
    }
    return true;
}

/* Reads a varint of at most 10 bytes; gives its size, 0 if it is none. */
static size_t read_varint(const uint8_t *data, size_t size, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < size && i < 10; i++) {
        *value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if ((data[i] & 0x80) == 0)
            return i + 1;
    }
    return 0;
}

/* Counts the elements of a packed repeated field, each costs memory. */
static int check_packed(struct walk *walk, const char *name, size_t size)
{
    if (size > walk->fields_left)
        return err_set(walk->err, ERR_LIMIT, "field %s: too many elements",
                       name);
    walk->fields_left -= size;
    return 0;
}

static int walk_message(struct walk *walk,
                        const ProtobufCMessageDescriptor *type,
                        const uint8_t *data, size_t size, unsigned depth);

static int check_bytes(struct walk *walk, const ProtobufCFieldDescriptor *field,
                       const uint8_t *data, size_t size, unsigned depth)
{
    if (field == NULL)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (memchr(data, 0, size) != NULL)
            return err_set(walk->err, ERR_INPUT,
                           "field %s: holds a NUL character; remove it",
                           field->name);
        if (!pbcheck_is_utf8(data, size))
            return err_set(walk->err, ERR_INPUT,
                           "field %s: not UTF-8; encode it as UTF-8",
                           field->name);
        return 0;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk_message(walk, field->descriptor, data, size, depth + 1);
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return check_packed(walk, field->name, size);
    return 0;
}

/* Size of the value that follows a tag, 0 with `err` set if it is not whole. */
static size_t value_size(struct walk *walk, unsigned wire,
                         const ProtobufCMessageDescriptor *type,
                         const uint8_t *data, size_t size, size_t *header)
{
    uint64_t value = 0;
    size_t bytes = 0;

    *header = 0;
    switch (wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        bytes = read_varint(data, size, &value);
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        bytes = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        *header = read_varint(data, size, &value);
        if (*header > 0 && value <= size - *header)
            bytes = *header + (size_t)value;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        bytes = 4;
        break;
    }
    if (bytes == 0 || bytes > size) {
        err_set(walk->err, ERR_INPUT, "%s: not a valid message",
                type->short_name);
        return 0;
    }
    return bytes;
}

static int walk_message(struct walk *walk,
                        const ProtobufCMessageDescriptor *type,
                        const uint8_t *data, size_t size, unsigned depth)
{
    if (depth > PBCHECK_DEPTH)
        return err_set(walk->err, ERR_LIMIT,
                       "%s: messages nested deeper than %d", type->short_name,
                       PBCHECK_DEPTH);
    while (size > 0) {
        uint64_t tag = 0;
        const size_t tag_bytes = read_varint(data, size, &tag);
        if (tag_bytes == 0 || tag_bytes > 5 || tag >> 3 == 0 ||
            tag > UINT32_MAX)
            return err_set(walk->err, ERR_INPUT, "%s: not a valid message",
                           type->short_name);
        if (walk->fields_left-- == 0) {
            walk->fields_left = 0;
            return err_set(walk->err, ERR_LIMIT, "%s: too many fields",
                           type->short_name);
        }
        data += tag_bytes;
        size -= tag_bytes;
        size_t header = 0;
        const size_t bytes =
            value_size(walk, tag & 7, type, data, size, &header);
        if (bytes == 0)
            return -1;
        if ((tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
            check_bytes(walk,
                        protobuf_c_message_descriptor_get_field(
                            type, (unsigned)(tag >> 3)),
                        data + header, bytes - header, depth) < 0)
            return -1;
        data += bytes;
        size -= bytes;
    }
    return 0;
}

int pbcheck(const ProtobufCMessageDescriptor *type, const uint8_t *data,
            size_t size, size_t max_fields, struct err *err)
{
    struct walk walk = { .fields_left = max_fields, .err = err };

    return walk_message(&walk, type, data, size, 1);
}

ProtobufCMessage *pbcheck_unpack(const ProtobufCMessageDescriptor *type,
                                 const uint8_t *data, size_t size,
                                 size_t max_fields, struct err *err)
{
    if (pbcheck(type, data, size, max_fields, err) < 0)
        return NULL;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, size, data);
    if (message == NULL)
        err_set(err, ERR_INPUT, "%s: a field has the wrong type",
                type->short_name);
    return message;
}
