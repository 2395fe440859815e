/* sums.h - two rows of logits of one item, and the divergence of their distributions: sums of terms.h's terms, by
 * chunks in the computing type.
 */
#ifndef CE_DIVERGENCES_SUMS_H
#define CE_DIVERGENCES_SUMS_H

#include "divergences/terms.h"
#include "rows/gaps.h"

/* One of the two rows: its logits; its exponentials as the scan kept them, or NULL, relative to the maxima of its
 * blocks in `pairs` or, where that is NULL, to the row's own; (m, s), and 1 / (1 + s). */
typedef struct {
    long_row       row;
    const real    *kept;
    const ce_pair *pairs;
    ce_pair        all;
    double         inv_S;
} one_row;

/* What a divergence adds up to: D(p || q) of FORWARD, D(q || p) of REVERSE, or D(p || m) and D(q || m); and the excess.
 */
typedef struct {
    double first, second, excess;
} pair_sums;

/* The item: p has the target's logits, q those that gradients are of. shift + rest: log-sum-exp of q's less that of
 * p's; shift is a difference of maxima, rest what remains. */
typedef struct {
    one_row   p, q;
    double    shift, rest;
    real      beta, other; /* the weights of both, of BETWEEN */
    real     *bases;       /* in the place of p's exponentials, what gradients are made of; or NULL */
    double    late;        /* what d is more than it was then */
    pair_sums sums;
} row_pair;

/* A chunk of the item: probabilities and d = log q - log p, filled up to whole steps by classes that are neither's. */
typedef struct {
    real p[CHUNK], q[CHUNK], d[CHUNK];
} pair_chunk;

/* The exponentials of n classes from class i on, and their factor. */
static const real *exps_from(const one_row *of, const real *z, int64_t i, int64_t n, real *room, e_scale *by)
{
    const double m = of->pairs ? of->pairs[i / BLOCK].m : of->all.m;

    *by = e_scale_of(of->inv_S, fade_of(m, of->all.m));
    if (of->kept)
        return of->kept + i;
    exp_steps(room, z, n, (real)m);
    return room;
}

/* d is the difference of logits, with what its rounding left, less that of the log-sum-exps. Where both are -inf it is
 * no matter. */
static void load_chunk(const row_pair *pair, int64_t i, int64_t n, pair_chunk *to)
{
    const real  shift = (real)pair->shift, rest = (real)(pair->rest + (pair->shift - (double)shift));
    real        y_copy[CHUNK], z_copy[CHUNK];
    e_scale     by_p, by_q;
    const real *z = z_from(&pair->p.row, i, n, z_copy), *y = z_from(&pair->q.row, i, n, y_copy);
    const real *e_p = exps_from(&pair->p, z, i, n, to->p, &by_p), *e_q = exps_from(&pair->q, y, i, n, to->q, &by_q);

    SIMD
    for (int64_t k = 0; k < n; k++) {
        const real high = y[k] - z[k], back = high - y[k], low = (y[k] - (high - back)) - (z[k] + back);
        const real d = ABS(high) < INFINITY ? ((high - shift) + low) - rest : high;
        const real p = scaled(e_p[k], by_p), q = scaled(e_q[k], by_q);
        to->d[k] = ZERO_IF((p == 0) & (q == 0), d);
        to->p[k] = p, to->q[k] = q;
    }
    for (int64_t k = n; k < up_to_step(n); k++) to->p[k] = to->q[k] = to->d[k] = 0;
}

/* The sum of n numbers, whole steps. */
static double sum_of_steps(const real *x, int64_t n)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; i < n; i += STEP) {
        LANE(l) a[l] += x[i + l];
        LANE(l) b[l] += x[i + LANES + l];
        LANE(l) c[l] += x[i + 2 * LANES + l];
        LANE(l) d[l] += x[i + 3 * LANES + l];
    }
    return add_four(a, b, c, d);
}

/* Of p and q, and their excess; of the two in their other places it is D(q || p), with -d. Whole steps. */
static pair_sums chunk_divergence(const real *p, const real *q, const real *d, real sign, int64_t n, real *excess)
{
    real phi[CHUNK], terms[CHUNK];

    SIMD
    for (int64_t k = 0; k < n; k++) phi[k] = PHI_SERIES(sign * d[k]);
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const divergence_term t = term_of(p[k], q[k], sign * d[k], phi[k]);
        terms[k] = t.term;
        excess[k] = t.excess;
    }
    return (pair_sums){ sum_of_steps(terms, n), 0, sum_of_steps(excess, n) };
}

