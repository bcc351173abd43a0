"""Scores of classes against closed forms; a temperature that is found again; the rival."""

import numpy as np
import pytest

from cutaway.errors import DataError
from cutaway.evaluation.classification import (
    bag_of_words,
    calibration_error,
    class_scores,
    fit_temperature,
)
from cutaway.text.labelled import LabelledText

LABELS = ["no", "yes"]


def texts(labels: str) -> list[LabelledText]:
    named = {"n": "no", "y": "yes"}
    return [
        LabelledText(text=f"text {place}", label=named[letter], key=str(place), place=f"f:{place}")
        for place, letter in enumerate(labels)
    ]


def logits(*yes: float) -> np.ndarray:
    """Logits whose softmax gives these probabilities of yes."""
    return np.log(np.array([[1 - each, each] for each in yes]))


def test_scores_are_those_of_the_closed_form() -> None:
    found = class_scores(
        logits(0.1, 0.2, 0.9, 0.7, 0.6, 0.3), texts("nnnyyy"), labels=LABELS, data="toy"
    )
    assert found.confusion == ((2, 1), (1, 2))
    assert found.accuracy.value == pytest.approx(4 / 6)
    assert found.classes["yes"].precision == pytest.approx(2 / 3)
    assert found.classes["no"].recall == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx(2 / 3)
    assert found.nats == pytest.approx(-np.log([0.9, 0.8, 0.1, 0.7, 0.6, 0.3]).mean())
    assert found.majority == 0.5


def test_errors_are_listed_the_surest_first_with_their_lines() -> None:
    found = class_scores(logits(0.6, 0.9, 0.2), texts("nny"), labels=LABELS, data="toy")
    assert [error.place for error in found.errors] == ["f:1", "f:2", "f:0"]
    assert [error.named for error in found.errors] == ["yes", "no", "yes"]
    assert found.errors[0].probability == pytest.approx(0.9)


def test_the_calibration_error_is_the_distance_in_each_bin() -> None:
    # Eight texts at 0.75, of which six are right: honest. Two at 0.95, one right: off by 0.45.
    probabilities = np.array([[0.25, 0.75]] * 8 + [[0.05, 0.95]] * 2)
    targets = np.array([1] * 6 + [0] * 2 + [1, 0])
    assert calibration_error(probabilities, targets) == pytest.approx(0.2 * 0.45)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_logits_too_bold_is_found_again(temperature: float) -> None:
    generator = np.random.default_rng(1)
    honest = generator.normal(size=(5_000, 3)) * 2
    powers = np.exp(honest)
    shares = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
    targets = (generator.random((5_000, 1)) > shares).sum(axis=1)
    assert fit_temperature(honest * temperature, targets) == pytest.approx(temperature, rel=0.08)


def test_a_bag_of_words_tells_apart_what_words_tell_apart() -> None:
    learn = [
        LabelledText(text=f"{word} {number}", label=label, key=f"{word}{number}")
        for number in range(20)
        for word, label in (("prize now", "spam"), ("see you", "ham"))
    ]
    assert bag_of_words(learn[:30], learn[30:], calibrate=learn[:4]) == [
        text.label for text in learn[30:]
    ]


def test_no_text_at_all_is_told() -> None:
    with pytest.raises(DataError, match="has no texts to test by"):
        class_scores(np.zeros((0, 2)), [], labels=LABELS, data="toy")
