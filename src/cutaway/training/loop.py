"""The one loop: gradients, clipping, a step, hooks; what is learned is the objective's business."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from cutaway.data.batches import Batch, KindOfBatch
from cutaway.data.loaders import Batches, prefetch
from cutaway.errors import CutawayError, ResourceError, Stopped
from cutaway.training.compile import Execution, Gradients, gradients_of
from cutaway.training.distributed import Processes
from cutaway.training.objectives import Objective
from cutaway.training.schedules import Schedule
from cutaway.training.signals import StopRequest
from cutaway.training.state import TrainingState

MOST_SKIPPED_IN_A_ROW = 3


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How steps are made, whatever is learned."""

    micro_rows: int | None = None
    """Rows of a batch that pass through the model at once; None: all. Memory falls with it."""
    clip_norm: float | None = 1.0
    """Largest norm of all gradients together; larger ones are scaled down. None: no limit."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a hook sees after a step."""

    state: TrainingState
    """The run so far."""
    steps: int
    """Steps of the whole run, as far as it is known."""
    loss: float
    """Mean loss of the step, in nats a prediction; not finite when the step was skipped."""
    gradient_norm: float
    """Norm of all gradients together, before clipping."""
    learning_rate_factor: float
    """What the schedule multiplied the learning rates by."""
    seconds: float
    """Time that the step took."""
    tokens: int
    """Tokens that the step read, over all processes."""
    metrics: dict[str, float]
    """Means of the objective's metrics."""
    batch: Batch
    """What this process read in the step."""
    gradient_norms: dict[str, float]
    """Norm of each weight's gradient where the step was skipped; empty where it was not."""


@runtime_checkable
class Hook(Protocol):
    """Something to do beside learning: write a line, evaluate, sample, save."""

    def after_step(self, progress: Progress) -> None:
        """Is called after each step."""

    def at_end(self, state: TrainingState) -> None:
        """Is called once: after the last step, or before the run stops on request."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one step did."""

    loss: float
    """Mean loss; not finite when the step was skipped."""
    norm: float
    """Norm of all gradients together, before clipping."""
    metrics: dict[str, float]
    """Means of the objective's metrics."""
    batch: Batch
    """What this process read."""
    gradient_norms: dict[str, float] = field(default_factory=dict)
    """Norm of each weight's gradient where the step was skipped."""


def train(
    state: TrainingState,
    loader: Batches[KindOfBatch],
    *,
    objective: Objective[KindOfBatch],
    schedule: Schedule,
    config: LoopConfig,
    execution: Execution,
    hooks: Sequence[Hook] = (),
    processes: Processes | None = None,
) -> None:
    """Takes the plan's remaining steps, each on a batch of the loader.

    Raises Stopped when a signal asked for it (hooks have saved by then), and ResourceError when
    three steps in a row had a loss or gradient that is not finite.
    """
    group = processes or Processes()
    gradients = gradients_of(
        state.model, objective, execution=execution, row_length=loader.row_length
    )
    with prefetch(loader, state.step) as batches:

        def take(factor: float) -> Taken:
            batch = next(batches).to(execution.device)
            return _take_step(
                state, batch, gradients=gradients, config=config, factor=factor, group=group
            )

        take_steps(state, take, schedule=schedule, hooks=hooks, processes=group)


