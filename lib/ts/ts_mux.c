/*
 * ts_mux: packets of one stretch, in one pass, then the clock values.
 *
 * The first pass does not know how many packets there will be, so it places
 * PCR by an estimate and leaves the values open; the second pass knows and
 * writes them, exactly linear.  Sound is spread evenly among the pictures'
 * packets, so that neither decoder buffer sees a burst of the other.
 */
#include "ts/ts_mux.h"

#include <string.h>

#include <libavutil/mathematics.h>

#define PCR_AIM_27M    (TS_PCR_HZ / 50)      /* 20 ms */
#define PSI_AIM_27M    (TS_PCR_HZ * 6 / 100) /* 60 ms */
#define PACKET_MAX_27M (TS_PCR_HZ / 125) /* longest a packet may last: 8 ms */
#define PES_HEADER_MAX 19

static const uint16_t pids[TS_MUX_PIDS] = { TS_PID_PAT, TS_PID_PMT,
                                            TS_PID_VIDEO, TS_PID_AUDIO };

/* What is left to send of one PID in this stretch. */
struct queue {
    const struct ts_unit *unit;
    size_t units;
    uint8_t stream_id;
    uint8_t header[PES_HEADER_MAX];
    size_t header_size; /* 0: the unit's first packet is still to come */
    size_t sent;        /* of header and data together */
    uint64_t packets;   /* estimated in all */
    uint64_t done;
};

/* A stretch in the making. */
struct work {
    struct ts_mux *mux;
    const struct ts_mux_input *input;
    uint8_t *out;
    uint64_t room;     /* packets */
    uint64_t at;       /* packets written */
    uint64_t expected; /* packets that there will be, estimated */
    uint64_t least;    /* packets that there must be */
};

/* --- tables --------------------------------------------------------------- */

uint32_t ts_crc32(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)bytes[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ (crc & 0x80000000 ? 0x04c11db7 : 0);
    }
    return crc;
}

/* A packet with one section: header and counter come when it is sent. */
static void make_table(uint8_t packet[TS_PACKET_SIZE], const uint8_t *section,
                       size_t size)
{
    const uint32_t crc = ts_crc32(section, size);

    memset(packet, 0xff, TS_PACKET_SIZE);
    packet[4] = 0; /* pointer_field */
    memcpy(packet + 5, section, size);
    for (size_t i = 0; i < 4; i++)
        packet[5 + size + i] = (uint8_t)(crc >> (24 - 8 * i));
}

void ts_mux_init(struct ts_mux *mux)
{
    /* 2.4.4.3 and 2.4.4.8: id, length, stream or programme 1, version 0 */
    static const uint8_t pat[] = { 0x00,
                                   0xb0,
                                   13,
                                   0,
                                   1,
                                   0xc1,
                                   0,
                                   0,
                                   0,
                                   1,
                                   0xe0 | TS_PID_PMT >> 8,
                                   TS_PID_PMT & 0xff };
    static const uint8_t pmt[] = { 0x02,
                                   0xb0,
                                   23,
                                   0,
                                   1,
                                   0xc1,
                                   0,
                                   0,
                                   0xe0 | TS_PID_VIDEO >> 8,
                                   TS_PID_VIDEO & 0xff,
                                   0xf0,
                                   0,
                                   TS_STREAM_H264,
                                   0xe0 | TS_PID_VIDEO >> 8,
                                   TS_PID_VIDEO & 0xff,
                                   0xf0,
                                   0,
                                   TS_STREAM_AAC,
                                   0xe0 | TS_PID_AUDIO >> 8,
                                   TS_PID_AUDIO & 0xff,
                                   0xf0,
                                   0 };

    *mux = (struct ts_mux){ .is_started = false };
    memset(mux->counter, 15, sizeof(mux->counter));
    make_table(mux->pat, pat, sizeof(pat));
    make_table(mux->pmt, pmt, sizeof(pmt));
}

/* --- packets -------------------------------------------------------------- */

