"""From names to sources: reads what a recipe's mixture names, and writes it as ids, once."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cutaway.data.parts import SKILL_PREFIX, Part
from cutaway.data.shards import Shards, write_shards
from cutaway.data.sources import ExampleSource, Source, TextSource
from cutaway.errors import ConfigError, DataError
from cutaway.text.cleaning import unique
from cutaway.text.conversations import Conversation, read_conversations
from cutaway.text.corpora import CORPORA, ConversationCorpus
from cutaway.text.documents import Document, Split, read_split, split_of
from cutaway.text.skills.base import Skill
from cutaway.text.skills.catalog import SKILLS
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.chat import ChatFormat
from cutaway.tokenizer.wordpiece import FIRST

BATCH = 1024
"""Texts that are encoded at once."""

TOKENIZER_EXAMPLES = 2_000
"""Examples of a skill that a tokenizer is trained on: enough to know its words."""

Ids = tuple[list[int], list[bool] | None]


def prepare(
    parts: Sequence[Part], tokenizer: Tokenizer, *, folder: Path, seed: int, row_length: int
) -> list[Source]:
    """Writes each part's training documents as shards below `folder`, or finds them there.

    Shards are found again when the part, the tokenizer and the seed are the same. An example longer
    than a row (`row_length` + 1 tokens) is left out.
    """
    if not parts:
        raise ConfigError("the mixture has no part; give data=NAME or a [[mixture]] table")
    if not any(part.share > 0 for part in parts):
        raise ConfigError("every share of the mixture is 0; give one of its parts more than 0")
    return [
        _source(part, tokenizer, folder=folder, seed=seed, row_length=row_length)
        for part in parts
        if part.share > 0
    ]


def texts(source: str, split: Split) -> Iterator[str]:
    """Yields the documents of a corpus, or of the user's own file or folder, repeats removed."""
    yield from (document.text for document in unique(_documents(source, split)))


def written(parts: Sequence[Part], *, seed: int) -> Iterator[str]:
    """Yields the training text of all parts, conversations and skills too, to make a tokenizer."""
    for part in parts:
        if part.source.startswith(SKILL_PREFIX):
            count = min(part.count, TOKENIZER_EXAMPLES)
            skill = skill_named(part.source)
            for example in skill.examples("train", seed=seed, count=count):
                yield "\n".join(message.content for message in example.conversation.messages)
        elif part.form == "chat":
            for conversation in conversations(part.source, "train"):
                yield "\n".join(message.content for message in conversation.messages)
        else:
            yield from texts(part.source, "train")


def conversations(source: str, split: Split) -> Iterator[Conversation]:
    """Yields the conversations of a corpus, or of the user's own file or folder."""
    if source in CORPORA:
        found = CORPORA[source]
        if not isinstance(found, ConversationCorpus):
            raise ConfigError(f'{source} holds no conversations; use it with form = "text"')
        yield from found.conversations(split)
        return
    for conversation in read_conversations(existing(source)):
        key = "\n".join(message.content for message in conversation.messages)
        if split_of(key) == split:
            yield conversation


def existing(source: str) -> Path:
    """Returns the path of the user's own text; raises DataError where there is none."""
    path = Path(source).expanduser()
    if not source.strip() or not path.exists():
        near = get_close_matches(source, CORPORA, n=1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"{source!r} is neither a corpus nor a file or folder here{advice}\n"
            f"corpora: {', '.join(CORPORA)}\nGive one of these, or the path of your own text."
        )
    return path


def skill_named(source: str) -> Skill[Any]:
    """Returns the skill that `skill:NAME` names; raises ConfigError with the names there are."""
    name = source.removeprefix(SKILL_PREFIX)
    if name not in SKILLS:
        near = get_close_matches(name, SKILLS, n=1)
        advice = f"; did you mean {SKILL_PREFIX}{near[0]}?" if near else ""
        raise ConfigError(f"there is no skill {name!r}{advice}\nskills: {', '.join(SKILLS)}")
    return SKILLS[name]


