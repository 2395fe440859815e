/* numbers.h - numbers as they lie in memory, to and from the computing type. */
#ifndef CE_REAL_NUMBERS_H
#define CE_REAL_NUMBERS_H

#include "kernel.h"
#include "real/real.h"

#if CE_REAL == 32     /* 16-bit dtypes are computed with as float */
#define VIEWED(n) (n) /* numbers that a view may have to copy: those of 16 bits */

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
#define READ_ANY_HALVES  CE_DTYPES(NO_HALVES, READ_HALVES, NO_HALVES)
#define WRITE_ANY_HALVES CE_DTYPES(NO_HALVES, WRITE_HALVES, NO_HALVES)
#else
#define VIEWED(n) 1 /* no view has to copy */
#define READ_ANY_HALVES
#define WRITE_ANY_HALVES
#endif

/* n numbers, step bytes apart. */
static inline void read_numbers(real *restrict to, const char *p, ce_type type, int64_t step, int64_t n)
{
    switch (type) {
        READ_ANY_HALVES
    default:
        for (int64_t i = 0; i < n; i++) to[i] = *(const real *)(p + i * step);
    }
}

static inline void write_numbers(char *p, ce_type type, int64_t step, const real *restrict from, int64_t n)
{
    switch (type) {
        WRITE_ANY_HALVES
    default:
        if (step == sizeof(real))
            memcpy(p, from, (size_t)n * sizeof(real));
        else
            for (int64_t i = 0; i < n; i++) *(real *)(p + i * step) = from[i];
    }
}

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
