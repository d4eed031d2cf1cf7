/*
 * tscheck: the rules of a transport stream that tests ask about, found in its
 * bytes alone: ISO/IEC 13818-1 2.4.3 and ETSI TR 101 290 5.2.1, 5.2.2.
 *
 * Knows nothing of lib/ts on purpose: a fault there must not hide here.
 * Arrival times come from PCR, linear in bytes between two of them.
 */
#ifndef RV_TESTS_TSCHECK_H
#define RV_TESTS_TSCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_PACKET = 188, TS_PIDS = 8192, TS_WAITING = 256 };

struct ts_table {
    int pid;        /* -1: not known */
    double last_ms; /* time of the last one; < 0: none yet */
    double max_interval_ms;
    uint64_t count;
};

struct tscheck {
    uint8_t packet[TS_PACKET];
    size_t have;
    uint64_t packets;
    uint64_t sync_losses;
    uint64_t continuity_errors;
    uint64_t transport_errors;
    uint64_t crc_errors;
    uint64_t scrambled;
    uint64_t pcr_count;
    uint64_t pcr_backward;
    uint64_t discontinuities; /* indicators seen */
    uint64_t pts_late;        /* DTS not after the PCR of its arrival */
    uint64_t dts_backward;
    double pcr_max_interval_ms;
    struct ts_table pat, pmt;
    int pcr_pid;
    /* private */
    int8_t counter[TS_PIDS]; /* -1: none yet */
    bool is_repeated[TS_PIDS];
    bool is_in_sync;
    double pcr_ms; /* unwrapped; < 0: none yet */
    uint64_t pcr_packet;
    struct {
        uint64_t packet;
        int kind; /* 0 PAT, 1 PMT, 2 DTS */
        double dts_ms;
    } waiting[TS_WAITING];
    size_t waiting_count;
    int64_t dts_last[TS_PIDS]; /* 90 kHz; -1: none yet */
};

void tscheck_init(struct tscheck *check);
void tscheck_feed(struct tscheck *check, const uint8_t *bytes, size_t size);

/* True when the bytes begin like a transport stream. */
bool tscheck_is_ts(const uint8_t *bytes, size_t size);

#endif
