// Panels: how matrices are stored for the one product that every kernel here is made of.
//
// A matrix W [outputs, inputs] becomes panels of WIDTH outputs, the last one perhaps of LANES. A
// panel holds its outputs side by side for each group of inputs that one instruction takes: one of
// float32, a pair of bfloat16, four bytes:
//
//     [panel][inputs / GROUP][width][GROUP], zero beyond the matrix's edges
//
// so that a product broadcasts a group of x, reads W once and in order, and never sums across lanes.
// This file is compiled once for each instruction set; nothing in it may have external linkage.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

// LANES fill a register; ROWS of x share one pass over a panel: as many as registers hold sums for.
#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 12;
#elif defined(__AVX__)
constexpr int LANES = 8, ROWS = 6;
#else
constexpr int LANES = 4, ROWS = 6;
#endif
constexpr int COLUMNS = 2;
constexpr int WIDTH = LANES * COLUMNS;
// Bytes that a stream of weights is fetched ahead of its use. For few rows a processor looks far ahead
// by itself, and is only disturbed by more.
constexpr int64_t AHEAD = 6144, AHEAD_OF_FEW = 2048;
constexpr int FEW = 3;

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

inline Lanes spread(float value) { return value - Lanes{}; }

inline float sum(Lanes lanes) {
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += lanes[lane];
    return total;
}

inline float largest(Lanes lanes) {
    float most = lanes[0];
    for (int lane = 1; lane < LANES; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
    return most;
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
// The instruction takes unsigned bytes times signed ones, so weights are read with 128 added: of the
// sums, 128·Σx is to be taken off.
template <>
struct Arithmetic<int8_t> {
    static constexpr int GROUP = 4;
    using Sums = Words;
    using Weights = __m512i;
    using Spread = __m512i;
    static Weights weights(const int8_t* from) {
        return _mm512_xor_si512(_mm512_loadu_si512(from), _mm512_set1_epi8(-128));
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

template <class T>
constexpr int64_t groups(int64_t inputs) {
    return (inputs + Arithmetic<T>::GROUP - 1) / Arithmetic<T>::GROUP;
}

constexpr int64_t padded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

// How many numbers a packed matrix takes.
template <class T>
constexpr int64_t packed_size(int64_t outputs, int64_t inputs) {
    return padded(outputs, LANES) * groups<T>(inputs) * Arithmetic<T>::GROUP;
}

// The width of the panel that an output is in.
inline int64_t packed_width(int64_t output, int64_t outputs) {
    const int64_t rest = padded(outputs, LANES) - output / WIDTH * WIDTH;
    return rest < WIDTH ? rest : WIDTH;
}

// The place of W[output, input] in a packed matrix of `outputs` rows.
template <class T>
inline int64_t packed_place(int64_t output, int64_t input, int64_t outputs, int64_t inputs) {
    constexpr int GROUP = Arithmetic<T>::GROUP;
    const int64_t first = output / WIDTH * WIDTH, width = packed_width(output, outputs);
    const int64_t start = first * groups<T>(inputs) * GROUP;
    return start + ((input / GROUP) * width + (output - first)) * GROUP + input % GROUP;
}

// sums[M][C] += x [M, count groups] · one panel of C columns. Few rows leave the sums too few to
// hide an instruction's latency, so these are spread over CHAINS partial sums. Memory at `ahead` is
// fetched meanwhile, as much as the panel holds. Never inlined: registers are for the sums alone,
// which stay in them only where loops over them are unrolled.
template <class T, int M, int C>
__attribute__((noinline, noclone)) void accumulate(
    const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], const T* ahead) {
    using A = Arithmetic<T>;
    constexpr int CHAINS = M * C >= 8 ? 1 : M * C >= 4 ? 2 : 4;
    constexpr int64_t STEP = C * LANES * A::GROUP;
    typename A::Sums total[CHAINS][M][C] = {};
    const auto add = [&](int64_t group, int chain) {
        typename A::Weights weights[C];
        for (int c = 0; c < C; ++c)
            weights[c] = A::weights(panel + group * STEP + c * LANES * A::GROUP);
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
            const auto spread = A::broadcast(x + m * stride + group * A::GROUP);
            for (int c = 0; c < C; ++c)
                total[chain][m][c] = A::add(total[chain][m][c], weights[c], spread);
        }
    };
    int64_t group = 0;
    for (; group + CHAINS <= count; group += CHAINS) {
#pragma GCC unroll 4
        for (int chain = 0; chain < CHAINS; ++chain) {
            for (int64_t at = 0; at < STEP; at += 64 / int64_t(sizeof(T)))
                __builtin_prefetch(ahead + (group + chain) * STEP + at, 0, 2);
            add(group + chain, chain);
        }
    }
    for (; group < count; ++group) add(group, 0);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m)
        for (int c = 0; c < C; ++c)
            for (int chain = 0; chain < CHAINS; ++chain) sums[m][c] += total[chain][m][c];
}

// Calls accumulate for a number of rows that is only known now, at most ROWS.
template <class T, int C, int M = ROWS>
inline void accumulate_rows(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], const T* ahead) {
    if constexpr (M == 1) {
        accumulate<T, 1, C>(x, stride, panel, count, sums, ahead);
    } else if (rows == M) {
        accumulate<T, M, C>(x, stride, panel, count, sums, ahead);
    } else {
        accumulate_rows<T, C, M - 1>(rows, x, stride, panel, count, sums, ahead);
    }
}

