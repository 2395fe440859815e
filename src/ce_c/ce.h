/* ce.h - the C contract: what a call asks for, and the functions that answer it.
 *
 *     ce_start           a job of a loss, no option given
 *     ce_scratch_bytes   the memory that it needs
 *     ce_run             checks every class index or probability, then computes what the job asks for: the value, the
 *                        gradient, or both; or the gradient and the Hessian
 *
 * Letters: z logits, t target, K classes, w class weights, v sample weights, g gradient, h Hessian.
 * Nothing here allocates: the caller lends the scratch memory. Losses and options: losses.def; dtypes: dtypes.def.
 */
#ifndef CE_H
#define CE_H

#include <stddef.h>
#include <stdint.h>

#include "dtypes.def"
#include "losses.def"

enum {
    CE_MAX_AXES = 64,
    CE_IGNORED = -100,
    CE_REALS = 2,
    CE_PANEL_CLASSES = 2048
}; /* NumPy's limit; torch's ignore_index; computing types */

/* How a number lies in memory: CE_FLOAT32, CE_FLOAT64, then those of 16 bits, then the integers. */
#define CE_FIRST(first, ...) first,
typedef enum { CE_DTYPES(CE_FIRST, CE_FIRST, CE_FIRST) CE_TYPES } ce_type;

typedef enum { CE_NONE, CE_SUM, CE_MEAN, CE_BATCHMEAN, CE_PERPLEXITY } ce_reduction;
typedef enum { CE_EXACT, CE_GAUSS_NEWTON, CE_ABS, CE_BOUND } ce_hessian;
/* Why a call left off: stop said so; or stop forked, and this is the child, without the other threads of the call. */
enum { CE_STOPPED = 1, CE_FORKED };

/* The arrays of a job. The first four and the last two have the axes of the logits, the others those of
 * the items (the logits' axes less the class axis). Element-wise, where each number is an item, all have the axes of
 * the input, and any of them may be of float32 or 16 bits where float64 is computed with. */
enum {
    CE_Z,        /* logits; input */
    CE_GRAD,     /* out, and the next; in place of CE_Z they may be the same memory */
    CE_HESS,     /* only with CE_GRAD, and then without the value */
    CE_OTHER,    /* class probabilities, a second input; the target of element-wise losses */
    CE_TARGET,   /* class indices */
    CE_V,        /* sample weights; of float32 or float64, whatever is computed with; 0 masks the item */
    CE_POS,      /* weights of positive labels */
    CE_UPSTREAM, /* grad_output, where it is not one number */
    CE_VALUE,    /* out: the losses, of the computing type, or element-wise of any */
    CE_WEIGHT,   /* weights of elements; of the dtypes of CE_V, or 16 bits */
    CE_VECTOR,   /* CE_GRAD receives the Hessian times this; beyond CE_PANEL_CLASSES, where the classes are
                    contiguous in CE_Z, CE_OTHER and here; not of logits that are capped */
    CE_WHERE,    /* bytes: 0 where a class cannot be, as if its logit were -inf, whatever that is */
    CE_ARRAYS
};

typedef struct {
    char          *data;    /* NULL: absent */
    const int64_t *strides; /* bytes, one for each of the array's own axes */
    ce_type        type;
} ce_array;
/* Statistics of items, beside the loss: arrays of a number for each, in C order of the items, of the computing type or
 * of int64. Of ignored items and of those of weight 0 numbers are 0, places -1; of a row with a NaN rank is -1, too.
 * The last two hold some numbers for each item, and are computed only where there is no gradient. */
typedef struct {
    void          *log_prob, *max, *log_sum, *entropy; /* log_prob and rank: NULL without class indices */
    int64_t       *argmax, *rank;                      /* argmax NULL: of all these none is asked for */
    int64_t        top, extras;                        /* how many for each item */
    int64_t       *top_index;                          /* the classes of the largest logits */
    const int64_t *extra;                              /* in: classes, in range */
    void          *top_log_prob, *extra_log_prob;
    void          *z_losses; /* of items: the losses are then without these; NULL: they belong to them */
} ce_stats;

/* What one block of a row adds up to: plain numbers, which may be kept and sent. */
typedef struct {
    double  m, s; /* maximum, sum of the other exponentials; or s alone, where the loss asks for another sum */
    double  gap_sum, share_sum; /* sum u_k (m - z_k), sum u_k */
    double  heat;               /* for statistics: sum of exp(z_k - m) (m - z_k) */
    int64_t above;              /* how many classes come before the target; -1: a NaN was met */
    int64_t at;                 /* where the maximum stands first, or that NaN */
} ce_pair;

/* Some of the classes of each item, in rows: a job of these in three parts, of which each may run elsewhere. The shape
 * has all classes; CE_Z and CE_GRAD are where class 0 would be. A block has as many classes as ce_block_length says.
 * CE_SCAN    makes the pairs of the shard's blocks, and reads the logits of targets that are in it.
 * CE_MERGE   merges the pairs of all classes, in their order, to one for each item, and writes value and statistics.
 * CE_EMIT    writes the gradient of the shard. */
typedef enum { CE_SCAN, CE_MERGE, CE_EMIT } ce_phase;
typedef struct {
    ce_phase    phase;
    int64_t     first, stop;
    ce_pair    *pairs;        /* of each item; CE_SCAN: out */
    int64_t     parts;        /* how many each item has */
    int         whole_blocks; /* CE_EMIT: they are those of the undivided row */
    int         tells;        /* CE_SCAN: of statistics, too */
    ce_pair    *whole;        /* of each item one; CE_MERGE: out */
    void       *z_t; /* of each item, of the computing type: the target's logit; CE_SCAN: out, of those in the shard */
    const void *targets; /* CE_SCAN: these as they are, of all items, to count which classes come before; or NULL */
} ce_shard;

