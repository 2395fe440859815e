/* rows.h - long, contiguous rows: scan, link, emission; and the same in three phases, for rows so few that several
 * threads share one.
 */

enum { NAME(PAIRS) = NAME(KEPT) / NAME(BLOCK) };

/* Pairs on their way into one: whenever there is no place for another, they are merged. Until then they tell the
 * maximum of each block, which the exponentials that are kept are relative to. */
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

/* One block of row l of the tile, from class first on; kept: see row_block. */
static ce_pair NAME(row_part)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, const tile *x, int l,
                              bool more, int64_t first, bool keeps, REAL *kept)
{
    const NAME(row) row = NAME(row_of)(grid, plan, x, l);
    const int64_t left = grid->classes - first, n = left < NAME(BLOCK) ? left : NAME(BLOCK);
    const bool    tilted = plan->job->smoothing != 0 || link->emits == SHARES;

    if (link->emits == ONE_HOT)
        return (ce_pair){ 0, 0, 0, 0 };
    return is_dot(link->emits) ? NAME(row_dot)(&row, link, first, n)
                               : NAME(row_block)(&row, plan, first, n, more || n < left, tilted, keeps, kept);
}

/* As many items of one run as there are, up to `most`. */
static void NAME(row_open)(const ce_grid *grid, const ce_plan *plan, int64_t item, int64_t last, int64_t most, tile *x)
{
    locate(grid, item, last, 1, most, x);
    NAME(open)(grid, plan, x);
    NAME(gather_targets)(grid, x);
}

static void NAME(row_set)(tile *x, int l, ce_pair all)
{
    x->m[l] = all.m;
    x->s[l] = x->dot[l] = all.s;
    x->tilt[l] = all.tilt;
    x->u_sum[l] = all.u;
}

static void NAME(row_link)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, tile *x)
{
    REAL e_t[ITEMS];

    SIMD
    for (int l = 0; l < x->width; l++) e_t[l] = EXP((REAL)x->z_t[l] - (REAL)x->m[l]);
    for (int l = 0; grid->data[CE_TARGET] && l < x->width; l++) x->e_t[l] = (double)e_t[l];
    NAME(link)(grid, plan, link, x);
}

/* An ignored item's logits are never read. */
static void NAME(row_ignore)(const ce_grid *grid, const tile *x, int l, int64_t first, int64_t last)
{
    for (int a = CE_GRAD; a <= CE_HESS; a++)
        for (int64_t k = first; grid->data[a] && k < last; k++)
            memset(item_at(grid, x, a, l) + k * grid->class_stride[a], 0, (size_t)size_of(grid->type[a]));
}

/* The items' losses go to their array and into the sums: item i to lane i. */
static void NAME(row_close)(const ce_grid *grid, const tile *x, int64_t item, double *sums)
{
    for (int l = 0; l < x->width; l++) sums[(item + l) % LANES] += x->loss[l];
    for (int l = 0; grid->data[CE_VALUE] && l < x->width; l++)
        *(REAL *)item_at(grid, x, CE_VALUE, l) = NAME(normal)((REAL)x->loss[l]);
}

static int64_t NAME(steps_up)(int64_t n)
{
    return (n + NAME(STEP) - 1) / NAME(STEP) * NAME(STEP);
}

/* Of K classes: how many numbers the worker's buffer takes, to keep the exponentials or else to convert one block, and
 * for an emission to work in. */
static int64_t NAME(row_numbers)(int64_t K, int derives)
{
    const bool keeps = derives && K > NAME(BLOCK) && K <= NAME(KEPT);
    return (keeps ? NAME(steps_up)(K) : NAME(BLOCK)) + 4 * NAME(CHUNK);
}

