/* scan.h - (m, s) of one of the blocks of a long, contiguous row.
 *
 * A loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a pair (m, s).
 */
#ifndef CE_ROWS_SCAN_H
#define CE_ROWS_SCAN_H

#include "rows/gaps.h"
#include "rows/maximum.h"
#include "rows/sum.h"
#include "softmax/class_sums.h"
#include "softmax/top.h"

/* Classes of a row: n of them, at most BLOCK, from `first` on; and what is found out of them, step by step. */
typedef struct {
    long_row      row;
    int64_t       first, n;
    int64_t       t;                     /* the target's class, or -1 */
    real          z_t;                   /* its logit, once it was met */
    real         *room;                  /* for its exponentials, if they are kept, or else for copies of its logits */
    const double *w_sums;                /* of the weights of the classes of each block, or NULL */
    int64_t       jump;                  /* bytes from a row to that which is read a block after it, or 0: it follows */
    uintptr_t     next;                  /* what is read after these, if not what follows them; or 0 */
    uintptr_t     claimed, claimed_size; /* where the row's results go, if memory is to bring that, and their size */
    bool          hops;                  /* are there such jumps, and few pages from one to the next? */
    bool          keeps, gaps;
    bool          scales; /* logits on the way to their maximum, see scales_rows */
    gap_way       way;    /* of gaps where exponentials are added up */
    bool          tells;  /* statistics are asked for: */
    real          edge;   /* the target's logit, from which classes are counted */
    top_list     *top;    /* the largest so far; or NULL */

    exp_block      block;
    block_maxima   maxima;
    maximum_places places;
    block_facts    facts;
    ce_pair        pair; /* 0 but for what is asked for */
} row_part;

enum { TOGETHER = 8 }; /* rows that are scanned side by side: while one waits for its results, another can work */

/* Are logits scaled, and all there is to do to them before they are looked at? */
static inline bool scales_rows(const long_row *row)
{
    const ce_plan *plan = row->plan;

    return row->type == REAL_TYPE && row->step == sizeof(real) && plan->bends && plan->inner == 0 && plan->outer > 0 &&
           !plan->hides;
}

/* Of no classes yet, and with nothing asked for. */
static inline void begin_part(const long_row *row, row_part *p)
{
    p->row = *row;
    p->t = -1, p->z_t = 0, p->pair = (ce_pair){ 0 };
    p->claimed = 0, p->claimed_size = 0;
    p->jump = 0, p->next = 0, p->hops = false;
    p->w_sums = NULL, p->top = NULL;
    p->keeps = p->gaps = p->tells = false;
    p->scales = scales_rows(row);
}

static inline const real *raw_block(const row_part *p)
{
    return (const real *)p->row.z + p->first;
}

/* Bytes from a row of K numbers to the next; 0 where it follows at once. */
static inline int64_t jump_from_row(const ce_grid *grid, int array, int64_t K)
{
    const int64_t step = grid->stride[array][grid->axes - 1];
    return step == K * grid->class_stride[array] ? 0 : step;
}

/* What is read after a row's last block, if not what follows it; first: the class at which rows begin. */
static inline uintptr_t next_row(const row_part *p, int64_t first)
{
    return p->jump ? (uintptr_t)p->row.z + (uintptr_t)(p->jump + first * p->row.step) : 0;
}

/* Where rows do not follow each other, or exponentials take longer than to read the next numbers, the first of these
 * are asked for before the maximum is sought, in the time of which memory has nothing to do; and lines of four pages in
 * turn: to find a page that comes unforeseen takes long, and of each page more is read ahead by the processor itself.
 * (With registers of 64 bytes memory took longer where it was measured, and did better with one page after the other.)
 */
static inline void open_block(row_part *p)
{
    const uintptr_t size = (uintptr_t)p->row.step;
    const bool      whole = p->n == BLOCK, slow = REGISTER == 32 && whole && size == sizeof(real);
    const bool      far = p->next || p->hops || slow, leaps = far && whole;
    exp_block      *b = &p->block;

    b->n = p->n, b->whole = p->n & -(int64_t)STEP;
    b->z = p->scales ? p->room : z_from(&p->row, p->first, p->n, p->room), b->kept = p->room;
    b->w = p->row.plan->job->w ? (const real *)p->row.plan->job->w + p->first : NULL;
    if (p->scales)
        scale(p->row.plan, raw_block(p) + b->whole, p->room + b->whole, b->n - b->whole);
    b->ahead.next = p->next ? p->next : (uintptr_t)p->row.z + (uintptr_t)(p->first + BLOCK) * size;
    b->ahead.apart = (leaps ? BLOCK : STEP) * size / 4;
    b->ahead.step = leaps ? STEP * size / 4 : STEP * size;
    for (uintptr_t i = 0; far && i < 2; i++) fetch_four(b->ahead.next + i * b->ahead.step, b->ahead.apart);
    b->claimed.next = p->claimed ? p->claimed + (uintptr_t)(p->first + BLOCK) * p->claimed_size : 0;
    b->claimed.apart = STEP * p->claimed_size / 4, b->claimed.step = STEP * p->claimed_size;
    if (b->whole < b->n)
        open_end(b);
}

/* What a block tells, once its maximum is known. Where exponentials take the place of its numbers a NaN is looked for
 * now; else it shows in their sum. */
