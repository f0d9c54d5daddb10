// The library's plain C interface. Every function comes for float32 and for bfloat16; addresses and
// measures are the caller's to check.

#include "added.h"
#include "attention.h"
#include "elementwise.h"
#include "likeliest.h"
#include "linear.h"
#include "loops.h"
#include "replay.h"
#include "small_rank.h"

namespace {

// Runs the loops that `add` adds.
template <class F>
void run(F add) {
    Loops& loops = Loops::own();
    add(loops);
    loops.run();
}

// Packs w [outputs, inputs] of any strides as a matrix of T is packed; `to` holds zeros.
template <class T, class W>
void pack(
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

}  // namespace

extern "C" {

// Lets the calling thread, and it alone, compute with so many threads.
void polydelta_use_threads(int64_t threads) { Loops::own().use_threads(int(threads)); }

#define POLYDELTA_KERNELS(T, NAME)                                                                 \
    int64_t polydelta_packed_size_##NAME(int64_t outputs, int64_t inputs) {                        \
        return packed_size<T>(outputs, inputs);                                                    \
    }                                                                                              \
    int64_t polydelta_packed_bytes_size_##NAME(int64_t outputs, int64_t inputs) {                  \
        return packed_size<BytesAs<T>>(outputs, inputs);                                           \
    }                                                                                              \
    void polydelta_pack_##NAME(                                                                    \
        const T* w, int64_t row_stride, int64_t column_stride, int64_t outputs, int64_t inputs,    \
        T* to) {                                                                                   \
        run([=](Loops& loops) { pack<T>(loops, w, row_stride, column_stride, outputs, inputs, to); });\
    }                                                                                              \
    void polydelta_pack_bytes_##NAME(                                                              \
        const int8_t* w, int64_t row_stride, int64_t column_stride, int64_t outputs,               \
        int64_t inputs, int8_t* to) {                                                              \
        run([=](Loops& loops) {                                                                    \
            pack<BytesAs<T>>(loops, w, row_stride, column_stride, outputs, inputs, to);            \
        });                                                                                        \
        offset_bytes(to, packed_size<BytesAs<T>>(outputs, inputs));                                \
    }                                                                                              \
    void polydelta_linear_bytes_##NAME(                                                            \
        const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,          \
        const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride,                    \
        const Addition* additions, int64_t count, const Run* runs, int64_t run_count) {            \
        run([=](Loops& loops) {                                                                    \
            linear_bytes_added(                                                                    \
                loops, x, x_stride, rows, w, scales, bias, outputs, inputs, y, y_stride,           \
                {additions, count, runs, run_count});                                              \
        });                                                                                        \
    }                                                                                              \
    void polydelta_linear_##NAME(                                                                  \
        const T* x, int64_t x_stride, int64_t rows, const T* w, const T* bias, int64_t outputs,    \
        int64_t inputs, T* y, int64_t y_stride, const Addition* additions, int64_t count,          \
        const Run* runs, int64_t run_count) {                                                      \
        run([=](Loops& loops) {                                                                    \
            linear_added(                                                                          \
                loops, x, x_stride, rows, w, bias, outputs, inputs, y, y_stride,                   \
                {additions, count, runs, run_count});                                              \
        });                                                                                        \
    }                                                                                              \
    void polydelta_small_rank_##NAME(                                                              \
        const Site* sites, int64_t count, const Run* runs, int64_t run_count) {                    \
        run([=](Loops& loops) { small_rank<T>(loops, sites, count, runs, run_count); });           \
    }                                                                                              \
    void polydelta_add_norm_##NAME(                                                                \
        T* x, const T* y, int64_t y_stride, const float* weight, const float* bias, float epsilon, \
        int64_t rows, int64_t width, T* to) {                                                      \
        run([=](Loops& loops) {                                                                    \
            add_norm(loops, x, y, y_stride, weight, bias, epsilon, rows, width, to);               \
        });                                                                                        \
    }                                                                                              \
    void polydelta_activate_##NAME(T* x, int64_t rows, int64_t width, int64_t activation) {        \
        run([=](Loops& loops) { activate_rows(loops, x, rows, width, int(activation)); });         \
    }                                                                                              \
    void polydelta_gate_##NAME(const T* x, int64_t rows, int64_t width, int64_t activation, T* to) {\
        run([=](Loops& loops) { gate(loops, x, rows, width, int(activation), to); });              \
    }                                                                                              \
    void polydelta_likeliest_##NAME(const T* x, int64_t rows, int64_t width, int64_t* to) {        \
        run([=](Loops& loops) { likeliest(loops, x, rows, width, to); });                          \
    }                                                                                              \
    void polydelta_replay_##NAME(                                                                  \
        const Call* calls, int64_t count, const Step* step, double* seconds) {                     \
        run([=](Loops& loops) { replay<T>(loops, calls, count, *step, seconds); });                \
    }                                                                                              \
    int64_t polydelta_key_size_##NAME(int64_t width) { return key_size<T>(width); }                \
    int64_t polydelta_value_size_##NAME(int64_t width) { return value_size(width); }               \
    void polydelta_place_##NAME(                                                                   \
        T* fused, int64_t stride, int64_t rows, int64_t queries, int64_t key_heads, int64_t width, \
        const float* query_norm, const float* key_norm, float epsilon, const float* cosine,        \
        const float* sine, const int32_t* places, T* keys, T* values) {                            \
        run([=](Loops& loops) {                                                                    \
            place(                                                                                 \
                loops, fused, stride, rows, {queries, key_heads, width}, query_norm, key_norm,     \
                epsilon, cosine, sine, places, keys, values);                                      \
        });                                                                                        \
    }                                                                                              \
    void polydelta_attend_##NAME(                                                                  \
        const T* q, int64_t q_stride, int64_t queries, int64_t key_heads, int64_t width,           \
        const T* keys, const T* values, const Chunk* chunks, int64_t count, const int32_t* tables, \
        float scale, int64_t causal, int64_t window, T* out, int64_t out_stride) {                 \
        run([=](Loops& loops) {                                                                    \
            attend(                                                                                \
                loops, q, q_stride, {queries, key_heads, width}, keys, values, chunks, count,      \
                tables, {window, scale, int32_t(causal)}, out, out_stride);                        \
        });                                                                                        \
    }

POLYDELTA_KERNELS(float, float32)
POLYDELTA_KERNELS(BFloat16, bfloat16)

}
