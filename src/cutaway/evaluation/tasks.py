"""What a file asks of a model, known by the fields of its rows, and the figures that it gives."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, TypeVar, final

from cutaway.errors import DataError
from cutaway.evaluation.choices import (
    Accuracy,
    read_minimal_pairs,
    read_questions,
    score_minimal_pairs,
    score_questions,
)
from cutaway.evaluation.generation import is_exact
from cutaway.evaluation.intervals import Interval, bootstrap_rate, wilson
from cutaway.evaluation.likelihood import exponential, likelihood, token_losses
from cutaway.evaluation.prompting import ZeroShot
from cutaway.evaluation.subject import Subject
from cutaway.text.conversations import Conversation, read_conversations
from cutaway.text.documents import read_documents
from cutaway.text.json_files import listed
from cutaway.text.records import TABLES, filled, has_records, read_records
from cutaway.tokenizer.chat import ChatFormat

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure with its interval."""

    name: str
    """What was measured."""
    value: Interval
    """The figure."""
    higher_is_better: bool
    """Which way is up."""
    n: int
    """Of how many items."""
    chance: float | None = None
    """What guessing reaches, where that is known."""


@dataclass(frozen=True, kw_only=True)
class TaskReport:
    """What a model reached on one file."""

    task: str
    """What the file was taken for."""
    measurements: tuple[Measurement, ...]
    """The figures, the main one first."""
    groups: Mapping[str, Interval] = field(default_factory=dict)
    """The main figure by kind of item, where the file names kinds."""
    left_out: int = 0
    """Items longer than the model can read."""


class Task(ABC):
    """A way to judge a model by a file."""

    name: ClassVar[str]
    """What reports call it."""
    forms: ClassVar[tuple[frozenset[str], ...]]
    """The fields by which a row is known; any one of these sets."""

    @abstractmethod
    def evaluate(
        self, subject: Subject, path: Path, *, items: int | None = None, seed: int = 0
    ) -> TaskReport:
        """Judges the model by all items, or by `items` of them drawn at random.

        Raises:
            DataError: The file, or a row of it, is not what it should be.
        """


@final
class MinimalPairs(Task):
    """Which of two sentences is more probable (Warstadt et al. 2020)."""

    name = "minimal pairs"
    forms = (frozenset({"sentence_good", "sentence_bad"}),)

    def evaluate(
        self, subject: Subject, path: Path, *, items: int | None = None, seed: int = 0
    ) -> TaskReport:
        pairs = drawn(read_minimal_pairs(path), items=items, seed=seed)
        accuracy = score_minimal_pairs(subject.model, pairs, tokenizer=subject.tokenizer)
        return _of_accuracy(self.name, accuracy)


@final
class MultipleChoice(Task):
    """Which option is most probable a byte."""

    name = "multiple choice"
    forms = (frozenset({"question", "choices", "answer"}),)

    def evaluate(
        self, subject: Subject, path: Path, *, items: int | None = None, seed: int = 0
    ) -> TaskReport:
        questions = drawn(read_questions(path), items=items, seed=seed)
        accuracy = score_questions(subject.model, questions, tokenizer=subject.tokenizer)
        return _of_accuracy(self.name, accuracy)


@final
class Conversations(Task):
    """How often the last answer is met exactly, and how probable all answers are.

    The loss of answers is that of a model that chats; of a base model only the answers count.
    """

    name = "conversations"
    forms = (
        frozenset({"messages"}),
        frozenset({"conversations"}),
        frozenset({"instruction", "output"}),
        frozenset({"prompt", "completion"}),
    )

    def evaluate(
        self, subject: Subject, path: Path, *, items: int | None = None, seed: int = 0
    ) -> TaskReport:
        return judge_conversations(
            subject, drawn(list(read_conversations(path)), items=items, seed=seed)
        )


@final
class PlainText(Task):
    """How well a text is predicted."""

    name = "text"
    forms = (frozenset({"text"}),)

    def evaluate(
        self, subject: Subject, path: Path, *, items: int | None = None, seed: int = 0
    ) -> TaskReport:
        if path.suffix.lower() in TABLES:
            texts = [filled(record, "text") for record in read_records(path)]
        else:
            texts = [document.text for document in read_documents(path)]
        return judge_texts(subject, drawn(texts, items=items, seed=seed))


TASKS: tuple[Task, ...] = (MinimalPairs(), MultipleChoice(), Conversations(), PlainText())
"""What can be judged."""

