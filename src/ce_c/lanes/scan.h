/* scan.h - (m, s) of LANES items side by side, one in each lane.
 *
 * It serves class axes that are not contiguous, and short rows. The classes go through a panel, whatever their layout
 * in memory: with K up to WHOLE, memory is read once. Longer items are scanned PANEL classes at a time, merged lane by
 * lane as the blocks of rows are.
 */
#ifndef CE_LANES_SCAN_H
#define CE_LANES_SCAN_H

#include "lanes/bend.h"
#include "lanes/exps.h"
#include "lanes/gaps.h"
#include "lanes/panel.h"
#include "lanes/told.h"
#include "softmax/class_sums.h"
#include "softmax/open.h"

static void panel_max(const real *z, int64_t n, real *top)
{
    real    a[LANES], b[LANES], c[LANES];
    int64_t k = 0;

    LANE(l) top[l] = a[l] = b[l] = c[l] = -INFINITY;
    for (; k + 4 <= n; k += 4, z += 4 * LANES) {
        LANE(l) top[l] = z[l] > top[l] ? z[l] : top[l];
        LANE(l) a[l] = z[LANES + l] > a[l] ? z[LANES + l] : a[l];
        LANE(l) b[l] = z[2 * LANES + l] > b[l] ? z[2 * LANES + l] : b[l];
        LANE(l) c[l] = z[3 * LANES + l] > c[l] ? z[3 * LANES + l] : c[l];
    }
    for (; k < n; k++, z += LANES)
        LANE(l) top[l] = z[l] > top[l] ? z[l] : top[l];
    LANE(l) top[l] = a[l] > top[l] ? a[l] : top[l];
    LANE(l) b[l] = c[l] > b[l] ? c[l] : b[l];
    LANE(l) top[l] = b[l] > top[l] ? b[l] : top[l];
}

/* Of the n classes of one panel; z_t: where the targets' logits go. */
static void scan_panel(const panel_task *task, real *z, int64_t n, const lane_sums *to, real *z_t)
{
    real top[LANES], from[LANES];
    int  high = 0;

    panel_max(z, n, top);
    LANE(l) from[l] = held_against(top[l]);
    LANE(l) high |= top[l] > (real)EVEN_GAPS;
    LANE(l) to->m[l] = normal(top[l]);
    LANE(l) to->gap_sum[l] = 0;
    if (task->spot)
        LANE(l) z_t[l] = task->all[task->spot[l]];
    const bool    apart = !task->gaps || task->shares || task->tells || high;
    const gap_way way = apart ? NO_GAPS : gap_way_of(task->w, task->usual);
    const double  share = way == WEIGHTED_GAP_SUM ? total(task->w, n) : (double)n;
    LANE(l) to->share_sum[l] = way ? share : 0;
    if (task->gaps && !way)
        panel_gaps(task, z, n, from, to);
    if (task->tells)
        tell_panel(task, z, n, task->edge ? task->edge : z_t, top, to);
    sum_panel(task, z, n, from, to, way);
}

/* (m, s) of one panel joins that of the classes before it. */
static void merge_lanes(tile *x, int at, const double *m, const double *s)
{
    double *const all_m = x->m + at, *const all_s = x->s + at, *const all_lost = x->lost + at;

    SIMD
    for (int l = 0; l < LANES; l++) {
        const double m_a = all_m[l], m_b = m[l], s_a = all_s[l], s_b = s[l], lost_a = all_lost[l];
        const bool   grows = m_b > m_a;
        const double high = grows ? m_b : m_a, low = grows ? m_a : m_b;
        const double s_high = grows ? s_b : s_a, s_low = grows ? s_a : s_b;
        const double e = exp_f64(low - high, BY_1_F64, EXP_LO_F64), faded = low == -INFINITY ? 0 : e;
        double       sum = s_high, lost = grows ? lost_a * faded : lost_a;
        add_exactly(&sum, &lost, low == -INFINITY ? s_low : (s_low + 1) * e);
        all_s[l] = sum;
        all_lost[l] = lost;
        all_m[l] = high;
    }
}

/* What the gaps of one panel add to those before it: each is taken from its own maximum. What roundings take is added
 * to lost. */
static void merge_gaps(tile *x, int at, const lane_sums *of, const lane_sums *lost)
{
    for (int l = 0; l < LANES; l++) {
        const int    i = at + l;
        const bool   grows = of->m[l] > x->m[i];
        const double fallen = grows ? x->share_sum[i] : of->share_sum[l];
        const double by = grows ? of->m[l] - x->m[i] : x->m[i] - of->m[l];
        add_exactly(&x->gap_sum[i], &lost->gap_sum[i],
                    of->gap_sum[l] + (fallen == 0 || of->m[l] == x->m[i] ? 0 : fallen * by));
        add_exactly(&x->share_sum[i], &lost->share_sum[i], of->share_sum[l]);
    }
}

