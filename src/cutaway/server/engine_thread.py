"""The one thread that runs the models: a bounded queue in, the pieces of answers out.

All that the server knows of an engine is in this file. Answers that run at once are written in one
batch, a token each; a row's text depends on its own prompt and seed only, never on the others.
"""

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, final

from cutaway.errors import ResourceError
from cutaway.inference import request as asked
from cutaway.inference.constraint import Constraint
from cutaway.inference.engine import Engine
from cutaway.inference.penalties import Penalties
from cutaway.inference.sampling import Sampler
from cutaway.server.rooms import Room

LEAST_LOGPROB = -9999.0
"""Stands for the logarithm of nothing, which JSON cannot hold."""

IDLE_SECONDS = 0.5
"""How often an engine that has nothing to do says that it could."""

Reason = Literal["stop", "length", "deadline", "error"]
State = Literal["ready", "stalled", "draining", "stopped"]


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
    penalties: Penalties = field(default_factory=Penalties)
    """What makes tokens more or less likely than the model says."""
    constraint: Constraint | None = None
    """The form that the answer must have."""
    rivals: int | None = None
    """How many alternatives are told beside each token; None: no probabilities at all."""
    deadline: float = math.inf
    """When the answer ends whatever its state, in seconds of `time.monotonic`."""

    @property
    def request(self) -> asked.Request:
        """The same as the engine wants it."""
        return asked.Request(
            prompt=self.prompt,
            sampler=self.sampler,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
            top_logprobs=self.rivals,
            penalties=self.penalties,
            constraint=self.constraint,
            deadline=self.deadline if math.isfinite(self.deadline) else None,
        )


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


class Times(ABC):
    """Who is told how long answers take, in seconds; called by the engine's thread."""

    @abstractmethod
    def first_token(self, seconds: float) -> None:
        """From the acceptance of the work to its first token."""

    @abstractmethod
    def next_token(self, seconds: float) -> None:
        """From one token to the next."""

    @abstractmethod
    def answer(self, seconds: float) -> None:
        """From the acceptance of the work to its end."""


@final
class Job:
    """Work that was accepted, and whether anybody still wants it."""

    def __init__(self, work: Work, tell: Callable[[Event], None]) -> None:
        self.work, self.tell = work, tell
        self.accepted = time.monotonic()
        self.last_token: float | None = None
        self.is_wanted = True
        self.id: int | None = None
        """The engine's number for it, once it runs."""
        self.tokens = 0
        """Tokens written, without one that ended the answer."""


