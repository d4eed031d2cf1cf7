/*
 * asset_pieces: where in a file timestamps begin anew, so that a seek behind
 * such a place comes out where playing comes to.
 *
 * libav looks for a moment by the timestamps themselves and takes them to rise
 * from the file's begin to its end.  A recording that was joined out of several
 * is made of pieces instead, each with times of its own:
 *
 *     bytes      0 ................ a b ................
 *     packets    0 s ........... 60 s|0 s ......... 45 s
 *     one line   0 s ........... 60 s|60 s ....... 105 s     offset: 60 s
 *
 * Samples all over the file tell where times do not rise, or step ahead while
 * hardly a byte goes by.  Halving leads to a stretch that is small enough to be
 * read as it is in playing, which gives the offset to the microsecond.  A piece
 * that hides between two samples is not found.
 */
#include "media/asset_impl.h"

#include <stdlib.h>
#include <string.h>

/* What is read rather than halved, and how far apart samples lie at least. */
#define STRETCH (1 << 20)
#define SAMPLES 32
/* All looks at a time together, also of a file that has none. */
#define LOOKS_MAX 300
/* Packets and bytes after which a place has no time. */
#define PACKETS_MAX 3000
#define BYTES_MAX   (8 << 20)
/* Steps ahead beyond JUMP_AHEAD_US, while bytes go by so much slower than
 * usual, are looked at. */
#define UNUSUAL 4
/* Both streams have jumped when none of them has again for so long. */
#define SETTLED_US INT64_C(1000000)
/* A jump need not come out nearer. */
#define NEAR_BYTES (256 << 10)
/* What follows it is known only when both streams have been seen before. */
#define RUN_UP (512 << 10)

struct search {
    struct asset *asset;
    int64_t size;
    int64_t usual; /* bytes in which a second goes by; 0: not known */
    int64_t done;  /* looked through up to this byte */
    int looks;
};

struct sample {
    int64_t pos;
    int64_t us; /* of the first packet from there; AV_NOPTS_VALUE: none */
};

static int main_kind(const struct asset *asset)
{
    return asset->video >= 0 ? 0 : 1;
}

static int own_stream(const struct asset *asset, int kind)
{
    return kind == 0 ? asset->video : asset->audio;
}

static int go_to_byte(struct asset *asset, int64_t pos)
{
    asset_begin_read(asset);
    return av_seek_frame(asset->format, -1, pos, AVSEEK_FLAG_BYTE);
}

/* The first decoding time from a byte on, as the file has it. */
static int64_t time_at(struct asset *asset, int64_t pos)
{
    const int kind = main_kind(asset);
    AVPacket *packet = asset->packet;
    int64_t us = AV_NOPTS_VALUE;

    if (go_to_byte(asset, pos) < 0)
        return AV_NOPTS_VALUE;
    for (int i = 0; i < PACKETS_MAX && us == AV_NOPTS_VALUE; i++) {
        if (av_read_frame(asset->format, packet) < 0)
            break;
        const int index = packet->stream_index;
        const bool is_ours = index == asset->video || index == asset->audio
                                 ? index == own_stream(asset, kind)
                                 : follow_kind(asset, index) == kind;
        if (is_ours && packet->dts != AV_NOPTS_VALUE)
            us = av_rescale_q(packet->dts,
                              asset->format->streams[index]->time_base,
                              AV_TIME_BASE_Q);
        const bool is_far = packet->pos > pos + BYTES_MAX;
        av_packet_unref(packet);
        if (is_far)
            break;
    }
    return us;
}

static struct sample look(struct search *search, int64_t pos)
{
    search->looks++;
    return (struct sample){ .pos = pos, .us = time_at(search->asset, pos) };
}

/* --- a stretch is read ---------------------------------------------------- */

static struct piece *last_piece(struct asset *asset)
{
    return &asset->pieces.piece[asset->pieces.count - 1];
}

static bool has_jumped(const struct asset *asset, const int64_t offset_us[2])
{
    return (asset->video >= 0 && asset->offset_us[0] != offset_us[0]) ||
           (asset->audio >= 0 && asset->offset_us[1] != offset_us[1]);
}

/* The next packet of the main stream, placed as in playing. */
static bool read_on(struct asset *asset)
{
    av_packet_unref(asset->packet);
    queue_clear(main_kind(asset) == 0 ? &asset->audio_queue
                                      : &asset->video_queue);
    return main_kind(asset) == 0 ? asset_read_video(asset)
                                 : asset_read_audio(asset, INT64_MAX / 4);
}

/* All in it that begins anew, from where the search is known to be. */
static void read_stretch(struct search *search, int64_t from, int64_t to)
{
    struct asset *asset = search->asset;
    struct pieces *pieces = &asset->pieces;
    struct piece next = { .pos = -1 };
    int64_t pos = FFMAX(from - RUN_UP, search->done);

    asset_forget_packets(asset);
    if (go_to_byte(asset, pos) < 0)
        return;
    const struct piece *last = last_piece(asset);
    memcpy(asset->offset_us, last->offset_us, sizeof(asset->offset_us));
    memcpy(next.offset_us, last->offset_us, sizeof(next.offset_us));
    while (pieces->count < PIECES_MAX && !asset_is_stopping(asset) &&
           read_on(asset)) {
        const AVPacket *packet = asset->packet;
        const int64_t former = pos;
        if (packet->pos >= 0)
            pos = packet->pos;
        if (has_jumped(asset, next.offset_us)) {
            if (next.pos < 0)
                last_piece(asset)->end = former;
            next.pos = pos;
            next.from_us = asset->next_dts[main_kind(asset)];
            memcpy(next.offset_us, asset->offset_us, sizeof(next.offset_us));
        } else if (next.pos >= 0 &&
                   asset->next_dts[main_kind(asset)] - next.from_us >=
                       SETTLED_US) {
            next.pos = pos;
            next.from_us = asset->next_dts[main_kind(asset)];
            next.end = search->size;
            pieces->piece[pieces->count++] = next;
            next.pos = -1;
        }
        if (next.pos < 0 && pos >= to)
            break;
    }
    av_packet_unref(asset->packet);
    search->done = FFMAX(pos, to);
}

