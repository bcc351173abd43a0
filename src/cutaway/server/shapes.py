"""Answers in OpenAI's two shapes, whole and in pieces: one class for each endpoint."""

import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, final

from cutaway.server.engine_thread import Ended, Event, Piece, Probability
from cutaway.server.protocol import error_body
from cutaway.tokenizer.base import Tokenizer


@dataclass(kw_only=True)
class Written:
    """One answer as far as it has come."""

    text: str = ""
    reason: str | None = None
    tokens: int = 0
    pieces: list[Piece] = field(default_factory=list)
    """Those with probabilities, where they were asked for."""

    def add(self, event: Event) -> None:
        """Takes in what has happened."""
        self.text += event.text
        if isinstance(event, Ended):
            self.reason, self.tokens = event.reason, event.tokens
        elif event.chosen is not None:
            self.pieces.append(event)


class Shape(ABC):
    """How one request is answered in JSON."""

    object: str
    chunk_object: str
    prefix: str

    def __init__(
        self,
        *,
        model: str,
        tokenizer: Tokenizer,
        prompt_tokens: int,
        extras: dict[str, Any],
        with_logprobs: bool,
    ) -> None:
        self._tokenizer, self._prompt_tokens = tokenizer, prompt_tokens
        self._with_logprobs = with_logprobs
        self._begun, self._first = time.monotonic(), None
        self._extras = extras
        self._head = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def note_first(self) -> None:
        """Takes the time of the first token."""
        if self._first is None:
            self._first = time.monotonic() - self._begun

    _first: float | None

    @final
    def whole(self, written: list[Written]) -> dict[str, Any]:
        """The complete answers."""
        choices = [self._whole_choice(place, each) for place, each in enumerate(written)]
        tail = self._tail(sum(each.tokens for each in written))
        return {**self._head, "object": self.object, "choices": choices, **tail}

    @final
    def chunk(self, place: int, event: Event, *, with_usage: bool) -> dict[str, Any]:
        """What an event adds to an answer."""
        choice = {"index": place, **self._piece(event)}
        choice["finish_reason"] = event.reason if isinstance(event, Ended) else None
        usage = {"usage": None} if with_usage else {}
        return {**self._head, "object": self.chunk_object, "choices": [choice], **usage}

    @final
    def usage_chunk(self, tokens: int) -> dict[str, Any]:
        """The last chunk: no piece of an answer, but what all of them took."""
        return {**self._head, "object": self.chunk_object, "choices": [], **self._tail(tokens)}

    def opening(self, place: int, *, with_usage: bool) -> dict[str, Any] | None:
        """What a stream says of an answer before its first piece; None: nothing."""
        return None

    @abstractmethod
    def _whole_choice(self, place: int, written: Written) -> dict[str, Any]: ...

    @abstractmethod
    def _piece(self, event: Event) -> dict[str, Any]: ...

    def _tail(self, tokens: int) -> dict[str, Any]:
        seconds = time.monotonic() - self._begun
        first = seconds if self._first is None else self._first
        times = {"first_token_seconds": round(first, 6), "seconds": round(seconds, 6)}
        return {
            "usage": {
                "prompt_tokens": self._prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": self._prompt_tokens + tokens,
            },
            "cutaway": {**self._extras, **times},
        }

    def _name(self, token: int) -> str:
        return self._tokenizer.decode([token], keep_special=True)

    def _token(self, told: Probability) -> dict[str, Any]:
        return {
            "token": self._name(told.token),
            "logprob": told.logprob,
            "bytes": list(self._tokenizer.token_bytes(told.token)),
            "sampled_logprob": told.sampled_logprob,
        }


@final
class ChatShape(Shape):
    """Of /v1/chat/completions."""

    object, chunk_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def opening(self, place: int, *, with_usage: bool) -> dict[str, Any] | None:
        """Who speaks."""
        chunk = self.chunk(place, Piece(text=""), with_usage=with_usage)
        chunk["choices"][0]["delta"]["role"] = "assistant"
        return chunk

    def _whole_choice(self, place: int, written: Written) -> dict[str, Any]:
        return {
            "index": place,
            "message": {"role": "assistant", "content": written.text, "refusal": None},
            "logprobs": self._logprobs(written.pieces) if self._with_logprobs else None,
            "finish_reason": written.reason,
        }

    def _piece(self, event: Event) -> dict[str, Any]:
        told = [event] if isinstance(event, Piece) and event.chosen is not None else []
        is_end = isinstance(event, Ended) and not event.text
        return {
            "delta": {} if is_end else {"content": event.text},
            "logprobs": self._logprobs(told) if told else None,
        }

    def _logprobs(self, pieces: list[Piece]) -> dict[str, Any]:
        content = [
            {
                **self._token(piece.chosen),
                "top_logprobs": [self._token(rival) for rival in piece.rivals],
            }
            for piece in pieces
            if piece.chosen is not None
        ]
        return {"content": content, "refusal": None}


@final
class CompletionShape(Shape):
    """Of /v1/completions."""

    object, chunk_object, prefix = "text_completion", "text_completion", "cmpl"

    def _whole_choice(self, place: int, written: Written) -> dict[str, Any]:
        return {
            "index": place,
            "text": written.text,
            "logprobs": self._logprobs(written.pieces) if self._with_logprobs else None,
            "finish_reason": written.reason,
        }

    def _piece(self, event: Event) -> dict[str, Any]:
        told = [event] if isinstance(event, Piece) and event.chosen is not None else []
        return {"text": event.text, "logprobs": self._logprobs(told) if told else None}

    def _logprobs(self, pieces: list[Piece]) -> dict[str, Any]:
        chosen = [piece.chosen for piece in pieces if piece.chosen is not None]
        offsets, offset = [], 0
        for told in chosen:
            offsets.append(offset)
            offset += len(self._name(told.token))
        return {
            "tokens": [self._name(told.token) for told in chosen],
            "token_logprobs": [told.logprob for told in chosen],
            "top_logprobs": [
                {self._name(rival.token): rival.logprob for rival in piece.rivals}
                for piece in pieces
            ],
            "text_offset": offsets,
        }


def failure(reason: str) -> dict[str, Any]:
    """The error of an answer that came to no end of its own; nothing of the inside is told."""
    if reason == "deadline":
        return error_body("the answer took longer than allowed", status=408, code="deadline")
    return error_body("the answer failed; the server's log says why", status=500, code="failed")
