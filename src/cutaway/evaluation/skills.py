"""How well a model does a skill: questions that training has never seen, beside a trivial rival."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cutaway.evaluation.attempts import Attempts
from cutaway.evaluation.generation import Asker
from cutaway.evaluation.intervals import Interval, bootstrap_rate, wilson
from cutaway.evaluation.prompting import PromptForm, ZeroShot
from cutaway.text.conversations import Conversation
from cutaway.text.skills.base import Example, Score, Skill, question, reference

FEW_SHOT_SEED = 17
"""Draws the answered questions of few-shot prompts, the same for every model."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One question with what the model said."""

    question: str
    """The user's message, after the system's where there is one."""

    reference: str
    """The right answer, steps included."""

    answer: str
    """What the model wrote."""

    is_right: bool
    """Whether it has no error."""


@dataclass(frozen=True, kw_only=True)
class SkillScore:
    """What one model reached in one skill with one form of prompt."""

    form: str
    """Name of the prompt form."""

    n: int
    """Questions asked, all different."""

    value: Interval
    """Share of exact answers, or phoneme error rate."""

    answered: tuple[Answered, ...]
    """Every question and answer."""


@dataclass(frozen=True, kw_only=True)
class SkillResult:
    """One skill over the stages of training."""

    name: str
    """The skill."""

    metric: str
    """`exact` (share of exact answers) or `phoneme_error_rate` (edits over phonemes)."""

    baseline: Interval
    """What a trivial answer reaches on the same questions."""

    stages: dict[str, tuple[SkillScore, ...]]
    """Scores by stage (`base`, `finetuned`, ...), one for each prompt form that was tried."""

    attempts: dict[str, Attempts] = field(default_factory=dict)
    """How often drawn answers are right, by stage, where that was asked for."""

    @property
    def higher_is_better(self) -> bool:
        """True for exact match, False for an error rate."""
        return self.metric == "exact"

    def best(self, stage: str) -> SkillScore:
        """Returns a stage's score with the prompt form that suited it best."""
        sign = 1 if self.higher_is_better else -1
        return max(self.stages[stage], key=lambda score: sign * score.value.value)


def held_out_items(skill: Skill[Any], *, count: int, seed: int) -> list[Example]:
    """Returns up to `count` different questions of the validation split.

    A skill with fewer held-out questions than asked for repeats them; a repeated question says
    nothing new and is left out, so that intervals are not narrower than the evidence.
    """
    seen: dict[tuple[str, ...], Example] = {}
    for example in skill.examples("validation", seed=seed, count=count):
        seen.setdefault(tuple(message.content for message in _asked(example).messages), example)
    return list(seen.values())


def score_skill(
    asker: Asker, skill: Skill[Any], *, items: Sequence[Example], form: PromptForm
) -> SkillScore:
    """Asks all items and scores the answers by the skill's rule."""
    shots = skill.examples("train", seed=FEW_SHOT_SEED, count=form.num_examples)
    answers = asker.answers(
        [_asked(item) for item in items],
        references=[reference(item) for item in items],
        form=form,
        examples=[shot.conversation for shot in shots],
    )
    scores = [skill.score(item, answer) for item, answer in zip(items, answers, strict=True)]
    return SkillScore(
        form=form.name,
        n=len(items),
        value=_summed(skill, scores),
        answered=tuple(
            Answered(
                question=_shown(item),
                reference=reference(item),
                answer=answer,
                is_right=score.errors == 0,
            )
            for item, answer, score in zip(items, answers, scores, strict=True)
        ),
    )


def attempt_skill(
    asker: Asker, skill: Skill[Any], *, items: Sequence[Example], tries: int
) -> Attempts:
    """Asks each item so many times; the asker must draw its answers."""
    repeated = [item for item in items for _ in range(tries)]
    answers = asker.answers(
        [_asked(item) for item in repeated],
        references=[reference(item) for item in repeated],
        form=ZeroShot(),
    )
    is_right = [
        skill.score(item, answer).errors == 0
        for item, answer in zip(repeated, answers, strict=True)
    ]
    starts = range(0, len(repeated), tries)
    return Attempts(
        tries=tries, right=tuple(sum(is_right[start : start + tries]) for start in starts)
    )


def score_baseline(skill: Skill[Any], *, items: Sequence[Example]) -> Interval:
    """Scores the skill's trivial answer on the same items."""
    return _summed(skill, [skill.score(item, skill.baseline(item)) for item in items])


def _summed(skill: Skill[Any], scores: Sequence[Score]) -> Interval:
    if skill.metric == "exact":
        return wilson(sum(score.errors == 0 for score in scores), len(scores))
    return bootstrap_rate(
        [float(score.errors) for score in scores], [float(score.length) for score in scores]
    )


def _asked(example: Example) -> Conversation:
    """Returns the conversation without the reference answer."""
    return replace(example.conversation, messages=example.conversation.messages[:-1])


def _shown(example: Example) -> str:
    """Returns the question as a reader should see it, the system's instructions first."""
    system = [
        f"[{message.content}] "
        for message in example.conversation.messages
        if message.role == "system"
    ]
    return "".join(system) + question(example)
