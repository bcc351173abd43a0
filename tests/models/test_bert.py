"""BERT's encoder: the laws of an encoder, and one gradient for each weight."""

import torch
from torch import Tensor

from cutaway.models.bert import Bert, BertConfig, mean_vectors
from cutaway.nn.attention import Fused, WrittenOut, use_kernel

SIZES = BertConfig(
    vocab_size=50, context_length=16, width=16, num_layers=2, num_heads=4, hidden_width=24
)


def toy() -> Bert:
    model = Bert(SIZES, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def ids(rows: int, tokens: int) -> Tensor:
    return torch.randint(50, (rows, tokens), generator=torch.Generator().manual_seed(3))


def test_every_token_reads_the_whole_text() -> None:
    model, tokens = toy(), ids(1, 9)
    vectors = model(tokens)
    for place in range(9):
        changed = tokens.clone()
        changed[0, place] = (changed[0, place] + 1) % 50
        assert not torch.isclose(model(changed), vectors).all(dim=-1).any()


def test_padding_is_invisible() -> None:
    model, tokens = toy(), ids(2, 9)
    documents = torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    found = model(tokens, documents=documents)
    torch.testing.assert_close(found[1, :4], model(tokens[1:, :4])[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found[0], model(tokens[:1])[0], atol=2e-5, rtol=1e-5)


def test_packed_documents_do_not_see_each_other() -> None:
    model, tokens = toy(), ids(1, 9)
    found = model(tokens, documents=torch.tensor([[1] * 5 + [2] * 4]))
    for begin, end in ((0, 5), (5, 9)):
        alone = model(tokens[:, begin:end])
        torch.testing.assert_close(found[:, begin:end], alone, atol=2e-5, rtol=1e-5)


def test_segments_are_told_apart() -> None:
    model, tokens = toy(), ids(1, 6)
    first = model(tokens, segments=torch.zeros_like(tokens))
    assert first.equal(model(tokens))
    assert not torch.isclose(model(tokens, segments=torch.ones_like(tokens)), first).all()


def test_written_out_equals_fused() -> None:
    model, tokens = toy(), ids(2, 9)
    documents = torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    fused = model(tokens, documents=documents)
    use_kernel(model, WrittenOut)
    torch.testing.assert_close(model(tokens, documents=documents), fused, atol=2e-5, rtol=1e-5)
    use_kernel(model, Fused)


def test_gradients_reach_every_weight() -> None:
    model = toy()
    segments = torch.tensor([[0, 1] * 4])
    tokens = torch.arange(8)[None]
    (model(tokens, segments=segments) ** 3).sum().backward()
    for name, weight in model.named_parameters():
        # A bias of the keys moves all scores of a row alike, which the softmax does not see.
        if not name.endswith("key_projection.bias"):
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


def test_a_mean_vector_has_the_length_1_and_reads_no_padding() -> None:
    x = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    found = mean_vectors(x, documents=torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(found, torch.full((1, 2), 0.5**0.5))
