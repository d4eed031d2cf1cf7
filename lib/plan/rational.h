/*
 * rational: exact times in seconds.  Everything is checked for overflow with
 * 128 bits; nothing here ever rounds.
 */
#ifndef RV_PLAN_RATIONAL_H
#define RV_PLAN_RATIONAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/segment.h"

/* Longest text of rational_format(), NUL included. */
#define RATIONAL_TEXT_SIZE 48

/* Longest time that is taken from outside: about 31 years. */
#define RATIONAL_SECONDS_MAX INT64_C(1000000000)

enum rational_result {
    RATIONAL_OK = 0,
    RATIONAL_SYNTAX,   /* not of that form */
    RATIONAL_NEGATIVE, /* of that form, but below zero */
    RATIONAL_TOO_LONG, /* above RATIONAL_SECONDS_MAX */
    RATIONAL_TOO_FINE  /* cannot be kept exactly: too many digits */
};

/* num/den in lowest terms; TOO_FINE when it does not fit 64 bits. */
enum rational_result rational_make(struct rational *out, __int128 num,
                                   __int128 den);

/* "600/1", "5", "2.5": a fraction or decimal, zero or more, exactly. */
enum rational_result rational_parse(struct rational *out, const char *text,
                                    size_t length);

/* A JSON number as written ("2.5", "1e-3"), exactly. */
enum rational_result rational_parse_json(struct rational *out, const char *text,
                                         size_t length);

/* What is wrong, to be put behind the text: "is negative; …". */
const char *rational_text(enum rational_result result);

/* "num/den". */
void rational_format(struct rational r, char text[RATIONAL_TEXT_SIZE]);

#endif
