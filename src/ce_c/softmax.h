/* softmax.h - the softmax engine: from logits to (m, s) and back, for one dtype.
 *
 *     m = max z_k        s = sum of exp(z_k - m) over all k but one argmax        S = 1 + s
 *
 * s, not S and not log S, is what keeps small losses and gradients exact. One visit to memory: an item's
 * outputs are written while its logits are still in cache. Two traversals, which no loss knows:
 *     rows     the class axis is contiguous and long: one item at a time, LANES neighbouring classes at once
 *     lanes    all else: LANES items at once, walking the classes, through a panel in L1
 * (row_*.h, rows.h; lanes_*.h, panel.h, transpose.h.) Here: what both share.
 *
 * The order of every sum is fixed. Sums of exponentials run over 8 float32 terms per accumulator before four of
 * them are added as a tree and go into float64, so that even terms that all round alike cost 2 or 3 units.
 */

enum {
    NAME(CHUNK) = 512,                           /* classes whose sum is kept in the computing type */
    NAME(STEP) = 4 * LANES,                      /* four accumulators hide the latency of an addition */
    NAME(BLOCK) = 16384 / sizeof(REAL),          /* classes between two merges: 16 KiB, half of a small L1 */
    NAME(KEPT) = 32 * NAME(BLOCK),               /* the longest row whose exponentials are kept: 512 KiB, in L2 */
    NAME(PANEL) = 5120 / (LANES * sizeof(REAL)), /* classes in a panel of lanes: three of 5 KiB fit a small L1 */
};

#define LANE(l)                                                                                                        \
    SIMD                                                                                                               \
    for (int l = 0; l < LANES; l++)

/* A vector of lanes, summed pairwise with three others. */
static inline double NAME(sum4)(const REAL *a, const REAL *b, const REAL *c, const REAL *d)
{
    double x[LANES];

    LANE(l) x[l] = (double)((a[l] + b[l]) + (c[l] + d[l]));
    return tree_sum(x, LANES);
}

/* No subnormal leaves: flush-to-zero mode changes nothing. */
static inline REAL NAME(normal)(REAL x)
{
    return ZERO_IF(ABS(x) < MIN_NORMAL, x);
}

/* exp of a number that may be positive, too. */
static inline REAL NAME(exp_any)(REAL x)
{
    const REAL e = EXP_WIDE(x);
    return x > EXP_HI ? (REAL)INFINITY : e;
}

/* A factor of e = exp(x), as (bend) (e unit) or, if large, as (bend unit) e. */
typedef struct {
    REAL bend, unit;
} NAME(bender);

/* Neither infinite nor subnormal: beyond the limit e is 0. */
static inline NAME(bender) NAME(bender_of)(double bend, REAL unit)
{
    const bool   small = fabs(bend) < 1;
    const double x = small ? bend : bend * (double)unit, most = 1 / (double)MIN_NORMAL;
    return (NAME(bender)){ NAME(normal)((REAL)(x > most ? most : x < -most ? -most : x)), small ? unit : 1 };
}

/* c p (part (s + 1 - p) + bend p) with p = e unit and c p given. */
INLINE REAL NAME(hess_of)(REAL e, REAL c_p, REAL unit, REAL s, REAL part, NAME(bender) b)
{
    return NAME(normal)(c_p * FMA(b.bend, e * b.unit, (s + (1 - e * unit)) * part));
}

/* What rounding x to `high` left. Where terms all but cancel, it is what remains. */
static inline REAL NAME(low_of)(double x, REAL high)
{
    return fabs((double)high) < INFINITY ? (REAL)(x - (double)high) : 0;
}

/* The sum of an item's shares u: rounded, what rounding left (u may be all of the sum but for that), and 1 / sum, 0
 * where there is nothing to share. */
typedef struct {
    REAL sum, low, inv;
} NAME(shared);

