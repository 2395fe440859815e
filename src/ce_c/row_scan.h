/* row_scan.h - (m, s) of one long, contiguous row.
 *
 * Per BLOCK a loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a
 * pair (m, s), and the pairs are merged at the end, or whenever PAIRS of them have gathered:
 *     s = s_a + sum over the others of (s_b + 1) exp(m_b - m),   a the first block with m_a = m.
 */

enum { NAME(PAIRS) = 64 };

typedef struct {
    double m, s, tilt, w; /* tilt = sum w_k (m - z_k), w = sum w_k */
} NAME(pair);

static REAL NAME(row_max)(const ELEM *z, int64_t n)
{
    REAL    a[LANES], b[LANES], c[LANES], d[LANES];
    int64_t i = 0;

    LANE(l) a[l] = b[l] = c[l] = d[l] = -INFINITY;
    for (; i + NAME(STEP) <= n; i += NAME(STEP)) {
        LANE(l) a[l] = LOAD(z[i + l]) > a[l] ? LOAD(z[i + l]) : a[l];
        LANE(l) b[l] = LOAD(z[i + LANES + l]) > b[l] ? LOAD(z[i + LANES + l]) : b[l];
        LANE(l) c[l] = LOAD(z[i + 2 * LANES + l]) > c[l] ? LOAD(z[i + 2 * LANES + l]) : c[l];
        LANE(l) d[l] = LOAD(z[i + 3 * LANES + l]) > d[l] ? LOAD(z[i + 3 * LANES + l]) : d[l];
    }
    for (; i + LANES <= n; i += LANES)
        LANE(l) a[l] = LOAD(z[i + l]) > a[l] ? LOAD(z[i + l]) : a[l];
    for (int l = 0; i + l < n; l++) b[l] = LOAD(z[i + l]) > b[l] ? LOAD(z[i + l]) : b[l];
    LANE(l) a[l] = b[l] > a[l] ? b[l] : a[l];
    LANE(l) c[l] = d[l] > c[l] ? d[l] : c[l];
    LANE(l) a[l] = c[l] > a[l] ? c[l] : a[l];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) a[l] = a[l + half] > a[l] ? a[l + half] : a[l];
    return a[0];
}

/* Sum of exp(z - m), times 2^64; n is a multiple of STEP, at most CHUNK. Meanwhile memory brings what comes next. */
static double NAME(row_sum)(const ELEM *z, int64_t n, REAL m, uintptr_t next)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; i < n; i += NAME(STEP)) {
        fetch(next + (uintptr_t)i * sizeof(ELEM), NAME(STEP) * sizeof(ELEM));
        LANE(l) a[l] += EXP_2_64(LOAD(z[i + l]) - m);
        LANE(l) b[l] += EXP_2_64(LOAD(z[i + LANES + l]) - m);
        LANE(l) c[l] += EXP_2_64(LOAD(z[i + 2 * LANES + l]) - m);
        LANE(l) d[l] += EXP_2_64(LOAD(z[i + 3 * LANES + l]) - m);
    }
    return NAME(sum4)(a, b, c, d);
}

/* Copies z without its maxima, filled up to a multiple of STEP with what exp turns into 0; counts the maxima. */
static int64_t NAME(row_without)(ELEM *copy, const ELEM *z, int64_t n, REAL m)
{
    int64_t hits = 0;

    for (int64_t i = 0; i < n; i++) {
        hits += LOAD(z[i]) == m;
        copy[i] = LOAD(z[i]) == m ? STORE(-INFINITY) : z[i];
    }
    for (int64_t i = n; i % NAME(STEP); i++) copy[i] = STORE(-INFINITY);
    return hits;
}

/* Sum of w (m - z) / 2^16, w = 1 if absent; n is a multiple of STEP, at most CHUNK. */
static double NAME(row_tilt)(const ELEM *z, const REAL *w, int64_t n, REAL m)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; !w && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(gap)(LOAD(z[i + l]), m);
        LANE(l) b[l] += NAME(gap)(LOAD(z[i + LANES + l]), m);
        LANE(l) c[l] += NAME(gap)(LOAD(z[i + 2 * LANES + l]), m);
        LANE(l) d[l] += NAME(gap)(LOAD(z[i + 3 * LANES + l]), m);
    }
    for (int64_t i = 0; w && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(weighted_gap)(LOAD(z[i + l]), w[i + l], m);
        LANE(l) b[l] += NAME(weighted_gap)(LOAD(z[i + LANES + l]), w[i + LANES + l], m);
        LANE(l) c[l] += NAME(weighted_gap)(LOAD(z[i + 2 * LANES + l]), w[i + 2 * LANES + l], m);
        LANE(l) d[l] += NAME(weighted_gap)(LOAD(z[i + 3 * LANES + l]), w[i + 3 * LANES + l], m);
    }
    return NAME(sum4)(a, b, c, d);
}

/* The same for any n up to CHUNK. */
static double NAME(row_tilt_any)(const ELEM *z, const REAL *w, int64_t n, REAL m)
{
    ELEM    copy[NAME(CHUNK)];
    REAL    w_copy[NAME(CHUNK)];
    int64_t full = (n + NAME(STEP) - 1) / NAME(STEP) * NAME(STEP);

    if (n == full)
        return NAME(row_tilt)(z, w, n, m);
    for (int64_t i = 0; i < full; i++) {
        copy[i] = i < n ? z[i] : STORE(m);
        w_copy[i] = i >= n ? 0 : w ? w[i] : 1;
    }
    return NAME(row_tilt)(copy, w ? w_copy : NULL, full, m);
}

