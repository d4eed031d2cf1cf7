/* field_line: see the header, and deinterlace.c for what is made. */
#include "media/field_line.h"

#include <stdint.h>
#include <stdlib.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Coefficients of the filter in time and space, as 1 / 8192. */
#define LOW_1  4309
#define LOW_3  213
#define HIGH_0 5570
#define HIGH_2 3801
#define HIGH_4 1016
/* The one in space alone. */
#define SPACE_1 5077
#define SPACE_3 981

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int at(const void *row, int x, int bytes)
{
    return bytes == 1 ? ((const uint8_t *)row)[x] : ((const uint16_t *)row)[x];
}

ALWAYS_INLINE void put(void *row, int x, int bytes, int value)
{
    if (bytes == 1)
        ((uint8_t *)row)[x] = (uint8_t)value;
    else
        ((uint16_t *)row)[x] = (uint16_t)value;
}

/* Written without branches, for the compiler to make vectors of it. */
ALWAYS_INLINE void middle_plain(void *restrict to,
                                const struct field_rows *rows, int width,
                                int depth)
{
    const int bytes = depth > 8 ? 2 : 1;
    const int most = (1 << depth) - 1;
    const void *now1 = rows->now[0];
    const void *now_1 = rows->now[1];
    const void *now3 = rows->now[2];
    const void *now_3 = rows->now[3];
    const void *old0 = rows->old[0];
    const void *new0 = rows->new[0];
    const void *old2 = rows->old[1];
    const void *old_2 = rows->old[2];
    const void *new2 = rows->new[1];
    const void *new_2 = rows->new[2];
    const void *old4 = rows->old[3];
    const void *old_4 = rows->old[4];
    const void *new4 = rows->new[3];
    const void *new_4 = rows->new[4];
    const void *former1 = rows->former[0];
    const void *former_1 = rows->former[1];
    const void *next1 = rows->next[0];
    const void *next_1 = rows->next[1];

    for (int x = 0; x < width; x++) {
        const int above = at(now_1, x, bytes);
        const int below = at(now1, x, bytes);
        const int still = (at(old0, x, bytes) + at(new0, x, bytes)) >> 1;
        /* how much this place changes from field to field */
        const int change = abs(at(old0, x, bytes) - at(new0, x, bytes));
        const int before = (abs(at(former_1, x, bytes) - above) +
                            abs(at(former1, x, bytes) - below)) >>
                           1;
        const int after = (abs(at(next_1, x, bytes) - above) +
                           abs(at(next1, x, bytes) - below)) >>
                          1;
        const int moves = MAX(change >> 1, MAX(before, after));
        /* detail finer than a field's lines is no motion */
        const int b =
            ((at(old_2, x, bytes) + at(new_2, x, bytes)) >> 1) - above;
        const int f = ((at(old2, x, bytes) + at(new2, x, bytes)) >> 1) - below;
        const int dc = still - above;
        const int de = still - below;
        const int top = MAX(de, MAX(dc, MIN(b, f)));
        const int bottom = MIN(de, MIN(dc, MAX(b, f)));
        const int room = MAX(moves, MAX(bottom, -top));
        const int near = above + below;
        const int far = at(now_3, x, bytes) + at(now3, x, bytes);
        const int high = HIGH_0 * (at(old0, x, bytes) + at(new0, x, bytes)) -
                         HIGH_2 * (at(old_2, x, bytes) + at(new_2, x, bytes) +
                                   at(old2, x, bytes) + at(new2, x, bytes)) +
                         HIGH_4 * (at(old_4, x, bytes) + at(new_4, x, bytes) +
                                   at(old4, x, bytes) + at(new4, x, bytes));
        const int mixed = ((high >> 2) + LOW_1 * near - LOW_3 * far) >> 13;
        const int alone = (SPACE_1 * near - SPACE_3 * far) >> 13;
        int value = abs(above - below) > change ? mixed : alone;
        value = MIN(MAX(value, still - room), still + room);
        value = MIN(MAX(value, 0), most);
        put(to, x, bytes, moves ? value : still);
    }
}

