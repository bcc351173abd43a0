"""BERT: the laws of an encoder, and of the heads that stand on it or on a decoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway import checkpoint
from cutaway.errors import ConfigError
from cutaway.interop.open import open_any
from cutaway.models.bert import Bert, BertConfig, mean_vectors, without_heads
from cutaway.models.catalog import build, classifier_on, describe, kind_of
from cutaway.models.heads import Classifier, at_places
from cutaway.models.weights import weights_of
from cutaway.nn.attention import Fused, WrittenOut, use_kernel
from cutaway.nn.tap import Tap
from tests import laws

SIZES = BertConfig(
    vocab_size=50,
    context_length=16,
    width=16,
    num_layers=2,
    num_heads=4,
    hidden_width=24,
    heads="words_and_order",
)


def toy() -> Bert:
    return disturbed(Bert(SIZES, generator=torch.Generator().manual_seed(1)))


def disturbed(model: Any) -> Any:
    """The model with noise on every weight, so that every part matters."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim():  # the temperature stays what it is
                weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def classifier(kind: str) -> Classifier:
    body = toy() if kind == "bert" else laws.toy(kind)
    return disturbed(classifier_on(body, labels=["no", "yes", "perhaps"]))


BODIES = ["bert", "gpt", "llama", "speedrun"]


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
    vectors = model(tokens, segments=segments)
    (vectors**3).sum().backward(retain_graph=True)
    model.name_words(vectors).square().mean().backward(retain_graph=True)
    model.judge_order(vectors[:, 0]).square().sum().backward()
    for name, weight in model.named_parameters():
        # A bias of the keys moves all scores of a row alike, which the softmax does not see.
        if not name.endswith("key_projection.bias"):
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


def test_a_mean_vector_has_the_length_1_and_reads_no_padding() -> None:
    x = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    found = mean_vectors(x, documents=torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(found, torch.full((1, 2), 0.5**0.5))


def test_one_row_is_read_as_in_a_batch() -> None:
    model, tokens = toy(), ids(5, 12)
    together = model(tokens)
    for row in range(5):
        laws.same(together[row], model(tokens[row : row + 1])[0])


def test_taps_are_free_and_each_is_passed() -> None:
    model, tokens = toy(), ids(2, 9)
    use_kernel(model, WrittenOut)
    undisturbed = model(tokens)
    for name, tap in model.named_modules():
        if isinstance(tap, Tap):
            handle = tap.register_forward_hook(lambda tap, given, returned: returned + 0.5)
            changed = not model(tokens).equal(undisturbed)
            handle.remove()
            assert changed or name.endswith("kernel.scores"), name
    assert model(tokens).equal(undisturbed)


@pytest.mark.parametrize("kind", ["bare", *BODIES])
def test_saving_and_loading_is_the_identity(kind: str, tmp_path: Path) -> None:
    model: nn.Module = toy() if kind == "bare" else classifier(kind)
    saved = checkpoint.save(
        tmp_path,
        step=1,
        tensors={"model": weights_of(model)},
        files={
            "config.json": laws.json.dumps(describe(model)).encode(),
            "tokenizer.json": laws.LETTERS.to_json().encode(),
        },
    )
    opened: Any = open_any(saved).model
    assert describe(opened) == describe(model)
    assert kind_of(opened) == ("encoder" if kind == "bare" else "classifier")
    given = {} if kind == "bare" else {"places": torch.tensor([[2], [5]])}
    assert opened(ids(2, 9) % 30, **given).equal(model(ids(2, 9) % 30, **given))


def test_words_are_named_by_the_embedding_itself() -> None:
    model = toy()
    assert model.words is not None
    assert model.words.unembedding.weight is model.embedding.weight
    assert "words.unembedding.weight" not in dict(model.named_parameters())


def test_the_bare_encoder_gives_the_same_vectors() -> None:
    model, tokens = toy(), ids(2, 9)
    bare = without_heads(model)
    assert bare(tokens).equal(model(tokens))
    assert bare.config == replace(SIZES, heads="none")
    with pytest.raises(ValueError, match="none that names words"):
        bare.name_words(bare(tokens))


@pytest.mark.parametrize("kind", BODIES)
def test_packed_texts_are_classified_as_each_alone(kind: str) -> None:
    model, tokens = classifier(kind), ids(1, 12) % 30
    documents = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3])
    ends = [0, 5] if model.reads == "first" else [4, 8]
    found = model(tokens, places=torch.tensor([ends]), documents=documents)[0]
    for row, (begin, end) in enumerate(((0, 5), (5, 9))):
        place = 0 if model.reads == "first" else end - begin - 1
        alone = model(tokens[:, begin:end], places=torch.tensor([[place]]))
        laws.same(found[row], alone[0, 0])


@pytest.mark.parametrize("kind", BODIES)
def test_the_temperature_divides_the_logits_and_does_not_learn(kind: str) -> None:
    model, tokens = classifier(kind), ids(2, 9) % 30
    places = torch.tensor([[3], [8]])
    plain = model(tokens, places=places)
    model.temperature.data.fill_(4.0)
    laws.same(model(tokens, places=places), plain / 4)
    model(tokens, places=places).sum().backward()
    assert model.temperature.grad is None


def test_vectors_are_taken_where_they_are_asked_for() -> None:
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    found = at_places(x, torch.tensor([[4, 0], [2, 2]]))
    assert found[0, 0].equal(x[0, 4])
    assert found[1, 1].equal(x[1, 2])


def test_no_head_goes_on_a_model_that_writes_one_text_for_another() -> None:
    sizes = {"vocab_size": 30, "context_length": 8, "width": 8, "num_layers": 1, "num_heads": 2}
    with pytest.raises(ConfigError, match="no head for classes goes on an encoder-decoder"):
        classifier_on(build({"architecture": "transformer", **sizes}), labels=["a", "b"])