NOT_YET = {
    "translations": frozenset({"source", "target"}),
    "classes": frozenset({"text", "label"}),
    "preferences": frozenset({"prompt", "chosen", "rejected"}),
}
"""Kinds of rows that are known but cannot be judged by this version."""


def task_for(path: Path) -> Task:
    """Returns the task that a file asks for.

    Raises:
        DataError: The file has no rows, or rows of a kind that cannot be judged.
    """
    if path.suffix.lower() == ".json":
        return Conversations()
    if not has_records(path):
        return PlainText()
    first = next(read_records(path), None)
    if first is None:
        raise DataError(f"{path} has no rows\nGive a file with one item a row.")
    for name, form in NOT_YET.items():
        if form <= first.fields.keys():
            raise DataError(
                f"{first.place}: rows of {_spoken(form)} are {name}; this version cannot judge them"
                f"\nit can judge {_judged()}"
            )
    for task in TASKS:
        if any(form <= first.fields.keys() for form in task.forms):
            return task
    raise DataError(f"{first.place}: there is {listed(first.fields)}\nGive {_judged()}")


def judge_texts(subject: Subject, texts: Sequence[str], *, stride: int | None = None) -> TaskReport:
    """Measures bits per byte, perplexity and nats per token of texts.

    `stride` is how many tokens a window of the context moves; None: half of it. A stride of the
    whole context cuts the text into blocks that do not see each other.
    """
    found = likelihood(subject.model, texts, tokenizer=subject.tokenizer, stride=stride)
    figures = {
        "bits_per_byte": found.bits_per_byte,
        "nats_per_token": found.nats_per_token,
        "perplexity_per_token": found.nats_per_token.through(exponential),
        "perplexity_per_word": found.nats_per_word.through(exponential),
    }
    return TaskReport(
        task=PlainText.name,
        measurements=tuple(
            Measurement(name=name, value=value, higher_is_better=False, n=found.num_documents)
            for name, value in figures.items()
        ),
    )


def judge_conversations(subject: Subject, conversations: Sequence[Conversation]) -> TaskReport:
    """Measures exact last answers and, of a model that chats, the loss of all answers."""
    chat = ChatFormat(subject.tokenizer)
    written = [chat.encode(conversation) for conversation in conversations]
    length = subject.model.config.context_length
    kept = [
        (conversation, one)
        for conversation, one in zip(conversations, written, strict=True)
        if len(one.ids) <= length and conversation.messages[-1].role == "assistant"
    ]
    if not kept:
        raise DataError(
            f"none of {len(conversations)} conversations can be judged: each must end with an "
            f"answer and fit the {length} tokens that the model reads"
        )
    references = [conversation.messages[-1].content for conversation, _ in kept]
    asked = [replace(talk, messages=talk.messages[:-1]) for talk, _ in kept]
    answers = subject.asker.answers(asked, references=references, form=ZeroShot())
    right = sum(map(is_exact, answers, references))
    measurements = [
        Measurement(
            name="exact", value=wilson(right, len(kept)), higher_is_better=True, n=len(kept)
        )
    ]
    if subject.can_chat:
        learned = [one.learned[1:] for _, one in kept]
        losses = token_losses(subject.model, [one.ids for _, one in kept])
        nats = [float(loss[mask].sum()) for (loss, _), mask in zip(losses, learned, strict=True)]
        value = bootstrap_rate(nats, [float(sum(mask)) for mask in learned])
        measurements.append(
            Measurement(name="answer_loss", value=value, higher_is_better=False, n=len(kept))
        )
    return TaskReport(
        task=Conversations.name,
        measurements=tuple(measurements),
        left_out=len(conversations) - len(kept),
    )


def drawn(found: Sequence[Item], *, items: int | None, seed: int) -> Sequence[Item]:
    """Returns all items, or as many as wanted, drawn at random and in their order."""
    if items is None or items >= len(found):
        return found
    places = sorted(random.Random(seed).sample(range(len(found)), items))
    return [found[place] for place in places]


def _of_accuracy(task: str, accuracy: Accuracy) -> TaskReport:
    main = Measurement(
        name="accuracy",
        value=accuracy.share,
        higher_is_better=True,
        n=accuracy.n,
        chance=accuracy.chance,
    )
    return TaskReport(task=task, measurements=(main,), groups=accuracy.kinds)


def _spoken(form: frozenset[str]) -> str:
    return ", ".join(sorted(form))


def _judged() -> str:
    return "; ".join(f"{task.name} ({_spoken(task.forms[0])})" for task in TASKS)
