/* exps.h - exponentials of LANES items side by side, and their sums, in groups of a few classes. */
#ifndef CE_LANES_EXPS_H
#define CE_LANES_EXPS_H

#include "softmax/steps.h"

enum { GROUP = 32 }; /* classes summed in the computing type */

/* What the logits of an item are held against: their maximum, or 0 where that is -inf. Less -0, zeros of either sign
 * are 0. */
INLINE real held_against(real m)
{
    const real none = (real)-0.0;

    return m == 0 || m == -INFINITY ? none : m;
}

/* Adds what a group of classes adds up to. Of float32 roundings take nothing that counts. */
INLINE void add_group(double *sum, double *lost, double x)
{
    if (REAL_TYPE == CE_FLOAT64)
        add_exactly(sum, lost, x);
    else
        *sum += x;
}

/* Sums by lanes of some classes, each in registers of its own; -1 times how many exponentials are not 1; what is NaN
 * where a logit is: sums of z - m, or of gaps. */
typedef struct {
    packed      sum[PARTS], met[PARTS / 2], heat[PARTS / 4];
    packed_bits less[PARTS / 4];
    const real *w; /* the weights of the classes, of number 0 first */
} class_sums;

/* What is done with exponentials beside adding them up: logits stay; e (m - z) is added up, too; gaps are. */
typedef struct {
    bool    keep, heats;
    gap_way gaps;
} group_task;

/* The gaps of a register's items in class k of those with weights w, if they have any, of which x = z - m. */
INLINE packed part_gaps(const real *x, const real *w, int k, gap_way gaps)
{
    const packed even = PART(x) * (real)-GAP_SCALE;

    if (gaps == WEIGHTED_GAP_SUM)
        return even * w[k];
    return even;
}

/* Adds the gaps of some classes from number `first` of four on, of which x = z - m, in pairs, to one of two sums. */
INLINE void add_class_gaps(class_sums *to, const real *x, int some, int first, gap_way gaps)
{
    for (int k = 0; k < some; k += 2)
        for (int j = 0; j < PARTS / 4; j++) {
            const real *const one = x + k * LANES + j * WIDTH;
            packed            here = part_gaps(one, to->w, first + k, gaps);
            if (k + 1 < some)
                here += part_gaps(one + LANES, to->w, first + k + 1, gaps);
            to->met[(first + k) / 2 * PARTS / 4 + j] += here;
        }
}

/* As others_part, by a comparison that is faster beside what else is done here, where registers have no masks. */
INLINE packed class_part(const real *q, const real *t, const real *x)
{
    const packed lo = (packed){ 0 } + (real)EXP_LO_2_64;

    if (REGISTER == 64)
        return others_part(q, t, x);
    return (packed)(joined_part(q, t) & ~(packed_words)((packed_bits)PART(x) > (packed_bits)lo));
}

/* Turns the logits of some classes, at most 4, into exp(z - m) times 2^64, unless they are to be kept, and adds them,
 * each to its own sum, from number `first` on, but for those that are 1, where z is m: the others are counted. */
INLINE void add_classes(real *z, int some, const real *m, class_sums *to, int first, group_task task)
{
    const packed one = (packed){ 0 } + (real)0x1p64;
    real         x[STEP], t[STEP], q[STEP];

    for (int k = 0; k < some; k++)
        LANE(l) x[k * LANES + l] = z[k * LANES + l] - m[l];
    exp_stages(q, t, x, BY_RAISED, some * LANES);
    for (int j = 0; j < some * PARTS / 4; j++) {
        const real *const at = x + j * WIDTH;
        const packed      e = class_part(q + j * WIDTH, t + j * WIDTH, at);
        const packed_bits less = signs_of(PART(at));
        to->sum[first * PARTS / 4 + j] += e;
        to->less[j % (PARTS / 4)] += less;
        if (!task.gaps)
            to->met[j % (PARTS / 4)] += PART(at);
        if (task.heats) {
            packed *const heat = &to->heat[j % (PARTS / 4)];
            *heat = with_heat(*heat, e, PART(at));
        }
        if (!task.keep)
            PART(z + j * WIDTH) = (packed)((packed_bits)e | ((packed_bits)one & ~less));
    }
    if (task.gaps)
        add_class_gaps(to, x, some, first, task.gaps);
}

