// The grouped small-rank operation: y += act(x·Aᵀ + a)·Bᵀ + b, A and B being the row's own.
#pragma once

#include <algorithm>

#include "activation.h"
#include "panels.h"
#include "parallel.h"

namespace {

constexpr int64_t MAX_RANK = 1024;

// Rows [start, end) of one slot.
struct Run {
    int32_t slot, start, end;
};

// A slot's matrices, packed: A [rank, inputs], B [outputs, rank]; biases may be null.
struct Part {
    const void *a, *b, *a_bias, *b_bias;
    int64_t rank, activation;
};

// Each matrix is fetched while the one before it is used: A, B, then the next run's A.
template <class T>
void small_rank_tile(
    const T* x, int64_t x_stride, int64_t inputs, T* y, int64_t y_stride, int64_t outputs, int rows,
    const Part& part, const Part& next) {
    T inner[ROWS * MAX_RANK];
    const int64_t rank = part.rank, width = padded(rank, LANES);
    const T *a_bias = static_cast<const T*>(part.a_bias), *b_bias = static_cast<const T*>(part.b_bias);
    multiply(
        x, x_stride, rows, static_cast<const T*>(part.a), rank, inputs, 0, panels(rank),
        [&](int row, int64_t at, Lanes lanes) {
            for (int64_t lane = 0; a_bias && lane < LANES && at + lane < rank; ++lane)
                lanes[lane] += widen(a_bias[at + lane]);
            store(activate(lanes, int(part.activation)), inner + row * width + at);
        },
        static_cast<const T*>(part.b));
    multiply(
        inner, width, rows, static_cast<const T*>(part.b), outputs, rank, 0, panels(outputs),
        [&](int row, int64_t at, Lanes lanes) {
            T* to = y + row * y_stride;
            if (at + LANES <= outputs) {
                if (b_bias) lanes += load(b_bias + at);
                store(lanes + load(to + at), to + at);
                return;
            }
            for (int64_t lane = 0; at + lane < outputs; ++lane) {
                const float bias = b_bias ? widen(b_bias[at + lane]) : 0.0f;
                narrow(lanes[lane] + bias + widen(to[at + lane]), to + at + lane);
            }
        },
        static_cast<const T*>(next.a));
}

// Runs are in order of their rows; threads share the rows evenly, whoever they belong to. Slots from
// `slots` on have no part.
template <class T>
void small_rank(
    const T* x, int64_t x_stride, int64_t inputs, T* y, int64_t y_stride, int64_t outputs,
    const Run* runs, int64_t count, const Part* parts, int64_t slots) {
    const auto acts = [&](const Run& run) { return run.slot < slots && parts[run.slot].rank; };
    int64_t rows = 0;
    for (int64_t i = 0; i < count; ++i)
        if (acts(runs[i])) rows += runs[i].end - runs[i].start;
    in_parallel(rows, 4, [&](int64_t begin, int64_t end) {
        int64_t before = 0;
        for (int64_t i = 0; i < count && before < end; ++i) {
            if (!acts(runs[i])) continue;
            const int64_t start = runs[i].start, length = runs[i].end - start;
            const int64_t after = i + 1 < count && acts(runs[i + 1]) ? i + 1 : i;
            int64_t row = start + std::max<int64_t>(begin - before, 0);
            const int64_t last = start + std::min(end - before, length);
            while (row < last) {
                const int tile = tile_of(last - row);
                small_rank_tile(
                    x + row * x_stride, x_stride, inputs, y + row * y_stride, y_stride, outputs,
                    tile, parts[runs[i].slot], parts[runs[after].slot]);
                row += tile;
            }
            before += length;
        }
    });
}

}  // namespace
