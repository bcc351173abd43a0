"""Pairs of texts from a corpus or a file, and both their sides as ids on disk."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cutaway.data.mixture import existing
from cutaway.data.shards import Shards, write_shards
from cutaway.errors import DataError
from cutaway.text.corpora import CORPORA, Measure, PairSplit, ParallelCorpus, Rival, corpus
from cutaway.text.documents import content_key
from cutaway.text.pairs import Pair, read_pairs, read_split
from cutaway.tokenizer.base import Tokenizer

BATCH = 1024
"""Texts that are encoded at once."""

SHOWN = 60
"""Characters that tell which pair is meant, where it stands in no file."""


@dataclass(frozen=True, kw_only=True)
class PairData:
    """Where pairs come from, and from which side to which they are read."""

    data: str
    """A parallel corpus by name, or a file of the user's own."""
    source: str | None = None
    """Language that is read; None: a corpus's first, or that of the file."""
    target: str | None = None
    """Language that is written; None: a corpus's second, or that of the one file beside it."""

    def pairs(self, split: PairSplit) -> Iterator[Pair]:
        """Yields the pairs of a split, each source once in the training split of a user's file."""
        if self.data in CORPORA:
            found = corpus(self.data, ParallelCorpus)
            return found.pairs(split, source=self.source, target=self.target)
        side: Literal["train", "validation"] = "train" if split == "train" else "validation"
        return read_split(existing(self.data), side, target=self.target)

    def all_pairs(self) -> Iterator[Pair]:
        """Yields what a model is judged by: a corpus's test split, or all of a user's file."""
        if self.data in CORPORA:
            return self.pairs("test")
        return read_pairs(existing(self.data), target=self.target)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What its targets are judged by."""
        if self.data in CORPORA:
            return corpus(self.data, ParallelCorpus).measures
        return ("bleu", "chrf", "exact")

    @property
    def rivals(self) -> tuple[Rival, ...]:
        """What a model is measured beside."""
        if self.data in CORPORA:
            return corpus(self.data, ParallelCorpus).rivals
        return ("copy", "lead")


@dataclass(frozen=True, kw_only=True)
class PairShards:
    """Sources and targets as ids; document n of the one belongs to document n of the other.

    A source ends with the id that ends texts; a target stands between two of them.
    """

    source: Shards
    target: Shards

    @property
    def fingerprint(self) -> str:
        """Gives one hash of all the content, for provenance."""
        both = f"{self.source.fingerprint}/{self.target.fingerprint}"
        return sha256(both.encode()).hexdigest()

    @property
    def num_tokens(self) -> int:
        """Counts the ids of both sides."""
        return self.source.num_tokens + self.target.num_tokens


def write_pairs(
    data: PairData, tokenizer: Tokenizer, *, folder: Path, most: int | None = None
) -> PairShards:
    """Writes the training pairs as ids below `folder`, or finds them there.

    `most` takes that many of them only, those whose keys have the smallest hashes.
    """
    about = {
        "pairs": json.dumps([data.data, data.source, data.target, most]),
        "tokenizer": tokenizer.fingerprint,
        "texts": _fingerprint(data, most=most),
    }
    place = folder / sha256(json.dumps(about).encode()).hexdigest()[:16]
    sides: dict[str, Shards] = {}
    for side in ("source", "target"):
        kept = _kept(place / side, about)
        if kept is None:
            ids = _ids(data, tokenizer, side=side, most=most)
            kept = write_shards(ids, place / side, vocab_size=tokenizer.vocab_size, about=about)
        sides[side] = kept
    if not sides["source"].num_documents:
        raise DataError(f"{data.data} has no training pairs; give more of them")
    return PairShards(source=sides["source"], target=sides["target"])


def first_too_long(data: PairData, tokenizer: Tokenizer, *, source: int, target: int) -> str:
    """Says where the first pair stands that is longer than a row or the model takes."""
    for pair in data.pairs("train"):
        # Each side has one token more, which ends it.
        lengths = (len(tokenizer.encode(text)) for text in (pair.source, pair.target))
        if any(length >= most for length, most in zip(lengths, (source, target), strict=True)):
            return pair.place or repr(pair.source[:SHOWN])
    return ""


def _ids(
    data: PairData, tokenizer: Tokenizer, *, side: str, most: int | None
) -> Iterator[tuple[list[int], None]]:
    end = tokenizer.begin_id
    before = [end] if side == "target" else []
    waiting: list[str] = []
    for pair in _training(data, most=most):
        waiting.append(pair.target if side == "target" else pair.source)
        if len(waiting) == BATCH:
            yield from ((before + ids + [end], None) for ids in tokenizer.encode_batch(waiting))
            waiting = []
    yield from ((before + ids + [end], None) for ids in tokenizer.encode_batch(waiting))


def _training(data: PairData, *, most: int | None) -> Iterable[Pair]:
    if most is None:
        return data.pairs("train")
    pairs = sorted(data.pairs("train"), key=lambda pair: content_key(pair.key + pair.source))
    return pairs[:most]


def _fingerprint(data: PairData, *, most: int | None) -> str:
    """Says what the texts depend on: the user's files, where they are no corpus."""
    if data.data in CORPORA:
        found = CORPORA[data.data]
        return f"{found.source}/{found.sha256}"
    look = existing(data.data).stat()
    return f"{look.st_size}/{look.st_mtime_ns}"


def _kept(place: Path, about: dict[str, str]) -> Shards | None:
    if not place.exists():
        return None
    try:
        shards = Shards(place)
    except DataError:
        return None
    return shards if shards.manifest.about == about else None
