/* emit.h - what is written of one long, contiguous row: from the exponentials that the scan kept, or computed again
 * from logits that are still in L2.
 */
#ifndef CE_ROWS_EMIT_H
#define CE_ROWS_EMIT_H

#include "rows/finish.h"
#include "rows/scale.h"
#include "rows/scan.h"

/* From exponentials, also in their place. u: the shares or weights of the classes. */
static void emit_gradients(const real *e, const real *u, real *to, emission emits, const chunk *c)
{
    const int     at = c->at;
    const int64_t n = c->n;
    const e_scale f = e_scale_of(c->x->per_e[at], c->fade);
    const real    subtract = normal((real)c->x->subtract[at]);

    if (emits != SHARES) {
        scale_exps(e, u, to, n, f, subtract);
        return;
    }
    const share_factors shares = { normal((real)c->x->s[at]), subtract, share_total_of(c->x->share_sum[at]) };
    SIMD
    for (int64_t i = 0; i < n; i++) to[i] = share_grad(e[i], scaled(e[i], f), f.unit, u[i], shares);
}

static void emit_hessians(const real *e, real *to, const chunk *c)
{
    const int          at = c->at;
    const e_scale      f = e_scale_of(c->x->hess_scale[at], c->fade);
    const hess_factors h = { normal((real)c->x->s[at]), (real)c->x->hess_rest[at],
                             e_factor_of(c->x->hess_e[at], f.unit) };

    SIMD
    for (int64_t i = 0; i < c->n; i++) to[i] = hess_of(e[i], scaled(e[i], f), f.unit, h);
}

/* The gradient of the entropy. */
static void emit_heat(const real *z, real *to, const chunk *c)
{
    const real m = (real)c->x->m[c->at], subtract = normal((real)c->x->subtract[c->at]);
    real       a, b;

    split_factor(c->x->per_e[c->at], &a, &b);
    SIMD
    for (int64_t i = 0; i < c->n; i++) to[i] = normal((heat_of(z[i], m, subtract) * a) * b);
}

/* Without exponentials; y: the second input. */
static void emit_linear(const real *z, const real *y, real *to, emission emits, const chunk *c)
{
    const int     at = c->at;
    const int64_t n = c->n;
    const real    m = (real)c->x->m[at], subtract = normal((real)c->x->subtract[at]);
    const real    sum = (real)c->x->class_sum[at], low = low_of(c->x->class_sum[at], sum);

    if (emits == ONE_HOT) {
        memset(to, 0, (size_t)n * sizeof(real));
    } else if (emits == HEAT) {
        emit_heat(z, to, c);
    } else if (emits == LOG_PROBS) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = (z[i] - m) - subtract;
    } else if (emits == DOT) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(z[i] * (y[i] - sum - low));
    } else {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(y[i] - exp_any(z[i]) * sum);
    }
}

/* Where the results of a row come from: kept, its exponentials, or NULL; pairs, the maxima of the blocks that they are
 * relative to, or NULL: to that of the row; work: see numbers_for_rows; lines: where the gradient goes past the caches,
 * or NULL; slopes: kept, those of capped logits, or NULL. */
typedef struct {
    const real    *kept;
    const ce_pair *pairs;
    real          *work;
    line_writer   *lines;
    real          *slopes;
} row_source;

