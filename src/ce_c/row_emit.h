/* row_emit.h - what is written of one long, contiguous row: exp again, from logits that are still in L2. */

/* Emission of n elements. grad may be z or g itself: each element is read before it is written. */
static void NAME(row_grad)(const ELEM *z, const ELEM *g, const REAL *w, ELEM *grad, int64_t n, emission emits,
                           const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->per_e[0]);
    const REAL m = (REAL)x->m[0], shift = NAME(normal)((REAL)x->shift[0]), dot = (REAL)x->dot[0];

#define EMIT(value)                                                                                                    \
    SIMD                                                                                                               \
    for (int64_t i = 0; i < n; i++) grad[i] = STORE(value)
    if (emits == LOG_PROBS)
        EMIT((LOAD(z[i]) - m) - shift);
    else if (emits == DOT)
        EMIT(NAME(normal)(LOAD(z[i]) * (LOAD(g[i]) - dot)));
    else if (emits == DOT_EXP)
        EMIT(NAME(normal)(LOAD(g[i]) - NAME(exp_any)(LOAD(z[i])) * dot));
    else if (shift == 0)
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo));
    else if (w)
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo) - shift * w[i]);
    else
        EMIT(f.per_e * EXP_BY(LOAD(z[i]) - m, f.by, f.lo) - shift);
#undef EMIT
}

static void NAME(row_hess)(const ELEM *z, ELEM *hess, int64_t n, const tile *x)
{
    const NAME(factor) f = NAME(factor_of)(x->curve[0] / (1 + x->s[0]));
    const REAL m = (REAL)x->m[0], s = NAME(normal)((REAL)x->s[0]), r = (REAL)(1 / (1 + x->s[0]));

    SIMD
    for (int64_t i = 0; i < n; i++) hess[i] = STORE(NAME(hess_of)(LOAD(z[i]) - m, s, r, f));
}

/* n gradients go from a buffer to where they belong. */
static void NAME(row_store)(const ELEM *from, char *to, int64_t step, int64_t n, bool streams)
{
    const int64_t bytes = n * (int64_t)sizeof(ELEM),
                  lines = streams && (uintptr_t)to % LINE == 0 ? bytes / LINE * LINE : 0;

    if (step == sizeof(ELEM)) {
        stream(to, from, (size_t)lines);
        memcpy(to + lines, (const char *)from + lines, (size_t)(bytes - lines));
    } else {
        for (int64_t k = 0; k < n; k++) *(ELEM *)(to + k * step) = from[k];
    }
}

/* Chunk by chunk: into a buffer where the output is strided or streams, and always for the Hessian, so that either
 * output may lie on the logits. The first chunk is cut so that the others begin at a line of the gradient. */
static void NAME(row_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, const tile *x)
{
    const ELEM   *z = (const ELEM *)x->at[CE_Z][0], *g = (const ELEM *)x->at[CE_OTHER][0];
    const REAL   *w = plan->job->w;
    const int64_t K = grid->classes, step = grid->class_stride[CE_GRAD];
    const bool    wants_grad = grid->data[CE_GRAD], wants_hess = grid->data[CE_HESS];
    const bool    direct = step == sizeof(ELEM) && !plan->streams;
    const int64_t peel = plan->streams ? (int64_t)(-(uintptr_t)x->at[CE_GRAD][0] % LINE / sizeof(ELEM)) : 0;

    for (int64_t i = 0, n = peel > 0 ? peel : NAME(CHUNK); i < K; i += n, n = NAME(CHUNK)) {
        _Alignas(LINE) ELEM grad[NAME(CHUNK)], hess[NAME(CHUNK)];
        char *const         to = wants_grad ? x->at[CE_GRAD][0] + i * step : NULL;
        ELEM *const         into = direct ? (ELEM *)to : grad;

        n = K - i < n ? K - i : n;
        if (wants_hess)
            NAME(row_hess)(z + i, hess, n, x);
        if (wants_grad) {
            NAME(row_grad)(z + i, g ? g + i : NULL, w ? w + i : NULL, into, n, emits, x);
            if (grid->data[CE_TARGET] && x->t[0] >= i && x->t[0] < i + n)
                into[x->t[0] - i] = STORE(NAME(normal)((REAL)x->at_t[0]));
            if (!direct)
                NAME(row_store)(grad, to, step, n, plan->streams);
        }
        if (wants_hess)
            NAME(row_store)(hess, x->at[CE_HESS][0] + i * grid->class_stride[CE_HESS], grid->class_stride[CE_HESS], n,
                            false);
    }
}

/* An ignored item's logits are never read. */
static void NAME(row_ignore)(const ce_grid *grid, const tile *x)
{
    for (int a = CE_GRAD; a <= CE_HESS; a++)
        for (int64_t k = 0; grid->data[a] && k < grid->classes; k++)
            *(ELEM *)(x->at[a][0] + k * grid->class_stride[a]) = STORE(0);
}

static void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                       double *sums)
{
    const bool tilted = plan->job->smoothing != 0;

    for (int64_t i = first; i < last; i++) {
        tile x;

        x.width = x.count = 1;
        x.m[0] = x.s[0] = x.dot[0] = 0;
        x.at[CE_OTHER][0] = NULL;
        NAME(open)(grid, plan, i, &x);
        if (x.all_live) {
            const ELEM *z = (const ELEM *)x.at[CE_Z][0], *g = (const ELEM *)x.at[CE_OTHER][0];
            if (link->emits == DOT || link->emits == DOT_EXP)
                x.dot[0] = NAME(row_dot)(g, link->emits == DOT ? z : NULL, grid->classes);
            else
                NAME(row_scan)(z, plan->job->w, grid->classes, tilted, &x);
            NAME(link)(grid, plan, link, &x);
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
