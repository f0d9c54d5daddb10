// Parallel loops on PyTorch's own threads, through its stable C interface: a second pool would
// fight the first one for the cores.
#pragma once

#include <atomic>

#include "tiles.h"

namespace {

using Body = void (*)(int64_t begin, int64_t end, void* context);
using ParallelFor = int32_t (*)(int64_t begin, int64_t end, int64_t grain, Body body, void* context);

ParallelFor parallel_for = nullptr;

// Rows below which a second thread costs more than it saves, where little is done to each.
constexpr int64_t ROW_GRAIN = 32;

template <class F>
inline void in_parallel(int64_t count, int64_t grain, F body) {
    const Body part = [](int64_t begin, int64_t end, void* context) {
        (*static_cast<F*>(context))(begin, end);
        release_tiles();
    };
    if (parallel_for == nullptr || count <= grain) {
        part(0, count, &body);
    } else {
        parallel_for(0, count, grain, part, &body);
    }
}

// The same one by one: what differs in length is shared evenly, for whoever is free takes the next.
template <class F>
inline void in_turns(int64_t count, F body) {
    std::atomic<int64_t> next{0};
    in_parallel(count, 1, [&](int64_t, int64_t) {
        for (int64_t at = next++; at < count; at = next++) body(at);
    });
}

}  // namespace