/* What a group adds up to, and what memory brings meanwhile, one place per class: to be read, and to be written. */
typedef struct {
    real       *sum;  /* of the exponentials that are not 1 */
    real       *heat; /* of all, times m - z; where it is asked for */
    real       *ones; /* counts those that are */
    real       *gaps; /* where they are asked for */
    ahead_of    reads, writes;
    const real *w; /* of the first class and those that follow, with WEIGHTED_GAP_SUM */
} group_sums;

/* Sum of the exponentials of n classes, at most GROUP, which take the place of the logits unless those are to be kept.
 */
INLINE void sum_group(real *z, int64_t n, const real *m, const group_sums *to, group_task task)
{
    class_sums all = { 0 };
    real       sum[LANES], met[LANES];
    uintptr_t  reads = to->reads.next, writes = to->writes.next;
    int64_t    k = 0;

    for (; k + 4 <= n; k += 4, reads += to->reads.step, writes += to->writes.step) {
        fetch_four(reads, to->reads.apart);
        claim_four(writes, to->writes.apart);
        all.w = to->w ? to->w + k : NULL;
        add_classes(z + k * LANES, AT_ONCE, m, &all, 0, task);
        if (AT_ONCE == 2)
            add_classes(z + (k + 2) * LANES, 2, m, &all, 2, task);
    }
    if (n % 4 > 0) {
        fetch_four(reads, to->reads.apart);
        claim_four(writes, to->writes.apart);
        all.w = to->w ? to->w + k : NULL;
    }
    if (n % 4 == 1)
        add_classes(z + k * LANES, 1, m, &all, 0, task);
    else if (n % 4 == 2)
        add_classes(z + k * LANES, 2, m, &all, 0, task);
    else if (n % 4 == 3)
        add_classes(z + k * LANES, 3, m, &all, 0, task);
    for (int j = 0; j < PARTS / 4; j++) {
        PART(sum + j * WIDTH) =
            (all.sum[j] + all.sum[PARTS / 4 + j]) + (all.sum[PARTS / 2 + j] + all.sum[PARTS * 3 / 4 + j]);
        PART(to->ones + j * WIDTH) += __builtin_convertvector(all.less[j] + (real_bits)n, packed);
        PART(met + j * WIDTH) = all.met[j] + all.met[PARTS / 4 + j];
        if (task.heats)
            PART(to->heat + j * WIDTH) = all.heat[j];
    }
    LANE(l) to->sum[l] = met[l] != met[l] ? met[l] : sum[l];
    if (task.gaps)
        LANE(l) to->gaps[l] = met[l];
}

/* The same for each task. */
#define SUM_GROUP(k, h, g)                                                                                             \
    if (task.keep == (k) && task.heats == (h) && task.gaps == (g))                                                     \
    sum_group(z, n, m, to, (group_task){ k, h, g })

static void sum_group_of(real *z, int64_t n, const real *m, const group_sums *to, group_task task)
{
    SUM_GROUP(false, false, NO_GAPS);
    SUM_GROUP(false, false, EVEN_GAP_SUM);
    SUM_GROUP(false, false, WEIGHTED_GAP_SUM);
    SUM_GROUP(false, true, NO_GAPS);
    SUM_GROUP(true, false, NO_GAPS);
    SUM_GROUP(true, false, EVEN_GAP_SUM);
    SUM_GROUP(true, false, WEIGHTED_GAP_SUM);
    SUM_GROUP(true, true, NO_GAPS);
}

#endif
