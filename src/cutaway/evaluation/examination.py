"""A whole examination: held-out text and every skill, for each stage of one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.evaluation.prompting import FewShot, PromptForm, ZeroShot
from cutaway.evaluation.skills import (
    SkillResult,
    SkillScore,
    attempt_skill,
    held_out_items,
    score_baseline,
    score_skill,
)
from cutaway.evaluation.subject import Subject
from cutaway.text.skills.base import Example, Skill


@dataclass(frozen=True, kw_only=True)
class ExaminationSize:
    """How many questions are asked."""

    items: int = 200
    """Questions of each skill to a model that chats."""
    base_items: int = 50
    """Questions of each skill, and of each form of prompt, to a base model."""
    shots: int = 4
    """Answered questions in a few-shot prompt."""
    seed: int = 0
    """Of the order of the questions, the same for every model."""
    tries: int | None = None
    """Answers drawn to each question of a model that chats; none: the most probable one alone."""


def examine_skill(
    subjects: Sequence[Subject], skill: Skill[Any], *, size: ExaminationSize
) -> SkillResult:
    """Asks every model the same held-out questions of a skill; a base model the first of them."""
    items = held_out_items(skill, count=size.items, seed=size.seed)
    return SkillResult(
        name=skill.name,
        metric=skill.metric,
        baseline=score_baseline(skill, items=items),
        stages={
            subject.stage: _scores(subject, skill, items=items, size=size) for subject in subjects
        },
        attempts={}
        if size.tries is None
        else {
            subject.stage: attempt_skill(
                subject.drawing(seed=size.seed), skill, items=items, tries=size.tries
            )
            for subject in subjects
            if subject.can_chat
        },
    )


def _scores(
    subject: Subject, skill: Skill[Any], *, items: Sequence[Example], size: ExaminationSize
) -> tuple[SkillScore, ...]:
    forms: list[PromptForm] = [ZeroShot()]
    if not subject.can_chat:
        items = items[: size.base_items]
        forms.append(FewShot(count=size.shots))
    return tuple(score_skill(subject.asker, skill, items=items, form=form) for form in forms)
