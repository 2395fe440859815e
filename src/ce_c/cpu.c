/* cpu.c - which instruction sets this machine, and its operating system, can run; the mode of its arithmetic. */
#include "isa.h"

#include <float.h>
#include <stddef.h>

/* Compiler options that change results, or the layout of structs that others made; CMakeLists.txt takes back all that
 * it knows. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||                               \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) ||                   \
    defined(__ROUNDING_MATH__)
#error "ce cannot be built with options like -ffast-math: take them out of CFLAGS"
#endif
_Static_assert(FLT_EVAL_METHOD == 0 && sizeof 1.0 == sizeof(double), "CFLAGS change what float or double is");
typedef struct {
    char   c;
    double d;
} padded;
_Static_assert(offsetof(padded, d) == sizeof(double), "CFLAGS change how structs are laid out");

#if defined(__x86_64__) || defined(_M_X64)

#include <cpuid.h>

static unsigned long long enabled_state(void) /* register state that the operating system saves */
{
    unsigned low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); /* xgetbv */
    return (unsigned long long)high << 32 | low;
}

#define ALL(word, mask) (((word) & (mask)) == (mask))

/* The feature bits are those of the x86-64 psABI's micro-architecture levels 2 to 4. */
static int has_level_2(void)
{
    const unsigned sse = 1u | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20, popcnt = 1u << 23; /* 3, s3, cx16, 4.1, 4.2 */
    unsigned       a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && ALL(c, sse | popcnt) && __get_cpuid(0x80000001, &a, &b, &c, &d) &&
           ALL(c, 1u); /* lahf */
}

static int has_level_3(void)
{
    const unsigned fma = 1u << 12, movbe = 1u << 22, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    const unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8, lzcnt = 1u << 5;
    unsigned       a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && ALL(c, fma | movbe | osxsave | avx | f16c) &&
           ALL(enabled_state(), 0x6) && /* xmm, ymm */
           __get_cpuid(0x80000001, &a, &b, &c, &d) && ALL(c, lzcnt) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           ALL(b, bmi1 | avx2 | bmi2);
}

static int has_level_4(void)
{
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* f, dq, cd, bw, vl */
    unsigned       a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && ALL(b, avx512) && ALL(enabled_state(), 0xe6);
}

int ce_cpu_has_level(int level)
{
    return level <= 4 && (level < 2 || has_level_2()) && (level < 3 || has_level_3()) && (level < 4 || has_level_4());
}

#else

int ce_cpu_has_level(int level)
{
    return level <= 1;
}

#endif

/* The control word of a thread's arithmetic: rounding, subnormal numbers, traps. */
#if defined(__x86_64__) || defined(_M_X64)

#include <xmmintrin.h>

enum { STANDARD = 0x1f80, FLAGS = 0x3f }; /* what has happened counts not */

static uint64_t control(void)
{
    return _mm_getcsr() & ~(unsigned)FLAGS;
}

static void set_control(uint64_t word)
{
    _mm_setcsr((unsigned)word);
}

#elif defined(__aarch64__)

enum { STANDARD = 0 };

static uint64_t control(void)
{
    uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}

static void set_control(uint64_t word)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(word));
}

#else

enum { STANDARD = 0 };

static uint64_t control(void)
{
    return STANDARD;
}

static void set_control(uint64_t word)
{
    (void)word;
}

#endif

uint64_t ce_cpu_standard_mode(void)
{
    const uint64_t before = control();

    if (before != STANDARD)
        set_control(STANDARD);
    return before;
}

void ce_cpu_restore_mode(uint64_t before)
{
    if (before != STANDARD)
        set_control(before);
}
