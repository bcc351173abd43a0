"""Where a token stands: closed forms, and what must not depend on it."""

import math

import torch
from torch import Tensor

from cutaway.nn.position import (
    LearnedPosition,
    LinearScaling,
    LlamaScaling,
    Rotary,
    SinusoidPosition,
    within_documents,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_positions_start_again_with_each_document_and_padding_has_the_first() -> None:
    documents = torch.tensor([[1, 1, 1, 2, 2, 0, 0], [1, 2, 2, 2, 3, 4, 4], [3, 3, 3, 3, 3, 3, 3]])
    assert within_documents(documents).tolist() == [
        [0, 1, 2, 0, 1, 0, 0],
        [0, 0, 1, 2, 0, 0, 1],
        [0, 1, 2, 3, 4, 5, 6],
    ]


def test_sinusoids_have_the_wavelengths_of_the_paper() -> None:
    table = SinusoidPosition(40, 10)(torch.arange(40))
    for position in (0, 1, 17, 39):
        for channel in range(10):
            angle = position / 10_000 ** (2 * (channel // 2) / 10)
            expected = math.sin(angle) if channel % 2 == 0 else math.cos(angle)
            assert abs(float(table[position, channel]) - expected) < 1e-5


def test_sinusoids_fit_an_odd_width() -> None:
    table = SinusoidPosition(8, 5)(torch.arange(8))
    torch.testing.assert_close(table, SinusoidPosition(8, 5)(torch.arange(8)))
    torch.testing.assert_close(table[:, 0], torch.arange(8).sin())


def test_sinusoids_learn_nothing_and_are_not_saved() -> None:
    position = SinusoidPosition(8, 6)
    assert list(position.parameters()) == []
    assert position.state_dict() == {}


def test_a_learned_position_is_a_row_of_its_table() -> None:
    position = LearnedPosition(8, 3)
    with torch.no_grad():
        position.weight.copy_(drawn(8, 3))
    places = torch.tensor([[0, 5], [7, 0]])
    assert position(places)[1, 0].equal(position.weight[7])
    assert position(places).shape == (2, 2, 3)


def test_rotation_keeps_lengths() -> None:
    x = drawn(2, 3, 7, 6)
    turned = Rotary(32, 6)(x, positions=torch.arange(7)[None])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert turned[:, :, 0].equal(x[:, :, 0])


def test_a_product_after_rotation_knows_only_the_distance() -> None:
    rotary = Rotary(200, 8)
    query, key = drawn(1, 1, 1, 8), drawn(1, 1, 1, 8, seed=1)

    def product(of: int, at: int) -> Tensor:
        turned = rotary(query, positions=torch.tensor([[of]]))
        other = rotary(key, positions=torch.tensor([[at]]))
        return (turned * other).sum()

    for distance in (0, 1, 13, 60):
        expected = product(distance, 0)
        for shift in (1, 7, 100):
            torch.testing.assert_close(
                product(distance + shift, shift), expected, atol=1e-5, rtol=1e-5
            )
    assert abs(product(1, 0) - product(2, 0)) > 1e-3


def test_a_pair_of_channels_turns_by_the_angle_of_the_paper() -> None:
    width, base = 6, 500.0
    x = drawn(1, 1, 1, width)
    turned = Rotary(32, width, base=base)(x, positions=torch.tensor([[11]]))[0, 0, 0]
    for pair in range(width // 2):
        angle = 11 * base ** (-2 * pair / width)
        first, second = float(x[0, 0, 0, pair]), float(x[0, 0, 0, pair + width // 2])
        expected = complex(first, second) * complex(math.cos(angle), math.sin(angle))
        assert abs(float(turned[pair]) - expected.real) < 1e-5
        assert abs(float(turned[pair + width // 2]) - expected.imag) < 1e-5


def test_rows_may_stand_at_different_places() -> None:
    rotary, x = Rotary(32, 4), drawn(2, 1, 3, 4)
    positions = torch.tensor([[0, 1, 2], [9, 10, 11]])
    turned = rotary(x, positions=positions)
    for row in range(2):
        alone = rotary(x[row : row + 1], positions=positions[row : row + 1])
        assert turned[row : row + 1].equal(alone)


def test_a_linear_scaling_turns_as_at_a_fraction_of_the_position() -> None:
    slow = Rotary(64, 8, scaling=LinearScaling(factor=4.0))
    plain = Rotary(64, 8)
    x = drawn(1, 1, 1, 8)
    found = slow(x, positions=torch.tensor([[40]]))
    torch.testing.assert_close(found, plain(x, positions=torch.tensor([[10]])))


def test_llama_scaling_leaves_fast_pairs_alone_and_slows_the_slow_ones() -> None:
    scaling = LlamaScaling(factor=8.0, low=1.0, high=4.0, original_length=100)
    turns = torch.tensor([50.0, 4.0, 2.5, 1.0, 0.1])
    frequency = 2 * math.pi * turns / 100
    expected = frequency * torch.tensor([1.0, 1.0, (1 + 1 / 8) / 2, 1 / 8, 1 / 8])
    torch.testing.assert_close(scaling(frequency), expected)
