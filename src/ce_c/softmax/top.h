/* top.h - the largest numbers of an item, and their classes, in the order of a stable sort: the largest first, of equal
 * ones that of the lowest class.
 *
 * A short list has all its places from the start, and no branch in it depends on numbers. A long one is a heap, whose
 * root is the last of it; there a NaN is larger than any number.
 */
#ifndef CE_SOFTMAX_TOP_H
#define CE_SOFTMAX_TOP_H

#include "softmax/steps.h"

enum { PLACES = 32 }; /* of a short list */

typedef struct {
    int64_t  n, most; /* how many there are, and may be */
    bool     is_short;
    real     z[PLACES];
    int64_t  k[PLACES]; /* the classes */
    real    *all_z;     /* of a heap, and where the list goes at last */
    int64_t *all_k;
} top_list;

static void begin_top(top_list *list, int64_t most, bool is_short, real *z, int64_t *k)
{
    list->n = 0, list->most = most, list->is_short = is_short;
    list->all_z = z, list->all_k = k;
    for (int i = 0; i < PLACES && is_short; i++) list->z[i] = -INFINITY, list->k[i] = INT64_MAX;
}

/* Of a short list that is not full it is -inf. */
static inline real last_of(const top_list *list)
{
    return list->is_short ? list->z[list->most - 1] : list->all_z[0];
}

static void insert(top_list *list, real z, int64_t k)
{
    real    old_z[PLACES + 1];
    int64_t old_k[PLACES + 1];
    int     before = 0;

    memcpy(old_z + 1, list->z, sizeof list->z);
    memcpy(old_k + 1, list->k, sizeof list->k);
    for (int i = 0; i < PLACES; i++) before += (list->z[i] > z) | ((list->z[i] == z) & (list->k[i] < k));
    SIMD
    for (int i = 0; i < PLACES; i++) list->z[i] = i < before ? old_z[i + 1] : i > before ? old_z[i] : z;
    SIMD
    for (int i = 0; i < PLACES; i++) list->k[i] = i < before ? old_k[i + 1] : i > before ? old_k[i] : k;
    list->n += list->n < list->most;
}

/* Is z of class k before place i of the heap? */
static inline bool goes_before(const top_list *list, real z, int64_t k, int64_t i)
{
    const real other = list->all_z[i];
    const bool equal = z == other || (z != z && other != other), above = z > other || (z != z && other == other);

    return above || (equal && k < list->all_k[i]);
}

static inline void place(top_list *list, int64_t i, real z, int64_t k)
{
    list->all_z[i] = z, list->all_k[i] = k;
}

/* Puts z of class k where place i of the heap is empty, or below it. */
static void sink(top_list *list, int64_t i, real z, int64_t k)
{
    for (int64_t child; (child = 2 * i + 1) < list->n; i = child) {
        if (child + 1 < list->n && goes_before(list, list->all_z[child], list->all_k[child], child + 1))
            child++;
        if (!goes_before(list, z, k, child))
            break;
        place(list, i, list->all_z[child], list->all_k[child]);
    }
    place(list, i, z, k);
}

/* Takes in z of class k, if it is among the largest. */
static void add_number(top_list *list, real z, int64_t k)
{
    if (list->is_short) {
        insert(list, z, k);
        return;
    }
    if (list->n == list->most) {
        if (goes_before(list, z, k, 0))
            sink(list, 0, z, k);
        return;
    }
    int64_t i = list->n++;
    for (int64_t above; i > 0 && !goes_before(list, z, k, above = (i - 1) / 2); i = above)
        place(list, i, list->all_z[above], list->all_k[above]);
    place(list, i, z, k);
}

/* Puts the list where it goes, in order. */
static void end_top(top_list *list)
{
    if (list->is_short) {
        memcpy(list->all_z, list->z, (size_t)list->most * sizeof *list->z);
        memcpy(list->all_k, list->k, (size_t)list->most * sizeof *list->k);
    }
    while (!list->is_short && list->n > 1) {
        const int64_t last = --list->n, k = list->all_k[last];
        const real    z = list->all_z[last];
        place(list, last, list->all_z[0], list->all_k[0]);
        sink(list, 0, z, k);
    }
}

