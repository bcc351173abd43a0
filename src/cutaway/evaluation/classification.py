"""How well texts are put into classes: accuracy, each class, what is confused, how honest it is.

Beside it stands a bag of words: counts of words and pairs of words, and a logistic regression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from cutaway.errors import DataError
from cutaway.evaluation.intervals import Interval, wilson
from cutaway.text.labelled import LabelledText

BINS = 15
"""Bins of the calibration error (Guo et al. 2017, section 2)."""

MOST_ERRORS = 200
"""Texts put into a wrong class that are kept, the surest first."""

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of the rival's regularisation, of which calibration texts choose one."""

HOTTEST = 20.0
"""The largest temperature; the smallest is one over it."""


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How well one class is found."""

    precision: float
    """Share of the texts put into it that belong there."""
    recall: float
    """Share of its texts that are put into it."""
    f1: float
    """The harmonic mean of both."""
    n: int
    """Its texts."""


@dataclass(frozen=True, kw_only=True)
class Misplaced:
    """A text put into a wrong class."""

    text: str
    """What it says; of a pair both."""
    label: str
    """Where it belongs."""
    named: str
    """Where it was put."""
    probability: float
    """How sure the model was, 0 to 1."""
    place: str
    """Where it stands, as FILE:LINE; nothing where no file of the user's holds it."""


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How well the texts of a test are put into classes."""

    data: str
    """What it was tested on."""
    labels: tuple[str, ...]
    """The classes."""
    accuracy: Interval
    """Share of the texts that are put where they belong."""
    macro_f1: float
    """The mean of the classes' F1, every class alike."""
    n: int
    """Texts."""
    classes: Mapping[str, ClassScore]
    """Each class."""
    confusion: tuple[tuple[int, ...], ...]
    """Texts by the class where they belong (rows) and the class that was named (columns)."""
    nats: float
    """Mean -log p of the right class."""
    calibration_error: float
    """Mean distance between how sure the model is and how often it is right (ECE), 0 to 1."""
    uncalibrated_error: float | None
    """The same before its temperature was fitted; None where that is not known."""
    temperature: float
    """What the logits are divided by."""
    errors: tuple[Misplaced, ...]
    """Texts put into a wrong class, the surest first."""
    majority: float
    """Share that is right where the commonest class is always named."""
    rival: Interval | None = None
    """Accuracy of a logistic regression over a bag of words; None: scikit-learn is not there."""
    rival_errors: int | None = None
    """Texts that it put into a wrong class."""


def class_scores(
    logits: Float64[np.ndarray, "texts classes"],
    texts: Sequence[LabelledText],
    *,
    labels: Sequence[str],
    data: str,
    temperature: float = 1.0,
    uncalibrated_error: float | None = None,
) -> ClassScores:
    """Scores calibrated logits; `temperature` is the one that they were divided by.

    Raises DataError where there are no texts.
    """
    if not texts:
        raise DataError(f"{data} has no texts to test by; give some")
    targets = targets_of(texts, labels=labels)
    probabilities = _softmax(logits)
    named = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (targets, named), 1)
    classes = {label: _class_score(confusion, place) for place, label in enumerate(labels)}
    present = [score.f1 for score in classes.values() if score.n]
    return ClassScores(
        data=data,
        labels=tuple(labels),
        accuracy=wilson(int((named == targets).sum()), len(texts)),
        macro_f1=float(np.mean(present)),
        n=len(texts),
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        nats=float(-np.log(_right(probabilities, targets).clip(1e-12)).mean()),
        calibration_error=calibration_error(probabilities, targets),
        uncalibrated_error=uncalibrated_error,
        temperature=temperature,
        errors=_misplaced(probabilities, targets, texts=texts, labels=labels),
        majority=float(confusion.sum(axis=1).max() / len(texts)),
    )


