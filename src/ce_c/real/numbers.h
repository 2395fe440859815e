/* numbers.h - numbers as they lie in memory, to and from the computing type. */
#ifndef CE_REAL_NUMBERS_H
#define CE_REAL_NUMBERS_H

#include "kernel.h"
#include "real/real.h"

/* The conversions of a row of dtypes.def. */
typedef struct {
    float (*from)(uint16_t);
    uint16_t (*to)(float);
    void (*read)(float *, const uint16_t *, int64_t);
    void (*write)(uint16_t *, const float *, int64_t);
} half_conversions;

INLINE void read_halves(half_conversions half, float *to, const char *p, int64_t step, int64_t n)
{
    if (step == sizeof(uint16_t))
        half.read(to, (const uint16_t *)p, n);
    else
        for (int64_t i = 0; i < n; i++) to[i] = half.from(*(const uint16_t *)(p + i * step));
}

INLINE void write_halves(half_conversions half, char *p, int64_t step, const float *from, int64_t n)
{
    if (step == sizeof(uint16_t))
        half.write((uint16_t *)p, from, n);
    else
        for (int64_t i = 0; i < n; i++) *(uint16_t *)(p + i * step) = half.to(from[i]);
}

#define READ_HALVES(type, name, from_half, to_half, read, write, ...)                                                  \
    case type: read_halves((half_conversions){ from_half, to_half, read, write }, to, p, step, n); return;
#define WRITE_HALVES(type, name, from_half, to_half, read, write, ...)                                                 \
    case type: write_halves((half_conversions){ from_half, to_half, read, write }, p, step, from, n); return;
#define NO_HALVES(...)

/* n numbers of float32 or 16 bits, step bytes apart. */
static inline void read_floats(float *restrict to, const char *p, ce_type type, int64_t step, int64_t n)
{
    switch (type) {
        CE_DTYPES(NO_HALVES, READ_HALVES, NO_HALVES)
    default:
        for (int64_t i = 0; i < n; i++) to[i] = *(const float *)(p + i * step);
    }
}

static inline void write_floats(char *p, ce_type type, int64_t step, const float *restrict from, int64_t n)
{
    switch (type) {
        CE_DTYPES(NO_HALVES, WRITE_HALVES, NO_HALVES)
    default:
        if (step == sizeof(float))
            memcpy(p, from, (size_t)n * sizeof(float));
        else
            for (int64_t i = 0; i < n; i++) *(float *)(p + i * step) = from[i];
    }
}

#if CE_REAL == 32
#define VIEWED(n)     (n) /* numbers that a view may have to copy: those of 16 bits */
#define read_numbers  read_floats
#define write_numbers write_floats
#else
#define VIEWED(n) 1 /* no view has to copy */

enum { NARROW = 64 }; /* float32 numbers at a time */

/* n numbers, step bytes apart. Only those of the element-wise engine may be narrower than the computing type. */
static inline void read_numbers(double *restrict to, const char *p, ce_type type, int64_t step, int64_t n)
{
    float some[NARROW];

    for (int64_t i = 0; type == CE_FLOAT64 && i < n; i++) to[i] = *(const double *)(p + i * step);
    if (type == CE_FLOAT64)
        return;
    for (int64_t i = 0; i < n; i += NARROW) {
        const int64_t count = smaller(n - i, NARROW);
        read_floats(some, p + i * step, type, step, count);
        for (int64_t j = 0; j < count; j++) to[i + j] = (double)some[j];
    }
}

/* The float32 beside x towards 0, with its last bit set unless it is x: rounded on to 16 bits it gives what x does. */
static inline float to_odd_f32(double x)
{
    const float near = (float)x;
    uint32_t    bits;

    memcpy(&bits, &near, sizeof bits);
    if ((double)near == x)
        return near;
    return f32_bits((bits - (fabs((double)near) > fabs(x))) | 1);
}

/* n numbers rounded to float32, side by side. */
static inline void narrow_numbers(float *restrict to, const double *restrict from, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const float x = (float)from[i];
        to[i] = fabsf(x) < 0x1p-126F ? 0 : x;
    }
}

static inline void write_numbers(char *p, ce_type type, int64_t step, const double *restrict from, int64_t n)
{
    float some[NARROW];

    if (type == CE_FLOAT32 && step == sizeof(float)) {
        narrow_numbers((float *)p, from, n);
        return;
    }
    if (type == CE_FLOAT64 && step == sizeof(double))
        memcpy(p, from, (size_t)n * sizeof(double));
    else if (type == CE_FLOAT64)
        for (int64_t i = 0; i < n; i++) *(double *)(p + i * step) = from[i];
    if (type == CE_FLOAT64)
        return;
    for (int64_t i = 0; i < n; i += NARROW) {
        const int64_t count = smaller(n - i, NARROW);
        for (int64_t j = 0; j < count; j++) {
            const float x = type == CE_FLOAT32 ? (float)from[i + j] : to_odd_f32(from[i + j]);
            some[j] = fabsf(x) < 0x1p-126F ? 0 : x;
        }
        write_floats(p + i * step, type, step, some, count);
    }
}
#endif

static inline real read_number(const char *p, ce_type type)
{
    real x;

    if (type == REAL_TYPE)
        return *(const real *)p;
    read_numbers(&x, p, type, 0, 1);
    return x;
}

/* n numbers, side by side in memory: themselves where they are of the computing type, else a copy. */
static inline const real *view_numbers(const char *p, ce_type type, int64_t n, real *copy)
{
    if (type == REAL_TYPE)
        return (const real *)p;
    read_numbers(copy, p, type, size_of(type), n);
    return copy;
}

#endif
