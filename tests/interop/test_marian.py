"""Marian of `transformers`: the same logits and the same greedy text, both ways."""

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.errors import CheckpointError, UsageError
from cutaway.inference.beam import BeamSearch, best_targets
from cutaway.interop.huggingface.configs import settings_from
from cutaway.interop.huggingface.folder import write_folder
from cutaway.interop.open import open_pair_model
from cutaway.models.transformer import Transformer, TransformerConfig
from cutaway.stages import generate, import_
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.stages.conftest import Listener

LETTERS = CharacterTokenizer(string.printable)
END = LETTERS.begin_id
IDS: dict[str, Any] = {
    "decoder_start_token_id": END,
    "eos_token_id": END,
    "pad_token_id": END + 1,
    "forced_eos_token_id": None,
}
THEIRS: dict[str, Any] = {
    "vocab_size": LETTERS.vocab_size,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 32,
    "scale_embedding": True,
}
OURS: dict[str, Any] = {
    "vocab_size": LETTERS.vocab_size,
    "context_length": 32,
    "width": 24,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_width": 40,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "swish, as their published models": {"activation_function": "swish"},
    "relu, as the paper": {"activation_function": "relu"},
    "what is left out: gelu": {},
    "a deeper encoder": {"encoder_layers": 3, "decoder_layers": 1},
}


def disturb(model: nn.Module) -> None:
    """Adds noise to every weight but the sinusoids, so that none is zero or one."""
    generator = torch.Generator().manual_seed(1)
    tensors = [*model.named_parameters(), *model.named_buffers()]
    with torch.no_grad():
        for name, weight in tensors:
            if not name.endswith(("embed_positions.weight", "position.table")):
                weight.add_(0.2 * torch.randn(weight.shape, generator=generator))


def our_model(**rest: Any) -> Transformer:
    model = Transformer(TransformerConfig(**(OURS | rest)))
    disturb(model)
    return model.eval()


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Sources of three lengths, where they are texts, and targets."""
    generator = torch.Generator().manual_seed(2)
    source = torch.randint(END, (3, 11), generator=generator)
    inside = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
    return source, inside, torch.randint(END, (3, 7), generator=generator)


def ours_greedily(model: Any, source: Sequence[int]) -> list[int]:
    search = BeamSearch(beams=1, length_penalty=0.6, max_tokens=12)
    found = best_targets(model, [list(source)], search=search, begin_id=END, end_id=END)
    return list(found[0].ids)


def theirs_greedily(model: Any, source: Sequence[int]) -> list[int]:
    ids = torch.tensor([list(source)])
    written = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        num_beams=1,
        max_new_tokens=12,
    )
    ids = written[0, 1:].tolist()
    return ids[: ids.index(END)] if END in ids else ids


def require_equal(ours: Any, theirs: Any) -> None:
    source, inside, tokens = drawn()
    with torch.no_grad():
        expected = theirs(input_ids=source, attention_mask=inside, decoder_input_ids=tokens).logits
        found = ours(source, tokens, source_documents=inside)
    assert (found - expected).abs().max() < 1e-4
    for text in ("the old fox asks", "who?", "Newer towns, 1234 of them"):
        source_ids = [*LETTERS.encode(text), END]
        assert ours_greedily(ours, source_ids) == theirs_greedily(theirs, source_ids)


@pytest.mark.peer
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_gives_their_logits_and_their_text(variant: str, tmp_path: Path) -> None:
    import transformers

    config = transformers.MarianConfig(**(THEIRS | VARIANTS[variant]), **IDS)
    theirs = transformers.MarianMTModel(config).eval()
    disturb(theirs)
    theirs.save_pretrained(tmp_path)
    LETTERS.save(tmp_path)
    require_equal(open_pair_model(tmp_path).model, theirs)


@pytest.mark.peer
@pytest.mark.parametrize(
    "rest", [{"activation": "relu"}, {"activation": "silu", "logits_bias": True}]
)
def test_what_we_write_is_opened_there_with_the_same_logits_and_text(
    rest: dict[str, Any], tmp_path: Path
) -> None:
    import transformers

    model = our_model(**rest)
    write_folder(tmp_path / "out", model=model, tokenizer=LETTERS, dtype=torch.float32)
    found = transformers.AutoModelForSeq2SeqLM.from_pretrained(str(tmp_path / "out"))
    assert type(found) is transformers.MarianMTModel
    require_equal(model, found.eval())


def test_a_model_that_was_written_is_the_same_when_it_is_opened(tmp_path: Path) -> None:
    model = our_model()
    write_folder(tmp_path / "out", model=model, tokenizer=LETTERS, dtype=torch.float32)
    again = open_pair_model(tmp_path / "out")
    own = model.state_dict()
    for name, weight in again.model.state_dict().items():  # type: ignore[attr-defined]
        expected = own.get(name, torch.zeros(LETTERS.vocab_size))  # their bias, which ours lacks
        assert torch.equal(weight, expected), name
    assert again.tokenizer.to_json() == LETTERS.to_json()


def test_a_folder_becomes_a_run_that_writes_as_the_folder_does(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", model=our_model(), tokenizer=LETTERS, dtype=torch.float32)
    console = Listener()
    import_.run(import_.Config(path=tmp_path / "out", run=tmp_path / "run"), console=console)
    texts = [
        generate.run(generate.Config(model=path, prompt="fox", max_tokens=9), console=console).text
        for path in (tmp_path / "out", tmp_path / "run")
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scale_embedding": False}, "scale_embedding"),
        ({"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_embeddings"),
        ({"decoder_ffn_dim": 48}, "decoder_ffn_dim"),
        ({"decoder_attention_heads": 2}, "decoder_attention_heads"),
        ({"d_model": 25}, "d_model"),
        ({"decoder_start_token_id": END + 1}, "decoder_start_token_id"),
        ({"architectures": ["MarianForCausalLM"]}, "architectures"),
        ({"auto_map": {"AutoModel": "x.y"}}, "auto_map"),
    ],
)
def test_what_changes_the_arithmetic_and_is_not_ours_is_refused(
    given: dict[str, Any], told: str
) -> None:
    config = {"model_type": "marian", **THEIRS, **IDS}
    assert settings_from(config, place="x")["architecture"] == "transformer"
    with pytest.raises(CheckpointError, match=told):
        settings_from(json.loads(json.dumps(config | given)), place="x")


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ({"norm_placement": "pre"}, "norm_placement=pre"),
        ({"tied": False}, "tied=False"),
        ({"norm_epsilon": 0.1}, "norm_epsilon=0.1"),
        ({"width": 25, "num_heads": 5}, "width=25"),
    ],
)
def test_what_their_class_does_not_compute_is_not_exported(
    rest: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        write_folder(
            tmp_path / "out", model=our_model(**rest), tokenizer=LETTERS, dtype=torch.float32
        )
