/* lanes_emit.h - what is written of LANES items side by side: in place in L1. */

/* The factor per_e of e, which stands in the panel times 2^64, in two numbers that do not overflow: (e a) b. */
typedef struct {
    REAL a[LANES], b[LANES];
} NAME(scales);

static void NAME(scales_of)(const double *per_e, NAME(scales) * to)
{
    LANE(l) {
        const bool large = fabs(per_e[l]) >= 0x1p-60;
        to->a[l] = (REAL)(large ? per_e[l] * 0x1p-64 : 0x1p-64);
        to->b[l] = (REAL)(large ? 1 : per_e[l]);
    }
}

#define SCALED(e) NAME(normal)(((e) * f.a[l]) * f.b[l])

/* Turns a panel of exponentials into Hessians, see hess_of. */
static void NAME(panel_hess)(REAL *panel, int64_t n, emission emits, const tile *x, int at)
{
    NAME(scales) f;
    REAL s[LANES], part[LANES], bend[LANES], unit[LANES];

    if (emits == ONE_HOT) {
        memset(panel, 0, (size_t)n * LANES * sizeof(REAL));
        return;
    }
    NAME(scales_of)(x->curve + at, &f);
    for (int l = 0; l < LANES; l++) {
        const NAME(bender) b = NAME(bender_of)(x->bend[at + l], (REAL)0x1p-64);
        s[l] = NAME(normal)((REAL)x->s[at + l]), part[l] = (REAL)x->part[at + l];
        bend[l] = b.bend, unit[l] = b.unit;
    }
    for (int64_t i = 0; i < n * LANES; i += LANES)
        LANE(l) {
            const REAL e = panel[i + l], rest = (s[l] + (1 - e * (REAL)0x1p-64)) * part[l];
            panel[i + l] = NAME(normal)(SCALED(e) * FMA(bend[l], e * unit[l], rest));
        }
}

#define EMIT(value)                                                                                                    \
    for (int64_t i = 0; i < n * LANES; i += LANES)                                                                     \
        LANE(l) to[i + l] = value

/* Without exponentials: z holds logits, or y. */
static void NAME(panel_linear)(const REAL *z, const REAL *other, REAL *to, int64_t n, emission emits, const tile *x,
                               int at)
{
    REAL m[LANES], shift[LANES], dot[LANES], low[LANES];

    LANE(l) m[l] = (REAL)x->m[at + l], shift[l] = NAME(normal)((REAL)x->shift[at + l]), dot[l] = (REAL)x->dot[at + l];
    LANE(l) low[l] = NAME(low_of)(x->dot[at + l], dot[l]);
    if (emits == ONE_HOT)
        EMIT(0);
    else if (emits == LOG_PROBS)
        EMIT((z[i + l] - m[l]) - shift[l]);
    else if (emits == DOT)
        EMIT(NAME(normal)(z[i + l] * (other[i + l] - dot[l] - low[l])));
    else
        EMIT(NAME(normal)(other[i + l] - NAME(exp_any)(z[i + l]) * dot[l]));
}

/* From exponentials e times 2^64 and, in SHARES, the shares. */
static void NAME(panel_grad)(const REAL *e, const REAL *u, REAL *to, const REAL *w, int64_t n, emission emits,
                             bool smooth, const tile *x, int at)
{
    NAME(scales) f;
    REAL s[LANES], shift[LANES], sum[LANES], low[LANES], inv[LANES];

    NAME(scales_of)(x->per_e + at, &f);
    if (emits == PROBABILITIES && !smooth) {
        EMIT(SCALED(e[i + l]));
        return;
    }
    LANE(l) shift[l] = NAME(normal)((REAL)x->shift[at + l]);
    if (emits == PROBABILITIES) {
        for (int64_t k = 0; k < n; k++) {
            const REAL w_k = w ? w[k] : 1;
            LANE(l) to[k * LANES + l] = NAME(normal)(SCALED(e[k * LANES + l]) - NAME(normal)(shift[l] * w_k));
        }
        return;
    }
    for (int l = 0; l < LANES; l++) {
        const NAME(shared) all = NAME(shared_of)(x->u_sum[at + l]);
        s[l] = NAME(normal)((REAL)x->s[at + l]), sum[l] = all.sum, low[l] = all.low, inv[l] = all.inv;
    }
    EMIT(NAME(normal)(SCALED(e[i + l]) * (NAME(normal)(sum[l] - u[i + l] + low[l]) * inv[l]) -
                      NAME(normal)(shift[l] * u[i + l]) * (s[l] + (1 - e[i + l] * (REAL)0x1p-64))));
}

#undef EMIT
#undef SCALED

