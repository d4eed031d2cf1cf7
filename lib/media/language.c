/* language: ISO 639 codes of two and three letters that mean the same. */
#include "media/language.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* ISO 639-1, 639-2/T, 639-2/B where that differs: the languages of television;
 * any other code is compared as it stands. */
static const char *const SAME[][3] = {
    { "ar", "ara", "" },    { "bg", "bul", "" },    { "ca", "cat", "" },
    { "cs", "ces", "cze" }, { "cy", "cym", "wel" }, { "da", "dan", "" },
    { "de", "deu", "ger" }, { "el", "ell", "gre" }, { "en", "eng", "" },
    { "es", "spa", "" },    { "et", "est", "" },    { "eu", "eus", "baq" },
    { "fa", "fas", "per" }, { "fi", "fin", "" },    { "fr", "fra", "fre" },
    { "ga", "gle", "" },    { "gl", "glg", "" },    { "he", "heb", "" },
    { "hi", "hin", "" },    { "hr", "hrv", "" },    { "hu", "hun", "" },
    { "hy", "hye", "arm" }, { "id", "ind", "" },    { "is", "isl", "ice" },
    { "it", "ita", "" },    { "ja", "jpn", "" },    { "ka", "kat", "geo" },
    { "ko", "kor", "" },    { "lt", "lit", "" },    { "lv", "lav", "" },
    { "mk", "mkd", "mac" }, { "ms", "msa", "may" }, { "nb", "nob", "" },
    { "nl", "nld", "dut" }, { "no", "nor", "" },    { "pl", "pol", "" },
    { "pt", "por", "" },    { "ro", "ron", "rum" }, { "ru", "rus", "" },
    { "sk", "slk", "slo" }, { "sl", "slv", "" },    { "sq", "sqi", "alb" },
    { "sr", "srp", "" },    { "sv", "swe", "" },    { "th", "tha", "" },
    { "tr", "tur", "" },    { "uk", "ukr", "" },    { "vi", "vie", "" },
    { "zh", "zho", "chi" },
};

static bool is_code(const char *code, const char *text, size_t length)
{
    return *code && strlen(code) == length &&
           strncasecmp(code, text, length) == 0;
}

/* The row of a code, or -1. */
static int row_of(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
        for (int j = 0; j < 3; j++) {
            if (is_code(SAME[i][j], text, length))
                return (int)i;
        }
    }
    return -1;
}

bool language_matches(const char *tag, const char *wanted)
{
    const size_t a = strcspn(tag, "-_");
    const size_t b = strcspn(wanted, "-_");

    if (a == 0 || b == 0)
        return false;
    if (a == b && strncasecmp(tag, wanted, a) == 0)
        return true;
    const int row = row_of(tag, a);
    return row >= 0 && row == row_of(wanted, b);
}
