/* kernel.h - what the kernels are asked for, and the table that one instruction set and computing type fills. */
#ifndef CE_KERNEL_H
#define CE_KERNEL_H

#include "grid.h"

/* What one block of items adds up to. */
typedef struct {
    double  loss, z, v; /* v: the sum of sample weights, where z has class weights, too */
    int64_t bad;        /* -1: none */
} ce_block;

/* What a kernel needs beside the grid. */
typedef struct {
    const ce_job *job;
    double        c;       /* factor of the gradient: grad_output, over Z for the mean */
    double        scale;   /* a power of 2 that weights are taken times: sums of them neither overflow nor underflow */
    double        classes; /* K */
    double        w_sum;   /* W = sum of the class weights where smoothing asks for it, else K */
    double        w_scale; /* a power of 2: times it class weights are so large that products with gaps are numbers */
    int           w_usual; /* class weights are positive, and none needs that power; known where labels are smoothed */
    int           derives; /* gradient or Hessian are asked for */
    int           curves;  /* the Hessian is */
    int           multiplies;   /* or its product with a vector, in the place of the gradient */
    unsigned      in_use;       /* bits of the options */
    int           tells;        /* statistics are asked for, beside those of extra classes */
    int           bends;        /* logits are bent: */
    double        outer, inner; /* z becomes outer tanh(inner z), or outer z where inner is 0 */
    int           hides;        /* some classes cannot be */
    int           views;        /* logits are bent or hidden */
    int           finishes;     /* derivatives are not finished where the link's factors are in them */
    double        z_loss;       /* the factor of the items' z-losses */
    int           checks;       /* element-wise: numbers are checked as they are computed with */
    int           streams;      /* the gradient is stored past the caches */
    int           claims;       /* where it goes is brought before, as it is in no near cache */
    ce_block     *blocks;       /* scratch, one for each block of items */
    ce_pair      *pairs;   /* where rows are split: one for each block of a row and one for the row, row after row */
    int64_t       parts;   /* blocks of a row */
    char         *buffers; /* one for each worker */
    size_t        buffer;  /* bytes of it */
} ce_plan;

/* Units first to last: blocks of items, rows, or blocks of rows. buffer: the worker's own. */
typedef void (*ce_kernel)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last);

typedef struct {
    ce_isa    isa;
    double    min_normal; /* results that are smaller become 0 */
    int       streams;    /* it has stores that bypass the caches */
    ce_kernel check, run;
    ce_kernel split_open; /* of items: notes what is overwritten, where statistics are asked for */
    ce_kernel split_scan, split_merge, split_emit; /* run in three phases: over blocks of rows, rows, blocks of rows */
    ce_kernel shard_scan, shard_merge, shard_emit; /* of shards: the same over blocks of items */
    int64_t   part;                                /* classes in a block of a row */
    int64_t (*numbers_for_rows)(int64_t classes, int derives,
                                int caps);                   /* of the computing type, in a worker's buffer */
    int64_t (*numbers_for_lanes)(int64_t classes, int caps); /* are logits capped? */
    int64_t (*numbers_for_pairs)(int64_t classes);           /* of items that are two rows */
    double (*total)(const void *x, int64_t n);               /* the sum of n computing-type numbers */
    double (*exp)(double x); /* e^x, in float64: with fma or without, as the kernels' own */
} ce_kernels;

/* Is the mean of z-losses another one than that of the losses, where class weights count in the latter? */
static inline int ce_has_two_means(const ce_job *job)
{
    return job->w && job->z_loss != 0 && job->reduction == CE_MEAN && job->normalizer == 0 &&
           ce_loss_row(job->loss)->mean == CE_BY_WEIGHT;
}

/* Does what the mean divides by hang on weights? */
static inline int ce_weighs(const ce_job *job)
{
    const int by_weight = ce_loss_row(job->loss)->mean == CE_BY_WEIGHT;

    return (job->reduction == CE_MEAN || job->reduction == CE_PERPLEXITY) && job->normalizer == 0 &&
           (job->array[CE_V].data || (by_weight && (job->array[CE_WEIGHT].data || job->w)));
}

/* sum += x, with what the rounding loses added to lost: long float64 sums keep their last bits. */
static inline void add_exactly(double *sum, double *lost, double x)
{
    const double whole = *sum + x, back = whole - *sum;

    *lost += (*sum - (whole - back)) + (x - back);
    *sum = whole;
}

/* The sum with what was lost; an infinite sum lost nothing. */
static inline double with_lost(double sum, double lost)
{
    return lost == lost ? sum + lost : sum;
}

#endif
