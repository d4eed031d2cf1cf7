/*
 * The multiplexer against the checker, and the checker against faults.  A
 * stream of random sizes must be free of any, for all frame rates, with and
 * without B-frames, across the wrap of 33 bits, and when another multiplexer
 * goes on with it; and each fault that is put in must be found.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <stdlib.h>
#include <string.h>

#include "frame/house.h"
#include "ts/ts_check.h"
#include "ts/ts_mux.h"

#define STREAM_BYTES (16u << 20)
#define PICTURE_MAX  40000

static uint8_t stream[STREAM_BYTES];
static size_t stream_size;

struct plan {
    AVRational rate;
    int bframes;
    int64_t first, count;
    int largest;       /* bytes of a picture */
    int restart_every; /* frames; 0: never */
};

static uint32_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* An access unit that a parser takes for H.264. */
static size_t make_picture(uint8_t *to, bool is_key, bool is_b, int largest)
{
    static const uint8_t key[] = { 0,    0,    0,    1,    0x09, 0x10, 0,
                                   0,    1,    0x67, 0x42, 0,    0,    1,
                                   0x68, 0x42, 0,    0,    1,    0x65, 0x88 };
    static const uint8_t other[] = {
        0, 0, 0, 1, 0x09, 0x30, 0, 0, 1, 0x41, 0x9a
    };
    const size_t head = is_key ? sizeof(key) : sizeof(other);
    const size_t size = head + draw((uint32_t)largest) * (is_key ? 4 : 1);

    memset(to, 0x55, size);
    memcpy(to, is_key ? key : other, head);
    if (is_b)
        to[9] = 0x01;
    return size;
}

static size_t make_sound(uint8_t *to)
{
    const size_t each = 30 + draw(600);

    for (size_t i = 0; i < 2; i++) {
        uint8_t *p = to + i * each;
        memset(p, 0x33, each);
        p[0] = 0xff;
        p[1] = 0xf1;
        p[2] = 0x4c; /* LC, 48 kHz */
        p[3] = (uint8_t)(0x80 | each >> 11);
        p[4] = (uint8_t)(each >> 3);
        p[5] = (uint8_t)(each << 5 | 0x1f);
        p[6] = 0xfc;
    }
    return 2 * each;
}

static int64_t group_at(const struct house *house, int64_t n)
{
    return (house_samples_before(house, n) + 2047) / 2048;
}

static int64_t clock_of(const struct house *house, int64_t n)
{
    return HOUSE_PTS_BASE * 300 - TS_PCR_HZ * 7 / 10 +
           av_rescale_rnd(n, TS_PCR_HZ * house->rate.den, house->rate.num,
                          AV_ROUND_DOWN);
}

/* One stretch of `count` frames from n: P first, then its B-frames. */
static void make_stretch(struct ts_mux *mux, const struct house *house,
                         const struct plan *plan, int64_t n, int64_t count,
                         bool is_key)
{
    static uint8_t bytes[8][4 * PICTURE_MAX + 64], sounds[64][1400];
    struct ts_unit picture[8], sound[64];
    const int reorder = plan->bframes > 0;
    struct err err = ERR_EMPTY;
    size_t written, k = 0;

    for (int64_t i = 0; i < count; i++) {
        const int64_t shown = i == 0 ? n + count - 1 : n + i - 1;
        picture[i] = (struct ts_unit){
            .data = bytes[i],
            .size = make_picture(bytes[i], is_key, i > 0, plan->largest),
            .pts_90k = house_pts(house, HOUSE_PTS_BASE, shown),
            .dts_90k = house_pts(house, HOUSE_PTS_BASE, n + i - reorder),
            .is_key = is_key
        };
    }
    for (int64_t g = group_at(house, n); g < group_at(house, n + count); g++) {
        sound[k] =
            (struct ts_unit){ .data = sounds[k],
                              .size = make_sound(sounds[k]),
                              .pts_90k = HOUSE_PTS_BASE +
                                         av_rescale(g * 2048, 90000, 48000) };
        k++;
    }
    const struct ts_mux_input input = {
        .picture = picture,
        .pictures = (size_t)count,
        .sound = sound,
        .sounds = k,
        .pcr_start_27m = clock_of(house, n - reorder),
        .pcr_end_27m = clock_of(house, n + count - reorder)
    };
    assert_int_equal(ts_mux_stretch(mux, &input, stream + stream_size,
                                    STREAM_BYTES - stream_size, &written, &err),
                     0);
    stream_size += written;
}

