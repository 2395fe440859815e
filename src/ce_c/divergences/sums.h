/* sums.h - two rows of logits of one item, and the divergence of their distributions: sums of terms.h's terms, by
 * chunks in the computing type.
 */
#ifndef CE_DIVERGENCES_SUMS_H
#define CE_DIVERGENCES_SUMS_H

#include "divergences/terms.h"
#include "rows/gaps.h"

/* One of the two rows: its logits; its exponentials as the scan kept them, or NULL, relative to the maxima of its
 * blocks in `pairs` or, where that is NULL, to the row's own; (m, s). */
typedef struct {
    long_row       row;
    const real    *kept;
    const ce_pair *pairs;
    ce_pair        all;
} one_row;

/* The item: p has the target's logits, q those that gradients are of. shift + rest: log-sum-exp of q's less that of
 * p's; shift is a difference of maxima, rest what remains. */
typedef struct {
    one_row p, q;
    double  shift, rest;
    real    beta, other; /* the weights of both, of BETWEEN */
} row_pair;

/* A chunk of the item: probabilities and log q - log p, filled up to whole steps by classes that are neither's. */
typedef struct {
    real p[CHUNK], q[CHUNK], d[CHUNK];
} pair_chunk;

/* The probabilities of n classes from class i on. */
static void load_probabilities(const one_row *of, const real *z, int64_t i, int64_t n, real *to)
{
    const double  m = of->pairs ? of->pairs[i / BLOCK].m : of->all.m;
    const e_scale f = e_scale_of(1 / (1 + of->all.s), fade_of(m, of->all.m));
    real          e[CHUNK];
    const real   *exps = of->kept ? of->kept + i : e;

    if (!of->kept)
        exp_steps(e, z, n, (real)m);
    SIMD
    for (int64_t k = 0; k < n; k++) to[k] = scaled(exps[k], f);
}

/* log q - log p: the difference of logits, with what its rounding left, less that of the log-sum-exps. Where both are
 * -inf it is no matter. */
static void load_differences(const row_pair *pair, const real *y, const real *z, int64_t n, pair_chunk *to)
{
    const real shift = (real)pair->shift, rest = (real)(pair->rest + (pair->shift - (double)shift));

    SIMD
    for (int64_t k = 0; k < n; k++) {
        const real high = y[k] - z[k], back = high - y[k], low = (y[k] - (high - back)) - (z[k] + back);
        const real d = ABS(high) < INFINITY ? ((high - shift) + low) - rest : high;
        to->d[k] = (to->p[k] == 0 && to->q[k] == 0) ? 0 : d;
    }
}

static void load_chunk(const row_pair *pair, int64_t i, int64_t n, pair_chunk *to)
{
    const int64_t full = up_to_step(n);
    real          y_copy[CHUNK], z_copy[CHUNK];
    const real   *z = z_from(&pair->p.row, i, n, z_copy), *y = z_from(&pair->q.row, i, n, y_copy);

    load_probabilities(&pair->p, z, i, n, to->p);
    load_probabilities(&pair->q, y, i, n, to->q);
    load_differences(pair, y, z, n, to);
    for (int64_t k = n; k < full; k++) to->p[k] = to->q[k] = to->d[k] = 0;
}

/* What a divergence adds up to: D(p || q) of FORWARD, D(q || p) of REVERSE, or D(p || m) and D(q || m); and the excess.
 */
typedef struct {
    double first, second, excess;
} pair_sums;

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

/* Of p and q; of the two in their other places it is D(q || p), with -d. */
static pair_sums chunk_divergence(const real *p, const real *q, const real *d, real sign, int64_t n)
{
    real terms[CHUNK], excess[CHUNK];

    SIMD
    for (int64_t k = 0; k < n; k++) {
        const divergence_term t = term_of(p[k], q[k], sign * d[k]);
        terms[k] = t.term;
        excess[k] = t.excess;
    }
    return (pair_sums){ sum_of_steps(terms, n), 0, sum_of_steps(excess, n) };
}

/* The terms of a chunk's classes, whole steps. */
typedef struct {
    real of_p[CHUNK], of_q[CHUNK], log_q_m[CHUNK], excess[CHUNK];
} between_chunk;

OUTLINE void between_terms(const row_pair *pair, const pair_chunk *c, int64_t n, between_chunk *to)
{
    const real beta = pair->beta, other = pair->other;
    real       less_1[CHUNK], x[CHUNK], u[CHUNK], log[CHUNK], gap[CHUNK];

    SIMD
    for (int64_t k = 0; k < n; k++) {
        const between_ratio r = ratio_of(c->d[k], beta, other);
        less_1[k] = r.less_1, x[k] = r.x, u[k] = r.u;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const log_pair l = LOG_BELOW(x[k], u[k]);
        log[k] = l.log, gap[k] = l.gap;
    }
    SIMD
    for (int64_t k = 0; k < n; k++) {
        const between_ratio r = { less_1[k], x[k], u[k] };
        const between_term  t = between_of(c->p[k], c->q[k], c->d[k], r, (log_pair){ log[k], gap[k] });
        to->of_p[k] = t.of_p;
        to->of_q[k] = t.of_q;
        to->log_q_m[k] = t.log_q_m;
        to->excess[k] = t.excess;
    }
}

static pair_sums chunk_between(const row_pair *pair, const pair_chunk *c, int64_t n)
{
    between_chunk t;

    between_terms(pair, c, n, &t);
    return (pair_sums){ sum_of_steps(t.of_p, n), sum_of_steps(t.of_q, n), sum_of_steps(t.excess, n) };
}

static pair_sums sums_of_pair(const row_pair *pair, emission emits, int64_t K)
{
    pair_sums  all = { 0, 0, 0 }, lost = { 0, 0, 0 };
    pair_chunk c;

    for (int64_t i = 0, n; i < K; i += n) {
        n = smaller(K - i, CHUNK);
        load_chunk(pair, i, n, &c);
        const int64_t   full = up_to_step(n);
        const pair_sums some = emits == FORWARD   ? chunk_divergence(c.p, c.q, c.d, 1, full)
                               : emits == REVERSE ? chunk_divergence(c.q, c.p, c.d, -1, full)
                                                  : chunk_between(pair, &c, full);
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
static pair_sums divergence_of(row_pair *pair, emission emits, int64_t K)
{
    const double digits = REAL_TYPE == CE_FLOAT64 ? 0x1p-52 : 0x1p-23;
    pair_sums    sums = sums_of_pair(pair, emits, K);

    for (int more = MORE; fabs(sums.excess) < 0.5; more--) {
        const double off = sums.excess * (1 - 0.5 * sums.excess); /* log1p, to the digits that matter */
        const double least = emits == BETWEEN ? smaller_of(sums.first, sums.second) : sums.first;
        pair->rest += emits == REVERSE ? -off : off;
        if (more == 0 || !(off * off > digits * least))
            break;
        sums = sums_of_pair(pair, emits, K);
    }
    return sums;
}

#endif
