"""A reward model: its likelihoods, that only the last token counts, and that it learns a taste."""

import numpy as np
import pytest
import torch

from cutaway.alignment.choices import RewardConfig
from cutaway.alignment.reward import (
    HEAD,
    BradleyTerry,
    ModelReward,
    PlackettLuce,
    Ranked,
    RewardLearning,
    correlation,
    measure,
    new_head,
    score_rows,
    whole_rows,
)
from cutaway.alignment.rewards import Exchange
from cutaway.alignment.sequences import Written, written_by
from cutaway.errors import DataError
from cutaway.tokenizer.chat import ChatFormat
from tests.alignment.test_sequences import ANSWERS, padded_left
from tests.alignment.toys import LETTERS, asked, toy_model, toy_state

SCORES = torch.tensor([[2.0, 0.5, -1.0], [0.3, 0.9, 0.0]])
THERE = torch.tensor([[True, True, True], [True, True, False]])


def some_head(model: torch.nn.Module) -> torch.nn.Linear:
    head = new_head(model)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(2))
    return head


def test_plackett_luce_chooses_the_best_of_all_then_the_best_of_the_rest() -> None:
    found = PlackettLuce().losses(SCORES, is_there=THERE)
    s = SCORES.double().numpy()
    first = -(s[0, 0] - np.log(np.exp(s[0]).sum())) - (s[0, 1] - np.log(np.exp(s[0, 1:]).sum()))
    second = -(s[1, 0] - np.log(np.exp(s[1, :2]).sum()))
    np.testing.assert_allclose(found.numpy(), [first, second], atol=1e-6)


def test_bradley_terry_is_the_mean_over_the_pairs_of_a_ranking() -> None:
    found = BradleyTerry().losses(SCORES, is_there=THERE)
    s = SCORES.double().numpy()

    def lost(better: float, worse: float) -> float:
        return float(np.log1p(np.exp(worse - better)))

    first = np.mean([lost(s[0, 0], s[0, 1]), lost(s[0, 0], s[0, 2]), lost(s[0, 1], s[0, 2])])
    np.testing.assert_allclose(found.numpy(), [first, lost(s[1, 0], s[1, 1])], atol=1e-6)


def test_of_two_answers_both_are_the_same() -> None:
    pair, there = SCORES[:, :2], THERE[:, :2]
    one, two = (kind.losses(pair, is_there=there) for kind in (BradleyTerry(), PlackettLuce()))
    torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


def test_the_score_is_that_of_the_last_token_wherever_the_padding_stands() -> None:
    model = toy_model()
    head, rows = some_head(model), whole_rows(ANSWERS)
    with torch.no_grad():
        right, left = score_rows(model, head, rows), score_rows(model, head, padded_left(rows))
        for row, one in enumerate(ANSWERS):
            vectors = model.hidden(torch.tensor([[*one.prompt, *one.answer]]))
            torch.testing.assert_close(head(vectors[0, -1])[0], right[row], atol=1e-5, rtol=0)
    torch.testing.assert_close(right, left, atol=1e-5, rtol=0)


def test_a_new_head_gives_every_answer_nothing() -> None:
    model = toy_model()
    found = ModelReward(model, new_head(model), tokenizer=LETTERS).rewards(
        [Exchange(prompt=asked("abc"), answer="a" * 60)]  # longer than the model reads
    )
    assert found == [0.0]


def taste_pairs(count: int, *, seed: int) -> list[tuple[Written, Written]]:
    """Answers with more of the letter a are better."""
    drawn, chat = np.random.default_rng(seed), ChatFormat(LETTERS)
    pairs = []
    while len(pairs) < count:
        texts = ["".join(drawn.choice(list("abcd"), size=6)) for _ in range(2)]
        better, worse = sorted(texts, key=lambda text: -text.count("a"))
        if better.count("a") > worse.count("a"):
            written = [
                written_by(chat, Exchange(prompt=asked("ab"), answer=text))
                for text in (better, worse)
            ]
            pairs.append((written[0], written[1]))
    return pairs


def test_a_planted_taste_is_learned_and_measured_on_pairs_not_seen() -> None:
    model = toy_model()
    head = new_head(model)
    learned = [Ranked(answers=pair) for pair in taste_pairs(300, seed=1)]
    learning = RewardLearning(RewardConfig(), rankings=learned, seed=0)
    state = toy_state(model, steps=150, companions={HEAD: head})
    for _ in range(150):
        learning.take(state, 1.0)
        state.step += 1
    found = measure(model, head, taste_pairs(200, seed=2))
    assert found.right / found.pairs > 0.85
    assert abs(found.length_correlation) < 0.01  # all are of one length
    assert found.longer_is_chosen == 0
    assert sum(count for _, _, count in found.calibration) == 200
    assert found.calibration_error < 0.2


def test_a_model_that_knows_nothing_is_right_never_and_says_a_half() -> None:
    model = toy_model()
    found = measure(model, new_head(model), taste_pairs(20, seed=3))
    assert found.right == 0
    assert found.calibration == ((0.5, 0.0, 20),)


def test_correlation_is_numpys_and_zero_where_nothing_varies() -> None:
    assert correlation(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == pytest.approx(1.0)
    assert correlation(np.array([1.0, 1.0]), np.array([2.0, 4.0])) == 0.0


def test_without_rankings_there_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="no rankings"):
        RewardLearning(RewardConfig(), rankings=[], seed=0)
