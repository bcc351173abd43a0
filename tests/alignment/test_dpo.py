"""DPO and its relatives equal what their papers print, and make the chosen answer likelier."""

import numpy as np
import pytest
import torch

from cutaway.alignment.choices import DPOConfig
from cutaway.alignment.dpo import (
    DPO,
    PairObjective,
    WrittenPair,
    drawn_pairs,
    objective_of,
    pair_accuracy,
)
from cutaway.alignment.sequences import Written, logprob_sums
from cutaway.errors import ConfigError, DataError
from tests.alignment.toys import PROMPTS, hash_of, roller, scorer, share_of_a, toy_model, toy_state

CHOSEN = torch.tensor([0.5, -1.0, 3.0, 0.0])
REJECTED = torch.tensor([0.2, 1.5, -4.0, 0.0])
BETA, FLIPPED = 0.3, 0.2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def printed(name: str) -> np.ndarray:
    c, r = CHOSEN.double().numpy(), REJECTED.double().numpy()
    margin = BETA * (c - r)
    right, wrong = -np.log(sigmoid(margin)), -np.log(sigmoid(-margin))
    return {
        "sigmoid": right,
        "conservative": (1 - FLIPPED) * right + FLIPPED * wrong,
        "robust": ((1 - FLIPPED) * right - FLIPPED * wrong) / (1 - 2 * FLIPPED),
        "ipo": (c - r - 1 / (2 * BETA)) ** 2,
        "hinge": np.maximum(0, 1 - margin),
        "anchored": (1 - sigmoid(BETA * c)) + sigmoid(BETA * r),
    }[name]


NAMES = ("sigmoid", "conservative", "robust", "ipo", "hinge", "anchored")


def made(name: str) -> PairObjective:
    return objective_of(DPOConfig(objective=name, beta=BETA, flipped=FLIPPED))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_is_what_its_paper_prints(name: str) -> None:
    found = made(name).losses(CHOSEN, REJECTED)
    np.testing.assert_allclose(found.numpy(), printed(name), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_falls_where_the_chosen_answer_gains(name: str) -> None:
    chosen = torch.zeros(1, requires_grad=True)
    made(name).losses(chosen, torch.zeros(1)).sum().backward()
    assert chosen.grad is not None
    assert float(chosen.grad) < 0


def test_without_flips_conservative_and_robust_are_the_plain_one() -> None:
    plain = objective_of(DPOConfig()).losses(CHOSEN, REJECTED)
    for name in ("conservative", "robust"):
        same = objective_of(DPOConfig(objective=name, flipped=0.0))  # type: ignore[arg-type]
        assert same.losses(CHOSEN, REJECTED).equal(plain)


PAIRS = [
    WrittenPair(
        chosen=Written(prompt=(1, 2), answer=(0, 0)), rejected=Written(prompt=(1, 2), answer=(3,))
    ),
    WrittenPair(
        chosen=Written(prompt=(4,), answer=(0,)), rejected=Written(prompt=(4,), answer=(5, 6, 7))
    ),
    WrittenPair(
        chosen=Written(prompt=(2, 2), answer=(0, 1)),
        rejected=Written(prompt=(2, 2), answer=(1, 1)),
    ),
]


def test_at_first_every_loss_is_that_of_no_difference() -> None:
    model = toy_model()
    learner = DPO(DPOConfig(pairs=3), pairs=PAIRS, reference=toy_model(), seed=0)
    taken = learner.take(toy_state(model, steps=1), 0.0)
    assert taken.loss == pytest.approx(np.log(2), abs=1e-6)
    assert taken.metrics["margin"] == pytest.approx(0.0, abs=1e-5)


def test_the_policy_comes_to_agree_with_the_judgements_and_the_reference_stays() -> None:
    model, reference = toy_model(), toy_model()
    before = hash_of(reference)
    learner, state = (
        DPO(DPOConfig(pairs=3), pairs=PAIRS, reference=reference, seed=0),
        toy_state(model, steps=20),
    )
    for _ in range(20):
        learner.take(state, 1.0)
        state.step += 1
    assert pair_accuracy(model, reference, PAIRS) == (3, 3)
    assert hash_of(reference) == before


def test_a_policy_that_is_its_reference_agrees_with_half_of_the_judgements() -> None:
    model = toy_model()
    assert pair_accuracy(model, model, [*PAIRS, PAIRS[0]]) == (2, 4)


def test_the_likelihood_of_chosen_answers_keeps_them_from_sinking() -> None:
    chosen = [pair.chosen for pair in PAIRS]
    found = []
    for weight in (0.0, 1.0):
        model, state = (model := toy_model()), toy_state(model, steps=8)
        config = DPOConfig(pairs=3, likelihood=weight)
        learner = DPO(config, pairs=PAIRS, reference=toy_model(), seed=0)
        for _ in range(8):
            learner.take(state, 1.0)
            state.step += 1
        found.append(float(logprob_sums(model, chosen).mean()))
    assert found[1] > found[0]
    with pytest.raises(ConfigError, match=r"likelihood=-1\.0"):
        DPOConfig(likelihood=-1.0)


def test_drawn_pairs_have_the_best_and_the_worst_of_their_answers() -> None:
    found = drawn_pairs(roller(toy_model()), PROMPTS, answers=4, scorer=scorer(), seed=1)
    assert found
    from tests.alignment.toys import LETTERS

    for pair in found:
        better, worse = (LETTERS.decode(one.answer) for one in (pair.chosen, pair.rejected))
        assert share_of_a("", better) > share_of_a("", worse)
        assert pair.chosen.prompt == pair.rejected.prompt


def test_without_pairs_there_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="no pairs"):
        DPO(DPOConfig(), pairs=[], reference=toy_model(), seed=0)


def test_half_of_the_judgements_cannot_be_wrong() -> None:
    with pytest.raises(ConfigError, match=r"flipped=0\.5"):
        DPOConfig(flipped=0.5)
