/* pointwise.h - the element-wise engine: each number of the input is an item of its own.
 *
 * A loss is one inline function from an input x, its target y and pos, the weight of positive labels, to
 *     value, derivative and second derivative by x
 * (regression.h, binary.h, sigmoid_focal.h, kl_div.h). The engine goes through memory in spans that fit L1: reads them
 * whatever their layout and dtype, runs the loss, weights, sums in float64 in a fixed order, and writes. An element
 * of weight 0 counts for nothing, whatever it holds.
 */

enum { NAME(SPAN) = 2048 / sizeof(REAL) };

typedef struct {
    REAL value, grad, hess;
} NAME(point);

typedef struct {
    REAL       gamma, alpha[2], delta;
    ce_hessian hessian;
} NAME(options);

typedef void (*NAME(loop))(const REAL *x, const REAL *y, const REAL *pos, int64_t n, NAME(options) o, REAL *value,
                           REAL *grad, REAL *hess);

/* The loop over a span for one loss; grad and hess may be NULL. */
#define POINTWISE(loss)                                                                                                \
    static void NAME(loss##_loop)(const REAL *x, const REAL *y, const REAL *pos, int64_t n, NAME(options) o,           \
                                  REAL *value, REAL *grad, REAL *hess)                                                 \
    {                                                                                                                  \
        SIMD                                                                                                           \
        for (int64_t i = 0; i < (hess ? 0 : n); i++) {                                                                 \
            const NAME(point) p = NAME(loss)(x[i], y[i], pos[i], o);                                                   \
            value[i] = p.value;                                                                                        \
            grad[i] = p.grad;                                                                                          \
        }                                                                                                              \
        SIMD                                                                                                           \
        for (int64_t i = 0; i < (hess ? n : 0); i++) {                                                                 \
            const NAME(point) p = NAME(loss)(x[i], y[i], pos[i], o);                                                   \
            value[i] = p.value;                                                                                        \
            grad[i] = p.grad;                                                                                          \
            hess[i] = p.hess;                                                                                          \
        }                                                                                                              \
    }

/* a b, where 0 times anything is 0. */
INLINE REAL NAME(times)(REAL a, REAL b)
{
    return ZERO_IF(a == 0, a * b);
}

/* By bits: beside the choice within exp a second ?: keeps compilers from vectorising. */
INLINE REAL NAME(pick)(int choice, REAL a, REAL b)
{
    return ZERO_IF(!choice, a) + ZERO_IF(choice, b);
}

/* sigma(x), sigma(-x) and log(1 + e^x), log(1 + e^-x), each without cancellation. */
typedef struct {
    REAL up, down, soft_up, soft_down;
} NAME(sigmoid);

INLINE NAME(sigmoid) NAME(sigmoid_of)(REAL x)
{
    const REAL e = EXP(-ABS(x)), large = 1 / (1 + e), small = e * large, rest = LOG1P(e);

    return (NAME(sigmoid)){ NAME(pick)(x >= 0, large, small), NAME(pick)(x >= 0, small, large),
                            ZERO_IF(!(x > 0), x) + rest, ZERO_IF(!(x < 0), -x) + rest };
}

#include "regression.h"
#include "binary.h"
#include "sigmoid_focal.h"
#include "kl_div.h"

static const struct {
    NAME(loop) loop;
    bool by_weight; /* the mean divides by the sum of the weights, not by the number of elements */
    bool in_unit;   /* x and y must be in [0, 1] */
} NAME(points)[] = {
#define POINT(loss, by, in) { NAME(loss##_loop), by, in },
    POINTS(POINT)
#undef POINT
};

/* n numbers of an array, from item first on: themselves, a copy, or `absent` where there is no array. */
static const REAL *NAME(gather)(const ce_grid *grid, int array, int64_t first, int64_t n, REAL *copy,
                                const REAL *absent)
{
    const int     inner = grid->axes - 1;
    const int64_t size = grid->size[inner], step = grid->stride[array][inner];

    if (!grid->data[array])
        return absent;
    if (grid->type[array] == TYPE && step == sizeof(REAL) && first % size + n <= size)
        return (const REAL *)begin_of(grid, array, first);
    for (int64_t i = 0, some; i < n; i += some) {
        const int64_t left = size - (first + i) % size;
        some = left < n - i ? left : n - i;
        NAME(read)(copy + i, begin_of(grid, array, first + i), grid->type[array], step, some);
    }
    return copy;
}

