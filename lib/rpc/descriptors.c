/*
 * descriptors: reads the compiled-in FileDescriptorSet.
 *
 * Its files are sliced by hand (field 1, length-delimited) so that reflection
 * gives out exactly protoc's bytes.  protobuf-c has no symbols for file
 * options; an extension stays among the unknown fields of FileOptions, and
 * that is where the API version is read from.
 */
#include "rpc/descriptors.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/reflection.h"

#define FILES_MAX      16
#define VERSION_OPTION 50000 /* proto/retrovue/playout.proto */
#define VERSION_FILE   "retrovue/playout.proto"

extern const unsigned char rpc_descriptor_set[];
extern const size_t rpc_descriptor_set_size;

static struct rpc_file files[FILES_MAX];
static size_t file_count;

/* A varint of our own compiled-in data: no bounds needed but the end. */
static const uint8_t *varint(const uint8_t *p, const uint8_t *end,
                             size_t *value)
{
    *value = 0;
    for (unsigned shift = 0; p < end && shift < 35; shift += 7) {
        *value |= (size_t)(*p & 0x7f) << shift;
        if ((*p++ & 0x80) == 0)
            break;
    }
    return p;
}

static void read_files(void)
{
    const uint8_t *p = rpc_descriptor_set;
    const uint8_t *end = p + rpc_descriptor_set_size;

    while (p < end && *p == 0x0a && file_count < FILES_MAX) {
        struct rpc_file *file = &files[file_count];
        p = varint(p + 1, end, &file->size);
        file->data = p;
        p += file->size;
        file->proto = google__protobuf__file_descriptor_proto__unpack(
            NULL, file->size, file->data);
        if (file->proto != NULL)
            file_count++;
    }
}

static void free_files(void)
{
    while (file_count > 0) {
        file_count--;
        protobuf_c_message_free_unpacked(
            (ProtobufCMessage *)(uintptr_t)files[file_count].proto, NULL);
    }
}

const struct rpc_file *rpc_files(size_t *count)
{
    if (file_count == 0) {
        read_files();
        atexit(free_files);
    }
    *count = file_count;
    return files;
}

/* The value of a string option that protobuf-c did not know. */
static void copy_option(const Google__Protobuf__FileOptions *options,
                        unsigned tag, char *text, size_t size)
{
    for (unsigned i = 0; options && i < options->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f =
            &options->base.unknown_fields[i];
        size_t len = 0;
        if (f->tag != tag || f->len == 0)
            continue;
        const uint8_t *value = varint(f->data, f->data + f->len, &len);
        if (len < size && value + len <= f->data + f->len) {
            memcpy(text, value, len);
            text[len] = '\0';
        }
    }
}

const char *rpc_api_version(void)
{
    static char version[32];
    size_t count = 0;

    if (version[0] != '\0')
        return version;
    const struct rpc_file *file = rpc_files(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(file[i].proto->name, VERSION_FILE) == 0)
            copy_option(file[i].proto->options, VERSION_OPTION, version,
                        sizeof(version));
    }
    return version;
}
