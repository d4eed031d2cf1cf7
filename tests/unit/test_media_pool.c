/* An asset decoded straight into pool slots: none lost, none mixed up, no
 * deadlock, and every slot free again in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <libavformat/avformat.h>

#include "frame/pool.h"
#include "media/asset_impl.h"
#include "media/av.h"

enum { FRAMES = 150, WIDTH = 320, HEIGHT = 180 };

static const struct house HOUSE = { .width = WIDTH,
                                    .height = HEIGHT,
                                    .rate = { 25, 1 },
                                    .sample_rate = 48000,
                                    .channels = 2 };
static char folder[] = "/dev/shm/rvunit.XXXXXX";
static char path[64];

/* What picture n shows: grey of its own. */
static int grey(int64_t n)
{
    return 30 + (int)(n % 97) * 2;
}

static void drain(AVCodecContext *codec, AVFormatContext *mux, AVPacket *packet)
{
    while (avcodec_receive_packet(codec, packet) >= 0) {
        av_packet_rescale_ts(packet, codec->time_base,
                             mux->streams[0]->time_base);
        packet->stream_index = 0;
        assert_true(av_interleaved_write_frame(mux, packet) >= 0);
    }
}

static void encode(AVCodecContext *codec, AVFormatContext *mux)
{
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();

    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = WIDTH;
    frame->height = HEIGHT;
    assert_true(av_frame_get_buffer(frame, 0) >= 0);
    for (int n = 0; n < FRAMES; n++) {
        assert_true(av_frame_make_writable(frame) >= 0);
        for (int p = 0; p < 3; p++)
            memset(frame->data[p], p ? 128 : grey(n),
                   (size_t)frame->linesize[p] * (p ? HEIGHT / 2 : HEIGHT));
        frame->pts = n;
        assert_true(avcodec_send_frame(codec, frame) >= 0);
        drain(codec, mux, packet);
    }
    avcodec_send_frame(codec, NULL);
    drain(codec, mux, packet);
    av_frame_free(&frame);
    av_packet_free(&packet);
}

static int make_clip(void **state)
{
    const AVCodec *encoder = avcodec_find_encoder_by_name("libx264");
    AVFormatContext *mux = NULL;

    (void)state;
    av_quiet(false);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/clip.mkv", folder);
    assert_non_null(encoder);
    AVCodecContext *codec = avcodec_alloc_context3(encoder);
    codec->width = WIDTH;
    codec->height = HEIGHT;
    codec->pix_fmt = AV_PIX_FMT_YUV420P;
    codec->time_base = (AVRational){ 1, 25 };
    codec->framerate = (AVRational){ 25, 1 };
    codec->max_b_frames = 3;
    codec->refs = 5;
    codec->gop_size = 40;
    codec->thread_count = 1;
    codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    assert_true(avcodec_open2(codec, encoder, NULL) >= 0);
    assert_true(avformat_alloc_output_context2(&mux, NULL, NULL, path) >= 0);
    AVStream *stream = avformat_new_stream(mux, NULL);
    stream->time_base = codec->time_base;
    stream->avg_frame_rate = codec->framerate;
    assert_true(avcodec_parameters_from_context(stream->codecpar, codec) >= 0);
    assert_true(avio_open(&mux->pb, path, AVIO_FLAG_WRITE) >= 0);
    assert_true(avformat_write_header(mux, NULL) >= 0);
    encode(codec, mux);
    assert_true(av_write_trailer(mux) >= 0);
    avio_closep(&mux->pb);
    avformat_free_context(mux);
    avcodec_free_context(&codec);
    return 0;
}

