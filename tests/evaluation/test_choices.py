"""Decisions between texts follow their probabilities; ties are wrong."""

import json

import pytest
import torch

from cutaway.errors import DataError
from cutaway.evaluation.choices import (
    MinimalPair,
    Question,
    read_minimal_pairs,
    read_questions,
    score_minimal_pairs,
    score_questions,
)


@pytest.fixture
def fond_of_a(uniform_model, tokenizer):
    """A model that finds the letter a probable everywhere, and all else improbable."""
    with torch.no_grad():
        uniform_model.embedding.weight.fill_(1)
        uniform_model.unembedding.weight[tokenizer.encode("a")] = 1
    return uniform_model


def test_the_more_probable_sentence_wins(fond_of_a, tokenizer):
    pairs = [
        MinimalPair(good="aab", bad="abb", kind="first"),
        MinimalPair(good="bb", bad="ba", kind="second"),
        MinimalPair(good="ab", bad="ba", kind="second"),
    ]
    result = score_minimal_pairs(fond_of_a, pairs, tokenizer=tokenizer)
    assert (result.n, result.chance) == (3, 0.5)
    assert result.share.value == pytest.approx(1 / 3)
    assert {kind: share.value for kind, share in result.kinds.items()} == {"first": 1, "second": 0}


def test_a_tie_is_wrong(uniform_model, tokenizer):
    result = score_minimal_pairs(
        uniform_model, [MinimalPair(good="abc", bad="abd")], tokenizer=tokenizer
    )
    assert result.share.value == 0


def test_an_option_is_judged_by_its_probability_a_byte(fond_of_a, tokenizer):
    questions = [
        Question(question="b", choices=("aaaaaa", "b"), answer=0),
        Question(question="aaaa", choices=("b", "bba", "bbbbb"), answer=1),
    ]
    result = score_questions(fond_of_a, questions, tokenizer=tokenizer)
    assert result.share.value == 1
    assert result.chance == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_options_that_tie_are_wrong(uniform_model, tokenizer):
    question = Question(question="b", choices=("aa", "bb"), answer=0)
    assert score_questions(uniform_model, [question], tokenizer=tokenizer).share.value == 0


def test_pairs_are_read_from_rows_as_blimp_has_them(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"sentence_good": "He is.", "sentence_bad": "He are.", "UID": "agreement"}\n'
        '{"sentence_good": "We are.", "sentence_bad": "We is."}\n'
    )
    assert read_minimal_pairs(path) == [
        MinimalPair(good="He is.", bad="He are.", kind="agreement"),
        MinimalPair(good="We are.", bad="We is."),
    ]


@pytest.mark.parametrize("answer", [1, "1", "B", "sky"])
def test_an_answer_is_a_place_a_letter_or_the_text(tmp_path, answer):
    path = tmp_path / "a.jsonl"
    row = {"question": "What is blue?", "choices": ["grass", "sky"], "answer": answer}
    path.write_text(json.dumps(row) + "\n")
    [read] = read_questions(path)
    assert read == Question(question="What is blue?", choices=("grass", "sky"), answer=1)


def test_options_in_a_table_are_a_list_or_parted_by_bars(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('question,choices,answer\nq,x | y,A\nq,"[""x"", ""y""]",A\n')
    assert [item.choices for item in read_questions(path)] == [("x", "y"), ("x", "y")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"choices": ["a", "b"], "answer": 0}, 'no "question"'),
        ({"question": "q", "choices": "a", "answer": 0}, "two or more are needed"),
        ({"question": "q", "choices": ["a", "a"], "answer": 0}, "all different"),
        ({"question": "q", "choices": ["a", 2], "answer": 0}, "a list of texts is needed"),
        ({"question": "q", "answer": 0}, "a list of texts is needed"),
        (
            {"question": "q", "choices": ["a", "b"], "answer": 2},
            "A to B, or a place 0 to 1",
        ),
        ({"question": "q", "choices": ["a", "b"], "answer": True}, "none of the 2 choices"),
        ({"question": "q", "choices": ["a", "b"]}, "answer None is none of the 2 choices"),
    ],
)
def test_a_question_that_cannot_be_scored_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError) as caught:
        read_questions(path)
    assert "a.jsonl:2: " in str(caught.value)
    assert message in str(caught.value)


def test_a_pair_of_equal_sentences_is_an_error(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("sentence_good\tsentence_bad\nsame\tsame\n")
    with pytest.raises(DataError, match=r"a\.tsv:2: sentence_good and sentence_bad are the same"):
        read_minimal_pairs(path)
