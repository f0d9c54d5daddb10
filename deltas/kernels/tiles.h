// Products by the processor's matrix unit (AMX): a tile holds 16 rows of x, or 16 groups of inputs of
// 16 outputs, which is how a panel lies in memory already.
#pragma once

#include "panels.h"

namespace {

// Whether matrices of T are multiplied in tiles, TILE rows of x in each.
template <class T>
constexpr bool TILED = false;
constexpr int TILE = 16;

// As `accumulate` of product.h, for any number of rows up to two tiles.
template <class T, int C>
void accumulate_tiles(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead);

#if defined(__AMX_BF16__) && defined(__AMX_INT8__)

template <>
constexpr bool TILED<BFloat16> = true;
template <>
constexpr bool TILED<int8_t> = true;

// As the processor reads it: the shape of each of eight tiles.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
};

// The rows that this thread's tiles are shaped for, and 0 outside of parallel loops.
thread_local int tiled_rows __attribute__((tls_model("initial-exec"))) = 0;

// Shapes tiles 0 to 3 for sums, 4 and 5 for x and 6 and 7 for a panel. It takes as long as several
// products, so it is done when rows change.
inline void shape_tiles(int rows) {
    if (rows == tiled_rows) return;
    tiled_rows = rows;
    TileShapes shapes;
    const int first = rows < TILE ? rows : TILE, second = rows - first;
    const int each[8] = {first, first, second, second, first, second, TILE, TILE};
    for (int tile = 0; tile < 8; ++tile) {
        shapes.rows[tile] = uint8_t(each[tile]);
        shapes.bytes[tile] = each[tile] ? 64 : 0;
    }
    asm volatile("" : : "r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
}

// Leaves no tiles in use, which the system would have to save.
inline void release_tiles() {
    if (tiled_rows) _tile_release();
    tiled_rows = 0;
}

// Multiplies the tiles of x by those of C columns, `both` saying whether a second one has rows.
template <int C>
inline void multiply_tiles(BFloat16, bool both) {
    _tile_dpbf16ps(0, 4, 6);
    if (C == 2) _tile_dpbf16ps(1, 4, 7);
    if (!both) return;
    _tile_dpbf16ps(2, 5, 6);
    if (C == 2) _tile_dpbf16ps(3, 5, 7);
}

template <int C>
inline void multiply_tiles(int8_t, bool both) {
    _tile_dpbsud(0, 4, 6);
    if (C == 2) _tile_dpbsud(1, 4, 7);
    if (!both) return;
    _tile_dpbsud(2, 5, 6);
    if (C == 2) _tile_dpbsud(3, 5, 7);
}

template <class T, int C>
__attribute__((noinline, noclone)) void accumulate_tiles(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead) {
    constexpr int GROUP = Arithmetic<T>::GROUP, DEPTH = TILE * GROUP;
    constexpr int64_t LINE = 64, STEP = C * LINE;
    const bool both = rows > TILE;
    const auto products = [both](const T* rows_of_x, int64_t x_stride, const T* groups_of_panel) {
        const int64_t bytes = x_stride * int64_t(sizeof(T));
        _tile_loadd(4, rows_of_x, bytes);
        if (both) _tile_loadd(5, rows_of_x + TILE * x_stride, bytes);
        _tile_loadd(6, groups_of_panel, STEP);
        if (C == 2) _tile_loadd(7, groups_of_panel + LINE / sizeof(T), STEP);
        multiply_tiles<C>(T{}, both);
    };
    shape_tiles(rows);
    // What was written before is read by instructions of which the compiler does not know.
    asm volatile("" : : : "memory");
    if (added) {
        _tile_loadd(0, sums[0], STEP);
        if (C == 2) _tile_loadd(1, sums[0] + 1, STEP);
        if (both) _tile_loadd(2, sums[TILE], STEP);
        if (both && C == 2) _tile_loadd(3, sums[TILE] + 1, STEP);
    } else {
        _tile_zero(0);
        if (C == 2) _tile_zero(1);
        if (both) _tile_zero(2);
        if (both && C == 2) _tile_zero(3);
    }
    int64_t group = 0;
    for (; group + TILE <= count; group += TILE) {
        const int64_t at = group * STEP / int64_t(sizeof(T));
        if (ahead) fetch(ahead + at, TILE * STEP / int64_t(sizeof(T)));
        products(x + group * GROUP, stride, panel + at);
    }
    // The last groups are fewer than a tile holds: zeros fill it, and nothing beyond them is read.
    if (group < count) {
        alignas(64) T rest[2 * TILE][DEPTH], rest_of_panel[TILE * C][DEPTH];
        const int left = int(count - group);
        const __mmask16 inside = __mmask16((1 << left) - 1);
        for (int row = 0; row < rows; ++row)
            _mm512_store_si512(
                rest[row], _mm512_maskz_loadu_epi32(inside, x + row * stride + group * GROUP));
        const T* from = panel + group * STEP / int64_t(sizeof(T));
        for (int line = 0; line < TILE * C; ++line)
            _mm512_store_si512(
                rest_of_panel[line], line < left * C ? _mm512_loadu_si512(from + line * DEPTH)
                                                     : _mm512_setzero_si512());
        asm volatile("" : : "r"(rest), "r"(rest_of_panel) : "memory");
        products(rest[0], DEPTH, rest_of_panel[0]);
    }
    _tile_stored(0, sums[0], STEP);
    if (C == 2) _tile_stored(1, sums[0] + 1, STEP);
    if (both) _tile_stored(2, sums[TILE], STEP);
    if (both && C == 2) _tile_stored(3, sums[TILE] + 1, STEP);
}

#else

inline void release_tiles() {}

#endif

}  // namespace
