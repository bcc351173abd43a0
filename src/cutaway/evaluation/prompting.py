"""Named ways to ask: zero-shot, few-shot, with a system prompt, step by step.

Each form writes plain text for a base model, which only continues text, and a conversation for a
model that was taught to chat (Brown et al. 2020, figure 2.1; Kojima et al. 2022, figure 1).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from cutaway.text.conversations import Conversation, Message

QUESTION, ANSWER = "Question:", "Answer:"


class PromptForm(ABC):
    """A way to ask. `asked` is a conversation that ends with the user's message."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What reports call it."""

    @property
    def num_examples(self) -> int:
        """How many answered questions it shows first."""
        return 0

    @abstractmethod
    def text(self, asked: Conversation, *, examples: Sequence[Conversation] = ()) -> str:
        """Returns a text whose natural continuation is the answer."""

    @abstractmethod
    def conversation(
        self, asked: Conversation, *, examples: Sequence[Conversation] = ()
    ) -> Conversation:
        """Returns the conversation after which the assistant is to speak."""

    @abstractmethod
    def answer_in(self, written: str) -> str:
        """Returns the answer in what a model wrote."""


@final
@dataclass(frozen=True, kw_only=True)
class ZeroShot(PromptForm):
    """The question and nothing else."""

    @property
    def name(self) -> str:
        return "zero-shot"

    def text(self, asked: Conversation, *, examples: Sequence[Conversation] = ()) -> str:
        return _as_text(asked)

    def conversation(
        self, asked: Conversation, *, examples: Sequence[Conversation] = ()
    ) -> Conversation:
        return asked

    def answer_in(self, written: str) -> str:
        return written.strip()


@final
@dataclass(frozen=True, kw_only=True)
class FewShot(PromptForm):
    """A few answered questions of the same kind, then the question."""

    count: int = 4
    """Answered questions shown, at least 1."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a few-shot prompt of {self.count} examples; at least 1 is needed")

    @property
    def name(self) -> str:
        return f"{self.count}-shot"

    @property
    def num_examples(self) -> int:
        return self.count

    def text(self, asked: Conversation, *, examples: Sequence[Conversation] = ()) -> str:
        shown = "".join(f"{_as_text(example)}\n\n" for example in examples)
        return f"{shown}{_as_text(asked)}"

    def conversation(
        self, asked: Conversation, *, examples: Sequence[Conversation] = ()
    ) -> Conversation:
        shown = [
            message
            for example in examples
            for message in example.messages
            if message.role != "system"
        ]
        at = 1 if asked.messages[0].role == "system" else 0
        return replace(asked, messages=(*asked.messages[:at], *shown, *asked.messages[at:]))

    def answer_in(self, written: str) -> str:
        return written.strip()


@final
@dataclass(frozen=True, kw_only=True)
class SystemPrompt(PromptForm):
    """A text before everything that sets task, steps and limits; it replaces one that is there."""

    instructions: str
    """What the model is told before the conversation."""

    @property
    def name(self) -> str:
        return "system prompt"

    def text(self, asked: Conversation, *, examples: Sequence[Conversation] = ()) -> str:
        return _as_text(self.conversation(asked))

    def conversation(
        self, asked: Conversation, *, examples: Sequence[Conversation] = ()
    ) -> Conversation:
        spoken = [message for message in asked.messages if message.role != "system"]
        system = Message(role="system", content=self.instructions)
        return replace(asked, messages=(system, *spoken))

    def answer_in(self, written: str) -> str:
        return written.strip()


@final
@dataclass(frozen=True, kw_only=True)
class StepByStep(PromptForm):
    """The question with a request to think first; the answer is what stands at the end."""

    request: str = "Let us think step by step."
    """What asks for the steps."""

    mark: str = "answer is"
    """Words after which the answer stands; without them it is the last line."""

    @property
    def name(self) -> str:
        return "step by step"

    def text(self, asked: Conversation, *, examples: Sequence[Conversation] = ()) -> str:
        return f"{_as_text(asked)} {self.request}"

    def conversation(
        self, asked: Conversation, *, examples: Sequence[Conversation] = ()
    ) -> Conversation:
        *before, last = asked.messages
        request = replace(last, content=f"{last.content}\n{self.request}")
        return replace(asked, messages=(*before, request))

    def answer_in(self, written: str) -> str:
        _, found, after = written.rpartition(self.mark)
        lines = (after if found else written).strip().splitlines() or [""]
        chosen = lines[0] if found else lines[-1]
        return chosen.strip().strip(":").strip().removesuffix(".")


def _as_text(conversation: Conversation) -> str:
    """Returns a conversation as lines; after a last question the answer is left open."""
    lines = []
    for message in conversation.messages:
        if message.role == "system":
            lines.append(message.content)
        elif message.role == "user":
            lines.append(f"{QUESTION} {message.content}\n{ANSWER}")
        else:
            lines.append(f"{lines.pop() if lines else ANSWER} {message.content}")
    return "\n".join(lines)
