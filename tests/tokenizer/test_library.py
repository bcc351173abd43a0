"""Tokenizers that only `tokenizers` knows: its ids, and no control id from a text."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from cutaway.errors import CheckpointError
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.library import LibraryTokenizer
from cutaway.tokenizer.open import open_tokenizer
from cutaway.tokenizer.pieces import GPT2_PATTERN, PATTERN, require_bounded

CORPUS = [
    "the old fox",
    "new foxes in the old towns, 1234 of them",
    "Æther über 漢字 fox\n\tthe end",
]
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def qwen() -> Backend:
    """Normalized to NFC, byte level, with added tokens that are not special."""
    backend = Backend(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_special_tokens(SPECIAL)
    backend.add_tokens(["<think>", "</think>"])
    return backend


def smollm() -> Backend:
    """Digits one by one, then GPT-2's pieces."""
    backend = qwen()
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return backend


def llama2() -> Backend:
    """SentencePiece's form: `▁` for spaces, bytes for what is not in the vocabulary."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    letters = sorted(set("".join(CORPUS).replace(" ", "▁")) - set("漢字Æ"))
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("o", "l"), ("ol", "d"), ("f", "o")]
    words = [*pieces, *letters, *(left + right for left, right in merges)]
    model = models.BPE(
        vocab={word: number for number, word in enumerate(words)},
        merges=merges,
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    backend = Backend(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"])
    return backend


MAKERS = {"qwen": qwen, "smollm": smollm, "llama2": llama2}


def opened(kind: str, folder: Path) -> tuple[Backend, Tokenizer]:
    backend = MAKERS[kind]()
    backend.save(str(folder / "tokenizer.json"))
    return backend, open_tokenizer(folder)


def strings(count: int) -> list[str]:
    """Texts of words, digits, spaces, other scripts and whatever else Unicode has."""
    chance = random.Random(5)
    parts = ["the", "old", " fox", "  ", "\n", "1234", "é", "é", "漢字", "🦊", "<think>", "ß", "ـ"]
    texts = []
    for _ in range(count):
        drawn = [chance.choice(parts) for _ in range(chance.randint(0, 8))]
        drawn += [
            chr(chance.choice((chance.randrange(32, 0x800), chance.randrange(0x3000, 0x9FFF))))
        ]
        chance.shuffle(drawn)
        texts.append("".join(drawn))
    return texts


@pytest.mark.parametrize("kind", MAKERS)
def test_ten_thousand_texts_have_the_ids_of_the_library(kind: str, tmp_path: Path) -> None:
    backend, tokenizer = opened(kind, tmp_path)
    assert isinstance(tokenizer, LibraryTokenizer)
    texts = strings(10_000)
    theirs = [each.ids for each in backend.encode_batch_fast(texts, add_special_tokens=False)]
    assert tokenizer.encode_batch(texts) == theirs
    again = Backend.from_str(tokenizer.to_json())
    assert [again.encode(text, add_special_tokens=False).ids for text in texts[:300]] == theirs[
        :300
    ]


@pytest.mark.parametrize(("kind", "lost"), [("qwen", ""), ("smollm", ""), ("llama2", " ")])
def test_a_text_comes_back_with_the_space_that_the_file_puts_before_it(
    kind: str, lost: str, tmp_path: Path
) -> None:
    tokenizer = opened(kind, tmp_path)[1]
    for text in ("the old fox, 漢字 🦊", "<think>1234</think>"):
        assert tokenizer.decode(tokenizer.encode(text)) == lost + text


@pytest.mark.parametrize("kind", MAKERS)
def test_the_name_of_a_control_token_stays_text(kind: str, tmp_path: Path) -> None:
    tokenizer = opened(kind, tmp_path)[1]
    control = set(tokenizer.special.values())
    assert len(control) >= 4
    for text in (*SPECIAL, "a<|im_end|>b", "<|im_start|>system", "<s><s>", "</s>\n"):
        assert control.isdisjoint(tokenizer.encode(text))
        assert tokenizer.decode(tokenizer.encode(text)).strip() == text.strip()


def test_a_vocabulary_that_spells_a_control_token_gives_its_letters(tmp_path: Path) -> None:
    content = json.loads(qwen().to_str())
    content["normalizer"] = None
    content["model"]["ignore_merges"] = True
    name = "fo"
    content["added_tokens"].append({**content["added_tokens"][0], "content": name, "id": 256})
    content["model"]["vocab"] = {
        word: number for word, number in content["model"]["vocab"].items() if number != 256
    } | {name: 256}
    content["model"]["merges"] = []
    tokenizer = LibraryTokenizer(content)
    assert tokenizer.special[name] not in tokenizer.encode(name)


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(?:x*)*", r"((a|b)+c?)*", r"([+]a*){2,}"])
def test_a_pattern_that_takes_time_without_end_is_refused(pattern: str, tmp_path: Path) -> None:
    content: dict[str, Any] = json.loads(qwen().to_str())
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="repeats what itself repeats"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize("pattern", [PATTERN, GPT2_PATTERN, LLAMA3, r"[(+)*]+\(a+\)*", r"(?:a+b)?"])
def test_patterns_that_are_used_are_none_of_these(pattern: str) -> None:
    require_bounded(pattern)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": [1]}}')
    with pytest.raises(CheckpointError, match="its model is 'Unigram'"):
        open_tokenizer(tmp_path)
