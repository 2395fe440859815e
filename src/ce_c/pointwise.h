/* pointwise.h - the element-wise engine: each number of the input is an item of its own.
 *
 * A loss is one inline function from an input x, its target y and pos, the weight of positive labels, to
 *     value, derivative and second derivative by x
 * (regression.h, binary.h, sigmoid_focal.h, kl_div.h). The engine goes through memory in spans that fit L1: it reads
 * them where they are or, whatever their layout and dtype, into copies, runs the loss, adds up in float64 in a fixed
 * order, and writes. An element of weight 0 counts for nothing, whatever it holds.
 */

enum {
    NAME(SPAN) = 2048 / sizeof(REAL), /* numbers of a span */
    NAME(AHEAD) = 512,                /* bytes of the next one: no more than a core can ask for at once */
};

typedef struct {
    REAL x, y, pos;
    REAL e; /* e^-|x|, for losses of logits */
} NAME(input);

typedef struct {
    REAL value, grad, hess;
} NAME(point);

typedef struct {
    REAL       gamma, alpha[2], delta, beta;
    ce_hessian hessian;
    REAL       c; /* factor of both derivatives */
} NAME(options);

/* The numbers of a span, and where the answers go; NULL: not asked for. */
typedef struct {
    const REAL *x, *y, *pos;
    REAL       *value, *grad, *hess;
} NAME(span);

typedef void (*NAME(loop))(const NAME(span) * s, int64_t n, NAME(options) o);

/* The loop over a span for one loss, once for each set of answers; what is not asked for is not computed. No subnormal
 * leaves it. Exponentials of logits have a loop of their own: more work at once than processors keep in flight would
 * wait for itself. */
