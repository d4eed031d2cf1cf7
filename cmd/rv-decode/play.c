/*
 * play: which picture and which samples frame r of a segment has.
 *
 *   pool index   first        first+r                 next segment
 *   |------------|------------|-----------------------|
 *   asset time   in           in + (r - loop_start) / fps
 *
 * Sound is read by position, never as "what comes next", so a segment's sound
 * lies where its pictures lie to the sample, whatever came before.
 */
#include "play.h"

#include <math.h>
#include <string.h>
#include <bsd/string.h>

#include "clock/clock.h"

/* After its last picture an asset is held so long before `pad` begins. */
#define HOLD_MS 250
/* The next asset is opened when this much is left. */
#define AHEAD_SECONDS 10

#define UNITY (1 << 16)

enum source { FROM_ASSET, FROM_HELD, FROM_BLACK };

void play_init(struct play *play, struct sink *sink, struct stats *stats,
               struct feed *feed, const struct house *house)
{
    *play = (struct play){ .sink = sink,
                           .stats = stats,
                           .feed = feed,
                           .house = *house,
                           .shown = PLACE_EMPTY,
                           .shown_number = SHOWN_NOTHING,
                           .kept = av_frame_alloc() };
    scaler_init(&play->scaler, house);
}

/* Nothing is on show any more. */
static void forget_shown(struct play *play)
{
    if (play->kept && play->kept->buf[0]) {
        av_frame_unref(play->kept);
        play->shown = PLACE_EMPTY; /* the frame held the slot */
    }
    sink_drop(play->sink, &play->shown);
    play->shown_number = SHOWN_NOTHING;
}

void play_clear(struct play *play)
{
    forget_shown(play);
    av_frame_free(&play->kept);
    scaler_clear(&play->scaler);
}

/* Waits of the sink are no work of the asset's. */
static int wait_room(void *opaque)
{
    struct play *play = opaque;
    const int64_t before = play->sink->waited_us;
    const int rc = sink_wait(play->sink, 1);

    play->asset->waited_us += play->sink->waited_us - before;
    return rc;
}

/* --- fades and gain ------------------------------------------------------- */

/* frames / (time * fps) as 16.16, at most unity; time 0: unity. */
static int64_t ramp(const struct play *play, int64_t frames,
                    struct rational time)
{
    const AVRational rate = play->house.rate;
    const struct rational limited = moment_in(time);

    if (limited.num == 0)
        return UNITY;
    if (frames <= 0)
        return 0;
    const __int128 gain = (__int128)frames * rate.den * limited.den * UNITY /
                          ((__int128)limited.num * rate.num);
    return gain < UNITY ? (int64_t)gain : UNITY;
}

static int64_t fade_at(const struct play *play, int64_t r)
{
    const int64_t in = ramp(play, r, play->segment->fade_in);
    const int64_t out = play->length >= 0 ? ramp(play, play->length - r,
                                                 play->segment->fade_out)
                                          : UNITY;
    return in * out / UNITY;
}

/* The segment's gain is the limiter's; a fade only makes it quieter. */
static double gain_of(const struct play *play)
{
    return pow(10.0, play->segment->gain_db / 20.0);
}

static void fade_sound(const struct play *play, int64_t r, int samples,
                       int16_t *sound)
{
    const int64_t from = fade_at(play, r);
    const int64_t to = fade_at(play, r + 1);

    if (from != UNITY || to != UNITY)
        sound_scale(sound, samples, play->house.channels, from, to);
}

/* --- pictures ------------------------------------------------------------- */

static int show_black(struct play *play, uint32_t *flags)
{
    *flags |= FRAME_BLACK;
    if (play->shown_number == SHOWN_BLACK) {
        *flags |= FRAME_REPEATED;
        return 0;
    }
    forget_shown(play);
    if (sink_place(play->sink, &play->shown) < 0)
        return -1;
    planes_black(&play->shown.planes, &play->house);
    play->shown_number = SHOWN_BLACK;
    return 0;
}

/* The decoder's own picture goes on show where it lies. */
static int show_in_place(struct play *play, const AVFrame *frame, int slot)
{
    forget_shown(play);
    if (av_frame_ref(play->kept, frame) < 0)
        return -1;
    play->shown.slot = slot;
    play->shown.is_set = true;
    for (int p = 0; p < 3; p++) {
        play->shown.planes.data[p] = frame->data[p];
        play->shown.planes.stride[p] = frame->linesize[p];
    }
    return 0;
}

