// A team: the threads that share a list of loops among them.
//
// No thread leads. Each takes the next piece of the loop that is open, whoever finishes a loop's last
// piece opens the next one, and all that anybody waits for is a piece that somebody has begun. A thread
// that the system has put aside between two pieces is therefore missed by nobody. Who finds no piece
// spins for some microseconds and then sleeps, so that its processor is free for others, the team's own
// among them; sleepers are woken as far as there are pieces for them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "share.h"
#include "tiles.h"

namespace {

using Body = void (*)(const void* context, int64_t piece);

// All of it is read by threads that do not know yet whether it still holds: see `Team::take`.
struct Loop {
    std::atomic<uint32_t> pieces;
    std::atomic<Body> body;
    std::atomic<const void*> context;
    std::atomic<double*> seconds;
};

// What happens next, in one word: piece `piece` of loop `loop` in the team's run number `run`.
struct Cursor {
    uint64_t word;

    static Cursor of(uint64_t run, uint64_t loop) { return {run << 32 | loop << 16}; }
    uint64_t run() const { return word >> 32; }
    uint32_t loop() const { return word >> 16 & 0xffff; }
    uint32_t piece() const { return word & 0xffff; }
};

class Team {
  public:
    static constexpr uint32_t MOST_LOOPS = 1024, MOST_PIECES = 0xffff;

    explicit Team(int threads) : loops_(MOST_LOOPS), shares_(threads), allowed_(threads) {
        // Where the system gives no more threads, those that there are do the work.
        try {
            for (int number = 1; number < threads; ++number)
                helpers_.emplace_back([this, number] { help(number); });
        } catch (const std::system_error&) {
        }
        allowed_ = uint32_t(this->threads());
    }

    ~Team() {
        ending_ = true;
        ++bell_;
        bell_.notify_all();
        allowed_ = MOST_PIECES;
        allowed_.notify_all();
        for (std::thread& helper : helpers_) helper.join();
    }

    int threads() const { return 1 + int(helpers_.size()); }

    // Where the next run's loops are written, which nobody runs meanwhile.
    Loop& loop(uint32_t number) { return loops_[number]; }

    // Runs the first `count` loops in order; the calling thread, always the same, takes pieces as the
    // others do.
    void run(uint32_t count) {
        if (count == 0) return;
        count_ = count;
        adapt();
        opened_ = Clock::now();
        open(Cursor::of(Cursor{cursor_.load(std::memory_order_relaxed)}.run() + 1, 0));
        Clock::time_point until{};
        for (Cursor cursor = current(); !is_over(cursor); cursor = current()) {
            if (take(cursor))
                until = {};
            else if (!spin(until))
                sleep(cursor);
        }
        release_tiles();
        shares_[0].look();
    }

  private:
    using Clock = std::chrono::steady_clock;

    static constexpr uint32_t OVER = 0xffff;
    // More than what is done to rows between two products takes, less than a wake-up does.
    static constexpr std::chrono::microseconds SPIN{40};

    static bool is_over(Cursor cursor) { return cursor.loop() == OVER; }

    Cursor current() const { return {cursor_.load(std::memory_order_acquire)}; }

    void help(int number) {
        Clock::time_point until{};
        while (!ending_) {
            const Cursor cursor = current();
            if (take(cursor)) {
                until = {};
                continue;
            }
            // Only where there is nothing to take: the loop may be one that this thread has opened.
            const uint32_t allowed = allowed_;
            if (uint32_t(number) >= allowed) {
                release_tiles();
                allowed_.wait(allowed);
            } else if (!spin(until)) {
                shares_[number].look();
                sleep_as_helper(cursor);
            }
        }
    }

    // Does the piece at `cursor`, or finds that the cursor has changed; false where there is none. What
    // is read of the loop may belong to a later run, but then the cursor has changed and is not ours.
    bool take(Cursor cursor) {
        if (is_over(cursor)) return false;
        Loop& loop = loops_[cursor.loop()];
        const uint32_t pieces = loop.pieces.load(std::memory_order_relaxed);
        const Body body = loop.body.load(std::memory_order_relaxed);
        const void* context = loop.context.load(std::memory_order_relaxed);
        if (cursor.piece() >= pieces) return false;
        uint64_t expected = cursor.word;
        if (!cursor_.compare_exchange_strong(expected, cursor.word + 1, std::memory_order_acq_rel))
            return true;
        body(context, cursor.piece());
        if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces) close(cursor);
        return true;
    }

