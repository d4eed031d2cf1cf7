/* explain_text: the facts as lines, one thing that is done a line. */
#include "media/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>
#include <libavutil/pixdesc.h>

#include "clock/clock.h"

/* What the last picture is held for anyway (rv-plan(5)): less is no news. */
#define NEWS_US INT64_C(250000)

/* Longer patterns of repeated pictures are none. */
#define CADENCE_MAX 5000

struct page {
    struct explain_line *line;
    int count;
};

/* The next line with its brief; its text comes with add(). */
static struct explain_line *begin(struct page *page, const char *what,
                                  const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static struct explain_line *begin(struct page *page, const char *what,
                                  const char *fmt, ...)
{
    /* More than there is room for would be our bug; the last one goes. */
    const int at =
        page->count < EXPLAIN_LINES_MAX ? page->count++ : page->count - 1;
    struct explain_line *line = &page->line[at];
    va_list ap;

    *line = (struct explain_line){ .what = what };
    va_start(ap, fmt);
    vsnprintf(line->brief, sizeof(line->brief), fmt, ap);
    va_end(ap);
    return line;
}

static void add(struct explain_line *line, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct explain_line *line, const char *fmt, ...)
{
    const size_t used = strlen(line->text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line->text + used, sizeof(line->text) - used, fmt, ap);
    va_end(ap);
}

/* "25" or "24000/1001" */
static void rate_text(char text[32], AVRational rate)
{
    if (rate.den == 1)
        snprintf(text, 32, "%d", rate.num);
    else
        snprintf(text, 32, "%d/%d", rate.num, rate.den);
}

static bool is_moving(const struct explain *explain)
{
    return explain->pictures == PICTURES_MOVING;
}

static bool has_picture(const struct explain *explain)
{
    return explain->pictures != PICTURES_NONE;
}

static bool is_unsteady(const struct explain *explain)
{
    return !explain->is_film &&
           (explain->is_variable || explain->length.unsteady > 0 ||
            explain->seen.unsteady > 0 || explain->rate.num <= 0);
}

/* --- what it is ----------------------------------------------------------- */

static const char *way_text(enum length_way way)
{
    switch (way) {
    case LENGTH_TOLD:
        return "as its container says, not looked up";
    case LENGTH_INDEX:
        return "by its index and its last pictures";
    case LENGTH_PACKETS:
        return "by all its packets and its last pictures";
    case LENGTH_DECODED:
        return "decoded to its end";
    case LENGTH_UNKNOWN:
        break;
    }
    return "";
}

static void length_lines(struct page *page, const struct explain *explain)
{
    const struct length *length = &explain->length;
    char span[CLOCK_SPAN_SIZE];
    struct explain_line *line = begin(page, "length", "%s", "");

    if (length->frames < 0) {
        add(line, "unknown: its container does not say");
    } else {
        clock_span(span, length->end_us);
        add(line, "%s, %" PRId64 " frame%s, %s", span, length->frames,
            length->frames == 1 ? "" : "s", way_text(length->way));
    }
    const bool is_compared = explain->told_us >= 0 && length->frames >= 0 &&
                             length->way != LENGTH_TOLD;
    const int64_t off = is_compared ? explain->told_us - length->end_us : 0;
    const bool is_news = llabs(off) > NEWS_US;
    clock_span(span, explain->told_us);
    line = begin(page, "container", "%s%s", is_news ? "header says " : "",
                 is_news ? span : "");
    add(line, "%s", explain->container_name);
    if (explain->told_us < 0) {
        if (explain->pictures != PICTURES_STILL)
            add(line, ", says no length");
        return;
    }
    add(line, ", says %s%s", span, explain->is_estimate ? " (estimated)" : "");
    if (is_news)
        add(line, ", %s than its %s", off > 0 ? "longer" : "shorter",
            is_moving(explain) ? "pictures are" : "sound is");
}

static void picture_line(struct page *page, const struct explain *explain)
{
    const struct picture_format *format = &explain->format;
    const char *pixels = av_get_pix_fmt_name(format->pixel_format);
    char rate[48];
    struct explain_line *line = begin(page, "picture", "%s", "");

    if (!is_moving(explain)) {
        add(line, "%s, %dx%d, %s",
            explain->pictures == PICTURES_COVER ? "cover"
                                                : explain->picture_codec,
            format->width, format->height, pixels ? pixels : "?");
        return;
    }
    rate_text(rate, explain->rate);
    if (is_unsteady(explain))
        snprintf(rate, sizeof(rate), "variable, on average %.5g",
                 explain->rate.num > 0 ? av_q2d(explain->rate) : 0);
    add(line, "%s, %dx%d", explain->picture_codec, format->width,
        format->height);
    if (format->sar.num != format->sar.den)
        add(line, " in pixels of %d:%d", format->sar.num, format->sar.den);
    add(line, ", %s a second, %s", rate, pixels ? pixels : "?");
    if (format->is_full)
        add(line, ", full range");
}

static void sound_line(struct page *page, const struct explain *explain)
{
    struct explain_line *line = begin(page, "sound", "%s", "");

    add(line, "%s, %s, %d Hz, track %d of %d", explain->sound_codec,
        explain->layout, explain->sound_rate, explain->track, explain->tracks);
    if (explain->track_language[0])
        add(line, " (%s)", explain->track_language);
    if (explain->wanted[0])
        add(line,
            explain->is_by_language ? ", wanted: %s"
                                    : ", the best one: none is in %s",
            explain->wanted);
}

/* --- what is done to pictures --------------------------------------------- */

static void kind_line(struct page *page, const struct explain *explain)
{
    struct explain_line *line;

    switch (explain->pictures) {
    case PICTURES_NONE:
        line = begin(page, "black", "no picture: black");
        add(line, "no picture: black is shown");
        break;
    case PICTURES_COVER:
        line = begin(page, "cover", "cover");
        add(line, "sound alone: the cover is shown");
        break;
    case PICTURES_STILL:
        line = begin(page, "still", "a still");
        add(line,
            "one picture, on screen for %" PRId64 " frame%s; longer in a "
            "segment with a duration and \"pad\": \"hold\"",
            explain->length.frames, explain->length.frames == 1 ? "" : "s");
        break;
    case PICTURES_MOVING:
        break;
    }
}

static void field_lines(struct page *page, const struct explain *explain)
{
    const struct explain_seen *seen = &explain->seen;
    struct explain_line *line;

    if (seen->repeating > 0) {
        line = begin(page, "pulldown", "pulldown undone");
        add(line, "2:3 pulldown by flags: shown as the film it is");
    }
    if (seen->interlaced == 0)
        return;
    if (!deinterlace_can(explain->format.pixel_format)) {
        line = begin(page, "fields", "interlaced");
        add(line, "interlaced, but %s cannot be deinterlaced: shown as it is",
            av_get_pix_fmt_name(explain->format.pixel_format));
        return;
    }
    const bool is_film = seen->joined * 2 >= seen->fields;
    line = begin(page, "fields", is_film ? "film in fields" : "deinterlaced");
    add(line, "%s, %s field first",
        is_film ? "film in fields, woven again" : "deinterlaced",
        seen->top_first == seen->interlaced ? "top"
        : seen->top_first == 0              ? "bottom"
                                            : "now top, now bottom");
    if (seen->found > 0)
        add(line, ", not flagged but combed");
    if (seen->interlaced < seen->pictures)
        add(line, ", where %s: %" PRId64 " of %" PRId64 " looked at",
            seen->found > 0 ? "so" : "flagged", seen->interlaced,
            seen->pictures);
    if (seen->threes > 0 && is_film) {
        line = begin(page, "pulldown", "pulldown undone");
        add(line, "2:3 pulldown in its pictures: shown as the film it is");
    }
}

static const char *turn_text(uint32_t turn)
{
    switch (turn) {
    case TURN_MIRROR_X:
        return "mirrored left to right";
    case TURN_MIRROR_Y:
        return "mirrored top to bottom";
    case TURN_MIRROR_X | TURN_MIRROR_Y:
        return "turned by 180 degrees";
    case TURN_TRANSPOSE | TURN_MIRROR_X:
        return "turned by 90 degrees clockwise";
    case TURN_TRANSPOSE | TURN_MIRROR_Y:
        return "turned by 90 degrees counterclockwise";
    case TURN_TRANSPOSE:
        return "turned by 90 degrees and mirrored left to right";
    default: /* both mirrors and the transposition */
        return "turned by 90 degrees and mirrored top to bottom";
    }
}

/* "black bars of 160 left and right" */
static void add_bars(struct explain_line *line, int before, int after,
                     const char *first, const char *second)
{
    if (before == after)
        add(line, ", black bars of %d %s and %s", before, first, second);
    else
        add(line, ", black bars of %d %s and %d %s", before, first, after,
            second);
}

static void shape_lines(struct page *page, const struct explain *explain)
{
    const struct picture_format *format = &explain->format;
    const struct picture_way *way = &explain->way;
    const struct house *house = &explain->house;
    const int right = house->width - way->left - way->width;
    const int bottom = house->height - way->top - way->height;
    struct explain_line *line;

    if (explain->coded_width - format->width >= 16 ||
        explain->coded_height - format->height >= 16) {
        line = begin(page, "crop", "%s", "");
        add(line, "cropped from %dx%d, as its codec says", explain->coded_width,
            explain->coded_height);
    }
    if (format->turn != TURN_NONE) {
        line = begin(page, "turn", "%s", turn_text(format->turn));
        add(line, "%s", turn_text(format->turn));
    }
    if (way->is_house ||
        (way->width == format->width && way->height == format->height &&
         right + bottom + way->left + way->top == 0))
        return;
    line = begin(page, "scale", "%dx%d to %dx%d%s", format->width,
                 format->height, way->width, way->height,
                 way->left + right > 0   ? ", pillarbox"
                 : way->top + bottom > 0 ? ", letterbox"
                                         : "");
    add(line, "%dx%d to %dx%d", format->width, format->height, way->width,
        way->height);
    if (way->left + right > 0)
        add_bars(line, way->left, right, "left", "right");
    if (way->top + bottom > 0)
        add_bars(line, way->top, bottom, "above", "below");
}

/* How many of what comes are in what goes out. */
static void add_cadence(struct explain_line *line, AVRational from,
                        AVRational to, const char *what)
{
    const AVRational ratio = av_div_q(to, from);

    /* 29.97 for 30000/1001: once an hour is nothing to speak of. */
    if (FFMAX(ratio.num, ratio.den) > CADENCE_MAX)
        return;
    if (ratio.num == ratio.den)
        add(line, ": each %s once", what);
    else if (ratio.den == 1)
        add(line, ": each %s %d times", what, ratio.num);
    else if (ratio.num > ratio.den)
        add(line, ": %d %ss fill %d frames", ratio.den, what, ratio.num);
    else
        add(line, ": %d of %d %ss %s shown", ratio.num, ratio.den, what,
            ratio.num == 1 ? "is" : "are");
}

static void rate_line(struct page *page, const struct explain *explain)
{
    const AVRational house = explain->house.rate;
    const bool has_fields = explain->seen.interlaced > 0;
    const AVRational rate = has_fields
                                ? av_mul_q(explain->rate, (AVRational){ 2, 1 })
                                : explain->rate;
    char from[32], to[32];
    struct explain_line *line;

    rate_text(to, house);
    if (is_unsteady(explain)) {
        line = begin(page, "rate", "variable rate");
        add(line, "variable to %s: what is on screen at each frame", to);
        return;
    }
    rate_text(from, explain->rate);
    if (av_cmp_q(explain->rate, house) == 0) {
        if (!has_fields)
            return;
        line = begin(page, "rate", "%s", "");
        add(line, "%s as it is: the first field of each picture", from);
        return;
    }
    line = begin(page, "rate", "%.5g to %.5g", av_q2d(explain->rate),
                 av_q2d(house));
    add(line, "%s to %s", from, to);
    add_cadence(line, rate, house, has_fields ? "field" : "picture");
}

/* --- colours -------------------------------------------------------------- */

/* "4:2:2"; "": none of them. */
static const char *sampling_text(const AVPixFmtDescriptor *about)
{
    if (about->nb_components < 3)
        return "grey";
    if (about->flags &
        (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER))
        return "RGB";
    switch (about->log2_chroma_w * 4 + about->log2_chroma_h) {
    case 0:
        return "4:4:4";
    case 1:
        return "4:4:0";
    case 4:
        return "4:2:2";
    case 5:
        return "4:2:0";
    case 8:
        return "4:1:1";
    case 10:
        return "4:1:0";
    default: /* no others are in use */
        return "another sampling";
    }
}

static void format_line(struct page *page, const struct explain *explain)
{
    const struct picture_format *format = &explain->format;
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(format->pixel_format);
    char text[3][32] = { "", "", "" };
    int count = 0;

    if (about == NULL)
        return;
    const char *sampling = sampling_text(about);
    if (about->comp[0].depth != 8 && !(about->flags & AV_PIX_FMT_FLAG_PAL))
        snprintf(text[count++], sizeof(text[0]), "%d bit%s to 8",
                 about->comp[0].depth, about->comp[0].depth == 1 ? "" : "s");
    if (strcmp(sampling, "4:2:0") != 0)
        snprintf(text[count++], sizeof(text[0]), "%s to 4:2:0", sampling);
    if (format->is_full)
        snprintf(text[count++], sizeof(text[0]), "full range to limited");
    if (count == 0)
        return;
    struct explain_line *line = begin(page, "format", "%s%s%s", text[0],
                                      count > 1 ? ", " : "", text[1]);
    for (int i = 0; i < count; i++)
        add(line, "%s%s", i > 0 ? ", " : "", text[i]);
}

static const char *matrix_text(int matrix)
{
    switch (matrix) {
    case AVCOL_SPC_FCC:
        return "FCC";
    case AVCOL_SPC_SMPTE170M:
        return "BT.601";
    case AVCOL_SPC_SMPTE240M:
        return "SMPTE 240M";
    case AVCOL_SPC_BT2020_NCL:
        return "BT.2020";
    case AVCOL_SPC_YCGCO:
        return "YCgCo";
    default: /* colour_matrix_of() gives no others */
        return "BT.709";
    }
}

static const char *primaries_text(int primaries)
{
    return primaries == AVCOL_PRI_BT2020     ? "BT.2020"
           : primaries == AVCOL_PRI_SMPTE432 ? "Display P3"
                                             : "BT.709";
}

/* Dolby Vision whose pictures are in no other colours. */
static struct explain_line *dovi_line(struct page *page,
                                      const struct explain *explain, int peak)
{
    struct explain_line *line = begin(page, "hdr", "Dolby Vision to SDR");

    add(line, "Dolby Vision profile %d, its own colours",
        explain->dovi_profile);
    if (!explain->has_dovi)
        add(line, " (as they are usually: no metadata)");
    add(line, " with a peak of %d cd/m2 to SDR", peak);
    return line;
}

static void dynamic_line(struct page *page, const struct explain *explain)
{
    const bool has_dovi = (explain->dovi_profile > 0 || explain->has_dovi) &&
                          explain->format.matrix != COLOUR_IPT_C2;

    if (!has_dovi && !explain->has_hdr10_plus)
        return;
    struct explain_line *line = begin(page, "dynamic", "%s", "");
    if (has_dovi)
        add(line, "Dolby Vision");
    if (has_dovi && explain->dovi_profile > 0)
        add(line, " profile %d", explain->dovi_profile);
    if (explain->has_hdr10_plus)
        add(line, "%sHDR10+", has_dovi ? " and " : "");
    add(line, " left out: shown as without %s",
        has_dovi && explain->has_hdr10_plus ? "them" : "it");
}

static void tone_line(struct page *page, const struct explain *explain)
{
    const struct picture_format *format = &explain->format;
    const char *primaries = primaries_text(format->primaries);
    const bool is_told = explain->peak_nits > 0;
    const int peak = is_told ? explain->peak_nits : TONE_PEAK_NITS;
    struct explain_line *line = NULL;

    switch ((enum tone_kind)format->tone) {
    case TONE_NONE:
        return;
    case TONE_WIDE:
        line = begin(page, "gamut", "%s to BT.709", primaries);
        add(line, "primaries of %s to BT.709, clipped", primaries);
        return;
    case TONE_PQ:
        if (format->matrix == COLOUR_IPT_C2) {
            line = dovi_line(page, explain, peak);
            break;
        }
        line = begin(page, "hdr", "PQ to SDR");
        add(line, "PQ with a peak of %d cd/m2 (%s) to SDR", peak,
            is_told ? "told" : "usual, none is told");
        break;
    case TONE_HLG:
        line = begin(page, "hdr", "HLG to SDR");
        add(line, "HLG as on a display of %d cd/m2 to SDR", TONE_PEAK_NITS);
        break;
    }
    if (line && format->matrix == AVCOL_SPC_ICTCP)
        add(line, ", ICtCp");
    if (line && format->primaries != AVCOL_PRI_BT709)
        add(line, ", primaries of %s to BT.709", primaries);
}

static void colour_lines(struct page *page, const struct explain *explain)
{
    const struct picture_way *way = &explain->way;
    struct explain_line *line;

    format_line(page, explain);
    if (way->has_matrix) {
        line = begin(page, "matrix", "%s", "");
        add(line, "%s%s to %s", matrix_text(way->matrix_in),
            explain->has_colours ? "" : " (by its size, it says nothing)",
            matrix_text(way->matrix_out));
    }
    tone_line(page, explain);
    dynamic_line(page, explain);
    if (explain->format.has_alpha) {
        line = begin(page, "alpha", "over black");
        add(line, "transparent, shown over black");
    }
}

/* --- sound ---------------------------------------------------------------- */

static void change_lines(struct page *page, const struct explain *explain)
{
    const struct house *house = &explain->house;
    const bool is_more = explain->sound_channels > house->channels;
    struct explain_line *line;

    if (explain->is_unknown) {
        line = begin(page, "silence", "%s: silence", explain->layout);
        add(line, "%s without a layout cannot be mixed: silence",
            explain->layout);
        return;
    }
    if (explain->is_mixed) {
        line = begin(page, "mix", "%s to %s", explain->layout,
                     explain->house_layout);
        add(line, "%s to %s%s", explain->layout, explain->house_layout,
            is_more ? ", mixed down (ITU-R BS.775)" : "");
    }
    if (explain->sound_rate != house->sample_rate) {
        line = begin(page, "resample", "%d to %d Hz", explain->sound_rate,
                     house->sample_rate);
        add(line, "%d to %d Hz", explain->sound_rate, house->sample_rate);
    }
}

/* Where sound and pictures do not begin or end together. */
static void edge_lines(struct page *page, const struct explain *explain)
{
    const struct length *length = &explain->length;
    const double from = (double)explain->sound_from_us / 1e6;
    struct explain_line *line;

    if (!has_picture(explain) || explain->pictures == PICTURES_COVER)
        return;
    if (explain->sound_from_us > house_us(&explain->house, 1)) {
        line = begin(page, "late", "sound %.3f s late", from);
        add(line, "sound begins %.3f s behind the first picture: silence",
            from);
    }
    if (explain->sound_early_us > NEWS_US) {
        const double early = (double)explain->sound_early_us / 1e6;
        line = begin(page, "early", "%.1f s of sound cut before", early);
        add(line, "%.3f s of sound before the first picture are cut", early);
    }
    if (!length->has_sound_end || length->frames < 0)
        return;
    const int64_t off = length->sound_end_us - length->end_us;
    const double seconds = (double)llabs(off) / 1e6;
    if (off < -NEWS_US) {
        line = begin(page, "short", "silence for the last %.1f s", seconds);
        add(line, "sound ends %.3f s before the pictures: silence", seconds);
    } else if (off > NEWS_US) {
        line = begin(page, "cut", "%.1f s of sound cut", seconds);
        add(line, "%.3f s of sound behind the last picture are cut", seconds);
    }
}

/* --- the rest ------------------------------------------------------------- */

static void caption_line(struct page *page, const struct explain *explain)
{
    const bool is_seen =
        explain->seen.captioned > 0 || explain->length.has_captions;
    struct explain_line *line =
        begin(page, "captions", "%s", is_seen ? "captions" : "");

    add(line, is_seen ? "A/53 captions, passed on" : "none seen");
}

static void other_lines(struct page *page, const struct explain *explain)
{
    static const char *const KINDS[] = { "picture", "sound", "other" };
    const struct explain_seen *seen = &explain->seen;
    struct explain_line *line;

    if (seen->formats > 0) {
        line = begin(page, "changes", "format changes");
        add(line, "size, aspect or colours change within it; each picture is "
                  "treated as what it is");
    }
    if (explain->damaged > 0) {
        line = begin(page, "damage", "damaged");
        add(line, "%" PRIu64 " damaged packets or pictures were met",
            explain->damaged);
    }
    if (explain->others[0] + explain->others[1] + explain->others[2] == 0)
        return;
    line = begin(page, "unused", "%s", "");
    for (int i = 0; i < 3; i++) {
        if (explain->others[i] > 0)
            add(line, "%s%d %s track%s", line->text[0] ? ", " : "",
                explain->others[i], KINDS[i],
                explain->others[i] == 1 ? "" : "s");
    }
    add(line, " left out");
}

int explain_lines(const struct explain *explain,
                  struct explain_line lines[EXPLAIN_LINES_MAX])
{
    struct page page = { .line = lines };

    length_lines(&page, explain);
    if (has_picture(explain))
        picture_line(&page, explain);
    if (explain->has_sound)
        sound_line(&page, explain);
    kind_line(&page, explain);
    if (is_moving(explain))
        field_lines(&page, explain);
    if (has_picture(explain))
        shape_lines(&page, explain);
    if (is_moving(explain))
        rate_line(&page, explain);
    if (has_picture(explain))
        colour_lines(&page, explain);
    if (explain->has_sound) {
        change_lines(&page, explain);
        edge_lines(&page, explain);
    } else {
        add(begin(&page, "silence", "no sound: silence"), "no sound: silence");
    }
    if (is_moving(explain))
        caption_line(&page, explain);
    other_lines(&page, explain);
    return page.count;
}

void explain_brief(const struct explain *explain, char *text, size_t size)
{
    struct explain_line lines[EXPLAIN_LINES_MAX];
    const int count = explain_lines(explain, lines);
    const int64_t frames = explain->length.frames;
    char span[CLOCK_SPAN_SIZE] = "?";
    bool is_first = true;

    if (frames >= 0)
        clock_span(span, explain->length.end_us);
    snprintf(text, size, "%s %7" PRId64 "f  ", span, frames);
    if (frames < 0)
        snprintf(text, size, "%11s %8s  ", span, "");
    for (int i = 0; i < count; i++) {
        if (lines[i].brief[0] == '\0')
            continue;
        strlcat(text, is_first ? "" : ", ", size);
        strlcat(text, lines[i].brief, size);
        is_first = false;
    }
    if (is_first)
        strlcat(text, "as it is", size);
}
