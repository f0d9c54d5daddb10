// Many short runs of loops on teams of several sizes, each checked: to be built with a sanitizer.
#include <cstdio>
#include <thread>
#include <vector>

#include "loops.h"

namespace {

constexpr int64_t THINGS = 1000;

int64_t count_of(int run, int loop) { return 1 + (run * 37 + loop * 11) % THINGS; }

bool run_once(Loops& loops, int run) {
    const int count = 1 + run % 7;
    int64_t* sums = loops.room<int64_t>(THINGS);
    std::vector<int64_t> found(THINGS);
    int64_t* out = found.data();
    loops.add(THINGS, 100, [=](int64_t begin, int64_t end) { std::fill(sums + begin, sums + end, 0); });
    for (int loop = 0; loop < count; ++loop) {
        loops.add(count_of(run, loop), 1, [=](int64_t begin, int64_t end) {
            for (int64_t at = begin; at < end; ++at) sums[at] += loop + 1;
        });
        loops.add_each(run % 50, [=](int64_t at) { sums[at] += 1; });
    }
    // A loop of one piece, which whoever ended the one before opens.
    loops.add(THINGS, THINGS, [=](int64_t begin, int64_t end) {
        std::copy(sums + begin, sums + end, out + begin);
    });
    loops.run();
    for (int64_t at = 0; at < THINGS; ++at) {
        int64_t expected = 0;
        for (int loop = 0; loop < count; ++loop)
            expected += (at < count_of(run, loop) ? loop + 1 : 0) + (at < run % 50);
        if (found[at] != expected) return false;
    }
    return true;
}

}  // namespace

int main() {
    Loops& loops = Loops::own();
    for (int run = 0; run < 2000; ++run) {
        if (run % 250 == 0) loops.use_threads(1 + run / 250 % 5);
        // So that helpers fall asleep now and then.
        if (run % 40 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (!run_once(loops, run)) return std::printf("run %d is wrong\n", run), 1;
    }
    return 0;
}
