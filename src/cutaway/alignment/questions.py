"""What the policy is asked while it learns, and what it is asked to see whether it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.alignment.open_questions import open_prompts
from cutaway.alignment.prompts import Asked, known_answers, prompts_from
from cutaway.alignment.rewards import Prompt
from cutaway.text.documents import Split, split_of
from cutaway.text.skills.base import Example, Skill


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Prompts to learn from, and others to judge by."""

    learned: tuple[Asked, ...]
    """Asked while the policy learns."""
    held_out: tuple[Asked, ...]
    """Never asked while it learns."""

    @property
    def known(self) -> Mapping[Prompt, tuple[Skill[Any], Example]]:
        """The examples behind all questions that a skill asks."""
        return known_answers([*self.learned, *self.held_out])


def questions_of_skills(
    skills: Sequence[Skill[Any]], *, count: int, held_out: int, seed: int
) -> Questions:
    """Takes as many questions of each skill, in turn, as make `count`; all different."""
    return Questions(
        learned=_in_turn(skills, "train", count=count, seed=seed),
        held_out=_in_turn(skills, "validation", count=held_out, seed=seed),
    )


def open_questions(*, count: int, held_out: int, seed: int) -> Questions:
    """Takes questions that have no right answer, about other things where they are held out."""
    learned = open_prompts("train", count=count, seed=seed)
    tested = open_prompts("validation", count=held_out, seed=seed)
    return Questions(
        learned=tuple(Asked(prompt=prompt) for prompt in learned),
        held_out=tuple(Asked(prompt=prompt) for prompt in tested),
    )


def questions_of_file(source: str, *, count: int, held_out: int, seed: int) -> Questions:
    """Takes the prompts of a file, one in twenty of them held out by its hash."""
    found = prompts_from(source, count=count + held_out, seed=seed)
    parts: dict[Split, list[Asked]] = {"train": [], "validation": []}
    for each in found:
        parts[split_of(each.prompt[-1].content)].append(each)
    return Questions(
        learned=tuple(parts["train"][:count]), held_out=tuple(parts["validation"][:held_out])
    )


def examples_in_turn(
    skills: Sequence[Skill[Any]], split: Split, *, count: int, seed: int
) -> list[tuple[Skill[Any], Example]]:
    """Takes examples of each skill in turn, about `count` in all."""
    each = -(-count // max(1, len(skills)))
    columns = [skill.examples(split, seed=seed, count=each) for skill in skills]
    rows = zip(*columns, strict=True)
    return [pair for row in rows for pair in zip(skills, row, strict=True)][:count]


def _in_turn(
    skills: Sequence[Skill[Any]], split: Split, *, count: int, seed: int
) -> tuple[Asked, ...]:
    turns = [
        Asked(prompt=example.conversation.messages[:-1], skill=skill, example=example)
        for skill, example in examples_in_turn(skills, split, count=count, seed=seed)
    ]
    return tuple({asked.prompt: asked for asked in turns}.values())
