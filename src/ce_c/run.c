/* run.c - chooses the kernel, plans the blocks, adds the block sums in their order. */
#include <math.h>
#include <stdlib.h>

#include "internal.h"
#include "vecmath.h"

/* The tables that were compiled in, from the build: one X(symbol) each, in rising order. */
#define X(symbol) extern const ce_kernels symbol;
CE_ISA_TABLES
#undef X
#define X(symbol) &symbol,
static const ce_kernels *const tables[] = { CE_ISA_TABLES };
#undef X

enum {
    ISAS = sizeof tables / sizeof *tables,
    ROW_MIN = 161,          /* shorter rows do better side by side: each costs as much as 400 classes beside its own */
    BLOCK_ELEMENTS = 8192,  /* logits in a block: a few microseconds of work */
    BLOCK_ITEMS = 1024,     /* the most items in a block, unless they are single numbers */
    TILE_ITEMS = 16,        /* the fewest, by lanes */
    WORK_ALONE = 65536,     /* about 20 us of work: not worth a second thread */
    STREAM_BYTES = 1 << 25, /* 32 MiB, with the logits 64: more than most last-level caches */
    SPLIT_ITEMS = 64,       /* the most rows that threads share block by block */
    SPLIT_SHARE = 8,        /* rows for each thread that share well by themselves */
    PART_MIN = 2048,        /* classes in a block of a row: no type has fewer */
    WORK_OF_ITEM = 32,      /* what an item costs beside its classes, in classes */
    WORK_OF_ELEMENT = 4,    /* what an element costs of an element-wise loss */
};

static int current;

int ce_isa_count(void)
{
    return ISAS;
}

const char *ce_isa_name(int isa)
{
    return tables[isa]->name;
}

int ce_isa_runs_here(int isa)
{
    return ce_cpu_has_level(tables[isa]->level);
}

int ce_isa_current(void)
{
    return current;
}

void ce_isa_use(int isa)
{
    current = isa;
}

int ce_find_loss(const char *name)
{
    return tables[0]->find_loss(name);
}

static int element_wise(const ce_job *job)
{
    return job->class_axis < 0;
}

/* The order of float64 sums over items hangs on this number: it depends on K and the traversal alone. */
static int64_t block_items(int64_t classes, int by_rows)
{
    const int64_t fit = BLOCK_ELEMENTS / (classes > 0 ? classes : 1);

    if (by_rows)
        return fit > 1 ? fit : 1;
    if (fit > BLOCK_ITEMS)
        return BLOCK_ITEMS;
    return fit > TILE_ITEMS ? fit - fit % TILE_ITEMS : TILE_ITEMS;
}

/* Appends an axis, or merges it into the one before it where every array steps alike. */
static void add_axis(ce_grid *grid, const ce_job *job, int axis)
{
    const int64_t n = job->shape[axis];
    const int     last = grid->axes - 1, after_class = !element_wise(job) && axis > job->class_axis;
    int64_t       stride[CE_ARRAYS];
    int           mergeable = last >= 0;

    for (int a = 0; a < CE_ARRAYS; a++) {
        if (!grid->data[a])
            continue;
        stride[a] = job->array[a].strides[a >= CE_TARGET && after_class ? axis - 1 : axis];
        mergeable = mergeable && grid->stride[a][last] == stride[a] * n;
    }
    const int into = mergeable ? last : grid->axes++;
    for (int a = 0; a < CE_ARRAYS; a++)
        if (grid->data[a])
            grid->stride[a][into] = stride[a];
    grid->size[into] = mergeable ? grid->size[into] * n : n;
}

