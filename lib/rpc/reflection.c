/*
 * reflection: one implementation under two names; the messages of v1 and
 * v1alpha are the same on the wire.  See reflection.h.
 *
 * A question that has no answer is an ErrorResponse in the stream, not the
 * end of it.
 */
#include "rpc/reflection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/descriptors.h"
#include "rpc/server_impl.h"

#define FILES_MAX    16
#define SERVICES_MAX 16

/*
 * What stands behind a name in a dotted symbol: "" if the symbol is the name,
 * NULL if it is something else.
 */
static const char *below(const char *symbol, const char *name)
{
    const size_t len = strlen(name);

    if (strncmp(symbol, name, len) != 0)
        return NULL;
    if (symbol[len] == '\0')
        return symbol + len;
    return symbol[len] == '.' ? symbol + len + 1 : NULL;
}

static bool in_enum(const Google__Protobuf__EnumDescriptorProto *e,
                    const char *symbol)
{
    const char *rest = below(symbol, e->name);

    return rest != NULL && *rest == '\0';
}

static bool in_message(const Google__Protobuf__DescriptorProto *m,
                       const char *symbol)
{
    const char *rest = below(symbol, m->name);

    if (rest == NULL)
        return false;
    if (*rest == '\0')
        return true;
    for (size_t i = 0; i < m->n_field; i++) {
        if (strcmp(m->field[i]->name, rest) == 0)
            return true;
    }
    for (size_t i = 0; i < m->n_enum_type; i++) {
        if (in_enum(m->enum_type[i], rest))
            return true;
    }
    for (size_t i = 0; i < m->n_nested_type; i++) {
        if (in_message(m->nested_type[i], rest))
            return true;
    }
    return false;
}

static bool in_service(const Google__Protobuf__ServiceDescriptorProto *s,
                       const char *symbol)
{
    const char *rest = below(symbol, s->name);

    if (rest == NULL)
        return false;
    for (size_t i = 0; i < s->n_method && *rest; i++) {
        if (strcmp(s->method[i]->name, rest) == 0)
            return true;
    }
    return *rest == '\0';
}

static bool in_file(const struct rpc_file *file, const char *symbol)
{
    const Google__Protobuf__FileDescriptorProto *f = file->proto;
    const char *rest = below(symbol, f->package);

    if (rest == NULL || *rest == '\0')
        return false;
    for (size_t i = 0; i < f->n_message_type; i++) {
        if (in_message(f->message_type[i], rest))
            return true;
    }
    for (size_t i = 0; i < f->n_enum_type; i++) {
        if (in_enum(f->enum_type[i], rest))
            return true;
    }
    for (size_t i = 0; i < f->n_service; i++) {
        if (in_service(f->service[i], rest))
            return true;
    }
    for (size_t i = 0; i < f->n_extension; i++) {
        if (strcmp(f->extension[i]->name, rest) == 0)
            return true;
    }
    return false;
}

static bool extends(const struct rpc_file *file, const char *type, int number)
{
    const Google__Protobuf__FileDescriptorProto *f = file->proto;

    for (size_t i = 0; i < f->n_extension; i++) {
        /* ".google.protobuf.FileOptions" */
        const char *extendee = f->extension[i]->extendee;
        if (strcmp(extendee + (extendee[0] == '.'), type) == 0 &&
            (number == 0 || f->extension[i]->number == number))
            return true;
    }
    return false;
}

/* --- answers ----------------------------------------------------------------
 */

/* The three kinds of answer, with room for what they point at. */
struct answer {
    Grpc__Reflection__V1__ServerReflectionResponse response;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    Grpc__Reflection__V1__ExtensionNumberResponse numbers;
    Grpc__Reflection__V1__ListServiceResponse list;
    Grpc__Reflection__V1__ErrorResponse error;
    ProtobufCBinaryData data[FILES_MAX];
    int32_t extension[FILES_MAX];
    Grpc__Reflection__V1__ServiceResponse services[SERVICES_MAX];
    Grpc__Reflection__V1__ServiceResponse *service_list[SERVICES_MAX];
    char names[SERVICES_MAX][128];
};

static void answer_error(struct answer *a, int status, const char *text)
{
    grpc__reflection__v1__error_response__init(&a->error);
    a->error.error_code = status;
    a->error.error_message = (char *)(uintptr_t)text;
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    a->response.error_response = &a->error;
}

/* Adds a file and, behind it, what it imports; each once. */
static void add_file(struct answer *a, const struct rpc_file *files,
                     size_t count, const struct rpc_file *file)
{
    for (size_t i = 0; i < a->files.n_file_descriptor_proto; i++) {
        if (a->data[i].data == file->data)
            return;
    }
    if (a->files.n_file_descriptor_proto == FILES_MAX)
        return;
    a->data[a->files.n_file_descriptor_proto++] =
        (ProtobufCBinaryData){ .len = file->size,
                               .data = (uint8_t *)(uintptr_t)file->data };
    for (size_t d = 0; d < file->proto->n_dependency; d++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(files[i].proto->name, file->proto->dependency[d]) == 0)
                add_file(a, files, count, &files[i]);
        }
    }
}

