"""All that a resumed run needs to be bit-equal to one that was never stopped."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.models.weights import load_weights, weights_of
from cutaway.training.optimizers import Optimizer
from cutaway.training.plan import Plan


@dataclass(kw_only=True)
class TrainingState:
    """A model, its optimizer, and how far the run has come.

    The order of the data is no part of it: a batch is a pure function of the seed and the step.
    """

    model: nn.Module
    optimizer: Optimizer
    plan: Plan
    companions: Mapping[str, nn.Module] = field(default_factory=dict)
    """Further modules that learn, such as a value head, by the stem of their file."""
    step: int = 0
    """Steps taken, skipped ones included."""
    tokens: int = 0
    """Tokens read."""
    seconds: float = 0.0
    """Time spent in the loop, over all sittings."""
    skipped: int = 0
    """Steps that were skipped because the loss or a gradient was not finite."""
    skipped_in_a_row: int = 0
    """Those without a good step since."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What hooks want to find again, as JSON."""

    @property
    def is_finished(self) -> bool:
        """Whether the plan's last step has been taken."""
        return self.step >= self.plan.total(self.step)

    @property
    def stems(self) -> tuple[str, ...]:
        """The files of tensors that a checkpoint of this run has."""
        return ("model", "optimizer", *self.companions)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yields every weight: the model's by its name, the others' with their stem before it."""
        yield from self.model.named_parameters()
        for stem, module in self.companions.items():
            yield from module.named_parameters(prefix=stem)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Returns the tensors of a checkpoint: file stem -> name -> tensor."""
        beside = {stem: weights_of(module) for stem, module in self.companions.items()}
        return {"model": weights_of(self.model), "optimizer": self.optimizer.tensors(), **beside}

    def to_json(self) -> dict[str, Any]:
        """Returns the rest of a checkpoint."""
        random = torch.get_rng_state().numpy().tobytes()
        return {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "plan": self.plan.to_json(),
            "dropout_generator": base64.b64encode(random).decode("ascii"),
            "notes": self.notes,
        }

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Takes over a checkpoint; raises CheckpointError when it is of another model."""
        load_weights(self.model, tensors["model"])
        for stem, module in self.companions.items():
            load_weights(module, tensors[stem])
        self.optimizer.load(tensors["optimizer"])
        self.plan.load(state["plan"])
        self.step, self.tokens = int(state["step"]), int(state["tokens"])
        self.seconds, self.skipped = float(state["seconds"]), int(state["skipped"])
        self.skipped_in_a_row = int(state["skipped_in_a_row"])
        self.notes = dict(state["notes"])
        random = bytearray(base64.b64decode(state["dropout_generator"]))
        torch.set_rng_state(torch.frombuffer(random, dtype=torch.uint8).clone())
