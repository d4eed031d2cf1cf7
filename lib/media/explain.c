/* explain: opening an asset and looking at it; see the header. */
#include "media/explain.h"

#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>
#include <libavutil/channel_layout.h>

#include "media/asset_impl.h"
#include "media/language.h"

/* At the start it is looked at so long, and at most so many pictures. */
#define START_US       INT64_C(2000000)
#define START_PICTURES 120
/* Then at so many places in between, each for a moment. */
#define PLACES         4
#define PLACE_US       INT64_C(300000)
#define PLACES_FROM_US INT64_C(10000000)

struct look {
    struct explain *explain;
    const struct explain_config *config;
    int64_t number; /* of the picture looked at last */
    struct picture_format format;
};

/* --- pictures ------------------------------------------------------------- */

/* Is it the same but for what is told of each picture? */
static bool is_same_format(const struct picture_format *a,
                           const struct picture_format *b)
{
    struct picture_format x = *a, y = *b;

    x.is_interlaced = y.is_interlaced = false;
    return memcmp(&x, &y, sizeof(x)) == 0;
}

static void look_at_fields(struct explain_seen *seen, const struct asset *asset)
{
    const struct asset_picture *now = &asset->now;
    const struct fields *next = asset->has_next ? &asset->next.fields : NULL;

    if (!now->frame->interlaced_frame)
        return;
    seen->interlaced++;
    seen->top_first += now->frame->top_field_first;
    seen->found += now->fields.is_found;
    for (int field = 0; field < 2; field++) {
        seen->fields++;
        seen->joined +=
            fields_partner(&now->fields, next, field) != PARTNER_NONE;
        seen->threes += next && fields_follow_three(&now->fields, next, field);
    }
}

static void look_at(void *opaque, const struct asset *asset)
{
    struct look *look = opaque;
    struct explain_seen *seen = &look->explain->seen;
    const struct asset_picture *now = &asset->now;
    struct picture_format format;

    if (asset->video < 0 || now->number < 0 || now->number == look->number ||
        now->frame->buf[0] == NULL)
        return;
    look->number = now->number;
    picture_format_of(&format, now->frame, now->sar, now->turn);
    if (seen->pictures++ > 0 && !is_same_format(&format, &look->format))
        seen->formats++;
    look->format = format;
    look_at_fields(seen, asset);
    seen->repeating += now->repeats > 0;
    seen->captioned += now->captions_size > 0;
    seen->unsteady += !asset_is_steady(asset, now->pts - asset->first_pts);
}

static void tell_progress(void *opaque, int percent)
{
    const struct explain_config *config = ((struct look *)opaque)->config;

    if (config->progress)
        config->progress(config->opaque, percent);
}

/* Plays `us` from a moment on, looking: 0, -1 stopped. */
static int look_from(struct look *look, struct asset *asset, int64_t from,
                     int64_t us)
{
    const AVRational rate = asset->house.rate;
    const int64_t frames =
        av_rescale(us, rate.num, (int64_t)rate.den * 1000000) + 1;
    const int64_t first = asset->pictures;
    struct moment moment = { .in = { 0, 1 }, .rate = rate, .frame = from };

    while (moment.frame < from + frames &&
           asset->pictures - first < START_PICTURES) {
        const enum asset_result result = asset_show(asset, &moment);
        if (result == ASSET_STOPPED)
            return -1;
        look_at(look, asset);
        if (result == ASSET_OVER)
            break;
        moment.frame++;
    }
    return 0;
}

/* Films begin with black, a card, a logo: places in between tell more. */
static int look_in_between(struct look *look, struct asset *asset,
                           struct err *err)
{
    const int64_t frames = look->explain->length.frames;

    if (asset->video < 0 || !asset->is_seekable ||
        house_us(&asset->house, frames) < PLACES_FROM_US)
        return 0;
    for (int i = 1; i <= PLACES; i++) {
        const struct moment moment = { .in = { 0, 1 },
                                       .rate = asset->house.rate,
                                       .frame = frames * i / (PLACES + 1) };
        if (asset_seek(asset, &moment, err) < 0)
            return -1;
        if (look_from(look, asset, moment.frame, PLACE_US) < 0)
            return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
    }
    return 0;
}