def targets_of(
    texts: Sequence[LabelledText], *, labels: Sequence[str]
) -> Int64[np.ndarray, " texts"]:
    """The number of each text's class."""
    number = {label: place for place, label in enumerate(labels)}
    return np.array([number[text.label] for text in texts], dtype=np.int64)


def fit_temperature(
    logits: Float64[np.ndarray, "texts classes"], targets: Int64[np.ndarray, " texts"]
) -> float:
    """The temperature of least loss (Guo et al. 2017, section 4.2), by golden section.

    The loss has one valley over the logarithm of the temperature.
    """
    ratio = (np.sqrt(5) - 1) / 2
    low, high = -np.log(HOTTEST), np.log(HOTTEST)

    def loss(place: float) -> float:
        right = _right(_softmax(logits / np.exp(place)), targets)
        return float(-np.log(right.clip(1e-12)).mean())

    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def calibration_error(
    probabilities: Float64[np.ndarray, "texts classes"], targets: Int64[np.ndarray, " texts"]
) -> float:
    """The expected calibration error over bins of equal width (Naeini et al. 2015)."""
    sure, named = probabilities.max(axis=1), probabilities.argmax(axis=1)
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    error = 0.0
    for number in np.unique(bins):
        here = bins == number
        error += here.mean() * abs(sure[here].mean() - (named[here] == targets[here]).mean())
    return float(error)


def uncalibrated(
    logits: Float64[np.ndarray, "texts classes"], targets: Int64[np.ndarray, " texts"]
) -> float:
    """The calibration error of logits as they are."""
    return calibration_error(_softmax(logits), targets)


def bag_of_words(
    learn: Sequence[LabelledText],
    test: Sequence[LabelledText],
    *,
    calibrate: Sequence[LabelledText],
) -> list[str] | None:
    """The classes that a logistic regression over words and pairs of words names.

    `calibrate` chooses how strongly it is held back. None where scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError:
        return None

    def written(texts: Sequence[LabelledText]) -> list[str]:
        return [f"{text.text} {text.second}" for text in texts]

    best, found = -1.0, None
    for strength in STRENGTHS:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
            LogisticRegression(C=strength, max_iter=1000, class_weight="balanced"),
        )
        model.fit(written(learn), [text.label for text in learn])
        score = model.score(written(calibrate), [text.label for text in calibrate])
        if score > best:
            best, found = score, model
    assert found is not None
    return [str(label) for label in found.predict(written(test))]


def _softmax(logits: Float64[np.ndarray, "texts classes"]) -> Float64[np.ndarray, "texts classes"]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Float64[np.ndarray, "texts classes"] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _right(
    probabilities: Float64[np.ndarray, "texts classes"], targets: Int64[np.ndarray, " texts"]
) -> Float64[np.ndarray, " texts"]:
    right: Float64[np.ndarray, " texts"] = probabilities[np.arange(len(targets)), targets]
    return right


def _class_score(confusion: Int64[np.ndarray, "classes classes"], place: int) -> ClassScore:
    hits, named, there = (
        int(confusion[place, place]),
        int(confusion[:, place].sum()),
        int(confusion[place].sum()),
    )
    precision, recall = hits / named if named else 0.0, hits / there if there else 0.0
    both = precision + recall
    return ClassScore(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / both if both else 0.0,
        n=there,
    )


def _misplaced(
    probabilities: Float64[np.ndarray, "texts classes"],
    targets: Int64[np.ndarray, " texts"],
    *,
    texts: Sequence[LabelledText],
    labels: Sequence[str],
) -> tuple[Misplaced, ...]:
    sure, named = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = [place for place in np.argsort(-sure, kind="stable") if named[place] != targets[place]]
    return tuple(
        Misplaced(
            text=" | ".join(part for part in (texts[place].text, texts[place].second) if part),
            label=texts[place].label,
            named=labels[int(named[place])],
            probability=float(sure[place]),
            place=texts[place].place,
        )
        for place in wrong[:MOST_ERRORS]
    )
