/* transpose.h - between rows in memory and the panel of the lanes, four items by four classes at a time; with vectors
 * of 64 bytes, 16 items on the way to the panel. (On the way back that would leave lines of memory half written.)
 *
 * One shuffle and half a load and a store per number, where a loop over numbers takes a load and a store for each.
 */
#ifndef CE_LANES_TRANSPOSE_H
#define CE_LANES_TRANSPOSE_H

#include "real/memory.h"
#include "real/real.h"

typedef real quad __attribute__((vector_size(4 * sizeof(real))));

#if defined(__clang__)
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef real_bits quad_bits __attribute__((vector_size(4 * sizeof(real_bits))));
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (quad_bits){ i, j, k, l })
#endif

static inline void transpose4(char *to, int64_t to_step, const char *from, int64_t from_step)
{
    quad a, b, c, d;

    memcpy(&a, from, sizeof a), memcpy(&b, from + from_step, sizeof b);
    memcpy(&c, from + 2 * from_step, sizeof c), memcpy(&d, from + 3 * from_step, sizeof d);
    const quad ab = SHUFFLE(a, b, 0, 4, 1, 5), AB = SHUFFLE(a, b, 2, 6, 3, 7);
    const quad cd = SHUFFLE(c, d, 0, 4, 1, 5), CD = SHUFFLE(c, d, 2, 6, 3, 7);
    a = SHUFFLE(ab, cd, 0, 1, 4, 5), b = SHUFFLE(ab, cd, 2, 3, 6, 7);
    c = SHUFFLE(AB, CD, 0, 1, 4, 5), d = SHUFFLE(AB, CD, 2, 3, 6, 7);
    memcpy(to, &a, sizeof a), memcpy(to + to_step, &b, sizeof b);
    memcpy(to + 2 * to_step, &c, sizeof c), memcpy(to + 3 * to_step, &d, sizeof d);
}

/* All items, four classes of float32 or two of float64. */
#if defined(VECTOR)
enum { BESIDE = 16 / sizeof(real) };

INLINE void turn(real *panel, const char *rows, int64_t row_step)
{
    for (int l = 0; l < LANES; l += 4 * BESIDE) {
        vector v[4], t[4];
        for (int r = 0; r < BESIDE; r++) v[r] = vector_from(rows + (l + r) * row_step, BESIDE * row_step);
        if (BESIDE == 4) {
            t[0] = LOW_32(v[0], v[1]), t[1] = HIGH_32(v[0], v[1]);
            t[2] = LOW_32(v[2], v[3]), t[3] = HIGH_32(v[2], v[3]);
            v[0] = LOW_64(t[0], t[2]), v[1] = HIGH_64(t[0], t[2]);
            v[2] = LOW_64(t[1], t[3]), v[3] = HIGH_64(t[1], t[3]);
        } else {
            t[0] = v[0];
            v[0] = LOW_64(t[0], v[1]), v[1] = HIGH_64(t[0], v[1]);
        }
        for (int r = 0; r < BESIDE; r++) memcpy(panel + r * LANES + l, &v[r], VECTOR);
    }
}
#else
enum { BESIDE = 4 };

INLINE void turn(real *panel, const char *rows, int64_t row_step)
{
    for (int l = 0; l < LANES; l += 4)
        transpose4((char *)(panel + l), LANES * sizeof(real), rows + l * row_step, row_step);
}
#endif

/* LANES rows of n classes each, row_step bytes apart, to the panel. */
static inline void to_panel(real *panel, const char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(real)) {
        const real *pairs = (const real *)rows;
        LANE(l) panel[l] = pairs[2 * l], panel[LANES + l] = pairs[2 * l + 1];
    } else if (n == 3 && row_step == 3 * sizeof(real)) {
        const real *triples = (const real *)rows;
        LANE(l)
            panel[l] = triples[3 * l], panel[LANES + l] = triples[3 * l + 1], panel[2 * LANES + l] = triples[3 * l + 2];
    } else if (n < 4) {
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) panel[k * LANES + l] = ((const real *)(rows + l * row_step))[k];
    } else {
        for (int64_t i = 0; i < n; i += BESIDE) {
            const int64_t k = i + BESIDE <= n ? i : n - BESIDE; /* the last may overlap those before */
            turn(panel + k * LANES, rows + k * (int64_t)sizeof(real), row_step);
        }
    }
}

/* And back. */
static inline void from_panel(const real *panel, char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(real)) {
        real *pairs = (real *)rows;
        LANE(l) pairs[2 * l] = panel[l], pairs[2 * l + 1] = panel[LANES + l];
    } else if (n == 3 && row_step == 3 * sizeof(real)) {
        real *triples = (real *)rows;
        LANE(l)
            triples[3 * l] = panel[l], triples[3 * l + 1] = panel[LANES + l], triples[3 * l + 2] = panel[2 * LANES + l];
    } else if (n < 4) {
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) ((real *)(rows + l * row_step))[k] = panel[k * LANES + l];
    } else {
        for (int l = 0; l < LANES; l += 4)
            for (int64_t i = 0; i < n; i += 4) {
                const int64_t k = i + 4 <= n ? i : n - 4;
                char *const   to = rows + l * row_step + k * (int64_t)sizeof(real);
                const real   *from = panel + k * LANES + l;
                transpose4(to, row_step, (const char *)from, LANES * sizeof(real));
            }
    }
}

#endif
