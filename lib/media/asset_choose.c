/*
 * asset_choose: which of a container's streams are played.
 *
 * Pictures: libav's best stream, of those that can be decoded.  Sound, the
 * first of these that makes a difference:
 *
 *   it can be decoded, and is of the pictures' programme
 *   it is the programme's own: no commentary, no effects alone
 *   its language is wanted, in the order of preference
 *   it is not meant for those who see or hear badly
 *   it is flagged as default
 *   without a wanted language libav's best; else the first
 */
#include "media/asset_impl.h"

#include "media/language.h"

/* What is heard beside the programme, or only together with another track. */
#define BESIDE                                                                 \
    (AV_DISPOSITION_COMMENT | AV_DISPOSITION_LYRICS | AV_DISPOSITION_KARAOKE | \
     AV_DISPOSITION_CLEAN_EFFECTS | AV_DISPOSITION_NON_DIEGETIC |              \
     AV_DISPOSITION_DEPENDENT)
#define IMPAIRED                                                               \
    (AV_DISPOSITION_HEARING_IMPAIRED | AV_DISPOSITION_VISUAL_IMPAIRED)

/* Place in the order of preference from the end, 0: not wanted. */
static int wanted(const AVStream *stream, const struct asset_config *config)
{
    const AVDictionaryEntry *tag =
        av_dict_get(stream->metadata, "language", NULL, 0);

    for (int i = 0; tag && i < config->languages; i++) {
        if (language_matches(tag->value, config->language[i]))
            return config->languages - i;
    }
    return 0;
}

static bool is_in(const AVProgram *program, int index)
{
    for (unsigned i = 0; program && i < program->nb_stream_indexes; i++) {
        if ((int)program->stream_index[i] == index)
            return true;
    }
    return program == NULL;
}

/* The greater, the better; languages are few. */
static int rank(const struct asset *asset, int index, int best,
                const struct asset_config *config)
{
    const AVStream *stream = asset->format->streams[index];
    const AVProgram *program =
        asset->video < 0
            ? NULL
            : av_find_program_from_stream(asset->format, NULL, asset->video);
    const int language = wanted(stream, config);
    const bool can_decode =
        avcodec_find_decoder(stream->codecpar->codec_id) != NULL;
    int value = 0;

    value = value * 2 + can_decode;
    value = value * 2 + is_in(program, index);
    value = value * 2 + !(stream->disposition & BESIDE);
    value = value * (config->languages + 1) + language;
    value = value * 2 + !(stream->disposition & IMPAIRED);
    value = value * 2 + !!(stream->disposition & AV_DISPOSITION_DEFAULT);
    return value * 2 + (language == 0 && index == best);
}

static int best_sound(const struct asset *asset,
                      const struct asset_config *config)
{
    const AVFormatContext *format = asset->format;
    const int best = av_find_best_stream(asset->format, AVMEDIA_TYPE_AUDIO, -1,
                                         asset->video, NULL, 0);
    int chosen = -1, most = -1;

    for (int i = 0; i < (int)format->nb_streams; i++) {
        if (format->streams[i]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        const int value = rank(asset, i, best, config);
        if (value > most)
            chosen = i;
        most = FFMAX(most, value);
    }
    return chosen;
}

void asset_choose(struct asset *asset, const struct asset_config *config)
{
    const AVCodec *decoder;
    int video = av_find_best_stream(asset->format, AVMEDIA_TYPE_VIDEO, -1, -1,
                                    &decoder, 0);

    /* One without a decoder is an error that has a name. */
    if (video < 0)
        video = av_find_best_stream(asset->format, AVMEDIA_TYPE_VIDEO, -1, -1,
                                    NULL, 0);
    asset->video = FFMAX(video, -1);
    asset->audio = best_sound(asset, config);
    follow_choose(asset);
}
