/* rows.h - long, contiguous rows, one item at a time: scan, link, emission; and the same in three phases, for rows so
 * few that several threads share one.
 */

enum { NAME(PAIRS) = 32 };

/* Pairs on their way into one: whenever PAIRS of them have gathered, they are merged. */
typedef struct {
    ce_pair pairs[NAME(PAIRS)];
    int     n;
} NAME(gathering);

static ce_pair NAME(row_gathered)(const NAME(gathering) * all, const ce_link *link)
{
    double sum = 0, lost = 0;

    if (all->n == 1)
        return all->pairs[0];
    if (!is_dot(link->emits))
        return NAME(row_merge)(all->pairs, all->n);
    for (int i = 0; i < all->n; i++) add_exactly(&sum, &lost, all->pairs[i].s);
    return (ce_pair){ 0, with_lost(sum, lost), 0, 0 };
}

static void NAME(row_gather)(NAME(gathering) * all, const ce_link *link, ce_pair next)
{
    if (all->n == NAME(PAIRS)) {
        all->pairs[0] = NAME(row_gathered)(all, link);
        all->n = 1;
    }
    all->pairs[all->n++] = next;
}

/* One block of a row, from class first on. The buffer: see row_block. */
static ce_pair NAME(row_part)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, REAL *kept,
                              REAL *buffer, const tile *x)
{
    const NAME(row) row = NAME(row_of)(grid, plan, x);
    const int64_t n = grid->classes - first < NAME(BLOCK) ? grid->classes - first : NAME(BLOCK);
    const bool    tilted = plan->job->smoothing != 0 || link->emits == SHARES;

    if (link->emits == ONE_HOT)
        return (ce_pair){ 0, 0, 0, 0 };
    return is_dot(link->emits) ? NAME(row_dot)(&row, link, first, n)
                               : NAME(row_block)(&row, plan, first, n, tilted, kept != NULL, buffer);
}

static void NAME(row_open)(const ce_grid *grid, const ce_plan *plan, int64_t item, tile *x)
{
    locate(grid, item, item + 1, 1, 1, x);
    NAME(open)(grid, plan, x);
    NAME(gather_targets)(grid, x);
}

static void NAME(row_link)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, ce_pair all, tile *x)
{
    x->m[0] = all.m;
    x->s[0] = x->dot[0] = all.s;
    x->tilt[0] = all.tilt;
    x->u_sum[0] = all.u;
    if (grid->data[CE_TARGET])
        x->e_t[0] = (double)EXP((REAL)x->z_t[0] - (REAL)all.m);
    NAME(link)(grid, plan, link, x);
}

/* An ignored item's logits are never read. */
static void NAME(row_ignore)(const ce_grid *grid, int64_t first, int64_t last, tile *x)
{
    x->loss[0] = 0;
    for (int a = CE_GRAD; a <= CE_HESS; a++)
        for (int64_t k = first; grid->data[a] && k < last; k++)
            memset(x->at[a][0] + k * grid->class_stride[a], 0, (size_t)size_of(grid->type[a]));
}

static void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                       double *sums)
{
    const int64_t K = grid->classes;
    REAL          buffer[NAME(BLOCK)];
    REAL *const   kept = plan->derives && K <= NAME(BLOCK) ? buffer : NULL;

    for (int64_t i = first; i < last; i++) {
        tile x;

        NAME(row_open)(grid, plan, i, &x);
        if (x.all_live) {
            NAME(gathering) all;
            all.n = 0;
            for (int64_t k = 0; k < K; k += NAME(BLOCK))
                NAME(row_gather)(&all, link, NAME(row_part)(grid, plan, link, k, kept, buffer, &x));
            NAME(row_link)(grid, plan, link, NAME(row_gathered)(&all, link), &x);
            if (plan->derives)
                NAME(row_emit)(grid, plan, link->emits, kept, 0, K, &x);
        } else {
            NAME(row_ignore)(grid, 0, K, &x);
        }
        NAME(close)(grid, &x, sums + i % LANES);
    }
    if (plan->streams)
        STREAM_END();
}

/* Each block of a row becomes a pair. */
static void NAME(scan)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last)
{
    REAL buffer[NAME(BLOCK)];

    for (int64_t i = first; i < last; i++) {
        tile x;

        NAME(row_open)(grid, plan, i / plan->parts, &x);
        if (x.all_live)
            plan->pairs[i] =
                NAME(row_part)(grid, plan, links[plan->job->loss], i % plan->parts * NAME(BLOCK), NULL, buffer, &x);
    }
}

/* The pairs of each row become its first. The second takes the target's logit, which an emission in place may overwrite
 * before the row's other parts are begun. */
static void NAME(merge)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last)
{
    const ce_link *link = links[plan->job->loss];

    for (int64_t i = first; i < last; i++) {
        ce_pair *const pairs = plan->pairs + i * plan->parts;
        tile           x;
        NAME(gathering) all;

        NAME(row_open)(grid, plan, i, &x);
        x.loss[0] = 0;
        all.n = 0;
        for (int64_t k = 0; x.all_live && k < plan->parts; k++) NAME(row_gather)(&all, link, pairs[k]);
        if (x.all_live) {
            pairs[0] = NAME(row_gathered)(&all, link);
            pairs[1].m = grid->data[CE_TARGET] ? x.z_t[0] : 0;
            NAME(row_link)(grid, plan, link, pairs[0], &x);
        }
        double sums[LANES] = { 0 };
        NAME(close)(grid, &x, sums);
        plan->blocks[i].loss = sums[0];
    }
}

static void NAME(emit)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last)
{
    const ce_link *link = links[plan->job->loss];
    const int64_t  parts = plan->parts;

    for (int64_t i = first, n; i < last; i += n) {
        const int64_t item = i / parts, from = i % parts * NAME(BLOCK);
        tile          x;

        n = parts - i % parts < last - i ? parts - i % parts : last - i;
        const int64_t to = from + n * NAME(BLOCK) < grid->classes ? from + n * NAME(BLOCK) : grid->classes;
        NAME(row_open)(grid, plan, item, &x);
        if (x.all_live) {
            x.z_t[0] = plan->pairs[item * parts + 1].m;
            NAME(row_link)(grid, plan, link, plan->pairs[item * parts], &x);
            NAME(row_emit)(grid, plan, link->emits, NULL, from, to, &x);
        } else {
            NAME(row_ignore)(grid, from, to, &x);
        }
    }
    if (plan->streams)
        STREAM_END();
}
