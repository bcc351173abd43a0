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
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __AVX512F__
#include <immintrin.h>
constexpr int LANES = 16;  // floats in a register of the processor, which has 32 of them
constexpr int ROWS = 6;    // tokens that share one reading of the weights: 6 x 4 sums, 4 weights
#else
constexpr int LANES = 8;
constexpr int ROWS = 2;
#endif
constexpr int PANEL = 4 * LANES;  // outputs whose weights lie together, input by input

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
struct BFloat16 { uint16_t bits; };

enum Kind { PRODUCT, NORM, ROTATE, ATTEND, GATE, ACTIVATE, MIX };
enum Format { FP32, BF16, INT8 };
enum Activation { GELU, SQUARED_RELU };

// What a step does, with which weights; `inference/fast.py:Step` is the same in Python.
struct Step {
    int64_t kind, from, to;   // `from` and `to` are registers
    int64_t option;           // Format of a product, Activation, or whether a norm centres
    int64_t inputs, outputs;  // of a product; numbers of a norm's group, and groups in a row
    int64_t offset;           // where in a row a norm begins
    int64_t is_added;         // whether a product is added to what `to` holds
    int64_t layer, heads, shared_heads, channels, window;
    const void* weight;
    const float *scale, *bias;
    double first, second;     // factors of a mixture; a norm's epsilon and scale
};

struct Register { float* values; int64_t width; };

// The tokens of this call, and the cache that they read and write.
struct Batch {
    int64_t tokens, row_length, begin;  // `begin`: tokens of the batch before the first one here
    const int64_t *slots, *positions;   // place in the row's cache; angle of the rotation
    const int64_t* starts;              // first slot that a token may read; null: 0
    float *const *keys, *const *values;
    int64_t row_stride, head_stride;    // numbers from one row of the cache to the next, and head
    int64_t capacity, context;          // slots of a row; positions that have angles
};

struct Share { int64_t mine, all; };  // which thread of how many

static int64_t begin_of(int64_t count, Share share) { return count * share.mine / share.all; }
static int64_t end_of(int64_t count, Share share) { return count * (share.mine + 1) / share.all; }

static Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

// Widening is one instruction, which GCC 12 does not find by itself.
static Ints widen(Halves halves) {
#ifdef __AVX512F__
    return (Ints)_mm512_cvtepu16_epi32((__m256i)halves);
#else
    return __builtin_convertvector(halves, Ints);
#endif
}

static Ints widen(Bytes bytes) {
#ifdef __AVX512F__
    return (Ints)_mm512_cvtepi8_epi32((__m128i)bytes);
#else
    return __builtin_convertvector(bytes, Ints);
#endif
}

static Floats load(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return (Floats)(widen(halves) << 16);  // a bf16 is the upper half of an fp32
}

static Floats load(const int8_t* from) {
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(widen(bytes), Floats);
}

static Floats load_some(const float* from, int64_t count) {
    if (count == LANES) return load(from);
    float lanes[LANES] = {};  // the rest of a row that is no multiple of LANES
    std::memcpy(lanes, from, count * sizeof(float));
    return load(lanes);
}

static void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

static float sum_of(Floats values) {
    float lanes[LANES];
    store(lanes, values);
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

static float dot(const float* left, const float* right, int64_t count) {
    Floats sums = {};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) sums += load(left + i) * load(right + i);
    float sum = sum_of(sums);
    for (; i < count; i++) sum += left[i] * right[i];
    return sum;
}

// e^x as 2^n e^r with |r| <= ln(2) / 2 and e^r by its series; within 2 units in the last place.
static Floats exponential(Floats x) {
    const Floats zero = {};
    const Floats least = zero - 87.0f, most = zero + 88.0f;
    x = x < least ? least : x;
    x = x > most ? most : x;
    const Floats shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: n is in the low bits
    const Floats n = shifted - 12582912.0f;
    const Floats r = x - n * 0.693359375f - n * -2.12194440e-4f;
    Floats series = zero + 1.0f / 720;
    for (float term : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) series = series * r + term;
    return (Floats)((Ints)series + ((Ints)shifted << 23));
}

// Puts what `change(at, count)` gives in the part of a row that is this thread's.
template <class Change>
static void for_each(float* row, int64_t width, Share share, Change change) {
    const int64_t vectors = (width + LANES - 1) / LANES;
    for (int64_t v = begin_of(vectors, share); v < end_of(vectors, share); v++) {
        const int64_t at = v * LANES, count = std::min<int64_t>(LANES, width - at);
        const Floats changed = change(at, count);
        std::memcpy(row + at, &changed, count * sizeof(float));
    }
}

