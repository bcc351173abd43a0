"""How near what a model writes for sources comes to their targets, beside rivals, with examples."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cutaway.data.pairs import PairData
from cutaway.errors import DataError
from cutaway.evaluation.rivals import rival_texts
from cutaway.evaluation.tasks import Measurement
from cutaway.evaluation.translation import Translator
from cutaway.evaluation.writing import lowercased_bleu, measured, nearness
from cutaway.text.corpora import Measure
from cutaway.text.pairs import Pair

SHOWN = 10
"""Examples of each kind that are kept."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written for one source."""

    source: str
    """What was read."""
    text: str
    """What was written."""
    target: str
    """What should have been."""
    nearness: float
    """How near they are, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """How well sources are turned into their targets."""

    data: str
    """What it was judged by."""
    n: int
    """Pairs."""
    left_out: int
    """Pairs whose source is longer than the model can read."""
    beams: int
    """Beams of the search."""
    length_penalty: float
    """Exponent by which longer targets were favoured."""
    model: tuple[Measurement, ...]
    """What the model reached, the main measure first; its chance is what the best rival reached."""
    rivals: Mapping[str, tuple[Measurement, ...]]
    """What was reached without it, by the same measures."""
    drawn: tuple[Written, ...]
    """Examples drawn at random."""
    best: tuple[Written, ...]
    """The nearest ones; of those that are equally near, drawn ones."""
    worst: tuple[Written, ...]
    """The ones that are furthest off."""


def judge_pairs(
    translator: Translator, pairs: Sequence[Pair], *, data: PairData, seed: int
) -> PairScores:
    """Writes a target for each source and compares; `seed` draws the examples.

    Raises:
        DataError: No source is short enough.
    """
    readable = [pair for pair in pairs if translator.can_read(pair.source)]
    if not readable:
        raise DataError(
            f"all {len(pairs)} sources are longer than the {translator.model.config.context_length}"
            " tokens that the model reads\nGive shorter ones, or train a model of longer context."
        )
    written = translator.translate([pair.source for pair in readable])
    rivals = _rivals(readable, data=data)
    order = random.Random(seed).sample(range(len(readable)), len(readable))
    near = nearness(data.measures[0], written, readable)

    def shown(places: Sequence[int]) -> tuple[Written, ...]:
        return tuple(
            Written(
                source=readable[place].source,
                text=written[place],
                target=readable[place].target,
                nearness=near[place],
            )
            for place in places[:SHOWN]
        )

    return PairScores(
        data=data.data,
        n=len(readable),
        left_out=len(pairs) - len(readable),
        beams=translator.beams,
        length_penalty=translator.length_penalty,
        model=_beside(_figures(data.measures, written, readable), rivals),
        rivals=rivals,
        drawn=shown(order),
        best=shown(sorted(order, key=lambda place: -near[place])),
        worst=shown(sorted(order, key=lambda place: near[place])),
    )


def _figures(
    measures: Sequence[Measure], written: Sequence[str], pairs: Sequence[Pair]
) -> tuple[Measurement, ...]:
    found = [measured(name, written, pairs) for name in measures]
    if "bleu" in measures:
        found.append(lowercased_bleu(written, pairs))
    return tuple(found)


def _rivals(pairs: Sequence[Pair], *, data: PairData) -> dict[str, tuple[Measurement, ...]]:
    """Measures each rival; of two that write the same, the first stands for both."""
    sources = [pair.source for pair in pairs]
    found: dict[str, list[str]] = {}
    for name in data.rivals:
        texts = rival_texts(name, sources, training=lambda: data.pairs("train"))
        if texts not in found.values():
            found[name] = texts
    return {name: _figures(data.measures, texts, pairs) for name, texts in found.items()}


def _beside(
    own: Sequence[Measurement], rivals: Mapping[str, Sequence[Measurement]]
) -> tuple[Measurement, ...]:
    """Writes the best rival's figure beside each of the model's."""
    told = []
    for place, one in enumerate(own):
        best: Callable[..., float] = max if one.higher_is_better else min
        reached = [figures[place].value.value for figures in rivals.values()]
        told.append(replace(one, chance=best(reached) if reached else None))
    return tuple(told)