static inline NAME(shared) NAME(shared_of)(double u_sum)
{
    const REAL sum = (REAL)u_sum;
    return (NAME(shared)){ sum, NAME(low_of)(u_sum, sum), u_sum == 0 ? 0 : NAME(normal)((REAL)(1 / u_sum)) };
}

/* c p (u_sum - u) / u_sum - shift u (s + 1 - p) with p = e unit and c p given: with u all of u_sum, as for a hard
 * target, the first term vanishes. */
INLINE REAL NAME(share_of)(REAL e, REAL c_p, REAL unit, REAL u, NAME(shared) all, REAL s, REAL shift)
{
    const REAL rest = NAME(normal)(all.sum - u + all.low) * all.inv;
    return NAME(normal)(c_p * rest - NAME(normal)(shift * u) * (s + (1 - e * unit)));
}

/* u = w (q (1 - eps) + eps / K); w = 1 if absent. */
typedef struct {
    REAL scale, base;
} NAME(smoother);

static inline NAME(smoother) NAME(smoother_of)(const ce_plan *plan)
{
    const double eps = plan->job->label_smoothing;
    return (NAME(smoother)){ (REAL)(1 - eps), (REAL)(eps / plan->classes) };
}

/* (m - z) / 2^16: sums of these do not overflow. */
static inline REAL NAME(gap)(REAL z, REAL m)
{
    return FMA(z, (REAL)-0x1p-16, m * (REAL)0x1p-16);
}

/* A class weight of 0 counts for nothing, whatever it multiplies. */
static inline REAL NAME(weighted_gap)(REAL z, REAL w, REAL m)
{
    return w == 0 ? 0 : NAME(normal)(w * NAME(gap)(z, m));
}

/* Sum of n numbers. */
static double NAME(total)(const void *numbers, int64_t n)
{
    const REAL *x = numbers;
    double      a[LANES] = { 0 };
    int64_t     i = 0;

    for (; i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)x[i + l];
    for (int l = 0; i + l < n; l++) a[l] += (double)x[i + l];
    return tree_sum(a, LANES);
}

/* An item whose maximum is not finite has no s. Does it hold a NaN? */
static bool NAME(any_nan)(const char *z, ce_type type, int64_t step, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const REAL x = NAME(read_one)(z + k * step, type);
        if (x != x)
            return true;
    }
    return false;
}

/* Targets and weights of the tile's items. Nothing of an ignored item's logits is used. */
INLINE void NAME(open_items)(const ce_grid *grid, const ce_plan *plan, tile *x, int n)
{
    const ce_job *job = plan->job;
    const REAL   *w = grid->data[CE_TARGET] ? job->w : NULL;
    int64_t       live = 1;

    for (int l = 0; l < n; l++) x->v[l] = x->w_t[l] = 1;
    for (int l = 0; l < n; l++) x->upstream[l] = plan->c;
    for (int l = 0; l < n; l++) x->live[l] = 1;
    for (int l = 0; grid->data[CE_UPSTREAM] && l < n; l++)
        x->upstream[l] *= (double)*(const REAL *)item_at(grid, x, CE_UPSTREAM, l);
    if (grid->data[CE_TARGET]) {
        load_targets(grid, job, x, n);
        for (int l = 0; l < n; l++)
            x->live[l] = (x->t[l] != job->ignore_index) & ((uint64_t)x->t[l] < (uint64_t)grid->classes);
        for (int l = 0; l < n; l++) x->t[l] &= -x->live[l];
    }
    for (int l = 0; w && l < n; l++) x->w_t[l] = x->live[l] ? (double)w[x->t[l]] : 1;
    for (int l = 0; grid->data[CE_V] && l < n; l++) x->v[l] = (double)*(const REAL *)item_at(grid, x, CE_V, l);
    if (grid->data[CE_V] || w)
        for (int l = 0; l < n; l++) x->live[l] &= (x->v[l] != 0) & ((x->w_t[l] != 0) | (job->label_smoothing != 0));
    for (int l = 0; l < n; l++) live &= x->live[l];
    x->all_live = live;
}

