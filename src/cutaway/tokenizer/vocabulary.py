"""The vocabulary of a byte-pair encoding, and its files: tokenizer.json and GPT-2's own two."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cutaway.errors import CheckpointError
from cutaway.tokenizer.base import END_OF_TEXT
from cutaway.tokenizer.pieces import GPT2_PATTERN, require_bounded

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_ORDER = [*_PRINTABLE, *(byte for byte in range(256) if byte not in set(_PRINTABLE))]
"""The 256 bytes in the order of their ids in GPT-2's vocabulary, and in every one trained here."""

BYTE_TO_CHARACTER = {
    byte: chr(byte) if position < len(_PRINTABLE) else chr(256 + position - len(_PRINTABLE))
    for position, byte in enumerate(BYTE_ORDER)
}
"""How files write a byte: as itself where it can be seen, else as a character from U+0100 on."""

GPT2_FILES = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
"""Names of the two files of GPT-2's own format: ids and merges."""

_CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}


@dataclass(frozen=True, kw_only=True)
class BytePairVocabulary:
    """Tokens, the merges that make them, the pattern that cuts text before, and control tokens."""

    tokens: Mapping[bytes, int]
    """The id of each token; all 256 bytes are among them."""
    merges: Sequence[tuple[bytes, bytes]]
    """The pairs that are joined, in order of priority; each joined pair is a token."""
    pattern: str
    """The regular expression whose matches are merged separately."""
    special: Mapping[str, int] = field(default_factory=dict)
    """The id of each control token, by name."""
    whole_pieces_first: bool = False
    """Whether a piece that is a token is taken as it is, without merges (`ignore_merges`)."""

    def __post_init__(self) -> None:
        missing = [byte for byte in range(256) if bytes([byte]) not in self.tokens]
        if missing:
            raise ValueError(
                f"{len(missing)} of the 256 bytes have no token, first {missing[0]:#04x}"
            )
        for rank, (left, right) in enumerate(self.merges):
            if not (left in self.tokens and right in self.tokens and left + right in self.tokens):
                raise ValueError(f"merge {rank} of {left!r} and {right!r} names what is no token")
        ids = [*self.tokens.values(), *self.special.values()]
        if min(ids) < 0 or max(ids) > 2 * len(ids) + 1024:
            raise ValueError(f"ids from {min(ids)} to {max(ids)} for {len(ids)} tokens")
        if len(set(ids)) != len(ids):
            raise ValueError("two tokens have the same id")

    def by_id(self) -> list[bytes]:
        """The bytes of each id; nothing for control tokens and for ids that are not used."""
        listed = [b""] * (1 + max([*self.tokens.values(), *self.special.values()]))
        for token, token_id in self.tokens.items():
            listed[token_id] = token
        return listed


def dense_vocabulary(
    merges: Sequence[tuple[bytes, bytes]], *, pattern: str, special: Iterable[str]
) -> BytePairVocabulary:
    """The usual numbering: the 256 bytes, then what each merge makes, then the control tokens."""
    tokens = {bytes([byte]): position for position, byte in enumerate(BYTE_ORDER)}
    for left, right in merges:
        tokens[left + right] = len(tokens)
    names = {name: len(tokens) + position for position, name in enumerate(special)}
    return BytePairVocabulary(tokens=tokens, merges=merges, pattern=pattern, special=names)


def to_characters(token: bytes) -> str:
    """A token as the file formats write it."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in token)


def from_characters(written: str) -> bytes:
    """The token that the file formats write so; KeyError where it is no byte-level token."""
    return bytes(_CHARACTER_TO_BYTE[character] for character in written)


def to_file(vocabulary: BytePairVocabulary) -> dict[str, Any]:
    """The content of tokenizer.json."""
    by_id = sorted(vocabulary.tokens.items(), key=lambda item: item[1])
    split = {
        "type": "Split",
        "pattern": {"Regex": vocabulary.pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(vocabulary.special),
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, {**byte_level, "use_regex": False}],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": vocabulary.whole_pieces_first,
            "vocab": {to_characters(token): token_id for token, token_id in by_id},
            "merges": [[to_characters(a), to_characters(b)] for a, b in vocabulary.merges],
        },
    }


def added_tokens(special: Mapping[str, int]) -> list[dict[str, Any]]:
    """The control tokens as tokenizer.json lists them."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": token_id, "content": name, **flags, "special": True}
        for name, token_id in sorted(special.items(), key=lambda item: item[1])
    ]