void field_line_edge(void *to, const struct field_rows *rows, int width,
                     int depth, bool has_2)
{
    const int bytes = depth > 8 ? 2 : 1;
    const void *now1 = rows->now[0];
    const void *now_1 = rows->now[1];
    const void *old0 = rows->old[0];
    const void *new0 = rows->new[0];
    const void *old2 = rows->old[1];
    const void *old_2 = rows->old[2];
    const void *new2 = rows->new[1];
    const void *new_2 = rows->new[2];
    const void *former1 = rows->former[0];
    const void *former_1 = rows->former[1];
    const void *next1 = rows->next[0];
    const void *next_1 = rows->next[1];

    for (int x = 0; x < width; x++) {
        const int above = at(now_1, x, bytes);
        const int below = at(now1, x, bytes);
        const int still = (at(old0, x, bytes) + at(new0, x, bytes)) >> 1;
        const int before = (abs(at(former_1, x, bytes) - above) +
                            abs(at(former1, x, bytes) - below)) >>
                           1;
        const int after = (abs(at(next_1, x, bytes) - above) +
                           abs(at(next1, x, bytes) - below)) >>
                          1;
        int room = MAX(abs(at(old0, x, bytes) - at(new0, x, bytes)) >> 1,
                       MAX(before, after));
        if (room == 0) {
            put(to, x, bytes, still);
            continue;
        }
        if (has_2) {
            const int b =
                ((at(old_2, x, bytes) + at(new_2, x, bytes)) >> 1) - above;
            const int f =
                ((at(old2, x, bytes) + at(new2, x, bytes)) >> 1) - below;
            const int dc = still - above;
            const int de = still - below;
            const int top = MAX(de, MAX(dc, MIN(b, f)));
            const int bottom = MIN(de, MIN(dc, MAX(b, f)));
            room = MAX(room, MAX(bottom, -top));
        }
        const int mean = (above + below) >> 1;
        put(to, x, bytes, MIN(MAX(mean, still - room), still + room));
    }
}

void field_line_alone(void *to, const struct field_rows *rows, int width,
                      int depth)
{
    const int bytes = depth > 8 ? 2 : 1;
    const int most = (1 << depth) - 1;

    for (int x = 0; x < width; x++) {
        const int near =
            at(rows->now[0], x, bytes) + at(rows->now[1], x, bytes);
        int value = near >> 1;
        if (rows->now[2]) {
            const int far =
                at(rows->now[2], x, bytes) + at(rows->now[3], x, bytes);
            value = (SPACE_1 * near - SPACE_3 * far) >> 13;
        }
        put(to, x, bytes, MIN(MAX(value, 0), most));
    }
}

/* The depth is a constant in the most frequent case, which is worth most. */
void field_line_plain(void *to, const struct field_rows *rows, int width,
                      int depth)
{
    if (depth == 8)
        middle_plain(to, rows, width, 8);
    else
        middle_plain(to, rows, width, MAX(depth, 9));
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

/* Samples of 16 bits at once; what is computed of them fits up to DEEPEST. */
#define LANES   16
#define DEEPEST 12

AVX2 ALWAYS_INLINE __m256i load(const void *row, int x, int bytes)
{
    if (bytes == 1)
        return _mm256_cvtepu8_epi16(
            _mm_loadu_si128((const __m128i *)((const uint8_t *)row + x)));
    return _mm256_loadu_si256((const __m256i *)((const uint16_t *)row + x));
}

AVX2 ALWAYS_INLINE void store(void *row, int x, int bytes, __m256i value)
{
    if (bytes == 1)
        _mm_storeu_si128((__m128i *)((uint8_t *)row + x),
                         _mm_packus_epi16(_mm256_castsi256_si128(value),
                                          _mm256_extracti128_si256(value, 1)));
    else
        _mm256_storeu_si256((__m256i *)((uint16_t *)row + x), value);
}

#define ADD     _mm256_add_epi16
#define SUB     _mm256_sub_epi16
#define MOST    _mm256_max_epi16
#define LEAST   _mm256_min_epi16
#define HALF(a) _mm256_srai_epi16(a, 1)

AVX2 ALWAYS_INLINE __m256i apart(__m256i a, __m256i b)
{
    return _mm256_abs_epi16(SUB(a, b));
}

/* Two 16-bit factors for pairs of samples. */
AVX2 ALWAYS_INLINE __m256i factors(int a, int b)
{
    return _mm256_set1_epi32((int)((uint32_t)(uint16_t)b << 16 | (uint16_t)a));
}

/* The filter in time and space, in 32 bits, for one half of the lanes. */
AVX2 ALWAYS_INLINE __m256i mixed_half(__m256i sum_0_2, __m256i sum_4,
                                      __m256i near_far)
{
    const __m256i high =
        _mm256_add_epi32(_mm256_madd_epi16(sum_0_2, factors(HIGH_0, -HIGH_2)),
                         _mm256_madd_epi16(sum_4, factors(HIGH_4, 0)));
    const __m256i low = _mm256_madd_epi16(near_far, factors(LOW_1, -LOW_3));

    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_srai_epi32(high, 2), low),
                             13);
}

AVX2 ALWAYS_INLINE __m256i alone_half(__m256i near_far)
{
    return _mm256_srai_epi32(
        _mm256_madd_epi16(near_far, factors(SPACE_1, -SPACE_3)), 13);
}

/* How much a place changes: middle_plain()'s `change` and `moves`. */
struct motion {
    __m256i change, moves;
};