static int remove_clip(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* The consumer: holds `depth` frames back, as a stage and a renderer do. */
struct reader {
    struct pool *pool;
    uint64_t depth;
    int64_t seen;
};

static void look(struct reader *reader, uint64_t keep)
{
    struct pool *pool = reader->pool;
    struct pool_frame frame;
    struct err err;

    while (pool_ready(pool) > (uint64_t)reader->seen)
        reader->seen++;
    while (pool_released(pool) + keep < pool_ready(pool)) {
        const uint64_t seq = pool_released(pool);
        assert_int_equal(pool_read(pool, seq, &frame, &err), 0);
        const uint8_t *luma =
            pool_picture(pool, frame.picture) + frame.plane_offset[0];
        for (int y = 0; y < HEIGHT; y += 7)
            for (int x = 0; x < WIDTH; x += 13)
                assert_in_range(luma[y * (int)frame.stride_bytes[0] + x],
                                grey(frame.index) - 3, grey(frame.index) + 3);
        pool_release(pool, seq + 1);
    }
}

/* The decoder's thread is this one too: it releases when there is no room. */
static int wait_room(void *opaque)
{
    struct reader *reader = opaque;

    look(reader, reader->depth);
    for (int tries = 0; !pool_has_room(reader->pool, 1); tries++) {
        assert_true(tries < 1000);
        look(reader, 0);
    }
    return 0;
}

static void publish(struct pool *pool, const AVFrame *picture, int slot,
                    int64_t index)
{
    struct pool_frame *frame = pool_begin(pool);

    assert_non_null(frame);
    frame->index = index;
    frame->picture = (uint32_t)slot;
    frame->samples = house_pool_samples(&HOUSE, index);
    for (int p = 0; p < 3; p++) {
        frame->plane_offset[p] =
            (uint32_t)(picture->data[p] - pool_picture(pool, (uint32_t)slot));
        frame->stride_bytes[p] = (uint32_t)picture->linesize[p];
    }
    pool_publish(pool);
}

/* Gives how many pictures lay in slots when they were shown. */
static int play(int threads, uint32_t depth)
{
    const struct asset_config config = { .path = path,
                                         .house = HOUSE,
                                         .threads = threads };
    char where[80];
    struct pool pool = POOL_EMPTY;
    struct err err = ERR_EMPTY;
    struct asset *asset = asset_open(&config, &err);
    int direct = 0;

    assert_non_null(asset);
    snprintf(where, sizeof(where), "%s/pool", folder);
    const struct pool_config wanted = {
        .house = HOUSE,
        .slots = buffers_held(asset->video_decoder) + depth + 1,
        .picture_bytes = buffers_bytes(asset->video_decoder)
    };
    assert_int_equal(pool_create(&pool, where, &wanted, &err), 0);
    struct reader reader = { .pool = &pool, .depth = depth };
    asset->buffers.pool = &pool;
    asset->wait_room = wait_room;
    asset->wait_opaque = &reader;
    atomic_store(&asset->buffers.is_direct, true);
    struct moment moment = { .in = { 0, 1 }, .rate = HOUSE.rate };
    while (asset_show(asset, &moment) == ASSET_SHOWN) {
        const AVFrame *picture = asset->now.frame;
        const int slot = buffers_slot(&pool, picture);
        wait_room(&reader);
        if (slot >= 0) {
            publish(&pool, picture, slot, moment.frame);
            direct++;
        }
        moment.frame++;
    }
    assert_int_equal(moment.frame, FRAMES);
    look(&reader, 0);
    assert_int_equal(reader.seen, direct);
    asset_free(asset);
    /* Whatever way it took, every slot is free again. */
    assert_true(pool_has_room(&pool, wanted.slots));
    pool_close(&pool);
    unlink(where);
    return direct;
}

static void pictures_land_in_slots(void **state)
{
    (void)state;
    /* all but those that were decoded before the pool was there */
    assert_true(play(1, 20) > FRAMES - 10);
    assert_true(play(2, 20) > FRAMES - 12);
    assert_true(play(4, 60) > FRAMES - 16);
}

static void few_slots_cost_copies_but_no_picture(void **state)
{
    (void)state;
    assert_true(play(2, 1) > 0);
    assert_true(play(4, 0) > 0);
}

static void a_seek_shows_what_playing_shows(void **state)
{
    const struct asset_config config = { .path = path, .house = HOUSE };
    struct err err = ERR_EMPTY;
    struct asset *asset = asset_open(&config, &err);

    (void)state;
    assert_non_null(asset);
    for (int n = 0; n < 40; n++) {
        const int64_t at = n * 67 % FRAMES; /* back and forth */
        const struct moment moment = { .in = { at, 25 }, .rate = HOUSE.rate };
        if (asset_seek(asset, &moment, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(asset_show(asset, &moment), ASSET_SHOWN);
        assert_in_range(asset->now.frame->data[0][50], grey(at) - 3,
                        grey(at) + 3);
    }
    assert_int_equal(asset_measure(asset, (struct rational){ 1, 1 }, &err),
                     FRAMES - 25);
    const struct moment start = { .in = { 0, 1 }, .rate = HOUSE.rate };
    assert_int_equal(asset_reopen(asset, &err), 0);
    assert_int_equal(asset_show(asset, &start), ASSET_SHOWN);
    assert_in_range(asset->now.frame->data[0][50], grey(0) - 3, grey(0) + 3);
    asset_free(asset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_land_in_slots),
        cmocka_unit_test(few_slots_cost_copies_but_no_picture),
        cmocka_unit_test(a_seek_shows_what_playing_shows),
    };
    return cmocka_run_group_tests(tests, make_clip, remove_clip);
}
