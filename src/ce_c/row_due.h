/* row_due.h - from kept exponentials to the gradient of a long, contiguous row, which waits for the scan of the next
 * one: so memory writes the one while it reads the other.
 */

/* How results come of exponentials e that stand times 2^64 and are those of z - m_b, m_b the maximum of their block:
 * exp(z - m) = e unit; (factor) exp(z - m) = (e a) b, or 0 where that would be subnormal: for e < least. */
typedef struct {
    REAL a, b, least, unit;
} NAME(scale);

static NAME(scale) NAME(scale_of)(double factor, double fade)
{
    const double by = factor * fade, size = fabs(by);
    const bool   large = size >= 0x1p-60;

    return (NAME(scale)){ (REAL)(large ? by * 0x1p-64 : 0x1p-64), (REAL)(large ? 1 : by),
                          NAME(normal)((REAL)((double)MIN_NORMAL * 0x1p64 * (1 + 0x1p-20) / size)),
                          NAME(normal)((REAL)(0x1p-64 * fade)) };
}

INLINE REAL NAME(scaled)(REAL e, NAME(scale) f)
{
    const REAL y = (e * f.a) * f.b;
    return e < f.least ? 0 : y;
}

/* A gradient that waits. */
typedef struct {
    REAL   *to; /* NULL: none does */
    double  per_e, m;
    REAL    shift; /* taken away from each number */
    int64_t t;     /* where the target's number belongs; -1: nowhere */
    REAL    put;
} NAME(due);

/* What the scan of one block does with its exponentials, and with those of the row before, which still stand there. */
typedef struct {
    REAL *kept;  /* room for those of the block, or for copies of its logits */
    bool  keeps; /* the exponentials */
    REAL *due;   /* where the gradient of the row before goes, or NULL */
    NAME(scale) f;
    REAL shift;
} NAME(slot);

/* For the block that begins with class k; pairs tell the maxima of the blocks of the row before; NULL: it has but one.
 */
static inline NAME(slot) NAME(slot_of)(REAL *kept, bool keeps, const NAME(due) * due, const ce_pair *pairs, int64_t k)
{
    NAME(slot) slot = { kept, keeps, NULL, { 0, 0, 0, 0 }, due->shift };

    if (due->to) {
        const double m = pairs ? pairs[k / NAME(BLOCK)].m : due->m;
        slot.due = due->to + k;
        slot.f = NAME(scale_of)(due->per_e, m == due->m ? 1 : exp_f64(m - due->m, BY_1_F64, EXP_LO_F64));
    }
    return slot;
}

INLINE REAL NAME(late_grad)(REAL e, NAME(scale) f, REAL shift, bool shifts)
{
    const REAL y = NAME(scaled)(e, f);
    return shifts ? NAME(normal)(y - shift) : y;
}

/* n numbers of the gradient, from number `first` of the slot on. */
static void NAME(slot_emit)(const NAME(slot) * slot, int64_t first, int64_t n)
{
    const REAL *const e = slot->kept;
    REAL *const       to = slot->due;
    const NAME(scale) f = slot->f;

    SIMD
    for (int64_t i = first; i < first + (slot->shift == 0 ? n : 0); i++) to[i] = NAME(late_grad)(e[i], f, 0, false);
    SIMD
    for (int64_t i = first; i < first + (slot->shift == 0 ? 0 : n); i++)
        to[i] = NAME(late_grad)(e[i], f, slot->shift, true);
}

/* After its last block. */
static void NAME(due_end)(NAME(due) * due)
{
    if (due->to && due->t >= 0)
        due->to[due->t] = due->put;
    due->to = NULL;
}
