"""Texts with classes as batches: packed side by side, and read at one place each.

An encoder reads `[CLS] text [SEP]`, or `[CLS] text [SEP] second [SEP]`, at its first token (Devlin
et al. 2018, section 4.1); a decoder reads its text at the last one (Radford et al. 2018, 3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from cutaway.data.batches import Batch
from cutaway.data.order import permuted_array
from cutaway.data.packing import pack
from cutaway.errors import ConfigError, DataError
from cutaway.text.labelled import LabelledText
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.wordpiece import FIRST, SEPARATOR

TooLong = Literal["error", "cut"]
"""What becomes of a text that is longer than the model: it stops the run, or loses its end."""


@dataclass(frozen=True, kw_only=True)
class LabelledBatch(Batch):
    """Rows of texts, and the class of each."""

    tokens: Int64[Tensor, "B T"]
    """Ids that go in."""
    segments: Int64[Tensor, "B T"]
    """0 in the first text of a pair, 1 in the second."""
    documents: Int64[Tensor, "B T"]
    """Which text of its row a token belongs to: 1, 2, 3, ...; 0 is padding."""
    places: Int64[Tensor, "B texts"]
    """Where each text of the row is read; beyond the last one 0."""
    targets: Int64[Tensor, "B texts"]
    """Its class; beyond the last one 0."""
    loss_mask: Bool[Tensor, "B texts"]
    """True where there is a text."""

    @property
    def num_tokens(self) -> int:
        """Places that a model reads, padding included."""
        return self.tokens.numel()


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A text as ids."""

    ids: tuple[int, ...]
    """With all that stands around it."""
    second_begins: int
    """Where the second part begins; the number of ids where there is none."""
    place: int
    """Which of them is read."""


def readable(
    texts: Sequence[LabelledText],
    tokenizer: Tokenizer,
    *,
    reads: Literal["first", "last"],
    context_length: int,
    too_long: TooLong,
) -> list[Readable]:
    """Writes texts as a classifier reads them.

    Raises:
        DataError: a text is longer than the model can read, where that is an error, or has no
            token.
        ConfigError: the tokenizer has not the control tokens that are needed.
    """
    before, behind = _markers(tokenizer, reads=reads)
    firsts = tokenizer.encode_batch([text.text for text in texts])
    seconds = tokenizer.encode_batch([text.second for text in texts])
    found = []
    for text, first, second in zip(texts, firsts, seconds, strict=True):
        if not first or (text.second and not second):
            raise DataError(f"{text.told}: a text has no token\nGive a text, or leave the row out.")
        markers = len(before) + len(behind) * (2 if second else 1)
        if reads == "last" and second:
            markers += len(before)
        room = context_length - markers
        if len(first) + len(second) > room:
            if too_long == "error":
                raise DataError(
                    f"{text.told}: a text of {len(first) + len(second)} tokens, and the model "
                    f"reads {room} beside the {markers} around them\n"
                    "Shorten it, or cut the ends of all longer ones with classes.too_long=cut."
                )
            first, second = _cut(first, second, room=room)
        whole = [*before, *first, *behind]
        begins = len(whole)
        if second:
            whole += [*(before if reads == "last" else []), *second, *behind]
        place = 0 if reads == "first" else len(whole) - 1
        found.append(Readable(ids=tuple(whole), second_begins=begins, place=place))
    return found


class PackedTexts:
    """Batches of labelled texts, each of them once in an epoch; the state is the step."""

    def __init__(
        self,
        texts: Sequence[Readable],
        *,
        classes: Sequence[int],
        rows: int,
        row_length: int,
        seed: int,
        place: tuple[int, int] = (0, 1),
    ) -> None:
        """Packs the texts; `place` is this process's number, and how many there are."""
        self.row_length = row_length
        """Tokens of a row."""
        self.rows = rows
        """Rows of a step, over all processes."""
        self._rank, self._world = place
        if rows % self._world:
            raise ConfigError(f"{rows} rows cannot be shared evenly by {self._world} processes")
        self._texts, self._classes, self._seed = texts, classes, seed
        lengths = np.array([len(text.ids) for text in texts], dtype=np.int64)
        self.packing = pack(lengths, row_length=row_length, seed=seed)
        """Which texts share a row."""
        self._most = int(np.diff(self.packing.starts).max())

    @property
    def num_rows(self) -> int:
        """Rows of one epoch."""
        return self.packing.num_rows

    def batch(self, step: int) -> LabelledBatch:
        """Makes this process's rows of step `step`, counted from 0."""
        numbers = np.arange(step * self.rows + self._rank, (step + 1) * self.rows, self._world)
        epochs, places = np.divmod(numbers, self.num_rows)
        found = [
            self._row(
                int(
                    permuted_array(place[None], size=self.num_rows, seed=self._seed, epoch=epoch)[0]
                )
            )
            for epoch, place in zip(epochs.tolist(), places, strict=True)
        ]
        return LabelledBatch(
            **{
                field.name: torch.stack([row[field.name] for row in found])
                for field in fields(LabelledBatch)
            }
        )

    def _row(self, number: int) -> dict[str, Tensor]:
        starts = self.packing.starts
        chosen = self.packing.examples[starts[number] : starts[number + 1]].tolist()
        return laid_out(
            [self._texts[each] for each in chosen],
            classes=[self._classes[each] for each in chosen],
            row_length=self.row_length,
            most=self._most,
        )


def laid_out(
    texts: Sequence[Readable], *, classes: Sequence[int], row_length: int, most: int
) -> dict[str, Tensor]:
    """One row: texts side by side, and room for the classes of `most` of them."""
    row = {
        name: torch.zeros(row_length, dtype=torch.int64)
        for name in ("tokens", "segments", "documents")
    }
    row |= {name: torch.zeros(most, dtype=torch.int64) for name in ("places", "targets")}
    row["loss_mask"] = torch.arange(most) < len(texts)
    begin = 0
    for number, (text, class_) in enumerate(zip(texts, classes, strict=True)):
        end = begin + len(text.ids)
        row["tokens"][begin:end] = torch.tensor(text.ids)
        row["segments"][begin + text.second_begins : end] = 1
        row["documents"][begin:end] = number + 1
        row["places"][number] = begin + text.place
        row["targets"][number] = class_
        begin = end
    return row


def _markers(
    tokenizer: Tokenizer, *, reads: Literal["first", "last"]
) -> tuple[list[int], list[int]]:
    """What stands before and behind a part."""
    if reads == "last":
        return [tokenizer.begin_id], []
    missing = [name for name in (FIRST, SEPARATOR) if name not in tokenizer.special]
    if missing:
        raise ConfigError(f"the tokenizer of this model has no {' and no '.join(missing)}")
    return [tokenizer.special[FIRST]], [tokenizer.special[SEPARATOR]]


def _cut(first: list[int], second: list[int], *, room: int) -> tuple[list[int], list[int]]:
    """Shortens the longer part first, as the code published with BERT does."""
    over = len(first) + len(second) - room
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    alone = min(over, len(longer) - len(shorter))
    rest = over - alone
    longer = longer[: len(longer) - alone - (rest + 1) // 2]
    shorter = shorter[: len(shorter) - rest // 2]
    return (longer, shorter) if len(first) >= len(second) else (shorter, longer)