/* Of short rows several together go through the link: as many as fit a block. */
OUTLINE void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, REAL *work, int64_t first,
                        int64_t last, double *sums)
{
    REAL *const   buffer = work + 4 * NAME(CHUNK);
    const int64_t K = grid->classes, room = NAME(steps_up)(K), fit = NAME(BLOCK) / room;
    const bool    keeps = plan->derives && is_by_e(link->emits) && K <= NAME(KEPT);
    tile          x;

    for (int64_t i = first; i < last; i += x.width) {
        NAME(gathering) all;

        NAME(row_open)(grid, plan, i, last, fit > LANES ? LANES : fit > 1 ? fit : 1, &x);
        for (int l = 0; l < x.width; l++) {
            REAL *const kept = buffer + (keeps ? l * room : 0);
            all.n = 0;
            for (int64_t k = 0; x.live[l] && k < K; k += NAME(BLOCK))
                NAME(row_gather)(
                    &all, link,
                    NAME(row_part)(grid, plan, link, &x, l, i + l + 1 < grid->items, k, keeps, kept + (keeps ? k : 0)));
            NAME(row_set)(&x, l, x.live[l] ? NAME(row_gathered)(&all, link) : (ce_pair){ 0, 0, 0, 0 });
        }
        NAME(row_link)(grid, plan, link, &x);
        for (int l = 0; plan->derives && l < x.width; l++) {
            if (x.live[l])
                NAME(row_emit)(grid, plan, link->emits, &x, l, keeps ? buffer + l * room : NULL,
                               keeps && K > NAME(BLOCK) ? all.pairs : NULL, work, 0, K);
            else
                NAME(row_ignore)(grid, &x, l, 0, K);
        }
        NAME(row_close)(grid, &x, i, sums);
    }
}

/* In three phases. First each block of a row becomes a pair. */
static void NAME(scan)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        const int64_t item = i / plan->parts, part = i % plan->parts;
        tile          x;

        NAME(row_open)(grid, plan, item, item + 1, 1, &x);
        if (x.all_live)
            plan->pairs[i + item] = NAME(row_part)(grid, plan, links[plan->job->loss], &x, 0, item + 1 < grid->items,
                                                   part * NAME(BLOCK), false, buffer);
    }
}

/* Then the pairs of each row are merged, into one behind them. The target's logit stays with the item's sums: an
 * emission in place may overwrite it before the row's other parts are begun. */
static void NAME(merge)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const ce_link *link = links[plan->job->loss];

    (void)buffer;
    for (int64_t i = first; i < last; i++) {
        const ce_pair *const pairs = plan->pairs + i * (plan->parts + 1);
        double               sums[LANES] = { 0 };
        tile                 x;
        NAME(gathering) all;

        NAME(row_open)(grid, plan, i, i + 1, 1, &x);
        x.loss[0] = 0;
        all.n = 0;
        for (int64_t k = 0; x.all_live && k < plan->parts; k++) NAME(row_gather)(&all, link, pairs[k]);
        if (x.all_live) {
            const ce_pair sum = NAME(row_gathered)(&all, link);
            NAME(row_set)(&x, 0, sum);
            NAME(row_link)(grid, plan, link, &x);
            plan->pairs[i * (plan->parts + 1) + plan->parts] = sum;
        }
        NAME(row_close)(grid, &x, 0, sums);
        plan->blocks[i].loss = x.loss[0];
        plan->blocks[i].z = grid->data[CE_TARGET] && x.all_live ? x.z_t[0] : 0;
    }
}

static void NAME(emit)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const ce_link *link = links[plan->job->loss];
    const int64_t  parts = plan->parts;

    for (int64_t i = first, n; i < last; i += n) {
        const int64_t        item = i / parts, from = i % parts * NAME(BLOCK);
        const ce_pair *const pairs = plan->pairs + item * (parts + 1);
        tile                 x;

        n = parts - i % parts < last - i ? parts - i % parts : last - i;
        const int64_t to = from + n * NAME(BLOCK) < grid->classes ? from + n * NAME(BLOCK) : grid->classes;
        NAME(row_open)(grid, plan, item, item + 1, 1, &x);
        if (x.all_live) {
            x.z_t[0] = plan->blocks[item].z;
            NAME(row_set)(&x, 0, pairs[parts]);
            NAME(row_link)(grid, plan, link, &x);
            NAME(row_emit)(grid, plan, link->emits, &x, 0, NULL, grid->classes <= NAME(KEPT) ? pairs : NULL, buffer,
                           from, to);
        } else {
            NAME(row_ignore)(grid, &x, 0, from, to);
        }
    }
}
