"""One call for loss and gradients, in the form that is fastest on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.data.batches import KindOfBatch
from cutaway.nn.attention import Fused, WrittenOut, use_kernel
from cutaway.nn.stack import CrossStack, DecoderStack, EncoderStack
from cutaway.training.objectives import Loss, Objective

# Up to here the compiler's own fusion of the written-out form beats the fused call on a CPU.
LONGEST_WRITTEN_OUT = 256


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a step is carried out; `devices` chooses it for the machine."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the matrix products; weights and optimizer stay in fp32."""
    is_compiled: bool = False
    """Whether the step passes through torch.compile."""
    device: str = "cpu"
    """Where the model lies."""


Gradients = Callable[[KindOfBatch, Float[Tensor, ""]], Loss]


def gradients_of(
    model: nn.Module, objective: Objective[KindOfBatch], *, execution: Execution, row_length: int
) -> Gradients[KindOfBatch]:
    """Returns (batch, scale) -> loss, which adds the gradients of scale times the loss."""
    on_cpu = execution.device == "cpu"
    is_short = row_length <= LONGEST_WRITTEN_OUT
    use_kernel(model, WrittenOut if on_cpu and execution.is_compiled and is_short else Fused)

    loss_of = objective.loss
    if execution.is_compiled:
        blocks = list(_blocks(model))
        for block in blocks:
            block.compile(dynamic=False)
        # What has no blocks goes from step to step, through batches of many shapes: there only the
        # loss is compiled, for all shapes at once, and on an accelerator not even that, since the
        # compiler takes longer over it than it would ever save.
        if blocks or on_cpu:
            loss_of = torch.compile(objective.loss, dynamic=not blocks)

    def gradients(batch: KindOfBatch, scale: Float[Tensor, ""]) -> Loss:
        with autocast(execution):
            loss = loss_of(model, objective.vectors(model, batch), batch)
        (loss.total * scale).backward()  # type: ignore[no-untyped-call]
        detached = {name: value.detach() for name, value in loss.metrics.items()}
        return Loss(total=loss.total.detach(), count=loss.count, metrics=detached)

    return gradients


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yields the blocks: alike in a stack, so that the compiler's work on one serves them all."""
    for module in model.modules():
        if isinstance(module, DecoderStack | EncoderStack | CrossStack):
            yield from module.blocks


@contextmanager
def autocast(execution: Execution) -> Iterator[None]:
    """Runs matrix products in the execution's precision."""
    is_low = execution.precision == "bf16"
    with torch.autocast(execution.device, dtype=torch.bfloat16, enabled=is_low):
        yield
