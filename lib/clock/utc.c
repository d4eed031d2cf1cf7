/* clock: UTC as text, "2026-11-23T14:00:00.000Z", out and strictly in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock/clock.h"

#define US INT64_C(1000000)

void clock_format_utc(int64_t utc_us, char text[32])
{
    int64_t seconds = utc_us / US;
    int64_t rest = utc_us % US;
    struct tm tm;

    if (rest < 0) {
        rest += US;
        seconds--;
    }
    const time_t time = (time_t)seconds;
    if (gmtime_r(&time, &tm) == NULL || tm.tm_year < -1900 ||
        tm.tm_year > 8099) {
        snprintf(text, 32, "%s",
                 utc_us < 0 ? "0000-01-01T00:00:00.000Z"
                            : "9999-12-31T23:59:59.999Z");
        return;
    }
    snprintf(text, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100,
             tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100,
             tm.tm_sec % 100, (int)(rest / 1000));
}

void clock_span(char text[CLOCK_SPAN_SIZE], int64_t us)
{
    const int64_t ms = us / 1000;

    snprintf(text, CLOCK_SPAN_SIZE, "%" PRId64 ":%02d:%02d.%03d", ms / 3600000,
             (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
}

/* `count` digits at *at into *value, then the character `then` (0: none). */
static int take(const char **at, int count, char then, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        *value = *value * 10 + (**at - '0');
    }
    if (then == '\0')
        return 0;
    if (**at != then)
        return -1;
    (*at)++;
    return 0;
}

/* ".123456789": microseconds, cut. */
static int take_fraction(const char **at, int64_t *us)
{
    int64_t unit = US / 10;
    int digits = 0;

    *us = 0;
    if (**at != '.')
        return 0;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, digits++) {
        *us += unit * (**at - '0');
        unit /= 10;
    }
    return digits > 0 && digits <= 9 ? 0 : -1;
}

/* "Z" or "+HH:MM" and the end of the text. */
static int take_zone(const char *at, int64_t *seconds)
{
    const char sign = *at;
    int hours, minutes;

    *seconds = 0;
    if (strcmp(at, "Z") == 0)
        return 0;
    if (sign != '+' && sign != '-')
        return -1;
    at++;
    if (take(&at, 2, ':', &hours) < 0 || take(&at, 2, '\0', &minutes) < 0 ||
        *at != '\0' || hours > 23 || minutes > 59)
        return -1;
    *seconds = (hours * 60 + minutes) * (sign == '+' ? 60 : -60);
    return 0;
}

int clock_parse_utc(const char *text, int64_t *utc_us, struct err *err)
{
    struct tm tm = { .tm_isdst = 0 };
    const char *at = text;
    int64_t us, zone;

    if (take(&at, 4, '-', &tm.tm_year) == 0 &&
        take(&at, 2, '-', &tm.tm_mon) == 0 &&
        take(&at, 2, 'T', &tm.tm_mday) == 0 &&
        take(&at, 2, ':', &tm.tm_hour) == 0 &&
        take(&at, 2, ':', &tm.tm_min) == 0 &&
        take(&at, 2, '\0', &tm.tm_sec) == 0 && take_fraction(&at, &us) == 0 &&
        take_zone(at, &zone) == 0) {
        const struct tm asked = tm;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        const time_t time = timegm(&tm);
        /* timegm() turns 31 April into 1 May: then it was no date. */
        if (tm.tm_year == asked.tm_year - 1900 &&
            tm.tm_mon == asked.tm_mon - 1 && tm.tm_mday == asked.tm_mday &&
            tm.tm_hour == asked.tm_hour && tm.tm_min == asked.tm_min &&
            tm.tm_sec == asked.tm_sec) {
            *utc_us = ((int64_t)time - zone) * US + us;
            return 0;
        }
    }
    return err_set(err, ERR_INPUT,
                   "'%.40s' is no time; give UTC as 2026-11-23T14:00:00Z",
                   text);
}
