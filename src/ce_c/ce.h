/* ce.h - the C contract: what a call asks for, and the functions that answer it.
 *
 *     ce_run      checks every class index, then value, gradient and Hessian of one job
 *
 * Letters: z logits, t target, K classes, w class weights, v sample weights, g gradient, h Hessian.
 * Nothing here allocates: the caller lends ce_scratch_bytes(job) bytes.
 */
#ifndef CE_H
#define CE_H

#include <stddef.h>
#include <stdint.h>

enum { CE_MAX_AXES = 64 }; /* NumPy's limit */

typedef enum { CE_FLOAT32, CE_FLOAT64, CE_DTYPES } ce_dtype;
typedef enum { CE_INT8, CE_INT16, CE_INT32, CE_INT64, CE_UINT8, CE_UINT16, CE_UINT32, CE_UINT64 } ce_index;
typedef enum { CE_NONE, CE_SUM, CE_MEAN } ce_reduction;

/* The arrays of a job. The first four have the axes of the logits, the others those of the items
 * (the logits' axes less the class axis). */
enum { CE_Z, CE_GRAD, CE_HESS, CE_OTHER, CE_TARGET, CE_V, CE_UPSTREAM, CE_VALUE, CE_ARRAYS };

typedef struct {
    char          *data;    /* NULL: absent */
    const int64_t *strides; /* bytes, one for each of the array's own axes */
} ce_array;

typedef struct {
    int            loss; /* ce_find_loss */
    ce_dtype       dtype;
    ce_index       index;
    ce_reduction   reduction;
    int            axes, class_axis;
    const int64_t *shape; /* of the logits */
    ce_array       array[CE_ARRAYS];
    const void    *w; /* class weights: K numbers of the computing type, or NULL */
    int64_t        ignore_index;
    double         smoothing;
    double         grad_output; /* what multiplies the gradient, beside the array CE_UPSTREAM */
    int            fresh;       /* the gradient's memory has not been touched before */
    int            threads;     /* asked for; the team may be smaller */
    void          *scratch;

    /* answers */
    double  value; /* the reduced loss */
    double  z;     /* Z, the sum of v w_t over counted items */
    int64_t bad;   /* position of the first class index out of range, in C order of the items; -1: none */
} ce_job;

size_t ce_scratch_bytes(const ce_job *job);
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
void        ce_threads_set_cpus(int cpus); /* affinity mask and cgroup quota, found by the caller */

#endif
