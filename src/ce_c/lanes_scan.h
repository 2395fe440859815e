/* lanes_scan.h - (m, s) of LANES items side by side, one in each lane.
 *
 * It serves class axes that are not contiguous, and short rows. The classes go through a panel of PANEL classes
 * by LANES items in L1, whatever their layout in memory: with K up to PANEL, memory is read once. Longer items
 * are scanned panel by panel, merged lane by lane as in row_scan.h.
 */

enum { NAME(GROUP) = 32 }; /* classes summed in the computing type */

#define EACH(l)                                                                                                        \
    SIMD                                                                                                               \
    for (int l = 0; l < some * LANES; l++)

/* Turns the logits of some classes, at most 4, into exp(z - m) times 2^64, unless they are to be kept, and adds them,
 * each to its own sum, but for those that are 1, which are counted: z is m, give or take a subnormal. */
INLINE void NAME(add_classes)(REAL *z, int some, const REAL *m, REAL *sums, BITS *hits, bool keep)
{
    REAL x[NAME(STEP)], t[NAME(STEP)], q[NAME(STEP)];

    for (int k = 0; k < some; k++)
        LANE(l) x[k * LANES + l] = z[k * LANES + l] - m[l];
    NAME(exp_stages)(q, t, x, some * LANES);
    EACH(l) q[l] = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
    if (!keep)
        EACH(l) z[l] = q[l];
    EACH(l) sums[l] += ZERO_IF(x[l] > -MIN_NORMAL, q[l]);
    for (int k = 0; k < some; k++)
        LANE(l) hits[l] += x[k * LANES + l] > -MIN_NORMAL;
}

/* Sum of the exponentials of n classes, at most GROUP, which take the place of the logits unless those are to be kept;
 * counts those left out. */
INLINE void NAME(group_sum)(REAL *z, int64_t n, const REAL *m, REAL *sum, BITS *hits, bool keep)
{
    REAL    sums[NAME(STEP)] = { 0 };
    BITS    count[LANES];
    int64_t k = 0;

    LANE(l) count[l] = hits[l];
    for (; k + 4 <= n; k += 4) {
        NAME(add_classes)(z + k * LANES, AT_ONCE, m, sums, count, keep);
        if (AT_ONCE == 2)
            NAME(add_classes)(z + (k + 2) * LANES, 2, m, sums + 2 * LANES, count, keep);
    }
    if (n % 4 == 1)
        NAME(add_classes)(z + k * LANES, 1, m, sums, count, keep);
    else if (n % 4 == 2)
        NAME(add_classes)(z + k * LANES, 2, m, sums, count, keep);
    else if (n % 4 == 3)
        NAME(add_classes)(z + k * LANES, 3, m, sums, count, keep);
    LANE(l) sum[l] = (sums[l] + sums[LANES + l]) + (sums[2 * LANES + l] + sums[3 * LANES + l]);
    LANE(l) hits[l] = count[l];
}

#undef EACH

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

static void NAME(panel_max)(const REAL *z, int64_t n, REAL *top)
{
    REAL    a[LANES], b[LANES], c[LANES];
    int64_t k = 0;

    LANE(l) top[l] = a[l] = b[l] = c[l] = -INFINITY;
    for (; k + 4 <= n; k += 4, z += 4 * LANES) {
        LANE(l) top[l] = z[l] > top[l] ? z[l] : top[l];
        LANE(l) a[l] = z[LANES + l] > a[l] ? z[LANES + l] : a[l];
        LANE(l) b[l] = z[2 * LANES + l] > b[l] ? z[2 * LANES + l] : b[l];
        LANE(l) c[l] = z[3 * LANES + l] > c[l] ? z[3 * LANES + l] : c[l];
    }
    for (; k < n; k++, z += LANES)
        LANE(l) top[l] = z[l] > top[l] ? z[l] : top[l];
    LANE(l) top[l] = a[l] > top[l] ? a[l] : top[l];
    LANE(l) b[l] = c[l] > b[l] ? c[l] : b[l];
    LANE(l) top[l] = b[l] > top[l] ? b[l] : top[l];
}

/* Of the classes of one panel. The logits turn into exponentials times 2^64, unless they are to be kept; those of the
 * targets are picked before, if all classes are here. */
static void NAME(panel_scan)(REAL *z, const REAL *shares, const REAL *w, int64_t n, bool tilted, bool keep, double *m,
                             double *s, double *tilt, double *u_sum, REAL *z_t, const REAL *all, const int32_t *spot)
{
    REAL top[LANES], from[LANES];
    BITS hits[LANES] = { 0 };

    NAME(panel_max)(z, n, top);
    LANE(l) from[l] = top[l] > -INFINITY ? top[l] : 0;
    LANE(l) m[l] = NAME(normal)(top[l]);
    LANE(l) s[l] = tilt[l] = u_sum[l] = 0;
    if (spot)
        LANE(l) z_t[l] = all[spot[l]];
    for (int64_t k = 0; tilted && k < n; k += NAME(GROUP))
        NAME(group_tilt)(z + k * LANES, shares ? shares + k * LANES : NULL, w ? w + k : NULL,
                         n - k < NAME(GROUP) ? n - k : NAME(GROUP), from, tilt);
    if (tilted)
        NAME(panel_u)(shares, w, n, u_sum);
    for (int64_t k = 0; k < n; k += NAME(GROUP)) {
        const int64_t some = n - k < NAME(GROUP) ? n - k : NAME(GROUP);
        REAL          sum[LANES];
        if (keep)
            NAME(group_sum)(z + k * LANES, some, from, sum, hits, true);
        else
            NAME(group_sum)(z + k * LANES, some, from, sum, hits, false);
        LANE(l) s[l] += (double)sum[l];
    }
    LANE(l) s[l] = unscaled(s[l]) + (hits[l] > 0 ? (double)hits[l] - 1 : 0);
}

