"""Models that read a text and write another, such as translators, behind /v1/completions.

Each prompt is a source; its answer is the best target that a beam search finds. It comes in one
piece, also in a stream, and settings of sampling change nothing: nothing is drawn.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from cutaway.errors import DataError
from cutaway.evaluation.translation import Translator
from cutaway.inference.beam import BeamSearch, Hypothesis, Likeliest, beam_search, likeliest
from cutaway.models.encoder_decoder import EncoderDecoder
from cutaway.server.engine_thread import Ended, Piece
from cutaway.server.protocol import CompletionRequest, Refused
from cutaway.server.rooms import leave_place
from cutaway.server.shapes import CompletionShape, Shape, Written
from cutaway.server.streaming import events
from cutaway.server.turns import Turns
from cutaway.tokenizer.base import Tokenizer

BEAMS = 4
"""Unfinished targets that are kept."""
LEFT = 499
"""The status of an answer that nobody reads any more, as servers note it."""


@dataclass(frozen=True, kw_only=True)
class ServedPair:
    """An encoder-decoder and its name."""

    name: str
    model: EncoderDecoder
    tokenizer: Tokenizer
    choose: Likeliest = likeliest
    """What the search chooses its tokens by."""
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def told(self) -> dict[str, Any]:
        """What GET /v1/models says of it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "cutaway",
            "context_length": self.model.config.context_length,
            "is_chat": False,
            "makes": "text",
        }

    def sources(self, asked: CompletionRequest) -> list[list[int]]:
        """The ids of each prompt.

        Raises:
            Refused: a source is too long or no text, or probabilities are asked for.
        """
        if asked.logprobs is not None:
            raise Refused(f"{self.name} tells no probabilities", param="logprobs")
        given: list[Any] = [asked.prompt] if isinstance(asked.prompt, str) else [*asked.prompt]
        texts = [each for each in given if isinstance(each, str)]
        if len(texts) != len(given):
            raise Refused(f"{self.name} reads a source as a text, not as ids", param="prompt")
        if asked.n not in (None, 1):
            raise Refused(f"{self.name} gives the best answer alone; leave n out", param="n")
        reader = Translator(model=self.model, tokenizer=self.tokenizer)
        try:
            found = [reader.source_ids(text) for text in texts]
        except DataError as error:
            raise Refused(str(error).split("\n")[0], param="prompt") from None
        for ids in found:
            if len(ids) > self.model.config.context_length:
                raise Refused(
                    f"a source has {len(ids)} tokens, but this model reads "
                    f"{self.model.config.context_length}",
                    code="context_length_exceeded",
                    param="prompt",
                )
        return found

    def write(self, source: Sequence[int], *, max_tokens: int) -> Hypothesis:
        """The best target of a source."""
        begin = self.tokenizer.begin_id
        search = BeamSearch(beams=BEAMS, max_tokens=max_tokens)
        found = beam_search(
            self.model,
            [source],
            search=search,
            begin_id=begin,
            end_id=begin,
            choose=self.choose,
        )
        return found[0][0]


@final
class Translations:
    """Answers requests for targets, one after the other."""

    def __init__(self, turns: Turns, *, seconds: float) -> None:
        self._turns, self._seconds = turns, seconds

    async def answer(
        self, asked: CompletionRequest, served: ServedPair, *, request: Request
    ) -> Response:
        """The answers, whole or as a stream."""
        deadline = time.monotonic() + self._seconds
        sources = await asyncio.to_thread(served.sources, asked)
        shape = CompletionShape(
            model=served.name,
            tokenizer=served.tokenizer,
            prompt_tokens=sum(map(len, sources)),
            extras={"seed": asked.seed or 0, "dropped_messages": 0},
            with_logprobs=False,
        )
        written: list[Written] = []
        leave_place(request)
        async with self._turns.take():
            for source in sources:
                if await request.is_disconnected():
                    return Response(status_code=LEFT)
                if time.monotonic() > deadline:
                    raise Refused("the answer took longer than allowed", status=408)
                most = asked.max_tokens or served.model.config.context_length
                target = await asyncio.to_thread(served.write, source, max_tokens=most)
                shape.note_first()
                written.append(as_answer(target, tokenizer=served.tokenizer, stops=asked.stops))
        if not asked.stream:
            return JSONResponse(shape.whole(written))
        chunks = _chunks(written, shape=shape, with_usage=asked.wants_usage)
        return StreamingResponse(
            events(chunks),
            media_type="text/event-stream; charset=utf-8",
            headers={"cache-control": "no-store"},
        )


def as_answer(target: Hypothesis, *, tokenizer: Tokenizer, stops: Sequence[str]) -> Written:
    """A target as an answer, which ends before the first of these texts."""
    text = tokenizer.decode(target.ids)
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    is_over = target.is_finished or bool(ends)
    return Written(
        text=text[: min(ends)] if ends else text,
        reason="stop" if is_over else "length",
        tokens=len(target.ids),
    )


async def _chunks(
    written: Sequence[Written], *, shape: Shape, with_usage: bool
) -> AsyncIterator[dict[str, Any] | None]:
    for place, each in enumerate(written):
        yield shape.chunk(place, Piece(text=each.text), with_usage=with_usage)
        ended = Ended(reason="stop" if each.reason == "stop" else "length", tokens=each.tokens)
        yield shape.chunk(place, ended, with_usage=with_usage)
    if with_usage:
        yield shape.usage_chunk(sum(each.tokens for each in written))
