"""`cutaway data`: what text there is, whether it is sound, and how it becomes ids to learn from.

    cutaway data list [NAME]      the corpora, or all that is known about one
    cutaway data check SOURCE     reads all of it; says what is wrong, and where
    cutaway data show SOURCE      documents or conversations as ids; `=` marks what is learned from

SOURCE is a corpus, a file or folder of your own, or skill:NAME.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.text.conversations import Conversation
    from cutaway.tokenizer.base import Tokenizer

POSITIONAL = ("action", "source")

OWN_VOCABULARY = 2048
"""Tokens of the tokenizer that `show` trains where none is given."""

OWN_TEXTS = 2000
"""Documents or conversations that it is trained on."""

COLOURS = {"control": "magenta", "id": "dim", "learned": "bold green"}
"""Of the spans of `show`, on a terminal."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is looked at."""

    action: Literal["list", "show", "check"] = "list"
    """list: which corpora there are; show: how text becomes ids; check: whether it can be read."""
    source: str | None = None
    """A corpus, a file or folder of your own, or skill:NAME."""
    tokenizer: Path | None = None
    """A tokenizer.json or a folder with one; none: `show` trains a small one on the source."""
    form: Literal["auto", "text", "chat"] = "auto"
    """text: documents, all of which is learned from; chat: conversations; auto: what it holds."""
    split: Literal["train", "validation"] = "train"
    """Which side of the split `show` reads."""
    count: int = 3
    """Documents or conversations to show; 1 or more."""
    tokens: int = 200
    """Tokens to show of each, 1 or more."""
    seed: int = 0
    """Of the examples, where the source is a skill."""

    def __post_init__(self) -> None:
        if self.action != "list" and self.source is None:
            raise ConfigError(
                f"cutaway data {self.action} needs a source: a corpus, a path, or skill:NAME;\n"
                f"for example: cutaway data {self.action} basic-english"
            )
        for name in ("count", "tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} shows nothing; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A named corpus in words."""

    name: str
    description: str
    source: str
    licence: str
    held_out: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document or conversation as ids."""

    num_tokens: int
    """Its tokens, control tokens included."""
    ids: tuple[int, ...]
    """The ids of the first of them."""
    tokens: tuple[str, ...]
    """What each id stands for, as it can be shown."""
    learned: tuple[bool, ...]
    """Whether each id is learned from."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a source holds."""

    documents: int
    """Documents or conversations."""
    duplicates: int
    """Of them, those whose text came before."""
    held_out: int
    """Of them, those in the validation split."""
    num_bytes: int
    """Bytes of their text, as UTF-8."""
    longest: int
    """Bytes of the longest one."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found."""

    corpora: tuple[CorpusFacts, ...] = ()
    problem: str | None = None
    """Why the one corpus that was asked for cannot be read here; none where it can."""
    shown: tuple[Shown, ...] = ()
    checked: Checked | None = None


def run(config: Config, *, console: "Console") -> Report:
    """Lists corpora, checks a source, or shows it as ids."""
    match config.action:
        case "list":
            return _list(config.source, console)
        case "check":
            return _check(config, str(config.source), console)
        case "show":
            return _show(config, str(config.source), console)


def _list(name: str | None, console: "Console") -> Report:
    from cutaway.text.corpora import corpus, names

    facts = tuple(_facts(known) for known in ([corpus(name).name] if name else names()))
    if name is None:
        rows = [[fact.name, fact.size, fact.description] for fact in facts]
        console.table("corpora", columns=["name", "bytes", "what it is"], rows=rows)
        console.say(
            "more about one: cutaway data list NAME; how it becomes ids: cutaway data show NAME"
        )
        return Report(corpora=facts)
    for fact in facts:
        console.say(f"{fact.name}: {fact.description}")
        console.say(f"source: {fact.source}")
        console.say(f"licence: {fact.licence}")
        console.say(f"held out: {fact.held_out}")
        size = "as the installed version has it" if fact.size is None else f"{fact.size:,} bytes"
        console.say(f"size: {size}")
        if fact.sha256:
            console.say(f"SHA-256: {fact.sha256}")
    problem = _problem(facts[0].name)
    console.say(problem or "it can be read here")
    return Report(corpora=facts, problem=problem)


def _facts(name: str) -> CorpusFacts:
    from cutaway.text.corpora import CORPORA

    found = CORPORA[name]
    return CorpusFacts(
        name=found.name,
        description=found.description,
        source=found.source,
        licence=found.licence,
        held_out=found.held_out,
        size=found.size,
        sha256=found.sha256,
    )


def _problem(name: str) -> str | None:
    from cutaway.text.corpora import CORPORA

    try:
        next(iter(CORPORA[name].documents("validation")), None)
    except DataError as error:
        return str(error)
    return None


def _check(config: Config, source: str, console: "Console") -> Report:
    seen: set[int] = set()
    documents = duplicates = held_out = num_bytes = longest = 0
    sides: tuple[Literal["train", "validation"], ...] = ("train", "validation")
    for split in sides:
        for text in _all_texts(config, source, split):
            size = len(text.encode())
            documents += 1
            held_out += split == "validation"
            num_bytes += size
            longest = max(longest, size)
            duplicates += hash(text) in seen
            seen.add(hash(text))
    checked = Checked(
        documents=documents,
        duplicates=duplicates,
        held_out=held_out,
        num_bytes=num_bytes,
        longest=longest,
    )
    kind = "conversations" if _is_chat(config, source) else "documents"
    console.table(
        source,
        columns=["what", "count"],
        rows=[
            [kind, documents],
            ["of them repeats", duplicates],
            ["of them held out", held_out],
            ["bytes of text", num_bytes],
            ["bytes of the longest", longest],
        ],
    )
    return Report(checked=checked)


def _show(config: Config, source: str, console: "Console") -> Report:
    from cutaway.tokenizer.interlinear import interlinear
    from cutaway.tokenizer.report import visible

    tokenizer = _tokenizer(config, source, console)
    shown = []
    width = shutil.get_terminal_size().columns - 1
    kind = "conversation" if _is_chat(config, source) else "document"
    for number, (ids, learned) in enumerate(_encoded(config, source, tokenizer), start=1):
        part = "all" if all(learned) else f"{sum(learned):,}"
        console.say(f"{kind} {number}: {len(ids):,} tokens, {part} of them learned from")
        kept, kept_learned = ids[: config.tokens], learned[: config.tokens]
        for line in interlinear(tokenizer, kept, learned=kept_learned, width=width):
            console.paint([(span.text, COLOURS.get(span.kind, "")) for span in line])
        if len(ids) > len(kept):
            console.say(f"... and {len(ids) - len(kept):,} more; tokens={len(ids)} shows all\n")
        shown.append(
            Shown(
                num_tokens=len(ids),
                ids=tuple(kept),
                tokens=tuple(visible(tokenizer, token_id) for token_id in kept),
                learned=tuple(kept_learned),
            )
        )
    if not shown:
        raise DataError(f"{source} has nothing in its {config.split} split; try the other split=")
    return Report(shown=tuple(shown))


def _tokenizer(config: Config, source: str, console: "Console") -> "Tokenizer":
    from cutaway.tokenizer import fast
    from cutaway.tokenizer.open import open_tokenizer

    if config.tokenizer is not None:
        return open_tokenizer(config.tokenizer)
    some = islice(_all_texts(config, source, "train"), OWN_TEXTS)
    tokenizer = fast.train(some, vocab_size=OWN_VOCABULARY)
    console.say(
        f"with a tokenizer of {tokenizer.vocab_size} tokens made for this; or tokenizer=PATH"
    )
    return tokenizer


def _encoded(
    config: Config, source: str, tokenizer: "Tokenizer"
) -> Iterator[tuple[list[int], list[bool]]]:
    """Yields ids and what is learned from, as training reads them."""
    from cutaway.data.mixture import texts
    from cutaway.tokenizer.chat import ChatFormat

    if _is_chat(config, source):
        chat = ChatFormat(tokenizer)
        for conversation in islice(_conversations(config, source, config.split), config.count):
            written = chat.encode(conversation)
            yield written.ids, written.learned
        return
    begin = tokenizer.special.get("<|endoftext|>")
    for text in islice(texts(source, config.split), config.count):
        ids = [*([] if begin is None else [begin]), *tokenizer.encode(text)]
        yield ids, [True] * len(ids)


def _all_texts(config: Config, source: str, split: Literal["train", "validation"]) -> Iterator[str]:
    """Yields every text, repeats included."""
    from cutaway.data.mixture import existing
    from cutaway.text.corpora import CORPORA
    from cutaway.text.documents import read_split

    if _is_chat(config, source):
        for conversation in _conversations(config, source, split):
            yield "\n".join(message.content for message in conversation.messages)
        return
    if source in CORPORA:
        documents = CORPORA[source].documents(split)
    else:
        documents = read_split(existing(source), split)
    yield from (document.text for document in documents)


def _conversations(
    config: Config, source: str, split: Literal["train", "validation"]
) -> Iterator["Conversation"]:
    from cutaway.data.mixture import conversations, skill_named
    from cutaway.data.parts import SKILL_PREFIX

    if not source.startswith(SKILL_PREFIX):
        return conversations(source, split)
    examples = skill_named(source).examples(split, seed=config.seed, count=OWN_TEXTS)
    return (example.conversation for example in examples)


def _is_chat(config: Config, source: str) -> bool:
    """Whether a source is read as conversations."""
    from cutaway.data.parts import SKILL_PREFIX
    from cutaway.text.corpora import CORPORA, ConversationCorpus

    if config.form != "auto":
        return config.form == "chat"
    if source in CORPORA:
        return isinstance(CORPORA[source], ConversationCorpus)
    return source.startswith(SKILL_PREFIX) or _holds_conversations(Path(source).expanduser())


def _holds_conversations(path: Path) -> bool:
    """Whether the first JSON object at a path has no text, but may be a conversation."""
    from cutaway.text.documents import ENDINGS
    from cutaway.text.json_files import read_json_array, read_json_lines

    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    named = [file for file in files if file.name.lower().endswith((".json", *ENDINGS))]
    if not named or not named[0].is_file():
        return False
    name = named[0].name.lower()
    if name.endswith((".jsonl", ".jsonl.gz", ".json")):
        read = read_json_array if name.endswith(".json") else read_json_lines
        first = next(iter(read(named[0])), None)
        return first is not None and "text" not in first.fields
    return False
