/*
 * ts_check_es: PES packets, pictures and sound of the checker.
 *
 * Each PES packet must hold one whole access unit, or whole ADTS frames: that
 * is how our multiplexer cuts them, and lets everything be judged by itself.
 */
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "ts/ts_check_impl.h"

#define PES_MAX (64u << 20)

static void widest(int64_t *most, int64_t value)
{
    *most = value > *most ? value : *most;
}

/* --- grids ---------------------------------------------------------------- */

/* Is this the next time of the grid first + count * num / den, within 1? */
static bool on_grid(struct check_grid *grid, int64_t time_90k, int64_t num,
                    int64_t den)
{
    bool is_right = true;

    if (grid->has_first) {
        grid->count++;
        const int64_t wanted =
            grid->first_90k + av_rescale(grid->count, num, den);
        is_right = llabs(time_90k - wanted) <= 1;
    }
    if (!grid->has_first || !is_right) {
        grid->has_first = true;
        grid->first_90k = time_90k;
        grid->count = 0;
    }
    grid->last_90k = time_90k;
    return is_right;
}

/* The step of pictures as num / den ticks; false while it is not known. */
static bool picture_step(const struct ts_check *check, int64_t *num,
                         int64_t *den)
{
    *num = check->config.rate.num > 0 ? 90000 * (int64_t)check->config.rate.den
                                      : check->step_90k;
    *den = check->config.rate.num > 0 ? check->config.rate.num : 1;
    return *num > 0;
}

static void check_step(struct ts_check *check, struct check_grid *grid,
                       int64_t time_90k, enum ts_fault fault)
{
    const int64_t before = grid->last_90k;
    const bool is_first = !grid->has_first;
    int64_t num, den;

    if (!is_first && check->step_90k == 0)
        check->step_90k = time_90k - before;
    if (!picture_step(check, &num, &den)) {
        num = 0;
        den = 1;
    }
    if (!on_grid(grid, time_90k, num, den)) {
        check_fault(check, fault, "%lld follows %lld", (long long)time_90k,
                    (long long)before);
    }
    /* Without a rate the step is only known to a tick: start anew. */
    if (check->config.rate.num == 0) {
        grid->first_90k = time_90k;
        grid->count = 0;
    }
}

/* --- pictures ------------------------------------------------------------- */

/* Shows what no later picture can precede: PTS up to the present DTS. */
static void show_until(struct ts_check *check, int64_t dts_90k)
{
    for (;;) {
        size_t least = 0;
        for (size_t i = 1; i < check->reorder_count; i++) {
            if (check->reorder[i] < check->reorder[least])
                least = i;
        }
        if (check->reorder_count == 0 || check->reorder[least] > dts_90k)
            return;
        const int64_t pts = check->reorder[least];
        check->reorder[least] = check->reorder[--check->reorder_count];
        if (check->pts.has_first) {
            widest(&check->report.pts_max_us,
                   (pts - check->pts.last_90k) * 100 / 9);
        }
        check_step(check, &check->pts, pts, TS_FAULT_PTS_STEP);
        if (check->report.first_pts_90k < 0)
            check->report.first_pts_90k = pts;
        check->report.last_pts_90k = pts;
    }
}

static void check_vbv(struct ts_check *check, size_t bytes)
{
    const struct ts_check_config *config = &check->config;
    int64_t num, den;

    if (config->vbv_size_bits == 0 || !picture_step(check, &num, &den))
        return;
    check->vbv_bits -= (int64_t)bytes * 8;
    if (check->vbv_bits < 0) {
        check_fault(check, TS_FAULT_VBV, "%lld bits too many",
                    (long long)-check->vbv_bits);
        check->vbv_bits = 0;
    }
    check->vbv_bits += av_rescale(config->vbv_rate_bits, num, den * 90000);
    if (check->vbv_bits > config->vbv_size_bits)
        check->vbv_bits = config->vbv_size_bits;
}

/* What one access unit consists of. */
struct nals {
    int count, first_type, slices, pictures;
    bool has_idr, has_sps, has_pps, is_reference;
};

static struct nals read_nals(const uint8_t *es, size_t size)
{
    struct nals nals = { .count = 0 };

