"""Many prompts at once: batched, cached, and equal to the plain loop on each prompt alone."""

import itertools
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, final

from cutaway.errors import UsageError
from cutaway.inference.beginnings import Beginnings
from cutaway.inference.generate import Completion, most_tokens
from cutaway.inference.guessing import MakeGuesser
from cutaway.inference.request import Event, Finished, Overloaded, Request, Statistics, Token
from cutaway.inference.row import Row
from cutaway.inference.sampling import Sampler
from cutaway.inference.scheduler import Bounds, Scheduler
from cutaway.models.decoder import Decoder
from cutaway.tokenizer.base import Tokenizer

CHUNK_TOKENS = 256
"""Tokens of prompts that are read in a step while answers are written: they wait that long."""
ALONE = 4
"""How many times as many are read while nobody waits for a next token."""
MOST_CHUNK_TOKENS = 8192
"""The same for `generate`, where nobody watches; more would only take memory."""


@final
class Engine:
    """Generates with one model; what chat, rollouts, evaluation and the server use.

    A row's text depends on its prompt, its seed and its settings, never on its neighbours. One
    thread owns an engine. `generate` and `stream` stand for themselves; `submit`, `cancel` and
    `step` serve many requests that come and go.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        max_rows: int = 256,
        cache_bytes: int = 2**29,
        shared_bytes: int = 2**28,
        max_waiting: int = 64,
        chunk_tokens: int = CHUNK_TOKENS,
        guesser: MakeGuesser | None = None,
    ) -> None:
        """`max_rows` and `cache_bytes` bound how many prompts run at once, `max_waiting` how many
        requests may wait; `shared_bytes` are for beginnings that requests share; `guesser` makes
        what guesses a row's next tokens, which changes no text (None: nothing is guessed).

        Raises:
            UsageError: the tokenizer or the guesser is of another model.
        """
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = tokenizer.customs.stop_ids
        # A vocabulary may be padded to a round number; its padding is no token.
        if tokenizer.vocab_size > model.config.vocab_size:
            raise UsageError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, but the model knows "
                f"{model.config.vocab_size};\nopen the model with the tokenizer it was trained with"
            )
        slot = model.new_cache(1, 1)
        self._max_rows, self._max_waiting = max_rows, max_waiting
        self._most_slots = cache_bytes // sum(part.nbytes for part in (*slot.keys, *slot.values))
        self._shared_bytes = shared_bytes
        self._ids = itertools.count(1)
        self._pace = _Pace()
        self._weights = _version(model)
        self._beginnings = Beginnings(model, most_bytes=shared_bytes)
        bounds = self._bounds(
            chunk_tokens=chunk_tokens, alone=ALONE * chunk_tokens, keeps_answers=True
        )
        self._guesser = guesser
        self._served = Scheduler(model, bounds=bounds, beginnings=self._beginnings, guesser=guesser)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        sampler: Sampler,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int] | None = None,
        stop_ids: Collection[int] | None = None,
    ) -> list[Completion]:
        """Continues every prompt; the completions come in the order of the prompts.

        `max_tokens` and `seeds` may differ from prompt to prompt (None: the seeds 0, 1, 2, ...);
        `stop_ids` is the end of a message and the end of a text unless given.

        Raises:
            UsageError: a prompt is empty, fills the context, or names a token that does not exist.
        """
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        seeds = range(len(prompts)) if seeds is None else seeds
        stops = None if stop_ids is None else frozenset(stop_ids)
        rows = [
            self._row(
                Request(
                    prompt=tuple(prompt),
                    sampler=sampler,
                    max_tokens=limit,
                    seed=seed,
                    stop_ids=stops,
                ),
                id_=place,
            )
            for place, (prompt, limit, seed) in enumerate(zip(prompts, limits, seeds, strict=True))
        ]
        # Rows of like length together, the longest first: attention reads all as far as that one.
        rows.sort(key=lambda row: (-len(row.request.prompt), -row.room))
        shared_bytes = self._shared_bytes if len(rows) > 1 else 0
        scheduler = self._scheduler(rows, shared_bytes=shared_bytes)
        ids: list[list[int]] = [[] for _ in rows]
        logprobs: list[list[float]] = [[] for _ in rows]
        reasons: dict[int, Literal["stop", "length"]] = {}
        while not scheduler.is_idle:
            for event in scheduler.step():
                if isinstance(event, Token):
                    ids[event.id].append(event.token)
                    logprobs[event.id].append(event.logprob)
                else:
                    reasons[event.id] = _ended_well(event)
        return [
            Completion(ids=ids[place], logprobs=logprobs[place], finish_reason=reasons[place])
            for place in range(len(rows))
        ]

    def stream(
        self,
        prompt: Sequence[int],
        *,
        sampler: Sampler,
        max_tokens: int,
        seed: int = 0,
        stop_ids: Collection[int] | None = None,
    ) -> Iterator[int]:
        """Continues one prompt and yields each token as it is chosen, but for the one that stops.

        Raises:
            UsageError: the prompt is empty, fills the context, or names an unknown token.
        """
        request = Request(
            prompt=tuple(prompt),
            sampler=sampler,
            max_tokens=max_tokens,
            seed=seed,
            stop_ids=None if stop_ids is None else frozenset(stop_ids),
        )
        # Checked here, at the call and not at the first token.
        return self._stream(self._row(request, id_=0))

    def submit(self, request: Request) -> int:
        """Puts a request in the queue and returns the id that its events bear.

        Raises:
            UsageError: the prompt, a token that is named, or the form does not fit the model.
            Overloaded: as many requests run and wait as may.
        """
        row = self._row(request, id_=next(self._ids))
        served = self._served
        if served.is_idle and (version := _version(self.model)) != self._weights:
            # What other weights have made of a prompt is worth nothing.
            self._beginnings.reset()
            self._weights = version
        if served.active + served.waiting >= self._max_rows + self._max_waiting:
            raise Overloaded(
                f"{self._max_rows} requests are answered and {self._max_waiting} wait, which is "
                "all that is allowed;\ncome again in a while",
                retry_after_s=self._pace.seconds,
            )
        served.add(row)
        return row.id

    def cancel(self, id_: int) -> None:
        """Ends a request at once, and frees what it holds; one that has ended stays as it is."""
        self._served.cancel(id_)

    def step(self) -> list[Event]:
        """Reads a piece of the prompts and adds a token to each answer; tells what has happened."""
        events = self._served.step()
        self._pace.count(sum(isinstance(event, Finished) for event in events))
        return events

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do and nothing to tell."""
        return self._served.is_idle

    def statistics(self) -> Statistics:
        """How busy the engine is."""
        served, pool = self._served, self._beginnings.pool
        return Statistics(
            running=served.active,
            waiting=served.waiting,
            max_rows=self._max_rows,
            max_waiting=self._max_waiting,
            blocks=pool.count,
            free_blocks=pool.free,
            held_blocks=pool.held,
            prompt_tokens=served.counts["prompt_tokens"],
            cached_tokens=served.counts["cached_tokens"],
            completion_tokens=served.counts["completion_tokens"],
            guessed_tokens=served.counts["guessed_tokens"],
            accepted_tokens=served.counts["accepted_tokens"],
        )

    def _stream(self, row: Row) -> Iterator[int]:
        scheduler = self._scheduler([row], shared_bytes=0)
        while not scheduler.is_idle:
            for event in scheduler.step():
                if isinstance(event, Finished):
                    _ended_well(event)
                elif event.token not in row.stop_ids:
                    yield event.token

    def _scheduler(self, rows: Sequence[Row], *, shared_bytes: int) -> Scheduler:
        """A scheduler of its own for rows that nobody else waits for."""
        bounds = self._bounds(
            chunk_tokens=MOST_CHUNK_TOKENS, alone=MOST_CHUNK_TOKENS, keeps_answers=False
        )
        beginnings = Beginnings(self.model, most_bytes=shared_bytes)
        scheduler = Scheduler(
            self.model, bounds=bounds, beginnings=beginnings, guesser=self._guesser
        )
        for row in rows:
            scheduler.add(row)
        return scheduler

    def _bounds(self, *, chunk_tokens: int, alone: int, keeps_answers: bool) -> Bounds:
        return Bounds(
            max_rows=self._max_rows,
            most_slots=self._most_slots,
            chunk_tokens=chunk_tokens,
            chunk_tokens_alone=alone,
            vocabulary=self.tokenizer.vocab_size,
            keeps_answers=keeps_answers,
        )

    def _row(self, request: Request, *, id_: int) -> Row:
        """The state of a request, which must fit the model."""
        config, prompt = self.model.config, request.prompt
        room = most_tokens(
            len(prompt), max_tokens=request.max_tokens, context_length=config.context_length
        )
        if min(prompt) < 0 or max(prompt) >= config.vocab_size:
            wrong = next(id_ for id_ in prompt if not 0 <= id_ < config.vocab_size)
            raise UsageError(
                f"the prompt has token {wrong}, but this model knows the tokens 0 to "
                f"{config.vocab_size - 1};\nencode the prompt with the model's own tokenizer"
            )
        vocabulary = self.tokenizer.vocab_size
        for token in request.penalties.bias:
            if not 0 <= token < vocabulary:
                raise UsageError(
                    f"logit_bias names token {token}, but the tokens are 0 to {vocabulary - 1}"
                )
        if request.constraint is not None and request.constraint.vocab_size != vocabulary:
            raise UsageError("the form of the answer was compiled for another tokenizer")
        stop_ids = self.stop_ids if request.stop_ids is None else request.stop_ids
        return Row(request, id_=id_, room=room, stop_ids=stop_ids, tokenizer=self.tokenizer)


class _Pace:
    """How long it takes, on the average of the last ends, until a request ends."""

    SHARE = 0.1  # of the newest in the average
    LEAST, MOST = 1.0, 60.0  # seconds

    def __init__(self) -> None:
        self._average = self.LEAST
        self._last: float | None = None

    def count(self, ends: int) -> None:
        """Takes note of requests that have ended just now."""
        if ends:
            now = time.monotonic()
            if self._last is not None:
                each = (now - self._last) / ends
                self._average += self.SHARE * (min(each, self.MOST) - self._average)
            self._last = now

    @property
    def seconds(self) -> float:
        """When to come again."""
        return max(self.LEAST, min(self._average, self.MOST))


def _version(model: Decoder) -> list[tuple[int, int]]:
    """Changes whenever a weight does: each counts how often it was written to."""
    return [
        (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        for weight in model.parameters()
    ]


def _ended_well(event: Finished) -> Literal["stop", "length"]:
    """Why an answer that nobody cancels has ended.

    Raises:
        Exception: what has failed, if anything has.
    """
    if event.cause is not None:
        raise event.cause
    assert event.reason in ("stop", "length")
    return event.reason
