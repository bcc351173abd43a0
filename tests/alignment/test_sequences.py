"""Answers as rows: what counts is the answer, wherever the padding and whatever the prompt."""

import pytest
import torch

from cutaway.alignment.sequences import (
    Written,
    chosen_rows,
    logprob_sums,
    masked_mean,
    read_answers,
    rows_of,
    survey_answers,
)
from cutaway.data.batches import TokenBatch
from cutaway.models.catalog import build
from tests.alignment.toys import toy_model

ANSWERS = [
    Written(prompt=(1, 2, 3), answer=(4, 5)),
    Written(prompt=(3,), answer=(2, 2, 6, 1)),
    Written(prompt=(5, 1, 1, 1, 2), answer=(7,)),
]


def padded_left(batch: TokenBatch) -> TokenBatch:
    counts = batch.documents.sum(dim=1)
    width = batch.tokens.shape[1]

    def moved(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [row.roll(width - int(count)) for row, count in zip(x, counts, strict=True)]
        )

    return TokenBatch(
        tokens=moved(batch.tokens),
        targets=moved(batch.targets),
        loss_mask=moved(batch.loss_mask),
        documents=moved(batch.documents),
    )


def test_the_answers_and_nothing_else_are_in_the_mask() -> None:
    rows = rows_of(ANSWERS)
    found = [row[mask].tolist() for row, mask in zip(rows.targets, rows.loss_mask, strict=True)]
    assert found == [list(one.answer) for one in ANSWERS]


@pytest.mark.parametrize("architecture", ["llama", "speedrun"])
def test_log_probabilities_are_those_of_the_whole_softmax_of_each_answer_alone(
    architecture: str,
) -> None:
    extra = {"num_key_value_heads": 1, "hidden_width": 32} if architecture == "llama" else {}
    sizes = {"vocab_size": 15, "context_length": 24, "width": 16, "num_layers": 1, "num_heads": 2}
    model = build({"architecture": architecture, **sizes, **extra})
    found = read_answers(model, rows_of(ANSWERS)).logprobs
    for row, one in enumerate(ANSWERS):
        ids = torch.tensor([[*one.prompt, *one.answer]])
        logs = model(ids[:, :-1]).detach().log_softmax(dim=-1)[0]
        first = len(one.prompt) - 1
        expected = [float(logs[first + k, token]) for k, token in enumerate(one.answer)]
        torch.testing.assert_close(
            found[row, first : first + len(expected)], torch.tensor(expected), atol=1e-6, rtol=0
        )


def test_the_side_of_the_padding_changes_nothing() -> None:
    model, rows = toy_model(), rows_of(ANSWERS)
    right, left = read_answers(model, rows), read_answers(model, padded_left(rows))
    torch.testing.assert_close(
        right.logprobs.sum(dim=1), left.logprobs.sum(dim=1), atol=1e-5, rtol=0
    )
    open_right, open_left = (
        survey_answers(model, each).entropies.sum() for each in (rows, padded_left(rows))
    )
    torch.testing.assert_close(open_right, open_left, atol=1e-5, rtol=0)


def test_what_is_outside_the_mask_has_no_gradient() -> None:
    model = toy_model()
    whole, rows = read_answers(model, rows_of(ANSWERS)), rows_of(ANSWERS)
    assert whole.logprobs[~rows.loss_mask].abs().sum() == 0
    none = TokenBatch(
        tokens=rows.tokens,
        targets=rows.targets,
        loss_mask=torch.zeros_like(rows.loss_mask),
        documents=rows.documents,
    )
    read_answers(model, none).logprobs.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_entropy_is_that_of_the_distribution_each_token_was_drawn_from() -> None:
    model, rows = toy_model(), rows_of(ANSWERS[:1])
    logs = model(rows.tokens).log_softmax(dim=-1)
    expected = -(logs.exp() * logs).sum(dim=-1)[rows.loss_mask]
    found = survey_answers(model, rows).entropies[rows.loss_mask]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_sums_over_many_answers_are_those_of_few_at_a_time() -> None:
    model = toy_model()
    torch.testing.assert_close(
        logprob_sums(model, ANSWERS, rows=1), logprob_sums(model, ANSWERS), atol=1e-5, rtol=0
    )


def test_chosen_rows_lose_the_columns_of_the_others() -> None:
    part = chosen_rows(rows_of(ANSWERS), torch.tensor([0, 1]))
    assert part.tokens.shape == (2, 4)


def test_the_mean_over_an_empty_mask_is_zero() -> None:
    assert masked_mean(torch.full((2, 2), torch.nan), torch.zeros(2, 2, dtype=torch.bool)) == 0
