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

// A line of memory is a tile's row; a panel of C columns has C of them for each group.
constexpr int LINE = 64;
template <class T>
constexpr int64_t IN_LINE = LINE / int64_t(sizeof(T));

// As the processor reads it: the shape of each of eight tiles.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
};

// The rows that this thread's tiles are shaped for, and 0 while it sleeps or does something else.
thread_local int tiled_rows = 0;

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
        shapes.bytes[tile] = each[tile] ? LINE : 0;
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

// Adds the products of TILE groups of x [rows, …] and of a panel to the tiles of sums.
template <class T, int C>
inline void add_products(const T* x, int64_t stride, const T* panel, bool both) {
    const int64_t bytes = stride * int64_t(sizeof(T));
    _tile_loadd(4, x, bytes);
    if (both) _tile_loadd(5, x + TILE * stride, bytes);
    _tile_loadd(6, panel, C * LINE);
    if (C == 2) _tile_loadd(7, panel + IN_LINE<T>, C * LINE);
    multiply_tiles<C>(T{}, both);
}

// The same for fewer groups: zeros fill the tiles, and nothing beyond the groups is read.
template <class T, int C>
inline void add_rest(const T* x, int64_t stride, const T* panel, int left, int rows) {
    alignas(64) T rest[2 * TILE][IN_LINE<T>], rest_of_panel[TILE * C][IN_LINE<T>];
    const __mmask16 inside = __mmask16((1 << left) - 1);
    for (int row = 0; row < rows; ++row)
        _mm512_store_si512(rest[row], _mm512_maskz_loadu_epi32(inside, x + row * stride));
    for (int line = 0; line < TILE * C; ++line)
        _mm512_store_si512(
            rest_of_panel[line], line < left * C ? _mm512_loadu_si512(panel + line * IN_LINE<T>)
                                                 : _mm512_setzero_si512());
    asm volatile("" : : "r"(rest), "r"(rest_of_panel) : "memory");
    add_products<T, C>(rest[0], IN_LINE<T>, rest_of_panel[0], rows > TILE);
}

template <int C, class Sums>
inline void begin_sums(const Sums (*sums)[C], bool added, bool both) {
    if (added) {
        _tile_loadd(0, sums[0], C * LINE);
        if (C == 2) _tile_loadd(1, sums[0] + 1, C * LINE);
        if (both) _tile_loadd(2, sums[TILE], C * LINE);
        if (both && C == 2) _tile_loadd(3, sums[TILE] + 1, C * LINE);
    } else {
        _tile_zero(0);
        if (C == 2) _tile_zero(1);
        if (both) _tile_zero(2);
        if (both && C == 2) _tile_zero(3);
    }
}

template <int C, class Sums>
inline void end_sums(Sums (*sums)[C], bool both) {
    _tile_stored(0, sums[0], C * LINE);
    if (C == 2) _tile_stored(1, sums[0] + 1, C * LINE);
    if (both) _tile_stored(2, sums[TILE], C * LINE);
    if (both && C == 2) _tile_stored(3, sums[TILE] + 1, C * LINE);
}

template <class T, int C>
__attribute__((noinline, noclone)) void accumulate_tiles(
    int rows, const T* x, int64_t stride, const T* panel, int64_t count,
    typename Arithmetic<T>::Sums (*sums)[C], bool added, const T* ahead) {
    constexpr int64_t STEP = C * IN_LINE<T>;
    const bool both = rows > TILE;
    shape_tiles(rows);
    // What was written before is read by instructions of which the compiler does not know.
    asm volatile("" : : : "memory");
    begin_sums<C>(sums, added, both);
    int64_t group = 0;
    for (; group + TILE <= count; group += TILE) {
        if (ahead) fetch(ahead + group * STEP, TILE * STEP);
        add_products<T, C>(x + group * Arithmetic<T>::GROUP, stride, panel + group * STEP, both);
    }
    if (group < count)
        add_rest<T, C>(
            x + group * Arithmetic<T>::GROUP, stride, panel + group * STEP, int(count - group), rows);
    end_sums<C>(sums, both);
}

#else

inline void release_tiles() {}

#endif

}  // namespace
