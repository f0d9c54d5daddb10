// Attention over a cache whose blocks are panels already: scores and sums are the same product as
// everything else, for one row and for many.
//
// A block holds BLOCK tokens. For each block and head the cache keeps the keys as a packed matrix
// [tokens, width] and the values as a packed matrix [width, tokens].
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "activation.h"
#include "elementwise.h"
#include "product.h"
#include "parallel.h"

namespace {

constexpr int64_t BLOCK = 16;

struct Heads {
    int64_t queries, keys, width;
};

template <class T>
constexpr int64_t key_size(int64_t width) {
    return groups<T>(width) * Arithmetic<T>::GROUP * BLOCK;
}

constexpr int64_t value_size(int64_t width) { return padded(width, LANES) * BLOCK; }

// Stores one token's key and value [heads, width] at its place.
template <class T>
void keep(const T* key, const T* value, int64_t place, int64_t heads, int64_t width, T* keys, T* values) {
    const int64_t block = place / BLOCK, token = place % BLOCK;
    constexpr int GROUP = Arithmetic<T>::GROUP;
    // From one group of a token's inputs to the next: the width of the panel that the token is in.
    const int64_t step = packed_width(token, BLOCK) * GROUP;
    for (int64_t head = 0; head < heads; ++head) {
        T* k = keys + (block * heads + head) * key_size<T>(width);
        T* v = values + (block * heads + head) * value_size(width);
        k += packed_place<T>(token, 0, BLOCK, width);
        for (int64_t at = 0; at < width; ++at)
            k[at / GROUP * step + at % GROUP] = key[head * width + at];
        for (int64_t at = 0; at < width; at += WIDTH) {
            T* to = v + packed_place<T>(at, token, width, BLOCK);
            for (int64_t i = 0; i < WIDTH && at + i < width; ++i)
                to[i * GROUP] = value[head * width + at + i];
        }
    }
}

// Clears the tokens of a packed block of values from `first` on.
template <class T>
void clear_tokens(T* values, int64_t width, int64_t first) {
    constexpr int GROUP = Arithmetic<T>::GROUP;
    for (int64_t at = 0; at < width; at += WIDTH) {
        const int64_t across = std::min<int64_t>(WIDTH, padded(width, LANES) - at);
        T* panel = values + at * BLOCK;
        for (int64_t token = first; token % GROUP; ++token)
            for (int64_t i = 0; i < across; ++i)
                panel[(token / GROUP * across + i) * GROUP + token % GROUP] = T{};
        T* rest = panel + padded(first, GROUP) * across;
        std::fill(rest, panel + BLOCK * across, T{});
    }
}

// Turns x by the angles of one position, its first half being the real parts.
template <class T>
void rotate(T* x, const float* cosine, const float* sine, int64_t width) {
    const int64_t half = width / 2;
    for (int64_t at = 0; at < half; ++at) {
        const float real = widen(x[at]), imaginary = widen(x[at + half]);
        narrow(real * cosine[at] - imaginary * sine[at], x + at);
        narrow(imaginary * cosine[at + half] + real * sine[at + half], x + at + half);
    }
}

// For each row of fused queries, keys and values: norms of the heads where the base has them,
// rotation where it has positions of that sort, and the key and value go to the cache.
template <class T>
void place(
    T* fused, int64_t stride, int64_t rows, Heads heads, const float* query_norm,
    const float* key_norm, float epsilon, const float* cosine, const float* sine,
    const int32_t* places, T* keys, T* values) {
    in_parallel(rows, ROW_GRAIN / 4, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            T* first = fused + row * stride;
            for (int64_t head = 0; head < heads.queries + heads.keys; ++head) {
                T* x = first + head * heads.width;
                const float* norm = head < heads.queries ? query_norm : key_norm;
                if (norm) normalise(x, norm, epsilon, heads.width, x);
                if (cosine) rotate(x, cosine + row * heads.width, sine + row * heads.width, heads.width);
            }
            const T* key = first + heads.queries * heads.width;
            keep(key, key + heads.keys * heads.width, places[row], heads.keys, heads.width, keys, values);
        }
    });
}

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

// Numbers a thread works with; they grow and are kept.
template <class T>
struct Scratch {
    std::vector<T> queries, weights, block;
    std::vector<float> scores, sums;
};

// The rows of one tile: `tokens` neighbours of one chunk, `group` query heads sharing a key head.
template <class T>
struct Tile {
    const T* q;
    int64_t q_stride;
    T* out;
    int64_t out_stride;
    int64_t tokens, group, position, keys;
};