/* In several loops: see between_ratio. */
OUTLINE pair_sums chunk_between(const row_pair *pair, const pair_chunk *c, int64_t n, real *log_q_m)
{
    const real beta = pair->beta, other = pair->other;
    real less_1[CHUNK], x[CHUNK], u[CHUNK], gap[CHUNK], *const log = log_q_m;

    SIMD
    for (int64_t k = 0; k < n; k++) {
        const decay_start s = START_DECAY(-ABS(c->d[k]));
        less_1[k] = s.t, x[k] = s.r, u[k] = s.q;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const between_ratio r = ratio_of(c->d[k], beta, other, (decay_start){ less_1[k], x[k], u[k] });
        less_1[k] = r.less_1, x[k] = r.x, u[k] = r.u;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const log_start s = START_LOG(x[k], u[k]);
        gap[k] = s.f, u[k] = s.n;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const log_pair l = LOG_FROM(x[k], (log_start){ gap[k], u[k] });
        log[k] = l.log, gap[k] = l.gap;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) u[k] = PHI_SERIES(log[k] + ABS(c->d[k]));
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const between_ratio r = { less_1[k], x[k], 0 };
        const between_term  t = between_of(c->p[k], c->q[k], c->d[k], r, (log_pair){ log[k], gap[k] }, u[k]);
        x[k] = t.of_p, u[k] = t.of_q, less_1[k] = t.excess;
        log_q_m[k] = t.log_q_m;
    }
    return (pair_sums){ sum_of_steps(x, n), sum_of_steps(u, n), sum_of_steps(less_1, n) };
}

/* What a chunk's classes, whole steps, add up to; bases: what their gradients are made of beside q, the excess of
 * FORWARD, d of REVERSE, log q/m of BETWEEN. */
static pair_sums chunk_sums(const row_pair *pair, emission emits, const pair_chunk *c, int64_t n, real *bases)
{
    real excess[CHUNK];

    if (emits == FORWARD)
        return chunk_divergence(c->p, c->q, c->d, 1, n, bases);
    if (emits == BETWEEN)
        return chunk_between(pair, c, n, bases);
    memcpy(bases, c->d, (size_t)n * sizeof(real));
    return chunk_divergence(c->q, c->p, c->d, -1, n, excess);
}

static pair_sums sums_of_pair(const row_pair *pair, emission emits, int64_t K)
{
    pair_sums  all = { 0, 0, 0 }, lost = { 0, 0, 0 };
    pair_chunk c;
    real       bases[CHUNK];

    for (int64_t i = 0, n; i < K; i += n) {
        n = smaller(K - i, CHUNK);
        load_chunk(pair, i, n, &c);
        const pair_sums some = chunk_sums(pair, emits, &c, up_to_step(n), pair->bases ? pair->bases + i : bases);
        add_exactly(&all.first, &lost.first, some.first);
        add_exactly(&all.second, &lost.second, some.second);
        add_exactly(&all.excess, &lost.excess, some.excess);
    }
    return (pair_sums){ with_lost(all.first, lost.first), with_lost(all.second, lost.second),
                        with_lost(all.excess, lost.excess) };
}

enum { MORE = 2 }; /* times that sums are made anew, at most */

/* What rounding took of the log-sum-exps is put back into d; where it shows in the divergence, the sums are made anew.
 */
static void find_divergence(row_pair *pair, emission emits, int64_t K)
{
    const double digits = REAL_TYPE == CE_FLOAT64 ? 0x1p-52 : 0x1p-23;

    pair->sums = sums_of_pair(pair, emits, K), pair->late = 0;
    for (int more = MORE; fabs(pair->sums.excess) < 0.5; more--) {
        const pair_sums *sums = &pair->sums;
        const double     off = sums->excess * (1 - 0.5 * sums->excess); /* log1p, to the digits that matter */
        const double     least = emits == BETWEEN ? smaller_of(sums->first, sums->second) : sums->first;
        pair->rest += emits == REVERSE ? -off : off;
        pair->late = !pair->bases ? 0 : emits == REVERSE ? off : -off;
        if (more == 0 || !(off * off > digits * least))
            return;
        if (pair->bases)
            pair->p.kept = NULL; /* the bases took their place */
        pair->sums = sums_of_pair(pair, emits, K), pair->late = 0;
    }
}

#endif
