"""Opens BERT and what was made of it, such as MiniLM: a folder in, vectors of texts out."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.errors import CheckpointError
from cutaway.interop.building import check_sizes
from cutaway.interop.huggingface.configs import ACTIVATIONS, Given, refuse_code
from cutaway.interop.huggingface.customs import read_table
from cutaway.interop.huggingface.folder import (
    CONFIG,
    fill,
    is_huggingface,
    read_file,
    require_tensors,
    tokenizer_of,
    weight_files,
)
from cutaway.models.bert import Bert, BertConfig, mean_vectors
from cutaway.tokenizer.base import Tokenizer

FIRST, SEPARATOR = "[CLS]", "[SEP]"
"""What stands before and behind each text."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder that is ready to be used."""

    model: Bert
    tokenizer: Tokenizer

    def around(self, ids: Sequence[int]) -> list[int]:
        """The ids of a text with the two tokens that stand around it."""
        return [self.tokenizer.special[FIRST], *ids, self.tokenizer.special[SEPARATOR]]

    @torch.inference_mode()
    def read(self, rows: Sequence[Sequence[int]]) -> Float[Tensor, "B D"]:
        """A vector of length 1 for each row of ids, the mean over its tokens."""
        lengths = torch.tensor([len(row) for row in rows])
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True
        )
        documents = (torch.arange(tokens.shape[1]) < lengths[:, None]).long()
        device = self.model.embedding.weight.device
        tokens, documents = tokens.to(device), documents.to(device)
        return mean_vectors(self.model(tokens, documents=documents), documents=documents)

    def vectors(self, texts: Sequence[str], *, most_tokens: int) -> Float[Tensor, "B D"]:
        """A vector for each text; a longer text is cut.

        Args:
            texts: what is read, together.
            most_tokens: how many tokens of a text are read, the two around it included.
        """
        most_tokens = min(most_tokens, self.model.config.context_length)
        all_ids = self.tokenizer.encode_batch(texts)
        return self.read([self.around(ids[: most_tokens - 2]) for ids in all_ids])


def is_encoder(path: Path) -> bool:
    """Whether a folder is one that `open_encoder` is for."""
    if not is_huggingface(path):
        return False
    found = read_table(lambda name: read_file(path, name), CONFIG, place=str(path))
    return found.get("model_type") == "bert"


def open_encoder(path: Path) -> Encoder:
    """The encoder of a folder of type `bert`; heads that stand on it are left.

    Raises:
        CheckpointError: of another kind, damaged, or meant to run code.
    """
    found = read_table(lambda name: read_file(path, name), CONFIG, place=str(path))
    place = str(path / CONFIG)
    config = config_from(found, place=place)
    check_sizes(dataclasses.asdict(config), place=place)
    with torch.device("meta"):
        shapes = Bert(config)
    files = weight_files(path)
    require_tensors(shapes, files)
    model = Bert(config).eval()
    fill(model, files)
    tokenizer = tokenizer_of(path, model)
    missing = [name for name in (FIRST, SEPARATOR) if name not in tokenizer.special]
    if missing:
        raise CheckpointError(f"{path}: its tokenizer has no {' and no '.join(missing)}")
    return Encoder(model=model, tokenizer=tokenizer)


def config_from(found: Mapping[str, Any], *, place: str) -> BertConfig:
    """The sizes in a config; what a key left out means is what it means to `transformers`.

    Raises:
        CheckpointError: another type, or an option that we do not have.
    """
    refuse_code(found, place=place)
    if found.get("model_type") != "bert":
        raise CheckpointError(
            f"{place}: an encoder of type {str(found.get('model_type'))[:80]!r}; allowed is 'bert'"
        )
    given = Given(values=found, place=place)
    given.require("position_embedding_type", "absolute")
    given.require("is_decoder", False)
    given.require("add_cross_attention", False)
    try:
        return BertConfig(
            vocab_size=given.size("vocab_size", 30_522),
            context_length=given.size("max_position_embeddings", 512),
            width=given.size("hidden_size", 768),
            num_layers=given.size("num_hidden_layers", 12),
            num_heads=given.size("num_attention_heads", 12),
            hidden_width=given.size("intermediate_size", 3072),
            num_segments=given.size("type_vocab_size", 2),
            activation=given.word("hidden_act", ACTIVATIONS, "gelu"),  # type: ignore[arg-type]
            norm_epsilon=given.number("layer_norm_eps", 1e-12),
            dropout=given.number("hidden_dropout_prob", 0.1),
        )
    except ValueError as error:
        raise CheckpointError(f"{place}: {error}") from error
