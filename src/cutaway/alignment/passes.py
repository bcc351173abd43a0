"""Optimizer steps inside one step of a run: a step on a loss, and the means of what they say."""

from collections import defaultdict

from jaxtyping import Float
from torch import Tensor

from cutaway.alignment.remembering import Remembering
from cutaway.data.batches import TokenBatch
from cutaway.training.distributed import Processes
from cutaway.training.loop import Taken, apply_gradients
from cutaway.training.state import TrainingState


class Passes:
    """Steps a state's optimizer on one loss after another, and remembers the figures."""

    def __init__(
        self,
        state: TrainingState,
        *,
        factor: float,
        clip_norm: float | None,
        remembering: Remembering | None = None,
    ) -> None:
        self._state, self._factor, self._clip_norm = state, factor, clip_norm
        self._remembering = remembering
        self._sums: dict[str, float] = defaultdict(float)
        self._loss = self._norm = 0.0
        self._count = 0
        self._skipped: dict[str, float] = {}

    @property
    def must_end(self) -> bool:
        """Whether the last step was skipped, because its loss or a gradient was not finite."""
        return bool(self._skipped)

    def step(self, loss: Float[Tensor, ""], **figures: Float[Tensor, ""]) -> None:
        """Makes one optimizer step."""
        loss.backward()  # type: ignore[no-untyped-call]
        if self._remembering is not None:
            old = self._remembering.loss(self._state, turn=self._count)
            (self._remembering.weight * old).backward()  # type: ignore[no-untyped-call]
            figures["remembered_loss"] = old.detach()
        applied = apply_gradients(
            self._state,
            loss=float(loss.detach()),
            clip_norm=self._clip_norm,
            factor=self._factor,
            group=Processes(),
        )
        self._skipped = applied.skipped or {}
        self._count += 1
        self._loss += float(loss.detach())
        self._norm += applied.norm
        for name, figure in figures.items():
            self._sums[name] += float(figure)

    def taken(self, batch: TokenBatch, *, metrics: dict[str, float]) -> Taken:
        """Returns the whole step, with the means of all optimizer steps beside other metrics."""
        count = max(1, self._count)
        means = {name: total / count for name, total in self._sums.items()}
        return Taken(
            loss=self._loss / count,
            norm=self._norm / count,
            metrics={**metrics, **means, "optimizer_steps": float(self._count)},
            batch=batch,
            gradient_norms=self._skipped,
        )
