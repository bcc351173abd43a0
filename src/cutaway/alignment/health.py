"""What a run's figures say in words while it goes on: collapse, a hacked reward, nothing learned.

The first steps of the run are compared with the latest ones; what is needed for that is kept with
the run's state, so that a resumed run says the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.training.loop import Progress
from cutaway.training.state import TrainingState

WINDOW = 8
"""Steps whose mean is compared with that of others."""
LEAST_STEPS = 3 * WINDOW
"""Steps before anything is said."""
NOTE = "health"

WATCHED = ("reward", "kl", "entropy", "length", "different", "finished", "groups_with_advantage")
COLLAPSED = 0.2  # share of the first entropy
ALIKE = 0.4  # share of the first share of different answers
LONGER = 1.5  # times the first length
SHORTER = 0.5
FAR = 40.0  # nats an answer
FEW_GROUPS = 0.05  # share of the groups
FEW_FINISHED = 0.5  # share of the answers
CLEAR = 3.0  # standard errors


@dataclass(frozen=True, kw_only=True)
class Sign:
    """Something that a person should look at."""

    kind: str
    """A short name, said once in a run."""
    words: str
    """What was seen, what it means, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What held-out prompts showed at one moment."""

    reward: float
    """By the reward that is learned from."""
    truth: float | None
    """By the one that is only watched; None: there is none."""
    truth_error: float
    """Standard error of the truth."""


def signs_in_steps(
    first: Sequence[Mapping[str, float]], last: Sequence[Mapping[str, float]], *, share: float
) -> list[Sign]:
    """Says what is wrong with the latest steps beside the first ones, `share` of the run done."""
    found: list[Sign] = []
    before, now = _means(first), _means(last)
    if "entropy" in now and now["entropy"] < COLLAPSED * before["entropy"]:
        words = (
            f"the policy collapses: its entropy fell from {before['entropy']:.2f} to "
            f"{now['entropy']:.2f} nats a token, so it says nearly the same each time. Raise the "
            "price of leaving the reference (kl_weight=) or lower the learning rate."
        )
        found.append(Sign(kind="collapse", words=words))
    if "different" in now and now["different"] < ALIKE * before["different"]:
        words = (
            f"the policy says the same to different questions: {now['different']:.0%} of a step's "
            f"answers differ ({before['different']:.0%} at first). One answer that is always liked "
            "well enough pays; raise kl_weight=, or let the reward look at what was asked."
        )
        found.append(Sign(kind="alike", words=words))
    if "reward" in now:
        found += _signs_of_reward(first, last, share=share)
    if now.get("kl", 0.0) > FAR:
        words = (
            f"the policy is {now['kl']:.0f} nats an answer away from where it began; what it says "
            "is hardly its own language any more. Raise kl_weight=."
        )
        found.append(Sign(kind="far", words=words))
    if now.get("finished", 1.0) < FEW_FINISHED <= before.get("finished", 1.0):
        words = (
            f"only {now['finished']:.0%} of the answers come to an end before their room does "
            f"({before['finished']:.0%} at first). Give max_tokens= more, or unfinished= a price."
        )
        found.append(Sign(kind="unfinished", words=words))
    return found


def signs_in_looks(looks: Sequence[Look]) -> list[Sign]:
    """Says where the reward rose on held-out prompts and the truth fell from its best."""
    known = [look for look in looks if look.truth is not None]
    if len(known) < 2:
        return []
    best = max(known, key=lambda look: look.truth or 0.0)
    last = known[-1]
    assert best.truth is not None
    assert last.truth is not None
    error = math.hypot(best.truth_error, last.truth_error)
    if last.reward <= best.reward or last.truth >= best.truth - CLEAR * error:
        return []
    words = (
        f"the reward is being hacked: on held-out prompts it rose from {best.reward:.3f} to "
        f"{last.reward:.3f}, while the truth fell from {best.truth:.3f} to {last.truth:.3f}. "
        "An earlier checkpoint is better; raise kl_weight= or stop sooner."
    )
    return [Sign(kind="hacked by the truth", words=words)]


class Health:
    """A hook that says each sign once, on the console and in the metrics."""

    def __init__(
        self, *, warn: Callable[[str], None], write: Callable[[dict[str, Any]], None]
    ) -> None:
        self._warn, self._write = warn, write

    def after_step(self, progress: Progress) -> None:
        """Compares the steps when there are enough of them."""
        state = progress.state
        note = state.notes.setdefault(NOTE, {"first": [], "last": [], "said": []})
        figures = {name: progress.metrics[name] for name in WATCHED if name in progress.metrics}
        if len(note["first"]) < WINDOW:
            note["first"].append(figures)
        note["last"] = [*note["last"], figures][-WINDOW:]
        if state.step >= LEAST_STEPS:
            share = state.step / progress.steps
            self.say(signs_in_steps(note["first"], note["last"], share=share), state)

    def say(self, signs: Sequence[Sign], state: TrainingState) -> None:
        """Says the signs that were not said yet."""
        said = state.notes.setdefault(NOTE, {"first": [], "last": [], "said": []})["said"]
        for sign in signs:
            if sign.kind not in said:
                said.append(sign.kind)
                self._warn(f"step {state.step}: {sign.words}")
                self._write({"step": state.step, "warning": sign.words})

    def at_end(self, state: TrainingState) -> None:
        """Does nothing: each sign was said when it was seen."""


def _signs_of_reward(
    first: Sequence[Mapping[str, float]], last: Sequence[Mapping[str, float]], *, share: float
) -> list[Sign]:
    before, now = _means(first), _means(last)
    rise = now["reward"] - before["reward"]
    error = math.hypot(_error(first), _error(last))
    longer = now["length"] / max(1.0, before["length"])
    if rise > CLEAR * error and not SHORTER < longer < LONGER:
        words = (
            f"the reward may be hacked: it rose from {before['reward']:.3f} to {now['reward']:.3f} "
            f"while the answers went from {before['length']:.0f} to {now['length']:.0f} tokens. "
            "Read some of them: it may be paying for their length."
        )
        return [Sign(kind="hacked by length", words=words)]
    groups = now.get("groups_with_advantage")
    if groups is not None and groups < FEW_GROUPS and before["groups_with_advantage"] < FEW_GROUPS:
        words = (
            f"nothing can be learned: in {1 - groups:.0%} of the groups all answers earn the same, "
            "so none is better than another. Ask easier questions, or give answers= more."
        )
        return [Sign(kind="no advantage", words=words)]
    if share >= 0.5 and rise < CLEAR * error and rise < 0.1 * _spread(first):
        words = (
            f"nothing is learned: after half of the run the reward is {now['reward']:.3f}, and it "
            f"was {before['reward']:.3f}. Raise the learning rate, or lower kl_weight=."
        )
        return [Sign(kind="nothing learned", words=words)]
    return []


def _means(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = steps[0].keys()
    return {name: sum(step[name] for step in steps) / len(steps) for name in names}


def _error(steps: Sequence[Mapping[str, float]]) -> float:
    """Standard error of the mean reward of a step, from how much the steps differ."""
    return _spread(steps) / math.sqrt(len(steps))


def _spread(steps: Sequence[Mapping[str, float]]) -> float:
    mean = sum(step["reward"] for step in steps) / len(steps)
    squares = sum((step["reward"] - mean) ** 2 for step in steps)
    return math.sqrt(squares / max(1, len(steps) - 1))