static void make_stream(const struct plan *plan)
{
    struct house house = HOUSE_DEFAULT;
    struct ts_mux mux;
    int64_t since_start = 0;

    house.rate = plan->rate;
    stream_size = 0;
    ts_mux_init(&mux);
    for (int64_t n = plan->first; n < plan->first + plan->count;) {
        const bool is_restart =
            plan->restart_every > 0 && since_start >= plan->restart_every;
        if (is_restart) {
            uint32_t seen = 0;
            ts_mux_init(&mux);
            for (size_t at = stream_size;
                 at > 0 && !ts_mux_saw(&mux, stream + at - 188, &seen);)
                at -= 188;
            since_start = 0;
        }
        const bool is_key = n == plan->first || is_restart;
        const int64_t count = is_key ? 1 : 1 + draw(1 + plan->bframes);
        make_stretch(&mux, &house, plan, n, count, is_key);
        n += count;
        since_start += count;
    }
}

static struct ts_check_report check_stream(AVRational rate)
{
    const struct ts_check_config config = { .rate = rate };
    struct ts_check *check = ts_check_new(&config);

    assert_non_null(check);
    ts_check_feed(check, stream, stream_size);
    const struct ts_check_report report = *ts_check_end(check);
    ts_check_free(check);
    return report;
}

static void expect_clean(const struct plan *plan)
{
    const struct ts_check_report report = check_stream(plan->rate);

    for (int i = 0; i < TS_FAULTS; i++) {
        if (report.faults[i])
            print_message("%d/%d, %d B-frames: %s: %s\n", plan->rate.num,
                          plan->rate.den, plan->bframes,
                          ts_fault_name((enum ts_fault)i), report.first[i]);
    }
    assert_int_equal(report.fault_count, 0);
    assert_int_equal(report.discontinuities, 0);
    assert_int_equal(report.null_packets, 0);
    assert_true(report.pictures >= (uint64_t)plan->count);
    assert_true(report.pcr_max_us <= 40000);
    assert_true(report.psi_max_us <= 100000);
}

static void streams_are_clean(void **state)
{
    static const AVRational rates[] = { { 24000, 1001 }, { 24, 1 },
                                        { 25, 1 },       { 30000, 1001 },
                                        { 50, 1 },       { 60000, 1001 },
                                        { 10, 1 } };
    static const int sizes[] = { 1, 300, 4000, PICTURE_MAX };
    (void)state;

    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            for (int b = 0; b <= 2; b++) {
                const struct plan plan = { rates[r], b, 0, 120, sizes[s], 0 };
                random_state = (uint32_t)(r * 100 + s * 10) + (uint32_t)b;
                make_stream(&plan);
                expect_clean(&plan);
            }
        }
    }
}

static void another_goes_on(void **state)
{
    (void)state;
    for (int every = 1; every < 40; every += 3) {
        for (int b = 0; b <= 2; b++) {
            const struct plan plan = { { 30000, 1001 },        b,    1000, 150,
                                       every % 2 ? 200 : 6000, every };
            random_state = (uint32_t)every;
            make_stream(&plan);
            expect_clean(&plan);
        }
    }
}

static void stamps_wrap_after_33_bits(void **state)
{
    (void)state;
    for (int b = 0; b <= 2; b++) {
        /* (2^33 - base) / 3003 = 2,860,151 frames */
        const struct plan plan = { { 30000, 1001 }, b, 2860050, 200, 3000, 0 };
        make_stream(&plan);
        expect_clean(&plan);
        const struct ts_check_report report = check_stream(plan.rate);
        assert_true(report.last_pts_90k > TS_PTS_MASK);
    }
}

