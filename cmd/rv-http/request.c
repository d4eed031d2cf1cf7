/*
 * request: what a client says, taken in piece by piece.  Parsing is
 * libhttp-parser's; here are the bounds.  Only the request line counts, no
 * header of ours is asked for.
 */
#include <bsd/string.h>
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

struct request {
    http_parser parser;
    size_t taken; /* bytes of the header */
    size_t url_size;
    bool is_url_too_long;
    bool is_whole;
    char url[HTTP_PATH_SIZE * 2];
    char path[HTTP_PATH_SIZE];
};

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct request *request = parser->data;

    if (length >= sizeof(request->url) - request->url_size) {
        request->is_url_too_long = true;
        return -1;
    }
    memcpy(request->url + request->url_size, at, length);
    request->url_size += length;
    request->url[request->url_size] = '\0';
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct request *request = parser->data;

    request->is_whole = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_headers_complete = on_headers_complete,
};

struct request *request_new(void)
{
    struct request *request = calloc(1, sizeof(*request));

    if (request != NULL) {
        http_parser_init(&request->parser, HTTP_REQUEST);
        request->parser.data = request;
    }
    return request;
}

void request_free(struct request *request)
{
    free(request);
}

static enum request_result find_path(struct request *request, const char **why)
{
    struct http_parser_url url;

    http_parser_url_init(&url);
    *why = "the address in the request is none; ask for a path like "
           "/channel/1.ts";
    if (http_parser_parse_url(request->url, request->url_size, 0, &url) != 0 ||
        (url.field_set & (1 << UF_PATH)) == 0 ||
        url.field_data[UF_PATH].len >= sizeof(request->path))
        return REQUEST_WRONG;
    memcpy(request->path, request->url + url.field_data[UF_PATH].off,
           url.field_data[UF_PATH].len);
    request->path[url.field_data[UF_PATH].len] = '\0';
    return REQUEST_WHOLE;
}

enum request_result request_feed(struct request *request, const char *bytes,
                                 size_t size, int *status, const char **why)
{
    *status = 400;
    const size_t parsed =
        http_parser_execute(&request->parser, &settings, bytes, size);
    request->taken += parsed;
    if (request->is_url_too_long) {
        *status = 414;
        *why = "the address in the request is too long; ask for a path like "
               "/channel/1.ts";
        return REQUEST_WRONG;
    }
    if (request->taken > HTTP_HEADER_MAX) {
        *status = 431;
        *why = "the request's header is longer than 8192 bytes; send fewer "
               "fields";
        return REQUEST_WRONG;
    }
    if (request->is_whole) {
        if (request->parser.method == HTTP_CONNECT) {
            *why = "this is no proxy; ask for a path like /channel/1.ts";
            return REQUEST_WRONG;
        }
        return find_path(request, why);
    }
    if (HTTP_PARSER_ERRNO(&request->parser) != HPE_OK || parsed != size) {
        *why = "this is no HTTP/1 request; send GET /channel/1.ts HTTP/1.1";
        return REQUEST_WRONG;
    }
    return REQUEST_MORE;
}

bool request_is_head(const struct request *request)
{
    return request->parser.method == HTTP_HEAD;
}

bool request_is_get(const struct request *request)
{
    return request->parser.method == HTTP_GET;
}

const char *request_path(const struct request *request)
{
    return request->path;
}

int32_t request_channel(const struct request *request)
{
    static const char before[] = "/channel/";
    const char *at = request->path;
    int64_t id = 0;

    if (strncmp(at, before, sizeof(before) - 1) != 0)
        return 0;
    at += sizeof(before) - 1;
    if (*at == '0')
        return 0;
    for (; *at >= '0' && *at <= '9' && id <= INT32_MAX; at++)
        id = id * 10 + (*at - '0');
    if (strcmp(at, ".ts") != 0 || id > INT32_MAX)
        return 0;
    return (int32_t)id;
}
