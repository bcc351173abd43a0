"""Low-rank adaptation: a small change learned beside a frozen matrix (Hu et al. 2021, 4.1)."""

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.errors import ConfigError


class LoRALinear(nn.Module):
    """W x + (alpha / r) B A x: W stays, A and B learn, and B starts at zero so nothing changes.

    A is drawn as peft draws it, uniform with variance 1 / (3 x inputs); the paper has a Gaussian.
    """

    def __init__(
        self,
        base: nn.Linear,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """`rank` counts the rows of A; `alpha` scales the change; `dropout` zeroes what A reads."""
        super().__init__()
        if not 1 <= rank <= min(base.in_features, base.out_features):
            raise ConfigError(
                f"rank is {rank}, but this matrix is {base.out_features} x {base.in_features}:\n"
                f"give a rank from 1 to {min(base.in_features, base.out_features)}"
            )
        if not (alpha > 0 and math.isfinite(alpha)):
            raise ConfigError(f"alpha is {alpha}, but it must be a number above 0")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout is {dropout}, but it is a share: 0 <= dropout < 1")
        self.base = base.requires_grad_(False)
        self.rank, self.alpha = rank, alpha
        self.dropout = nn.Dropout(dropout)
        weight = base.weight
        self.lora_a = nn.Parameter(weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(weight.new_zeros(base.out_features, rank))
        if weight.device.type != "meta":
            nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5), generator=generator)

    @property
    def scale(self) -> float:
        """alpha / r: with it, the learning rate need not change with the rank."""
        return self.alpha / self.rank

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        """The frozen map and the learned change of it."""
        change = nn.functional.linear(
            nn.functional.linear(self.dropout(x), self.lora_a), self.lora_b
        )
        output: Tensor = self.base(x) + self.scale * change
        return output

    def change(self) -> Float[Tensor, "O I"]:
        """The learned change of the matrix, (alpha / r) B A."""
        return self.scale * (self.lora_b @ self.lora_a)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen map with the change added to it: as fast as before."""
        self.base.weight += self.change().to(self.base.weight.dtype)
        return self.base.requires_grad_(True)


def apply_lora(
    model: nn.Module,
    *,
    targets: Sequence[str],
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[str]:
    """Freezes the model and puts a `LoRALinear` where a pattern fits; returns the places.

    A pattern is a name in the module tree, with `*` for anything: `*.query_projection`.

    Raises:
        ConfigError: a pattern fits no linear map, or one whose matrix is also used elsewhere.
    """
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    inside = {f"{name}.base" for name, _ in adapters(model)}
    linear = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and name not in inside
    }
    for pattern in targets:
        if not any(fnmatchcase(name, pattern) for name in linear):
            known = ", ".join(sorted({f"*.{name.rpartition('.')[2]}" for name in linear}))
            raise ConfigError(f"no linear map is called {pattern!r}; this model has: {known}")
    chosen = [name for name in linear if any(fnmatchcase(name, each) for each in targets)]
    if not chosen:
        raise ConfigError("no targets are given; name at least one linear map, with * for anything")
    _refuse_shared(model, chosen)
    model.requires_grad_(False)
    for name in chosen:
        adapted = LoRALinear(
            linear[name], rank=rank, alpha=alpha, dropout=dropout, generator=generator
        )
        model.set_submodule(name, adapted)
    for weight in lora_parameters(model):
        weight.requires_grad_(True)
    return chosen


def merge_lora(model: nn.Module) -> list[str]:
    """Adds every learned change to its matrix and takes the adapters out; returns the places."""
    adapted = dict(adapters(model))
    for name, adapter in adapted.items():
        model.set_submodule(name, adapter.merged())
    for weight in model.parameters():
        # Tables of whole numbers are no matter of learning.
        weight.requires_grad_(weight.is_floating_point())
    return list(adapted)


def adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Every adapter with its place in the module tree."""
    for name, part in model.named_modules():
        if isinstance(part, LoRALinear):
            yield name, part


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What is trained: A and B of every adapter."""
    return [weight for _, part in adapters(model) for weight in (part.lora_a, part.lora_b)]


def _refuse_shared(model: nn.Module, chosen: Sequence[str]) -> None:
    owners: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(weight), []).append(name)
    for name in chosen:
        names = owners[id(model.get_submodule(name).weight)]
        if len(names) > 1:
            raise ConfigError(
                f"{' and '.join(names)} are one matrix; a change of one would change the other:\n"
                f"leave {name} out of the targets"
            )
