"""A shuffled order that needs no memory: a keyed permutation computed for one index at a time.

A Feistel network over pairs (left, right), left below `rows` and right below `columns`, as in
format-preserving encryption (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains",
section 5: the generalised Feistel cipher). The pairs are a few more than the indices; a result
beyond the last index is permuted again until it is inside (cycle walking, section 4). So the state
of a shuffle is (seed, epoch, index), and nothing else.
"""

import hashlib
from math import isqrt

import numpy as np
from jaxtyping import Float64, Int64, UInt64

NUM_ROUNDS = 6
_MASK = (1 << 64) - 1
_FIRST_FACTOR = 0xBF58476D1CE4E5B9
_SECOND_FACTOR = 0x94D049BB133111EB
_GOLDEN = 0x9E3779B97F4A7C15


def permuted(index: int, *, size: int, seed: int, epoch: int) -> int:
    """Gives the place of `index` in the shuffled order of `range(size)`.

    Every epoch and every seed has its own order. This is the form to read; `permuted_array` is the
    one to use.
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in the order of {size} items (0 to {size - 1})")
    rows, columns = _shape(size)
    keys = _round_keys(seed, epoch)
    while True:
        left, right = divmod(index, columns)
        for number, key in enumerate(keys):
            if number % 2 == 0:
                left = (left + _mixed((right + key) & _MASK) % rows) % rows
            else:
                right = (right + _mixed((left + key) & _MASK) % columns) % columns
        index = left * columns + right
        if index < size:
            return index


def permuted_array(
    indices: Int64[np.ndarray, " indices"], *, size: int, seed: int, epoch: int
) -> Int64[np.ndarray, " indices"]:
    """Does what `permuted` does, for many indices at once."""
    if indices.size == 0:
        return indices.copy()
    if int(indices.min()) < 0 or int(indices.max()) >= size:
        raise ValueError(
            f"indices {indices.min()} to {indices.max()} are not all in the order of {size} items"
        )
    shape = _shape(size)
    keys = _round_keys(seed, epoch)
    result = _once(indices.astype(np.uint64), shape, keys=keys)
    outside = np.flatnonzero(result >= size)
    while outside.size > 0:
        result[outside] = _once(result[outside], shape, keys=keys)
        outside = outside[result[outside] >= size]
    return result.astype(np.int64)


def shuffled_places(step: int, *, count: int, size: int, seed: int) -> Int64[np.ndarray, " count"]:
    """Gives which `count` of `size` items step `step` takes; each is taken once in every epoch."""
    places = np.arange(step * count, (step + 1) * count, dtype=np.int64)
    epochs = places // size
    return np.concatenate(
        [
            permuted_array(places[epochs == epoch] % size, size=size, seed=seed, epoch=int(epoch))
            for epoch in np.unique(epochs)
        ]
    )


def uniform(
    counters: Int64[np.ndarray, " counters"], *, seed: int
) -> Float64[np.ndarray, " counters"]:
    """Gives each counter a number from 0 up to, but not, 1: the same one whenever it is asked for.

    SplitMix64 (Steele et al. 2014, figure 17), whose n-th number needs none of those before it.
    """
    start = np.uint64(derived_seed(seed, "uniform"))
    states = start + (counters.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    drawn: Float64[np.ndarray, " counters"] = (_mixed_array(states) >> np.uint64(11)) * 2.0**-53
    return drawn


def derived_seed(seed: int, *names: str) -> int:
    """Gives each named user of one seed a seed of its own, so that their orders are unrelated."""
    text = "/".join([str(seed), *names])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")


def _shape(size: int) -> tuple[int, int]:
    """Chooses the smallest nearly square table that holds `size` items."""
    rows = isqrt(size - 1) + 1
    return rows, -(-size // rows)


def _round_keys(seed: int, epoch: int) -> list[int]:
    digest = hashlib.blake2b(f"order/{seed}/{epoch}".encode(), digest_size=8 * NUM_ROUNDS).digest()
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(NUM_ROUNDS)]


def _mixed(value: int) -> int:
    """Scatters 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    value = ((value ^ (value >> 30)) * _FIRST_FACTOR) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND_FACTOR) & _MASK
    return value ^ (value >> 31)


def _mixed_array(values: UInt64[np.ndarray, " indices"]) -> UInt64[np.ndarray, " indices"]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST_FACTOR)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND_FACTOR)
    values ^= values >> np.uint64(31)
    return values


def _once(
    indices: UInt64[np.ndarray, " indices"], shape: tuple[int, int], *, keys: list[int]
) -> UInt64[np.ndarray, " indices"]:
    rows, columns = np.uint64(shape[0]), np.uint64(shape[1])
    left, right = np.divmod(indices, columns)
    for number, key in enumerate(keys):
        if number % 2 == 0:
            left = (left + _mixed_array(right + np.uint64(key)) % rows) % rows
        else:
            right = (right + _mixed_array(left + np.uint64(key)) % columns) % columns
    return left * columns + right