static void NAME(scatter)(const ce_grid *grid, int array, int64_t first, int64_t n, const REAL *from)
{
    const int     inner = grid->axes - 1;
    const int64_t size = grid->size[inner], step = grid->stride[array][inner];

    for (int64_t i = 0, some; grid->data[array] && i < n; i += some) {
        const int64_t left = size - (first + i) % size;
        some = left < n - i ? left : n - i;
        NAME(write)(begin_of(grid, array, first + i), grid->type[array], step, from + i, some);
    }
}

/* What is written: the derivative times c, weight and upstream gradient; no subnormal leaves. */
static void NAME(scale_span)(REAL *x, REAL c, const REAL *weight, const REAL *upstream, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) x[i] = ZERO_IF(weight[i] == 0, NAME(normal)(x[i] * (c * weight[i] * upstream[i])));
}

/* Adds the weighted losses, i-th to lane i, and leaves them in value. */
static void NAME(sum_span)(REAL *value, const REAL *weight, int64_t n, double *sums)
{
    SIMD
    for (int64_t i = 0; i < n; i++) value[i] = ZERO_IF(weight[i] == 0, NAME(normal)(value[i] * weight[i]));
    for (int64_t i = n; i % LANES; i++) value[i] = 0;
    for (int64_t i = 0; i < n; i += LANES)
        LANE(l) sums[l] += (double)value[i + l];
}

static NAME(options) NAME(options_of)(const ce_job *job)
{
    return (NAME(
        options)){ (REAL)job->gamma, { (REAL)job->alpha[0], (REAL)job->alpha[1] }, (REAL)job->delta, job->hessian };
}

static void NAME(run_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    REAL ones[NAME(SPAN)], copy[5][NAME(SPAN)], value[NAME(SPAN)], grad[NAME(SPAN)], hess[NAME(SPAN)];
    NAME(loop) loop = NAME(points)[plan->job->loss - LINKS].loop;

    for (int i = 0; i < NAME(SPAN); i++) ones[i] = 1;
    for (int64_t i = first, n; i < last; i += n) {
        n = last - i < NAME(SPAN) ? last - i : NAME(SPAN);
        const REAL *x = NAME(gather)(grid, CE_Z, i, n, copy[0], NULL);
        const REAL *y = NAME(gather)(grid, CE_OTHER, i, n, copy[1], NULL);
        const REAL *weight = NAME(gather)(grid, CE_V, i, n, copy[2], ones);
        const REAL *upstream = NAME(gather)(grid, CE_UPSTREAM, i, n, copy[3], ones);
        const REAL *pos = NAME(gather)(grid, CE_POS, i, n, copy[4], ones);

        loop(x, y, pos, n, NAME(options_of)(plan->job), value, grad, grid->data[CE_HESS] ? hess : NULL);
        NAME(sum_span)(value, weight, n, sums);
        if (grid->data[CE_GRAD])
            NAME(scale_span)(grad, (REAL)plan->c, weight, upstream, n);
        if (grid->data[CE_HESS])
            NAME(scale_span)(hess, (REAL)plan->c, weight, upstream, n);
        NAME(scatter)(grid, CE_VALUE, i, n, value);
        NAME(scatter)(grid, CE_GRAD, i, n, grad);
        NAME(scatter)(grid, CE_HESS, i, n, hess);
    }
}

/* Z, and the first element that is no probability. */
static void NAME(check_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const int  loss = plan->job->loss - LINKS;
    const bool weighted = NAME(points)[loss].by_weight && grid->data[CE_V] && plan->job->reduction == CE_MEAN;
    REAL       copy[NAME(SPAN)];

    block->bad = -1;
    block->z = weighted ? 0 : (double)(last - first);
    for (int64_t i = first, n; (weighted || NAME(points)[loss].in_unit) && i < last; i += n) {
        n = last - i < NAME(SPAN) ? last - i : NAME(SPAN);
        if (weighted)
            block->z += NAME(total)(NAME(gather)(grid, CE_V, i, n, copy, NULL), n);
        for (int a = CE_Z; NAME(points)[loss].in_unit && a <= CE_OTHER; a += CE_OTHER - CE_Z) {
            const REAL *x = NAME(gather)(grid, a, i, n, copy, NULL);
            int64_t     good = 0;
            for (int64_t j = 0; j < n; j++) good += (x[j] >= 0) & (x[j] <= 1);
            for (int64_t j = 0; good < n && j < n; j++)
                if (!(x[j] >= 0 && x[j] <= 1) && (block->bad < 0 || i + j < block->bad))
                    block->bad = i + j;
        }
        if (block->bad >= 0)
            return;
    }
}
