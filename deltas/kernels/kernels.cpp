// The library's plain C interface: every operation, for float32 and for bfloat16. Addresses and measures
// are the caller's to check.

#include "added.h"
#include "attention.h"
#include "elementwise.h"
#include "likeliest.h"
#include "linear.h"
#include "loops.h"
#include "operations.h"
#include "small_rank.h"

namespace {

// Packs w [outputs, inputs] of any strides as a matrix of T is packed; `to` holds zeros.
template <class T, class W>
void pack_as(
    Loops& loops, const W* w, int64_t row_stride, int64_t column_stride, int64_t outputs,
    int64_t inputs, W* to) {
    constexpr int GROUP = Arithmetic<T>::GROUP;
    loops.add(outputs, 1 + (1 << 20) / inputs, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const W* from = w + row * row_stride;
            W* at = to + packed_place<T>(row, 0, outputs, inputs);
            const int64_t step = packed_width(row, outputs) * GROUP;
            int64_t column = 0;
            for (; column_stride == 1 && column + GROUP <= inputs; column += GROUP, at += step)
                std::memcpy(at, from + column, GROUP * sizeof(W));
            for (; column < inputs; column += GROUP, at += step)
                for (int64_t i = 0; i < GROUP && column + i < inputs; ++i)
                    at[i] = from[(column + i) * column_stride];
        }
    });
}

// The operations over numbers of one type, their arguments one by one.
template <class T>
struct Calls {
    static int64_t packed_size(int64_t outputs, int64_t inputs) {
        return ::packed_size<T>(outputs, inputs);
    }

    static int64_t packed_bytes_size(int64_t outputs, int64_t inputs) {
        return ::packed_size<BytesAs<T>>(outputs, inputs);
    }

    static int64_t key_size(int64_t width) { return ::key_size<T>(width); }

    static int64_t value_size(int64_t width) { return ::value_size(width); }

    static void pack(
        Loops& loops, const T* w, int64_t row_stride, int64_t column_stride, int64_t outputs,
        int64_t inputs, T* to) {
        pack_as<T>(loops, w, row_stride, column_stride, outputs, inputs, to);
    }

    static void pack_bytes(
        Loops& loops, const int8_t* w, int64_t row_stride, int64_t column_stride, int64_t outputs,
        int64_t inputs, int8_t* to) {
        pack_as<BytesAs<T>>(loops, w, row_stride, column_stride, outputs, inputs, to);
        const int64_t size = packed_bytes_size(outputs, inputs);
        loops.add(1, 1, [=](int64_t, int64_t) { offset_bytes(to, size); });
    }

    static void linear(
        Loops& loops, const T* x, int64_t x_stride, Rows rows, const T* w, const T* bias,
        int64_t outputs, int64_t inputs, T* y, int64_t y_stride, const Addition* additions,
        int64_t count, Runs runs, RunCount run_count) {
        linear_added(
            loops, x, x_stride, rows, w, bias, outputs, inputs, y, y_stride,
            {additions, count, runs, run_count});
    }

    static void linear_bytes(
        Loops& loops, const T* x, int64_t x_stride, Rows rows, const int8_t* w, const float* scales,
        const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride,
        const Addition* additions, int64_t count, Runs runs, RunCount run_count) {
        linear_bytes_added(
            loops, x, x_stride, rows, w, scales, bias, outputs, inputs, y, y_stride,
            {additions, count, runs, run_count});
    }

    static void small_rank(
        Loops& loops, const Site* sites, int64_t count, Runs runs, RunCount run_count) {
        ::small_rank<T>(loops, sites, count, runs, run_count);
    }

    static void add_norm(
        Loops& loops, T* x, const T* y, int64_t y_stride, const float* weight, const float* bias,
        float epsilon, Rows rows, int64_t width, T* to) {
        ::add_norm(loops, x, y, y_stride, weight, bias, epsilon, rows, width, to);
    }

    static void activate(Loops& loops, T* x, Rows rows, int64_t width, int64_t activation) {
        activate_rows(loops, x, rows, width, int(activation));
    }

