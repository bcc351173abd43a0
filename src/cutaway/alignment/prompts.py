"""What is asked where judgements are wanted: questions of skills, open ones, or those of a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cutaway.alignment.open_questions import open_prompts
from cutaway.errors import DataError
from cutaway.text.conversations import Message, read_conversations
from cutaway.text.json_files import decoded
from cutaway.text.skills.base import Example, Skill
from cutaway.text.skills.catalog import SKILLS

SKILLS_NAME, OPEN_NAME = "skills", "open"
"""The names of the skills' questions and of the open ones among the sources of prompts."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A prompt, with the skill that knows its answer where one does."""

    prompt: tuple[Message, ...]
    skill: Skill[Any] | None = None
    example: Example | None = None


def prompts_from(source: str, *, count: int, seed: int) -> list[Asked]:
    """Up to `count` different prompts: open ones, of the skills in turn, or of a file in its order.

    A .txt file has one prompt a line; conversations are cut before their last answer.

    Raises:
        DataError: there is no such file, or it holds no prompts.
    """
    if source == SKILLS_NAME:
        return _distinct(_skill_prompts(count=2 * count + 100, seed=seed), count=count)
    if source == OPEN_NAME:
        return [Asked(prompt=prompt) for prompt in open_prompts("train", count=count, seed=seed)]
    path = Path(source)
    if not path.exists():
        raise DataError(
            f"prompts={source[:160]}: there is no such file\n"
            "give open, skills, a .txt file with one prompt a line, or a file of conversations"
        )
    read = _lines(path) if path.suffix == ".txt" else _conversations(path)
    found = _distinct(read, count=count)
    if not found:
        raise DataError(f"{path} holds no prompts: it is empty\ngive a file with some")
    return found


def known_answers(
    asked: list[Asked],
) -> Mapping[tuple[Message, ...], tuple[Skill[Any], Example]]:
    """The examples of skills by their prompts, as a rule needs them."""
    return {
        each.prompt: (each.skill, each.example)
        for each in asked
        if each.skill is not None and each.example is not None
    }


def _skill_prompts(*, count: int, seed: int) -> Iterator[Asked]:
    rounds = -(-count // len(SKILLS))
    drawn = [(skill, skill.examples("train", seed=seed, count=rounds)) for skill in SKILLS.values()]
    for _ in range(rounds):
        for skill, examples in drawn:
            example = next(examples)
            prompt = example.conversation.messages[:-1]
            yield Asked(prompt=prompt, skill=skill, example=example)


def _lines(path: Path) -> Iterator[Asked]:
    text = decoded(path.read_bytes(), place=str(path))
    for line in text.splitlines():
        if line.strip():
            yield Asked(prompt=(Message(role="user", content=line.strip()),))


def _conversations(path: Path) -> Iterator[Asked]:
    for conversation in read_conversations(path):
        yield Asked(prompt=conversation.messages[:-1])


def _distinct(asked: Iterator[Asked], *, count: int) -> list[Asked]:
    found: dict[tuple[Message, ...], Asked] = {}
    for each in asked:
        found.setdefault(each.prompt, each)
        if len(found) == count:
            break
    return list(islice(found.values(), count))
