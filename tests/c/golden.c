/* golden.c - the same bits, proven: runs every line of tests/golden.txt and compares its hashes.
 *
 *     golden golden.txt [threads]     compare, with up to that many threads (8)
 *     golden golden.txt --write       print the file with the hashes found here
 *
 * Each line runs on every instruction set with fused multiply-add, with several numbers of threads, as usual and in
 * flush-to-zero mode, and, where nothing is reduced, item by item.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "golden.h"

/* Numbers too small to be normal become 0, those that are read and those that result. */
static void flush_to_zero(int on)
{
#if defined(__x86_64__)
    _mm_setcsr(on ? 0x9fc0 : 0x1f80);
#elif defined(__aarch64__)
    const uint64_t mode = on ? 1 << 24 : 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)on;
#endif
}

enum { VALUE = 1, GRAD = 2, HESS = 4, STATS = 8 };

/* The hash of an output: the same bytes as last time have the same. */
static uint64_t hash_of(problem *p, int a)
{
    const ce_array *x = &p->job.array[a];

    if (a == CE_VALUE && !x->data) {
        const float single = (float)p->job.value;
        return p->job.real == CE_FLOAT32 ? hash_number(&single, CE_FLOAT32, 0)
                                         : hash_number(&p->job.value, CE_FLOAT64, 0);
    }
    if (memcmp(p->last[a], x->data, p->bytes[a]) == 0)
        return p->last_hash[a];
    memcpy(p->last[a], x->data, p->bytes[a]);
    p->last_hash[a] = 0;
    for (int64_t i = 0; i < count_of(p, a); i++)
        p->last_hash[a] += hash_number(x->data + offset_of(p, a, i), x->type, i);
    return p->last_hash[a];
}

/* Of all statistics together, at the place of the Hessian. */
static uint64_t hash_of_stats(const problem *p)
{
    uint64_t hash = 0;

    for (int a = 0; a < TOLD; a++)
        for (int64_t i = 0; i < p->told_count[a]; i++)
            hash += hash_number(p->told[a] + i * size_of(type_told(p, a)), type_told(p, a), i + ((int64_t)a << 32));
    return hash;
}

/* Of items from `item` on. */
static ce_stats stats_from(const problem *p, int64_t item)
{
    const int64_t size = size_of(p->job.real);
    ce_stats      s = p->stats;

    s.max = (char *)s.max + item * size, s.log_sum = (char *)s.log_sum + item * size;
    s.entropy = (char *)s.entropy + item * size, s.argmax += item;
    if (s.rank)
        s.log_prob = (char *)s.log_prob + item * size, s.rank += item;
    if (s.top > 0)
        s.top_index += item * s.top, s.top_log_prob = (char *)s.top_log_prob + item * s.top * size;
    if (s.extras > 0)
        s.extra += item * s.extras, s.extra_log_prob = (char *)s.extra_log_prob + item * s.extras * size;
    return s;
}

static void run_job(ce_job *job, int threads)
{
    job->threads = threads;
    job->scratch = malloc(ce_scratch_bytes(job) + 1);
    ce_run(job);
    free(job->scratch);
}

/* One item after the other, each a batch of its own where it lies. */
static void run_alone(const problem *p)
{
    const int64_t inner = p->inner, K = p->classes;

    for (int64_t i = 0; i < p->items; i++) {
        const int64_t ones[] = { 1, p->by_class ? K : 1, 1 };
        ce_job        job = p->job;
        job.shape = ones;
        for (int a = 0; a < CE_ARRAYS; a++)
            if (job.array[a].data)
                job.array[a].data += offset_of(p, a, has_classes(p, a) ? i / inner * inner * K + i % inner : i);
        const ce_stats stats = stats_from(p, i);
        if (job.stats)
            job.stats = &stats;
        run_job(&job, 1);
    }
}

/* Runs one job and puts the hashes of what was asked for into hash. */
static void run(problem *p, int what, int threads, int flush, int alone, uint64_t *hash)
{
    static const int outputs[] = { CE_VALUE, CE_GRAD, CE_HESS };

    p->job.valued = what & VALUE;
    for (int o = 0; o < 3; o++) {
        const int a = outputs[o];
        p->job.array[a].data = what & 1 << o ? p->memory[a] : NULL;
        if (p->job.array[a].data)
            memset(p->memory[a], 0x5a, p->bytes[a]);
    }
    for (int a = 0; a < TOLD; a++)
        if (p->told[a])
            memset(p->told[a], 0x5a, (size_t)(p->told_count[a] * size_of(type_told(p, a))));
    flush_to_zero(flush);
    if (alone)
        run_alone(p);
    else
        run_job(&p->job, threads);
    flush_to_zero(0);
    for (int o = 0; o < 3; o++)
        if (what & 1 << o)
            hash[o] = hash_of(p, outputs[o]);
    if (what & STATS)
        hash[2] = hash_of_stats(p);
}

