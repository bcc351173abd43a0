"""AdamW (Loshchilov and Hutter 2019) and Muon (Jordan et al. 2024), written out."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.errors import CheckpointError
from cutaway.training.choices import OptimizerConfig


class Optimizer(ABC):
    """Changes named parameters in place from their gradients; its state is named tensors."""

    @abstractmethod
    def step(self, factor: float) -> None:
        """Makes one step with the learning rates multiplied by `factor`; frees the gradients."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Returns the state, by names that a checkpoint can hold."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` returned; raises CheckpointError when it does not fit."""


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """The numbers of AdamW."""

    learning_rate: float = 1e-3
    """Largest step of a weight, before the schedule's factor."""
    beta1: float = 0.9
    """Decay of the mean of gradients, 0 to 1."""
    beta2: float = 0.99
    """Decay of the mean of squared gradients, 0 to 1."""
    epsilon: float = 1e-8
    """Added to the root of the second mean."""
    weight_decay: float = 0.0
    """Share of a weight removed each step, times the learning rate; vectors do not decay."""


def _require_shape(name: str, have: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    if name not in given or given[name].shape != have.shape:
        found = tuple(given[name].shape) if name in given else "nothing"
        raise CheckpointError(
            f"optimizer state {name!r}: the checkpoint holds {found}, the model needs "
            f"{tuple(have.shape)}; resume with the settings of the run that wrote it"
        )
    return given[name]


class AdamW(Optimizer):
    """Divides a mean of gradients by the root of a mean of their squares (algorithm 2)."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: AdamWConfig) -> None:
        self.config = config
        self.names = list(parameters)
        self.parameters = list(parameters.values())
        self.first = [torch.zeros_like(p, dtype=torch.float32) for p in self.parameters]
        self.second = [torch.zeros_like(p, dtype=torch.float32) for p in self.parameters]
        self.steps = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Makes one step, the learning rate times `factor`; frees the gradients."""
        config = self.config
        self.steps += 1
        time = int(self.steps)
        rate = config.learning_rate * factor
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not used:
            return
        parameters: list[Tensor] = [self.parameters[i] for i in used]
        gradients = [p.grad for p in parameters if p.grad is not None]
        first, second = [self.first[i] for i in used], [self.second[i] for i in used]
        torch._foreach_lerp_(first, gradients, 1 - config.beta1)
        torch._foreach_mul_(second, config.beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - config.beta2)
        decaying = [p for p in parameters if p.dim() >= 2]
        if config.weight_decay and decaying:
            torch._foreach_mul_(decaying, 1 - rate * config.weight_decay)
        root = torch._foreach_sqrt(torch._foreach_div(second, 1 - config.beta2**time))
        torch._foreach_add_(root, config.epsilon)
        torch._foreach_addcdiv_(parameters, first, root, -rate / (1 - config.beta1**time))
        for parameter in self.parameters:
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Returns both means of each parameter and the number of steps."""
        state: dict[str, Tensor] = {"adamw.steps": self.steps}
        for name, first, second in zip(self.names, self.first, self.second, strict=True):
            state[f"adamw.first.{name}"] = first
            state[f"adamw.second.{name}"] = second
        return state

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` returned; raises CheckpointError when it does not fit."""
        for name, have in self.tensors().items():
            have.copy_(_require_shape(name, have, tensors))


class FusedAdamW(Optimizer):
    """Does what `AdamW` does, by torch's own kernel, which reads each weight once a step."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: AdamWConfig) -> None:
        self.config = config
        self.parameters = dict(parameters)
        vectors = [p for p in parameters.values() if p.dim() < 2]
        matrices = [p for p in parameters.values() if p.dim() >= 2]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.steps = torch.zeros((), dtype=torch.int64)
        for parameter in parameters.values():
            self._optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, dtype=torch.float32),
                "exp_avg_sq": torch.zeros_like(parameter, dtype=torch.float32),
            }

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Makes one step, the learning rate times `factor`; frees the gradients."""
        # One count for all: a weight without a gradient in some steps is none the younger.
        for parameter in self.parameters.values():
            self._optimizer.state[parameter]["step"].fill_(int(self.steps))
        self.steps += 1
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self._optimizer.step()
        self._optimizer.zero_grad()

    def tensors(self) -> dict[str, Tensor]:
        """Returns what `AdamW` returns, under the same names."""
        state: dict[str, Tensor] = {"adamw.steps": self.steps}
        for name, parameter in self.parameters.items():
            means = self._optimizer.state[parameter]
            state[f"adamw.first.{name}"] = means["exp_avg"]
            state[f"adamw.second.{name}"] = means["exp_avg_sq"]
        return state

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` returned; raises CheckpointError when it does not fit."""
        for name, have in self.tensors().items():
            have.copy_(_require_shape(name, have, tensors))


