// Memory that a thread works in. It grows and is kept: new pages take longer than what is written to
// them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace {

template <class T>
class Room {
  public:
    // At least `count` numbers, which may hold anything.
    T* of(int64_t count) {
        if (count > int64_t(numbers_.size())) numbers_.resize(count);
        return numbers_.data();
    }
    const T* data() const { return numbers_.data(); }

  private:
    std::vector<T> numbers_;
};

// Rooms one after another, given back all at once.
class Rooms {
  public:
    // `count` numbers from the start of a cache line, which may hold anything.
    template <class T>
    T* take(int64_t count) {
        const int64_t lines = (count * int64_t(sizeof(T)) + LINE_BYTES - 1) / LINE_BYTES;
        if (blocks_.empty() || lines > size_ - used_) {
            size_ = std::max(lines, std::max<int64_t>(2 * size_, LEAST));
            blocks_.emplace_back(new Line[size_]);
            used_ = 0;
        }
        used_ += lines;
        return reinterpret_cast<T*>(blocks_.back().get() + used_ - lines);
    }

    // Lets the last block be taken again; what else was taken stays until all is cleared.
    void rewind() { used_ = 0; }

    // Only the largest block is kept, so that before long one is enough.
    void clear() {
        if (blocks_.size() > 1) blocks_.erase(blocks_.begin(), blocks_.end() - 1);
        used_ = 0;
    }

  private:
    static constexpr int64_t LINE_BYTES = 64, LEAST = 1 << 12;
    struct alignas(LINE_BYTES) Line {
        char bytes[LINE_BYTES];
    };

    std::vector<std::unique_ptr<Line[]>> blocks_;
    int64_t size_ = 0, used_ = 0;
};

}  // namespace
