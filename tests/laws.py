"""What every decoder of the catalog must do, whatever its parts: one function for each law."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutaway import checkpoint
from cutaway.interop.open import open_model
from cutaway.models.catalog import build, describe
from cutaway.models.speedrun import Speedrun
from cutaway.models.weights import weights_of
from cutaway.nn.attention import Fused, WrittenOut, use_kernel
from cutaway.nn.tap import Tap
from cutaway.tokenizer.characters import CharacterTokenizer

LETTERS = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz")
TOLERANCE: dict[str, float] = {"atol": 2e-5, "rtol": 1e-5}
"""For results that the same fp32 arithmetic reaches in another order."""

_SIZES = {"vocab_size": LETTERS.vocab_size, "context_length": 24, "width": 16, "num_layers": 3}
_LLAMA = {"architecture": "llama", **_SIZES, "num_heads": 4, "hidden_width": 24}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt": {"architecture": "gpt", **_SIZES, "num_heads": 2},
    "gpt with norms after": {
        "architecture": "gpt",
        **_SIZES,
        "num_heads": 2,
        "norm_placement": "post",
    },
    "gpt with bands": {
        "architecture": "gpt",
        **_SIZES,
        "num_heads": 4,
        "window": 4,
        "tied": False,
    },
    "llama": {**_LLAMA, "num_key_value_heads": 4},
    "llama with everything": {
        **_LLAMA,
        "num_key_value_heads": 2,
        "head_width": 6,
        "window": 5,
        "query_key_norm": True,
        "projection_bias": True,
        "tied": True,
    },
    "speedrun": {"architecture": "speedrun", **_SIZES, "num_heads": 2},
    "speedrun with groups": {
        "architecture": "speedrun",
        **_SIZES,
        "num_heads": 2,
        "pair_rows": 41,
        "triple_rows": 59,
        "table_width": 8,
    },
    "speedrun with spelling": {
        "architecture": "speedrun",
        **_SIZES,
        "num_heads": 2,
        "spelled_bytes": 3,
        "table_width": 8,
    },
}
"""Toy sizes that use every setting of the catalog."""

READ_GROUPS = {"speedrun with groups", "speedrun with spelling"}
"""Decoders that read more of a token than its own vector."""


def toy(name: str) -> nn.Module:
    """Builds a decoder none of whose weights is zero, so that every part matters."""
    model = build(DECODERS[name], generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        if isinstance(model, Speedrun):
            model.tell_spelling([bytes([65 + id_ % 7, 66]) for id_ in range(LETTERS.vocab_size)])
        for weight in model.parameters():
            if not weight.is_floating_point():
                continue
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def ids(rows: int, tokens: int, *, seed: int = 3) -> Tensor:
    """Draws random token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(LETTERS.vocab_size, (rows, tokens), generator=generator)


def same(found: Tensor, expected: Tensor) -> None:
    """Claims that two results differ by rounding at most."""
    torch.testing.assert_close(found, expected, **TOLERANCE)


def cached_equals_uncached(model: Any) -> None:
    """Reading a row in pieces, with a cache, gives the logits of reading it at once."""
    tokens = ids(3, 16)
    cache = model.new_cache(3, 16)
    pieces = [model(piece, cache=cache) for piece in tokens.split([5, 1, 1, 6, 3], dim=1)]
    same(torch.cat(pieces, dim=1), model(tokens))
    assert cache.lengths.tolist() == [16, 16, 16]


def cached_rows_may_have_unequal_lengths(model: Any) -> None:
    """Rows that stand at different places go on as each would alone; any of them may leave."""
    tokens, lengths = ids(4, 14), torch.tensor([3, 9, 1, 6])
    cache = model.new_cache(4, 14)
    documents = (torch.arange(9) < lengths[:, None]).long()
    # The padding is not what comes next: a slot that is not written anew must show.
    prompt = torch.where(documents > 0, tokens[:, :9], (tokens[:, :9] + 7) % LETTERS.vocab_size)
    logits = model(prompt, documents=documents, cache=cache)
    for row, length in enumerate(lengths.tolist()):
        same(logits[row, :length], model(tokens[row : row + 1, :length])[0])
    assert cache.lengths.equal(lengths)
    rows = [0, 1, 2, 3]
    for step, kept in enumerate(([0, 1, 2, 3], [3, 1, 0], [2, 0, 2], [0, 1, 2], [1])):
        cache.keep(kept)
        rows = [rows[index] for index in kept]
        ends = [int(lengths[row]) + step for row in rows]
        new = torch.stack([tokens[row, end : end + 1] for row, end in zip(rows, ends, strict=True)])
        logits = model(new, cache=cache)
        for found, row, end in zip(logits, rows, ends, strict=True):
            same(found[0], model(tokens[row : row + 1, : end + 1])[0, -1])


def no_token_sees_the_future(model: Any) -> None:
    """Whatever follows a token, its logits keep every bit."""
    tokens = ids(2, 12)
    logits = model(tokens)
    for place in range(1, 12):
        changed = tokens.clone()
        changed[:, place:] = (changed[:, place:] + 1) % LETTERS.vocab_size
        assert model(changed)[:, :place].equal(logits[:, :place])
        assert not model(changed)[:, place:].equal(logits[:, place:])


