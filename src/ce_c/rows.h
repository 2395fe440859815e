/* rows.h - long, contiguous rows: scan, link, emission, which may wait for the scan of the next row (row_due.h); and
 * the same in three phases, for rows so few that several threads share one.
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

/* One block of row l of the tile, from class first on. */
static ce_pair NAME(row_part)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, const tile *x, int l,
                              bool more, int64_t first, const NAME(slot) * slot)
{
    const NAME(row) row = NAME(row_of)(grid, plan, x, l);
    const int64_t left = grid->classes - first, n = left < NAME(BLOCK) ? left : NAME(BLOCK);
    const bool    tilted = plan->job->label_smoothing != 0 || link->emits == SHARES;

    if (link->emits == ONE_HOT)
        return (ce_pair){ 0, 0, 0, 0 };
    return is_dot(link->emits) ? NAME(row_dot)(&row, link, first, n)
                               : NAME(row_block)(&row, plan, first, n, more || n < left, tilted, slot);
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

/* May a row's gradient wait for the scan of the next row? Neither reads what the other writes. */
static bool NAME(can_wait)(const ce_grid *grid, const ce_plan *plan, const ce_link *link)
{
    return link->emits == PROBABILITIES && grid->classes <= NAME(KEPT) && grid->type[CE_Z] == TYPE &&
           grid->data[CE_GRAD] && grid->type[CE_GRAD] == TYPE && grid->class_stride[CE_GRAD] == sizeof(REAL) &&
           !plan->curves && (plan->job->label_smoothing == 0 || !plan->job->w);
}

/* Rows of a worker: what they share. */
typedef struct {
    REAL *work, *kept;
    bool  keeps, waits;
    NAME(due) due[LANES]; /* of row l of the tile before */
    NAME(gathering) all;  /* pairs of the row, and, until they are overwritten, of the row before */
} NAME(shift);

/* Writes the gradient that is due, if one is, of row l of the tile before. */
static void NAME(settle_due)(NAME(shift) * s, int l, int64_t K)
{
    NAME(due) *const due = &s->due[l];
    REAL *const      kept = s->kept + l * NAME(steps_up)(K);

    for (int64_t k = 0; due->to && k < K; k += NAME(BLOCK)) {
        const NAME(slot) slot = NAME(slot_of)(kept + k, true, due, K > NAME(BLOCK) ? s->all.pairs : NULL, k);
        NAME(slot_emit)(&slot, 0, K - k < NAME(BLOCK) ? K - k : NAME(BLOCK));
    }
    NAME(due_end)(due);
}

static void NAME(scan_row)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, NAME(shift) * s, tile *x,
                           int l, bool more)
{
    const int64_t K = grid->classes;
    REAL *const   kept = s->kept + (s->keeps ? l * NAME(steps_up)(K) : 0);

    s->all.n = 0;
    for (int64_t k = 0; k < K; k += NAME(BLOCK)) {
        const NAME(slot) slot =
            NAME(slot_of)(kept + (s->keeps ? k : 0), s->keeps, &s->due[l], K > NAME(BLOCK) ? s->all.pairs : NULL, k);
        NAME(row_gather)(&s->all, link, NAME(row_part)(grid, plan, link, x, l, more, k, &slot));
    }
    NAME(due_end)(&s->due[l]);
    NAME(row_set)(x, l, NAME(row_gathered)(&s->all, link));
}

static void NAME(emit_row)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, NAME(shift) * s,
                           const tile *x, int l)
{
    const int64_t K = grid->classes;
    REAL *const   kept = s->keeps ? s->kept + l * NAME(steps_up)(K) : NULL;

    if (!x->live[l])
        NAME(row_ignore)(grid, x, l, 0, K);
    else if (s->waits)
        s->due[l] = (NAME(due)){ .to = (REAL *)item_at(grid, x, CE_GRAD, l),
                                 .per_e = x->per_e[l],
                                 .m = x->m[l],
                                 .shift = NAME(normal)((REAL)x->shift[l]),
                                 .t = grid->data[CE_TARGET] ? x->t[l] : -1,
                                 .put = NAME(normal)((REAL)x->grad_t[l]) };
    else
        NAME(row_emit)(grid, plan, link->emits, x, l, kept, kept && K > NAME(BLOCK) ? s->all.pairs : NULL, s->work, 0,
                       K);
}

/* Of short rows several together go through the link: as many as fit a block. */
OUTLINE void NAME(rows)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, REAL *work, int64_t first,
                        int64_t last)
{
    const int64_t K = grid->classes, room = NAME(steps_up)(K), fit = NAME(BLOCK) / room;
    NAME(shift) s;
    tile x;

    s.work = work, s.kept = work + 4 * NAME(CHUNK);
    for (int l = 0; l < LANES; l++) s.due[l].to = NULL, s.due[l].shift = 0;
    s.keeps = plan->derives && is_by_e(link->emits) && K <= NAME(KEPT);
    s.waits = NAME(can_wait)(grid, plan, link);
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, end = from + grid->block, to = end < grid->items ? end : grid->items;
        double        sums[LANES] = { 0 };

        for (int64_t i = from; i < to; i += x.width) {
            NAME(row_open)(grid, plan, i, to, fit > LANES ? LANES : fit > 1 ? fit : 1, &x);
            for (int l = 0; l < x.width; l++) {
                if (x.live[l]) {
                    NAME(scan_row)(grid, plan, link, &s, &x, l, i + l + 1 < grid->items);
                } else {
                    NAME(settle_due)(&s, l, K);
                    NAME(row_set)(&x, l, (ce_pair){ 0, 0, 0, 0 });
                }
            }
            NAME(row_link)(grid, plan, link, &x);
            for (int l = 0; plan->derives && l < x.width; l++) NAME(emit_row)(grid, plan, link, &s, &x, l);
            NAME(row_close)(grid, &x, i - from, sums);
        }
        plan->blocks[b].loss = tree_sum(sums, LANES);
    }
    for (int l = 0; s.waits && l < LANES; l++) NAME(settle_due)(&s, l, K);
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
                                                   part * NAME(BLOCK), &(NAME(slot)){ .kept = buffer });
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
