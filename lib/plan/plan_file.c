/*
 * plan_file: a plan from a file, whatever of the three kinds it is.
 *
 *   first character {        a JSON plan (and anything named *.json)
 *   text                     a list of files, one a line, # for comments
 *   anything else, URLs      one media file
 *
 * A file is read once and as a whole; what is no regular file is refused, so
 * that a pipe given as a plan cannot hold anybody up.
 */
#include "plan/plan_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/string.h>

#define SNIFF_BYTES 4096

enum kind { KIND_JSON, KIND_LIST, KIND_MEDIA };

/* RFC 3629: shortest form only, no surrogates, up to U+10FFFF. */
bool plan_is_utf8(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; i < length;) {
        const unsigned char c = s[i];
        const size_t more = c < 0x80                ? 0
                            : c >= 0xc2 && c < 0xe0 ? 1
                            : c >= 0xe0 && c < 0xf0 ? 2
                            : c >= 0xf0 && c < 0xf5 ? 3
                                                    : 9;
        if (more == 9 || more >= length - i)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        }
        const unsigned char second = more > 0 ? s[i + 1] : 0;
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
            (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

static bool has_suffix(const char *path, const char *suffix)
{
    const size_t length = strlen(path), end = strlen(suffix);

    return length >= end && strcasecmp(path + length - end, suffix) == 0;
}

static size_t bom_length(const char *text, size_t length)
{
    return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static enum kind kind_of(const char *path, const char *text, size_t length)
{
    const size_t end = length < SNIFF_BYTES ? length : SNIFF_BYTES;

    size_t i = bom_length(text, length);
    while (i < end && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
        i++;
    if ((i < end && text[i] == '{') || has_suffix(path, ".json"))
        return KIND_JSON;
    if (has_suffix(path, ".txt") || has_suffix(path, ".list") || end == 0)
        return KIND_LIST;
    /* An HLS playlist is text too, but libavformat's. */
    if (memmem(text, end, "#EXT-X-", 7) != NULL)
        return KIND_MEDIA;
    for (i = 0; i < end; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && strchr("\t\r\n\f\v", c) == NULL) || c == '\0' ||
            c == 0x7f)
            return KIND_MEDIA;
    }
    return KIND_LIST;
}

bool plan_reserve(struct plan *plan, int count, struct plan_report *report)
{
    plan->segment =
        calloc(count > 0 ? (size_t)count : 1, sizeof(*plan->segment));
    if (plan->segment == NULL) {
        report->is_out_of_memory = true;
        return false;
    }
    plan->count = count;
    for (int i = 0; i < count; i++) {
        struct plan_segment *s = &plan->segment[i];
        s->segment = SEGMENT_EMPTY;
        snprintf(s->segment.id, sizeof(s->segment.id), "#%d", i + 1);
        s->in.seconds = s->duration.seconds = (struct rational){ 0, 1 };
        s->fade_in.seconds = s->fade_out.seconds = (struct rational){ 0, 1 };
    }
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* RFC 8089: file:///path or file://localhost/path, %XX decoded. */
int plan_uri_path(char *path, size_t size, const char *uri, struct err *err)
{
    const char *from = uri + strlen("file://");
    size_t used = 0;

    if (strncasecmp(from, "localhost/", 10) == 0)
        from += 9;
    if (*from != '/')
        return err_set(err, ERR_INPUT,
                       "'%.200s' names another host; give file:///PATH", uri);
    for (; *from != '\0'; from++) {
        char c = *from;
        if (c == '%') {
            const int high = hex_digit(from[1]);
            const int low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || high * 16 + low == 0)
                return err_set(
                    err, ERR_INPUT,
                    "'%.200s' has a wrong %%XX; give two hexadecimal digits behind %%",
                    uri);
            c = (char)(high * 16 + low);
            from += 2;
        }
        if (used + 1 >= size)
            return err_set(err, ERR_INPUT,
                           "'%.80s...' is too long; at most %zu bytes", uri,
                           size - 1);
        path[used++] = c;
    }
    path[used] = '\0';
    return 0;
}

/* Behind the folder of the plan, unless it is absolute already. */
void plan_set_asset(struct plan *plan, int index, const char *asset, int line,
                    const char *field, struct plan_report *report)
{
    char *out = plan->segment[index].segment.asset;
    const size_t size = sizeof(plan->segment[index].segment.asset);
    struct err err = ERR_EMPTY;
    size_t needed;

    if (asset[0] == '\0' || strcmp(asset, "-") == 0) {
        plan_report(report, false, line, field,
                    "'%s' is no file; give a path or a URL", asset);
        return;
    }
    if (strncasecmp(asset, "file://", 7) == 0) {
        if (plan_uri_path(out, size, asset, &err) < 0) {
            out[0] = '\0';
            plan_report(report, false, line, field, "%s", err.text);
        } else if (!plan_is_utf8(out, strlen(out))) {
            out[0] = '\0';
            plan_report(report, false, line, field,
                        "is not UTF-8 when its %%XX are decoded");
        }
        return;
    }
    if (asset[0] == '/' || segment_asset_is_url(asset)) {
        needed = strlcpy(out, asset, size);
    } else {
        while (strncmp(asset, "./", 2) == 0)
            asset += 2;
        const char *slash = strrchr(plan->path, '/');
        const int folder = slash ? (int)(slash - plan->path) : 0;
        needed =
            (size_t)snprintf(out, size, "%.*s/%s", folder, plan->path, asset);
    }
    if (needed >= size) {
        out[0] = '\0';
        plan_report(
            report, false, line, field,
            "is %zu bytes long as an absolute path; at most %zu are allowed",
            needed, size - 1);
    }
}

/* One line of a list, without white space around it; false at the end. */
static bool next_line(const char **at, const char *end, const char **line,
                      size_t *length)
{
    if (*at >= end)
        return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    if (stop == NULL)
        stop = end;
    *line = *at;
    *at = stop < end ? stop + 1 : end;
    while (stop > *line && strchr(" \t\r", stop[-1]) != NULL &&
           stop[-1] != '\0')
        stop--;
    while (*line < stop && (**line == ' ' || **line == '\t'))
        (*line)++;
    *length = (size_t)(stop - *line);
    return true;
}

static void read_list_line(struct plan *plan, const char *line, size_t length,
                           int number, struct plan_report *report)
{
    char asset[SEGMENT_ASSET_SIZE];

    const int index = plan->count++;
    plan->segment[index].line = number;
    if (length >= sizeof(asset)) {
        plan_report(report, false, number, "",
                    "is %zu bytes long; at most %zu are allowed", length,
                    sizeof(asset) - 1);
        return;
    }
    memcpy(asset, line, length);
    asset[length] = '\0';
    if (strlen(asset) != length || !plan_is_utf8(asset, length))
        plan_report(report, false, number, "",
                    "is not UTF-8; give one path a line");
    else
        plan_set_asset(plan, index, asset, number, "", report);
}

void plan_read_list(struct plan *plan, const char *text, size_t length,
                    struct plan_report *report)
{
    const char *at = text, *end = text + length, *line;
    size_t bytes;
    int count = 0;

    while (next_line(&at, end, &line, &bytes))
        count += bytes > 0 && *line != '#';
    if (count > PLAN_SEGMENTS_MAX || count == 0) {
        plan_report(report, false, 0, "", "%s",
                    count ? "has more than 100000 files; split the list"
                          : "names no file; give one path a line");
        return;
    }
    if (!plan_reserve(plan, count, report))
        return;
    plan->count = 0;
    at = text;
    for (int number = 1; next_line(&at, end, &line, &bytes); number++) {
        if (bytes > 0 && *line != '#')
            read_list_line(plan, line, bytes, number, report);
    }
}

static void read_media(struct plan *plan, struct plan_report *report)
{
    if (!plan_reserve(plan, 1, report))
        return;
    if (plan_is_utf8(plan->path, strlen(plan->path)))
        plan_set_asset(plan, 0, plan->path, 0, "", report);
    else
        plan_report(report, false, 0, "", "its name is not UTF-8; rename it");
}

/* Reads `text` as `kind` and closes the books. */
static int read_as(struct plan *plan, enum kind kind, const char *text,
                   size_t length, struct plan_problems *problems,
                   struct err *err)
{
    struct plan_problems own = PLAN_PROBLEMS_EMPTY;
    struct plan_report report = { .problems = problems ? problems : &own };
    const size_t bom = kind == KIND_MEDIA ? 0 : bom_length(text, length);

    *report.problems = PLAN_PROBLEMS_EMPTY;
    switch (kind) {
    case KIND_JSON:
        plan_read_json(plan, text + bom, length - bom, &report);
        break;
    case KIND_LIST:
        plan_read_list(plan, text + bom, length - bom, &report);
        break;
    case KIND_MEDIA:
        read_media(plan, &report);
        break;
    }
    const int rc = plan_report_finish(&report, plan->path, err);
    if (rc < 0)
        plan_clear(plan);
    plan_problems_clear(&own);
    return rc;
}

/* Keeps the path, absolute; links are left as they are. */
static int set_path(struct plan *plan, const char *path, struct err *err)
{
    char here[1024] = "";

    *plan = PLAN_EMPTY;
    if (path[0] != '/' && !segment_asset_is_url(path) &&
        getcwd(here, sizeof(here)) == NULL)
        return err_errno(err, ERR_SYSTEM, "plan %s: the present folder", path);
    if ((size_t)snprintf(plan->path, sizeof(plan->path), "%s%s%s", here,
                         here[0] ? "/" : "", path) >= sizeof(plan->path))
        return err_set(err, ERR_INPUT,
                       "plan %.80s...: the path is too long; at most %zu bytes",
                       path, sizeof(plan->path) - 1);
    return 0;
}

int plan_parse(struct plan *plan, const char *text, size_t length,
               const char *path, struct plan_problems *problems,
               struct err *err)
{
    if (problems != NULL)
        *problems = PLAN_PROBLEMS_EMPTY;
    if (set_path(plan, path, err) < 0)
        return -1;
    if (length > PLAN_BYTES_MAX)
        return err_set(err, ERR_INPUT,
                       "plan %s: longer than %u MiB; split the plan", path,
                       PLAN_BYTES_MAX >> 20);
    const enum kind kind = kind_of(path, text, length);
    if (kind == KIND_MEDIA)
        return err_set(
            err, ERR_INPUT,
            "plan %s: neither JSON nor a list of files; give a plan as text",
            path);
    return read_as(plan, kind, text, length, problems, err);
}

/* As err_errno(), but a plan that is not there is bad input, no more. */
static int cannot(struct err *err, const char *path)
{
    const char *hint = errno == ENOENT ? "; give the path of a plan" : "";

    return err_set(err, ERR_INPUT, "plan %s: cannot be read: %s%s", path,
                   strerror(errno), hint);
}

/* Reads up to `size` bytes; gives how many, -1: err is set. */
static ssize_t read_up_to(int fd, char *text, size_t size, const char *path,
                          struct err *err)
{
    size_t used = 0;

    while (used < size) {
        const ssize_t got = read(fd, text + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot(err, path);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static int load_fd(struct plan *plan, int fd, struct plan_problems *problems,
                   struct err *err)
{
    char start[SNIFF_BYTES];
    struct stat st;
    int rc = -1;

    if (fstat(fd, &st) < 0)
        return cannot(err, plan->path);
    if (!S_ISREG(st.st_mode))
        return err_set(
            err, ERR_INPUT,
            "plan %s: not a file; give a plan, a list or a media file",
            plan->path);
    ssize_t length = read_up_to(fd, start, sizeof(start), plan->path, err);
    if (length < 0)
        return -1;
    const enum kind kind = kind_of(plan->path, start, (size_t)length);
    if (kind == KIND_MEDIA)
        return read_as(plan, kind, "", 0, problems, err);
    if (st.st_size > (off_t)PLAN_BYTES_MAX)
        return err_set(err, ERR_INPUT,
                       "plan %s: longer than %u MiB; split the plan",
                       plan->path, PLAN_BYTES_MAX >> 20);
    char *text = malloc(PLAN_BYTES_MAX + 1u);
    if (text == NULL)
        return err_set(err, ERR_SYSTEM, "plan %s: no memory to read it",
                       plan->path);
    memcpy(text, start, (size_t)length);
    const ssize_t rest =
        length < (ssize_t)sizeof(start)
            ? 0
            : read_up_to(fd, text + length, PLAN_BYTES_MAX - (size_t)length,
                         plan->path, err);
    if (rest >= 0)
        rc = read_as(plan, kind, text, (size_t)(length + rest), problems, err);
    free(text);
    return rc;
}

int plan_load(struct plan *plan, const char *path,
              struct plan_problems *problems, struct err *err)
{
    if (problems != NULL)
        *problems = PLAN_PROBLEMS_EMPTY;
    if (set_path(plan, path, err) < 0)
        return -1;
    if (segment_asset_is_url(path))
        return read_as(plan, KIND_MEDIA, "", 0, problems, err);
    const int fd = open(plan->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cannot(err, plan->path);
    const int rc = load_fd(plan, fd, problems, err);
    close(fd);
    return rc;
}

void plan_clear(struct plan *plan)
{
    free(plan->segment);
    plan->segment = NULL;
    plan->count = 0;
}
