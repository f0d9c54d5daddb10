// Memory that a thread works in. It grows and is kept: new pages take longer than what is written to
// them.
#pragma once

#include <cstdint>
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

}  // namespace
