// Registers' worth of numbers, and sums of products of them. Compiled once for each instruction set:
// but for the library's own interface nothing may have external linkage.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

// LANES fill a register.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));

struct BFloat16 {
    uint16_t bits;
};

inline float widen(float value) { return value; }

inline float widen(BFloat16 value) {
    const uint32_t word = uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &word, 4);
    return wide;
}

inline void narrow(float value, float* to) { *to = value; }

// Round to nearest, ties to even, as PyTorch does.
inline void narrow(float value, BFloat16* to) {
    uint32_t word;
    std::memcpy(&word, &value, 4);
    to->bits = value != value ? 0x7fc0 : uint16_t((word + 0x7fff + ((word >> 16) & 1)) >> 16);
}

inline Lanes load(const float* from) {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

inline Lanes load(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
#if defined(__AVX512F__)
    // Compilers would do it in halves.
    const Words words = (Words)_mm512_cvtepu16_epi32((__m256i)halves);
#else
    const Words words = __builtin_convertvector(halves, Words);
#endif
    return (Lanes)(words << 16);
}

inline void store(Lanes lanes, float* to) { std::memcpy(to, &lanes, sizeof lanes); }

inline void store(Lanes lanes, BFloat16* to) {
#if defined(__AVX512BF16__)
    const __m256bh halves = _mm512_cvtneps_pbh((__m512)lanes);
    std::memcpy(to, &halves, sizeof halves);
#else
    const Words words = (Words)lanes, rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
    const Halves halves = __builtin_convertvector(lanes != lanes ? Words{} + 0x7fc0 : rounded, Halves);
    std::memcpy(to, &halves, sizeof halves);
#endif
}

// Fetches the memory of `count` numbers into the processor's second cache.
template <class T>
inline void fetch(const T* from, int64_t count) {
    for (int64_t at = 0; at < count; at += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + at, 0, 2);
}

inline Lanes spread(float value) { return value - Lanes{}; }

inline float sum(Lanes lanes) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)lanes);
#else
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += lanes[lane];
    return total;
#endif
}

inline float largest(Lanes lanes) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)lanes);
#else
    float most = lanes[0];
    for (int lane = 1; lane < LANES; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
    return most;
#endif
}

// LANES numbers of a row, zero beyond its end.
template <class T>
inline Lanes load_within(const T* row, int64_t at, int64_t end) {
    if (at + LANES <= end) return load(row + at);
    Lanes lanes = {};
    for (int lane = 0; at + lane < end; ++lane) lanes[lane] = widen(row[at + lane]);
    return lanes;
}

// The first of `lanes` that fall inside a row's end.
template <class T>
inline void store_within(Lanes lanes, T* row, int64_t at, int64_t end) {
    if (at + LANES <= end) {
        store(lanes, row + at);
    } else {
        for (int lane = 0; at + lane < end; ++lane) narrow(lanes[lane], row + at + lane);
    }
}

// Arithmetic<T>: a group of weights, a broadcast group of x, and sums of products of the two.
template <class T>
struct Arithmetic;

template <>
struct Arithmetic<float> {
    static constexpr int GROUP = 1;
    using Sums = Lanes;
    using Weights = Lanes;
    using Spread = float;
    static Weights weights(const float* from) { return load(from); }
    static Spread broadcast(const float* from) { return *from; }
    static Lanes add(Lanes total, Weights weights, Spread x) { return total + weights * x; }
};

template <>
struct Arithmetic<BFloat16> {
    static constexpr int GROUP = 2;
    using Sums = Lanes;
#if defined(__AVX512BF16__)
    using Weights = __m512bh;
    using Spread = __m512bh;
    static Weights weights(const BFloat16* from) { return (__m512bh)_mm512_loadu_si512(from); }
    static Spread broadcast(const BFloat16* from) {
        int32_t pair;
        std::memcpy(&pair, from, 4);
        return (__m512bh)_mm512_set1_epi32(pair);
    }
    static Lanes add(Lanes total, Weights weights, Spread x) {
        return (Lanes)_mm512_dpbf16_ps((__m512)total, weights, x);
    }
#else
    struct Weights {
        Lanes even, odd;
    };
    struct Spread {
        float even, odd;
    };
    static Weights weights(const BFloat16* from) {
        Words words;
        std::memcpy(&words, from, sizeof words);
        return {(Lanes)(words << 16), (Lanes)(words & 0xffff0000u)};
    }
    static Spread broadcast(const BFloat16* from) { return {widen(from[0]), widen(from[1])}; }
    static Lanes add(Lanes total, Weights weights, Spread x) {
        return total + weights.even * x.even + weights.odd * x.odd;
    }
#endif
};

#if defined(__AVX512VNNI__)
// The instruction takes unsigned bytes times signed ones, so weights are kept with 128 added: of the
// sums, 128·Σx is to be taken off.
template <>
struct Arithmetic<int8_t> {
    static constexpr int GROUP = 4;
    using Sums = Words;
    using Weights = __m512i;
    using Spread = __m512i;
    static Weights weights(const int8_t* from) {
        return _mm512_loadu_si512(from);
    }
    static Spread broadcast(const int8_t* from) {
        int32_t four;
        std::memcpy(&four, from, 4);
        return _mm512_set1_epi32(four);
    }
    static Sums add(Sums total, Weights weights, Spread x) {
        return (Sums)_mm512_dpbusd_epi32((__m512i)total, weights, x);
    }
};
#endif

}  // namespace
