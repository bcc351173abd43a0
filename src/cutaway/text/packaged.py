"""Reads the corpora that come with packages from PyPI or with Python itself."""

import gzip
import hashlib
import importlib.util
import io
import pydoc_data.topics
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cutaway.errors import DataError
from cutaway.text import locales, pronunciation, scripture
from cutaway.text.documents import Document, Split, split_of

DIGITS_SIZE = 57_523
DIGITS_HASH = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"

_LEFT_OUT_OF_PYTHON = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
_SHADES = " .:-=+*#%@"


def chapters(version: str, split: Split) -> Iterator[Document]:
    """Yields the chapters of a version of the Bible."""
    for key, text in scripture.chapters(version).items():
        if split_of(key) == split:
            yield Document(text=text, key=key)


def spoken_words(split: Split) -> Iterator[Document]:
    """Yields one line for each word: the word and its phonemes."""
    for word, phonemes in pronunciation.pronunciations().items():
        if split_of(word) == split:
            yield Document(text=f"{word} {' '.join(phonemes)}", key=word)


def local_facts(split: Split) -> Iterator[Document]:
    """Yields one line for each name: `Germany in French: Allemagne`."""
    seen: set[str] = set()
    for locale in locales.locales():
        for kind in locales.KINDS:
            for name in locales.local_names(locale, kind):
                text = f"{name.english} in {name.language}: {name.local}"
                if text not in seen and split_of(text) == split:
                    yield Document(text=text, key=text)
                seen.add(text)


def python_sources(split: Split) -> Iterator[Document]:
    """Yields the modules of the standard library, without tests, and the topics of `help()`."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        key = path.relative_to(root).as_posix()
        if _LEFT_OUT_OF_PYTHON.isdisjoint(key.split("/")) and split_of(key) == split:
            text = path.read_text(encoding="utf-8", errors="replace")
            if text.strip():
                yield Document(text=text, key=key)
    for topic, text in sorted(pydoc_data.topics.topics.items()):
        key = f"help/{topic}"
        if split_of(key) == split:
            yield Document(text=text, key=key)


def digits(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the pictures and what digit each shows."""
    table = _digit_table()
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, 8, 8)
    chosen = np.array([split_of(_picture_key(picture)) == split for picture in pixels])
    return pixels[chosen], table[chosen, -1].astype(np.int64)


def drawn_digits(split: Split) -> Iterator[Document]:
    """Yields the pictures drawn in characters, darker ones for more ink, with the digit below."""
    for picture, label in zip(*digits(split), strict=True):
        rows = ["".join(_SHADES[int(level) * 9 // 16] for level in row) for row in picture]
        yield Document(text="\n".join([*rows, str(label)]), key=_picture_key(picture))


def _picture_key(picture: NDArray[np.uint8]) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def _digit_table() -> NDArray[np.float64]:
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(
            "this corpus is read from the package scikit-learn, which is not installed\n"
            "install it: pip install 'cutaway[corpora]'"
        )
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != DIGITS_HASH:
        raise DataError(f"{path} is not the file that this corpus was measured on")
    return np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",")