def padding_is_invisible(model: Any) -> None:
    """A short row in a batch of long ones is read as it is alone, whatever the padding holds."""
    tokens = ids(3, 12)
    lengths = torch.tensor([12, 5, 1])
    documents = (torch.arange(12) < lengths[:, None]).long()
    logits = model(tokens, documents=documents)
    for row, length in enumerate(lengths.tolist()):
        same(logits[row, :length], model(tokens[row : row + 1, :length])[0])
    other = torch.where(documents > 0, tokens, (tokens + 7) % LETTERS.vocab_size)
    read = documents > 0
    assert model(other, documents=documents)[read].equal(logits[read])
    assert logits.isfinite().all()


def packed_documents_do_not_see_each_other(model: Any) -> None:
    """A document in a packed row gives the logits that it gives alone."""
    tokens = ids(2, 16)
    sizes = [[5, 1, 7, 3], [2, 9, 4, 1]]
    documents = torch.stack(
        [torch.repeat_interleave(torch.arange(1, 5), torch.tensor(row)) for row in sizes]
    )
    documents[:, 13:] *= torch.tensor([[0], [1]])  # the first row ends in padding
    logits = model(tokens, documents=documents)
    for row in range(2):
        for number in range(1, int(documents[row].max()) + 1):
            inside = documents[row] == number
            same(logits[row, inside], model(tokens[row, inside][None])[0])


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
    opened: Any = open_model(saved).model
    assert describe(opened) == describe(model)
    for (name, ours), (other, theirs) in zip(
        model.named_parameters(), opened.named_parameters(), strict=True
    ):
        assert name == other
        assert ours.equal(theirs)
    assert opened(ids(2, 9)).equal(model(ids(2, 9)))


def written_out_attention_equals_fused(model: Any) -> None:
    """The form that can be watched and the fast form are one function, cached or packed too."""
    tokens = ids(2, 12)
    documents = torch.tensor([[1] * 4 + [2] * 6 + [0] * 2, [1] * 12])

    def logits() -> list[Tensor]:
        cache = model.new_cache(2, 12)
        pieces = [model(piece, cache=cache) for piece in tokens.split(5, dim=1)]
        return [model(tokens), model(tokens, documents=documents), *pieces]

    use_kernel(model, WrittenOut)
    written_out = logits()
    use_kernel(model, Fused)
    for found, expected in zip(written_out, logits(), strict=True):
        same(found, expected)


def gradients_reach_every_parameter(model: Any) -> None:
    """No weight is left out of learning."""
    model(ids(2, 12)).square().mean().backward()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def one_row_is_read_as_in_a_batch(model: Any) -> None:
    """A row does not depend on its neighbours in the batch."""
    tokens = ids(5, 12)
    together = model(tokens)
    for row in range(5):
        same(together[row], model(tokens[row : row + 1])[0])


def vectors_may_stand_in_for_tokens(model: Any) -> None:
    """Reading the embedded tokens gives the logits of reading the tokens."""
    tokens = ids(2, 12)
    documents = torch.tensor([[1] * 5 + [2] * 7, [1] * 10 + [0] * 2])
    vectors = model.embedding(tokens)
    assert model.forward_vectors(vectors).equal(model(tokens))
    packed = model(tokens, documents=documents)
    assert model.forward_vectors(vectors, documents=documents).equal(packed)


def logits_are_the_unembedded_hidden_vectors(model: Any) -> None:
    """`forward` is `hidden`, then `unembed`: an objective may take the halves."""
    tokens = ids(2, 12)
    assert model.unembed(model.hidden(tokens)).equal(model(tokens))


def taps_are_free_and_can_be_watched(model: Any) -> None:
    """A tap returns the very tensor it was given; every tap is passed; a hook may replace."""
    tokens = ids(2, 12)
    use_kernel(model, WrittenOut)
    undisturbed = model(tokens)
    taps = {name: part for name, part in model.named_modules() if isinstance(part, Tap)}
    seen: dict[str, bool] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def look(tap: nn.Module, given: tuple[Tensor], returned: Tensor) -> None:
            seen[name] = given[0] is returned

        return look

    handles = [tap.register_forward_hook(watch(name)) for name, tap in taps.items()]
    assert model(tokens).equal(undisturbed)
    assert seen == dict.fromkeys(taps, True)
    for handle in handles:
        handle.remove()
    for name, tap in taps.items():
        handle = tap.register_forward_hook(lambda tap, given, returned: returned + 0.5)
        changed = not model(tokens).equal(undisturbed)
        handle.remove()
        # A softmax does not see what is added to all scores alike.
        assert changed or name.endswith("kernel.scores"), name
    assert model(tokens).equal(undisturbed)


LAWS: tuple[Callable[[Any], None], ...] = (
    cached_equals_uncached,
    cached_rows_may_have_unequal_lengths,
    no_token_sees_the_future,
    padding_is_invisible,
    packed_documents_do_not_see_each_other,
    written_out_attention_equals_fused,
    gradients_reach_every_parameter,
    one_row_is_read_as_in_a_batch,
    logits_are_the_unembedded_hidden_vectors,
    taps_are_free_and_can_be_watched,
)
"""The laws that need a model and nothing else."""
