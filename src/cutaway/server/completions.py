"""The routes of OpenAI's API: models, chat and completions; and the count of tokens for the page.

Reading a prompt takes time, so it happens beside the event loop, which goes on serving.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from cutaway.errors import UsageError
from cutaway.inference.constraint import Constraint
from cutaway.inference.penalties import Penalties
from cutaway.inference.sampling import Sampler, choose_sampler
from cutaway.server.engine_thread import Ended, EngineThread, Work
from cutaway.server.models import Models, Served
from cutaway.server.protocol import (
    MOST_ANSWERS,
    Asked,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    JsonFormat,
    Refused,
    SchemaFormat,
    TokensRequest,
)
from cutaway.server.reading import Readers
from cutaway.server.rooms import leave_place
from cutaway.server.settings import Settings
from cutaway.server.shapes import ChatShape, CompletionShape, Shape, Written, failure
from cutaway.server.streaming import Answers, AnswerStream, Gone, events, watched
from cutaway.server.translations import Translations
from cutaway.server.turns import Turns

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EVENT_STREAM = "text/event-stream; charset=utf-8"
LEFT = 499
"""The status of an answer that nobody reads any more, as servers note it."""


def models_router(models: Models, *, readers: Readers) -> APIRouter:
    """The routes that tell of the models."""
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": models.told}

    @router.get("/v1/models/{name}")
    async def show_model(name: str) -> dict[str, Any]:
        return models.told_of(name)

    @router.post("/api/tokens")
    async def count_tokens(asked: TokensRequest) -> dict[str, int]:
        served = models.find(asked.model)
        count = await readers.read(served.count, asked.messages)
        return {"tokens": count, "context_length": served.context_length}

    return router


def completions_router(
    *, models: Models, thread: EngineThread, turns: Turns, readers: Readers, settings: Settings
) -> APIRouter:
    """The routes that are answered by these models; `turns` are those of what is translated."""
    router = APIRouter()
    answerer = Answerer(thread, ping_seconds=settings.ping_seconds)
    translations = Translations(turns, seconds=settings.answer_seconds)

    @router.post(CHAT)
    async def chat(asked: ChatRequest, request: Request) -> Response:
        served = models.find(asked.model)
        if asked.top_logprobs and not asked.logprobs:
            raise Refused("top_logprobs needs logprobs: true", param="top_logprobs")
        most = asked.max_completion_tokens or asked.max_tokens or served.context_length
        fitted = await readers.read(served.read_chat, told_tools(asked), max_tokens=most)
        works, seed = _works(
            asked,
            served,
            prompts=[fitted.prompt],
            max_tokens=most,
            rivals=(asked.top_logprobs or 0) if asked.logprobs else None,
            seconds=settings.answer_seconds,
            constraint=await readers.read(_form, asked, served),
        )
        shape = ChatShape(
            model=served.name,
            tokenizer=served.engine.tokenizer,
            prompt_tokens=len(fitted.prompt),
            extras={"seed": seed, "dropped_messages": len(fitted.dropped)},
            with_logprobs=bool(asked.logprobs),
        )
        return await answerer.answer(asked, works, shape=shape, request=request)

    @router.post(COMPLETIONS)
    async def complete(asked: CompletionRequest, request: Request) -> Response:
        pair = models.find_pair(asked.model)
        if pair is not None:
            return await translations.answer(asked, pair, request=request)
        served = models.find(asked.model)
        prompts = await readers.read(_prompts, asked, served)
        works, seed = _works(
            asked,
            served,
            prompts=prompts,
            max_tokens=asked.max_tokens or served.context_length,
            rivals=asked.logprobs,
            seconds=settings.answer_seconds,
        )
        shape = CompletionShape(
            model=served.name,
            tokenizer=served.engine.tokenizer,
            prompt_tokens=sum(map(len, prompts)),
            extras={"seed": seed, "dropped_messages": 0},
            with_logprobs=asked.logprobs is not None,
        )
        return await answerer.answer(asked, works, shape=shape, request=request)

    return router


@final
class Answerer:
    """Hands work to the engine's thread and sends what comes of it."""

    def __init__(self, thread: EngineThread, *, ping_seconds: float) -> None:
        self._thread, self._ping_seconds = thread, ping_seconds

    async def answer(
        self, asked: Asked, works: list[Work], *, shape: Shape, request: Request
    ) -> Response:
        """The answers, whole or as a stream.

        Raises:
            Overloaded: the queue has no room.
        """
        leave_place(request)
        answers = Answers(self._thread, works)
        if asked.stream:
            chunks = _chunks(
                answers,
                request,
                shape=shape,
                with_usage=asked.wants_usage,
                ping_seconds=self._ping_seconds,
            )
            return AnswerStream(
                events(chunks),
                answers=answers,
                media_type=EVENT_STREAM,
                headers={"cache-control": "no-store"},
            )
        try:
            return await _whole(answers, request, shape=shape)
        except Gone:
            return Response(status_code=LEFT)


