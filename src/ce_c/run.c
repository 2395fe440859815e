/* run.c - a job from start to end: the check, the kernels, the block sums in their order. */
#include <math.h>

#include "isa.h"
#include "plan.h"
#include "real/bits.h"
#include "threads.h"

enum {
    WORK_OF_PIECE = 1 << 22, /* that of some milliseconds: a call can be stopped between two pieces */
    FAR = 600,               /* powers of 2 that weights are scaled by: where their sum is 0 or infinite, and at most */
    MOST = 1020,
    TRIES = 4,          /* to find such a power */
    WORK_OF_PAIR = 128, /* that is merged, in classes of a row */
    TOGETHER = 4,       /* blocks that go through two kernels: by lanes as many as a tile may have items of */
};

size_t ce_scratch_bytes(ce_job *job)
{
    job->threads = ce_threads_most(job->threads);
    job->isa = ce_isa_current();
    return ce_plan_bytes(job);
}

/* Units of work gone through by one kernel, or by two, some units at a time. */
typedef struct {
    const ce_grid *grid;
    const ce_plan *plan;
    ce_kernel      kernel, before; /* before: some units at a time, or NULL */
} phase;

static void run_range(void *context, int worker, int64_t first, int64_t last)
{
    const phase *p = context;
    char *const  buffer = p->plan->buffers + (size_t)worker * p->plan->buffer;

    if (!p->before) {
        p->kernel(p->grid, p->plan, buffer, first, last);
        return;
    }
    for (int64_t b = first; b < last; b += TOGETHER) {
        p->before(p->grid, p->plan, buffer, b, smaller(b + TOGETHER, last));
        p->kernel(p->grid, p->plan, buffer, b, smaller(b + TOGETHER, last));
    }
}

/* Runs a phase over n units, which are that much work together, with as many threads as that is worth. */
static void share_out(const phase *p, ce_job *job, int64_t n, int64_t work)
{
    const int64_t pieces = work / WORK_OF_PIECE + 1;

    if (work < CE_WORK_ALONE && n > 0)
        run_range((void *)p, 0, 0, n);
    else if (work >= CE_WORK_ALONE)
        job->stopped = ce_parallel_for(job, n, n > pieces ? n / pieces : 1, run_range, (void *)p);
}

/* A few long rows: each of their blocks becomes a pair, the pairs of a row are merged, its blocks are written. */
static void run_split(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const ce_kernels *kernels = ce_kernels_of(job);
    const phase   scan = { grid, plan, kernels->split_scan, NULL }, emit = { grid, plan, kernels->split_emit, NULL };
    const int64_t work = grid->items * grid->classes;

    plan->parts = (grid->classes + kernels->part - 1) / kernels->part;
    if (plan->tells)
        kernels->split_open(grid, plan, NULL, 0, grid->items);
    share_out(&scan, job, grid->items * plan->parts, work);
    if (job->stopped)
        return;
    kernels->split_merge(grid, plan, NULL, 0, grid->items);
    if (plan->derives)
        share_out(&emit, job, grid->items * plan->parts, work);
}

/* A shard of rows: one of its three parts. */
static void run_shard(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    const ce_kernels *kernels = ce_kernels_of(job);
    const ce_shard   *shard = job->shard;
    const int64_t     classes = shard->stop - shard->first, blocks = (classes + kernels->part - 1) / kernels->part;
    const phase       part = { grid, plan, shard->phase == CE_SCAN ? kernels->shard_scan : kernels->shard_emit, NULL };
    const phase       merge = { grid, plan, kernels->shard_merge, NULL };

    if (shard->phase == CE_MERGE)
        share_out(&merge, job, grid->blocks, grid->items * (shard->parts + 1) * WORK_OF_PAIR);
    else
        share_out(&part, job, grid->items * blocks, grid->items * classes);
}

/* What the mean divides by, of a job whose items add up to z. A number without axes is a batch of one. */
static double divisor_of(const ce_job *job, double z)
{
    if (job->normalizer > 0)
        return job->normalizer;
    if (job->reduction == CE_BATCHMEAN)
        return job->axes > 0 ? (double)job->shape[0] : 1;
    return z;
}

/* Takes in what the check found: whether indices and probabilities are in range, and what Z is. True if all is well. */
static int take_check(const ce_grid *grid, ce_plan *plan, ce_job *job)
{
    double z = 0, lost = 0, v = 0, v_lost = 0;

    for (int64_t b = 0; b < grid->blocks && job->bad < 0; b++) {
        add_exactly(&z, &lost, plan->blocks[b].z);
        if (ce_has_two_means(job))
            add_exactly(&v, &v_lost, plan->blocks[b].v);
        job->bad = plan->blocks[b].bad;
    }
    job->z = divisor_of(job, with_lost(z, lost));
    if (ce_has_two_means(job))
        plan->z_loss = job->z_loss * (job->z / with_lost(v, v_lost));
    plan->c = job->grad_output / (job->reduction >= CE_MEAN ? job->z : 1); /* all of the means */
    return job->bad < 0;
}

/* x > 0 is 2 to this times a number from 1 to 2. */
static int exponent_of(double x)
{
    const double normal = x < 0x1p-1000 ? x * 0x1p100 : x;
    return (int)(bits_f64(normal) >> 52) - 1023 - (normal != x ? 100 : 0);
}

/* Weights whose sum is so large or small that sums of products might be no numbers are all taken times a power of 2,
 * which leaves the mean as it is. True if that is so: then the check must be made once more. */
