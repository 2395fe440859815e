/* row_emit.h - what is written of one long, contiguous row: from the exponentials that the scan kept, or computed
 * again from logits that are still in L2.
 */

/* exp(z - m) times 2^64 of STEP numbers; also in place of z. */
static void NAME(exp_step)(REAL *e, const REAL *z, REAL m)
{
    REAL q[NAME(STEP)], t[NAME(STEP)], x[NAME(STEP)];

    STEPS(l) x[l] = z[l] - m;
    NAME(exp_stages)(q, t, x, NAME(STEP));
    STEPS(l) e[l] = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
}

/* Of n numbers. */
static void NAME(row_exp)(REAL *e, const REAL *z, int64_t n, REAL m)
{
    int64_t i = 0;

    for (; i + NAME(STEP) <= n; i += NAME(STEP)) NAME(exp_step)(e + i, z + i, m);
    if (i < n) {
        REAL copy[NAME(STEP)];
        NAME(exp_step)(copy, NAME(step_filled)(copy, z + i, n - i), m);
        memcpy(e + i, copy, (size_t)(n - i) * sizeof(REAL));
    }
}

#define EMIT(value)                                                                                                    \
    SIMD                                                                                                               \
    for (int64_t i = 0; i < n; i++) to[i] = value

/* From exponentials, also in their place. u: the shares or weights of the classes. */
static void NAME(row_grad)(const REAL *e, const REAL *u, REAL *to, int64_t n, emission emits, double fade,
                           const tile *x, int at)
{
    const NAME(scale) f = NAME(scale_of)(x->per_e[at], fade);
    const REAL shift = NAME(normal)((REAL)x->shift[at]);

    if (emits == SHARES) {
        const NAME(shared) all = NAME(shared_of)(x->u_sum[at]);
        const REAL s = NAME(normal)((REAL)x->s[at]);
        EMIT(NAME(share_of)(e[i], NAME(scaled)(e[i], f), f.unit, u[i], all, s, shift));
    } else if (shift == 0 && f.b == 1) {
        EMIT(e[i] < f.least ? 0 : e[i] * f.a);
    } else if (shift == 0) {
        EMIT(NAME(scaled)(e[i], f));
    } else if (u) {
        EMIT(NAME(normal)(NAME(scaled)(e[i], f) - NAME(normal)(shift * u[i])));
    } else {
        EMIT(NAME(normal)(NAME(scaled)(e[i], f) - shift));
    }
}

static void NAME(row_hess)(const REAL *e, REAL *to, int64_t n, double fade, const tile *x, int at)
{
    const NAME(scale) f = NAME(scale_of)(x->curve[at], fade);
    const NAME(bender) b = NAME(bender_of)(x->bend[at], f.unit);
    const REAL s = NAME(normal)((REAL)x->s[at]), part = (REAL)x->part[at];

    EMIT(NAME(hess_of)(e[i], NAME(scaled)(e[i], f), f.unit, s, part, b));
}

/* Without exponentials; y: the second input. */
static void NAME(row_linear)(const REAL *z, const REAL *y, REAL *to, int64_t n, emission emits, const tile *x, int at)
{
    const REAL m = (REAL)x->m[at], shift = NAME(normal)((REAL)x->shift[at]);
    const REAL dot = (REAL)x->dot[at], low = NAME(low_of)(x->dot[at], dot);

    if (emits == ONE_HOT)
        EMIT(0);
    else if (emits == LOG_PROBS)
        EMIT((z[i] - m) - shift);
    else if (emits == DOT)
        EMIT(NAME(normal)(z[i] * (y[i] - dot - low)));
    else
        EMIT(NAME(normal)(y[i] - NAME(exp_any)(z[i]) * dot));
}

#undef EMIT

/* Classes first to last of the tile's item `at`, chunk by chunk, `first` where a chunk begins: into a buffer where the
 * output is not REAL side by side, and always for the Hessian, so that either output may lie on the logits. kept: the
 * exponentials, or NULL; pairs: the maxima of the blocks that they are relative to, or NULL: to that of the row; work:
 * see row_numbers.
 */
static void NAME(row_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, const tile *x, int at,
                           const REAL *kept, const ce_pair *pairs, REAL *work, int64_t first, int64_t last)
{
    REAL *const buffer = work, *const hess = work + NAME(CHUNK), *const copy = hess + NAME(CHUNK),
                *const u_copy = copy + NAME(CHUNK);
    const NAME(row) row = NAME(row_of)(grid, plan, x, at);
    const ce_type type = grid->type[CE_GRAD], hess_type = grid->type[CE_HESS];
    const int64_t t = grid->data[CE_TARGET] ? x->t[at] : -1, size = size_of(row.type);
    const int64_t step = grid->class_stride[CE_GRAD], hess_step = grid->class_stride[CE_HESS];
    const bool    wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS], by_e = is_by_e(emits);
    char *const   grad_row = wants_grad ? item_at(grid, x, CE_GRAD, at) : NULL;
    char *const   hess_row = wants_hess ? item_at(grid, x, CE_HESS, at) : NULL;
    const bool    direct = wants_grad && type == TYPE && step == sizeof(REAL);

    for (int64_t i = first, n; i < last; i += n) {
        char *const to = wants_grad ? grad_row + i * step : NULL;
        REAL *const grad = direct ? (REAL *)to : buffer;

        n = last - i < NAME(CHUNK) ? last - i : NAME(CHUNK);
        const REAL  *z = (by_e && kept) || emits == ONE_HOT ? NULL : NAME(view)(row.z + i * size, row.type, n, copy);
        const REAL  *u = by_e ? NAME(row_u)(&row, plan, i, n, u_copy) : NULL;
        const double m = pairs ? pairs[i / NAME(BLOCK)].m : x->m[at];
        const double fade = m == x->m[at] ? 1 : exp_f64(m - x->m[at], BY_1_F64, EXP_LO_F64);
        if (by_e && !kept)
            NAME(row_exp)(copy, z, n, m > -INFINITY ? (REAL)m : 0);
        const REAL *e = kept ? kept + i : copy;
        if (by_e && wants_hess)
            NAME(row_hess)(e, hess, n, fade, x, at);
        if (by_e && wants_grad)
            NAME(row_grad)(e, u, grad, n, emits, fade, x, at);
        if (!by_e && wants_hess)
            memset(hess, 0, (size_t)n * sizeof(REAL));
        if (!by_e && wants_grad)
            NAME(row_linear)(z, row.q ? NAME(view)(row.q + i * size_of(row.q_type), row.q_type, n, u_copy) : NULL, grad,
                             n, emits, x, at);
        if (wants_grad && t >= i && t < i + n)
            grad[t - i] = NAME(normal)((REAL)x->grad_t[at]);
        if (wants_hess && t >= i && t < i + n)
            hess[t - i] = NAME(normal)((REAL)x->hess_t[at]);
        if (wants_grad && !direct)
            NAME(write)(to, type, step, grad, n);
        if (wants_hess)
            NAME(write)(hess_row + i * hess_step, hess_type, hess_step, hess, n);
    }
}