/* Axes longer than 1 but for that of the classes; by falling stride of CE_Z, if asked for. */
static int axes_of_items(const ce_job *job, int by_stride, int *axes)
{
    const int64_t *stride = job->array[CE_Z].strides;
    int            n = 0;

    for (int axis = 0; axis < job->axes; axis++) {
        if (axis == job->class_axis || job->shape[axis] == 1)
            continue;
        int place = n++;
        for (; by_stride && place > 0 && llabs(stride[axes[place - 1]]) < llabs(stride[axis]); place--)
            axes[place] = axes[place - 1];
        axes[place] = axis;
    }
    return n;
}

static void make_grid(ce_grid *grid, const ce_job *job, int by_stride)
{
    int       axes[CE_MAX_AXES];
    const int n = axes_of_items(job, by_stride, axes);

    grid->axes = 0;
    grid->items = 1;
    grid->classes = element_wise(job) ? 1 : job->shape[job->class_axis];
    for (int a = 0; a < CE_ARRAYS; a++) {
        grid->data[a] = job->array[a].data;
        grid->type[a] = job->array[a].type;
        const int by_class = grid->data[a] && a < CE_TARGET && !element_wise(job);
        grid->class_stride[a] = by_class ? job->array[a].strides[job->class_axis] : 0;
    }
    for (int i = 0; i < n; i++) {
        grid->items *= job->shape[axes[i]];
        add_axis(grid, job, axes[i]);
    }
    if (grid->axes == 0) { /* one item */
        grid->axes = 1;
        grid->size[0] = 1;
        for (int a = 0; a < CE_ARRAYS; a++) grid->stride[a][0] = 0;
    }
    grid->by_rows = !element_wise(job) && grid->classes >= ROW_MIN &&
                    grid->class_stride[CE_Z] == size_of(grid->type[CE_Z]) &&
                    (!grid->data[CE_OTHER] || grid->class_stride[CE_OTHER] == size_of(grid->type[CE_OTHER]));
    grid->block = element_wise(job) ? BLOCK_ELEMENTS : block_items(grid->classes, grid->by_rows);
    grid->blocks = (grid->items + grid->block - 1) / grid->block;
}

/* Stores past the caches pay where a gradient is contiguous by rows, or items of a class are, it is too large to stay
 * in them, and its lines are not there already: those of the logits are, and those of a fresh page, which the kernel
 * has just cleared. */
static int streams(const ce_grid *grid, const ce_job *job)
{
    const int64_t size = size_of(grid->type[CE_GRAD]),
                  step = grid->by_rows ? grid->class_stride[CE_GRAD] : grid->stride[CE_GRAD][grid->axes - 1];

    return tables[current]->streams && !element_wise(job) && grid->data[CE_GRAD] && !job->fresh && step == size &&
           grid->items * grid->classes * size >= STREAM_BYTES && grid->data[CE_GRAD] != grid->data[CE_Z] &&
           grid->data[CE_GRAD] != grid->data[CE_OTHER];
}

/* Rows too few to be shared well, but long. Their blocks are those of the undivided row: the same bits. */
static int splits(const ce_grid *grid, const ce_job *job)
{
    const int64_t team = ce_threads_team(job->threads);

    return grid->by_rows && grid->block == 1 && team > 1 && grid->items <= SPLIT_ITEMS &&
           grid->items < SPLIT_SHARE * team && grid->classes > tables[current]->real[job->real].part &&
           grid->items * grid->classes >= WORK_ALONE;
}

/* Where the pairs begin in the scratch memory, in bytes. */
static size_t pairs_at(int64_t blocks)
{
    return (size_t)(blocks + 1) * sizeof(ce_block);
}

size_t ce_scratch_bytes(const ce_job *job)
{
    int64_t items = 1, block = BLOCK_ELEMENTS;

    for (int axis = 0; axis < job->axes; axis++)
        if (axis != job->class_axis)
            items *= job->shape[axis];
    if (!element_wise(job)) {
        const int64_t rows = block_items(job->shape[job->class_axis], 1),
                      lanes = block_items(job->shape[job->class_axis], 0);
        block = rows < lanes ? rows : lanes;
    }
    const int64_t parts = element_wise(job) ? 0 : job->shape[job->class_axis] / PART_MIN + 1;
    return pairs_at(items / block) +
           (items <= SPLIT_ITEMS && parts > 2 ? (size_t)(items * parts) * sizeof(ce_pair) : 0);
}