/* Is any of STEP numbers no less than x? */
static inline bool any_as_large(const real *z, real x)
{
    packed a[PARTS];
    real   max[LANES];

    EACH_PART(j) a[j] = PART(z + j * WIDTH);
    for (int j = 0; j < PARTS / 4; j++)
        PART(max + j * WIDTH) = MAX(MAX(a[j], a[j + PARTS / 4]), MAX(a[j + PARTS / 2], a[j + PARTS * 3 / 4]));
    return ABOVE(max, x) | EQUAL(max, x);
}

/* Takes in n numbers of classes from `first` on, where all before have been; while the list is not full, no less than
 * `bar`. */
static void add_numbers(top_list *list, const real *z, int64_t n, int64_t first, real bar)
{
    real    copy[STEP];
    int64_t i = 0;

    if (bar == -INFINITY)
        for (; i < n && list->n < list->most; i++) add_number(list, z[i], first + i);
    for (; i < n; i += STEP) {
        const real *some = i + STEP <= n ? z + i : step_filled(copy, z + i, n - i);
        if (!any_as_large(some, list->n == list->most ? last_of(list) : bar))
            continue;
        for (int64_t k = i; k < i + STEP; k += LANES) {
            const bool full = list->n == list->most;
            const real least = full ? last_of(list) : bar, *const at = some + (k - i);
            uint64_t hits = ABOVE(at, least) | (full ? 0 : EQUAL(at, least));
            for (; hits; hits &= hits - 1) {
                const int64_t l = __builtin_ctzll(hits);
                add_number(list, at[l], first + k + l);
            }
        }
    }
}

/* The maxima of n numbers by lanes, but for those behind the last whole vector. */
static void lane_maxima(real *all, const real *z, int64_t n)
{
    LANE(l) all[l] = -INFINITY;
    for (int64_t i = 0; i + LANES <= n; i += LANES)
        LANE(l) all[l] = z[i + l] > all[l] ? z[i + l] : all[l];
}

/* Of the largest of some vectors of numbers the last, if there are as many as the list may have: without a branch that
 * could be mispredicted. */
INLINE real bar_of_vectors(const top_list *list, const real *x, int vectors)
{
    real bar = -INFINITY;

    for (int i = 0; i < vectors * LANES && list->is_short; i++) {
        int count = 0;
        for (int v = 0; v < vectors; v++)
            count += __builtin_popcount(ABOVE(x + v * LANES, x[i]) | EQUAL(x + v * LANES, x[i]));
        bar = count >= list->most && x[i] > bar ? x[i] : bar;
    }
    return bar;
}

/* For a list that is empty, from the maxima of chunks by lanes: so many of those of several chunks that the list's last
 * is well among them. */
static real bar_of_chunks(const top_list *list, const real *maxima, int64_t chunks)
{
    real x[BLOCK / CHUNK * LANES];
    int  vectors = 1;

    while (2 * vectors * LANES < 3 * list->most && 2 * vectors <= chunks) vectors *= 2;
    for (int64_t c = 0; c < chunks; c++, maxima += LANES) {
        real *const to = x + c % vectors * LANES;
        LANE(l) to[l] = c < vectors || maxima[l] > to[l] ? maxima[l] : to[l];
    }
    return vectors == 1 ? bar_of_vectors(list, x, 1) : bar_of_vectors(list, x, vectors); /* the first unrolled */
}

/* n numbers of a row, from class `first` on; top: the maxima of their chunks by lanes, those behind the last whole step
 * in any lane. In chunks of which few lanes have one that may be among the largest only these are looked at. */
static void add_top(top_list *list, const real *top, const real *z, int64_t n, int64_t first)
{
    const int64_t whole = n / STEP * STEP;
    const real    bar = list->n == 0 ? bar_of_chunks(list, top, (n + CHUNK - 1) / CHUNK) : -INFINITY;

    for (int64_t c = 0; c < whole; c += CHUNK, top += LANES) {
        const bool    full = list->n == list->most;
        const real    least = full ? last_of(list) : bar;
        const int64_t end = smaller(c + CHUNK, whole);
        unsigned      lanes = full ? ABOVE(top, least) : 0;
        if (!full || __builtin_popcount(lanes) > 2) {
            add_numbers(list, z + c, end - c, first + c, bar);
            continue;
        }
        for (; lanes; lanes &= lanes - 1)
            for (int64_t i = c + __builtin_ctz(lanes); i < end; i += LANES)
                if (z[i] > least)
                    add_number(list, z[i], first + i);
    }
    add_numbers(list, z + whole, n - whole, first + whole, bar);
}

#endif
