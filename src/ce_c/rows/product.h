/* product.h - the Hessian of an item times a vector x, row by row, in float64:
 *
 *     F e_k (y_k - P / S) + G e_k T          at the target  F e_t (y_t - P / S) - G (s + 1 - e_t) T
 *     y_k = x_k - r,  P = sum_k e_k y_k,  T = sum_{k != t} e_k (x_k - x_t) = P + S (r - x_t)
 *     F = hess_scale hess_rest S,  G = hess_scale hess_e        (softmax/tile.h)
 *     and pull e_k (P / S + r)
 *
 * for any r. Nothing cancels where r is x of a class whose probability is at least a half, or else the mean of x.
 */
#ifndef CE_ROWS_PRODUCT_H
#define CE_ROWS_PRODUCT_H

#include "rows/emit.h"

/* A row, its vector, and room for a chunk of each of its exponentials and numbers. kept: the exponentials, or NULL. */
typedef struct {
    long_row    row;
    const char *x;
    ce_type     type;
    const real *kept;
    int64_t     K;
    real        m, *work;
} product_row;

static inline const real *x_from(const product_row *p, int64_t i, int64_t n)
{
    const real *const x = view_numbers(p->x + i * size_of(p->type), p->type, n, p->work + CHUNK);
    real *const       copy = p->work + CHUNK;

    if (!p->row.where)
        return x;
    if (x != copy)
        memcpy(copy, x, (size_t)n * sizeof(real));
    clear_hidden(p->row.where + i * p->row.where_step, p->row.where_step, copy, n);
    return copy;
}

/* exp(z - m) times 2^64 of n classes from class i on. */
static inline const real *e_from(const product_row *p, int64_t i, int64_t n)
{
    if (p->kept)
        return p->kept + i;
    exp_steps(p->work, z_from(&p->row, i, n, p->work), n, p->m);
    return p->work;
}

/* A class whose logit is the maximum m, which is never subnormal; any class where there is none. */
static int64_t class_of_maximum(const product_row *p)
{
    for (int64_t i = 0, n; i < p->K; i += n) {
        n = smaller(p->K - i, CHUNK);
        const real *z = z_from(&p->row, i, n, p->work);
        int64_t     k = 0;
        while (p->m != 0 && k + STEP <= n && !places_in_step(z + k, p->m)) k += STEP;
        while (k < n && normal(z[k]) != p->m) k++;
        if (k < n)
            return i + k;
    }
    return 0;
}

/* Sum of e_k (x_k - r). */
static double sum_of_products(const product_row *p, double r)
{
    double sum = 0, lost = 0;

    for (int64_t i = 0, n; i < p->K; i += n) {
        n = smaller(p->K - i, CHUNK);
        const real *x = x_from(p, i, n), *e = e_from(p, i, n);
        double      some[LANES] = { 0 };
        int64_t     k = 0;
        for (; k + LANES <= n; k += LANES)
            LANE(l) some[l] += (double)e[k + l] * 0x1p-64 * ((double)x[k + l] - r);
        for (int l = 0; k + l < n; l++) some[l] += (double)e[k + l] * 0x1p-64 * ((double)x[k + l] - r);
        add_exactly(&sum, &lost, tree_sum(some, LANES));
    }
    return with_lost(sum, lost);
}

/* The product of item l's Hessian; kept: its exponentials, relative to m, or NULL. */
static void multiply_row(const softmax_call *call, const tile *x, int l, const real *kept, real *work)
{
    const ce_grid    *grid = call->grid;
    const int64_t     K = grid->classes, t = grid->data[CE_TARGET] ? x->t[l] : -1, step = grid->class_stride[CE_GRAD];
    const double      m = x->m[l], S = x->s[l] + 1;
    const product_row p = { row_at(call, x, l),
                            item_at(grid, x, CE_VECTOR, l),
                            grid->type[CE_VECTOR],
                            kept,
                            K,
                            m > -INFINITY ? (real)m : 0,
                            work };
    char *const       to = item_at(grid, x, CE_GRAD, l);
    const double      x_a = (double)*x_from(&p, class_of_maximum(&p), 1), x_t = t < 0 ? x_a : (double)*x_from(&p, t, 1);
    const double      r = S <= 2 ? x_a : x_a + sum_of_products(&p, x_a) / S;
    const double      sum = sum_of_products(&p, r), mean = sum / S;
    const double      F = x->hess_scale[l] * x->hess_rest[l] * S, G = x->hess_scale[l] * x->hess_e[l];
    const double      g = G == 0 ? 0 : G * (sum + S * (r - x_t)), pull = x->pull[l] == 0 ? 0 : x->pull[l] * (mean + r);

    for (int64_t i = 0, n; i < K; i += n) {
        n = smaller(K - i, CHUNK);
        const real *v = x_from(&p, i, n), *e = e_from(&p, i, n);
        real *const out = work + 2 * CHUNK;
        SIMD
        for (int64_t k = 0; k < n; k++)
            out[k] = normal((real)((double)e[k] * 0x1p-64 * (F * (((double)v[k] - r) - mean) + (g + pull))));
        if (t >= i && t < i + n)
            out[t - i] =
                normal((real)(F * x->e_t[l] * ((x_t - r) - mean) - g * (x->s[l] + (1 - x->e_t[l])) + x->e_t[l] * pull));
        if (p.row.where)
            clear_hidden(p.row.where + i * p.row.where_step, p.row.where_step, out, n);
        write_numbers(to + i * step, grid->type[CE_GRAD], step, out, n);
    }
}

#endif
