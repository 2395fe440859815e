/* few_classes.h - a tile of cross-entropy of few classes with class indices, maybe weights of classes and items, maybe
 * label smoothing, and no further option, the most common of the short calls. What scan.h, emit.h and
 * links/cross_entropy.h do, to the bit, without what they need for all else.
 */
#ifndef CE_LANES_FEW_CLASSES_H
#define CE_LANES_FEW_CLASSES_H

#include "lanes/gaps.h"
#include "lanes/panel.h"
#include "softmax/close.h"
#include "softmax/open.h"

enum { FEW = 8 * LANES, FEW_PANEL = 105 }; /* items in a tile; vectors in its panel */

/* A tile. Each of the loops below goes through all of it: the chains of operations are long, and a processor works on
 * several at a time only where they follow each other closely. Exponentials are times 2^64. */
typedef struct {
    real_bits t[FEW];           /* -1 where the item is ignored */
    real      m[FEW], z_t[FEW]; /* as in `tile` */
    real      e_t[FEW];         /* then what the target's place receives */
    real      sum[FEW];         /* then s, then the factor of the exponentials */
    real      ones[FEW];        /* exponentials that are 1 */
    real      log_S[FEW];       /* at first the maximum, or 0 where it is -inf */
    double    s[FEW];           /* then the loss */
    double    w_t[FEW];         /* the weights of the targets' classes, where they have any */
    double    v[FEW];           /* with samples' weights or label smoothing, as in `tile`, see few_options.h */
    double    gap_sum[FEW];     /* with label smoothing */
    real      subtract[FEW];

    int          width;       /* items */
    int64_t      n;           /* classes */
    bool         derives;     /* gradients are asked for */
    bool         smooths;     /* labels are smoothed */
    const real  *w;           /* the weights of the classes, or NULL */
    gap_way      gaps;        /* how they are added up beside exponentials */
    const char  *memory;      /* where the logits are read from, if not from the panel */
    int64_t      memory_step; /* bytes between classes there */
    tile_numbers z, grads;    /* the latter the same where memory need not bring gradients */
} few_tile;

/* Class indices; true if no item is ignored. */
static bool read_few_targets(const softmax_call *call, const tile *x, real_bits *t)
{
    const ce_grid *grid = call->grid;
    const ce_job  *job = call->plan->job;
    const int64_t  n = grid->classes, ignore = job->ignore_index;
    real_bits      ignored = 0;

    for (int j = 0; j < x->width; j += LANES) {
        int64_t given[LANES];
        load_targets(grid, job, x, j, LANES, given);
        LANE(l) {
            const int64_t index = given[l];
            t[j + l] = (real_bits)index | -(real_bits)((index == ignore) | ((uint64_t)index >= (uint64_t)n));
        }
        LANE(l) ignored |= t[j + l];
    }
    return ignored >= 0;
}

/* The weights of the targets' classes, times a factor; true if no item is ignored, as those of weight 0 are, too,
 * unless labels are smoothed. */
static bool read_few_weights(few_tile *x, double by)
{
    const real     *w = x->w;
    const real_bits counts = x->smooths;
    real_bits       ignored = 0;
    real            w_t[FEW];

    for (int l = 0; l < x->width; l++) w_t[l] = w[x->t[l] < 0 ? 0 : x->t[l]];
    for (int at = 0; at < x->width; at += LANES) {
        real_bits *const t = x->t + at;
        LANE(l) t[l] |= -(real_bits)(w_t[at + l] == 0) & (counts - 1);
        LANE(l) ignored |= t[l];
        LANE(l) x->w_t[at + l] = by * (double)w_t[at + l];
    }
    return ignored >= 0;
}

/* Two classes: one of the exponentials is 1. Leaves that of the class that is not the target. */
static void scan_two(real *panel, few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = panel + 2 * at;
        LANE(l) {
            const real a = z[l], b = z[LANES + l], e = EXP_2_64(-ABS(a - b)), one = (real)0x1p64, m = a >= b ? a : b;
            const int  first = x->t[at + l] <= 0, is_max = first == (a >= b);
            x->m[at + l] = m;
            x->z_t[at + l] = first ? a : b;
            x->sum[at + l] = e + (m - m);
            x->ones[at + l] = 1;
            x->e_t[at + l] = is_max ? one : e;
            z[l] = is_max ? e : one;
        }
    }
}