def take_steps(
    state: TrainingState,
    take: Callable[[float], Taken],
    *,
    schedule: Schedule,
    hooks: Sequence[Hook] = (),
    processes: Processes | None = None,
) -> None:
    """Takes the plan's remaining steps, whatever a step is: `take` gets the learning-rate factor.

    An error of ours in `take`, which must come before anything has changed, is raised when the
    hooks have saved what was reached. Raises Stopped when a signal asked for it (hooks have saved
    by then), and ResourceError when three steps in a row had a loss or gradient that is not finite.
    """
    group = processes or Processes()
    state.model.train()
    with StopRequest() as request:
        while not state.is_finished:
            begin = time.perf_counter()
            number, steps = state.step, state.plan.total(state.step)
            factor = schedule.factor(number, steps)
            try:
                taken = take(factor)
            except CutawayError:
                for hook in hooks:
                    hook.at_end(state)
                raise
            seconds = time.perf_counter() - begin
            tokens = taken.batch.num_tokens * group.world
            state.step += 1
            state.seconds += seconds
            state.tokens += tokens
            progress = Progress(
                state=state,
                steps=steps,
                loss=taken.loss,
                gradient_norm=taken.norm,
                learning_rate_factor=factor,
                seconds=seconds,
                tokens=tokens,
                metrics=taken.metrics,
                batch=taken.batch,
                gradient_norms=taken.gradient_norms,
            )
            for hook in hooks:
                hook.after_step(progress)
            state.seconds += time.perf_counter() - begin - seconds
            if state.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
                raise _not_finite(progress)
            if group.agree(request.is_raised) and not state.is_finished:
                for hook in hooks:
                    hook.at_end(state)
                raise Stopped(
                    f"stopped after step {state.step}; the same command goes on from here"
                )
    for hook in hooks:
        hook.at_end(state)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What became of the gradients."""

    norm: float
    """Norm of all of them together, before clipping."""
    skipped: dict[str, float] | None
    """None where the optimizer took its step; else the norm of each weight's gradient."""


def apply_gradients(
    state: TrainingState, *, loss: float, clip_norm: float | None, factor: float, group: Processes
) -> Applied:
    """Sums the gradients over the processes, clips them and steps; not where they are not finite.

    Modules beside the model whose weights learn are clipped with it, as one.
    """
    found = {name: p for name, p in state.named_parameters() if p.grad is not None}
    slopes = [p.grad for p in found.values() if p.grad is not None]
    group.sum_(slopes)
    norms = torch.stack(torch._foreach_norm(slopes))
    norm = float(torch.linalg.vector_norm(norms))
    if math.isfinite(loss) and math.isfinite(norm):
        _clip(slopes, norm=norm, largest=clip_norm)
        state.optimizer.step(factor)
        # An autocast that spans several steps would go on with copies of the weights as they were.
        torch.clear_autocast_cache()
        state.skipped_in_a_row = 0
        return Applied(norm=norm, skipped=None)
    norm_of = dict(zip(found, norms.tolist(), strict=True))
    _forget(found.values())
    state.skipped += 1
    state.skipped_in_a_row += 1
    return Applied(norm=norm, skipped=norm_of)


def _take_step(
    state: TrainingState,
    batch: KindOfBatch,
    *,
    gradients: Gradients[KindOfBatch],
    config: LoopConfig,
    factor: float,
    group: Processes,
) -> Taken:
    count = batch.loss_mask.sum()
    group.sum_([count])
    scale = 1.0 / count.clamp(min=1).float()
    parts = [
        gradients(part, scale)
        for part in batch.chunks(config.micro_rows or batch.loss_mask.shape[0])
    ]
    total = torch.stack([part.total for part in parts]).sum() * scale
    metrics = {
        name: torch.stack([part.metrics[name] for part in parts]).sum() * scale
        for name in parts[0].metrics
    }
    group.sum_([total, *metrics.values()])
    loss = float(total)
    applied = apply_gradients(
        state, loss=loss, clip_norm=config.clip_norm, factor=factor, group=group
    )
    return Taken(
        loss=loss,
        norm=applied.norm,
        metrics={name: float(value) for name, value in metrics.items()},
        batch=batch,
        gradient_norms=applied.skipped or {},
    )


def _not_finite(progress: Progress) -> ResourceError:
    state = progress.state
    return ResourceError(
        f"the loss was not finite at {state.skipped_in_a_row} steps in a row, the last one step "
        f"{state.step}: loss {progress.loss}, gradient norm {progress.gradient_norm}\n"
        "None of them changed a weight. The run folder keeps each batch as skipped-step-*.json.\n"
        "Begin in another folder (run=PATH) with lower learning rates (optimizer.*)."
    )


def _clip(gradients: list[Tensor], *, norm: float, largest: float | None) -> None:
    if largest is not None and norm > largest:
        torch._foreach_mul_(gradients, largest / norm)


def _forget(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None
