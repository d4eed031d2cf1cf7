/*
 * segment: lines between rv-plan and rv-decode, both directions.
 *
 * A line that passes segment_parse() is safe for a decoder: strings fit,
 * numbers are in range, an asset is there exactly where it is needed.
 */
#include "plan/segment.h"

#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>

#include "clock/clock.h"
#include "plan/member.h"
#include "plan/rational.h"

static const char *const TYPES[] = {
    [SEGMENT_CONTENT] = "content",
    [SEGMENT_FILLER] = "filler",
    [SEGMENT_PAD] = "pad",
    [SEGMENT_SLATE] = "slate",
};
static const char *const PADS[] = {
    [PAD_SLATE] = "slate",
    [PAD_HOLD] = "hold",
    [PAD_BLACK] = "black",
    [PAD_NONE] = "none",
};

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

const char *segment_type_name(enum segment_type type)
{
    return TYPES[type];
}

const char *segment_pad_name(enum segment_pad pad)
{
    return PADS[pad];
}

int segment_type_from_name(const char *name)
{
    for (int i = 0; i < COUNT(TYPES); i++) {
        if (strcmp(name, TYPES[i]) == 0)
            return i;
    }
    return -1;
}

int segment_pad_from_name(const char *name)
{
    for (int i = 0; i < COUNT(PADS); i++) {
        if (strcmp(name, PADS[i]) == 0)
            return i;
    }
    return -1;
}

/* RFC 3986: a scheme and "://"; one letter would be a drive, not a scheme. */
bool segment_asset_is_url(const char *asset)
{
    const size_t length =
        strspn(asset, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789+.-");

    return length > 1 && strncmp(asset + length, "://", 3) == 0 &&
           ((*asset >= 'a' && *asset <= 'z') ||
            (*asset >= 'A' && *asset <= 'Z'));
}

/* RFC 5646 in outline: letters first, then subtags behind hyphens. */
bool segment_language_is_valid(const char *tag)
{
    const size_t letters =
        strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    const size_t length =
        strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789-");

    return letters >= 2 && letters <= 8 && tag[length] == '\0' &&
           length < sizeof(((struct segment *)0)->language[0]) &&
           (tag[letters] == '-' || tag[letters] == '\0') &&
           tag[length - 1] != '-' && strstr(tag, "--") == NULL;
}

int segment_languages_from_json(struct segment *segment, const json_t *list,
                                struct err *err)
{
    if (!json_is_array(list) || json_array_size(list) > SEGMENT_LANGUAGES)
        return err_set(
            err, ERR_INPUT,
            "audio must be a list of at most %d languages, like [\"en\"]",
            SEGMENT_LANGUAGES);
    segment->languages = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *tag = json_string_value(json_array_get(list, i));
        if (tag == NULL || !segment_language_is_valid(tag))
            return err_set(
                err, ERR_INPUT,
                "audio: '%.40s' is no language; give a tag like \"en\", \"deu\" or \"pt-BR\"",
                tag ? tag : "?");
        strlcpy(segment->language[segment->languages++], tag,
                sizeof(segment->language[0]));
    }
    return 0;
}

static int read_asset(struct segment *s, const json_t *o, struct err *err)
{
    if (member_string(o, "asset", s->asset, sizeof(s->asset), err) < 0)
        return -1;
    if (s->type == SEGMENT_PAD || s->type == SEGMENT_SLATE) {
        if (s->asset[0] != '\0')
            return err_set(err, ERR_INPUT, "asset: a %s has none; leave it out",
                           TYPES[s->type]);
        return 0;
    }
    if (s->asset[0] == '\0')
        return err_set(err, ERR_INPUT,
                       "asset is missing; give an absolute path or a URL");
    if (s->asset[0] != '/' && strcmp(s->asset, "-") != 0 &&
        !segment_asset_is_url(s->asset))
        return err_set(
            err, ERR_INPUT,
            "asset '%.80s' is a relative path; give an absolute path or a URL",
            s->asset);
    return 0;
}