/* The sums of gaps of two classes, before exponentials take their place. */
static void add_gaps_of_two(const real *panel, few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES) {
        const real *const z = panel + 2 * at;
        double            lost[LANES] = { 0 };
        real              m[LANES];
        LANE(l) m[l] = z[l] > z[LANES + l] ? z[l] : z[LANES + l];
        LANE(l) m[l] = m[l] > -INFINITY ? m[l] : 0;
        LANE(l) x->gap_sum[at + l] = 0;
        group_gaps_by_weights(z, x->w, 2, m, x->gap_sum + at, lost);
    }
}

/* What class k adds to the maxima and to the targets' logits; it goes to the panel. */
INLINE void take_class(const real *from, int64_t k, real *panel, real *m, real *z_t, const real_bits *t)
{
    LANE(l) {
        const real z = from[l];
        m[l] = z > m[l] ? z : m[l];
        panel[k * LANES + l] = z;
        z_t[l] = t[l] == (real_bits)k ? z : z_t[l];
    }
}

/* The maxima of LANES items from item `at` on, and the logits of their targets. */
INLINE void find_few_maxima(real *panel, const char *from, int64_t step, few_tile *x, int at)
{
    const int64_t n = x->n;
    real          a[LANES], b[LANES], z_t[LANES] = { 0 };
    real_bits     t[LANES];
    int64_t       k = 0;

    LANE(l) t[l] = x->t[at + l];
    LANE(l) a[l] = b[l] = -INFINITY;
    for (; k + 2 <= n; k += 2, from += 2 * step) {
        take_class((const real *)from, k, panel, a, z_t, t);
        take_class((const real *)(from + step), k + 1, panel, b, z_t, t);
    }
    if (k < n)
        take_class((const real *)from, k, panel, a, z_t, t);
    LANE(l) x->m[at + l] = b[l] > a[l] ? b[l] : a[l];
    LANE(l) x->z_t[at + l] = z_t[l];
}

/* The sums of exponentials, which take the place of the logits unless these are to be kept; log_S: the maxima. */
static void sum_few(real *panel, few_tile *x, bool keep)
{
    const int64_t    n = x->n;
    const tile_ahead reads = tile_further(&x->z, bytes_to_next(&x->z)),
                     writes = tile_further(&x->grads, bytes_to_next(&x->grads));

    for (int at = 0; at < x->width; at += LANES) {
        const group_sums to = {
            x->sum + at, NULL, x->ones + at, NULL, of_vector(&reads, at / LANES), of_vector(&writes, at / LANES), NULL
        };
        LANE(l) x->ones[at + l] = 0;
        if (keep)
            sum_group(panel + at * n, n, x->log_S + at, &to, (group_task){ true, false, NO_GAPS });
        else
            sum_group(panel + at * n, n, x->log_S + at, &to, (group_task){ false, false, NO_GAPS });
    }
    for (int at = 0; at < x->width; at += LANES)
        LANE(l) x->sum[at + l] += x->m[at + l] - x->m[at + l]; /* NaN unless m is finite */
}

/* The same with the sums of gaps: in the loop that adds up exponentials where the engine's other ways have it there. */
OUTLINE void sum_few_gaps(real *panel, few_tile *x, bool keep)
{
    const int64_t    n = x->n;
    const tile_ahead reads = tile_further(&x->z, bytes_to_next(&x->z)),
                     writes = tile_further(&x->grads, bytes_to_next(&x->grads));

    for (int at = 0; at < x->width; at += LANES) {
        real             gaps[LANES];
        double           lost[LANES] = { 0 };
        const group_sums to = {
            x->sum + at, NULL, x->ones + at, gaps, of_vector(&reads, at / LANES), of_vector(&writes, at / LANES), x->w
        };
        int apart = x->gaps == NO_GAPS;
        LANE(l) apart |= x->m[at + l] > (real)EVEN_GAPS;
        LANE(l) x->ones[at + l] = 0, x->gap_sum[at + l] = 0;
        if (apart)
            group_gaps_by_weights(panel + at * n, x->w, n, x->log_S + at, x->gap_sum + at, lost);
        sum_group_of(panel + at * n, n, x->log_S + at, &to, (group_task){ keep, false, apart ? NO_GAPS : x->gaps });
        if (!apart)
            LANE(l) x->gap_sum[at + l] = (double)gaps[l] / GAP_SCALE;
    }
    for (int at = 0; at < x->width; at += LANES)
        LANE(l) x->sum[at + l] += x->m[at + l] - x->m[at + l];
}