/* What is asked for together, one call after the other; 0: no more. The first two ask for all there is. */
static int call_of(const problem *p, int i)
{
    static const int all[] = { VALUE, GRAD | HESS, VALUE | GRAD, GRAD, 0 };
    static const int both[] = { VALUE | GRAD, VALUE, GRAD, 0 };

    if (p->job.stats)
        return i > 0 ? 0 : *p->outputs ? VALUE | GRAD | STATS : STATS;
    if (strlen(p->outputs) == 3)
        return all[i];
    if (strlen(p->outputs) == 2)
        return both[i];
    return i > 0 ? 0 : *p->outputs == 'v' ? VALUE : GRAD;
}

static int compare(problem *p, const line *l, int threads, int flush, int alone)
{
    static const char *const names[] = { "value", "gradient", "Hessian" };
    int                      wrong = 0;

    for (int i = 0, what; i < (flush || alone ? 2 : 4) && (what = call_of(p, i)); i++) {
        uint64_t hash[3];
        run(p, what, threads, flush, alone, hash);
        for (int o = 0; o < 3; o++) {
            if (!((what & STATS ? what | HESS : what) & 1 << o) || hash[o] == l->hash[o])
                continue;
            printf("line %d: %s %s %s %c %s %s: %s is %016llx (%s, %d threads%s%s)\n", l->number, l->loss, l->dtype,
                   l->shape, l->order, l->reduction, l->options, names[o], (unsigned long long)hash[o],
                   ce_isa_row(ce_isa_current())->name, threads, flush ? ", flushed" : "", alone ? ", alone" : "");
            wrong++;
        }
    }
    return wrong;
}

static int compare_everywhere(problem *p, const line *l, int most)
{
    static const int threads[] = { 1, 2, 3, 8 };
    int              wrong = 0;

    for (int isa = 0; isa < ce_isa_count(); isa++) {
        if (!ce_isa_runs_here(isa) || !ce_isa_row(isa)->fused)
            continue;
        ce_isa_use(isa);
        for (int i = 0; i < 4 && threads[i] <= most; i++) wrong += compare(p, l, threads[i], 0, 0);
        wrong += compare(p, l, most, 1, 0);
        if (strcmp(l->reduction, "none") == 0)
            wrong += compare(p, l, 1, 0, 1);
    }
    return wrong;
}

/* The line as it stands in the file, with the hashes of what it computes. */
static void write_line(problem *p, const line *l)
{
    uint64_t hash[3];
    char     text[1000];
    int n = snprintf(text, sizeof text, LINE_FORMAT, l->loss, l->dtype, l->shape, l->order, l->reduction, l->options);

    for (int i = 0, what; i < 2 && (what = call_of(p, i)); i++) run(p, what, 1, 0, 0, hash);
    for (int o = 0; o < 3; o++) {
        if (strchr(p->outputs, "vgh"[o]) || (o == 2 && p->job.stats))
            n += snprintf(text + n, sizeof text - (size_t)n, " %016llx", (unsigned long long)hash[o]);
        else
            n += snprintf(text + n, sizeof text - (size_t)n, " %-16s", "-");
    }
    while (text[n - 1] == ' ') n--;
    printf("%.*s\n", n, text);
}

static void announce(int most)
{
    ce_threads_set_cpus(most);
#if defined(_OPENMP)
    omp_set_num_threads(most);
#endif
    printf("%s, up to %d threads;", ce_threads_runtime(), ce_threads_team(most));
    for (int isa = 0; isa < ce_isa_count(); isa++)
        if (ce_isa_runs_here(isa))
            printf(" %s%s", ce_isa_row(isa)->name, ce_isa_row(isa)->fused ? "" : " (left out)");
    printf("\n");
}

int main(int argc, char **argv)
{
    const int write = argc > 2 && strcmp(argv[2], "--write") == 0, most = argc > 2 && !write ? atoi(argv[2]) : 8;
    FILE     *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    char      text[1000];
    int       lines = 0, bad_lines = 0;
    line      l = { .number = 0 };

    if (!file || most < 1) {
        fprintf(stderr, "usage: golden golden.txt [threads | --write]\n");
        return 2;
    }
    if (!write)
        announce(most);
    for (int isa = 0; isa < ce_isa_count(); isa++)
        if (ce_isa_runs_here(isa))
            ce_isa_use(isa); /* the best one */
    while (fgets(text, sizeof text, file)) {
        problem p;
        l.number++;
        if (*text == '#' || *text == '\n') {
            if (write)
                printf("%s", text);
            continue;
        }
        if (!parse(&l, text) || !make_problem(&p, &l)) {
            fprintf(stderr, "line %d is no case: %s", l.number, text);
            return 2;
        }
        if (write)
            write_line(&p, &l);
        else
            bad_lines += compare_everywhere(&p, &l, most) > 0;
        lines++;
        free_problem(&p);
    }
    fclose(file);
    if (!write)
        printf("%d lines, %d differ\n", lines, bad_lines);
    return lines == 0 || bad_lines > 0;
}
