/* plan.c - scratch memory, stores past the caches, rows that are split among threads. */
#include "plan.h"

#include <math.h>

#include "isa.h"
#include "real/memory.h"

enum {
    STREAM_BYTES = 1 << 25, /* 32 MiB, with the logits 64: more than most last-level caches */
    CLAIM_BYTES = 1 << 23,  /* 8 MiB, with the logits 16: more than most second-level caches */
    SPLIT_ITEMS = 64,       /* the most rows that threads share block by block */
    SPLIT_SHARE = 8,        /* rows for each thread that share well by themselves */
    WORK_OF_ITEM = 32,      /* what an item costs beside its classes, in classes */
    WORK_OF_ELEMENT = 4,    /* what an element costs of an element-wise loss */
    ENDLESS_ROW = 1 << 24,  /* a row that is itself cut into pieces */
};

static int64_t work_of(const ce_job *job, int64_t items, int64_t classes)
{
    return items * (ce_is_element_wise(job) ? WORK_OF_ELEMENT : classes + WORK_OF_ITEM);
}

int64_t ce_work_of(const ce_grid *grid, const ce_job *job)
{
    return work_of(job, grid->items, grid->classes);
}

/* Stores past the caches pay where the gradient is too large to stay in the caches: of few classes, where items of a
 * class are neighbours; and of rows, whose lines would be read first, but for memory that is new: its pages are in the
 * caches, where the kernel has filled them with zeros. Not in place: there the lines are. Not of many classes far
 * apart: where tiles do not begin with lines, these would be written in two parts. */
static int streams(const ce_grid *grid, const ce_job *job)
{
    if (!grid->data[CE_GRAD] || grid->data[CE_VECTOR] || ce_is_of_two_rows(job))
        return 0;
    const int64_t size = size_of(grid->type[CE_GRAD]);
    const int64_t step = grid->by_rows ? grid->class_stride[CE_GRAD] : grid->stride[CE_GRAD][grid->axes - 1];

    return ce_kernels_of(job)->streams && !ce_is_element_wise(job) && step == size &&
           (grid->by_rows ? !job->fresh : grid->type[CE_GRAD] == job->real) &&
           grid->items * grid->classes * size >= STREAM_BYTES && grid->data[CE_GRAD] != grid->data[CE_Z];
}

/* Rows whose gradient comes from further away than the second-level cache, so that stores would wait for its lines. */
static int claims(const ce_grid *grid, const ce_job *job)
{
    return grid->data[CE_GRAD] && grid->by_rows && !job->fresh && grid->data[CE_GRAD] != grid->data[CE_Z] &&
           grid->class_stride[CE_GRAD] == size_of(grid->type[CE_GRAD]) &&
           grid->items * grid->classes * size_of(grid->type[CE_GRAD]) >= CLAIM_BYTES;
}

/* Are rows so few that threads are done earlier if they share each? Gradients are then written after a second start, in
 * the time of which half a row is done: whole rows do where they leave threads idle for less than a third of it all. */
static int are_few(const ce_grid *grid, const ce_job *job)
{
    const int64_t items = grid->items, threads = job->threads, turns = quotient(items + threads - 1, threads);
    const int     derives = grid->data[CE_GRAD] || grid->data[CE_HESS];

    return threads > 1 && items < SPLIT_SHARE * threads && (!derives || 2 * turns * threads >= 3 * items);
}

/* Rows too few to be shared well, but long. Their blocks are those of the undivided row: the same bits. */
int ce_splits_rows(const ce_grid *grid, const ce_job *job)
{
    const int lists = job->stats && job->stats->top > 0; /* of a row, in the order of its classes */

    return grid->by_rows && !lists && !ce_is_of_two_rows(job) && !grid->data[CE_VECTOR] && grid->block == 1 &&
           grid->items <= SPLIT_ITEMS && grid->classes > ce_kernels_of(job)->part &&
           grid->items * grid->classes >= CE_WORK_ALONE && (grid->classes >= ENDLESS_ROW || are_few(grid, job));
}

