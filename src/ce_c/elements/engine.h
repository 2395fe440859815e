/* engine.h - the element-wise engine: each number of the input is an item of its own.
 *
 * It goes through memory in spans that fit L1: it reads them where they are or, whatever their layout and dtype, into
 * copies, runs the loss (point.h), adds up in float64 in a fixed order, and writes. An element of weight 0 counts for
 * nothing, whatever it holds; one of sample weight 0 is not even checked.
 */
#ifndef CE_ELEMENTS_ENGINE_H
#define CE_ELEMENTS_ENGINE_H

#include "elements/emit.h"
#include "weights.h"

enum {
    AHEAD = 512,        /* bytes of the next span to fetch: no more than a core can ask for at once */
    ABREAST = 4 * LANES /* numbers added to the sums at a time */
};

/* Adds the losses, in float64 and times the weights, the i-th to lane i, and leaves in value what was added. A loss of
 * weight 0 is 0. */
static void sum_span(real *value, const real *weight, int64_t n, double *sums)
{
    double wide[SPAN];

    for (int64_t i = n; i % ABREAST; i++) value[i] = wide[i] = 0;
    if (!weight) {
        for (const real *v = value; v < value + n; v += ABREAST)
            LANE(l)
                sums[l] +=
                    ((double)v[l] + (double)v[l + LANES]) + ((double)v[l + 2 * LANES] + (double)v[l + 3 * LANES]);
        return;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        wide[i] = (double)ZERO_IF(weight[i] == 0, value[i]) * (double)weight[i];
        value[i] = normal((real)wide[i]);
    }
    for (const double *v = wide; v < wide + n; v += ABREAST)
        LANE(l) sums[l] += (v[l] + v[l + LANES]) + (v[l + 2 * LANES] + v[l + 3 * LANES]);
}

#define REAL_OF_NUMBER(bit, keyword, ...) .keyword = (real)job->keyword,
#define NO_NUMBER(...)
static point_options options_of(const ce_job *job, double c, double hess_c)
{
    point_options o = { CE_OPTIONS(REAL_OF_NUMBER, NO_NUMBER).hessian = job->hessian, .c = (real)c };

    o.hess_c = (real)hess_c;

    o.whole_delta = job->delta;
    o.whole_beta = job->beta;
    o.weight_of_no = (real)(job->alpha < 0 ? 1 : 1 - job->alpha);
    o.weight_of_yes = (real)(job->alpha < 0 ? 1 : job->alpha);
    return o;
}

enum { FACTORS = 64 }; /* weights at a time */

/* The next n weights times what stands in x, n at most FACTORS. */
static void times_weights(walk *w, int64_t n, double *x)
{
    real copy[FACTORS];
    for (int64_t i = 0, some; i < n; i += some) {
        char *p;
        some = walk_on(w, n - i, &p);
        if (w->type == CE_FLOAT64) {
            for (int64_t j = 0; j < some; j++) x[i + j] *= *(const double *)(p + j * w->step);
            continue;
        }
        read_numbers(copy, p, w->type, w->step, some);
        for (int64_t j = 0; j < some; j++) x[i + j] *= (double)copy[j];
    }
}

/* Can the computing type hold a walk's weights? */
static inline bool is_held(const walk *w)
{
    return !w->run || size_of(w->type) <= (int64_t)sizeof(real);
}

/* Are the factors of losses, sample weights or weights, simply the numbers of one array? */
static inline bool are_plain(const walk *v, const walk *w, double scale)
{
    return scale == 1 && is_held(v) && is_held(w) && !(v->run && w->run);
}

/* The next n factors, n at most FACTORS: products of sample weights and weights, each of them scaled. One that is 0
 * masks, whatever the other is. */
static void gather_factors(walk *v, walk *w, int64_t n, double scale, double *x)
{
    double y[FACTORS];

    for (int64_t j = 0; j < n; j++) x[j] = y[j] = scale;
    if (v->run)
        times_weights(v, n, x);
    if (!w->run)
        return;
    times_weights(w, n, y);
    for (int64_t j = 0; j < n; j++) x[j] = !v->run ? y[j] : x[j] == 0 ? 0 : x[j] * y[j];
}

