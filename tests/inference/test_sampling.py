"""The samplers: what each keeps, in which proportions, and what a row's choice depends on."""

import math

import pytest
import torch

from cutaway.errors import ConfigError, CutawayError
from cutaway.inference.sampling import (
    Greedy,
    MinP,
    Sampler,
    Temperature,
    TopK,
    TopP,
    choose_sampler,
    draw_uniforms,
)

EVERY_SAMPLER = [Greedy(), Temperature(0.7), TopK(3), TopP(0.8, temperature=1.5), MinP(0.1)]
LOGITS = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]).log()


def seeded(seed: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", EVERY_SAMPLER, ids=repr)
def test_every_distribution_sums_to_one(sampler: Sampler) -> None:
    logits = torch.randn(5, 50, generator=seeded(0)) * 4
    torch.testing.assert_close(sampler.distribution(logits).sum(-1), torch.ones(5))


@pytest.mark.parametrize("sampler", EVERY_SAMPLER, ids=repr)
def test_tokens_come_as_often_as_the_distribution_says(sampler: Sampler) -> None:
    logits = torch.randn(1, 12, generator=seeded(1)) * 2
    count = 20_000
    chosen = sampler(logits.expand(count, -1), seeded(2))
    frequency = torch.bincount(chosen, minlength=12) / count
    expected = sampler.distribution(logits)[0]
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((frequency - expected).abs() <= 4 * deviation + 1e-9).all()


@pytest.mark.parametrize("sampler", EVERY_SAMPLER, ids=repr)
def test_a_token_without_probability_is_never_chosen(sampler: Sampler) -> None:
    logits = torch.tensor([[-math.inf, 1.0, -math.inf, 0.5, -math.inf]])
    edges = torch.tensor([0.0, 1 - 2.0**-24, 0.5])
    chosen = sampler.choose(logits.expand(3, -1), edges)
    assert set(chosen.tolist()) <= {1, 3}


@pytest.mark.parametrize("sampler", EVERY_SAMPLER, ids=repr)
def test_a_row_chooses_the_same_whatever_else_is_in_the_batch(sampler: Sampler) -> None:
    logits = torch.randn(6, 40, generator=seeded(3))
    uniforms = draw_uniforms(6, seeded(4))
    together = sampler.choose(logits, uniforms)
    alone = torch.cat([sampler.choose(logits[i : i + 1], uniforms[i : i + 1]) for i in range(6)])
    assert together.equal(alone)


def test_uniform_numbers_drawn_at_once_equal_those_drawn_one_at_a_time() -> None:
    one_by_one, at_once = seeded(5), seeded(5)
    singles = torch.cat([draw_uniforms(1, one_by_one) for _ in range(100)])
    assert singles.equal(draw_uniforms(100, at_once))


def test_greedy_takes_the_first_of_equal_best_tokens() -> None:
    assert Greedy()(torch.tensor([[0.0, 2.0, 2.0]])).tolist() == [1]


def test_temperature_raises_probabilities_to_its_inverse_power() -> None:
    sharp = LOGITS.exp().square()
    expected = sharp / sharp.sum(-1, keepdim=True)
    torch.testing.assert_close(Temperature(0.5).distribution(LOGITS), expected)


def test_a_temperature_near_zero_is_greedy() -> None:
    logits = torch.randn(4, 30, generator=seeded(6)) * 1000
    assert Temperature(1e-30)(logits, seeded(7)).equal(Greedy()(logits))


def test_top_k_keeps_the_proportions_of_the_best() -> None:
    expected = torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0], [0.0, 0.0, 3 / 7, 4 / 7]])
    torch.testing.assert_close(TopK(2).distribution(LOGITS), expected)


def test_top_k_keeps_exactly_k_even_of_equal_tokens() -> None:
    assert (TopK(3).distribution(torch.zeros(1, 9)) > 0).sum() == 3


def test_top_k_above_the_vocabulary_keeps_everything() -> None:
    torch.testing.assert_close(TopK(99).distribution(LOGITS), LOGITS.exp())


def test_top_p_keeps_the_fewest_tokens_that_reach_p() -> None:
    expected = torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0], [0.0, 0.0, 3 / 7, 4 / 7]])
    torch.testing.assert_close(TopP(0.7).distribution(LOGITS), expected)


def test_top_p_of_nearly_nothing_keeps_the_best_token() -> None:
    assert (TopP(1e-9).distribution(LOGITS) > 0).sum(-1).tolist() == [1, 1]


@pytest.mark.parametrize("sampler", [TopP(5e-324), Temperature(5e-324), MinP(1.0)], ids=repr)
def test_a_setting_smaller_than_any_number_of_the_tensor_keeps_the_best_token(
    sampler: Sampler,
) -> None:
    kept = sampler.distribution(torch.tensor([[0.5, 0.25], [0.1, 0.9]]).log())
    assert kept.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_min_p_keeps_what_is_near_the_best() -> None:
    expected = torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0], [0.0, 2 / 9, 3 / 9, 4 / 9]])
    torch.testing.assert_close(MinP(0.45).distribution(LOGITS), expected)


@pytest.mark.parametrize(
    ("settings", "sampler"),
    [
        ({}, Temperature(1.0)),
        ({"temperature": 0.0}, Greedy()),
        ({"temperature": 0.0, "top_p": 0.9}, Greedy()),
        ({"temperature": 0.7}, Temperature(0.7)),
        ({"temperature": 0.7, "top_k": 50}, TopK(50, temperature=0.7)),
        ({"top_p": 0.9}, TopP(0.9)),
        ({"min_p": 0.05}, MinP(0.05)),
    ],
)
def test_settings_name_a_sampler(settings: dict[str, float], sampler: Sampler) -> None:
    assert choose_sampler(**settings) == sampler  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_p": math.nan}, "top_p is nan"),
        ({"min_p": -0.1}, "min_p is -0.1"),
        ({"temperature": 0.0, "top_k": -3}, "top_k is -3"),
        ({"top_k": 5, "top_p": 0.5}, "top_k and top_p are given together"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        choose_sampler(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", EVERY_SAMPLER[1:], ids=repr)
def test_logits_that_are_not_numbers_are_told(sampler: Sampler) -> None:
    with pytest.raises(CutawayError, match="not numbers"):
        sampler(torch.full((1, 4), math.nan), seeded(0))
