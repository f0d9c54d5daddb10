// A projection of the base whose weights are bytes: y = x·(W·scales)ᵀ + b, a scale for each output.
//
// Where the processor multiplies bytes, x is rounded to 16 bits, row by row, and a row's high and low
// bytes are two rows that share a pass over W. These sums are exact, whatever the order, so that no
// row's result depends on which rows are beside it. Elsewhere each panel of W is widened.
#pragma once

#include <cfloat>
#include <vector>

#include "linear.h"
#include "panels.h"
#include "parallel.h"

namespace {

#if defined(__AVX512VNNI__)

// BytesAs<T>: as what W is packed that rows of T are multiplied by.
template <class T>
using BytesAs = int8_t;

// What a row of bytes is multiplied by to give x, and the sums of its high and of its low bytes.
struct Split {
    float scale;
    int32_t high, low;
};

// The largest 16-bit number whose nearest multiple of 256 leaves a high byte in 8 signed bits.
constexpr float MOST = 127 * 256 + 127;

// A float's magnitude of x's largest; NaN if there is one.
template <class T>
float magnitude(const T* x, int64_t width) {
    // The bits of positive floats are in the floats' order, and NaN's are above all.
    Words most = {};
    for (int64_t at = 0; at < width; at += LANES) {
        const Words bits = (Words)load_within(x, at, width) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    const uint32_t top = _mm512_reduce_max_epu32((__m512i)most);
    float largest;
    std::memcpy(&largest, &top, 4);
    return largest;
}

// Splits a row x into scale·(256·high + low), all in signed bytes that go on to a multiple of LANES. A
// row that is not finite has a scale that is not.
template <class T>
Split split(const T* x, int64_t width, int8_t* high, int8_t* low) {
    const float exact = magnitude(x, width) / MOST;
    const float scale = exact < FLT_MIN ? FLT_MIN : exact, inverse = 1.0f / scale;
    Ints high_sum = {}, low_sum = {};
    for (int64_t at = 0; at < width; at += LANES) {
        // Added to a number of up to 22 bits, this leaves the nearest integer in the last bits.
        const Lanes rounded = load_within(x, at, width) * inverse + 12582912.0f;
        const Ints whole = (Ints)rounded - 0x4b400000;
        const Ints above = (whole + 128) >> 8, below = whole - (above << 8);
        _mm_storeu_si128((__m128i*)(high + at), _mm512_cvtepi32_epi8((__m512i)above));
        _mm_storeu_si128((__m128i*)(low + at), _mm512_cvtepi32_epi8((__m512i)below));
        high_sum += above;
        low_sum += below;
    }
    return {
        scale, _mm512_reduce_add_epi32((__m512i)high_sum), _mm512_reduce_add_epi32((__m512i)low_sum)};
}

// The product with weights as they are, from `sums` with weights that are 128 larger. It is exact
// below 2^31 / 128^2 inputs, since it is within 32 bits then and everything before it wraps.
inline Lanes signed_sums(Words sums, int32_t of_row) {
    return __builtin_convertvector((Ints)(sums - uint32_t(of_row) * 128), Lanes);
}

template <class T>
void linear_bytes(
    const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride) {
    const int64_t stride = padded(inputs, LANES), size = packed_size<int8_t>(WIDTH, inputs);
    static thread_local std::vector<int8_t> bytes;
    bytes.resize(2 * rows * stride);
    int8_t* planes = bytes.data();
    std::vector<Split> splits(rows);
    in_parallel(rows, ROW_GRAIN, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            int8_t* high = planes + 2 * row * stride;
            splits[row] = split(x + row * x_stride, inputs, high, high + stride);
        }
    });
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        // A row's low bytes come after its high ones, which are kept so long.
        Lanes high[COLUMNS];
        for (int64_t panel = begin; panel < end; ++panel)
            linear_panel(
                static_cast<const int8_t*>(planes), stride, 2 * rows, w + panel * size, panel,
                outputs, inputs, [&](int64_t row, int64_t at, Words sums) {
                    const Split& of = splits[row / 2];
                    Lanes& kept = high[at / LANES % COLUMNS];
                    if (row % 2 == 0) {
                        kept = signed_sums(sums, of.high) * 256.0f;
                        return;
                    }
                    const Lanes lanes = kept + signed_sums(sums, of.low);
                    const Lanes scaled = lanes * (load(scales + at) * of.scale);
                    T* to = y + row / 2 * y_stride;
                    store_within(add_bias(scaled, bias, at, outputs), to, at, outputs);
                });
    });
}

#else

template <class T>
using BytesAs = T;

inline Lanes widen_bytes(const int8_t* from) {
#if defined(__AVX512F__)
    // Compilers do not find this by themselves.
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return (Lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
    typedef int8_t Bytes __attribute__((vector_size(LANES)));
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(__builtin_convertvector(bytes, Ints), Lanes);
#endif
}

// Each panel is widened once, into the processor's cache, for all rows.
template <class T>
void linear_bytes(
    const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride) {
    const int64_t size = packed_size<T>(WIDTH, inputs), all = packed_size<T>(outputs, inputs);
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        std::vector<T> wide(size + AHEAD / sizeof(T));
        for (int64_t panel = begin; panel < end; ++panel) {
            const int64_t start = panel * size, last = all - start < size ? all : start + size;
            for (int64_t at = start; at < last; at += LANES) {
                __builtin_prefetch(w + at + AHEAD);
                store(widen_bytes(w + at), wide.data() + at - start);
            }
            linear_panel(
                x, x_stride, rows, static_cast<const T*>(wide.data()), panel, outputs, inputs,
                [&](int64_t row, int64_t at, Lanes lanes) {
                    const Lanes scaled = lanes * load(scales + at);
                    store_within(
                        add_bias(scaled, bias, at, outputs), y + row * y_stride, at, outputs);
                });
        }
    });
}

#endif

}  // namespace
