"""The loss: the mean over what is learned from is torch's cross entropy of exactly those."""

import math

import pytest
import torch
from torch import nn

from cutaway.data.batches import PairBatch, TokenBatch
from cutaway.training.objectives import NextToken, SourceToTarget, masked_cross_entropy
from tests import laws, pair_laws


def batch_of(rows: int = 3, tokens: int = 12, *, seed: int = 0) -> TokenBatch:
    ids = laws.ids(rows, tokens + 1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    documents = torch.randint(1, 3, (rows, tokens), generator=generator).sort(dim=1).values
    documents[:, -2:] = 0
    return TokenBatch(
        tokens=ids[:, :-1],
        targets=ids[:, 1:],
        loss_mask=(torch.rand(rows, tokens, generator=generator) < 0.5) & (documents > 0),
        documents=documents,
    )


@pytest.mark.parametrize("name", laws.DECODERS)
def test_the_loss_is_the_cross_entropy_of_what_is_learned_from(name: str) -> None:
    model, batch = laws.toy(name), batch_of()
    loss = NextToken()(model, batch)
    logits = model(batch.tokens, documents=batch.documents)
    expected = nn.functional.cross_entropy(logits[batch.loss_mask], batch.targets[batch.loss_mask])
    torch.testing.assert_close(loss.total / loss.count, expected)
    assert int(loss.count) == int(batch.loss_mask.sum())


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary() -> None:
    logits = torch.zeros(2, 5, 40)
    mask = torch.ones(2, 5, dtype=torch.bool)
    total = masked_cross_entropy(logits, torch.zeros(2, 5, dtype=torch.int64), mask=mask)
    assert float(total / 10) == pytest.approx(math.log(40))


def test_what_is_not_learned_from_changes_neither_loss_nor_gradient() -> None:
    logits = torch.randn(1, 4, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.tensor([[True, False, True, False]])
    masked_cross_entropy(logits, torch.tensor([[1, 2, 3, 4]]), mask=mask).backward()
    other = masked_cross_entropy(logits.detach(), torch.tensor([[1, 8, 3, 0]]), mask=mask)
    assert other == masked_cross_entropy(logits.detach(), torch.tensor([[1, 2, 3, 4]]), mask=mask)
    assert logits.grad is not None
    assert logits.grad.any(dim=-1).tolist() == mask.tolist()


def test_nothing_to_learn_from_costs_nothing() -> None:
    mask = torch.zeros(1, 3, dtype=torch.bool)
    ids = torch.zeros(1, 3, dtype=torch.int64)
    assert masked_cross_entropy(torch.randn(1, 3, 5), ids, mask=mask) == 0


def test_losses_are_summed_in_full_precision() -> None:
    logits = torch.zeros(1, 64, 7, dtype=torch.bfloat16)
    mask = torch.ones(1, 64, dtype=torch.bool)
    total = masked_cross_entropy(logits, torch.zeros(1, 64, dtype=torch.int64), mask=mask)
    assert total.dtype == torch.float32
    assert float(total) == pytest.approx(64 * math.log(7), rel=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", pair_laws.MODELS)
def test_the_loss_of_pairs_is_torchs_with_its_label_smoothing(
    name: str, label_smoothing: float
) -> None:
    written = batch_of()
    batch = PairBatch(
        source=laws.ids(3, 9),
        source_documents=torch.ones(3, 9, dtype=torch.int64),
        tokens=written.tokens,
        targets=written.targets,
        documents=(written.documents > 0).long(),
        loss_mask=written.loss_mask,
    )
    model = pair_laws.toy(name)
    loss = SourceToTarget(label_smoothing=label_smoothing)(model, batch)
    logits = model(batch.source, batch.tokens, documents=batch.documents)
    given = logits[batch.loss_mask], batch.targets[batch.loss_mask]
    expected = nn.functional.cross_entropy(*given, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss.total / loss.count, expected)
    plain = nn.functional.cross_entropy(*given)
    torch.testing.assert_close(loss.metrics["nats"] / loss.count, plain)
