/*
 * plan_json: the JSON form of a plan (contract, section 6; rv-plan(5)).
 *
 * jansson checks the text as a whole; then it is read field by field with
 * lib/plan/scan.h, so that each problem has its line and each number its
 * digits as written.  A field that is null counts as absent.
 */
#include "plan/plan_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>

#include "clock/clock.h"
#include "plan/member.h"
#include "plan/rational.h"
#include "plan/scan.h"

/* Twenty for each of the most segments: bounds the memory of a hostile text. */
#define VALUES_MAX 2000000

struct reader {
    struct plan *plan;
    struct plan_report *report;
    int index; /* segment being read, -1: the plan itself */
    bool has_segments, has_version;
    bool has_type_error;
    int loop_line;
};

struct field {
    const char *name;
    void (*read)(struct reader *r, const struct field *field,
                 const struct scan_value *v);
    size_t offset; /* of a time in struct plan_segment */
};

static void problem(struct reader *r, bool is_warning, int line,
                    const char *name, const char *text)
{
    char field[96];

    if (r->index < 0)
        strlcpy(field, name, sizeof(field));
    else
        snprintf(field, sizeof(field), "segments[%d]%s%.60s", r->index,
                 name[0] ? "." : "", name);
    plan_report(r->report, is_warning, line, field, "%s", text);
}

static void wrong(struct reader *r, const struct scan_value *v,
                  const char *name, const char *text)
{
    problem(r, false, v->line, name, text);
}

/* As jansson sees it.  The text is valid, so NULL means no memory. */
static json_t *load(struct reader *r, const struct scan_value *v)
{
    json_t *value = scan_load(v);

    r->report->is_out_of_memory |= value == NULL;
    return value;
}

/* A string of less than `size` bytes; false and reported otherwise. */
static bool take_string(struct reader *r, const char *name,
                        const struct scan_value *v, char *out, size_t size)
{
    char text[128];

    out[0] = '\0';
    if (!scan_is_string(v)) {
        wrong(r, v, name, "is no string; put it between \"\"");
        return false;
    }
    json_t *value = load(r, v);
    const size_t length = json_string_length(value);
    const bool fits = value != NULL && length < size;
    if (fits) {
        memcpy(out, json_string_value(value), length + 1);
    } else {
        snprintf(text, sizeof(text),
                 "is %zu bytes long; at most %zu are allowed", length,
                 size - 1);
        wrong(r, v, name, text);
    }
    json_decref(value);
    return fits;
}

static struct plan_segment *current(struct reader *r)
{
    return &r->plan->segment[r->index];
}

/* --- fields of a segment ---------------------------------------------------
 */

static void read_id(struct reader *r, const struct field *f,
                    const struct scan_value *v)
{
    struct plan_segment *s = current(r);
    char id[SEGMENT_ID_SIZE];

    if (!take_string(r, f->name, v, id, sizeof(id)))
        return;
    bool is_clean = id[0] != '\0';
    for (const char *c = id; *c; c++)
        is_clean &= (unsigned char)*c >= 0x20 && *c != 0x7f;
    if (!is_clean) {
        wrong(
            r, v, f->name,
            "is empty or has control characters; give a name or leave it out");
        return;
    }
    memcpy(s->segment.id, id, sizeof(id));
    s->has_id = true;
}

static void read_type(struct reader *r, const struct field *f,
                      const struct scan_value *v)
{
    char name[SEGMENT_ID_SIZE], text[256];

    r->has_type_error = true;
    if (!take_string(r, f->name, v, name, sizeof(name)))
        return;
    const int type = segment_type_from_name(name);
    if (type < 0) {
        snprintf(text, sizeof(text),
                 "'%.40s' is unknown; give content, filler, pad or slate",
                 name);
        wrong(r, v, f->name, text);
        return;
    }
    r->has_type_error = false;
    current(r)->segment.type = (enum segment_type)type;
}

