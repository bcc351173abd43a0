"""Byte-level byte-pair encoding as users run it: trained by `tokenizers`, encoded by `tiktoken`.

Both give the ids of the plain form in `bpe.py`. `tiktoken` is several times faster; it merges by
the id of the result instead of by a list of merges, which is the same for every vocabulary that
training can make.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import final

import tiktoken
from tokenizers import Tokenizer as Backend
from tokenizers import models, trainers

from cutaway.tokenizer.base import SPECIAL, Tokenizer
from cutaway.tokenizer.bpe import LEAST_COUNT
from cutaway.tokenizer.pieces import GPT2_PATTERN, PATTERN, well_formed
from cutaway.tokenizer.vocabulary import (
    BYTE_ORDER,
    BytePairVocabulary,
    dense_vocabulary,
    from_characters,
    to_characters,
    to_file,
)

AGREED_PATTERNS = (PATTERN, GPT2_PATTERN)
"""Those that mean the same to both libraries, whose engines differ; a test holds them to it."""

_LOOKS_AROUND = re.compile(r"\(\?<?[=!]")
_WHITE_SPACE = re.compile(r"\s{2,}")
_LONGEST_WHITE_SPACE = (
    50_000  # characters; from about 250,000 on tiktoken's engine runs out of its stack
)


def train(
    texts: Iterable[str],
    *,
    vocab_size: int,
    pattern: str = PATTERN,
    special: Sequence[str] = SPECIAL,
) -> "BytePairTokenizer":
    """Finds the same merges as the plain form, in about a second for eight megabytes.

    Many texts are trained on faster than one long text: only they are shared between threads.
    """
    empty = dense_vocabulary([], pattern=pattern, special=())
    backend = Backend.from_str(json.dumps(to_file(empty)))
    backend.model = models.BPE()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(special),
        min_frequency=LEAST_COUNT,
        initial_alphabet=[to_characters(bytes([byte])) for byte in BYTE_ORDER],
        show_progress=False,
    )
    backend.train_from_iterator((well_formed(text) for text in texts), trainer=trainer)
    merges = json.loads(backend.to_str())["model"]["merges"]
    pairs = [(from_characters(left), from_characters(right)) for left, right in merges]
    return BytePairTokenizer(dense_vocabulary(pairs, pattern=pattern, special=special))


@final
class BytePairTokenizer(Tokenizer):
    """Byte-level byte-pair encoding by the fastest library that gives the right ids."""

    def __init__(self, vocabulary: BytePairVocabulary) -> None:
        super().__init__(tokens=vocabulary.by_id(), special=vocabulary.special)
        self.vocabulary = vocabulary
        self._encoder = encoder_for(vocabulary)

    def encode(self, text: str) -> list[int]:
        return self._encoder.encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._encoder.encode_batch(texts)

    def to_json(self) -> str:
        return json.dumps(to_file(self.vocabulary), ensure_ascii=False)


class Encoder(ABC):
    """One library's way from text to ids."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text, none of them a control id."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""


def encoder_for(vocabulary: BytePairVocabulary) -> Encoder:
    """`tiktoken` where its ids are known to be those of `tokenizers`, else `tokenizers`."""
    exact = TokenizersEncoder(vocabulary)
    if vocabulary.pattern in AGREED_PATTERNS and ids_are_ranks(vocabulary):
        return TiktokenEncoder(vocabulary, otherwise=exact)
    return exact


def ids_are_ranks(vocabulary: BytePairVocabulary) -> bool:
    """Whether to merge by the smallest id of the result is to merge by the list of merges.

    It is, where ids grow along the list, every token of several bytes has one merge, and each
    token on its own is merged into itself. Then two neighbours that together spell a token are the
    two halves of its own merge: nothing crossed the borders of what they cover, so inside of it
    happened what happens to the token alone.
    """
    made = [vocabulary.tokens[left + right] for left, right in vocabulary.merges]
    if len(vocabulary.tokens) != 256 + len(made) or any(a >= b for a, b in pairwise(made)):
        return False
    content = to_file(vocabulary) | {"added_tokens": [], "pre_tokenizer": None}
    content["model"]["ignore_merges"] = False
    alone = Backend.from_str(json.dumps(content)).encode_batch_fast(list(content["model"]["vocab"]))
    return all(len(encoding.ids) == 1 for encoding in alone)


@final
class TokenizersEncoder(Encoder):
    """Encodes through `tokenizers`, which follows the list of merges, whatever it is."""

    def __init__(self, vocabulary: BytePairVocabulary) -> None:
        # Without the control tokens: `tokenizers` would find their names in the text.
        content = to_file(vocabulary) | {"added_tokens": []}
        try:
            self._backend = Backend.from_str(json.dumps(content))
        except Exception as error:  # the library has no narrower class
            pattern = vocabulary.pattern
            raise ValueError(f"its pattern {pattern!r} cannot be used: {error}") from error

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(well_formed(text), add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._backend.encode_batch_fast(
            [well_formed(text) for text in texts], add_special_tokens=False
        )
        return [encoding.ids for encoding in encodings]


@final
class TiktokenEncoder(Encoder):
    """Encodes through `tiktoken`, which wants ids in the order of the merges."""

    def __init__(self, vocabulary: BytePairVocabulary, *, otherwise: Encoder) -> None:
        self._encoding = tiktoken.Encoding(
            "cutaway",
            pat_str=vocabulary.pattern,
            mergeable_ranks=dict(vocabulary.tokens),
            special_tokens={},
        )
        self._looks_around = _LOOKS_AROUND.search(vocabulary.pattern) is not None
        self._otherwise = otherwise

    def encode(self, text: str) -> list[int]:
        if self._looks_around and _has_long_white_space(text):
            return self._otherwise.encode(text)
        return self._encoding.encode_ordinary(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        # One after the other: most of the time goes into making lists, which threads do not share.
        return [self.encode(text) for text in texts]


def _has_long_white_space(text: str) -> bool:
    """Whether the engine of a pattern that looks ahead, such as GPT-2's, would run out of stack."""
    if len(text) < _LONGEST_WHITE_SPACE:
        return False
    return any(len(space) > _LONGEST_WHITE_SPACE for space in _WHITE_SPACE.findall(text))
