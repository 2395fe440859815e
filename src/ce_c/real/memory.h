/* memory.h - one-line names for what C has no words for: fetching ahead, stores that bypass the caches, vectors whose
 * places come from far apart.
 */
#ifndef CE_REAL_MEMORY_H
#define CE_REAL_MEMORY_H

#include <stdint.h>
#include <string.h>

enum { LINE = 64 }; /* bytes in a cache line */

/* Asks for some bytes that will be read soon: into the second-level cache, so that they push nothing out. */
static inline void fetch(uintptr_t address, size_t bytes) /* beyond an array's end, too */
{
    const uintptr_t end = address + bytes;
    for (address -= address % LINE; address < end; address += LINE) __builtin_prefetch((const void *)address, 0, 2);
}

/* The same for four places. */
static inline void fetch_four(uintptr_t address, uintptr_t apart)
{
    for (uintptr_t i = 0; i < 4; i++) __builtin_prefetch((const void *)(address + i * apart), 0, 2);
}

/* For a place that will be written. */
static inline void claim(uintptr_t address)
{
    __builtin_prefetch((const void *)address, 1, 2);
}

/* For four of them. */
static inline void claim_four(uintptr_t address, uintptr_t apart)
{
    for (uintptr_t i = 0; i < 4; i++) claim(address + i * apart);
}

/* What memory brings while exponentials are computed: four places from `next` on, so many bytes apart, then the next
 * four, `step` bytes further. */
typedef struct {
    uintptr_t next, apart, step;
} ahead_of;

/* REGISTER: the bytes of a vector register. MAX_32(a, b), MAX_64: of a register's numbers a those larger than b, else
 * b. ABOVE_OR_32(x, y, a, b), ABOVE_OR_64: of a's those where x is larger than y, else b's. EQUAL_32(z, x), EQUAL_64: a
 * bit for each of the 64 bytes' numbers that equal x. ABOVE_32(z, x), ABOVE_64: that are larger. BELOW_BITS_32(x, y,
 * a), BELOW_BITS_64: of a's words those where x, as an integer, is less than y, else 0. LESS_PRODUCT_32(a, x, y),
 * LESS_PRODUCT_64: a - x y, rounded once where there is fused multiply-add. */
#if defined(__AVX512F__)
#include <immintrin.h>
enum { REGISTER = 64 };
#define LESS_PRODUCT_32(a, x, y) _mm512_fnmadd_ps(x, y, a)
#define LESS_PRODUCT_64(a, x, y) _mm512_fnmadd_pd(x, y, a)
#define MAX_32(a, b)             _mm512_max_ps(a, b)
#define MAX_64(a, b)             _mm512_max_pd(a, b)
#define ABOVE_OR_32(x, y, a, b)  _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), a)
#define ABOVE_OR_64(x, y, a, b)  _mm512_mask_mov_pd(b, _mm512_cmp_pd_mask(x, y, _CMP_GT_OQ), a)
#define BELOW_BITS_32(x, y, a) _mm512_maskz_mov_epi32(_mm512_cmplt_epi32_mask((__m512i)(x), (__m512i)(y)), (__m512i)(a))
#define BELOW_BITS_64(x, y, a) _mm512_maskz_mov_epi64(_mm512_cmplt_epi64_mask((__m512i)(x), (__m512i)(y)), (__m512i)(a))
#define EQUAL_32(z, x)         ((unsigned)_mm512_cmp_ps_mask(_mm512_loadu_ps(z), _mm512_set1_ps(x), _CMP_EQ_OQ))
#define EQUAL_64(z, x)         ((unsigned)_mm512_cmp_pd_mask(_mm512_loadu_pd(z), _mm512_set1_pd(x), _CMP_EQ_OQ))
#define ABOVE_32(z, x)         ((unsigned)_mm512_cmp_ps_mask(_mm512_loadu_ps(z), _mm512_set1_ps(x), _CMP_GT_OQ))
#define ABOVE_64(z, x)         ((unsigned)_mm512_cmp_pd_mask(_mm512_loadu_pd(z), _mm512_set1_pd(x), _CMP_GT_OQ))
#elif defined(__AVX__)
#include <immintrin.h>
enum { REGISTER = 32 };
#define LESS_PRODUCT_32(a, x, y) _mm256_fnmadd_ps(x, y, a)
#define LESS_PRODUCT_64(a, x, y) _mm256_fnmadd_pd(x, y, a)
#define MAX_32(a, b)             _mm256_max_ps(a, b)
#define MAX_64(a, b)             _mm256_max_pd(a, b)
#define ABOVE_OR_32(x, y, a, b)  _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_GT_OQ))
#define ABOVE_OR_64(x, y, a, b)  _mm256_blendv_pd(b, a, _mm256_cmp_pd(x, y, _CMP_GT_OQ))
#define COMPARED_32(z, x, how) ((unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(z), _mm256_set1_ps(x), how)))
#define COMPARED_64(z, x, how) ((unsigned)_mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(z), _mm256_set1_pd(x), how)))
#define EQUAL_32(z, x)         (COMPARED_32(z, x, _CMP_EQ_OQ) | COMPARED_32((z) + 8, x, _CMP_EQ_OQ) << 8)
#define EQUAL_64(z, x)         (COMPARED_64(z, x, _CMP_EQ_OQ) | COMPARED_64((z) + 4, x, _CMP_EQ_OQ) << 4)
#define ABOVE_32(z, x)         (COMPARED_32(z, x, _CMP_GT_OQ) | COMPARED_32((z) + 8, x, _CMP_GT_OQ) << 8)
#define ABOVE_64(z, x)         (COMPARED_64(z, x, _CMP_GT_OQ) | COMPARED_64((z) + 4, x, _CMP_GT_OQ) << 4)
#else
enum { REGISTER = 16 };
#define CHOSEN(is, a, b)        (((is) & (__typeof__(is))(a)) | (~(is) & (__typeof__(is))(b)))
#define MAX_32(a, b)            ((__typeof__(b))CHOSEN((a) > (b), a, b))
#define MAX_64                  MAX_32
#define ABOVE_OR_32(x, y, a, b) ((__typeof__(y))CHOSEN((x) > (y), a, b))
#define ABOVE_OR_64             ABOVE_OR_32
#if defined(__aarch64__)
#include <arm_neon.h>
#define LESS_PRODUCT_32(a, x, y) ((__typeof__(a))vfmsq_f32((float32x4_t)(a), (float32x4_t)(x), (float32x4_t)(y)))
#define LESS_PRODUCT_64(a, x, y) ((__typeof__(a))vfmsq_f64((float64x2_t)(a), (float64x2_t)(x), (float64x2_t)(y)))
#else
#define LESS_PRODUCT_32(a, x, y) ((a) - (x) * (y))
#define LESS_PRODUCT_64(a, x, y) ((a) - (x) * (y))
#endif
#define COMPARED(name, c, lanes, op)                                                                                   \
    static inline unsigned name(const c *z, c x)                                                                       \
    {                                                                                                                  \
        unsigned bits = 0;                                                                                             \
        for (int l = 0; l < lanes; l++) bits |= (unsigned)(z[l] op x) << l;                                            \
        return bits;                                                                                                   \
    }
