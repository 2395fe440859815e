/* product.h - the Hessians of items side by side times a vector: the formulas are those of rows/product.h.
 */
#ifndef CE_LANES_PRODUCT_H
#define CE_LANES_PRODUCT_H

#include "lanes/emit.h"

_Static_assert((int)WHOLE >= (int)CE_PANEL_CLASSES, "products need all classes in a panel");

/* What is the same for all classes of LANES items; v_t: the vector's numbers at the targets, where there are any. */
typedef struct {
    bool   aims;
    double v_t[LANES], r[LANES], mean[LANES], F[LANES], g[LANES], pull[LANES];
} lane_products;

/* Sums of p_k (x_k - r) in units of the exponentials; e: these times 2^64. */
static void sum_products(const real *e, const real *v, int64_t n, const double *r, double *sum)
{
    LANE(l) sum[l] = 0;
    PANEL_EACH(i, l, n) sum[l] += (double)e[i + l] * 0x1p-64 * ((double)v[i + l] - r[l]);
}

/* From exponentials e times 2^64 and the vector v. */
static void lane_products_of(const real *e, const real *v, int64_t n, const tile *x, int at, lane_products *to)
{
    double  S[LANES], sum[LANES];
    real    top[LANES] = { 0 };
    int64_t spread = 0;

    LANE(l) S[l] = x->s[at + l] + 1;
    LANE(l) spread |= S[l] > 2;
    PANEL_EACH(i, l, n) top[l] = e[i + l] == (real)0x1p64 ? v[i + l] : top[l];
    LANE(l) to->r[l] = (double)top[l];
    sum_products(e, v, n, to->r, sum);
    if (spread) {
        LANE(l) to->r[l] += S[l] > 2 ? sum[l] / S[l] : 0;
        sum_products(e, v, n, to->r, sum);
    }
    LANE(l) to->mean[l] = sum[l] / S[l];
    LANE(l) to->F[l] = x->hess_scale[at + l] * x->hess_rest[at + l] * S[l];
    for (int l = 0; l < LANES; l++) {
        const double G = x->hess_scale[at + l] * x->hess_e[at + l];
        to->g[l] = G == 0 || !to->aims ? 0 : G * (sum[l] + S[l] * (to->r[l] - to->v_t[l]));
        to->pull[l] = x->pull[at + l] == 0 ? 0 : x->pull[at + l] * (to->mean[l] + to->r[l]);
    }
}

/* LANES items from item `at` of the tile on: the products take the place of the exponentials. */
static void multiply_panel(const softmax_call *call, panels *p, const tile *x, int at)
{
    const int64_t     n = call->grid->classes;
    real *const       to = p->z + at * n;
    const real *const v = p->other + at * n;
    lane_products     f = { .aims = call->grid->data[CE_TARGET] && n > 0 };

    for (int l = 0; l < LANES && f.aims; l++) f.v_t[l] = (double)p->other[x->spot[at + l]];
    lane_products_of(to, v, n, x, at, &f);
    PANEL_EACH(i, l, n) {
        const double y = (double)v[i + l] - f.r[l] - f.mean[l];
        to[i + l] = normal((real)((double)to[i + l] * 0x1p-64 * (f.F[l] * y + (f.g[l] + f.pull[l]))));
    }
    for (int l = 0; l < LANES && f.aims; l++) {
        const double y = f.v_t[l] - f.r[l] - f.mean[l], e_t = x->e_t[at + l];
        p->z[x->spot[at + l]] =
            normal((real)(f.F[l] * e_t * y - f.g[l] * (x->s[at + l] + (1 - e_t)) + e_t * f.pull[l]));
    }
    for (int l = 0; l < LANES && !x->all_live; l++)
        for (int64_t k = 0; k < n && !x->live[at + l]; k++) to[k * LANES + l] = 0;
}

/* All classes are in the panels. */
static void multiply_whole(const softmax_call *call, panels *p, const tile *x)
{
    const class_range  all = { 0, call->grid->classes };
    const tile_numbers in = { call->grid, x, CE_VECTOR, all }, out = { call->grid, x, CE_GRAD, all };

    if (is_by_e(call->link->emits)) {
        load_panel(&in, p->staged, p->other, false);
        if (call->plan->hides)
            set_hidden(call, x, p->other, all, 0);
        for (int at = 0; at < x->width; at += LANES) multiply_panel(call, p, x, at);
    } else {
        memset(p->z, 0, (size_t)(x->width * all.n) * sizeof(real));
    }
    if (call->plan->hides)
        set_hidden(call, x, p->z, all, 0);
    store_panel(&out, p->staged, p->z);
}

#endif
