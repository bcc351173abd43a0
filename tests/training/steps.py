"""Compares a compiled step with an eager one, and prints a line of JSON for each decoder.

Run as a module: the type checks of the tests cannot be compiled.
"""

import json
import sys

import torch
from torch import Tensor, nn

from cutaway.training.compile import Execution, gradients_of
from cutaway.training.objectives import NextToken
from tests import laws
from tests.training.test_objectives import batch_of

LENGTH = 12
"""Tokens of a row."""


def step(model: nn.Module, execution: Execution) -> tuple[float, dict[str, Tensor]]:
    """Returns the loss of a batch and the gradients that it gives."""
    gradients = gradients_of(model, NextToken(), execution=execution, row_length=LENGTH)
    loss = gradients(batch_of(tokens=LENGTH), torch.tensor(0.25))
    found = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return float(loss.total), found


def main(names: list[str]) -> None:
    """Prints both losses and the largest difference of two gradients, for each name."""
    for name in names:
        loss, expected = step(laws.toy(name), Execution())
        compiled, found = step(laws.toy(name), Execution(is_compiled=True))
        assert found.keys() == expected.keys()
        difference = max(float((found[key] - expected[key]).abs().max()) for key in found)
        print(json.dumps({"eager": loss, "compiled": compiled, "difference": difference}))


if __name__ == "__main__":
    main(sys.argv[1:])
