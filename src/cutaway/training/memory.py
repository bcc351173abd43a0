"""What a training step needs at the least: asked before the machine has to answer with a kill."""

from torch import nn

from cutaway.devices import Machine
from cutaway.errors import ResourceError

BYTES_PER_WEIGHT = 12
"""The weight, its gradient, and one number of the optimizer, in fp32; AdamW takes one more."""

COPIES_OF_LOGITS = 2
"""The logits in fp32 and their gradient."""

GIGA = 10**9


def least_memory(model: nn.Module, *, rows: int, row_length: int, vocab_size: int) -> int:
    """Returns a lower bound of the bytes of a step; `model` may be one without memory."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    logits = rows * row_length * vocab_size * 4
    return BYTES_PER_WEIGHT * weights + COPIES_OF_LOGITS * logits


def require_memory(
    model: nn.Module, *, machine: Machine, rows: int, row_length: int, vocab_size: int
) -> None:
    """Raises ResourceError, with the settings that help, when a step cannot fit the machine."""
    needed = least_memory(model, rows=rows, row_length=row_length, vocab_size=vocab_size)
    if needed > machine.memory:
        weights = sum(parameter.numel() for parameter in model.parameters())
        raise ResourceError(
            f"{weights:,} weights and {rows:,} rows of {row_length:,} tokens at once need at least "
            f"{needed / GIGA:,.1f} GB to learn,\nand this machine has "
            f"{machine.memory / GIGA:,.1f} GB of memory: choose a smaller size=,\n"
            "a smaller model.context_length, or fewer rows at once with pacing.micro_rows"
        )
