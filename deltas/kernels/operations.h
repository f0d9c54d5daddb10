// What Python may call: one operation at a time, or all of a step that was recorded.
//
// An operation is a name and a function. How it is called, recorded and replayed follows from the
// function's type, and Python reads that in the table which the library carries.
#pragma once

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "attention.h"
#include "loops.h"
#include "small_rank.h"

namespace {

// What differs between the steps of one recording, in the order of recording.py's Step.
struct Step {
    int64_t rows;
    const Run* runs;
    int64_t run_count;
    const int32_t* places;
    const Chunk* chunks;
    int64_t chunk_count;
    const int32_t* tables;
    // The same of the sources that rows look at.
    const Chunk* source_chunks;
    int64_t source_chunk_count;
    const int32_t* source_tables;
};

// An argument that the step gives where an operation is replayed.
template <auto FIELD>
struct Given {
    using Value = std::remove_cvref_t<decltype(Step{}.*FIELD)>;
    Value value;
    operator Value() const { return value; }
};
using Rows = Given<&Step::rows>;
using Runs = Given<&Step::runs>;
using RunCount = Given<&Step::run_count>;
using Places = Given<&Step::places>;
using Chunks = Given<&Step::chunks>;
using ChunkCount = Given<&Step::chunk_count>;
using Tables = Given<&Step::tables>;
using SourceChunks = Given<&Step::source_chunks>;
using SourceChunkCount = Given<&Step::source_chunk_count>;
using SourceTables = Given<&Step::source_tables>;

// How an argument is passed, what letter stands for it, and how it is found in a recording.
template <class A>
struct Argument {
    using Passed = A;
    static constexpr bool IS_FLOAT = std::is_same_v<A, float>;
    static_assert(std::is_pointer_v<A> || std::is_same_v<A, int64_t> || IS_FLOAT);
    static constexpr char LETTER = std::is_pointer_v<A> ? 'p' : IS_FLOAT ? 'f' : 'i';

    static A recorded(const int64_t*& at, const Step&) {
        const int64_t word = *at++;
        if constexpr (std::is_pointer_v<A>) {
            return reinterpret_cast<A>(word);
        } else if constexpr (IS_FLOAT) {
            double value;
            std::memcpy(&value, &word, sizeof value);
            return float(value);
        } else {
            return word;
        }
    }
};

template <auto FIELD>
struct Argument<Given<FIELD>> {
    using Passed = typename Given<FIELD>::Value;
    static constexpr char LETTER = Argument<Passed>::LETTER + 'A' - 'a';

    static Given<FIELD> recorded(const int64_t*&, const Step& step) { return {step.*FIELD}; }
};

// One line of the table; a measure, which computes nothing, returns a number and has no `replay`.
struct Operation {
    const char* name;
    const char* arguments;
    void* function;
    // Adds the loops of a recorded call, and returns where the next call is.
    const int64_t* (*replay)(Loops&, const int64_t*, const Step&);
};

template <class F>
struct Type;

template <class... A>
struct Type<void (*)(Loops&, A...)> {
    static constexpr char LETTERS[] = {Argument<A>::LETTER..., '\0'};

    template <auto ADD>
    static void call(typename Argument<A>::Passed... arguments) {
        Loops& loops = Loops::own();
        ADD(loops, A{arguments}...);
        loops.run();
    }

    template <auto ADD>
    static const int64_t* replay(Loops& loops, const int64_t* at, const Step& step) {
        // In braces they are read in their order.
        const std::tuple<A...> arguments{Argument<A>::recorded(at, step)...};
        std::apply([&](A... each) { ADD(loops, each...); }, arguments);
        return at;
    }

    template <auto ADD>
    static Operation named(const char* name) {
        return {name, LETTERS, reinterpret_cast<void*>(&call<ADD>), &replay<ADD>};
    }
};

template <class... A>
struct Type<int64_t (*)(A...)> {
    static constexpr char LETTERS[] = {Argument<A>::LETTER..., '\0'};

    template <auto MEASURE>
    static Operation named(const char* name) {
        return {name, LETTERS, reinterpret_cast<void*>(MEASURE), nullptr};
    }
};

template <auto F>
Operation operation(const char* name) {
    return Type<decltype(F)>::template named<F>(name);
}

// Adds the loops of recorded calls [at, end), each the number of its operation and then what no step
// gives; `seconds` gains what each operation takes.
inline void replay(
    Loops& loops, const Operation* operations, const int64_t* at, const int64_t* end,
    const Step& step, double* seconds) {
    while (at < end) {
        const int64_t number = *at++;
        loops.begin_call(seconds + number);
        at = operations[number].replay(loops, at, step);
    }
}

}  // namespace
