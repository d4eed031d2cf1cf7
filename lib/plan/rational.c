/*
 * rational: a decimal is digits without the point over a power of ten, and is
 * reduced, so 0.1 is 1/10 and not the double next to it.
 */
#include "plan/rational.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXPONENT_MAX 40 /* more would be zero or a century */

struct scan {
    const char *at, *end;
};

static bool is_digit(const struct scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool take(struct scan *s, char c)
{
    if (s->at >= s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Appends digits to *value; false when it does not fit any more. */
static bool take_digits(struct scan *s, __int128 *value, int *count)
{
    const __int128 limit = (__int128)1 << 120;
    bool fits = true;

    for (; is_digit(s); s->at++, (*count)++) {
        if (*value > limit / 10)
            fits = false;
        else
            *value = *value * 10 + (*s->at - '0');
    }
    return fits;
}

enum rational_result rational_make(struct rational *out, __int128 num,
                                   __int128 den)
{
    __int128 a = num < 0 ? -num : num;
    __int128 b = den;

    if (den <= 0)
        return RATIONAL_SYNTAX;
    while (b != 0) {
        const __int128 rest = a % b;
        a = b;
        b = rest;
    }
    if (a > 1) {
        num /= a;
        den /= a;
    }
    if (num / den > RATIONAL_SECONDS_MAX ||
        (num / den == RATIONAL_SECONDS_MAX && num % den != 0))
        return RATIONAL_TOO_LONG;
    if (num < 0)
        return RATIONAL_NEGATIVE;
    if (num > INT64_MAX || den > INT64_MAX)
        return RATIONAL_TOO_FINE;
    *out = (struct rational){ .num = (int64_t)num, .den = (int64_t)den };
    return RATIONAL_OK;
}

/* digits * 10^exponent */
static enum rational_result make_decimal(struct rational *out, __int128 digits,
                                         int exponent)
{
    __int128 den = 1;

    for (; exponent > 0 && digits != 0; exponent--) {
        if (digits > RATIONAL_SECONDS_MAX)
            return RATIONAL_TOO_LONG;
        digits *= 10;
    }
    for (; exponent < 0 && digits % 10 == 0 && digits != 0; exponent++)
        digits /= 10;
    for (; exponent < 0 && digits != 0; exponent++) {
        if (den > INT64_MAX)
            return RATIONAL_TOO_FINE;
        den *= 10;
    }
    return rational_make(out, digits, den);
}

/* Digits with an optional fraction; *exponent becomes minus its length. */
static enum rational_result take_decimal(struct scan *s, __int128 *digits,
                                         int *exponent)
{
    int whole = 0, fraction = 0;

    *digits = 0;
    bool fits = take_digits(s, digits, &whole);
    if (whole == 0)
        return RATIONAL_SYNTAX;
    if (!fits)
        return RATIONAL_TOO_LONG;
    if (take(s, '.')) {
        fits = take_digits(s, digits, &fraction);
        if (fraction == 0)
            return RATIONAL_SYNTAX;
    }
    *exponent = -fraction;
    return fits ? RATIONAL_OK : RATIONAL_TOO_FINE;
}

enum rational_result rational_parse(struct rational *out, const char *text,
                                    size_t length)
{
    struct scan s = { text, text + length };
    __int128 digits, den = 0;
    int exponent, count = 0;

    const bool is_negative = take(&s, '-');
    enum rational_result result = take_decimal(&s, &digits, &exponent);
    if (result != RATIONAL_OK)
        return result;
    if (take(&s, '/')) {
        const bool fits = take_digits(&s, &den, &count);
        if (count == 0 || exponent != 0 || s.at != s.end || (fits && den == 0))
            return RATIONAL_SYNTAX;
        if (!fits)
            return RATIONAL_TOO_FINE;
        result = rational_make(out, digits, den);
    } else {
        if (s.at != s.end)
            return RATIONAL_SYNTAX;
        result = make_decimal(out, digits, exponent);
    }
    return is_negative && digits != 0 ? RATIONAL_NEGATIVE : result;
}

enum rational_result rational_parse_json(struct rational *out, const char *text,
                                         size_t length)
{
    struct scan s = { text, text + length };
    __int128 digits, power = 0;
    int exponent, count = 0;

    const bool is_negative = take(&s, '-');
    const enum rational_result result = take_decimal(&s, &digits, &exponent);
    if (result != RATIONAL_OK)
        return result;
    if (take(&s, 'e') || take(&s, 'E')) {
        const bool is_small = take(&s, '-');
        if (!is_small)
            take(&s, '+');
        if (!take_digits(&s, &power, &count) || power > EXPONENT_MAX)
            power = EXPONENT_MAX;
        if (count == 0)
            return RATIONAL_SYNTAX;
        exponent += is_small ? -(int)power : (int)power;
    }
    if (s.at != s.end)
        return RATIONAL_SYNTAX;
    if (is_negative && digits != 0)
        return RATIONAL_NEGATIVE;
    return make_decimal(out, digits, exponent);
}

const char *rational_text(enum rational_result result)
{
    switch (result) {
    case RATIONAL_OK:
        return "is fine";
    case RATIONAL_SYNTAX:
        return "is no time";
    case RATIONAL_NEGATIVE:
        return "is negative";
    case RATIONAL_TOO_LONG:
        return "is longer than 1000000000 seconds";
    case RATIONAL_TOO_FINE:
        return "has more digits than can be kept exactly (18)";
    }
    return "is no time";
}

void rational_format(struct rational r, char text[RATIONAL_TEXT_SIZE])
{
    snprintf(text, RATIONAL_TEXT_SIZE, "%" PRId64 "/%" PRId64, r.num,
             r.den > 0 ? r.den : 1);
}
