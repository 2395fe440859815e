/* run.c - chooses the kernel, plans the blocks, adds the block sums in their order. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"
#include "memory.h"
#include "vecmath.h"

#include "dtype_bf16.h"
#include "dtype_f16.h"

/* The tables that were compiled in, from the build: one X(symbol) each, in rising order. */
#define X(symbol) extern const ce_kernels symbol;
CE_ISA_TABLES
#undef X
#define X(symbol) &symbol,
static const ce_kernels *const tables[] = { CE_ISA_TABLES };
#undef X

enum {
    ISAS = sizeof tables / sizeof *tables,
    ROW_MIN = 161,           /* shorter rows do better side by side: each costs as much as 400 classes beside its own */
    BLOCK_ELEMENTS = 8192,   /* logits in a block: a few microseconds of work */
    LANES_ELEMENTS = 32768,  /* by lanes: so many that where the first line of memory begins does not matter */
    BLOCK_ITEMS = 1024,      /* the most items in a block, unless they are single numbers */
    TILE_ITEMS = 16,         /* the fewest, by lanes */
    WORK_ALONE = 65536,      /* about 20 us of work: not worth a second thread */
    STREAM_BYTES = 1 << 25,  /* 32 MiB, with the logits 64: more than most last-level caches */
    SPLIT_ITEMS = 64,        /* the most rows that threads share block by block */
    SPLIT_SHARE = 8,         /* rows for each thread that share well by themselves */
    WORK_OF_ITEM = 32,       /* what an item costs beside its classes, in classes */
    WORK_OF_ELEMENT = 4,     /* what an element costs of an element-wise loss */
    WORK_OF_PIECE = 1 << 22, /* milliseconds: a call can be stopped between two pieces */
    ENDLESS_ROW = 1 << 24,   /* a row that is itself cut into pieces */
};

static atomic_int current;

int ce_isa_count(void)
{
    return ISAS;
}

const ce_isa *ce_isa_row(int isa)
{
    return &tables[isa]->isa;
}

int ce_isa_runs_here(int isa)
{
    return ce_cpu_has_level(tables[isa]->isa.level);
}

int ce_isa_current(void)
{
    return current;
}

void ce_isa_use(int isa)
{
    current = isa;
}

void ce_widen(ce_type half, const void *from, float *to, int64_t n)
{
    switch (half) {
#define WIDEN_REAL(...)
#define WIDEN_HALF(type, name, read, ...)                                                                              \
    case type: read(to, from, n); return;
        CE_DTYPES(WIDEN_REAL, WIDEN_HALF, WIDEN_REAL)
    default: return;
    }
}

static int element_wise(const ce_job *job)
{
    return job->class_axis < 0;
}

