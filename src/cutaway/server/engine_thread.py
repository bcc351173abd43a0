"""The one thread that runs the models: a bounded queue in, the pieces of answers out.

All that the server knows of an engine is in this file. Answers that run at once take turns, a
token each; a row's text depends on its own prompt and seed only, so turns change no text.
"""

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, final

from jaxtyping import Float, Int
from torch import Tensor

from cutaway.errors import ResourceError
from cutaway.inference.engine import Engine
from cutaway.inference.generate import most_tokens
from cutaway.inference.sampling import Sampler
from cutaway.inference.streaming_text import StreamingText

LEAST_LOGPROB = -9999.0
"""Stands for the logarithm of nothing, which JSON cannot hold."""

Reason = Literal["stop", "length", "deadline", "error"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A prompt and how it is to be continued."""

    engine: Engine
    prompt: tuple[int, ...]
    sampler: Sampler
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    rivals: int | None = None
    """How many alternatives are told beside each token; None: no probabilities at all."""
    deadline: float = math.inf
    """When the answer ends whatever its state, in seconds of `time.monotonic`."""


@dataclass(frozen=True, kw_only=True)
class Probability:
    """A token with its logarithms of probability (nats)."""

    token: int
    logprob: float
    """By the model alone."""
    sampled_logprob: float | None
    """After temperature and cuts; None: cut away."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A token was chosen."""

    text: str
    """What may be shown now; often empty, while a character or a stop text is not complete."""
    chosen: Probability | None = None
    rivals: tuple[Probability, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An answer is complete; nothing more comes of it."""

    reason: Reason
    text: str = ""
    """The rest of the text."""
    tokens: int = 0
    """Tokens written; one that ended the answer is not counted."""


Event = Piece | Ended


class Overloaded(ResourceError):
    """The queue is full, or the server is about to stop; the request may come again."""


@final
class Job:
    """Work that was accepted, and whether anybody still wants it."""

    def __init__(self, work: Work, tell: Callable[[Event], None]) -> None:
        self.work, self.tell = work, tell
        self.is_wanted = True
        self.steps: Iterator[Event] | None = None


@final
class EngineThread:
    """Writes the answers; every method may be called from any thread."""

    def __init__(self, *, most_running: int, most_waiting: int) -> None:
        self._most_running, self._most_waiting = most_running, most_waiting
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.tokens = 0
        """Tokens that were written since the start."""
        self.ended: Counter[str] = Counter()
        """Answers by their end; `left`: nobody wanted the rest."""

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether work is accepted and done."""
        return self._thread.is_alive() and not self._is_closing

    @property
    def running(self) -> int:
        """Answers that are being written."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Answers that nobody has begun."""
        return len(self._waiting)

    def submit(self, works: list[Work], tell: Callable[[int, Event], None]) -> list[Job]:
        """Accepts all or nothing; `tell` is called by the engine's thread with a place in `works`.

        Raises:
            Overloaded: the queue has no room for all of them.
        """
        jobs = [
            Job(work, lambda event, place=place: tell(place, event))  # type: ignore[misc]
            for place, work in enumerate(works)
        ]
        with self._changed:
            if self._is_closing:
                raise Overloaded("the server is about to stop; come again in a while")
            room = self._most_running + self._most_waiting
            if len(self._running) + len(self._waiting) + len(jobs) > room:
                raise Overloaded(
                    f"{len(self._running)} answers are written and {len(self._waiting)} wait, of "
                    f"{room} that may;\ncome again in a while"
                )
            self._waiting += jobs
            self._changed.notify()
        return jobs

    def cancel(self, jobs: list[Job]) -> None:
        """Ends jobs before their next token; those that have ended stay as they are."""
        with self._changed:
            for job in jobs:
                self.ended["left"] += job.is_wanted
                job.is_wanted = False
            self._waiting = deque(job for job in self._waiting if job.is_wanted)
            self._changed.notify()

    def refuse(self) -> None:
        """Accepts nothing more; what was accepted goes on."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def close(self, *, seconds: float = 30.0) -> None:
        """Accepts nothing more, finishes what was accepted, and ends within this time."""
        self.refuse()
        if not self._thread.is_alive():
            return
        self._thread.join(seconds)
        with self._changed:
            for job in (*self._running, *self._waiting):
                job.is_wanted = False
        self._thread.join(seconds)

    def _run(self) -> None:
        while self._admit():
            for job in self._running:
                if job.is_wanted:
                    self._advance(job)
            with self._changed:
                self._running = [job for job in self._running if job.is_wanted]

    def _admit(self) -> bool:
        """Takes from the queue what there is room for; waits while there is nothing to do."""
        with self._changed:
            while not (self._running or self._waiting):
                if self._is_closing:
                    return False
                self._changed.wait()
            while self._waiting and len(self._running) < self._most_running:
                job = self._waiting.popleft()
                if job.is_wanted:
                    self._running.append(job)
        return True

    def _advance(self, job: Job) -> None:
        """One token of an answer; what fails ends that answer and no other."""
        try:
            if job.steps is None:
                job.steps = _steps(job.work)
            event = next(job.steps)
        except Exception:
            logging.getLogger(__name__).exception("an answer failed")
            event = Ended(reason="error")
        if isinstance(event, Ended):
            with self._changed:
                self.ended[event.reason] += job.is_wanted
                job.is_wanted = False
        else:
            self.tokens += 1
        try:
            job.tell(event)
        except RuntimeError:  # whoever asked has gone, and its event loop too
            job.is_wanted = False


def _steps(work: Work) -> Iterator[Event]:
    """The pieces of an answer, and its end."""
    engine, tokens = work.engine, 0
    context_length = engine.model.config.context_length
    room = most_tokens(len(work.prompt), max_tokens=work.max_tokens, context_length=context_length)
    text = StreamingText(engine.tokenizer, stop=work.stop)
    sampler = _Watched(work.sampler, rivals=work.rivals or 0)
    if time.monotonic() > work.deadline:
        yield Ended(reason="deadline")
        return
    watching = work.rivals is not None
    for token in engine.stream(
        work.prompt,
        sampler=sampler if watching else work.sampler,
        max_tokens=room,
        seed=work.seed,
    ):
        tokens += 1
        shown = text.feed(token)
        if text.is_stopped:
            yield Ended(reason="stop", text=shown, tokens=tokens)
            return
        if watching:
            yield Piece(text=shown, chosen=sampler.told(token), rivals=sampler.rivals_told())
        else:
            yield Piece(text=shown)
        if time.monotonic() > work.deadline:
            yield Ended(reason="deadline", text=text.finish(), tokens=tokens)
            return
    rest = text.finish()
    reason: Reason = "length" if tokens == room and not text.is_stopped else "stop"
    yield Ended(reason=reason, text=rest, tokens=tokens)


@dataclass(frozen=True, eq=False)
class _Watched(Sampler):
    """Chooses as another sampler does, and remembers what it chose among.

    Equal to itself alone: the engine chooses together for rows whose samplers are equal.
    """

    inner: Sampler
    rivals: int = field(kw_only=True)
    _seen: list[Tensor] = field(default_factory=list, init=False)

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The other sampler's."""
        return self.inner.distribution(logits)

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """The other sampler's choice."""
        self._seen[:] = [
            logits[0].float().log_softmax(dim=-1),
            self.inner.distribution(logits)[0].float().log(),
        ]
        return self.inner.choose(logits, uniforms)

    def told(self, token: int) -> Probability:
        """A token as it stood in the last choice."""
        own, sampled = (float(logprobs[token]) for logprobs in self._seen)
        return Probability(
            token=token,
            logprob=max(own, LEAST_LOGPROB),
            sampled_logprob=sampled if math.isfinite(sampled) else None,
        )

    def rivals_told(self) -> tuple[Probability, ...]:
        """The most probable tokens of the last choice by the model alone, the best first."""
        best = self._seen[0].topk(min(self.rivals, len(self._seen[0]))).indices
        return tuple(self.told(int(token)) for token in best)
