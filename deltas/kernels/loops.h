// What a kernel does, as loops: each over so many things, in pieces that any thread may take, and begun
// when the one before has ended.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

#include "room.h"
#include "team.h"

namespace {

// Rows below which a second thread costs more than it saves, where little is done to each.
constexpr int64_t ROW_GRAIN = 32;

class Loops {
  public:
    // Those of the calling thread.
    static Loops& own() {
        static thread_local Loops loops;
        return loops;
    }

    // Lets the calling thread compute with so many threads, itself among them.
    void use_threads(int threads) {
        team_ = threads > 1 ? std::make_unique<Team>(threads) : nullptr;
    }

    // Adds a loop `body(begin, end)` over `count` things, of which a piece has at least `grain`, if
    // there are as many. How it is cut says nothing about what comes out. The body is kept by value,
    // and what it points to must stay until the loops have run: see `room` and `keep`.
    template <class F>
    void add(int64_t count, int64_t grain, const F& body) {
        const int64_t most = team_ ? PIECES * team_->threads() : 1;
        const int64_t pieces = std::min((count + grain - 1) / grain, most);
        add_pieces(pieces, [=](int64_t piece) {
            body(count * piece / pieces, count * (piece + 1) / pieces);
        });
    }

    // Adds a loop `body(at)` over things that differ in length: each is a piece.
    template <class F>
    void add_each(int64_t count, const F& body) {
        const int64_t pieces = std::min<int64_t>(count, Team::MOST_PIECES);
        add_pieces(pieces, [=](int64_t piece) {
            for (int64_t at = piece; at < count; at += pieces) body(at);
        });
    }

    // Numbers for loops to work in, which may hold anything: there until the next call begins.
    template <class T>
    T* room(int64_t count) {
        return rooms_.take<T>(count);
    }

    // Numbers that are written while loops are added, there until they have run.
    template <class T>
    T* keep(int64_t count) {
        return kept_.take<T>(count);
    }

    // Begins another call, whose loops begin when those before have ended, and so have their rooms
    // again. What they take is added to `seconds`.
    void begin_call(double* seconds) {
        seconds_ = seconds;
        rooms_.rewind();
    }

    // Runs what was added, and forgets it.
    void run() {
        flush();
        rooms_.clear();
        kept_.clear();
        seconds_ = nullptr;
    }

  private:
    // For each thread: so that one that comes late finds something left to do.
    static constexpr int64_t PIECES = 4;

    template <class F>
    void add_pieces(int64_t pieces, const F& body) {
        static_assert(std::is_trivially_destructible_v<F>);
        if (pieces <= 0) return;
        if (team_ == nullptr) return run_alone(pieces, body);
        if (count_ == Team::MOST_LOOPS) flush();
        Loop& loop = team_->loop(count_++);
        loop.pieces.store(uint32_t(pieces), std::memory_order_relaxed);
        loop.context.store(new (kept_.take<F>(1)) F(body), std::memory_order_relaxed);
        loop.seconds.store(seconds_, std::memory_order_relaxed);
        loop.body.store(
            [](const void* context, int64_t piece) { (*static_cast<const F*>(context))(piece); },
            std::memory_order_relaxed);
    }

    template <class F>
    void run_alone(int64_t pieces, const F& body) {
        const auto start = std::chrono::steady_clock::now();
        for (int64_t piece = 0; piece < pieces; ++piece) body(piece);
        release_tiles();
        if (seconds_ == nullptr) return;
        *seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

    void flush() {
        if (team_) team_->run(count_);
        count_ = 0;
    }

    std::unique_ptr<Team> team_;
    Rooms rooms_, kept_;
    uint32_t count_ = 0;
    double* seconds_ = nullptr;
};

}  // namespace
