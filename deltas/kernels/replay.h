// A step's calls, written down once and made again for every step: the numbers of rows and where the
// cache's blocks are change, matrices and buffers stay.
#pragma once

#include "added.h"
#include "attention.h"
#include "elementwise.h"

namespace {

// In the order of library.py's OPERATIONS.
enum Operation : int64_t { LINEAR, LINEAR_BYTES, SMALL_RANK, ADD_NORM, ACTIVATE, GATE, PLACE, ATTEND };

// The arguments of an operation in the order of its own function, without what a step says.
struct Call {
    int64_t operation;
    int64_t arguments[15];

    template <class P>
    P* pointer(int at) const { return reinterpret_cast<P*>(arguments[at]); }

    float number(int at) const {
        double value;
        std::memcpy(&value, arguments + at, sizeof value);
        return float(value);
    }
};

struct Step {
    int64_t rows;
    const Run* runs;
    int64_t run_count;
    const int32_t* places;
    const Chunk* chunks;
    int64_t chunk_count;
    const int32_t* tables;
};

template <class T>
void make(Loops& loops, const Call& call, const Step& step) {
    const int64_t* a = call.arguments;
    const auto constant = [&](int at) { return call.pointer<const T>(at); };
    const auto floats = [&](int at) { return call.pointer<const float>(at); };
    const auto out = [&](int at) { return call.pointer<T>(at); };
    switch (call.operation) {
    case LINEAR:
        return linear_added(
            loops, constant(0), a[1], step.rows, constant(2), constant(3), a[4], a[5], out(6), a[7],
            {call.pointer<const Addition>(8), a[9], step.runs, step.run_count});
    case LINEAR_BYTES:
        return linear_bytes_added(
            loops, constant(0), a[1], step.rows, call.pointer<const int8_t>(2), floats(3), constant(4),
            a[5], a[6], out(7), a[8],
            {call.pointer<const Addition>(9), a[10], step.runs, step.run_count});
    case SMALL_RANK:
        return small_rank<T>(loops, call.pointer<const Site>(0), a[1], step.runs, step.run_count);
    case ADD_NORM:
        return add_norm(
            loops, out(0), constant(1), a[2], floats(3), floats(4), call.number(5), step.rows, a[6],
            out(7));
    case ACTIVATE:
        return activate_rows(loops, out(0), step.rows, a[1], int(a[2]));
    case GATE:
        return gate(loops, constant(0), step.rows, a[1], int(a[2]), out(3));
    case PLACE:
        return place(
            loops, out(0), a[1], step.rows, {a[2], a[3], a[4]}, floats(5), floats(6), call.number(7),
            floats(8), floats(9), step.places, out(10), out(11));
    case ATTEND:
        return attend(
            loops, constant(0), a[1], {a[2], a[3], a[4]}, constant(5), constant(6), step.chunks,
            step.chunk_count, step.tables, {a[9], call.number(7), int32_t(a[8])}, out(10), a[11]);
    }
}

// Adds the loops of the calls one after another; `seconds` gains what each operation takes.
template <class T>
void replay(Loops& loops, const Call* calls, int64_t count, const Step& step, double* seconds) {
    for (int64_t i = 0; i < count; ++i) {
        loops.begin_call(seconds + calls[i].operation);
        make<T>(loops, calls[i], step);
    }
}

}  // namespace
