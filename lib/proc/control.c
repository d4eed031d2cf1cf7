/* control: lines over a Unix socket, never waiting. */
#include "proc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/string.h>

/*
 * A socket's address has room for 107 characters, a run folder may be longer:
 * so the address goes by way of a descriptor of the folder.
 */
static int address_of(const char *path, struct sockaddr_un *address,
                      int *folder, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char parent[1024];

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *folder = -1;
    if (slash == NULL || slash == path)
        return err_set(err, ERR_INPUT, "%s: give an absolute path", path);
    if ((size_t)(slash - path) >= sizeof(parent))
        return err_set(err, ERR_INPUT, "%s: path too long", path);
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    *folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0)
        return err_errno(err, ERR_UNREACHABLE, "%s", parent);
    const int length = snprintf(address->sun_path, sizeof(address->sun_path),
                                "/proc/self/fd/%d%s", *folder, slash);
    if (length >= (int)sizeof(address->sun_path)) {
        close(*folder);
        *folder = -1;
        return err_set(err, ERR_INPUT, "%s: name too long", path);
    }
    return 0;
}

static bool is_served(const struct sockaddr_un *address)
{
    const int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    const int rc =
        connect(fd, (const struct sockaddr *)address, sizeof(*address));
    const bool served = rc == 0 || errno == EAGAIN;
    close(fd);
    return served;
}

int control_listen(const char *path, struct err *err)
{
    struct sockaddr_un address;
    int folder;

    if (address_of(path, &address, &folder, err) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && is_served(&address)) {
        err_set(err, ERR_STATE,
                "%s: another process serves this channel; stop it first", path);
        goto fail;
    }
    (void)unlink(path);
    const mode_t mask = umask(0177);
    const int rc =
        fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (rc < 0 || listen(fd, 64) < 0) {
        err_errno(err, ERR_SYSTEM, "%s", path);
        goto fail;
    }
    close(folder);
    return fd;
fail:
    if (fd >= 0)
        close(fd);
    close(folder);
    return -1;
}

int control_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int control_connect(struct control *control, const char *path, struct err *err)
{
    struct sockaddr_un address;
    int folder;

    *control = CONTROL_EMPTY;
    if (address_of(path, &address, &folder, err) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        err_set(err, ERR_UNREACHABLE, "%s: nobody serves it: %s", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        close(folder);
        return -1;
    }
    close(folder);
    control_init(control, fd);
    return 0;
}

void control_init(struct control *control, int fd)
{
    *control = CONTROL_EMPTY;
    control->fd = fd;
}

void control_close(struct control *control)
{
    if (control->fd >= 0)
        close(control->fd);
    free(control->in);
    free(control->out);
    *control = CONTROL_EMPTY;
}

int control_fill(struct control *control, struct err *err)
{
    if (control->fd < 0)
        return err_set(err, ERR_UNREACHABLE, "connection is closed");
    if (control->in == NULL && (control->in = malloc(CONTROL_LINE_MAX)) == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a control line");
    if (control->in_start > 0) {
        control->in_length -= control->in_start;
        memmove(control->in, control->in + control->in_start,
                control->in_length);
        control->in_start = 0;
    }
    if (control->in_length == CONTROL_LINE_MAX)
        return err_set(err, ERR_INPUT,
                       "a line of more than %u bytes; end it with a newline",
                       CONTROL_LINE_MAX);
    const ssize_t got = read(control->fd, control->in + control->in_length,
                             CONTROL_LINE_MAX - control->in_length);
    if (got > 0) {
        control->in_length += (size_t)got;
        return 0;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return err_set(err, ERR_UNREACHABLE, "the other side is gone");
}

json_t *control_next(struct control *control)
{
    for (;;) {
        char *from = control->in + control->in_start;
        const size_t left = control->in_length - control->in_start;
        char *newline = left > 0 ? memchr(from, '\n', left) : NULL;
        if (newline == NULL)
            return NULL;
        const size_t length = (size_t)(newline - from);
        control->in_start += length + 1;
        json_error_t why;
        json_t *object = json_loadb(from, length, JSON_REJECT_DUPLICATES, &why);
        if (json_is_object(object))
            return object;
        if (length > 0) {
            struct err err = ERR_EMPTY;
            err_set(&err, ERR_INPUT, "not a JSON object: %s",
                    object == NULL ? why.text : "give {\"do\":...}");
            (void)control_send(control, control_refusal(NULL, &err), NULL);
        }
        json_decref(object);
    }
}

int control_send(struct control *control, json_t *object, struct err *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    const size_t length = text != NULL ? strlen(text) : 0;
    int rc = -1;

    json_decref(object);
    if (text == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for an answer");
        goto out;
    }
    if (control->out_length + length + 1 > CONTROL_QUEUE_MAX) {
        err_set(err, ERR_LIMIT, "the other side does not read its answers");
        goto out;
    }
    if (control->out_length + length + 1 > control->out_size) {
        const size_t size = control->out_length + length + 4096;
        char *grown = realloc(control->out, size);
        if (grown == NULL) {
            err_set(err, ERR_SYSTEM, "no memory for an answer");
            goto out;
        }
        control->out = grown;
        control->out_size = size;
    }
    memcpy(control->out + control->out_length, text, length);
    control->out[control->out_length + length] = '\n';
    control->out_length += length + 1;
    rc = control_flush(control, err);
out:
    free(text);
    return rc;
}

int control_flush(struct control *control, struct err *err)
{
    while (control->out_length > 0) {
        const ssize_t sent =
            send(control->fd, control->out, control->out_length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return 0;
        if (sent <= 0)
            return err_set(err, ERR_UNREACHABLE, "the other side is gone");
        control->out_length -= (size_t)sent;
        memmove(control->out, control->out + sent, control->out_length);
    }
    return 0;
}

bool control_has_queued(const struct control *control)
{
    return control->out_length > 0;
}

json_t *control_answer(const json_t *request, const char *message)
{
    json_t *object = json_object();
    json_t *id = json_object_get(request, "id");

    if (id != NULL)
        json_object_set(object, "id", id);
    json_object_set_new(object, "ok", json_true());
    json_object_set_new(object, "message", json_string(message));
    return object;
}

json_t *control_refusal(const json_t *request, const struct err *err)
{
    json_t *object = control_answer(request, err->text);

    json_object_set_new(object, "ok", json_false());
    json_object_set_new(object, "kind", json_string(err_kind_name(err->kind)));
    return object;
}
