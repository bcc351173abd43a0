"""What the tests of this folder share: small texts of several kinds, and the tokenizers of them."""

import argparse
import os
from pathlib import Path

import pytest

from cutaway.tokenizer import fast
from cutaway.tokenizer.open import open_tokenizer

ENGLISH = (
    "At the first God made the heaven and the earth. And the earth was waste and without form; "
    "and it was dark on the face of the deep: and the Spirit of God was moving on the face of the "
    "waters. “Don't go,” she said, “it isn't the children's hour yet.”\n\nIn 1969 it took 3 days.\n"
)
CHINESE = (
    "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。\n白日依山盡，黃河入海流。欲窮千里目，更上一層樓。\n"
    "春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。\n"
)
OTHERS = (
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n"
    "नमस्ते दुनिया। مرحبا بالعالم، كيف حالك؟ שלום עולם! สวัสดีชาวโลก\n"
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 ﬁn\u00a0x\u3000y\u2028z\x85\n"
)


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    code = Path(argparse.__file__).read_text(encoding="utf-8")
    return [ENGLISH * 5, CHINESE * 5, OTHERS * 3, *code[:60_000].split("\n\n")]


@pytest.fixture(scope="session")
def tokenizer(corpus: list[str]) -> fast.BytePairTokenizer:
    return fast.train(corpus, vocab_size=1024)


@pytest.fixture(scope="session")
def gpt2_folder() -> Path:
    if "CUTAWAY_DATA" not in os.environ:
        pytest.skip("CUTAWAY_DATA does not name the folder that has GPT-2's vocabulary")
    return Path(os.environ["CUTAWAY_DATA"]) / "gpt2-bpe"


@pytest.fixture(scope="session")
def gpt2(gpt2_folder: Path) -> fast.BytePairTokenizer:
    opened = open_tokenizer(gpt2_folder)
    assert isinstance(opened, fast.BytePairTokenizer)
    return opened


@pytest.fixture(scope="session", params=["ours", "gpt2"])
def any_tokenizer(request: pytest.FixtureRequest) -> fast.BytePairTokenizer:
    """One that was trained here, and one with GPT-2's own merges."""
    name = {"ours": "tokenizer", "gpt2": "gpt2"}[request.param]
    found = request.getfixturevalue(name)
    assert isinstance(found, fast.BytePairTokenizer)
    return found
