/*
 * What lib/rpc reads from hostile bytes: framing, gzip, time-outs, text
 * encodings, packed messages; and its heap of timers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "google/protobuf/descriptor.pb-c.h"
#include "retrovue/playout.pb-c.h"
#include "retrovue/playout_status.pb-c.h"
#include "rpc/pbcheck.h"
#include "rpc/reflection.h"
#include "rpc/timers.h"
#include "rpc/wire.h"

#define MAX_BYTES 1000

/* --- framing ----------------------------------------------------------------
 */

static int deframe(const char *bytes, size_t size, bool is_gzip,
                   size_t *payload_size, struct err *err)
{
    struct rpc_buf in = RPC_BUF_EMPTY;
    const uint8_t *payload = NULL;
    uint8_t *unpacked = NULL;
    size_t used = 0;

    assert_int_equal(rpc_buf_add(&in, bytes, size), 0);
    *err = ERR_EMPTY;
    const int rc = rpc_deframe(&in, MAX_BYTES, is_gzip, &payload, payload_size,
                               &unpacked, &used, err);
    free(unpacked);
    rpc_buf_clear(&in);
    return rc;
}

static void test_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int rc;
        enum err_kind kind;
    } CASES[] = {
        { "", 0, 0, ERR_NONE },
        { "\0\0\0\0", 4, 0, ERR_NONE },
        { "\0\0\0\0\0", 5, 1, ERR_NONE },
        { "\0\0\0\0\1", 5, 0, ERR_NONE },
        { "\0\0\0\0\1x", 6, 1, ERR_NONE },
        { "\0\0\0\0\1xy", 7, 1, ERR_NONE },
        { "\2\0\0\0\1x", 6, -1, ERR_INPUT },
        { "\1\0\0\0\1x", 6, -1, ERR_INPUT },  /* compressed, but no gzip */
        { "\0\0\0\3\xe8", 5, 0, ERR_NONE },   /* 1000 to come */
        { "\0\0\0\3\xe9", 5, -1, ERR_LIMIT }, /* 1001: said at once */
        { "\0\xff\xff\xff\xff", 5, -1, ERR_LIMIT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err;
        size_t size = 0;
        assert_int_equal(
            deframe(CASES[i].bytes, CASES[i].size, false, &size, &err),
            CASES[i].rc);
        assert_int_equal(err.kind, CASES[i].kind);
    }
}

/* A gzip frame of `size` zero bytes; the frame's size. */
static size_t gzip_frame(char *frame, size_t cap, size_t size)
{
    uint8_t *zeros = calloc(1, size ? size : 1);
    z_stream z = { .next_in = zeros,
                   .avail_in = (uInt)size,
                   .next_out = (Bytef *)frame + 5,
                   .avail_out = (uInt)cap - 5 };

    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    free(zeros);
    memcpy(frame,
           (char[]){ 1, 0, 0, (char)(z.total_out >> 8), (char)z.total_out }, 5);
    return z.total_out + 5;
}