static void add_lost(tile *x, const lane_sums *lost)
{
    for (int l = 0; l < x->width; l++) {
        x->s[l] = with_lost(x->s[l], x->lost[l]);
        x->gap_sum[l] = with_lost(x->gap_sum[l], lost->gap_sum[l]);
        x->share_sum[l] = with_lost(x->share_sum[l], lost->share_sum[l]);
    }
}

/* The logits and the second input. */
static void load_panels(panels *p, const softmax_call *call, const tile *x, class_range classes)
{
    const ce_grid     *grid = call->grid;
    const tile_numbers z = { grid, x, CE_Z, classes }, other = { grid, x, CE_OTHER, classes };
    real *const        raw = call->plan->inner != 0 ? p->raw : p->z;

    load_panel(&z, p->staged, raw, is_class_sum(call->link->emits));
    if (call->plan->views)
        view_panel(call, x, p, classes);
    if (grid->data[CE_OTHER])
        load_panel(&other, p->staged, p->other, true);
}

/* Of LANES items from item `at` of the tile on: zeros for ignored ones; class probabilities become shares. */
static void prepare_panel(const softmax_call *call, const tile *x, int at, real *z, real *other, class_range classes)
{
    const real    *w = call->plan->job->w;
    const smoother to = smoother_of(call->plan, call->plan->classes);

    if (!x->all_live)
        for (int64_t k = 0; k < classes.n; k++)
            LANE(l) z[k * LANES + l] = x->live[at + l] ? z[k * LANES + l] : 0;
    if (counts_classes(call->plan)) {
        prepare_open_shares(call, x, at, other, classes);
        return;
    }
    if (call->link->emits != SHARES)
        return;
    for (int64_t k = 0; k < classes.n; k++) {
        const real w_k = w ? w[classes.first + k] : 1;
        LANE(l) {
            const real u = normal(FMA(other[k * LANES + l], to.scale, to.base) * w_k);
            other[k * LANES + l] = x->live[at + l] ? u : 0;
        }
    }
}

/* What the link asks of the targets, once all exponentials are in the panel. */
static void pick_targets(const real *panel, const real *z_t, tile *x)
{
    real e_t[ITEMS];

    SIMD
    for (int l = 0; l < x->width; l++) e_t[l] = panel[x->spot[l]];
    SIMD
    for (int l = 0; l < x->width; l++) x->z_t[l] = (double)normal(z_t[l]);
    SIMD
    for (int l = 0; l < x->width; l++) x->e_t[l] = (double)e_t[l] * 0x1p-64;
}

/* Where the numbers of the targets stand in a panel of all n classes. */
static void set_spots(tile *x, int64_t n)
{
    for (int l = 0; l < x->width; l++) x->spot[l] = (int32_t)(l / LANES * n + x->t[l]) * LANES + l % LANES;
}

/* The class sums of LANES items: what roundings take is kept after every PANEL classes. */
static void add_class_sums(const softmax_call *call, const real *z, const real *other, int64_t n, tile *x, int at)
{
    for (int64_t k = 0; k < n; k += PANEL)
        panel_class_sum(call->link, z + k * LANES, call->grid->data[CE_OTHER] ? other + k * LANES : NULL,
                        smaller(n - k, PANEL), x, at);
}

