/*
 * house: exact arithmetic of frame numbers.  Every conversion is one 128-bit
 * multiplication and one division of the frame number itself, so that nothing
 * drifts however long a channel is on the air.
 */
#include "frame/house.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct house HOUSE_DEFAULT = {
    .width = 1280,
    .height = 720,
    .rate = { 30000, 1001 },
    .sample_rate = 48000,
    .channels = 2,
};

static int64_t floor_div(__int128 a, __int128 b)
{
    __int128 quotient = a / b;

    if (a % b != 0 && (a < 0) != (b < 0))
        quotient--;
    return (int64_t)quotient;
}

static int check_size(const char *field, int32_t size, struct err *err)
{
    if (size >= 16 && size <= 8192 && size % 2 == 0)
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s %" PRId32 ": give an even number from 16 to 8192", field,
                   size);
}

int house_check(const struct house *house, struct err *err)
{
    const AVRational rate = house->rate;

    if (check_size("width", house->width, err) < 0 ||
        check_size("height", house->height, err) < 0)
        return -1;
    if (rate.num <= 0 || rate.den <= 0 || rate.num < rate.den ||
        rate.num / rate.den > 240 || rate.num > 10000000) {
        return err_set(
            err, ERR_INPUT,
            "frame_rate %d/%d: give a rate from 1 to 240 frames a second, such as 25 or 30000/1001",
            rate.num, rate.den);
    }
    if (house->sample_rate < 8000 || house->sample_rate > 192000) {
        return err_set(err, ERR_INPUT,
                       "sample_rate %" PRId32 ": give 8000 to 192000 Hz",
                       house->sample_rate);
    }
    switch (house->channels) {
    case 1:
    case 2:
    case 6:
    case 8:
        return 0;
    default:
        return err_set(err, ERR_INPUT,
                       "channels %" PRId32 ": give 1, 2, 6 or 8",
                       house->channels);
    }
}

/* Reads a decimal number of at most 9 digits and moves *text behind it. */
static bool read_number(const char **text, int32_t *value)
{
    int32_t number = 0;
    int digits = 0;

    for (; **text >= '0' && **text <= '9' && digits < 9; (*text)++, digits++)
        number = number * 10 + (**text - '0');
    *value = number;
    return digits > 0 && !(**text >= '0' && **text <= '9');
}