template <class T>
void attend_tile(
    const Tile<T>& tile, Heads heads, int64_t head, const T* keys, const T* values,
    const int32_t* table, View view, Scratch<T>& scratch) {
    const int64_t width = heads.width, inner = groups<T>(width) * Arithmetic<T>::GROUP;
    const int64_t rows = tile.tokens * tile.group;
    const int64_t first_key = view.window ? std::max<int64_t>(0, tile.position - view.window + 1) : 0;
    const int64_t first = first_key / BLOCK, last = (tile.keys + BLOCK - 1) / BLOCK;
    const int64_t blocks = last - first, length = blocks * BLOCK;
    scratch.queries.assign(rows * inner, T{});
    for (int64_t row = 0; row < rows; ++row)
        std::memcpy(
            scratch.queries.data() + row * inner,
            tile.q + row / tile.group * tile.q_stride + row % tile.group * width, width * sizeof(T));
    scratch.scores.resize(rows * length);
    scratch.weights.resize(rows * length);

    // Weights have pushed the cache out of the processor's own: each block is fetched one early.
    const auto keys_of = [&](int64_t block) {
        return keys + (table[first + block] * heads.keys + head) * key_size<T>(width);
    };
    const auto values_of = [&](int64_t block) {
        return values + (table[first + block] * heads.keys + head) * value_size(width);
    };
    for (int64_t block = 0; block < blocks; ++block) {
        const T *panel = keys_of(block), *next = block + 1 < blocks ? keys_of(block + 1) : values_of(0);
        for (int64_t row = 0; row < rows;) {
            const int some = share_of(rows - row, ROWS<T>);
            float* to = scratch.scores.data() + row * length + block * BLOCK;
            multiply(
                scratch.queries.data() + row * inner, inner, some, panel, BLOCK, width, 0,
                panels(BLOCK), [&](int i, int64_t at, Lanes lanes) {
                    store(lanes * view.scale, to + i * length + at);
                },
                next);
            row += some;
        }
    }

    for (int64_t row = 0; row < rows; ++row) {
        float* scores = scratch.scores.data() + row * length;
        const int64_t position = tile.position + row / tile.group;
        const int64_t end = (view.causal ? position + 1 : tile.keys) - first * BLOCK;
        const int64_t begin =
            view.window ? std::max<int64_t>(0, position - view.window + 1 - first * BLOCK) : 0;
        for (int64_t at = 0; at < begin; ++at) scores[at] = -INFINITY;
        for (int64_t at = end; at < length; ++at) scores[at] = -INFINITY;
        Lanes most = load(scores), total = {};
        for (int64_t at = LANES; at < length; at += LANES) {
            const Lanes lanes = load(scores + at);
            most = lanes > most ? lanes : most;
        }
        const float top = largest(most);
        for (int64_t at = 0; at < length; at += LANES) {
            const Lanes lanes = exponential(load(scores + at) - top);
            total += lanes;
            store(lanes, scores + at);
        }
        const float share = 1.0f / sum(total);
        for (int64_t at = 0; at < length; at += LANES)
            store(load(scores + at) * share, scratch.weights.data() + row * length + at);
    }

    // Beyond the last token a block may hold what others left there, and 0 times NaN is NaN.
    const T* tail = nullptr;
    if (tile.keys % BLOCK) {
        const T* from = values_of(blocks - 1);
        scratch.block.assign(from, from + value_size(width));
        clear_tokens(scratch.block.data(), width, tile.keys % BLOCK);
        tail = scratch.block.data();
    }
    constexpr int64_t GROUPS = BLOCK / Arithmetic<T>::GROUP;
    for (int64_t at = 0; at < width; at += WIDTH) {
        const bool wide = padded(width, LANES) - at >= WIDTH;
        for (int64_t row = 0; row < rows;) {
            const int some = share_of(rows - row, ROWS<T>);
            Lanes pair[ROWS<T>][COLUMNS] = {}, single[ROWS<T>][1] = {};
            for (int64_t block = 0; block < blocks; ++block) {
                const T* panel = block == blocks - 1 && tail ? tail : values_of(block);
                const T* next = block + 1 < blocks ? values_of(block + 1) : panel;
                const T* x = scratch.weights.data() + row * length + block * BLOCK;
                if (wide) {
                    accumulate_rows<T, COLUMNS>(
                        some, x, length, panel + at * BLOCK, GROUPS, pair, next + at * BLOCK);
                } else {
                    accumulate_rows<T, 1>(
                        some, x, length, panel + at * BLOCK, GROUPS, single, next + at * BLOCK);
                }
            }
            for (int i = 0; i < some; ++i) {
                const int64_t token = (row + i) / tile.group, query = (row + i) % tile.group;
                T* to = tile.out + token * tile.out_stride + query * width;
                for (int c = 0; c < (wide ? COLUMNS : 1); ++c)
                    store_within(wide ? pair[i][c] : single[i][0], to, at + c * LANES, width);
            }
            row += some;
        }
    }
}

// Attends each chunk's rows to their sequence's cached tokens: q and out are [T, heads, width].
template <class T>
void attend(
    const T* q, int64_t q_stride, Heads heads, const T* keys, const T* values, const Chunk* chunks,
    int64_t count, const int32_t* tables, View view, T* out, int64_t out_stride) {
    const int64_t group = heads.queries / heads.keys;
    const int64_t tokens = std::max<int64_t>(1, ROWS<T> / group);
    int64_t tasks = 0;
    for (int64_t i = 0; i < count; ++i) tasks += (chunks[i].rows + tokens - 1) / tokens * heads.keys;
    // Tiles differ in length, so whoever is free takes the next one, whatever its range was.
    std::atomic<int64_t> next{0};
    in_parallel(tasks, 1, [&](int64_t, int64_t) {
        Scratch<T> scratch;
        for (int64_t task = next++; task < tasks; task = next++) {
            int64_t chunk = 0, rest = task;
            while (true) {
                const int64_t here = (chunks[chunk].rows + tokens - 1) / tokens * heads.keys;
                if (rest < here) break;
                rest -= here;
                ++chunk;
            }
            const Chunk& of = chunks[chunk];
            const int64_t head = rest % heads.keys, row = rest / heads.keys * tokens;
            const int64_t some = std::min<int64_t>(tokens, of.rows - row);
            const int64_t column = head * group * heads.width;
            attend_tile<T>(
                {q + (of.start + row) * q_stride + column, q_stride,
                 out + (of.start + row) * out_stride + column, out_stride, some, group,
                 of.context + row, of.context + (view.causal ? row + some : of.rows)},
                heads, head, keys, values, tables + of.table, view, scratch);
        }
    });
}

}  // namespace