    void close(Cursor cursor) {
        finished_.store(0, std::memory_order_relaxed);
        if (double* seconds = loops_[cursor.loop()].seconds.load(std::memory_order_relaxed)) {
            const auto now = Clock::now();
            *seconds += std::chrono::duration<double>(now - opened_).count();
            opened_ = now;
        }
        const uint32_t next = cursor.loop() + 1;
        open(Cursor::of(cursor.run(), next < count_ ? next : OVER));
    }

    void open(Cursor cursor) {
        // The opener takes a piece itself.
        const uint32_t useful = is_over(cursor) ? 0 : loops_[cursor.loop()].pieces - 1;
        cursor_ = cursor.word;
        // From here on others may have closed this loop, too, and opened the next.
        if (caller_sleeps_ && caller_sleeps_.exchange(false)) {
            ++caller_bell_;
            caller_bell_.notify_one();
        }
        wake(useful);
    }

    void wake(uint32_t useful) {
        uint32_t asleep = asleep_, woken;
        do {
            woken = std::min(asleep, useful);
            if (woken == 0) return;
        } while (!asleep_.compare_exchange_weak(asleep, asleep - woken));
        ++bell_;
        if (woken == asleep) return bell_.notify_all();
        for (uint32_t i = 0; i < woken; ++i) bell_.notify_one();
    }

    // Passes a moment; false once SPIN has passed since the first one, when `until` begins anew.
    static bool spin(Clock::time_point& until) {
        const auto now = Clock::now();
        if (until == Clock::time_point{}) until = now + SPIN;
        for (int i = 0; i < 8; ++i) pause();
        if (now < until) return true;
        until = {};
        return false;
    }

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

    // The caller sleeps until anything is opened, be it the end.
    void sleep(Cursor cursor) {
        release_tiles();
        const uint32_t bell = caller_bell_;
        caller_sleeps_ = true;
        if (cursor_ == cursor.word) caller_bell_.wait(bell);
        caller_sleeps_ = false;
    }

    // Never are more asleep than are counted: who finds that it need not sleep stays counted, and a
    // bell will ring for nobody.
    void sleep_as_helper(Cursor cursor) {
        release_tiles();
        const uint32_t bell = bell_;
        ++asleep_;
        if (cursor_ == cursor.word && !ending_) bell_.wait(bell);
    }

    // As many threads as it takes to use what the system gives: where others want the processors too,
    // a thread more is one more that is put aside amid a piece.
    void adapt() {
        const auto now = Clock::now();
        if (helpers_.empty() || now - adapted_ < std::chrono::milliseconds(200)) return;
        adapted_ = now;
        const uint32_t allowed = allowed_;
        double given = 0;
        for (uint32_t number = 0; number < shares_.size(); ++number) {
            const double share = shares_[number].take();
            if (number < allowed) given += share;
        }
        const uint32_t wanted = threads_for(given, allowed, uint32_t(threads()));
        if (wanted == allowed) return;
        allowed_ = wanted;
        allowed_.notify_all();
    }

    alignas(64) std::atomic<uint64_t> cursor_{Cursor::of(0, OVER).word};
    alignas(64) std::atomic<uint32_t> finished_{0};
    Clock::time_point opened_, adapted_;
    alignas(64) std::atomic<uint32_t> bell_{0};
    std::atomic<uint32_t> asleep_{0}, caller_bell_{0};
    std::atomic<bool> caller_sleeps_{false}, ending_{false};
    std::vector<Loop> loops_;
    uint32_t count_ = 0;
    std::vector<Share> shares_;
    std::atomic<uint32_t> allowed_;
    std::vector<std::thread> helpers_;
};

}  // namespace
