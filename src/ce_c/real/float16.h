/* float16.h - float16 in memory: to and from float32, rounding to nearest, ties to even, subnormals kept. */
#ifndef CE_REAL_FLOAT16_H
#define CE_REAL_FLOAT16_H

#include "real/bits.h"
#if defined(__F16C__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

/* A subnormal is its integer times 2^-24; no float32 is subnormal on the way. */
static inline float from_f16(uint16_t h)
{
    const uint32_t exponent = h & 0x7c00u, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t normal = ((h & 0x7fffu) << 13) + (exponent == 0x7c00u ? 0x70000000u : 0x38000000u);
    const uint32_t tiny = bits_f32((f32_bits((h & 0x3ffu) | 0x4b000000u) - 0x1p23F) * 0x1p-24F);

    return f32_bits((exponent == 0 ? tiny : normal) | sign);
}

/* Below 2^-14 the sum with 0.5 rounds at 2^-24, as float16 does; at or above 65520 the result is infinite. */
static inline uint16_t to_f16(float x)
{
    const uint32_t bits = bits_f32(x), sign = bits >> 16 & 0x8000u, b = bits & 0x7fffffffu;
    const uint32_t normal = (b + 0xfffu + (b >> 13 & 1u) - 0x38000000u) >> 13;
    const uint32_t tiny = bits_f32(f32_bits(b) + 0.5F) - 0x3f000000u;
    const uint32_t large = b > 0x7f800000u ? 0x7e00u : 0x7c00u;

    return (uint16_t)((b < 0x38800000u ? tiny : b >= 0x477ff000u ? large : normal) | sign);
}

#if defined(__AVX512F__)
enum { GROUP_F16 = 16 };
#define READ_GROUP_F16(to, from) _mm512_storeu_ps(to, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(from))))
#define WRITE_GROUP_F16(to, from)                                                                                      \
    _mm256_storeu_si256((__m256i *)(to), _mm512_cvtps_ph(_mm512_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT))
#elif defined(__F16C__)
enum { GROUP_F16 = 8 };
#define READ_GROUP_F16(to, from) _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from))))
#define WRITE_GROUP_F16(to, from)                                                                                      \
    _mm_storeu_si128((__m128i *)(to), _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT))
#else
enum { GROUP_F16 = 1 };
#define READ_GROUP_F16(to, from)  *(to) = from_f16(*(from))
#define WRITE_GROUP_F16(to, from) *(to) = to_f16(*(from))
#endif

/* What is left of a group goes through one that is filled up. */
static inline void read_f16(float *to, const uint16_t *from, int64_t n)
{
    int64_t i = 0;

    for (; i + GROUP_F16 <= n; i += GROUP_F16) READ_GROUP_F16(to + i, from + i);
    if (i < n) {
        uint16_t rest[GROUP_F16] = { 0 };
        float    filled[GROUP_F16];
        memcpy(rest, from + i, (size_t)(n - i) * sizeof *rest);
        READ_GROUP_F16(filled, rest);
        memcpy(to + i, filled, (size_t)(n - i) * sizeof *filled);
    }
}

static inline void write_f16(uint16_t *to, const float *from, int64_t n)
{
    int64_t i = 0;

    for (; i + GROUP_F16 <= n; i += GROUP_F16) WRITE_GROUP_F16(to + i, from + i);
    if (i < n) {
        uint16_t rest[GROUP_F16];
        float    filled[GROUP_F16] = { 0 };
        memcpy(filled, from + i, (size_t)(n - i) * sizeof *filled);
        WRITE_GROUP_F16(rest, filled);
        memcpy(to + i, rest, (size_t)(n - i) * sizeof *rest);
    }
}

#endif