// The sums of one panel of outputs for `rows` tokens, weight by weight as they lie in memory.
template <class Weight, int rows>
static void sum_panel(const Weight* weight, const float* x, int64_t stride, int64_t inputs,
                      Floats (*sums)[4]) {
    Floats sum[rows][4] = {};
    for (int64_t input = 0; input < inputs; input++, weight += PANEL) {
        const Floats w[4] = {load(weight), load(weight + LANES), load(weight + 2 * LANES),
                             load(weight + 3 * LANES)};
        for (int row = 0; row < rows; row++)
            for (int part = 0; part < 4; part++)
                sum[row][part] += w[part] * x[row * stride + input];
    }
    std::memcpy(sums, sum, sizeof sum);
}

template <class Weight, int rows = ROWS>
static void sum_rows(int64_t count, const Weight* weight, const float* x, int64_t stride,
                     int64_t inputs, Floats (*sums)[4]) {
    if (count == rows) return sum_panel<Weight, rows>(weight, x, stride, inputs, sums);
    if constexpr (rows > 1)
        sum_rows<Weight, rows - 1>(count, weight, x, stride, inputs, sums);
}

static void write_panel(const Step& step, int64_t panel, const Floats* sums, float* to) {
    float lanes[PANEL];
    for (int part = 0; part < 4; part++) {
        const int64_t at = panel * PANEL + part * LANES;
        Floats result = sums[part];
        if (step.scale) result *= load(step.scale + at);
        if (step.bias) result += load(step.bias + at);
        store(lanes + part * LANES, result);
    }
    const int64_t count = std::min<int64_t>(PANEL, step.outputs - panel * PANEL);
    to += panel * PANEL;
    if (step.is_added)
        for (int64_t i = 0; i < count; i++) to[i] += lanes[i];
    else
        std::memcpy(to, lanes, count * sizeof(float));
}

