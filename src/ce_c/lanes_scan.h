/* lanes_scan.h - (m, s) of LANES items side by side, one in each lane.
 *
 * It serves class axes that are not contiguous, and short rows. The classes go through a panel of PANEL classes
 * by LANES items in L1, whatever their layout in memory: with K up to PANEL, memory is read once. Longer items
 * are scanned panel by panel, merged lane by lane as in row_scan.h.
 */

enum { NAME(GROUP) = 32 }; /* classes summed in the computing type */

/* Terms of one class: exp(z - m) times 2^64, but 0 where z is m, give or take a subnormal, which is counted. */
static inline void NAME(add_class)(const REAL *restrict z, const REAL *restrict m, REAL *restrict sum,
                                   REAL *restrict hits)
{
    LANE(l) {
        const REAL gap = z[l] - m[l];
        const int  hit = ABS(gap) < MIN_NORMAL; /* e^gap is 1 */
        sum[l] += ZERO_IF(hit, EXP_2_64(gap));
        hits[l] += ZERO_IF(!hit, 1);
    }
}

/* sum += exp(z - m), times 2^64, over at most GROUP classes, leaving out and counting those equal to m. */
static void NAME(group_sum)(const REAL *z, int64_t n, const REAL *m, double *sum, REAL *hits)
{
    REAL    a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 }, count[LANES];
    int64_t k = 0;

    LANE(l) count[l] = hits[l];
    for (; k + 4 <= n; k += 4) {
        NAME(add_class)(z + k * LANES, m, a, count);
        NAME(add_class)(z + (k + 1) * LANES, m, b, count);
        NAME(add_class)(z + (k + 2) * LANES, m, c, count);
        NAME(add_class)(z + (k + 3) * LANES, m, d, count);
    }
    if (k < n)
        NAME(add_class)(z + k * LANES, m, a, count);
    if (k + 1 < n)
        NAME(add_class)(z + (k + 1) * LANES, m, b, count);
    if (k + 2 < n)
        NAME(add_class)(z + (k + 2) * LANES, m, c, count);
    LANE(l) sum[l] += (double)((a[l] + b[l]) + (c[l] + d[l]));
    LANE(l) hits[l] = count[l];
}

/* sum += u (m - z) over at most GROUP classes; u: the shares in their panel, or else the weights, if any. */
static void NAME(group_tilt)(const REAL *z, const REAL *shares, const REAL *w, int64_t n, const REAL *m, double *sum)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 2) {
        const bool odd = k + 1 == n;
        if (shares) {
            LANE(l) a[l] += NAME(weighted_gap)(z[k * LANES + l], shares[k * LANES + l], m[l]);
            if (!odd)
                LANE(l) b[l] += NAME(weighted_gap)(z[(k + 1) * LANES + l], shares[(k + 1) * LANES + l], m[l]);
            continue;
        }
        const REAL w_a = w ? w[k] : 1, w_b = odd ? 0 : w ? w[k + 1] : 1;
        if (w_a != 0)
            LANE(l) a[l] += w_a * NAME(gap)(z[k * LANES + l], m[l]);
        if (w_b != 0)
            LANE(l) b[l] += w_b * NAME(gap)(z[(k + 1) * LANES + l], m[l]);
    }
    LANE(l) sum[l] += 0x1p16 * (double)(a[l] + b[l]);
}

/* (m, s) of one panel joins that of the classes before it. */
static void NAME(lanes_merge)(tile *x, const double *m, const double *s)
{
    for (int l = 0; l < LANES; l++) {
        const bool   grows = m[l] > x->m[l];
        const double high = grows ? m[l] : x->m[l], low = grows ? x->m[l] : m[l];
        const double s_high = grows ? s[l] : x->s[l], s_low = grows ? x->s[l] : s[l];
        const double e = exp_f64(low - high, BY_1_F64, EXP_LO_F64), faded = low == -INFINITY ? 0 : e;
        double       sum = s_high, lost = grows ? x->lost[l] * faded : x->lost[l];
        add_exactly(&sum, &lost, low == -INFINITY ? s_low : (s_low + 1) * e);
        x->s[l] = sum;
        x->lost[l] = lost;
        x->m[l] = high;
    }
}

/* What the tilt of one panel adds to that of those before it: each is taken from its own maximum. */
static void NAME(tilt_merge)(tile *x, const double *m, const double *tilt, const double *u_sum)
{
    for (int l = 0; l < LANES; l++) {
        const bool   grows = m[l] > x->m[l];
        const double fallen = grows ? x->u_sum[l] : u_sum[l], by = grows ? m[l] - x->m[l] : x->m[l] - m[l];
        x->tilt[l] += tilt[l] + (fallen == 0 || m[l] == x->m[l] ? 0 : fallen * by);
        x->u_sum[l] += u_sum[l];
    }
}

