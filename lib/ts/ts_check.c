/*
 * ts_check: packets, tables and the clock.
 *
 * When something arrived is known only once the next PCR has come: between two
 * of them time is linear in bytes (13818-1 2.4.2.2).  So what is to be judged
 * by its arrival waits, and is judged with the clock values around it.
 */
#include "ts/ts_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ts/ts_check_impl.h"

#define PCR_MODULUS (INT64_C(300) << 33)
#define MS_27M      INT64_C(27000)

static const char *const fault_names[TS_FAULTS] = {
    [TS_FAULT_SYNC] = "sync",
    [TS_FAULT_TRANSPORT] = "transport-error",
    [TS_FAULT_SCRAMBLED] = "scrambled",
    [TS_FAULT_CONTINUITY] = "continuity",
    [TS_FAULT_TABLE] = "table",
    [TS_FAULT_CRC] = "crc",
    [TS_FAULT_PSI_LATE] = "psi-late",
    [TS_FAULT_PID] = "pid",
    [TS_FAULT_PCR_LATE] = "pcr-late",
    [TS_FAULT_PCR_JUMP] = "pcr-jump",
    [TS_FAULT_PES] = "pes",
    [TS_FAULT_PTS_MISSING] = "pts-missing",
    [TS_FAULT_PTS_STEP] = "pts-step",
    [TS_FAULT_DTS_STEP] = "dts-step",
    [TS_FAULT_DTS_ORDER] = "dts-order",
    [TS_FAULT_TOO_LATE] = "too-late",
    [TS_FAULT_TOO_EARLY] = "too-early",
    [TS_FAULT_SOUND_GAP] = "sound-gap",
    [TS_FAULT_ADTS] = "adts",
    [TS_FAULT_PICTURE] = "picture",
    [TS_FAULT_GRID] = "keyframe-late",
    [TS_FAULT_VBV] = "vbv",
    [TS_FAULT_ADAPTATION] = "adaptation-field",
};

const char *ts_fault_name(enum ts_fault fault)
{
    return fault_names[fault];
}

void check_fault(struct ts_check *check, enum ts_fault fault, const char *fmt,
                 ...)
{
    struct ts_check_report *report = &check->report;
    va_list ap;

    report->fault_count++;
    if (report->faults[fault]++ > 0)
        return;
    const int used = snprintf(report->first[fault], sizeof(report->first[0]),
                              "packet %llu: ", (unsigned long long)check->at);
    va_start(ap, fmt);
    vsnprintf(report->first[fault] + used,
              sizeof(report->first[0]) - (size_t)used, fmt, ap);
    va_end(ap);
}

int64_t check_unwrap(int64_t near, int64_t value, int64_t modulus)
{
    int64_t away = (value - near) % modulus;

    if (away < 0)
        away += modulus;
    if (away >= modulus / 2)
        away -= modulus;
    return near + away;
}

static void widest(int64_t *most, int64_t value)
{
    *most = value > *most ? value : *most;
}

/* --- arrival -------------------------------------------------------------- */

/* Time of a packet between two clock values; false if not known (yet). */
static bool time_of(const struct ts_check *check, uint64_t packet,
                    int64_t *time_27m)
{
    const uint64_t count = check->clock_count;
    const uint64_t kept = count < CHECK_CLOCKS ? count : CHECK_CLOCKS;

    for (uint64_t back = 1; back < kept; back++) {
        const struct check_clock *b =
            &check->clocks[(count - back) % CHECK_CLOCKS];
        const struct check_clock *a =
            &check->clocks[(count - back - 1) % CHECK_CLOCKS];
        if (packet > b->packet)
            return false;
        if (packet < a->packet)
            continue;
        *time_27m = a->pcr_27m + (b->pcr_27m - a->pcr_27m) *
                                     (int64_t)(packet - a->packet) /
                                     (int64_t)(b->packet - a->packet);
        return true;
    }
    return false;
}

static void judge_table(struct ts_check *check, enum check_kind kind,
                        int64_t time_27m)
{
    int64_t *last = &check->table_27m[kind == CHECK_PMT];

    if (*last >= 0) {
        const int64_t us = (time_27m - *last) / 27;
        widest(&check->report.psi_max_us, us);
        if (us > 100000) {
            check_fault(check, TS_FAULT_PSI_LATE, "%s after %lld us",
                        kind == CHECK_PMT ? "PMT" : "PAT", (long long)us);
        }
    }
    *last = time_27m;
}

