/*
 * ts_mux: one H.264 and one AAC stream into an MPEG transport stream, stretch
 * by stretch (ISO/IEC 13818-1).
 *
 * A stretch is some pictures in decoding order, the sound that belongs to
 * them, and the span of the programme clock in which it is sent:
 *
 *   [PAT PMT] V+PCR V V A V V ... [PAT PMT] ... V+PCR A V V
 *   ^ pcr_start_27m                                       ^ pcr_end_27m
 *
 * PCR is linear in bytes from the first to the last byte of a stretch, and the
 * next stretch starts where this one ends: so the clock does not depend on
 * what was sent before, and another process can go on with it.  All it needs
 * besides are the continuity counters, which it reads back from the last
 * packets (ts_mux_saw()), and to start with a keyframe.
 *
 * Limits kept: PCR at most every 40 ms (aim 20; 2.7.2 asks for 100, ETSI TR 101
 * 290 5.2.2 for 40), PAT and PMT at most every 100 ms (aim 60; TR 101 290
 * 5.2.1: 500).  A nearly empty stream is filled with packets that carry only
 * PCR: about 190 kbit/s is the least.
 *
 * No allocation and no system call; one thread.
 */
#ifndef RV_TS_TS_MUX_H
#define RV_TS_TS_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"

#define TS_PACKET_SIZE 188
#define TS_SYNC_BYTE   0x47
#define TS_PID_PAT     0x0000
#define TS_PID_VIDEO   0x0100
#define TS_PID_AUDIO   0x0101
#define TS_PID_PMT     0x1000
#define TS_PID_NULL    0x1fff

#define TS_STREAM_H264 0x1b /* table 2-34 */
#define TS_STREAM_AAC  0x0f /* ADTS */

#define TS_PCR_HZ   INT64_C(27000000)
#define TS_PTS_MASK ((INT64_C(1) << 33) - 1)

enum ts_mux_pid {
    TS_MUX_PAT,
    TS_MUX_PMT,
    TS_MUX_VIDEO,
    TS_MUX_AUDIO,
    TS_MUX_PIDS
};

struct ts_mux {
    uint8_t counter[TS_MUX_PIDS]; /* of the last packet; 4 bits */
    bool is_jump[TS_MUX_PIDS];    /* its next packet says discontinuity */
    bool is_started;              /* last_* are valid */
    int64_t last_pcr_27m;
    int64_t last_psi_27m;
    uint8_t pat[TS_PACKET_SIZE];
    uint8_t pmt[TS_PACKET_SIZE];
};

/* An access unit, Annex B, or whole ADTS frames: one PES packet each. */
struct ts_unit {
    const uint8_t *data;
    size_t size;
    int64_t pts_90k; /* not wrapped; taken modulo 2^33 */
    int64_t dts_90k; /* pictures only; written when it differs from pts */
    bool is_key;     /* pictures only: IDR with parameter sets */
};

struct ts_mux_input {
    const struct ts_unit *picture; /* decoding order; at least one */
    size_t pictures;
    const struct ts_unit *sound;
    size_t sounds;
    int64_t pcr_start_27m; /* not wrapped */
    int64_t pcr_end_27m;
};

/* A programme 1 with these two streams; counters start so that 0 comes first */
void ts_mux_init(struct ts_mux *mux);

/*
 * A packet that was sent before, newest first: its counter is taken over if
 * it is the first one seen of its PID.  *seen is a set of bits that the caller
 * starts with 0; true when all PIDs have been seen.
 */
bool ts_mux_saw(struct ts_mux *mux, const uint8_t packet[TS_PACKET_SIZE],
                uint32_t *seen);

/* The clock jumps: the next packets of each PID carry the indicator. */
void ts_mux_jump(struct ts_mux *mux);

/*
 * Writes a stretch to `out` and its size to *written.  Starts with PAT and PMT
 * if the first picture is_key.  ERR_LIMIT if it does not fit; the multiplexer
 * is then to be thrown away.
 */
int ts_mux_stretch(struct ts_mux *mux, const struct ts_mux_input *input,
                   uint8_t *out, size_t out_size, size_t *written,
                   struct err *err);

/* CRC of a section (13818-1 annex A); 0 over a section with its CRC. */
uint32_t ts_crc32(const uint8_t *bytes, size_t size);

#endif
