/* class_sums.h - sums over the classes that are no softmax: of g y or g, for the backward passes of the normalisers,
 * and of terms of one distribution or two. By rows and by lanes.
 */
#ifndef CE_SOFTMAX_CLASS_SUMS_H
#define CE_SOFTMAX_CLASS_SUMS_H

#include "softmax/tile.h"

/* Sum of g y, or of g alone, n at most CHUNK; float64 products of float32 are exact. */
static double chunk_products(const real *g, const real *y, int64_t n)
{
    double  a[LANES] = { 0 };
    int64_t i = 0;

    if (y)
        for (; i + LANES <= n; i += LANES)
            LANE(l) a[l] += (double)g[i + l] * (double)y[i + l];
    else
        for (; i + LANES <= n; i += LANES)
            LANE(l) a[l] += (double)g[i + l];
    for (int l = 0; i + l < n; l++) a[l] += (double)g[i + l] * (y ? (double)y[i + l] : 1);
    return tree_sum(a, LANES);
}

/* The terms of n numbers p and q (1 if absent), at most TILE, are added to the sums. Of p = 0 and q = 1 the term is 0.
 */
INLINE void add_terms(ce_term term, const real *p, const real *q, int n, double *sums)
{
    double a[TILE] = { 0 }, b[TILE], terms[TILE];

    for (int l = 0; l < TILE; l++) b[l] = 1;
    for (int l = 0; l < n; l++) a[l] = WIDEN(p[l]);
    if (q)
        for (int l = 0; l < n; l++) b[l] = WIDEN(q[l]);
    term(a, b, terms);
    SIMD
    for (int l = 0; l < TILE; l++) sums[l] += terms[l];
}

/* The sum of the terms of p and q, n at most CHUNK. */
static double chunk_terms(ce_term term, const real *p, const real *q, int64_t n)
{
    double  sums[TILE] = { 0 };
    int64_t i = 0;

    for (; i + TILE <= n; i += TILE) add_terms(term, p + i, q ? q + i : NULL, TILE, sums);
    if (i < n)
        add_terms(term, p + i, q ? q + i : NULL, (int)(n - i), sums);
    return tree_sum(sums, TILE);
}

/* Terms of the classes in a panel, item by item. */
static void panel_terms(ce_term term, const real *p_panel, const real *q_panel, int64_t n, double *sum)
{
    for (int64_t k = 0; k < n; k++) {
        double p[TILE] = { 0 }, q[TILE], terms[TILE];
        for (int l = 0; l < TILE; l++) q[l] = 1;
        LANE(l) p[l] = WIDEN(p_panel[k * LANES + l]);
        if (q_panel)
            LANE(l) q[l] = WIDEN(q_panel[k * LANES + l]);
        term(p, q, terms);
        LANE(l) sum[l] += terms[l];
    }
}

/* Sums of g y, or of g alone, in two accumulators. */
static void panel_products(const real *g, const real *y, int64_t n, double *sum)
{
    double more[TILE] = { 0 };

    for (int64_t k = 0; k < n; k++) {
        double *const to = k % 2 ? more : sum;
        if (y)
            LANE(l) to[l] += (double)g[k * LANES + l] * (double)y[k * LANES + l];
        else
            LANE(l) to[l] += (double)g[k * LANES + l];
    }
    LANE(l) sum[l] += more[l];
}

/* The first and the second input in their panels; adds to the sums of the tile's items from `at` on, and what roundings
 * take from them to lost. */
static void panel_class_sum(const ce_link *link, const real *first, const real *second, int64_t n, tile *x, int at)
{
    double sum[TILE] = { 0 };

    if (link->emits == TERMS)
        panel_terms(link->term, first, second, n, sum);
    else
        panel_products(second, link->emits == DOT ? first : NULL, n, sum);
    for (int l = 0; l < LANES; l++) add_exactly(&x->class_sum[at + l], &x->lost[at + l], sum[l]);
}

#endif
