/*
 * slowdisk: a disk that gives so many bytes a second, for LD_PRELOAD.
 *
 * Reads of files below $SLOWDISK_UNDER share the rate (bytes a second; 0 is
 * endless) that stands in the file $SLOWDISK_RATE, looked up again at each
 * read, so a test can change it while programs run.  Each process has a disk of
 * its own.  Everything else reads as before.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the kernel has read ahead comes at once. */
#define BURST_BYTES 16384
#define NAP_US      10000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double credit = BURST_BYTES;
static double former_s;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Opened before a program may no longer open anything. */
static int rate_fd = -1;

__attribute__((constructor)) static void open_rate(void)
{
    const char *path = getenv("SLOWDISK_RATE");

    if (path != NULL)
        rate_fd = open(path, O_RDONLY | O_CLOEXEC);
}

static double rate_now(void)
{
    char text[32];
    const ssize_t length =
        rate_fd < 0 ? -1 : pread(rate_fd, text, sizeof(text) - 1, 0);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    return strtod(text, NULL);
}

static int is_slow(int fd)
{
    const char *under = getenv("SLOWDISK_UNDER");
    char link[64], path[PATH_MAX];
    struct stat status;

    if (under == NULL || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof(path) - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return strncmp(path, under, strlen(under)) == 0;
}

/* Sleeps until the disk has given this. */
static void pay(size_t bytes)
{
    for (;;) {
        const double rate = rate_now();
        pthread_mutex_lock(&lock);
        const double now = now_s();
        if (former_s > 0 && rate > 0)
            credit += (now - former_s) * rate;
        former_s = now;
        if (credit > BURST_BYTES || rate == 0)
            credit = BURST_BYTES;
        const int is_paid = rate == 0 || credit > 0;
        if (is_paid && rate > 0)
            credit -= (double)bytes;
        pthread_mutex_unlock(&lock);
        if (is_paid)
            return;
        usleep(NAP_US);
    }
}

ssize_t read(int fd, void *data, size_t size)
{
    static ssize_t (*next)(int, void *, size_t);

    if (next == NULL)
        next = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    const int before = errno;
    const int slow = is_slow(fd);
    errno = before;
    const ssize_t got = next(fd, data, size);
    if (slow && got > 0) {
        const int after = errno;
        pay((size_t)got);
        errno = after;
    }
    return got;
}