#define POINTWISE(loss, of_logits)                                                                                     \
    INLINE void NAME(loss##_body)(const NAME(span) * s, int64_t n, NAME(options) o, bool values, bool slopes,          \
                                  bool curves)                                                                         \
    {                                                                                                                  \
        const REAL *x = s->x, *y = s->y, *pos = s->pos;                                                                \
        REAL       *value = s->value, *grad = s->grad, *hess = s->hess, e[NAME(SPAN)];                                 \
        if (of_logits) {                                                                                               \
            SIMD                                                                                                       \
            for (int64_t i = 0; i < n; i++) e[i] = EXP(-ABS(x[i]));                                                    \
        }                                                                                                              \
        SIMD                                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const NAME(input) in = { x[i], y[i], pos[i], of_logits ? e[i] : 0 };                                       \
            const NAME(point) p = NAME(loss)(in, o);                                                                   \
            if (values)                                                                                                \
                value[i] = NAME(normal)(p.value);                                                                      \
            if (slopes)                                                                                                \
                grad[i] = NAME(normal)(p.grad * o.c);                                                                  \
            if (curves)                                                                                                \
                hess[i] = NAME(normal)(p.hess * o.c);                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME(loss##_loop)(const NAME(span) * s, int64_t n, NAME(options) o)                                    \
    {                                                                                                                  \
        if (s->hess)                                                                                                   \
            NAME(loss##_body)(s, n, o, false, true, true);                                                             \
        else if (!s->grad)                                                                                             \
            NAME(loss##_body)(s, n, o, true, false, false);                                                            \
        else if (!s->value)                                                                                            \
            NAME(loss##_body)(s, n, o, false, true, false);                                                            \
        else                                                                                                           \
            NAME(loss##_body)(s, n, o, true, true, false);                                                             \
    }

/* a b, where 0 times anything is 0. */
INLINE REAL NAME(times)(REAL a, REAL b)
{
    return ZERO_IF(a == 0, a * b);
}

/* a, or -a where x is negative: whatever changes sign with x. */
INLINE REAL NAME(odd)(REAL x, REAL a)
{
    return BY_SIGN(x, a, -a);
}

/* What logits x are to binary losses, from |x|, so that nothing cancels: e = e^-|x|, share = sigma(|x|),
 * rest = log(1 + e). Then sigma(-|x|) = e share, log(1 + e^x) = max(x, 0) + rest. */
typedef struct {
    REAL e, share, rest;
} NAME(sigmoid);

INLINE NAME(sigmoid) NAME(sigmoid_of)(NAME(input) in)
{
    return (NAME(sigmoid)){ in.e, 1 / (1 + in.e), LOG1P_UNIT(in.e) };
}

#include "regression.h"
#include "binary.h"
#include "sigmoid_focal.h"
#include "kl_div.h"

#define LINK(...)
#define POINT(name, function, ...) NAME(name##_loop),
static const NAME(loop) NAME(points)[] = { CE_LOSSES(LINK, LINK, POINT) };
#undef LINK
#undef POINT

/* The next n numbers of an array: themselves, a copy, or NULL where there is no array. */
static const REAL *NAME(gather)(walk *w, int64_t n, REAL *copy)
{
    if (!w->run)
        return NULL;
    for (int64_t i = 0, some; i < n; i += some) {
        char *p;
        some = walk_on(w, n - i, &p);
        if (w->type != TYPE)
            NAME(read)(copy + i, p, w->type, w->step, some);
        else if (some == n && w->step == sizeof(REAL))
            return (const REAL *)p;
        else
            for (int64_t j = 0; j < some; j++) copy[i + j] = *(const REAL *)(p + j * w->step);
    }
    return copy;
}

/* Where the next n numbers of an output are to be put: there, or into the copy that scatter then takes. */
static REAL *NAME(place)(walk *w, int64_t n, REAL *copy)
{
    const int64_t left = w->done == w->size ? w->size : w->size - w->done;
    char         *p;

    if (!w->run)
        return NULL;
    if (w->type != TYPE || w->step != sizeof(REAL) || left < n)
        return copy;
    walk_on(w, n, &p);
    return (REAL *)p;
}

static void NAME(scatter)(walk *w, int64_t n, const REAL *copy)
{
    for (int64_t i = 0, some; w->run && i < n; i += some) {
        char *p;
        some = walk_on(w, n - i, &p);
        if (w->type == TYPE && some < LANES)
            for (int64_t j = 0; j < some; j++) *(REAL *)(p + j * w->step) = copy[i + j];
        else
            NAME(write)(p, w->type, w->step, copy + i, some);
    }
}

/* Derivatives times c, weight and upstream gradient, in float64; 0 where the weight is. */
static void NAME(scale_span)(REAL *x, double c, const REAL *weight, const REAL *upstream, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const double factor = c * (double)weight[i] * (double)upstream[i];
        x[i] = ZERO_IF(weight[i] == 0, NAME(normal)((REAL)((double)x[i] * factor)));
    }
}

/* Adds the losses, in float64 and times the weights, the i-th to lane i, and leaves in value what was added. A loss of
 * weight 0 is 0. */
static void NAME(sum_span)(REAL *value, const REAL *weight, int64_t n, double *sums)
{
    double wide[NAME(SPAN)];

    for (int64_t i = n; i % NAME(STEP); i++) value[i] = wide[i] = 0;
    if (!weight) {
        for (const REAL *v = value; v < value + n; v += NAME(STEP))
            LANE(l)
                sums[l] +=
                    ((double)v[l] + (double)v[l + LANES]) + ((double)v[l + 2 * LANES] + (double)v[l + 3 * LANES]);
        return;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        wide[i] = (double)ZERO_IF(weight[i] == 0, value[i]) * (double)weight[i];
        value[i] = NAME(normal)((REAL)wide[i]);
    }
    for (const double *v = wide; v < wide + n; v += NAME(STEP))
        LANE(l) sums[l] += (v[l] + v[l + LANES]) + (v[l + 2 * LANES] + v[l + 3 * LANES]);
}

/* Limits that float32 cannot hold become those that it can. */
static REAL NAME(limit)(double x)
{
    return x == 0 ? 0 : x > (double)MAX_FINITE ? MAX_FINITE : x < (double)MIN_NORMAL ? MIN_NORMAL : (REAL)x;
}

static NAME(options) NAME(options_of)(const ce_job *job, double c)
{
    const double alpha = job->alpha;

    return (NAME(options)){ (REAL)job->gamma,
                            { (REAL)(alpha < 0 ? 1 : 1 - alpha), (REAL)(alpha < 0 ? 1 : alpha) },
                            NAME(limit)(job->delta),
                            NAME(limit)(job->beta),
                            job->hessian,
                            (REAL)c };
}

OUTLINE void NAME(run_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    REAL ones[NAME(SPAN)], copy[5][NAME(SPAN)], value[NAME(SPAN)], grad[NAME(SPAN)], hess[NAME(SPAN)];
    const NAME(loop) loop = NAME(points)[plan->job->loss - LINKS];
    const bool weighted = grid->data[CE_V] != NULL;
    const bool plain = !weighted && !grid->data[CE_UPSTREAM] && fabs(plan->c) > 1e-30 && fabs(plan->c) < 1e30;
    NAME(options) o = NAME(options_of)(plan->job, plain ? plan->c : 1);
    const int64_t most = last - first < NAME(SPAN) ? last - first : NAME(SPAN);
    walk          w[CE_ARRAYS];

    for (int a = 0; a < CE_ARRAYS; a++) w[a] = walk_from(grid, a, first);
    for (int64_t i = 0; i < most; i++) ones[i] = 1;
    for (int64_t i = first, n; i < last; i += n) {
        n = last - i < most ? last - i : most;
        const REAL *x = NAME(gather)(&w[CE_Z], n, copy[0]), *y = NAME(gather)(&w[CE_OTHER], n, copy[1]);
        const REAL *pos = NAME(gather)(&w[CE_POS], n, copy[2]), *weight = NAME(gather)(&w[CE_V], n, copy[3]);
        const REAL *upstream = NAME(gather)(&w[CE_UPSTREAM], n, copy[4]);
        const NAME(span) s = { x,
                               y,
                               pos ? pos : ones,
                               plan->job->valued ? value : NULL,
                               NAME(place)(&w[CE_GRAD], n, grad),
                               NAME(place)(&w[CE_HESS], n, hess) };

        loop(&s, n, o);
        fetch((uintptr_t)(x + n), NAME(AHEAD)); /* the processor fetches on from there, while sums are formed */
        fetch((uintptr_t)(y + n), NAME(AHEAD));
        if (s.value) {
            NAME(sum_span)(value, weight, n, sums);
            NAME(scatter)(&w[CE_VALUE], n, value);
        }
        if (s.grad && !plain)
            NAME(scale_span)(s.grad, plan->c, weight ? weight : ones, upstream ? upstream : ones, n);
        if (s.hess && plan->job->hessian == CE_ABS) /* the gradient's size, weights included */
            for (int64_t j = 0; j < n; j++) s.hess[j] = ABS(s.grad[j]);
        else if (s.hess && !plain)
            NAME(scale_span)(s.hess, plan->c, weight ? weight : ones, upstream ? upstream : ones, n);
        if (s.grad == grad)
            NAME(scatter)(&w[CE_GRAD], n, grad);
        if (s.hess == hess)
            NAME(scatter)(&w[CE_HESS], n, hess);
    }
}

/* The first number that is no probability, or n. */
static int64_t NAME(first_outside)(const REAL *x, int64_t n)
{
    int64_t good = 0, i = 0;

    for (int64_t j = 0; j < n; j++) good += (x[j] >= 0) & (x[j] <= 1);
    while (good < n && i < n - 1 && x[i] >= 0 && x[i] <= 1) i++; /* another thread may write meanwhile */
    return good < n ? i : n;
}

/* Z, and the first element that is no probability. */
static void NAME(check_points)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_loss *loss = ce_loss_row(plan->job->loss);
    const bool     in_unit = loss->first == CE_UNIT;
    const bool     weighted = loss->mean == CE_BY_WEIGHT && grid->data[CE_V] && plan->job->reduction == CE_MEAN;
    walk w = walk_from(grid, CE_V, first), wx = walk_from(grid, CE_Z, first), wy = walk_from(grid, CE_OTHER, first);
    REAL copy[NAME(SPAN)];

    block->bad = -1;
    block->z = weighted ? 0 : (double)(last - first);
    for (int64_t i = first, n; (weighted || in_unit) && block->bad < 0 && i < last; i += n) {
        n = last - i < NAME(SPAN) ? last - i : NAME(SPAN);
        if (weighted)
            block->z += NAME(total)(NAME(gather)(&w, n, copy), n);
        if (in_unit) {
            const int64_t x = NAME(first_outside)(NAME(gather)(&wx, n, copy), n);
            const int64_t y = NAME(first_outside)(NAME(gather)(&wy, n, copy), n);
            block->bad = x < y && x < n ? i + x : y < n ? i + y : -1;
        }
    }
}