bool ts_mux_saw(struct ts_mux *mux, const uint8_t packet[TS_PACKET_SIZE],
                uint32_t *seen)
{
    const uint16_t pid = (uint16_t)((packet[1] & 0x1f) << 8 | packet[2]);

    for (unsigned i = 0; i < TS_MUX_PIDS && packet[0] == TS_SYNC_BYTE; i++) {
        if (pids[i] == pid && !(*seen & 1u << i)) {
            mux->counter[i] = packet[3] & 0x0f;
            *seen |= 1u << i;
        }
    }
    return *seen == (1u << TS_MUX_PIDS) - 1;
}

void ts_mux_jump(struct ts_mux *mux)
{
    memset(mux->is_jump, true, sizeof(mux->is_jump));
    mux->is_started = false;
}

/* Clock of packet `at`, by the estimate. */
static int64_t clock_at(const struct work *work, uint64_t at)
{
    const int64_t span = work->input->pcr_end_27m - work->input->pcr_start_27m;

    return work->input->pcr_start_27m +
           span * (int64_t)at / (int64_t)work->expected;
}

/*
 * The head of a packet: 4 bytes and, where needed, an adaptation field that
 * leaves exactly `payload` bytes of room or, if that is more than there can
 * be, all there is.  Gives the payload's place and its size.
 */
static uint8_t *begin_packet(struct work *work, enum ts_mux_pid which,
                             bool is_first, bool has_pcr, bool is_key,
                             size_t payload, size_t *size)
{
    struct ts_mux *mux = work->mux;
    uint8_t *p = work->out + work->at * TS_PACKET_SIZE;
    const bool is_jump = mux->is_jump[which] && which >= TS_MUX_VIDEO;
    size_t field = has_pcr ? 8 : is_key || is_jump ? 2 : 0;

    if (has_pcr)
        mux->last_pcr_27m = clock_at(work, work->at);
    work->at++;
    mux->is_jump[which] = false;
    if (TS_PACKET_SIZE - 4 - field > payload)
        field = TS_PACKET_SIZE - 4 - payload;
    if (payload > 0)
        mux->counter[which] = (mux->counter[which] + 1) & 0x0f;
    p[0] = TS_SYNC_BYTE;
    p[1] = (uint8_t)((is_first ? 0x40 : 0) | pids[which] >> 8);
    p[2] = (uint8_t)pids[which];
    p[3] = (uint8_t)((payload > 0 ? 0x10 : 0) | (field > 0 ? 0x20 : 0) |
                     mux->counter[which]);
    if (field > 0)
        p[4] = (uint8_t)(field - 1);
    if (field > 1) {
        memset(p + 5, 0xff, field - 1);
        p[5] = (uint8_t)((is_jump ? 0x80 : 0) | (is_key ? 0x40 : 0) |
                         (has_pcr ? 0x10 : 0));
    }
    *size = TS_PACKET_SIZE - 4 - field;
    return p + 4 + field;
}

static void write_tables(struct work *work)
{
    struct ts_mux *mux = work->mux;
    size_t size;

    mux->last_psi_27m = clock_at(work, work->at);
    uint8_t *to =
        begin_packet(work, TS_MUX_PAT, true, false, false, 184, &size);
    memcpy(to, mux->pat + 4, size);
    to = begin_packet(work, TS_MUX_PMT, true, false, false, 184, &size);
    memcpy(to, mux->pmt + 4, size);
}

/* 2.4.3.7: a time stamp of 33 bits behind four bits of prefix. */
static void write_stamp(uint8_t *p, uint8_t prefix, int64_t value_90k)
{
    const uint64_t v = (uint64_t)(value_90k & TS_PTS_MASK);

    p[0] = (uint8_t)(prefix << 4 | (v >> 30 & 7) << 1 | 1);
    p[1] = (uint8_t)(v >> 22);
    p[2] = (uint8_t)((v >> 15 & 0x7f) << 1 | 1);
    p[3] = (uint8_t)(v >> 7);
    p[4] = (uint8_t)((v & 0x7f) << 1 | 1);
}

