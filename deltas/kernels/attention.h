// Attention over the cache: scores and sums are the same product as everything else, for one row and
// for many.
#pragma once

#include <atomic>
#include <vector>

#include "activation.h"
#include "cache.h"
#include "product.h"

namespace {

// Rows [start, start + rows) of one sequence with `context` cached tokens before them; the
// sequence's blocks begin at `table`.
struct Chunk {
    int32_t start, rows, context, table;
};

struct View {
    int64_t window;
    float scale;
    int32_t causal;
};

// Numbers a thread works with; they grow and are kept, since new pages take longer than what is
// written to them.
template <class T>
struct Scratch {
    std::vector<T> keys, values, queries, weights;
    std::vector<float> scores;
};

// Some neighbours of one chunk, and the `group` query heads of each that share a key head: row r is
// token r / group. They see `keys` tokens at most.
template <class T>
struct Queries {
    const T* q;
    int64_t q_stride;
    T* out;
    int64_t out_stride;
    int64_t tokens, group, position, keys;

    int64_t rows() const { return tokens * group; }
    // Where a row of q or out is.
    int64_t place(int64_t row, int64_t stride, int64_t width) const {
        return row / group * stride + row % group * width;
    }
};

// Turns scores [begin, end) of a row into e^(score - greatest), zeros being around them up to
// `length`, and returns their sum.
template <class T>
float soften(float* scores, int64_t begin, int64_t end, int64_t length, T* weights) {
    const int64_t first = begin / LANES * LANES, last = padded(end, LANES);
    std::fill(scores + first, scores + begin, -INFINITY);
    std::fill(scores + end, scores + last, -INFINITY);
    std::fill(weights, weights + first, T{});
    std::fill(weights + last, weights + length, T{});
    Lanes most = load(scores + first), total = {};
    for (int64_t at = first + LANES; at < last; at += LANES) {
        const Lanes lanes = load(scores + at);
        most = lanes > most ? lanes : most;
    }
    const float top = largest(most);
    for (int64_t at = first; at < last; at += LANES) {
        const Lanes lanes = exponential(load(scores + at) - top);
        total += lanes;
        store(lanes, weights + at);
    }
    return sum(total);
}

template <class T>
void attend_rows(
    const Queries<T>& of, Heads heads, int64_t head, const T* keys, const T* values,
    const int32_t* table, View view, Scratch<T>& scratch) {
    const int64_t width = heads.width, inner = groups<T>(width) * Arithmetic<T>::GROUP;
    const int64_t first_key = view.window ? std::max<int64_t>(0, of.position - view.window + 1) : 0;
    const int64_t first = first_key / BLOCK, skipped = first * BLOCK;
    const int64_t blocks = padded(of.keys, BLOCK) / BLOCK - first, length = blocks * BLOCK;
    const auto place = [&](int64_t block) { return table[first + block] * heads.keys + head; };

    scratch.keys.resize(length * inner);
    gather_keys<T>(
        [&](int64_t block) { return keys + place(block) * key_size<T>(width); }, blocks, width,
        scratch.keys.data());
    scratch.values.resize(blocks * value_size(width));
    gather_values<T>(
        [&](int64_t block) { return values + place(block) * value_size(width); }, blocks, width,
        of.keys - skipped, scratch.values.data());
    // Rows a power of two apart would share too few of the cache's places.
    const int64_t stride = length + WIDTH;
    scratch.queries.assign(ROWS<T> * inner, T{});
    scratch.scores.resize(ROWS<T> * stride);
    scratch.weights.resize(ROWS<T> * stride);

    for (int64_t row = 0; row < of.rows();) {
        const int some = share_of(of.rows() - row, ROWS<T>);
        for (int i = 0; i < some; ++i)
            std::memcpy(
                scratch.queries.data() + i * inner, of.q + of.place(row + i, of.q_stride, width),
                width * sizeof(T));
        float* scores = scratch.scores.data();
        multiply(
            scratch.queries.data(), inner, some, scratch.keys.data(), length, width, 0,
            panels(length), [&](int i, int64_t at, Lanes lanes) {
                store(lanes * view.scale, scores + i * stride + at);
            });
        float totals[ROWS<T>];
        for (int i = 0; i < some; ++i) {
            const int64_t position = of.position + (row + i) / of.group;
            const int64_t begin = view.window ? std::max<int64_t>(skipped, position - view.window + 1) : 0;
            totals[i] = soften(
                scores + i * stride, begin - skipped,
                (view.causal ? position + 1 : of.keys) - skipped, length,
                scratch.weights.data() + i * stride);
        }
        multiply(
            scratch.weights.data(), stride, some, scratch.values.data(), width, length, 0,
            panels(width), [&](int i, int64_t at, Lanes lanes) {
                T* to = of.out + of.place(row + i, of.out_stride, width);
                store_within(lanes * (1.0f / totals[i]), to, at, width);
            });
        row += some;
    }
}

// Attends each chunk's rows to their sequence's cached tokens: q and out are [T, heads, width].
template <class T>
void attend(
    const T* q, int64_t q_stride, Heads heads, const T* keys, const T* values, const Chunk* chunks,
    int64_t count, const int32_t* tables, View view, T* out, int64_t out_stride) {
    const int64_t group = heads.queries / heads.keys;
    // Enough rows to be worth what they gather.
    const int64_t tokens = std::max<int64_t>(1, 4 * ROWS<T> / group);
    const auto shares = [&](const Chunk& chunk) { return (chunk.rows + tokens - 1) / tokens; };
    int64_t tasks = 0;
    for (int64_t i = 0; i < count; ++i) tasks += shares(chunks[i]) * heads.keys;
    // Tasks differ in length, so whoever is free takes the next one, whatever its range was.
    std::atomic<int64_t> next{0};
    in_parallel(tasks, 1, [&](int64_t, int64_t) {
        static thread_local Scratch<T> scratch;
        for (int64_t task = next++; task < tasks; task = next++) {
            int64_t rest = task;
            const Chunk* of = chunks;
            for (; rest >= shares(*of) * heads.keys; ++of) rest -= shares(*of) * heads.keys;
            const int64_t head = rest % heads.keys, row = rest / heads.keys * tokens;
            const int64_t some = std::min<int64_t>(tokens, of->rows - row);
            const int64_t column = head * group * heads.width;
            attend_rows<T>(
                {q + (of->start + row) * q_stride + column, q_stride,
                 out + (of->start + row) * out_stride + column, out_stride, some, group,
                 of->context + row, of->context + (view.causal ? row + some : of->rows)},
                heads, head, keys, values, tables + of->table, view, scratch);
        }
    });
}

}  // namespace
