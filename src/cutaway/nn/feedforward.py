"""The part of a block in which vectors do not talk to each other (Vaswani 2017, section 3.3)."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor, nn

from cutaway.nn.tap import Tap


class MLP(nn.Module):
    """Two linear maps with an activation between them."""

    def __init__(self, width: int, hidden_width: int, *, activation: nn.Module, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden_width, bias=bias)
        self.activation = activation
        self.hidden = Tap()
        self.down = nn.Linear(hidden_width, width, bias=bias)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return self.down(self.hidden(self.activation(self.up(x))))


class SwiGLU(nn.Module):
    """One linear map gates another through SiLU (Shazeer 2020, eq. 6)."""

    def __init__(self, width: int, hidden_width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden_width, bias=bias)
        self.up = nn.Linear(width, hidden_width, bias=bias)
        self.hidden = Tap()
        self.down = nn.Linear(hidden_width, width, bias=bias)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return self.down(self.hidden(nn.functional.silu(self.gate(x)) * self.up(x)))


class SquaredReLU(nn.Module):
    """The activation max(0, x) squared (So et al. 2021, Primer, section 4)."""

    def forward(self, x: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F"]:
        return nn.functional.relu(x).square()


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "gelu_tanh": partial(nn.GELU, approximate="tanh"),
        "gelu": nn.GELU,
        "relu": nn.ReLU,
        "silu": nn.SiLU,
    }
)
"""What may stand between the two maps, by name (GELU: Hendrycks and Gimpel 2016, section 2)."""
