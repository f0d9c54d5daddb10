// A projection of the base whose weights are bytes: y = x·(W·scales)ᵀ + b, a scale for each output.
//
// Where the processor multiplies bytes, each row of x is rounded to 16 bits as a share of its largest
// value, and its high and low bytes are two rows that share a pass over W. Their sums are exact in any
// order, so that no row's result depends on the rows beside it. Elsewhere each panel of W is widened.
#pragma once

#include <cfloat>

#include "linear.h"
#include "product.h"

namespace {

#if defined(__AVX512VNNI__)

// BytesAs<T>: as what W is packed that rows of T are multiplied by.
template <class T>
using BytesAs = int8_t;

// Adds 128 to packed weights, as products of bytes want them.
inline void offset_bytes(int8_t* w, int64_t size) {
    for (int64_t at = 0; at < size; ++at) w[at] = int8_t(w[at] ^ -128);
}

// What is kept of a row x = scale·(256·high + low), high and low being signed bytes: their sums times
// 128, which is what weights that are 128 too large add to a product.
struct Split {
    float scale;
    uint32_t high, low;
};

// The largest number whose high byte is signed when its low one is.
constexpr float MOST = 127 * 256 + 127;

// The largest magnitude in x; NaN if there is one.
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

inline void store_last_bytes(Ints lanes, int8_t* to) {
    const __m128i bytes = _mm512_cvtepi32_epi8((__m512i)lanes);
    std::memcpy(to, &bytes, sizeof bytes);
}

// Splits x into bytes, which go on as zeros to a multiple of LANES. The scale of a row that is not
// finite isn't either.
template <class T>
Split split(const T* x, int64_t width, int8_t* high, int8_t* low) {
    const float exact = magnitude(x, width) / MOST;
    const float scale = exact < FLT_MIN ? FLT_MIN : exact, inverse = 1.0f / scale;
    Words high_sum = {}, sum = {};
    for (int64_t at = 0; at < width; at += LANES) {
        // Added to a number of up to 22 bits, this leaves the nearest integer in the last bits.
        const Lanes rounded = load_within(x, at, width) * inverse + 12582912.0f;
        const Ints whole = (Ints)rounded - 0x4b400000, above = (whole + 128) >> 8;
        store_last_bytes(above, high + at);
        store_last_bytes(whole, low + at);
        high_sum += (Words)above;
        sum += (Words)whole;
    }
    const uint32_t of_high = _mm512_reduce_add_epi32((__m512i)high_sum);
    const uint32_t of_all = _mm512_reduce_add_epi32((__m512i)sum);
    return {scale, of_high * 128, (of_all - of_high * 256) * 128};
}

// Split rows: `bytes` [rows][high, low][stride].
struct SplitRows {
    const Split* splits;
    const int8_t* bytes;
    int64_t stride, rows;
};

// Multiplies all rows by a panel of C columns and hands `take(row, column, lanes)` LANES products at
// a time. Integers are exact while inputs are below 2^31 / 128^2: sums may wrap, but what is left
// without the weights' offset fits 32 bits. As in `linear_panels`, the last of several shares fetches
// the next panel.
template <int C, class Take>
void bytes_panel(const SplitRows& x, const int8_t* panel, int64_t inputs, Take take) {
    const int64_t size = packed_size<int8_t>(WIDTH, inputs);
    for (int64_t first = 0; first < x.rows;) {
        const int share = share_of(x.rows - first, ROWS<int8_t> / 2);
        const bool is_last = first > 0 && first + share == x.rows;
        Words sums[ROWS<int8_t>][C];
        accumulate_rows<int8_t, C>(
            2 * share, x.bytes + 2 * first * x.stride, x.stride, panel, groups<int8_t>(inputs), sums,
            false, panel + (is_last ? size : bytes_ahead(2 * share)));
        for (int row = 0; row < share; ++row) {
            const Split& of = x.splits[first + row];
            for (int c = 0; c < C; ++c) {
                const Ints high = (Ints)(sums[2 * row][c] - of.high);
                const Ints low = (Ints)(sums[2 * row + 1][c] - of.low);
                const Lanes whole = __builtin_convertvector(high, Lanes) * 256.0f +
                    __builtin_convertvector(low, Lanes);
                take(first + row, c * LANES, whole * of.scale);
            }
        }
        first += share;
    }
}

template <class T>
void linear_bytes(
    Loops& loops, const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride) {
    const int64_t stride = padded(inputs, LANES);
    int8_t* const bytes = loops.room<int8_t>(2 * rows * stride);
    Split* const splits = loops.room<Split>(rows);
    loops.add(rows, ROW_GRAIN, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            int8_t* high = bytes + 2 * row * stride;
            splits[row] = split(x + row * x_stride, inputs, high, high + stride);
        }
    });
    const SplitRows split_rows{splits, bytes, stride, rows};
    loops.add(panels(outputs), 1, [=](int64_t begin, int64_t end) {
        for (int64_t output = begin * WIDTH; output < end * WIDTH; output += WIDTH) {
            const int8_t* panel = w + packed_place<int8_t>(output, 0, outputs, inputs);
            const auto take = [&](int64_t row, int64_t column, Lanes lanes) {
                const int64_t at = output + column;
                const Lanes scaled = lanes * load(scales + at);
                store_within(add_bias(scaled, bias, at, outputs), y + row * y_stride, at, outputs);
            };
            if (packed_width(output, outputs) == WIDTH) {
                bytes_panel<COLUMNS>(split_rows, panel, inputs, take);
            } else {
                bytes_panel<1>(split_rows, panel, inputs, take);
            }
        }
    });
}

#else

template <class T>
using BytesAs = T;

inline void offset_bytes(int8_t*, int64_t) {}

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
    Loops& loops, const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride) {
    const int64_t size = packed_size<T>(WIDTH, inputs), all = packed_size<T>(outputs, inputs);
    loops.add(panels(outputs), 1, [=](int64_t begin, int64_t end) {
        static thread_local Room<T> room;
        T* const wide = room.of(size + AHEAD / int64_t(sizeof(T)));
        for (int64_t panel = begin; panel < end; ++panel) {
            const int64_t start = panel * size, last = all - start < size ? all : start + size;
            for (int64_t at = start; at < last; at += LANES) {
                __builtin_prefetch(w + at + AHEAD);
                store(widen_bytes(w + at), wide + at - start);
            }
            linear_panels(
                x, x_stride, rows, static_cast<const T*>(wide), panel, panel + 1, outputs,
                inputs, y, y_stride, [&](Lanes lanes, int64_t at) {
                    return add_bias(lanes * load(scales + at), bias, at, outputs);
                },
                [](int64_t, int64_t) { return Nothing{}; }, static_cast<const T*>(nullptr));
        }
    });
}

#endif

}  // namespace
