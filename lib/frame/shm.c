/*
 * shm: built aside, allocated in full, renamed when whole; locks by open file
 * description; sleeping by futex, always with a bound.
 */
#include "frame/shm.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_US INT64_C(1000000)

static int map_file(struct shm *shm, int protection, const char *what,
                    struct err *err)
{
    void *map = mmap(NULL, shm->size, protection, MAP_SHARED, shm->fd, 0);

    if (map == MAP_FAILED)
        return err_errno(err, ERR_SYSTEM, "%s %s: cannot be mapped", what,
                         shm->path);
    shm->map = map;
    return 0;
}

/* Makes `name`, which is in *shm, in the place of what is there. */
static int make_file(struct shm *shm, const char *path, char *name,
                     struct err *err)
{
    unlink(name);
    shm->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (shm->fd >= 0)
        return 0;
    err_errno(err, ERR_UNREACHABLE, "%s: cannot be created", path);
    name[0] = '\0';
    return -1;
}

static int set_path(struct shm *shm, const char *path, struct err *err)
{
    *shm = SHM_EMPTY;
    shm->is_writable = true;
    if (strlcpy(shm->path, path, sizeof(shm->path)) >= sizeof(shm->path) - 32)
        return err_set(err, ERR_INPUT, "path %.64s… is too long", path);
    return 0;
}

int shm_create(struct shm *shm, const char *path, size_t size, struct err *err)
{
    if (set_path(shm, path, err) < 0)
        return -1;
    snprintf(shm->temporary, sizeof(shm->temporary), "%s.%d.new", path,
             (int)getpid());
    return make_file(shm, path, shm->temporary, err) < 0
               ? -1
               : shm_fill(shm, size, err);
}

int shm_reserve(struct shm *shm, const char *path, struct err *err)
{
    return set_path(shm, path, err) < 0 ? -1
                                        : make_file(shm, path, shm->path, err);
}

int shm_fill(struct shm *shm, size_t size, struct err *err)
{
    const int number = posix_fallocate(shm->fd, 0, (off_t)size);

    shm->size = size;
    if (number != 0) {
        errno = number;
        err_errno(err, ERR_SYSTEM, "%s: no room for %zu bytes", shm->path,
                  size);
        shm_close(shm);
        return -1;
    }
    if (map_file(shm, PROT_READ | PROT_WRITE, "file", err) < 0) {
        shm_close(shm);
        return -1;
    }
    return 0;
}

int shm_publish(struct shm *shm, struct err *err)
{
    if (shm->temporary[0] == '\0')
        return 0;
    if (rename(shm->temporary, shm->path) < 0)
        return err_errno(err, ERR_SYSTEM, "%s: cannot be renamed into place",
                         shm->path);
    shm->temporary[0] = '\0';
    return 0;
}

int shm_open_map(struct shm *shm, const char *path, const char *what,
                 bool is_writable, size_t min_size, struct err *err)
{
    struct stat st;

    *shm = SHM_EMPTY;
    shm->is_writable = is_writable;
    strlcpy(shm->path, path, sizeof(shm->path));
    shm->fd = open(path, (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                             O_NOFOLLOW | O_NONBLOCK);
    if (shm->fd < 0 || fstat(shm->fd, &st) < 0) {
        err_errno(err, ERR_UNREACHABLE, "%s %s", what, path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INPUT, "%s %s: not a file; give the path of a %s",
                what, path, what);
        goto fail;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0) {
        err_set(err, ERR_INPUT,
                "%s %s: belongs to another user; run both programs as one user",
                what, path);
        goto fail;
    }
    if (st.st_size < 0 || (uintmax_t)st.st_size < min_size) {
        err_set(err, ERR_INPUT,
                "%s %s: %" PRIdMAX
                " bytes are too few; it is cut short or no %s",
                what, path, (intmax_t)st.st_size, what);
        goto fail;
    }
    shm->size = (size_t)st.st_size;
    if (map_file(shm, PROT_READ | (is_writable ? PROT_WRITE : 0), what, err) <
        0)
        goto fail;
    return 0;
fail:
    shm_close(shm);
    return -1;
}

void shm_close(struct shm *shm)
{
    if (shm->map != NULL)
        munmap(shm->map, shm->size);
    if (shm->fd >= 0)
        close(shm->fd);
    if (shm->temporary[0] != '\0')
        unlink(shm->temporary);
    *shm = SHM_EMPTY;
}

static void on_bus_error(int number)
{
    static const char sentence[] =
        "a mapped file was cut short by another process; restart what wrote it\n";

    (void)number;
    if (write(STDERR_FILENO, sentence, sizeof(sentence) - 1) < 0)
        _exit(4); /* nowhere to say it */
    _exit(4);
}

void shm_guard(void)
{
    struct sigaction action = { .sa_handler = on_bus_error };

    sigaction(SIGBUS, &action, NULL);
}

int shm_lock(struct shm *shm, struct err *err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (fcntl(shm->fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES) {
        return err_set(
            err, ERR_STATE,
            "%s: another process writes it; stop that one or give another name",
            shm->path);
    }
    return err_errno(err, ERR_SYSTEM, "%s: cannot be locked", shm->path);
}

bool shm_is_locked(const struct shm *shm)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (shm->fd < 0 || fcntl(shm->fd, F_OFD_GETLK, &lock) < 0)
        return false;
    return lock.l_type != F_UNLCK;
}

bool shm_is_unlinked(const struct shm *shm)
{
    struct stat st;

    return shm->fd >= 0 && fstat(shm->fd, &st) == 0 && st.st_nlink == 0;
}

static int64_t bounded(int64_t timeout_us)
{
    if (timeout_us < 0)
        return 0;
    return timeout_us < WAIT_MAX_US ? timeout_us : WAIT_MAX_US;
}

void futex_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t timeout_us)
{
    const int64_t us = bounded(timeout_us);
    const struct timespec timeout = { .tv_sec = us / 1000000,
                                      .tv_nsec = us % 1000000 * 1000 };

    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void futex_wait_any(const struct futex_word *words, int count,
                    int64_t timeout_us)
{
    struct futex_waitv waiters[FUTEX_WAITV_MAX];
    struct timespec until;

    if (count > FUTEX_WAITV_MAX)
        count = FUTEX_WAITV_MAX;
    for (int i = 0; i < count; i++) {
        waiters[i] = (struct futex_waitv){ .val = words[i].seen,
                                           .uaddr = (uintptr_t)words[i].word,
                                           .flags = FUTEX_32 };
    }
    /* An absolute end on the monotonic clock; no UTC is read here. */
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + bounded(timeout_us) * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    syscall(SYS_futex_waitv, waiters, count, 0, &until, CLOCK_MONOTONIC);
}

uint32_t bell_arm(struct bell *bell)
{
    atomic_store_explicit(&bell->asleep, 1, memory_order_seq_cst);
    return atomic_load_explicit(&bell->count, memory_order_seq_cst);
}

void bell_disarm(struct bell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_seq_cst);
}

void bell_ring_always(struct bell *bell)
{
    atomic_fetch_add_explicit(&bell->count, 1, memory_order_seq_cst);
    futex_wake(&bell->count);
}

void bell_ring(struct bell *bell)
{
    if (atomic_load_explicit(&bell->asleep, memory_order_seq_cst) != 0)
        bell_ring_always(bell);
}
