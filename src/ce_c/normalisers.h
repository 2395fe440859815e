/* normalisers.h - softmax, log_softmax, logsumexp and their backward passes, as softmax links.
 *
 *     softmax      p_k = e_k / S                  backward   y_k (g_k - sum_j g_j y_j),       y = softmax
 *     log_softmax  (z_k - m) - log1p(s)           backward   g_k - exp(y_k) sum_j g_j,        y = log_softmax
 *     logsumexp    m + log1p(s)                   backward   g p_k: softmax with g upstream
 */
INLINE void fill_softmax(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        x->per_e[l] = x->upstream[l] * x->inv_S[l];
        x->loss[l] = x->shift[l] = 0;
    }
}

INLINE void fill_log_softmax(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        x->shift[l] = x->log_S[l];
        x->loss[l] = x->per_e[l] = 0;
    }
}

INLINE void fill_logsumexp(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        const bool finite = fabs(x->m[l]) < INFINITY;
        x->loss[l] = finite ? x->m[l] + x->log_S[l] : x->has_nan[l] ? NAN : x->m[l];
    }
}

INLINE void fill_backward(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) x->loss[l] = x->per_e[l] = x->shift[l] = 0;
}

FILL(softmax)
FILL(log_softmax)
FILL(logsumexp)
FILL(backward)

static const ce_link softmax_link = { .name = "softmax", .emits = PROBABILITIES, .fill = softmax_fill };
static const ce_link log_softmax_link = { .name = "log_softmax", .emits = LOG_PROBS, .fill = log_softmax_fill };
static const ce_link logsumexp_link = { .name = "logsumexp", .emits = PROBABILITIES, .fill = logsumexp_fill };
static const ce_link logsumexp_backward_link = { .name = "logsumexp_backward",
                                                 .emits = PROBABILITIES,
                                                 .fill = softmax_fill };
static const ce_link softmax_backward_link = { .name = "softmax_backward", .emits = DOT, .fill = backward_fill };
static const ce_link log_softmax_backward_link = { .name = "log_softmax_backward",
                                                   .emits = DOT_EXP,
                                                   .fill = backward_fill };