static bool read_char(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

/* "25" or "30000/1001", in lowest terms. */
static bool read_rate(const char **text, AVRational *rate)
{
    int32_t num = 0;
    int32_t den = 1;

    if (!read_number(text, &num))
        return false;
    if (read_char(text, '/') && (!read_number(text, &den) || den == 0))
        return false;
    av_reduce(&rate->num, &rate->den, num, den, INT32_MAX);
    return true;
}

static bool read_house(struct house *house, const char *text)
{
    if (!read_number(&text, &house->width) || !read_char(&text, 'x') ||
        !read_number(&text, &house->height) || !read_char(&text, '@') ||
        !read_rate(&text, &house->rate))
        return false;
    if (*text == '\0')
        return true;
    return read_char(&text, ':') && read_number(&text, &house->sample_rate) &&
           read_char(&text, ':') && read_number(&text, &house->channels) &&
           *text == '\0';
}

int house_parse(struct house *house, const char *text, struct err *err)
{
    *house = HOUSE_DEFAULT;
    if (!read_house(house, text)) {
        return err_set(
            err, ERR_INPUT,
            "house format '%s': give WxH@RATE, such as 1280x720@30000/1001 or 1920x1080@25:48000:2",
            text);
    }
    if (house_check(house, err) < 0)
        return err_prefix(err, "house format '%s'", text);
    return 0;
}

void house_format(const struct house *house, char text[HOUSE_TEXT_SIZE])
{
    int used = snprintf(text, HOUSE_TEXT_SIZE, "%" PRId32 "x%" PRId32 "@%d",
                        house->width, house->height, house->rate.num);

    if (house->rate.den != 1) {
        used += snprintf(text + used, HOUSE_TEXT_SIZE - (size_t)used, "/%d",
                         house->rate.den);
    }
    snprintf(text + used, HOUSE_TEXT_SIZE - (size_t)used,
             ":%" PRId32 ":%" PRId32, house->sample_rate, house->channels);
}

static int int_member(const json_t *object, const char *name, int32_t *value,
                      const char *field, struct err *err)
{
    const json_t *member = json_object_get(object, name);

    if (member == NULL)
        return err_set(err, ERR_INPUT, "%s is missing: give a whole number",
                       field);
    if (!json_is_integer(member)) {
        return err_set(err, ERR_INPUT, "%s is no whole number: give one",
                       field);
    }
    const json_int_t number = json_integer_value(member);
    if (number < 0 || number > INT32_MAX)
        return err_set(err, ERR_INPUT,
                       "%s %" JSON_INTEGER_FORMAT
                       " is out of range: give a positive whole number",
                       field, number);
    *value = (int32_t)number;
    return 0;
}

static int rate_member(const json_t *video, AVRational *rate, struct err *err)
{
    const char *text = json_string_value(json_object_get(video, "frame_rate"));
    const char *rest = text;

    if (text == NULL || !read_rate(&rest, rate) || *rest != '\0') {
        return err_set(
            err, ERR_INPUT,
            "video.frame_rate %s%s%s: give a string such as \"25\" or \"30000/1001\"",
            text ? "'" : "", text ? text : "is missing or no string",
            text ? "'" : "");
    }
    return 0;
}

int house_from_json(struct house *house, const json_t *object, struct err *err)
{
    const json_t *video = json_object_get(object, "video");
    const json_t *audio = json_object_get(object, "audio");

    if (!json_is_object(video) || !json_is_object(audio)) {
        return err_set(
            err, ERR_INPUT,
            "%s is missing or no object: give {\"video\":{\"width\":…,\"height\":…,\"frame_rate\":…},\"audio\":{\"sample_rate\":…,\"channels\":…}}",
            json_is_object(video) ? "audio" : "video");
    }
    if (int_member(video, "width", &house->width, "video.width", err) < 0 ||
        int_member(video, "height", &house->height, "video.height", err) < 0 ||
        rate_member(video, &house->rate, err) < 0 ||
        int_member(audio, "sample_rate", &house->sample_rate,
                   "audio.sample_rate", err) < 0 ||
        int_member(audio, "channels", &house->channels, "audio.channels", err) <
            0)
        return -1;
    return house_check(house, err);
}

json_t *house_to_json(const struct house *house)
{
    char rate[32];

    if (house->rate.den == 1)
        snprintf(rate, sizeof(rate), "%d", house->rate.num);
    else
        snprintf(rate, sizeof(rate), "%d/%d", house->rate.num, house->rate.den);
    return json_pack("{s:{s:i,s:i,s:s},s:{s:i,s:i}}", "video", "width",
                     (int)house->width, "height", (int)house->height,
                     "frame_rate", rate, "audio", "sample_rate",
                     (int)house->sample_rate, "channels", (int)house->channels);
}

bool house_equal(const struct house *a, const struct house *b)
{
    return a->width == b->width && a->height == b->height &&
           a->rate.num == b->rate.num && a->rate.den == b->rate.den &&
           a->sample_rate == b->sample_rate && a->channels == b->channels;
}

int64_t house_samples_before(const struct house *house, int64_t n)
{
    return floor_div((__int128)n * house->sample_rate * house->rate.den,
                     house->rate.num);
}

int32_t house_pool_samples(const struct house *house, int64_t index)
{
    return (int32_t)(house_samples_before(house, index + 1) -
                     house_samples_before(house, index) + 1);
}

int32_t house_max_samples(const struct house *house)
{
    const int64_t per_frame = house_samples_before(house, 1);

    return (int32_t)(per_frame + 2);
}

int32_t house_audio_skip(const struct house *house, int64_t origin,
                         int64_t index)
{
    return (int32_t)(house_samples_before(house, origin + index) -
                     house_samples_before(house, origin) -
                     house_samples_before(house, index));
}

int64_t house_us(const struct house *house, int64_t n)
{
    return floor_div((__int128)n * house->rate.den * 1000000, house->rate.num);
}

int64_t house_pts(const struct house *house, int64_t base, int64_t n)
{
    return base +
           floor_div((__int128)n * house->rate.den * 90000, house->rate.num);
}

int64_t house_frame_at_us(const struct house *house, int64_t us)
{
    const __int128 den = (__int128)house->rate.den * 1000000;

    return floor_div((__int128)us * house->rate.num + den - 1, den);
}
