/* bfloat16.h - bfloat16 in memory: the upper half of a float32, rounded to nearest, ties to even. */
#ifndef CE_REAL_BFLOAT16_H
#define CE_REAL_BFLOAT16_H

#include "real/bits.h"

static inline float from_bf16(uint16_t h)
{
    return f32_bits((uint32_t)h << 16);
}

static inline uint16_t to_bf16(float x)
{
    const uint32_t b = bits_f32(x), nan = -(uint32_t)((b & 0x7fffffffu) > 0x7f800000u);

    return (uint16_t)(((((b + 0x7fffu + (b >> 16 & 1u)) >> 16) & ~nan) | (0x7fc0u & nan)));
}

static inline void read_bf16(float *restrict to, const uint16_t *restrict from, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) to[i] = from_bf16(from[i]);
}

static inline void write_bf16(uint16_t *restrict to, const float *restrict from, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) to[i] = to_bf16(from[i]);
}

#endif
