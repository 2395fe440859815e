/* gaps.h - what a panel of LANES items is scanned for, and its sums: of u (m - z) and of u, and of exponentials. */
#ifndef CE_LANES_GAPS_H
#define CE_LANES_GAPS_H

#include "lanes/exps.h"
#include "softmax/factors.h"

/* What a panel of LANES items is scanned for. */
typedef struct {
    const real    *shares; /* u of each class and item, or NULL: */
    const real    *w;      /* the weights of the classes, or NULL */
    int            usual;  /* they are, see ce_plan */
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

static inline real weighted_gap(real z, real w, real m)
{
    return normal(w * gap_that_counts(z, w, m));
}

/* Adds u (m - z) of two classes, or one. */
INLINE void add_shared_pair(real *a, const real *z, const real *u, int64_t n, const real *m)
{
    if (n > 1)
        LANE(l) a[l] += weighted_gap(z[l], u[l], m[l]) + weighted_gap(z[LANES + l], u[LANES + l], m[l]);
    else
        LANE(l) a[l] += weighted_gap(z[l], u[l], m[l]);
}

/* sum += u (m - z) over at most GROUP classes, as add_class_gaps does; each with shares of its own. */
static void group_gaps_by_shares(const real *z, const real *u, int64_t n, const real *m, double *sum, double *lost)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 4) {
        add_shared_pair(a, z + k * LANES, u + k * LANES, n - k, m);
        if (k + 2 < n)
            add_shared_pair(b, z + (k + 2) * LANES, u + (k + 2) * LANES, n - k - 2, m);
    }
    LANE(l) add_group(&sum[l], &lost[l], (double)(a[l] + b[l]) / GAP_SCALE);
}

/* Adds w (m - z) of two classes, or one, w = 1 if absent. One of weight 0 has no part, whatever its gap is. */
INLINE void add_weighted_pair(real *a, const real *z, const real *w, int64_t n, const real *m)
{
    const real w_a = w ? w[0] : 1, w_b = n < 2 ? 0 : w ? w[1] : 1;

    if (w_a != 0 && w_b != 0)
        LANE(l) a[l] += w_a * gap(z[l], m[l]) + w_b * gap(z[LANES + l], m[l]);
    else if (w_a != 0)
        LANE(l) a[l] += w_a * gap(z[l], m[l]);
    else if (w_b != 0)
        LANE(l) a[l] += w_b * gap(z[LANES + l], m[l]);
}

/* The same with weights of the classes. */
static void group_gaps_by_weights(const real *z, const real *w, int64_t n, const real *m, double *sum, double *lost)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 4) {
        add_weighted_pair(a, z + k * LANES, w ? w + k : NULL, n - k, m);
        if (k + 2 < n)
            add_weighted_pair(b, z + (k + 2) * LANES, w ? w + k + 2 : NULL, n - k - 2, m);
    }
    LANE(l) add_group(&sum[l], &lost[l], (double)(a[l] + b[l]) / GAP_SCALE);
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

/* Sums over the n classes of one panel, those of gaps, too, if they are to be added up here; from: the maxima. */
static void sum_panel(const panel_task *task, real *z, int64_t n, const real *from, const lane_sums *to, gap_way way)
{
    real       sum[LANES], heat[LANES], gaps[LANES], ones[LANES] = { 0 };
    double    *s = to->s, lost[LANES] = { 0 }, heat_lost[LANES] = { 0 }, gap_lost[LANES] = { 0 };
    group_sums group = { .sum = sum, .heat = heat, .ones = ones, .gaps = gaps };

    group.reads = task->reads, group.writes = task->writes;
    LANE(l) s[l] = 0;
    for (int64_t k = 0; k < n; k += GROUP) {
        const int64_t some = smaller(n - k, GROUP);
        group.w = task->w ? task->w + k : NULL;
        sum_group_of(z + k * LANES, some, from, &group, (group_task){ task->keep, task->tells, way });
        LANE(l) add_group(&s[l], &lost[l], (double)sum[l]);
        if (way)
            LANE(l) add_group(&to->gap_sum[l], &gap_lost[l], (double)gaps[l] / GAP_SCALE);
        if (task->tells)
            LANE(l) add_group(&to->heat[l], &heat_lost[l], (double)heat[l]);
        group.reads.next += GROUP / 4 * group.reads.step;
        group.writes.next += GROUP / 4 * group.writes.step;
    }
    LANE(l)
        s[l] = unscaled(REAL_TYPE == CE_FLOAT64 ? with_lost(s[l], lost[l]) : s[l]) +
               (ones[l] > 0 ? (double)ones[l] - 1 : 0);
    if (way && REAL_TYPE == CE_FLOAT64)
        LANE(l) to->gap_sum[l] = with_lost(to->gap_sum[l], gap_lost[l]);
    if (task->tells)
        LANE(l) to->heat[l] = unscaled(REAL_TYPE == CE_FLOAT64 ? with_lost(to->heat[l], heat_lost[l]) : to->heat[l]);
}

#endif
