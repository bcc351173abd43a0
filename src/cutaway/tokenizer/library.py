"""Any tokenizer.json whose steps only `tokenizers` knows: normalizers, `▁` for spaces, word pieces.

Its ids are those of the library, with one difference: the name of a control token in a text stays
text. Tokens that are added but not special, such as `<think>`, are found in a text as everywhere.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

from tokenizers import Tokenizer as Backend

from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.pieces import require_bounded, well_formed
from cutaway.tokenizer.vocabulary import from_characters

KINDS = ("BPE", "WordPiece")

MOST_TOKENS = 2**21

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""How vocabularies of SentencePiece write a space."""


@final
class LibraryTokenizer(Tokenizer):
    """Encodes through `tokenizers`; `content` is what tokenizer.json holds.

    Where the file puts a space before every text (SentencePiece), decoding gives it back.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        model = content["model"]
        if model["type"] not in KINDS or not model["vocab"]:
            raise ValueError(
                f"its model is {model['type']!r}, neither 'BPE' nor 'WordPiece', or empty"
            )
        if model.get("dropout"):
            raise ValueError("it drops merges at random (`model.dropout`)")
        for step in _steps([content.get("normalizer"), content.get("pre_tokenizer")]):
            pattern = step.get("pattern")
            if isinstance(pattern, dict) and "Regex" in pattern:
                require_bounded(str(pattern["Regex"]))
        bare = {**content, "truncation": None, "padding": None, "post_processor": None}
        try:
            self._backend = Backend.from_str(json.dumps(bare))
        except Exception as error:  # the library has no narrower class
            raise ValueError(f"`tokenizers` cannot read it: {error}") from error
        self._backend.encode_special_tokens = True
        self._content = content
        added = {each["content"]: each["special"] for each in content.get("added_tokens") or []}
        # What stands for the unknown comes from texts, so it is no control token.
        control = {name for name, special in added.items() if special} - {model.get("unk_token")}
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        super().__init__(
            tokens=_listed(vocabulary, spelled=_Spelling(content, added=frozenset(added))),
            special={name: vocabulary[name] for name in control},
        )
        for name in control:
            self._tokens[vocabulary[name]] = b""
        self._control = frozenset(self.special.values())

    def encode(self, text: str) -> list[int]:
        return self._from_text(
            self._backend.encode(well_formed(text), add_special_tokens=False).ids, text
        )

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._backend.encode_batch_fast(
            [well_formed(text) for text in texts], add_special_tokens=False
        )
        return [
            self._from_text(encoding.ids, text)
            for encoding, text in zip(encodings, texts, strict=True)
        ]

    def to_json(self) -> str:
        return json.dumps(self._content, ensure_ascii=False)

    def _from_text(self, ids: list[int], text: str) -> list[int]:
        """The ids; where a vocabulary lets a text become a control token, letter by letter."""
        if self._control.isdisjoint(ids):
            return ids
        letters = self._backend.encode_batch_fast(list(well_formed(text)), add_special_tokens=False)
        return [each for letter in letters for each in letter.ids if each not in self._control]


class _Spelling:
    """The bytes that a token of a file stands for."""

    def __init__(self, content: Mapping[str, Any], *, added: frozenset[str]) -> None:
        self._added = added
        steps = _steps([content.get("pre_tokenizer"), content.get("decoder")])
        self._is_byte_level = any(step.get("type") == "ByteLevel" for step in steps)
        model = content["model"]
        self._has_words = model["type"] == "WordPiece"
        self._inner = model.get("continuing_subword_prefix") or "##"
        self._has_bytes = bool(model.get("byte_fallback"))

    def __call__(self, token: str) -> bytes:
        if token in self._added:
            return token.encode()
        if self._is_byte_level:
            try:
                return from_characters(token)
            except KeyError:
                return token.encode()
        if self._has_words:
            is_inner = token.startswith(self._inner)
            return token[len(self._inner) :].encode() if is_inner else f" {token}".encode()
        if self._has_bytes and len(token) == 6 and token.startswith("<0x") and token[5] == ">":
            return bytes([int(token[3:5], 16)])
        return token.replace(SPACE, " ").encode()


def _listed(vocabulary: Mapping[str, int], *, spelled: _Spelling) -> list[bytes]:
    largest = max(vocabulary.values())
    if largest >= min(MOST_TOKENS, 2 * len(vocabulary) + 1024):
        raise ValueError(f"ids up to {largest} for {len(vocabulary)} tokens")
    listed = [b""] * (largest + 1)
    for token, token_id in vocabulary.items():
        listed[token_id] = spelled(token)
    return listed


def _steps(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every step of a normalizer, a pre-tokenizer or a decoder, those in sequences too."""
    if isinstance(tree, list):
        for each in tree:
            yield from _steps(each)
    elif isinstance(tree, dict):
        yield tree
        for key in ("normalizers", "pretokenizers", "decoders"):
            yield from _steps(tree.get(key))
