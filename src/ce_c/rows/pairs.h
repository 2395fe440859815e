/* pairs.h - the pairs (m, s) of a row's blocks, merged into one:
 *     s = s_a + sum over the others of (s_b + 1) exp(m_b - m),   a the first block with m_a = m.
 */
#ifndef CE_ROWS_PAIRS_H
#define CE_ROWS_PAIRS_H

#include "softmax/steps.h"
#include "softmax/tile.h"

enum { PAIRS = KEPT / BLOCK };

/* Pairs on their way into one: whenever there is no place for another, they are merged. Until then they tell the
 * maximum of each block, which the exponentials that are kept are relative to. */
typedef struct {
    ce_pair pairs[PAIRS];
    int     n;
} pair_list;

/* The sums are compensated, for rows of millions in float64. */
static ce_pair merge_softmax(const ce_pair *p, int n)
{
    ce_pair all = { .m = p[0].m };
    double  lost = 0, gap_lost = 0, share_lost = 0, heat_lost = 0;
    double  faded[PAIRS];
    bool    owned = false;

    for (int i = 1; i < n; i++) all.m = p[i].m > all.m ? p[i].m : all.m;
    SIMD
    for (int i = 0; i < n; i++) faded[i] = exp_f64(p[i].m - all.m, BY_1_F64, EXP_LO_F64);
    for (int i = 0; i < n; i++) {
        const bool   owner = !owned && p[i].m == all.m, none = p[i].m == -INFINITY;
        const double by = all.m - p[i].m, x = owner || none ? p[i].s : (p[i].s + 1) * faded[i];
        const double heat = owner || none ? p[i].heat : faded[i] == 0 ? 0 : (p[i].heat + by * (p[i].s + 1)) * faded[i];
        const double fallen = p[i].share_sum == 0 || owner ? 0 : p[i].share_sum * (all.m - p[i].m);
        add_exactly(&all.s, &lost, x);
        add_exactly(&all.share_sum, &share_lost, p[i].share_sum);
        add_exactly(&all.gap_sum, &gap_lost, p[i].gap_sum + fallen);
        add_exactly(&all.heat, &heat_lost, heat);
        if (all.above >= 0 && (owner || p[i].above < 0))
            all.at = p[i].at;
        all.above = all.above < 0 || p[i].above < 0 ? -1 : all.above + p[i].above;
        owned |= owner;
    }
    all.s = with_lost(all.s, lost);
    all.share_sum = with_lost(all.share_sum, share_lost);
    all.gap_sum = with_lost(all.gap_sum, gap_lost);
    all.heat = with_lost(all.heat, heat_lost);
    return all;
}

static ce_pair merged_pairs(const pair_list *list, emission emits)
{
    double sum = 0, lost = 0;

    if (list->n == 1)
        return list->pairs[0];
    if (!is_class_sum(emits))
        return merge_softmax(list->pairs, list->n);
    for (int i = 0; i < list->n; i++) add_exactly(&sum, &lost, list->pairs[i].s);
    return (ce_pair){ .s = with_lost(sum, lost) };
}

static void add_pair(pair_list *list, emission emits, ce_pair next)
{
    if (list->n == PAIRS) {
        list->pairs[0] = merged_pairs(list, emits);
        list->n = 1;
    }
    list->pairs[list->n++] = next;
}

#endif