    static void gate(
        Loops& loops, const T* x, Rows rows, int64_t width, int64_t activation, T* to) {
        ::gate(loops, x, rows, width, int(activation), to);
    }

    static void place(
        Loops& loops, T* fused, int64_t stride, Rows rows, int64_t queries, int64_t key_heads,
        int64_t width, const float* query_norm, const float* key_norm, float epsilon,
        const float* cosine, const float* sine, int64_t turned, int64_t neighbours, Places places,
        T* keys, T* values) {
        ::place(
            loops, fused, stride, rows, {queries, key_heads, width}, query_norm, key_norm, epsilon,
            {cosine, sine, turned, neighbours != 0}, places, keys, values);
    }

    static void ungroup(
        Loops& loops, const T* fused, Rows rows, int64_t queries, int64_t key_heads, int64_t width,
        T* to) {
        ::ungroup(loops, fused, rows, {queries, key_heads, width}, to);
    }

    static void add(Loops& loops, T* x, const T* y, Rows rows, int64_t width) {
        ::add(loops, x, y, rows, width);
    }

    // Of the step's own chunks, or of those of its sources.
    template <class Of, class Count, class At>
    static void attend(
        Loops& loops, const T* q, int64_t q_stride, int64_t queries, int64_t key_heads,
        int64_t width, const T* keys, const T* values, Of chunks, Count count, At tables, float scale, int64_t causal, int64_t window, float cap, const float* sinks,
        const float* bias, int64_t bias_stride, int64_t bias_centre, T* out, int64_t out_stride) {
        ::attend<T>(
            loops, q, q_stride, {queries, key_heads, width}, keys, values, chunks, count, tables,
            {window, scale, int32_t(causal), cap, sinks, bias, bias_stride, bias_centre}, out,
            out_stride);
    }

    static void likeliest(
        Loops& loops, const T* x, Rows rows, int64_t width, const uint32_t* const* allowed,
        int64_t* to) {
        ::likeliest(loops, x, rows, width, allowed, to);
    }
};

template <class T>
const Operation OPERATIONS[] = {
    operation<&Calls<T>::packed_size>("packed_size"),
    operation<&Calls<T>::packed_bytes_size>("packed_bytes_size"),
    operation<&Calls<T>::key_size>("key_size"),
    operation<&Calls<T>::value_size>("value_size"),
    operation<&Calls<T>::pack>("pack"),
    operation<&Calls<T>::pack_bytes>("pack_bytes"),
    operation<&Calls<T>::linear>("linear"),
    operation<&Calls<T>::linear_bytes>("linear_bytes"),
    operation<&Calls<T>::small_rank>("small_rank"),
    operation<&Calls<T>::add_norm>("add_norm"),
    operation<&Calls<T>::activate>("activate"),
    operation<&Calls<T>::gate>("gate"),
    operation<&Calls<T>::place>("place"),
    operation<&Calls<T>::ungroup>("ungroup"),
    operation<&Calls<T>::add>("add"),
    operation<&Calls<T>::template attend<Chunks, ChunkCount, Tables>>("attend"),
    operation<&Calls<T>::template attend<SourceChunks, SourceChunkCount, SourceTables>>(
        "attend_sources"),
    operation<&Calls<T>::likeliest>("likeliest"),
    {},
};

}  // namespace

extern "C" {

// What the library was built from, as build.py tells.
const char* polydelta_sources() { return POLYDELTA_SOURCES; }

// All operations, up to one without a name.
const Operation* polydelta_operations_float32() { return OPERATIONS<float>; }
const Operation* polydelta_operations_bfloat16() { return OPERATIONS<BFloat16>; }

// Makes recorded calls [at, end) for one step.
void polydelta_replay(
    const Operation* operations, const int64_t* at, const int64_t* end, const Step* step,
    double* seconds) {
    Loops& loops = Loops::own();
    replay(loops, operations, at, end, *step, seconds);
    loops.run();
}

// Lets the calling thread, and it alone, compute with so many threads.
void polydelta_use_threads(int64_t threads) { Loops::own().use_threads(int(threads)); }

}
