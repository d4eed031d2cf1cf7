/*
 * buffers: the memory that a decoder writes its pictures into, pool slots
 * where the asset has the house format, so that nothing is copied.
 *
 * A slot is ours from pool_slot_take() until libav gives up its last reference
 * (the buffer's free callback, from any thread); the pool keeps it from being
 * taken again while a frame that names it is not released.  When no slot is
 * free the picture goes to the heap, with the same strides (MPEG decoders
 * refuse a change of stride), and is copied when it is shown: blocking in
 * get_buffer2 would deadlock, an error would lose the picture.  Memory of the
 * heap is used again for the next pictures: of malloc() each large one might be
 * new pages, which cost as much as a tenth of decoding.
 */
#ifndef RV_MEDIA_BUFFERS_H
#define RV_MEDIA_BUFFERS_H

#include <libavcodec/avcodec.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "frame/house.h"
#include "frame/pool.h"

struct buffers {
    struct pool *pool; /* kept; NULL: none */
    struct house house;
    atomic_bool is_direct; /* slots may be used now */
    _Atomic uint64_t from_pool, from_heap;
    pthread_mutex_t lock; /* protects the rest, of frame threads */
    AVBufferPool *heap;   /* of buffers of so many bytes, or NULL */
    uint32_t heap_bytes;
};

void buffers_init(struct buffers *buffers, const struct house *house);
/* When no decoder has it any more; pictures may outlive it. */
void buffers_clear(struct buffers *buffers);

/* Makes `decoder` (not yet opened) take its pictures from `buffers` (kept). */
void buffers_attach(struct buffers *buffers, AVCodecContext *decoder);

/* Bytes of a slot that this decoder's pictures need; 0: not possible. */
uint32_t buffers_bytes(AVCodecContext *decoder);

/* Slots that a decoder holds by itself: S + 2T (S one thread's, T frame
 * threads); the figures were measured, see rv-decode(1). */
uint32_t buffers_held(const AVCodecContext *decoder);

/* The pool slot in which this picture lies, or -1. */
int buffers_slot(const struct pool *pool, const AVFrame *frame);

#endif
