"""Hides words of texts, and pairs texts with what does not follow (Devlin et al. 2018, 3.1).

A text is cut into pieces that fit a row, and pieces lie side by side in rows that are nearly full.
What is hidden in a piece, where it is parted and what stands in the place of its second part is
drawn anew in each epoch, from a number for each (seed, epoch, piece, place) and from nothing else:
a batch is a pure function of the step, so the state of a run is the number of its step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from cutaway.data.batches import Batch
from cutaway.data.masking import MaskingConfig
from cutaway.data.order import derived_seed, permuted_array, uniform
from cutaway.data.packing import counted, pack
from cutaway.errors import ConfigError, DataError
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.wordpiece import FIRST, MASK, SEPARATOR

MASKED, RANDOM = 0.8, 0.9
"""Of hidden tokens, four in five become the mask, one in ten any token, one in ten stays."""

LEAST_PIECE = 2
"""Tokens; a shorter piece can neither be parted nor read for what is hidden in it."""


@dataclass(frozen=True, kw_only=True)
class MaskedBatch(Batch):
    """Rows of texts with hidden words, and which words they were."""

    tokens: Int64[Tensor, "B T"]
    """Ids that go in, some of them hidden."""
    segments: Int64[Tensor, "B T"]
    """0 in the first part of a text, 1 in the second."""
    documents: Int64[Tensor, "B T"]
    """Which text of its row a token belongs to: 1, 2, 3, ...; 0 is padding."""
    places: Int64[Tensor, "B W"]
    """Where words are hidden in the row; beyond the last one 0."""
    targets: Int64[Tensor, "B W"]
    """What stood there."""
    loss_mask: Bool[Tensor, "B W"]
    """True where a word is hidden."""
    firsts: Int64[Tensor, "B texts"]
    """Where each text of the row begins; beyond the last one 0."""
    follows: Int64[Tensor, "B texts"]
    """1 where the second part follows the first, 0 where it does not, -1 where nobody asks."""

    @property
    def num_tokens(self) -> int:
        """Places that a model reads, padding included."""
        return self.tokens.numel()


@runtime_checkable
class Documents(Protocol):
    """Documents as one long row of ids."""

    @property
    def offsets(self) -> Int64[np.ndarray, " bounds"]:
        """Where each document begins, and after the last one the end."""

    def gather(self, positions: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The ids at any positions."""


