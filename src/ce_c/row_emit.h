/* row_emit.h - what is written of one long, contiguous row: from the exponentials that the scan kept, or computed
 * again from logits that are still in L2.
 */

/* exp(z - m) of n numbers, at most CHUNK, by a factor; also in place of z. */
static void NAME(row_exp)(REAL *e, const REAL *z, int64_t n, REAL m, NAME(factor) f)
{
    int64_t i = 0;

    for (; i + NAME(STEP) <= n; i += NAME(STEP)) NAME(exp_step)(e + i, z + i, m, f.by, f.lo);
    if (i < n) {
        REAL copy[NAME(STEP)];
        NAME(exp_step)(copy, NAME(step_filled)(copy, z + i, n - i), m, f.by, f.lo);
        memcpy(e + i, copy, (size_t)(n - i) * sizeof(REAL));
    }
}

/* Emission of n elements. grad may be z or other itself: each element is read before it is written. u: the shares
 * or weights of the classes. kept: the exponentials times 2^64, or NULL. */
static void NAME(row_grad)(const REAL *z, const REAL *other, const REAL *u, const REAL *kept, REAL *grad, int64_t n,
                           emission emits, const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->per_e[0]);
    const REAL        m = (REAL)x->m[0], s = NAME(normal)((REAL)x->s[0]), shift = NAME(normal)((REAL)x->shift[0]),
                      dot = (REAL)x->dot[0], u_sum = (REAL)x->u_sum[0], r = NAME(rest_of)(x->u_sum[0]);
    const bool        by_e = emits == PROBABILITIES || emits == SHARES, plain = emits == PROBABILITIES && shift == 0;
    const bool        has_e = plain && kept && f.by == BY_2_64;
    const REAL *const e = has_e ? kept : grad;

    if (by_e && !has_e)
        NAME(row_exp)(grad, z, n, m, f);
#define EMIT(value)                                                                                                    \
    SIMD                                                                                                               \
    for (int64_t i = 0; i < n; i++) grad[i] = value
    if (emits == ONE_HOT)
        EMIT(0);
    else if (emits == LOG_PROBS)
        EMIT((z[i] - m) - shift);
    else if (emits == DOT)
        EMIT(NAME(normal)(z[i] * (other[i] - dot)));
    else if (emits == DOT_EXP)
        EMIT(NAME(normal)(other[i] - NAME(exp_any)(z[i]) * dot));
    else if (emits == SHARES)
        EMIT(NAME(share_of)(e[i], u[i], u_sum, r, s, shift, f));
    else if (has_e)
        EMIT(NAME(normal)(f.per_e * e[i]));
    else if (plain)
        EMIT(f.per_e * e[i]);
    else if (u)
        EMIT(NAME(normal)(f.per_e * e[i] - NAME(normal)(shift * u[i])));
    else
        EMIT(NAME(normal)(f.per_e * e[i] - shift));
#undef EMIT
}

static void NAME(row_hess)(const REAL *z, REAL *hess, int64_t n, emission emits, const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->curve[0]);
    const NAME(bender) b = NAME(bender_of)(x->bend[0], f.unit);
    const REAL m = (REAL)x->m[0], s = NAME(normal)((REAL)x->s[0]), part = (REAL)x->part[0];

    if (emits == ONE_HOT) {
        memset(hess, 0, (size_t)n * sizeof(REAL));
        return;
    }
    NAME(row_exp)(hess, z, n, m, f);
    SIMD
    for (int64_t i = 0; i < n; i++) hess[i] = NAME(hess_of)(hess[i], s, part, b, f);
}

/* n results go from a buffer to where they belong. */
static void NAME(row_store)(const REAL *from, char *to, ce_type type, int64_t step, int64_t n, bool streams)
{
    const int64_t       size = size_of(type), lines = streams && (uintptr_t)to % LINE == 0 ? n * size / LINE * LINE : 0;
    _Alignas(LINE) char packed[NAME(CHUNK) * sizeof(REAL)];

    if (lines == 0) {
        NAME(write)(to, type, step, from, n);
        return;
    }
    if (type != TYPE)
        NAME(write)(packed, type, size, from, n);
    const char *all = type == TYPE ? (const char *)from : packed;
    stream(to, all, (size_t)lines);
    memcpy(to + lines, all + lines, (size_t)(n * size - lines));
}

/* Classes first to last, chunk by chunk: into a buffer where the output is not REAL side by side or streams, and always
 * for the Hessian, so that either output may lie on the logits. The first chunk is cut so that the others begin at a
 * line of the gradient.
 */
static void NAME(row_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, const REAL *kept, int64_t first,
                           int64_t last, const tile *x)
{
    const NAME(row) row = NAME(row_of)(grid, plan, x);
    const ce_type   type = grid->type[CE_GRAD], hess_type = grid->type[CE_HESS];
    const int64_t   t = grid->data[CE_TARGET] ? x->t[0] : -1, size = size_of(row.type);
    const int64_t   step = grid->class_stride[CE_GRAD], hess_step = grid->class_stride[CE_HESS];
    const bool      wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS];
    const bool      direct = type == TYPE && step == sizeof(REAL) && !plan->streams;
    const uintptr_t begin = (uintptr_t)x->at[CE_GRAD][0] + (uintptr_t)(first * step);
    const int64_t   peel = plan->streams ? (int64_t)(-begin % LINE / (uintptr_t)size_of(type)) : 0;

    for (int64_t i = first, n = peel > 0 ? peel : NAME(CHUNK); i < last; i += n, n = NAME(CHUNK)) {
        _Alignas(LINE) REAL grad[NAME(CHUNK)], hess[NAME(CHUNK)], z_copy[VIEWED(NAME(CHUNK))], u_copy[NAME(CHUNK)];
        char *const         to = wants_grad ? x->at[CE_GRAD][0] + i * step : NULL;
        REAL *const         into = direct ? (REAL *)to : grad;

        n = last - i < n ? last - i : n;
        const REAL *z = emits == ONE_HOT ? NULL : NAME(view)(row.z + i * size, row.type, n, z_copy);
        const REAL *u = emits == PROBABILITIES || emits == SHARES ? NAME(row_u)(&row, plan, i, n, u_copy) : NULL;
        const REAL *other = emits == DOT || emits == DOT_EXP
                                ? NAME(view)(row.q + i * size_of(row.q_type), row.q_type, n, u_copy)
                                : NULL;
        if (wants_hess)
            NAME(row_hess)(z, hess, n, emits, x);
        if (wants_grad) {
            NAME(row_grad)(z, other, u, kept ? kept + i : NULL, into, n, emits, x);
            if (t >= i && t < i + n)
                into[t - i] = NAME(normal)((REAL)x->grad_t[0]);
            if (!direct)
                NAME(row_store)(grad, to, type, step, n, plan->streams);
        }
        if (wants_hess && t >= i && t < i + n)
            hess[t - i] = NAME(normal)((REAL)x->hess_t[0]);
        if (wants_hess)
            NAME(row_store)(hess, x->at[CE_HESS][0] + i * hess_step, hess_type, hess_step, n, false);
    }
}
