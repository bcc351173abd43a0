"""How many steps a run has: told in advance, or found by timing the first ones."""

from dataclasses import dataclass, field
from typing import Any

# Until the first correction the length of a timed run is unknown; only the warm-up reads it.
FIRST_GUESS = 400


@dataclass(kw_only=True)
class Plan:
    """The number of steps of a run, and each correction of it with the step where it was made.

    A run of `steps` is never corrected. A run of `seconds` is corrected when a checkpoint is
    written, so that the file holds what was decided: a resumed run replays it, bit for bit.
    """

    steps: int | None = None
    """Steps, where they were told."""
    seconds: float | None = None
    """Time for the whole run, where that was told instead."""
    corrections: list[tuple[int, int]] = field(default_factory=list)
    """(step at which it was made, number of steps from then on)."""

    def total(self, step: int) -> int:
        """Returns the number of steps of the run as it was known at `step`."""
        if self.steps is not None:
            return self.steps
        known = [total for made, total in self.corrections if made <= step]
        return known[-1] if known else FIRST_GUESS

    def correct(self, step: int, *, elapsed: float, seconds_per_step: float) -> None:
        """Fixes the number of steps so that the run ends in time, from the pace so far."""
        if self.seconds is None:
            return
        left = max(0.0, self.seconds - elapsed)
        self.corrections.append((step, step + max(1, round(left / seconds_per_step))))

    def to_json(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps."""
        return {"corrections": [list(pair) for pair in self.corrections]}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over the corrections of a checkpoint."""
        self.corrections = [(int(step), int(total)) for step, total in state["corrections"]]