/* What the losses of the next n elements are multiplied by; NULL: there are no weights. */
static const real *gather_weights(walk *v, walk *w, int64_t n, double scale, real *copy)
{
    double x[FACTORS];

    if (!v->run && !w->run)
        return NULL;
    if (are_plain(v, w, scale))
        return gather_span(v->run ? v : w, n, copy);
    for (int64_t i = 0, some; i < n; i += some) {
        some = smaller(n - i, FACTORS);
        gather_factors(v, w, some, scale, x);
        for (int64_t j = 0; j < some; j++) copy[i + j] = (real)x[j];
    }
    return copy;
}

/* Numbers that are 0 where the next n sample weights are; NULL: there are none. */
static const real *gather_masks(walk *v, int64_t n, real *copy)
{
    walk   none = { .run = NULL };
    double x[FACTORS];

    if (!v->run || is_held(v))
        return gather_span(v, n, copy);
    for (int64_t i = 0, some; i < n; i += some) {
        some = smaller(n - i, FACTORS);
        gather_factors(v, &none, some, 1, x);
        for (int64_t j = 0; j < some; j++) copy[i + j] = x[j] != 0;
    }
    return copy;
}

/* The sum of the factors, some of which float32 may not hold. */
static double sum_weights(walk *v, walk *w, int64_t n, double scale, real *copy)
{
    double x[FACTORS], sum = 0, lost = 0;

    if (are_plain(v, w, scale))
        return total(gather_weights(v, w, n, scale, copy), n);
    for (int64_t i = 0, some; i < n; i += some) {
        some = smaller(n - i, FACTORS);
        gather_factors(v, w, some, scale, x);
        for (int64_t j = 0; j < some; j++) add_exactly(&sum, &lost, x[j]);
    }
    return with_lost(sum, lost);
}

/* The first number that is no probability, and is not masked by a weight of 0; or n. Numbers from 0 to 1 are those
 * whose bits are no more than those of 1; but for -0, which is looked at closely. */
static int64_t first_outside(const real *x, const real *v, int64_t n)
{
    real_word top = 0;
    int64_t   i = 0;

    for (int64_t j = 0; j < n; j++) top = BITS(x[j]) > top ? BITS(x[j]) : top;
    if (top <= BITS((real)1))
        return n;
    while (i < n && ((x[i] >= 0 && x[i] <= 1) || (v && v[i] == 0))) i++;
    return i;
}

/* The first number of a span that the row of the loss asks to be a probability, and is none; or n. */
static int64_t first_refused(const ce_loss *loss, const span *s, int64_t n)
{
    const int64_t x = loss->first == CE_UNIT ? first_outside(s->x, NULL, n) : n;
    const int64_t y = loss->second == CE_UNIT ? first_outside(s->y, NULL, n) : n;

    return smaller(x, y);
}

/* Is a product with that number as exact in float32 as in float64? */
static inline bool is_moderate(double c)
{
    return fabs(c) > 1e-30 && fabs(c) < 1e30;
}

/* The next n numbers, and where the answers go; derivatives that are multiplied by a vector into copies. */
static span next_span(const ce_plan *plan, element_worker *at, int64_t n)
{
    const real *x = gather_span(&at->w[CE_Z], n, at->copy[0]), *y = gather_span(&at->w[CE_OTHER], n, at->copy[1]);
    const real *pos = gather_span(&at->w[CE_POS], n, at->copy[2]);

    return (span){ x,
                   y,
                   pos ? pos : at->ones,
                   plan->job->valued ? at->value : NULL,
                   plan->multiplies ? at->grad : place_span(&at->w[CE_GRAD], n, at->grad),
                   plan->multiplies ? at->hess : place_span(&at->w[CE_HESS], n, at->hess),
                   NULL };
}

