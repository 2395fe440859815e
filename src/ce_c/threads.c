/* threads.c - the team of a call, and the pieces that it shares.
 *
 * The work is cut into pieces, contiguous ranges. Each worker takes those of its own share, one after the other, then
 * what is left of the others': on a busy machine a thread that is held up does not hold up the rest, and on a calm one
 * the same thread gets the same numbers at the next call, which its caches may still hold. Between two pieces the
 * calling thread asks, now and then, whether to stop.
 */
#include "threads.h"

#include <time.h>

#include "grid.h"
#include "isa.h"

enum {
    PIECES = 16,   /* for each thread, where the work is enough */
    PATIENCE = 50, /* ms between two questions whether to stop */
};

static atomic_int cpus = 1, granted; /* what ce_threads_cpus said when `cpus` was set */
static atomic_int at_work;           /* threads in all the calls of the process */
static atomic_int forks;             /* that led to this process */

void ce_threads_set_cpus(int n)
{
    cpus = n;
    granted = ce_threads_cpus();
}

void ce_threads_forked(int survives)
{
    forks++;
    at_work = 0;
    if (!survives)
        cpus = 1;
}

static int64_t now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Does the caller want to stop? A signal handler that runs meanwhile may fork: its child has none of the other workers,
 * which the end of the loop would wait for, so it leaves the loop from here. */
static void ask(ce_loop *l)
{
    const int64_t ms = now() - l->asked;

    if (ms >= 0 && ms <= PATIENCE)
        return;
    if (l->stop())
        l->stopped = CE_STOPPED;
    if (l->team > 1 && l->forks != forks) {
        if (!l->stopped)
            l->stopped = CE_FORKED;
        longjmp(l->out, 1);
    }
    l->asked = now();
}

/* Piece i. */
static void take_piece(ce_loop *l, int64_t i, int worker, int is_caller)
{
    if (is_caller && l->stop)
        ask(l);
    if (!l->stopped) {
        const uint64_t mode = ce_cpu_standard_mode();

        l->fn(l->context, worker, l->n * i / l->pieces, l->n * (i + 1) / l->pieces);
        ce_cpu_restore_mode(mode);
    }
}

static int64_t begin_of_share(const ce_loop *l, int shares, int share)
{
    return l->pieces * share / shares;
}

void ce_take_pieces(ce_loop *l, int worker, int is_caller)
{
    const int shares = (int)smaller(l->team, CE_SHARES);

    for (int k = 0; k < shares; k++) {
        const int     share = (worker + k) % shares;
        const int64_t end = begin_of_share(l, shares, share + 1);
        for (int64_t i; (i = l->shares[share].next++) < end;) take_piece(l, i, worker, is_caller);
    }
}

/* The CPUs of the process; fewer where the affinity mask has been narrowed. It costs a third of a microsecond. */
static int cpus_now(void)
{
    const int now = ce_threads_cpus();
    return now < granted ? (int)smaller(now, cpus) : cpus;
}

/* Those of `all` that others are not at work with: calls from several threads at once share the CPUs. */
static int team_beside(int others, int all, int asked)
{
    const int idle = (int)smaller(all - others, ce_system_allowed(all));
    return idle < 1 ? 1 : (int)smaller(asked, idle);
}

int ce_threads_most(int asked)
{
    return team_beside(at_work, cpus, asked);
}

int ce_threads_team(int asked)
{
    return asked > 1 ? team_beside(at_work, cpus_now(), asked) : 1;
}

static int join(int asked)
{
    const int all = asked > 1 ? cpus_now() : 1;
    int       others = at_work, team;

    do team = team_beside(others, all, asked);
    while (!atomic_compare_exchange_weak(&at_work, &others, others + team));
    return team;
}

static void run_team(ce_loop *l)
{
    const int shares = (int)smaller(l->team, CE_SHARES);
    ce_share  all[CE_SHARES];

    for (int k = 0; k < shares; k++) atomic_init(&all[k].next, begin_of_share(l, shares, k));
    l->shares = all;
    if (setjmp(l->out) == 0)
        ce_system_run_team(l, l->team);
}

int ce_parallel_for(const ce_job *job, int64_t n, int64_t most, ce_range_fn fn, void *context)
{
    const int     team = join((int)smaller(n, job->threads));
    const int64_t shares = team > 1 ? smaller(n, PIECES * (int64_t)team) : 1;
    const int64_t needed = n / most + (n % most != 0);
    ce_loop       l = { .n = n, .pieces = shares > needed ? shares : needed, .fn = fn, .context = context };

    l.stop = job->stop;
    l.asked = now();
    l.team = team;
    l.forks = forks;
    if (team > 1)
        run_team(&l);
    else
        for (int64_t i = 0; i < l.pieces && !l.stopped; i++) take_piece(&l, i, 0, 1);
    if (l.forks == forks) /* a child's count has begun anew */
        at_work -= team;
    return l.stopped;
}
