/* dots.h - sums over the classes that are no softmax: of g y or g, for the backward passes of the normalisers, and of
 * terms of one distribution or two. By rows and by lanes.
 */

/* Sum of g y, or of g alone, n at most CHUNK; float64 products of float32 are exact. */
static double NAME(chunk_dot)(const REAL *g, const REAL *y, int64_t n)
{
    double  a[LANES] = { 0 };
    int64_t i = 0;

    for (; y && i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)g[i + l] * (double)y[i + l];
    for (; !y && i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)g[i + l];
    for (int l = 0; i + l < n; l++) a[l] += (double)g[i + l] * (y ? (double)y[i + l] : 1);
    return tree_sum(a, LANES);
}

/* Sum of the terms of p and q (1 if absent), n at most CHUNK; of p = 0 and q = 1 the term is 0. */
static double NAME(chunk_terms)(ce_term term, const REAL *p, const REAL *q, int64_t n)
{
    double sums[TILE] = { 0 };

    for (int64_t i = 0; i < n; i += TILE) {
        const int some = n - i < TILE ? (int)(n - i) : TILE;
        double    a[TILE] = { 0 }, b[TILE], terms[TILE];
        for (int l = 0; l < TILE; l++) b[l] = 1;
        for (int l = 0; l < some; l++) a[l] = WIDEN(p[i + l]);
        for (int l = 0; q && l < some; l++) b[l] = WIDEN(q[i + l]);
        term(a, b, terms);
        for (int l = 0; l < TILE; l++) sums[l] += terms[l];
    }
    return tree_sum(sums, TILE);
}

/* Of a part of a long row, n classes from class first on. */
static ce_pair NAME(row_dot)(const NAME(row) * row, const ce_link *link, int64_t first, int64_t n)
{
    double sum = 0, lost = 0;

    for (int64_t i = first, some; i < first + n; i += some) {
        REAL z_copy[VIEWED(NAME(CHUNK))], q_copy[VIEWED(NAME(CHUNK))];
        some = first + n - i < NAME(CHUNK) ? first + n - i : NAME(CHUNK);
        const REAL *z = NAME(view)(row->z + i * size_of(row->type), row->type, some, z_copy);
        const REAL *q = row->q ? NAME(view)(row->q + i * size_of(row->q_type), row->q_type, some, q_copy) : NULL;
        add_exactly(&sum, &lost,
                    link->emits == TERMS ? NAME(chunk_terms)(link->term, z, q, some)
                                         : NAME(chunk_dot)(q, link->emits == DOT ? z : NULL, some));
    }
    return (ce_pair){ 0, with_lost(sum, lost), 0, 0 };
}

/* g and y in their panels; adds the sum of g y, of g, or of terms to dot, what roundings take from it to lost. */
static void NAME(panel_dot)(const REAL *y, const REAL *g, int64_t n, const ce_link *link, double *dot, double *lost)
{
    double sum[TILE] = { 0 }, more[TILE] = { 0 };

    for (int64_t k = 0; link->emits == TERMS && k < n; k++) {
        double p[TILE] = { 0 }, q[TILE], terms[TILE];
        for (int l = 0; l < TILE; l++) q[l] = 1;
        LANE(l) p[l] = WIDEN(y[k * LANES + l]);
        for (int l = 0; g && l < LANES; l++) q[l] = WIDEN(g[k * LANES + l]);
        link->term(p, q, terms);
        LANE(l) sum[l] += terms[l];
    }
    for (int64_t k = 0; link->emits == DOT && k < n; k++) {
        double *const to = k % 2 ? more : sum;
        LANE(l) to[l] += (double)g[k * LANES + l] * (double)y[k * LANES + l];
    }
    for (int64_t k = 0; link->emits == DOT_EXP && k < n; k++) {
        double *const to = k % 2 ? more : sum;
        LANE(l) to[l] += (double)g[k * LANES + l];
    }
    LANE(l) sum[l] += more[l];
    for (int l = 0; l < LANES; l++) add_exactly(&dot[l], &lost[l], sum[l]);
}