static void begin_unit(struct queue *queue)
{
    const struct ts_unit *unit = queue->unit;
    const bool is_video = queue->stream_id == 0xe0;
    const bool has_dts = is_video && unit->dts_90k != unit->pts_90k;
    const size_t stamps = has_dts ? 10 : 5;
    const size_t length = 3 + stamps + unit->size;
    uint8_t *h = queue->header;

    h[0] = 0;
    h[1] = 0;
    h[2] = 1;
    h[3] = queue->stream_id;
    /* 0 is allowed for video: as long as it takes */
    h[4] = length > 0xffff ? 0 : (uint8_t)(length >> 8);
    h[5] = length > 0xffff ? 0 : (uint8_t)length;
    h[6] = 0x84; /* aligned to an access unit */
    h[7] = has_dts ? 0xc0 : 0x80;
    h[8] = (uint8_t)stamps;
    write_stamp(h + 9, has_dts ? 3 : 2, unit->pts_90k);
    if (has_dts)
        write_stamp(h + 14, 1, unit->dts_90k);
    queue->header_size = 9 + stamps;
    queue->sent = 0;
}

/* Copies from the header and then the data of the queue's first unit. */
static void take_bytes(struct queue *queue, uint8_t *to, size_t size)
{
    if (queue->sent < queue->header_size) {
        size_t part = queue->header_size - queue->sent;
        part = part < size ? part : size;
        memcpy(to, queue->header + queue->sent, part);
        queue->sent += part;
        to += part;
        size -= part;
    }
    memcpy(to, queue->unit->data + (queue->sent - queue->header_size), size);
    queue->sent += size;
}

static void write_queue(struct work *work, enum ts_mux_pid which,
                        struct queue *queue, bool has_pcr)
{
    const bool is_first = queue->header_size == 0;
    size_t size;

    if (is_first)
        begin_unit(queue);
    const size_t left = queue->header_size + queue->unit->size - queue->sent;
    uint8_t *to = begin_packet(work, which, is_first, has_pcr,
                               is_first && queue->unit->is_key, left, &size);
    take_bytes(queue, to, size);
    queue->done++;
    if (size == left) {
        queue->unit++;
        queue->units--;
        queue->header_size = 0;
    }
}

static void write_pcr_only(struct work *work)
{
    size_t size;
    begin_packet(work, TS_MUX_VIDEO, false, true, false, 0, &size);
}

/* --- a stretch ------------------------------------------------------------ */

static void start_queue(struct queue *queue, const struct ts_unit *unit,
                        size_t units, uint8_t stream_id)
{
    *queue =
        (struct queue){ .unit = unit, .units = units, .stream_id = stream_id };
    for (size_t i = 0; i < units; i++)
        queue->packets += (PES_HEADER_MAX + unit[i].size + 183) / 184;
}

/* How often PAT and PMT will be due in this stretch. */
static int64_t tables_due(const struct work *work)
{
    const struct ts_mux_input *input = work->input;
    int64_t next = work->mux->last_psi_27m + PSI_AIM_27M;

    if (!work->mux->is_started || input->picture[0].is_key)
        next = input->pcr_start_27m;
    if (next >= input->pcr_end_27m)
        return 0;
    return 1 + (input->pcr_end_27m - 1 - next) / PSI_AIM_27M;
}

/* How many packets there will be, and at least one every 8 ms. */
static void estimate(struct work *work, const struct queue *video,
                     const struct queue *audio)
{
    const int64_t span = work->input->pcr_end_27m - work->input->pcr_start_27m;
    const uint64_t clock_bytes = (uint64_t)(1 + span / PCR_AIM_27M) * 8;
    const uint64_t expected = video->packets + audio->packets +
                              2 * (uint64_t)tables_due(work) +
                              clock_bytes / 184;

    work->least = (uint64_t)(span / PACKET_MAX_27M) + 1;
    work->expected = expected > work->least ? expected : work->least;
}

static bool is_pcr_due(const struct work *work)
{
    return !work->mux->is_started ||
           clock_at(work, work->at + 1) - work->mux->last_pcr_27m > PCR_AIM_27M;
}

static bool is_psi_due(const struct work *work)
{
    return work->mux->is_started &&
           clock_at(work, work->at) - work->mux->last_psi_27m >= PSI_AIM_27M;
}

