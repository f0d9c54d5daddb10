// What a decoder layer does to each row between its projections.
#pragma once

#include "activation.h"
#include "lanes.h"
#include "parallel.h"

namespace {

template <class T>
float scale_to_unit(const T* x, int64_t width, float epsilon) {
    Lanes squares = {};
    int64_t at = 0;
    for (; at + LANES <= width; at += LANES) {
        const Lanes lanes = load(x + at);
        squares += lanes * lanes;
    }
    float total = sum(squares);
    for (; at < width; ++at) total += widen(x[at]) * widen(x[at]);
    return 1.0f / std::sqrt(total / float(width) + epsilon);
}

template <class T>
void normalise(const T* x, const float* weight, float epsilon, int64_t width, T* to) {
    const float scale = scale_to_unit(x, width, epsilon);
    int64_t at = 0;
    for (; at + LANES <= width; at += LANES) store(load(x + at) * scale * load(weight + at), to + at);
    for (; at < width; ++at) narrow(widen(x[at]) * scale * weight[at], to + at);
}

// x += y where there is a y, then to = RMSNorm(x)·weight.
template <class T>
void add_norm(
    T* x, const T* y, int64_t y_stride, const float* weight, float epsilon, int64_t rows,
    int64_t width, T* to) {
    in_parallel(rows, ROW_GRAIN, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            T* sum_row = x + row * width;
            const T* add = y ? y + row * y_stride : nullptr;
            int64_t at = 0;
            for (; add && at + LANES <= width; at += LANES)
                store(load(sum_row + at) + load(add + at), sum_row + at);
            for (; add && at < width; ++at) narrow(widen(sum_row[at]) + widen(add[at]), sum_row + at);
            normalise(sum_row, weight, epsilon, width, to + row * width);
        }
    });
}

// to = act(left half of x)·right half of x; x [rows, 2·width].
template <class T>
void gate(const T* x, int64_t rows, int64_t width, int activation, T* to) {
    in_parallel(rows, ROW_GRAIN / 4, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const T *left = x + row * 2 * width, *right = left + width;
            T* out = to + row * width;
            int64_t at = 0;
            for (; at + LANES <= width; at += LANES)
                store(activate(load(left + at), activation) * load(right + at), out + at);
            for (; at < width; ++at)
                narrow(activate(spread(widen(left[at])), activation)[0] * widen(right[at]), out + at);
        }
    });
}

}  // namespace
