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

/* The loop over a span for one loss; hess may be NULL. */
#define POINTWISE(loss)                                                                                                \
    INLINE void NAME(loss##_body)(const REAL *x, const REAL *y, const REAL *pos, int64_t n, NAME(options) o,           \
                                  REAL *value, REAL *grad, REAL *hess, bool curves)                                    \
    {                                                                                                                  \
        SIMD                                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const NAME(point) p = NAME(loss)(x[i], y[i], pos[i], o);                                                   \
            value[i] = p.value;                                                                                        \
            grad[i] = p.grad;                                                                                          \
            if (curves)                                                                                                \
                hess[i] = p.hess;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME(loss##_loop)(const REAL *x, const REAL *y, const REAL *pos, int64_t n, NAME(options) o,           \
                                  REAL *value, REAL *grad, REAL *hess)                                                 \
    {                                                                                                                  \
        if (hess)                                                                                                      \
            NAME(loss##_body)(x, y, pos, n, o, value, grad, hess, true);                                               \
        else                                                                                                           \
            NAME(loss##_body)(x, y, pos, n, o, value, grad, NULL, false);                                              \
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

/* A walk over the runs of neighbours along the last axis of the grid, from item first on. */
typedef struct {
    char   *begin; /* of the run that contains the item */
    int64_t skip;  /* items of the run before it */
    int64_t row, rows;
} NAME(walk);

static inline NAME(walk) NAME(walk_of)(const ce_grid *grid, int array, int64_t first)
{
    const int     inner = grid->axes - 1;
    const int64_t skip = first % grid->size[inner], rows = inner > 0 ? grid->size[inner - 1] : 1;

    return (NAME(walk)){ begin_of(grid, array, first - skip), skip, first / grid->size[inner] % rows, rows };
}

/* On to the next run, which begins with that item. */
static inline void NAME(walk_on)(NAME(walk) * w, const ce_grid *grid, int array, int64_t item)
{
    w->skip = 0;
    if (++w->row < w->rows) {
        w->begin += grid->stride[array][grid->axes - 2];
    } else {
        w->row = 0;
        w->begin = begin_of(grid, array, item);
    }
}

/* n numbers of an array, from item first on: themselves, a copy, or NULL where there is no array. */
static const REAL *NAME(gather)(const ce_grid *grid, int array, int64_t first, int64_t n, REAL *copy)
{
    const int64_t size = grid->size[grid->axes - 1], step = grid->stride[array][grid->axes - 1];
    const ce_type type = grid->type[array];

    if (!grid->data[array])
        return NULL;
    NAME(walk) w = NAME(walk_of)(grid, array, first);
    if (type == TYPE && step == sizeof(REAL) && w.skip + n <= size)
        return (const REAL *)w.begin + w.skip;
    for (int64_t i = 0, some; i < n; i += some) {
        const char *p = w.begin + w.skip * step;
        some = size - w.skip < n - i ? size - w.skip : n - i;
        if (type == TYPE)
            for (int64_t j = 0; j < some; j++) copy[i + j] = *(const REAL *)(p + j * step);
        else
            NAME(read)(copy + i, p, type, step, some);
        if (i + some < n)
            NAME(walk_on)(&w, grid, array, first + i + some);
    }
    return copy;
}

static void NAME(scatter)(const ce_grid *grid, int array, int64_t first, int64_t n, const REAL *from)
{
    const int64_t size = grid->size[grid->axes - 1], step = grid->stride[array][grid->axes - 1];
    const ce_type type = grid->type[array];

    if (!grid->data[array])
        return;
    NAME(walk) w = NAME(walk_of)(grid, array, first);
    for (int64_t i = 0, some; i < n; i += some) {
        char *p = w.begin + w.skip * step;
        some = size - w.skip < n - i ? size - w.skip : n - i;
        if (type == TYPE && some < LANES)
            for (int64_t j = 0; j < some; j++) *(REAL *)(p + j * step) = from[i + j];
        else
            NAME(write)(p, type, step, from + i, some);
        if (i + some < n)
            NAME(walk_on)(&w, grid, array, first + i + some);
    }
}

/* What is written: the derivative times c, weight and upstream gradient, each 1 if absent; no subnormal leaves. */
static void NAME(scale_span)(REAL *x, double c, const REAL *weight, const REAL *upstream, int64_t n)
{
    const bool plain = !weight && !upstream && fabs(c) > 1e-30 && fabs(c) < 1e30;
    const REAL factor = (REAL)(plain ? c : 1);

    SIMD
    for (int64_t i = 0; i < (plain ? n : 0); i++) x[i] = NAME(normal)(x[i] * factor);
    for (int64_t i = 0; !plain && i < n; i++) {
        const double w = weight ? (double)weight[i] : 1, u = upstream ? (double)upstream[i] : 1;
        x[i] = w == 0 ? 0 : NAME(normal)((REAL)((double)NAME(normal)(x[i]) * (c * w * u)));
    }
}

/* Adds the weighted losses, the i-th to lane i, and leaves them in value. */
static void NAME(sum_span)(REAL *value, const REAL *weight, int64_t n, double *sums)
{
    double wide[NAME(SPAN)];

    for (int64_t i = n; i % LANES; i++) value[i] = 0;
    SIMD
    for (int64_t i = 0; i < n; i++) value[i] = NAME(normal)(value[i]);
    for (int64_t i = 0; !weight && i < n; i += LANES)
        LANE(l) sums[l] += (double)value[i + l];
    if (!weight)
        return;
    for (int64_t i = 0; i < n; i++) wide[i] = weight[i] == 0 ? 0 : (double)value[i] * (double)weight[i];
    for (int64_t i = n; i % LANES; i++) wide[i] = 0;
    for (int64_t i = 0; i < n; i += LANES)
        LANE(l) sums[l] += wide[i + l];
    for (int64_t i = 0; i < n; i++) value[i] = NAME(normal)((REAL)wide[i]);
}

/* Limits that float32 cannot hold become those that it can. */
static NAME(options) NAME(options_of)(const ce_job *job)
{
    const double most = (double)MAX_FINITE, least = (double)MIN_NORMAL, delta = job->delta;

    return (NAME(options)){ (REAL)job->gamma,
                            { (REAL)job->alpha[0], (REAL)job->alpha[1] },
                            delta == 0      ? 0
                            : delta > most  ? MAX_FINITE
                            : delta < least ? MIN_NORMAL
                                            : (REAL)delta,
                            job->hessian };
}

static void NAME(run_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    REAL ones[NAME(SPAN)], copy[5][NAME(SPAN)], value[NAME(SPAN)], grad[NAME(SPAN)], hess[NAME(SPAN)];
    NAME(loop) loop = NAME(points)[plan->job->loss - LINKS].loop;

    for (int i = 0; i < NAME(SPAN); i++) ones[i] = 1;
    for (int64_t i = first, n; i < last; i += n) {
        n = last - i < NAME(SPAN) ? last - i : NAME(SPAN);
        const REAL *x = NAME(gather)(grid, CE_Z, i, n, copy[0]);
        const REAL *y = NAME(gather)(grid, CE_OTHER, i, n, copy[1]);
        const REAL *pos = NAME(gather)(grid, CE_POS, i, n, copy[2]);
        const REAL *weight = NAME(gather)(grid, CE_V, i, n, copy[3]);
        const REAL *upstream = NAME(gather)(grid, CE_UPSTREAM, i, n, copy[4]);

        loop(x, y, pos ? pos : ones, n, NAME(options_of)(plan->job), value, grad, plan->curves ? hess : NULL);
        NAME(sum_span)(value, weight, n, sums);
        NAME(scatter)(grid, CE_VALUE, i, n, value);
        if (!plan->derives)
            continue;
        NAME(scale_span)(grad, plan->c, weight, upstream, n);
        NAME(scatter)(grid, CE_GRAD, i, n, grad);
        if (!plan->curves)
            continue;
        if (plan->job->hessian == CE_ABS) /* the gradient's size, weights included */
            for (int64_t j = 0; j < n; j++) hess[j] = ABS(grad[j]);
        else
            NAME(scale_span)(hess, plan->c, weight, upstream, n);
        NAME(scatter)(grid, CE_HESS, i, n, hess);
    }
}

/* The first number that is no probability, or n. */
static int64_t NAME(first_outside)(const REAL *x, int64_t n)
{
    int64_t good = 0, i = 0;

    for (int64_t j = 0; j < n; j++) good += (x[j] >= 0) & (x[j] <= 1);
    while (good < n && x[i] >= 0 && x[i] <= 1) i++;
    return good < n ? i : n;
}

/* Z, and the first element that is no probability. */
static void NAME(check_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const int  loss = plan->job->loss - LINKS;
    const bool in_unit = NAME(points)[loss].in_unit;
    const bool weighted = NAME(points)[loss].by_weight && grid->data[CE_V] && plan->job->reduction == CE_MEAN;
    REAL       copy[NAME(SPAN)];

    block->bad = -1;
    block->z = weighted ? 0 : (double)(last - first);
    for (int64_t i = first, n; (weighted || in_unit) && block->bad < 0 && i < last; i += n) {
        n = last - i < NAME(SPAN) ? last - i : NAME(SPAN);
        if (weighted)
            block->z += NAME(total)(NAME(gather)(grid, CE_V, i, n, copy), n);
        if (in_unit) {
            const int64_t x = NAME(first_outside)(NAME(gather)(grid, CE_Z, i, n, copy), n);
            const int64_t y = NAME(first_outside)(NAME(gather)(grid, CE_OTHER, i, n, copy), n);
            block->bad = x < y && x < n ? i + x : y < n ? i + y : -1;
        }
    }
}
