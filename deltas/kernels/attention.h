// Attention over the cache: scores and sums are the same product as everything else, for one row and
// for many.
#pragma once

#include "activation.h"
#include "cache.h"
#include "product.h"

namespace {

// Rows [start, start + rows) of one sequence with `context` cached tokens before them; the
// sequence's blocks begin at `table`.
struct Chunk {
    int32_t start, rows, context, table;
};

// How rows look at keys. Where there is a cap scores stay within it, softly; then each gains its bias,
// a number for each query head and key, `stride` apart from head to head: by the key's place, or by
// how far it is from the row, `centre` being at the row itself. Sinks are scores that take their share
// and give nothing.
struct View {
    int64_t window;
    float scale;
    int32_t causal;
    float cap;
    const float* sinks;
    const float* bias;
    int64_t bias_stride, bias_centre;

    // The keys [begin, end) that a row sees, of `keys`.
    int64_t begin(int64_t position) const {
        return window ? std::max<int64_t>(0, position - window + 1) : 0;
    }
    int64_t end(int64_t position, int64_t keys) const {
        return causal ? position + 1 : window ? std::min(position + window, keys) : keys;
    }
    // A row's biases by the key's place; those past the last key of all can be read, too.
    const float* biases(int64_t head, int64_t position) const {
        return bias + head * bias_stride + (bias_centre < 0 ? 0 : bias_centre - position);
    }
};

template <class T>
struct Scratch {
    Room<T> keys, values, queries, weights;
    Room<float> scores;
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

// Changes scores [begin, end) of a row as a view with a cap or with biases wants it.
inline void adjust(float* scores, int64_t begin, int64_t end, float cap, const float* biases) {
    for (int64_t at = begin / LANES * LANES; at < end; at += LANES) {
        Lanes lanes = load(scores + at);
        if (cap != 0) lanes = cap * hyperbolic_tangent(lanes * (1.0f / cap));
        if (biases) lanes += load(biases + at);
        store(lanes, scores + at);
    }
}

// Turns scores [begin, end) of a row into e^(score - greatest), zeros being around them up to
// `length`, and returns their sum, with that of the sink if there is one.
template <class T>
float soften(
    float* scores, int64_t begin, int64_t end, int64_t length, const float* sink, T* weights) {
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
    const float top = sink ? std::max(largest(most), *sink) : largest(most);
    for (int64_t at = first; at < last; at += LANES) {
        const Lanes lanes = exponential(load(scores + at) - top);
        total += lanes;
        store(lanes, weights + at);
    }
    return sink ? sum(total) + exponential(spread(*sink - top))[0] : sum(total);
}

// Where among a sequence's cached tokens some rows look: blocks [first, first + blocks).
struct Stretch {
    int64_t first, blocks;

    template <class T>
    Stretch(const Queries<T>& of, const View& view) {
        // Whole steps of a product in tiles, which sums within each: where they begin must not depend
        // on which rows look together.
        constexpr int64_t STEP = 2 * BLOCK;
        first = view.begin(of.position) / STEP * (STEP / BLOCK);
        blocks = padded(of.keys, BLOCK) / BLOCK - first;
    }
    int64_t length() const { return blocks * BLOCK; }
    int64_t skipped() const { return first * BLOCK; }
};

template <class T>
void gather(
    const Queries<T>& of, Stretch on, Heads heads, int64_t head, const T* keys, const T* values,
    const int32_t* table, Scratch<T>& scratch) {
    const int64_t width = heads.width, sizes[] = {key_size<T>(width), value_size(width)};
    const auto place = [&](int64_t block) { return table[on.first + block] * heads.keys + head; };
    gather_keys<T>(
        [&](int64_t block) { return keys + place(block) * sizes[0]; }, on.blocks, width,
        scratch.keys.of(on.blocks * sizes[0]));
    gather_values<T>(
        [&](int64_t block) { return values + place(block) * sizes[1]; }, on.blocks, width,
        of.keys - on.skipped(), scratch.values.of(on.blocks * sizes[1]));
}

// Attends rows [row, row + some) to what was gathered.
template <class T>
void attend_share(
    const Queries<T>& of, int64_t row, int some, Stretch on, int64_t width, int64_t head,
    const View& view, Scratch<T>& scratch) {
    const int64_t inner = groups<T>(width) * Arithmetic<T>::GROUP, length = on.length();
    // Rows a power of two apart would share too few of the cache's places.
    const int64_t stride = length + WIDTH;
    T* queries = scratch.queries.of(ROWS<T> * inner);
    T* weights = scratch.weights.of(ROWS<T> * stride);
    float* scores = scratch.scores.of(ROWS<T> * stride);
    for (int i = 0; i < some; ++i) {
        const T* from = of.q + of.place(row + i, of.q_stride, width);
        std::copy(from, from + width, queries + i * inner);
        std::fill(queries + i * inner + width, queries + (i + 1) * inner, T{});
    }
    multiply(
        queries, inner, some, scratch.keys.data(), length, width, 0, panels(length),
        [&](int i, int64_t at, Lanes lanes) { store(lanes * view.scale, scores + i * stride + at); });
    float totals[ROWS<T>];
    for (int i = 0; i < some; ++i) {
        const int64_t position = of.position + (row + i) / of.group, skipped = on.skipped();
        const int64_t begin = view.begin(position) - skipped;
        const int64_t end = view.end(position, of.keys) - skipped;
        const int64_t query = head * of.group + (row + i) % of.group;
        if (view.cap != 0 || view.bias)
            adjust(
                scores + i * stride, begin, end, view.cap,
                view.bias ? view.biases(query, position) + skipped : nullptr);
        totals[i] = soften(
            scores + i * stride, begin, end, length, view.sinks ? view.sinks + query : nullptr,
            weights + i * stride);
    }
    multiply(
        weights, stride, some, scratch.values.data(), width, length, 0, panels(width),
        [&](int i, int64_t at, Lanes lanes) {
            T* to = of.out + of.place(row + i, of.out_stride, width);
            store_within(lanes * (1.0f / totals[i]), to, at, width);
        });
}

template <class T>
void attend_rows(
    const Queries<T>& of, Heads heads, int64_t head, const T* keys, const T* values,
    const int32_t* table, const View& view, Scratch<T>& scratch) {
    const Stretch on(of, view);
    gather(of, on, heads, head, keys, values, table, scratch);
    for (int64_t row = 0; row < of.rows();) {
        const int some = share_of(of.rows() - row, ROWS<T>);
        attend_share(of, row, some, on, heads.width, head, view, scratch);
        row += some;
    }
}

// Attends each chunk's rows to their sequence's cached tokens: q and out are [T, heads, width].
template <class T>
void attend(
    Loops& loops, const T* q, int64_t q_stride, Heads heads, const T* keys, const T* values,
    const Chunk* chunks,
    int64_t count, const int32_t* tables, View view, T* out, int64_t out_stride) {
    const int64_t group = heads.queries / heads.keys;
    // Enough rows to be worth what they gather.
    const int64_t tokens = std::max<int64_t>(1, 4 * ROWS<T> / group);
    const auto shares = [=](const Chunk& chunk) { return (chunk.rows + tokens - 1) / tokens; };
    int64_t tasks = 0;
    for (int64_t i = 0; i < count; ++i) tasks += shares(chunks[i]) * heads.keys;
    loops.add_each(tasks, [=](int64_t task) {
        static thread_local Scratch<T> scratch;
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
    });
}

}  // namespace
