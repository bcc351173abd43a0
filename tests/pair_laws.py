"""What every encoder-decoder of the catalog must do, whatever its parts: one function a law."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutaway import checkpoint
from cutaway.interop.open import open_pair_model
from cutaway.models.catalog import build, describe
from cutaway.models.seq2seq import Seq2Seq
from cutaway.models.weights import weights_of
from cutaway.nn.attention import Fused, WrittenOut, use_kernel
from cutaway.nn.recurrent import Kernel, SteppedOut, use_recurrence
from cutaway.nn.tap import Tap
from tests.laws import LETTERS, ids, same

_SIZES = {
    "vocab_size": LETTERS.vocab_size,
    "context_length": 24,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
}
_SEQ2SEQ = {
    "architecture": "seq2seq",
    "vocab_size": LETTERS.vocab_size,
    "context_length": 24,
    "width": 16,
    "num_layers": 1,
}
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {"architecture": "transformer", **_SIZES},
    "transformer with norms before": {
        "architecture": "transformer",
        **_SIZES,
        "norm_placement": "pre",
        "num_encoder_layers": 3,
        "tied": False,
    },
    # What a decoder reads of the source, with each cell, both directions and several layers.
    "seq2seq of Sutskever": {
        **_SEQ2SEQ,
        "num_layers": 2,
        "cell": "lstm",
        "direction": "forward",
        "source_order": "reversed",
        "attention": "off",
        "feeding": "off",
    },
    "seq2seq of Cho": {**_SEQ2SEQ, "attention": "off"},
    "seq2seq of Bahdanau": {**_SEQ2SEQ, "hidden_width": 12, "num_layers": 2, "tied": False},
    "seq2seq of Luong": {
        **_SEQ2SEQ,
        "cell": "rnn",
        "direction": "forward",
        "attention": "dot",
        "feeding": "off",
    },
    "seq2seq of Luong with input feeding": {
        **_SEQ2SEQ,
        "num_layers": 2,
        "cell": "lstm",
        "hidden_width": 12,
        "attention": "general",
        "feeding": "attended",
    },
    "seq2seq that concatenates": {
        **_SEQ2SEQ,
        "attention": "concat",
        "alignment_width": 5,
        "feeding": "attended",
    },
}
"""Toy sizes that use every setting of the catalog."""

PACKED = {name for name, sizes in MODELS.items() if sizes["architecture"] != "seq2seq"}
"""Those that read several pairs in a row."""


def toy(name: str) -> nn.Module:
    """Builds a model none of whose weights is zero, so that every part matters."""
    model = build(MODELS[name], generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def cached_equals_uncached(model: Any) -> None:
    """Writing a token at a time, with a cache, gives the logits of reading the target at once."""
    source, tokens = ids(3, 9), ids(3, 12, seed=4)
    documents = (torch.arange(9) < torch.tensor([9, 4, 1])[:, None]).long()
    memory = model.encode(source, documents=documents)
    cache = model.new_cache(3, 12)
    pieces = [model.decode(tokens[:, t : t + 1], memory, cache=cache) for t in range(12)]
    same(torch.cat(pieces, dim=1), model.decode(tokens, memory))


def rows_of_a_cache_may_change_places(model: Any) -> None:
    """A beam goes on as the row that it was copied from, and a source that is done may leave."""
    source, tokens = ids(2, 9), ids(4, 10, seed=4)
    memory = model.encode(source)
    cache = model.new_cache(4, 10)
    for place in range(4):
        model.decode(tokens[:, place : place + 1], memory, cache=cache)
    kept = torch.tensor([1, 1, 3, 2])
    cache.keep(kept)
    tokens = tokens[kept]
    expected = model.decode(tokens, memory)
    same(model.decode(tokens[:, 4:5], memory, cache=cache)[:, 0], expected[:, 4])
    cache.keep(torch.tensor([3, 2]), sources=torch.tensor([1]))
    last = memory.keep(torch.tensor([1]))
    tokens = tokens[[3, 2]]
    expected = model.decode(tokens, last)
    same(model.decode(tokens[:, 5:6], last, cache=cache)[:, 0], expected[:, 5])


def several_rows_may_read_one_source(model: Any) -> None:
    """Row r of the targets reads row r // beams of the memory, as if it had been copied."""
    source, tokens = ids(2, 9), ids(6, 7, seed=4)
    documents = (torch.arange(9) < torch.tensor([9, 4])[:, None]).long()
    memory = model.encode(source, documents=documents)
    copied = memory.keep(torch.tensor([0, 0, 0, 1, 1, 1]))
    same(model.decode(tokens, memory), model.decode(tokens, copied))


