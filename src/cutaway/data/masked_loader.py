"""Batches of texts with hidden words, mixed from several bodies of text; see `corruption.py`."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from cutaway.data.corruption import Alphabet, MaskedBatch, MaskedTexts
from cutaway.data.loaders import check_rows
from cutaway.data.masking import MaskingConfig
from cutaway.data.mixing import Mixing
from cutaway.data.sources import Source


class MaskedLoader:
    """A seeded mixture; row i of a step goes to process i modulo `world`."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        alphabet: Alphabet,
        config: MaskingConfig,
        rows: int,
        row_length: int,
        seed: int,
        place: tuple[int, int] = (0, 1),
    ) -> None:
        """Cuts and packs the texts; `place` is this process's number, and how many there are."""
        self.row_length = row_length
        """Tokens of a row."""
        self._rank, self._world = place
        check_rows(sources, rows=rows, row_length=row_length, rank=self._rank, world=self._world)
        self.makers = tuple(
            MaskedTexts(
                source.shards,
                name=source.name,
                alphabet=alphabet,
                config=config,
                row_length=row_length,
                seed=seed,
            )
            for source in sources
        )
        """What makes the rows of each source; their counts are for reports."""
        shares = [source.share for source in sources]
        self._mixing = Mixing(shares=shares, final_shares=shares, rows=rows)
        # One shape for all batches, so that what is compiled is compiled once.
        self._most_hidden = max(maker.most_hidden for maker in self.makers)
        self._most_texts = max(maker.most_texts for maker in self.makers)

    @property
    def mean_hidden(self) -> float:
        """Words hidden in a text, on average over all texts of the sources."""
        counts = [len(maker.packing.examples) for maker in self.makers]
        sums = [n * maker.mean_hidden for n, maker in zip(counts, self.makers, strict=True)]
        return sum(sums) / sum(counts)

    def batch(self, step: int) -> MaskedBatch:
        """Makes this process's rows of step `step`, counted from 0."""
        numbers = self._mixing.numbers(step, rank=self._rank, world=self._world)
        parts = [
            maker.rows(taken)
            for maker, taken in zip(self.makers, numbers, strict=True)
            if len(taken)
        ]
        widths = {
            **dict.fromkeys(("places", "targets", "loss_mask"), self._most_hidden),
            **dict.fromkeys(("firsts", "follows"), self._most_texts),
        }
        return MaskedBatch(
            **{
                field.name: torch.cat(
                    [
                        _widened(
                            getattr(part, field.name),
                            widths.get(field.name, self.row_length),
                            filling=-1 if field.name == "follows" else 0,
                        )
                        for part in parts
                    ]
                )
                for field in fields(MaskedBatch)
            }
        )


def _widened(rows: Tensor, width: int, *, filling: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]), value=filling)
