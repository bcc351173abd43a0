// A decoder as a short program: steps over registers, all of them for a few tokens in one call.
//
// At these sizes a decoder reads every weight once for each token, so a token costs at least
// (bytes of weights) / (bandwidth of the memory). What stands between PyTorch and that limit is the
// cost of a hundred calls for each token and a product of one row that reads at half the bandwidth.
// Here the threads start once, run through the steps together, and wait for each other after each.
//
// Every sum is taken in the same order whatever else is in the batch: a row's logits are the same
// to the last bit alone, among others, and in whatever pieces its prompt was read.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "attention.h"
#include "choices.h"
#include "products.h"
#include "steps.h"
#include "vectors.h"

// Puts what `change(at, count)` gives in the part of a row that is this thread's.
template <class Change>
static void for_each(float* row, int64_t width, Share share, Change change) {
    const int64_t vectors = (width + LANES - 1) / LANES;
    for (int64_t v = begin_of(vectors, share); v < end_of(vectors, share); v++) {
        const int64_t at = v * LANES, count = std::min<int64_t>(LANES, width - at);
        store_some(row + at, change(at, count), count);
    }
}

// The sum of (x - mean), or of its square.
static float sum_row(const float* x, int64_t width, float mean, int power) {
    Floats sums = {};
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        const Floats centred = load(x + i) - mean;
        sums += power == 2 ? centred * centred : centred;
    }
    float sum = sum_of(sums);
    for (; i < width; i++) sum += power == 2 ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
    return sum;
}

// LayerNorm, RMSNorm, and the norm of each head's vector, by what the step gives.
static void norm(const Step& step, const float* from, float* to) {
    const int64_t width = step.inputs;
    const float* weight = (const float*)step.weight;
    for (int64_t group = 0; group < step.outputs; group++) {
        const float* x = from + step.offset + group * width;
        float* y = to + step.offset + group * width;
        const float mean = step.option ? sum_row(x, width, 0.0f, 1) / width : 0.0f;
        const float square = sum_row(x, width, mean, 2);
        const float factor = step.second / std::sqrt(square / width + (float)step.first);
        for (int64_t at = 0; at < width; at += LANES) {
            const int64_t count = width - at;
            Floats normed = (load_some(x + at, count) - mean) * factor;
            if (weight) normed *= load_some(weight + at, count);
            if (step.bias) normed += load_some(step.bias + at, count);
            store_some(y + at, normed, count);
        }
    }
}

// Rotates the queries and keys of a token (where there are angles) and caches its keys and values.
// A row of the register holds all queries, then all keys, then all values.
static void rotate(const Step& step, const Batch& batch, float* row, int64_t token) {
    const int64_t channels = step.channels, half = channels / 2;
    const int64_t keys = step.heads + step.shared_heads;
    if (step.scale) {
        const float* cosine = step.scale + batch.positions[token] * channels;
        const float* sine = step.bias + batch.positions[token] * channels;
        for (int64_t head = 0; head < keys; head++) {
            float* x = row + head * channels;
            for (int64_t i = 0; i < half; i++) {
                const float left = x[i], right = x[i + half];
                x[i] = left * cosine[i] - right * sine[i];
                x[i + half] = right * cosine[i] + left * sine[i];
            }
        }
    }
    const int64_t place = row_of(batch, token) * batch.row_stride +
                          batch.slots[token] * batch.slot_stride;
    for (int64_t head = 0; head < step.shared_heads; head++) {
        const int64_t at = place + head * batch.head_stride;
        const float* key = row + (step.heads + head) * channels;
        const float* value = row + (keys + head) * channels;
        std::memcpy(batch.keys[step.layer] + at, key, channels * sizeof(float));
        std::memcpy(batch.values[step.layer] + at, value, channels * sizeof(float));
    }
}

static void activate(const Step& step, float* row, Share share) {
    for_each(row, step.outputs, share, [&](int64_t at, int64_t count) -> Floats {
        const Floats zero = {}, x = load_some(row + at, count);
        if (step.option == RELU) return x > zero ? x : zero;
        if (step.option == SQUARED_RELU) return x > zero ? x * x : zero;
        if (step.option == SILU) return x / (1.0f + exponential(-x));
        // GELU by tanh (Hendrycks and Gimpel 2016, section 2); (1 + tanh u) / 2 = 1 / (1 + e^-2u).
        const Floats u = 0.7978845608f * (x + 0.044715f * x * x * x);
        return x / (1.0f + exponential(-2.0f * u));
    });
}

