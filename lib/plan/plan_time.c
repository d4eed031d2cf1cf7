/*
 * plan_time: times as people write them, kept exactly.
 *
 *   "90.5"  "1:30"  "01:30:00.040"   hours, minutes, seconds
 *   "1001/30000"                     a fraction of seconds
 *   "240f"                           house frames
 *
 * Only the first of several parts may be 60 or more: "90:00" is an hour and a
 * half, "1:75" is a slip.
 */
#include "plan/plan.h"

#include <string.h>

#include "plan/rational.h"

/* At the lowest rate, 1 fps, as long as RATIONAL_SECONDS_MAX. */
#define FRAMES_MAX    RATIONAL_SECONDS_MAX
#define TIME_TEXT_MAX 64

static enum rational_result parse_frames(struct plan_time *time,
                                         const char *text, size_t length)
{
    int64_t frames = 0;
    const bool is_negative = length > 1 && text[0] == '-';

    if (length == 0)
        return RATIONAL_SYNTAX;
    for (size_t i = is_negative; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return RATIONAL_SYNTAX;
        frames = frames * 10 + (text[i] - '0');
        if (frames > FRAMES_MAX)
            return RATIONAL_TOO_LONG;
    }
    if (is_negative && frames != 0)
        return RATIONAL_NEGATIVE;
    time->is_frames = true;
    time->frames = frames;
    return RATIONAL_OK;
}

/* Whole hours or minutes before a colon. */
static enum rational_result parse_part(const char *text, size_t length,
                                       bool is_first, int64_t *value)
{
    *value = 0;
    if (length == 0 || (!is_first && length > 2))
        return RATIONAL_SYNTAX;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return RATIONAL_SYNTAX;
        *value = *value * 10 + (text[i] - '0');
        if (*value > RATIONAL_SECONDS_MAX)
            return RATIONAL_TOO_LONG;
    }
    return !is_first && *value > 59 ? RATIONAL_SYNTAX : RATIONAL_OK;
}

/* [[HH:]MM:]SS[.fff]; there is at least one colon. */
static enum rational_result parse_clock(struct rational *out, const char *text,
                                        size_t length)
{
    const char *at = text, *end = text + length, *colon;
    __int128 before = 0;
    int parts = 0;

    while ((colon = memchr(at, ':', (size_t)(end - at))) != NULL) {
        int64_t value;
        const enum rational_result result =
            parse_part(at, (size_t)(colon - at), parts == 0, &value);
        if (result != RATIONAL_OK)
            return result;
        if (++parts > 2)
            return RATIONAL_SYNTAX;
        before = (before + value) * 60;
        at = colon + 1;
    }
    /* Two digits, then an optional fraction; never "1:2/3" or "1:-5". */
    const size_t digits = strspn(at, "0123456789");
    struct rational rest;
    if (digits == 0 || digits > 2 ||
        memchr(at, '/', (size_t)(end - at)) != NULL)
        return RATIONAL_SYNTAX;
    const enum rational_result result =
        rational_parse(&rest, at, (size_t)(end - at));
    if (result != RATIONAL_OK)
        return result;
    if (rest.num / rest.den > 59)
        return RATIONAL_SYNTAX;
    return rational_make(out, before * rest.den + rest.num, rest.den);
}

int plan_time_parse(struct plan_time *time, const char *text, size_t length,
                    struct err *err)
{
    char copy[TIME_TEXT_MAX + 1];
    enum rational_result result = RATIONAL_SYNTAX;

    *time = (struct plan_time){ .is_given = true, .seconds = { 0, 1 } };
    if (length > 0 && length <= TIME_TEXT_MAX) {
        memcpy(copy, text, length);
        copy[length] = '\0';
        const bool is_negative = copy[0] == '-';
        if (copy[length - 1] == 'f')
            result = parse_frames(time, copy, length - 1);
        else if (strchr(copy, ':') == NULL)
            result = rational_parse(&time->seconds, copy, length);
        else
            result = parse_clock(&time->seconds, copy + is_negative,
                                 length - is_negative);
        if (result == RATIONAL_OK && is_negative && time->seconds.num != 0)
            result = RATIONAL_NEGATIVE;
    }
    if (result == RATIONAL_OK)
        return 0;
    return err_set(
        err, ERR_INPUT,
        "'%.*s' %s; give seconds, \"[[HH:]MM:]SS[.fff]\", \"N/D\" or \"Nf\"",
        length > TIME_TEXT_MAX ? TIME_TEXT_MAX : (int)length, text,
        rational_text(result));
}

int plan_time_seconds(const struct plan_time *time, const struct house *house,
                      struct rational *seconds)
{
    *seconds = (struct rational){ 0, 1 };
    if (!time->is_given)
        return 0;
    if (!time->is_frames) {
        *seconds = time->seconds;
        return 0;
    }
    return rational_make(seconds, (__int128)time->frames * house->rate.den,
                         house->rate.num) == RATIONAL_OK
               ? 0
               : -1;
}
