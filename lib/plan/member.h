/*
 * member: members of a JSON object, each checked for type and range, with a
 * sentence that names the member and says what would be right.  A member that
 * is null counts as absent.
 */
#ifndef RV_PLAN_MEMBER_H
#define RV_PLAN_MEMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"
#include "plan/segment.h"

/*
 * One JSON object from `length` bytes (no other value, nothing behind it but
 * white space) and at most `max` bytes.  Gives; NULL: err is set.
 */
json_t *member_load(const char *text, size_t length, size_t max,
                    struct err *err);

/* Was it memory that jansson lacked, and not sense in the text? */
bool member_no_memory(const json_error_t *where);

/* NULL when absent or null. */
const json_t *member_get(const json_t *object, const char *name);

/* A string of less than `size` bytes; absent: "" and 0. */
int member_string(const json_t *object, const char *name, char *out,
                  size_t size, struct err *err);
/* A whole number in min..max; *has tells whether it is there. */
int member_int(const json_t *object, const char *name, int64_t min, int64_t max,
               bool *has, int64_t *out, struct err *err);
/* A number in min..max; absent: unchanged. */
int member_double(const json_t *object, const char *name, double min,
                  double max, double *out, struct err *err);
/* true or false; absent: unchanged. */
int member_bool(const json_t *object, const char *name, bool *out,
                struct err *err);
/* Seconds as "N/D"; absent: unchanged. */
int member_rational(const json_t *object, const char *name,
                    struct rational *out, struct err *err);
/* One of `count` words; gives its place, absent: 0, wrong: -1. */
int member_word(const json_t *object, const char *name,
                const char *const *words, int count, struct err *err);

/* Puts and takes the reference; false when either had no memory. */
bool member_put(json_t *object, const char *name, json_t *value);

#endif