/* Gradients and Hessians of n classes from class first on, of LANES items from item `at` of the tile on. The gradients
 * go to `to`, the Hessians to z. */
static void NAME(panel_emit)(const ce_plan *plan, emission emits, REAL *z, const REAL *other, REAL *to, int64_t first,
                             int64_t n, const tile *x, int at)
{
    const REAL *w = plan->job->w;

    if (emits == PROBABILITIES || emits == SHARES)
        NAME(panel_grad)(z, other, to, w ? w + first : NULL, n, emits, plan->job->label_smoothing != 0, x, at);
    else
        NAME(panel_linear)(z, other, to, n, emits, x, at);
    if (plan->curves)
        NAME(panel_hess)(z, n, emits, x, at);
}

static void NAME(store_panels)(NAME(panels) * p, const REAL *grad, const ce_grid *grid, const tile *x, int64_t first,
                               int64_t n)
{
    if (grid->data[CE_GRAD])
        NAME(store)(p->staged, grad, grid, CE_GRAD, x, first, n);
    if (grid->data[CE_HESS])
        NAME(store)(p->staged, p->z, grid, CE_HESS, x, first, n);
}

/* All classes are in the panel. */
static void NAME(emit_whole)(const ce_grid *grid, const ce_plan *plan, emission emits, NAME(panels) * p, REAL *to,
                             const tile *x)
{
    const int64_t n = grid->classes;
    REAL          put[ITEMS];

    for (int at = 0; at < x->width; at += LANES)
        NAME(panel_emit)(plan, emits, p->z + at * n, p->other + at * n, to + at * n, 0, n, x, at);
    for (int l = 0; l < x->width; l++) put[l] = NAME(normal)((REAL)x->grad_t[l]);
    SIMD
    for (int l = 0; l < (grid->data[CE_TARGET] && n > 0 ? x->width : 0); l++) to[x->spot[l]] = put[l];
    for (int l = 0; plan->curves && grid->data[CE_TARGET] && n > 0 && l < x->width; l++)
        p->z[x->spot[l]] = NAME(normal)((REAL)x->hess_t[l]);
    NAME(store_panels)(p, to, grid, x, 0, n);
}

/* Panel by panel, of LANES items: logits are read again and turned into exponentials. */
static void NAME(emit_long)(const ce_grid *grid, const ce_plan *plan, emission emits, NAME(panels) * p, REAL *to,
                            const tile *x)
{
    REAL m[LANES];

    LANE(l) m[l] = (REAL)x->m[l];
    for (int64_t k = 0; k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        if (emits != ONE_HOT) {
            NAME(load_panels)(p, grid, x, k, n);
            NAME(prepare)(p->z, p->other, plan, emits, x, 0, k, n);
        }
        for (int64_t i = 0; (emits == PROBABILITIES || emits == SHARES) && i < n * LANES; i += LANES)
            LANE(l) p->z[i + l] = EXP_2_64(p->z[i + l] - m[l]);
        NAME(panel_emit)(plan, emits, p->z, p->other, to, k, n, x, 0);
        for (int l = 0; grid->data[CE_TARGET] && l < LANES; l++) {
            const int64_t spot = (x->t[l] - k) * LANES + l;
            if (spot < 0 || spot >= n * LANES)
                continue;
            to[spot] = NAME(normal)((REAL)x->grad_t[l]);
            if (plan->curves)
                p->z[spot] = NAME(normal)((REAL)x->hess_t[l]);
        }
        NAME(store_panels)(p, to, grid, x, k, n);
    }
}

OUTLINE void NAME(lanes)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                         double *sums)
{
    const int64_t K = grid->classes, fit = K > 0 ? NAME(PANEL) / K : 1;
    const bool    whole = K <= NAME(PANEL), in_place = !grid->data[CE_OTHER] && !plan->curves;
    NAME(panels) p;
    REAL *const grads = in_place ? p.z : p.other;
    tile        x;

    for (int64_t i = first; i < last; i += x.width) {
        locate(grid, i, last, LANES, !whole ? 1 : fit < WIDE ? fit : WIDE, &x);
        NAME(open)(grid, plan, &x);
        if (whole && link->emits != ONE_HOT)
            NAME(load_panels)(&p, grid, &x, 0, K);
        (whole ? NAME(scan_whole) : NAME(scan_long))(grid, plan, link, &p, &x);
        NAME(link)(grid, plan, link, &x);
        if (plan->derives)
            (whole ? NAME(emit_whole) : NAME(emit_long))(grid, plan, link->emits, &p, grads, &x);
        NAME(close)(grid, &x, sums);
    }
}
