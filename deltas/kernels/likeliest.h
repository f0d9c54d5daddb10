// The greatest of each row of logits.
#pragma once

#include "lanes.h"
#include "loops.h"

namespace {

// Where the greatest of x is, the first of equals; -1 if one is not finite.
template <class T>
int64_t likeliest_of(const T* x, int64_t width) {
    Lanes most = spread(-INFINITY), odd = {};
    Ints where = {}, here = {};
    for (int lane = 0; lane < LANES; ++lane) here[lane] = lane;
    int64_t at = 0;
    for (; at + LANES <= width; at += LANES, here += LANES) {
        const Lanes lanes = load(x + at);
        odd += lanes - lanes;
        where = lanes > most ? here : where;
        most = lanes > most ? lanes : most;
    }
    float top = largest(most), strange = sum(odd);
    int64_t found = width;
    for (int lane = 0; lane < LANES; ++lane)
        if (most[lane] == top) found = std::min<int64_t>(found, where[lane]);
    for (; at < width; ++at) {
        const float value = widen(x[at]);
        strange += value - value;
        if (value > top) top = value, found = at;
    }
    return strange == 0 ? found : -1;
}

template <class T>
void likeliest(Loops& loops, const T* x, int64_t rows, int64_t width, int64_t* to) {
    loops.add(rows, 1, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) to[row] = likeliest_of(x + row * width, width);
    });
}

}  // namespace