/* What the scaler shall know beside the picture itself. */
static void set_scaler(struct play *play)
{
    const struct asset *asset = play->asset;
    struct scaler *scaler = &play->scaler;

    scaler->peak_nits = asset->peak_nits;
    scaler->former = asset->former;
    scaler->next = asset->has_next ? asset->next.frame : NULL;
    scaler->which = asset->now.field;
    scaler->partner = asset_partner(asset);
}

static int draw(struct play *play, const AVFrame *frame, AVRational sar,
                uint32_t turn, int64_t fade, struct err *err)
{
    struct picture_format format;

    picture_format_of(&format, frame, sar, turn);
    if (asset_partner(play->asset) == PARTNER_OWN)
        format.is_interlaced = false;
    const bool is_house = picture_is_house(&format, &play->house);
    if (is_house && fade == UNITY && frame->linesize[0] > 0) {
        const int slot = buffers_slot(&play->sink->pool, frame);
        if (slot >= 0 || play->sink->is_nut)
            return show_in_place(play, frame, slot);
    }
    forget_shown(play);
    if (sink_place(play->sink, &play->shown) < 0)
        return -1;
    const struct planes *planes = &play->shown.planes;
    set_scaler(play);
    if (is_house)
        planes_copy(planes, frame, &play->house);
    else if (scaler_draw(&play->scaler, frame, sar, turn, planes, err) < 0)
        return -1;
    if (fade != UNITY)
        planes_fade(planes, &play->house, (int)(fade >> 8));
    return 0;
}

/* A number for what is on screen: of a picture, a field, or two of them. */
static int64_t number_of(const struct asset *asset)
{
    const int64_t field = 2 * asset->now.number + asset->now.field;

    if (asset->video < 0)
        return 0;
    switch (asset_partner(asset)) {
    case PARTNER_NONE:
        return 2 * field;
    case PARTNER_OWN:
        return 4 * asset->now.number + 1;
    case PARTNER_FORMER:
        return 2 * field - 1;
    case PARTNER_NEXT:
        return 2 * field + 1;
    }
    return 2 * field;
}

/* Once, also where its second field or a fade shows it again. */
static void take_captions(struct play *play, struct pool_frame *frame)
{
    const struct asset_picture *now = &play->asset->now;

    if (play->asset->video < 0 || now->number == play->captioned)
        return;
    play->captioned = now->number;
    frame->captions_size = now->captions_size;
    memcpy(frame->captions, now->captions, now->captions_size);
}

/* The asset's present picture (or a sound file's cover). */
static int show_asset(struct play *play, int64_t r, struct pool_frame *frame,
                      struct err *err)
{
    struct asset *asset = play->asset;
    const struct asset_picture *now = &asset->now;
    const int64_t fade = fade_at(play, r);
    const AVFrame *picture = asset->video >= 0 ? now->frame : asset->still;
    const int64_t number = number_of(asset);

    if (picture == NULL || picture->buf[0] == NULL)
        return show_black(play, &frame->flags);
    if (asset->video >= 0) {
        frame->source_pts_us =
            av_rescale_q(now->pts, asset->base, AV_TIME_BASE_Q);
        if (picture->pkt_dts != AV_NOPTS_VALUE)
            frame->source_dts_us =
                av_rescale_q(picture->pkt_dts, asset->base, AV_TIME_BASE_Q);
        if (picture->decode_error_flags ||
            (picture->flags & AV_FRAME_FLAG_CORRUPT))
            frame->flags |= FRAME_CONCEALED;
    }
    if (number == play->shown_number) {
        frame->flags |= FRAME_REPEATED;
        if (fade == UNITY) {
            take_captions(play, frame);
            return 0;
        }
    }
    if (draw(play, picture, now->sar, now->turn, fade, err) < 0)
        return -1;
    play->shown_number = fade == UNITY ? number : SHOWN_FADED;
    take_captions(play, frame);
    return 0;
}

/* --- frames --------------------------------------------------------------- */