/* One block, n at most BLOCK. The maximum is left out of the one chunk that holds it first, by a copy. */
static NAME(pair) NAME(row_block)(const ELEM *z, const REAL *w, int64_t n, bool tilted)
{
    REAL top[NAME(BLOCK) / NAME(CHUNK)];
    REAL m = -INFINITY;
    bool left_out = false;
    NAME(pair) sums = { 0, 0, 0, 0 };

    for (int64_t i = 0, c = 0; i < n; i += NAME(CHUNK), c++) {
        top[c] = NAME(row_max)(z + i, n - i < NAME(CHUNK) ? n - i : NAME(CHUNK));
        m = top[c] > m ? top[c] : m;
    }
    const REAL from = m > -INFINITY ? m : 0; /* all -inf: sums to 0, or to NaN if one is there */

    for (int64_t i = 0, c = 0; i < n; i += NAME(CHUNK), c++) {
        const int64_t   some = n - i < NAME(CHUNK) ? n - i : NAME(CHUNK);
        const uintptr_t next = (uintptr_t)(z + i) + NAME(BLOCK) * sizeof(ELEM);
        const bool      holds_max = !left_out && top[c] == m;
        if (tilted)
            sums.tilt += 0x1p16 * NAME(row_tilt_any)(z + i, w ? w + i : NULL, some, from);
        if (holds_max || some % NAME(STEP)) {
            ELEM          copy[NAME(CHUNK)];
            const int64_t hits = NAME(row_without)(copy, z + i, some, holds_max ? from : (REAL)NAN);
            sums.s += NAME(row_sum)(copy, (some + NAME(STEP) - 1) / NAME(STEP) * NAME(STEP), from, next);
            if (hits > 1)
                sums.s += 0x1p64 * (double)(hits - 1);
            left_out |= holds_max;
        } else {
            sums.s += NAME(row_sum)(z + i, some, from, next);
        }
    }
    sums.m = m;
    sums.s = unscaled(sums.s);
    sums.w = !tilted ? 0 : w ? NAME(total)(w, n) : (double)n;
    return sums;
}

/* Merges pairs into one; the sum is compensated, for rows of millions in float64. */
static NAME(pair) NAME(row_merge)(const NAME(pair) * p, int n)
{
    NAME(pair) all = { p[0].m, 0, 0, 0 };
    double lost = 0;
    bool   owned = false;

    for (int i = 1; i < n; i++) all.m = p[i].m > all.m ? p[i].m : all.m;
    for (int i = 0; i < n; i++) {
        const bool   owner = !owned && p[i].m == all.m;
        const double x =
            owner || p[i].m == -INFINITY ? p[i].s : (p[i].s + 1) * exp_f64(p[i].m - all.m, BY_1_F64, EXP_LO_F64);
        add_exactly(&all.s, &lost, x);
        all.w += p[i].w;
        all.tilt += p[i].w == 0 || owner ? p[i].tilt : p[i].tilt + p[i].w * (all.m - p[i].m);
        owned |= owner;
    }
    all.s = with_lost(all.s, lost);
    return all;
}

static void NAME(row_scan)(const ELEM *z, const REAL *w, int64_t n, bool tilted, tile *x)
{
    NAME(pair) pairs[NAME(PAIRS)] = { { -INFINITY, 0, 0, 0 } };
    int gathered = 0;

    for (int64_t i = 0; i < n; i += NAME(BLOCK)) {
        if (gathered == NAME(PAIRS)) {
            pairs[0] = NAME(row_merge)(pairs, gathered);
            gathered = 1;
        }
        pairs[gathered++] = NAME(row_block)(z + i, w ? w + i : NULL, n - i < NAME(BLOCK) ? n - i : NAME(BLOCK), tilted);
    }
    pairs[0] = NAME(row_merge)(pairs, gathered);
    x->m[0] = pairs[0].m;
    x->s[0] = pairs[0].s;
    x->tilt[0] = pairs[0].tilt;
}

/* Sum of g y, or of g alone, n at most CHUNK; float64 products of float32 are exact. */
static double NAME(chunk_dot)(const ELEM *g, const ELEM *y, int64_t n)
{
    double  a[LANES] = { 0 };
    int64_t i = 0;

    for (; y && i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)LOAD(g[i + l]) * (double)LOAD(y[i + l]);
    for (; !y && i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)LOAD(g[i + l]);
    for (int l = 0; i + l < n; l++) a[l] += (double)LOAD(g[i + l]) * (y ? (double)LOAD(y[i + l]) : 1);
    return tree_sum(a, LANES);
}

static double NAME(row_dot)(const ELEM *g, const ELEM *y, int64_t n)
{
    double sum = 0, lost = 0;

    for (int64_t i = 0; i < n; i += NAME(CHUNK))
        add_exactly(&sum, &lost, NAME(chunk_dot)(g + i, y ? y + i : NULL, n - i < NAME(CHUNK) ? n - i : NAME(CHUNK)));
    return with_lost(sum, lost);
}
