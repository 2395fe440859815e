/* golden.h - the lines of golden.txt as jobs. */
#include <stdio.h>
#include <stdlib.h>

#include "golden_numbers.h"

#define LINE_FORMAT "%-27s %-8s %-9s %c %-10s %-31s"

enum { TOLD = 9, EXTRA = 11 }; /* EXTRA: what extra classes are hashes of */

typedef struct {
    int      number; /* in the file */
    char     loss[32], dtype[16], shape[32], order, reduction[16], options[64];
    uint64_t hash[3]; /* of value, gradient, Hessian */
} line;

typedef struct {
    ce_job      job;
    const char *outputs;
    int         by_class; /* a softmax loss; else element-wise */
    int64_t     shape[3], items_shape[3];
    int64_t     items, classes, inner; /* inner: items that lie beyond the class axis */
    int64_t     strides[CE_ARRAYS][3];
    int         in_order[CE_ARRAYS]; /* in C order, without gaps */
    size_t      bytes[CE_ARRAYS];
    char       *memory[CE_ARRAYS], *w;
    char       *last[CE_ARRAYS]; /* of outputs: what they were last time, and its hash */
    uint64_t    last_hash[CE_ARRAYS];
    ce_stats    stats;
    char       *told[TOLD]; /* the arrays of statistics, in the order of their members */
    int64_t     told_count[TOLD], *extra;
} problem;

/* The letter of what an input holds, see `number`; t class indices, 0 for none. A gradient is of the size of logits. */
static char kind_of(ce_content content)
{
    static const char kinds[] = { [CE_NOTHING] = 0,   [CE_LOGITS] = 'z',    [CE_LOG_PROBS] = 'l',
                                  [CE_PROBS] = 'p',   [CE_UNIT] = 'p',      [CE_NUMBERS] = 'z',
                                  [CE_CLASSES] = 't', [CE_UPSTREAMS] = 'z', [CE_UPSTREAM_ITEMS] = 0 };
    return kinds[content];
}

/* Does this array have the axes of the logits? */
static int has_classes(const problem *p, int a)
{
    return p->by_class && (a < CE_TARGET || a >= CE_VECTOR);
}

static int rank_of(const problem *p, int a)
{
    return p->job.axes - (p->by_class && !has_classes(p, a));
}

static const int64_t *shape_of(const problem *p, int a)
{
    return p->by_class && !has_classes(p, a) ? p->items_shape : p->shape;
}

static int64_t count_of(const problem *p, int a)
{
    return has_classes(p, a) ? p->items * p->classes : p->items;
}

/* Where number i in C order lies, in bytes. */
static int64_t offset_of(const problem *p, int a, int64_t i)
{
    const int64_t *shape = shape_of(p, a), *strides = p->strides[a];
    int64_t        at = 0;

    if (p->in_order[a])
        return i * size_of(p->job.array[a].type);
    for (int axis = rank_of(p, a); axis-- > 0; i /= shape[axis]) at += i % shape[axis] * strides[axis];
    return at;
}

/* Where an option's number begins, such as that of gamma=1.5, or NULL: there is no such option. */
static const char *option(const line *l, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = l->options; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == '=' || at[length] == ',' || !at[length]))
            return at + length + (at[length] == '=');
    return NULL;
}

static double number_of(const line *l, const char *name, double otherwise)
{
    const char *at = option(l, name);
    return at ? strtod(at, NULL) : otherwise;
}

/* Memory for an array: in C order, in F order, or every second number of twice the memory. Those of items always lie
 * in C order. */
static void add_array(problem *p, int a, ce_type type, char order)
{
    const int      rank = rank_of(p, a), by_items = p->by_class && !has_classes(p, a);
    const int64_t *shape = shape_of(p, a);
    int64_t        step = size_of(type) * (order == 'S' && !by_items ? 2 : 1);

    for (int i = 0; i < rank; i++) {
        const int axis = order == 'F' && !by_items ? i : rank - 1 - i;
        p->strides[a][axis] = step;
        step *= shape[axis];
    }
    p->in_order[a] = order == 'C' || by_items;
    p->bytes[a] = (size_t)step;
    p->memory[a] = malloc((size_t)step);
    p->job.array[a] = (ce_array){ p->memory[a], p->strides[a], type };
}

/* What the numbers of an array are hashes of. Weights of elements were at the place of sample weights once. */
static int seed_of(const problem *p, int a)
{
    return p->by_class ? a : a == CE_V ? CE_WEIGHT : a == CE_WEIGHT ? CE_V : a;
}

