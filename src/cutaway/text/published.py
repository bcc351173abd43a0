"""Reads the corpora whose published files lie in the folder that `CUTAWAY_DATA` names."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Literal

from cutaway.text.conversations import Conversation, Message
from cutaway.text.data_folder import DataFile
from cutaway.text.documents import Document, Split, split_of
from cutaway.text.pairs import Pair
from cutaway.text.verses import form_of

MULTI30K_ADDRESS = "https://github.com/multi30k/dataset (data/task1/raw)"
SST2_ADDRESS = "https://gluebenchmark.com/tasks (SST-2.zip)"

SHAKESPEARE = DataFile(
    path="tinyshakespeare/input.txt",
    size=1_115_394,
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    address="https://github.com/karpathy/char-rnn (data/tinyshakespeare)",
)
SMS_SPAM = DataFile(
    path="sms-spam/SMSSpamCollection",
    size=483_481,
    sha256="55341228082b25b832a5868a5ab4b038142a57f70c676c123280af6ff457fe46",
    address="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
)
INSTRUCTIONS = DataFile(
    path="instructions/instruction-data.json",
    size=203_524,
    sha256="7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
    address="https://github.com/rasbt/LLMs-from-scratch (ch07/01_main-chapter-code)",
)
PREFERENCES = DataFile(
    path="instructions/instruction-data-with-preference.json",
    size=386_968,
    sha256="305315abf14f65fa42c01a0877572f832606571c2a7d49f152ac1d758b16756e",
    address="https://github.com/rasbt/LLMs-from-scratch (ch07/04_preference-tuning-with-dpo)",
)
TANG = DataFile(
    path="tang/poems.jsonl",
    size=3_965_484,
    sha256="69cdfb93d303ca961c790d122a8ec43652ab4ceeffca82370ac1e7e4b2541bb5",
    address="https://github.com/chinese-poetry/chinese-poetry (its Tang poems, one JSON a line)",
)


def _multi30k(name: str, size: int, sha256: str) -> DataFile:
    path = f"multi30k/{name}.gz"
    return DataFile(path=path, size=size, sha256=sha256, address=MULTI30K_ADDRESS)


def _sst2(name: str, size: int, sha256: str) -> DataFile:
    return DataFile(path=f"sst2/{name}.tsv", size=size, sha256=sha256, address=SST2_ADDRESS)


MULTI30K = {
    "train.en": _multi30k(
        "train.en",
        568_929,
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    ),
    "train.de": _multi30k(
        "train.de",
        637_044,
        "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    ),
    "train.fr": _multi30k(
        "train.fr",
        604_242,
        "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    ),
    "val.en": _multi30k(
        "val.en",
        21_650,
        "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    ),
    "val.de": _multi30k(
        "val.de",
        24_681,
        "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    ),
    "val.fr": _multi30k(
        "val.fr",
        23_001,
        "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    ),
    "test_2016_flickr.en": _multi30k(
        "test_2016_flickr.en",
        21_077,
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    ),
    "test_2016_flickr.de": _multi30k(
        "test_2016_flickr.de",
        22_890,
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
    "test_2016_flickr.fr": _multi30k(
        "test_2016_flickr.fr",
        22_310,
        "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    ),
}
SST2 = {
    "train": _sst2(
        "train",
        3_806_075,
        "5c47819a1d04cfabc7afcc79a919c97b0b367101ad42d3ff148d67bf501384c2",
    ),
    "dev": _sst2(
        "dev",
        94_931,
        "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
    ),
}

PublishedSplit = Literal["train", "validation", "test"]
_MULTI30K_SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
_SST2_SPLITS = {"train": "train", "validation": "dev"}
_SENTIMENTS = {"0": "negative", "1": "positive"}


def total_size(files: Mapping[str, DataFile]) -> int:
    """Returns the bytes of several files together."""
    return sum(file.size for file in files.values())


def joint_hash(files: Mapping[str, DataFile]) -> str:
    """Returns one hash for several files: that of their hashes, each on a line."""
    return hashlib.sha256("\n".join(file.sha256 for file in files.values()).encode()).hexdigest()


def shakespeare(split: Split) -> Iterator[Document]:
    """Yields the plays in one piece: the first nine tenths for training, the rest held out."""
    text = SHAKESPEARE.read().decode("utf-8")
    border = int(len(text) * 0.9)
    part = text[:border] if split == "train" else text[border:]
    yield Document(text=part, key=f"tinyshakespeare/{split}")


def poems(split: Split) -> Iterator[Document]:
    """Yields each poem once: its title, its author, and below them the verses."""
    for poem in _poems(split):
        verses = poem["text"]
        yield Document(text=f"{poem['title']}\n{poem['author']}\n\n{verses}", key=verses)


def poems_in_form(split: Split) -> Iterator[Document]:
    """Yields the poems whose clauses all have five characters, or all seven, below that word."""
    for poem in _poems(split):
        form = form_of(poem["text"])
        if form is not None:
            yield Document(text=f"{form}\n{poem['text']}", key=poem["text"])


def description_pairs(split: PublishedSplit, source: str, target: str) -> Iterator[Pair]:
    """Yields the descriptions of the same picture in two languages."""
    name = _MULTI30K_SPLITS[split]
    texts, translations = _lines(f"{name}.{source}"), _lines(f"{name}.{target}")
    for place, (text, translation) in enumerate(zip(texts, translations, strict=True)):
        yield Pair(source=text, target=translation, key=f"{name}/{place}")


def descriptions(split: PublishedSplit) -> Iterator[Document]:
    """Yields each description in each language, those of one picture after another."""
    name = _MULTI30K_SPLITS[split]
    columns = [(language, _lines(f"{name}.{language}")) for language in ("en", "de", "fr")]
    for place in range(len(columns[0][1])):
        for language, lines in columns:
            yield Document(text=lines[place], key=f"{name}/{place}/{language}")


def labelled_messages(split: Split) -> Iterator[tuple[str, str, str]]:
    """Yields each message once with its label."""
    seen: set[str] = set()
    for line in SMS_SPAM.read().decode("utf-8").splitlines():
        label, _, text = line.partition("\t")
        if text not in seen and split_of(text) == split:
            yield text, label, text
        seen.add(text)


def messages(split: Split) -> Iterator[Document]:
    """Yields the texts of the messages."""
    for text, _, key in labelled_messages(split):
        yield Document(text=text, key=key)


def labelled_reviews(split: Split) -> Iterator[tuple[str, str, str]]:
    """Yields the sentences of film reviews with what they feel."""
    name = _SST2_SPLITS[split]
    lines = SST2[name].read().decode("utf-8").splitlines()[1:]
    for place, line in enumerate(lines):
        text, _, label = line.rpartition("\t")
        yield text.strip(), _SENTIMENTS[label], f"{name}/{place}"


def reviews(split: Split) -> Iterator[Document]:
    """Yields the sentences of film reviews."""
    for text, _, key in labelled_reviews(split):
        yield Document(text=text, key=key)


def instructions(split: Split) -> Iterator[Conversation]:
    """Yields each instruction once, with its input below it, and its answer."""
    seen: set[str] = set()
    for entry in json.loads(INSTRUCTIONS.read()):
        question = "\n\n".join(part for part in (entry["instruction"], entry["input"]) if part)
        if question not in seen and split_of(question) == split:
            yield Conversation(
                messages=(
                    Message(role="user", content=question),
                    Message(role="assistant", content=entry["output"]),
                )
            )
        seen.add(question)


def instruction_texts(split: Split) -> Iterator[Document]:
    """Yields each instruction with its answer below it."""
    for conversation in instructions(split):
        question, answer = (message.content for message in conversation.messages)
        yield Document(text=f"{question}\n\n{answer}", key=question)


def _poems(split: Split) -> Iterator[Mapping[str, str]]:
    seen: set[str] = set()
    for line in TANG.read().decode("utf-8").splitlines():
        poem: Mapping[str, str] = json.loads(line)
        verses = poem["text"]
        if verses not in seen and split_of(verses) == split:
            yield poem
        seen.add(verses)


def _lines(name: str) -> list[str]:
    return gzip.decompress(MULTI30K[name].read()).decode("utf-8").splitlines()
