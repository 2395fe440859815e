/* ce.h - the C contract: what a call asks for, and the functions that answer it.
 *
 *     ce_run      checks every class index or probability, then value, gradient and Hessian of one job
 *
 * Letters: z logits, t target, K classes, w class weights, v sample weights, g gradient, h Hessian.
 * Nothing here allocates: the caller lends ce_scratch_bytes(job) bytes.
 */
#ifndef CE_H
#define CE_H

#include <stddef.h>
#include <stdint.h>

enum { CE_MAX_AXES = 64 }; /* NumPy's limit */

/* How a number lies in memory. The first two are also what is computed with. */
typedef enum {
    CE_FLOAT32,
    CE_FLOAT64,
    CE_FLOAT16,
    CE_BFLOAT16,
    CE_INT8,
    CE_INT16,
    CE_INT32,
    CE_INT64,
    CE_UINT8,
    CE_UINT16,
    CE_UINT32,
    CE_UINT64,
    CE_REALS = CE_FLOAT16
} ce_type;
typedef enum { CE_NONE, CE_SUM, CE_MEAN, CE_BATCHMEAN, CE_PERPLEXITY } ce_reduction;
typedef enum { CE_EXACT, CE_GAUSS_NEWTON, CE_ABS } ce_hessian;

/* The arrays of a job. The first four have the axes of the logits, the others those of the items (the logits' axes
 * less the class axis). Element-wise, where each number is an item, all have the axes of the input. */
enum {
    CE_Z,        /* logits; input */
    CE_GRAD,     /* out, and the next; in place of CE_Z they may be the same memory */
    CE_HESS,     /* */
    CE_OTHER,    /* class probabilities, a second input; the target of element-wise losses */
    CE_TARGET,   /* class indices */
    CE_V,        /* sample weights; weights of elements */
    CE_POS,      /* weights of positive labels */
    CE_UPSTREAM, /* grad_output, where it is not one number */
    CE_VALUE,    /* out: the losses, of the computing type */
    CE_ARRAYS
};

typedef struct {
    char          *data;    /* NULL: absent */
    const int64_t *strides; /* bytes, one for each of the array's own axes */
    ce_type        type;
} ce_array;

typedef struct {
    int            loss; /* ce_find_loss */
    ce_type        real; /* what is computed with */
    ce_reduction   reduction;
    ce_hessian     hessian;
    int            axes, class_axis; /* class_axis -1: element-wise */
    const int64_t *shape;            /* of the logits */
    ce_array       array[CE_ARRAYS];
    const void    *w; /* class weights: K numbers of the computing type, or NULL */
    int64_t        ignore_index;
    double         smoothing;   /* of labels */
    double         gamma;       /* focusing exponent of focal losses */
    double         alpha[2];    /* weights of y = 0 and y = 1 in the sigmoid focal loss */
    double         delta;       /* where Huber's loss, or smooth L1, turns linear */
    double         grad_output; /* what multiplies the gradient, beside the array CE_UPSTREAM */
    int            valued;      /* the loss itself is asked for; else value may stay 0 */
    int            threads;     /* asked for; then the most that will work */
    void          *scratch;
    int (*stop)(void); /* the calling thread asks it now and then: leave off? May be NULL */

    /* answers */
    double  value;   /* the reduced loss */
    double  z;       /* Z, what the mean divides by */
    int64_t bad;     /* position of the first class index or probability out of range, in C order; -1: none */
    int     stopped; /* stop said so: all else is undone, or half done */
    int     isa;     /* that was current when scratch was asked for */
} ce_job;

size_t ce_scratch_bytes(ce_job *job); /* settles threads and instruction set, too */
void   ce_run(ce_job *job);
int    ce_find_loss(const char *name); /* -1: no such loss */

/* Instruction sets, in rising order. */
int         ce_isa_count(void);   /* compiled in */
const char *ce_isa_name(int isa); /* such as "x86-64-v3" */
int         ce_isa_runs_here(int isa);
int         ce_isa_current(void);
void        ce_isa_use(int isa); /* one that runs here */

/* Threads. */
const char *ce_threads_runtime(void);   /* "OpenMP 201511", "Grand Central Dispatch", "serial" */
int         ce_threads_team(int asked); /* how many would work for a large call made here and now */
void        ce_threads_before_fork(void);
void        ce_threads_after_fork(void);   /* in the child */
void        ce_threads_set_cpus(int cpus); /* affinity mask and cgroup quota, found by the caller */

#endif
