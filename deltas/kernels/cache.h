// The cache of keys and values, whose blocks are panels already.
//
// A block holds BLOCK tokens. For each block and head the cache keeps the keys as a packed matrix
// [tokens, width] and the values as a packed matrix [width, tokens].
#pragma once

#include <algorithm>

#include "elementwise.h"
#include "panels.h"

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

// The angles of each row's position, [rows, width]: as many of a head's first numbers are turned,
// pairs of neighbours or of a number and one half of the width on.
struct Angles {
    const float *cosine, *sine;
    int64_t width;
    bool neighbours;
};

// Turns x by the angles of one position, its first half being the real parts.
template <class T>
void rotate(T* x, const float* cosine, const float* sine, int64_t width) {
    const int64_t half = width / 2;
    int64_t at = 0;
    for (; at + LANES <= half; at += LANES) {
        const Lanes real = load(x + at), imaginary = load(x + at + half);
        store(real * load(cosine + at) - imaginary * load(sine + at), x + at);
        store(imaginary * load(cosine + at + half) + real * load(sine + at + half), x + at + half);
    }
    for (; at < half; ++at) {
        const float real = widen(x[at]), imaginary = widen(x[at + half]);
        narrow(real * cosine[at] - imaginary * sine[at], x + at);
        narrow(imaginary * cosine[at + half] + real * sine[at + half], x + at + half);
    }
}

// The same where each real part's neighbour is its imaginary one.
template <class T>
void rotate_neighbours(T* x, const float* cosine, const float* sine, int64_t width) {
    for (int64_t at = 0; at < width; at += 2) {
        const float real = widen(x[at]), imaginary = widen(x[at + 1]);
        narrow(real * cosine[at] - imaginary * sine[at], x + at);
        narrow(imaginary * cosine[at + 1] + real * sine[at + 1], x + at + 1);
    }
}

// Puts queries, then keys, then values together, of rows that hold them for each head of keys.
template <class T>
void ungroup(Loops& loops, const T* fused, int64_t rows, Heads heads, T* to) {
    const int64_t group = heads.queries / heads.keys, width = heads.width;
    const int64_t size = (heads.queries + 2 * heads.keys) * width;
    loops.add(rows, ROW_GRAIN, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const T* from = fused + row * size;
            T* queries = to + row * size;
            T* keys = queries + heads.queries * width;
            T* values = keys + heads.keys * width;
            for (int64_t head = 0; head < heads.keys; ++head, from += (group + 2) * width) {
                std::copy_n(from, group * width, queries + head * group * width);
                std::copy_n(from + group * width, width, keys + head * width);
                std::copy_n(from + (group + 1) * width, width, values + head * width);
            }
        }
    });
}

// For each row of fused queries, keys and values: norms of the heads where the base has them,
// rotation where it has positions of that sort, and the key and value go to the cache.
template <class T>
void place(
    Loops& loops, T* fused, int64_t stride, int64_t rows, Heads heads, const float* query_norm,
    const float* key_norm, float epsilon, Angles angles, const int32_t* places, T* keys, T* values) {
    loops.add(rows, ROW_GRAIN / 4, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            T* first = fused + row * stride;
            for (int64_t head = 0; head < heads.queries + heads.keys; ++head) {
                T* x = first + head * heads.width;
                const float* norm = head < heads.queries ? query_norm : key_norm;
                if (norm) normalise(x, norm, nullptr, epsilon, heads.width, x);
                if (!angles.cosine) continue;
                const float* cosine = angles.cosine + row * angles.width;
                const float* sine = angles.sine + row * angles.width;
                (angles.neighbours ? rotate_neighbours<T> : rotate<T>)(x, cosine, sine, angles.width);
            }
            const T* key = first + heads.queries * heads.width;
            keep(key, key + heads.keys * heads.width, places[row], heads.keys, heads.width, keys, values);
        }
    });
}

// Puts the keys of a sequence's blocks together as one packed matrix [blocks · BLOCK, width]; `of`
// is where a block's are. Weights have pushed the cache out of the processor's own: each block is
// fetched one early.
template <class T, class Of>
void gather_keys(Of of, int64_t blocks, int64_t width, T* to) {
    constexpr int64_t GROUP = Arithmetic<T>::GROUP, ACROSS = std::min<int64_t>(WIDTH, BLOCK) * GROUP;
    const int64_t length = blocks * BLOCK;
    for (int64_t token = 0; token < length; token += ACROSS / GROUP) {
        const T* from = of(token / BLOCK) + packed_place<T>(token % BLOCK, 0, BLOCK, width);
        fetch(of(std::min(token / BLOCK + 1, blocks - 1)), key_size<T>(width));
        T* at = to + packed_place<T>(token, 0, length, width);
        const int64_t step = packed_width(token, length) * GROUP;
        for (int64_t group = 0; group < groups<T>(width); ++group, at += step, from += ACROSS)
            std::memcpy(at, from, ACROSS * sizeof(T));
    }
}

// The same for values, [width, blocks · BLOCK]. Tokens from `end` on become zeros: others may have
// left anything there, and 0 times NaN is NaN.
template <class T, class Of>
void gather_values(Of of, int64_t blocks, int64_t width, int64_t end, T* to) {
    constexpr int64_t GROUP = Arithmetic<T>::GROUP;
    for (int64_t at = 0; at < width; at += WIDTH) {
        const int64_t across = packed_width(at, width), size = BLOCK * across;
        for (int64_t block = 0; block < blocks; ++block, to += size)
            std::memcpy(to, of(block) + at * BLOCK, size * sizeof(T));
        T* from = to - blocks * size;
        for (int64_t token = end; token < blocks * BLOCK; ++token)
            for (int64_t i = 0; i < across; ++i)
                from[(token / GROUP * across + i) * GROUP + token % GROUP] = T{};
    }
}

}  // namespace