static void read_pad(struct reader *r, const struct field *f,
                     const struct scan_value *v)
{
    char name[SEGMENT_ID_SIZE], text[256];

    if (!take_string(r, f->name, v, name, sizeof(name)))
        return;
    const int pad = segment_pad_from_name(name);
    if (pad < 0 || pad == PAD_NONE) {
        snprintf(text, sizeof(text),
                 "'%.40s' is unknown; give hold, black or slate", name);
        wrong(r, v, f->name, text);
        return;
    }
    current(r)->segment.pad = (enum segment_pad)pad;
}

static void read_asset(struct reader *r, const struct field *f,
                       const struct scan_value *v)
{
    char asset[SEGMENT_ASSET_SIZE], field[64];

    if (!take_string(r, f->name, v, asset, sizeof(asset)))
        return;
    snprintf(field, sizeof(field), "segments[%d].asset", r->index);
    plan_set_asset(r->plan, r->index, asset, v->line, field, r->report);
}

static void read_time(struct reader *r, const struct field *f,
                      const struct scan_value *v)
{
    struct plan_time *time =
        (struct plan_time *)((char *)current(r) + f->offset);
    char text[SEGMENT_ID_SIZE], sentence[512];
    struct err err = ERR_EMPTY;

    /* Also when it is wrong: it is not missing. */
    *time = (struct plan_time){ .is_given = true, .seconds = { 0, 1 } };
    if (scan_is_number(v)) {
        const enum rational_result result =
            rational_parse_json(&time->seconds, v->text, v->length);
        if (result == RATIONAL_OK)
            return;
        snprintf(sentence, sizeof(sentence),
                 "%.*s %s; give a number of seconds",
                 v->length > 40 ? 40 : (int)v->length, v->text,
                 rational_text(result));
        wrong(r, v, f->name, sentence);
    } else if (!scan_is_string(v)) {
        wrong(
            r, v, f->name,
            "is no time; give seconds as a number, \"[[HH:]MM:]SS[.fff]\", \"N/D\" or \"Nf\"");
    } else if (take_string(r, f->name, v, text, sizeof(text)) &&
               plan_time_parse(time, text, strlen(text), &err) < 0) {
        wrong(r, v, f->name, err.text);
    }
}

static bool take_utc(struct reader *r, const char *name,
                     const struct scan_value *v, int64_t *utc_us)
{
    struct err err = ERR_EMPTY;
    char text[64];

    if (!take_string(r, name, v, text, sizeof(text)))
        return false;
    if (clock_parse_utc(text, utc_us, &err) == 0)
        return true;
    /* POSIX time has none, so it would be the same as the next second. */
    if (strlen(text) > 18 && strncmp(text + 16, ":60", 3) == 0)
        wrong(r, v, name, "is a leap second; give the second before or after");
    else
        wrong(r, v, name, err.text);
    return false;
}

static void read_own_start(struct reader *r, const struct field *f,
                           const struct scan_value *v)
{
    struct plan_segment *s = current(r);

    s->has_start = take_utc(r, f->name, v, &s->start_us);
}

static void read_gain(struct reader *r, const struct field *f,
                      const struct scan_value *v)
{
    json_t *value = scan_is_number(v) ? load(r, v) : NULL;
    const double gain = json_number_value(value);

    if (value == NULL || !isfinite(gain) || fabs(gain) > SEGMENT_GAIN_DB_MAX)
        wrong(r, v, f->name, "is no number from -60 to 60");
    else
        current(r)->segment.gain_db = gain;
    json_decref(value);
}

static void read_audio(struct reader *r, const struct field *f,
                       const struct scan_value *v)
{
    struct err err = ERR_EMPTY;
    json_t *list = scan_is_array(v) ? load(r, v) : NULL;

    if (list == NULL)
        wrong(r, v, f->name, "is no list of languages; give one like [\"en\"]");
    else if (segment_languages_from_json(&current(r)->segment, list, &err) < 0)
        wrong(r, v, f->name, err.text);
    json_decref(list);
}

