"""What a way of writing conversations promises: ids, which of them are learned, what ends them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cutaway.text.conversations import Conversation


@dataclass(frozen=True, kw_only=True)
class ChatIds:
    """A conversation as ids, and which of them are learned from."""

    ids: list[int]
    """The ids of the whole conversation, markers included."""
    learned: list[bool]
    """For each id, whether the model learns to write it: the assistant's words and their end."""


class Layout(ABC):
    """A way of writing conversations as ids; what a message says never becomes a control id."""

    @property
    @abstractmethod
    def stop_ids(self) -> frozenset[int]:
        """The ids that end an answer."""

    @abstractmethod
    def encode(self, conversation: Conversation) -> ChatIds:
        """The ids of a whole conversation, to learn from or to score."""

    @abstractmethod
    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids that ask for an answer to the messages so far."""
