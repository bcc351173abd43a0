// Attention of one query over the keys and values of the cache, or of a memory.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "steps.h"
#include "vectors.h"

static void ask_for(const float* numbers, int64_t count) {
    for (int64_t at = 0; at < count; at += LINE / sizeof(float)) ask_for(numbers + at);
}

// Where the keys, or the values, of a head lie: together, slot by slot, or each in the row of the beam
// that wrote it. There nothing is brought together: all of it would be copied at every token.
struct Together {
    const float* first;
    int64_t channels;
    const float* operator()(int64_t slot) const { return first + slot * channels; }
};

struct Scattered {
    const float* first;
    const int64_t* rows;
    int64_t row_stride, slot_stride;
    const float* operator()(int64_t slot) const {
        return first + rows[slot] * row_stride + slot * slot_stride;
    }
};

// The products of a query with LANES keys from `begin` on, of which the first `count` are there.
template <bool is_whole, class Place>
static Floats scores(const float* query, const Place& key, int64_t begin, int64_t channels,
                     int64_t count) {
    Floats sums[LANES] = {};
    const float* each[LANES];
    for (int i = 0; i < LANES; i++)
        each[i] = key(begin + (is_whole ? i : std::min<int64_t>(i, count - 1)));
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

// The sum of a head's values, each times its weight, for `parts` registers of channels from `begin`
// on. Two sums, of the even keys and of the odd, are under way at once.
template <int parts, class Place>
static void mix_some(const float* weights, const Place& value, int64_t keys, int64_t begin,
                     int64_t count, int64_t channels, const float* next, float* to) {
    Floats sum[2][parts] = {};
    for (int64_t key = 0; key < keys; key += 2) {
        if (next) ask_for(next + key * channels, 2 * channels);
        for (int odd = 0; odd < 2 && key + odd < keys; odd++) {
            const float* from = value(key + odd) + begin;
            for (int part = 0; part < parts; part++) {
                const int64_t at = part * LANES, left = count - at;
                sum[odd][part] += load_some(from + at, left) * weights[key + odd];
            }
        }
    }
    for (int part = 0; part < parts; part++)
        store_some(to + begin + part * LANES, sum[0][part] + sum[1][part], count - part * LANES);
}

template <class Place>
static void mix_values(const float* weights, const Place& value, int64_t keys, int64_t channels,
                       const float* next, float* to) {
    int64_t at = 0;
    for (; at + 4 * LANES <= channels; at += 4 * LANES)
        mix_some<4>(weights, value, keys, at, 4 * LANES, channels, next, to);
    for (; at + 2 * LANES <= channels; at += 2 * LANES)
        mix_some<2>(weights, value, keys, at, 2 * LANES, channels, next, to);
    for (; at < channels; at += LANES)
        mix_some<1>(weights, value, keys, at, channels - at, channels, next, to);
}

// The keys that a token's query sees in a head: from its document's or window's start to its own, or
// all of a memory's.
struct Seen { const float *key, *value; int64_t count; };

static Seen seen(const Step& step, const Batch& batch, int64_t token, int64_t head) {
    if (step.kind == ATTEND_MEMORY) {
        const int64_t source = row_of(batch, token) / batch.rows_per_source;
        const int64_t place = source * batch.memory_row_stride + head * batch.memory_head_stride;
        return {batch.memory_keys[step.layer] + place, batch.memory_values[step.layer] + place,
                batch.source_lengths[source]};
    }
    const int64_t slot = batch.slots[token];
    int64_t start = batch.starts ? batch.starts[token] : 0;
    if (step.window) start = std::max(start, slot - step.window + 1);
    const int64_t place = row_of(batch, token) * batch.row_stride +
                          head * step.shared_heads / step.heads * batch.head_stride +
                          start * batch.slot_stride;
    return {batch.keys[step.layer] + place, batch.values[step.layer] + place, slot - start + 1};
}

// One query's softmax over what it sees. Keys and values lie all over the memory, each a piece of
// some KiB: while it reads its keys it asks for its values, and with these for the next one's keys.
template <class Place>
static void attend(const float* query, const Place& keys, const Place& values, int64_t count,
                   int64_t channels, const float* next, float* to) {
    static thread_local std::vector<float> weights;
    weights.resize((count + LANES - 1) / LANES * LANES);
    const float scale = 1 / std::sqrt((float)channels);
    Floats greatest = Floats{} - INFINITY;
    for (int64_t i = 0; i < count; i += LANES) {
        const int64_t left = count - i;
        if (next) ask_for(values(i), std::min<int64_t>(left, LANES) * channels);
        Floats found;
        if (left >= LANES) {
            found = scores<true>(query, keys, i, channels, LANES) * scale;
        } else {
            found = scores<false>(query, keys, i, channels, left) * scale;
            for (int64_t lane = left; lane < LANES; lane++) found[lane] = -INFINITY;
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
    mix_values(weights.data(), values, count, channels, next, to);
    const float factor = 1 / sum_of(sums);
    for (int64_t i = 0; i < channels; i++) to[i] *= factor;
}

// Beam by beam with all its heads: what it sees of a row lies together, and its neighbours, which
// have gone on from the same beams, see it too.
static void attend_beams(const Step& step, const Batch& batch, Register from, Register to,
                         Share share) {
    const int64_t end = end_of(batch.tokens, share);
    for (int64_t token = begin_of(batch.tokens, share); token < end; token++) {
        const int64_t* rows = batch.lineage + row_of(batch, token) * batch.capacity;
        for (int64_t head = 0; head < step.heads; head++) {
            const int64_t place = head * step.shared_heads / step.heads * batch.head_stride;
            const float* key = batch.keys[step.layer] + place;
            const float* value = batch.values[step.layer] + place;
            attend(from.values + token * from.width + head * step.channels,
                   Scattered{key, rows, batch.row_stride, batch.slot_stride},
                   Scattered{value, rows, batch.row_stride, batch.slot_stride},
                   batch.slots[token] + 1, step.channels, nullptr,
                   to.values + token * to.width + head * step.channels);
        }
    }
}

// Head by head, so that its keys stay near.
static void attend_all(const Step& step, const Batch& batch, Register from, Register to,
                       Share share) {
    const int64_t channels = step.channels, pairs = batch.tokens * step.heads;
    const int64_t end = end_of(pairs, share);
    for (int64_t pair = begin_of(pairs, share); pair < end; pair++) {
        const int64_t token = pair % batch.tokens, head = pair / batch.tokens;
        const int64_t other = std::min(pair + 1, end - 1);
        const Seen own = seen(step, batch, token, head);
        attend(from.values + token * from.width + head * channels, Together{own.key, channels},
               Together{own.value, channels}, own.count, channels,
               seen(step, batch, other % batch.tokens, other / batch.tokens).key,
               to.values + token * to.width + head * channels);
    }
}
