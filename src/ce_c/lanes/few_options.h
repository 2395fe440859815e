/* few_options.h - a tile of few classes with weights of items or label smoothing, and the tile itself: see
 * few_classes.h.
 */
#ifndef CE_LANES_FEW_OPTIONS_H
#define CE_LANES_FEW_OPTIONS_H

#include "lanes/emit.h"
#include "lanes/few_classes.h"

enum { FEW_OPTIONS = CE_LABEL_SMOOTHING | CE_SAMPLE_WEIGHT };

/* The items' weights; true if no item is ignored, as those of weight 0 are, too. The classes' weights of those that are
 * may be no numbers. */
static bool read_few_sample_weights(const softmax_call *call, const tile *x, few_tile *few)
{
    const ce_grid *grid = call->grid;
    real_bits      ignored = 0;

    for (int at = 0; at < few->width; at += LANES)
        LANE(l) few->v[at + l] = call->plan->scale;
    if (grid->data[CE_V] && x->even)
        load_sample_weights(x->at[CE_V][0], grid->stride[CE_V][grid->axes - 1], call->plan, x->width, few->v);
    else if (grid->data[CE_V])
        for (int l = 0; l < x->width; l++) few->v[l] = sample_weight_at(x->at[CE_V][l], call->plan);
    for (int at = 0; at < few->width; at += LANES) {
        LANE(l) few->t[at + l] |= -(real_bits)(few->v[at + l] == 0);
        LANE(l) ignored |= few->t[at + l];
        LANE(l) few->w_t[at + l] = few->t[at + l] >= 0 ? few->w_t[at + l] : 0;
    }
    return ignored >= 0;
}

/* What the gradients are made of; sum and ones become the factors of the exponentials, see lane_scales. */
static void answer_optional_gradients(few_tile *x, const ce_plan *plan)
{
    const double c = plan->c, eps = plan->job->label_smoothing, W = plan->w_sum, b = eps / plan->classes;

    for (int at = 0; at < x->width; at += LANES) {
        double      scale[LANES], per_e[LANES], grad_t[LANES];
        lane_scales f;
        LANE(l) scale[l] = x->t[at + l] >= 0 ? c * x->v[at + l] : 0;
        LANE(l) {
            const double a = (1 - eps) * x->w_t[at + l], r = (double)(1 / (1 + x->sum[at + l]));
            const double e_t = (double)x->e_t[at + l] * 0x1p-64;
            per_e[l] = scale[l] * a * r;
            grad_t[l] = -per_e[l] * (x->s[at + l] + (1 - e_t));
            if (x->smooths) {
                per_e[l] = scale[l] * (a + b * W) * r;
                grad_t[l] += scale[l] * b * (W * e_t * r - x->w_t[at + l]);
            }
        }
        LANE(l) per_e[l] = x->t[at + l] >= 0 ? per_e[l] : 0;
        LANE(l) grad_t[l] = x->t[at + l] >= 0 ? grad_t[l] : 0;
        LANE(l) x->subtract[at + l] = normal((real)(scale[l] * b));
        LANE(l) x->e_t[at + l] = normal((real)grad_t[l]);
        lane_scales_of(per_e, &f);
        LANE(l) x->sum[at + l] = f.a[l], x->ones[at + l] = f.b[l];
    }
}

/* Losses, and what the gradients are made of. */
static void answer_optional(few_tile *x, const ce_plan *plan)
{
    const double eps = plan->job->label_smoothing, W = plan->w_sum, b = eps / plan->classes;

    log_few(x);
    if (x->derives)
        answer_optional_gradients(x, plan);
    for (int at = 0; at < x->width; at += LANES) {
        double loss[LANES], log_S[LANES];
        LANE(l) log_S[l] = log_of_few(x, at + l);
        LANE(l) {
            const double a = (1 - eps) * x->w_t[at + l];
            const double gap = (double)normal(x->m[at + l]) - (double)normal(x->z_t[at + l]);
            loss[l] = x->v[at + l] * a * (gap + log_S[l]);
            loss[l] = a == 0 ? 0 : loss[l];
        }
        if (x->smooths)
            LANE(l) loss[l] += x->v[at + l] * b * (W * log_S[l] + x->gap_sum[at + l]);
        LANE(l) x->s[at + l] = x->t[at + l] >= 0 ? loss[l] : 0;
    }
}

/* The gradients of LANES items from item `at` on; simple: the second of two factors is 1. */
INLINE void emit_optional_lanes(real *z, const few_tile *x, int at, bool smooths, bool simple)
{
    real      a[LANES], b[LANES], grad_t[LANES], subtract[LANES], less[LANES];
    real_bits t[LANES];

    LANE(l) a[l] = x->sum[at + l], b[l] = x->ones[at + l], grad_t[l] = x->e_t[at + l], t[l] = x->t[at + l];
    LANE(l) less[l] = subtract[l] = x->subtract[at + l];
    for (int64_t k = 0; k < x->n; k++, z += LANES) {
        if (smooths && x->w)
            LANE(l) less[l] = less_of(subtract[l], x->w[k]);
        LANE(l) {
            const real e = normal(simple ? z[l] * a[l] : (z[l] * a[l]) * b[l]);
            const real other = smooths ? normal(e - less[l]) : e;
            z[l] = t[l] == (real_bits)k ? grad_t[l] : other;
        }
    }
}

/* The gradients, in the panel. */
static void emit_optional(real *panel, const few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = panel + at * x->n;
        int         simple = 1;
        LANE(l) simple &= x->ones[at + l] == 1;
        if (simple && x->smooths)
            emit_optional_lanes(z, x, at, true, true);
        else if (simple)
            emit_optional_lanes(z, x, at, false, true);
        else
            emit_optional_lanes(z, x, at, x->smooths, false);
    }
}

/* Loads a tile and computes what is asked for: losses in few->s, gradients in the panel. */
static void run_few_tile(const softmax_call *call, const tile *x, real *panel, real *staged, few_tile *few)
{
    const ce_grid *grid = call->grid;
    const ce_plan *plan = call->plan;
    const int64_t  n = grid->classes;
    const bool     optional = plan->in_use & FEW_OPTIONS, two = n == 2;
    bool           all_live = read_few_targets(call, x, few->t);

    if (few->w)
        all_live = read_few_weights(few, optional ? 1 : plan->scale);
    for (int at = 0; at < few->width && optional && !few->w; at += LANES)
        LANE(l) few->w_t[at + l] = 1;
    if (optional)
        all_live = read_few_sample_weights(call, x, few);
    const bool direct = !two && all_live && grid->type[CE_Z] == REAL_TYPE && is_unit(&few->z);

    if (!direct)
        load_panel(&few->z, staged, panel, two);
    few->memory = direct ? x->at[CE_Z][0] : NULL;
    if (!all_live)
        for (int at = 0; at < x->width; at += LANES)
            for (int64_t k = 0; k < n; k++)
                LANE(l) panel[at * n + k * LANES + l] = few->t[at + l] >= 0 ? panel[at * n + k * LANES + l] : 0;
    if (two && few->smooths)
        add_gaps_of_two(panel, few);
    (two ? scan_two : scan_few)(panel, few);
    if (optional)
        answer_optional(few, plan);
    else
        answer_few(few, plan->c, few->w);
    if (few->derives)
        (two ? emit_two : optional ? emit_optional : emit_few)(panel, few);
}

#endif
