/* point.h - the contract of the element-wise losses, and how a loss becomes a loop over a span of numbers.
 *
 * A loss is one inline function from an element (input x, target y, pos, the weight of positive labels, and e^-|x|) to
 * a point: value, derivative and second derivative by x. It must fill all three; weights, reductions,
 * gradients from upstream and everything that concerns memory are the engine's. A loss's loop is run_span of its
 * function; losses of logits ask for e^-|x| there. With CE_BOUND, where losses.def says that there is one, the second
 * derivative is the bound; CE_ABS is the engine's. A loss may call EXP and LOG itself, too; it is only slower for it.
 */
#ifndef CE_ELEMENTS_POINT_H
#define CE_ELEMENTS_POINT_H

#include "real/real.h"

enum { SPAN = 2048 / sizeof(real) }; /* numbers of a span */

typedef struct {
    real x, y, pos;
    real e; /* e^-|x|, for losses of logits */
} element;

typedef struct {
    real value, grad, hess;
} point;

/* The options that are numbers, by their keywords; what follows from them; and what else is the same for all elements.
 */
#define REAL_FIELD(bit, keyword, ...) real keyword;
#define NO_FIELD(...)
typedef struct {
    CE_OPTIONS(REAL_FIELD, NO_FIELD)
    double     whole_delta, whole_beta;     /* as given, though float32 may not hold it */
    real       weight_of_no, weight_of_yes; /* by alpha, of labels 0 and 1 */
    ce_hessian hessian;
    real       c, hess_c; /* factors of the derivatives */
} point_options;

typedef point (*point_loss)(element in, point_options o);

/* The numbers of a span, and where the answers go; NULL: not asked for. */
typedef struct {
    const real *x, *y, *pos;
    real       *value, *grad, *hess;
    const real *e; /* e^-|x|, where a loop has found it out itself */
} span;

typedef void (*span_loop)(const span *s, int64_t n, point_options o);

enum { OF_NUMBERS, OF_LOGITS, OF_GIVEN }; /* what e is: nothing, found out here, or s->e */
enum { VALUES = 1, GRADS = 2, HESSES = 4 };

/* The loop for one set of answers; what is not asked for is not computed. No subnormal leaves it. Exponentials of
 * logits have a loop of their own: more work at once than processors keep in flight would wait for itself. */
INLINE void run_span_for(point_loss loss, int of, const span *s, int64_t n, point_options o, int answers)
{
    const real *x = s->x, *y = s->y, *pos = s->pos, *e = s->e;
    real       *value = s->value, *grad = s->grad, *hess = s->hess, found[SPAN];

    if (of == OF_LOGITS) {
        SIMD
        for (int64_t i = 0; i < n; i++) found[i] = EXP(-ABS(x[i]));
        e = found;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const element in = { x[i], y[i], pos[i], of == OF_NUMBERS ? 0 : e[i] };
        const point   p = loss(in, o);
        if (answers & VALUES)
            value[i] = normal(p.value);
        if (answers & GRADS)
            grad[i] = normal(p.grad * o.c);
        if (answers & HESSES)
            hess[i] = normal(p.hess * o.hess_c);
    }
}

INLINE void run_span(point_loss loss, int of, const span *s, int64_t n, point_options o)
{
    if (s->hess)
        run_span_for(loss, of, s, n, o, GRADS | HESSES);
    else if (!s->grad)
        run_span_for(loss, of, s, n, o, VALUES);
    else if (!s->value)
        run_span_for(loss, of, s, n, o, GRADS);
    else
        run_span_for(loss, of, s, n, o, VALUES | GRADS);
}

/* a b, where 0 times anything is 0. */
INLINE real times(real a, real b)
{
    return ZERO_IF(a == 0, a * b);
}

/* a, or -a where x is negative: whatever changes sign with x. */
INLINE real odd(real x, real a)
{
    return BY_SIGN(x, a, -a);
}

/* What logits x are to binary losses, from |x|, so that nothing cancels: e = e^-|x|, share = sigma(|x|),
 * rest = log(1 + e). Then sigma(-|x|) = e share, log(1 + e^x) = max(x, 0) + rest. */
typedef struct {
    real e, share, rest;
} sigmoid;

INLINE sigmoid sigmoid_of(element in)
{
    return (sigmoid){ in.e, 1 / (1 + in.e), LOG1P_UNIT(in.e) };
}

#endif
