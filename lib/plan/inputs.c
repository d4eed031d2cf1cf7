/*
 * inputs: the stage's list, told whole each time; see inputs.h.
 *
 * Whoever reads it wrong plays the wrong pool, so a list with one bad member
 * is refused whole and the one before stays in force.
 */
#include "plan/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/member.h"

/* Pools and paths of INPUTS_MAX inputs with every byte escaped fit. */
#define INPUTS_BYTES_MAX (2u << 20)

static int read_place(struct input *in, const json_t *o, struct err *err)
{
    const json_t *at = member_get(o, "at");
    bool has_at = false;

    if (json_is_string(at)) {
        if (strcmp(json_string_value(at), "now") != 0)
            return err_set(
                err, ERR_INPUT,
                "at '%.40s' is unknown; give a frame number, \"now\" or null",
                json_string_value(at));
        in->at_kind = INPUT_NOW;
        if (member_int(o, "not_before", 0, INPUTS_FRAME_MAX, &has_at, &in->at,
                       err) < 0)
            return -1;
        has_at = false;
    } else {
        if (member_int(o, "at", 0, INPUTS_FRAME_MAX, &has_at, &in->at, err) < 0)
            return -1;
        in->at_kind = has_at ? INPUT_AT : INPUT_BEHIND;
    }
    /* An origin may lie before frame 0: joined in progress. */
    if (member_int(o, "origin", -INPUTS_FRAME_MAX, INPUTS_FRAME_MAX,
                   &in->has_origin, &in->origin, err) < 0 ||
        member_int(o, "until", 0, INPUTS_FRAME_MAX, &in->has_until, &in->until,
                   err) < 0)
        return -1;
    if (has_at && in->has_until && in->until < in->at)
        return err_set(err, ERR_INPUT,
                       "until must not be below at; give a later frame");
    return 0;
}

static int read_source(struct input *in, const json_t *o, struct err *err)
{
    const bool has_slate = member_get(o, "slate") != NULL;
    int64_t state = 0;
    bool has_state;

    if (member_string(o, "pool", in->pool, sizeof(in->pool), err) < 0 ||
        member_string(o, "slate", in->why, sizeof(in->why), err) < 0 ||
        member_string(o, "segment", in->segment, sizeof(in->segment), err) <
            0 ||
        member_string(o, "asset", in->asset, sizeof(in->asset), err) < 0 ||
        member_int(o, "state", 2, 3, &has_state, &state, err) < 0)
        return -1;
    if (has_slate == (in->pool[0] != '\0'))
        return err_set(err, ERR_INPUT,
                       "give either pool (a path) or slate (a reason)");
    in->state = has_state ? (int32_t)state : 2;
    return 0;
}

static int read_reason(struct input *in, const json_t *o, struct err *err)
{
    char text[64];

    if (member_string(o, "reason", text, sizeof(text), err) < 0)
        return -1;
    const int reason = text[0] != '\0'       ? stage_reason_from_text(text)
                       : in->pool[0] != '\0' ? REASON_PLAN
                                             : REASON_SLATE_PLANNED;
    if (reason < 0)
        return err_set(err, ERR_INPUT,
                       "reason '%.40s' is unknown; give one like \"plan\"",
                       text);
    in->reason = (enum stage_reason)reason;
    return 0;
}

