/* buffers: decoding straight into pool slots. */
#include "media/buffers.h"

#include <stdlib.h>
#include <libavutil/buffer.h>
#include <libavutil/imgutils.h>

#define STRIDE_ALIGN 64
#define PLANE_SLACK  128 /* decoders read a little beyond the last row */

struct layout {
    int stride[4];
    uint32_t offset[3];
    uint32_t bytes; /* 0: no layout */
};

struct slot_ref {
    struct pool *pool;
    int slot;
};

static uint32_t align_up(uint32_t value)
{
    return (value + STRIDE_ALIGN - 1) & ~(uint32_t)(STRIDE_ALIGN - 1);
}

static bool strides_fit(const int stride[4])
{
    for (int i = 0; i < 3; i++) {
        if (stride[i] % STRIDE_ALIGN != 0)
            return false;
    }
    return true;
}

/* As libavcodec's own: widen until every plane's stride is aligned. */
static struct layout layout_of(AVCodecContext *decoder, int width, int height)
{
    struct layout layout = { .bytes = 0 };
    int align[AV_NUM_DATA_POINTERS];

    if (width < 1 || height < 1 || width > 8192 || height > 8192)
        return layout;
    avcodec_align_dimensions2(decoder, &width, &height, align);
    for (;;) {
        if (av_image_fill_linesizes(layout.stride, AV_PIX_FMT_YUV420P, width) <
            0)
            return layout;
        if (strides_fit(layout.stride))
            break;
        width += width & -width;
    }
    uint32_t at = 0;
    for (int i = 0; i < 3; i++) {
        const int rows = i == 0 ? height : (height + 1) / 2;
        layout.offset[i] = at;
        at = align_up(at + (uint32_t)layout.stride[i] * (uint32_t)rows +
                      PLANE_SLACK);
    }
    layout.bytes = at;
    return layout;
}

static void drop_slot(void *opaque, uint8_t *data)
{
    struct slot_ref *ref = opaque;

    (void)data;
    pool_slot_drop(ref->pool, ref->slot);
    free(ref);
}

/* A buffer over a free slot, or NULL. */
static AVBufferRef *slot_buffer(struct pool *pool)
{
    struct slot_ref *ref = malloc(sizeof(*ref));
    if (ref == NULL)
        return NULL;
    *ref = (struct slot_ref){ .pool = pool, .slot = pool_slot_take(pool) };
    if (ref->slot < 0) {
        free(ref);
        return NULL;
    }
    uint8_t *memory = pool_picture(pool, (uint32_t)ref->slot);
    AVBufferRef *buffer =
        (uintptr_t)memory % STRIDE_ALIGN == 0
            ? av_buffer_create(memory, pool->picture_bytes, drop_slot, ref, 0)
            : NULL;
    if (buffer == NULL)
        drop_slot(ref, NULL);
    return buffer;
}

static AVBufferRef *heap_buffer(struct buffers *buffers, uint32_t bytes)
{
    pthread_mutex_lock(&buffers->lock);
    if (buffers->heap == NULL || buffers->heap_bytes != bytes) {
        av_buffer_pool_uninit(&buffers->heap);
        buffers->heap = av_buffer_pool_init(bytes, NULL);
        buffers->heap_bytes = bytes;
    }
    AVBufferRef *buffer =
        buffers->heap ? av_buffer_pool_get(buffers->heap) : NULL;
    pthread_mutex_unlock(&buffers->lock);
    return buffer;
}

static int get_buffer(AVCodecContext *decoder, AVFrame *frame, int flags)
{
    struct buffers *buffers = decoder->opaque;

    if (frame->format != AV_PIX_FMT_YUV420P ||
        decoder->width != buffers->house.width ||
        decoder->height != buffers->house.height)
        return avcodec_default_get_buffer2(decoder, frame, flags);

    const struct layout layout =
        layout_of(decoder, frame->width, frame->height);
    if (layout.bytes == 0)
        return AVERROR(EINVAL);
    AVBufferRef *buffer = NULL;
    if (atomic_load(&buffers->is_direct) && buffers->pool &&
        layout.bytes <= buffers->pool->picture_bytes)
        buffer = slot_buffer(buffers->pool);
    if (buffer) {
        atomic_fetch_add(&buffers->from_pool, 1);
    } else {
        buffer = heap_buffer(buffers, layout.bytes);
        atomic_fetch_add(&buffers->from_heap, 1);
    }
    if (buffer == NULL)
        return AVERROR(ENOMEM);
    frame->buf[0] = buffer;
    for (int i = 0; i < 3; i++) {
        frame->data[i] = buffer->data + layout.offset[i];
        frame->linesize[i] = layout.stride[i];
    }
    frame->extended_data = frame->data;
    return 0;
}

void buffers_init(struct buffers *buffers, const struct house *house)
{
    *buffers = (struct buffers){ .house = *house };
    pthread_mutex_init(&buffers->lock, NULL);
}

void buffers_clear(struct buffers *buffers)
{
    av_buffer_pool_uninit(&buffers->heap);
    pthread_mutex_destroy(&buffers->lock);
}

void buffers_attach(struct buffers *buffers, AVCodecContext *decoder)
{
    if (!(decoder->codec->capabilities & AV_CODEC_CAP_DR1))
        return;
    decoder->opaque = buffers;
    decoder->get_buffer2 = get_buffer;
#if FF_API_THREAD_SAFE_CALLBACKS /* later releases take it for granted */
    AV_NOWARN_DEPRECATED(decoder->thread_safe_callbacks = 1;)
#endif
}

uint32_t buffers_bytes(AVCodecContext *decoder)
{
    if (decoder->get_buffer2 != get_buffer)
        return 0;
    return layout_of(decoder, FFMAX(decoder->width, decoder->coded_width),
                     FFMAX(decoder->height, decoder->coded_height))
        .bytes;
}

uint32_t buffers_held(const AVCodecContext *decoder)
{
    uint32_t held = 4;

    switch (decoder->codec_id) {
    case AV_CODEC_ID_H264:
        held = (uint32_t)FFMIN(FFMAX(decoder->refs + 1, 5), 17);
        break;
    case AV_CODEC_ID_HEVC:
        held = 6;
        break;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4:
        held = 3;
        break;
    case AV_CODEC_ID_PRORES:
    case AV_CODEC_ID_MJPEG:
    case AV_CODEC_ID_DNXHD:
        held = 1;
        break;
    default:
        break;
    }
    const bool is_frame_threaded =
        (decoder->active_thread_type & FF_THREAD_FRAME) != 0;
    const uint32_t threads =
        is_frame_threaded ? (uint32_t)FFMIN(decoder->thread_count, 16) : 0;
    return held + 2 * threads;
}

int buffers_slot(const struct pool *pool, const AVFrame *frame)
{
    if (pool == NULL || pool->head == NULL || frame->buf[0] == NULL)
        return -1;
    const uint8_t *data = frame->buf[0]->data;
    if (data < pool->shm.map || data >= pool->shm.map + pool->shm.size)
        return -1;
    const struct slot_ref *ref = av_buffer_get_opaque(frame->buf[0]);
    return ref->slot;
}
