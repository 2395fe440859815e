/* fuzz.c - the kernels under libFuzzer: the bytes of an input choose a job, its arrays and what they hold.
 *
 * Build, replay the corpus (seconds), fuzz for 30 minutes (Clang):
 *     cmake -S . -B BUILD -DCE_PROGRAMS=ON -DCE_SANITIZE=address,undefined,fuzzer-no-link -DCMAKE_C_COMPILER=clang \
 *         -DCMAKE_BUILD_TYPE=Release && cmake --build BUILD --target fuzz
 *     BUILD/tests/c/fuzz tests/c/corpus/?*
 *     BUILD/tests/c/fuzz -max_len=192 -max_total_time=1800 FOUND tests/c/corpus
 * With GCC (and without fuzzer-no-link) the same program replays, but cannot fuzz.
 *
 * Jobs are those that the boundary lets through: aligned arrays in any strides, in place only with the strides of the
 * logits. Each array is as large as its strides reach and no larger, so AddressSanitizer sees an access beyond it.
 * The program itself sees to it that
 *     - only elements of outputs change, and none of them after a job that was refused;
 *     - a job is refused for the first class index or probability that is out of range, and for nothing else;
 *     - another number of threads gives the same bits, and so does another instruction set from x86-64-v3 on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

enum { AXES = 5, FEW = 1 << 11, MANY = 1 << 17, THREADS = 3, LEAD = 3, VALUED = 1, GRADED = 2, CURVED = 4 };

static int  isas[16], isa_count; /* those that run here */
static long met[64];             /* jobs, by loss */

static void fail(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* -- the input ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
} bytes;

static unsigned take(bytes *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static unsigned below(bytes *in, unsigned n)
{
    return take(in) % n;
}

static uint64_t take_long(bytes *in)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) x = x << 8 | take(in);
    return x;
}

static double take_double(bytes *in)
{
    static const double some[] = { 1, 0, -1, 0.5, 2, 1e-40, 1e40, 1e-320, INFINITY, -INFINITY, NAN, 3.25 };
    const unsigned      n = sizeof some / sizeof *some, i = take(in);
    const uint64_t      bits = i < 255 ? 0 : take_long(in);
    double              x;

    memcpy(&x, &bits, sizeof x);
    return i < 255 ? some[i % n] : x;
}

/* In [low, high]; most often one of the ends or a power of 2 in between. */
static double take_within(bytes *in, double low, double high)
{
    const double x = fabs(take_double(in));
    return x >= low && x <= high ? x : x < low ? low : high;
}

static int64_t take_size(bytes *in)
{
    static const int edges[] = { 7,   8,   9,   15,  16,  17,   31,   32,   33,   63,   64,   65,   127,  128,  129,
                                 160, 161, 162, 255, 256, 257,  511,  512,  513,  1023, 1024, 1025, 2047, 2048, 2049,
                                 95,  96,  97,  300, 639, 1536, 4095, 4096, 4097, 8191, 8192, 8193, 16385 };
    const unsigned   x = take(in);

    if (x < 64)
        return x % 11;
    if (x < 192)
        return edges[x % (sizeof edges / sizeof *edges)];
    return (int64_t)(x & 15) << 8 | take(in);
}

/* -- arrays ------------------------------------------------------------------------------------------------------- */

typedef struct {
    char   *memory, *before, *answer; /* before: what it held at first; answer: and after the first run */
    size_t  bytes;
    int     axes;
    int64_t shape[AXES], strides[AXES];
} block;

static int64_t count(int axes, const int64_t *shape)
{
    int64_t n = 1;
    for (int i = 0; i < axes; i++) n *= shape[i];
    return n;
}

static char *element(const block *b, char *data, int64_t position)
{
    for (int i = b->axes - 1; i >= 0; position /= b->shape[i--]) data += position % b->shape[i] * b->strides[i];
    return data;
}

/* Strides: C order, or axes in any order, with gaps, backwards; those of inputs also 0 or so that elements overlap. */
static void choose_strides(bytes *in, block *b, int64_t size, int is_output)
{
    const unsigned mode = take(in);
    int            order[AXES];
    int64_t        step = size;

    for (int i = 0; i < b->axes; i++) order[i] = b->axes - 1 - i;
    for (int i = b->axes - 1; mode & 1 && i > 0; i--) {
        const int j = (int)below(in, (unsigned)i + 1), kept = order[i];
        order[i] = order[j], order[j] = kept;
    }
    for (int i = 0; i < b->axes; i++) {
        const int      axis = order[i];
        const unsigned how = mode & 2 ? take(in) : 0;

        step += (how & 3) * size;
        b->strides[axis] = how & 4 ? -step : step;
        if (!is_output && how & 8)
            b->strides[axis] = how & 16 ? 0 : how & 4 ? -size : size;
        else
            step *= b->shape[axis] > 1 ? b->shape[axis] : 1;
    }
}

