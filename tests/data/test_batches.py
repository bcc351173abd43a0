"""A batch can be moved and cut."""

import torch

from cutaway.data.batches import TokenBatch


def batch_of(rows: int) -> TokenBatch:
    tokens = torch.arange(rows * 3).reshape(rows, 3)
    return TokenBatch(
        tokens=tokens,
        targets=tokens + 1,
        loss_mask=tokens % 2 == 0,
        documents=torch.ones_like(tokens),
    )


def test_the_chunks_put_together_are_the_batch() -> None:
    batch = batch_of(5)
    chunks = batch.chunks(2)
    assert [len(chunk.tokens) for chunk in chunks] == [2, 2, 1]
    for name in ("tokens", "targets", "loss_mask", "documents"):
        joined = torch.cat([getattr(chunk, name) for chunk in chunks])
        assert torch.equal(joined, getattr(batch, name))


def test_a_batch_arrives_on_the_device_with_all_its_parts() -> None:
    moved = batch_of(2).to("meta")
    parts = (moved.tokens, moved.targets, moved.loss_mask, moved.documents)
    assert {part.device.type for part in parts} == {"meta"}