    for (size_t i = 0; i + 4 < size; i++) {
        if (es[i] != 0 || es[i + 1] != 0 || es[i + 2] != 1)
            continue;
        const int type = es[i + 3] & 0x1f;
        if (nals.count++ == 0)
            nals.first_type = type;
        nals.has_sps |= type == 7 && nals.slices == 0;
        nals.has_pps |= type == 8 && nals.slices == 0;
        if (type == 1 || type == 5) {
            nals.slices++;
            nals.pictures += es[i + 4] >> 7; /* first_mb_in_slice is 0 */
            nals.has_idr |= type == 5;
            nals.is_reference |= (es[i + 3] & 0x60) != 0;
        }
        i += 3;
    }
    return nals;
}

static void check_picture(struct ts_check *check, const uint8_t *es,
                          size_t size, bool is_random_access)
{
    const struct nals nals = read_nals(es, size);

    check->report.pictures++;
    check->report.keyframes += nals.has_idr;
    check->report.b_pictures += !nals.is_reference;
    if (nals.first_type != 9)
        check_fault(check, TS_FAULT_PICTURE, "no access unit delimiter first");
    if (nals.pictures != 1)
        check_fault(check, TS_FAULT_PICTURE, "%d pictures in one PES packet",
                    nals.pictures);
    if (nals.has_idr && (!nals.has_sps || !nals.has_pps))
        check_fault(check, TS_FAULT_PICTURE, "keyframe without SPS or PPS");
    if (nals.has_idr != is_random_access)
        check_fault(check, TS_FAULT_PICTURE,
                    "random_access_indicator is %d, keyframe %d",
                    is_random_access, nals.has_idr);
    if (check->report.pictures == 1 && !nals.has_idr)
        check_fault(check, TS_FAULT_PICTURE, "does not begin with a keyframe");
    check->since_key = nals.has_idr ? 0 : check->since_key + 1;
    if (check->config.gop > 0 && check->since_key >= check->config.gop) {
        check_fault(check, TS_FAULT_GRID, "no keyframe for %lld pictures",
                    (long long)check->since_key);
        check->since_key = 0;
    }
    check_vbv(check, size);
}

static void check_picture_times(struct ts_check *check, int64_t pts_90k,
                                int64_t dts_90k)
{
    if (dts_90k > pts_90k ||
        (check->dts.has_first && dts_90k <= check->dts.last_90k)) {
        check_fault(check, TS_FAULT_DTS_ORDER, "DTS %lld, PTS %lld",
                    (long long)dts_90k, (long long)pts_90k);
    }
    check_step(check, &check->dts, dts_90k, TS_FAULT_DTS_STEP);
    if (check->reorder_count < CHECK_REORDER)
        check->reorder[check->reorder_count++] = pts_90k;
    show_until(check, dts_90k);
}

/* --- sound ---------------------------------------------------------------- */

static void check_sound(struct ts_check *check, const uint8_t *es, size_t size,
                        int64_t pts_90k)
{
    static const int rates[16] = { 96000, 88200, 64000, 48000, 44100,
                                   32000, 24000, 22050, 16000, 12000,
                                   11025, 8000,  7350 };
    const int64_t before = check->sound.last_90k;
    size_t at = 0;

    while (at + 7 <= size && es[at] == 0xff && (es[at + 1] & 0xf6) == 0xf0) {
        const size_t length = (size_t)(es[at + 3] & 3) << 11 |
                              (size_t)es[at + 4] << 3 | es[at + 5] >> 5;
        const int rate = rates[es[at + 2] >> 2 & 15];
        if (length < 8 || at + length > size || rate == 0)
            break;
        if (check->sample_rate != 0 && rate != check->sample_rate)
            check_fault(check, TS_FAULT_ADTS, "%d Hz follow %d", rate,
                        check->sample_rate);
        check->sample_rate = rate;
        const int64_t frame = pts_90k;
        if (at == 0 && check->sound.has_first) {
            const int64_t gap = frame - before;
            widest(&check->report.pts_max_us, gap * 100 / 9);
        }
        if (at == 0 &&
            !on_grid(&check->sound, frame, INT64_C(90000) * 1024, rate))
            check_fault(check, TS_FAULT_SOUND_GAP, "sound %lld follows %lld",
                        (long long)frame, (long long)before);
        if (at > 0)
            check->sound.count++;
        check->report.sounds++;
        at += length;
    }
    if (at != size || size == 0)
        check_fault(check, TS_FAULT_ADTS, "ADTS frames break off at byte %zu",
                    at);
}

/* --- PES ------------------------------------------------------------------ */

static int64_t read_stamp(const uint8_t *p)
{
    return (int64_t)(p[0] >> 1 & 7) << 30 | p[1] << 22 | (p[2] >> 1) << 15 |
           p[3] << 7 | p[4] >> 1;
}

