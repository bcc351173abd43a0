"""Toy decoders, one for each architecture of the catalog, for the tests of inference."""

from typing import Any

import torch
from torch import nn

from cutaway.models.catalog import build
from cutaway.tokenizer.characters import CharacterTokenizer

TOY: dict[str, dict[str, Any]] = {
    "gpt": {
        "architecture": "gpt",
        "vocab_size": 40,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "window": 5,
    },
    "llama": {
        "architecture": "llama",
        "vocab_size": 40,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "hidden_width": 24,
        "window": 6,
    },
    "speedrun": {
        "architecture": "speedrun",
        "vocab_size": 40,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "pair_rows": 50,
        "triple_rows": 70,
        "table_width": 8,
    },
}
LETTERS = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz,.!? '-:")


def toy(name: str, **sizes: Any) -> Any:
    """A toy decoder whose weights are large enough for its texts to differ."""
    decoder = build(TOY[name] | sizes, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    for weight in decoder.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.4, generator=generator)
    return decoder.eval()
