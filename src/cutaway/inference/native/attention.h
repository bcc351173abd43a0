// Attention of one query over the keys and values of the cache.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "steps.h"
#include "vectors.h"

// The products of a query with LANES keys, of which the first `count` are there.
template <bool is_whole>
static Floats scores(const float* query, const float* key, int64_t channels, int64_t count) {
    Floats sums[LANES] = {};
    const float* each[LANES];
    for (int i = 0; i < LANES; i++)
        each[i] = key + (is_whole ? i : std::min<int64_t>(i, count - 1)) * channels;
    for (int64_t at = 0; at < channels; at += LANES) {
        const int64_t left = channels - at;
        const Floats part = load_some(query + at, left);
        if (left >= LANES)
            for (int i = 0; i < LANES; i++) sums[i] += part * load(each[i] + at);
        else
            for (int i = 0; i < LANES; i++) sums[i] += part * load_some(each[i] + at, left);
    }
    return sums_of(sums);
}

// The sum of a head's values, each times its weight, for `parts` registers of channels. Two sums,
// of the even keys and of the odd, are under way at once.
template <int parts>
static void mix_some(const float* weights, const float* value, int64_t keys, int64_t channels,
                     int64_t count, float* to) {
    Floats sum[2][parts] = {};
    for (int64_t key = 0; key < keys; key += 2) {
        for (int odd = 0; odd < 2 && key + odd < keys; odd++) {
            const float* from = value + (key + odd) * channels;
            for (int part = 0; part < parts; part++) {
                const int64_t at = part * LANES, left = count - at;
                sum[odd][part] += load_some(from + at, left) * weights[key + odd];
            }
        }
    }
    for (int part = 0; part < parts; part++)
        store_some(to + part * LANES, sum[0][part] + sum[1][part], count - part * LANES);
}

static void mix_values(const float* weights, const float* value, int64_t keys, int64_t channels,
                       float* to) {
    int64_t at = 0;
    for (; at + 4 * LANES <= channels; at += 4 * LANES)
        mix_some<4>(weights, value + at, keys, channels, 4 * LANES, to + at);
    for (; at + 2 * LANES <= channels; at += 2 * LANES)
        mix_some<2>(weights, value + at, keys, channels, 2 * LANES, to + at);
    for (; at < channels; at += LANES)
        mix_some<1>(weights, value + at, keys, channels, channels - at, to + at);
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
    weights.resize((keys + LANES - 1) / LANES * LANES);
    const float scale = 1 / std::sqrt((float)channels);
    const Floats least = Floats{} - INFINITY;
    Floats greatest = least;
    for (int64_t i = 0; i < keys; i += LANES) {
        Floats found;
        if (i + LANES <= keys) {
            found = scores<true>(query, key + i * channels, channels, LANES) * scale;
        } else {
            found = scores<false>(query, key + i * channels, channels, keys - i) * scale;
            for (int64_t lane = keys - i; lane < LANES; lane++) found[lane] = -INFINITY;
        }
        greatest = found > greatest ? found : greatest;
        store(&weights[i], found);
    }
    const float most = greatest_of(greatest);
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