/* The order of float64 sums over items hangs on this number: it depends on K and the traversal alone. */
static int64_t block_items(int64_t classes, int by_rows)
{
    const int64_t fit = quotient(by_rows ? BLOCK_ELEMENTS : LANES_ELEMENTS, classes > 0 ? classes : 1);

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

/* Does the class axis of an array lie side by side? */
static int is_row(const ce_job *job, int array)
{
    const ce_array *a = &job->array[array];
    return !a->data || a->strides[job->class_axis] == size_of(a->type);
}

static int by_rows(const ce_job *job)
{
    return !element_wise(job) && job->shape[job->class_axis] >= ROW_MIN && is_row(job, CE_Z) && is_row(job, CE_OTHER);
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
    grid->by_rows = by_rows(job);
    grid->block = element_wise(job) ? BLOCK_ELEMENTS : block_items(grid->classes, grid->by_rows);
    grid->blocks = quotient(grid->items + grid->block - 1, grid->block);
}

/* Stores past the caches pay by lanes, where items of a class are neighbours and the gradient is too large to stay in
 * the caches: classes far apart would push each other's lines out half written. Not in place: there the lines are. */
static int streams(const ce_grid *grid, const ce_job *job)
{
    const int64_t size = size_of(grid->type[CE_GRAD]);

    return tables[job->isa]->streams && !element_wise(job) && !grid->by_rows && grid->data[CE_GRAD] &&
           grid->stride[CE_GRAD][grid->axes - 1] == size && grid->items * grid->classes * size >= STREAM_BYTES &&
           grid->data[CE_GRAD] != grid->data[CE_Z];
}

/* Rows too few to be shared well, but long. Their blocks are those of the undivided row: the same bits. */
static int splits(const ce_grid *grid, const ce_job *job)
{
    const int few = job->threads > 1 && grid->items < SPLIT_SHARE * (int64_t)job->threads;

    return grid->by_rows && grid->block == 1 && grid->items <= SPLIT_ITEMS &&
           grid->classes > tables[job->isa]->real[job->real].part && grid->items * grid->classes >= WORK_ALONE &&
           (few || grid->classes >= ENDLESS_ROW);
}

/* Where things lie in the scratch memory, in bytes. */
typedef struct {
    size_t pairs, buffers, buffer, all; /* buffer: of one worker */
} layout;

static size_t up_to_line(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static layout layout_of(const ce_job *job)
{
    const int     derives = job->array[CE_GRAD].data || job->array[CE_HESS].data;
    const int64_t K = element_wise(job) ? 1 : job->shape[job->class_axis];
    int64_t       items = 1, block = BLOCK_ELEMENTS, parts = 0, numbers = 0;
    layout        at;

    for (int axis = 0; axis < job->axes; axis++)
        if (axis != job->class_axis)
            items *= job->shape[axis];
    if (!element_wise(job))
        block = block_items(K, by_rows(job));
    if (by_rows(job)) {
        parts = items <= SPLIT_ITEMS ? K / tables[job->isa]->real[job->real].part + 2 : 0;
        numbers = derives || job->array[CE_Z].type != job->real
                      ? tables[job->isa]->real[job->real].row_numbers(K, derives)
                      : 0;
    }
    at.pairs = (size_t)quotient(items + block - 1, block) * sizeof(ce_block);
    at.buffers = up_to_line(at.pairs + (size_t)(items * parts) * sizeof(ce_pair));
    at.buffer = up_to_line((size_t)(numbers * size_of(job->real)));
    at.all = at.buffers + (numbers > 0 ? (size_t)job->threads * at.buffer + LINE : 0);
    return at;
}

static void lay_out(ce_plan *plan, const ce_job *job)
{
    const layout at = layout_of(job);
    char *const scratch = job->scratch, *const buffers = scratch + at.buffers;

    plan->blocks = job->scratch;
    plan->pairs = (ce_pair *)(scratch + at.pairs);
    plan->buffers = buffers + (-(uintptr_t)buffers % LINE);
    plan->buffer = at.buffer;
}

size_t ce_scratch_bytes(ce_job *job)
{
    job->threads = ce_threads_team(job->threads);
    job->isa = current;
    return layout_of(job).all;
}

typedef struct {
    const ce_grid *grid;
    const ce_plan *plan;
    ce_kernel      kernel, before; /* before: block by block, or NULL */
} call;

static void run_range(void *context, int worker, int64_t first, int64_t last)
{
    const call *c = context;
    char *const buffer = c->plan->buffers + (size_t)worker * c->plan->buffer;

    for (int64_t b = first, next; b < last; b = next) {
        next = c->before ? b + 1 : last;
        if (c->before)
            c->before(c->grid, c->plan, buffer, b, next);
        c->kernel(c->grid, c->plan, buffer, b, next);
    }
}

/* Over n units, which are that much work together. */
static void share_out(const call *c, ce_job *job, int64_t n, int64_t work)
{
    const int64_t pieces = work / WORK_OF_PIECE + 1;

    if (work < WORK_ALONE)
        run_range((void *)c, 0, 0, n);
    else
        job->stopped = ce_parallel_for(job, n, n > pieces ? n / pieces : 1, run_range, (void *)c);
}

static void share_parts(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const ce_kernels *table = tables[job->isa];
    const int64_t     part = table->real[job->real].part;
    const call        scan = { grid, plan, table->real[job->real].scan, NULL };
    const call        emit = { grid, plan, table->real[job->real].emit, NULL };
    const int64_t     work = grid->items * grid->classes;

    plan->parts = (grid->classes + part - 1) / part;
    share_out(&scan, job, grid->items * plan->parts, work);
    if (job->stopped)
        return;
    table->real[job->real].merge(grid, plan, NULL, 0, grid->items);
    if (plan->derives)
        share_out(&emit, job, grid->items * plan->parts, work);
}

/* What the check found: are indices or probabilities in range, and what is Z? True if all is well. */
static int passes(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    double z = 0, lost = 0;

    for (int64_t b = 0; b < grid->blocks && job->bad < 0; b++) {
        add_exactly(&z, &lost, plan->blocks[b].z);
        job->bad = plan->blocks[b].bad;
    }
    job->z = job->reduction == CE_BATCHMEAN ? (double)job->shape[0] : with_lost(z, lost);
    plan->c /= job->reduction >= CE_MEAN ? job->z : 1;
    return job->bad < 0;
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
    if (fabs(sum) < tables[job->isa]->real[job->real].min_normal)
        return 0;
    return job->real == CE_FLOAT32 ? (float)sum : sum;
}

static void run_job(ce_job *job)
{
    const ce_kernels *table = tables[job->isa];
    ce_grid           grid;
    ce_plan           plan = { .job = job, .c = job->grad_output };

    job->bad = -1;
    job->stopped = 0;
    lay_out(&plan, job);
    make_grid(&grid, job, 0);
    plan.classes = (double)grid.classes;
    plan.w_sum = job->w && job->label_smoothing != 0 ? table->real[job->real].sum(job->w, grid.classes) : plan.classes;
    plan.derives = grid.data[CE_GRAD] || grid.data[CE_HESS];
    plan.curves = grid.data[CE_HESS] != NULL;
    plan.streams = streams(&grid, job);
    plan.in_use = ce_options_in_use(job);

    const int64_t work = grid.items * (element_wise(job) ? WORK_OF_ELEMENT : grid.classes + WORK_OF_ITEM);
    const call    check = { &grid, &plan, table->real[job->real].check, NULL };
    call          run = { &grid, &plan, table->real[job->real].run, NULL };
    const int     split = splits(&grid, job);
    if (!element_wise(job) && !plan.derives && !grid.data[CE_VALUE] && !split) {
        run.before = check.kernel; /* nothing is written: targets need be read only once */
        share_out(&run, job, grid.blocks, work);
        if (!job->stopped && passes(&grid, &plan, job))
            job->value = reduced(&grid, &plan);
        return;
    }
    share_out(&check, job, grid.blocks, grid.items);
    if (job->stopped || !passes(&grid, &plan, job))
        return;
    if (element_wise(job))
        make_grid(&grid, job, 1);
    if (split)
        share_parts(&grid, &plan, job);
    else
        share_out(&run, job, grid.blocks, work);
    if (!job->stopped)
        job->value = reduced(&grid, &plan);
}

void ce_run(ce_job *job)
{
    const uint64_t mode = ce_cpu_standard_mode();

    run_job(job);
    ce_cpu_restore_mode(mode);
}
