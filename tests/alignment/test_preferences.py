"""What was judged is kept on every database, and becomes rankings and pairs to learn from."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy

from cutaway.alignment.judgements import Comparison, Judged, Judgement, Verdict
from cutaway.alignment.preferences import PreferenceStore, pairs, rankings
from cutaway.errors import DataError, UsageError
from tests.alignment.conftest import compared

TWO = compared("How do you spell rain?", "r a i n", "r a n e")
FOUR = compared("Who made you?", "A", "B", "C", "D")
TIME = datetime(2026, 11, 26, 12, 30, 15, 250_000, tzinfo=UTC)


def judged(comparison: Comparison, verdict: Verdict, **fields: object) -> Judgement:
    values = {"rater": "Ruth", "judge": "person", "shown": comparison.answer_keys, "time": TIME}
    return Judgement(comparison=comparison.key, verdict=verdict, **(values | fields))


def said(comparison: Comparison, verdict: Verdict, **fields: object) -> Judged:
    return Judged(judgement=judged(comparison, verdict, **fields), comparison=comparison)


def test_the_store_imports_without_torch():
    code = "import sys, cutaway.alignment.preferences; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_was_stored_is_read_back_by_another_process_of_the_same_database(url: str):
    first = PreferenceStore(url)
    assert first.add([TWO, FOUR]) == 2
    order = FOUR.answer_keys[::-1]
    judgement = judged(
        FOUR, "ranking", ranking=order, reasons=("correct",), better="你好", milliseconds=2500
    )
    number = first.record(judgement).number
    first.close()
    second = PreferenceStore(url)
    assert second.comparisons() == [TWO, FOUR]
    assert second.judgements() == [replace(judgement, number=number)]
    second.close()


def test_a_comparison_is_stored_once_whatever_the_order_of_its_answers(store: PreferenceStore):
    turned = replace(TWO, answers=TWO.answers[::-1])
    assert [store.add([TWO, FOUR]), store.add([turned, FOUR])] == [2, 0]
    assert store.comparisons() == [TWO, FOUR]


def test_the_same_judgement_sent_twice_counts_once(store: PreferenceStore):
    store.add([TWO])
    first = store.record(judged(TWO, "a"))
    assert store.record(judged(TWO, "a", milliseconds=9)) == first
    assert len(store.judgements()) == 1


def test_another_verdict_needs_the_first_to_be_taken_back(store: PreferenceStore):
    store.add([TWO])
    store.record(judged(TWO, "a"))
    with pytest.raises(UsageError, match="take that judgement back first"):
        store.record(judged(TWO, "b"))
    store.undo("Ruth")
    assert store.record(judged(TWO, "b")).verdict == "b"


def test_undo_takes_the_latest_of_one_rater_back_and_keeps_its_history(store: PreferenceStore):
    store.add([TWO, FOUR])
    store.record(judged(TWO, "a"))
    store.record(judged(FOUR, "tie"))
    store.record(judged(TWO, "b", rater="Naomi"))
    undone = store.undo("Ruth")
    assert undone is not None
    assert (undone.comparison, undone.verdict) == (FOUR.key, "tie")
    assert [each.rater for each in store.judgements()] == ["Ruth", "Naomi"]
    history = store.judgements(with_undone=True)
    assert [each.undone is None for each in history] == [True, False, True]
    assert store.undo("Nobody") is None


def test_many_raters_at_once_lose_nothing_and_count_once(store: PreferenceStore):
    items = [compared(f"question {number}", "x", "y") for number in range(5)]
    store.add(items)
    work = [judged(item, "a", rater=f"rater {n}") for n in range(4) for item in items]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.record, work * 2))
    assert len(store.judgements()) == 20


def test_texts_that_no_database_takes_are_marked_and_not_refused(store: PreferenceStore):
    store.add([compared("a\0b", "c\0", "\ud800")])
    (found,) = store.comparisons()
    assert [each.text for each in found.answers] == ["c\ufffd", "?"]
    assert found.prompt[0].content == "a\ufffdb"


def test_many_judgements_are_stored_at_once_and_those_known_are_passed_over(
    store: PreferenceStore,
):
    items = [compared(f"question {number}", "x", "y") for number in range(600)]
    assert store.add(items) == 600
    work = [judged(item, "a", judge="rule", rater="rule") for item in items]
    assert [store.record_all(work), store.record_all(work)] == [600, 0]
    assert len(store.judged(judges=["rule"])) == 600
    assert store.judged(judges=["person"]) == []


def test_a_judgement_of_an_answer_that_is_gone_is_named(store: PreferenceStore):
    store.add([TWO])
    store.record(judged(TWO, "a"))
    engine = sqlalchemy.create_engine(store._engine.url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM compared WHERE place = 1"))
    engine.dispose()
    with pytest.raises(DataError, match=r"comparison 1 is of an answer that is gone"):
        store.judged()


@pytest.mark.parametrize(
    ("judgement", "error", "told"),
    [
        (judged(TWO, "a", shown=("gone", "away")), DataError, "the answer gone, which is gone"),
        (judged(TWO, "a", shown=TWO.answer_keys[:1]), DataError, "1 answers were shown, but 2"),
        (judged(FOUR, "a"), UsageError, "the verdict a is of 2 answers, not of 4"),
        (judged(FOUR, "ranking"), UsageError, "comes with 0 ranked answers"),
        (judged(TWO, "a", ranking=TWO.answer_keys), UsageError, "comes with 2 ranked answers"),
        (judged(TWO, "a", rater=""), UsageError, "the rater's name is ''"),
        (judged(TWO, "a", rater="x\n"), UsageError, "the rater's name is 'x"),
        (judged(TWO, "a", reasons=("r",) * 17), UsageError, "17 reasons; 16 are allowed"),
        (judged(compared("?", "1", "2"), "a"), DataError, "there is no comparison"),
    ],
)
def test_a_judgement_that_cannot_be_is_refused(
    tmp_path, judgement: Judgement, error: type[Exception], told: str
):
    store = PreferenceStore(f"sqlite:///{tmp_path / 'x.db'}")
    store.add([TWO, FOUR])
    with pytest.raises(error, match=told):
        store.record(judgement)
    store.close()


def test_a_ranking_of_four_is_six_pairs_the_better_one_first():
    order = (2, 0, 3, 1)
    ranking = tuple(FOUR.answer_keys[place] for place in order)
    found = pairs([said(FOUR, "ranking", ranking=ranking)])
    texts = [(pair.chosen.text, pair.rejected.text) for pair in found]
    assert texts == [("C", "A"), ("C", "D"), ("C", "B"), ("A", "D"), ("A", "B"), ("D", "B")]


def test_the_verdict_counts_the_places_on_the_screen():
    turned = TWO.answer_keys[::-1]
    (pair,) = pairs([said(TWO, "a", shown=turned)])
    assert (pair.chosen, pair.rejected) == (TWO.answers[1], TWO.answers[0])
    assert pair.prompt == TWO.prompt


def test_a_written_answer_stands_above_what_it_was_written_for():
    (whole,) = rankings([said(TWO, "b", better="r-a-i-n")])
    assert [each.text for each in whole.answers] == ["r-a-i-n", "r a n e", "r a i n"]
    apart = rankings([said(TWO, "both_bad", better="r-a-i-n")])
    assert [[each.text for each in one.answers] for one in apart] == [
        ["r-a-i-n", "r a i n"],
        ["r-a-i-n", "r a n e"],
    ]


def test_ties_skips_and_repetitions_are_not_learned_from():
    silent = [said(TWO, verdict, rater=verdict) for verdict in ("tie", "both_bad", "skip")]
    again = said(TWO, "b", showing=1)
    assert len(rankings([*silent, again, said(TWO, "a")])) == 1


def test_nothing_to_learn_from_is_said_and_not_learned():
    with pytest.raises(DataError, match="there are no judgements to learn from"):
        pairs([])
    with pytest.raises(DataError, match="one-sided: 2 x tie, and none says"):
        pairs([said(TWO, "tie"), said(FOUR, "tie")])


def test_a_rater_who_always_takes_the_same_place_is_named():
    items = [compared(f"question {number}", "x", "y") for number in range(20)]
    with pytest.raises(DataError, match=r"all 20 of Ruth prefer the answer .* in place 2"):
        pairs([said(item, "b") for item in items])
    assert len(pairs([said(item, "b") for item in items[:19]])) == 19
