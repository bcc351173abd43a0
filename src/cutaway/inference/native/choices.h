// What a search asks of a row of logits: the log-probabilities of the likeliest tokens, best first.
// The row is read twice while it is near: for its greatest numbers, and for the sum of all e^x.

#pragma once

#include <algorithm>
#include <cmath>

#include "steps.h"
#include "vectors.h"

static bool has_greater(Floats x, Floats bound) {
#ifdef __AVX512F__
    return _mm512_cmp_ps_mask((__m512)x, (__m512)bound, _CMP_GT_OQ);
#else
    return greatest_of(x - bound) > 0;
#endif
}

// Puts a number among the best so far; of equal ones the first stays before.
static void insert(float x, int64_t place, int64_t count, float* best, int64_t* places) {
    int64_t at = count - 1;
    for (; at > 0 && best[at - 1] < x; at--) {
        best[at] = best[at - 1];
        places[at] = places[at - 1];
    }
    best[at] = x;
    places[at] = place;
}

static void choose(const float* row, int64_t width, int64_t count, float* best, int64_t* places) {
    std::fill_n(best, count, -INFINITY);
    for (int64_t at = 0; at < count; at++) places[at] = at;
    Floats least = Floats{} - INFINITY;  // what the next must exceed; few do
    for (int64_t i = 0; i < width; i += LANES) {
        const int64_t lanes = std::min<int64_t>(LANES, width - i);
        if (lanes == LANES && !has_greater(load(row + i), least)) continue;
        for (int64_t place = i; place < i + lanes; place++)
            if (row[place] > best[count - 1]) insert(row[place], place, count, best, places);
        least = Floats{} + best[count - 1];
    }
}

static float sum_of_powers(const float* row, int64_t width, float most) {
    Floats sums = {};
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) sums += exponential(load(row + i) - most);
    float sum = sum_of(sums);
    for (; i < width; i++) sum += std::exp(row[i] - most);
    return sum;
}

// `best` and `places` have room for `count` of each row.
extern "C" void choose_likeliest(const float* rows, int64_t number, int64_t width, int64_t count,
                                 float* best, int64_t* places, int64_t threads) {
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads)
#endif
    for (int64_t row = 0; row < number; row++) {
        float* logprobs = best + row * count;
        choose(rows + row * width, width, count, logprobs, places + row * count);
        const float most = logprobs[0];
        const float logarithm = most + std::log(sum_of_powers(rows + row * width, width, most));
        for (int64_t at = 0; at < count; at++) logprobs[at] -= logarithm;
    }
}