OUTLINE void tell_block(row_part *p)
{
    const exp_block *b = &p->block;
    const int64_t    t = p->t < 0 ? -1 : p->t - p->first,
                     nan = p->keeps && b->kept == b->z ? place_of_nan(b->z, b->n) : -1;
    const real       edge = p->t < 0 ? (real)INFINITY : t >= 0 && t < p->n ? b->z[t] : p->edge;

    p->facts.rank = begin_count(b->z, p->n, edge, t);
    if (p->top)
        add_top(p->top, p->maxima.chunks[0], b->z, p->n, p->first);
    p->pair.above = nan >= 0 ? -1 : 0;
    p->pair.at = p->first + (nan >= 0 ? nan : p->places.first);
}

/* And once its sums are. */
OUTLINE void tell_sum(row_part *p)
{
    const exp_block *b = &p->block;
    const bool       gone = p->keeps && b->kept == b->z;
    const int64_t    nan = gone || p->pair.s == p->pair.s ? -1 : place_of_nan(b->z, b->n);

    p->pair.heat = unscaled(tree_sum(p->facts.heat, LANES));
    p->pair.above = p->pair.above < 0 ? -1 : p->facts.rank.count;
    if (nan >= 0)
        p->pair.above = -1, p->pair.at = p->first + nan;
}

/* The maximum m, where it stands, and what else is to be known before exponentials take the place of the numbers. */
static inline void know_maximum(row_part *p)
{
    exp_block *b = &p->block;
    const real m = largest(p->maxima.all);

    /* All -inf: sums to 0, or to NaN if one is there. Less -0, zeros of either sign are 0. */
    b->m = m > -INFINITY && m != 0 ? m : (real)-0.0;
    p->pair.m = normal(m);
    p->places.count = 0;
    if (ABS(m) < INFINITY || p->tells)
        find_places(b, &p->maxima, m, &p->places);
    if (p->tells)
        tell_block(p);
    if (p->t >= p->first && p->t < p->first + p->n)
        p->z_t = normal(b->z[p->t - p->first]);
    p->way = !p->gaps || p->tells || b->m > (real)EVEN_GAPS ? NO_GAPS : way_of_gaps(&p->row);
    if (!p->gaps)
        return;
    p->pair.share_sum = p->way == NO_GAPS        ? 0
                        : p->way == EVEN_GAP_SUM ? (double)p->n
                        : p->w_sums              ? p->w_sums[p->first / BLOCK]
                                                 : total(b->w, p->n);
    if (p->way == NO_GAPS)
        add_gaps(&p->row, b->z, p->first, p->n, b->m, &p->pair);
}

static inline void know_sum(row_part *p)
{
    const bool counts = fabs(p->pair.m) < INFINITY;

    p->pair.s = unscaled(tree_sum(p->facts.sums, LANES));
    if (counts && p->places.count > 1)
        p->pair.s += (double)(p->places.count - 1);
    if (p->tells)
        tell_sum(p);
    if (p->way)
        p->pair.gap_sum = tree_sum(p->facts.gaps, LANES) / GAP_SCALE;
    if (p->keeps && p->places.count == 1)
        p->block.kept[p->places.first] = (real)0x1p64;
}

static inline exp_task task_of(const row_part *p)
{
    return (exp_task){ !p->keeps ? KEEPS_NONE : p->places.count > 1 ? KEEPS_ALL : KEEPS_OTHERS, p->tells, p->way };
}

/* The pairs of some rows' parts. Each stage goes through all of them: in one row every stage waits for the one before.
 */
static void softmax_parts(row_part *p, int rows)
{
    for (int r = 0; r < rows; r++) {
        open_block(&p[r]);
        if (p[r].scales)
            scale_to_maxima(&p[r].block, raw_block(&p[r]), (real)p[r].row.plan->outer, &p[r].maxima);
        else
            find_maxima(&p[r].block, &p[r].maxima);
    }
    for (int r = 0; r < rows; r++) know_maximum(&p[r]);
    for (int r = 0; r < rows; r++) sum_exps_of(&p[r].block, &p[r].facts, task_of(&p[r]));
    for (int r = 0; r < rows; r++) know_sum(&p[r]);
}

/* The sum of a part that is no softmax. */
static ce_pair class_sum_of_part(const long_row *row, const ce_link *link, int64_t first, int64_t n)
{
    double sum = 0, lost = 0;

    for (int64_t i = first, end = first + n, some; i < end; i += some) {
        real z_copy[VIEWED(CHUNK)], q_copy[VIEWED(CHUNK)];
        some = smaller(end - i, CHUNK);
        const real *z = z_from(row, i, some, z_copy), *q = q_from(row, i, some, q_copy);
        add_exactly(&sum, &lost,
                    link->emits == TERMS ? chunk_terms(link->term, z, q, some)
                                         : chunk_products(q, link->emits == DOT ? z : NULL, some));
    }
    return (ce_pair){ .s = with_lost(sum, lost) };
}

/* The pairs of some rows' parts, whatever the link asks for. */
static void scan_parts(const ce_link *link, row_part *p, int rows)
{
    if (link->emits != ONE_HOT && !is_class_sum(link->emits)) {
        softmax_parts(p, rows);
        return;
    }
    for (int r = 0; r < rows; r++)
        p[r].pair = link->emits == ONE_HOT ? (ce_pair){ 0 } : class_sum_of_part(&p[r].row, link, p[r].first, p[r].n);
}

#endif
