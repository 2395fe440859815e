/* row_scan.h - (m, s) of one long, contiguous row.
 *
 * Per BLOCK a loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a
 * pair (m, s), and the pairs are merged at the end (rows.h):
 *     s = s_a + sum over the others of (s_b + 1) exp(m_b - m),   a the first block with m_a = m.
 */

/* The maxima of n numbers, at most CHUNK, by lanes. */
static void NAME(row_max)(REAL *top, const REAL *z, int64_t n)
{
    REAL    a[LANES], b[LANES], c[LANES], d[LANES];
    int64_t i = 0;

    LANE(l) a[l] = b[l] = c[l] = d[l] = -INFINITY;
    for (; i + NAME(STEP) <= n; i += NAME(STEP)) {
        LANE(l) a[l] = z[i + l] > a[l] ? z[i + l] : a[l];
        LANE(l) b[l] = z[i + LANES + l] > b[l] ? z[i + LANES + l] : b[l];
        LANE(l) c[l] = z[i + 2 * LANES + l] > c[l] ? z[i + 2 * LANES + l] : c[l];
        LANE(l) d[l] = z[i + 3 * LANES + l] > d[l] ? z[i + 3 * LANES + l] : d[l];
    }
    for (; i + LANES <= n; i += LANES)
        LANE(l) a[l] = z[i + l] > a[l] ? z[i + l] : a[l];
    for (int l = 0; i + l < n; l++) b[l] = z[i + l] > b[l] ? z[i + l] : b[l];
    LANE(l) a[l] = b[l] > a[l] ? b[l] : a[l];
    LANE(l) c[l] = d[l] > c[l] ? d[l] : c[l];
    LANE(l) top[l] = c[l] > a[l] ? c[l] : a[l];
}

static REAL NAME(largest)(const REAL *top)
{
    REAL x[LANES];

    LANE(l) x[l] = top[l];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) x[l] = x[l + half] > x[l] ? x[l + half] : x[l];
    return x[0];
}

#define STEPS(l)                                                                                                       \
    SIMD                                                                                                               \
    for (int l = 0; l < NAME(STEP); l++)

/* exp(x - m) of STEP numbers, as exp_f32 and exp_f64, but stage by stage: each is a chain of operations that wait for
 * one another, and only so many wait at a time. */
INLINE void NAME(exp_step)(REAL *e, const REAL *z, REAL m, REAL by, REAL lo)
{
    REAL x[NAME(STEP)], t[NAME(STEP)], r[NAME(STEP)], q[NAME(STEP)];

    STEPS(l) x[l] = z[l] - m;
    STEPS(l) t[l] = EXP_WHOLE(x[l], by);
    STEPS(l) r[l] = EXP_REST(x[l], t[l], by);
    STEPS(l) q[l] = EXP_HIGH(r[l]);
    STEPS(l) q[l] = EXP_LOW(q[l], r[l]);
    STEPS(l) e[l] = EXP_SCALED(q[l], t[l], x[l], lo);
}

/* Does one of n numbers equal m, give or take a subnormal? */
INLINE bool NAME(holds)(const REAL *z, int n, REAL m)
{
    BITS any = 0;

    for (int l = 0; l < n; l++) any |= ABS(z[l] - m) < MIN_NORMAL;
    return any;
}

/* Zeros e where z equals m; counts those. */
static int NAME(step_without)(REAL *e, const REAL *z, REAL m)
{
    int hits = 0;

    for (int l = 0; l < NAME(STEP); l++) {
        const bool hit = ABS(z[l] - m) < MIN_NORMAL;
        hits += hit;
        e[l] = ZERO_IF(hit, e[l]);
    }
    return hits;
}

/* n numbers, at most STEP, filled up with what exp turns into 0. */
static const REAL *NAME(step_filled)(REAL *copy, const REAL *z, int64_t n)
{
    STEPS(l) copy[l] = -INFINITY;
    memcpy(copy, z, (size_t)n * sizeof(REAL));
    return copy;
}