def _source(
    part: Part, tokenizer: Tokenizer, *, folder: Path, seed: int, row_length: int
) -> Source:
    name = f"{part.source} as {part.form}"
    described = {
        **asdict(part),
        "share": 1.0,
        "seed": seed,
        "tokenizer": tokenizer.fingerprint,
        "files": _files_of(part.source),
    }
    about = {"part": json.dumps(described, sort_keys=True)}
    place = folder / hashlib.sha256(about["part"].encode()).hexdigest()[:16]
    shards = _kept(place, about)
    if shards is None:
        ids = _ids(part, tokenizer, seed=seed)
        shards = write_shards(ids, place, vocab_size=tokenizer.vocab_size, about=about)
    if shards.num_documents == 0:
        raise DataError(f"{part.source} has no training documents; give more text")
    is_examples = part.form == "chat" or part.source.startswith(SKILL_PREFIX)
    if is_examples:
        return ExampleSource(name=name, shards=shards, share=part.share, too_long="drop")
    if shards.num_tokens < row_length + 1:
        raise DataError(
            f"{part.source} has {shards.num_tokens} tokens of training text, but a row takes "
            f"{row_length + 1}; give more text or a smaller model.context_length"
        )
    return TextSource(name=name, shards=shards, share=part.share)


def _files_of(source: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the user's own files: when one changes, ids are written anew."""
    path = Path(source).expanduser()
    if source in CORPORA or source.startswith(SKILL_PREFIX) or not path.exists():
        return []
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    looks = [(str(file), file.stat()) for file in files if file.is_file()]
    return [(name, look.st_size, look.st_mtime_ns) for name, look in looks]


def _kept(place: Path, about: dict[str, str]) -> Shards | None:
    if not place.exists():
        return None
    try:
        shards = Shards(place)
    except DataError:
        return None
    return shards if shards.manifest.about == about else None


def _ids(part: Part, tokenizer: Tokenizer, *, seed: int) -> Iterator[Ids]:
    if part.source.startswith(SKILL_PREFIX):
        skill = skill_named(part.source)
        examples = skill.examples("train", seed=seed, count=part.count)
        if part.form == "chat":
            return _chat_ids((example.conversation for example in examples), tokenizer)
        written = (skill.plain(example) for example in examples)
        shots = _several((text.prompt + text.answer for text in written), seed=seed)
        return _text_ids(shots, tokenizer)
    if part.form == "chat":
        return _chat_ids(conversations(part.source, "train"), tokenizer)
    return _text_ids(texts(part.source, "train"), tokenizer)


def _text_ids(documents: Iterable[str], tokenizer: Tokenizer) -> Iterator[Ids]:
    # An encoder puts its own tokens around the pieces that it reads.
    begin = [] if FIRST in tokenizer.special else [tokenizer.begin_id]
    for batch in _batched(documents):
        for ids in tokenizer.encode_batch(batch):
            if begin or ids:
                yield [*begin, *ids], None


def _chat_ids(found: Iterable[Conversation], tokenizer: Tokenizer) -> Iterator[Ids]:
    chat = ChatFormat(tokenizer)
    for conversation in found:
        written = chat.encode(conversation)
        yield written.ids, written.learned


def _several(examples: Iterable[str], *, seed: int) -> Iterator[str]:
    """Joins one to four examples into a document, as a text that shows a task by example does."""
    randomness = random.Random(f"several/{seed}")
    waiting: list[str] = []
    wanted = randomness.randint(1, 4)
    for example in examples:
        waiting.append(example)
        if len(waiting) == wanted:
            yield "".join(waiting)
            waiting, wanted = [], randomness.randint(1, 4)
    if waiting:
        yield "".join(waiting)


def _batched(items: Iterable[str]) -> Iterator[list[str]]:
    waiting: list[str] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _documents(source: str, split: Split) -> Iterator[Document]:
    if source in CORPORA:
        return CORPORA[source].documents(split)
    return read_split(existing(source), split)