static size_t up_to_line(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* Are logits copied, to be bent, hidden or converted? */
static int copies(const ce_job *job)
{
    return job->array[CE_Z].type != job->real || (ce_options_in_use(job) & (CE_BENDS | CE_MASK));
}

size_t ce_plan_bytes(ce_job *job)
{
    const ce_kernels *kernels = ce_kernels_of(job);
    const int         derives = job->array[CE_GRAD].data || job->array[CE_HESS].data;
    const int64_t     K = ce_is_element_wise(job) ? 1 : job->shape[job->class_axis];
    int64_t           items = 1, block = CE_BLOCK_ELEMENTS, parts = 0, numbers = 0;

    for (int axis = 0; axis < job->axes; axis++)
        if (axis != job->class_axis)
            items *= job->shape[axis];
    if (!ce_is_element_wise(job))
        block = ce_block_items(K, ce_is_by_rows(job));
    if (ce_is_of_two_rows(job)) {
        numbers = kernels->numbers_for_pairs(K);
    } else if (ce_is_by_rows(job)) {
        parts = items <= SPLIT_ITEMS && !job->shard ? K / kernels->part + 2 : 0;
        numbers = derives || job->shard || copies(job) ? kernels->numbers_for_rows(K, derives, job->softcap > 0) : 0;
    } else if (!ce_is_element_wise(job)) {
        numbers = kernels->numbers_for_lanes(K, job->softcap > 0);
    }
    if (work_of(job, items, K) < CE_WORK_ALONE)
        job->threads = 1;
    job->pairs = (size_t)quotient(items + block - 1, block) * sizeof(ce_block);
    job->buffers = up_to_line(job->pairs + (size_t)(items * parts) * sizeof(ce_pair));
    job->buffer = up_to_line((size_t)(numbers * size_of(job->real)));
    return job->buffers + (numbers > 0 ? (size_t)job->threads * job->buffer + LINE : 0);
}

/* A power of 2 that takes the largest class weight near 1, where it is far from that. */
static double scale_of_weights(const ce_job *job, int64_t n)
{
    double most = 0;
    int    exponent;

    for (int64_t k = 0; k < n; k++) {
        const double w = job->real == CE_FLOAT32 ? (double)((const float *)job->w)[k] : ((const double *)job->w)[k];
        most = fabs(w) > most ? fabs(w) : most;
    }
    frexp(most, &exponent);
    if (most == 0 || most == INFINITY || (exponent > -40 && exponent < 40))
        return 1;
    return ldexp(1, exponent > 1000 ? -1000 : -exponent);
}

/* Are class weights positive numbers, none of them huge? */
static int are_usual(const ce_job *job, int64_t n)
{
    int usual = 1;

    for (int64_t k = 0; k < n; k++) {
        const double w = job->real == CE_FLOAT32 ? (double)((const float *)job->w)[k] : ((const double *)job->w)[k];
        usual &= (w > 0) & (w < 0x1p40);
    }
    return usual;
}

void ce_make_plan(ce_plan *plan, const ce_grid *grid, const ce_job *job)
{
    char *const scratch = job->scratch, *const buffers = scratch + job->buffers;

    plan->job = job;
    plan->c = job->grad_output;
    plan->scale = 1;
    plan->classes = (double)grid->classes;
    plan->w_sum = plan->classes, plan->w_scale = 1, plan->w_usual = 0;
    if (job->w && job->label_smoothing != 0) {
        plan->w_sum = ce_kernels_of(job)->total(job->w, grid->classes);
        plan->w_scale = scale_of_weights(job, grid->classes);
        plan->w_usual = plan->w_scale == 1 && are_usual(job, grid->classes);
    }
    plan->derives = grid->data[CE_GRAD] || grid->data[CE_HESS];
    plan->multiplies = grid->data[CE_VECTOR] != NULL;
    plan->curves = grid->data[CE_HESS] || plan->multiplies;
    plan->in_use = ce_options_in_use(job);
    plan->bends = (plan->in_use & CE_BENDS) != 0;
    plan->tells = (job->stats && job->stats->argmax) || (ce_loss_row(job->loss)->options & CE_HEATED) ||
                  (job->shard && job->shard->tells);
    plan->outer = 1, plan->inner = 0;
    if (plan->bends) {
        plan->outer = (job->softcap > 0 ? job->softcap : job->logit_scale) / job->temperature;
        plan->inner = job->softcap > 0 ? job->logit_scale / job->softcap : 0;
    }
    plan->hides = grid->data[CE_WHERE] != NULL;
    plan->views = plan->bends || plan->hides;
    plan->finishes = plan->derives && (plan->inner != 0 || plan->hides);
    plan->z_loss = job->z_loss;
    plan->checks = 0;
    plan->streams = streams(grid, job);
    plan->claims = !plan->streams && claims(grid, job);
    plan->blocks = job->scratch;
    plan->pairs = (ce_pair *)(scratch + job->pairs);
    plan->parts = 0;
    plan->buffers = buffers + (-(uintptr_t)buffers % LINE);
    plan->buffer = job->buffer;
}
