"""What every tokenizer promises: text in, ids out, the same text back, no control id from text."""

import codecs
import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from cutaway.durable import machine_errors, write_file
from cutaway.errors import CheckpointError

END_OF_TEXT, PADDING = "<|endoftext|>", "<|padding|>"
SYSTEM, USER, ASSISTANT, END = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (END_OF_TEXT, PADDING, SYSTEM, USER, ASSISTANT, END)
"""The control tokens, in the order in which they stand at the end of a vocabulary."""

FILE_NAME = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class Customs:
    """What the model that reads the ids expects around the texts."""

    begin_id: int | None
    """The id before each text that the model learned from; None: there is none."""
    prompts_begin: bool = True
    """Whether a prompt begins with it, too."""
    stop_ids: frozenset[int]
    """The ids that end a text or an answer."""
    template: str | None = None
    """How an imported model writes conversations, in Jinja; None: as `chat.py` does."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What the template calls control tokens, such as `bos_token`, with their names."""


class Tokenizer(ABC):
    """A vocabulary, with the way from text to its ids; the way back is the same for all.

    `special` maps the name of each control token to its id. These ids are put between texts by code
    that means it (`chat.py`, the writers of shards). `encode` never returns one, whatever the text.
    """

    def __init__(self, *, tokens: Sequence[bytes], special: Mapping[str, int]) -> None:
        self._tokens = list(tokens)
        self._names = {id_: name for name, id_ in special.items()}
        self.special: dict[str, int] = dict(special)
        self.vocab_size = len(self._tokens)
        ends = (END, END_OF_TEXT)
        self.customs = Customs(
            begin_id=special.get(END_OF_TEXT),
            stop_ids=frozenset(special[name] for name in ends if name in special),
        )

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text; half a surrogate pair, which is no character, is read as U+FFFD."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, the same as one by one."""

    @abstractmethod
    def to_json(self) -> str:
        """The content of `tokenizer.json`, which `tokenizers` and `transformers` read too."""

    @final
    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that an id stands for; none for a control token."""
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(f"id {token_id} is not in the vocabulary of {self.vocab_size} tokens")
        return self._tokens[token_id]

    @final
    def decode(self, ids: Iterable[int], *, keep_special: bool = False) -> str:
        """The text of ids; what is no UTF-8 becomes U+FFFD, a control token nothing or its name."""
        listed = list(ids)
        if listed and not (min(listed) >= 0 and max(listed) < self.vocab_size):
            self.token_bytes(min(listed))
            self.token_bytes(max(listed))
        pieces = [self._tokens[token_id] for token_id in listed]
        if keep_special:
            for place, token_id in enumerate(listed):
                if token_id in self._names:
                    pieces[place] = self._names[token_id].encode()
        return b"".join(pieces).decode("utf-8", errors="replace")

    @final
    def following(self, customs: Customs) -> "Tokenizer":
        """The same tokenizer for a model of other customs."""
        other = copy.copy(self)
        other.customs = customs
        return other

    @property
    @final
    def begin_id(self) -> int:
        """The id that stands before each text.

        Raises:
            CheckpointError: there is none.
        """
        if self.customs.begin_id is None:
            raise CheckpointError(
                "this tokenizer has no token that begins or ends a text, such as <|endoftext|>;\n"
                "use a tokenizer trained by `cutaway tokenizer`, or a model that has one"
            )
        return self.customs.begin_id

    @final
    def prompt(self, text: str) -> list[int]:
        """The ids of a text to go on from, what stands before it included."""
        customs, ids = self.customs, self.encode(text)
        begins = customs.begin_id is not None and (customs.prompts_begin or not ids)
        return [self.begin_id, *ids] if begins else ids

    @final
    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` into a folder."""
        with machine_errors(f"cannot make the folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / FILE_NAME, self.to_json().encode())

    @property
    @final
    def fingerprint(self) -> str:
        """SHA-256 of the file: equal exactly where two tokenizers are the same."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@final
class StreamDecoder:
    """Turns ids into text as they come, in whole characters only.

    A character of several bytes may be spread over several tokens; what is not complete waits for
    the next id. All pieces together, with `finish`, are exactly what `decode` says of all ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_id: int) -> str:
        """The characters that this id completes; often none or one, sometimes many."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """What is left at the end: U+FFFD for a character that was cut short, else nothing."""
        return self._decoder.decode(b"", final=True)