static void add_numbers(problem *p, int a, char kind, ce_type type, const line *l)
{
    const int seed = seed_of(p, a);
    const int beyond = option(l, "extreme") ? EXTREME : option(l, "subnormal") ? SUBNORMAL : ORDINARY;

    add_array(p, a, type, l->order);
    for (int64_t i = 0; i < count_of(p, a); i++) {
        const int64_t item = has_classes(p, a) ? i / (p->classes * p->inner) * p->inner + i % p->inner : i;
        store(p->memory[a] + offset_of(p, a, i), type, number(kind, hash_at(seed, i), item, type, beyond));
    }
}

static void add_output(problem *p, int a, ce_type type, char order)
{
    add_array(p, a, type, order);
    p->last[a] = malloc(p->bytes[a]);
    memset(p->last[a], 0xa5, p->bytes[a]);
}

static void add_target(problem *p, const line *l)
{
    const int ignores = option(l, "ignore") != NULL;

    add_array(p, CE_TARGET, CE_INT64, l->order);
    for (int64_t i = 0; i < p->items; i++) {
        const uint64_t h = hash_at(CE_TARGET, i);
        const int64_t  t = ignores && h >> 61 == 0 ? p->job.ignore_index : (int64_t)(h % (uint64_t)p->classes);
        memcpy(p->memory[CE_TARGET] + offset_of(p, CE_TARGET, i), &t, 8);
    }
}

/* Which classes can be: seven of eight. */
static void add_mask(problem *p, const line *l)
{
    add_array(p, CE_WHERE, CE_UINT8, l->order);
    for (int64_t i = 0; i < count_of(p, CE_WHERE); i++)
        p->memory[CE_WHERE][offset_of(p, CE_WHERE, i)] = hash_at(CE_WHERE, i) >> 61 != 0;
}

static ce_type type_told(const problem *p, int a)
{
    return a == 4 || a == 5 || a == 6 ? CE_INT64 : p->job.real;
}

static void *add_told(problem *p, int a, int64_t for_each)
{
    p->told_count[a] = p->items * for_each;
    if (for_each > 0)
        p->told[a] = malloc((size_t)(p->told_count[a] * size_of(type_told(p, a))));
    return p->told[a];
}

/* Of a line with `stats`; with top= and extra= (how many for each item), too, if it has no other output. */
static void add_stats(problem *p, const line *l)
{
    ce_stats *s = &p->stats;

    s->top = (int64_t)number_of(l, "top", 0), s->extras = (int64_t)number_of(l, "extra", 0);
    s->max = add_told(p, 1, 1), s->log_sum = add_told(p, 2, 1);
    s->entropy = add_told(p, 3, 1), s->argmax = add_told(p, 4, 1);
    if (p->job.array[CE_TARGET].data)
        s->log_prob = add_told(p, 0, 1), s->rank = add_told(p, 5, 1);
    s->top_index = add_told(p, 6, s->top), s->top_log_prob = add_told(p, 7, s->top);
    s->extra_log_prob = add_told(p, 8, s->extras);
    p->extra = malloc((size_t)(p->told_count[8] + 1) * sizeof *p->extra);
    for (int64_t i = 0; i < p->told_count[8]; i++) p->extra[i] = (int64_t)(hash_at(EXTRA, i) % (uint64_t)p->classes);
    s->extra = p->extra;
    p->job.stats = s;
}

static void add_class_weights(problem *p)
{
    const int64_t size = size_of(p->job.real);

    p->w = malloc((size_t)(p->classes * size));
    for (int64_t k = 0; k < p->classes; k++) store(p->w + k * size, p->job.real, weight(hash_at(CE_WEIGHT, k)));
    p->job.w = p->w;
}

static int parse(line *l, const char *text)
{
    char hash[3][20];

    if (sscanf(text, "%31s %15s %31s %c %15s %63s %19s %19s %19s", l->loss, l->dtype, l->shape, &l->order, l->reduction,
               l->options, hash[0], hash[1], hash[2]) != 9)
        return 0;
    for (int i = 0; i < 3; i++) l->hash[i] = strtoull(hash[i], NULL, 16);
    return 1;
}

/* Where in a table a name is, -1 for nowhere; the entries are names, or structures that begin with theirs. */
#define PLACE(name, table) place_of(name, table, sizeof *(table), (int)(sizeof(table) / sizeof *(table)))

static int place_of(const char *name, const void *table, size_t size, int n)
{
    while (n-- > 0)
        if (strcmp(*(const char *const *)((const char *)table + (size_t)n * size), name) == 0)
            break;
    return n;
}

/* The ce_type of that name, or -1: of floating numbers. */
static int dtype_of(const char *name)
{
    for (int type = 0; type < CE_TYPES; type++)
        if (ce_dtype_row((ce_type)type)->digits > 0 && strcmp(ce_dtype_row((ce_type)type)->name, name) == 0)
            return type;
    return -1;
}