/* Metadata of single pictures or scenes. */
static void note_dynamic(struct explain *explain, const struct asset *asset,
                         const AVFrame *frame)
{
    struct dovi dovi;
    bool is_own;

    explain->dovi_profile =
        dovi_profile(asset->format->streams[asset->video], &is_own);
    if (explain->dovi_profile == 0 && dovi_is_own(frame))
        explain->dovi_profile = 5;
    explain->has_dovi = dovi_of(&dovi, frame);
    explain->has_hdr10_plus =
        av_frame_get_side_data(frame, AV_FRAME_DATA_DYNAMIC_HDR_PLUS) != NULL;
}

static void note_picture(struct explain *explain, const struct asset *asset)
{
    const bool is_cover = asset->video < 0 && asset->still;
    const AVFrame *frame = is_cover ? asset->still : asset->next.frame;
    const struct asset_picture *shape = is_cover ? &asset->now : &asset->next;

    if (asset->video < 0 && !is_cover)
        return;
    explain->pictures = is_cover ? PICTURES_COVER : PICTURES_MOVING;
    picture_format_of(&explain->format, frame, shape->sar, shape->turn);
    picture_way_of(&explain->way, &explain->format, &explain->house);
    explain->has_colours = frame->colorspace != AVCOL_SPC_UNSPECIFIED;
    explain->peak_nits = asset->peak_nits;
    if (is_cover)
        return;
    note_dynamic(explain, asset, frame);
    strlcpy(explain->picture_codec,
            avcodec_get_name(asset->video_decoder->codec_id),
            sizeof(explain->picture_codec));
    explain->coded_width = asset->video_decoder->coded_width;
    explain->coded_height = asset->video_decoder->coded_height;
    explain->rate = asset->rate;
    explain->is_variable = av_cmp_q(asset->rate, asset->grid_rate) != 0;
}

/* --- sound ---------------------------------------------------------------- */

static void count_tracks(struct explain *explain, const struct asset *asset)
{
    for (unsigned i = 0; i < asset->format->nb_streams; i++) {
        const AVStream *stream = asset->format->streams[i];
        const enum AVMediaType type = stream->codecpar->codec_type;
        const int kind = type == AVMEDIA_TYPE_VIDEO   ? 0
                         : type == AVMEDIA_TYPE_AUDIO ? 1
                                                      : 2;
        explain->tracks += kind == 1;
        if ((int)i == asset->audio)
            explain->track = explain->tracks;
        else if ((int)i != asset->video &&
                 !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
            explain->others[kind]++;
    }
}

static void note_languages(struct explain *explain, const struct asset *asset,
                           const struct explain_config *config)
{
    const AVDictionaryEntry *tag = av_dict_get(
        asset->format->streams[asset->audio]->metadata, "language", NULL, 0);

    for (int i = 0; i < config->languages; i++) {
        strlcat(explain->wanted, i > 0 ? ", " : "", sizeof(explain->wanted));
        strlcat(explain->wanted, config->language[i], sizeof(explain->wanted));
        explain->is_by_language =
            explain->is_by_language ||
            (tag && language_matches(tag->value, config->language[i]));
    }
    if (tag == NULL || strcmp(tag->value, "und") == 0)
        return;
    strlcpy(explain->track_language, tag->value,
            sizeof(explain->track_language));
    /* It comes from a file and goes to a terminal. */
    for (char *at = explain->track_language; *at; at++) {
        if (*at <= ' ' || *at > '~')
            *at = '?';
    }
}

/* From what comes to what the house has. */
static void note_layouts(struct explain *explain, const AVChannelLayout *told)
{
    AVChannelLayout in = { 0 };
    AVChannelLayout out = { 0 };

    explain->sound_channels = told->nb_channels;
    snprintf(explain->layout, sizeof(explain->layout), "%d channels",
             told->nb_channels);
    av_channel_layout_default(&out, explain->house.channels);
    av_channel_layout_describe(&out, explain->house_layout,
                               sizeof(explain->house_layout));
    if (sound_layout(&in, told) < 0) {
        explain->is_unknown = true;
    } else {
        av_channel_layout_describe(&in, explain->layout,
                                   sizeof(explain->layout));
        explain->is_mixed = av_channel_layout_compare(&in, &out) != 0;
    }
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&out);
}

