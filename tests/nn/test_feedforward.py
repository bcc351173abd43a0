"""The feed-forward forms beside their formulas."""

import torch
from torch import Tensor, nn

from cutaway.nn.feedforward import MLP, SquaredReLU, SwiGLU


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_an_mlp_is_two_maps_with_an_activation_between() -> None:
    part, x = MLP(4, 6, activation=nn.GELU(approximate="tanh"), bias=True), drawn(2, 3, 4)
    inner = x @ part.up.weight.T + part.up.bias
    cube = inner + 0.044715 * inner**3
    inner = 0.5 * inner * (1 + torch.tanh((2 / torch.pi) ** 0.5 * cube))
    torch.testing.assert_close(part(x), inner @ part.down.weight.T + part.down.bias)


def test_one_map_gates_another() -> None:
    part, x = SwiGLU(4, 6), drawn(2, 3, 4)
    gate = x @ part.gate.weight.T
    inner = gate / (1 + torch.exp(-gate)) * (x @ part.up.weight.T)
    torch.testing.assert_close(part(x), inner @ part.down.weight.T)


def test_squared_relu_is_zero_below_zero_and_a_parabola_above() -> None:
    x = torch.tensor([[[-3.0, -0.5, 0.0, 0.5, 3.0]]])
    assert SquaredReLU()(x).tolist() == [[[0.0, 0.0, 0.0, 0.25, 9.0]]]