template <class Weight>
static void product(const Step& step, Register from, Register to, int64_t tokens, Share share) {
    const int64_t panels = (step.outputs + PANEL - 1) / PANEL;
    for (int64_t panel = begin_of(panels, share); panel < end_of(panels, share); panel++) {
        const Weight* weight = (const Weight*)step.weight + panel * PANEL * step.inputs;
        for (int64_t token = 0; token < tokens; token += ROWS) {
            const int64_t rows = std::min<int64_t>(ROWS, tokens - token);
            Floats sums[ROWS][4];
            sum_rows<Weight>(rows, weight, from.values + token * from.width, from.width,
                             step.inputs, sums);
            for (int64_t row = 0; row < rows; row++)
                write_panel(step, panel, sums[row], to.values + (token + row) * to.width);
        }
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
        for (int64_t i = 0; i < width; i++) {
            y[i] = (x[i] - mean) * factor * (weight ? weight[i] : 1.0f);
            if (step.bias) y[i] += step.bias[i];
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
    const int64_t place = (batch.begin + token) / batch.row_length * batch.row_stride +
                          batch.slots[token] * channels;
    for (int64_t head = 0; head < step.shared_heads; head++) {
        const int64_t at = place + head * batch.head_stride;
        const float* key = row + (step.heads + head) * channels;
        const float* value = row + (keys + head) * channels;
        std::memcpy(batch.keys[step.layer] + at, key, channels * sizeof(float));
        std::memcpy(batch.values[step.layer] + at, value, channels * sizeof(float));
    }
}

// The sum of a head's values, each times its weight, for up to 4 * LANES channels at a time.
static void mix_values(const float* weights, const float* value, int64_t keys, int64_t channels,
                       float* to) {
    int64_t at = 0;
    for (; at + PANEL <= channels; at += PANEL) {
        Floats sum[4] = {};
        for (int64_t key = 0; key < keys; key++)
            for (int part = 0; part < 4; part++)
                sum[part] += load(value + key * channels + at + part * LANES) * weights[key];
        std::memcpy(to + at, sum, sizeof sum);
    }
    for (; at < channels; at++) {
        float sum = 0;
        for (int64_t key = 0; key < keys; key++) sum += value[key * channels + at] * weights[key];
        to[at] = sum;
    }
}

// One query's softmax over the keys from its document's or window's start to its own.
static void attend(const Step& step, const Batch& batch, const float* query, int64_t token,
                   int64_t head, float* to) {
    static thread_local std::vector<float> weights;
    const int64_t channels = step.channels, slot = batch.slots[token];
    int64_t start = batch.starts ? batch.starts[token] : 0;
    if (step.window) start = std::max(start, slot - step.window + 1);
    const int64_t keys = slot - start + 1;
    const int64_t place = (batch.begin + token) / batch.row_length * batch.row_stride +
                          head * step.shared_heads / step.heads * batch.head_stride +
                          start * channels;
    const float* key = batch.keys[step.layer] + place;
    weights.assign((keys + LANES - 1) / LANES * LANES, -INFINITY);
    const float scale = 1 / std::sqrt((float)channels);
    float most = -INFINITY;
    for (int64_t i = 0; i < keys; i++) {
        weights[i] = dot(query, key + i * channels, channels) * scale;
        most = std::max(most, weights[i]);
    }
    Floats sums = {};
    for (size_t i = 0; i < weights.size(); i += LANES) {
        const Floats weight = exponential(load(&weights[i]) - most);
        store(&weights[i], weight);
        sums += weight;
    }
    mix_values(weights.data(), batch.values[step.layer] + place, keys, channels, to);
    const float factor = 1 / sum_of(sums);
    for (int64_t i = 0; i < channels; i++) to[i] *= factor;
}

static void activate(const Step& step, float* row, Share share) {
    for_each(row, step.outputs, share, [&](int64_t at, int64_t count) -> Floats {
        const Floats zero = {}, x = load_some(row + at, count);
        if (step.option == SQUARED_RELU) return x > zero ? x * x : zero;
        // GELU by tanh (Hendrycks and Gimpel 2016, section 2); (1 + tanh u) / 2 = 1 / (1 + e^-2u).
        const Floats u = 0.7978845608f * (x + 0.044715f * x * x * x);
        return x / (1.0f + exponential(-2.0f * u));
    });
}

static void perform(const Step& step, const Register* registers, const Batch& batch, Share share) {
    const Register from = registers[step.from], to = registers[step.to];
    if (step.kind == PRODUCT) {
        if (step.option == FP32) product<float>(step, from, to, batch.tokens, share);
        if (step.option == BF16) product<BFloat16>(step, from, to, batch.tokens, share);
        if (step.option == INT8) product<int8_t>(step, from, to, batch.tokens, share);
        return;
    }
    if (step.kind == ATTEND) {  // head by head, so that its keys stay near
        const int64_t pairs = batch.tokens * step.heads;
        for (int64_t pair = begin_of(pairs, share); pair < end_of(pairs, share); pair++) {
            const int64_t token = pair % batch.tokens, at = pair / batch.tokens * step.channels;
            attend(step, batch, from.values + token * from.width + at, token, pair / batch.tokens,
                   to.values + token * to.width + at);
        }
        return;
    }
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

// Asks the memory for the weights that this thread will read next. While the vectors of a token are
// normed or attended to, nothing else is asked of it.
static void fetch_ahead(const Step* step, const Step* end, Share share, int64_t fetched) {
    constexpr int64_t SIZES[] = {4, 2, 1}, LINE = 64, AT_ONCE = 32768;
    while (step < end && step->kind != PRODUCT) step++;
    if (step == end) return;
    const int64_t panels = (step->outputs + PANEL - 1) / PANEL;
    const int64_t size = PANEL * step->inputs * SIZES[step->option];
    const char* weight = (const char*)step->weight + begin_of(panels, share) * size;
    const int64_t most = (end_of(panels, share) - begin_of(panels, share)) * size;
    for (int64_t at = fetched * AT_ONCE; at < std::min(most, (fetched + 1) * AT_ONCE); at += LINE)
        __builtin_prefetch(weight + at, 0, 2);
}

extern "C" int64_t panel_width() { return PANEL; }

// Returns how many tokens stand where the cache has no slot or the rotation no angle; then nothing
// was done.
extern "C" int64_t run(const Step* steps, int64_t count, const Register* registers,
                       const Batch* batch, int64_t threads) {
    int64_t outside = 0;
    for (int64_t token = 0; batch->slots && token < batch->tokens; token++)
        outside += batch->slots[token] < 0 || batch->slots[token] >= batch->capacity ||
                   batch->positions[token] < 0 || batch->positions[token] >= batch->context;
    if (outside) return outside;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    {
        const Share share = {omp_get_thread_num(), omp_get_num_threads()};
        int64_t fetched = 0;
        for (int64_t step = 0; step < count; step++) {
            perform(steps[step], registers, *batch, share);
            fetched = steps[step].kind == PRODUCT ? 0 : fetched + 1;
            if (batch->tokens == 1) fetch_ahead(steps + step + 1, steps + count, share, fetched);
#pragma omp barrier
        }
    }
#else
    (void)threads;
    for (int64_t step = 0; step < count; step++) perform(steps[step], registers, *batch, {0, 1});
#endif
    return 0;
}