/* --- what lies between two samples ---------------------------------------- */

/* Does time rise from one to the other as it should? */
static bool is_plain(const struct search *search, const struct sample *a,
                     const struct sample *b)
{
    if (a->us == AV_NOPTS_VALUE || b->us == AV_NOPTS_VALUE || b->us <= a->us)
        return false;
    const int64_t step = b->us - a->us;
    return step <= JUMP_AHEAD_US ||
           (search->usual > 0 &&
            av_rescale(b->pos - a->pos, UNUSUAL * INT64_C(1000000), step) >=
                search->usual);
}

static void look_between(struct search *search, struct sample a,
                         struct sample b)
{
    if (is_plain(search, &a, &b) || b.pos <= search->done ||
        search->looks >= LOOKS_MAX || asset_is_stopping(search->asset))
        return;
    if (a.pos < search->done) {
        /* Behind a place that was found times are others. */
        a = look(search, search->done);
        look_between(search, a, b);
    } else if (b.pos - a.pos <= STRETCH) {
        read_stretch(search, a.pos, b.pos);
    } else {
        const struct sample middle = look(search, (a.pos + b.pos) / 2);
        look_between(search, a, middle);
        look_between(search, middle, b);
    }
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median, which few pieces do not change. */
static int64_t usual_of(const struct sample *samples, int count)
{
    int64_t bytes[SAMPLES + 2];
    int n = 0;

    for (int i = 0; i + 1 < count; i++) {
        const struct sample *a = &samples[i], *b = &samples[i + 1];
        if (a->us != AV_NOPTS_VALUE && b->us != AV_NOPTS_VALUE && b->us > a->us)
            bytes[n++] = av_rescale(b->pos - a->pos, 1000000, b->us - a->us);
    }
    if (n == 0)
        return 0;
    qsort(bytes, (size_t)n, sizeof(bytes[0]), by_size);
    return bytes[n / 2];
}

static void look_through(struct search *search)
{
    struct sample samples[SAMPLES + 2];
    const int64_t tail = FFMAX(search->size - STRETCH, 0);
    const int wanted = (int)FFMIN(tail / STRETCH + 1, SAMPLES);
    int count = 0;

    while (count <= wanted && !asset_is_stopping(search->asset)) {
        samples[count] = look(search, av_rescale(tail, count, wanted));
        count++;
    }
    search->usual = usual_of(samples, count);
    for (int i = 0; i + 1 < count; i++)
        look_between(search, samples[i], samples[i + 1]);
    if (search->done < search->size)
        read_stretch(search, FFMAX(tail, search->done), search->size);
}

/* -------------------------------------------------------------------------- */

int asset_find_pieces(struct asset *asset, struct err *err)
{
    struct pieces *pieces = &asset->pieces;
    AVIOContext *io = asset->format->pb;

    if (pieces->is_known)
        return 0;
    pieces->is_known = true;
    const int64_t size = io && asset->is_seekable ? avio_size(io) : -1;
    /* Over a network each look would take as long as the way there. */
    if (size <= 0 || strstr(asset->path, "://"))
        return 0;
    pieces->is_joined = asset_is_joined(asset, size);
    if (!asset_is_of(asset, "mpegts") && !asset_is_of(asset, "mpeg"))
        return 0;
    pieces->piece = calloc(PIECES_MAX, sizeof(*pieces->piece));
    if (pieces->piece == NULL)
        return 0;
    pieces->count = 1;
    pieces->piece[0] = (struct piece){ .end = size, .from_us = INT64_MIN };
    struct search search = { .asset = asset, .size = size };
    const struct asset_damage damage = asset->damage;
    const int64_t damage_us = asset->damage_us;
    const unsigned streams = asset->format->nb_streams;
    const int video = asset->video, audio = asset->audio;
    look_through(&search);
    /* Whoever plays it will find the damage again. */
    asset->damage = damage;
    asset->damage_us = damage_us;
    asset_forget_packets(asset);
    if (pieces->count == 1) {
        free(pieces->piece);
        pieces->piece = NULL;
        pieces->count = 0;
    }
    /* Other streams have come, and nothing goes back to the first tables. */
    const bool is_other = asset->format->nb_streams != streams ||
                          asset->video != video || asset->audio != audio;
    return is_other ? asset_reopen(asset, err) : 0;
}

void asset_forget_pieces(struct asset *asset)
{
    free(asset->pieces.piece);
    asset->pieces = (struct pieces){ .is_known = false };
}

bool asset_jump_in_pieces(struct asset *asset, int64_t us, int64_t offset_us[2])
{
    const struct pieces *pieces = &asset->pieces;
    const int kind = main_kind(asset);
    int k = pieces->count - 1;

    while (k > 0 && pieces->piece[k].from_us > us)
        k--;
    const struct piece *piece = &pieces->piece[k];
    int64_t low = piece->pos, high = piece->end;
    while (high - low > NEAR_BYTES) {
        const int64_t middle = (low + high) / 2;
        const int64_t at = time_at(asset, middle);
        if (at != AV_NOPTS_VALUE && at + piece->offset_us[kind] <= us)
            low = middle;
        else
            high = middle;
    }
    memcpy(offset_us, piece->offset_us, sizeof(piece->offset_us));
    return go_to_byte(asset, low) >= 0;
}