static void a_jump_is_announced(void **state)
{
    struct house house = HOUSE_DEFAULT;
    const struct plan plan = { house.rate, 0, 0, 30, 3000, 0 };
    struct ts_mux mux;
    (void)state;

    ts_mux_init(&mux);
    stream_size = 0;
    for (int64_t n = 0; n < 30; n++)
        make_stretch(&mux, &house, &plan, n, 1, n == 0);
    const size_t before = stream_size;
    ts_mux_jump(&mux);
    for (int64_t n = 130; n < 160; n++)
        make_stretch(&mux, &house, &plan, n, 1, n == 130);
    const struct ts_check_report report = check_stream(house.rate);
    assert_int_equal(report.fault_count, 0);
    assert_int_equal(report.discontinuities, 2); /* video, audio */
    /* The same without the indicators is full of faults. */
    for (size_t at = before; at < stream_size; at += 188) {
        if (stream[at + 3] & 0x20 && stream[at + 4] > 0)
            stream[at + 5] &= 0x7f;
    }
    const struct ts_check_report bad = check_stream(house.rate);
    assert_true(bad.faults[TS_FAULT_PCR_JUMP] > 0);
    assert_true(bad.faults[TS_FAULT_PTS_STEP] > 0);
    assert_true(bad.faults[TS_FAULT_SOUND_GAP] > 0);
}

static size_t find_packet(uint16_t pid, bool is_start, int skip)
{
    for (size_t at = 188 * 20; at < stream_size; at += 188) {
        const uint16_t is =
            (uint16_t)((stream[at + 1] & 0x1f) << 8 | stream[at + 2]);
        if (is == pid && (stream[at + 1] >> 6 & 1) == is_start && skip-- == 0)
            return at;
    }
    fail_msg("no such packet");
    return 0;
}

static void remove_packet(size_t at)
{
    memmove(stream + at, stream + at + 188, stream_size - at - 188);
    stream_size -= 188;
}

static void faults_are_found(void **state)
{
    const struct plan plan = { { 25, 1 }, 0, 0, 60, 3000, 0 };
    static const enum ts_fault faults[] = {
        TS_FAULT_SYNC,    TS_FAULT_TRANSPORT,  TS_FAULT_SCRAMBLED,
        TS_FAULT_CRC,     TS_FAULT_CONTINUITY, TS_FAULT_PTS_MISSING,
        TS_FAULT_PICTURE, TS_FAULT_PSI_LATE,   TS_FAULT_PID
    };
    (void)state;

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        random_state = 7;
        make_stream(&plan);
        const size_t video = find_packet(TS_PID_VIDEO, true, 3);
        const size_t field =
            stream[video + 3] & 0x20 ? 1u + stream[video + 4] : 0;
        switch (faults[i]) {
        case TS_FAULT_SYNC:
            stream[video] = 0x46;
            break;
        case TS_FAULT_TRANSPORT:
            stream[video + 1] |= 0x80;
            break;
        case TS_FAULT_SCRAMBLED:
            stream[video + 3] |= 0x80;
            break;
        case TS_FAULT_CRC:
            stream[find_packet(TS_PID_PMT, true, 1) + 12] ^= 1;
            break;
        case TS_FAULT_CONTINUITY:
            remove_packet(find_packet(TS_PID_AUDIO, false, 2));
            break;
        case TS_FAULT_PTS_MISSING:
            stream[video + 4 + field + 7] &= 0x3f;
            break;
        case TS_FAULT_PICTURE:
            stream[video + 4 + field + 14 + 4] = 0x0c; /* the delimiter */
            break;
        case TS_FAULT_PSI_LATE:
            stream[find_packet(TS_PID_PAT, true, 2) + 1] |= 0x1f;
            break;
        default:
            stream[find_packet(TS_PID_AUDIO, true, 2) + 2] ^= 0x40;
            break;
        }
        const struct ts_check_report report = check_stream(plan.rate);
        if (report.faults[faults[i]] == 0)
            fail_msg("%s was not found", ts_fault_name(faults[i]));
    }
}

