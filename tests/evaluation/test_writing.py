"""What is written is compared with what is right: by sacrebleu, by jiwer, and by closed forms."""

import pytest

from cutaway.evaluation.writing import longest_common, lowercased_bleu, measured, nearness, rouge_l
from cutaway.text.pairs import Pair

sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra `metrics`")
pytest.importorskip("jiwer", reason="needs the extra `metrics`")

TARGETS = [
    "Two dogs play in the snow near a red fence.",
    "A man in a hat reads the paper on a bench.",
    "Children run across the wide green field today.",
]
WRITTEN = [
    "Two dogs are playing in the snow near a fence.",
    "A man in a hat reads the paper on a bench.",
    "the children run over a green field today.",
]


def pairs(*targets: str, others: tuple[str, ...] = ()) -> list[Pair]:
    return [Pair(source="x", target=target, key=target, others=others) for target in targets]


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    found = pairs(*TARGETS)
    bleu, chrf = measured("bleu", WRITTEN, found), measured("chrf", WRITTEN, found)
    assert bleu.value.value == pytest.approx(sacrebleu.corpus_bleu(WRITTEN, [TARGETS]).score)
    assert chrf.value.value == pytest.approx(sacrebleu.corpus_chrf(WRITTEN, [TARGETS]).score)
    for one in (bleu, chrf):
        assert one.value.low < one.value.value < one.value.high
    alone = measured("bleu", WRITTEN, found, resamples=0)
    assert alone.value.low == alone.value.high == alone.value.value


def test_capitals_are_nothing_to_the_lowercased_measure() -> None:
    shouted = [text.upper() for text in TARGETS]
    assert lowercased_bleu(shouted, pairs(*TARGETS)).value.value == pytest.approx(100.0)
    assert measured("bleu", shouted, pairs(*TARGETS), resamples=0).value.value < 50


def test_any_of_several_targets_is_right() -> None:
    two = pairs("T AH M EY T OW", others=("T AH M AA T OW",))
    for written, wrong in (("T AH M AA T OW", 0.0), ("T AH M EY T OW", 0.0), ("T AH M OW", 1.0)):
        assert measured("word_error", [written], two).value.value == wrong
    assert measured("exact", ["T AH M  AA T OW "], two).value.value == 1.0


def test_phonemes_are_counted_against_the_nearest_target() -> None:
    two = pairs("T AH M EY T OW", others=("T AH M AA T OW",))
    assert measured("phoneme_error", ["T AH M AA T OW S"], two).value.value == pytest.approx(1 / 6)
    assert measured("phoneme_error", [""], two).value.value == 1.0


def test_examples_are_sorted_by_the_measure_or_by_chrf() -> None:
    found = pairs(*TARGETS)
    by_chrf = nearness("bleu", WRITTEN, found)
    singly = [
        sacrebleu.sentence_chrf(text, [t]).score / 100
        for text, t in zip(WRITTEN, TARGETS, strict=True)
    ]
    assert by_chrf == pytest.approx(singly)
    assert nearness("rouge_l", ["the dog"], pairs("the cat")) == [0.5]
    spoken = pairs("T AH M EY T OW", others=("T AH M AA T OW",))
    assert nearness("word_error", ["T AH M AA T"], spoken) == [pytest.approx(5 / 6)]
    assert nearness("phoneme_error", ["A B C D E F G H"], spoken) == [0.0]


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [("a b c d", "b d", 2), ("a b c", "c b a", 1), ("", "a", 0), ("a x b y c", "a b c", 3)],
)
def test_the_longest_common_words_keep_their_order(first: str, second: str, length: int) -> None:
    assert longest_common(first.split(), second.split()) == length
    assert longest_common(second.split(), first.split()) == length


def test_rouge_l_is_the_mean_of_recall_and_precision() -> None:
    # Lin 2004, section 3.1: three words of four are common; recall and precision are 3/4.
    assert rouge_l("police kill the gunman", "Police killed the gunman.") == pytest.approx(0.75)
    assert rouge_l("", "anything") == 0.0
    assert measured("rouge_l", ["the cat"], pairs("the cat")).value.value == 1.0
