/* text: table cells for people. */
#include "rv_plan.h"

#include <stdlib.h>
#include <wchar.h>

/* Bytes of the character at `at` and its columns on a terminal. */
static size_t step(const char *at, int *columns)
{
    wchar_t wide;
    mbstate_t state = { 0 };
    const size_t length = mbrtowc(&wide, at, 16, &state);

    if (length == 0 || length > 16) {
        *columns = 1;
        return 1;
    }
    const int width = wcwidth(wide);
    *columns = width < 0 ? 1 : width;
    return length;
}

int text_columns(const char *text)
{
    int all = 0, columns;

    for (; *text != '\0'; all += columns)
        text += step(text, &columns);
    return all;
}

void text_cell(FILE *to, const char *text, int columns)
{
    int used = 0, width;

    while (*text != '\0') {
        const size_t length = step(text, &width);
        if (used + width > columns)
            break;
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            fputc('?', to);
        else
            fwrite(text, 1, length, to);
        used += width;
        text += length;
    }
    fprintf(to, "%*s", columns - used, "");
}
