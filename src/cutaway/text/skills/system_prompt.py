"""Obeying a system prompt that sets a task, how its answer ends, and what is refused."""

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from cutaway.text.documents import Split, split_of
from cutaway.text.skills.arithmetic import pairs_of_two_digits
from cutaway.text.skills.base import Example, Score, Skill, dialogue, reference
from cutaway.text.skills.names import FIRST_YEAR, facts, written_date
from cutaway.text.skills.words import spelled, words_of

HELD_OUT = 0.15  # share of the combinations of task, step and limit
REFUSED_SHARE = 0.3  # of the prompts that set a limit


@dataclass(frozen=True, kw_only=True)
class _Task:
    name: str
    instruction: str
    limit: str
    make: Callable[[Split, random.Random], tuple[str, str, str]]
    """Returns what the user writes, the answer, and the key of the item."""


@dataclass(frozen=True, kw_only=True)
class _Step:
    name: str
    instruction: str
    apply: Callable[[str], str]


def _word(split: Split, randomness: random.Random) -> str:
    return randomness.choice(words_of(split))


def _spell(split: Split, randomness: random.Random) -> tuple[str, str, str]:
    word = _word(split, randomness)
    return word, spelled(word), word


def _reverse(split: Split, randomness: random.Random) -> tuple[str, str, str]:
    word = _word(split, randomness)
    return word, f"{spelled(word)}\n{spelled(word[::-1])}", word


def _count(split: Split, randomness: random.Random) -> tuple[str, str, str]:
    word = _word(split, randomness)
    counted = " ".join(f"{letter}{place}" for place, letter in enumerate(word, start=1))
    return word, f"{counted}\n{len(word)}", word


def _date(split: Split, randomness: random.Random) -> tuple[str, str, str]:
    while True:
        day = datetime.date(FIRST_YEAR, 1, 1) + datetime.timedelta(days=randomness.randrange(73000))
        if split_of(day.isoformat()) == split:
            return written_date(day, randomness), day.isoformat(), day.isoformat()


def _translate(locale: str) -> Callable[[Split, random.Random], tuple[str, str, str]]:
    def make(split: Split, randomness: random.Random) -> tuple[str, str, str]:
        name = randomness.choice([fact for fact in facts() if fact.locale == locale])
        return name.english, name.local, f"{locale}|{name.english}"

    return make


_TASKS = (
    _Task(
        name="spell",
        instruction="Spell the word that the user gives.",
        limit="I can only spell words.",
        make=_spell,
    ),
    _Task(
        name="reverse",
        instruction="Write the user's word backwards.",
        limit="I can only write words backwards.",
        make=_reverse,
    ),
    _Task(
        name="count",
        instruction="Count the letters of the user's word.",
        limit="I can only count letters.",
        make=_count,
    ),
    _Task(
        name="date",
        instruction="Write the user's date in ISO form.",
        limit="I can only write dates.",
        make=_date,
    ),
    _Task(
        name="german",
        instruction="Say in German what the user says.",
        limit="I can only speak German.",
        make=_translate("de"),
    ),
    _Task(
        name="french",
        instruction="Say in French what the user says.",
        limit="I can only speak French.",
        make=_translate("fr"),
    ),
)
_STEPS = (
    _Step(name="none", instruction="", apply=lambda answer: answer),
    _Step(
        name="amen",
        instruction="End with the word Amen.",
        apply=lambda answer: answer + "\nAmen.",
    ),
    _Step(
        name="done",
        instruction="When it is done, write Done.",
        apply=lambda answer: answer + "\nDone.",
    ),
    _Step(
        name="yes",
        instruction="Begin with the word Yes.",
        apply=lambda answer: "Yes.\n" + answer,
    ),
    _Step(
        name="sir",
        instruction="First say: Here it is.",
        apply=lambda answer: "Here it is.\n" + answer,
    ),
)
_REFUSALS = (
    "If you are asked anything else, say: {}",
    "Do nothing else. To all other questions say: {}",
)
# What the user asks when a limit is tested: nothing that any of the tasks would answer.
_OTHER_QUESTIONS = (
    "What is {} + {}?",
    "Who are you?",
    "What can you do?",
    "How much is {} - {}?",
    "Hello!",
    "Who made you?",
)


@dataclass(frozen=True, kw_only=True)
class _Prompt:
    task: _Task
    step: _Step
    limit: int | None
    """Which of the refusals; None: no limit is set."""

    @property
    def key(self) -> str:
        return f"{self.task.name}/{self.step.name}/{self.limit}"


class SystemPrompt(Skill[_Prompt]):
    """Obeys a system prompt: a task, how to begin or end, and what to say to all other questions.

    Held out are combinations of the three, with the items that the other skills hold out. Right when
    the whole answer is the reference, line by line.
    """

    name = "system_prompt"

    def baseline(self, example: Example) -> str:
        """Does the task, if one was asked, and overlooks how to begin or end."""
        lines = reference(example).splitlines()
        return "\n".join(line for line in lines if line not in _SAID)

    def _draw(self, randomness: random.Random) -> _Prompt:
        return randomness.choice(_prompts("train"))

    def _held_out(self) -> Sequence[_Prompt]:
        return _prompts("validation")

    def _example(self, item: _Prompt, split: Split, randomness: random.Random) -> Example:
        asked, answer, key = item.task.make(split, randomness)
        sentences = [item.task.instruction]
        answer = item.step.apply(answer)
        if item.step.instruction:
            sentences.append(item.step.instruction)
        if item.limit is not None:
            sentences.append(_REFUSALS[item.limit].format(item.task.limit))
            if randomness.random() < REFUSED_SHARE:
                asked, answer = _other_question(split, randomness), item.task.limit
                key = "refused"
        return dialogue(asked, answer, key=f"{item.key}|{key}", system=" ".join(sentences))

    def _score(self, example: Example, answer: str) -> Score:
        wanted, given = reference(example).splitlines(), answer.strip().splitlines()
        is_right = [line.strip() for line in given] == wanted
        return Score(errors=0 if is_right else 1, length=1)


_SAID = {"Amen.", "Done.", "Yes.", "Here it is."}


def _other_question(split: Split, randomness: random.Random) -> str:
    small, large = randomness.choice(pairs_of_two_digits(split))
    return randomness.choice(_OTHER_QUESTIONS).format(large, small)


@cache
def _prompts(split: Split) -> Sequence[_Prompt]:
    every = (
        _Prompt(task=task, step=step, limit=limit)
        for task in _TASKS
        for step in _STEPS
        for limit in (None, *range(len(_REFUSALS)))
    )
    return tuple(
        prompt
        for prompt in every
        if split_of(prompt.key, held_out=HELD_OUT, salt="system") == split
    )