@dataclass(frozen=True, kw_only=True)
class MuonConfig:
    """The numbers of Muon."""

    learning_rate: float = 0.02
    """Spectral norm of a full step of a square matrix, before the schedule's factor."""
    momentum: float = 0.95
    """Decay of the running mean of gradients, 0 to 1."""
    weight_decay: float = 0.0
    """Share of a weight removed each step, times the learning rate."""
    iterations: int = 5
    """Newton-Schulz iterations; 5 bring all singular values near 1."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the products of these iterations, which forgive rounding; bf16 where that is fast."""


class Muon(Optimizer):
    """Steps along the nearest semi-orthogonal matrix to the momentum, for matrices only.

    Every direction that the gradient touches is moved by the same amount, so rare directions are
    learned as fast as common ones. Matrices of one shape are stacked: many small products are one.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: MuonConfig) -> None:
        for name, parameter in parameters.items():
            if parameter.dim() != 2:
                raise ValueError(
                    f"Muon steps matrices, but {name} has shape {tuple(parameter.shape)}"
                )
        self.config = config
        self.parameters = dict(parameters)
        self.momentum = {
            name: torch.zeros_like(p, dtype=torch.float32) for name, p in parameters.items()
        }
        self.shapes: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, parameter in parameters.items():
            self.shapes[tuple(parameter.shape)].append(name)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Makes one step, the learning rate times `factor`; frees the gradients."""
        config = self.config
        rate = config.learning_rate * factor
        for (rows, columns), names in self.shapes.items():
            used = [name for name in names if self.parameters[name].grad is not None]
            if not used:
                continue
            gradients = [g for name in used if (g := self.parameters[name].grad) is not None]
            momenta = [self.momentum[name] for name in used]
            torch._foreach_lerp_(momenta, gradients, 1 - config.momentum)
            # Nesterov: look one step further along the momentum.
            ahead = torch.stack(torch._foreach_lerp(gradients, momenta, config.momentum))
            if config.precision == "bf16":
                ahead = ahead.bfloat16()
            step = orthogonalized(ahead, iterations=config.iterations).float()
            scale = max(1.0, rows / columns) ** 0.5
            parameters: list[Tensor] = [self.parameters[name] for name in used]
            if config.weight_decay:
                torch._foreach_mul_(parameters, 1 - rate * config.weight_decay)
            torch._foreach_add_(parameters, list(step.unbind()), alpha=-rate * scale)
            for parameter in parameters:
                parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Returns the momentum of each parameter."""
        return {f"muon.momentum.{name}": value for name, value in self.momentum.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` returned; raises CheckpointError when it does not fit."""
        for name, have in self.tensors().items():
            have.copy_(_require_shape(name, have, tensors))


def orthogonalized(matrices: Float[Tensor, "N R C"], *, iterations: int) -> Float[Tensor, "N R C"]:
    """Moves each matrix's singular values towards 1 and keeps its singular vectors.

    The quintic of Jordan et al. (2024) is applied `iterations` times; after five, singular values
    that were at least 1/1000 of the largest lie near 1, between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Together(Optimizer):
    """Several optimizers, each with its own parameters, stepped as one."""

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts

    def step(self, factor: float) -> None:
        """Steps each part."""
        for part in self.parts:
            part.step(factor)

    def tensors(self) -> dict[str, Tensor]:
        """Returns the state of all parts; no two may share a parameter."""
        return {name: tensor for part in self.parts for name, tensor in part.tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Gives each part its own state."""
        for part in self.parts:
            part.load(tensors)


def optimizer_for(
    model: nn.Module, config: OptimizerConfig, *, precision: Literal["fp32", "bf16"] = "fp32"
) -> Optimizer:
    """Gives each parameter that learns to the optimizer that suits its shape and place.

    `precision` is that of Muon's products; weights, means and steps are fp32.
    """
    groups: dict[str, dict[str, nn.Parameter]] = defaultdict(dict)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_place(name, parameter)][name] = parameter
    rates = {
        "matrices": config.learning_rate,
        "embedding": config.embedding_rate,
        "unembedding": config.unembedding_rate,
        "vectors": config.vector_rate,
        "adapters": config.adapter_rate,
    }
    parts: list[Optimizer] = []
    for place, parameters in groups.items():
        if place == "matrices" and config.kind == "muon":
            muon = MuonConfig(
                learning_rate=rates[place],
                momentum=config.beta2,
                weight_decay=config.weight_decay,
                precision=precision,
            )
            parts.append(Muon(parameters, muon))
        else:
            adamw = AdamWConfig(
                learning_rate=rates[place],
                beta1=config.beta1,
                beta2=config.beta2,
                weight_decay=config.weight_decay if place == "matrices" else 0.0,
            )
            parts.append(FusedAdamW(parameters, adamw))
    return Together(parts)


def _place(name: str, parameter: nn.Parameter) -> str:
    name = name.removeprefix("body.")  # of a classifier
    if parameter.dim() < 2:
        return "vectors"
    if name.endswith((".lora_a", ".lora_b")):
        return "adapters"
    if name.startswith(("unembedding", "order.", "classes.")):
        return "unembedding"
    if name.startswith(("embedding", "target_embedding", "position", "segment")) or name.endswith(
        ".table.weight"
    ):
        return "embedding"
    return "matrices"