static int read_timing(struct segment *s, const json_t *o, struct err *err)
{
    bool has_skip;

    if (member_rational(o, "in", &s->in, err) < 0 ||
        member_rational(o, "fade_in", &s->fade_in, err) < 0 ||
        member_rational(o, "fade_out", &s->fade_out, err) < 0 ||
        member_int(o, "first", -SEGMENT_FRAMES_MAX, SEGMENT_FRAMES_MAX,
                   &s->has_first, &s->first, err) < 0 ||
        member_int(o, "frames", 0, SEGMENT_FRAMES_MAX, &s->has_frames,
                   &s->frames, err) < 0 ||
        member_int(o, "skip", 0, SEGMENT_FRAMES_MAX, &has_skip, &s->skip, err) <
            0)
        return -1;
    if (s->type == SEGMENT_PAD && !s->has_frames)
        return err_set(err, ERR_INPUT,
                       "frames is missing; a pad needs its length");
    return 0;
}

static int read_rest(struct segment *s, const json_t *o, struct err *err)
{
    const json_t *house = member_get(o, "house");
    const json_t *audio = member_get(o, "audio");
    char utc[64];

    const int pad = member_word(o, "pad", PADS, COUNT(PADS), err);
    if (pad < 0 ||
        member_double(o, "gain_db", -SEGMENT_GAIN_DB_MAX, SEGMENT_GAIN_DB_MAX,
                      &s->gain_db, err) < 0 ||
        (audio && segment_languages_from_json(s, audio, err) < 0) ||
        member_string(o, "utc", utc, sizeof(utc), err) < 0)
        return -1;
    s->pad = (enum segment_pad)pad;
    s->has_house = house != NULL;
    if (house && house_from_json(&s->house, house, err) < 0)
        return err_prefix(err, "house");
    s->has_utc = utc[0] != '\0';
    if (s->has_utc && clock_parse_utc(utc, &s->utc_us, err) < 0)
        return err_prefix(err, "utc");
    return 0;
}

int segment_parse(struct segment *segment, const char *line, size_t length,
                  struct err *err)
{
    int rc = -1;

    *segment = SEGMENT_EMPTY;
    json_t *o = member_load(line, length, SEGMENT_LINE_MAX, err);
    if (o == NULL)
        return err_prefix(err, "segment line");
    if (member_string(o, "segment", segment->id, sizeof(segment->id), err) < 0)
        goto out;
    if (segment->id[0] == '\0') {
        err_set(err, ERR_INPUT, "segment is missing; give its id");
        goto out;
    }
    const int type = member_word(o, "type", TYPES, COUNT(TYPES), err);
    if (type < 0)
        goto out;
    segment->type = (enum segment_type)type;
    if (read_asset(segment, o, err) < 0 || read_timing(segment, o, err) < 0 ||
        read_rest(segment, o, err) < 0)
        goto out;
    rc = 0;
out:
    json_decref(o);
    return rc < 0 ? err_prefix(err, "segment line") : 0;
}

static json_t *rational_json(struct rational r)
{
    char text[RATIONAL_TEXT_SIZE];

    rational_format(r, text);
    return json_string(text);
}

static json_t *languages_json(const struct segment *s)
{
    json_t *list = json_array();

    for (int i = 0; list && i < s->languages; i++) {
        if (json_array_append_new(list, json_string(s->language[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool put_all(json_t *o, const struct segment *s)
{
    char utc[32];

    if (s->has_utc)
        clock_format_utc(s->utc_us, utc);
    return member_put(o, "segment", json_string(s->id)) &&
           member_put(o, "type", json_string(TYPES[s->type])) &&
           (s->asset[0] == '\0' ||
            member_put(o, "asset", json_string(s->asset))) &&
           member_put(o, "in", rational_json(s->in)) &&
           member_put(o, "first",
                      s->has_first ? json_integer(s->first) : json_null()) &&
           member_put(o, "frames",
                      s->has_frames ? json_integer(s->frames) : json_null()) &&
           member_put(o, "skip", json_integer(s->skip)) &&
           member_put(o, "pad", json_string(PADS[s->pad])) &&
           member_put(o, "gain_db", json_real(s->gain_db)) &&
           member_put(o, "fade_in", rational_json(s->fade_in)) &&
           member_put(o, "fade_out", rational_json(s->fade_out)) &&
           member_put(o, "audio", languages_json(s)) &&
           member_put(o, "house",
                      s->has_house ? house_to_json(&s->house) : json_null()) &&
           (!s->has_utc || member_put(o, "utc", json_string(utc)));
}

char *segment_format(const struct segment *segment)
{
    json_t *o = json_object();
    char *line = NULL;

    if (o && put_all(o, segment))
        line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(o);
    return line;
}
