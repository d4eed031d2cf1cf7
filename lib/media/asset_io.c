/*
 * asset_io: bytes from where libav's own reader would sleep for ever: standard
 * input, and a pipe by its name (mkfifo(3)).
 *
 * A read ends when asked to stop.  That of a named pipe also at the deadline,
 * with nobody at its other end, or with a writer who says nothing.  It is not
 * opened as libav does it, in open(2), which waits for a writer.
 */
#include "media/asset_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock/clock.h"

#define IO_BYTES 65536
#define POLL_MS  200

bool asset_is_stopping(const struct asset *asset)
{
    return asset->is_stopping && asset->is_stopping();
}

int asset_is_interrupted(void *opaque)
{
    const struct asset *asset = opaque;

    return asset_is_stopping(asset) ||
           (asset->deadline_us != 0 &&
            clock_monotonic_us() > asset->deadline_us);
}

static int read_own(void *opaque, uint8_t *data, int size)
{
    const struct asset *asset = opaque;

    for (;;) {
        struct pollfd in = { .fd = asset->own_fd, .events = POLLIN };
        if (asset_is_interrupted(opaque))
            return AVERROR_EXIT;
        if (poll(&in, 1, POLL_MS) <= 0) /* a signal: look again */
            continue;
        const ssize_t got = read(asset->own_fd, data, (size_t)size);
        if (got > 0)
            return (int)got;
        if (got == 0)
            return AVERROR_EOF;
        if (errno != EINTR && errno != EAGAIN)
            return AVERROR(errno);
    }
}

static int64_t seek_own(void *opaque, int64_t offset, int whence)
{
    const struct asset *asset = opaque;

    if (whence == AVSEEK_SIZE) {
        const off_t at = lseek(asset->own_fd, 0, SEEK_CUR);
        const off_t size = lseek(asset->own_fd, 0, SEEK_END);
        lseek(asset->own_fd, at, SEEK_SET);
        return size;
    }
    const off_t at = lseek(asset->own_fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

/* A file that turns into a pipe meanwhile is one too many for us to guess. */
static bool is_pipe(const char *path)
{
    struct stat st;

    return path[0] == '/' && stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

bool asset_io_is_own(const struct asset *asset)
{
    return strcmp(asset->path, "-") == 0 || is_pipe(asset->path);
}

int asset_io_open(struct asset *asset, struct err *err)
{
    const bool is_stdin = strcmp(asset->path, "-") == 0;

    asset->own_fd = is_stdin
                        ? STDIN_FILENO
                        : open(asset->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (asset->own_fd < 0)
        return err_errno(err, ERR_INPUT, "asset %s: cannot be opened",
                         asset->path);
    const bool can_seek = lseek(asset->own_fd, 0, SEEK_CUR) >= 0;
    uint8_t *memory = av_malloc(IO_BYTES);
    if (memory)
        asset->own_io = avio_alloc_context(memory, IO_BYTES, 0, asset, read_own,
                                           NULL, can_seek ? seek_own : NULL);
    if (asset->own_io == NULL) {
        av_free(memory);
        return err_set(err, ERR_SYSTEM, "no memory to read %s", asset->path);
    }
    asset->format->pb = asset->own_io;
    return 0;
}

void asset_io_close(struct asset *asset)
{
    if (asset->own_io)
        av_freep(&asset->own_io->buffer);
    avio_context_free(&asset->own_io);
    if (asset->own_fd > STDIN_FILENO)
        close(asset->own_fd);
    asset->own_fd = -1;
}