/* Gradients and Hessians of a chunk from class i on go to grad and hess, where they are asked for. */
static void emit_chunk(const softmax_call *call, const long_row *row, const row_source *from, int64_t i, chunk *c,
                       const emit_buffers *to)
{
    const emission emits = call->link->emits;
    const bool     wants_grad = call->grid->data[CE_GRAD], wants_hess = call->grid->data[CE_HESS];

    if (is_by_e(emits)) {
        const double m = from->pairs ? from->pairs[i / BLOCK].m : c->x->m[c->at];
        const real  *e = from->kept ? from->kept + i : to->z, *u = shares_from(row, i, c->n, to->u);
        c->fade = fade_of(m, c->x->m[c->at]);
        if (!from->kept)
            exp_steps(to->z, z_from(row, i, c->n, to->z), c->n, m > -INFINITY ? (real)m : 0);
        if (wants_hess && call->plan->job->hessian != CE_ABS)
            emit_hessians(e, to->hess, c);
        if (wants_grad)
            emit_gradients(e, u, to->grad, emits, c);
        return;
    }
    if (wants_hess)
        memset(to->hess, 0, (size_t)c->n * sizeof(real));
    if (wants_grad)
        emit_linear(emits == ONE_HOT ? NULL : z_from(row, i, c->n, to->z), q_from(row, i, c->n, to->u), to->grad, emits,
                    c);
}

/* Does the class axis of an array lie side by side, as numbers to compute with? */
static inline bool is_row_of_real(const ce_grid *grid, int array)
{
    return grid->data[array] && grid->type[array] == REAL_TYPE && grid->class_stride[array] == sizeof(real);
}

/* Is a row's gradient what its exponentials are, times a factor, and are its logits and the gradient side by side? */
static bool is_scaled_exps(const softmax_call *call, const tile *x, int at)
{
    const ce_plan *plan = call->plan;

    return call->link->emits == PROBABILITIES && !plan->curves && !plan->views && x->subtract[at] == 0 &&
           is_row_of_real(call->grid, CE_Z) && is_row_of_real(call->grid, CE_GRAD);
}

/* What is read a block after a block of such a row: in lines of four pages in turn, which memory brings faster where
 * results are written, too. */
static inline ahead_of ahead_of_exps(const ce_grid *grid, const real *z, int64_t k, int64_t first, int64_t last)
{
    const int64_t size = sizeof(real), jump = k + BLOCK < last ? 0 : jump_from_row(grid, CE_Z, last - first);

    return (ahead_of){ (uintptr_t)z + (uintptr_t)(jump ? jump + first * size : (k + BLOCK) * size),
                       BLOCK / 4 * sizeof(real), LINE };
}

/* The gradient of such a row, exponentials anew, block by block. */
static void emit_exps(const softmax_call *call, const tile *x, int at, const ce_pair *pairs, int64_t first,
                      int64_t last)
{
    const ce_grid    *grid = call->grid;
    const int64_t     t = grid->data[CE_TARGET] ? x->t[at] : -1;
    const real *const z = (const real *)item_at(grid, x, CE_Z, at);
    real *const       to = (real *)item_at(grid, x, CE_GRAD, at);

    for (int64_t k = first; k < last; k += BLOCK) {
        const double   m = pairs ? pairs[k / BLOCK].m : x->m[at];
        const new_exps of = { z + k, to + k, call->plan->streams, ahead_of_exps(grid, z, k, first, last) };
        scale_new_exps(&of, m > -INFINITY ? (real)m : 0, smaller(last - k, BLOCK),
                       e_scale_of(x->per_e[at], fade_of(m, x->m[at])));
    }
    if (t >= first && t < last)
        to[t] = normal((real)x->grad_t[at]);
}

/* Classes first to last of the tile's item `at`, chunk by chunk, `first` where a chunk begins: into a buffer where the
 * output is not real side by side, and always for the Hessian, so that either output may lie on the logits. */
