"""Texts with classes: rows of text, or of two texts, and a label; and who learns from which.

Rows have the fields "text", perhaps "text_b", and "label" (.jsonl, .jsonl.gz, .csv, .tsv).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cutaway.errors import DataError
from cutaway.text.documents import content_key
from cutaway.text.json_files import Record
from cutaway.text.records import filled, read_records

LEAST = 3
"""Texts of a class: one to learn from, one to calibrate with, one to test by."""

SHARE = 0.1
"""Of each class, what is kept to calibrate with, and again to test by."""


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text and the class that people put it in."""

    text: str
    """What is classified."""
    label: str
    """Its class."""
    key: str
    """What the split is decided by."""
    second: str = ""
    """The other text of a pair; empty where there is none."""
    place: str = ""
    """Where it stands, as FILE:LINE; nothing where no file of the user's holds it."""

    @property
    def told(self) -> str:
        """Its place, or its beginning where it has none."""
        return self.place or f"{self.text[:60]!r}"


@dataclass(frozen=True, kw_only=True)
class Divided:
    """Labelled texts in three parts; no text stands in two of them."""

    learn: tuple[LabelledText, ...]
    """What is learned from."""
    calibrate: tuple[LabelledText, ...]
    """What the probabilities are made honest with."""
    test: tuple[LabelledText, ...]
    """What the figures are of."""


def read_labelled(path: Path) -> Iterator[LabelledText]:
    """Yields the rows of a file.

    Raises:
        DataError: a field is missing or empty, or some rows have a second text and others none.
    """
    has_second: bool | None = None
    for record in read_records(path):
        text, label = filled(record, "text"), _label(record)
        has = "text_b" in record.fields
        has_second = has if has_second is None else has_second
        if has != has_second:
            raise DataError(
                f'{record.place}: {"a" if has else "no"} "text_b", unlike in the rows before it\n'
                "Give two texts in every row, or one."
            )
        second = filled(record, "text_b") if has else ""
        key = content_key(f"{text}\0{second}" if has else text)
        yield LabelledText(text=text, second=second, label=label, key=key, place=record.place)
    if has_second is None:
        raise DataError(f"{path} holds no rows: it is empty\nGive rows of text and label.")


def require_classes(
    texts: Sequence[LabelledText], *, place: str, least: int = LEAST
) -> tuple[str, ...]:
    """The labels in order, where there are two or more and enough texts of each.

    Raises:
        DataError: there is one class only, or one has too few texts.
    """
    by_label: dict[str, list[LabelledText]] = defaultdict(list)
    for text in texts:
        by_label[text.label].append(text)
    if len(by_label) < 2:
        named = ", ".join(repr(label) for label in by_label) or "no label"
        first = f" from {texts[0].told} on" if texts else ""
        raise DataError(
            f"{place}: every row{first} has {named}, one class only: there is nothing to tell apart"
            "\nGive rows of two labels or more."
        )
    for label, found in sorted(by_label.items()):
        if len({text.key for text in found}) < least:
            raise DataError(
                f"{found[0].told}: the label {label[:60]!r} has {len(found)} text(s), and needs "
                f"{LEAST}:\none to learn from, one to calibrate with, one to test by.\n"
                "Give more texts of it, or leave it out."
            )
    return tuple(sorted(by_label))


def require_known(texts: Sequence[LabelledText], *, labels: Sequence[str]) -> None:
    """Raises DataError at the first label that was never seen in learning."""
    known = set(labels)
    for text in texts:
        if text.label not in known:
            named = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
            raise DataError(
                f"{text.told}: the label {text.label[:60]!r} was never seen in learning\n"
                f"Give one of {named}, or teach it with rows that have it."
            )


def divide(texts: Sequence[LabelledText], *, salt: str = "") -> Divided:
    """Parts every class by the hashes of its texts: most to learn, a tenth each for the rest.

    Equal texts stand on one side, whatever their labels.
    """
    learn, calibrate, test = [], [], []
    for keys in _by_class(texts, salt=salt).values():
        count = max(1, round(SHARE * len(keys)))
        calibrate += keys[:count]
        test += keys[count : 2 * count]
        learn += keys[2 * count :]
    return _chosen(texts, learn=learn, calibrate=calibrate, test=test)


def hold_out(texts: Sequence[LabelledText], *, test: Sequence[LabelledText]) -> Divided:
    """Parts every class into what is learned from and what calibrates; the test is given."""
    tested = {text.key for text in test}
    apart = [text for text in texts if text.key not in tested]
    learn, calibrate = [], []
    for keys in _by_class(apart, salt="").values():
        count = max(1, round(SHARE * len(keys)))
        calibrate += keys[:count]
        learn += keys[count:]
    found = _chosen(apart, learn=learn, calibrate=calibrate, test=[])
    return Divided(learn=found.learn, calibrate=found.calibrate, test=tuple(test))


def balanced(texts: Sequence[LabelledText], *, test: int, salt: str) -> Divided:
    """Draws as many texts of each class as the rarest has, and of these `test` to test by.

    Repeated texts count once. What is left is parted as nine to one.
    """
    by_class = _by_class(texts, salt=salt)
    size = min(map(len, by_class.values()))
    tested = test // len(by_class)
    if size - tested < LEAST:
        raise DataError(
            f"the rarest class has {size} texts, too few to test {tested} of each class by;\n"
            "give a smaller classes.test_items"
        )
    learn, calibrate, held = [], [], []
    for keys in by_class.values():
        count = max(1, round(SHARE * (size - tested)))
        held += keys[:tested]
        calibrate += keys[tested : tested + count]
        learn += keys[tested + count : size]
    return _chosen(texts, learn=learn, calibrate=calibrate, test=held)


def _label(record: Record) -> str:
    """The label as text; numbers and true or false are labels, too."""
    value = record.fields.get("label")
    if isinstance(value, bool | int):
        return str(value).lower()
    return filled(record, "label").strip()


def _by_class(texts: Sequence[LabelledText], *, salt: str) -> dict[str, list[str]]:
    """The keys of each class in a shuffled order; a text of two labels counts for its first."""
    class_of: dict[str, str] = {}
    for text in texts:
        class_of.setdefault(text.key, text.label)
    found: dict[str, list[str]] = defaultdict(list)
    for key in sorted(class_of, key=lambda key: sha256(f"{salt}{key}".encode()).digest()):
        found[class_of[key]].append(key)
    return dict(sorted(found.items()))


def _chosen(
    texts: Sequence[LabelledText],
    *,
    learn: Sequence[str],
    calibrate: Sequence[str],
    test: Sequence[str],
) -> Divided:
    """Texts by their keys, repeats left out."""
    first = {text.key: text for text in reversed(texts)}
    return Divided(
        learn=tuple(first[key] for key in learn),
        calibrate=tuple(first[key] for key in calibrate),
        test=tuple(first[key] for key in test),
    )