static void perform(const Step& step, const Register* registers, const Batch& batch, Share share,
                    const void* next) {
    const Register from = registers[step.from], to = registers[step.to];
    if (step.kind == PRODUCT) {
        const int64_t tokens = batch.tokens;
        if (step.option == FP32) product<float>(step, from, to, tokens, share, next);
        if (step.option == BF16) product<BFloat16>(step, from, to, tokens, share, next);
        if (step.option == INT8) product<int8_t>(step, from, to, tokens, share, next);
        return;
    }
    if (step.kind == ATTEND && batch.lineage) return attend_beams(step, batch, from, to, share);
    if (step.kind == ATTEND || step.kind == ATTEND_MEMORY)
        return attend_all(step, batch, from, to, share);
    if (step.kind == NORM || step.kind == ROTATE) {  // token by token
        for (int64_t t = begin_of(batch.tokens, share); t < end_of(batch.tokens, share); t++) {
            float* row = to.values + t * to.width;
            if (step.kind == NORM) norm(step, from.values + t * from.width, row);
            if (step.kind == ROTATE) rotate(step, batch, row, t);
        }
        return;
    }
    for (int64_t token = 0; token < batch.tokens; token++) {  // number by number
        const float* other = from.values + token * from.width;
        float* row = to.values + token * to.width;
        if (step.kind == ACTIVATE) activate(step, row, share);
        if (step.kind == GATE)  // `other` holds the gates, then what they let through
            for_each(row, step.outputs, share, [&](int64_t at, int64_t count) -> Floats {
                const Floats gate = load_some(other + at, count);
                return gate / (1.0f + exponential(-gate)) *
                       load_some(other + step.outputs + at, count);
            });
        if (step.kind == MIX)
            for_each(row, step.outputs, share, [&](int64_t at, int64_t count) -> Floats {
                return load_some(row + at, count) * (float)step.first +
                       load_some(other + at, count) * (float)step.second;
            });
    }
}

struct Piece { const char *begin, *end; };

// The weights that this thread reads in the next product.
static Piece next_weights(const Step* step, const Step* end, Share share) {
    constexpr int64_t SIZES[] = {4, 2, 1};
    while (step < end && step->kind != PRODUCT) step++;
    if (step == end) return {};
    const int64_t panels = (step->outputs + PANEL - 1) / PANEL;
    const int64_t size = PANEL * step->inputs * SIZES[step->option];
    const char* weight = (const char*)step->weight;
    return {weight + begin_of(panels, share) * size, weight + end_of(panels, share) * size};
}

// Asks the memory for weights that are read soon. While the vectors of a token are normed or
// attended to, nothing else is asked of it.
static void fetch_ahead(Piece next, int64_t fetched) {
    const char* from = next.begin + std::min(next.end - next.begin, fetched * BLOCK);
    const char* end = from + std::min(next.end - from, BLOCK);
    for (; from < end; from += LINE) __builtin_prefetch(from, 0, 2);
}

// Where the threads of a call wait for each other: a fifth of the time that OpenMP's barrier takes,
// and a token has some seventy of them.
class Meeting {
  public:
    void wait(int64_t turn, int64_t all) {  // the turns are counted from 1
        int64_t here = arrived.fetch_add(1, std::memory_order_acq_rel) + 1;
        for (int64_t looks = 0; here < turn * all; looks++) {
            if (looks > PATIENCE) std::this_thread::yield();  // more threads than processors
            here = arrived.load(std::memory_order_acquire);
        }
    }

  private:
    static constexpr int64_t PATIENCE = 10000;
    alignas(LINE) std::atomic<int64_t> arrived{0};
};

static void run_steps(const Step* steps, int64_t count, const Register* registers,
                      const Batch& batch, int64_t threads) {
#ifdef _OPENMP
    Meeting meeting;
#pragma omp parallel num_threads(threads)
    {
        const Share share = {omp_get_thread_num(), omp_get_num_threads()};
        int64_t fetched = 0;
        for (int64_t step = 0; step < count; step++) {
            const Piece next = next_weights(steps + step + 1, steps + count, share);
            perform(steps[step], registers, batch, share, next.begin);
            fetched = steps[step].kind == PRODUCT ? 0 : fetched + 1;
            if (batch.tokens == 1) fetch_ahead(next, fetched);
            meeting.wait(step + 1, share.all);
        }
    }
#else
    (void)threads;
    for (int64_t step = 0; step < count; step++)
        perform(steps[step], registers, batch, {0, 1}, nullptr);
#endif
}

extern "C" int64_t panel_width() { return PANEL; }

// Returns how many tokens stand where the cache has no slot or the rotation no angle; then nothing
// was done.
extern "C" int64_t run(const Step* steps, int64_t count, const int64_t* widths, const Batch* batch,
                       int64_t threads) {
    int64_t outside = 0;
    for (int64_t token = 0; batch->slots && token < batch->tokens; token++)
        outside += batch->slots[token] < 0 || batch->slots[token] >= batch->capacity ||
                   batch->positions[token] < 0 || batch->positions[token] >= batch->context;
    if (outside) return outside;
    Register registers[ALL_REGISTERS];
    float* free = batch->scratch;
    for (int at = NORMED; at < FIRST; at++) {
        registers[at] = {free, widths[at]};
        free += std::min(batch->most, batch->tokens) * widths[at];
    }
    Batch part = *batch;
    for (int64_t begin = 0; begin < batch->tokens; begin += batch->most) {
        part.from_token = begin;
        part.tokens = std::min(batch->most, batch->tokens - begin);
        if (batch->slots) part.slots = batch->slots + begin;
        if (batch->positions) part.positions = batch->positions + begin;
        if (batch->starts) part.starts = batch->starts + begin;
        for (auto [at, values] : {std::pair(STREAM, batch->stream), std::pair(FIRST, batch->first),
                                  std::pair(OUT, batch->out)})
            registers[at] = {values ? values + begin * widths[at] : nullptr, widths[at]};
        run_steps(steps, count, registers, part, threads);
    }
    return 0;
}
