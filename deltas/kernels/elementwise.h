// What a layer does to each row between its projections.
#pragma once

#include "activation.h"
#include "lanes.h"
#include "loops.h"

namespace {

template <class T>
float mean_of(const T* x, int64_t width) {
    Lanes total = {};
    for (int64_t at = 0; at < width; at += LANES) total += load_within(x, at, width);
    return sum(total) / float(width);
}

// One over the root of what x's squares about `mean` are on average.
template <class T>
float scale_to_unit(const T* x, float mean, int64_t width, float epsilon) {
    Lanes squares = {};
    int64_t at = 0;
    for (; at + LANES <= width; at += LANES) {
        const Lanes lanes = load(x + at) - mean;
        squares += lanes * lanes;
    }
    float total = sum(squares);
    for (; at < width; ++at) total += (widen(x[at]) - mean) * (widen(x[at]) - mean);
    return 1.0f / std::sqrt(total / float(width) + epsilon);
}

// LayerNorm where there is a bias, RMSNorm where there is none.
template <class T>
void normalise(
    const T* x, const float* weight, const float* bias, float epsilon, int64_t width, T* to) {
    const float mean = bias ? mean_of(x, width) : 0.0f;
    const float scale = scale_to_unit(x, mean, width, epsilon);
    for (int64_t at = 0; at < width; at += LANES) {
        Lanes lanes = (load_within(x, at, width) - mean) * scale * load_within(weight, at, width);
        if (bias) lanes += load_within(bias, at, width);
        store_within(lanes, to, at, width);
    }
}

template <class T>
void add_row(T* x, const T* y, int64_t width) {
    for (int64_t at = 0; at < width; at += LANES)
        store_within(load_within(x, at, width) + load_within(y, at, width), x, at, width);
}

// x += y for x and y [rows, width].
template <class T>
void add(Loops& loops, T* x, const T* y, int64_t rows, int64_t width) {
    loops.add(rows, ROW_GRAIN, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) add_row(x + row * width, y + row * width, width);
    });
}

// x += y where there is a y, then to = x normalised.
template <class T>
void add_norm(
    Loops& loops, T* x, const T* y, int64_t y_stride, const float* weight, const float* bias,
    float epsilon,
    int64_t rows, int64_t width, T* to) {
    loops.add(rows, ROW_GRAIN, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            T* sum_row = x + row * width;
            if (y) add_row(sum_row, y + row * y_stride, width);
            normalise(sum_row, weight, bias, epsilon, width, to + row * width);
        }
    });
}

// x = act(x) for x [rows, width].
template <class T>
void activate_rows(Loops& loops, T* x, int64_t rows, int64_t width, int activation) {
    loops.add(rows, ROW_GRAIN / 4, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            T* of = x + row * width;
            for (int64_t at = 0; at < width; at += LANES)
                store_within(activate(load_within(of, at, width), activation), of, at, width);
        }
    });
}

// to = act(left half of x)·right half of x; x [rows, 2·width].
template <class T>
void gate(
    Loops& loops, const T* x, int64_t rows, int64_t width, int activation, T* to) {
    loops.add(rows, ROW_GRAIN / 4, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const T *left = x + row * 2 * width, *right = left + width;
            T* out = to + row * width;
            for (int64_t at = 0; at < width; at += LANES)
                store_within(
                    activate(load_within(left, at, width), activation) * load_within(right, at, width),
                    out, at, width);
        }
    });
}

}  // namespace
