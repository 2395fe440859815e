/* nll.h - the negative of one number an item, a log-probability, as a softmax link that gathers.
 *
 *     loss = -v w_t z_t        grad_t = -v w_t,  else 0        hess = 0
 */
INLINE void fill_nll(const ce_plan *plan, tile *x, int n)
{
    for (int l = 0; l < n; l++) {
        const double weight = x->v[l] * x->w_t[l];
        x->loss[l] = -weight * x->z_t[l];
        x->grad_t[l] = -weight * x->upstream[l];
        x->per_e[l] = x->shift[l] = x->curve[l] = x->part[l] = x->bend[l] = x->hess_t[l] = 0;
    }
    (void)plan;
}

FILL(nll)

static const ce_link nll_link = { .name = "nll", .emits = ONE_HOT, .fill = nll_fill };