COMPARED(EQUAL_32, float, 16, ==)
COMPARED(EQUAL_64, double, 8, ==)
COMPARED(ABOVE_32, float, 16, >)
COMPARED(ABOVE_64, double, 8, >)
#endif

#if !defined(__AVX512F__)
#define BELOW_BITS_32(x, y, a) ((__typeof__(a))((x) < (y)) & (a))
#define BELOW_BITS_64          BELOW_BITS_32
#endif

#if defined(__AVX512F__)
#define STREAMS               1
#define STREAM_LINE(to, from) _mm512_stream_si512((void *)(to), _mm512_loadu_si512((const void *)(from)))
#define STREAM_PART(to, x)    _mm512_stream_si512((void *)(to), (__m512i)(x))
#define STREAM_END()          _mm_sfence()
#elif defined(__AVX__)
#define STREAMS               1
#define STREAM_HALF(to, from) _mm256_stream_si256((__m256i *)(to), _mm256_loadu_si256((const __m256i *)(from)))
#define STREAM_LINE(to, from) (STREAM_HALF(to, from), STREAM_HALF((char *)(to) + 32, (const char *)(from) + 32))
#define STREAM_PART(to, x)    _mm256_stream_si256((__m256i *)(to), (__m256i)(x))
#define STREAM_END()          _mm_sfence()
#else
#define STREAMS               0
#define STREAM_LINE(to, from) memcpy(to, from, LINE)
#define STREAM_PART(to, x)    memcpy(to, &(x), REGISTER)
#define STREAM_END()          ((void)0)
#endif

/* What goes past the caches: bytes that follow each other in memory are gathered until lines of it are full. */
typedef struct {
    char  *line;     /* the first that is not full, or NULL */
    size_t from, to; /* the bytes of it that are there */
    char  *gathered; /* the line's bytes, and room for more; where a line begins */
} line_writer;

/* Writes what there is of a line that will not be full. */
static inline void end_lines(line_writer *w)
{
    if (w->from < w->to)
        memcpy(w->line + w->from, w->gathered + w->from, w->to - w->from);
    w->from = w->to;
}

/* The room for bytes that go to a place in memory. */
static inline void *room_for(line_writer *w, char *place)
{
    if (!w->line || w->line + w->to != place) {
        end_lines(w);
        w->from = w->to = (uintptr_t)place % LINE;
        w->line = place - w->to;
    }
    return w->gathered + w->to;
}

/* So many are there now. */
static inline void add_to_lines(line_writer *w, size_t bytes)
{
    size_t done = 0;

    w->to += bytes;
    if (w->to < LINE)
        return;
    if (w->from > 0) {
        memcpy(w->line + w->from, w->gathered + w->from, LINE - w->from);
        w->from = 0, done = LINE;
    }
    for (; done + LINE <= w->to; done += LINE) STREAM_LINE(w->line + done, w->gathered + done);
    memcpy(w->gathered, w->gathered + done, LINE);
    w->line += done, w->to -= done;
}

/* A vector register of four places of 16 bytes, and the halves of two vectors' places, number by number in turn. */
#if defined(__AVX512F__)
enum { AT_ONCE = 4 }; /* classes whose exponentials the registers hold */
#define VECTOR        64
#define LOW_32(a, b)  _mm512_unpacklo_epi32(a, b)
#define HIGH_32(a, b) _mm512_unpackhi_epi32(a, b)
#define LOW_64(a, b)  _mm512_unpacklo_epi64(a, b)
#define HIGH_64(a, b) _mm512_unpackhi_epi64(a, b)
typedef __m512i vector;

/* Its places come from memory that is `step` bytes apart. */
static inline vector vector_from(const char *p, int64_t step)
{
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(p + step)), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(p + 2 * step)), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(p + 3 * step)), 3);
}
#else
enum { AT_ONCE = 2 };
#endif

#endif
