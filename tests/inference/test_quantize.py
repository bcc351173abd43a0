"""Weights in fewer bits: what is stored, and what it means."""

import pytest
import torch
from torch import nn

from cutaway.inference.quantize import FORMATS, MOST, WeightFormat, rounded, stored
from tests import laws

WEIGHT = torch.randn(37, 24, generator=torch.Generator().manual_seed(0))


def test_int8_is_off_by_half_a_step_of_its_row_at_most():
    rows = stored(WEIGHT, weights="int8")
    step = WEIGHT.abs().amax(dim=1, keepdim=True) / MOST
    assert rows.codes.dtype == torch.int8
    assert ((rows.dense() - WEIGHT).abs() <= 0.5001 * step).all()


def test_the_greatest_weight_of_a_row_keeps_its_value_in_int8():
    greatest = WEIGHT.abs().argmax(dim=1, keepdim=True)
    dense = stored(WEIGHT, weights="int8").dense()
    torch.testing.assert_close(dense.gather(1, greatest), WEIGHT.gather(1, greatest))


def test_bf16_is_the_nearest_number_with_eight_bits():
    assert torch.equal(stored(WEIGHT, weights="bf16").dense(), WEIGHT.bfloat16().float())


def test_a_row_of_zeros_stays_zero():
    for weights in FORMATS:
        assert torch.equal(stored(torch.zeros(2, 3), weights=weights).dense(), torch.zeros(2, 3))


@pytest.mark.parametrize("weights", FORMATS)
def test_rounding_twice_is_rounding_once(weights: WeightFormat):
    once = stored(WEIGHT, weights=weights).dense()
    torch.testing.assert_close(stored(once, weights=weights).dense(), once, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", laws.DECODERS)
def test_rounding_a_model_changes_its_linear_maps_and_what_is_tied_to_them_alone(name: str):
    model = laws.toy(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = rounded(model, weights="int8")
    maps = {f"{key}.weight" for key, part in model.named_modules() if isinstance(part, nn.Linear)}
    if model.unembedding.weight is model.embedding.weight:
        maps.add("embedding.weight")
    changed = {
        key
        for key, value in found.state_dict().items()
        if value.is_floating_point() and not torch.equal(value, before[key].float())
    }
    assert changed == maps
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