AVX2 ALWAYS_INLINE struct motion motion_at(const struct field_rows *rows, int x,
                                           int bytes, __m256i above,
                                           __m256i below)
{
    const __m256i change =
        apart(load(rows->old[0], x, bytes), load(rows->new[0], x, bytes));
    const __m256i before =
        HALF(ADD(apart(load(rows->former[1], x, bytes), above),
                 apart(load(rows->former[0], x, bytes), below)));
    const __m256i after =
        HALF(ADD(apart(load(rows->next[1], x, bytes), above),
                 apart(load(rows->next[0], x, bytes), below)));

    return (struct motion){ change, MOST(HALF(change), MOST(before, after)) };
}

/* The same as middle_plain(), operation by operation, on LANES samples. */
AVX2 ALWAYS_INLINE void middle_avx2_at(void *to, const struct field_rows *rows,
                                       int x, int depth)
{
    const int bytes = depth > 8 ? 2 : 1;
    const __m256i none = _mm256_setzero_si256();
    const __m256i below = load(rows->now[0], x, bytes);
    const __m256i above = load(rows->now[1], x, bytes);
    const __m256i sum_0 =
        ADD(load(rows->old[0], x, bytes), load(rows->new[0], x, bytes));
    const __m256i still = HALF(sum_0);
    const struct motion motion = motion_at(rows, x, bytes, above, below);

    if (_mm256_testz_si256(motion.moves, motion.moves)) {
        store(to, x, bytes, still);
        return;
    }
    const __m256i sum_down =
        ADD(load(rows->old[1], x, bytes), load(rows->new[1], x, bytes));
    const __m256i sum_up =
        ADD(load(rows->old[2], x, bytes), load(rows->new[2], x, bytes));
    const __m256i b = SUB(HALF(sum_up), above);
    const __m256i f = SUB(HALF(sum_down), below);
    const __m256i dc = SUB(still, above);
    const __m256i de = SUB(still, below);
    const __m256i top = MOST(de, MOST(dc, LEAST(b, f)));
    const __m256i bottom = LEAST(de, LEAST(dc, MOST(b, f)));
    const __m256i room = MOST(motion.moves, MOST(bottom, SUB(none, top)));

    const __m256i near = ADD(above, below);
    const __m256i far =
        ADD(load(rows->now[3], x, bytes), load(rows->now[2], x, bytes));
    const __m256i sum_2 = ADD(sum_up, sum_down);
    const __m256i sum_4 =
        ADD(ADD(load(rows->old[3], x, bytes), load(rows->new[3], x, bytes)),
            ADD(load(rows->old[4], x, bytes), load(rows->new[4], x, bytes)));
    const __m256i near_far_lo = _mm256_unpacklo_epi16(near, far);
    const __m256i near_far_hi = _mm256_unpackhi_epi16(near, far);
    const __m256i mixed = _mm256_packs_epi32(
        mixed_half(_mm256_unpacklo_epi16(sum_0, sum_2),
                   _mm256_unpacklo_epi16(sum_4, none), near_far_lo),
        mixed_half(_mm256_unpackhi_epi16(sum_0, sum_2),
                   _mm256_unpackhi_epi16(sum_4, none), near_far_hi));
    const __m256i alone =
        _mm256_packs_epi32(alone_half(near_far_lo), alone_half(near_far_hi));

    const __m256i is_mixed =
        _mm256_cmpgt_epi16(apart(above, below), motion.change);
    __m256i value = _mm256_blendv_epi8(alone, mixed, is_mixed);
    value = LEAST(MOST(value, SUB(still, room)), ADD(still, room));
    value = LEAST(MOST(value, none),
                  _mm256_set1_epi16((int16_t)((1 << depth) - 1)));
    const __m256i is_still = _mm256_cmpeq_epi16(motion.moves, none);
    store(to, x, bytes, _mm256_blendv_epi8(value, still, is_still));
}

/* What is left at the end is made once more with some of what is before it. */
AVX2 ALWAYS_INLINE void middle_avx2_row(void *to, const struct field_rows *rows,
                                        int width, int depth)
{
    for (int x = 0; x + LANES <= width; x += LANES)
        middle_avx2_at(to, rows, x, depth);
    if (width % LANES > 0)
        middle_avx2_at(to, rows, width - LANES, depth);
}

AVX2 static void field_line_avx2(void *to, const struct field_rows *rows,
                                 int width, int depth)
{
    if (depth > DEEPEST || width < LANES)
        field_line_plain(to, rows, width, depth);
    else if (depth == 8)
        middle_avx2_row(to, rows, width, 8);
    else
        middle_avx2_row(to, rows, width, MAX(depth, 9));
}
#endif

field_line field_line_fastest(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return field_line_avx2;
#endif
    return field_line_plain;
}
