"""The memory of a step: counted from below, and refused before it is taken."""

import dataclasses

import pytest
import torch

from cutaway.devices import describe_machine
from cutaway.errors import ResourceError
from cutaway.models.catalog import PUBLISHED, build, without_memory
from cutaway.training.memory import least_memory, require_memory

SIZES = {"vocab_size": 300, "context_length": 8, "width": 16, "num_layers": 1, "num_heads": 1}


def test_more_rows_and_more_weights_take_more_memory():
    model = build({"architecture": "gpt", **SIZES})
    wider = build({"architecture": "gpt", **SIZES, "width": 32})
    least = least_memory(model, rows=2, row_length=8, vocab_size=300)
    assert least_memory(model, rows=3, row_length=8, vocab_size=300) > least
    assert least_memory(wider, rows=2, row_length=8, vocab_size=300) > least


def test_a_model_without_memory_is_counted_like_one_with_it():
    with torch.device("meta"):
        empty = build({"architecture": "gpt", **SIZES})
    model = build({"architecture": "gpt", **SIZES})
    sizes = {"rows": 2, "row_length": 8, "vocab_size": 300}
    assert least_memory(empty, **sizes) == least_memory(model, **sizes)


def test_what_cannot_fit_is_refused_with_the_settings_that_help():
    machine = dataclasses.replace(describe_machine(), memory=24 * 10**9)
    gpt3 = without_memory(PUBLISHED["gpt3"])
    with pytest.raises(ResourceError) as caught:
        require_memory(gpt3, machine=machine, rows=1, row_length=2048, vocab_size=50_257)
    said = str(caught.value)
    assert "this machine has 24.0 GB" in said
    for setting in ("size=", "model.context_length", "pacing.micro_rows"):
        assert setting in said


def test_what_fits_is_let_through():
    model = build({"architecture": "gpt", **SIZES})
    require_memory(model, machine=describe_machine(), rows=2, row_length=8, vocab_size=300)
