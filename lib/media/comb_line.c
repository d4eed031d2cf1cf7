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

/*
 * The same by hand: of compilers' vectors each maximum of unsigned numbers
 * becomes a handful of instructions, and there are not enough registers.
 */
AVX2 static void count_avx2_line(uint8_t *places,
                                 const struct comb_lines *lines, int width)
{
    const __m256i step = _mm256_set1_epi8(STEP), none = _mm256_setzero_si256();

    for (int x = 0; x < width; x += 32) {
        __m256i at[5], *place = (__m256i *)(places + x);
        for (int i = 0; i < 4; i++)
            at[i] = _mm256_loadu_si256(
                (const __m256i *)((const uint8_t *)lines->at[i] + x));
        at[4] = _mm256_loadu_si256(
            (const __m256i *)((const uint8_t *)lines->other + x));
        const __m256i ab = _mm256_subs_epu8(at[0], at[1]);
        const __m256i ba = _mm256_subs_epu8(at[1], at[0]);
        const __m256i bc = _mm256_subs_epu8(at[1], at[2]);
        const __m256i cb = _mm256_subs_epu8(at[2], at[1]);
        const __m256i cd = _mm256_subs_epu8(at[2], at[3]);
        const __m256i dc = _mm256_subs_epu8(at[3], at[2]);
        const __m256i moved = _mm256_or_si256(_mm256_subs_epu8(at[1], at[4]),
                                              _mm256_subs_epu8(at[4], at[1]));
        const __m256i high = _mm256_min_epu8(_mm256_min_epu8(ba, bc), dc);
        const __m256i low = _mm256_min_epu8(_mm256_min_epu8(ab, cb), cd);
        const __m256i both = _mm256_min_epu8(_mm256_max_epu8(high, low), moved);
        const __m256i is_less =
            _mm256_cmpeq_epi8(_mm256_subs_epu8(both, step), none);
        /* One more where it is not less: minus (-1 or 0), less 1. */
        const __m256i one = _mm256_add_epi8(is_less, _mm256_set1_epi8(1));
        _mm256_storeu_si256(place,
                            _mm256_add_epi8(_mm256_loadu_si256(place), one));
    }
}

AVX2 static void count_avx2_deep_line(uint8_t *places,
                                      const struct comb_lines *lines, int width,
                                      int steps)
{
    const __m256i step = _mm256_set1_epi16((int16_t)steps);
    const __m256i none = _mm256_setzero_si256();

    for (int x = 0; x < width; x += 16) {
        __m256i at[5];
        __m128i *place = (__m128i *)(places + x);
        for (int i = 0; i < 4; i++)
            at[i] = _mm256_loadu_si256(
                (const __m256i *)((const uint16_t *)lines->at[i] + x));
        at[4] = _mm256_loadu_si256(
            (const __m256i *)((const uint16_t *)lines->other + x));
        const __m256i ab = _mm256_subs_epu16(at[0], at[1]);
        const __m256i ba = _mm256_subs_epu16(at[1], at[0]);
        const __m256i bc = _mm256_subs_epu16(at[1], at[2]);
        const __m256i cb = _mm256_subs_epu16(at[2], at[1]);
        const __m256i cd = _mm256_subs_epu16(at[2], at[3]);
        const __m256i dc = _mm256_subs_epu16(at[3], at[2]);
        const __m256i moved = _mm256_or_si256(_mm256_subs_epu16(at[1], at[4]),
                                              _mm256_subs_epu16(at[4], at[1]));
        const __m256i high = _mm256_min_epu16(_mm256_min_epu16(ba, bc), dc);
        const __m256i low = _mm256_min_epu16(_mm256_min_epu16(ab, cb), cd);
        const __m256i both =
            _mm256_min_epu16(_mm256_max_epu16(high, low), moved);
        const __m256i is_less =
            _mm256_cmpeq_epi16(_mm256_subs_epu16(both, step), none);
        const __m128i less =
            _mm_packs_epi16(_mm256_castsi256_si128(is_less),
                            _mm256_extracti128_si256(is_less, 1));
        const __m128i one = _mm_add_epi8(less, _mm_set1_epi8(1));
        _mm_storeu_si128(place, _mm_add_epi8(_mm_loadu_si128(place), one));
    }
}

AVX2 static void comb_line_avx2(uint8_t *places, const struct comb_lines *lines,
                                int width, int depth)
{
    const int whole = width / 32 * 32;

    if (depth > 8) {
        count_avx2_deep_line(places, lines, width, STEP << (depth - 8));
        return;
    }
    count_avx2_line(places, lines, whole);
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
