/* run.c - chooses the kernel, plans the blocks, adds the block sums in their order. */
#include <math.h>

#include "internal.h"

/* The tables that were compiled in, from the build: one X(symbol) each, in rising order. */
#define X(symbol) extern const ce_kernels symbol;
CE_ISA_TABLES
#undef X
#define X(symbol) &symbol,
static const ce_kernels *const tables[] = { CE_ISA_TABLES };
#undef X

enum {
    ISAS = sizeof tables / sizeof *tables,
    ROW_MIN = 33,           /* shorter rows would leave most of a chunk of 64 empty */
    BLOCK_ELEMENTS = 8192,  /* logits in a block: a few microseconds of work */
    BLOCK_ITEMS = 1024,     /* the most items in a block */
    TILE_ITEMS = 16,        /* the fewest, by lanes */
    WORK_ALONE = 65536,     /* about 20 us of work: not worth a second thread */
    STREAM_BYTES = 1 << 25, /* 32 MiB, with the logits 64: more than most last-level caches */
    WORK_OF_ITEM = 32,      /* what an item costs beside its classes, in classes */
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
    const int     last = grid->axes - 1;
    int64_t       stride[CE_ARRAYS];
    int           mergeable = last >= 0;

    for (int a = 0; a < CE_ARRAYS; a++) {
        if (!grid->data[a])
            continue;
        stride[a] = job->array[a].strides[a >= CE_TARGET && axis > job->class_axis ? axis - 1 : axis];
        mergeable = mergeable && grid->stride[a][last] == stride[a] * n;
    }
    const int into = mergeable ? last : grid->axes++;
    for (int a = 0; a < CE_ARRAYS; a++)
        if (grid->data[a])
            grid->stride[a][into] = stride[a];
    grid->size[into] = mergeable ? grid->size[into] * n : n;
}

static void make_grid(ce_grid *grid, const ce_job *job)
{
    const int elem_size = tables[current]->dtype[job->dtype].elem_size;

    grid->axes = 0;
    grid->items = 1;
    grid->classes = job->shape[job->class_axis];
    for (int a = 0; a < CE_ARRAYS; a++) {
        grid->data[a] = job->array[a].data;
        if (grid->data[a] && a < CE_TARGET)
            grid->class_stride[a] = job->array[a].strides[job->class_axis];
    }
    for (int axis = 0; axis < job->axes; axis++) {
        if (axis == job->class_axis)
            continue;
        grid->items *= job->shape[axis];
        if (job->shape[axis] != 1)
            add_axis(grid, job, axis);
    }
    if (grid->axes == 0) { /* one item */
        grid->axes = 1;
        grid->size[0] = 1;
        for (int a = 0; a < CE_ARRAYS; a++) grid->stride[a][0] = 0;
    }
    grid->by_rows = grid->classes >= ROW_MIN && grid->class_stride[CE_Z] == elem_size &&
                    (!grid->data[CE_OTHER] || grid->class_stride[CE_OTHER] == elem_size);
    grid->block = block_items(grid->classes, grid->by_rows);
    grid->blocks = (grid->items + grid->block - 1) / grid->block;
}

/* Stores past the caches pay where a gradient is contiguous by rows, too large to stay in them, and its lines are not
 * there already: those of the logits are, and those of a fresh page, which the kernel has just cleared. */
static int streams(const ce_grid *grid, const ce_job *job)
{
    const int64_t bytes = grid->items * grid->classes * tables[current]->dtype[job->dtype].elem_size;

    return tables[current]->streams && grid->by_rows && grid->data[CE_GRAD] && !job->fresh && bytes >= STREAM_BYTES &&
           grid->data[CE_GRAD] != grid->data[CE_Z] && grid->data[CE_GRAD] != grid->data[CE_OTHER] &&
           grid->class_stride[CE_GRAD] == tables[current]->dtype[job->dtype].elem_size;
}

size_t ce_scratch_bytes(const ce_job *job)
{
    int64_t items = 1;

    for (int axis = 0; axis < job->axes; axis++)
        if (axis != job->class_axis)
            items *= job->shape[axis];
    const int64_t rows = block_items(job->shape[job->class_axis], 1),
                  lanes = block_items(job->shape[job->class_axis], 0);
    return (size_t)(items / (rows < lanes ? rows : lanes) + 1) * sizeof(ce_block);
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

static void check_targets(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const int threads = grid->items < WORK_ALONE ? 1 : job->threads;
    double    z = 0, lost = 0;

    share_blocks(grid, plan, tables[current]->dtype[job->dtype].check, threads);
    for (int64_t b = 0; b < grid->blocks && job->bad < 0; b++) {
        add_exactly(&z, &lost, plan->blocks[b].z);
        job->bad = plan->blocks[b].bad;
    }
    job->z = with_lost(z, lost);
}

static double reduced(const ce_grid *grid, const ce_plan *plan)
{
    const ce_job *job = plan->job;
    double        sum = 0, lost = 0;

    for (int64_t b = 0; b < grid->blocks; b++) add_exactly(&sum, &lost, plan->blocks[b].loss);
    sum = with_lost(sum, lost);
    if (job->reduction == CE_MEAN)
        sum /= job->z;
    return fabs(sum) < tables[current]->dtype[job->dtype].min_normal ? 0 : sum;
}

void ce_run(ce_job *job)
{
    ce_grid grid;
    ce_plan plan = { .job = job, .c = job->grad_output, .blocks = job->scratch };

    job->bad = -1;
    make_grid(&grid, job);
    plan.classes = (double)grid.classes;
    plan.w_sum =
        job->w && job->smoothing != 0 ? tables[current]->dtype[job->dtype].sum(job->w, grid.classes) : plan.classes;
    plan.derives = grid.data[CE_GRAD] || grid.data[CE_HESS];
    plan.streams = streams(&grid, job);
    if (grid.classes == 0 && plan.derives && !grid.data[CE_TARGET])
        return;
    if (grid.data[CE_TARGET]) {
        check_targets(&grid, &plan, job);
        if (job->bad >= 0)
            return;
        if (job->reduction == CE_MEAN)
            plan.c /= job->z;
    }
    share_blocks(&grid, &plan, tables[current]->dtype[job->dtype].run,
                 grid.items * (grid.classes + WORK_OF_ITEM) < WORK_ALONE ? 1 : job->threads);
    job->value = reduced(&grid, &plan);
}
