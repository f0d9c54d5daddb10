// A projection of the base: y = x·Wᵀ + b over a packed W, which is read once for all rows.
#pragma once

#include "product.h"
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
    const int64_t size = packed_size<T>(WIDTH, inputs);
    const T* w = from - panel * size;
    for (int64_t row = 0; row < rows;) {
        const int tile = share_of(rows - row, ROWS<T>);
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
    const int64_t size = packed_size<T>(WIDTH, inputs);
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel)
            linear_panel(
                x, x_stride, rows, w + panel * size, panel, outputs, inputs, y, y_stride,
                [&](Lanes lanes, int64_t at) { return add_bias(lanes, bias, at, outputs); }, more);
    });
}

}  // namespace
