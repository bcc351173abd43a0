// What Python hands over: the steps of a program, its registers, and the tokens of a call.

#pragma once

#include <cstdint>

enum Kind { PRODUCT, NORM, ROTATE, ATTEND, GATE, ACTIVATE, MIX, ATTEND_MEMORY };
enum Format { FP32, BF16, INT8 };
enum Activation { GELU, SQUARED_RELU, RELU, SILU };

// What a step does, with which weights; `inference/program.py:Step` is the same in Python.
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

// The registers: a row for each token.
enum At { STREAM, NORMED, HEADS, MIXED, WIDE, HIDDEN, FIRST, OUT, ALL_REGISTERS };

struct Register { float* values; int64_t width; };

// The tokens of a call and the cache that they read and write; here `from_token` of the batch on.
struct Batch {
    int64_t tokens, row_length, from_token;
    int64_t most;                       // tokens that are taken at once
    const int64_t *slots, *positions;   // place in the row's cache; angle of the rotation
    const int64_t* starts;              // first slot that a token may read; null: 0
    float *const *keys, *const *values;
    int64_t row_stride, head_stride;    // numbers from one row of the cache to the next, and head
    int64_t capacity, context;          // slots of a row; positions that have angles
    float *stream, *first, *out;        // registers that come with the call
    float* scratch;                     // room for `most` tokens in all the others
    int64_t slot_stride;                // numbers from one slot of a row to the next
    const int64_t* lineage;             // of each slot of a row, the row where it lies; null: its own
    int64_t rows_per_source;            // rows that read the same row of the memory
    const int64_t* source_lengths;      // tokens of each row of the memory
    float *const *memory_keys, *const *memory_values;
    int64_t memory_row_stride, memory_head_stride;
};

// The row of the call that a token stands in.
static int64_t row_of(const Batch& batch, int64_t token) {
    return (batch.from_token + token) / batch.row_length;
}

struct Share { int64_t mine, all; };  // which thread of how many

static int64_t begin_of(int64_t count, Share share) { return count * share.mine / share.all; }
static int64_t end_of(int64_t count, Share share) { return count * (share.mine + 1) / share.all; }