static void judge_unit(struct ts_check *check, const struct check_arrival *item,
                       int64_t time_27m)
{
    struct ts_check_report *report = &check->report;
    const bool is_video = item->kind == CHECK_VIDEO;
    const int64_t us = (item->due_27m - time_27m) / 27;
    int64_t *least =
        is_video ? &report->margin_min_us : &report->sound_margin_min_us;

    *least = us < *least ? us : *least;
    if (is_video)
        widest(&report->margin_max_us, us);
    if (us < 0) {
        check_fault(check, TS_FAULT_TOO_LATE, "%s %lld us after it was due",
                    is_video ? "picture" : "sound", (long long)-us);
    }
    if (us > 1000000) {
        check_fault(check, TS_FAULT_TOO_EARLY, "%s %lld us before it is due",
                    is_video ? "picture" : "sound", (long long)us);
    }
}

static bool judge(struct ts_check *check, const struct check_arrival *item)
{
    int64_t time_27m;

    if (!time_of(check, item->packet, &time_27m)) {
        /* Older than the clock: never to be known. */
        const uint64_t count = check->clock_count;
        return count > 0 &&
               item->packet <= check->clocks[(count - 1) % CHECK_CLOCKS].packet;
    }
    switch (item->kind) {
    case CHECK_PAT:
    case CHECK_PMT:
        judge_table(check, item->kind, time_27m);
        break;
    case CHECK_VIDEO:
    case CHECK_AUDIO:
        judge_unit(check, item, time_27m);
        break;
    }
    return true;
}

void check_arrived(struct ts_check *check, uint64_t packet,
                   enum check_kind kind, int64_t due_27m)
{
    const struct check_arrival item = { packet, kind, due_27m };

    if (judge(check, &item))
        return;
    if (check->waiting_count == CHECK_WAITING) {
        check_fault(check, TS_FAULT_PCR_LATE, "%d units without a PCR",
                    CHECK_WAITING);
        check->waiting_count = 0;
    }
    check->waiting[check->waiting_count++] = item;
}

static void forget_times(struct ts_check *check)
{
    check->clock_count = 0;
    check->waiting_count = 0;
    check->table_27m[0] = -1;
    check->table_27m[1] = -1;
    check_es_jump(check);
}

static void clock_came(struct ts_check *check, int64_t raw_27m, bool is_jump)
{
    int64_t pcr = raw_27m;
    size_t kept = 0;

    check->report.pcrs++;
    if (is_jump)
        forget_times(check);
    if (check->clock_count > 0) {
        const struct check_clock *last =
            &check->clocks[(check->clock_count - 1) % CHECK_CLOCKS];
        pcr = check_unwrap(last->pcr_27m, raw_27m, PCR_MODULUS);
        const int64_t step = pcr - last->pcr_27m;
        widest(&check->report.pcr_max_us, step / 27);
        if (step <= 0 || step > 100 * MS_27M) {
            check_fault(check, TS_FAULT_PCR_JUMP, "clock goes on by %lld us",
                        (long long)(step / 27));
        } else if (step > 40 * MS_27M) {
            check_fault(check, TS_FAULT_PCR_LATE, "PCR after %lld us",
                        (long long)(step / 27));
        }
    }
    check->clocks[check->clock_count++ % CHECK_CLOCKS] =
        (struct check_clock){ check->at, pcr };
    for (size_t i = 0; i < check->waiting_count; i++) {
        if (!judge(check, &check->waiting[i]))
            check->waiting[kept++] = check->waiting[i];
    }
    check->waiting_count = kept;
}

/* --- tables --------------------------------------------------------------- */

