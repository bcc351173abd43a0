"""The models that a server holds, by the names that requests may use; a name is never a path."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from cutaway.errors import CheckpointError, DataError, UsageError
from cutaway.inference.constraint import Constraint, Grammars
from cutaway.inference.dialogue import Fitted, fit, require_readable
from cutaway.inference.engine import Engine
from cutaway.server.encoders import ServedEncoder
from cutaway.server.protocol import ChatMessage, Refused
from cutaway.server.translations import ServedPair
from cutaway.text.conversations import Conversation, Message, Role
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.chat import ChatFormat

MOST_FORMS = 32
"""Compiled schemas of a model that are kept for the next request of the same one."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model, its name, and how it reads."""

    name: str
    engine: Engine
    is_chat: bool
    """Whether it has learned to answer rather than to go on."""
    created: int = field(default_factory=lambda: int(time.time()))

    @cached_property
    def forms(self) -> "Forms":
        """The forms that its answers may have."""
        return Forms(self.engine.tokenizer)

    @property
    def context_length(self) -> int:
        """Tokens that the model reads at once, answer included."""
        return self.engine.model.config.context_length

    @property
    def told(self) -> dict[str, Any]:
        """What GET /v1/models says of it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "cutaway",
            "context_length": self.context_length,
            "is_chat": self.is_chat,
            "makes": "text",
        }

    def read_chat(self, messages: Sequence[ChatMessage], *, max_tokens: int | None) -> Fitted:
        """The ids of a conversation; a last message of the assistant is the answer's beginning.

        Control tokens that are typed stay text: markers are ids, and only code places them.

        Raises:
            Refused: it is no conversation that can be answered, or is too long.
        """
        spoken = [Message(role=_role(each), content=each.text) for each in messages]
        begun = spoken.pop().content if spoken[-1].role == "assistant" else ""
        if not spoken or spoken[-1].role != "user":
            raise Refused(
                "a question is missing: the last message, or the one before the answer's "
                "beginning, must be the user's",
                param="messages",
            )
        with _readable("messages"):
            require_readable(begun, context_length=self.context_length)
            prefix = self.engine.tokenizer.encode(begun) if begun else []
        room = self.context_length - len(prefix)
        try:
            if room < 2:
                raise UsageError(
                    f"the answer's beginning has {len(prefix)} tokens, but this model reads "
                    f"{self.context_length} at once"
                )
            with _readable("messages"):
                fitted = fit(
                    spoken, chat=self._chat(), context_length=room, max_tokens=max_tokens or room
                )
        except UsageError as error:
            raise _too_long(error, param="messages") from None
        return Fitted(prompt=[*fitted.prompt, *prefix], dropped=fitted.dropped)

    def read_text(self, text: str) -> list[int]:
        """The ids of the beginning of a text, what the model expects before it included."""
        with _readable("prompt"):
            require_readable(text, context_length=self.context_length)
            return self.engine.tokenizer.prompt(text)

    def check_ids(self, ids: Sequence[int]) -> None:
        """Refuses a prompt that the model cannot go on from."""
        known = self.engine.tokenizer.vocab_size
        if max(ids, default=0) >= known:
            raise Refused(f"the prompt has ids beyond the {known} that exist", param="prompt")
        if not 0 < len(ids) < self.context_length:
            raise _too_long(
                UsageError(
                    f"the prompt has {len(ids)} tokens, but this model reads 1 to "
                    f"{self.context_length} at once, answer included"
                ),
                param="prompt",
            )

    def count(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of a whole conversation, markers included."""
        spoken = tuple(Message(role=_role(each), content=each.text) for each in messages)
        with _readable("messages"):
            return len(self._chat().encode(Conversation(messages=spoken)).ids)

    def _chat(self) -> ChatFormat:
        try:
            return ChatFormat(self.engine.tokenizer)
        except CheckpointError:
            raise Refused(
                f"{self.name} has no markers of a conversation; use /v1/completions", param="model"
            ) from None


