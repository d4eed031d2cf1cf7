/*
 * ts_check_impl: what the two halves of the checker share: ts_check.c knows
 * packets, tables and the clock, ts_check_es.c what is inside a stream.
 */
#ifndef RV_TS_TS_CHECK_IMPL_H
#define RV_TS_TS_CHECK_IMPL_H

#include "ts/ts_check.h"
#include "ts/ts_mux.h"

#define CHECK_CLOCKS  256
#define CHECK_WAITING 512
#define CHECK_REORDER 32

/* A clock value and the packet that it came in. */
struct check_clock {
    uint64_t packet;
    int64_t pcr_27m; /* unwrapped */
};

enum check_kind { CHECK_PAT, CHECK_PMT, CHECK_VIDEO, CHECK_AUDIO };

/* Something whose time of arrival is known only at the next PCR. */
struct check_arrival {
    uint64_t packet;
    enum check_kind kind;
    int64_t due_27m; /* when it is decoded */
};

/* Times that must lie on a grid: first, first + step, ... */
struct check_grid {
    bool has_first;
    int64_t first_90k, last_90k;
    int64_t count; /* since first */
};

/* A PES packet that is being put together. */
struct check_pes {
    int pid; /* -1: not announced */
    uint8_t *data;
    size_t size, room;
    size_t expected; /* whole size, 0: until the next one starts */
    bool is_open;
    bool is_random_access;
    uint64_t last_packet;
    bool has_last; /* last_90k is valid: for unwrapping */
    int64_t last_90k;
};

struct ts_check {
    struct ts_check_config config;
    struct ts_check_report report;
    uint8_t packet[TS_PACKET_SIZE];
    size_t have;
    bool was_in_sync;
    uint64_t at; /* number of the packet at hand */
    int8_t counter[8192];
    bool is_jump[8192]; /* indicator seen in the packet at hand */

    int pmt_pid, pcr_pid;
    int64_t table_27m[2]; /* arrival of the last PAT, PMT; -1: none */

    struct check_clock clocks[CHECK_CLOCKS];
    uint64_t clock_count; /* since the last jump */
    struct check_arrival waiting[CHECK_WAITING];
    size_t waiting_count;

    struct check_pes video, audio;

    struct check_grid dts, pts, sound;
    int64_t step_90k; /* measured, when no rate was given */
    int64_t reorder[CHECK_REORDER];
    size_t reorder_count;
    int64_t since_key;
    int64_t vbv_bits;
    int sample_rate;
    bool has_offset[2]; /* first picture's, first sound's PTS are known */
    int64_t offset_90k[2];
};

/* Counts a fault; the first of its kind becomes the report's sentence. */
void check_fault(struct ts_check *check, enum ts_fault fault, const char *fmt,
                 ...) __attribute__((format(printf, 3, 4)));

/* Remembers that something was whole with packet `packet`. */
void check_arrived(struct ts_check *check, uint64_t packet,
                   enum check_kind kind, int64_t due_27m);

/* `value` modulo `modulus`, as the number nearest to `near`. */
int64_t check_unwrap(int64_t near, int64_t value, int64_t modulus);

/* A packet's payload; a stream's end; a jump of all times. */
void check_pes_feed(struct ts_check *check, struct check_pes *pes,
                    const uint8_t *bytes, size_t size, bool is_start,
                    bool is_random_access);
void check_pes_end(struct ts_check *check, struct check_pes *pes);
void check_es_jump(struct ts_check *check);
void check_es_end(struct ts_check *check);

#endif