/* The section in a packet, without CRC; NULL (and a fault) if it is wrong. */
static const uint8_t *section(struct ts_check *check, const uint8_t *bytes,
                              size_t size, uint8_t table_id, size_t *length)
{
    const size_t skip = size > 0 ? 1 + (size_t)bytes[0] : 0;

    if (size == 0 || skip + 3 > size || bytes[skip] != table_id) {
        check_fault(check, TS_FAULT_TABLE, "table %u expected", table_id);
        return NULL;
    }
    bytes += skip;
    *length = 3 + ((size_t)(bytes[1] & 0x0f) << 8 | bytes[2]);
    if (*length < 12 || skip + *length > size || (bytes[1] & 0xc0) != 0x80) {
        check_fault(check, TS_FAULT_TABLE, "section of %zu bytes", *length);
        return NULL;
    }
    if (ts_crc32(bytes, *length) != 0) {
        check_fault(check, TS_FAULT_CRC, "table %u", table_id);
        return NULL;
    }
    *length -= 4;
    return bytes;
}

static void read_pat(struct ts_check *check, const uint8_t *bytes, size_t size)
{
    size_t length;
    const uint8_t *s = section(check, bytes, size, 0, &length);

    check->report.pats++;
    if (s == NULL)
        return;
    if (length != 12 || (s[8] << 8 | s[9]) == 0) {
        check_fault(check, TS_FAULT_TABLE, "PAT without exactly one programme");
        return;
    }
    check->pmt_pid = (s[10] & 0x1f) << 8 | s[11];
    check_arrived(check, check->at, CHECK_PAT, 0);
}

static void read_pmt(struct ts_check *check, const uint8_t *bytes, size_t size)
{
    size_t length;
    const uint8_t *s = section(check, bytes, size, 2, &length);

    check->report.pmts++;
    if (s == NULL)
        return;
    check->pcr_pid = (s[8] & 0x1f) << 8 | s[9];
    size_t at = 12 + ((size_t)(s[10] & 0x0f) << 8 | s[11]);
    while (at + 5 <= length) {
        const int pid = (s[at + 1] & 0x1f) << 8 | s[at + 2];
        if (s[at] == TS_STREAM_H264)
            check->video.pid = pid;
        else if (s[at] == TS_STREAM_AAC)
            check->audio.pid = pid;
        else
            check_fault(check, TS_FAULT_TABLE, "stream type %u", s[at]);
        at += 5 + ((size_t)(s[at + 3] & 0x0f) << 8 | s[at + 4]);
    }
    if (at != length)
        check_fault(check, TS_FAULT_TABLE, "PMT's lengths contradict");
    check_arrived(check, check->at, CHECK_PMT, 0);
}

/* --- packets -------------------------------------------------------------- */

/* Gives the field's size, 1 .. 184; reads PCR and flags. */
static size_t read_adaptation(struct ts_check *check, int pid, const uint8_t *p,
                              bool *is_random_access)
{
    const size_t size = 1 + (size_t)p[4];
    const size_t most = p[3] & 0x10 ? 183 : 184;

    if (size > most || (!(p[3] & 0x10) && size != 184)) {
        check_fault(check, TS_FAULT_ADAPTATION, "field of %zu bytes", size);
        return size > most ? most : size;
    }
    if (size == 1)
        return size;
    check->is_jump[pid] = p[5] & 0x80;
    check->report.discontinuities += check->is_jump[pid];
    *is_random_access = p[5] & 0x40;
    if (!(p[5] & 0x10))
        return size;
    if (size < 8) {
        check_fault(check, TS_FAULT_ADAPTATION, "PCR in %zu bytes", size);
        return size;
    }
    const int64_t base =
        (int64_t)p[6] << 25 | p[7] << 17 | p[8] << 9 | p[9] << 1 | p[10] >> 7;
    const int64_t extension = (p[10] & 1) << 8 | p[11];
    if (extension > 299)
        check_fault(check, TS_FAULT_ADAPTATION, "PCR extension over 299");
    if (pid == check->pcr_pid)
        clock_came(check, base * 300 + extension, check->is_jump[pid]);
    return size;
}

static void check_counter(struct ts_check *check, int pid, const uint8_t *p)
{
    const int counter = p[3] & 0x0f;
    const int last = check->counter[pid];
    const int wanted = p[3] & 0x10 ? (last + 1) & 0x0f : last;

    if (last >= 0 && counter != wanted && !check->is_jump[pid]) {
        check_fault(check, TS_FAULT_CONTINUITY, "PID %d: %d instead of %d", pid,
                    counter, wanted);
    }
    check->counter[pid] = (int8_t)counter;
}

