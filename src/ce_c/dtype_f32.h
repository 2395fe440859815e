/* dtype_f32.h - float32: what float32 and the half types are computed with. */
#define TYPE        CE_FLOAT32
#define REAL        float
#define LANES       16 /* a virtual vector of 64 bytes */
#define NAME(x)     x##_f32
#define EXP(x)      exp_f32(x, BY_1_F32, EXP_LO_F32)
#define EXP_WIDE    exp_wide_f32                             /* any x up to EXP_HI */
#define EXP_2_64(x) exp_f32(x, BY_2_64_F32, EXP_LO_2_64_F32) /* times 2^64 */
#define EXP_LO_2_64 EXP_LO_2_64_F32
#define EXP_WHOLE   EXP_WHOLE_F32
#define EXP_REST    exp_rest_f32
#define EXP_HIGH    exp_high_f32
#define EXP_LOW     exp_low_f32
#define EXP_SCALED  exp_scaled_f32
#define BY_2_64     BY_2_64_F32
#define MIN_NORMAL  0x1p-126F
#define MAX_FINITE  0x1.fffffep127F
#define EXP_HI      EXP_HI_F32
#define ABS         fabsf
#define ZERO_IF     zero_if_f32
#define FMA         FMA_F32
#define BITS        int32_t /* as wide as REAL */
#define LOG         log_f32
#define LOG1P       log1p_f32
#define WIDEN       widen_f32
#define POW         pow_f32
#define HALVES(X)   X(CE_FLOAT16, f16) X(CE_BFLOAT16, bf16)
#define VIEWED(n)   (n) /* numbers that a view may have to copy: those of 16 bits */
#define LOG1P_UNIT  log1p_unit_f32
#define BY_SIGN     by_sign_f32