typedef struct {
    const ce_grid *grid;
    const ce_plan *plan;
    ce_kernel      kernel;
} call;

static void run_range(void *context, int64_t first, int64_t last)
{
    const call *c = context;
    c->kernel(c->grid, c->plan, first, last);
}

static void share_blocks(const ce_grid *grid, const ce_plan *plan, ce_kernel kernel, int threads)
{
    call c = { grid, plan, kernel };
    ce_parallel_for(grid->blocks, threads, run_range, &c);
}

static void share_parts(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const ce_kernels *table = tables[current];
    call scan = { grid, plan, table->real[job->real].scan }, emit = { grid, plan, table->real[job->real].emit };

    plan->parts = (grid->classes + table->real[job->real].part - 1) / table->real[job->real].part;
    plan->pairs = (ce_pair *)((char *)job->scratch + pairs_at(grid->blocks));
    ce_parallel_for(grid->items * plan->parts, job->threads, run_range, &scan);
    table->real[job->real].merge(grid, plan, 0, grid->items);
    if (plan->derives)
        ce_parallel_for(grid->items * plan->parts, job->threads, run_range, &emit);
}

/* What comes before anything is written: are indices or probabilities in range, and what is Z? */
static void check(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const int threads = grid->items < WORK_ALONE ? 1 : job->threads;
    double    z = 0, lost = 0;

    share_blocks(grid, plan, tables[current]->real[job->real].check, threads);
    for (int64_t b = 0; b < grid->blocks && job->bad < 0; b++) {
        add_exactly(&z, &lost, plan->blocks[b].z);
        job->bad = plan->blocks[b].bad;
    }
    job->z = job->reduction == CE_BATCHMEAN ? (double)job->shape[0] : with_lost(z, lost);
}

static double reduced(const ce_grid *grid, const ce_plan *plan)
{
    const ce_job *job = plan->job;
    double        sum = 0, lost = 0;

    for (int64_t b = 0; b < grid->blocks; b++) add_exactly(&sum, &lost, plan->blocks[b].loss);
    sum = with_lost(sum, lost);
    if (job->reduction >= CE_MEAN)
        sum /= job->z;
    if (job->reduction == CE_PERPLEXITY)
        sum = sum > EXP_HI_F64 ? INFINITY : exp_wide_f64(sum);
    return fabs(sum) < tables[current]->real[job->real].min_normal ? 0 : sum;
}

void ce_run(ce_job *job)
{
    const ce_kernels *table = tables[current];
    ce_grid           grid;
    ce_plan           plan = { .job = job, .c = job->grad_output, .blocks = job->scratch };

    job->bad = -1;
    make_grid(&grid, job, 0);
    plan.classes = (double)grid.classes;
    plan.w_sum = job->w && job->smoothing != 0 ? table->real[job->real].sum(job->w, grid.classes) : plan.classes;
    plan.derives = grid.data[CE_GRAD] || grid.data[CE_HESS];
    plan.curves = grid.data[CE_HESS] != NULL;
    plan.streams = streams(&grid, job);
    check(&grid, &plan, job);
    if (job->bad >= 0)
        return;
    if (job->reduction >= CE_MEAN)
        plan.c /= job->z;
    if (element_wise(job))
        make_grid(&grid, job, 1);
    const int64_t work = element_wise(job) ? WORK_OF_ELEMENT : grid.classes + WORK_OF_ITEM;
    if (splits(&grid, job))
        share_parts(&grid, &plan, job);
    else
        share_blocks(&grid, &plan, table->real[job->real].run, grid.items * work < WORK_ALONE ? 1 : job->threads);
    job->value = reduced(&grid, &plan);
}
