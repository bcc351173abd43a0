"""A file is known by its fields, and judged by the rule of its kind."""

import dataclasses
import json
import math

import pytest

from cutaway.errors import DataError
from cutaway.evaluation.subject import Subject
from cutaway.evaluation.tasks import (
    Conversations,
    MinimalPairs,
    MultipleChoice,
    PlainText,
    drawn,
    judge_conversations,
    judge_texts,
    task_for,
)
from cutaway.inference.engine import Engine
from cutaway.text.conversations import Conversation, Message


@pytest.fixture
def subject(uniform_model, tokenizer):
    engine = Engine(uniform_model, tokenizer)
    return Subject(
        stage="finetuned",
        model=uniform_model,
        tokenizer=tokenizer,
        engine=engine,
        can_chat=True,
    )


def rows(path, *objects):
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


def talk(question, answer):
    return Conversation(
        messages=(
            Message(role="user", content=question),
            Message(role="assistant", content=answer),
        )
    )


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"sentence_good": "a", "sentence_bad": "b", "UID": "x"}, MinimalPairs),
        ({"question": "a", "choices": ["a", "b"], "answer": 0}, MultipleChoice),
        ({"messages": []}, Conversations),
        ({"conversations": []}, Conversations),
        ({"instruction": "a", "output": "b"}, Conversations),
        ({"prompt": "a", "completion": "b"}, Conversations),
        ({"text": "a", "source_of_it": "web"}, PlainText),
    ],
)
def test_rows_are_known_by_their_fields(tmp_path, row, kind):
    assert isinstance(task_for(rows(tmp_path / "a.jsonl", row)), kind)


@pytest.mark.parametrize("name", ["a.txt", "a.parquet", ""])
def test_documents_are_known_by_their_ending_and_folders_hold_documents(tmp_path, name):
    assert isinstance(task_for(tmp_path / name), PlainText)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"source": "a", "target": "b"}, "translations"),
        ({"text": "a", "label": "spam"}, "classes"),
        ({"text": "a", "text_b": "b", "label": "0"}, "classes"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preferences"),
    ],
)
def test_kinds_that_cannot_be_judged_yet_are_called_so(tmp_path, row, kind):
    with pytest.raises(DataError) as caught:
        task_for(rows(tmp_path / "a.jsonl", row))
    message = str(caught.value)
    assert f"are {kind}; this version cannot judge them" in message
    assert "minimal pairs (sentence_bad, sentence_good)" in message
    assert len(message.splitlines()) <= 6


def test_unknown_rows_are_shown_with_what_is_allowed(tmp_path):
    with pytest.raises(DataError, match=r'a\.jsonl:1: there is "score"'):
        task_for(rows(tmp_path / "a.jsonl", {"score": 1}))


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(DataError, match="has no rows"):
        task_for(rows(tmp_path / "a.jsonl"))


def test_a_file_of_pairs_is_judged(subject, tmp_path):
    path = rows(
        tmp_path / "a.jsonl",
        {"sentence_good": "ab", "sentence_bad": "abc", "UID": "length"},
        {"sentence_good": "abc", "sentence_bad": "ab", "UID": "length"},
    )
    report = task_for(path).evaluate(subject, path)
    [accuracy] = report.measurements
    assert (report.task, accuracy.value.value, accuracy.chance) == ("minimal pairs", 0.5, 0.5)
    assert report.groups["length"].value == 0.5


def test_a_file_of_questions_is_judged(subject, tmp_path):
    path = rows(tmp_path / "a.jsonl", {"question": "a", "choices": ["b", "cc"], "answer": "B"})
    [accuracy] = task_for(path).evaluate(subject, path).measurements
    assert (accuracy.n, accuracy.chance) == (1, 0.5)


def test_a_text_is_judged_by_bits_and_perplexity(subject, tmp_path):
    vocabulary = subject.model.config.vocab_size
    (tmp_path / "a.csv").write_text("text\nhello there\n")
    (tmp_path / "a.txt").write_text("hello there")
    for name in ("a.csv", "a.txt"):
        path = tmp_path / name
        bits, nats, token, word = task_for(path).evaluate(subject, path).measurements
        assert nats.value.value == pytest.approx(math.log(vocabulary))
        assert bits.value.value == pytest.approx(math.log2(vocabulary))
        assert token.value.value == pytest.approx(vocabulary)
        assert math.log(word.value.value) == pytest.approx(11 / 2 * math.log(vocabulary))


def test_text_can_be_judged_in_blocks_that_do_not_see_each_other(subject, model):
    sharp = dataclasses.replace(subject, model=model)
    text = "the quick brown fox jumps over the lazy dog"
    apart, together = (
        judge_texts(sharp, [text], stride=stride).measurements[0].value.value
        for stride in (16, None)
    )
    assert apart != together


def test_conversations_are_judged_by_exact_answers_and_their_loss(subject, tmp_path):
    path = rows(
        tmp_path / "a.jsonl",
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    )
    exact, loss = task_for(path).evaluate(subject, path).measurements
    assert (exact.name, exact.n) == ("exact", 1)
    assert loss.value.value == pytest.approx(math.log(subject.model.config.vocab_size))


def test_a_right_answer_counts_and_a_long_conversation_is_left_out(subject):
    # The most probable token of a model without opinions is the first of its alphabet.
    talks = [talk("a", "\n"), talk("a", "b"), talk("a" * 20, "b")]
    report = judge_conversations(subject, talks)
    assert report.left_out == 1
    assert report.measurements[0].n == 2


def test_conversations_that_all_are_too_long_are_an_error(subject):
    with pytest.raises(DataError, match="none of 1 conversations can be judged"):
        judge_conversations(subject, [talk("a" * 20, "b")])


def test_items_are_drawn_in_their_order_and_the_same_for_the_same_seed():
    found = list(range(100))
    few = drawn(found, items=10, seed=1)
    assert few == sorted(few) == drawn(found, items=10, seed=1)
    assert few != drawn(found, items=10, seed=2)
    assert drawn(found, items=None, seed=1) == drawn(found, items=100, seed=1) == found
