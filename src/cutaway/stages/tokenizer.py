"""`cutaway tokenizer`: trains a tokenizer on text and tells what it makes of text it never saw."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cutaway import settings
from cutaway.errors import ConfigError, DataError, UsageError
from cutaway.run_folder import RunFolder, provenance

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.tokenizer.report import TokenizerReport

POSITIONAL: tuple[str, ...] = ()

MEASURED_BYTES = 1_000_000
"""Bytes of held-out text of each source that are measured."""

LEAST_VOCABULARY, MOST_VOCABULARY = 262, 1_000_000
"""256 bytes and six control tokens; beyond a million nobody went."""

LANGUAGES = ("en", "de", "fr", "es", "tr", "sw", "ru", "ar", "hi", "zh", "ja", "ko", "vi")
"""Languages whose names of countries, weekdays and months are measured (Unicode CLDR)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a tokenizer is trained on, and of which kind it is."""

    run: Path = Path("runs/tokenizer")
    """Folder that tokenizer.json is written to."""
    data: tuple[str, ...] = ("basic-english",)
    """Corpora by name, or files and folders of your own text; their training split is read."""
    kind: Literal["byte-pairs", "characters"] = "byte-pairs"
    """byte-pairs: frequent pieces of words, any text can be written; characters: one token each."""
    vocab_size: int = 4096
    """Tokens, 256 bytes and 6 control tokens included; 262 to 1,000,000. Byte pairs only."""
    unknown: str | None = None
    """Character that stands for those never seen; none: they are errors. Characters only."""
    most_megabytes: float = 200.0
    """Millions of bytes to train on, shared by the sources; more than 0. Byte pairs only."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError(
                "data names nothing; give a corpus or a folder, as data=basic-english"
            )
        if not LEAST_VOCABULARY <= self.vocab_size <= MOST_VOCABULARY:
            raise ConfigError(
                f"vocab_size={self.vocab_size} is out of range; give {LEAST_VOCABULARY} "
                f"(256 bytes and 6 control tokens) to {MOST_VOCABULARY}"
            )
        if self.unknown is not None and len(self.unknown) != 1:
            raise ConfigError(f"unknown={self.unknown!r} is not one character; give one, or none")
        if self.most_megabytes <= 0:
            raise ConfigError(f"most_megabytes={self.most_megabytes} is no text; give more than 0")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where a tokenizer came to."""

    run: Path
    """Folder that holds tokenizer.json."""
    fingerprint: str
    """SHA-256 of tokenizer.json."""
    seconds: float
    """Time that the training took."""
    held_out: "TokenizerReport"
    """What it makes of the text that was held out, and of some languages."""


def run(config: Config, *, console: "Console") -> Report:
    """Trains a tokenizer, writes it to `config.run` and tells its figures."""
    from cutaway.tokenizer import characters, fast
    from cutaway.tokenizer.report import measure

    folder = RunFolder(path=config.run)
    with folder.lock():
        console.say(f"trains on {', '.join(config.data)}")
        began = time.monotonic()
        tokenizer: Tokenizer
        if config.kind == "characters":
            tokenizer = characters.train(_all_texts(config), unknown=config.unknown)
        else:
            tokenizer = fast.train(_training_texts(config), vocab_size=config.vocab_size)
        seconds = time.monotonic() - began
        _refuse_to_replace(folder, tokenizer)
        folder.create(settings.dump(config), provenance(tokenizer=tokenizer.fingerprint))
        tokenizer.save(folder.path)
        held_out = measure(tokenizer, _samples(config))
    console.say(f"trained in {seconds:.1f} s")
    tell(held_out, console=console)
    console.say(f"wrote {folder.tokenizer}")
    return Report(
        run=config.run, fingerprint=tokenizer.fingerprint, seconds=seconds, held_out=held_out
    )


def tell(report: "TokenizerReport", *, console: "Console") -> None:
    """Prints the figures of a tokenizer."""
    console.table(
        "the tokenizer on held-out text",
        columns=["text", "bytes", "tokens per word", "bytes per token"],
        rows=[
            [
                figures.name,
                figures.num_bytes,
                round(figures.tokens_per_word, 2),
                round(figures.bytes_per_token, 2),
            ]
            for figures in report.texts
        ],
    )
    console.say(f"{report.vocab_size:,} tokens, {report.num_unused:,} of them not needed above")
    console.say(f"longest: {' '.join(report.longest)}")


def language_samples() -> dict[str, list[str]]:
    """Names of countries, weekdays and months in some languages; nothing without PyPI babel."""
    from cutaway.text.locales import local_names

    samples = {}
    try:
        for locale in LANGUAGES:
            kinds = [local_names(locale, kind) for kind in ("country", "weekday", "month")]
            found = [name for names in kinds for name in names]
            samples[f"names in {found[0].language}"] = [", ".join(name.local for name in found)]
    except DataError:
        return {}
    return samples


def _training_texts(config: Config) -> Iterator[str]:
    from cutaway.data.mixture import texts

    share = int(config.most_megabytes * 1_000_000 / len(config.data))
    for source in config.data:
        yield from _first_bytes(texts(source, "train"), share)


def _all_texts(config: Config) -> Iterator[str]:
    """Yields the held-out texts too: an alphabet without their letters could not read them."""
    from cutaway.data.mixture import texts

    for source in config.data:
        yield from texts(source, "train")
        yield from texts(source, "validation")


def _samples(config: Config) -> dict[str, Iterable[str]]:
    from cutaway.data.mixture import texts

    samples: dict[str, Iterable[str]] = {
        source: _first_bytes(texts(source, "validation"), MEASURED_BYTES) for source in config.data
    }
    if config.kind == "byte-pairs":
        samples |= language_samples()
    return samples


def _first_bytes(texts: Iterable[str], most: int) -> Iterator[str]:
    """Yields texts until they have `most` bytes; the last one is cut to about what is left."""
    for text in texts:
        size = len(text.encode())
        if size > most:
            yield text[: len(text) * most // size]
            return
        yield text
        most -= size


def _refuse_to_replace(folder: RunFolder, tokenizer: "Tokenizer") -> None:
    """Models that were trained with a tokenizer are worth nothing without it."""
    from cutaway.tokenizer.open import open_tokenizer

    if (
        folder.tokenizer.exists()
        and open_tokenizer(folder.path).fingerprint != tokenizer.fingerprint
    ):
        raise UsageError(
            f"{folder.tokenizer} is another tokenizer already, and models may need it.\n"
            "Write to another folder with run=PATH, or delete it."
        )
