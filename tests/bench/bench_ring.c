/* How many references a second go through the stage ring, and what one costs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "frame/stage_ring.h"

enum { COUNT = 5000000 };

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const struct err *err)
{
    fprintf(stderr, "bench_ring: %s\n", err->text);
    exit(err_exit_status(err->kind));
}

static bool push(struct stage_ring *ring, int64_t n)
{
    const struct stage_ref ref = { .n = n, .seq = (uint64_t)n, .pool = 1 };

    return stage_ring_push(ring, &ref) == RING_OK;
}

static bool take(struct stage_ring *ring, int64_t n)
{
    struct stage_ref ref;

    if (stage_ring_claim(ring, n, &ref) != RING_OK)
        return false;
    stage_ring_set_cursor(ring, 0, n + 1);
    return true;
}

static void *consume(void *arg)
{
    struct stage_ring *ring = arg;

    for (int64_t n = COUNT; n < 2 * COUNT;)
        n += take(ring, n);
    return NULL;
}

int main(void)
{
    char folder[] = "/dev/shm/bench_ring.XXXXXX";
    char path[64];
    const struct stage_ring_config config = { .house = HOUSE_DEFAULT,
                                              .max_depth = STAGE_DEPTH_MAX };
    struct stage_ring stage, renderer;
    struct err err = ERR_EMPTY;
    pthread_t thread;

    if (mkdtemp(folder) == NULL)
        return 4;
    snprintf(path, sizeof(path), "%s/ring", folder);
    if (stage_ring_create(&stage, path, &config, &err) < 0 ||
        stage_ring_open(&renderer, path, &err) < 0 ||
        stage_ring_attach(&renderer, 0, &err) < 0)
        die(&err);
    unlink(path);
    rmdir(folder);

    double begin = seconds();
    for (int64_t n = 0; n < COUNT; n++) {
        if (!push(&stage, n) || !take(&renderer, n))
            return 1;
    }
    printf("ring-push-and-take-one-thread %.1f ns\n",
           (seconds() - begin) / COUNT * 1e9);

    begin = seconds();
    if (pthread_create(&thread, NULL, consume, &renderer) != 0)
        return 4;
    for (int64_t n = COUNT; n < 2 * COUNT;)
        n += push(&stage, n);
    pthread_join(thread, NULL);
    printf("ring-references-between-threads %.2f million/s\n",
           COUNT / (seconds() - begin) / 1e6);
    stage_ring_close(&stage);
    stage_ring_close(&renderer);
    return 0;
}
