// A projection of the base: y = x·Wᵀ + b over a packed W, which is read once for all rows.
#pragma once

#include <algorithm>

#include "loops.h"
#include "product.h"

namespace {

// Bytes of neighbouring panels that stay in the processor's cache while all rows pass.
constexpr int64_t KEPT = 1 << 18;

// Multiplies all rows by the panels [first, last) of W, of which `from` is the first; `finish(lanes,
// output)` is what becomes y, and `more(row, count)` what adds to the sums of a share of the rows.
// The last of several shares finds the panels in the processor's cache, so that `next` can be fetched
// meanwhile.
template <class T, class Finish, class More>
void linear_panels(
    const T* x, int64_t x_stride, int64_t rows, const T* from, int64_t first, int64_t last,
    int64_t outputs, int64_t inputs, T* y, int64_t y_stride, Finish finish, More more,
    const T* next) {
    // As `multiply` counts panels from W's start.
    const T* w = from - first * packed_size<T>(WIDTH, inputs);
    for (int64_t row = 0; row < rows;) {
        const int share = share_of(rows - row, ROWS<T>);
        T* to = y + row * y_stride;
        const bool only = share == rows, ends = row + share == rows;
        multiply(
            x + row * x_stride, x_stride, share, w, outputs, inputs, first, last,
            [&](int at_row, int64_t at, Lanes lanes) {
                store_within(finish(lanes, at), to + at_row * y_stride, at, outputs);
            },
            only ? w + bytes_ahead(share) / int64_t(sizeof(T)) : ends ? next : nullptr,
            more(row, share));
        row += share;
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
    Loops& loops, const T* x, int64_t x_stride, int64_t rows, const T* w, const T* bias, int64_t outputs,
    int64_t inputs, T* y, int64_t y_stride, More more) {
    const int64_t size = packed_size<T>(WIDTH, inputs);
    const int64_t some = std::max<int64_t>(1, KEPT / int64_t(size * sizeof(T)));
    loops.add(panels(outputs), 1, [=](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; panel += some)
            linear_panels(
                x, x_stride, rows, w + panel * size, panel, std::min(panel + some, end), outputs,
                inputs, y, y_stride,
                [=](Lanes lanes, int64_t at) { return add_bias(lanes, bias, at, outputs); }, more,
                w + some * size);
    });
}

}  // namespace
