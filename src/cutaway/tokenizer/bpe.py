"""Byte-pair encoding in plain Python, to be read (Sennrich et al. 2016, section 3.2).

It works on bytes (Radford et al. 2019, section 2.2). Training joins the most frequent pair of
neighbours, again and again; encoding repeats these joins in the same order. `fast.py` does the same
through Rust; tests hold the two equal, merge for merge and id for id.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import final

from cutaway.tokenizer.base import SPECIAL, Tokenizer
from cutaway.tokenizer.pieces import PATTERN, split
from cutaway.tokenizer.vocabulary import BYTE_ORDER, BytePairVocabulary, dense_vocabulary, to_file

LEAST_COUNT = 2
"""A pair that occurs only once in the whole corpus is not worth a token."""


def train(
    texts: Iterable[str],
    *,
    vocab_size: int,
    pattern: str = PATTERN,
    special: Sequence[str] = SPECIAL,
) -> "PlainBytePairTokenizer":
    """Finds the merges: the most frequent pair first, of equal ones that of older tokens.

    The vocabulary is smaller than asked where no pair is left that occurs twice.
    """
    pieces = Counter(piece for text in texts for piece in split(text, pattern=pattern))
    words = [[BYTE_ORDER.index(byte) for byte in piece.encode()] for piece in pieces]
    times = list(pieces.values())
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    merges: list[tuple[bytes, bytes]] = []

    counts: Counter[tuple[int, int]] = Counter()
    found_in: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for number, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += times[number]
            found_in[pair].add(number)
    queue = [(-count, pair) for pair, count in counts.items()]
    heapify(queue)

    while queue and len(tokens) + len(special) < vocab_size:
        negative_count, pair = heappop(queue)
        if -negative_count != counts[pair]:
            continue  # the count has changed since; the newer entry is in the queue too
        if counts[pair] < LEAST_COUNT:
            break
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        changed = set()
        for number in found_in.pop(pair):
            old, new = words[number], _join(words[number], pair, joined=len(tokens) - 1)
            for neighbours in pairwise(old):
                counts[neighbours] -= times[number]
                changed.add(neighbours)
            for neighbours in pairwise(new):
                counts[neighbours] += times[number]
                found_in[neighbours].add(number)
                changed.add(neighbours)
            words[number] = new
        for neighbours in changed:
            heappush(queue, (-counts[neighbours], neighbours))
    return PlainBytePairTokenizer(dense_vocabulary(merges, pattern=pattern, special=special))


def _join(word: Sequence[int], pair: tuple[int, int], *, joined: int) -> list[int]:
    """The word with each occurrence of the pair, from the left, replaced by one token."""
    result: list[int] = []
    place = 0
    while place < len(word):
        if tuple(word[place : place + 2]) == pair:
            result.append(joined)
            place += 2
        else:
            result.append(word[place])
            place += 1
    return result


def merge(ids: Sequence[int], joins: Mapping[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Joins neighbours by rank, within a rank from left to right.

    `joins` gives the rank and the joined id of a pair. The piece is a linked list and the places
    wait under the rank of their pair, so that n bytes take a time of n log n, not n squared: a
    million times the same letter is one piece too.
    """
    end = len(ids)
    tokens = [*ids, -1]  # -1 is in no pair: the end, and what was joined to its left
    after, before = [*range(1, end + 1), end], list(range(-1, end))
    waiting: defaultdict[int, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairwise(ids)):
        if pair in joins:
            waiting[joins[pair][0]].append(place)
    queue = list(waiting)
    heapify(queue)
    while queue:
        rank = heappop(queue)
        for place in sorted(waiting.pop(rank)):
            right = after[place]
            join = joins.get((tokens[place], tokens[right]))
            if join is None or join[0] != rank:
                continue  # one of the two was joined to its other side meanwhile
            tokens[place], tokens[right] = join[1], -1
            after[place] = after[right]
            before[after[right]] = place
            for near in (before[place], place):
                new = joins.get((tokens[near], tokens[after[near]]))
                if new is not None:
                    if new[0] not in waiting:
                        heappush(queue, new[0])
                    waiting[new[0]].append(near)
    return [token for token in tokens if token >= 0]


@final
class PlainBytePairTokenizer(Tokenizer):
    """Byte-level byte-pair encoding by the merges above, without a library's help."""

    def __init__(self, vocabulary: BytePairVocabulary) -> None:
        super().__init__(tokens=vocabulary.by_id(), special=vocabulary.special)
        self.vocabulary = vocabulary
        tokens = vocabulary.tokens
        self._joins = {
            (tokens[left], tokens[right]): (rank, tokens[left + right])
            for rank, (left, right) in enumerate(vocabulary.merges)
        }

    def encode(self, text: str) -> list[int]:
        merged: dict[str, list[int]] = {}
        ids: list[int] = []
        for piece in split(text, pattern=self.vocabulary.pattern):
            if piece not in merged:
                merged[piece] = self._encode_piece(piece.encode())
            ids += merged[piece]
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def _encode_piece(self, piece: bytes) -> list[int]:
        tokens = self.vocabulary.tokens
        if self.vocabulary.whole_pieces_first and piece in tokens:
            return [tokens[piece]]
        return merge([tokens[bytes([byte])] for byte in piece], self._joins)

    def to_json(self) -> str:
        return json.dumps(to_file(self.vocabulary), ensure_ascii=False)