def is_plain(content: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json has byte-level byte pairs and no step that `from_file` refuses."""
    model, added = content["model"], content.get("added_tokens") or []
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    steps = content.get("pre_tokenizer") or {}
    kinds = [step.get("type") for step in steps.get("pretokenizers") or [steps]]
    return (
        model["type"] == "BPE"
        and not content.get("normalizer")
        and not any(model.get(key) for key in odd)
        and kinds in (["ByteLevel"], ["Split", "ByteLevel"])
        and all(token["special"] and not token.get("rstrip") for token in added)
    )


def from_file(content: Mapping[str, Any]) -> BytePairVocabulary:
    """What a tokenizer.json of this kind says; ValueError, KeyError or TypeError if another."""
    model = content["model"]
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise ValueError(f"`model.{key}` is {model[key]!r}, which is not supported")
    if content.get("normalizer"):
        kind = content["normalizer"].get("type")
        raise ValueError(f"its normalizer {kind!r} is not supported")
    special = {token["content"]: int(token["id"]) for token in content.get("added_tokens") or []}
    tokens = {
        from_characters(written): int(token_id)
        for written, token_id in model["vocab"].items()
        if written not in special
    }
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
    return BytePairVocabulary(
        tokens=tokens,
        merges=[(from_characters(left), from_characters(right)) for left, right in pairs],
        pattern=_pattern_of(content.get("pre_tokenizer") or {}),
        special=special,
        whole_pieces_first=bool(model.get("ignore_merges")),
    )


def read_gpt2(folder: Path) -> BytePairVocabulary:
    """GPT-2's own format: ids, and merges below a line of version.

    OpenAI calls the files `encoder.json` and `vocab.bpe`, others `vocab.json` and `merges.txt`.
    """
    found = (pair for pair in GPT2_FILES if (folder / pair[1]).is_file())
    ids, merges = next(found, GPT2_FILES[0])
    try:
        written = json.loads((folder / ids).read_text(encoding="utf-8"))
        lines = (folder / merges).read_text(encoding="utf-8").split("\n")[1:]
        special = {END_OF_TEXT: int(written.pop(END_OF_TEXT))}
        pairs = [line.split(" ") for line in lines if line]
        return BytePairVocabulary(
            tokens={from_characters(token): int(token_id) for token, token_id in written.items()},
            merges=[(from_characters(left), from_characters(right)) for left, right in pairs],
            pattern=GPT2_PATTERN,
            special=special,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}: {ids} and {merges} are not in GPT-2's format: {error!r}.\n"
            "Give a folder with both, as OpenAI published them."
        ) from error


def _pattern_of(pre_tokenizer: Mapping[str, Any]) -> str:
    """The pattern of a byte-level pre-tokenizer: its own, or GPT-2's where it says `use_regex`."""
    steps = list(pre_tokenizer.get("pretokenizers") or [pre_tokenizer])
    last = steps.pop()
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space"):
        raise ValueError(f"its pre-tokenizer {last.get('type')!r} is not a plain ByteLevel")
    if last.get("use_regex", True) and not steps:
        return GPT2_PATTERN
    if len(steps) == 1 and steps[0].get("type") == "Split" and not last.get("use_regex", True):
        if steps[0].get("behavior") != "Isolated" or steps[0].get("invert"):
            raise ValueError("its pre-tokenizer does not isolate the matches of its pattern")
        pattern = str(steps[0]["pattern"]["Regex"])
        require_bounded(pattern)
        return pattern
    raise ValueError("its pre-tokenizer has more than one pattern")