static void set_shape(problem *p, const char *text)
{
    char *end;

    p->items = p->classes = p->inner = 1;
    for (p->job.axes = 0; p->job.axes < 3; text = end + 1) {
        const int     axis = p->job.axes++;
        const int64_t n = p->shape[axis] = strtoll(text, &end, 10);
        if (p->by_class && axis == 1)
            p->classes = n;
        else {
            p->items *= n;
            p->items_shape[axis > 0 && p->by_class ? axis - 1 : axis] = n;
        }
        if (p->by_class && axis == 2)
            p->inner = n;
        if (*end != 'x')
            break;
    }
}

/* Options that are numbers go by their keywords, but for some that have had another name here. */
static void set_numbers(problem *p, const line *l, unsigned options)
{
    for (int i = 0; i < CE_OPTION_COUNT; i++) {
        const ce_option *o = ce_option_row(i);
        const char *keyword = i == CE_LABEL_SMOOTHING_PLACE ? "smoothing" : i == CE_BETA_PLACE ? "delta" : o->keyword;
        if (options >> i & 1 && o->field)
            *(double *)((char *)&p->job + o->field) = number_of(l, keyword, o->absent);
    }
}

static void set_options(problem *p, const line *l)
{
    static const char *const reductions[] = { "none", "sum", "mean", "batchmean", "perplexity" };

    p->job.reduction = (ce_reduction)PLACE(l->reduction, reductions);
    p->job.hessian = option(l, "gauss_newton") ? CE_GAUSS_NEWTON
                     : option(l, "abs")        ? CE_ABS
                     : option(l, "bound")      ? CE_BOUND
                                               : CE_EXACT;
    set_numbers(p, l, ce_loss_row(p->job.loss)->options);
}

/* False: the line is not understood. */
static int make_problem(problem *p, const line *l)
{
    const int loss = ce_find_loss(l->loss), z = dtype_of(l->dtype);

    memset(p, 0, sizeof *p);
    if (loss < 0 || z < 0)
        return 0;
    const ce_loss *row = ce_loss_row(loss);
    const ce_type  type = (ce_type)z, real = type == CE_FLOAT64 ? CE_FLOAT64 : CE_FLOAT32;
    const ce_type  of_items = row->has_classes ? real : type, out = option(l, "narrow") ? CE_FLOAT32 : type;

    ce_start(&p->job, loss);
    p->outputs = strcmp(l->reduction, "perplexity") == 0 ? "v"
                 : option(l, "vector")                   ? "g"
                 : option(l, "stats") && *row->outputs   ? "vg"
                                                         : row->outputs;
    p->by_class = row->has_classes;
    set_shape(p, l->shape);
    set_options(p, l);
    p->job.real = real;
    p->job.class_axis = p->by_class ? 1 : -1;
    p->job.shape = p->shape;
    add_numbers(p, CE_Z, kind_of(row->first), type, l);
    if (row->second == CE_CLASSES)
        add_target(p, l);
    else if (kind_of(row->second))
        add_numbers(p, CE_OTHER, kind_of(row->second), type, l);
    if (option(l, "v"))
        add_numbers(p, CE_V, 'w', real, l);
    if (option(l, "where"))
        add_mask(p, l);
    if (option(l, "pos"))
        add_numbers(p, CE_POS, 'w', type, l);
    if (option(l, "upstream") || row->second == CE_UPSTREAM_ITEMS)
        add_numbers(p, CE_UPSTREAM, 'u', of_items, l);
    if (option(l, "w") && p->by_class)
        add_class_weights(p);
    else if (option(l, "w"))
        add_numbers(p, CE_WEIGHT, 'w', type, l);
    if (option(l, "vector"))
        add_numbers(p, CE_VECTOR, 'z', type, l);
    if (strchr(p->outputs, 'g'))
        add_output(p, CE_GRAD, out, l->order);
    if (strchr(p->outputs, 'h'))
        add_output(p, CE_HESS, out, l->order);
    if (strchr(p->outputs, 'v') && p->job.reduction == CE_NONE)
        add_output(p, CE_VALUE, real, l->order);
    if (option(l, "stats"))
        add_stats(p, l);
    return (int)p->job.reduction >= 0;
}

static void free_problem(problem *p)
{
    for (int a = 0; a < CE_ARRAYS; a++) {
        free(p->memory[a]);
        free(p->last[a]);
    }
    for (int a = 0; a < TOLD; a++) free(p->told[a]);
    free(p->extra);
    free(p->w);
}
