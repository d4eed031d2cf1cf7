/* comb_line: see the header. */
#include "media/comb_line.h"

#include <libavutil/common.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* A line lies outside its neighbours, and has changed, by more than this (of
 * 8 bits): noise and what a codec leaves are less, and less is not seen. */
#define STEP 8

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* How far `b` lies above `a`; in the type of the samples, for vectors of it. */
ALWAYS_INLINE uint8_t over(uint8_t b, uint8_t a)
{
    return (uint8_t)(FFMAX(a, b) - a);
}

ALWAYS_INLINE uint16_t over_deep(uint16_t b, uint16_t a)
{
    return (uint16_t)(FFMAX(a, b) - a);
}

ALWAYS_INLINE void count_line(uint8_t *restrict places,
                              const struct comb_lines *lines, int width,
                              int step)
{
    const uint8_t *a = lines->at[0];
    const uint8_t *b = lines->at[1];
    const uint8_t *c = lines->at[2];
    const uint8_t *d = lines->at[3];
    const uint8_t *other = lines->other;

    for (int x = 0; x < width; x++) {
        const uint8_t up = FFMIN(over(b[x], a[x]), over(b[x], c[x]));
        const uint8_t down = FFMIN(over(a[x], b[x]), over(c[x], b[x]));
        const uint8_t high = FFMIN(up, over(d[x], c[x]));
        const uint8_t low = FFMIN(down, over(c[x], d[x]));
        const uint8_t comb = FFMAX(high, low);
        const uint8_t moved =
            (uint8_t)(over(b[x], other[x]) + over(other[x], b[x]));
        const uint8_t both = FFMIN(comb, moved);
        places[x] = (uint8_t)(places[x] + (both > (uint8_t)step));
    }
}

ALWAYS_INLINE void count_deep_line(uint8_t *restrict places,
                                   const struct comb_lines *lines, int width,
                                   int step)
{
    const uint16_t *a = lines->at[0];
    const uint16_t *b = lines->at[1];
    const uint16_t *c = lines->at[2];
    const uint16_t *d = lines->at[3];
    const uint16_t *other = lines->other;

    for (int x = 0; x < width; x++) {
        const uint16_t up = FFMIN(over_deep(b[x], a[x]), over_deep(b[x], c[x]));
        const uint16_t down =
            FFMIN(over_deep(a[x], b[x]), over_deep(c[x], b[x]));
        const uint16_t high = FFMIN(up, over_deep(d[x], c[x]));
        const uint16_t low = FFMIN(down, over_deep(c[x], d[x]));
        const uint16_t comb = FFMAX(high, low);
        const uint16_t moved =
            (uint16_t)(over_deep(b[x], other[x]) + over_deep(other[x], b[x]));
        const uint16_t both = FFMIN(comb, moved);
        places[x] = (uint8_t)(places[x] + (both > (uint16_t)step));
    }
}

void comb_line_plain(uint8_t *places, const struct comb_lines *lines, int width,
                     int depth)
{
    if (depth == 8)
        count_line(places, lines, width, STEP);
    else
        count_deep_line(places, lines, width, STEP << (depth - 8));
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

/* Unsigned samples of one or two bytes; `bytes` is a constant for each use. */
AVX2 ALWAYS_INLINE __m256i less(__m256i a, __m256i b, int bytes)
{
    return bytes == 1 ? _mm256_subs_epu8(a, b) : _mm256_subs_epu16(a, b);
}

AVX2 ALWAYS_INLINE __m256i least(__m256i a, __m256i b, int bytes)
{
    return bytes == 1 ? _mm256_min_epu8(a, b) : _mm256_min_epu16(a, b);
}

AVX2 ALWAYS_INLINE __m256i most(__m256i a, __m256i b, int bytes)
{
    return bytes == 1 ? _mm256_max_epu8(a, b) : _mm256_max_epu16(a, b);
}

AVX2 ALWAYS_INLINE __m256i load(const void *line, int x, int bytes)
{
    return _mm256_loadu_si256(
        (const __m256i *)((const uint8_t *)line + x * bytes));
}

/* One more in each place where `excess` is not 0. */
AVX2 ALWAYS_INLINE void count_at(uint8_t *places, __m256i excess, int bytes)
{
    const __m256i none = _mm256_setzero_si256();

    if (bytes == 1) {
        /* minus (-1 or 0), less 1 */
        const __m256i one = _mm256_add_epi8(_mm256_cmpeq_epi8(excess, none),
                                            _mm256_set1_epi8(1));
        const __m256i former = _mm256_loadu_si256((const __m256i *)places);
        _mm256_storeu_si256((__m256i *)places, _mm256_add_epi8(former, one));
    } else {
        const __m256i is_none = _mm256_cmpeq_epi16(excess, none);
        const __m128i one =
            _mm_add_epi8(_mm_packs_epi16(_mm256_castsi256_si128(is_none),
                                         _mm256_extracti128_si256(is_none, 1)),
                         _mm_set1_epi8(1));
        const __m128i former = _mm_loadu_si128((const __m128i *)places);
        _mm_storeu_si128((__m128i *)places, _mm_add_epi8(former, one));
    }
}

/*
 * The same by hand: of compilers' vectors each maximum of unsigned numbers
 * becomes a handful of instructions, and there are not enough registers.
 * Where nothing combs, as nearly everywhere in most pictures, the other one
 * is not even read.
 */
AVX2 ALWAYS_INLINE void count_avx2(uint8_t *places,
                                   const struct comb_lines *lines, int width,
                                   int bytes, __m256i step)
{
    for (int x = 0; x < width; x += 32 / bytes) {
        const __m256i a = load(lines->at[0], x, bytes);
        const __m256i b = load(lines->at[1], x, bytes);
        const __m256i c = load(lines->at[2], x, bytes);
        const __m256i d = load(lines->at[3], x, bytes);
        const __m256i high =
            least(least(less(b, a, bytes), less(b, c, bytes), bytes),
                  less(d, c, bytes), bytes);
        const __m256i low =
            least(least(less(a, b, bytes), less(c, b, bytes), bytes),
                  less(c, d, bytes), bytes);
        const __m256i comb = less(most(high, low, bytes), step, bytes);
        if (_mm256_testz_si256(comb, comb))
            continue;
        const __m256i other = load(lines->other, x, bytes);
        const __m256i moved =
            less(_mm256_or_si256(less(b, other, bytes), less(other, b, bytes)),
                 step, bytes);
        count_at(places + x, least(comb, moved, bytes), bytes);
    }
}

AVX2 static void comb_line_avx2(uint8_t *places, const struct comb_lines *lines,
                                int width, int depth)
{
    const int whole = width / 32 * 32;

    if (depth > 8) {
        count_avx2(places, lines, width, 2,
                   _mm256_set1_epi16((int16_t)(STEP << (depth - 8))));
        return;
    }
    count_avx2(places, lines, whole, 1, _mm256_set1_epi8(STEP));
    if (whole < width) { /* a block is left */
        struct comb_lines rest = *lines;
        for (int i = 0; i < 4; i++)
            rest.at[i] = (const uint8_t *)lines->at[i] + whole;
        rest.other = (const uint8_t *)lines->other + whole;
        count_line(places + whole, &rest, width - whole, STEP);
    }
}
#endif

comb_line comb_line_fastest(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return comb_line_avx2;
#endif
    return comb_line_plain;
}
