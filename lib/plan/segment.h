/*
 * segment: one line between rv-plan and rv-decode (and between the director
 * and its decoders): what to decode, from where, how long.
 *
 * A line is one JSON object:
 *
 *   {"segment":"s1","type":"content","asset":"/abs/film.mkv","in":"600/1",
 *    "first":0,"frames":240,"skip":0,"pad":"slate","gain_db":0,
 *    "fade_in":"0/1","fade_out":"0/1","audio":["en"],
 *    "house":{"video":{...},"audio":{...}}}
 *
 *   segment   id, made from the place in the plan when it has none ("#3")
 *   type      content, filler, pad, slate
 *   asset     absolute path or URL; absent for pad and slate; "-": standard
 *             input of rv-decode (never in a plan)
 *   in        exact rational seconds from the asset's first picture
 *   first     channel's frame number of its first frame, counted from the
 *             plan's start; null: right behind the former one
 *   frames    length in house frames; null: as long as its pictures last
 *   skip      start with this frame of the segment (joined in progress); the
 *             frames before it are neither decoded nor counted
 *   house     null or absent: the reader's own
 *   utc       deadline of frame `first`, ISO 8601, when the plan has times
 *
 * The same is a struct; both directions check every member.
 */
#ifndef RV_PLAN_SEGMENT_H
#define RV_PLAN_SEGMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"

#define SEGMENT_ID_SIZE     128  /* NUL included, as in a pool's record */
#define SEGMENT_ASSET_SIZE  1024 /* NUL included, as in a pool's record */
#define SEGMENT_LANGUAGES   8
#define SEGMENT_FRAMES_MAX  INT64_C(1000000000000)
#define SEGMENT_GAIN_DB_MAX 60.0
#define SEGMENT_LINE_MAX    65536 /* bytes of a line, newline included */

enum segment_type {
    SEGMENT_CONTENT = 0,
    SEGMENT_FILLER, /* repeats when too short */
    SEGMENT_PAD,    /* black and silence */
    SEGMENT_SLATE
};

/* PAD_NONE, in lines only: the segment ends with its last picture where that
 * comes before `frames` (a preview, behind which the plan goes on). */
enum segment_pad { PAD_SLATE = 0, PAD_HOLD, PAD_BLACK, PAD_NONE };

/* An exact time in seconds; den > 0, lowest terms. */
struct rational {
    int64_t num;
    int64_t den;
};

struct segment {
    char id[SEGMENT_ID_SIZE];
    enum segment_type type;
    char asset[SEGMENT_ASSET_SIZE]; /* "": none */
    struct rational in;
    bool has_first;
    int64_t first;
    bool has_frames;
    int64_t frames; /* 0 is allowed: nothing is shown */
    int64_t skip;
    enum segment_pad pad;
    double gain_db; /* -60 .. +60; a level, not a time */
    struct rational fade_in, fade_out;
    int languages;
    char language[SEGMENT_LANGUAGES][16];
    bool has_house;
    struct house house;
    bool has_utc;
    int64_t utc_us;
};

/* clang-format off */
#define SEGMENT_EMPTY \
    ((struct segment){ .in = { 0, 1 }, .fade_in = { 0, 1 }, \
                       .fade_out = { 0, 1 } })
/* clang-format on */

const char *segment_type_name(enum segment_type type);
const char *segment_pad_name(enum segment_pad pad);
/* And back; -1: unknown. */
int segment_type_from_name(const char *name);
int segment_pad_from_name(const char *name);

/* "scheme://...": no path of this machine (file:// counts too). */
bool segment_asset_is_url(const char *asset);
/* A language tag that fits: "en", "deu", "pt-BR". */
bool segment_language_is_valid(const char *tag);
/* A JSON list of them into the segment. */
int segment_languages_from_json(struct segment *segment, const json_t *list,
                                struct err *err);

/* A line (no newline needed) into a struct; the sentence names the member. */
int segment_parse(struct segment *segment, const char *line, size_t length,
                  struct err *err);

/* A struct as a line without newline; gives (free()), NULL: no memory. */
char *segment_format(const struct segment *segment);

#endif
