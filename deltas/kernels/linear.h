// A projection of the base: y = x·Wᵀ + b over a packed W, which is read once for all rows.
#pragma once

#include <vector>

#include "panels.h"
#include "parallel.h"

namespace {

// Multiplies all rows by one panel, `from`, of W; `finish(lanes, output)` is what becomes y, and
// `more(row, count)` what adds to the sums of a tile's rows. The last rows find the panel in the
// processor's cache, so that the next one can be fetched meanwhile.
template <class T, class Finish, class More>
void linear_panel(
    const T* x, int64_t x_stride, int64_t rows, const T* from, int64_t panel, int64_t outputs,
    int64_t inputs, T* y, int64_t y_stride, Finish finish, More more) {
    // As `multiply` counts panels from W's start.
    const int64_t size = WIDTH * groups<T>(inputs) * Arithmetic<T>::GROUP;
    const T* w = from - panel * size;
    for (int64_t row = 0; row < rows;) {
        const int tile = tile_of(rows - row);
        T* to = y + row * y_stride;
        multiply(
            x + row * x_stride, x_stride, tile, w, outputs, inputs, panel, panel + 1,
            [&](int at_row, int64_t at, Lanes lanes) {
                store_within(finish(lanes, at), to + at_row * y_stride, at, outputs);
            },
            row > 0 && row + tile == rows ? w + size : nullptr, more(row, tile));
        row += tile;
    }
}

template <class T>
Lanes add_bias(Lanes lanes, const T* bias, int64_t at, int64_t outputs) {
    if (bias == nullptr) return lanes;
    if (at + LANES <= outputs) return lanes + load(bias + at);
    for (int64_t lane = 0; at + lane < outputs; ++lane) lanes[lane] += widen(bias[at + lane]);
    return lanes;
}

template <class T, class More>
void linear(
    const T* x, int64_t x_stride, int64_t rows, const T* w, const T* bias, int64_t outputs,
    int64_t inputs, T* y, int64_t y_stride, More more) {
    const int64_t size = WIDTH * groups<T>(inputs) * Arithmetic<T>::GROUP;
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel)
            linear_panel(
                x, x_stride, rows, w + panel * size, panel, outputs, inputs, y, y_stride,
                [&](Lanes lanes, int64_t at) { return add_bias(lanes, bias, at, outputs); }, more);
    });
}

inline Lanes widen_bytes(const int8_t* from) {
#if defined(__AVX512F__)
    // Compilers do not find this by themselves.
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return (Lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
    typedef int8_t Bytes __attribute__((vector_size(LANES)));
    typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(__builtin_convertvector(bytes, Ints), Lanes);
#endif
}

// The same over weights of one byte, W = w·scales by output; `scales` [outputs padded to LANES].
// Each panel is widened once, into the processor's cache, for all rows.
template <class T>
void linear_bytes(
    const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride) {
    const int64_t size = WIDTH * groups<T>(inputs) * Arithmetic<T>::GROUP;
    const int64_t all = padded(outputs, LANES) * groups<T>(inputs) * Arithmetic<T>::GROUP;
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        std::vector<T> wide(size + AHEAD / sizeof(T));
        for (int64_t panel = begin; panel < end; ++panel) {
            const int64_t start = panel * size, last = all - start < size ? all : start + size;
            for (int64_t at = start; at < last; at += LANES) {
                __builtin_prefetch(w + at + AHEAD);
                store(widen_bytes(w + at), wide.data() + at - start);
            }
            linear_panel(
                x, x_stride, rows, static_cast<const T*>(wide.data()), panel, outputs, inputs, y,
                y_stride, [&](Lanes lanes, int64_t at) {
                    return add_bias(lanes * load(scales + at), bias, at, outputs);
                },
                [](int64_t, int64_t) { return Nothing{}; });
        }
    });
}

}  // namespace
