// Panels: how matrices are stored for the one product that every kernel here is made of.
//
// A matrix W [outputs, inputs] becomes panels of WIDTH outputs, the last one perhaps of LANES. A
// panel holds its outputs side by side for each group of inputs that one instruction takes: one of
// float32, a pair of bfloat16, four bytes:
//
//     [panel][inputs / GROUP][width][GROUP], zero beyond the matrix's edges
//
// so that a product broadcasts a group of x, reads W once and in order, and never sums across lanes.
#pragma once

#include "lanes.h"

namespace {

constexpr int COLUMNS = 2;
constexpr int WIDTH = LANES * COLUMNS;

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

constexpr int64_t panels(int64_t outputs) { return (outputs + WIDTH - 1) / WIDTH; }

}  // namespace
