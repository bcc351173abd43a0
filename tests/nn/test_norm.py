"""Norms beside torch's own and beside their formulas."""

import pytest
import torch
from torch import Tensor, nn

from cutaway.nn.norm import LayerNorm, RMSNorm, UnitRMSNorm


@pytest.fixture
def x() -> Tensor:
    """Vectors whose mean is not zero and whose spread is not one."""
    return 3.0 * torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)) + 1.0


def filled(norm: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in norm.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(1))
    return norm


def test_layer_norm_equals_the_one_of_torch(x: Tensor) -> None:
    ours, theirs = filled(LayerNorm(8, epsilon=1e-3)), nn.LayerNorm(8, eps=1e-3)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))


def test_layer_norm_centres_and_scales(x: Tensor) -> None:
    normalized = LayerNorm(8)(x)
    torch.testing.assert_close(normalized.mean(dim=-1), torch.zeros(2, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        normalized.var(dim=-1, correction=0), torch.ones(2, 5), atol=1e-4, rtol=0
    )


def test_rms_norm_equals_the_one_of_torch(x: Tensor) -> None:
    ours, theirs = filled(RMSNorm(8, epsilon=1e-3)), nn.RMSNorm(8, eps=1e-3)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))


def test_unit_norm_gives_every_vector_one_length(x: Tensor) -> None:
    lengths = UnitRMSNorm(scale=1.5)(x).square().mean(dim=-1).sqrt()
    torch.testing.assert_close(lengths, torch.full((2, 5), 1.5))
    assert list(UnitRMSNorm().parameters()) == []


@pytest.mark.parametrize("norm", [RMSNorm(8), UnitRMSNorm()])
def test_squares_of_half_precision_do_not_overflow(norm: nn.Module) -> None:
    x = torch.full((1, 8), 6e4, dtype=torch.float16)  # its square is beyond the type
    torch.testing.assert_close(norm(x).float(), torch.ones(1, 8))


@pytest.mark.parametrize("norm", [LayerNorm(8), RMSNorm(8), UnitRMSNorm()])
def test_a_vector_of_zeros_stays_finite(norm: nn.Module) -> None:
    x = torch.zeros(1, 8, requires_grad=True)
    norm(x).sum().backward()
    assert norm(x).equal(torch.zeros(1, 8))
    assert x.grad is not None
    assert x.grad.isfinite().all()
