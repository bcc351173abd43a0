// Numbers in the processor's widest registers, and the few sums over them that the steps need.

#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#ifdef __AVX512F__
#include <immintrin.h>
constexpr int LANES = 16;  // floats in a register of the processor, which has 32 of them
#else
constexpr int LANES = 8;
#endif

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
struct BFloat16 { uint16_t bits; };

constexpr int64_t LINE = 64;  // bytes that the memory gives at once

static void ask_for(const void* address) { __builtin_prefetch(address, 0, 3); }

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
    if (count >= LANES) return load(from);
    float lanes[LANES] = {};  // the rest of a row that is no multiple of LANES
    std::memcpy(lanes, from, count * sizeof(float));
    return load(lanes);
}

static void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

static void store_some(float* to, Floats values, int64_t count) {
    if (count >= LANES) return store(to, values);  // no call, where the size is known
    std::memcpy(to, &values, count * sizeof(float));
}

static float sum_of(Floats values) {
    float lanes[LANES];
    store(lanes, values);
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

// Of each run of 2 * distance lanes: first the sums of the halves of that run in `a`, then in `b`.
template <int distance, int... lane>
static Floats halve(Floats a, Floats b, std::integer_sequence<int, lane...>) {
#define FROM(lane) ((lane) / distance % 2 ? LANES - distance : 0) + (lane)
#ifdef __clang__
    return __builtin_shufflevector(a, b, (FROM(lane))...) +
           __builtin_shufflevector(a, b, (FROM(lane) + distance)...);
#else
    return __builtin_shuffle(a, b, Ints{(FROM(lane))...}) +
           __builtin_shuffle(a, b, Ints{(FROM(lane) + distance)...});
#endif
#undef FROM
}

// The sum of each of LANES registers, in the lane of its number.
template <int distance = 1>
static Floats sums_of(Floats* each) {
    if constexpr (distance == LANES) {
        return each[0];
    } else {
        for (int i = 0; i < LANES / distance / 2; i++)
            each[i] = halve<distance>(each[2 * i], each[2 * i + 1],
                                      std::make_integer_sequence<int, LANES>());
        return sums_of<2 * distance>(each);
    }
}

static float greatest_of(Floats values) {
    float lanes[LANES];
    store(lanes, values);
    float greatest = lanes[0];
    for (float lane : lanes) greatest = lane > greatest ? lane : greatest;
    return greatest;
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
