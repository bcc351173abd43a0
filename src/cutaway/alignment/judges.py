"""Judges that are no people: a rule that knows the right answer, and a person whose taste is known.

Both fill the same store as people do. The known person errs in a fixed share of the judgements,
so that what was learned can be compared with what was meant.
"""

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, final

from cutaway.alignment.judgements import Answer, Comparison, Judge, Judgement, Verdict
from cutaway.alignment.taste import true_reward
from cutaway.errors import ConfigError
from cutaway.text.conversations import Message
from cutaway.text.skills.base import Example, Skill

FLIPPED = 0.22
"""The share of the simulated person's judgements that say the opposite of what it likes."""
SAME_WORTH = 0.05
"""Answers whose worth differs by less are a tie for the simulated person."""


class MachineJudge(ABC):
    """Judges a comparison by what each answer is worth."""

    kind: ClassVar[Judge]

    @property
    @abstractmethod
    def name(self) -> str:
        """What the store calls it among the raters."""

    @abstractmethod
    def verdict(
        self, comparison: Comparison, shown: Sequence[str]
    ) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict on answers in the order in which they stand, and the ranking if it is one."""

    @final
    def judge(self, comparison: Comparison) -> Judgement:
        """Judges one comparison; its answers stand in an order that depends on its key alone."""
        shown = shuffled(comparison.answer_keys, seed=f"{self.name}/{comparison.key}")
        verdict, ranking = self.verdict(comparison, shown)
        return Judgement(
            comparison=comparison.key,
            rater=self.name,
            judge=self.kind,
            verdict=verdict,
            shown=shown,
            ranking=ranking,
        )


@final
@dataclass(frozen=True, kw_only=True)
class SimulatedPerson(MachineJudge):
    """A person with the taste of `true_reward`, who errs."""

    kind = "simulated"

    flipped: float = FLIPPED
    """Share of judgements that say the opposite, from 0 to below a half."""
    seed: int = 0
    """Which judgements these are."""

    def __post_init__(self) -> None:
        if not 0 <= self.flipped < 0.5:
            raise ConfigError(f"flipped={self.flipped} is out of range; give 0 to below 0.5")

    @property
    def name(self) -> str:
        """Its seed and how often it errs."""
        return f"simulated person {self.seed}, {self.flipped:.0%} flipped"

    def verdict(
        self, comparison: Comparison, shown: Sequence[str]
    ) -> tuple[Verdict, tuple[str, ...]]:
        """Prefers what it likes better, but for the flipped share; like worth is a tie."""
        worth = {key: self._worth(comparison, key) for key in shown}
        ordered = sorted(shown, key=lambda key: -worth[key])
        if worth[ordered[0]] - worth[ordered[-1]] < SAME_WORTH:
            return "tie", ()
        # Each pair is seen on its own, as a person errs, and an answer's wins decide its place.
        wins = dict.fromkeys(shown, 0.0)
        for better, worse in combinations(ordered, 2):
            errs = _share(f"{self.seed}/{comparison.key}/{better}/{worse}") < self.flipped
            wins[worse if errs else better] += 1
        ordered.sort(key=lambda key: -wins[key])
        return _verdict(ordered, shown)

    def _worth(self, comparison: Comparison, key: str) -> float:
        return true_reward(comparison.prompt, comparison.answer(key).text)


@final
class Rule(MachineJudge):
    """Knows the right answers to questions of skills: of two, the one with fewer errors is better.

    A ranking has no ties, and answers with equally many errors have no order: so it ranks no more.
    """

    kind = "rule"

    def __init__(self, known: Mapping[tuple[Message, ...], tuple[Skill[Any], Example]]) -> None:
        """Takes the examples by their prompts."""
        self._known = known

    @property
    def name(self) -> str:
        """There is one rule."""
        return "rule"

    def verdict(
        self, comparison: Comparison, shown: Sequence[str]
    ) -> tuple[Verdict, tuple[str, ...]]:
        """Skips what no skill asks; all right is a tie, all equally wrong are both bad."""
        found = self._known.get(comparison.prompt)
        if found is None or len(shown) > 2:
            return "skip", ()
        skill, example = found
        errors = {key: skill.score(example, comparison.answer(key).text).errors for key in shown}
        if len(set(errors.values())) == 1:
            return ("both_bad" if any(errors.values()) else "tie"), ()
        return _verdict(sorted(shown, key=errors.__getitem__), shown)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a judge said, beside the taste without noise and beside length alone."""

    decided: int
    """Pairs of answers of which the taste likes one better."""
    agreement: float
    """Share of them in which the judgement is the taste's."""
    length: float
    """Share that one reaches by always taking the longer answer, or the shorter if that is more."""


def compare_with_truth(
    chosen: Iterable[tuple[tuple[Message, ...], Answer, Answer]],
) -> Truth:
    """Holds (prompt, chosen, rejected) against the known taste; pairs of like worth are passed."""
    agreed = longer = decided = 0.0
    for prompt, better, worse in chosen:
        gain = true_reward(prompt, better.text) - true_reward(prompt, worse.text)
        if abs(gain) < SAME_WORTH:
            continue
        decided += 1
        agreed += gain > 0
        more = len(better.text) - len(worse.text)
        # Half of the answers of equal length are found by guessing.
        longer += 0.5 if more == 0 else (more > 0) == (gain > 0)
    share = longer / decided if decided else 0.0
    return Truth(
        decided=int(decided),
        agreement=agreed / decided if decided else 0.0,
        length=max(share, 1 - share) if decided else 0.0,
    )


def shuffled(keys: Sequence[str], *, seed: str) -> tuple[str, ...]:
    """The keys in a random order that the seed alone decides."""
    mixed = list(keys)
    random.Random(seed).shuffle(mixed)
    return tuple(mixed)


def _verdict(ordered: Sequence[str], shown: Sequence[str]) -> tuple[Verdict, tuple[str, ...]]:
    if len(shown) > 2:
        return "ranking", tuple(ordered)
    return ("a" if ordered[0] == shown[0] else "b"), ()


def _share(text: str) -> float:
    """A number from 0 to 1 that the text alone decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
