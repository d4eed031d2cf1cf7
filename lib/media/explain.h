/*
 * explain: what is done to an asset in a house, as facts and as lines for
 * people.
 *
 * It opens the asset as a decoder does and asks the code that does the work
 * (picture_way_of(), tone_kind_of(), sound.h, length.h), so it knows no rules
 * of its own.  A few pictures at its start and in a few places behind are
 * decoded to see what they really are; what lies between is not.
 */
#ifndef RV_MEDIA_EXPLAIN_H
#define RV_MEDIA_EXPLAIN_H

#include <jansson.h>

#include "media/length.h"
#include "media/picture.h"

struct explain_config {
    const char *path; /* as asset_config's */
    struct house house;
    int languages;
    const char (*language)[16];
    int threads;
    bool is_quick; /* the container is believed, only the start is decoded */
    bool (*is_stopping)(void);
    void (*progress)(void *opaque, int percent); /* may be NULL */
    void *opaque;
};

enum explain_pictures {
    PICTURES_NONE,
    PICTURES_COVER, /* of a sound file */
    PICTURES_STILL, /* one */
    PICTURES_MOVING
};

/* What the pictures that were looked at are; counts. */
struct explain_seen {
    int64_t pictures;
    int64_t interlaced, top_first; /* flagged so, or found */
    int64_t found;                 /* of them, not flagged */
    int64_t repeating;             /* 2:3 pulldown flags */
    int64_t fields, joined;        /* woven with another one again */
    int64_t threes;                /* behind three fields of one picture */
    int64_t captioned;
    int64_t unsteady; /* not on the steady rate's grid */
    int64_t formats;  /* changes of size, pixel format, colours */
};

struct explain {
    char path[SEGMENT_ASSET_SIZE];
    struct house house;
    char container[64], container_name[64]; /* libav's, and for people */
    int64_t told_us; /* what it says that it lasts, -1: nothing */
    bool is_estimate;
    struct length length;
    uint64_t damaged;
    int others[3]; /* tracks that are not used: pictures, sound, all else */

    enum explain_pictures pictures;
    char picture_codec[32];
    struct picture_format format;
    struct picture_way way;
    bool has_colours; /* its matrix is told, not guessed */
    int coded_width, coded_height;
    AVRational rate;  /* 0/1: unknown */
    bool is_variable; /* its grid is another one */
    bool is_film;     /* by its 2:3 flags; `rate` is the film's */
    int peak_nits;    /* of HDR; 0: none told */
    int dovi_profile; /* of Dolby Vision; 0: none, or not told */
    bool has_dovi;    /* its metadata, and they are used where they must be */
    bool has_hdr10_plus;
    struct explain_seen seen;

    bool has_sound;
    char sound_codec[32];
    char layout[64]; /* of what comes, and of the house */
    char house_layout[64];
    bool is_mixed, is_unknown; /* unknown: cannot be mixed */
    int sound_channels, sound_rate;
    int track, tracks; /* of sound, from 1 */
    char track_language[16];
    bool is_by_language;    /* chosen for it */
    char wanted[64];        /* languages, "": none */
    int64_t sound_from_us;  /* behind the first picture */
    int64_t sound_early_us; /* begins before it */
};

/* -1: it cannot be played (or was stopped); the sentence names it. */
int explain_asset(struct explain *explain, const struct explain_config *config,
                  struct err *err);

/* --- for people ----------------------------------------------------------- */

#define EXPLAIN_LINES_MAX 32

/* One thing that is done, or is missing. */
struct explain_line {
    const char *what; /* a word that stays the same: "scale", "silence", ... */
    char brief[48];   /* for a row; "": goes without saying */
    char text[192];   /* a sentence without full stop */
};

/* What the asset is comes first ("length", "picture", "sound"); gives how many
 * lines there are. */
int explain_lines(const struct explain *explain,
                  struct explain_line lines[EXPLAIN_LINES_MAX]);

/* One row: "0:00:04.000  100f  320x180 to 1280x720, stereo"; without a name. */
void explain_brief(const struct explain *explain, char *text, size_t size);

/* Any text as a JSON string; what is no UTF-8 has its bytes over 127 as '?'.
 * gives, NULL: no memory. */
json_t *explain_string(const char *text);

/* The facts and the lines as an object; gives, NULL: no memory. */
json_t *explain_json(const struct explain *explain);

#endif