static int rescales(ce_plan *plan, const ce_job *job)
{
    const int    both = job->array[CE_V].data && job->array[CE_WEIGHT].data; /* then each of them is scaled */
    const double size = fabs(job->z), last = plan->scale;

    if (job->z != job->z || (size >= 0x1p-100 && size <= 0x1p100))
        return 0;
    const int by = size == 0 ? -FAR : size == INFINITY ? FAR : exponent_of(size);
    const int next = exponent_of(last) - by / (both ? 2 : 1);
    plan->scale = f64_bits((uint64_t)(1023 + (next < -MOST ? -MOST : next > MOST ? MOST : next)) << 52);
    return plan->scale != last;
}

/* A sum without the power of 2 that the weights are taken times: each of two kinds. */
static double unscaled(const ce_plan *plan, double sum)
{
    const int both = plan->job->array[CE_V].data && plan->job->array[CE_WEIGHT].data;

    return both ? sum / plan->scale / plan->scale : sum / plan->scale;
}

static double reduced(const ce_grid *grid, const ce_plan *plan)
{
    const ce_job     *job = plan->job;
    const ce_kernels *kernels = ce_kernels_of(job);
    const int         narrow = ce_is_element_wise(job) && job->array[CE_Z].type != CE_FLOAT64;
    const int         single = job->real == CE_FLOAT32 || narrow; /* the losses are of float32 */
    double            sum = 0, lost = 0;

    for (int64_t b = 0; b < grid->blocks; b++) add_exactly(&sum, &lost, plan->blocks[b].loss);
    sum = with_lost(sum, lost);
    if (job->whole)
        return unscaled(plan, sum);
    if (job->reduction >= CE_MEAN)
        sum /= job->z;
    if (job->reduction == CE_PERPLEXITY)
        sum = kernels->exp(sum);
    if (fabs(sum) < (single ? 0x1p-126 : kernels->min_normal))
        return 0;
    return single ? (float)sum : sum;
}

/* The sum of the items' z-losses, or their mean. */
static double reduced_z_losses(const ce_grid *grid, const ce_job *job)
{
    const void *x = job->stats->z_losses;
    double      sum = 0, lost = 0;

    for (int64_t i = 0; i < grid->items; i++)
        add_exactly(&sum, &lost, job->real == CE_FLOAT32 ? (double)((const float *)x)[i] : ((const double *)x)[i]);
    sum = with_lost(sum, lost);
    if (job->reduction >= CE_MEAN)
        sum /= job->z;
    return job->real == CE_FLOAT32 ? (double)(float)sum : sum;
}

static void finish(const ce_grid *grid, const ce_plan *plan, ce_job *job)
{
    job->value = reduced(grid, plan);
    if (job->stats && job->stats->z_losses)
        job->z_value = reduced_z_losses(grid, job);
    if (job->whole)
        job->z = unscaled(plan, job->z);
}

/* Are items checked where they are computed? Where nothing is written, or nothing that anyone minds, and what the mean
 * divides by is known before; element-wise, if items are gone through in the order of their positions, without masks.
 */
static int checks_on_the_way(const ce_grid *grid, const ce_job *job, int writes)
{
    ce_grid by_stride;

    if (!ce_is_element_wise(job))
        return !writes && !ce_has_two_means(job);
    if ((writes && !job->fresh) || job->array[CE_V].data || ce_weighs(job))
        return 0;
    if (grid->axes == 1)
        return 1;
    ce_make_grid(&by_stride, job, CE_BY_STRIDE);
    return ce_is_same_grid(&by_stride, grid);
}

static void run_job(ce_job *job)
{
    const ce_kernels *kernels = ce_kernels_of(job);
    ce_grid           grid;
    ce_plan           plan;
    int               tries = ce_weighs(job) ? TRIES : 0;

    job->bad = -1;
    job->stopped = 0;
    ce_make_grid(&grid, job, CE_BY_AXIS);
    ce_make_plan(&plan, &grid, job);

    const int64_t work = ce_work_of(&grid, job);
    const int     split = !job->shard && ce_splits_rows(&grid, job);
    const int     writes = plan.derives || grid.data[CE_VALUE] || job->shard;
    const phase   check = { &grid, &plan, kernels->check, NULL };
    phase         run = { &grid, &plan, kernels->run, NULL };
    if (!split && checks_on_the_way(&grid, job, writes)) {
        plan.checks = ce_is_element_wise(job);
        run.before = plan.checks ? NULL : kernels->check; /* blocks are computed right after their check */
        plan.c = job->grad_output / (job->reduction >= CE_MEAN ? divisor_of(job, (double)grid.items) : 1);
        do share_out(&run, job, grid.blocks, work);
        while (!job->stopped && take_check(&grid, &plan, job) && tries-- > 0 && rescales(&plan, job));
        if (!job->stopped && job->bad < 0)
            finish(&grid, &plan, job);
        return;
    }
    do share_out(&check, job, grid.blocks, grid.items);
    while (!job->stopped && take_check(&grid, &plan, job) && tries-- > 0 && rescales(&plan, job));
    if (job->stopped || job->bad >= 0)
        return;
    if (ce_is_element_wise(job) && grid.axes > 1)
        ce_make_grid(&grid, job, CE_BY_STRIDE);
    if (split)
        run_split(&grid, &plan, job);
    else if (job->shard)
        run_shard(&grid, &plan, job);
    else
        share_out(&run, job, grid.blocks, work);
    if (!job->stopped)
        finish(&grid, &plan, job);
}

void ce_run(ce_job *job)
{
    const uint64_t mode = ce_cpu_standard_mode();

    run_job(job);
    ce_cpu_restore_mode(mode);
}