/* The classes side by side, items after one another. */
static void choose_rows(block *b, int64_t size, int class_axis)
{
    int64_t step = size * (b->shape[class_axis] > 1 ? b->shape[class_axis] : 1);

    b->strides[class_axis] = size;
    for (int axis = b->axes; axis-- > 0;) {
        if (axis == class_axis)
            continue;
        b->strides[axis] = step;
        step *= b->shape[axis] > 1 ? b->shape[axis] : 1;
    }
}

/* Memory for it, before which lie some numbers that are not its own. */
static void make(bytes *in, block *b, ce_array *array, int64_t size)
{
    const int64_t lead = take(in) & LEAD;
    int64_t       low = 0, high = size;

    for (int i = 0; i < b->axes; i++) {
        if (b->shape[i] == 0)
            high = low;
        else if (b->strides[i] < 0)
            low += (b->shape[i] - 1) * b->strides[i];
        else
            high += (b->shape[i] - 1) * b->strides[i];
    }
    if (count(b->axes, b->shape) == 0)
        low = high = 0;
    b->bytes = (size_t)(high - low + lead * size);
    b->memory = malloc(b->bytes);
    b->before = malloc(b->bytes);
    b->answer = malloc(b->bytes);
    array->data = b->memory + lead * size - low;
    array->strides = b->strides;
}

/* -- what they hold ----------------------------------------------------------------------------------------------- */

