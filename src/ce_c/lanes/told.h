/* told.h - statistics of LANES items side by side: of a panel, and of one panel after the other. */
#ifndef CE_LANES_TOLD_H
#define CE_LANES_TOLD_H

#include "lanes/gaps.h"
#include "softmax/stats.h"

/* Where the maxima stand first, and how many classes come before the targets; the latter from the last class on. */
OUTLINE void tell_panel(const panel_task *task, const real *z, int64_t n, const real *edge, const real *top,
                        const lane_sums *to)
{
    real_bits above[LANES] = { 0 }, at[LANES] = { 0 }, t[LANES];

    for (int l = 0; l < LANES; l++) t[l] = task->t ? (real_bits)(task->t[l] - task->first) : 0;
    for (int64_t k = n; k-- > 0;) {
        const real *const of = z + k * LANES;
        const real_bits class = (real_bits)k;
        LANE(l) at[l] = of[l] == top[l] ? class : at[l];
        LANE(l) above[l] += (of[l] > edge[l]) | ((of[l] == edge[l]) & (class < t[l]));
    }
    for (int l = 0; l < LANES; l++) {
        to->above[l] = above[l];
        to->argmax[l] = task->first + at[l];
        to->heat[l] = 0;
    }
}

/* The statistics of one panel join those of the classes before it, before (m, s) does. */
static void merge_told(tile *x, int at, const lane_sums *of)
{
    for (int l = 0; l < LANES; l++) {
        const int    i = at + l;
        const bool   grows = of->m[l] > x->m[i] || x->argmax[i] < 0;
        const double by = fabs(of->m[l] - x->m[i]);
        const double low_s = grows ? x->s[i] : of->s[l], low_heat = grows ? x->heat[i] : of->heat[l];
        const double faded = by < INFINITY ? exp_f64(-by, BY_1_F64, EXP_LO_F64) : 0;

        x->heat[i] = (grows ? of->heat[l] : x->heat[i]) + (faded == 0 ? 0 : (low_heat + by * (low_s + 1)) * faded);
        x->above[i] += of->above[l];
        x->argmax[i] = grows ? of->argmax[l] : x->argmax[i];
    }
}

#endif
