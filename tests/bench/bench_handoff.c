/*
 * bench_handoff: what it costs to hand a frame from the decoder to the
 * renderer, for 720p and 1080p, between two processes: a pool and a stage ring
 * (references only) against writing the picture through a pipe and reading it.
 *
 * Pixels are touched by neither side here (decoder and encoder do that in any
 * case); the pipe has to copy them twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock/clock.h"
#include "frame/pool.h"
#include "frame/stage_ring.h"

enum { FRAMES = 20000, PIPE_FRAMES = 600 };

static void die(const struct err *err)
{
    fprintf(stderr, "bench_handoff: %s\n", err->text);
    exit(err_exit_status(err->kind));
}

/* The renderer's side: claims each frame and reads its record. */
static void consume(const char *ring_path, const char *pool_path)
{
    struct stage_ring ring;
    struct pool pool;
    struct pool_frame frame;
    struct stage_ref ref;
    struct err err = ERR_EMPTY;

    if (stage_ring_open(&ring, ring_path, &err) < 0 ||
        stage_ring_attach(&ring, 0, &err) < 0 ||
        pool_open(&pool, pool_path, false, &err) < 0)
        die(&err);
    for (int64_t n = 0; n < FRAMES;) {
        if (stage_ring_claim(&ring, n, &ref) != RING_OK) {
            stage_ring_wait(&ring, n, 100000);
            continue;
        }
        if (pool_read(&pool, ref.seq, &frame, &err) < 0)
            die(&err);
        stage_ring_set_cursor(&ring, 0, ++n);
    }
    exit(0);
}

/* Decoder and stage in one loop: make ready, stage, release. */
static void produce(struct stage_ring *ring, struct pool *pool)
{
    int64_t staged = 0;

    while (staged < FRAMES) {
        const int64_t released = stage_ring_release_point(ring);
        if (released > 0)
            pool_release(pool, (uint64_t)released);
        struct pool_frame *frame =
            pool_has_room(pool, 1) ? pool_begin(pool) : NULL;
        const struct stage_ref ref = { .n = staged,
                                       .seq = (uint64_t)staged,
                                       .pool = 1 };
        if (frame == NULL ||
            staged - stage_ring_frontier(ring) >= ring->max_depth) {
            futex_wait(&stage_ring_stage_bell(ring)->count,
                       bell_arm(stage_ring_stage_bell(ring)), 1000);
            bell_disarm(stage_ring_stage_bell(ring));
            continue;
        }
        const int slot = pool_slot_take(pool);
        frame->index = staged;
        frame->picture = (uint32_t)slot;
        frame->samples = house_pool_samples(&pool->house, staged);
        for (int i = 0; i < 3; i++)
            frame->stride_bytes[i] = (uint32_t)pool->house.width >> (i > 0);
        pool_publish(pool);
        pool_slot_drop(pool, slot);
        if (stage_ring_push(ring, &ref) == RING_OK)
            staged++;
    }
}

static double ring_us(const char *folder, const struct house *house)
{
    char ring_path[600];
    char pool_path[600];
    struct stage_ring ring;
    struct pool pool;
    struct err err = ERR_EMPTY;
    const struct stage_ring_config ring_config = { .house = *house };
    const struct pool_config pool_config = { .house = *house, .slots = 80 };

    snprintf(ring_path, sizeof(ring_path), "%s/ring", folder);
    snprintf(pool_path, sizeof(pool_path), "%s/pool-1", folder);
    if (stage_ring_create(&ring, ring_path, &ring_config, &err) < 0 ||
        pool_create(&pool, pool_path, &pool_config, &err) < 0)
        die(&err);
    const pid_t child = fork();
    if (child == 0)
        consume(ring_path, pool_path);
    while (!stage_ring_has_consumer(&ring, 0))
        usleep(100);
    const int64_t begin = clock_monotonic_us();
    produce(&ring, &pool);
    waitpid(child, NULL, 0);
    const int64_t end = clock_monotonic_us();
    stage_ring_close(&ring);
    pool_close(&pool);
    unlink(ring_path);
    unlink(pool_path);
    return (double)(end - begin) / FRAMES;
}

static void move(int fd, uint8_t *bytes, size_t size, int is_write)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = is_write ? write(fd, bytes + done, size - done)
                                   : read(fd, bytes + done, size - done);
        if (n <= 0)
            exit(4);
        done += (size_t)n;
    }
}

static double pipe_us(const struct house *house)
{
    const size_t size = (size_t)house->width * (size_t)house->height * 3 / 2;
    uint8_t *bytes = calloc(1, size);
    int fds[2];

    if (bytes == NULL || pipe(fds) < 0)
        exit(4);
    const int64_t begin = clock_monotonic_us();
    const pid_t child = fork();
    for (int i = 0; i < PIPE_FRAMES; i++)
        move(fds[child != 0], bytes, size, child != 0);
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    const int64_t end = clock_monotonic_us();
    close(fds[0]);
    close(fds[1]);
    free(bytes);
    return (double)(end - begin) / PIPE_FRAMES;
}

int main(void)
{
    static const int32_t SIZES[][2] = { { 1280, 720 }, { 1920, 1080 } };
    char folder[] = "/dev/shm/rv-bench.XXXXXX";

    if (mkdtemp(folder) == NULL) {
        perror("bench_handoff: /dev/shm");
        return 4;
    }
    printf("%-12s %12s %12s %9s\n", "picture", "ring (us)", "pipe (us)",
           "ratio");
    fflush(stdout); /* before the children have a copy of it */
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        struct house house = HOUSE_DEFAULT;

        house.width = SIZES[i][0];
        house.height = SIZES[i][1];
        const double ring = ring_us(folder, &house);
        const double by_pipe = pipe_us(&house);
        printf("%dx%-8d %12.2f %12.2f %9.4f\n", (int)house.width,
               (int)house.height, ring, by_pipe, ring / by_pipe);
        fflush(stdout);
    }
    rmdir(folder);
    return 0;
}
