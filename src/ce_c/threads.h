/* threads.h - a parallel loop: what threads.c has, and what each system adds in a file of its own. */
#ifndef CE_THREADS_H
#define CE_THREADS_H

#include <setjmp.h>
#include <stdatomic.h>

#include "ce.h"

/* fn(context, worker, first, last) over [0, n), cut into contiguous ranges of no more than `most` that a team of
 * workers shares: numbers from 0 up to job->threads, no two at work under the same. What it
 * returns is for job->stopped: not 0, and the rest was left undone. */
typedef void (*ce_range_fn)(void *context, int worker, int64_t first, int64_t last);
int ce_parallel_for(const ce_job *job, int64_t n, int64_t most, ce_range_fn fn, void *context);

/* Pieces that one worker takes first: the next of them. It has a line of memory of its own. */
typedef struct {
    _Alignas(64) _Atomic int64_t next;
} ce_share;

enum { CE_SHARES = 64 }; /* the most; of a larger team several workers have the same */

/* One parallel loop. */
typedef struct {
    int64_t     n, pieces;
    ce_share   *shares;
    ce_range_fn fn;
    void       *context;
    int (*stop)(void);
    int64_t    asked;       /* when, in ms */
    int        team, forks; /* threads; the forks that had led to the process when it began */
    jmp_buf    out;         /* leaves the loop without its other threads */
    atomic_int stopped;
} ce_loop;

/* What each worker of the team does, until no piece is left; the calling thread asks whether to stop. */
void ce_take_pieces(ce_loop *l, int worker, int is_caller);

/* The most threads that a call asking for so many can get here and now; it may get fewer. As ce_threads_team, without
 * a question to the system. */
int ce_threads_most(int asked);

/* In a child, before anything else: can it have more than one thread? */
void ce_threads_forked(int survives);

/* What threads_openmp.c, threads_gcd.c, threads_windows.c or threads_serial.c has, beside ce_threads_runtime,
 * ce_threads_cpus and ce_threads_watch_forks. */
int  ce_system_allowed(int cpus);              /* the most threads that the system's own settings allow here and now */
void ce_system_run_team(ce_loop *l, int team); /* takes all pieces with that many threads, the calling one among them */

#endif
