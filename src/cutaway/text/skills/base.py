"""What a skill is: questions and answers made from real sources, and a rule that scores answers.

Every answer works step by step, one step a line, and ends in a line that holds the answer alone: a
small model can think only by writing. The score looks at that last line, except where a skill says
otherwise.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from cutaway.text.conversations import Conversation, Message
from cutaway.text.documents import Split

Metric = Literal["exact", "phoneme_error_rate"]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question with its reference answer, which is the last message."""

    conversation: Conversation
    """The messages, ending in the reference answer."""
    key: str
    """The word, pair of numbers, date, or fact with its wording, that the split is decided by."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How much of an answer is wrong."""

    errors: int
    """Edits from the answer to the reference; for exact answers 0 or 1."""
    length: int
    """What the errors are a share of: the reference's phonemes, or 1."""


@dataclass(frozen=True, kw_only=True)
class PlainText:
    """An example as a text for a model that knows no conversations."""

    prompt: str
    """Ends where the answer begins."""
    answer: str
    """The reference answer and the empty line that ends it."""


class Skill(ABC, Generic[Item]):
    """A task with as many examples as wanted; training and validation never share a key."""

    name: ClassVar[str]
    metric: ClassVar[Metric] = "exact"

    def examples(self, split: Split, *, seed: int, count: int) -> Iterator[Example]:
        """Yields examples; for training drawn at random, for validation all items in turn."""
        randomness = random.Random(f"{self.name}/{split}/{seed}")
        if split == "train":
            for _ in range(count):
                yield self._example(self._draw(randomness), split, randomness)
            return
        items = list(self._held_out())
        randomness.shuffle(items)
        for place in range(count):
            yield self._example(items[place % len(items)], split, randomness)

    @abstractmethod
    def score(self, example: Example, answer: str) -> Score:
        """Compares an answer with the reference by the skill's rule."""

    @abstractmethod
    def baseline(self, example: Example) -> str:
        """Answers without knowing anything: by copying, or always the same."""

    def plain(self, example: Example) -> PlainText:
        """Writes an example as `Question: ...` and `Answer: ...`, a system prompt before them."""
        before = "".join(
            message.content + "\n"
            for message in example.conversation.messages
            if message.role == "system"
        )
        return PlainText(
            prompt=f"{before}Question: {question(example)}\nAnswer:",
            answer=f" {reference(example)}\n\n",
        )

    @abstractmethod
    def _draw(self, randomness: random.Random) -> Item:
        """Draws an item to train on."""

    @abstractmethod
    def _held_out(self) -> Sequence[Item]:
        """Returns all items of the validation split."""

    @abstractmethod
    def _example(self, item: Item, split: Split, randomness: random.Random) -> Example:
        """Asks about an item."""


def dialogue(asked: str, answer: str, *, key: str, system: str | None = None) -> Example:
    """Makes an example of one question and one answer."""
    first = () if system is None else (Message(role="system", content=system),)
    said = (Message(role="user", content=asked), Message(role="assistant", content=answer))
    return Example(conversation=Conversation(messages=first + said), key=key)


def question(example: Example) -> str:
    """Returns what the user asks."""
    return example.conversation.messages[-2].content


def reference(example: Example) -> str:
    """Returns the reference answer, steps included."""
    return example.conversation.messages[-1].content


def last_line(answer: str) -> str:
    """Returns the last line that is not empty, without spaces around it."""
    lines = answer.strip().splitlines()
    return lines[-1].strip() if lines else ""


def same_last_line(example: Example, answer: str) -> Score:
    """Counts an answer as right when its last line is that of the reference."""
    is_right = last_line(answer) == last_line(reference(example))
    return Score(errors=0 if is_right else 1, length=1)