def no_token_sees_the_future(model: Any) -> None:
    """Whatever follows a token of the target, its logits keep every bit; the source matters."""
    source, tokens = ids(2, 9), ids(2, 10, seed=4)
    logits = model(source, tokens)
    for place in range(1, 10):
        changed = tokens.clone()
        changed[:, place:] = (changed[:, place:] + 1) % LETTERS.vocab_size
        assert model(source, changed)[:, :place].equal(logits[:, :place])
        assert not model(source, changed)[:, place:].equal(logits[:, place:])
    for place in range(9):
        changed = source.clone()
        changed[:, place] = (changed[:, place] + 1) % LETTERS.vocab_size
        assert (model(changed, tokens) != logits).any(dim=-1).all()


def padding_is_invisible(model: Any) -> None:
    """A short pair in a batch of long ones is read as it is alone, whatever the padding holds."""
    source, tokens = ids(3, 9), ids(3, 12, seed=4)
    long, short = torch.tensor([9, 4, 1]), torch.tensor([5, 12, 1])
    documents = {
        "source_documents": (torch.arange(9) < long[:, None]).long(),
        "documents": (torch.arange(12) < short[:, None]).long(),
    }
    logits = model(source, tokens, **documents)
    for row in range(3):
        alone = model(source[row : row + 1, : long[row]], tokens[row : row + 1, : short[row]])
        same(logits[row, : short[row]], alone[0])
    other = torch.where(documents["source_documents"] > 0, source, (source + 7) % 32)
    read = documents["documents"] > 0
    assert model(other, tokens, **documents)[read].equal(logits[read])
    assert logits.isfinite().all()


def packed_pairs_do_not_see_each_other(model: Any) -> None:
    """A pair in a row of several gives the logits that it gives alone."""
    source, tokens = ids(1, 12), ids(1, 14, seed=4)
    reading = torch.tensor([[1] * 5 + [2] * 1 + [3] * 4 + [0] * 2])
    writing = torch.tensor([[1] * 3 + [2] * 7 + [3] * 1 + [0] * 3])
    logits = model(source, tokens, source_documents=reading, documents=writing)
    for number in (1, 2, 3):
        alone = model(source[:, reading[0] == number], tokens[:, writing[0] == number])
        same(logits[:, writing[0] == number], alone)


def saving_and_loading_is_the_identity(model: Any, folder: Path) -> None:
    """What is opened from a checkpoint is the function that was saved, bit for bit."""
    saved = checkpoint.save(
        folder,
        step=1,
        tensors={"model": weights_of(model)},
        files={
            "config.json": json.dumps(describe(model)).encode(),
            "tokenizer.json": LETTERS.to_json().encode(),
        },
    )
    opened: Any = open_pair_model(saved).model
    assert describe(opened) == describe(model)
    source, tokens = ids(2, 9), ids(2, 6, seed=4)
    assert opened(source, tokens).equal(model(source, tokens))


def written_out_attention_equals_fused(model: Any) -> None:
    """The form that can be watched and the fast form are one function."""
    source, tokens = ids(2, 9), ids(2, 12, seed=4)
    reading = torch.tensor([[1] * 4 + [2] * 3 + [0] * 2, [1] * 9])
    writing = torch.tensor([[1] * 4 + [2] * 6 + [0] * 2, [1] * 12])

    def logits() -> list[Tensor]:
        masks = {"source_documents": reading, "documents": writing}
        return [model(source, tokens), model(source, tokens, **masks)]

    use_kernel(model, WrittenOut)
    written_out = logits()
    use_kernel(model, Fused)
    for found, expected in zip(written_out, logits(), strict=True):
        same(found, expected)


