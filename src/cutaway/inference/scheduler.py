"""Who is read and who is written next: continuous batching (Yu et al. 2022, section 4), a step at
a time, with long prompts read in pieces between the steps (Agrawal et al. 2024, section 4)."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch

from cutaway.inference.beginnings import Beginnings
from cutaway.inference.blocks import BLOCK, chain
from cutaway.inference.choosing import Choice, choose
from cutaway.inference.generate import resting
from cutaway.inference.guessing import Guessing, MakeGuesser
from cutaway.inference.reading import Reading
from cutaway.inference.request import Event, Finished, Reason, Token
from cutaway.inference.row import Row
from cutaway.inference.running import Running, slots_for
from cutaway.models.decoder import Decoder

LOOKED_AT = 512
"""Waiting rows among which companions are sought for the one that is next."""
MOST_READINGS = 4
"""Groups of prompts that are read in turns."""
ALIKE = 0.5
"""Prompts are read side by side if the shorter has at least this share of the longer's tokens."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much may be done at once."""

    max_rows: int
    """Rows that are read or written."""
    most_slots: int
    """Tokens of all rows in the cache, each row counted as long as the longest may become."""
    chunk_tokens: int
    """Tokens of prompts that are read in a step while rows are written."""
    chunk_tokens_alone: int
    """The same while none is."""
    vocabulary: int
    """Tokens that may be chosen: the first of the model's."""
    keeps_answers: bool
    """Whether the blocks of an answer are kept: a conversation comes back with them."""