#define TIME(member) read_time, offsetof(struct plan_segment, member)

static const struct field SEGMENT_FIELDS[] = {
    { "id", read_id, 0 },           { "type", read_type, 0 },
    { "asset", read_asset, 0 },     { "in", TIME(in) },
    { "duration", TIME(duration) }, { "pad", read_pad, 0 },
    { "start", read_own_start, 0 }, { "gain_db", read_gain, 0 },
    { "fade_in", TIME(fade_in) },   { "fade_out", TIME(fade_out) },
    { "audio", read_audio, 0 },     { NULL, NULL, 0 },
};

/* --- fields of the plan ----------------------------------------------------
 */

static void read_version(struct reader *r, const struct field *f,
                         const struct scan_value *v)
{
    r->has_version = true;
    if (!scan_is(v, "1"))
        wrong(r, v, f->name, "is not 1, the only version that there is");
}

static void read_start(struct reader *r, const struct field *f,
                       const struct scan_value *v)
{
    r->plan->has_start = take_utc(r, f->name, v, &r->plan->start_us);
}

static void read_loop(struct reader *r, const struct field *f,
                      const struct scan_value *v)
{
    r->loop_line = v->line;
    r->plan->is_loop = scan_is(v, "true");
    if (!r->plan->is_loop && !scan_is(v, "false"))
        wrong(r, v, f->name, "is neither true nor false");
}

static void read_house(struct reader *r, const struct field *f,
                       const struct scan_value *v)
{
    struct err err = ERR_EMPTY;
    json_t *object = scan_is_object(v) ? load(r, v) : NULL;

    if (object == NULL)
        wrong(r, v, f->name,
              "is no object; give {\"video\": {...}, \"audio\": {...}}");
    else if (house_from_json(&r->plan->house, object, &err) < 0)
        wrong(r, v, f->name, err.text);
    else
        r->plan->has_house = true;
    json_decref(object);
}

static void ignore(struct reader *r, const struct field *f,
                   const struct scan_value *v)
{
    (void)r;
    (void)f;
    (void)v;
}

static void read_segments(struct reader *r, const struct field *f,
                          const struct scan_value *v);

static const struct field PLAN_FIELDS[] = {
    { "version", read_version, 0 },
    { "start", read_start, 0 },
    { "loop", read_loop, 0 },
    { "house", read_house, 0 },
    { "segments", read_segments, 0 },
    { "$schema", ignore, 0 }, /* for editors */
    { NULL, NULL, 0 },
};

/* --- objects ---------------------------------------------------------------
 */

static void warn_unknown(struct reader *r, int line, const char *name,
                         const struct field *fields)
{
    char text[384] = "is unknown and ignored; known are";

    for (const struct field *f = fields; f->name != NULL; f++) {
        if (f->read == ignore)
            continue;
        strlcat(text, f == fields ? " " : ", ", sizeof(text));
        strlcat(text, f->name, sizeof(text));
    }
    problem(r, true, line, name, text);
}

static void read_object(struct reader *r, const struct scan_value *object,
                        const struct field *fields)
{
    struct scan scan;
    struct scan_value key, value;

    scan_open(&scan, object);
    while (scan_member(&scan, &key, &value)) {
        json_t *decoded = load(r, &key);
        const char *name = json_string_value(decoded);
        const struct field *f = fields;
        while (f->name != NULL && name != NULL && strcmp(f->name, name) != 0)
            f++;
        if (name == NULL)
            return;
        if (f->name == NULL)
            warn_unknown(r, key.line, name, fields);
        else if (!scan_is(&value, "null"))
            f->read(r, f, &value);
        json_decref(decoded);
    }
}

