// A projection of the base: y = x·Wᵀ + b over a packed W, which is read once for all rows.
#pragma once

#include "panels.h"
#include "parallel.h"

namespace {

template <class T>
void linear(
    const T* x, int64_t x_stride, int64_t rows, const T* w, const T* bias, int64_t outputs,
    int64_t inputs, T* y, int64_t y_stride) {
    in_parallel(panels(outputs), 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel)
            for (int64_t row = 0; row < rows;) {
                const int tile = tile_of(rows - row);
                T* to = y + row * y_stride;
                multiply(
                    x + row * x_stride, x_stride, tile, w, outputs, inputs, panel, panel + 1,
                    [&](int at_row, int64_t at, Lanes lanes) {
                        for (int64_t lane = 0; bias && lane < LANES && at + lane < outputs; ++lane)
                            lanes[lane] += widen(bias[at + lane]);
                        store_within(lanes, to + at_row * y_stride, at, outputs);
                    });
                row += tile;
            }
    });
}

}  // namespace
