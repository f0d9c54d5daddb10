// The grouped small-rank operation: y += act(x·Aᵀ + a)·Bᵀ + b, A and B being the row's own.
#pragma once

#include <algorithm>

#include "activation.h"
#include "loops.h"
#include "product.h"

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

// A slot's part in a table of `slots`, if it has one there.
inline const Part* part_of(const Part* parts, int64_t slots, int32_t slot) {
    return slot < slots && parts[slot].rank ? parts + slot : nullptr;
}

// Rows x [T, inputs] and y [T, outputs] of one place, and the parts that act there by slot; slots
// from `slots` on have none.
struct Site {
    const void* x;
    int64_t x_stride, inputs;
    void* y;
    int64_t y_stride, outputs;
    const Part* parts;
    int64_t slots;

    const Part* part(int32_t slot) const { return part_of(parts, slots, slot); }
};

// inner [rows, width] = act(x·Aᵀ + a), of which `rank` numbers a row are the part's; `next` is the
// matrix that will be read next.
template <class T>
void shrink(
    const T* x, int64_t x_stride, int rows, int64_t inputs, const Part& part, T* inner,
    int64_t width, const void* next) {
    const int64_t rank = part.rank;
    const T* bias = static_cast<const T*>(part.a_bias);
    multiply(
        x, x_stride, rows, static_cast<const T*>(part.a), rank, inputs, 0, panels(rank),
        [&](int row, int64_t at, Lanes lanes) {
            for (int64_t lane = 0; bias && lane < LANES && at + lane < rank; ++lane)
                lanes[lane] += widen(bias[at + lane]);
            store(activate(lanes, int(part.activation)), inner + row * width + at);
        },
        static_cast<const T*>(next));
}

// Each matrix is fetched while the one before it is used: A, B, then the next part's A.
template <class T>
void small_rank_share(const Site& site, int64_t row, int rows, const Part& part, const Part* next) {
    T inner[ROWS<T> * MAX_RANK];
    const int64_t rank = part.rank, width = padded(rank, LANES), outputs = site.outputs;
    const T* b_bias = static_cast<const T*>(part.b_bias);
    shrink(
        static_cast<const T*>(site.x) + row * site.x_stride, site.x_stride, rows, site.inputs, part,
        inner, width, part.b);
    T* y = static_cast<T*>(site.y) + row * site.y_stride;
    multiply(
        inner, width, rows, static_cast<const T*>(part.b), outputs, rank, 0, panels(outputs),
        [&](int at_row, int64_t at, Lanes lanes) {
            T* to = y + at_row * site.y_stride;
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
        static_cast<const T*>(next ? next->a : nullptr));
}

// Rows [from, to) of one slot at every site: a share at a time, since its x is at hand then.
template <class T>
void small_rank_run(
    const Site* sites, int64_t count, int32_t slot, int64_t from, int64_t to, int32_t following) {
    while (from < to) {
        const int share = share_of(to - from, ROWS<T>);
        for (int64_t i = 0; i < count; ++i) {
            const Part* part = sites[i].part(slot);
            if (part == nullptr) continue;
            const Part* next = i + 1 < count ? sites[i + 1].part(slot)
                : from + share < to          ? sites[0].part(slot)
                                             : sites[0].part(following);
            small_rank_share<T>(sites[i], from, share, *part, next);
        }
        from += share;
    }
}

// Hands `take(slot, from, to, following)` the rows of each run, `following` being the next one's
// slot. Runs are in order of their rows, which are shared out evenly, whoever they belong to.
template <class Take>
void share_rows(Loops& loops, const Run* runs, int64_t run_count, Take take) {
    int64_t rows = 0;
    for (int64_t i = 0; i < run_count; ++i) rows += runs[i].end - runs[i].start;
    loops.add(rows, 4, [=](int64_t begin, int64_t end) {
        int64_t before = 0;
        for (int64_t i = 0; i < run_count && before < end; ++i) {
            const int64_t start = runs[i].start, length = runs[i].end - start;
            const int64_t from = start + std::max<int64_t>(begin - before, 0);
            const int64_t to = start + std::min(end - before, length);
            const int32_t following = i + 1 < run_count ? runs[i + 1].slot : runs[i].slot;
            if (from < to) take(runs[i].slot, from, to, following);
            before += length;
        }
    });
}

template <class T>
void small_rank(
    Loops& loops, const Site* sites, int64_t count, const Run* runs, int64_t run_count) {
    share_rows(loops, runs, run_count, [=](int32_t slot, int64_t from, int64_t to, int32_t following) {
        small_rank_run<T>(sites, count, slot, from, to, following);
    });
}

}  // namespace
