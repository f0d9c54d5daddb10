// The library's products, norms and choices, held to plain loops in double: a program of its own, for
// machines that run no tests in Python.
#include "kernels.cpp"

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

uint32_t state = 1;

// A number in [-1, 1), the same on every machine.
float drawn() {
    state = state * 1664525u + 1013904223u;
    return float(state >> 8) / float(1 << 23) - 1.0f;
}

template <class T>
std::vector<T> draw(int64_t count) {
    std::vector<T> found(count);
    for (T& each : found) narrow(drawn(), &each);
    return found;
}

template <class T>
constexpr double STEP = sizeof(T) == 4 ? 1e-6 : 1.0 / 128;

bool close(const char* what, int64_t at, double found, double expected, double scale) {
    if (std::abs(found - expected) <= scale) return true;
    std::printf("%s at %ld: %g instead of %g\n", what, long(at), found, expected);
    return false;
}

template <class T>
std::vector<T> packed(Loops& loops, const std::vector<T>& w, int64_t outputs, int64_t inputs) {
    std::vector<T> to(Calls<T>::packed_size(outputs, inputs));
    Calls<T>::pack(loops, w.data(), inputs, 1, outputs, inputs, to.data());
    loops.run();
    return to;
}

// What a row of x and a row of w make, and how large its terms are together.
template <class T>
std::pair<double, double> product(const T* x, const T* w, int64_t inputs) {
    double sum = 0, terms = 0;
    for (int64_t i = 0; i < inputs; ++i) {
        const double term = double(widen(x[i])) * widen(w[i]);
        sum += term;
        terms += std::abs(term);
    }
    return {sum, terms};
}

template <class T>
bool linear(Loops& loops, int64_t rows, int64_t inputs, int64_t outputs) {
    const auto x = draw<T>(rows * inputs), w = draw<T>(outputs * inputs), bias = draw<T>(outputs);
    std::vector<T> y(rows * outputs);
    const auto matrix = packed(loops, w, outputs, inputs);
    Calls<T>::linear(
        loops, x.data(), inputs, {rows}, matrix.data(), bias.data(), outputs, inputs, y.data(),
        outputs, nullptr, 0, {nullptr}, {0});
    loops.run();
    for (int64_t at = 0; at < rows * outputs; ++at) {
        const int64_t row = at / outputs, output = at % outputs;
        const auto [sum, terms] = product(&x[row * inputs], &w[output * inputs], inputs);
        const double added = widen(bias[output]);
        if (!close("linear", at, widen(y[at]), sum + added, STEP<T> * (terms + 1))) return false;
    }
    return true;
}

template <class T>
bool linear_bytes(Loops& loops, int64_t rows, int64_t inputs, int64_t outputs) {
    const auto x = draw<T>(rows * inputs);
    std::vector<int8_t> w(outputs * inputs);
    for (int8_t& each : w) each = int8_t(127 * drawn());
    std::vector<int8_t> matrix(Calls<T>::packed_bytes_size(outputs, inputs));
    Calls<T>::pack_bytes(loops, w.data(), inputs, 1, outputs, inputs, matrix.data());
    loops.run();
    // Scales are read some beyond the last.
    std::vector<float> scales(outputs + 16, 1.0f / 127);
    std::vector<T> y(rows * outputs);
    Calls<T>::linear_bytes(
        loops, x.data(), inputs, {rows}, matrix.data(), scales.data(), nullptr, outputs, inputs,
        y.data(), outputs, nullptr, 0, {nullptr}, {0});
    loops.run();
    for (int64_t at = 0; at < rows * outputs; ++at) {
        double sum = 0, terms = 0;
        for (int64_t i = 0; i < inputs; ++i) {
            const double term = widen(x[at / outputs * inputs + i]) * w[at % outputs * inputs + i] / 127.0;
            sum += term;
            terms += std::abs(term);
        }
        // Rows may be rounded to bytes, too.
        if (!close("linear_bytes", at, widen(y[at]), sum, (STEP<T> + 0.01) * (terms + 1))) return false;
    }
    return true;
}

