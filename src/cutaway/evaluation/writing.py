"""How near written texts come to what they should be: BLEU, chrF, exact, error rates, ROUGE-L."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cutaway.errors import DataError
from cutaway.evaluation.intervals import (
    RESAMPLES,
    Interval,
    bootstrap_mean,
    bootstrap_rate,
    wilson,
)
from cutaway.evaluation.tasks import Measurement
from cutaway.text.corpora import Measure
from cutaway.text.pairs import Pair

_WORD = re.compile(r"\w+")


def measured(
    name: Measure, written: Sequence[str], pairs: Sequence[Pair], *, resamples: int = RESAMPLES
) -> Measurement:
    """Compares texts with the targets of their pairs; without resamples there is no interval.

    Raises:
        DataError: A package that the measure needs is not installed.
    """
    return _MEASURES[name](written, pairs, resamples)


def nearness(name: Measure, written: Sequence[str], pairs: Sequence[Pair]) -> list[float]:
    """How near each text comes to its nearest target, 0 to 1: what examples are sorted by.

    By ROUGE-L and by phonemes where the measure is of that kind, by chrF where it is another.
    """
    both = list(zip(written, pairs, strict=True))
    if name == "rouge_l":
        return [_nearest_rouge_l(text, pair) for text, pair in both]
    if name in ("word_error", "phoneme_error"):
        counted = [_least_edits(text, pair) for text, pair in both]
        return [1 - min(1.0, edits / max(1.0, length)) for edits, length in counted]
    metric = _sacrebleu().CHRF()
    return [
        float(metric.sentence_score(text, list(_targets(pair))).score) / 100 for text, pair in both
    ]


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Counts the words of the longest sequence that both have in this order."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0  # what stood one place to the left in the row above
        for place, other in enumerate(second, start=1):
            above = row[place]
            row[place] = before + 1 if word == other else max(above, row[place - 1])
            before = above
    return row[-1]


def rouge_l(written: str, target: str) -> float:
    """The mean of recall and precision of the longest common words (Lin 2004, section 3.1, F1)."""
    ours, theirs = _WORD.findall(written.lower()), _WORD.findall(target.lower())
    common = longest_common(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def _bleu(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    return _by_sacrebleu("bleu", written, pairs, metric=_sacrebleu().BLEU(), resamples=resamples)


def _chrf(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    return _by_sacrebleu("chrf", written, pairs, metric=_sacrebleu().CHRF(), resamples=resamples)


def lowercased_bleu(written: Sequence[str], pairs: Sequence[Pair]) -> Measurement:
    """BLEU that does not tell capitals from small letters, as older results are given."""
    metric = _sacrebleu().BLEU(lowercase=True)
    return _by_sacrebleu("bleu_lowercased", written, pairs, metric=metric, resamples=RESAMPLES)


def _exact(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    right = sum(_is_right(text, pair) for text, pair in zip(written, pairs, strict=True))
    value = wilson(right, len(pairs))
    return Measurement(name="exact", value=value, higher_is_better=True, n=len(pairs))


def _word_error(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    wrong = sum(not _is_right(text, pair) for text, pair in zip(written, pairs, strict=True))
    value = wilson(wrong, len(pairs))
    return Measurement(name="word_error", value=value, higher_is_better=False, n=len(pairs))


def _phoneme_error(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    """Counts the phonemes to be changed, over the phonemes of the target that is nearest."""
    counted = [_least_edits(text, pair) for text, pair in zip(written, pairs, strict=True)]
    edits, lengths = zip(*counted, strict=True)
    value = bootstrap_rate(edits, lengths, resamples=max(1, resamples))
    return Measurement(name="phoneme_error", value=value, higher_is_better=False, n=len(pairs))


def _rouge_l(written: Sequence[str], pairs: Sequence[Pair], resamples: int) -> Measurement:
    scores = [_nearest_rouge_l(text, pair) for text, pair in zip(written, pairs, strict=True)]
    value = bootstrap_mean(scores, resamples=max(1, resamples))
    return Measurement(name="rouge_l", value=value, higher_is_better=True, n=len(pairs))


def _by_sacrebleu(
    name: str, written: Sequence[str], pairs: Sequence[Pair], *, metric: Any, resamples: int
) -> Measurement:
    """Scores the whole corpus, its interval by sacrebleu's own bootstrap (Koehn 2004)."""
    most = max(1 + len(pair.others) for pair in pairs)
    # sacrebleu wants as many references of each; a missing one is None.
    columns = [
        [targets[number] if number < len(targets) else None for targets in map(_targets, pairs)]
        for number in range(most)
    ]
    found = metric.corpus_score(list(written), columns, n_bootstrap=max(1, resamples))
    value = float(found.score)
    low = high = value
    if resamples > 1:
        signature = str(metric.get_signature())
        told = json.loads(found.format(width=6, signature=signature, is_json=True))
        # sacrebleu says nothing of an interval around nothing.
        mean, spread = float(told.get("confidence_mean", 0)), float(told.get("confidence_var", 0))
        low, high = min(value, mean - spread), max(value, mean + spread)
    interval = Interval(value=value, low=low, high=high)
    return Measurement(name=name, value=interval, higher_is_better=True, n=len(pairs))


def _sacrebleu() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise _not_installed("sacrebleu") from error
    return metrics


def _nearest_rouge_l(written: str, pair: Pair) -> float:
    return max(rouge_l(written, target) for target in _targets(pair))


def _least_edits(written: str, pair: Pair) -> tuple[float, float]:
    """Phonemes to be changed, and phonemes, of the target that is nearest."""
    counted = [(_edits(written, target), len(target.split())) for target in _targets(pair)]
    edits, length = min(counted)
    return float(edits), float(length)


def _edits(written: str, target: str) -> int:
    try:
        import jiwer
    except ImportError as error:
        raise _not_installed("jiwer") from error
    if not written.strip():
        return len(target.split())
    found = jiwer.process_words(target, written)
    return found.substitutions + found.deletions + found.insertions


def _not_installed(package: str) -> DataError:
    return DataError(
        f"this measure is taken by the package {package}, which is not installed\n"
        "install it: pip install 'cutaway[metrics]'"
    )


def _targets(pair: Pair) -> tuple[str, ...]:
    return (pair.target, *pair.others)


def _is_right(written: str, pair: Pair) -> bool:
    """Says whether the text is one of the targets, white space left aside."""
    return written.split() in [target.split() for target in _targets(pair)]


_MEASURES: Mapping[str, Callable[[Sequence[str], Sequence[Pair], int], Measurement]] = {
    "bleu": _bleu,
    "chrf": _chrf,
    "exact": _exact,
    "word_error": _word_error,
    "phoneme_error": _phoneme_error,
    "rouge_l": _rouge_l,
}
