"""What comes next is derived from the store: repeated, shared, in random order, never lost."""

from dataclasses import replace

from cutaway.alignment.assignment import (
    APART,
    Assignment,
    is_repeated,
    is_shared,
    next_assignment,
    progress,
)
from cutaway.alignment.judgements import Judgement
from tests.alignment.conftest import compared

ITEMS = [compared(f"question {number}", "x", "y") for number in range(300)]


def judge(assignment: Assignment, *, rater: str, number: int) -> Judgement:
    return Judgement(
        comparison=assignment.comparison.key,
        rater=rater,
        judge="person",
        verdict="a",
        shown=assignment.shown,
        showing=assignment.showing,
        milliseconds=4000,
        number=number,
    )


def judge_all(*raters: str) -> list[Judgement]:
    done: list[Judgement] = []
    waiting = list(raters)
    while waiting:
        rater = waiting[len(done) % len(waiting)]
        assignment = next_assignment(ITEMS, done, rater=rater)
        if assignment is None:
            waiting.remove(rater)
            continue
        done.append(judge(assignment, rater=rater, number=len(done)))
    return done


def test_one_rater_judges_everything_and_a_tenth_of_it_twice_far_apart():
    done = judge_all("Ruth")
    first = [each.comparison for each in done if each.showing == 0]
    assert sorted(first) == sorted(item.key for item in ITEMS)
    again = [place for place, each in enumerate(done) if each.showing == 1]
    assert 0.06 < len(again) / len(ITEMS) < 0.14
    for place in again:
        before = next(p for p, each in enumerate(done) if each.comparison == done[place].comparison)
        assert place - before > min(APART, len(done) - before - len(again))
        assert done[place].shown == done[before].shown[::-1]


def test_raters_share_a_fifth_and_divide_the_rest():
    done = [each for each in judge_all("Ruth", "Naomi") if each.showing == 0]
    by_key: dict[str, int] = {}
    for each in done:
        by_key[each.comparison] = by_key.get(each.comparison, 0) + 1
    assert by_key.keys() == {item.key for item in ITEMS}
    assert all(count == (2 if is_shared(key) else 1) for key, count in by_key.items())
    assert 0.14 < sum(is_shared(key) for key in by_key) / len(by_key) < 0.26


def test_each_answer_stands_first_about_half_of_the_time():
    done = judge_all("Ruth")
    known = {item.key: item for item in ITEMS}
    first = [each.shown[0] == known[each.comparison].answer_keys[0] for each in done]
    assert 0.42 < sum(first) / len(first) < 0.58


def test_what_was_taken_back_comes_next():
    done = judge_all("Ruth")[:30]
    last = done[-1]
    assignment = next_assignment(ITEMS, done[:-1], rater="Ruth")
    assert assignment is not None
    assert (assignment.comparison.key, assignment.shown) == (last.comparison, last.shown)


def test_what_another_skipped_is_still_to_be_judged():
    key = next(item.key for item in ITEMS if not is_shared(item.key))
    item = [item for item in ITEMS if item.key == key]
    assignment = next_assignment(item, [], rater="Naomi")
    assert assignment is not None
    judgement = judge(assignment, rater="Naomi", number=1)
    assert next_assignment(item, [judgement], rater="Ruth") is None
    skipped = replace(judgement, verdict="skip")
    assert next_assignment(item, [skipped], rater="Ruth") is not None


def test_progress_counts_repetitions_and_tells_the_pace():
    done = judge_all("Ruth")
    expected = len(ITEMS) + sum(is_repeated(item.key, rater="Ruth") for item in ITEMS)
    for count in (0, 2, 57, len(done)):
        state = progress(ITEMS, done[:count], rater="Ruth")
        assert (state.done, state.total) == (count, expected)
    assert progress(ITEMS, done[:2], rater="Ruth").pace_s is None
    assert progress(ITEMS, done[:50], rater="Ruth").left_s == 4.0 * (expected - 50)
