// Non-linearities on LANES values at a time.
#pragma once

#include "lanes.h"

namespace {

enum Activation { NONE, RELU, GELU, GELU_TANH, SILU, TANH, LEAKY_RELU };

// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a polynomial (as in Cephes' expf): within two
// units in the last place, 0 far below zero and infinity far above.
inline Lanes exponential(Lanes x) {
#if defined(__AVX512F__)
    const __mmask16 is_normal = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.3f), _CMP_NLT_UQ);
    const Lanes below = x > 110.0f ? spread(110.0f) : x;
    Lanes inside = (Lanes)_mm512_maskz_mov_ps(is_normal, (__m512)below);
    const Lanes whole = (Lanes)_mm512_roundscale_ps((__m512)(inside * 1.44269504f), 8);
#else
    const Lanes low = spread(-87.3f), high = spread(88.7f);
    const auto is_low = x < low, is_high = x > high;
    Lanes inside = is_low ? low : is_high ? high : x;
    const Lanes scaled = inside * 1.44269504f + 12582912.0f;  // rounds to an integer
    const Lanes whole = scaled - 12582912.0f;
#endif
    inside = inside - whole * 0.693359375f + whole * 2.12194440e-4f;
    Lanes y = spread(1.9875691500e-4f);
    y = y * inside + 1.3981999507e-3f;
    y = y * inside + 8.3334519073e-3f;
    y = y * inside + 4.1665795894e-2f;
    y = y * inside + 1.6666665459e-1f;
    y = y * inside + 5.0000001201e-1f;
    y = y * inside * inside + inside + 1.0f;
#if defined(__AVX512F__)
    return (Lanes)_mm512_maskz_scalef_ps(is_normal, (__m512)y, (__m512)whole);
#else
    const Ints exponent = (__builtin_convertvector(whole, Ints) + 127) << 23;
    y *= (Lanes)exponent;
    y = is_low ? Lanes{} : y;
    return is_high ? spread(INFINITY) : x != x ? x : y;
#endif
}

// 1 / x for x of at least 1.
inline Lanes inverse(Lanes x) {
#if defined(__AVX512F__)
    // Two thirds of the time of a division. The second step would make NaN of infinity.
    const __mmask16 within = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(1e38f), _CMP_NGT_UQ);
    const Lanes near = (Lanes)_mm512_rcp14_ps((__m512)x);
    return (Lanes)_mm512_maskz_mul_ps(within, (__m512)near, (__m512)(2.0f - x * near));
#else
    return 1.0f / x;
#endif
}

inline Lanes sigmoid(Lanes x) { return inverse(1.0f + exponential(-x)); }

inline Lanes hyperbolic_tangent(Lanes x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// The share of a normal distribution that is below x, within 1e-7 (Abramowitz and Stegun, 7.1.26).
inline Lanes normal_share(Lanes x) {
    const Lanes distance = x < 0 ? -x : x, t = inverse(1.0f + 0.2316418882f * distance);
    Lanes beyond = spread(0.5307027145f);
    beyond = beyond * t - 0.7265760135f;
    beyond = beyond * t + 0.7107068705f;
    beyond = beyond * t - 0.1422483680f;
    beyond = beyond * t + 0.1274147960f;
    beyond *= t * exponential(-0.5f * x * x);
    return x < 0 ? beyond : 1.0f - beyond;
}

inline Lanes activate(Lanes x, int activation) {
    switch (activation) {
        case RELU: return x > 0 ? x : x != x ? x : Lanes{};
        case GELU: return x * normal_share(x);
        case GELU_TANH:
            return 0.5f * x * (1.0f + hyperbolic_tangent(0.79788456f * (x + 0.044715f * x * x * x)));
        case SILU: return x * sigmoid(x);
        case TANH:
            for (int lane = 0; lane < LANES; ++lane) x[lane] = std::tanh(x[lane]);
            return x;
        case LEAKY_RELU: return x > 0 ? x : 0.01f * x;
        default: return x;
    }
}

}  // namespace
