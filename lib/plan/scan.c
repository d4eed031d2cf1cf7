/* scan: slices of a JSON text; see scan.h. */
#include "plan/scan.h"

#include <string.h>

static void skip_space(struct scan *s)
{
    for (; s->at < s->end; s->at++) {
        if (*s->at == '\n')
            s->line++;
        else if (*s->at != ' ' && *s->at != '\t' && *s->at != '\r')
            return;
    }
}

/* Behind the closing quote; at stands on the opening one. */
static void skip_string(struct scan *s)
{
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
        if (*s->at == '\\' && s->at + 1 < s->end)
            s->at++;
        if (*s->at == '\n')
            s->line++;
    }
    if (s->at < s->end)
        s->at++;
}

static void skip_container(struct scan *s)
{
    int depth = 0;

    while (s->at < s->end) {
        const char c = *s->at;
        if (c == '"') {
            skip_string(s);
            continue;
        }
        if (c == '\n')
            s->line++;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        s->at++;
        if (depth <= 0)
            return;
    }
}

static struct scan_value take_value(struct scan *s)
{
    skip_space(s);
    struct scan_value v = { s->at, 0, s->line };
    if (s->at < s->end && *s->at == '"')
        skip_string(s);
    else if (s->at < s->end && (*s->at == '{' || *s->at == '['))
        skip_container(s);
    else
        while (s->at < s->end && strchr(" \t\r\n,:]}", *s->at) == NULL)
            s->at++;
    v.length = (size_t)(s->at - v.text);
    return v;
}

/* Over white space and at most one `c`; false when something closes. */
static bool pass_over(struct scan *s, char c)
{
    skip_space(s);
    if (s->at < s->end && *s->at == c)
        s->at++;
    skip_space(s);
    return s->at < s->end && *s->at != ']' && *s->at != '}';
}

struct scan_value scan_root(const char *text, size_t length)
{
    struct scan s = { text, text + length, 1 };

    return take_value(&s);
}

static bool starts_with(const struct scan_value *v, char c)
{
    return v->length > 0 && v->text[0] == c;
}

bool scan_is_object(const struct scan_value *v)
{
    return starts_with(v, '{');
}

bool scan_is_array(const struct scan_value *v)
{
    return starts_with(v, '[');
}

bool scan_is_string(const struct scan_value *v)
{
    return starts_with(v, '"');
}

bool scan_is_number(const struct scan_value *v)
{
    return starts_with(v, '-') ||
           (v->length > 0 && v->text[0] >= '0' && v->text[0] <= '9');
}

bool scan_is(const struct scan_value *v, const char *word)
{
    return v->length == strlen(word) && memcmp(v->text, word, v->length) == 0;
}

void scan_open(struct scan *scan, const struct scan_value *v)
{
    *scan = (struct scan){ v->text, v->text + v->length, v->line };
    if (scan->at < scan->end)
        scan->at++;
}

bool scan_member(struct scan *scan, struct scan_value *key,
                 struct scan_value *value)
{
    if (!pass_over(scan, ','))
        return false;
    *key = take_value(scan);
    pass_over(scan, ':');
    *value = take_value(scan);
    return key->length > 0 && value->length > 0;
}

bool scan_item(struct scan *scan, struct scan_value *value)
{
    if (!pass_over(scan, ','))
        return false;
    *value = take_value(scan);
    return value->length > 0;
}

json_t *scan_load(const struct scan_value *v)
{
    return json_loadb(v->text, v->length, JSON_DECODE_ANY, NULL);
}

int scan_too_deep(const char *text, size_t length, int max_depth)
{
    struct scan s = { text, text + length, 1 };
    int depth = 0;

    while (s.at < s.end) {
        const char c = *s.at;
        if (c == '"') {
            skip_string(&s);
            continue;
        }
        if (c == '\n')
            s.line++;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth > max_depth)
            return s.line;
        s.at++;
    }
    return 0;
}

int scan_too_many(const char *text, size_t length, size_t max_values)
{
    struct scan s = { text, text + length, 1 };
    size_t values = 0;

    while (s.at < s.end) {
        const char c = *s.at;
        if (c == '"') {
            skip_string(&s);
            continue;
        }
        if (c == '\n')
            s.line++;
        values += c == ',' || c == '{' || c == '[';
        if (values > max_values)
            return s.line;
        s.at++;
    }
    return 0;
}