// Two runs of two slots, and between them rows that are nobody's.
template <class T>
bool small_rank(Loops& loops, int64_t inputs, int64_t outputs) {
    constexpr int64_t ROWS = 9, RANK = 4;
    const auto x = draw<T>(ROWS * inputs), before = draw<T>(ROWS * outputs);
    std::vector<T> a[2], b[2], packed_a[2], packed_b[2];
    Part parts[2];
    for (int slot = 0; slot < 2; ++slot) {
        a[slot] = draw<T>(RANK * inputs);
        b[slot] = draw<T>(outputs * RANK);
        packed_a[slot] = packed(loops, a[slot], RANK, inputs);
        packed_b[slot] = packed(loops, b[slot], outputs, RANK);
        parts[slot] = {packed_a[slot].data(), packed_b[slot].data(), nullptr, nullptr, RANK, 0};
    }
    std::vector<T> y = before;
    const Site site{x.data(), inputs, inputs, y.data(), outputs, outputs, parts, 2};
    const Run runs[] = {{0, 0, 3}, {1, 5, ROWS}};
    Calls<T>::small_rank(loops, &site, 1, {runs}, {2});
    loops.run();
    for (int64_t at = 0; at < ROWS * outputs; ++at) {
        const int64_t row = at / outputs, output = at % outputs;
        double sum = widen(before[at]), terms = 1;
        if (row < 3 || row >= 5)
            for (int64_t r = 0; r < RANK; ++r) {
                const int slot = row >= 5;
                const auto [inner, parts_of] = product(&x[row * inputs], &a[slot][r * inputs], inputs);
                sum += inner * widen(b[slot][output * RANK + r]);
                terms += parts_of;
            }
        if (!close("small_rank", at, widen(y[at]), sum, 2 * STEP<T> * terms)) return false;
    }
    return true;
}

template <class T>
bool add_norm(Loops& loops, int64_t rows, int64_t width) {
    auto x = draw<T>(rows * width);
    const auto kept = x, y = draw<T>(rows * width);
    const auto weight = draw<float>(width);
    std::vector<T> to(rows * width);
    Calls<T>::add_norm(loops, x.data(), y.data(), width, weight.data(), nullptr, 1e-5f, {rows}, width, to.data());
    loops.run();
    for (int64_t row = 0; row < rows; ++row) {
        double squares = 0;
        for (int64_t i = 0; i < width; ++i) {
            const double sum = double(widen(kept[row * width + i])) + widen(y[row * width + i]);
            squares += sum * sum;
        }
        for (int64_t i = 0; i < width; ++i) {
            const int64_t at = row * width + i;
            const double sum = double(widen(kept[at])) + widen(y[at]);
            const double expected = sum / std::sqrt(squares / width + 1e-5) * weight[i];
            if (!close("add_norm", at, widen(to[at]), expected, 4 * STEP<T> * (std::abs(expected) + 1))) return false;
        }
    }
    return true;
}

template <class T>
bool likeliest(Loops& loops, int64_t rows, int64_t width) {
    const auto x = draw<T>(rows * width);
    std::vector<const uint32_t*> allowed(rows, nullptr);
    std::vector<int64_t> to(rows);
    Calls<T>::likeliest(loops, x.data(), {rows}, width, allowed.data(), to.data());
    loops.run();
    for (int64_t row = 0; row < rows; ++row) {
        int64_t best = 0;
        for (int64_t i = 1; i < width; ++i)
            if (widen(x[row * width + i]) > widen(x[row * width + best])) best = i;
        if (to[row] != best) return close("likeliest", row, double(to[row]), double(best), 0);
    }
    return true;
}

template <class T>
bool all(Loops& loops) {
    for (const int64_t rows : {1, 3, 17})
        for (const int64_t inputs : {2, 30, 578})
            for (const int64_t outputs : {1, 16, 71})
                if (!linear<T>(loops, rows, inputs, outputs) ||
                    !linear_bytes<T>(loops, rows, inputs, outputs) ||
                    !small_rank<T>(loops, inputs, outputs))
                    return false;
    return add_norm<T>(loops, 5, 70) && likeliest<T>(loops, 7, 1001);
}

}  // namespace

int main() {
    Loops& loops = Loops::own();
    for (const int threads : {1, 3}) {
        loops.use_threads(threads);
        if (!all<float>(loops) || !all<BFloat16>(loops)) return 1;
    }
    return 0;
}
