"""Obeying a system prompt that sets a task in steps, what to say around it, and what to refuse."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

from cutaway.text.documents import Split, split_of
from cutaway.text.skills.arithmetic import pairs_of_two_digits
from cutaway.text.skills.base import Example, Score, Skill, dialogue, reference
from cutaway.text.skills.names import LANGUAGES, facts, random_date, written_date
from cutaway.text.skills.words import CARELESS, spelled, words_of

HELD_OUT = 0.15  # share of the combinations of task, saying and limit
REFUSED_SHARE = 0.3  # of the prompts that set a limit
MOST_STEPS = 3

Kind = str
_SHARES = {"word": 0.6, "date": 0.15, "name": 0.25}  # of the kinds of task

# A step of a task on a word, as the prompt names it, and the line that it writes.
_STEPS: dict[str, Callable[[str], str]] = {
    "spell it": spelled,
    "write it backwards": lambda word: spelled(word[::-1]),
    "number its letters": lambda word: " ".join(
        f"{letter}{place}" for place, letter in enumerate(word, start=1)
    ),
    "give its first letter": lambda word: word[0],
    "give its last letter": lambda word: word[-1],
}
_SAYINGS = {
    "none": ("", "{}"),
    "amen": ("At the end say Amen.", "{}\nAmen."),
    "done": ("When you have done it, say: It is done.", "{}\nIt is done."),
    "yes": ("Before it say Yes.", "Yes.\n{}"),
    "here": ("Begin with: Here it is.", "Here it is.\n{}"),
    "master": ("Begin and end with: My master.", "My master.\n{}\nMy master."),
}
_LIMITS = {
    "none": "",
    "sorry": "To all other questions say: {}",
    "only": "Do nothing else. If you are asked another thing, say: {}",
}
# Nothing that a task would answer.
_OTHER_QUESTIONS = (
    "What is {0} + {1}?",
    "How much is {0} - {1}?",
    "Who are you?",
    "What can you do?",
    "Who made you?",
    "Hello!",
    "Are you a person?",
)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What a system prompt asks for."""

    kind: Kind
    """What the user gives."""
    name: str
    """Tells tasks apart."""
    instruction: str
    """How the prompt says it."""
    refusal: str
    """What to say to all other questions, where the prompt sets a limit."""
    ask: Callable[[Split, random.Random], tuple[str, str]]
    """Draws what the user gives, and the answer."""


@dataclass(frozen=True, kw_only=True)
class _Prompt:
    task: _Task
    saying: str
    limit: str

    @property
    def key(self) -> str:
        return f"{self.task.name}/{self.saying}/{self.limit}"


class SystemPrompt(Skill[_Prompt]):
    """Obeys a system prompt: a task in steps, what to say before or after, and what to refuse.

    Held out are combinations of the three, with words, dates and pairs that the other skills hold
    out.
    """

    name = "system_prompt"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the whole answer is the reference, line by line."""
        given = [line.strip() for line in answer.strip().splitlines()]
        is_right = given == reference(example).splitlines()
        return Score(errors=0 if is_right else 1, length=1)

    def baseline(self, example: Example) -> str:
        """Does the task, or refuses, but leaves out what the prompt says to say around it."""
        said = {line for _, form in _SAYINGS.values() for line in form.split("\n")}
        lines = reference(example).splitlines()
        return "\n".join(line for line in lines if line not in said)

    def _draw(self, randomness: random.Random) -> _Prompt:
        kind = randomness.choices(tuple(_SHARES), weights=tuple(_SHARES.values()))[0]
        return randomness.choice(_prompts("train", kind))

    def _held_out(self) -> Sequence[_Prompt]:
        """Returns each held-out prompt as often as makes its kind as common as in training."""
        most = max(len(_prompts("validation", kind)) / share for kind, share in _SHARES.items())
        return tuple(
            prompt
            for kind, share in _SHARES.items()
            for _ in range(round(most * share / len(_prompts("validation", kind))))
            for prompt in _prompts("validation", kind)
        )

    def _example(self, item: _Prompt, split: Split, randomness: random.Random) -> Example:
        instruction, form = _SAYINGS[item.saying]
        limit = _LIMITS[item.limit].format(item.task.refusal)
        system = " ".join(part for part in (item.task.instruction, instruction, limit) if part)
        if limit and randomness.random() < REFUSED_SHARE:
            small, large = randomness.choice(pairs_of_two_digits(split))
            asked = randomness.choice(_OTHER_QUESTIONS).format(large, small)
            answer = item.task.refusal
        else:
            asked, answer = item.task.ask(split, randomness)
            answer = form.format(answer)
        return dialogue(asked, answer, key=f"{item.key}|{asked}", system=system)


def _given(kind: Kind, what: str, split: Split, randomness: random.Random) -> str:
    if split == "train" and randomness.random() < CARELESS:
        return what
    return f"The {kind} is {what}."


def _ask_word(steps: Sequence[str]) -> Callable[[Split, random.Random], tuple[str, str]]:
    def ask(split: Split, randomness: random.Random) -> tuple[str, str]:
        word = randomness.choice(words_of(split))
        return _given("word", word, split, randomness), "\n".join(
            _STEPS[step](word) for step in steps
        )

    return ask


def _ask_date(split: Split, randomness: random.Random) -> tuple[str, str]:
    date = random_date(split, randomness)
    return _given("date", written_date(date, randomness), split, randomness), date.isoformat()


def _ask_name(locale: str) -> Callable[[Split, random.Random], tuple[str, str]]:
    def ask(split: Split, randomness: random.Random) -> tuple[str, str]:
        name = randomness.choice(facts(locale))
        return _given("name", name.english, split, randomness), name.local

    return ask


@cache
def _tasks(kind: Kind) -> Sequence[_Task]:
    if kind == "word":
        return tuple(_word_task(steps) for steps in _step_orders())
    if kind == "date":
        instruction = "The user gives a date. Write it in ISO form."
        refusal = "I only write dates."
        return (
            _Task(kind=kind, name=kind, instruction=instruction, refusal=refusal, ask=_ask_date),
        )
    return tuple(_name_task(locale) for locale in LANGUAGES)


def _word_task(steps: Sequence[str]) -> _Task:
    order = ", then ".join(steps)
    return _Task(
        kind="word",
        name=order,
        instruction=f"The user gives a word. First {order}."
        if len(steps) > 1
        else f"The user gives a word. {order.capitalize()}.",
        refusal="I only work on words.",
        ask=_ask_word(steps),
    )


def _name_task(locale: str) -> _Task:
    language = facts(locale)[0].language
    return _Task(
        kind="name",
        name=language,
        instruction=f"The user gives a name. Say it in {language}.",
        refusal=f"I only say names in {language}.",
        ask=_ask_name(locale),
    )


def _step_orders() -> Sequence[tuple[str, ...]]:
    """Returns every order of up to three steps in which a word is spelled before it is reversed."""
    orders = [order for count in range(1, MOST_STEPS + 1) for order in permutations(_STEPS, count)]
    backwards, forwards = "write it backwards", "spell it"
    return tuple(
        order
        for order in orders
        if backwards not in order or forwards in order[: order.index(backwards)]
    )


@cache
def _prompts(split: Split, kind: Kind) -> Sequence[_Prompt]:
    every = (
        _Prompt(task=task, saying=saying, limit=limit)
        for task in _tasks(kind)
        for saying in _SAYINGS
        for limit in _LIMITS
    )
    return tuple(
        prompt
        for prompt in every
        if split_of(prompt.key, held_out=HELD_OUT, salt="system") == split
    )