static void scan_few(real *panel, few_tile *x)
{
    const int64_t n = x->n;

    for (int at = 0; at < x->width; at += LANES) {
        real *const       z = panel + at * n;
        const char *const from = x->memory ? x->memory + at * (int64_t)sizeof(real) : (const char *)z;
        find_few_maxima(z, from, x->memory ? x->memory_step : LANES * (int64_t)sizeof(real), x, at);
        LANE(l) x->log_S[at + l] = held_against(x->m[at + l]);
    }
    if (x->derives)
        for (int at = 0; at < x->width; at += LANES)
            LANE(l) x->e_t[at + l] = EXP_2_64(x->z_t[at + l] - x->log_S[at + l]);
    (x->smooths ? sum_few_gaps : sum_few)(panel, x, !x->derives);
}

/* What the gradients are made of; c as in ce_plan. */
static void answer_few_gradients(few_tile *x, double c, bool weighs)
{
    for (int at = 0; at < x->width; at += LANES) {
        double per_e[LANES];
        LANE(l) per_e[l] = x->t[at + l] >= 0 ? c : 0;
        if (weighs)
            LANE(l) per_e[l] *= x->w_t[at + l];
        LANE(l) per_e[l] = x->t[at + l] >= 0 ? per_e[l] * (double)(1 / (1 + x->sum[at + l])) : 0;
        LANE(l) x->sum[at + l] = (real)(per_e[l] * 0x1p-64);
        LANE(l) per_e[l] *= -(x->s[at + l] + (1 - (double)x->e_t[at + l] * 0x1p-64));
        LANE(l) x->e_t[at + l] = normal((real)per_e[l]);
    }
}

/* s, and log1p(s) */
static void log_few(few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES)
        LANE(l) {
            const double ones = x->ones[at + l];
            x->s[at + l] = unscaled((double)x->sum[at + l]) + (ones > 0 ? ones - 1 : 0);
        }
    for (int at = 0; at < x->width; at += LANES)
        LANE(l) x->sum[at + l] = normal((real)x->s[at + l]);
    for (int at = 0; at < x->width; at += LANES)
        if (x->n == 2)
            LANE(l) x->log_S[at + l] = LOG1P_UNIT(x->sum[at + l]);
        else
            LANE(l) x->log_S[at + l] = LOG1P(x->sum[at + l]);
}

/* The latter of item l: an s that is too small for the computing type is its own logarithm. */
INLINE double log_of_few(const few_tile *x, int l)
{
    return x->s[l] < 0x1p-60 ? x->s[l] : (double)x->log_S[l];
}

/* Losses, and what the gradients are made of. */
static void answer_few(few_tile *x, double c, bool weighs)
{
    log_few(x);
    if (x->derives)
        answer_few_gradients(x, c, weighs);
    for (int at = 0; at < x->width; at += LANES)
        LANE(l) {
            const double gap = (double)normal(x->m[at + l]) - (double)normal(x->z_t[at + l]);
            const double loss = gap + log_of_few(x, at + l);
            x->s[at + l] = x->t[at + l] >= 0 ? loss : 0;
        }
    for (int at = 0; at < x->width && weighs; at += LANES)
        LANE(l) x->s[at + l] = x->t[at + l] >= 0 ? x->w_t[at + l] * x->s[at + l] : 0;
}

/* The gradients, in the panel, of two classes; ones: 1, or the second of two factors. */
INLINE void emit_two_lanes(real *z, const few_tile *x, int at, bool smooths)
{
    const real w_first = x->w ? x->w[0] : 1, w_second = x->w ? x->w[1] : 1;

    LANE(l) {
        const bool first = x->t[at + l] <= 0;
        const real e = normal((z[l] * x->sum[at + l]) * x->ones[at + l]), grad_t = x->e_t[at + l];
        const real less = smooths ? less_of(x->subtract[at + l], first ? w_second : w_first) : 0;
        const real other = smooths ? normal(e - less) : e;
        z[l] = first ? grad_t : other;
        z[LANES + l] = first ? other : grad_t;
    }
}

static void emit_two(real *panel, const few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES)
        if (x->smooths)
            emit_two_lanes(panel + 2 * at, x, at, true);
        else
            emit_two_lanes(panel + 2 * at, x, at, false);
}

/* Of more. */
static void emit_few(real *panel, const few_tile *x)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = panel + at * x->n;
        real        a[LANES], grad_t[LANES];
        real_bits   t[LANES];
        LANE(l) a[l] = x->sum[at + l], grad_t[l] = x->e_t[at + l], t[l] = x->t[at + l];
        for (int64_t k = 0; k < x->n; k++)
            LANE(l) {
                const real e = z[k * LANES + l] * a[l], other = ABS(e) < MIN_NORMAL ? 0 : e;
                z[k * LANES + l] = t[l] == (real_bits)k ? grad_t[l] : other;
            }
    }
}

#endif