/* What a segment of its type must and must not have. */
static void check_segment(struct reader *r, const struct scan_value *v)
{
    const struct plan_segment *s = current(r);
    const bool has_asset = s->segment.asset[0] != '\0';
    const bool is_last = r->index == r->plan->count - 1;

    switch (s->segment.type) {
    case SEGMENT_CONTENT:
    case SEGMENT_FILLER:
        if (!has_asset)
            wrong(r, v, "asset",
                  "is missing; give a file, relative to the plan or absolute");
        return;
    case SEGMENT_SLATE:
    case SEGMENT_PAD:
        if (!s->duration.is_given &&
            (s->segment.type == SEGMENT_PAD || !is_last))
            wrong(r, v, "duration",
                  s->segment.type == SEGMENT_PAD
                      ? "is missing; a pad needs one"
                      : "is missing; only the last slate may do without");
        if (has_asset)
            problem(r, true, v->line, "asset",
                    "is not used: a pad or slate shows none");
        return;
    }
}

static bool has_asset_field(const struct scan_value *object)
{
    struct scan scan;
    struct scan_value key, value;

    scan_open(&scan, object);
    while (scan_member(&scan, &key, &value)) {
        if (scan_is(&key, "\"asset\"") && !scan_is(&value, "null"))
            return true;
    }
    return false;
}

static void read_segment(struct reader *r, const struct scan_value *v)
{
    struct plan_segment *s = current(r);

    s->line = v->line;
    if (!scan_is_object(v)) {
        wrong(r, v, "", "is no object; give {\"asset\": ...}");
        return;
    }
    r->has_type_error = false;
    read_object(r, v, SEGMENT_FIELDS);
    /* An asset that was refused is not missing as well. */
    const bool is_refused = s->segment.asset[0] == '\0' && has_asset_field(v);
    if (!r->has_type_error && !is_refused)
        check_segment(r, v);
    if (s->segment.type == SEGMENT_PAD || s->segment.type == SEGMENT_SLATE)
        s->segment.asset[0] = '\0';
}

static void read_segments(struct reader *r, const struct field *f,
                          const struct scan_value *v)
{
    struct scan scan;
    struct scan_value item;
    int count = 0;

    r->has_segments = true;
    if (!scan_is_array(v)) {
        wrong(r, v, f->name, "is no list; give [{...}, {...}]");
        return;
    }
    for (scan_open(&scan, v); scan_item(&scan, &item); count++) {
        if (count == PLAN_SEGMENTS_MAX) {
            wrong(r, &item, f->name,
                  "has more than 100000 members; split the plan");
            return;
        }
    }
    if (count == 0)
        wrong(r, v, f->name, "is empty; give at least one segment");
    if (!plan_reserve(r->plan, count, r->report))
        return;
    scan_open(&scan, v);
    for (r->index = 0; r->index < count && scan_item(&scan, &item); r->index++)
        read_segment(r, &item);
    r->index = -1;
}

/* --- the plan as a whole ---------------------------------------------------
 */

struct named {
    const char *id;
    int index;
};

static int by_id(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    const int order = strcmp(x->id, y->id);

    return order != 0 ? order : x->index - y->index;
}

static void check_ids(struct reader *r)
{
    const struct plan *plan = r->plan;
    struct named *named = calloc((size_t)plan->count + 1, sizeof(*named));
    char text[320];

    if (named == NULL) {
        r->report->is_out_of_memory = true;
        return;
    }
    for (int i = 0; i < plan->count; i++)
        named[i] = (struct named){ plan->segment[i].segment.id, i };
    qsort(named, (size_t)plan->count, sizeof(*named), by_id);
    for (int i = 1; i < plan->count; i++) {
        if (strcmp(named[i].id, named[i - 1].id) != 0)
            continue;
        const struct plan_segment *first = &plan->segment[named[i - 1].index];
        r->index = named[i].index;
        snprintf(text, sizeof(text),
                 "'%s' is that of segments[%d] (line %d) too; give another",
                 named[i].id, named[i - 1].index, first->line);
        problem(r, false, plan->segment[r->index].line, "id", text);
    }
    r->index = -1;
    free(named);
}

