/* vecmath.c - how far the functions of src/ce_c/real are from libm in a wider type.
 *
 * <function>_of_<type>(x, g, y, n) computes y = f(x), or f(x, g); <function>_off_<type>(x, g, y, n, worst) returns the
 * sum of the errors of y in units in the last place of the truth, and in worst the largest and its place. A truth below
 * the least normal number counts as 0, and y may be either.
 */
#include <float.h>
#include <stdbool.h>

#include "real/pow.h"
#include "real/tanh.h"

typedef struct {
    double  error;
    int64_t at;
} worst;

const int wide_bits = LDBL_MANT_DIG;

/* The error of y; g is the spacing of the type's numbers at the truth. NaN and infinity are infinitely far from a
 * number. */
#define DISTANCE(type, REAL, WIDE, FREXP, LDEXP, BITS, LEAST)                                                          \
    static double distance_##type(WIDE truth, REAL y)                                                                  \
    {                                                                                                                  \
        const WIDE size = truth < 0 ? -truth : truth;                                                                  \
        int        e;                                                                                                  \
        if (size < LEAST)                                                                                              \
            return y < LEAST && y > -LEAST ? 0 : (double)INFINITY;                                                     \
        if (!(size <= (WIDE)INFINITY) || isinf(size) || !isfinite(y))                                                  \
            return (truth != truth && y != y) || truth == (WIDE)y ? 0 : (double)INFINITY;                              \
        FREXP(size, &e);                                                                                               \
        return (double)LDEXP(truth > y ? truth - y : y - truth, BITS - e);                                             \
    }

DISTANCE(f32, float, double, frexp, ldexp, FLT_MANT_DIG, FLT_MIN)
DISTANCE(f64, double, long double, frexpl, ldexpl, DBL_MANT_DIG, DBL_MIN)

#define FUNCTION(name, type, REAL, OURS, TRUTH)                                                                        \
    void name##_of_##type(const REAL *restrict x, const REAL *restrict g, REAL *restrict y, int64_t n)                 \
    {                                                                                                                  \
        (void)g;                                                                                                       \
        SIMD                                                                                                           \
        for (int64_t i = 0; i < n; i++) y[i] = OURS;                                                                   \
    }                                                                                                                  \
    double name##_off_##type(const REAL *x, const REAL *g, const REAL *y, int64_t n, worst *most)                      \
    {                                                                                                                  \
        double sum = 0;                                                                                                \
        (void)g;                                                                                                       \
        *most = (worst){ -1, 0 };                                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const double off = distance_##type(TRUTH, y[i]);                                                           \
            sum += off;                                                                                                \
            if (off > most->error)                                                                                     \
                *most = (worst){ off, i };                                                                             \
        }                                                                                                              \
        return sum;                                                                                                    \
    }

#define WIDER(x) ((long double)(x))

FUNCTION(exp, f32, float, exp_f32(x[i], BY_1_F32, EXP_LO_F32), exp(x[i]))
FUNCTION(exp, f64, double, exp_f64(x[i], BY_1_F64, EXP_LO_F64), expl(x[i]))
FUNCTION(exp_2_64, f32, float, exp_f32(x[i], BY_2_64_F32, EXP_LO_2_64_F32), exp(x[i]) * 0x1p64)
FUNCTION(exp_2_64, f64, double, exp_f64(x[i], BY_2_64_F64, EXP_LO_2_64_F64), expl(x[i]) * 0x1p64L)
FUNCTION(exp_wide, f32, float, exp_wide_f32(x[i]), exp(x[i]))
FUNCTION(exp_wide, f64, double, exp_wide_f64(x[i]), expl(x[i]))
FUNCTION(log, f32, float, log_f32(x[i]), log(x[i]))
FUNCTION(log, f64, double, log_f64(x[i]), logl(x[i]))
FUNCTION(log1p, f32, float, log1p_f32(x[i]), log1p(x[i]))
FUNCTION(log1p, f64, double, log1p_f64(x[i]), log1pl(x[i]))
FUNCTION(log1p_unit, f32, float, log1p_unit_f32(x[i]), log1p(x[i]))
FUNCTION(pow, f32, float, pow_f32(x[i], g[i]), pow(x[i], g[i]))
FUNCTION(pow, f64, double, pow_f64(x[i], g[i]), powl(x[i], g[i]))
FUNCTION(tanh, f32, float, tanh_both_f32(x[i]).tanh, tanh(x[i]))
FUNCTION(tanh, f64, double, tanh_both_f64(x[i]).tanh, tanhl(x[i]))
