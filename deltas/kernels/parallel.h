// Parallel loops on PyTorch's own threads, through its stable C interface: a second pool would
// fight the first one for the cores.
#pragma once

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

}  // namespace