class ListedDocuments:
    """A few documents in memory."""

    def __init__(self, documents: Sequence[Sequence[int]]) -> None:
        self.offsets: Int64[np.ndarray, " bounds"] = np.cumsum(
            [0, *map(len, documents)], dtype=np.int64
        )
        self._ids = np.array([each for ids in documents for each in ids], dtype=np.int64)

    def gather(self, positions: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The ids at any positions."""
        found: Int64[np.ndarray, "*shape"] = self._ids[positions]
        return found


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """What corruption must know of a tokenizer."""

    first: int
    """The id before each text."""
    separator: int
    """The id behind each part."""
    mask: int
    """The id that hides a word."""
    ordinary: Int64[np.ndarray, " ids"]
    """All ids that are no control tokens."""
    begins_word: Bool[np.ndarray, " V"]
    """Which ids begin a word; the others go on with one."""


def alphabet_of(tokenizer: Tokenizer) -> Alphabet:
    """Raises ConfigError where a tokenizer has none of BERT's control tokens."""
    missing = [name for name in (FIRST, SEPARATOR, MASK) if name not in tokenizer.special]
    if missing:
        raise ConfigError(
            f"this tokenizer has no {' and no '.join(missing)}, and words cannot be hidden without;"
            "\nleave tokenizer= out (one is trained), or give one of word pieces with these"
        )
    spelled = [tokenizer.token_bytes(each) for each in range(tokenizer.vocab_size)]
    control = set(tokenizer.special.values())
    return Alphabet(
        first=tokenizer.special[FIRST],
        separator=tokenizer.special[SEPARATOR],
        mask=tokenizer.special[MASK],
        ordinary=np.array([each for each in range(len(spelled)) if each not in control]),
        begins_word=np.array([word.startswith(b" ") for word in spelled]),
    )


@dataclass(frozen=True, kw_only=True)
class Text:
    """Where the parts of some texts lie in the long row of ids, one entry a text."""

    counter: Int64[np.ndarray, " texts"]
    """A number that no other text of any epoch has."""
    begins: Int64[np.ndarray, " texts"]
    """Where the first part begins."""
    sizes: Int64[np.ndarray, " texts"]
    """Tokens of the first part."""
    second_begins: Int64[np.ndarray, " texts"]
    """Where the second part begins."""
    second_sizes: Int64[np.ndarray, " texts"]
    """Tokens of the second part; 0: there is none."""
    follows: Int64[np.ndarray, " texts"]
    """1 where the second part follows, 0 where it does not, -1 where there is none."""


class MaskedTexts:
    """Rows of one body of text; a row is a pure function of its number."""

    def __init__(
        self,
        documents: Documents,
        *,
        name: str,
        alphabet: Alphabet,
        config: MaskingConfig,
        row_length: int,
        seed: int,
    ) -> None:
        self._documents, self._alphabet, self._config = documents, alphabet, config
        self._row_length, self._seed = row_length, derived_seed(seed, name)
        self._markers = 3 if config.next_sentence else 2
        room = row_length - self._markers
        if room < LEAST_PIECE:
            raise ConfigError(f"a row of {row_length} tokens is too short to hide a word in")
        self._begins, self._sizes, self._owners = _pieces(documents.offsets, room=room)
        if len(self._begins) == 0:
            raise DataError(f"{name} has no text of two tokens; give more text")
        if config.next_sentence and len(documents.offsets) < 3:
            raise DataError(
                f"{name} is one document, so nothing in it does not follow;\n"
                "give several documents, or masking.next_sentence=false"
            )
        self.packing = pack(self._sizes + self._markers, row_length=row_length, seed=self._seed)
        """Which pieces share a row."""
        self.num_rows = self.packing.num_rows
        """Rows of one epoch."""
        hidden = np.maximum(1, np.round(config.share * self._sizes)).astype(np.int64)
        self._budgets = hidden
        in_rows = np.add.reduceat(hidden[self.packing.examples], self.packing.starts[:-1])
        self.most_hidden = int(in_rows.max())
        """The most words that are hidden in a row."""
        self.most_texts = int(np.diff(self.packing.starts).max())
        """The most texts in a row."""
        self.mean_hidden = float(hidden.mean())
        """Words that are hidden in a text, on average."""

    def rows(self, numbers: Int64[np.ndarray, " B"]) -> "MaskedBatch":
        """Makes the rows with these numbers, counted on from epoch to epoch."""
        epochs, places = np.divmod(numbers, self.num_rows)
        rows = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = permuted_array(
                places[here], size=self.num_rows, seed=self._seed, epoch=int(epoch)
            )
        first = self.packing.starts[rows]
        counts = self.packing.starts[rows + 1] - first
        pieces = self.packing.examples[np.repeat(first, counts) + counted(counts)]
        text = self._drawn(pieces, epochs=np.repeat(epochs, counts))
        return self._laid_out(text, pieces=pieces, counts=counts)

    def _drawn(
        self, pieces: Int64[np.ndarray, " texts"], *, epochs: Int64[np.ndarray, " texts"]
    ) -> Text:
        """Parts each piece in two, and gives half of them another second part."""
        counter = epochs * len(self._begins) + pieces
        begins, sizes = self._begins[pieces], self._sizes[pieces]
        if not self._config.next_sentence:
            nothing = np.zeros_like(sizes)
            return Text(
                counter=counter,
                begins=begins,
                sizes=sizes,
                second_begins=nothing,
                second_sizes=nothing,
                follows=nothing - 1,
            )
        cuts = 1 + (self._uniform("cut", counter) * (sizes - 1)).astype(np.int64)
        follows = (self._uniform("follows", counter) < 0.5).astype(np.int64)
        wanted = sizes - cuts
        elsewhere, found = self._elsewhere(self._owners[pieces], wanted, counter=counter)
        return Text(
            counter=counter,
            begins=begins,
            sizes=cuts,
            second_begins=np.where(follows == 1, begins + cuts, elsewhere),
            second_sizes=np.where(follows == 1, wanted, found),
            follows=follows,
        )

    def _elsewhere(
        self,
        owners: Int64[np.ndarray, " texts"],
        wanted: Int64[np.ndarray, " texts"],
        *,
        counter: Int64[np.ndarray, " texts"],
    ) -> tuple[Int64[np.ndarray, " texts"], Int64[np.ndarray, " texts"]]:
        """Finds as many tokens in another document, every place of the others alike; or fewer."""
        offsets = self._documents.offsets
        own_begin, own_size = offsets[owners], offsets[owners + 1] - offsets[owners]
        others = int(offsets[-1]) - own_size
        place = (self._uniform("elsewhere", counter) * others).astype(np.int64)
        place += np.where(place >= own_begin, own_size, 0)
        document = np.searchsorted(offsets, place, side="right") - 1
        # Moved towards the beginning where the document ends too soon.
        begins = np.maximum(offsets[document], np.minimum(place, offsets[document + 1] - wanted))
        return begins, np.minimum(wanted, offsets[document + 1] - begins)

    def _laid_out(
        self, text: Text, *, pieces: Int64[np.ndarray, " texts"], counts: Int64[np.ndarray, " B"]
    ) -> "MaskedBatch":
        """Puts the texts into their rows and hides words."""
        length, marks = self._row_length, self._alphabet
        row_of = np.repeat(np.arange(len(counts)), counts)
        number = counted(counts)
        room = self._sizes[pieces] + self._markers
        ends = np.cumsum(room)
        before_row = np.concatenate([[0], ends])[np.cumsum(counts) - counts]
        starts = row_of * length + ends - room - before_row[row_of]
        sizes = text.sizes + np.where(text.follows >= 0, text.second_sizes + 3, 2)
        owner = np.repeat(np.arange(len(pieces)), sizes)
        inside = counted(sizes)
        border = text.sizes[owner] + 1  # where the first part's separator stands
        is_second = inside > border
        is_mark = (inside == 0) | (inside == border) | (inside == sizes[owner] - 1)
        source = np.where(
            is_second,
            text.second_begins[owner] + inside - border - 1,
            text.begins[owner] + inside - 1,
        )
        ids = np.where(inside == 0, marks.first, marks.separator)
        ids[~is_mark] = self._documents.gather(source[~is_mark])
        begins_word = marks.begins_word[ids] | is_mark | (inside == 1) | (inside == border + 1)
        words = _Words(ids=ids, begins=begins_word, is_mark=is_mark, owner=owner)
        hidden = self._chosen(words, text=text, inside=inside, budgets=self._budgets[pieces])
        flat = starts[owner] + inside
        shape = (len(counts), length)
        hidden_rows, first_rows = row_of[owner[hidden]], row_of
        hidden_numbers = counted(np.bincount(hidden_rows, minlength=len(counts)))
        hidden_shape, text_shape = (len(counts), self.most_hidden), (len(counts), self.most_texts)
        at_hidden = (hidden_rows, hidden_numbers)
        corrupted = self._corrupted(ids, hidden, counter=text.counter[owner] * length + inside)
        return MaskedBatch(
            tokens=_placed(corrupted, flat, shape=shape),
            segments=_placed(is_second.astype(np.int64), flat, shape=shape),
            documents=_placed(number[owner] + 1, flat, shape=shape),
            places=_at(flat[hidden] % length, at_hidden, shape=hidden_shape),
            targets=_at(ids[hidden], at_hidden, shape=hidden_shape),
            loss_mask=_at(np.ones(len(hidden), dtype=np.bool_), at_hidden, shape=hidden_shape),
            firsts=_at(starts % length, (first_rows, number), shape=text_shape),
            follows=_at(text.follows + 1, (first_rows, number), shape=text_shape) - 1,
        )

    def _chosen(
        self,
        words: "_Words",
        *,
        text: Text,
        inside: Int64[np.ndarray, " tokens"],
        budgets: Int64[np.ndarray, " texts"],
    ) -> Int64[np.ndarray, " hidden"]:
        """Chooses words in a random order until a text's budget of tokens is spent.

        A word that is longer than what is left is passed over, and a shorter one may follow.
        """
        begins = words.begins if self._config.whole_words else np.ones_like(words.begins)
        word_of = np.cumsum(begins) - 1  # of each token
        heads = np.flatnonzero(begins)
        lengths = np.bincount(word_of)
        owner, is_mark = words.owner[heads], words.is_mark[heads]
        counter = text.counter[owner] * self._row_length + inside[heads]
        order = np.lexsort((self._uniform("hide", counter), owner))
        order = order[~is_mark[order]]
        left = budgets.copy()
        chosen = np.zeros(len(heads), dtype=np.bool_)
        while True:
            order = order[~chosen[order] & (lengths[order] <= left[owner[order]])]
            if len(order) == 0:
                break
            spent = np.cumsum(lengths[order])
            first_of = np.searchsorted(owner[order], owner[order], side="left")
            spent = spent - (spent[first_of] - lengths[order][first_of])
            fits = spent <= left[owner[order]]
            chosen[order[fits]] = True
            left -= np.bincount(
                owner[order[fits]], weights=lengths[order[fits]], minlength=len(left)
            ).astype(np.int64)
        return np.flatnonzero(chosen[word_of] & ~words.is_mark)

    def _corrupted(
        self,
        ids: Int64[np.ndarray, " tokens"],
        hidden: Int64[np.ndarray, " hidden"],
        *,
        counter: Int64[np.ndarray, " tokens"],
    ) -> Int64[np.ndarray, " tokens"]:
        draw = self._uniform("how", counter[hidden])
        other = self._uniform("other", counter[hidden])
        any_id = self._alphabet.ordinary[(other * len(self._alphabet.ordinary)).astype(np.int64)]
        corrupted = ids.copy()
        corrupted[hidden] = np.select(
            [draw < MASKED, draw < RANDOM], [self._alphabet.mask, any_id], default=ids[hidden]
        )
        return corrupted

    def _uniform(
        self, what: str, counter: Int64[np.ndarray, " texts"]
    ) -> Float64[np.ndarray, " texts"]:
        return uniform(counter, seed=derived_seed(self._seed, what))


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The tokens of some texts one after the other, one entry a token."""

    ids: Int64[np.ndarray, " tokens"]
    begins: Bool[np.ndarray, " tokens"]
    is_mark: Bool[np.ndarray, " tokens"]
    owner: Int64[np.ndarray, " tokens"]


def _pieces(
    offsets: Int64[np.ndarray, " bounds"], *, room: int
) -> tuple[Int64[np.ndarray, " texts"], Int64[np.ndarray, " texts"], Int64[np.ndarray, " texts"]]:
    """Cuts documents into pieces of at most `room` tokens: begins, sizes, documents."""
    sizes = np.diff(offsets)
    counts = -(-sizes // room)
    owners = np.repeat(np.arange(len(sizes)), counts)
    inside = counted(counts) * room
    begins, lengths = offsets[owners] + inside, np.minimum(room, sizes[owners] - inside)
    kept = lengths >= LEAST_PIECE
    return begins[kept], lengths[kept], owners[kept]


def _placed(
    values: Int64[np.ndarray, " tokens"],
    flat: Int64[np.ndarray, " tokens"],
    *,
    shape: tuple[int, int],
) -> Tensor:
    """Rows with values at flat places and 0 elsewhere."""
    rows = np.zeros(shape, dtype=np.int64)
    rows.ravel()[flat] = values
    return torch.from_numpy(rows)


def _at(
    values: Shaped[np.ndarray, " texts"],
    places: tuple[Int64[np.ndarray, " texts"], Int64[np.ndarray, " texts"]],
    *,
    shape: tuple[int, int],
) -> Tensor:
    """Rows with values at (row, column) and 0 elsewhere."""
    rows = np.zeros(shape, dtype=values.dtype)
    rows[places] = values
    return torch.from_numpy(rows)
