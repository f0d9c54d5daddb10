// The one product that every kernel here is made of: some rows times panels.
#pragma once

#include "panels.h"
#include "tiles.h"

namespace {

// ROWS of x share one pass over a panel: as many as registers or tiles hold sums for.
#if defined(__AVX512F__)
constexpr int IN_REGISTERS = 12;
#else
constexpr int IN_REGISTERS = 6;
#endif
template <class T>
constexpr int ROWS = TILED<T> ? 2 * TILE : IN_REGISTERS;
// Bytes that a stream of weights is fetched ahead of its use. For few rows a processor looks far ahead
// by itself, and is only disturbed by more.
constexpr int64_t AHEAD = 6144, AHEAD_OF_FEW = 2048;
constexpr int FEW = 3;

// sums[M][C] = x [M, count groups] · one panel of C columns, or += where there are sums already. Each
// sum is one chain over the groups in order, whatever M and C are: a row's bits do not depend on the
// rows beside it. Memory at `ahead`, if any, is fetched meanwhile, as much as the panel holds. Never
// inlined: registers are for the sums alone, which stay in them only where loops over them are
// unrolled.
template <class T, int M, int C>
__attribute__((noinline, noclone)) void accumulate(
    const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead) {
    using A = Arithmetic<T>;
    constexpr int64_t STEP = C * LANES * A::GROUP;
    typename A::Sums total[M][C] = {};
    for (int64_t group = 0; group < count; ++group) {
        if (ahead) fetch(ahead + group * STEP, STEP);
        typename A::Weights weights[C];
        for (int c = 0; c < C; ++c)
            weights[c] = A::weights(panel + group * STEP + c * LANES * A::GROUP);
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
            const auto spread = A::broadcast(x + m * stride + group * A::GROUP);
            for (int c = 0; c < C; ++c) total[m][c] = A::add(total[m][c], weights[c], spread);
        }
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m)
        for (int c = 0; c < C; ++c) sums[m][c] = added ? total[m][c] + sums[m][c] : total[m][c];
}

// Calls accumulate for a number of rows that is only known now, at most M.
template <class T, int C, int M>
inline void accumulate_at_most(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead) {
    if constexpr (M == 1) {
        accumulate<T, 1, C>(x, stride, panel, count, sums, added, ahead);
    } else if (rows == M) {
        accumulate<T, M, C>(x, stride, panel, count, sums, added, ahead);
    } else {
        accumulate_at_most<T, C, M - 1>(rows, x, stride, panel, count, sums, added, ahead);
    }
}

// Calls accumulate, in tiles where there are any, for up to ROWS rows.
template <class T, int C>
inline void accumulate_rows(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead) {
    // All rows or none: a tile adds products up in another order.
    if constexpr (TILED<T>) {
        accumulate_tiles<T, C>(rows, x, stride, panel, count, sums, added, ahead);
    } else {
        accumulate_at_most<T, C, ROWS<T>>(rows, x, stride, panel, count, sums, added, ahead);
    }
}

constexpr int64_t bytes_ahead(int rows) { return rows > FEW ? AHEAD : AHEAD_OF_FEW; }

struct Nothing {
    template <class Sums>
    void operator()(int64_t, Sums&) const {}
};

// For x [rows, inputs] and a packed W [outputs, inputs], hands `take(row, output, sums)` LANES
// outputs of x·Wᵀ at a time; the last ones of a matrix may be padding. Memory at `ahead`, if any, is
// fetched meanwhile, as if it were W. `more(panel, sums)` may add to a panel's sums before they are
// taken.
template <class T, class Take, class More = Nothing>
inline void multiply(
    const T* x, int64_t stride, int rows, const T* w, int64_t outputs, int64_t inputs,
    int64_t first_panel, int64_t last_panel, Take take, const T* ahead = nullptr, More more = {}) {
    const int64_t count = groups<T>(inputs), all = padded(outputs, LANES);
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        const int64_t output = panel * WIDTH;
        const int64_t start = output * count * Arithmetic<T>::GROUP;
        const T* from = w + start;
        const T* fetched = ahead ? ahead + start : nullptr;
        if (all - output >= WIDTH) {
            typename Arithmetic<T>::Sums sums[ROWS<T>][COLUMNS];
            accumulate_rows<T, COLUMNS>(rows, x, stride, from, count, sums, false, fetched);
            more(panel, sums);
            for (int row = 0; row < rows; ++row)
                for (int c = 0; c < COLUMNS; ++c) take(row, output + c * LANES, sums[row][c]);
        } else {
            typename Arithmetic<T>::Sums sums[ROWS<T>][1];
            accumulate_rows<T, 1>(rows, x, stride, from, count, sums, false, fetched);
            more(panel, sums);
            for (int row = 0; row < rows; ++row) take(row, output, sums[row][0]);
        }
    }
}

// The size of the next share when `left` rows are split evenly into shares of at most `most`.
inline int share_of(int64_t left, int64_t most) {
    const int64_t shares = (left + most - 1) / most;
    return int((left + shares - 1) / shares);
}

}  // namespace