#define CE_FIELD_OF_NUMBER(bit, keyword, ...) double keyword;
#define CE_FIELD_OF_OTHER(...)
typedef struct {
    int             loss; /* its row in losses.def, from 0 on */
    ce_type         real; /* what is computed with */
    ce_reduction    reduction;
    ce_hessian      hessian;
    int             axes, class_axis; /* class_axis -1: element-wise */
    const int64_t  *shape;            /* of the logits */
    ce_array        array[CE_ARRAYS];
    const void     *w;     /* class weights: K numbers of the computing type, or NULL */
    const ce_stats *stats; /* where they go, or NULL; of losses of logits */
    const ce_shard *shard; /* or NULL */
    int64_t         ignore_index;
    CE_OPTIONS(CE_FIELD_OF_NUMBER, CE_FIELD_OF_OTHER)
    double grad_output;   /* what multiplies the gradient, beside the array CE_UPSTREAM */
    int    valued, fresh; /* the loss is asked for; the outputs are new: nobody minds what a refused job leaves there */
    int    whole;         /* the value is the sum of the losses in float64, whatever the reduction, and the mean's Z */
    int    threads;       /* asked for; then the most that will work */
    void  *scratch;
    int (*stop)(void); /* the calling thread asks it now and then: leave off? May be NULL */

    /* answers */
    double  value, z; /* the reduced loss; Z, what the mean divides by */
    double  z_value;  /* of stats->z_losses, reduced */
    int64_t bad;      /* position of the first class index or probability out of range, in C order; -1: none */
    int     stopped;  /* CE_STOPPED or CE_FORKED: all else is undone, or half done */
    int     isa;      /* that was current when scratch was asked for, and where its parts begin, in bytes */
    size_t  pairs, buffers, buffer; /* buffer: the size of one worker's */
} ce_job;

void   ce_start(ce_job *job, int loss);
size_t ce_scratch_bytes(ce_job *job); /* chooses threads and instruction set, too */
void   ce_run(ce_job *job);

/* The rows of losses.def and dtypes.def. First, what an input holds. UNIT: probabilities that are checked; UPSTREAMS: a
 * gradient, one number for each of the first input; UPSTREAM_ITEMS: one for each item, in CE_UPSTREAM. */
/* clang-format off */
typedef enum {
    CE_NOTHING, CE_LOGITS, CE_LOG_PROBS, CE_PROBS, CE_UNIT, CE_NUMBERS, CE_CLASSES, CE_UPSTREAMS, CE_UPSTREAM_ITEMS
} ce_content;
/* clang-format on */
typedef enum { CE_BY_COUNT, CE_BY_WEIGHT } ce_divisor;

#define CE_PLACE_OF_OPTION(bit, ...) bit##_PLACE,
#define CE_BIT_OF_OPTION(bit, ...)   bit = 1 << bit##_PLACE,
enum { CE_OPTIONS(CE_PLACE_OF_OPTION, CE_PLACE_OF_OPTION) CE_OPTION_COUNT };
enum {
    CE_OPTIONS(CE_BIT_OF_OPTION, CE_BIT_OF_OPTION) CE_FEW_CLASSES = 1 << CE_OPTION_COUNT,
    CE_BOUNDED = CE_FEW_CLASSES << 1,
    CE_HEATED = CE_BOUNDED << 1
};

typedef struct {
    const char *name;
    int         has_classes; /* items are rows of classes; else element-wise */
    ce_content  first, second;
    const char *outputs; /* of v, g, h */
    ce_divisor  mean;
    unsigned    options; /* bits */
} ce_loss;

typedef struct {
    const char *keyword;
    size_t      field; /* in ce_job, of an option that is one number; else 0 */
    double      absent, least, most;
    const char *rule;
} ce_option;

typedef struct {
    const char *name;
    int         size, digits, least, most; /* digits 0: an integer */
    char        format;
    int         number; /* NumPy's, -1 for none */
} ce_dtype;

int              ce_loss_count(void);
const ce_loss   *ce_loss_row(int loss);
int              ce_find_loss(const char *name); /* -1: no such loss */
const ce_option *ce_option_row(int place);
unsigned         ce_options_in_use(const ce_job *job);
const ce_dtype  *ce_dtype_row(ce_type type);
int64_t          ce_block_length(ce_type real);
void             ce_widen(ce_type half, const void *from, float *to, int64_t n); /* n numbers of 16 bits */

/* Instruction sets, in rising order. */
typedef struct {
    const char *name;  /* such as "x86-64-v3" */
    int         level; /* what it asks of the processor, see cpu.c */
    int         fused; /* has fused multiply-add: the same bits as all others that have */
} ce_isa;

int           ce_isa_count(void); /* compiled in */
const ce_isa *ce_isa_row(int isa);
int           ce_isa_runs_here(int isa);
int           ce_isa_current(void);
void          ce_isa_use(int isa); /* one that runs here */

/* Threads. */
const char *ce_threads_runtime(void);   /* "OpenMP 201511", "Grand Central Dispatch", "serial" */
int         ce_threads_team(int asked); /* how many would work for a large call made here and now */
int         ce_threads_cpus(void);      /* those of the calling thread's affinity mask, or of OpenMP's; 0: not known */
void ce_threads_set_cpus(int cpus); /* what a process may use: affinity mask and cgroup quota, found by the caller */
void ce_threads_watch_forks(void);  /* once: from now on a forked child computes */

#endif
