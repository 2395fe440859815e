/* row_emit.h - what is written of one long, contiguous row: exp again, from logits that are still in L2. */

/* Emission of n elements. grad may be z or other itself: each element is read before it is written. u: the shares
 * or weights of the classes. */
static void NAME(row_grad)(const REAL *z, const REAL *other, const REAL *u, REAL *grad, int64_t n, emission emits,
                           const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->per_e[0]);
    const REAL m = (REAL)x->m[0], s = NAME(normal)((REAL)x->s[0]), shift = NAME(normal)((REAL)x->shift[0]),
               dot = (REAL)x->dot[0], u_sum = (REAL)x->u_sum[0], r = NAME(rest_of)(x->u_sum[0]);

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
        EMIT(NAME(share_of)(z[i] - m, u[i], u_sum, r, s, shift, f));
    else if (shift == 0)
        EMIT(f.per_e * EXP_BY(z[i] - m, f.by, f.lo));
    else if (u)
        EMIT(NAME(normal)(f.per_e * EXP_BY(z[i] - m, f.by, f.lo) - NAME(normal)(shift * u[i])));
    else
        EMIT(NAME(normal)(f.per_e * EXP_BY(z[i] - m, f.by, f.lo) - shift));
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
    SIMD
    for (int64_t i = 0; i < n; i++) hess[i] = NAME(hess_of)(z[i] - m, s, part, b, f);
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

/* Chunk by chunk: into a buffer where the output is not REAL side by side or streams, and always for the Hessian, so
 * that either output may lie on the logits. The first chunk is cut so that the others begin at a line of the gradient.
 */
static void NAME(row_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, const tile *x)
{
    const NAME(row) row = NAME(row_of)(grid, plan, x);
    const ce_type type = grid->type[CE_GRAD], hess_type = grid->type[CE_HESS];
    const int64_t K = grid->classes, t = grid->data[CE_TARGET] ? x->t[0] : -1, size = size_of(row.type);
    const int64_t step = grid->class_stride[CE_GRAD], hess_step = grid->class_stride[CE_HESS];
    const bool    wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS];
    const bool    direct = type == TYPE && step == sizeof(REAL) && !plan->streams;
    const int64_t peel = plan->streams ? (int64_t)(-(uintptr_t)x->at[CE_GRAD][0] % LINE / (uintptr_t)size_of(type)) : 0;

    for (int64_t i = 0, n = peel > 0 ? peel : NAME(CHUNK); i < K; i += n, n = NAME(CHUNK)) {
        _Alignas(LINE) REAL grad[NAME(CHUNK)], hess[NAME(CHUNK)], z_copy[VIEWED(NAME(CHUNK))], u_copy[NAME(CHUNK)];
        char *const         to = wants_grad ? x->at[CE_GRAD][0] + i * step : NULL;
        REAL *const         into = direct ? (REAL *)to : grad;

        n = K - i < n ? K - i : n;
        const REAL *z = emits == ONE_HOT ? NULL : NAME(view)(row.z + i * size, row.type, n, z_copy);
        const REAL *u = emits == PROBABILITIES || emits == SHARES ? NAME(row_u)(&row, plan, i, n, u_copy) : NULL;
        const REAL *other = emits == DOT || emits == DOT_EXP
                                ? NAME(view)(row.q + i * size_of(row.q_type), row.q_type, n, u_copy)
                                : NULL;
        if (wants_hess)
            NAME(row_hess)(z, hess, n, emits, x);
        if (wants_grad) {
            NAME(row_grad)(z, other, u, into, n, emits, x);
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

/* An ignored item's logits are never read. */
static void NAME(row_ignore)(const ce_grid *grid, const tile *x)
{
    for (int a = CE_GRAD; a <= CE_HESS; a++)
        for (int64_t k = 0; grid->data[a] && k < grid->classes; k++)
            memset(x->at[a][0] + k * grid->class_stride[a], 0, (size_t)size_of(grid->type[a]));
}

static void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                       double *sums)
{
    const bool tilted = plan->job->smoothing != 0 || link->emits == SHARES;

    for (int64_t i = first; i < last; i++) {
        tile x;

        x.width = x.count = 1;
        x.m[0] = x.s[0] = x.dot[0] = x.u_sum[0] = 0;
        locate(grid, i, last, 1, 1, &x);
        NAME(open)(grid, plan, &x);
        if (x.all_live) {
            NAME(gather_targets)(grid, &x);
            if (link->emits == DOT || link->emits == DOT_EXP || link->emits == TERMS)
                x.dot[0] = NAME(row_dot)(grid, plan, link, &x);
            else if (link->emits != ONE_HOT)
                NAME(row_scan)(grid, plan, tilted, &x);
            if (grid->data[CE_TARGET])
                x.e_t[0] = (double)EXP((REAL)x.z_t[0] - (REAL)x.m[0]);
            NAME(link)(grid, plan, link, &x);
            if (plan->derives)
                NAME(row_emit)(grid, plan, link->emits, &x);
        } else {
            x.loss[0] = 0;
            NAME(row_ignore)(grid, &x);
        }
        NAME(close)(grid, &x, sums + i % LANES);
    }
    if (plan->streams)
        STREAM_END();
}
