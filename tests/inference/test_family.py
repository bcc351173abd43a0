"""Every model of the family in the engine: its texts are the plain loop's, its chances the model's.

The kinds are those of the papers and of what is imported: norms before and after, bands, groups of
heads, norms of queries and keys, biases, tied tables, stretched rotations, pairs and triples.
"""

from typing import Any

import pytest
import torch

from cutaway.inference.engine import Engine
from cutaway.inference.fast import accelerate
from cutaway.inference.generate import generate
from cutaway.inference.quantize import rounded
from cutaway.inference.sampling import Greedy, Temperature, TopK
from cutaway.models.catalog import build
from tests import laws
from tests.laws import LETTERS

STRETCHED: dict[str, dict[str, Any]] = {
    "llama stretched evenly": {"rotary_scaling": "linear", "rotary_factor": 4.0},
    "llama stretched as llama 3": {
        "rotary_scaling": "llama3",
        "rotary_factor": 8.0,
        "rotary_original_length": 16,
    },
}
FAMILY = [*laws.DECODERS, *STRETCHED]
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [2, 1, 0, 2, 1]]
COUNT = 12
"""Tokens of an answer."""


def member(name: str) -> Any:
    """A toy of a kind."""
    if name in laws.DECODERS:
        return laws.toy(name)
    settings = laws.DECODERS["llama"] | STRETCHED[name]
    model = build(settings, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("name", FAMILY)
def test_greedy_ids_are_those_of_the_plain_loop_alone_and_in_a_batch(name: str):
    model = member(name)
    plain = [generate(model, prompt, sampler=Greedy(), max_tokens=COUNT).ids for prompt in PROMPTS]
    engine = Engine(model, LETTERS)
    given: dict[str, Any] = {"sampler": Greedy(), "max_tokens": COUNT, "stop_ids": ()}
    assert [each.ids for each in engine.generate(PROMPTS, **given)] == plain
    for prompt, expected in zip(PROMPTS, plain, strict=True):
        assert engine.generate([prompt], **given)[0].ids == expected


@pytest.mark.parametrize("name", FAMILY)
def test_what_is_sampled_has_the_distribution_of_the_model(name: str):
    model, sampler, prompt, draws = member(name), TopK(5, temperature=1.5), PROMPTS[2], 2000
    with torch.no_grad():
        logits = model(torch.tensor([prompt]))[:, -1, : LETTERS.vocab_size]
    expected = draws * sampler.distribution(logits)[0].double()
    found = Engine(model, LETTERS).generate(
        [prompt] * draws, sampler=sampler, max_tokens=1, stop_ids=()
    )
    drawn = torch.tensor([each.ids[0] for each in found])
    counts = drawn.bincount(minlength=LETTERS.vocab_size)
    allowed = expected > 0
    assert counts[~allowed].sum() == 0
    statistic = float(((counts - expected) ** 2 / expected)[allowed].sum())
    assert statistic < 18.5  # chi-squared with four degrees of freedom, one in a thousand


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("name", FAMILY)
def test_rounded_weights_write_what_the_plain_loop_writes_with_them(name: str, weights: Any):
    model = member(name)
    engine = Engine(accelerate(model, weights=weights).model, LETTERS)
    same = rounded(model, weights=weights)
    for seed, prompt in enumerate(PROMPTS):
        for sampler in (Greedy(), Temperature(0.8)):
            generator = torch.Generator().manual_seed(seed)
            plain = generate(same, prompt, sampler=sampler, max_tokens=COUNT, generator=generator)
            (found,) = engine.generate(
                [prompt], sampler=sampler, max_tokens=COUNT, stop_ids=(), seeds=[seed]
            )
            assert found.ids == plain.ids