/* Elements first to last, and their sums by lanes. Returns the first that is refused, if that is looked for, or -1. */
OUTLINE int64_t run_elements(const ce_grid *grid, const ce_plan *plan, span_loop loop, int64_t first, int64_t last,
                             double *sums)
{
    const bool   weighted = grid->data[CE_V] || grid->data[CE_WEIGHT] || grid->data[CE_UPSTREAM];
    const double c = plan->c, hess_c = c * plan->job->hess_scale;
    const bool   plain = !weighted && !plan->multiplies && is_moderate(c), of_hess = plain && is_moderate(hess_c);
    const point_options o = options_of(plan->job, plain ? c : 1, of_hess ? hess_c : 1);
    const int64_t       most = smaller(last - first, SPAN);
    const ce_loss      *loss = ce_loss_row(plan->job->loss);
    int64_t             bad = -1;
    element_worker      at;

    for (int a = 0; a < CE_ARRAYS; a++) at.w[a] = walk_from(grid, a, first);
    for (int64_t i = 0; i < most; i++) at.ones[i] = 1;
    for (int64_t i = first, n; i < last; i += n) {
        n = smaller(last - i, most);
        const span       s = next_span(plan, &at, n);
        const real      *weight = gather_weights(&at.w[CE_V], &at.w[CE_WEIGHT], n, plan->scale, at.copy[3]);
        const real      *upstream = gather_span(&at.w[CE_UPSTREAM], n, at.copy[4]);
        const span_scale scale = { c, plain, of_hess, weight ? weight : at.ones, upstream ? upstream : at.ones };

        loop(&s, n, o);
        fetch((uintptr_t)(s.x + n), AHEAD); /* the processor fetches on from there, while sums are formed */
        fetch((uintptr_t)(s.y + n), AHEAD);
        if (plan->checks && bad < 0) {
            const int64_t place = first_refused(loss, &s, n);
            bad = place < n ? i + place : -1;
        }
        if (s.value) {
            sum_span(at.value, weight, n, sums);
            scatter_span(&at.w[CE_VALUE], n, at.value);
        }
        write_span(plan, &at, &s, n, &scale);
    }
    return bad;
}

/* Z, and the first element that is no probability where the row of the loss asks for them. */
static void check_numbers(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_loss *loss = ce_loss_row(plan->job->loss);
    const bool     units[] = { loss->first == CE_UNIT, loss->second == CE_UNIT }, weighted = ce_weighs(plan->job);
    walk           v = walk_from(grid, CE_V, first), mask = v, w = walk_from(grid, CE_WEIGHT, first), none = w;
    walk           x = walk_from(grid, CE_Z, first), y = walk_from(grid, CE_OTHER, first);
    const double   beside = loss->mean != CE_BY_WEIGHT && v.run && w.run ? plan->scale : 1; /* that of the weights */
    real           copy[SPAN], masks[SPAN];
    double         lost = 0;

    none.run = NULL;
    for (int64_t i = first, n; block->bad < 0 && i < last; i += n) {
        n = smaller(last - i, SPAN);
        if (weighted)
            add_exactly(&block->z, &lost,
                        beside * sum_weights(&v, loss->mean == CE_BY_WEIGHT ? &w : &none, n, plan->scale, copy));
        const real   *m = units[0] || units[1] ? gather_masks(&mask, n, masks) : NULL;
        const int64_t at_x = units[0] ? first_outside(gather_span(&x, n, copy), m, n) : n;
        const int64_t at_y = units[1] ? first_outside(gather_span(&y, n, copy), m, n) : n;
        if (smaller(at_x, at_y) < n)
            block->bad = i + smaller(at_x, at_y);
    }
    block->z = with_lost(block->z, lost);
}

/* The same where there is nothing to look at, too. */
static void check_elements(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_loss *loss = ce_loss_row(plan->job->loss);
    const bool     weighted = ce_weighs(plan->job);

    block->bad = -1;
    block->z = weighted ? 0 : (double)(last - first);
    if (weighted || loss->first == CE_UNIT || loss->second == CE_UNIT)
        check_numbers(grid, plan, first, last, block);
}

#endif