static uint64_t random_bits(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

/* The bits of 1 and of infinity. */
static uint64_t bits_of_one(ce_type type)
{
    const int width = (int)size_of(type) * 8, mantissa = ce_dtype_row(type)->digits - 1;
    return ((1ull << (width - 2 - mantissa)) - 1) << mantissa;
}

static uint64_t bits_of_infinity(ce_type type)
{
    return (1ull << (size_of(type) * 8 - 1)) - (1ull << (ce_dtype_row(type)->digits - 1));
}

/* The bits of a floating number: of any size, of middling size, in [0, 1), or special. */
static uint64_t random_real(uint64_t *state, ce_type type, unsigned kind)
{
    const int      width = (int)size_of(type) * 8, mantissa = ce_dtype_row(type)->digits - 1;
    const uint64_t bits = random_bits(state), sign = bits >> 63 << (width - 1), r = bits >> 55 & 7;
    const uint64_t low = bits & ((1ull << mantissa) - 1), one = bits_of_one(type), infinity = bits_of_infinity(type);

    switch (kind) {
    case 0: return sign | (one + ((r % 6) << mantissa) - (2ull << mantissa)) | low;
    case 1: return (one - ((r + 1) << mantissa)) | low;
    case 2: return bits >> (64 - width);
    default:
        switch (r) {
        case 0: return sign;
        case 1: return sign | infinity;
        case 2: return sign | infinity | 1ull << (mantissa - 1); /* NaN */
        case 3: return sign | low;                               /* subnormal */
        case 4: return sign | (infinity - 1);                    /* the largest */
        case 5: return sign | 1ull << mantissa;                  /* the smallest but for subnormals */
        case 6: return one;
        default: return sign | one | low;
        }
    }
}

static uint64_t random_index(uint64_t *state, unsigned kind, int64_t classes, int64_t ignored)
{
    const uint64_t bits = random_bits(state), r = bits >> 56;

    if (kind == 3 || (kind == 2 && r == 0))
        return r & 1 ? bits << 8 >> 8 : r & 2 ? (uint64_t)classes : -(bits & 0xfff);
    if (kind > 0 && r < 64)
        return (uint64_t)ignored;
    return classes > 0 ? bits % (uint64_t)classes : (uint64_t)ignored;
}

/* Some inputs are tiled with the rest of the fuzzer's bytes, the others made from them. */
static void fill(bytes *in, char *memory, size_t size, ce_type type, int64_t classes, int64_t ignored)
{
    const size_t   width = (size_t)size_of(type);
    const unsigned kind = below(in, 6);
    uint64_t       state = 0x9e3779b97f4a7c15u + take(in);

    for (size_t i = 0; i < size / width; i++) {
        uint64_t bits;
        if (kind == 5 && in->at + width <= in->end) {
            memcpy(memory + i * width, in->at + i * width % (size_t)(in->end - in->at - (ptrdiff_t)width + 1), width);
            continue;
        }
        if (type >= CE_INT8)
            bits = random_index(&state, kind, classes, ignored);
        else
            bits = random_real(&state, type, kind < 4 ? kind : random_bits(&state) >> 62 ? 0 : 3);
        memcpy(memory + i * width, &bits, width); /* little-endian, as all machines of this test */
    }
}

/* -- what must hold ----------------------------------------------------------------------------------------------- */

static int in_range(const char *p, ce_type type, int64_t classes, int64_t ignored)
{
    int64_t t;

    switch (type) {
    case CE_INT8: t = *(const int8_t *)p; break;
    case CE_INT16: t = *(const int16_t *)p; break;
    case CE_INT32: t = *(const int32_t *)p; break;
    case CE_INT64: t = *(const int64_t *)p; break;
    case CE_UINT8: t = *(const uint8_t *)p; break;
    case CE_UINT16: t = *(const uint16_t *)p; break;
    case CE_UINT32: t = *(const uint32_t *)p; break;
    default:
        if (*(const uint64_t *)p > INT64_MAX)
            return 0;
        t = *(const int64_t *)p;
    }
    return t == ignored || (t >= 0 && t < classes);
}

static uint64_t bits_at(const char *p, ce_type type)
{
    uint64_t bits = 0;
    memcpy(&bits, p, (size_t)size_of(type)); /* little-endian, as all machines of this test */
    return bits;
}

/* In [0, 1]; -0 is. */
static int in_unit(const char *p, ce_type type)
{
    const uint64_t bits = bits_at(p, type);
    return bits <= bits_of_one(type) || bits == 1ull << (size_of(type) * 8 - 1);
}

/* Is that item's sample weight 0? */
static int is_masked(const ce_job *job, const block *b, int64_t i)
{
    const ce_array *v = &job->array[CE_V];
    return v->data && bits_at(element(&b[CE_V], v->data, i), v->type) << (64 - size_of(v->type) * 8) << 1 == 0;
}

/* Where the job ought to be refused, or -1. Before it is run: in place the input is overwritten. */
static int64_t first_bad(const ce_job *job, const block *b)
{
    const ce_loss *loss = ce_loss_row(job->loss);
    const int      of_classes = job->array[CE_TARGET].data != NULL;
    const int      checked[] = { loss->first == CE_UNIT, loss->second == CE_UNIT };
    const block   *items = of_classes ? &b[CE_TARGET] : &b[CE_Z];

    for (int64_t i = 0; (checked[0] || checked[1] || of_classes) && i < count(items->axes, items->shape); i++) {
        if (is_masked(job, b, i))
            continue;
        if (of_classes && !in_range(element(items, job->array[CE_TARGET].data, i), job->array[CE_TARGET].type,
                                    job->shape[job->class_axis], job->ignore_index))
            return i;
        for (int n = 0; n < 2; n++) {
            const int a = n ? CE_OTHER : CE_Z;
            if (checked[n] && !in_unit(element(&b[a], job->array[a].data, i), job->array[a].type))
                return i;
        }
    }
    return -1;
}

static void check_untouched(const block *b, const ce_array *array, int is_output)
{
    const size_t size = (size_t)size_of(array->type);
    char        *mask;

    if (!is_output) {
        if (memcmp(b->memory, b->before, b->bytes) != 0)
            fail("an input, or an output of a job that was refused, has changed");
        return;
    }
    mask = calloc(1, b->bytes);
    for (int64_t i = 0; i < count(b->axes, b->shape); i++)
        memset(mask + (element(b, array->data, i) - b->memory), 1, size);
    for (size_t i = 0; i < b->bytes; i++)
        if (!mask[i] && b->memory[i] != b->before[i])
            fail("memory between the elements of an output has changed");
    free(mask);
}

static int is_nan(const char *p, ce_type type)
{
    return (bits_at(p, type) & ~(1ull << (size_of(type) * 8 - 1))) > bits_of_infinity(type);
}

/* NaNs may differ. */
static void check_same(const char *a, const char *b, size_t bytes, ce_type type)
{
    const size_t size = (size_t)size_of(type);

    if (memcmp(a, b, bytes) == 0)
        return;
    if (type >= CE_INT8)
        fail("another number of threads, or instruction set, gives other places");
    for (size_t i = 0; i < bytes; i += size)
        if (memcmp(a + i, b + i, size) != 0 && !(is_nan(a + i, type) && is_nan(b + i, type)))
            fail("another number of threads, or instruction set, gives other bits");
}

enum { TOLD = 10 };

/* -- a job -------------------------------------------------------------------------------------------------------- */

static int is_output(int array)
{
    return array == CE_GRAD || array == CE_HESS || array == CE_VALUE;
}

typedef struct {
    ce_job   job;
    int64_t  shape[AXES];
    block    blocks[CE_ARRAYS];
    int      shares[CE_ARRAYS];   /* the output whose memory an input is, or -1 */
    int      narrows, multiplies; /* outputs are of float32; the Hessian is multiplied by a vector */
    ce_stats stats;
    block    told[TOLD]; /* the arrays of statistics; and the extra classes */
    int64_t *extra;
    void    *w;
    size_t   w_bytes;
} problem;

/* Adds an array: of the logits' axes or the items'. */
static void add(bytes *in, problem *p, int array, ce_type type)
{
    const ce_job *job = &p->job;
    block        *b = &p->blocks[array];
    ce_array     *a = &p->job.array[array];
    const int64_t size = size_of(type);

    for (int i = 0; i < job->axes; i++)
        if (array < CE_TARGET || array >= CE_VECTOR || i != job->class_axis)
            b->shape[b->axes++] = p->shape[i];
    a->type = type;
    if (p->shares[array] >= 0) {
        *b = p->blocks[p->shares[array]];
        *a = job->array[p->shares[array]];
        return;
    }
    /* an input that is an output's memory has an output's strides */
    int as_output = is_output(array);
    for (int o = 0; o < CE_ARRAYS; o++) as_output |= p->shares[o] == array;
    if (p->multiplies && b->axes == job->axes && job->class_axis >= 0 && p->shape[job->class_axis] > CE_PANEL_CLASSES)
        choose_rows(b, size, job->class_axis);
    else
        choose_strides(in, b, size, as_output);
    make(in, b, a, size);
    fill(in, b->memory, b->bytes, type, job->class_axis < 0 ? 0 : p->shape[job->class_axis], job->ignore_index);
}

static void choose_shape(bytes *in, problem *p, int is_of_classes)
{
    const unsigned x = take(in);
    int64_t        room = x & 0x18 ? FEW : MANY;

    p->job.axes = (int)(x & 7) % (AXES + 1);
    if (p->job.axes < is_of_classes)
        p->job.axes = 1;
    p->job.class_axis = is_of_classes ? (int)(x >> 5) % p->job.axes : -1;
    for (int i = 0; i < p->job.axes; i++) {
        const int64_t size = take_size(in);
        p->shape[i] = size < room ? size : room;
        room = p->shape[i] > 1 ? room / p->shape[i] : room;
    }
    p->job.shape = p->shape;
}

/* Does the loss reduce its items, with weights and all; or is it a sum or a normaliser? */
static int is_reduced(const ce_loss *loss)
{
    return strncmp(loss->outputs, "vg", 2) == 0;
}

/* Options of logits, which most jobs of losses that had others first are without. */
static int comes_later(const ce_loss *loss, int option)
{
    return loss->options & CE_MASK && 1u << option & (CE_BENDS | CE_Z_LOSS);
}

static void choose_options(bytes *in, problem *p, const ce_loss *loss)
{
    static const int64_t ignored[] = { -100, 0, 1, -1, 255, INT64_MIN, INT64_MAX, 3 };
    ce_job              *job = &p->job;

    job->ignore_index = ignored[below(in, 8)];
    if (loss->second != CE_CLASSES && job->ignore_index >= 0)
        job->ignore_index = -100;
    if (is_reduced(loss))
        job->reduction = (ce_reduction)below(in, loss->options & CE_BATCH_MEAN && job->axes > 0 ? 4 : 3);
    if (loss->options & CE_HESSIAN)
        job->hessian = (ce_hessian)below(in, loss->options & CE_BOUNDED ? 4 : 3);
    for (int i = 0; i < CE_OPTION_COUNT; i++) {
        const ce_option *o = ce_option_row(i);
        if (o->field && loss->options >> i & 1 && i != CE_NORMALIZER_PLACE && !comes_later(loss, i))
            *(double *)((char *)job + o->field) = take_within(in, o->least, o->most);
    }
    job->grad_output = take_double(in);
}

static const double normalizers[] = { 3.25, 1, 1e300, 1e-320 };

/* Sample weights may be of float64 whatever is computed with, a choice that hangs on bits that have no other use. */
static ce_type type_of_sample_weights(const ce_job *job, unsigned has, int wide, ce_type other)
{
    if (ce_loss_row(job->loss)->has_classes)
        return wide ? CE_FLOAT64 : job->real;
    return has & 8 ? CE_FLOAT64 : other;
}

/* Outputs, and then what else the loss has; `what` is a sum of VALUED, GRADED, CURVED. */
static void add_arrays(bytes *in, problem *p, unsigned has, int what, ce_type type, ce_type other, int wide)
{
    ce_job        *job = &p->job;
    const ce_loss *loss = ce_loss_row(job->loss);
    const int      reduced = is_reduced(loss), of_items = loss->has_classes ? (int)job->real : (int)other;
    const ce_type  of_values = loss->has_classes || type == CE_FLOAT64 ? job->real : CE_FLOAT32;

    job->valued = what & VALUED;
    add(in, p, CE_Z, type);
    if (loss->second != CE_NOTHING && loss->second != CE_CLASSES && loss->second != CE_UPSTREAM_ITEMS)
        add(in, p, CE_OTHER, loss->second == CE_UPSTREAMS ? type : other);
    if (p->multiplies)
        add(in, p, CE_VECTOR, loss->has_classes ? type : other);
    if (what & (GRADED | CURVED))
        add(in, p, CE_GRAD, p->narrows ? CE_FLOAT32 : type);
    if (what & CURVED)
        add(in, p, CE_HESS, p->narrows ? CE_FLOAT32 : type);
    if (loss->second == CE_CLASSES)
        add(in, p, CE_TARGET, (ce_type)(CE_INT8 + below(in, CE_TYPES - CE_INT8)));
    if (has & 1 && reduced)
        add(in, p, CE_V, type_of_sample_weights(job, has, wide, other));
    if (has & 2 && !loss->has_classes)
        add(in, p, CE_POS, other);
    if (loss->second == CE_UPSTREAM_ITEMS || (has & 4 && reduced && job->reduction == CE_NONE))
        add(in, p, CE_UPSTREAM, (ce_type)of_items);
    if (what & VALUED && job->reduction == CE_NONE && job->axes > loss->has_classes)
        add(in, p, CE_VALUE, of_values);
    if (has & 8 && reduced && !loss->has_classes)
        add(in, p, CE_WEIGHT, other);
    if (has & 8 && reduced && loss->has_classes) {
        p->w_bytes = (size_t)(p->shape[job->class_axis] * size_of(job->real));
        p->w = malloc(p->w_bytes);
        fill(in, p->w, p->w_bytes, job->real, 0, 0);
        job->w = p->w;
    }
}

/* Logits that are bent, z-losses, classes that cannot be. */
static void choose_later(bytes *in, problem *p, const ce_loss *loss)
{
    const unsigned x = loss->options & CE_MASK ? take(in) : 0;

    for (int i = 0; i < CE_OPTION_COUNT && x & 1; i++) {
        const ce_option *o = ce_option_row(i);
        if (comes_later(loss, i) && take(in) & 1)
            *(double *)((char *)&p->job + o->field) = take_within(in, o->least, o->most);
    }
    if (p->multiplies)
        p->job.softcap = 0;
    if (x & 2)
        add(in, p, CE_WHERE, CE_UINT8);
}

static ce_type type_told(const problem *p, int a)
{
    return a == 4 || a == 5 || a == 6 ? CE_INT64 : p->job.real;
}

static void *add_told(problem *p, int a, int64_t n)
{
    block *b = &p->told[a];

    if (n < 0)
        return NULL;
    b->bytes = (size_t)(n * size_of(type_told(p, a)));
    b->memory = malloc(b->bytes);
    b->answer = malloc(b->bytes);
    return b->memory;
}

/* All of them, or some classes' log-probabilities alone; the largest and extra classes where there is no gradient. */
static void add_stats(bytes *in, problem *p)
{
    const unsigned x = take(in), wants_all = x & 1, aims = p->job.array[CE_TARGET].data && wants_all;
    const int64_t  K = p->shape[p->job.class_axis], alone = !p->job.array[CE_GRAD].data;
    int64_t        items = 1;
    ce_stats      *s = &p->stats;

    for (int i = 0; i < p->job.axes; i++) items *= i == p->job.class_axis ? 1 : p->shape[i];
    s->top = alone && wants_all && K > 0 ? (int64_t)below(in, 40) % (K + 1) : 0;
    s->extras = alone && K > 0 ? (int64_t)below(in, 4) : 0;
    s->max = add_told(p, 1, wants_all ? items : -1), s->log_sum = add_told(p, 2, wants_all ? items : -1);
    s->entropy = add_told(p, 3, wants_all ? items : -1), s->argmax = add_told(p, 4, wants_all ? items : -1);
    s->log_prob = add_told(p, 0, aims ? items : -1), s->rank = add_told(p, 5, aims ? items : -1);
    s->top_index = add_told(p, 6, items * s->top), s->top_log_prob = add_told(p, 7, items * s->top);
    s->extra_log_prob = add_told(p, 8, items * s->extras);
    s->z_losses = add_told(p, 9, x & 2 && ce_loss_row(p->job.loss)->options & CE_Z_LOSS ? items : -1);
    s->extra = p->extra = malloc((size_t)(items * s->extras) * sizeof *p->extra);
    for (int64_t i = 0; i < items * s->extras; i++) p->extra[i] = (int64_t)take(in) % K;
    p->job.stats = s;
}

static void choose(bytes *in, problem *p)
{
    static const int whats[] = { VALUED, GRADED, VALUED | GRADED, GRADED | CURVED };
    const int        l = (int)below(in, (unsigned)ce_loss_count());
    const unsigned   flags = take(in), in_place = take(in);
    const ce_loss   *loss = ce_loss_row(l);
    const ce_type    type = CE_INT8 == 4 ? (ce_type)(flags & 3) : (ce_type)below(in, CE_INT8);
    const int        wide = in_place & 8, widens = wide && !loss->has_classes;
    const ce_type    real = type == CE_FLOAT64 || widens ? CE_FLOAT64 : CE_FLOAT32;
    const ce_type    half = !(flags & 12) ? CE_FLOAT32 : flags & 4 ? CE_FLOAT16 : CE_BFLOAT16;
    const ce_type    other = real == CE_FLOAT64 && !(widens && type == CE_FLOAT64) ? CE_FLOAT64 : half;
    int              what = whats[flags >> 4 & 3];

    if (!strchr(loss->outputs, 'h'))
        what &= VALUED | GRADED;
    if (!is_reduced(loss))
        what = *loss->outputs == 'g' ? GRADED : VALUED;
    ce_start(&p->job, l);
    p->job.real = real;
    for (int a = 0; a < CE_ARRAYS; a++) p->shares[a] = -1;
    if (in_place & 1 && what & (GRADED | CURVED))
        p->shares[in_place & 2 && what & CURVED ? CE_HESS : CE_GRAD] =
            loss->second == CE_UPSTREAMS && in_place & 4 ? CE_OTHER : CE_Z;
    choose_shape(in, p, loss->has_classes);
    choose_options(in, p, loss);
    if (is_reduced(loss) && p->job.reduction >= CE_MEAN && flags >> 6 == 2)
        p->job.normalizer = normalizers[in_place >> 4 & 3];
    p->job.fresh = !(in_place & 1) && flags >> 6 == 1;
    p->narrows = is_reduced(loss) && type == CE_FLOAT64 && (in_place & 7) == 6;
    p->multiplies = strchr(loss->outputs, 'h') && what == GRADED && flags >> 6 == 3;
    if (p->multiplies)
        p->job.hessian &= CE_GAUSS_NEWTON;
    p->job.whole = is_reduced(loss) && what == VALUED && flags >> 6 == 1;
    if (p->job.whole && p->job.reduction < CE_MEAN)
        p->job.reduction = CE_MEAN;
    add_arrays(in, p, in_place >> 4, what, type, other, wide);
    choose_later(in, p, loss);
    if (strcmp(loss->name, "cross_entropy") == 0 && what == VALUED && flags >> 6 == 3)
        p->job.reduction = CE_PERPLEXITY;
    if (!*loss->outputs || (loss->has_classes && strchr(loss->outputs, 'h') && loss->first == CE_LOGITS &&
                            !p->multiplies && what & VALUED && flags >> 6 == 2))
        add_stats(in, p);
    met[l]++;
}

/* Runs it with scratch memory that is as large as it must be and not larger. */
static void run(ce_job *job, int isa, int threads)
{
    ce_isa_use(isas[isa]);
    job->threads = threads;
    job->scratch = malloc(ce_scratch_bytes(job));
    ce_run(job);
    free(job->scratch);
}

static int is_changed(const problem *p, int array)
{
    int changed = is_output(array);
    for (int o = 0; o < CE_ARRAYS; o++) changed |= p->shares[o] == array;
    return changed;
}

static void examine(problem *p, int64_t bad)
{
    if (p->job.bad != bad)
        fail("refused for the wrong number, or not refused");
    for (int a = 0; a < CE_ARRAYS; a++)
        if (p->job.array[a].data)
            check_untouched(&p->blocks[a], &p->job.array[a], is_changed(p, a) && (bad < 0 || p->job.fresh));
}

static void try_twice(bytes *in, problem *p)
{
    const unsigned x = take(in), y = take(in);
    const int isa = (int)(x >> 4) % isa_count, other = y >> 4 && isa > 0 ? 1 + (int)(y >> 4) % (isa_count - 1) : isa;
    const int64_t bad = first_bad(&p->job, p->blocks);
    ce_job       *job = &p->job;

    for (int a = 0; a < CE_ARRAYS; a++)
        if (job->array[a].data && p->shares[a] < 0)
            memcpy(p->blocks[a].before, p->blocks[a].memory, p->blocks[a].bytes);
    run(job, isa, 1 + (int)(x & 15) % THREADS);
    examine(p, bad);
    const double value = job->value, z = job->z, z_value = job->z_value;
    for (int a = 0; a < CE_ARRAYS; a++)
        if (job->array[a].data && p->shares[a] < 0) {
            memcpy(p->blocks[a].answer, p->blocks[a].memory, p->blocks[a].bytes);
            memcpy(p->blocks[a].memory, p->blocks[a].before, p->blocks[a].bytes);
        }
    for (int a = 0; a < TOLD; a++)
        if (p->told[a].memory)
            memcpy(p->told[a].answer, p->told[a].memory, p->told[a].bytes);
    run(job, other, 1 + (int)(y & 15) % THREADS);
    examine(p, bad);
    if (bad >= 0)
        return;
    for (int a = 0; a < TOLD; a++)
        if (p->told[a].memory)
            check_same(p->told[a].answer, p->told[a].memory, p->told[a].bytes, type_told(p, a));
    check_same((const char *)&value, (const char *)&job->value, sizeof value, CE_FLOAT64);
    check_same((const char *)&z, (const char *)&job->z, sizeof z, CE_FLOAT64);
    check_same((const char *)&z_value, (const char *)&job->z_value, sizeof z_value, CE_FLOAT64);
    for (int a = 0; a < CE_ARRAYS; a++)
        if (job->array[a].data && p->shares[a] < 0)
            check_same(p->blocks[a].answer, p->blocks[a].memory, p->blocks[a].bytes, job->array[a].type);
}

/* -- shards of classes -------------------------------------------------------------------------------------------- */

enum { SHARDS = 2 };

typedef struct {
    ce_shard shard;
    int64_t  classes, strides[2];
    char    *logits, *grad;
    ce_pair *pairs;
    void    *z_t;
} piece;

/* A shard's logits as they were before the job ran, in memory of their size. */
static void cut_out(const problem *p, int64_t first, int64_t stop, piece *x)
{
    const ce_array *z = &p->job.array[CE_Z];
    const block    *b = &p->blocks[p->shares[CE_Z] >= 0 ? p->shares[CE_Z] : CE_Z];
    const int64_t size = size_of(z->type), n = stop - first, items = p->shape[0], length = ce_block_length(p->job.real);

    x->classes = n, x->strides[0] = n * size, x->strides[1] = size;
    x->logits = malloc((size_t)(items * n * size)), x->grad = malloc((size_t)(items * n * size));
    for (int64_t i = 0; i < items * n; i++)
        memcpy(x->logits + i * size, b->before + (element(b, z->data, i / n * p->shape[1] + first + i % n) - b->memory),
               (size_t)size);
    x->shard = (ce_shard){ .first = first, .stop = stop, .parts = (n + length - 1) / length, .tells = 1 };
    x->shard.pairs = x->pairs = calloc((size_t)(items * x->shard.parts), sizeof(ce_pair));
    x->shard.z_t = x->z_t = calloc((size_t)items, (size_t)size_of(p->job.real));
}

static ce_job job_of_phase(const problem *p, piece *x, ce_phase phase)
{
    ce_job job = p->job;

    x->shard.phase = phase;
    job.shard = &x->shard, job.stats = NULL, job.hessian = CE_EXACT, job.whole = 0, job.valued = phase == CE_MERGE;
    job.reduction = job.reduction > CE_MEAN ? CE_MEAN : job.reduction;
    for (int a = 0; a < CE_ARRAYS; a++)
        if (is_output(a) || a == CE_Z)
            job.array[a].data = NULL;
    if (phase != CE_MERGE)
        job.array[CE_Z] = (ce_array){ x->logits - x->shard.first * x->strides[1], x->strides, job.array[CE_Z].type };
    if (phase == CE_EMIT)
        job.array[CE_GRAD] = (ce_array){ x->grad - x->shard.first * x->strides[1], x->strides, job.array[CE_Z].type };
    return job;
}

/* The pairs of both, item after item. */
static ce_pair *joined(const problem *p, const piece *x)
{
    const int64_t parts = x[0].shard.parts + x[1].shard.parts;
    ce_pair      *all = calloc((size_t)(p->shape[0] * parts), sizeof(ce_pair)), *to = all;

    for (int64_t i = 0; i < p->shape[0]; i++)
        for (int s = 0; s < SHARDS; to += x[s++].shard.parts)
            memcpy(to, x[s].pairs + i * x[s].shard.parts, (size_t)x[s].shard.parts * sizeof(ce_pair));
    return all;
}

/* Cross-entropy of rows in two shards: no access beyond them. */
static void try_shards(bytes *in, problem *p)
{
    const int64_t K = p->job.axes == 2 && p->job.class_axis == 1 ? p->shape[1] : 0,
                  length = ce_block_length(p->job.real);
    piece         x[SHARDS], whole = { 0 };
    const int     isa = (int)(take(in) >> 4) % isa_count;

    if (strcmp(ce_loss_row(p->job.loss)->name, "cross_entropy") != 0 || K < 2 || p->multiplies || p->job.bad >= 0 ||
        p->job.array[CE_WHERE].data)
        return;
    const int64_t cut = 1 + (int64_t)(take_long(in) % (uint64_t)(K - 1));
    void *const   edges = calloc((size_t)p->shape[0], (size_t)size_of(p->job.real));
    cut_out(p, 0, cut, &x[0]), cut_out(p, cut, K, &x[1]);
    for (int s = 0; s < SHARDS; s++) {
        x[s].shard.targets = cut & 1 ? edges : NULL;
        ce_job job = job_of_phase(p, &x[s], CE_SCAN);
        run(&job, isa, 1 + s);
    }
    whole.shard = (ce_shard){ .stop = K, .pairs = joined(p, x), .parts = x[0].shard.parts + x[1].shard.parts };
    whole.shard.whole = calloc((size_t)p->shape[0], sizeof(ce_pair)), whole.shard.z_t = x[0].z_t;
    ce_job merge = job_of_phase(p, &whole, CE_MERGE);
    run(&merge, isa, 1);
    for (int s = 0; s < SHARDS; s++) {
        const int64_t parts = x[s].shard.parts;
        x[s].shard.pairs = whole.shard.pairs, x[s].shard.whole = whole.shard.whole,
        x[s].shard.parts = whole.shard.parts;
        x[s].shard.whole_blocks = cut % length == 0, x[s].shard.z_t = x[0].z_t;
        ce_job job = job_of_phase(p, &x[s], CE_EMIT);
        run(&job, isa, 1 + s);
        x[s].shard.parts = parts;
    }
    for (int s = 0; s < SHARDS; s++) free(x[s].logits), free(x[s].grad), free(x[s].pairs), free(x[s].z_t);
    free(whole.shard.pairs), free(whole.shard.whole), free(edges);
}

/* At the end of a replay with FUZZ_EVERY_LOSS set: does the corpus have a job of every loss? */
static void expect_every_loss(void)
{
    for (int l = 0; l < ce_loss_count(); l++)
        if (met[l] == 0) {
            fprintf(stderr, "fuzz: no input is a job of %s; add one to the corpus\n", ce_loss_row(l)->name);
            _Exit(1);
        }
}

static void set_up(void)
{
    if (getenv("FUZZ_EVERY_LOSS"))
        atexit(expect_every_loss);
    if (ce_loss_count() > (int)(sizeof met / sizeof *met))
        fail("too many losses");
    for (int i = 0; i < ce_isa_count(); i++)
        if (ce_isa_runs_here(i))
            isas[isa_count++] = i;
    ce_threads_set_cpus(THREADS);
#if defined(_OPENMP)
    omp_set_num_threads(THREADS);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes   in = { data, data + size };
    problem p = { 0 };

    if (isa_count == 0)
        set_up();
    choose(&in, &p);
    try_twice(&in, &p);
    try_shards(&in, &p);
    for (int a = 0; a < CE_ARRAYS; a++)
        if (p.job.array[a].data && p.shares[a] < 0)
            free(p.blocks[a].memory), free(p.blocks[a].before), free(p.blocks[a].answer);
    for (int a = 0; a < TOLD; a++) free(p.told[a].memory), free(p.told[a].answer);
    free(p.extra);
    free(p.w);
    return 0;
}

#if defined(REPLAY_ONLY) /* there is no libFuzzer: each argument is the name of a file */
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        uint8_t input[4096];
        FILE   *file = fopen(argv[i], "rb");

        if (!file)
            fail("an input cannot be read");
        const size_t size = fread(input, 1, sizeof input, file);
        fclose(file);
        uint8_t *exact = malloc(size);
        memcpy(exact, input, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
