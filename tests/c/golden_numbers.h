/* golden_numbers.h - what the inputs of golden.txt are made of, and the hash of outputs.
 *
 * Every number is an integer from a hash of its position, times a power of two: exact, whatever computes it.
 * test_golden.py makes the same with NumPy: change both.
 */
#include <math.h>
#include <string.h>

#include "grid.h"

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* What number i of an array is made of. */
static uint64_t hash_at(int a, int64_t i)
{
    return mix(mix((uint64_t)a) + (uint64_t)i);
}

static double signed_number(uint64_t h, int digits, int exponent)
{
    return ldexp((double)((int64_t)(h >> (64 - digits)) - ((int64_t)1 << (digits - 1))), exponent + 1 - digits);
}

enum { ORDINARY, SUBNORMAL, EXTREME };

/* Items differ in kind, by their number: small and large logits, ties, a common offset; beyond the ordinary, subnormal
 * numbers, infinities, NaN and the largest numbers. */
static double logit(uint64_t h, int64_t item, ce_type type, int beyond)
{
    static const int exponents[] = { 2, 2, 4, 7, 0, 0, -12, -3 };
    const int        kind = (int)(item % 8), digits = ce_dtype_row(type)->digits;

    if (kind == 6 && beyond == SUBNORMAL)
        return signed_number(h, digits, ce_dtype_row(type)->least + digits - 1);
    if (beyond == EXTREME) {
        const double most = ldexp(1 - ldexp(1, -digits), ce_dtype_row(type)->most);
        if (kind == 2 || (kind == 1 && h % 4 == 0))
            return -INFINITY;
        if (kind == 3 && h % 16 == 0)
            return NAN;
        if (kind == 4 && h % 16 == 0)
            return INFINITY;
        if (kind == 5)
            return h >> 63 ? most : -most;
        return signed_number(h, digits, kind == 7 ? 9 : 2);
    }
    if (kind == 4)
        return (double)(h >> 61) - 4;
    if (kind == 5)
        return 96 + signed_number(h, digits - 1, 5);
    return signed_number(h, digits, exponents[kind]);
}

static double probability(uint64_t h, int64_t item, ce_type type, int beyond)
{
    const int digits = ce_dtype_row(type)->digits;

    if (h % 8 < 2)
        return (double)(h % 8);
    return ldexp((double)(h >> (64 - digits)),
                 item % 8 == 6 && beyond == SUBNORMAL ? ce_dtype_row(type)->least : -digits);
}

/* In [0.5, 1.5), or 0. */
static double weight(uint64_t h)
{
    return h % 16 == 0 ? 0 : (double)((h >> 58) + 32) / 64;
}

static double number(char kind, uint64_t h, int64_t item, ce_type type, int beyond)
{
    switch (kind) {
    case 'z': return logit(h, item, type, beyond);
    case 'l': return -fabs(logit(h, item, type, beyond));
    case 'p': return probability(h, item, type, beyond);
    case 'u': return signed_number(h, 8, 0);
    default: return weight(h);
    }
}

/* The bits of a double that a number of 16 bits holds. */
static uint16_t half_bits(double x, const ce_dtype *type)
{
    const int digits = type->digits, lowest = type->least + digits; /* frexp's exponent of the least normal number */
    const uint16_t sign = signbit(x) ? 0x8000 : 0, infinity = (uint16_t)(0x8000 - (1 << (digits - 1)));
    int            exponent;

    if (isnan(x))
        return infinity | (uint16_t)(1 << (digits - 2));
    if (isinf(x))
        return sign | infinity;
    x = frexp(fabs(x), &exponent);
    if (x < 0.5 || exponent < lowest) /* 0, or subnormal */
        return sign | (uint16_t)ldexp(x, exponent - type->least);
    return sign | (uint16_t)(((exponent - lowest) << (digits - 1)) + (int)ldexp(x, digits));
}

static void store(char *at, ce_type type, double x)
{
    const float single = (float)x;

    if (type == CE_FLOAT64) {
        memcpy(at, &x, 8);
    } else if (type == CE_FLOAT32) {
        memcpy(at, &single, 4);
    } else {
        const uint16_t half = half_bits(x, ce_dtype_row(type));
        memcpy(at, &half, 2);
    }
}

/* One number's part of the hash of its array. Every NaN counts as the same. */
static uint64_t hash_number(const void *x, ce_type type, int64_t i)
{
    const int64_t  size = size_of(type);
    const int      digits = ce_dtype_row(type)->digits; /* of integers 0 */
    const uint64_t top = (uint64_t)1 << (8 * size - 1), infinity = digits ? top - ((uint64_t)1 << (digits - 1)) : top;
    uint64_t       bits = 0;

    if (size == 8) {
        memcpy(&bits, x, 8);
    } else if (size == 4) {
        uint32_t b;
        memcpy(&b, x, 4);
        bits = b;
    } else {
        uint16_t b;
        memcpy(&b, x, 2);
        bits = b;
    }
    if ((bits & (top - 1)) > infinity)
        bits = ~(uint64_t)0;
    return mix(bits ^ mix((uint64_t)i));
}
