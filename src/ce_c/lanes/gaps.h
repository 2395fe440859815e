/* gaps.h - what a panel of LANES items is scanned for, and its sums of u (m - z) and of u. */
#ifndef CE_LANES_GAPS_H
#define CE_LANES_GAPS_H

#include "lanes/exps.h"
#include "softmax/factors.h"

/* What a panel of LANES items is scanned for. */
typedef struct {
    const real    *shares; /* u of each class and item, or NULL: */
    const real    *w;      /* the weights of the classes, or NULL */
    bool           gaps;   /* sums of u (m - z) are asked for */
    bool           keep;   /* logits stay; else exponentials times 2^64 take their place */
    const real    *all;    /* with spot: the numbers of the targets are picked, if all classes are here */
    const int32_t *spot;
    ahead_of       reads, writes;
    bool           tells; /* statistics are asked for: */
    const real    *edge;  /* the targets' logits, or infinity, by items; in a panel of all classes NULL */
    const int64_t *t;     /* the targets, or NULL; the first class of the panel */
    int64_t        first;
} panel_task;

/* The sums of LANES items, and their statistics. */
typedef struct {
    double  *m, *s, *gap_sum, *share_sum, *heat;
    int64_t *above, *argmax;
} lane_sums;

/* sum += u (m - z) over at most GROUP classes, each with shares of its own. */
static void group_gaps_by_shares(const real *z, const real *u, int64_t n, const real *m, double *sum, double *lost)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 2) {
        LANE(l) a[l] += weighted_gap(z[k * LANES + l], u[k * LANES + l], m[l]);
        if (k + 1 < n)
            LANE(l) b[l] += weighted_gap(z[(k + 1) * LANES + l], u[(k + 1) * LANES + l], m[l]);
    }
    LANE(l) add_group(&sum[l], &lost[l], 0x1p16 * (double)(a[l] + b[l]));
}

/* The same with weights of the classes, if any. */
static void group_gaps_by_weights(const real *z, const real *w, int64_t n, const real *m, double *sum, double *lost)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 2) {
        const real w_a = w ? w[k] : 1, w_b = k + 1 == n ? 0 : w ? w[k + 1] : 1;
        if (w_a != 0)
            LANE(l) a[l] += w_a * gap(z[k * LANES + l], m[l]);
        if (w_b != 0)
            LANE(l) b[l] += w_b * gap(z[(k + 1) * LANES + l], m[l]);
    }
    LANE(l) add_group(&sum[l], &lost[l], 0x1p16 * (double)(a[l] + b[l]));
}

/* Sums of u over n classes, see total. */
static void panel_shares(const real *u, int64_t n, double *sum)
{
    double  lost[LANES] = { 0 };
    int64_t k = 0;

    LANE(l) sum[l] = 0;
    if (REAL_TYPE == CE_FLOAT64)
        for (; k + 4 <= n; k += 4)
            LANE(l) add_exactly(&sum[l], &lost[l], sum_of_four(u + k * LANES + l));
    for (; k < n; k++)
        LANE(l) sum[l] += (double)u[k * LANES + l];
    if (REAL_TYPE == CE_FLOAT64)
        for (int l = 0; l < LANES; l++) sum[l] = with_lost(sum[l], lost[l]);
}

/* Sums of u (m - z), and of u, over n classes. */
static void panel_gaps(const panel_task *task, const real *z, int64_t n, const real *m, const lane_sums *to)
{
    const double all = task->shares ? 0 : task->w ? total(task->w, n) : (double)n;
    double       lost[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += GROUP) {
        const int64_t some = smaller(n - k, GROUP);
        if (task->shares)
            group_gaps_by_shares(z + k * LANES, task->shares + k * LANES, some, m, to->gap_sum, lost);
        else
            group_gaps_by_weights(z + k * LANES, task->w ? task->w + k : NULL, some, m, to->gap_sum, lost);
    }
    if (REAL_TYPE == CE_FLOAT64)
        LANE(l) to->gap_sum[l] = with_lost(to->gap_sum[l], lost[l]);
    LANE(l) to->share_sum[l] = all;
    if (task->shares)
        panel_shares(task->shares, n, to->share_sum);
}

#endif
