/* moment: exact arithmetic between house frames and timestamps. */
#include "media/moment.h"

#define MICRO 1000000

static __int128 floor_div(__int128 a, __int128 b)
{
    const __int128 q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

struct rational moment_in(struct rational in)
{
    if (in.den <= 0 || in.num < 0)
        return (struct rational){ 0, 1 };
    if (in.num / in.den >= MOMENT_SECONDS_MAX)
        return (struct rational){ MOMENT_SECONDS_MAX, 1 };
    if (in.den > MICRO) {
        const __int128 us = floor_div((__int128)in.num * MICRO * 2 + in.den,
                                      (__int128)in.den * 2);
        return (struct rational){ (int64_t)us, MICRO };
    }
    return in;
}

int64_t moment_ticks(const struct moment *moment, AVRational base,
                     int64_t extra_us)
{
    const struct rational in = moment->in;
    const AVRational rate = moment->rate;
    const __int128 den = (__int128)in.den * rate.num * MICRO;
    const __int128 num = (__int128)in.num * rate.num * MICRO +
                         (__int128)moment->frame * rate.den * in.den * MICRO +
                         (__int128)extra_us * in.den * rate.num;

    /* Whole seconds apart, or the product would not fit. */
    const __int128 whole = floor_div(num, den) * base.den;
    const __int128 rest = num - floor_div(num, den) * den;
    const __int128 ticks = floor_div(whole, base.num);
    const __int128 left = whole - ticks * base.num;
    return (int64_t)(ticks +
                     floor_div(left * den + rest * base.den, den * base.num));
}

int64_t moment_frames(int64_t ticks, AVRational base, struct rational in,
                      AVRational rate)
{
    const __int128 num =
        (__int128)ticks * base.num * in.den - (__int128)in.num * base.den;
    const __int128 den = (__int128)base.den * in.den;

    return (int64_t)floor_div(num * rate.num * 2 + den * rate.den,
                              den * rate.den * 2);
}

int64_t moment_scale(struct rational in, AVRational per_second)
{
    const __int128 den = (__int128)in.den * per_second.den;
    return (int64_t)floor_div((__int128)in.num * per_second.num * 2 + den,
                              den * 2);
}

int64_t moment_grid(int64_t ticks, AVRational base, AVRational rate)
{
    if (ticks < 0 || rate.num <= 0 || rate.den <= 0)
        return -1;
    /* n = ticks * base * rate, and the distance of n / rate in ticks */
    const __int128 num = (__int128)ticks * base.num * rate.num;
    const __int128 den = (__int128)base.den * rate.den;
    const __int128 n = floor_div(num * 2 + den, den * 2);
    const __int128 off = n * den - num;
    const __int128 tick = (__int128)base.num * rate.num;

    /* A grid finer than the ticks says nothing. */
    if (tick * 4 > den || off > tick || -off > tick)
        return -1;
    return (int64_t)n;
}
