/* softmax_row.h - the softmax engine over one long, contiguous row.
 *
 * Scan: per BLOCK a loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a
 * pair (m, s), and the pairs are merged at the end, or whenever PAIRS of them have gathered:
 *     s = s_a + sum over the others of (s_b + 1) exp(m_b - m),   a the first block with m_a = m.
 * Emit: exp again, from the row that is still in L2.
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

/* Emission of n elements. grad may be z or g itself: each element is read before it is written. */
static void NAME(row_grad)(const ELEM *z, const ELEM *g, const REAL *w, ELEM *grad, int64_t n, emission emits,
                           const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->per_e[0]);
    const REAL m = (REAL)x->m[0], shift = NAME(normal)((REAL)x->shift[0]), dot = (REAL)x->dot[0];

#define EMIT(value)                                                                                                    \
    SIMD                                                                                                               \
    for (int64_t i = 0; i < n; i++) grad[i] = STORE(value)
    if (emits == LOG_PROBS)
        EMIT((LOAD(z[i]) - m) - shift);
    else if (emits == DOT)
        EMIT(NAME(normal)(LOAD(z[i]) * (LOAD(g[i]) - dot)));
    else if (emits == DOT_EXP)
        EMIT(NAME(normal)(LOAD(g[i]) - NAME(exp_any)(LOAD(z[i])) * dot));
    else if (shift == 0)
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo));
    else if (w)
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo) - shift * w[i]);
    else
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo) - shift);
#undef EMIT
}

static void NAME(row_hess)(const ELEM *z, ELEM *hess, int64_t n, const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->curve[0] / (1 + x->s[0]));
    const REAL m = (REAL)x->m[0], s = NAME(normal)((REAL)x->s[0]), r = (REAL)(1 / (1 + x->s[0]));

    SIMD
    for (int64_t i = 0; i < n; i++) hess[i] = STORE(NAME(hess_of)(LOAD(z[i]) - m, s, r, f));
}

/* n gradients go from a buffer to where they belong. */
static void NAME(row_store)(const ELEM *from, char *to, int64_t step, int64_t n, bool streams)
{
    const int64_t bytes = n * (int64_t)sizeof(ELEM),
                  lines = streams && (uintptr_t)to % LINE == 0 ? bytes / LINE * LINE : 0;

    if (step == sizeof(ELEM)) {
        stream(to, from, (size_t)lines);
        memcpy(to + lines, (const char *)from + lines, (size_t)(bytes - lines));
    } else {
        for (int64_t k = 0; k < n; k++) *(ELEM *)(to + k * step) = from[k];
    }
}

/* Chunk by chunk: into a buffer where the output is strided or streams, and always for the Hessian, so that either
 * output may lie on the logits. The first chunk is cut so that the others begin at a line of the gradient. */
static void NAME(row_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, const tile *x)
{
    const ELEM   *z = (const ELEM *)x->at[CE_Z][0], *g = (const ELEM *)x->at[CE_OTHER][0];
    const REAL   *w = plan->job->w;
    const int64_t K = grid->classes, step = grid->class_stride[CE_GRAD];
    const bool    wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS];
    const bool    direct = step == sizeof(ELEM) && !plan->streams;
    const int64_t peel = plan->streams ? (int64_t)(-(uintptr_t)x->at[CE_GRAD][0] % LINE / sizeof(ELEM)) : 0;

    for (int64_t i = 0, n = peel > 0 ? peel : NAME(CHUNK); i < K; i += n, n = NAME(CHUNK)) {
        _Alignas(LINE) ELEM grad[NAME(CHUNK)], hess[NAME(CHUNK)];
        char *const         to = wants_grad ? x->at[CE_GRAD][0] + i * step : NULL;
        ELEM *const         into = direct ? (ELEM *)to : grad;

        n = K - i < n ? K - i : n;
        if (wants_hess)
            NAME(row_hess)(z + i, hess, n, x);
        if (wants_grad) {
            NAME(row_grad)(z + i, g ? g + i : NULL, w ? w + i : NULL, into, n, emits, x);
            if (grid->data[CE_TARGET] && x->t[0] >= i && x->t[0] < i + n)
                into[x->t[0] - i] = STORE(NAME(normal)((REAL)x->at_t[0]));
            if (!direct)
                NAME(row_store)(grad, to, step, n, plan->streams);
        }
        if (wants_hess)
            NAME(row_store)(hess, x->at[CE_HESS][0] + i * grid->class_stride[CE_HESS], grid->class_stride[CE_HESS], n,
                            false);
    }
}

/* An ignored item's logits are never read. */
static void NAME(row_ignore)(const ce_grid *grid, const tile *x)
{
    for (int a = CE_GRAD; a <= CE_HESS; a++)
        for (int64_t k = 0; grid->data[a] && k < grid->classes; k++)
            *(ELEM *)(x->at[a][0] + k * grid->class_stride[a]) = STORE(0);
}

static void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                       double *sums)
{
    const bool tilted = plan->job->smoothing != 0;

    for (int64_t i = first; i < last; i++) {
        tile x;

        x.width = x.count = 1;
        x.m[0] = x.s[0] = x.dot[0] = 0;
        x.at[CE_OTHER][0] = NULL;
        NAME(open)(grid, plan, i, &x);
        if (x.all_live) {
            const ELEM *z = (const ELEM *)x.at[CE_Z][0], *g = (const ELEM *)x.at[CE_OTHER][0];
            if (link->emits == DOT || link->emits == DOT_EXP)
                x.dot[0] = NAME(row_dot)(g, link->emits == DOT ? z : NULL, grid->classes);
            else
                NAME(row_scan)(z, plan->job->w, grid->classes, tilted, &x);
            NAME(link)(grid, plan, link, &x);
            NAME(row_emit)(grid, plan, link->emits, &x);
        } else {
            x.loss[0] = 0;
            NAME(row_ignore)(grid, &x);
        }
        NAME(close)(grid, &x, sums + i % LANES);
    }
    if (plan->streams)
        STREAM_END();
}