static void read_payload(struct ts_check *check, int pid, const uint8_t *bytes,
                         size_t size, bool is_start, bool is_random_access)
{
    if (pid == TS_PID_PAT) {
        if (is_start)
            read_pat(check, bytes, size);
    } else if (pid == check->pmt_pid) {
        if (is_start)
            read_pmt(check, bytes, size);
    } else if (pid == check->video.pid) {
        check_pes_feed(check, &check->video, bytes, size, is_start,
                       is_random_access);
    } else if (pid == check->audio.pid) {
        check_pes_feed(check, &check->audio, bytes, size, is_start,
                       is_random_access);
    } else if (pid == TS_PID_NULL) {
        check->report.null_packets++;
    } else if (pid < 0x10 || pid > 0x1f) {
        check_fault(check, TS_FAULT_PID, "PID %d was not announced", pid);
    }
}

static void read_packet(struct ts_check *check)
{
    const uint8_t *p = check->packet;
    const int pid = (p[1] & 0x1f) << 8 | p[2];
    size_t at = 4;
    bool is_random_access = false;

    if (p[1] & 0x80)
        check_fault(check, TS_FAULT_TRANSPORT, "PID %d", pid);
    if (p[3] & 0xc0)
        check_fault(check, TS_FAULT_SCRAMBLED, "PID %d", pid);
    if (!(p[3] & 0x30))
        check_fault(check, TS_FAULT_ADAPTATION, "neither field nor payload");
    check->is_jump[pid] = false;
    if (p[3] & 0x20)
        at += read_adaptation(check, pid, p, &is_random_access);
    if (pid != TS_PID_NULL)
        check_counter(check, pid, p);
    if (p[3] & 0x10) {
        read_payload(check, pid, p + at, TS_PACKET_SIZE - at, p[1] & 0x40,
                     is_random_access);
    }
    check->at++;
    check->report.packets++;
}

void ts_check_feed(struct ts_check *check, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (check->have == 0 && bytes[i] != TS_SYNC_BYTE) {
            if (check->was_in_sync)
                check_fault(check, TS_FAULT_SYNC, "sync byte is 0x%02x",
                            bytes[i]);
            check->was_in_sync = false;
            continue;
        }
        check->packet[check->have++] = bytes[i];
        if (check->have == TS_PACKET_SIZE) {
            check->have = 0;
            check->was_in_sync = true;
            read_packet(check);
        }
    }
}

/* --- lifetime ------------------------------------------------------------- */

struct ts_check *ts_check_new(const struct ts_check_config *config)
{
    struct ts_check *check = calloc(1, sizeof(*check));

    if (check == NULL)
        return NULL;
    check->config = *config;
    check->was_in_sync = true;
    memset(check->counter, -1, sizeof(check->counter));
    check->pmt_pid = -1;
    check->pcr_pid = -1;
    check->video.pid = -1;
    check->audio.pid = -1;
    check->report.first_pts_90k = -1;
    check->report.last_pts_90k = -1;
    check->report.margin_min_us = INT64_MAX;
    check->report.sound_margin_min_us = INT64_MAX;
    check->vbv_bits = config->vbv_size_bits * 9 / 10;
    forget_times(check);
    return check;
}

void ts_check_free(struct ts_check *check)
{
    if (check == NULL)
        return;
    free(check->video.data);
    free(check->audio.data);
    free(check);
}

const struct ts_check_report *ts_check_end(struct ts_check *check)
{
    const struct ts_check_report *report = &check->report;

    check_pes_end(check, &check->video);
    check_pes_end(check, &check->audio);
    check_es_end(check);
    if (check->have > 0)
        check_fault(check, TS_FAULT_SYNC, "ends within a packet");
    if (report->pats == 0 || report->pmts == 0)
        check_fault(check, TS_FAULT_TABLE, "no PAT or no PMT");
    if (report->pictures == 0 || report->sounds == 0 || report->pcrs == 0)
        check_fault(check, TS_FAULT_PID, "no picture, no sound or no PCR");
    if (check->has_offset[0] && check->has_offset[1]) {
        check->report.offset_us =
            (check->offset_90k[1] - check->offset_90k[0]) * 100 / 9;
    }
    return report;
}
