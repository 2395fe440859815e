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

/* Classes of some rows: n of them, at most BLOCK, from `first` on. room: that of each row for its exponentials, if they
 * are kept, or else for copies of its logits. */
typedef struct {
    int64_t     first, n;
    int         rows;
    long_row    row[LANES];
    int64_t     t[LANES];   /* the target's class, or -1 */
    real        z_t[LANES]; /* its logit, once it was met */
    real       *room[LANES];
    const char *next; /* what is read after these, if not what follows them; or NULL */
    bool        keeps, gaps;
    bool        tells;       /* statistics are asked for: */
    real        edge[LANES]; /* the target's logit, from which classes are counted */
    top_list   *top;         /* of each row, the largest so far; or NULL */
} row_parts;

enum { TOPS = LANES + BLOCK / CHUNK }; /* chunks of all rows */

/* Where the numbers of row r are. Fewer than LANES, at a long row's end, are filled up in `few`. */
static exp_block block_of(const row_parts *p, int r, real *few)
{
    const uintptr_t   size = (uintptr_t)p->row[r].step;
    const char *const memory = p->row[r].z + (uintptr_t)p->first * size;
    exp_block         b = { z_from(&p->row[r], p->first, p->n, p->room[r]),
                            NULL,
                            p->room[r],
                            p->n,
                            -1,
                            0,
                            { p->next ? (uintptr_t)p->next : (uintptr_t)memory + BLOCK * size, STEP * size / 4 } };

    if (p->n < LANES) {
        LANE(l) few[l] = -INFINITY;
        memcpy(few, b.z, (size_t)p->n * sizeof(real));
        b.z = b.kept = few, b.n = LANES;
    }
    return b;
}

/* Finds where the maximum of a block stands, and copies the step around it but for it. */
static void leave_out_maximum(exp_block *b, const real *top, real *others)
{
    b->at = place_of_maximum(top, b->z, b->n, b->m);
    if (b->at >= b->n / STEP * STEP)
        return;
    memcpy(others, b->z + b->at / STEP * STEP, STEP * sizeof(real));
    others[b->at % STEP] = -INFINITY;
    b->others = others;
}

/* What a block of row r tells, once its maxima are known; `top` those of its chunks. Where exponentials take the place
 * of its numbers a NaN is looked for now; else it shows in their sum. */
OUTLINE void tell_part(row_parts *p, int r, const exp_block *b, const real *top, ce_pair *pair, rank_count *rank)
{
    const int64_t t = p->t[r] < 0 ? -1 : p->t[r] - p->first,
                  nan = p->keeps && b->kept == b->z ? place_of_nan(b->z, b->n) : -1;
    const real    edge = p->t[r] < 0 ? (real)INFINITY : t >= 0 && t < p->n ? b->z[t] : p->edge[r];

    *rank = begin_count(b->z, p->n, edge, t); /* of few numbers the block has been filled up */
    if (b->others && (b->at < rank->near ? b->m >= edge && edge > -INFINITY : b->m > edge))
        rank->count++;
    pair->at = b->at >= 0 ? b->at : place_of_maximum(top, b->z, b->n, (real)pair->m);
    if (p->top)
        add_top(&p->top[r], top, b->z, p->n, p->first);
    if (nan >= 0)
        pair->above = -1, pair->at = nan;
    pair->at += p->first;
}

/* And once its sums are. */
OUTLINE void tell_sum(const row_parts *p, const exp_block *b, const block_facts *facts, ce_pair *pair)
{
    const bool    gone = p->keeps && b->kept == b->z;
    const int64_t nan = gone || pair->s == pair->s ? -1 : place_of_nan(b->z, b->n);

    pair->heat = unscaled(tree_sum(facts->heat, LANES));
    pair->above = pair->above < 0 ? -1 : facts->rank.count;
    if (nan >= 0)
        pair->above = -1, pair->at = p->first + nan;
}

/* The pairs of some rows. Each stage goes through all of them: in one row every stage waits for the one before. */
static void softmax_parts(row_parts *p, ce_pair *pairs)
{
    const int64_t chunks = (p->n + CHUNK - 1) / CHUNK;
    real          top[TOPS][LANES], all[LANES][LANES], others[LANES][STEP], few[LANES][LANES], m[LANES];
    double        sums[LANES][LANES];
    block_facts   facts[LANES];
    exp_block     blocks[LANES];

    for (int r = 0; r < p->rows; r++) {
        blocks[r] = block_of(p, r, few[r]);
        pairs[r] = (ce_pair){ 0 };
        find_maxima(top[r * chunks], all[r], blocks[r].z, blocks[r].n);
    }
    for (int r = 0; r < p->rows; r++) {
        m[r] = largest(all[r]);
        blocks[r].m = m[r] > -INFINITY ? m[r] : 0; /* all -inf: sums to 0, or to NaN if one is there */
        pairs[r].m = normal(m[r]);
    }
    for (int r = 0; r < p->rows; r++)
        if (ABS(m[r]) < INFINITY)
            leave_out_maximum(&blocks[r], top[r * chunks], others[r]);
    for (int r = 0; r < p->rows && p->tells; r++)
        tell_part(p, r, &blocks[r], top[r * chunks], &pairs[r], &facts[r].rank);
    for (int r = 0; r < p->rows; r++) /* now that it is in a cache */
        if (p->t[r] >= p->first && p->t[r] < p->first + p->n)
            p->z_t[r] = normal(blocks[r].z[p->t[r] - p->first]);
    for (int r = 0; r < p->rows && p->gaps; r++)
        add_gaps(&p->row[r], blocks[r].z, p->first, p->n, blocks[r].m, &pairs[r]);
    for (int r = 0; r < p->rows; r++) sum_exps_of(&blocks[r], sums[r], &facts[r], (exp_task){ p->keeps, p->tells });
    for (int r = 0; r < p->rows; r++) pairs[r].s = unscaled(tree_sum(sums[r], LANES));
    for (int r = 0; r < p->rows && p->tells; r++) tell_sum(p, &blocks[r], &facts[r], &pairs[r]);
    for (int r = 0; r < p->rows && p->keeps && p->n < LANES; r++)
        memcpy(p->room[r], few[r], (size_t)p->n * sizeof(real));
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

/* The pairs of some rows' parts. */
static void scan_parts_of_rows(const ce_link *link, row_parts *p, ce_pair *pairs)
{
    if (!is_class_sum(link->emits) && link->emits != ONE_HOT) {
        softmax_parts(p, pairs);
        return;
    }
    for (int r = 0; r < p->rows; r++)
        pairs[r] = link->emits == ONE_HOT ? (ce_pair){ 0 } : class_sum_of_part(&p->row[r], link, p->first, p->n);
}

#endif
