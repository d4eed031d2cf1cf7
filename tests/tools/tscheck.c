/* tscheck: rules of a transport stream.  See tscheck.h. */
#include "tscheck.h"

#include <string.h>

#define WRAP_MS ((double)(INT64_C(1) << 33) / 90)

void tscheck_init(struct tscheck *check)
{
    memset(check, 0, sizeof(*check));
    memset(check->counter, -1, sizeof(check->counter));
    memset(check->dts_last, -1, sizeof(check->dts_last));
    check->pat = (struct ts_table){ .pid = 0, .last_ms = -1 };
    check->pmt = (struct ts_table){ .pid = -1, .last_ms = -1 };
    check->pcr_pid = -1;
    check->pcr_ms = -1;
    check->is_in_sync = true;
}

bool tscheck_is_ts(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < 3; i++) {
        if (size <= i * TS_PACKET || bytes[i * TS_PACKET] != 0x47)
            return false;
    }
    return true;
}

/* CRC-32 of 13818-1 annex A; zero over a section with its own CRC. */
static uint32_t crc32_mpeg(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)bytes[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ (crc >> 31 ? 0x04C11DB7 : 0);
    }
    return crc;
}

static void wait_for_pcr(struct tscheck *check, int kind, double dts_ms)
{
    if (check->waiting_count == TS_WAITING)
        return;
    check->waiting[check->waiting_count].packet = check->packets;
    check->waiting[check->waiting_count].kind = kind;
    check->waiting[check->waiting_count++].dts_ms = dts_ms;
}

/* Sections of one packet are enough for PAT and PMT of one programme. */
static void read_section(struct tscheck *check, bool is_pat,
                         const uint8_t *payload, size_t size)
{
    if (size < 1 || (size_t)payload[0] + 1 + 3 > size)
        return;
    const uint8_t *section = payload + 1 + payload[0];
    const size_t left = size - 1 - payload[0];
    const size_t length = (size_t)((section[1] & 0x0F) << 8 | section[2]) + 3;
    if (length > left || length < 16 || crc32_mpeg(section, length) != 0) {
        check->crc_errors++;
        return;
    }
    if (is_pat) {
        for (size_t at = 8; at + 4 <= length - 4; at += 4) {
            if (section[at] << 8 | section[at + 1])
                check->pmt.pid =
                    (section[at + 2] & 0x1F) << 8 | section[at + 3];
        }
    } else {
        check->pcr_pid = (section[8] & 0x1F) << 8 | section[9];
    }
    wait_for_pcr(check, is_pat ? 0 : 1, 0);
}

static int64_t stamp(const uint8_t *p)
{
    return (int64_t)(p[0] >> 1 & 7) << 30 | (int64_t)p[1] << 22 |
           (int64_t)(p[2] >> 1) << 15 | (int64_t)p[3] << 7 | p[4] >> 1;
}

static void read_pes(struct tscheck *check, int pid, const uint8_t *payload,
                     size_t size)
{
    if (size < 19 || payload[0] != 0 || payload[1] != 0 || payload[2] != 1 ||
        !(payload[7] & 0x80))
        return;
    const bool has_dts = (payload[7] & 0xC0) == 0xC0;
    const int64_t dts = stamp(payload + (has_dts ? 14 : 9));
    int64_t *last = &check->dts_last[pid];
    const int64_t step = (dts - *last) & ((INT64_C(1) << 33) - 1);

    if (*last >= 0 && (step == 0 || step > INT64_C(1) << 32))
        check->dts_backward++;
    *last = dts;
    wait_for_pcr(check, 2, (double)dts / 90);
}

static void table_seen(struct ts_table *table, double ms)
{
    if (table->last_ms >= 0 && ms - table->last_ms > table->max_interval_ms)
        table->max_interval_ms = ms - table->last_ms;
    table->last_ms = ms;
    table->count++;
}

/* Gives what waited since the last PCR its time on the line between both. */
static void settle(struct tscheck *check, double from_ms, double to_ms)
{
    const double span = (double)(check->packets - check->pcr_packet);

    for (size_t i = 0; i < check->waiting_count; i++) {
        const double part =
            (double)(check->waiting[i].packet - check->pcr_packet) / span;
        const double ms = from_ms + (to_ms - from_ms) * part;
        double ahead = check->waiting[i].dts_ms - ms;
        if (check->waiting[i].kind == 2) {
            while (ahead < -WRAP_MS / 2)
                ahead += WRAP_MS;
            check->pts_late += ahead <= 0;
        } else {
            table_seen(check->waiting[i].kind == 0 ? &check->pat : &check->pmt,
                       ms);
        }
    }
    check->waiting_count = 0;
}