/* Where it begins; a little earlier is what codecs need to settle. */
static void note_begin(struct explain *explain, const struct asset *asset)
{
    const AVRational sample = { 1, asset->house.sample_rate };
    const AVStream *stream = asset->format->streams[asset->audio];

    if (asset->sound.has_position)
        explain->sound_from_us =
            av_rescale_q(asset->sound.start, sample, AV_TIME_BASE_Q);
    if (asset->video < 0 || stream->start_time == AV_NOPTS_VALUE)
        return;
    explain->sound_early_us =
        av_rescale_q(asset->first_pts - asset->lag, asset->base,
                     AV_TIME_BASE_Q) -
        av_rescale_q(stream->start_time, stream->time_base, AV_TIME_BASE_Q);
}

/* What the first samples are; a header may lie (AAC with SBR). */
static void note_sound(struct explain *explain, struct asset *asset,
                       const struct explain_config *config)
{
    const struct sound *sound = &asset->sound;

    if (asset->audio < 0)
        return;
    asset_fill_sound(asset, 1);
    const bool is_known = sound->in_rate > 0;
    explain->has_sound = true;
    explain->sound_rate =
        is_known ? sound->in_rate : asset->audio_decoder->sample_rate;
    strlcpy(explain->sound_codec,
            avcodec_get_name(asset->audio_decoder->codec_id),
            sizeof(explain->sound_codec));
    note_layouts(explain, is_known ? &sound->in_layout
                                   : &asset->audio_decoder->ch_layout);
    note_begin(explain, asset);
    note_languages(explain, asset, config);
}

/* --- all of it ------------------------------------------------------------ */

static void note_container(struct explain *explain, const struct asset *asset)
{
    const AVFormatContext *format = asset->format;

    strlcpy(explain->container, format->iformat->name,
            sizeof(explain->container));
    strlcpy(explain->container_name,
            format->iformat->long_name ? format->iformat->long_name
                                       : format->iformat->name,
            sizeof(explain->container_name));
    explain->told_us = asset_told_us(asset);
    explain->is_estimate =
        format->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
    count_tracks(explain, asset);
}

/* Film with flags has no steady timestamps, but a steady rate: of ten fields
 * four pictures are made. */
static void note_film(struct explain *explain, const struct asset *asset)
{
    const struct explain_seen *seen = &explain->seen;
    const AVRational coded =
        asset->video >= 0 ? asset->video_decoder->framerate : (AVRational){ 0 };

    if (seen->repeating < 2 || coded.num <= 0 || coded.den <= 0 ||
        llabs(seen->repeating * 2 - seen->pictures) * 10 > seen->pictures)
        return;
    explain->is_film = true;
    explain->rate = av_mul_q(coded, (AVRational){ 4, 5 });
}

static int look_and_measure(struct explain *explain, struct asset *asset,
                            const struct explain_config *config,
                            struct err *err)
{
    struct look look = { .explain = explain, .config = config, .number = -1 };
    const struct length_config length = { .is_told = config->is_quick,
                                          .look = look_at,
                                          .progress = tell_progress,
                                          .opaque = &look };

    if (asset->video >= 0 && look_from(&look, asset, 0, START_US) < 0)
        return err_set(err, ERR_STATE, "asset %s: stopped", asset->path);
    note_film(explain, asset);
    if (asset->video >= 0 && asset->is_video_end && asset->pictures == 1)
        explain->pictures = PICTURES_STILL;
    if (asset_length(asset, &length, &explain->length, err) < 0)
        return -1;
    explain->damaged = asset->damage.count;
    if (explain->length.way != LENGTH_TOLD && explain->length.frames == 0)
        return err_set(err, ERR_INPUT,
                       "asset %s: is shorter than a frame of %d/%d; give a "
                       "longer one",
                       asset->path, asset->house.rate.num,
                       asset->house.rate.den);
    if (explain->length.way == LENGTH_INDEX ||
        explain->length.way == LENGTH_PACKETS)
        return look_in_between(&look, asset, err);
    return 0;
}

int explain_asset(struct explain *explain, const struct explain_config *config,
                  struct err *err)
{
    const struct asset_config open = { .path = config->path,
                                       .house = config->house,
                                       .languages = config->languages,
                                       .language = config->language,
                                       .threads = config->threads,
                                       .is_stopping = config->is_stopping };
    struct asset *asset = asset_open(&open, err);

    *explain = (struct explain){ .house = config->house };
    strlcpy(explain->path, config->path, sizeof(explain->path));
    if (asset == NULL)
        return -1;
    note_container(explain, asset);
    note_picture(explain, asset);
    note_sound(explain, asset, config);
    const int rc = look_and_measure(explain, asset, config, err);
    asset_free(asset);
    return rc;
}