static void read_sound(struct play *play, int64_t r, enum source source,
                       struct pool_frame *frame)
{
    int16_t *sound = sink_sound(play->sink);
    const struct house *house = &play->house;
    int real = 0;

    frame->samples = house_pool_samples(house, frame->index);
    if (source == FROM_BLACK || play->asset == NULL) {
        memset(sound, 0,
               (size_t)frame->samples * (size_t)house->channels *
                   sizeof(*sound));
    } else {
        const int64_t position =
            play->in_samples + house_samples_before(house, frame->index) -
            house_samples_before(house, play->first + play->loop_start);
        real = asset_sound(play->asset, position, frame->samples, gain_of(play),
                           sound);
        fade_sound(play, r, frame->samples, sound);
    }
    if (real == 0 && !play->sink->has_tone)
        frame->flags |= FRAME_SILENT;
}

static void count(struct play *play, const struct pool_frame *frame,
                  enum source source)
{
    const struct asset *asset = play->asset;

    stats_add(play->stats, STATS_FRAMES_DECODED, 1);
    if (asset == NULL)
        return;
    if (source == FROM_ASSET && asset->video >= 0 &&
        !(frame->flags & FRAME_REPEATED))
        stats_latency(play->stats, asset_work_us(asset) - asset->now.work_us);
}

/* What the log says with damage at `us` of the asset. */
static struct log_ctx damage_ctx(const struct play *play, int64_t us)
{
    const struct segment *segment = play->segment;
    const int64_t frame =
        moment_frames(us, AV_TIME_BASE_Q, play->in, play->house.rate);

    return (struct log_ctx){
        .channel = play->channel,
        .segment = segment->id[0] ? segment->id : NULL,
        .asset = segment->asset,
        .has_frame = play->has_base,
        .frame =
            play->base_first + play->first + play->loop_start + FFMAX(frame, 0),
    };
}

static void tell_damage(struct play *play)
{
    const struct log_ctx ctx = damage_ctx(play, play->damage.from_us);

    damage_tell(&play->damage, &ctx);
}

/* Counts damage, and tells of a stretch once it is over. */
static void watch_damage(struct play *play, int64_t r)
{
    const struct moment moment = { .in = play->in,
                                   .frame = r - play->loop_start,
                                   .rate = play->house.rate };
    const struct asset_damage found = asset_damage(play->asset);

    if (found.count == 0 && !play->damage.is_open)
        return;
    stats_add(play->stats, STATS_PACKETS_DAMAGED, found.count);
    const int64_t now_us = moment_ticks(&moment, AV_TIME_BASE_Q, 0);
    if (damage_note(&play->damage, &found, now_us))
        tell_damage(play);
}

static int emit(struct play *play, int64_t r, enum source source,
                struct err *err)
{
    const struct segment *segment = play->segment;
    struct pool_frame frame = {
        .index = play->first + r,
        .segment_first = play->first,
        .asset_frame = play->in_frames + r - play->loop_start,
        .source_pts_us = AV_NOPTS_VALUE,
        .source_dts_us = AV_NOPTS_VALUE,
    };
    const int64_t waited = play->sink->waited_us;
    int rc = 0;

    strlcpy(frame.segment, play->sink->is_slate ? "slate" : segment->id,
            sizeof(frame.segment));
    strlcpy(frame.asset, segment->asset, sizeof(frame.asset));
    if (source == FROM_HELD)
        frame.flags |= FRAME_HELD;
    if (play->sink->is_slate)
        frame.flags |= FRAME_SLATE;
    if (source == FROM_BLACK)
        rc = show_black(play, &frame.flags);
    else
        rc = show_asset(play, r, &frame, err);
    if (rc == 0)
        rc = sink_wait(play->sink, 0);
    if (play->asset)
        play->asset->waited_us += play->sink->waited_us - waited;
    if (rc < 0)
        return -1;
    read_sound(play, r, source, &frame);
    if (sink_emit(play->sink, &frame, &play->shown, err) < 0)
        return -1;
    count(play, &frame, source);
    if (play->asset)
        watch_damage(play, r);
    return 0;
}