/* All classes are in the panel. */
static void scan_whole(const softmax_call *call, panels *p, tile *x)
{
    const ce_grid     *grid = call->grid;
    const emission     emits = call->link->emits;
    const int64_t      n = grid->classes;
    const bool         aims = grid->data[CE_TARGET] && n > 0;
    const tile_numbers in = { grid, x, CE_Z, { 0, n } },
                       out = { grid, x, grid->data[CE_GRAD] ? CE_GRAD : CE_Z, { 0, n } };
    const tile_ahead   reads = tile_further(&in, bytes_to_next(&in)), writes = tile_further(&out, bytes_to_next(&out));
    panel_task         task = { .w = call->plan->job->w,
                                .usual = call->plan->w_usual,
                                .gaps = sums_gaps(call),
                                .keep = emits == LOG_PROBS || emits == HEAT,
                                .all = p->z,
                                .tells = call->plan->tells };
    real               z_t[ITEMS], no_edges[LANES];

    LANE(l) no_edges[l] = INFINITY;
    if (aims)
        set_spots(x, n);
    else if (grid->data[CE_TARGET]) /* of no classes: no item is live */
        for (int l = 0; l < x->width; l++) x->e_t[l] = x->z_t[l] = 0;
    for (int l = 0; l < x->width; l++) x->class_sum[l] = x->lost[l] = 0;
    if (emits == ONE_HOT || is_class_sum(emits))
        for (int l = 0; l < x->width; l++) x->m[l] = x->s[l] = 0;
    if (emits == ONE_HOT) {
        read_target_logits(call, x);
        return;
    }
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = p->z + at * n, *const other = p->other + at * n;
        const lane_sums to = { x->m + at,    x->s + at,     x->gap_sum + at, x->share_sum + at,
                               x->heat + at, x->above + at, x->argmax + at };
        if (!x->all_live || has_shares(call))
            prepare_panel(call, x, at, z, other, (class_range){ 0, n });
        task.shares = has_shares(call) ? other : NULL;
        task.spot = aims ? x->spot + at : NULL;
        task.t = aims ? x->t + at : NULL, task.edge = aims ? NULL : no_edges;
        task.reads = of_vector(&reads, at / LANES), task.writes = of_vector(&writes, at / LANES);
        if (is_class_sum(emits))
            add_class_sums(call, z, other, n, x, at);
        else
            scan_panel(&task, z, n, &to, z_t + at);
    }
    if (is_class_sum(emits))
        for (int l = 0; l < x->width; l++) x->class_sum[l] = with_lost(x->class_sum[l], x->lost[l]);
    if (aims)
        pick_targets(p->z, z_t, x);
}

/* What is taken along from panel to panel: what roundings lost of the gaps, and what the targets' logits are. */
typedef struct {
    lane_sums   lost;
    const real *edge;
} lane_luggage;

/* The classes in the panel, of the tile's items from item `at` on. */
static void scan_some(const softmax_call *call, panels *p, class_range classes, tile *x, int at,
                      const lane_luggage *along)
{
    const emission     emits = call->link->emits;
    const real *const  w = call->plan->job->w;
    const tile_numbers in = { call->grid, x, CE_Z, classes };
    const tile_ahead   reads = tile_further(&in, bytes_to_next(&in));
    real *const z = p->z + at * classes.n, *const other = p->other + at * classes.n;
    double           m[LANES], s[LANES], gap_sum[LANES], share_sum[LANES], heat[LANES];
    int64_t          above[LANES], argmax[LANES];
    const lane_sums  to = { m, s, gap_sum, share_sum, heat, above, argmax };
    const panel_task task = { .shares = has_shares(call) ? other : NULL,
                              .w = w ? w + classes.first : NULL,
                              .usual = call->plan->w_usual,
                              .gaps = sums_gaps(call),
                              .keep = true,
                              .reads = of_vector(&reads, at / LANES),
                              .writes = { (uintptr_t)p, 0, 0 },
                              .tells = call->plan->tells,
                              .edge = along->edge + at,
                              .t = call->grid->data[CE_TARGET] ? x->t + at : NULL,
                              .first = classes.first };

    prepare_panel(call, x, at, z, other, classes);
    if (is_class_sum(emits)) {
        add_class_sums(call, z, other, classes.n, x, at);
        return;
    }
    scan_panel(&task, z, classes.n, &to, NULL);
    if (task.gaps)
        merge_gaps(x, at, &to, &along->lost);
    if (task.tells)
        merge_told(x, at, &to);
    merge_lanes(x, at, m, s);
}

/* Panel by panel. */
static void scan_long(const softmax_call *call, panels *p, tile *x)
{
    const ce_grid     *grid = call->grid;
    const emission     emits = call->link->emits;
    double             gap_lost[ITEMS] = { 0 }, share_lost[ITEMS] = { 0 };
    real               edge[ITEMS];
    const lane_luggage along = { { .gap_sum = gap_lost, .share_sum = share_lost }, edge };

    read_target_logits(call, x);
    for (int l = 0; l < x->width; l++) {
        edge[l] = call->plan->tells ? edge_of(call, x, l) : 0;
        x->heat[l] = x->above[l] = 0, x->argmax[l] = -1;
        x->m[l] = -INFINITY;
        x->s[l] = x->gap_sum[l] = x->share_sum[l] = x->class_sum[l] = x->lost[l] = 0;
    }
    if (emits == ONE_HOT)
        return;
    for (int64_t k = 0; k < grid->classes; k += PANEL) {
        const class_range classes = { k, smaller(grid->classes - k, PANEL) };
        load_panels(p, call, x, classes);
        for (int at = 0; at < x->width; at += LANES) scan_some(call, p, classes, x, at, &along);
    }
    if (is_class_sum(emits))
        for (int l = 0; l < x->width; l++) x->class_sum[l] = with_lost(x->class_sum[l], x->lost[l]);
    else
        add_lost(x, &along.lost);
    if (grid->data[CE_TARGET])
        raise_targets(x);
}

#endif