def stepped_out_recurrence_equals_the_kernel(model: Any) -> None:
    """The form that can be watched and torch's kernels are one function, with padding too."""
    source, tokens = ids(2, 9), ids(2, 12, seed=4)
    masks = {
        "source_documents": torch.tensor([[1] * 4 + [0] * 5, [1] * 9]),
        "documents": torch.tensor([[1] * 10 + [0] * 2, [1] * 12]),
    }
    use_recurrence(model, SteppedOut)
    stepped_out = [model(source, tokens), model(source, tokens, **masks)]
    use_recurrence(model, Kernel)
    for found, expected in zip(
        stepped_out, [model(source, tokens), model(source, tokens, **masks)], strict=True
    ):
        same(found, expected)


def gradients_reach_every_parameter(model: Any) -> None:
    """No weight is left out of learning."""
    model(ids(2, 9), ids(2, 12, seed=4)).square().mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def one_row_is_read_as_in_a_batch(model: Any) -> None:
    """A pair does not depend on its neighbours in the batch."""
    source, tokens = ids(5, 9), ids(5, 12, seed=4)
    together = model(source, tokens)
    for row in range(5):
        same(together[row], model(source[row : row + 1], tokens[row : row + 1])[0])


def logits_are_the_unembedded_hidden_vectors(model: Any) -> None:
    """`decode` is `hidden`, then `unembed`: an objective may take the halves."""
    source, tokens = ids(2, 9), ids(2, 12, seed=4)
    memory = model.encode(source)
    assert model.unembed(model.hidden(tokens, memory)).equal(model(source, tokens))


def taps_are_free_and_can_be_watched(model: Any) -> None:
    """A tap returns the very tensor it was given; every tap is passed; a hook may replace."""
    source, tokens = ids(2, 9), ids(2, 12, seed=4)
    use_kernel(model, WrittenOut)
    use_recurrence(model, SteppedOut)
    undisturbed = model(source, tokens)
    taps = {name: part for name, part in model.named_modules() if isinstance(part, Tap)}
    seen: dict[str, bool] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def look(tap: nn.Module, given: tuple[Tensor], returned: Tensor) -> None:
            seen[name] = given[0] is returned

        return look

    handles = [tap.register_forward_hook(watch(name)) for name, tap in taps.items()]
    assert model(source, tokens).equal(undisturbed)
    assert seen == dict.fromkeys(taps, True)
    for handle in handles:
        handle.remove()
    for name, tap in taps.items():
        # Not a number alike for all: a norm or a softmax would not see that.
        handle = tap.register_forward_hook(lambda tap, given, returned: returned * 1.5 + 0.5)
        changed = not model(source, tokens).equal(undisturbed)
        handle.remove()
        assert changed or name in unread(model), name
    assert model(source, tokens).equal(undisturbed)


def unread(model: Any) -> set[str]:
    """What a recurrent encoder gives for each token, where only its last state is read."""
    if not isinstance(model, Seq2Seq) or model.config.attention != "off":
        return set()
    return {"memory", f"encoder.layers.{model.config.num_layers - 1}.output"}


LAWS: tuple[Callable[[Any], None], ...] = (
    cached_equals_uncached,
    rows_of_a_cache_may_change_places,
    several_rows_may_read_one_source,
    no_token_sees_the_future,
    padding_is_invisible,
    gradients_reach_every_parameter,
    one_row_is_read_as_in_a_batch,
    logits_are_the_unembedded_hidden_vectors,
    taps_are_free_and_can_be_watched,
)
"""The laws that need a model and nothing else."""

PACKED_LAWS: tuple[Callable[[Any], None], ...] = (
    packed_pairs_do_not_see_each_other,
    written_out_attention_equals_fused,
)
"""Those of models that read several pairs in a row."""
