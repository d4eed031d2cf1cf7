/*
 * mutate N FILE...: stands for libFuzzer where there is none.
 *
 * Runs each file and N mutations of each through LLVMFuzzerTestOneInput(), the
 * same ones every time: bytes changed, taken out, doubled, words of the format
 * put in.  Prints how many were run.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_OF_INPUT 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const WORDS[] = {
    "null",
    "true",
    "-1",
    "1e999",
    "9223372036854775808",
    "0.1",
    "\"240f\"",
    "\"1/0\"",
    "\"99:59:59.999\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\xff",
    "\xc3\xa4",
    "\"duration\":",
    "\"start\":\"2026-11-23T14:00:00Z\",",
    "\"loop\":true,",
    "\"type\":\"slate\",",
    "\"id\":\"x\",",
    "\n",
    "#",
    "1e-30",
    "\"1/3\"",
    "\"9999-12-31T23:59:59Z\"",
    "1000000000",
    "\"now\"",
    "[[[[[[[[",
};

static uint64_t state = UINT64_C(88172645463325252);

/* xorshift64: the same numbers on every machine. */
static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (size_t)(state % n) : 0;
}

static size_t put_in(uint8_t *data, size_t size, const void *what,
                     size_t length)
{
    const size_t at = below(size + 1);

    if (size + length > SIZE_MAX_OF_INPUT)
        return size;
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, what, length);
    return size + length;
}

static size_t take_out(uint8_t *data, size_t size)
{
    const size_t at = below(size);
    const size_t length = below(size - at) % 24;

    memmove(data + at, data + at + length, size - at - length);
    return size - length;
}

static size_t double_part(uint8_t *data, size_t size)
{
    uint8_t part[64];
    const size_t at = below(size);
    const size_t length = below(size - at) % sizeof(part);

    memcpy(part, data + at, length);
    return put_in(data, size, part, length);
}

static size_t mutate(uint8_t *data, size_t size)
{
    const char *word = WORDS[below(sizeof(WORDS) / sizeof(WORDS[0]))];

    switch (below(5)) {
    case 0:
        if (size > 0)
            data[below(size)] = (uint8_t)below(256);
        return size;
    case 1:
        return size > 0 ? take_out(data, size) : size;
    case 2:
        return size > 0 ? double_part(data, size) : size;
    default:
        return put_in(data, size, word, strlen(word));
    }
}

static long run_file(const char *path, long count)
{
    static uint8_t seed[SIZE_MAX_OF_INPUT], data[SIZE_MAX_OF_INPUT];

    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    const size_t length = fread(seed, 1, sizeof(seed), file);
    fclose(file);
    LLVMFuzzerTestOneInput(seed, length);
    for (long i = 0; i < count; i++) {
        size_t size = length;
        memcpy(data, seed, length);
        for (size_t k = below(6) + 1; k > 0; k--)
            size = mutate(data, size);
        LLVMFuzzerTestOneInput(data, size);
    }
    return count + 1;
}

int main(int argc, char **argv)
{
    long done = 0;

    for (int i = 2; i < argc; i++)
        done += run_file(argv[i], strtol(argv[1], NULL, 10));
    printf("%ld inputs\n", done);
    return done > 0 ? 0 : 2;
}