static void lost_and_doubled_pictures_are_found(void **state)
{
    struct house house = HOUSE_DEFAULT;
    const struct plan plan = { house.rate, 0, 0, 30, 3000, 0 };
    struct ts_mux mux;
    (void)state;

    for (int step = 0; step <= 2; step += 2) {
        ts_mux_init(&mux);
        stream_size = 0;
        for (int64_t n = 0; n < 10; n++)
            make_stretch(&mux, &house, &plan, n, 1, n == 0);
        for (int64_t n = 9 + step; n < 20; n++)
            make_stretch(&mux, &house, &plan, n, 1, n == 9 + step);
        const struct ts_check_report report = check_stream(house.rate);
        assert_true(report.faults[TS_FAULT_PTS_STEP] > 0);
        assert_true(report.faults[TS_FAULT_DTS_STEP] > 0);
    }
}

static void what_does_not_fit_is_an_error(void **state)
{
    static uint8_t data[2000], out[1880];
    const struct ts_unit picture = { .data = data,
                                     .size = sizeof(data),
                                     .is_key = true };
    const struct ts_mux_input input = { .picture = &picture,
                                        .pictures = 1,
                                        .pcr_end_27m = 900900 };
    struct err err = ERR_EMPTY;
    struct ts_mux mux;
    size_t written;
    (void)state;

    for (size_t room = 0; room < sizeof(out); room += 94) {
        ts_mux_init(&mux);
        assert_int_equal(
            ts_mux_stretch(&mux, &input, out, room, &written, &err), -1);
        assert_int_equal(err.kind, ERR_LIMIT);
    }
}

static int read_stream(void *opaque, uint8_t *to, int size)
{
    size_t *at = opaque;
    const size_t left = stream_size - *at;
    const size_t n = (size_t)size < left ? (size_t)size : left;

    if (n == 0)
        return AVERROR_EOF;
    memcpy(to, stream + *at, n);
    *at += n;
    return (int)n;
}

/* Somebody else's eyes: every picture and its times. */
static void libavformat_reads_the_same(void **state)
{
    const struct plan plan = { { 30000, 1001 }, 0, 0, 100, 4000, 30 };
    AVFormatContext *demux = avformat_alloc_context();
    AVPacket *packet = av_packet_alloc();
    size_t at = 0;
    int64_t n = 0;
    (void)state;

    random_state = 3;
    make_stream(&plan);
    av_log_set_level(AV_LOG_QUIET);
    demux->pb = avio_alloc_context(av_malloc(32768), 32768, 0, &at, read_stream,
                                   NULL, NULL);
    assert_int_equal(
        avformat_open_input(&demux, NULL, av_find_input_format("mpegts"), NULL),
        0);
    while (av_read_frame(demux, packet) >= 0) {
        const AVStream *from = demux->streams[packet->stream_index];
        if (from->codecpar->codec_id == AV_CODEC_ID_H264) {
            assert_int_equal(packet->pts,
                             house_pts(&HOUSE_DEFAULT, HOUSE_PTS_BASE, n));
            assert_false(packet->flags & AV_PKT_FLAG_CORRUPT);
            n++;
        } else {
            assert_int_equal(from->codecpar->codec_id, AV_CODEC_ID_AAC);
        }
        av_packet_unref(packet);
    }
    assert_int_equal(n, 100);
    av_packet_free(&packet);
    av_freep(&demux->pb->buffer);
    avio_context_free(&demux->pb);
    avformat_close_input(&demux);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_clean),
        cmocka_unit_test(another_goes_on),
        cmocka_unit_test(stamps_wrap_after_33_bits),
        cmocka_unit_test(a_jump_is_announced),
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(lost_and_doubled_pictures_are_found),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(libavformat_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
