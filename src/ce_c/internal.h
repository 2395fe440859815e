/* internal.h - what run.c, parallel.c, cpu.c and the kernels share. */
#ifndef CE_INTERNAL_H
#define CE_INTERNAL_H

#include "ce.h"

/* A job's arrays seen as a grid of items, K classes deep: the class axis set apart, axes of length 1 dropped,
 * neighbours that step alike in every array merged. Item i counts in C order of the grid's axes, which are those of the
 * arrays or, to run element-wise losses, those by falling stride of the input. */
typedef struct {
    int     axes;
    int64_t size[CE_MAX_AXES];
    int64_t stride[CE_ARRAYS][CE_MAX_AXES]; /* bytes */
    int64_t class_stride[CE_ARRAYS];        /* bytes */
    char   *data[CE_ARRAYS];
    ce_type type[CE_ARRAYS];
    int64_t items, classes;
    int64_t block, blocks; /* items are worked on, and summed, in blocks of fixed size */
    int     by_rows;       /* the traversal: rows, or lanes */
} ce_grid;

#define CE_SIZE_OF_REAL(type, c, ...)    sizeof(c),
#define CE_SIZE_OF_HALF(...)             2,
#define CE_SIZE_OF_INTEGER(type, c, ...) sizeof(c),

static inline int64_t size_of(ce_type type)
{
    static const char size[] = { CE_DTYPES(CE_SIZE_OF_REAL, CE_SIZE_OF_HALF, CE_SIZE_OF_INTEGER) };
    return size[type];
}

/* a / b for numbers that are not negative: small ones, the rule, are divided in a third of the time. */
static inline int64_t quotient(int64_t a, int64_t b)
{
    return (a | b) >> 32 ? a / b : (int64_t)((uint32_t)a / (uint32_t)b);
}

/* What one block of items adds up to. */
typedef struct {
    double  loss, z;
    int64_t bad; /* -1: none */
} ce_block;

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

/* What one block of a long row adds up to. */
typedef struct {
    double m, s;    /* maximum, sum of the other exponentials; or s alone, where the loss asks for another sum */
    double tilt, u; /* tilt = sum u_k (m - z_k), u = sum u_k */
} ce_pair;

/* What a kernel needs beside the grid. */
typedef struct {
    const ce_job *job;
    double        c;       /* factor of the gradient: grad_output, over Z for the mean */
    double        classes; /* K */
    double        w_sum;   /* W = sum of the class weights, K without them */
    int           derives; /* gradient or Hessian are asked for */
    int           curves;  /* the Hessian is */
    unsigned      in_use;  /* bits of the options */
    int           streams; /* by lanes the gradient is stored past the caches */
    ce_block     *blocks;  /* scratch, one for each block of items */
    ce_pair      *pairs;   /* where rows are split: one for each block of a row and one for the row, row after row */
    int64_t       parts;   /* blocks of a row */
    char         *buffers; /* for rows: one for each worker */
    size_t        buffer;  /* bytes of it */
} ce_plan;

/* buffer: the worker's own, for rows. */
typedef void (*ce_kernel)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last);

/* All that one instruction set offers: one column per computing type. */
typedef struct {
    ce_isa isa;
    struct {
        double    min_normal; /* results that are smaller become 0 */
        ce_kernel check, run;
        ce_kernel scan, merge, emit; /* run in three phases: over blocks of rows, over rows, over blocks of rows */
        int64_t   part;              /* classes in a block of a row */
        int64_t (*row_numbers)(int64_t classes, int derives); /* of the computing type, in a buffer for rows */
        double (*sum)(const void *x, int64_t n);              /* of n computing-type numbers */
    } real[CE_REALS];
    int streams; /* it has stores that bypass the caches */
} ce_kernels;

/* True: the machine can run code of that level (x86-64: 1 to 4; elsewhere: 1). */
int ce_cpu_has_level(int level);

/* Round to nearest, keep subnormal numbers, trap nothing, whatever other libraries told this thread; returns what that
 * was, to be restored. */
uint64_t ce_cpu_standard_mode(void);
void     ce_cpu_restore_mode(uint64_t before);

/* fn(context, worker, first, last) over [0, n), cut into contiguous ranges of no more than `most` that a team of
 * workers shares: numbers from 0 up to job->threads, no two at work under the same. True: job->stop said so, and the
 * rest was left undone. */
typedef void (*ce_range_fn)(void *context, int worker, int64_t first, int64_t last);
int ce_parallel_for(const ce_job *job, int64_t n, int64_t most, ce_range_fn fn, void *context);

#endif
