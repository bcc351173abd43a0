"""The weights of a model by name: read out, compared with a file's shapes, and put in."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cutaway.errors import CheckpointError


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Each weight once: a tied weight under its first name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def require_shapes(model: nn.Module, given: Mapping[str, tuple[int, ...]]) -> None:
    """Raises CheckpointError at the first name or shape that the model and a file differ in."""
    own = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    for name in sorted(own.keys() | given.keys()):
        have = own.get(name, "no such weight")
        found = given.get(name, "no such weight")
        if have != found:
            raise CheckpointError(
                f"weight {name!r}: the checkpoint has {found}, the model has {have}\n"
                "The checkpoint is of another architecture or size; "
                "use the model settings in its config.json."
            )


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies weights into a model.

    Raises:
        CheckpointError: names or shapes differ; the model is unchanged then.
    """
    require_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()})
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