/* Adds to the sums, by lanes, those of exp(z - m), times 2^64, of n numbers, at most CHUNK; if the maximum is to be
 * left out, of all but the first that equals m. The exponentials are kept, if asked for, also in place of z. Meanwhile
 * memory brings what comes next. */
static void NAME(row_sum)(double *sums, REAL *kept, const REAL *z, int64_t n, REAL m, bool leaves_out, uintptr_t next,
                          uintptr_t size)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; i < n; i += NAME(STEP)) {
        REAL          copy[NAME(STEP)], e[NAME(STEP)];
        const int64_t some = n - i < NAME(STEP) ? n - i : NAME(STEP);
        const REAL   *from = some < NAME(STEP) ? NAME(step_filled)(copy, z + i, some) : z + i;
        const bool    holds = leaves_out && NAME(holds)(from, NAME(STEP), m);

        fetch(next + (uintptr_t)i * size, NAME(STEP) * size);
        NAME(exp_step)(e, from, m, BY_2_64, EXP_LO_2_64);
        if (holds) {
            REAL others[NAME(STEP)];
            STEPS(l) others[l] = e[l];
            sums[0] += 0x1p64 * (NAME(step_without)(others, from, m) - 1);
            LANE(l) a[l] += others[l];
            LANE(l) b[l] += others[LANES + l];
            LANE(l) c[l] += others[2 * LANES + l];
            LANE(l) d[l] += others[3 * LANES + l];
            leaves_out = false;
        } else {
            LANE(l) a[l] += e[l];
            LANE(l) b[l] += e[LANES + l];
            LANE(l) c[l] += e[2 * LANES + l];
            LANE(l) d[l] += e[3 * LANES + l];
        }
        if (kept)
            STEPS(l) kept[i + l] = e[l];
    }
    LANE(l) sums[l] += (double)((a[l] + b[l]) + (c[l] + d[l]));
}

/* Sum of u (m - z) / 2^16, u = 1 if absent; n is a multiple of STEP, at most CHUNK. */
static double NAME(row_tilt)(const REAL *z, const REAL *u, int64_t n, REAL m)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; !u && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(gap)(z[i + l], m);
        LANE(l) b[l] += NAME(gap)(z[i + LANES + l], m);
        LANE(l) c[l] += NAME(gap)(z[i + 2 * LANES + l], m);
        LANE(l) d[l] += NAME(gap)(z[i + 3 * LANES + l], m);
    }
    for (int64_t i = 0; u && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(weighted_gap)(z[i + l], u[i + l], m);
        LANE(l) b[l] += NAME(weighted_gap)(z[i + LANES + l], u[i + LANES + l], m);
        LANE(l) c[l] += NAME(weighted_gap)(z[i + 2 * LANES + l], u[i + 2 * LANES + l], m);
        LANE(l) d[l] += NAME(weighted_gap)(z[i + 3 * LANES + l], u[i + 3 * LANES + l], m);
    }
    return NAME(sum4)(a, b, c, d);
}

/* The same for any n up to CHUNK. */
static double NAME(row_tilt_any)(const REAL *z, const REAL *u, int64_t n, REAL m)
{
    REAL    copy[NAME(CHUNK)], u_copy[NAME(CHUNK)];
    int64_t full = (n + NAME(STEP) - 1) / NAME(STEP) * NAME(STEP);

    if (n == full)
        return NAME(row_tilt)(z, u, n, m);
    for (int64_t i = 0; i < full; i++) {
        copy[i] = i < n ? z[i] : m;
        u_copy[i] = i >= n ? 0 : u ? u[i] : 1;
    }
    return NAME(row_tilt)(copy, u ? u_copy : NULL, full, m);
}

/* A long row in memory, from class first on; q: its class probabilities. */
typedef struct {
    const char *z, *q;
    ce_type     type, q_type;
    const REAL *w;
} NAME(row);

static inline NAME(row) NAME(row_of)(const ce_grid *grid, const ce_plan *plan, const tile *x)
{
    return (NAME(row)){ x->at[CE_Z][0], grid->data[CE_OTHER] ? x->at[CE_OTHER][0] : NULL, grid->type[CE_Z],
                        grid->type[CE_OTHER], plan->job->w };
}