/* Starts of their own need a start to count from, and a plan that ends. */
static void check_starts(struct reader *r)
{
    struct plan *plan = r->plan;

    if (!plan->has_start && plan->count > 0 && plan->segment[0].has_start) {
        plan->has_start = true;
        plan->start_us = plan->segment[0].start_us;
    }
    for (r->index = 0; r->index < plan->count; r->index++) {
        const struct plan_segment *s = &plan->segment[r->index];
        if (!s->has_start)
            continue;
        if (plan->is_loop)
            problem(
                r, false, s->line, "start",
                "comes only once, but the plan loops; leave it out or set loop to false");
        else if (!plan->has_start)
            problem(r, false, s->line, "start",
                    "has nothing to count from; give the plan a start too");
    }
    r->index = -1;
}

static bool has_frame_times(const struct plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        const struct plan_segment *s = &plan->segment[i];
        if (s->duration.is_frames || s->fade_in.is_frames ||
            s->fade_out.is_frames)
            return true;
    }
    return false;
}

static void check_whole(struct reader *r, int line)
{
    if (!r->has_segments)
        problem(r, false, line, "segments",
                "is missing; give a list of segments");
    if (!r->has_version)
        problem(r, true, line, "version", "is missing and taken as 1");
    check_ids(r);
    check_starts(r);
    if (r->plan->is_loop && r->plan->count > 0 &&
        r->plan->segment[r->plan->count - 1].segment.type == SEGMENT_SLATE &&
        !r->plan->segment[r->plan->count - 1].duration.is_given)
        problem(r, true, r->loop_line, "loop",
                "has no effect: the last slate has no duration and never ends");
    if (!r->report->has_error &&
        (r->plan->has_house || !has_frame_times(r->plan)))
        plan_check_timeline(r->plan, &HOUSE_DEFAULT, r->report);
}

/* The first line that is not UTF-8; 0: all are. */
static int line_not_utf8(const char *text, size_t length)
{
    const char *end = text + length;

    if (plan_is_utf8(text, length))
        return 0;
    for (int line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (stop == NULL)
            stop = end;
        if (!plan_is_utf8(text, (size_t)(stop - text)))
            return line;
        text = stop + 1;
    }
    return 1;
}

/* Is it JSON at all?  Reports otherwise. */
static bool is_valid(const char *text, size_t length,
                     struct plan_report *report)
{
    json_error_t where;

    int line = line_not_utf8(text, length);
    if (line > 0) {
        plan_report(report, false, line, "", "is not UTF-8; save it as UTF-8");
        return false;
    }
    line = scan_too_deep(text, length, PLAN_DEPTH_MAX);
    if (line > 0) {
        plan_report(report, false, line, "",
                    "nested deeper than %d levels; a plan needs three",
                    PLAN_DEPTH_MAX);
        return false;
    }
    line = scan_too_many(text, length, VALUES_MAX);
    if (line > 0) {
        plan_report(report, false, line, "", "has more than %d values",
                    VALUES_MAX);
        return false;
    }
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        report->is_out_of_memory |= member_no_memory(&where);
        plan_report(report, false, where.line > 0 ? where.line : 1, "",
                    "no valid JSON at column %d: %s", where.column, where.text);
        return false;
    }
    json_decref(root);
    return true;
}

void plan_read_json(struct plan *plan, const char *text, size_t length,
                    struct plan_report *report)
{
    struct reader r = { .plan = plan, .report = report, .index = -1 };

    if (!is_valid(text, length, report))
        return;
    const struct scan_value root = scan_root(text, length);
    if (!scan_is_object(&root)) {
        wrong(&r, &root, "", "is no JSON object; give {\"segments\": [...]}");
        return;
    }
    read_object(&r, &root, PLAN_FIELDS);
    check_whole(&r, root.line);
}