static void read_pcr(struct tscheck *check, const uint8_t *field,
                     bool is_discontinuity)
{
    const int64_t base = (int64_t)field[0] << 25 | (int64_t)field[1] << 17 |
                         (int64_t)field[2] << 9 | (int64_t)field[3] << 1 |
                         field[4] >> 7;
    const int extension = (field[4] & 1) << 8 | field[5];
    double ms = (double)(base * 300 + extension) / 27000;

    check->pcr_count++;
    if (check->pcr_ms < 0 || is_discontinuity) {
        check->waiting_count = 0;
        check->pat.last_ms = check->pmt.last_ms = -1;
    } else {
        while (ms < check->pcr_ms - WRAP_MS / 2)
            ms += WRAP_MS;
        if (ms <= check->pcr_ms)
            check->pcr_backward++;
        else if (ms - check->pcr_ms > check->pcr_max_interval_ms)
            check->pcr_max_interval_ms = ms - check->pcr_ms;
        settle(check, check->pcr_ms, ms);
    }
    check->pcr_ms = ms;
    check->pcr_packet = check->packets;
}

/* A packet may come twice (2.4.3.3); without payload the counter stands. */
static void check_counter(struct tscheck *check, int pid, int counter,
                          bool has_payload, bool is_discontinuity)
{
    const int last = check->counter[pid];
    const bool is_same = last == counter;

    if (last >= 0 && !is_discontinuity) {
        const bool is_next = counter == ((last + 1) & 15);
        const bool is_good =
            has_payload ? is_next || (is_same && !check->is_repeated[pid])
                        : is_same;
        check->continuity_errors += !is_good;
    }
    check->is_repeated[pid] = has_payload && is_same;
    check->counter[pid] = (int8_t)counter;
}

static void read_packet(struct tscheck *check, const uint8_t *p)
{
    const int pid = (p[1] & 0x1F) << 8 | p[2];
    const bool has_field = p[3] & 0x20, has_payload = p[3] & 0x10;
    size_t at = 4;
    bool is_discontinuity = false;

    check->transport_errors += p[1] >> 7;
    check->scrambled += (p[3] & 0xC0) != 0;
    if (has_field) {
        at += 1 + (size_t)p[4];
        is_discontinuity = p[4] > 0 && p[5] & 0x80;
        check->discontinuities += is_discontinuity;
        if (p[4] >= 7 && p[5] & 0x10 &&
            (check->pcr_pid < 0 || pid == check->pcr_pid))
            read_pcr(check, p + 6, is_discontinuity);
    }
    if (pid == 0x1FFF)
        return;
    check_counter(check, pid, p[3] & 15, has_payload, is_discontinuity);
    if (!has_payload || !(p[1] & 0x40) || at >= TS_PACKET)
        return;
    if (pid == 0 || pid == check->pmt.pid)
        read_section(check, pid == 0, p + at, TS_PACKET - at);
    else
        read_pes(check, pid, p + at, TS_PACKET - at);
}

/* Out of step: one loss, then the next 0x47 is tried. */
static void resync(struct tscheck *check)
{
    const uint8_t *next = memchr(check->packet + 1, 0x47, TS_PACKET - 1);

    check->sync_losses += check->is_in_sync;
    check->is_in_sync = false;
    check->have = next ? (size_t)(check->packet + TS_PACKET - next) : 0;
    if (next)
        memmove(check->packet, next, check->have);
}

void tscheck_feed(struct tscheck *check, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t take = TS_PACKET - check->have;
        take = take < size ? take : size;
        memcpy(check->packet + check->have, bytes, take);
        check->have += take;
        bytes += take;
        size -= take;
        if (check->have < TS_PACKET)
            return;
        if (check->packet[0] != 0x47) {
            resync(check);
            continue;
        }
        check->is_in_sync = true;
        check->have = 0;
        read_packet(check, check->packet);
        check->packets++;
    }
}
