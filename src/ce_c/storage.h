/* storage.h - numbers as they lie in memory, to and from the computing type. HALVES(X) lists the types stored in
 * 16 bits that are computed with as REAL: X(type, name).
 */

/* n numbers, step bytes apart. */
static void NAME(read)(REAL *restrict to, const char *p, ce_type type, int64_t step, int64_t n)
{
    switch (type) {
#define READ(TYPE, t)                                                                                                  \
    case TYPE:                                                                                                         \
        if (step == sizeof(uint16_t))                                                                                  \
            read_##t(to, (const uint16_t *)p, n);                                                                      \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++) to[i] = from_##t(*(const uint16_t *)(p + i * step));                       \
        return;
        HALVES(READ)
#undef READ
    default:
        for (int64_t i = 0; i < n; i++) to[i] = *(const REAL *)(p + i * step);
    }
}

static void NAME(write)(char *p, ce_type type, int64_t step, const REAL *restrict from, int64_t n)
{
    switch (type) {
#define WRITE(TYPE, t)                                                                                                 \
    case TYPE:                                                                                                         \
        if (step == sizeof(uint16_t))                                                                                  \
            write_##t((uint16_t *)p, from, n);                                                                         \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++) *(uint16_t *)(p + i * step) = to_##t(from[i]);                             \
        return;
        HALVES(WRITE)
#undef WRITE
    default:
        if (step == sizeof(REAL))
            memcpy(p, from, (size_t)n * sizeof(REAL));
        else
            for (int64_t i = 0; i < n; i++) *(REAL *)(p + i * step) = from[i];
    }
}

static inline REAL NAME(read_one)(const char *p, ce_type type)
{
    REAL x;

    if (type == TYPE)
        return *(const REAL *)p;
    NAME(read)(&x, p, type, 0, 1);
    return x;
}

/* n numbers, side by side in memory: themselves where they are of the computing type, else a copy. */
static inline const REAL *NAME(view)(const char *p, ce_type type, int64_t n, REAL *copy)
{
    if (type == TYPE)
        return (const REAL *)p;
    NAME(read)(copy, p, type, size_of(type), n);
    return copy;
}