static void emit_row(const softmax_call *call, const tile *x, int at, const row_source *from, int64_t first,
                     int64_t last)
{
    const ce_grid *grid = call->grid;
    real *const    work = from->work;
    long_row       row = row_at(call, x, at);
    const int64_t  t = grid->data[CE_TARGET] ? x->t[at] : -1;
    const int64_t  step = grid->class_stride[CE_GRAD], hess_step = grid->class_stride[CE_HESS];
    const bool     wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS];
    char *const    grad_row = wants_grad ? item_at(grid, x, CE_GRAD, at) : NULL;
    char *const    hess_row = wants_hess ? item_at(grid, x, CE_HESS, at) : NULL;
    const bool     direct = wants_grad && grid->type[CE_GRAD] == REAL_TYPE && step == sizeof(real);
    const bool     is_capped = call->plan->inner != 0;

    if (!from->kept && is_scaled_exps(call, x, at)) {
        emit_exps(call, x, at, from->pairs, first, last);
        return;
    }
    for (int64_t i = first, n; i < last; i += n) {
        n = smaller(last - i, CHUNK);
        char *const        to_grad = wants_grad ? grad_row + i * step : NULL;
        char *const        place = from->lines ? room_for(from->lines, to_grad) : to_grad;
        real *const        grad = direct ? (real *)place : work;
        const emit_buffers to = { grad, work + CHUNK, work + 2 * CHUNK, work + 3 * CHUNK,
                                  from->slopes ? from->slopes + i : work + 4 * CHUNK };
        chunk              c = { x, at, n, t < 0 ? -1 : t - i, 1 };

        if (is_capped && bends_hessians(call->plan))
            keep_raw(&row, i, n, to.bends);
        else if (is_capped)
            row.slopes = to.bends, row.first = i;
        emit_chunk(call, &row, from, i, &c, &to);
        finish_chunk(call, &row, i, &c, &to);
        if (wants_grad && !direct)
            write_numbers(place, grid->type[CE_GRAD], step, grad, n);
        if (from->lines)
            add_to_lines(from->lines, (size_t)(n * step));
        if (wants_hess)
            write_numbers(hess_row + i * hess_step, grid->type[CE_HESS], hess_step, to.hess, n);
    }
}

/* The gradient of item l's row, whose exponentials stand in its place, where it needs nothing else. */
static void scale_row(const softmax_call *call, const tile *x, int l, const ce_pair *pairs)
{
    const ce_grid *grid = call->grid;
    const int64_t  K = grid->classes;
    const real    *w = call->plan->job->w, subtract = normal((real)x->subtract[l]);
    real *const    to = (real *)item_at(grid, x, CE_GRAD, l);

    for (int64_t k = 0; k < K; k += BLOCK) {
        const double fade = pairs ? fade_of(pairs[k / BLOCK].m, x->m[l]) : 1;
        scale_exps(to + k, w ? w + k : NULL, to + k, smaller(K - k, BLOCK), e_scale_of(x->per_e[l], fade), subtract);
    }
    if (grid->data[CE_TARGET])
        to[x->t[l]] = normal((real)x->grad_t[l]);
}

/* The gradient of item l's row, of exponentials that are kept, where it needs nothing else, past the caches. */
static void stream_row(const softmax_call *call, const tile *x, int l, const row_source *from)
{
    const int64_t K = call->grid->classes, t = call->grid->data[CE_TARGET] ? x->t[l] : -1;
    const real   *w = call->plan->job->w, subtract = normal((real)x->subtract[l]);
    char *const   to = item_at(call->grid, x, CE_GRAD, l);

    for (int64_t k = 0; k < K; k += BLOCK) {
        const double           fade = from->pairs ? fade_of(from->pairs[k / BLOCK].m, x->m[l]) : 1;
        const one_hot_gradient of = { e_scale_of(x->per_e[l], fade), w ? w + k : NULL, subtract, t - k,
                                      normal((real)x->grad_t[l]) };
        stream_gradients(from->kept + k, to + k * (int64_t)sizeof(real), smaller(K - k, BLOCK), &of, from->lines);
    }
}

/* An ignored item's logits are never read. */
static void write_zeros(const ce_grid *grid, const tile *x, int l, int64_t first, int64_t last)
{
    for (int a = CE_GRAD; a <= CE_HESS; a++) {
        if (!grid->data[a])
            continue;
        for (int64_t k = first; k < last; k++)
            memset(item_at(grid, x, a, l) + k * grid->class_stride[a], 0, (size_t)size_of(grid->type[a]));
    }
}

#endif
