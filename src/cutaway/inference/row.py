"""One request on its way: what it has read and written, and what it may still do."""

from typing import Literal, final

import torch

from cutaway.inference.blocks import chain
from cutaway.inference.penalties import Penalized
from cutaway.inference.request import Finished, Reason, Request, Usage
from cutaway.inference.sampling import draw_uniforms
from cutaway.inference.streaming_text import StreamingText
from cutaway.tokenizer.base import Tokenizer


@final
class Row:
    """The state of a request; its numbers, its text and its form are its own."""

    def __init__(
        self,
        request: Request,
        *,
        id_: int,
        room: int,
        stop_ids: frozenset[int],
        tokenizer: Tokenizer,
    ) -> None:
        self.id = id_
        self.request = request
        self.room = room
        self.stop_ids = stop_ids
        self.ids: list[int] = []
        self.blocks: list[int] = []
        """Blocks of the pool that the row holds, in the order of its tokens."""
        self.cached_tokens = 0
        self._names: list[bytes] | None = None
        self._uniforms: list[float] = []
        self._text = StreamingText(tokenizer, stop=request.stop)
        vocabulary = tokenizer.vocab_size
        self.penalized = (
            None
            if request.penalties.is_nothing
            else Penalized(request.penalties, prompt=request.prompt, vocabulary=vocabulary)
        )
        self.constrained = request.constraint and request.constraint.begin(stop_ids)

    @property
    def to_read(self) -> int:
        """Tokens of the prompt that must be in the cache before the first step: all but one."""
        return len(self.request.prompt) - 1

    @property
    def length(self) -> int:
        """Tokens that prompt and answer may have together."""
        return len(self.request.prompt) + self.room

    @property
    def last(self) -> int:
        """The token that the next step reads."""
        return self.ids[-1] if self.ids else self.request.prompt[-1]

    @property
    def read(self) -> int:
        """Tokens in the cache while the row is written: all but the last."""
        return len(self.request.prompt) + len(self.ids) - 1

    @property
    def names(self) -> list[bytes]:
        """Names of the full blocks of what must be read of the prompt."""
        if self._names is None:
            self._names = chain(self.request.prompt[:-1])
        return self._names

    @property
    def uniform(self) -> float:
        """The number that decides the next token; it depends on the seed and the place alone."""
        return self.uniforms(1)[0]

    def uniforms(self, count: int) -> list[float]:
        """The numbers that decide the next tokens."""
        if not self._uniforms:
            generator = torch.Generator().manual_seed(self.request.seed)
            self._uniforms = draw_uniforms(self.room, generator).tolist()
        return self._uniforms[len(self.ids) : len(self.ids) + count]

    def take(self, token: int) -> tuple[str, Literal["stop", "length"] | None]:
        """Appends a token; returns the text to show and why the answer ends, if it does."""
        self.ids.append(token)
        if self.penalized is not None:
            self.penalized.count(token)
        is_over = token in self.stop_ids
        shown = ""
        if not is_over:
            if self.constrained is not None:
                self.constrained.take(token)
                is_over = self.constrained.is_complete
            shown = self._text.feed(token)
        reason: Literal["stop", "length"] | None = None
        if is_over or self._text.is_stopped:
            reason = "stop"
        elif len(self.ids) == self.room:
            reason = "length"
        if reason is not None:
            shown += self._text.finish()
        return shown, reason

    def finished(self, reason: Reason, *, cause: Exception | None = None) -> Finished:
        """The event of the row's end."""
        usage = Usage(
            prompt_tokens=len(self.request.prompt),
            cached_tokens=self.cached_tokens,
            completion_tokens=len(self.ids),
        )
        return Finished(id=self.id, reason=reason, usage=usage, cause=cause)
