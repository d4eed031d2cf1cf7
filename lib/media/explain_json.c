/* explain_json: the facts as an object for programs. */
#include "media/explain.h"

#include <stdio.h>
#include <string.h>
#include <bsd/string.h>
#include <libavutil/pixdesc.h>

static const char *const WAYS[] = { [LENGTH_UNKNOWN] = "unknown",
                                    [LENGTH_TOLD] = "told",
                                    [LENGTH_INDEX] = "index",
                                    [LENGTH_PACKETS] = "packets",
                                    [LENGTH_DECODED] = "decoded" };

json_t *explain_string(const char *text)
{
    char plain[2048];
    json_t *string = json_string(text);

    if (string != NULL)
        return string;
    strlcpy(plain, text, sizeof(plain));
    for (char *at = plain; *at; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    return json_string(plain);
}

/* "24000/1001" as an exact text */
static json_t *ratio(AVRational value)
{
    return json_sprintf("%d/%d", value.num, value.den);
}

/* Microseconds as seconds; -1: null. */
static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

static json_t *length_json(const struct explain *explain)
{
    const struct length *length = &explain->length;
    const bool is_known = length->frames >= 0;

    return json_pack("{so so ss sb so}", "frames",
                     is_known ? json_integer(length->frames) : json_null(),
                     "seconds", seconds(length->end_us), "by",
                     WAYS[length->way], "exact", length->way >= LENGTH_INDEX,
                     "container_seconds", seconds(explain->told_us));
}

static json_t *picture_json(const struct explain *explain)
{
    static const char *const KINDS[] = { [PICTURES_COVER] = "cover",
                                         [PICTURES_STILL] = "still",
                                         [PICTURES_MOVING] = "moving" };
    const struct picture_format *format = &explain->format;
    const struct picture_way *way = &explain->way;
    const char *pixels = av_get_pix_fmt_name(format->pixel_format);

    if (explain->pictures == PICTURES_NONE)
        return json_null();
    return json_pack(
        "{ss ss si si so so ss s[iiii] si si si si}", "kind",
        KINDS[explain->pictures], "codec", explain->picture_codec, "width",
        format->width, "height", format->height, "pixel_aspect",
        ratio(format->sar), "rate", ratio(explain->rate), "pixel_format",
        pixels ? pixels : "?", "at", way->left, way->top, way->width,
        way->height, "looked_at", (int)explain->seen.pictures, "interlaced",
        (int)explain->seen.interlaced, "unflagged", (int)explain->seen.found,
        "woven_fields", (int)explain->seen.joined);
}

static json_t *sound_json(const struct explain *explain)
{
    if (!explain->has_sound)
        return json_null();
    return json_pack("{ss ss si si si si ss}", "codec", explain->sound_codec,
                     "layout", explain->layout, "channels",
                     explain->sound_channels, "sample_rate",
                     explain->sound_rate, "track", explain->track, "tracks",
                     explain->tracks, "language", explain->track_language);
}

static json_t *lines_json(const struct explain *explain)
{
    struct explain_line lines[EXPLAIN_LINES_MAX];
    const int count = explain_lines(explain, lines);
    json_t *list = json_array();

    for (int i = 0; i < count && list; i++) {
        if (json_array_append_new(list,
                                  json_pack("{ss ss}", "what", lines[i].what,
                                            "text", lines[i].text)) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *explain_json(const struct explain *explain)
{
    char house[HOUSE_TEXT_SIZE];

    house_format(&explain->house, house);
    return json_pack("{so ss ss so so so so}", "asset",
                     explain_string(explain->path), "house", house, "container",
                     explain->container, "length", length_json(explain),
                     "picture", picture_json(explain), "sound",
                     sound_json(explain), "lines", lines_json(explain));
}