@final
class Forms:
    """Compiled forms of answers, the last few kept in memory and nothing on the disk."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._grammars: Grammars | None = None
        self._kept: OrderedDict[str, Constraint] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, schema: Mapping[str, Any] | None) -> Constraint:
        """The form of a schema; None: any JSON object.

        Raises:
            UsageError: it is no schema that can be kept to.
        """
        written = json.dumps(schema, sort_keys=True)
        with self._lock:
            if written not in self._kept:
                if self._grammars is None:
                    self._grammars = Grammars(self._tokenizer)
                grammars = self._grammars
                self._kept[written] = (
                    grammars.json_object() if schema is None else grammars.json_schema(schema)
                )
                if len(self._kept) > MOST_FORMS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(written)
            return self._kept[written]


@final
class Models:
    """The served models by their names."""

    def __init__(
        self,
        served: Sequence[Served],
        *,
        encoders: Sequence[ServedEncoder] = (),
        pairs: Sequence[ServedPair] = (),
    ) -> None:
        self._served = {each.name: each for each in served}
        self._encoders = {each.name: each for each in encoders}
        self._pairs = {each.name: each for each in pairs}
        names = {*self._served, *self._encoders, *self._pairs}
        if len(names) != len(served) + len(encoders) + len(pairs):
            raise UsageError("two models go by one name; give their runs different names")

    @property
    def told(self) -> list[dict[str, Any]]:
        """What GET /v1/models says."""
        writing = [each.told for each in self._served.values()]
        translating = [each.told for each in self._pairs.values()]
        return [*writing, *translating, *(each.told for each in self._encoders.values())]

    def told_of(self, name: str) -> dict[str, Any]:
        """What is told of one model.

        Raises:
            Refused: there is none of this name.
        """
        for told in self.told:
            if told["id"] == name:
                return told
        raise self._unknown()

    def find(self, name: str) -> Served:
        """The model of a name, which must write text.

        Raises:
            Refused: there is none.
        """
        if name in self._encoders:
            raise _unsupported(f"{name} makes vectors and writes no text; ask /v1/embeddings")
        if name in self._pairs:
            raise _unsupported(f"{name} reads a text and writes another; ask /v1/completions")
        if name not in self._served:
            raise self._unknown()
        return self._served[name]

    def find_pair(self, name: str) -> ServedPair | None:
        """The model of a name, if it reads a text and writes another."""
        return self._pairs.get(name)

    def find_encoder(self, name: str) -> ServedEncoder:
        """The model of a name, which must make vectors.

        Raises:
            Refused: there is none.
        """
        if name in self._served or name in self._pairs:
            raise _unsupported(
                f"{name} writes text and makes no vectors; embeddings need an encoder"
            )
        if name not in self._encoders:
            raise self._unknown()
        return self._encoders[name]

    def _unknown(self) -> Refused:
        names = ", ".join((*self._served, *self._pairs, *self._encoders))
        return Refused(
            f"there is no such model here; there are: {names}",
            status=404,
            code="model_not_found",
            param="model",
        )


def names_of(paths: Sequence[Path]) -> list[str]:
    """Names of models: those of their folders, numbered where two are alike."""
    names: list[str] = []
    for path in paths:
        name = path.resolve().name or "model"
        taken = sum(other.partition("~")[0] == name for other in names)
        names.append(f"{name}~{taken + 1}" if taken else name)
    return names


@contextmanager
def _readable(param: str) -> Iterator[None]:
    """Refuses what cannot be read: a letter that the tokenizer does not know, or a conversation
    that the model's own template cannot write in time."""
    try:
        yield
    except (DataError, CheckpointError) as error:
        raise Refused(str(error).split("\n")[0], param=param) from None
    except UsageError as error:
        raise _too_long(error, param=param) from None


def _unsupported(said: str) -> Refused:
    return Refused(said, status=404, code="model_not_supported", param="model")


def _role(message: ChatMessage) -> Role:
    return "system" if message.role == "developer" else message.role


def _too_long(error: UsageError, *, param: str) -> Refused:
    said = str(error).replace("\n", " ")
    return Refused(said, code="context_length_exceeded", param=param)