constexpr int64_t bytes_ahead(int rows) { return rows > FEW ? AHEAD : AHEAD_OF_FEW; }

struct Nothing {
    template <class Sums>
    void operator()(int64_t, Sums&) const {}
};

// For x [rows, inputs] and a packed W [outputs, inputs], hands `take(row, output, sums)` LANES
// outputs of x·Wᵀ at a time; the last ones of a matrix may be padding. `next` is the matrix that
// will be read next, of the same size or so; without one W itself is fetched a little ahead.
// `more(panel, sums)` may add to a panel's sums before they are taken.
template <class T, class Take, class More = Nothing>
inline void multiply(
    const T* x, int64_t stride, int rows, const T* w, int64_t outputs, int64_t inputs,
    int64_t first_panel, int64_t last_panel, Take take, const T* next = nullptr, More more = {}) {
    const int64_t count = groups<T>(inputs), all = padded(outputs, LANES);
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        const int64_t output = panel * WIDTH;
        const int64_t start = output * count * Arithmetic<T>::GROUP;
        const T* from = w + start;
        const T* ahead = next ? next + start : from + bytes_ahead(rows) / int64_t(sizeof(T));
        if (all - output >= WIDTH) {
            typename Arithmetic<T>::Sums sums[ROWS][COLUMNS] = {};
            accumulate_rows<T, COLUMNS>(rows, x, stride, from, count, sums, ahead);
            more(panel, sums);
            for (int row = 0; row < rows; ++row)
                for (int c = 0; c < COLUMNS; ++c) take(row, output + c * LANES, sums[row][c]);
        } else {
            typename Arithmetic<T>::Sums sums[ROWS][1] = {};
            accumulate_rows<T, 1>(rows, x, stride, from, count, sums, ahead);
            more(panel, sums);
            for (int row = 0; row < rows; ++row) take(row, output, sums[row][0]);
        }
    }
}

constexpr int64_t panels(int64_t outputs) { return (outputs + WIDTH - 1) / WIDTH; }

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

// The size of the next tile when `left` rows are split evenly into tiles of at most `most`.
inline int tile_of(int64_t left, int64_t most = ROWS) {
    const int64_t tiles = (left + most - 1) / most;
    return int((left + tiles - 1) / tiles);
}

}  // namespace
