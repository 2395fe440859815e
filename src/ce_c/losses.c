/* losses.c - the rows of losses.def and dtypes.def as tables, for whoever reads them at run time. */
#include <string.h>

#define CE_REAL 32 /* the conversions of 16-bit numbers */
#include "ce.h"

#define LINK_ROW(name, function, emits, first, second, outputs, mean, options)                                         \
    { #name, 1, first, second, outputs, mean, options },
#define TERM_ROW(name, function, first, second, outputs, mean, options)                                                \
    { #name, 1, first, second, outputs, mean, options },
#define POINT_ROW(name, function, first, second, outputs, mean, options)                                               \
    { #name, 0, first, second, outputs, mean, options },
static const ce_loss losses[] = { CE_LOSSES(LINK_ROW, TERM_ROW, POINT_ROW) };

#define NUMBER_ROW(bit, keyword, absent, least, most, rule)                                                            \
    { #keyword, offsetof(ce_job, keyword), absent, least, most, rule },
#define OTHER_ROW(bit, keyword, in_use) { #keyword, 0, 0, 0, 0, NULL },
static const ce_option options[] = { CE_OPTIONS(NUMBER_ROW, OTHER_ROW) };

#define REAL_ROW(type, c, name, digits, least, most, format, number)                                                   \
    { #name, sizeof(c), digits, least, most, format, number },
#define HALF_ROW(type, name, from, to, read, write, digits, least, most, format, number)                               \
    { #name, 2, digits, least, most, format, number },
#define INTEGER_ROW(type, c, name) { #name, sizeof(c), 0, 0, 0, ' ', -1 },
static const ce_dtype dtypes[] = { CE_DTYPES(REAL_ROW, HALF_ROW, INTEGER_ROW) };

int ce_loss_count(void)
{
    return sizeof losses / sizeof *losses;
}

const ce_loss *ce_loss_row(int loss)
{
    return &losses[loss];
}

int ce_find_loss(const char *name)
{
    for (int i = 0; i < ce_loss_count(); i++)
        if (strcmp(losses[i].name, name) == 0)
            return i;
    return -1;
}

const ce_option *ce_option_row(int place)
{
    return &options[place];
}

const ce_dtype *ce_dtype_row(ce_type type)
{
    return &dtypes[type];
}

void ce_start(ce_job *job, int loss)
{
    memset(job, 0, sizeof *job);
    job->loss = loss;
    job->class_axis = -1;
    job->ignore_index = CE_IGNORED;
    job->grad_output = 1;
#define SET_ABSENT(bit, keyword, absent, ...) job->keyword = absent;
#define NOTHING(...)
    CE_OPTIONS(SET_ABSENT, NOTHING)
}

/* The bits of the options that are not as ce_start left them, among those that the loss has. */
unsigned ce_options_in_use(const ce_job *job)
{
    unsigned in_use = 0;

#define ADD_NUMBER(bit, keyword, absent, ...) in_use |= job->keyword != (absent) ? bit : 0;
#define ADD_OTHER(bit, keyword, is_in_use)    in_use |= (is_in_use) ? bit : 0;
    CE_OPTIONS(ADD_NUMBER, ADD_OTHER)
    return in_use & losses[job->loss].options;
}

void ce_widen(ce_type half, const void *from, float *to, int64_t n)
{
    switch (half) {
#define WIDEN_HALF(type, name, from_half, to_half, read, ...)                                                          \
    case type: read(to, from, n); return;
        CE_DTYPES(NOTHING, WIDEN_HALF, NOTHING)
    default: return;
    }
}