/* Sums of u over n classes. */
static void NAME(panel_u)(const REAL *shares, const REAL *w, int64_t n, double *sum)
{
    const double all = shares ? 0 : w ? NAME(total)(w, n) : (double)n;

    LANE(l) sum[l] = all;
    for (int64_t k = 0; shares && k < n; k++)
        LANE(l) sum[l] += (double)shares[k * LANES + l];
}

static void NAME(panel_scan)(const REAL *panel, const REAL *shares, const REAL *w, int64_t n, bool tilted, bool first,
                             tile *x)
{
    REAL   top[LANES], from[LANES], hits[LANES] = { 0 };
    double m[LANES], s[LANES] = { 0 }, tilt[LANES] = { 0 }, u_sum[LANES] = { 0 };

    LANE(l) top[l] = -INFINITY;
    for (int64_t k = 0; k < n; k++)
        LANE(l) top[l] = panel[k * LANES + l] > top[l] ? panel[k * LANES + l] : top[l];
    LANE(l) from[l] = top[l] > -INFINITY ? top[l] : 0;
    for (int64_t k = 0; k < n; k += NAME(GROUP)) {
        const int64_t some = n - k < NAME(GROUP) ? n - k : NAME(GROUP);
        NAME(group_sum)(panel + k * LANES, some, from, s, hits);
        if (tilted)
            NAME(group_tilt)(panel + k * LANES, shares ? shares + k * LANES : NULL, w ? w + k : NULL, some, from, tilt);
    }
    LANE(l) s[l] = unscaled(s[l]) + (hits[l] > 0 ? (double)hits[l] - 1 : 0);
    LANE(l) m[l] = NAME(normal)(top[l]);
    if (tilted)
        NAME(panel_u)(shares, w, n, u_sum);
    if (first) {
        LANE(l) x->m[l] = m[l];
        LANE(l) x->s[l] = s[l];
        LANE(l) x->tilt[l] = tilt[l];
        LANE(l) x->u_sum[l] = u_sum[l];
        return;
    }
    if (tilted)
        NAME(tilt_merge)(x, m, tilt, u_sum);
    NAME(lanes_merge)(x, m, s);
}

/* n classes from class first on: the logits, zeros for ignored items, and the second input or the shares. */
static void NAME(load_panels)(NAME(panels) * p, const ce_grid *grid, const ce_plan *plan, emission emits, const tile *x,
                              int64_t first, int64_t n)
{
    const NAME(smoother) to = NAME(smoother_of)(plan);

    NAME(load)(p, p->z, grid, CE_Z, x, first, n);
    for (int64_t k = 0; !x->all_live && k < n; k++)
        LANE(l) p->z[k * LANES + l] = x->live[l] ? p->z[k * LANES + l] : 0;
    if (grid->data[CE_OTHER])
        NAME(load)(p, p->other, grid, CE_OTHER, x, first, n);
    if (emits != SHARES)
        return;
    for (int64_t k = 0; k < n; k++) {
        const REAL w = plan->job->w ? ((const REAL *)plan->job->w)[first + k] : 1;
        LANE(l) p->other[k * LANES + l] = x->live[l] ? FMA(p->other[k * LANES + l], to.scale, to.base) * w : 0;
    }
}

static void NAME(lanes_scan)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, NAME(panels) * p, tile *x)
{
    const REAL *w = plan->job->w;
    const bool  tilted = plan->job->smoothing != 0 || link->emits == SHARES;
    const bool  dots = link->emits == DOT || link->emits == DOT_EXP || link->emits == TERMS;

    LANE(l) x->m[l] = -INFINITY, x->s[l] = x->tilt[l] = x->u_sum[l] = x->dot[l] = x->lost[l] = 0;
    for (int64_t k = 0; link->emits != ONE_HOT && k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        NAME(load_panels)(p, grid, plan, link->emits, x, k, n);
        if (dots)
            NAME(panel_dot)(p->z, grid->data[CE_OTHER] ? p->other : NULL, n, link, x);
        else
            NAME(panel_scan)(p->z, link->emits == SHARES ? p->other : NULL, w ? w + k : NULL, n, tilted, k == 0, x);
    }
    LANE(l) x->dot[l] = with_lost(x->dot[l], dots ? x->lost[l] : 0);
    LANE(l) x->s[l] = with_lost(x->s[l], dots ? 0 : x->lost[l]);
}