/* A stamp as a number that goes on after 2^33. */
static int64_t unwrapped(struct check_pes *pes, int64_t value_90k)
{
    if (pes->has_last)
        value_90k = check_unwrap(pes->last_90k, value_90k, TS_PTS_MASK + 1);
    pes->last_90k = value_90k;
    pes->has_last = true;
    return value_90k;
}

/* The clock may have wrapped less often than the stamps: nearest to it. */
static int64_t near_clock(const struct ts_check *check, int64_t time_90k)
{
    if (check->clock_count == 0)
        return time_90k * 300;
    const int64_t pcr =
        check->clocks[(check->clock_count - 1) % CHECK_CLOCKS].pcr_27m;
    return check_unwrap(pcr, time_90k * 300, INT64_C(300) << 33);
}

void check_pes_end(struct ts_check *check, struct check_pes *pes)
{
    const uint8_t *p = pes->data;
    const bool is_video = pes == &check->video;

    if (!pes->is_open)
        return;
    pes->is_open = false;
    if (pes->size < 9 || p[0] != 0 || p[1] != 0 || p[2] != 1 ||
        (p[6] & 0xc0) != 0x80 || 9 + (size_t)p[8] > pes->size ||
        (pes->expected != 0 && pes->expected != pes->size)) {
        check_fault(check, TS_FAULT_PES, "PES packet of %zu bytes, %zu said",
                    pes->size, pes->expected);
        return;
    }
    const int flags = p[7] >> 6;
    if (flags < 2 || p[8] < (flags == 3 ? 10 : 5)) {
        check_fault(check, TS_FAULT_PTS_MISSING, "PES packet without PTS");
        return;
    }
    const size_t header = 9 + (size_t)p[8];
    int64_t dts = unwrapped(pes, read_stamp(flags == 3 ? p + 14 : p + 9));
    const int64_t pts = check_unwrap(dts, read_stamp(p + 9), TS_PTS_MASK + 1);
    check_arrived(check, pes->last_packet, is_video ? CHECK_VIDEO : CHECK_AUDIO,
                  near_clock(check, dts));
    if (!check->has_offset[!is_video]) {
        check->has_offset[!is_video] = true;
        check->offset_90k[!is_video] = pts;
    }
    if (is_video) {
        check_picture_times(check, pts, dts);
        check_picture(check, p + header, pes->size - header,
                      pes->is_random_access);
    } else {
        check_sound(check, p + header, pes->size - header, pts);
    }
    if (check->report.pts_max_us > 700000 &&
        check->report.faults[TS_FAULT_PTS_MISSING] == 0)
        check_fault(check, TS_FAULT_PTS_MISSING, "no PTS for %lld us",
                    (long long)check->report.pts_max_us);
}

static void append(struct ts_check *check, struct check_pes *pes,
                   const uint8_t *bytes, size_t size)
{
    if (pes->size + size > pes->room) {
        const size_t room = 2 * (pes->size + size);
        uint8_t *data = room <= PES_MAX ? realloc(pes->data, room) : NULL;
        if (data == NULL) {
            check_fault(check, TS_FAULT_PES, "PES packet over %zu bytes",
                        pes->size);
            pes->is_open = false;
            return;
        }
        pes->data = data;
        pes->room = room;
    }
    memcpy(pes->data + pes->size, bytes, size);
    pes->size += size;
}

void check_pes_feed(struct ts_check *check, struct check_pes *pes,
                    const uint8_t *bytes, size_t size, bool is_start,
                    bool is_random_access)
{
    if (is_start) {
        check_pes_end(check, pes);
        pes->is_open = true;
        pes->size = 0;
        pes->expected = 0;
        pes->is_random_access = is_random_access;
        if (size >= 6 && (bytes[4] | bytes[5]) != 0)
            pes->expected = 6 + ((size_t)bytes[4] << 8 | bytes[5]);
    }
    if (!pes->is_open)
        return;
    append(check, pes, bytes, size);
    pes->last_packet = check->at;
    if (pes->expected != 0 && pes->size >= pes->expected)
        check_pes_end(check, pes);
}

void check_es_jump(struct ts_check *check)
{
    check_pes_end(check, &check->video);
    check_pes_end(check, &check->audio);
    show_until(check, INT64_MAX);
    check->dts.has_first = false;
    check->pts.has_first = false;
    check->sound.has_first = false;
}

void check_es_end(struct ts_check *check)
{
    show_until(check, INT64_MAX);
}
