/* dtype_f64.h - float64: what float64 is computed with. */
#define TYPE        CE_FLOAT64
#define REAL        double
#define LANES       8 /* a virtual vector of 64 bytes */
#define NAME(x)     x##_f64
#define EXP(x)      exp_f64(x, BY_1_F64, EXP_LO_F64)
#define EXP_WIDE    exp_wide_f64                             /* any x up to EXP_HI */
#define EXP_2_64(x) exp_f64(x, BY_2_64_F64, EXP_LO_2_64_F64) /* times 2^64 */
#define EXP_LO_2_64 EXP_LO_2_64_F64
#define EXP_WHOLE   EXP_WHOLE_F64
#define EXP_REST    exp_rest_f64
#define EXP_HIGH    exp_high_f64
#define EXP_LOW     exp_low_f64
#define EXP_SCALED  exp_scaled_f64
#define BY_2_64     BY_2_64_F64
#define MIN_NORMAL  0x1p-1022
#define MAX_FINITE  0x1.fffffffffffffp1023
#define EXP_HI      EXP_HI_F64
#define ABS         fabs
#define ZERO_IF     zero_if_f64
#define FMA         FMA_F64
#define BITS        int64_t /* as wide as REAL */
#define LOG         log_f64
#define LOG1P       log1p_f64
#define WIDEN       (double)
#define POW         pow_f64
#define HALVES(X)
#define VIEWED(n)  1 /* no view has to copy */
#define LOG1P_UNIT log1p_f64
#define BY_SIGN    by_sign_f64