/* n classes from class first on: the logits and the second input. */
static void NAME(load_panels)(NAME(panels) * p, const ce_grid *grid, const tile *x, int64_t first, int64_t n)
{
    NAME(load)(p->staged, p->z, grid, CE_Z, x, first, n, true);
    if (grid->data[CE_OTHER])
        NAME(load)(p->staged, p->other, grid, CE_OTHER, x, first, n, true);
}

/* Of LANES items from item `at` of the tile on: zeros for ignored ones; class probabilities become shares. */
static void NAME(prepare)(REAL *z, REAL *other, const ce_plan *plan, emission emits, const tile *x, int at,
                          int64_t first, int64_t n)
{
    const NAME(smoother) to = NAME(smoother_of)(plan);

    for (int64_t k = 0; !x->all_live && k < n; k++)
        LANE(l) z[k * LANES + l] = x->live[at + l] ? z[k * LANES + l] : 0;
    for (int64_t k = 0; emits == SHARES && k < n; k++) {
        const REAL w = plan->job->w ? ((const REAL *)plan->job->w)[first + k] : 1;
        LANE(l) {
            const REAL u = NAME(normal)(FMA(other[k * LANES + l], to.scale, to.base) * w);
            other[k * LANES + l] = x->live[at + l] ? u : 0;
        }
    }
}

/* All classes are in the panel. */
static void NAME(scan_whole)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, NAME(panels) * p, tile *x)
{
    const int64_t n = grid->classes;
    const bool tilted = plan->job->label_smoothing != 0 || link->emits == SHARES, aims = grid->data[CE_TARGET] && n > 0;
    REAL       z_t[ITEMS], e_t[ITEMS];

    for (int l = 0; aims && l < x->width; l++) x->spot[l] = (int32_t)(l / LANES * n + x->t[l]) * LANES + l % LANES;
    for (int l = 0; l < x->width; l++) x->m[l] = x->s[l] = x->dot[l] = x->lost[l] = 0;
    if (link->emits == ONE_HOT)
        NAME(gather_targets)(grid, x);
    for (int at = 0; link->emits != ONE_HOT && at < x->width; at += LANES) {
        REAL *const z = p->z + at * n, *const other = p->other + at * n;
        if (!x->all_live || link->emits == SHARES)
            NAME(prepare)(z, other, plan, link->emits, x, at, 0, n);
        if (is_dot(link->emits))
            NAME(panel_dot)(z, grid->data[CE_OTHER] ? other : NULL, n, link, x->dot + at, x->lost + at);
        else
            NAME(panel_scan)(z, link->emits == SHARES ? other : NULL, plan->job->w, n, tilted, link->emits == LOG_PROBS,
                             x->m + at, x->s + at, x->tilt + at, x->u_sum + at, z_t + at, p->z,
                             aims ? x->spot + at : NULL);
    }
    for (int l = 0; is_dot(link->emits) && l < x->width; l++) x->dot[l] = with_lost(x->dot[l], x->lost[l]);
    if (!aims || link->emits == ONE_HOT)
        return;
    SIMD
    for (int l = 0; l < x->width; l++) e_t[l] = p->z[x->spot[l]];
    SIMD
    for (int l = 0; l < x->width; l++) x->z_t[l] = (double)NAME(normal)(z_t[l]);
    SIMD
    for (int l = 0; l < x->width; l++) x->e_t[l] = (double)e_t[l] * 0x1p-64;
}

/* Panel by panel, of LANES items. */
static void NAME(scan_long)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, NAME(panels) * p, tile *x)
{
    const REAL *w = plan->job->w;
    const bool  tilted = plan->job->label_smoothing != 0 || link->emits == SHARES, dots = is_dot(link->emits);
    REAL        e[LANES];

    NAME(gather_targets)(grid, x);
    LANE(l) x->m[l] = -INFINITY, x->s[l] = x->tilt[l] = x->u_sum[l] = x->dot[l] = x->lost[l] = 0;
    for (int64_t k = 0; link->emits != ONE_HOT && k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        double        m[LANES], s[LANES], tilt[LANES], u_sum[LANES];
        NAME(load_panels)(p, grid, x, k, n);
        NAME(prepare)(p->z, p->other, plan, link->emits, x, 0, k, n);
        if (dots) {
            NAME(panel_dot)(p->z, grid->data[CE_OTHER] ? p->other : NULL, n, link, x->dot, x->lost);
            continue;
        }
        NAME(panel_scan)(p->z, link->emits == SHARES ? p->other : NULL, w ? w + k : NULL, n, tilted, true, m, s, tilt,
                         u_sum, NULL, NULL, NULL);
        if (tilted)
            NAME(tilt_merge)(x, m, tilt, u_sum);
        NAME(lanes_merge)(x, m, s);
    }
    LANE(l) x->dot[l] = with_lost(x->dot[l], dots ? x->lost[l] : 0);
    LANE(l) x->s[l] = with_lost(x->s[l], dots ? 0 : x->lost[l]);
    if (!grid->data[CE_TARGET])
        return;
    LANE(l) e[l] = EXP((REAL)x->z_t[l] - (REAL)x->m[l]);
    LANE(l) x->e_t[l] = (double)e[l];
}