/* The targets' logits, from memory. */
static void NAME(gather_targets)(const ce_grid *grid, tile *x)
{
    for (int l = 0; grid->data[CE_TARGET] && l < x->width; l++) {
        const char *z = item_at(grid, x, CE_Z, l) + x->t[l] * grid->class_stride[CE_Z];
        x->z_t[l] = x->live[l] ? (double)NAME(normal)(NAME(read_one)(z, grid->type[CE_Z])) : 0;
    }
}

static void NAME(open)(const ce_grid *grid, const ce_plan *plan, tile *x)
{
    if (x->width == 1)
        NAME(open_items)(grid, plan, x, 1);
    else
        NAME(open_items)(grid, plan, x, x->width);
}

/* A maximum that is not finite leaves no s; is there a NaN among the logits? */
static void NAME(settle)(const ce_grid *grid, tile *x)
{
    for (int l = 0; l < x->width; l++) {
        if (fabs(x->m[l]) < INFINITY || !x->live[l])
            continue;
        x->has_nan[l] =
            NAME(any_nan)(item_at(grid, x, CE_Z, l), grid->type[CE_Z], grid->class_stride[CE_Z], grid->classes);
        x->s[l] = NAN;
    }
}

/* log1p(s) and 1 / (1 + s). An s that is too small for the computing type is its own logarithm; of two classes it is at
 * most 1. */
INLINE void NAME(log_items)(tile *x, int64_t classes, int n)
{
    REAL s[ITEMS], log_S[ITEMS], inv_S[ITEMS];

    SIMD
    for (int l = 0; l < n; l++) s[l] = NAME(normal)((REAL)x->s[l]);
    SIMD
    for (int l = 0; l < (classes == 2 ? n : 0); l++) log_S[l] = LOG1P_UNIT(s[l]);
    SIMD
    for (int l = 0; l < (classes == 2 ? 0 : n); l++) log_S[l] = LOG1P(s[l]);
    SIMD
    for (int l = 0; l < n; l++) inv_S[l] = 1 / (1 + s[l]);
    SIMD
    for (int l = 0; l < n; l++) {
        x->log_S[l] = x->s[l] < 0x1p-60 ? x->s[l] : (double)log_S[l];
        x->inv_S[l] = (double)inv_S[l];
    }
}

/* After the scan: the link. */
static void NAME(link)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, tile *x)
{
    bool finite = true;

    for (int l = 0; l < x->width; l++) finite &= fabs(x->m[l]) < INFINITY;
    if (!finite && (link->emits == PROBABILITIES || link->emits == SHARES || link->emits == LOG_PROBS))
        NAME(settle)(grid, x);
    if (x->width == 1)
        NAME(log_items)(x, grid->classes, 1);
    else
        NAME(log_items)(x, grid->classes, x->width);
    link->fill(plan, x);
    for (int l = 0; !x->all_live && l < x->width; l++)
        if (!x->live[l]) {
            x->loss[l] = x->per_e[l] = x->shift[l] = x->grad_t[l] = 0;
            x->curve[l] = x->part[l] = x->bend[l] = x->hess_t[l] = 0;
        }
}

/* The items' losses go to their array and into the block's sums. */
static void NAME(close)(const ce_grid *grid, const tile *x, double *sums)
{
    int whole = 0;

    for (; whole + LANES <= x->count; whole += LANES)
        LANE(l) sums[l] += x->loss[whole + l];
    for (int l = whole; l < x->count; l++) sums[l - whole] += x->loss[l];
    for (int l = 0; grid->data[CE_VALUE] && l < x->count; l++)
        *(REAL *)item_at(grid, x, CE_VALUE, l) = NAME(normal)((REAL)x->loss[l]);
}
