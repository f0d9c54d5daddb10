// Small-rank parts that add to a projection of the base: their narrow products come first, and what
// these make goes into the projection's own sums, panel by panel, before they are rounded.
#pragma once

#include "bytes.h"
#include "linear.h"
#include "small_rank.h"

namespace {

// Outputs [first, first + outputs) of a projection, and the parts that add to them by slot.
struct Addition {
    const Part* parts;
    int64_t slots, first, outputs;

    const Part* part(int32_t slot) const { return part_of(parts, slots, slot); }
};

struct Additions {
    const Addition* items;
    int64_t count;
    const Run* runs;
    int64_t run_count;

    Additions(const Addition* items, int64_t count, const Run* runs, int64_t run_count)
        : items(items), count(count), runs(runs), run_count(count ? run_count : 0) {}
};

// The narrow products of all rows, a stretch [rows, width] for each addition.
template <class T>
class Inner {
  public:
    Inner(Loops& loops, const Additions& added, int64_t rows) : rows_(rows) {
        for (int64_t i = 0; i < added.count; ++i)
            for (int64_t run = 0; run < added.run_count; ++run)
                if (const Part* part = added.items[i].part(added.runs[run].slot))
                    width_ = std::max(width_, padded(part->rank, LANES));
        numbers_ = loops.room<T>(added.count * rows * width_);
    }
    T* row(int64_t addition, int64_t row) const {
        return numbers_ + (addition * rows_ + row) * width_;
    }
    int64_t width() const { return width_; }

  private:
    int64_t rows_, width_ = 0;
    T* numbers_;
};

template <class T>
void shrink_all(
    Loops& loops, const T* x, int64_t x_stride, int64_t inputs, const Additions& added,
    const Inner<T>& inner) {
    share_rows(
        loops, added.runs, added.run_count,
        [=](int32_t slot, int64_t from, int64_t to, int32_t following) {
            for (int64_t row = from; row < to;) {
                const int share = share_of(to - row, ROWS<T>);
                for (int64_t i = 0; i < added.count; ++i) {
                    const Part* part = added.items[i].part(slot);
                    if (part == nullptr) continue;
                    const bool last = i + 1 == added.count;
                    const Part* next =
                        last ? added.items[0].part(following) : added.items[i + 1].part(slot);
                    shrink(
                        x + row * x_stride, x_stride, share, inputs, *part, inner.row(i, row),
                        inner.width(), next ? next->a : nullptr);
                }
                row += share;
            }
        });
}

// Adds to the sums of one panel and of the rows from `first` on what the parts there make.
template <class T>
struct Expand {
    Additions added;
    Inner<T> inner;
    int64_t first, rows;

    template <int C>
    void operator()(int64_t panel, Lanes (&sums)[ROWS<T>][C]) const {
        for (int64_t i = 0; i < added.count; ++i) {
            const int64_t output = panel * WIDTH - added.items[i].first;
            if (output < 0 || output >= added.items[i].outputs) continue;
            for (int64_t run = 0; run < added.run_count; ++run) expand(i, added.runs[run], output, sums);
        }
    }

    template <int C>
    void expand(int64_t i, const Run& run, int64_t output, Lanes (&sums)[ROWS<T>][C]) const {
        const int64_t from = std::max<int64_t>(run.start, first);
        const int64_t to = std::min<int64_t>(run.end, first + rows);
        const Part* part = from < to ? added.items[i].part(run.slot) : nullptr;
        if (part == nullptr) return;
        const int64_t count = groups<T>(part->rank), size = count * Arithmetic<T>::GROUP;
        const T* panel = static_cast<const T*>(part->b) + output * size;
        accumulate_rows<T, C>(
            int(to - from), inner.row(i, from), inner.width(), panel, count, sums + (from - first),
            true, panel + WIDTH * size);
        const T* bias = static_cast<const T*>(part->b_bias);
        for (int64_t row = from; bias && row < to; ++row)
            for (int c = 0; c < C; ++c)
                sums[row - first][c] = add_bias(
                    sums[row - first][c], bias, output + c * LANES, added.items[i].outputs);
    }
};

// Adds to y, whose projection is done, what the parts make of x.
template <class T>
void add_parts(
    Loops& loops, const T* x, int64_t x_stride, int64_t inputs, const Additions& added, T* y,
    int64_t y_stride) {
    Site* sites = loops.keep<Site>(added.count);
    for (int64_t i = 0; i < added.count; ++i) {
        const Addition& item = added.items[i];
        sites[i] = {
            x, x_stride, inputs, y + item.first, y_stride, item.outputs, item.parts, item.slots};
    }
    small_rank<T>(loops, sites, added.count, added.runs, added.run_count);
}

// Those additions whose outputs are whole panels of the projection, which lie as their B's do, or the
// others: each by its own site, whatever else is added.
inline Additions select(Loops& loops, const Additions& added, int64_t outputs, bool whole) {
    Addition* items = loops.keep<Addition>(added.count);
    int64_t count = 0;
    for (int64_t i = 0; i < added.count; ++i) {
        const Addition& item = added.items[i];
        const int64_t end = item.first + item.outputs;
        const bool is_whole = item.first % WIDTH == 0 && (end % WIDTH == 0 || end == outputs);
        if (is_whole == whole) items[count++] = item;
    }
    return {items, count, added.runs, added.run_count};
}

// y = x·Wᵀ + b and what the parts add.
template <class T>
void linear_added(
    Loops& loops, const T* x, int64_t x_stride, int64_t rows, const T* w, const T* bias,
    int64_t outputs, int64_t inputs, T* y, int64_t y_stride, const Additions& added) {
    const Additions within = select(loops, added, outputs, true);
    const Additions after = select(loops, added, outputs, false);
    if (within.run_count) {
        const Inner<T> inner(loops, within, rows);
        shrink_all(loops, x, x_stride, inputs, within, inner);
        linear(
            loops, x, x_stride, rows, w, bias, outputs, inputs, y, y_stride,
            [=](int64_t row, int64_t count) { return Expand<T>{within, inner, row, count}; });
    } else {
        linear(
            loops, x, x_stride, rows, w, bias, outputs, inputs, y, y_stride,
            [](int64_t, int64_t) { return Nothing{}; });
    }
    if (after.run_count) add_parts(loops, x, x_stride, inputs, after, y, y_stride);
}

// The same over weights of one byte, whose sums are another sort of numbers: parts are added after.
template <class T>
void linear_bytes_added(
    Loops& loops, const T* x, int64_t x_stride, int64_t rows, const int8_t* w, const float* scales,
    const T* bias, int64_t outputs, int64_t inputs, T* y, int64_t y_stride, const Additions& added) {
    linear_bytes(loops, x, x_stride, rows, w, scales, bias, outputs, inputs, y, y_stride);
    if (added.run_count) add_parts(loops, x, x_stride, inputs, added, y, y_stride);
}

}  // namespace