/* Would the clock be late behind two packets of tables? */
static bool is_pcr_first(const struct work *work)
{
    const int64_t last = work->mux->last_pcr_27m;

    return clock_at(work, work->at + 3) - last > PCR_AIM_27M &&
           clock_at(work, work->at) - last > PCR_AIM_27M / 2;
}

/* The next packet, or two of tables. */
static void write_next(struct work *work, struct queue *video,
                       struct queue *audio)
{
    const bool is_key_next =
        video->units > 0 && video->header_size == 0 && video->unit->is_key;
    const bool is_sound_turn =
        audio->units > 0 &&
        (video->units == 0 ||
         audio->done * (video->packets + 1) < video->done * audio->packets);

    if (is_psi_due(work) && !is_pcr_first(work)) {
        write_tables(work);
    } else if (is_pcr_due(work) || is_psi_due(work) ||
               (is_key_next && !is_sound_turn)) {
        if (video->units > 0)
            write_queue(work, TS_MUX_VIDEO, video, true);
        else
            write_pcr_only(work);
        work->mux->is_started = true;
    } else if (is_sound_turn) {
        write_queue(work, TS_MUX_AUDIO, audio, false);
    } else if (video->units > 0) {
        write_queue(work, TS_MUX_VIDEO, video, false);
    } else {
        write_pcr_only(work); /* nearly empty: see PACKET_MAX_27M */
    }
}

/* Second pass: now that the number of packets is known. */
static void write_clocks(struct work *work)
{
    const int64_t start = work->input->pcr_start_27m;
    const int64_t span = work->input->pcr_end_27m - start;
    const int64_t bytes = (int64_t)work->at * TS_PACKET_SIZE;

    for (int64_t at = 0; at < bytes; at += TS_PACKET_SIZE) {
        uint8_t *p = work->out + at;
        if ((p[1] & 0x1f) == 0 && p[2] == TS_PID_PAT)
            work->mux->last_psi_27m = start + av_rescale(span, at, bytes);
        if (!(p[3] & 0x20) || p[4] == 0 || !(p[5] & 0x10))
            continue;
        /* 2.4.2.2: the time of the byte with the last bit of the base */
        const int64_t pcr = start + av_rescale(span, at + 10, bytes);
        const uint64_t base = (uint64_t)((pcr / 300) & TS_PTS_MASK);
        const unsigned extension = (unsigned)(pcr % 300);
        p[6] = (uint8_t)(base >> 25);
        p[7] = (uint8_t)(base >> 17);
        p[8] = (uint8_t)(base >> 9);
        p[9] = (uint8_t)(base >> 1);
        p[10] = (uint8_t)((base & 1) << 7 | 0x7e | extension >> 8);
        p[11] = (uint8_t)extension;
        work->mux->last_pcr_27m = pcr;
    }
}

static bool is_open(const struct work *work, const struct queue *video,
                    const struct queue *audio)
{
    return video->units > 0 || audio->units > 0 || work->at < work->least;
}

int ts_mux_stretch(struct ts_mux *mux, const struct ts_mux_input *input,
                   uint8_t *out, size_t out_size, size_t *written,
                   struct err *err)
{
    struct work work = { .mux = mux,
                         .input = input,
                         .out = out,
                         .room = out_size / TS_PACKET_SIZE };
    struct queue video, audio;

    start_queue(&video, input->picture, input->pictures, 0xe0);
    start_queue(&audio, input->sound, input->sounds, 0xc0);
    estimate(&work, &video, &audio);
    if (input->picture[0].is_key && work.room >= 2)
        write_tables(&work);
    while (work.at + 2 <= work.room && is_open(&work, &video, &audio))
        write_next(&work, &video, &audio);
    if (is_open(&work, &video, &audio)) {
        return err_set(err, ERR_LIMIT,
                       "a stretch of more than %zu bytes; use a lower bitrate",
                       out_size);
    }
    write_clocks(&work);
    *written = work.at * TS_PACKET_SIZE;
    return 0;
}
