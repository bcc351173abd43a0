"""What a tokenizer makes of text: tokens per word, bytes per token, its longest tokens."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cutaway.tokenizer.base import Tokenizer

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
"""What stands between spaces; in scripts without spaces, such as Chinese, each character."""


@dataclass(frozen=True, kw_only=True)
class TextFigures:
    """What the tokenizer makes of one kind of text."""

    name: str
    """The corpus, the user's folder, or the language."""
    num_bytes: int
    """Bytes that were measured, as UTF-8."""
    num_words: int
    """Words in them: what stands between spaces; in Chinese and its like each character."""
    num_tokens: int
    """Tokens that they become."""
    bytes_per_token: float
    """Mean bytes of a token: the more, the shorter the sequences."""
    tokens_per_word: float
    """Mean tokens of a word: the nearer to 1, the better the vocabulary knows the language."""


@dataclass(frozen=True, kw_only=True)
class TokenizerReport:
    """A tokenizer in figures."""

    vocab_size: int
    """Tokens, control tokens included."""
    texts: tuple[TextFigures, ...]
    """One for each kind of text."""
    num_unused: int
    """Tokens that none of the measured texts needed."""
    longest: tuple[str, ...]
    """The longest tokens, longest first."""


def measure(
    tokenizer: Tokenizer, texts: Mapping[str, Iterable[str]], *, num_longest: int = 20
) -> TokenizerReport:
    """Encodes the texts of each kind and counts."""
    used: set[int] = set()
    figures = []
    for name, samples in texts.items():
        num_bytes = num_words = num_tokens = 0
        for text in samples:
            ids = tokenizer.encode(text)
            used.update(ids)
            num_bytes += len(text.encode(errors="replace"))
            num_words += sum(1 for _ in _WORD.finditer(text))
            num_tokens += len(ids)
        figures.append(
            TextFigures(
                name=name,
                num_bytes=num_bytes,
                num_words=num_words,
                num_tokens=num_tokens,
                bytes_per_token=num_bytes / max(1, num_tokens),
                tokens_per_word=num_tokens / max(1, num_words),
            )
        )
    return TokenizerReport(
        vocab_size=tokenizer.vocab_size,
        texts=tuple(figures),
        num_unused=tokenizer.vocab_size - len(used | set(tokenizer.special.values())),
        longest=longest_tokens(tokenizer, count=num_longest),
    )


def longest_tokens(tokenizer: Tokenizer, *, count: int) -> tuple[str, ...]:
    """The longest tokens in characters, of equally long ones the older first."""
    texts = [visible(tokenizer, token_id) for token_id in range(tokenizer.vocab_size)]
    words = [text for id_, text in enumerate(texts) if id_ not in tokenizer.special.values()]
    return tuple(sorted(words, key=len, reverse=True)[:count])


def visible(tokenizer: Tokenizer, token_id: int) -> str:
    """A token as it can be shown: space as `·`, line end as `⏎`, part of a character as hex."""
    for name, special_id in tokenizer.special.items():
        if token_id == special_id:
            return name
    token = tokenizer.token_bytes(token_id)
    return "".join(map(_shown, token.decode("utf-8", errors="surrogateescape")))


def _shown(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if not character.isprintable():
        return f"\\u{{{ord(character):x}}}"
    return character


_SIGNS = {" ": "·", "\n": "⏎", "\t": "⇥"}
