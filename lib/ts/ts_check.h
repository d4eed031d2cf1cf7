/*
 * ts_check: says what is wrong with a transport stream of ours.
 *
 * Reads packets and knows ISO/IEC 13818-1, what applies of ETSI TR 101 290
 * priority 1 and 2, and what we promise beyond: pictures at equal steps in
 * decoding and in display order, sound without a gap, each keyframe with
 * parameter sets and where the grid wants it, decoder buffers neither empty nor
 * full.  Wants one programme with one H.264 and one ADTS stream.
 *
 * Shares only constants with ts_mux.  PCR accuracy (TR 101 290 2.4) has no
 * meaning in a stream of changing rate and is not looked at.
 *
 * An adaptation field's discontinuity_indicator excuses, on its PID, one break
 * of the counter and, on the PID of the clock, a jump of all times.
 */
#ifndef RV_TS_TS_CHECK_H
#define RV_TS_TS_CHECK_H

#include <libavutil/rational.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"

enum ts_fault {
    TS_FAULT_SYNC = 0,    /* TR 101 290 1.1, 1.2 */
    TS_FAULT_TRANSPORT,   /* 2.1: transport_error_indicator */
    TS_FAULT_SCRAMBLED,   /* 1.3 */
    TS_FAULT_CONTINUITY,  /* 1.4 */
    TS_FAULT_TABLE,       /* 1.3, 1.5: PAT or PMT malformed */
    TS_FAULT_CRC,         /* 2.2 */
    TS_FAULT_PSI_LATE,    /* PAT or PMT over 100 ms apart */
    TS_FAULT_PID,         /* 1.6: packets nobody announced, or none at all */
    TS_FAULT_PCR_LATE,    /* 2.3a: over 40 ms apart */
    TS_FAULT_PCR_JUMP,    /* 2.3b: back, or over 100 ms on */
    TS_FAULT_PES,         /* header malformed, length wrong */
    TS_FAULT_PTS_MISSING, /* 2.5: none, or over 700 ms apart */
    TS_FAULT_PTS_STEP,    /* a picture doubled or missing */
    TS_FAULT_DTS_STEP,
    TS_FAULT_DTS_ORDER, /* after its PTS, or not rising */
    TS_FAULT_TOO_LATE,  /* arrived after its DTS or PTS */
    TS_FAULT_TOO_EARLY, /* more than 1 s before (13818-1 2.4.2.6) */
    TS_FAULT_SOUND_GAP,
    TS_FAULT_ADTS,
    TS_FAULT_PICTURE,    /* no delimiter, keyframe without SPS and PPS ... */
    TS_FAULT_GRID,       /* no keyframe where one was due */
    TS_FAULT_VBV,        /* underflow */
    TS_FAULT_ADAPTATION, /* adaptation field malformed */
    TS_FAULTS
};

/* Zero: do not look at that. */
struct ts_check_config {
    AVRational rate;       /* of pictures; 0/1: by the first two */
    int64_t gop;           /* pictures from keyframe to keyframe at the most */
    int64_t vbv_rate_bits; /* a second */
    int64_t vbv_size_bits;
};

struct ts_check_report {
    uint64_t packets;
    uint64_t faults[TS_FAULTS];
    uint64_t fault_count;       /* of all kinds */
    char first[TS_FAULTS][160]; /* the first of each kind, a sentence */
    uint64_t pictures, keyframes, b_pictures, sounds, pcrs, pats, pmts;
    uint64_t discontinuities;
    uint64_t null_packets;
    int64_t first_pts_90k, last_pts_90k;        /* pictures; -1: none */
    int64_t pcr_max_us, psi_max_us, pts_max_us; /* widest intervals */
    int64_t margin_min_us, margin_max_us; /* DTS minus arrival, pictures */
    int64_t sound_margin_min_us;
    int64_t offset_us; /* first sound's PTS minus first picture's */
};

struct ts_check;

struct ts_check *ts_check_new(const struct ts_check_config *config);
void ts_check_free(struct ts_check *check);
void ts_check_feed(struct ts_check *check, const uint8_t *bytes, size_t size);
/* Looks at what was left open; lends the report until ts_check_free(). */
const struct ts_check_report *ts_check_end(struct ts_check *check);

const char *ts_fault_name(enum ts_fault fault); /* "continuity" ... */

#endif