static int read_list(struct inputs *inputs, const json_t *list, struct err *err)
{
    if (!json_is_array(list) || json_array_size(list) > INPUTS_MAX)
        return err_set(err, ERR_INPUT,
                       "inputs must be a list of at most %d members",
                       INPUTS_MAX);
    const size_t count = json_array_size(list);
    inputs->input = calloc(count ? count : 1, sizeof(*inputs->input));
    if (inputs->input == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for %zu inputs", count);
    for (size_t i = 0; i < count; i++) {
        const json_t *o = json_array_get(list, i);
        struct input *in = &inputs->input[i];
        if (!json_is_object(o))
            return err_set(err, ERR_INPUT, "inputs[%zu] is no object", i);
        if (read_source(in, o, err) < 0 || read_place(in, o, err) < 0 ||
            read_reason(in, o, err) < 0)
            return err_prefix(err, "inputs[%zu]", i);
        inputs->count++;
    }
    return 0;
}

int inputs_parse(struct inputs *inputs, const char *text, size_t length,
                 struct err *err)
{
    bool has_serial = false;
    int64_t serial = 0;
    int rc = -1;

    *inputs = INPUTS_EMPTY;
    json_t *o = member_load(text, length, INPUTS_BYTES_MAX, err);
    if (o == NULL)
        return err_prefix(err, "inputs");
    if (member_int(o, "serial", 0, UINT32_MAX, &has_serial, &serial, err) < 0 ||
        member_bool(o, "end", &inputs->is_end, err) < 0)
        goto out;
    if (!has_serial) {
        err_set(err, ERR_INPUT, "serial is missing; give a whole number");
        goto out;
    }
    inputs->serial = (uint32_t)serial;
    rc = read_list(inputs, member_get(o, "inputs"), err);
out:
    json_decref(o);
    if (rc < 0) {
        inputs_clear(inputs);
        err_prefix(err, "inputs");
    }
    return rc;
}

static json_t *number_or_null(bool has, int64_t number)
{
    return has ? json_integer(number) : json_null();
}

static bool put_input(json_t *o, const struct input *in)
{
    const bool is_slate = in->pool[0] == '\0';

    return member_put(o, is_slate ? "slate" : "pool",
                      json_string(is_slate ? in->why : in->pool)) &&
           member_put(o, "at",
                      in->at_kind == INPUT_NOW
                          ? json_string("now")
                          : number_or_null(in->at_kind == INPUT_AT, in->at)) &&
           (in->at_kind != INPUT_NOW || in->at == 0 ||
            member_put(o, "not_before", json_integer(in->at))) &&
           member_put(o, "origin",
                      number_or_null(in->has_origin, in->origin)) &&
           (!in->has_until ||
            member_put(o, "until", json_integer(in->until))) &&
           member_put(o, "reason",
                      json_string(stage_reason_text(in->reason))) &&
           (!is_slate || member_put(o, "state", json_integer(in->state))) &&
           (in->segment[0] == '\0' ||
            member_put(o, "segment", json_string(in->segment))) &&
           (in->asset[0] == '\0' ||
            member_put(o, "asset", json_string(in->asset)));
}

static bool put_list(json_t *list, const struct inputs *inputs)
{
    for (int i = 0; i < inputs->count; i++) {
        json_t *o = json_object();
        if (o == NULL || !put_input(o, &inputs->input[i])) {
            json_decref(o);
            return false;
        }
        if (json_array_append_new(list, o) < 0)
            return false;
    }
    return true;
}

char *inputs_format(const struct inputs *inputs)
{
    json_t *o = json_object();
    json_t *list = json_array();
    char *text = NULL;

    if (o && list && put_list(list, inputs) &&
        member_put(o, "serial", json_integer(inputs->serial)) &&
        member_put(o, "end", json_boolean(inputs->is_end)) &&
        json_object_set(o, "inputs", list) == 0)
        text = json_dumps(o, JSON_COMPACT);
    json_decref(list);
    json_decref(o);
    return text;
}

void inputs_clear(struct inputs *inputs)
{
    free(inputs->input);
    *inputs = INPUTS_EMPTY;
}

/* Reads to the end of file; -1 with err, else the length. */
static ssize_t read_whole(int fd, char *text, size_t size, struct err *err)
{
    size_t used = 0;

    while (used < size) {
        const ssize_t got = read(fd, text + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, ERR_UNREACHABLE, "cannot be read");
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

int inputs_read_file(struct inputs *inputs, const char *path, struct err *err)
{
    struct stat st;
    char *text = NULL;
    int rc = -1;

    *inputs = INPUTS_EMPTY;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_errno(err, ERR_UNREACHABLE, "cannot be opened");
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (off_t)INPUTS_BYTES_MAX) {
        err_set(err, ERR_INPUT, "not a file of at most %u bytes",
                INPUTS_BYTES_MAX);
        goto out;
    }
    text = malloc((size_t)st.st_size + 1);
    if (text == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for its %lld bytes",
                (long long)st.st_size);
        goto out;
    }
    const ssize_t length = read_whole(fd, text, (size_t)st.st_size, err);
    if (length >= 0)
        rc = inputs_parse(inputs, text, (size_t)length, err);
out:
    free(text);
    if (fd >= 0)
        close(fd);
    return rc < 0 ? err_prefix(err, "%s", path) : 0;
}

static int write_whole(int fd, const char *text, size_t length)
{
    while (length > 0) {
        const ssize_t put = write(fd, text, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        text += put;
        length -= (size_t)put;
    }
    return 0;
}

/*
 * A reader sees the old list or the new one, never a half.  No fsync: the
 * folder is a tmpfs and does not outlive the machine.
 */
int inputs_write_file(const struct inputs *inputs, const char *path,
                      struct err *err)
{
    char beside[1100];
    int rc = -1;

    char *text = inputs_format(inputs);
    if (text == NULL)
        return err_set(err, ERR_SYSTEM, "%s: no memory to write it", path);
    if ((size_t)snprintf(beside, sizeof(beside), "%s.%ld", path,
                         (long)getpid()) >= sizeof(beside)) {
        free(text);
        return err_set(err, ERR_INPUT, "%.80s...: path is too long", path);
    }
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        const int written = write_whole(fd, text, strlen(text)) < 0 ||
                                    write_whole(fd, "\n", 1) < 0
                                ? -1
                                : 0;
        if (close(fd) == 0 && written == 0 && rename(beside, path) == 0)
            rc = 0;
    }
    if (rc < 0) {
        err_errno(err, ERR_SYSTEM, "%s: cannot be written", path);
        unlink(beside);
    }
    free(text);
    return rc;
}