/* u of n classes from class i on, n at most CHUNK: the shares of the classes, or else their weights. */
static const REAL *NAME(row_u)(const NAME(row) * row, const ce_plan *plan, int64_t i, int64_t n, REAL *copy)
{
    const REAL *w = row->w ? row->w + i : NULL;

    if (!row->q)
        return w;
    const NAME(smoother) to = NAME(smoother_of)(plan);
    const REAL *q = NAME(view)(row->q + i * size_of(row->q_type), row->q_type, n, copy);
    if (!w && plan->job->smoothing == 0)
        return q;
    SIMD
    for (int64_t k = 0; k < n; k++) copy[k] = FMA(q[k], to.scale, to.base) * (w ? w[k] : 1);
    return copy;
}

/* One block from class first on, n at most BLOCK. It works in a buffer of BLOCK numbers, which keeps the exponentials,
 * times 2^64, if asked for. */
static ce_pair NAME(row_block)(const NAME(row) * row, const ce_plan *plan, int64_t first, int64_t n, bool tilted,
                               bool keeps, REAL *buffer)
{
    const uintptr_t   size = (uintptr_t)size_of(row->type);
    const char *const memory = row->z + (uintptr_t)first * size;
    const REAL *const z = NAME(view)(memory, row->type, n, buffer);
    REAL              top[NAME(BLOCK) / NAME(CHUNK)][LANES], all[LANES];
    double            s[LANES] = { 0 };
    bool              left_out = false;
    ce_pair           sums = { 0, 0, 0, 0 };

    LANE(l) all[l] = -INFINITY;
    for (int64_t i = 0, c = 0; i < n; i += NAME(CHUNK), c++) {
        NAME(row_max)(top[c], z + i, n - i < NAME(CHUNK) ? n - i : NAME(CHUNK));
        LANE(l) all[l] = top[c][l] > all[l] ? top[c][l] : all[l];
    }
    const REAL m = NAME(largest)(all),
               from = m > -INFINITY ? m : 0; /* all -inf: sums to 0, or to NaN if one is there */

    for (int64_t i = 0, c = 0; i < n; i += NAME(CHUNK), c++) {
        const int64_t   some = n - i < NAME(CHUNK) ? n - i : NAME(CHUNK);
        const uintptr_t next = (uintptr_t)memory + (uintptr_t)(i + NAME(BLOCK)) * size;
        const bool      holds_max = !left_out && NAME(holds)(top[c], LANES, from);
        if (tilted) {
            REAL        copy[NAME(CHUNK)];
            const REAL *u = NAME(row_u)(row, plan, first + i, some, copy);
            sums.tilt += 0x1p16 * NAME(row_tilt_any)(z + i, u, some, from);
            sums.u += u ? NAME(total)(u, some) : (double)some;
        }
        NAME(row_sum)(s, keeps ? buffer + i : NULL, z + i, some, from, holds_max, next, size);
        left_out |= holds_max;
    }
    sums.m = NAME(normal)(m);
    sums.s = unscaled(tree_sum(s, LANES));
    return sums;
}

/* Merges pairs into one; the sum is compensated, for rows of millions in float64. */
static ce_pair NAME(row_merge)(const ce_pair *p, int n)
{
    ce_pair all = { p[0].m, 0, 0, 0 };
    double  lost = 0;
    bool    owned = false;

    for (int i = 1; i < n; i++) all.m = p[i].m > all.m ? p[i].m : all.m;
    for (int i = 0; i < n; i++) {
        const bool   owner = !owned && p[i].m == all.m;
        const double x =
            owner || p[i].m == -INFINITY ? p[i].s : (p[i].s + 1) * exp_f64(p[i].m - all.m, BY_1_F64, EXP_LO_F64);
        add_exactly(&all.s, &lost, x);
        all.u += p[i].u;
        all.tilt += p[i].u == 0 || owner ? p[i].tilt : p[i].tilt + p[i].u * (all.m - p[i].m);
        owned |= owner;
    }
    all.s = with_lost(all.s, lost);
    return all;
}
