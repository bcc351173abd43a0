// Products of weights with a few tokens, at the speed at which the memory gives the weights.
//
// The weights of PANEL outputs lie together, input by input, so they are read in the order in which
// they lie. The processor asks the memory ahead by itself, but only up to the end of a page: here it
// is told what comes. Each sum is taken input by input, however many tokens there are.

#pragma once

#include <algorithm>
#include <vector>

#include "steps.h"
#include "vectors.h"

constexpr int PANEL = 4 * LANES;  // outputs whose weights lie together
constexpr int ROWS = LANES == 16 ? 6 : 2;  // tokens that share a reading: 6 x 4 sums, 4 weights
template <class Weight>             // bytes between what is read and what is asked for, measured
constexpr int64_t AHEAD = sizeof(Weight) == 1 ? 8192 : 4096;
constexpr int64_t BLOCK = 1 << 15;  // bytes that stay in the first cache while many tokens use them

// One token and `panels` panels at once: a panel's 4 sums alone would wait for each other. What is
// asked for goes on from the ends of these panels to `next`.
template <class Weight, int panels>
static void sum_one(const Weight* weight, const float* x, int64_t inputs, const Weight* next,
                    Floats (*sums)[4]) {
    constexpr int64_t ROW = PANEL * sizeof(Weight), AWAY = AHEAD<Weight> / ROW;
    Floats sum[panels][4] = {};
    const int64_t stride = inputs * PANEL, middle = std::max<int64_t>(0, inputs - AWAY);
    const Weight* ahead = weight + AWAY * PANEL;
    for (int64_t begin = 0, end = middle; begin < inputs; begin = end, end = inputs, ahead = next) {
#pragma GCC unroll 2
        for (int64_t input = begin; input < end; input++) {
            const Floats number = Floats{} + x[input];
            for (int panel = 0; panel < panels; panel++) {
                const char* asked = (const char*)(ahead + panel * stride);
                for (int64_t line = 0; line < ROW; line += LINE) ask_for(asked + line);
                const Weight* from = weight + panel * stride + input * PANEL;
                for (int part = 0; part < 4; part++)
                    sum[panel][part] += load(from + part * LANES) * number;
            }
            ahead += PANEL;
        }
    }
    std::memcpy(sums, sum, sizeof sum);
}

// Adds what some inputs give to the sums of one panel for `rows` tokens, and asks for `lines` lines
// with each input.
template <class Weight, int rows, int lines>
static void sum_panel(const Weight* weight, const float* x, int64_t stride, int64_t inputs,
                      const char* ahead, Floats (*sums)[4]) {
    Floats sum[rows][4];
    std::memcpy(sum, sums, sizeof sum);
    for (int64_t input = 0; input < inputs; input++, weight += PANEL, ahead += lines * LINE) {
        for (int line = 0; line < lines; line++) ask_for(ahead + line * LINE);
        const Floats w[4] = {load(weight), load(weight + LANES), load(weight + 2 * LANES),
                             load(weight + 3 * LANES)};
        for (int row = 0; row < rows; row++)
            for (int part = 0; part < 4; part++)
                sum[row][part] += w[part] * x[row * stride + input];
    }
    std::memcpy(sums, sum, sizeof sum);
}

template <class Weight, int lines, int rows = ROWS>
static void sum_rows(int64_t count, const Weight* weight, const float* x, int64_t stride,
                     int64_t inputs, const char* ahead, Floats (*sums)[4]) {
    if (count == rows)
        return sum_panel<Weight, rows, lines>(weight, x, stride, inputs, ahead, sums);
    if constexpr (rows > 1)
        sum_rows<Weight, lines, rows - 1>(count, weight, x, stride, inputs, ahead, sums);
}

// All tokens and one panel, block of inputs by block: a block is read from the memory once.
template <class Weight>
static void sum_many(const Weight* weight, const Register& from, int64_t tokens, int64_t inputs,
                     const Weight* next, Floats (*sums)[4]) {
    constexpr int64_t ROW = PANEL * sizeof(Weight), MOST = BLOCK / ROW;
    constexpr int ALL = ROW / LINE, SOME = (ALL + 2) / 3;  // lines, where nobody comes after; else
    std::fill_n(&sums[0][0], tokens * 4, Floats{});
    for (int64_t begin = 0; begin < inputs; begin += MOST) {
        const int64_t count = std::min(MOST, inputs - begin);
        const Weight* block = weight + begin * PANEL;
        const Weight* coming = begin + count < inputs ? block + count * PANEL : next;
        const char *ahead = (const char*)coming, *last = ahead + count * ROW;
        for (int64_t token = 0; token < tokens; token += ROWS) {
            const float* x = from.values + token * from.width + begin;
            const int64_t rows = std::min<int64_t>(ROWS, tokens - token);
            if (tokens <= ROWS)
                sum_rows<Weight, ALL>(rows, block, x, from.width, count, ahead, sums + token);
            else if (ahead < last)
                sum_rows<Weight, SOME>(rows, block, x, from.width, count, ahead, sums + token);
            else
                sum_rows<Weight, 0>(rows, block, x, from.width, count, ahead, sums + token);
            ahead += count * SOME * LINE;
        }
    }
}

static void write_panel(const Step& step, int64_t panel, const Floats* sums, float* to) {
    to += panel * PANEL;
    for (int part = 0; part < 4; part++) {
        const int64_t at = panel * PANEL + part * LANES, count = step.outputs - at;
        if (count <= 0) return;
        Floats result = sums[part];
        if (step.scale) result *= load(step.scale + at);
        if (step.bias) result += load(step.bias + at);
        if (step.is_added) result += load_some(to + part * LANES, count);
        store_some(to + part * LANES, result, count);
    }
}

// `next` is where this thread will read after this step.
template <class Weight>
static void product(const Step& step, Register from, Register to, int64_t tokens, Share share,
                    const void* next) {
    static thread_local std::vector<Floats> room;
    const int64_t panels = (step.outputs + PANEL - 1) / PANEL, end = end_of(panels, share);
    room.resize(std::max<int64_t>(2, tokens) * 4);
    Floats(*sums)[4] = (Floats(*)[4])room.data();
    for (int64_t panel = begin_of(panels, share), many; panel < end; panel += many) {
        many = tokens == 1 && panel + 2 <= end ? 2 : 1;
        const Weight* weight = (const Weight*)step.weight + panel * PANEL * step.inputs;
        const Weight* coming = weight + many * PANEL * step.inputs;
        if (panel + many == end && next) coming = (const Weight*)next;
        if (tokens > 1)
            sum_many(weight, from, tokens, step.inputs, coming, sums);
        else if (many == 2)
            sum_one<Weight, 2>(weight, from.values, step.inputs, coming, sums);
        else
            sum_one<Weight, 1>(weight, from.values, step.inputs, coming, sums);
        for (int64_t each = 0; each < many * tokens; each++)
            write_panel(step, panel + (tokens == 1 ? each : 0), sums[each],
                        to.values + (tokens == 1 ? 0 : each) * to.width);
    }
}
