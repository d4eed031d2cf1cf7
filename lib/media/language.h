/* language: does a track's language tag mean the language that is wanted? */
#ifndef RV_MEDIA_LANGUAGE_H
#define RV_MEDIA_LANGUAGE_H

#include <stdbool.h>

/*
 * Compares ISO 639-1 ("de"), 639-2/B ("ger"), 639-2/T ("deu") and tags with a
 * region ("de-AT"), in either letter case.
 */
bool language_matches(const char *tag, const char *wanted);

#endif
