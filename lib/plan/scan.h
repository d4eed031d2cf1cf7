/*
 * scan: where the values of a JSON text stand.
 *
 * jansson says what a text means, but not on which line a value stands, and it
 * makes doubles of "0.1".  So the text is checked by jansson once, and then
 * read value by value with this; every value is a slice of the text with its
 * line.  On text that jansson has not accepted the slices are nonsense, but
 * they stay inside the text.
 */
#ifndef RV_PLAN_SCAN_H
#define RV_PLAN_SCAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct scan_value {
    const char *text; /* not NUL-terminated */
    size_t length;
    int line; /* 1-based */
};

struct scan {
    const char *at, *end;
    int line;
};

/* The one value of a whole text. */
struct scan_value scan_root(const char *text, size_t length);

bool scan_is_object(const struct scan_value *v);
bool scan_is_array(const struct scan_value *v);
bool scan_is_string(const struct scan_value *v);
bool scan_is_number(const struct scan_value *v);
bool scan_is(const struct scan_value *v, const char *word);

/* Steps through an object or array; false behind the last member. */
void scan_open(struct scan *scan, const struct scan_value *v);
bool scan_member(struct scan *scan, struct scan_value *key,
                 struct scan_value *value);
bool scan_item(struct scan *scan, struct scan_value *value);

/* The value as jansson sees it; gives, NULL: no memory or not valid. */
json_t *scan_load(const struct scan_value *v);

/*
 * Nesting and number of values, before anybody builds a tree of them: the
 * line on which more than max_depth or max_values are reached, 0: within.
 */
int scan_too_deep(const char *text, size_t length, int max_depth);
int scan_too_many(const char *text, size_t length, size_t max_values);

#endif