async def _whole(answers: Answers, request: Request, *, shape: Shape) -> Response:
    """All answers at once."""
    written = [Written() for _ in range(answers.count)]
    async with aclosing(watched(answers, request, ping_seconds=float("inf"))) as coming:
        async for told in coming:
            assert told is not None, "nobody is told that we are alive"
            place, event = told
            shape.note_first()
            written[place].add(event)
            if isinstance(event, Ended) and event.reason in ("deadline", "error"):
                status = 408 if event.reason == "deadline" else 500
                return JSONResponse(failure(event.reason), status_code=status)
    return JSONResponse(shape.whole(written))


async def _chunks(
    answers: Answers, request: Request, *, shape: Shape, with_usage: bool, ping_seconds: float
) -> AsyncIterator[dict[str, Any] | None]:
    """The answers piece by piece; a failure is told and ends the stream."""
    tokens = 0
    async with aclosing(watched(answers, request, ping_seconds=ping_seconds)) as coming:
        for place in range(answers.count):
            if opening := shape.opening(place, with_usage=with_usage):
                yield opening
        async for told in coming:
            if told is None:
                yield None
                continue
            place, event = told
            shape.note_first()
            if isinstance(event, Ended):
                tokens += event.tokens
                if event.reason in ("deadline", "error"):
                    yield failure(event.reason)
                    return
            elif not event.text and event.chosen is None:
                continue  # a part of a character, or of what may become a stop text
            yield shape.chunk(place, event, with_usage=with_usage)
        if with_usage:
            yield shape.usage_chunk(tokens)


def _works(
    asked: Asked,
    served: Served,
    *,
    prompts: list[list[int]],
    max_tokens: int,
    rivals: int | None,
    seconds: float,
    constraint: Constraint | None = None,
) -> tuple[list[Work], int]:
    """The work that a request makes, and the seed of its first answer."""
    count = asked.n or 1
    if len(prompts) * count > MOST_ANSWERS:
        raise Refused(f"a request has at most {MOST_ANSWERS} answers: prompts times n", param="n")
    seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
    sampler, penalties = _sampler(asked), _penalties(asked, served)
    deadline = time.monotonic() + seconds
    works = [
        Work(
            engine=served.engine,
            prompt=tuple(prompt),
            sampler=sampler,
            max_tokens=max_tokens,
            seed=seed + number,
            stop=asked.stops,
            penalties=penalties,
            constraint=constraint,
            rivals=rivals,
            deadline=deadline,
        )
        for prompt in prompts
        for number in range(count)
    ]
    return works, seed


def _sampler(asked: Asked) -> Sampler:
    # 1 cuts nothing, and many clients send it beside another cut.
    top_p = None if asked.top_p == 1.0 else asked.top_p
    temperature = 1.0 if asked.temperature is None else asked.temperature
    try:
        return choose_sampler(
            temperature=temperature, top_k=asked.top_k, top_p=top_p, min_p=asked.min_p
        )
    except UsageError as error:
        raise Refused(str(error).replace("\n", " ")) from None


def _penalties(asked: Asked, served: Served) -> Penalties:
    bias = {int(token): value for token, value in (asked.logit_bias or {}).items()}
    known = served.engine.tokenizer.vocab_size
    if any(token >= known for token in bias):
        raise Refused(f"logit_bias: the tokens are 0 to {known - 1}", param="logit_bias")
    repetition = asked.repetition_penalty
    return Penalties(
        repetition=1.0 if repetition is None else repetition,
        presence=asked.presence_penalty or 0.0,
        frequency=asked.frequency_penalty or 0.0,
        bias=bias,
    )


def _form(asked: ChatRequest, served: Served) -> Constraint | None:
    """The form that the answer must have."""
    try:
        match asked.response_format:
            case JsonFormat():
                return served.forms.get(None)
            case SchemaFormat() as given:
                return served.forms.get(given.json_schema.schema_)
    except UsageError as error:
        said = str(error).replace("\n", " ")
        raise Refused(said, param="response_format", code="invalid_schema") from None
    return None


def told_tools(asked: ChatRequest) -> list[ChatMessage]:
    """The messages, the tools told in the system's as data."""
    if not asked.tools or asked.tool_choice == "none":
        return asked.messages
    told = [tool.function.model_dump(exclude_none=True) for tool in asked.tools]
    lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in told)
    messages, text = list(asked.messages), f"Tools, as JSON:\n{lines}"
    if messages[0].role in ("system", "developer"):
        text = f"{messages.pop(0).text}\n\n{text}"
    # Built without a check: both parts were within their bounds, and their sum may be longer.
    system = ChatMessage.model_construct(role="system", content=text)
    return [system, *messages]


def _prompts(asked: CompletionRequest, served: Served) -> list[list[int]]:
    """The ids of each prompt."""
    given = asked.prompt
    many: list[Any] = [given] if isinstance(given, str) or isinstance(given[0], int) else [*given]
    prompts = [served.read_text(each) if isinstance(each, str) else list(each) for each in many]
    for prompt in prompts:
        served.check_ids(prompt)
    return prompts
