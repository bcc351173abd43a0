"""The one loop: gradients, clipping, a step, hooks; what is learned is the objective's business."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from cutaway.data.batches import TokenBatch
from cutaway.data.loaders import Loader, prefetch
from cutaway.errors import ResourceError, Stopped
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
    batch: TokenBatch
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


def train(
    state: TrainingState,
    loader: Loader,
    *,
    objective: Objective,
    schedule: Schedule,
    config: LoopConfig,
    execution: Execution,
    hooks: Sequence[Hook] = (),
    processes: Processes | None = None,
) -> None:
    """Takes the plan's remaining steps.

    Raises Stopped when a signal asked for it (hooks have saved by then), and ResourceError when
    three steps in a row had a loss or gradient that is not finite.
    """
    group = processes or Processes()
    gradients = gradients_of(
        state.model, objective, execution=execution, row_length=loader.row_length
    )
    state.model.train()
    with StopRequest() as request, prefetch(loader, state.step) as batches:
        while not state.is_finished:
            begin = time.perf_counter()
            number, steps = state.step, state.plan.total(state.step)
            factor = schedule.factor(number, steps)
            batch = next(batches).to(execution.device)
            outcome = _take_step(
                state, batch, gradients=gradients, config=config, factor=factor, group=group
            )
            seconds = time.perf_counter() - begin
            state.step += 1
            state.seconds += seconds
            state.tokens += batch.tokens.numel() * group.world
            progress = Progress(
                state=state,
                steps=steps,
                loss=outcome.loss,
                gradient_norm=outcome.norm,
                learning_rate_factor=factor,
                seconds=seconds,
                tokens=batch.tokens.numel() * group.world,
                metrics=outcome.metrics,
                batch=batch,
                gradient_norms=outcome.gradient_norms,
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
class _Outcome:
    loss: float
    norm: float
    metrics: dict[str, float]
    gradient_norms: dict[str, float]


def _take_step(
    state: TrainingState,
    batch: TokenBatch,
    *,
    gradients: Gradients,
    config: LoopConfig,
    factor: float,
    group: Processes,
) -> _Outcome:
    count = batch.loss_mask.sum()
    group.sum_([count])
    scale = 1.0 / count.clamp(min=1).float()
    parts = [
        gradients(part, scale) for part in batch.chunks(config.micro_rows or batch.tokens.shape[0])
    ]
    total = torch.stack([part.total for part in parts]).sum() * scale
    metrics = {
        name: torch.stack([part.metrics[name] for part in parts]).sum() * scale
        for name in parts[0].metrics
    }
    group.sum_([total, *metrics.values()])
    found = {name: p for name, p in state.model.named_parameters() if p.grad is not None}
    slopes = [p.grad for p in found.values() if p.grad is not None]
    group.sum_(slopes)
    norms = torch.stack(torch._foreach_norm(slopes))
    norm = float(torch.linalg.vector_norm(norms))
    loss = float(total)
    norm_of: dict[str, float] = {}
    if math.isfinite(loss) and math.isfinite(norm):
        _clip(slopes, norm=norm, largest=config.clip_norm)
        state.optimizer.step(factor)
        state.skipped_in_a_row = 0
    else:
        norm_of = dict(zip(found, norms.tolist(), strict=True))
        _forget(found.values())
        state.skipped += 1
        state.skipped_in_a_row += 1
    means = {name: float(value) for name, value in metrics.items()}
    return _Outcome(loss=loss, norm=norm, metrics=means, gradient_norms=norm_of)


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