static void test_gzip_is_bounded(void **state)
{
    char frame[4096];
    struct err err;
    size_t size = 0;

    (void)state;
    for (size_t n = 0; n <= MAX_BYTES; n += 500) {
        const size_t len = gzip_frame(frame, sizeof(frame), n);
        assert_int_equal(deframe(frame, len, true, &size, &err), 1);
        assert_int_equal(size, n);
    }
    size_t len = gzip_frame(frame, sizeof(frame), MAX_BYTES + 1);
    assert_int_equal(deframe(frame, len, true, &size, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    len = gzip_frame(frame, sizeof(frame), 500000); /* 500 times its size */
    assert_true(len < MAX_BYTES);
    assert_int_equal(deframe(frame, len, true, &size, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    /* cut off, and no gzip at all */
    len = gzip_frame(frame, sizeof(frame), 500);
    frame[4] = (char)(frame[4] - 4);
    assert_int_equal(deframe(frame, len - 4, true, &size, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(deframe("\1\0\0\0\4abcd", 9, true, &size, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
}

static void test_buffer_keeps_its_bytes(void **state)
{
    struct rpc_buf buf = RPC_BUF_EMPTY;
    uint8_t next_in = 0;
    uint8_t next_out = 0;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        uint8_t chunk[97];
        const size_t n = (size_t)(round * 31 % 97);
        for (size_t i = 0; i < n; i++)
            chunk[i] = next_in++;
        assert_int_equal(rpc_buf_add(&buf, chunk, n), 0);
        size_t drop = (size_t)(round * 17 % 95);
        if (drop > rpc_buf_size(&buf))
            drop = rpc_buf_size(&buf);
        for (size_t i = 0; i < drop; i++)
            assert_int_equal(buf.data[buf.start + i], next_out++);
        rpc_buf_drop(&buf, drop);
    }
    rpc_buf_clear(&buf);
    rpc_buf_clear(&buf);
}

/* --- texts ------------------------------------------------------------------
 */

static void test_timeouts(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        { "1H", 3600000 }, { "2M", 120000 },
        { "3S", 3000 },    { "4m", 4 },
        { "5000u", 5 },    { "1u", 1 },
        { "1n", 1 },       { "2000001n", 3 },
        { "0m", 0 },       { "99999999H", 99999999LL * 3600000 },
        { "", -1 },        { "1", -1 },
        { "S", -1 },       { "1s", -1 },
        { "-1S", -1 },     { "1 S", -1 },
        { "1.5S", -1 },    { "123456789S", -1 },
    };
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        assert_int_equal(
            rpc_timeout_parse(CASES[i].text, strlen(CASES[i].text)),
            CASES[i].ms);
    rpc_timeout_format(1500, text, sizeof(text));
    assert_string_equal(text, "1500m");
    rpc_timeout_format(INT32_MAX, text, sizeof(text));
    assert_string_equal(text, "2147483S");
}

static void test_percent(void **state)
{
    char out[64];
    char back[64];

    (void)state;
    rpc_percent_encode("a%b \xc3\xa4\n", out, sizeof(out));
    assert_string_equal(out, "a%25b %C3%A4%0A");
    rpc_percent_decode(out, strlen(out), back, sizeof(back));
    assert_string_equal(back, "a%b \xc3\xa4\n");
    rpc_percent_encode("ab\xc3\xa4", out, 8); /* no half character */
    assert_string_equal(out, "ab");
    rpc_percent_encode("ab\xc3\xa4", out, 9);
    assert_string_equal(out, "ab%C3%A4");
    rpc_percent_decode("%", 1, back, sizeof(back));
    assert_string_equal(back, "%");
    rpc_percent_decode("%4", 2, back, sizeof(back));
    assert_string_equal(back, "%4");
    rpc_percent_decode("%zz%41", 6, back, sizeof(back));
    assert_string_equal(back, "%zzA");
    rpc_percent_decode("abcdef", 6, back, 4);
    assert_string_equal(back, "abc");
}

static void test_base64(void **state)
{
    static const struct {
        const char *text;
        int size;
        const char *bytes;
    } CASES[] = {
        { "", 0, "" },
        { "QQ==", 1, "A" },
        { "QQ", 1, "A" },
        { "QUI=", 2, "AB" },
        { "QUI", 2, "AB" },
        { "QUJD", 3, "ABC" },
        { "/+8=", 2, "\xff\xef" },
        { "Q", -1, "" },
        { "QUJDR", -1, "" },
        { "Q===", -1, "" },
        { "Q Q=", -1, "" },
        { "QUJDREVGR0g=", -1, "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        uint8_t out[7];
        const int n = rpc_base64_decode(CASES[i].text, out, sizeof(out));
        assert_int_equal(n, CASES[i].size);
        if (n > 0)
            assert_memory_equal(out, CASES[i].bytes, (size_t)n);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    for (int kind = ERR_INPUT; kind <= ERR_SYSTEM; kind++)
        assert_int_equal(
            rpc_kind_of_status(err_grpc_status((enum err_kind)kind)), kind);
    assert_int_equal(rpc_kind_of_status(17), ERR_SYSTEM);
    assert_int_equal(rpc_kind_of_status(-1), ERR_SYSTEM);
    assert_int_equal(rpc_kind_of_status(4), ERR_UNREACHABLE);
}

/* --- packed messages ---------------------------------------------------------
 */

static void test_utf8(void **state)
{
    static const char *const GOOD[] = { "",
                                        "a",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const BAD[] = { "\x80",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc3",
                                       "\xe0\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xe2\x82",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "a\xc3z" };

    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        assert_true(pbcheck_is_utf8((const uint8_t *)GOOD[i], strlen(GOOD[i])));
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_false(pbcheck_is_utf8((const uint8_t *)BAD[i], strlen(BAD[i])));
}

static void test_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum err_kind kind;
        const char *part;
    } CASES[] = {
        { "", 0, ERR_NONE, "" },
        { "\x08\x01\x12\x01p", 5, ERR_NONE, "" },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, ERR_NONE, "" },
        { "\xa2\x06\x01x", 4, ERR_NONE, "" }, /* field 100: unknown */
        { "\x12\x01\xff", 3, ERR_INPUT, "plan_handle: not UTF-8" },
        { "\x12\x03"
          "a\0b",
          5, ERR_INPUT, "plan_handle: holds a NUL" },
        { "\x12\x02p", 3, ERR_INPUT, "not a valid message" }, /* cut */
        { "\x12", 1, ERR_INPUT, "not a valid message" },
        { "\x08", 1, ERR_INPUT, "not a valid message" },
        { "\x08\x80", 2, ERR_INPUT, "not a valid message" },
        { "\x00\x01", 2, ERR_INPUT, "not a valid message" }, /* field 0 */
        { "\x0b\x0c", 2, ERR_INPUT, "not a valid message" }, /* groups */
        { "\x0e\x01", 2, ERR_INPUT, "not a valid message" }, /* wire type 6 */
        { "\x0d\x01\x02", 3, ERR_INPUT, "not a valid message" },
        { "\x09\x01\x02", 3, ERR_INPUT, "not a valid message" },
        { "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, ERR_INPUT, "" },
        { "\xff\xff\xff\xff\xff\x0f\x01", 7, ERR_INPUT, "" }, /* tag too big */
        { "\x0a\x01x", 3, ERR_INPUT, "wrong type" }, /* a string in an int32 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_EMPTY;
        ProtobufCMessage *message = pbcheck_unpack(
            &retrovue__playout__start_channel_request__descriptor,
            (const uint8_t *)CASES[i].bytes, CASES[i].size, 100, &err);
        assert_int_equal(message == NULL, CASES[i].kind != ERR_NONE);
        assert_int_equal(err.kind, CASES[i].kind);
        assert_non_null(strstr(err.text, CASES[i].part));
        if (message)
            protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void test_fields_are_counted(void **state)
{
    uint8_t bytes[202];
    struct err err = ERR_EMPTY;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i += 2) {
        bytes[i] = 0x0a; /* an empty ChannelStatus */
        bytes[i + 1] = 0;
    }
    const ProtobufCMessageDescriptor *type =
        &retrovue__playout__list_channels_response__descriptor;
    assert_int_equal(pbcheck(type, bytes, 200, 100, &err), 0);
    assert_int_equal(pbcheck(type, bytes, 202, 100, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    /* packed elements cost memory too: one byte each at least */
    const ProtobufCMessageDescriptor *packed =
        &google__protobuf__source_code_info__location__descriptor;
    memset(bytes, 1, sizeof(bytes));
    bytes[0] = 0x0a;
    bytes[1] = 98;
    assert_int_equal(pbcheck(packed, bytes, 100, 100, &err), 0);
    assert_int_equal(pbcheck(packed, bytes, 100, 98, &err), -1);
}

static void test_depth_is_bounded(void **state)
{
    /* DescriptorProto.nested_type (3) in itself, built from the inside. */
    const ProtobufCMessageDescriptor *type =
        &google__protobuf__descriptor_proto__descriptor;

    (void)state;
    for (int depth = 1; depth <= PBCHECK_DEPTH + 1; depth++) {
        uint8_t bytes[256];
        struct err err = ERR_EMPTY;
        size_t start = sizeof(bytes);
        for (int i = 1; i < depth; i++) {
            const size_t size = sizeof(bytes) - start;
            bytes[--start] = (uint8_t)size;
            bytes[--start] = 0x1a;
        }
        assert_int_equal(
            pbcheck(type, bytes + start, sizeof(bytes) - start, 1000, &err),
            depth <= PBCHECK_DEPTH ? 0 : -1);
        assert_int_equal(err.kind,
                         depth <= PBCHECK_DEPTH ? ERR_NONE : ERR_LIMIT);
    }
}

static void test_version_is_in_the_proto(void **state)
{
    (void)state;
    assert_string_equal(rpc_api_version(), "1.0.0");
}

/* --- timers ------------------------------------------------------------------
 */

#define TIMERS 300

static int64_t last_due;
static int fired;

static void on_fire(void *owner)
{
    const struct rpc_timer *timer = owner;

    assert_true(timer->due_ms >= last_due);
    last_due = timer->due_ms;
    fired++;
}

static void test_timers_fire_in_order(void **state)
{
    static struct rpc_timer timer[TIMERS];
    struct rpc_timers timers = RPC_TIMERS_EMPTY;
    unsigned random = 1;

    (void)state;
    assert_true(rpc_timers_next(&timers) == INT64_MAX);
    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245u + 12345u;
        struct rpc_timer *t = &timer[(random >> 8) % TIMERS];
        t->fire = on_fire;
        t->owner = t;
        if (i % 3 == 0)
            rpc_timer_stop(&timers, t);
        else
            rpc_timer_start(&timers, t, (random >> 16) % 1000);
    }
    const int running = (int)timers.count;
    assert_true(running > 100);
    rpc_timers_fire(&timers, 400);
    assert_true(fired > 0 && fired < running);
    assert_true(rpc_timers_next(&timers) > 400);
    rpc_timers_fire(&timers, 1000);
    assert_int_equal(fired, running);
    rpc_timers_clear(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_gzip_is_bounded),
        cmocka_unit_test(test_buffer_keeps_its_bytes),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_fields_are_counted),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_version_is_in_the_proto),
        cmocka_unit_test(test_timers_fire_in_order),
    };

    return cmocka_run_group_tests_name("rpc_wire", tests, NULL, NULL);
}
