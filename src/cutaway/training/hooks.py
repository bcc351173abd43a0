"""What happens beside learning: lines of metrics, evaluation, samples, checkpoints."""

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from cutaway.durable import write_file
from cutaway.training.loop import Progress
from cutaway.training.state import TrainingState


class Metrics:
    """Writes one record for every `every` steps; a step that is not finite is always written."""

    def __init__(self, write: Callable[[dict[str, Any]], None], *, every: int) -> None:
        self._write, self._every = write, every

    def after_step(self, progress: Progress) -> None:
        """Writes the step's record when it is due."""
        state = progress.state
        is_due = state.step % self._every == 0 or state.step == 1 or state.is_finished
        if is_due or state.skipped_in_a_row:
            self._write(
                {
                    "step": state.step,
                    "steps": progress.steps,
                    "tokens": state.tokens,
                    "seconds": round(state.seconds, 3),
                    "loss": progress.loss,
                    "gradient_norm": progress.gradient_norm,
                    "learning_rate": progress.learning_rate_factor,
                    "tokens_per_second": round(progress.tokens / progress.seconds, 1),
                    **progress.metrics,
                    **({"skipped": True} if state.skipped_in_a_row else {}),
                }
            )

    def at_end(self, state: TrainingState) -> None:
        """Does nothing: the last step has written its own record."""


class SkippedSteps:
    """Keeps the batch of each skipped step in `skipped-step-00001234.json`, to be looked at."""

    MOST = 100
    """Files in a run; a run that skips more steps tells nothing new with the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def after_step(self, progress: Progress) -> None:
        """Writes the file when the step was skipped."""
        state = progress.state
        if not state.skipped_in_a_row or state.skipped > self.MOST:
            return
        content = {
            "step": state.step,
            # As text, where JSON has no word for the number.
            "loss": str(progress.loss),
            "gradient_norm": str(progress.gradient_norm),
            "gradient_norms": {name: str(norm) for name, norm in progress.gradient_norms.items()},
            "learning_rate": progress.learning_rate_factor,
            **{
                field.name: getattr(progress.batch, field.name).tolist()
                for field in fields(progress.batch)
            },
        }
        path = self._folder / f"skipped-step-{state.step:08d}.json"
        write_file(path, json.dumps(content).encode())

    def at_end(self, state: TrainingState) -> None:
        """Does nothing: each file is written with its step."""


class AtShares:
    """Does something when given shares of the run have passed, and once more at its end.

    What has been done is noted in the state, so a resumed run neither repeats nor misses one.
    """

    def __init__(
        self, do: Callable[[TrainingState], None], *, name: str, shares: tuple[float, ...]
    ) -> None:
        self._do, self._name, self._shares = do, f"shares of {name}", shares

    def after_step(self, progress: Progress) -> None:
        """Does it when the next share has passed."""
        state = progress.state
        done = int(state.notes.get(self._name, 0))
        passed = sum(1 for share in self._shares if state.step >= share * progress.steps)
        if passed > done:
            state.notes[self._name] = passed
            state.model.eval()
            # What is asked beside training has shapes of its own: not worth compiling.
            with torch.compiler.set_stance("force_eager"):
                self._do(state)
            state.model.train()

    def at_end(self, state: TrainingState) -> None:
        """Does nothing: give 1.0 as a share to act at the end."""


class Checkpoints:
    """Saves every `seconds`, at the first steps and at the end; corrects a timed run's length.

    Not while steps are being skipped: the weights may be what makes the loss not finite.
    The correction is made just before the save, so that no step depends on one that is not on disk.
    """

    FIRST = 8
    """Steps after which a timed run is given its length; the one that compiles is not timed."""

    def __init__(self, save: Callable[[TrainingState], None], *, seconds: float) -> None:
        self._save, self._seconds = save, seconds
        self._last = time.monotonic()
        self._timed, self._spent = 0, 0.0
        self._before: float | None = None

    def after_step(self, progress: Progress) -> None:
        """Saves when it is due."""
        state = progress.state
        if self._before is not None:
            # From one call to the next: the step and all that the hooks did beside it.
            self._timed += 1
            self._spent += state.seconds - self._before
        self._before = state.seconds
        is_timed = state.plan.seconds is not None
        is_first = is_timed and not state.plan.corrections and self._timed >= self.FIRST
        if state.skipped_in_a_row:
            return
        if is_first or time.monotonic() - self._last >= self._seconds:
            if is_timed and self._timed >= self.FIRST:
                pace = self._spent / self._timed
                state.plan.correct(state.step, elapsed=state.seconds, seconds_per_step=pace)
            self._save(state)
            self._last = time.monotonic()

    def at_end(self, state: TrainingState) -> None:
        """Saves the last state."""
        self._save(state)
