/* few.h - few classes with few options: cross-entropy, and softmax, log_softmax and logsumexp. What scan.h,
 * emit.h and links/normalisers.h do, to the bit, without what they need for all else.
 */
#ifndef CE_LANES_FEW_H
#define CE_LANES_FEW_H

#include "lanes/few_options.h"

/* Is x a factor of gradients by which exponentials times 2^64 can be multiplied at once? */
static inline bool is_common(double x)
{
    return fabs(x) > 0x1p-50 && fabs(x) < 0x1p60;
}

/* Losses whose row says so, while no option is in use but weights, label smoothing, the index that is ignored, and what
 * a mean divides by. */
static bool serves_few_classes(const ce_grid *grid, const ce_plan *plan)
{
    const unsigned simple = CE_CLASS_WEIGHT | CE_IGNORE_INDEX | CE_NORMALIZER, options = plan->in_use & ~simple;
    const real    *w = plan->job->w;
    bool           common = is_common(plan->c);

    if (!(ce_loss_row(plan->job->loss)->options & CE_FEW_CLASSES) || (options & ~(unsigned)FEW_OPTIONS) ||
        grid->classes < 2 || grid->classes > GROUP || plan->job->stats || grid->data[CE_UPSTREAM] || plan->curves)
        return false;
    if (options)
        return true;
    for (int64_t k = 0; w && k < grid->classes; k++)
        common &= w[k] == 0 || is_common(plan->c * plan->scale * (double)w[k]);
    return common;
}

/* The logits, less m and log1p(s). */
static void emit_few_log_probs(real *panel, few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = panel + at * x->n;
        real        m[LANES], subtract[LANES];
        LANE(l) m[l] = normal(x->m[at + l]), subtract[l] = normal((real)log_of_few(x, at + l));
        for (int64_t k = 0; k < x->n; k++)
            LANE(l) z[k * LANES + l] = (z[k * LANES + l] - m[l]) - subtract[l];
    }
}

/* Probabilities times c, from exponentials. */
static void emit_few_probabilities(real *panel, few_tile *x, double c)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const e = panel + at * x->n;
        real        a[LANES];
        LANE(l) a[l] = (real)(c * (double)(1 / (1 + x->sum[at + l])) * 0x1p-64);
        for (int64_t k = 0; k < x->n; k++)
            LANE(l) e[k * LANES + l] = normal(e[k * LANES + l] * a[l]);
    }
}

/* The log-sum-exps, to s. */
static void answer_few_logsumexps(const softmax_call *call, const tile *x, few_tile *few)
{
    const ce_grid *grid = call->grid;
    bool           finite = true;

    for (int at = 0; at < few->width; at += LANES)
        LANE(l) few->s[at + l] = (double)normal(few->m[at + l]) + log_of_few(few, at + l);
    for (int l = 0; l < few->width; l++) finite &= ABS(few->m[l]) < INFINITY;
    for (int l = 0; l < x->count && !finite; l++)
        if (!(ABS(few->m[l]) < INFINITY)) {
            const char *const z = item_at(grid, x, CE_Z, l);
            const bool        nan = any_nan(z, grid->type[CE_Z], grid->class_stride[CE_Z], grid->classes);
            few->s[l] = nan ? NAN : (double)few->m[l];
        }
}

/* Loads a tile and computes what is asked for: log-sum-exps in few->s, what is written of all classes in the panel. */
static void run_few_normalisers(const softmax_call *call, const tile *x, real *panel, real *staged, few_tile *few)
{
    const int64_t n = call->grid->classes;
    const bool    logs = call->link->emits == LOG_PROBS;

    load_panel(&few->z, staged, panel, false);
    for (int at = 0; at < x->width; at += LANES) {
        panel_max(panel + at * n, n, few->m + at);
        LANE(l) few->log_S[at + l] = held_against(few->m[at + l]);
    }
    sum_few(panel, few, logs || !few->derives);
    log_few(few);
    if (!few->derives) {
        answer_few_logsumexps(call, x, few);
        return;
    }
    if (logs)
        emit_few_log_probs(panel, few);
    else
        emit_few_probabilities(panel, few, call->plan->c);
    for (int l = 0; l < x->width; l++) few->s[l] = 0;
}

OUTLINE void run_few_classes(const softmax_call *call, int64_t first, int64_t last, double *sums)
{
    const ce_grid        *grid = call->grid;
    const int64_t         n = grid->classes, most = smaller(FEW_PANEL / n, FEW / LANES);
    const bool            derives = call->plan->derives;
    const bool            pure = call->plan->streams || !derives; /* what is read stays as it is */
    _Alignas(64) real     panel[FEW_PANEL * LANES], staged[GROUP * LANES];
    _Alignas(64) few_tile few;
    tile                  x;

    few.n = n, few.derives = derives, few.smooths = call->plan->job->label_smoothing != 0;
    few.w = grid->data[CE_TARGET] ? call->plan->job->w : NULL;
    few.gaps = gap_way_of(few.w, call->plan->w_usual);
    few.memory_step = grid->class_stride[CE_Z];
    few.z = (tile_numbers){ grid, &x, CE_Z, { 0, n } };
    few.grads = derives && !call->plan->streams ? (tile_numbers){ grid, &x, CE_GRAD, { 0, n } } : few.z;
    for (int64_t i = first, next; i < last; i = next) {
        const bool         ends = pure && last - i < LANES && last - first >= LANES; /* again the last LANES items */
        const int64_t      from = ends ? last - LANES : i;
        const tile_numbers of = { grid, &x, derives ? CE_GRAD : CE_Z, { 0, n } };
        locate(grid, from, last, LANES, most, &x);
        const int line = pure ? items_to_line(&of) : -1, skip = (int)(i - from);
        if (line > 0)
            x.width = LANES;
        next = line > 0 && !ends ? i + line : from + x.width;
        x.count = (int)(smaller(next, last) - from);
        few.width = x.width;
        (grid->data[CE_TARGET] ? run_few_tile : run_few_normalisers)(call, &x, panel, staged, &few);
        if (derives && line >= 0)
            store_lines(&of, panel, skip, x.count);
        else if (derives)
            store_panel(&of, staged, panel);
        add_losses(few.s + skip, x.count - skip, i - first, sums);
        write_losses(grid, few.s, &x, skip);
    }
    if (call->plan->streams)
        STREAM_END();
}

#endif