/* Until the asset is over there may be much left; then the next is opened. */
static void allow_next(struct play *play, int64_t r)
{
    const AVRational rate = play->house.rate;
    const int64_t ahead = (int64_t)AHEAD_SECONDS * rate.num / rate.den;
    int64_t length = play->length;

    if (length < 0 && play->asset && play->asset->format->duration > 0)
        length = moment_frames(play->asset->format->duration, AV_TIME_BASE_Q,
                               play->in, rate);
    if (length < 0 || r + ahead >= length)
        feed_allow(play->feed);
}

/* Does it last as long as it says, whatever the asset has? */
static bool is_fixed(const struct segment *segment)
{
    return segment->has_frames && segment->pad != PAD_NONE;
}

/* What frame r shows once the asset is over; false: the segment ends here. */
static bool after_end(const struct play *play, int64_t r, int64_t length,
                      enum source *source)
{
    const AVRational rate = play->house.rate;
    const int64_t hold =
        (int64_t)rate.num * HOLD_MS / ((int64_t)rate.den * 1000);

    *source = FROM_HELD;
    if (play->segment->pad == PAD_HOLD || r - length < hold)
        return true;
    *source = FROM_BLACK;
    return play->segment->pad == PAD_BLACK;
}

/* A filler begins again: 0, -1. */
static int loop(struct play *play, int64_t r, int64_t length, struct err *err)
{
    tell_damage(play);
    while (r - play->loop_start >= length)
        play->loop_start += length;
    const struct moment moment = { .in = play->in,
                                   .frame = r - play->loop_start,
                                   .rate = play->house.rate };
    return asset_seek(play->asset, &moment, err);
}

static int play_asset(struct play *play, int64_t r, struct err *err)
{
    const struct segment *segment = play->segment;
    struct asset *asset = play->asset;
    enum source source = FROM_ASSET;

    for (; !segment->has_frames || r < segment->frames; r++) {
        const struct moment moment = { .in = play->in,
                                       .frame = r - play->loop_start,
                                       .rate = play->house.rate };
        enum asset_result result = asset_show(asset, &moment);
        const int64_t length = asset_frames(asset, play->in);
        if (result == ASSET_OVER && segment->type == SEGMENT_FILLER &&
            length > 0) {
            if (loop(play, r, length, err) < 0)
                return -1;
            r--;
            continue;
        }
        if (result == ASSET_STOPPED)
            return -1;
        if (result == ASSET_OVER && asset->is_broken) {
            *err = asset->why_broken;
            return -1;
        }
        if (result == ASSET_OVER && length <= 0)
            return err_set(
                err, ERR_INPUT,
                "asset %s: ends before %.3f s, where it shall begin; "
                "give a smaller in",
                segment->asset, (double)play->in.num / (double)play->in.den);
        source = FROM_ASSET;
        if (result == ASSET_OVER &&
            (!is_fixed(segment) || !after_end(play, r, length, &source)))
            break;
        play->is_cut = play->most > 0 && r >= play->most;
        if (play->is_cut)
            break;
        if (emit(play, r, source, err) < 0)
            return -1;
        allow_next(play, r);
    }
    return 0;
}

static int play_black(struct play *play, int64_t r, struct err *err)
{
    for (; r < play->segment->frames; r++) {
        if (emit(play, r, FROM_BLACK, err) < 0)
            return -1;
        allow_next(play, r);
    }
    return 0;
}

/* Index of the segment's frame 0, and where the former one ends. */
static void place_segment(struct play *play, const struct segment *segment)
{
    const int64_t next = play->sink->next_index;

    if (!play->has_base && segment->has_first) {
        play->has_base = true;
        play->base_first = segment->first - next;
    }
    play->segment = segment;
    play->first = next;
    if (segment->has_first && segment->first - play->base_first > next)
        play->first = segment->first - play->base_first;
}

/* NUT has no gaps: black up to `index`. */
static int fill_gap(struct play *play, int64_t index, struct err *err)
{
    const int64_t first = play->first;

    if (!play->sink->is_nut)
        return 0;
    while (play->sink->next_index < index) {
        if (emit(play, play->sink->next_index - first, FROM_BLACK, err) < 0)
            return -1;
    }
    return 0;
}

