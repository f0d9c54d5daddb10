// How much of the time that a thread wanted to run the system has let it run.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace {

class Share {
  public:
    // Called by the thread itself, when it is about to sleep.
    void look() {
        const auto now = std::chrono::steady_clock::now();
        if (now - looked_ < std::chrono::milliseconds(100)) return;
        looked_ = now;
        // Nanoseconds on a processor and in the queue for one. Only Linux tells.
        std::FILE* file = std::fopen("/proc/thread-self/schedstat", "r");
        if (file == nullptr) return;
        unsigned long long ran, queued;
        if (std::fscanf(file, "%llu %llu", &ran, &queued) == 2) {
            ran_ = ran;
            queued_ = queued;
        }
        std::fclose(file);
    }

    // The share since the last time this was called: all, where nothing is known.
    double take() {
        const double ran = double(ran_ - ran_before_), queued = double(queued_ - queued_before_);
        ran_before_ = ran_;
        queued_before_ = queued_;
        return ran + queued > LEAST ? ran / (ran + queued) : 1.0;
    }

  private:
    // Nanoseconds: less says nothing.
    static constexpr double LEAST = 5e6;

    std::chrono::steady_clock::time_point looked_{};
    std::atomic<uint64_t> ran_{0}, queued_{0};
    uint64_t ran_before_ = 0, queued_before_ = 0;
};

// How many of at most `most` threads to use when `allowed` of them were given so many processors' time:
// enough to use all of that, and one more while nobody else seems to want any.
inline uint32_t threads_for(double given, uint32_t allowed, uint32_t most) {
    constexpr double SLACK = 0.5, UNDISTURBED = 0.95;
    if (given >= UNDISTURBED * allowed) return allowed < most ? allowed + 1 : most;
    const uint32_t enough = uint32_t(std::ceil(given + SLACK));
    return enough < 1 ? 1 : enough < allowed ? enough : allowed;
}

}  // namespace
