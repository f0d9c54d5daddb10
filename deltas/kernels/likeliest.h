// The greatest of each row of logits.
#pragma once

#include "lanes.h"
#include "loops.h"

namespace {

constexpr int64_t NOT_FINITE = -1, NONE_ALLOWED = -2;

// Which of LANES numbers may be found, by a bit for each of a row's, or all of them without bits.
inline Ints allowed_at(const uint32_t* allowed, int64_t at, Ints lane) {
    if (allowed == nullptr) return ~Ints{};
    const Words bits = Words{} + (allowed[at / 32] >> at % 32);
    return (bits >> (Words)lane & 1) != 0;
}

// Where the greatest of those numbers of x is that are allowed, the first of equals.
template <class T>
int64_t likeliest_of(const T* x, int64_t width, const uint32_t* allowed) {
    Lanes most = spread(-INFINITY), odd = {};
    Ints where = {}, lane_of = {};
    for (int lane = 0; lane < LANES; ++lane) lane_of[lane] = lane;
    Ints here = lane_of;
    int64_t at = 0;
    for (; at + LANES <= width; at += LANES, here += LANES) {
        const Lanes lanes = load(x + at);
        odd += lanes - lanes;
        const Ints better = (lanes > most) & allowed_at(allowed, at, lane_of);
        where = better ? here : where;
        most = better ? lanes : most;
    }
    float top = largest(most), strange = sum(odd);
    int64_t found = width;
    for (int lane = 0; lane < LANES; ++lane)
        if (most[lane] == top) found = std::min<int64_t>(found, where[lane]);
    for (; at < width; ++at) {
        const float value = widen(x[at]);
        strange += value - value;
        const bool may = allowed == nullptr || allowed[at / 32] >> at % 32 & 1;
        if (value > top && may) top = value, found = at;
    }
    if (strange != 0) return NOT_FINITE;
    return top == -INFINITY ? NONE_ALLOWED : found;
}

template <class T>
void likeliest(
    Loops& loops, const T* x, int64_t rows, int64_t width, const uint32_t* const* allowed,
    int64_t* to) {
    loops.add(rows, 1, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
            to[row] = likeliest_of(x + row * width, width, allowed[row]);
    });
}

}  // namespace