/* The first file that fits, by name, symbol or extension. */
static void
answer_file(struct answer *a,
            const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    size_t count = 0;
    const struct rpc_file *files = rpc_files(&count);
    const Grpc__Reflection__V1__ExtensionRequest *extension = NULL;

    if (request->message_request_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION)
        extension = request->file_containing_extension;
    for (size_t i = 0; i < count; i++) {
        bool fits = false;
        if (extension != NULL)
            fits = extension->extension_number > 0 &&
                   extends(&files[i], extension->containing_type,
                           extension->extension_number);
        else if (
            request->message_request_case ==
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME)
            fits = strcmp(files[i].proto->name, request->file_by_filename) == 0;
        else
            fits = in_file(&files[i], request->file_containing_symbol);
        if (!fits)
            continue;
        grpc__reflection__v1__file_descriptor_response__init(&a->files);
        a->files.file_descriptor_proto = a->data;
        add_file(a, files, count, &files[i]);
        a->response.message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
        a->response.file_descriptor_response = &a->files;
        return;
    }
    answer_error(a, RPC_NOT_FOUND, "nothing of that name");
}

static void answer_numbers(struct answer *a, const char *type)
{
    size_t count = 0;
    const struct rpc_file *files = rpc_files(&count);

    grpc__reflection__v1__extension_number_response__init(&a->numbers);
    a->numbers.base_type_name = (char *)(uintptr_t)type;
    a->numbers.extension_number = a->extension;
    for (size_t i = 0; i < count; i++) {
        const Google__Protobuf__FileDescriptorProto *f = files[i].proto;
        for (size_t e = 0; e < f->n_extension; e++) {
            if (extends(&files[i], type, f->extension[e]->number) &&
                a->numbers.n_extension_number < FILES_MAX)
                a->extension[a->numbers.n_extension_number++] =
                    f->extension[e]->number;
        }
    }
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    a->response.all_extension_numbers_response = &a->numbers;
}

/* The services of the methods that the server has. */
static void answer_services(struct answer *a, const struct rpc_server *server)
{
    grpc__reflection__v1__list_service_response__init(&a->list);
    a->list.service = a->service_list;
    for (size_t i = 0; i < server->route_count; i++) {
        const char *name = server->routes[i].method->name + 1;
        const size_t n = a->list.n_service;
        const int len = (int)strcspn(name, "/");
        if (n == SERVICES_MAX)
            break;
        if (n > 0 && strncmp(a->names[n - 1], name, (size_t)len) == 0 &&
            a->names[n - 1][len] == '\0')
            continue; /* rows of one service stand together */
        snprintf(a->names[n], sizeof(a->names[n]), "%.*s", len, name);
        grpc__reflection__v1__service_response__init(&a->services[n]);
        a->services[n].name = a->names[n];
        a->service_list[n] = &a->services[n];
        a->list.n_service++;
    }
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    a->response.list_services_response = &a->list;
}

static void info(struct rpc_call *call, const ProtobufCMessage *message,
                 void *user)
{
    Grpc__Reflection__V1__ServerReflectionRequest *request =
        (Grpc__Reflection__V1__ServerReflectionRequest *)(uintptr_t)message;
    struct answer a;

    grpc__reflection__v1__server_reflection_response__init(&a.response);
    a.response.valid_host = request->host;
    a.response.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        answer_file(&a, request);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        answer_numbers(&a, request->all_extension_numbers_of_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(&a, user);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
    default: /* protobuf-c's own size marker of the enum */
        answer_error(&a, RPC_INVALID_ARGUMENT, "the request asks for nothing");
        break;
    }
    if (rpc_call_send(call, &a.response.base) == RPC_FULL)
        rpc_call_fail_status(call, RPC_RESOURCE_EXHAUSTED,
                             "too many questions without reading the answers");
}

#define INFO(package)                                                          \
    {                                                                          \
        .name = "/" package ".ServerReflection/ServerReflectionInfo",          \
        .flags = RPC_CLIENT_STREAMS | RPC_SERVER_STREAMS,                      \
        .request =                                                             \
            &grpc__reflection__v1__server_reflection_request__descriptor,      \
        .response =                                                            \
            &grpc__reflection__v1__server_reflection_response__descriptor,     \
        .handle = info                                                         \
    }

static const struct rpc_method METHODS[] = {
    INFO("grpc.reflection.v1"),
    INFO("grpc.reflection.v1alpha"),
};

int rpc_reflection_add(struct rpc_server *server, struct err *err)
{
    size_t count = 0;

    rpc_files(&count);
    if (count == 0)
        return err_set(err, ERR_SYSTEM, "reflection: no memory");
    return rpc_server_add_methods(server, METHODS, 2, server, err);
}
