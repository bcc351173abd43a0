"""The Transformer gives the vectors of torch's own modules with the same weights."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import pair_laws
from tests.laws import ids, same

NAMES = {"transformer": False, "transformer with norms before": True}


def copy_attention(ours: Any, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.query_projection, ours.key_projection, ours.value_projection)
    assert theirs.in_proj_weight is not None
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.output_projection.state_dict())


def copy_rest(ours: Any, theirs: Any, norms: tuple[Any, ...]) -> None:
    theirs.linear1.load_state_dict(ours.feedforward.up.state_dict())
    theirs.linear2.load_state_dict(ours.feedforward.down.state_dict())
    for number, norm in enumerate(norms, start=1):
        getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())


@torch.no_grad()
def torch_modules(model: Any, *, norm_first: bool) -> tuple[nn.Module, nn.Module]:
    """Torch's encoder and decoder with the weights of ours."""
    sizes: dict[str, Any] = {
        "d_model": 16,
        "nhead": 2,
        "dim_feedforward": 64,
        "dropout": 0.0,
        "batch_first": True,
        "norm_first": norm_first,
    }
    norms = [nn.LayerNorm(16) if norm_first else None for _ in range(2)]
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**sizes),
        len(model.encoder.blocks),
        norm=norms[0],
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(**sizes), len(model.stack.blocks), norm=norms[1]
    )
    for ours, theirs in zip(model.encoder.blocks, encoder.layers, strict=True):
        copy_attention(ours.attention, theirs.self_attn)
        copy_rest(ours, theirs, (ours.attention_norm, ours.feedforward_norm))
    for ours, theirs in zip(model.stack.blocks, decoder.layers, strict=True):
        copy_attention(ours.attention, theirs.self_attn)
        copy_attention(ours.cross_attention, theirs.multihead_attn)
        copy_rest(ours, theirs, (ours.attention_norm, ours.cross_norm, ours.feedforward_norm))
    for stack, norm in zip((model.encoder, model.stack), norms, strict=True):
        if norm is not None:
            norm.load_state_dict(stack.norm.state_dict())
    return encoder.eval(), decoder.eval()


def embedded(model: Any, table: nn.Embedding, tokens: Tensor) -> Tensor:
    """Section 3.4 and 3.5, written out."""
    place = torch.arange(tokens.shape[1])[:, None]
    angle = place / 10_000 ** (torch.arange(0, 16, 2) / 16)
    sinusoids = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return table(tokens) * 16**0.5 + sinusoids


@pytest.mark.parametrize("name", NAMES)
def test_encoder_and_decoder_are_those_of_torch(name: str) -> None:
    model: Any = pair_laws.toy(name)
    encoder, decoder = torch_modules(model, norm_first=NAMES[name])
    source, tokens = ids(3, 9), ids(3, 12, seed=4)
    documents = (torch.arange(9) < torch.tensor([9, 4, 1])[:, None]).long()
    hidden = documents == 0
    causal = nn.Transformer.generate_square_subsequent_mask(12)
    with torch.inference_mode():
        memory = encoder(embedded(model, model.embedding, source), src_key_padding_mask=hidden)
        expected = decoder(
            embedded(model, model.target_embedding, tokens),
            memory,
            tgt_mask=causal,
            tgt_is_causal=True,
            memory_key_padding_mask=hidden,
        )
        ours = model.encode(source, documents=documents)
        found = model.hidden(tokens, ours)
    read = documents > 0
    same(ours.vectors[read], memory[read])
    same(found, expected)


def test_one_matrix_embeds_and_unembeds_where_they_are_tied() -> None:
    model: Any = pair_laws.toy("transformer")
    assert model.embedding.weight is model.target_embedding.weight
    assert model.embedding.weight is model.unembedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "unembedding.weight" not in names
