"""One id for each character: the smallest vocabulary, and the longest sequences."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from cutaway.errors import DataError
from cutaway.tokenizer.base import SPECIAL, Tokenizer
from cutaway.tokenizer.pieces import well_formed
from cutaway.tokenizer.vocabulary import added_tokens

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@final
class CharacterTokenizer(Tokenizer):
    """The characters of an alphabet in the given order, then the control tokens.

    A character outside the alphabet is an error that names it and its position, or is read as
    `unknown`, a character of the alphabet, where one is named.
    """

    def __init__(
        self,
        alphabet: Sequence[str],
        *,
        unknown: str | None = None,
        special: Sequence[str] = SPECIAL,
    ) -> None:
        self._ids = {character: position for position, character in enumerate(alphabet)}
        wrong = [character for character in alphabet if len(character) != 1]
        if wrong or len(self._ids) != len(alphabet):
            raise ValueError(
                f"an alphabet has single characters, each once, not {wrong or alphabet!r}"
            )
        if unknown is not None and unknown not in self._ids:
            raise ValueError(f"`unknown` is {unknown!r}, which is not in the alphabet")
        super().__init__(
            tokens=[character.encode() for character in alphabet] + [b""] * len(special),
            special={name: len(alphabet) + position for position, name in enumerate(special)},
        )
        self._unknown = unknown

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The characters in the order of their ids."""
        return tuple(self._ids)

    def encode(self, text: str) -> list[int]:
        text = well_formed(text)
        if self._unknown is not None:
            otherwise = self._ids[self._unknown]
            return [self._ids.get(character, otherwise) for character in text]
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            raise self._unknown_character(text) from None

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def to_json(self) -> str:
        content = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added_tokens(self.special),
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": _ONE_CHARACTER},
                "behavior": "Isolated",
                "invert": False,
            },
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {
                "type": "WordLevel",
                "vocab": self._ids,
                "unk_token": self._unknown or _NO_UNKNOWN,
            },
        }
        return json.dumps(content, ensure_ascii=False)

    def _unknown_character(self, text: str) -> DataError:
        position = next(i for i, character in enumerate(text) if character not in self._ids)
        line = text.count("\n", 0, position) + 1
        return DataError(
            f"The character {text[position]!r} (U+{ord(text[position]):04X}) at position "
            f"{position}, line {line}, is not in the alphabet of {len(self._ids)} characters.\n"
            "Train the tokenizer on text that has it, or use byte pairs, which read any text."
        )


_ONE_CHARACTER = r"[\s\S]"
_NO_UNKNOWN = ""  # `tokenizers` wants the name of a token here; this one is never in the vocabulary


def train(
    texts: Iterable[str], *, unknown: str | None = None, special: Sequence[str] = SPECIAL
) -> CharacterTokenizer:
    """The characters of the texts and `unknown`, sorted (nanoGPT's 65 of Shakespeare)."""
    alphabet = {character for text in texts for character in set(well_formed(text))}
    if unknown is not None:
        alphabet.add(unknown)
    return CharacterTokenizer(sorted(alphabet), unknown=unknown, special=special)


def from_file(content: Mapping[str, Any]) -> CharacterTokenizer:
    """What a tokenizer.json of this kind says; ValueError, KeyError or TypeError if another."""
    pattern = content["pre_tokenizer"]["pattern"]["Regex"]
    if pattern != _ONE_CHARACTER:
        raise ValueError(f"a word-level vocabulary whose pattern {pattern!r} is not one character")
    ids: dict[str, int] = content["model"]["vocab"]
    alphabet = sorted(ids, key=lambda character: ids[character])
    special = sorted(content["added_tokens"], key=lambda token: token["id"])
    if [*ids.values(), *(token["id"] for token in special)] != list(range(len(ids) + len(special))):
        raise ValueError("ids that do not count from 0 without a gap")
    return CharacterTokenizer(
        alphabet,
        unknown=content["model"].get("unk_token") or None,
        special=[token["content"] for token in special],
    )
