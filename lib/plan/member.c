/* member: JSON from outside is never trusted; see member.h. */
#include "plan/member.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/rational.h"

bool member_no_memory(const json_error_t *where)
{
    /* Where jansson itself lacks memory it often says nothing at all. */
    return where->text[0] == '\0' ||
           json_error_code(where) == json_error_out_of_memory;
}

json_t *member_load(const char *text, size_t length, size_t max,
                    struct err *err)
{
    json_error_t where;

    if (length > max) {
        err_set(err, ERR_INPUT, "%zu bytes long; at most %zu are allowed",
                length, max);
        return NULL;
    }
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL) {
        if (member_no_memory(&where))
            err_set(err, ERR_SYSTEM, "no memory to read it");
        else
            err_set(err, ERR_INPUT, "no valid JSON at byte %d: %s",
                    where.position, where.text);
    } else if (!json_is_object(object)) {
        err_set(err, ERR_INPUT, "not a JSON object; give {...}");
        json_decref(object);
        object = NULL;
    }
    return object;
}

const json_t *member_get(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_null(value) ? NULL : value;
}

int member_string(const json_t *object, const char *name, char *out,
                  size_t size, struct err *err)
{
    const json_t *value = member_get(object, name);

    out[0] = '\0';
    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return err_set(err, ERR_INPUT, "%s is no string; give one in \"\"",
                       name);
    const size_t length = json_string_length(value);
    if (length >= size)
        return err_set(err, ERR_INPUT,
                       "%s is %zu bytes long; at most %zu are allowed", name,
                       length, size - 1);
    memcpy(out, json_string_value(value), length + 1);
    return 0;
}

int member_int(const json_t *object, const char *name, int64_t min, int64_t max,
               bool *has, int64_t *out, struct err *err)
{
    const json_t *value = member_get(object, name);

    *has = value != NULL;
    *out = 0;
    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        *has = false;
        return err_set(err, ERR_INPUT,
                       "%s must be a whole number from %" PRId64 " to %" PRId64,
                       name, min, max);
    }
    *out = json_integer_value(value);
    return 0;
}

int member_double(const json_t *object, const char *name, double min,
                  double max, double *out, struct err *err)
{
    const json_t *value = member_get(object, name);

    if (value == NULL)
        return 0;
    const double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number) || number < min ||
        number > max)
        return err_set(err, ERR_INPUT, "%s must be a number from %g to %g",
                       name, min, max);
    *out = number;
    return 0;
}

int member_bool(const json_t *object, const char *name, bool *out,
                struct err *err)
{
    const json_t *value = member_get(object, name);

    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return err_set(err, ERR_INPUT, "%s must be true or false", name);
    *out = json_is_true(value);
    return 0;
}

int member_rational(const json_t *object, const char *name,
                    struct rational *out, struct err *err)
{
    const json_t *value = member_get(object, name);

    if (value == NULL)
        return 0;
    enum rational_result result = RATIONAL_SYNTAX;
    if (json_is_string(value))
        result = rational_parse(out, json_string_value(value),
                                json_string_length(value));
    if (result == RATIONAL_OK)
        return 0;
    return err_set(err, ERR_INPUT, "%s %s; give seconds as \"N/D\"", name,
                   rational_text(result));
}

int member_word(const json_t *object, const char *name,
                const char *const *words, int count, struct err *err)
{
    const json_t *value = member_get(object, name);
    char all[256] = "";

    if (value == NULL)
        return 0;
    for (int i = 0; i < count; i++) {
        if (json_is_string(value) &&
            strcmp(json_string_value(value), words[i]) == 0)
            return i;
        const size_t used = strlen(all);
        snprintf(all + used, sizeof(all) - used, "%s%s",
                 i == 0           ? ""
                 : i == count - 1 ? " or "
                                  : ", ",
                 words[i]);
    }
    if (json_is_string(value))
        return err_set(err, ERR_INPUT, "%s '%.40s' is unknown; give %s", name,
                       json_string_value(value), all);
    return err_set(err, ERR_INPUT, "%s is no string; give %s", name, all);
}

bool member_put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}