static int finish(struct play *play, int64_t frames, struct err *err)
{
    const int64_t end = play->first + frames;

    if (end > play->sink->next_index) {
        const struct segment gap = { .id = "" };
        const int64_t first = play->first;
        play->asset = NULL;
        play->segment = &gap;
        play->first = play->sink->next_index;
        if (fill_gap(play, end, err) < 0)
            return -1;
        play->first = first;
        play->sink->next_index = end;
    }
    return 0;
}

int play_gap(struct play *play, const struct segment *segment, bool has_begun,
             struct err *err)
{
    int64_t frames = house_frame_at_us(&play->house, 1000000);

    if (!has_begun)
        place_segment(play, segment);
    else
        frames = 0;
    if (segment->has_frames)
        frames = segment->frames;
    forget_shown(play);
    play->asset = NULL;
    return finish(play, frames, err);
}

static void measure_for_fade(struct play *play, const struct item *item)
{
    const struct moment moment = { .in = play->in,
                                   .frame = item->segment.skip,
                                   .rate = play->house.rate };

    play->length = item->segment.has_frames ? item->segment.frames : -1;
    if (play->length >= 0 || item->asset == NULL ||
        item->segment.fade_out.num == 0)
        return;
    /* Where that cannot be known there is no fade out. */
    play->length = asset_measure(item->asset, play->in, NULL);
    if (asset_seek(item->asset, &moment, NULL) < 0)
        play->length = -1;
}

/* Pictures that are house pictures already are decoded into the pool. */
static void decide_direct(const struct play *play, struct asset *asset)
{
    const struct asset_picture *picture =
        asset->now.frame->buf[0] ? &asset->now : &asset->next;
    struct picture_format format;

    if (picture->frame->buf[0] == NULL)
        return;
    picture_format_of(&format, picture->frame, picture->sar, picture->turn);
    atomic_store(&asset->buffers.is_direct,
                 picture_is_house(&format, &play->house));
}

static void begin_damage(struct play *play, int64_t skip)
{
    const struct moment moment = { .in = play->in,
                                   .frame = skip,
                                   .rate = play->house.rate };

    damage_init(&play->damage, moment_ticks(&moment, AV_TIME_BASE_Q, 0));
}

/* What was read ahead of the segment's end is nobody's damage. */
static void end_damage(struct play *play)
{
    const struct moment end = {
        .in = play->in,
        .frame = play->sink->next_index - play->first - play->loop_start,
        .rate = play->house.rate,
    };

    const int64_t end_us = moment_ticks(&end, AV_TIME_BASE_Q, 0);

    watch_damage(play, 0);
    play->damage.to_us = FFMIN(play->damage.to_us, end_us);
    if (play->damage.from_us < end_us)
        tell_damage(play);
}

int play_segment(struct play *play, const struct item *item, struct err *err)
{
    const struct segment *segment = &item->segment;
    struct asset *asset = item->asset;
    int rc = 0;

    *err = ERR_EMPTY;
    place_segment(play, segment);
    if (play->kept == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a picture");
    play->asset = asset;
    play->loop_start = 0;
    play->captioned = -1;
    play->in = moment_in(segment->in);
    play->in_frames = moment_scale(play->in, play->house.rate);
    play->in_samples =
        moment_scale(play->in, (AVRational){ play->house.sample_rate, 1 });
    measure_for_fade(play, item);
    begin_damage(play, segment->skip);
    /* Who joins in progress at the very start begins with what is on. */
    if (fill_gap(play, play->first + (play->sink->frames ? segment->skip : 0),
                 err) < 0)
        return -1;
    if (asset) {
        decide_direct(play, asset);
        /* A decoder's own slots would be slots that a slate keeps for good. */
        asset->buffers.pool = play->sink->is_nut || play->sink->is_slate
                                  ? NULL
                                  : &play->sink->pool;
        asset->wait_room = wait_room;
        asset->wait_opaque = play;
        asset->waited_us += clock_monotonic_us() - item->handed_us;
        rc = play_asset(play, segment->skip, err);
        end_damage(play);
    } else if (segment->type == SEGMENT_PAD && segment->has_frames) {
        rc = play_black(play, segment->skip, err);
    }
    forget_shown(play);
    const int64_t end = is_fixed(segment)
                            ? segment->frames
                            : play->sink->next_index - play->first;
    return rc < 0 ? -1 : finish(play, FFMAX(end, 0), err);
}