@final
class Scheduler:
    """Rows in, events out; `step` reads a piece of the prompts and adds a token to each answer."""

    def __init__(
        self,
        model: Decoder,
        *,
        bounds: Bounds,
        beginnings: Beginnings,
        guesser: MakeGuesser | None = None,
    ) -> None:
        """`guesser` makes the guesser of each row (None: nothing is guessed)."""
        self._model, self._bounds, self._beginnings = model, bounds, beginnings
        self._guessing = guesser and Guessing(guesser, vocabulary=bounds.vocabulary)
        self._running = Running(model, vocabulary=bounds.vocabulary, most_slots=bounds.most_slots)
        self._waiting: dict[int, Row] = {}  # in the order in which they came
        self._readings: list[Reading] = []
        self._events: list[Event] = []
        self._turn = itertools.count()
        self.counts: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Rows that are not begun."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Rows that are read or written."""
        return len(self._running.rows) + sum(len(group.rows) for group in self._readings)

    @property
    def is_idle(self) -> bool:
        """Whether a step would do nothing and tell nothing."""
        return not (self._waiting or self.active or self._events)

    def add(self, row: Row) -> None:
        """Puts a row at the end of the queue."""
        self._waiting[row.id] = row

    @torch.inference_mode()
    def cancel(self, id_: int) -> None:
        """Takes a row out, wherever it is; the next step tells its end."""
        for row in self._all_rows():
            if row.id == id_:
                self._events.append(self._end(row, "cancelled"))
                return

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Ends what is late, reads a piece of the prompts, adds a token to every row that is read.

        Whatever goes wrong ends the rows that it concerns and is told as their cause.
        """
        try:
            now = time.monotonic()
            for row in list(self._all_rows()):
                if row.request.deadline is not None and row.request.deadline <= now:
                    self._events.append(self._end(row, "deadline"))
            with resting(self._model):
                self._read()
                if self._running.rows:
                    self._write()
        except BaseException:
            # Interrupted anywhere, by Ctrl-C: nothing half done may be gone on with.
            self._forget_everything()
            raise
        events, self._events = self._events, []
        return events

    def _forget_everything(self) -> None:
        self._waiting.clear()
        self._readings.clear()
        self._events.clear()
        self._running.clear()
        self._beginnings.reset()
        if self._guessing is not None:
            self._guessing.clear()

    def _all_rows(self) -> Iterator[Row]:
        yield from self._running.rows
        for group in self._readings:
            yield from group.rows
        yield from self._waiting.values()

    def _read(self) -> None:
        """Reads prompts, oldest and shortest in turns: a long one delays no short one for long."""
        bounds = self._bounds
        budget = bounds.chunk_tokens if self._running.rows else bounds.chunk_tokens_alone
        while budget > 0:
            self._admit(budget)
            if not self._readings:
                return
            group = self._readings[0]
            if next(self._turn) % 2:
                group = min(self._readings, key=lambda reading: reading.left)
            try:
                budget -= max(1, group.read_on(budget))
                self._join(group)
            except Exception as error:
                # Memory, most likely; only these rows have asked for it.
                for row in list(group.rows):
                    self._events.append(self._end(row, "error", cause=error))
            self._readings = [reading for reading in self._readings if reading.rows]

    def _admit(self, budget: int) -> None:
        """Begins to read waiting rows, those together that are alike, as long as there is room."""
        while self._waiting and len(self._readings) < MOST_READINGS:
            rows = self._next_rows(budget)
            if not rows:
                return
            for row in rows:
                del self._waiting[row.id]
                self.counts["prompt_tokens"] += len(row.request.prompt)
                self.counts["cached_tokens"] += row.cached_tokens
            try:
                group = Reading(self._model, rows)
                for place, row in enumerate(rows):
                    if row.blocks:
                        self._beginnings.load(
                            row.blocks, tokens=row.request.prompt, cache=group.cache, row=place
                        )
                self._readings.append(group)
            except Exception as error:
                for row in rows:
                    self._events.append(self._end(row, "error", cause=error))

    def _next_rows(self, budget: int) -> list[Row]:
        """The first waiting row that need not wait for another's beginning, and its companions."""
        pool = self._beginnings.pool
        others = self.active
        longest = max((self._slots(row) for row in self._all_begun()), default=0)
        being_read = {name for group in self._readings for row in group.rows for name in row.names}
        rows: list[Row] = []
        most = 0  # tokens that the longest of the rows has to read
        for row in itertools.islice(self._waiting.values(), LOOKED_AT):
            longest = max(longest, self._slots(row))
            count = others + len(rows) + 1
            fits = count <= self._bounds.max_rows and count * longest <= self._bounds.most_slots
            if not fits and count > 1:
                break
            row.blocks = pool.find(row.names)
            row.cached_tokens = len(row.blocks) * BLOCK
            left = row.to_read - row.cached_tokens
            unread = row.names[len(row.blocks) :]
            soon = BLOCK * sum(name in being_read for name in unread)
            widest = max(most, left)
            is_alike = not rows or (
                row.cached_tokens == rows[0].cached_tokens
                and min(left, rows[0].to_read - rows[0].cached_tokens) >= ALIKE * widest
                and widest * (len(rows) + 1) <= budget
            )
            # Half of it will be in blocks when another row is read: then it is worth the wait.
            if not is_alike or (soon and soon >= left / 2):
                pool.release(row.blocks)
                row.blocks = []
                continue
            rows.append(row)
            most = widest
            being_read.update(unread)
        return rows

    def _all_begun(self) -> Iterator[Row]:
        yield from self._running.rows
        for group in self._readings:
            yield from group.rows

    def _slots(self, row: Row) -> int:
        return slots_for(row.length, context_length=self._model.config.context_length)

    def _join(self, group: Reading) -> None:
        """Lets the rows that are read be written, and keeps their beginnings for others."""
        found = group.take_ready()
        expected = min(self._bounds.max_rows, self.active + len(found) + self.waiting)
        for ready in found:
            row = ready.row
            try:
                new = row.names[len(row.blocks) :]
                row.blocks += self._beginnings.save(
                    new, first=len(row.blocks), cache=ready.cache, row=ready.place
                )
                self._running.join(ready, expected=expected)
            except Exception as error:
                self._events.append(self._end(row, "error", cause=error))

    def _write(self) -> None:
        """Adds a token to every row that is read, and more where they were guessed."""
        rows = list(self._running.rows)
        ended: list[tuple[Row, Literal["stop", "length"]]] = []
        failed: list[tuple[Row, Exception]] = []
        try:
            guesses = self._guesses(rows)
            logits = self._running.logits(guesses)
            going, place = list(range(len(rows))), 0
            while going:
                picked = logits[going, place] if len(going) < len(rows) else logits[:, place]
                choices = choose([rows[number] for number in going], picked)
                right = []
                for number, choice in zip(going, choices, strict=True):
                    row = rows[number]
                    if isinstance(choice, Exception):
                        failed.append((row, choice))
                        continue
                    reason = self._take(row, choice)
                    if reason is not None:
                        ended.append((row, reason))
                    elif guesses[number][place : place + 1] == [choice.token]:
                        right.append(number)
                        continue
                    self._learn(row, right=place, guessed=len(guesses[number]))
                going, place = right, place + 1
        except Exception as error:
            for row in rows:
                self._events.append(self._end(row, "error", cause=error))
            return
        # Not before all have their tokens: who leaves, moves another by what that one has read.
        for row, cause in failed:
            self._running.wipe(row)
            self._events.append(self._end(row, "error", cause=cause))
        for row, reason in ended:
            if self._bounds.keeps_answers:
                self._keep(row)
            self._events.append(self._end(row, reason))

    def _guesses(self, rows: Sequence[Row]) -> list[list[int]]:
        if self._guessing is None:
            return [[] for _ in rows]
        return self._guessing.guess(rows, room=self._running.room)

    def _learn(self, row: Row, *, right: int, guessed: int) -> None:
        if self._guessing is not None and guessed:
            self._guessing.learn(row, right=right)
            self.counts["guessed_tokens"] += guessed
            self.counts["accepted_tokens"] += right

    def _take(self, row: Row, choice: Choice) -> Literal["stop", "length"] | None:
        """Appends a token to a row and tells it; returns why the answer ends, if it does."""
        text, reason = row.take(choice.token)
        self.counts["completion_tokens"] += 1
        self._events.append(
            Token(
                id=row.id,
                token=choice.token,
                text=text,
                logprob=choice.logprob,
                sampled_logprob=choice.sampled_logprob,
                alternatives=choice.alternatives,
            )
        )
        return reason

    def _keep(self, row: Row) -> None:
        """Keeps the blocks of an answer; the last token is not among them, nobody has read it."""
        tokens = (*row.request.prompt, *row.ids)[: row.read]
        done = len(row.blocks)
        if done < len(row.names):
            return  # the pool had no more to give when the prompt was read
        after = row.names[-1] if row.names else b""
        names = chain(tokens[done * BLOCK :], after=after)
        if names:
            found = self._running.answered(row)
            row.blocks += self._beginnings.save(
                names, first=done, cache=found.cache, row=found.place
            )

    def _end(self, row: Row, reason: Reason, *, cause: Exception | None = None) -> Finished:
        """Takes a row out and lets go of all it holds."""
        self._waiting.pop(row.id, None)
        if row in self._running.rows:
            self._running.leave(row)
        if self._guessing is not None:
            self._guessing.forget(row)
        for group in self._readings:
            if row in group.rows:
                group.drop(row)
        self._readings = [group for group in self._readings if group.rows]
        self._beginnings.pool.release(row.blocks)
        row.blocks = []
        self.counts[f"finished_{reason}"] += 1
        return row.finished(reason, cause=cause)