@final
class EngineThread(Room):
    """Writes the answers; every method may be called from any thread."""

    def __init__(
        self,
        *,
        most_running: int,
        most_waiting: int,
        stalled_seconds: float = math.inf,
        times: Times | None = None,
    ) -> None:
        """A step that takes longer than `stalled_seconds` is told by `state`."""
        self._most_running, self._room = most_running, most_running + most_waiting
        self._stalled_seconds, self._times = stalled_seconds, times
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.prompt_tokens = 0
        """Tokens of the prompts that were accepted since the start."""
        self.tokens = 0
        """Tokens that were written since the start."""
        self.ended: Counter[str] = Counter()
        """Answers by their end; `left`: nobody wanted the rest."""

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    @property
    def state(self) -> State:
        """Whether work is accepted and done, and if not, why."""
        if self._is_closing:
            return "draining"
        if not self._thread.is_alive():
            return "stopped"
        late = time.monotonic() - self._beat > self._stalled_seconds
        return "stalled" if late else "ready"

    @property
    def running(self) -> int:
        """Answers that are being written."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Answers that nobody has begun."""
        return len(self._waiting)

    @property
    def left(self) -> int:
        """Answers that may still be asked for; a look, which what is accepted does not rest on."""
        return self._room - len(self._running) - len(self._waiting)

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
            if len(jobs) > self.left:
                raise Overloaded(
                    f"{len(self._running)} answers are written and {len(self._waiting)} wait, of "
                    f"{self._room} that may;\ncome again in a while"
                )
            self._waiting += jobs
            self.prompt_tokens += sum(len(work.prompt) for work in works)
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
            for engine in {id(job.work.engine): job.work.engine for job in self._running}.values():
                self._step(engine)

    def _admit(self) -> bool:
        """Takes from the queue what there is room for; waits while there is nothing to do."""
        with self._changed:
            while not (self._running or self._waiting):
                if self._is_closing:
                    return False
                self._beat = time.monotonic()
                self._changed.wait(IDLE_SECONDS)
            self._beat = now = time.monotonic()
            late = [job for job in self._waiting if job.work.deadline <= now]
            self._waiting = deque(job for job in self._waiting if job.work.deadline > now)
            for job in self._running:
                if not job.is_wanted and job.id is not None:
                    job.work.engine.cancel(job.id)
            self._running = [job for job in self._running if job.is_wanted]
            admitted = []
            while self._waiting and len(self._running) < self._most_running:
                job = self._waiting.popleft()
                if job.is_wanted:
                    self._running.append(job)
                    admitted.append(job)
        for job in late:
            self._tell(job, Ended(reason="deadline"))
        for job in admitted:
            try:
                job.id = job.work.engine.submit(job.work.request)
            except Exception:
                logging.getLogger(__name__).exception("an answer could not begin")
                self._tell(job, Ended(reason="error"))
        return True

    def _step(self, engine: Engine) -> None:
        """One token of each answer of an engine; what fails ends that answer and no other."""
        jobs = {
            job.id: job
            for job in self._running
            if job.work.engine is engine and job.id is not None and job.is_wanted
        }
        try:
            events = engine.step()
        except Exception:
            # No answer of this engine knows what became of it.
            logging.getLogger(__name__).exception("an engine failed")
            for id_, job in jobs.items():
                engine.cancel(id_)
                self._tell(job, Ended(reason="error"))
            events = []
        for event in events:
            # Events of an answer that was left are nobody's.
            if event.id in jobs:
                self._hear(jobs[event.id], event)
        with self._changed:
            ended = [job for job in self._running if not job.is_wanted]
            for job in ended:
                if job.id is not None:
                    job.work.engine.cancel(job.id)  # those that have ended stay as they are
            self._running = [job for job in self._running if job.is_wanted]

    def _hear(self, job: Job, event: asked.Event) -> None:
        """Passes on what the engine says of an answer."""
        if isinstance(event, asked.Finished):
            if event.cause is not None:
                logging.getLogger(__name__).error("an answer failed", exc_info=event.cause)
            reason = event.reason if event.reason != "cancelled" else "error"
            self._tell(job, Ended(reason=reason, tokens=job.tokens))
            return
        if event.token in job.work.engine.stop_ids:
            # It is no part of what the model says; a rest of the text may come with it.
            if event.text:
                self._tell(job, Piece(text=event.text))
            return
        job.tokens += 1
        self.tokens += 1
        self._tell(job, _piece(event, is_watched=job.work.rivals is not None))

    def _tell(self, job: Job, event: Event) -> None:
        self._clock(job, event)
        with self._changed:
            if isinstance(event, Ended):
                self.ended[event.reason] += job.is_wanted
                job.is_wanted = False
        try:
            job.tell(event)
        except RuntimeError:  # whoever asked has gone, and its event loop too
            job.is_wanted = False

    def _clock(self, job: Job, event: Event) -> None:
        """Takes the time of what has happened."""
        if self._times is None:
            return
        now = time.monotonic()
        if isinstance(event, Ended):
            self._times.answer(now - job.accepted)
        elif job.last_token is None:
            self._times.first_token(now - job.accepted)
        else:
            self._times.next_token(now - job.last_token)
        job.last_token = now


def _piece(event: asked.Token, *, is_watched: bool) -> Piece:
    """A token as the server tells it."""
    if not is_watched:
        return Piece(text=event.text)
    return Piece(
        text=event.text,
        chosen=_probability(event),
        rivals=tuple(_probability(rival) for rival in event.alternatives),
    )


def _probability(told: asked.Token | asked.Alternative) -> Probability:
    return Probability(
        token=told.token,
        logprob=max(told.logprob, LEAST_LOGPROB),
        sampled_logprob=told.sampled_logprob,
    )
