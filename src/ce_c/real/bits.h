/* bits.h - numbers as bits, choices without branches, multiply-adds, and the words that make loops vectorise. */
#ifndef CE_REAL_BITS_H
#define CE_REAL_BITS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Loops around these functions vectorise only if they melt into them. */
#define INLINE static inline __attribute__((always_inline))

/* Of functions with large frames one is on the stack at a time. */
#define OUTLINE static __attribute__((noinline))

/* A pragma of the language, so that it can stand in a macro: no iteration depends on another. */
#define SIMD _Pragma("omp simd")

INLINE uint32_t bits_f32(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

INLINE float f32_bits(uint32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

INLINE uint64_t bits_f64(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

INLINE double f64_bits(uint64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* x, or 0 where drop holds. By bits: beside the choice within exp a second ?: keeps compilers from vectorising. */
INLINE float zero_if_f32(int drop, float x)
{
    return f32_bits(bits_f32(x) & ((uint32_t)drop - 1));
}

INLINE double zero_if_f64(int drop, double x)
{
    return f64_bits(bits_f64(x) & ((uint64_t)drop - 1));
}

/* a where all bits of `is` are set, b where none is. */
INLINE float chosen_f32(uint32_t is, float a, float b)
{
    return f32_bits(bits_f32(b) ^ (is & (bits_f32(a) ^ bits_f32(b))));
}

INLINE double chosen_f64(uint64_t is, double a, double b)
{
    return f64_bits(bits_f64(b) ^ (is & (bits_f64(a) ^ bits_f64(b))));
}

/* a, or b where the sign of x is set. */
INLINE float by_sign_f32(float x, float a, float b)
{
    const uint32_t set = -(bits_f32(x) >> 31);
    return f32_bits((bits_f32(a) & ~set) | (bits_f32(b) & set));
}

INLINE double by_sign_f64(double x, double a, double b)
{
    const uint64_t set = -(bits_f64(x) >> 63);
    return f64_bits((bits_f64(a) & ~set) | (bits_f64(b) & set));
}

/* Without the instruction (x86-64 baseline) two roundings, and so other bits; the sums below bear it. */
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED            1
#define FMA_F32(a, b, c) fmaf(a, b, c)
#define FMA_F64(a, b, c) fma(a, b, c)
#else
#define FUSED            0
#define FMA_F32(a, b, c) ((a) * (b) + (c))
#define FMA_F64(a, b, c) ((a) * (b) + (c))
#endif

#endif
