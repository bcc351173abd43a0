"""Skills are scored by their own rule, on questions that differ, beside a trivial answer."""

import pytest

from cutaway.evaluation.generation import Asker
from cutaway.evaluation.intervals import wilson
from cutaway.evaluation.prompting import FewShot, ZeroShot
from cutaway.evaluation.skills import (
    SkillResult,
    held_out_items,
    score_baseline,
    score_skill,
)
from cutaway.text.skills.base import Score, Skill, dialogue, reference, same_last_line


class Doubling(Skill[int]):
    """Doubles one of six numbers."""

    name = "doubling"

    def baseline(self, example):
        return "4"

    def _draw(self, randomness):
        return randomness.randrange(10, 20)

    def _held_out(self):
        return range(6)

    def _example(self, item, split, randomness):
        return dialogue(f"Double {item}.", str(2 * item), key=str(item))

    def score(self, example, answer):
        return same_last_line(example, answer)


class Sounding(Doubling):
    """The same with a rate of errors, two for each question, half of them wrong."""

    name = "sounding"
    metric = "phoneme_error_rate"

    def score(self, example, answer):
        return Score(errors=1 if answer == reference(example) else 3, length=2)


class Knowing(Asker):
    """Knows all answers but those that it is told to get wrong, and remembers the prompts."""

    def __init__(self, *, wrong=()):
        self.wrong, self.shown = wrong, []

    def answers(self, asked, *, references, form, examples=()):
        self.shown = [example.messages[-2].content for example in examples]
        return [
            "none" if conversation.messages[-1].content in self.wrong else reference
            for conversation, reference in zip(asked, references, strict=True)
        ]


@pytest.fixture
def items():
    return held_out_items(Doubling(), count=50, seed=0)


def test_a_repeated_question_is_asked_once(items):
    assert sorted(item.key for item in items) == ["0", "1", "2", "3", "4", "5"]
    assert len(held_out_items(Doubling(), count=4, seed=0)) == 4


def test_the_share_of_exact_answers_has_its_interval(items):
    score = score_skill(Knowing(wrong=["Double 3."]), Doubling(), items=items, form=ZeroShot())
    assert (score.form, score.n) == ("zero-shot", 6)
    assert score.value == wilson(5, 6)


def test_every_answer_is_kept_with_its_verdict(items):
    score = score_skill(Knowing(wrong=["Double 3."]), Doubling(), items=items, form=ZeroShot())
    [wrong] = [answered for answered in score.answered if not answered.is_right]
    assert (wrong.question, wrong.reference, wrong.answer) == ("Double 3.", "6", "none")


def test_an_error_rate_is_the_sum_of_errors_over_the_sum_of_lengths(items):
    score = score_skill(Knowing(wrong=["Double 3."]), Sounding(), items=items, form=ZeroShot())
    assert score.value.value == pytest.approx((5 * 1 + 3) / 12)


def test_few_shot_examples_are_training_questions(items):
    asker = Knowing()
    score_skill(asker, Doubling(), items=items, form=FewShot(count=3))
    assert len(asker.shown) == 3
    assert all(int(shown.split()[1].rstrip(".")) >= 10 for shown in asker.shown)


def test_the_trivial_answer_is_scored_by_the_same_rule(items):
    assert score_baseline(Doubling(), items=items) == wilson(1, 6)


def test_the_best_form_of_prompt_speaks_for_a_stage(items):
    good = score_skill(Knowing(), Doubling(), items=items, form=FewShot(count=2))
    bad = score_skill(Knowing(wrong=["Double 3."]), Doubling(), items=items, form=ZeroShot())
    baseline = score_baseline(Doubling(), items=items)
    stages = {"base": (bad, good)}
    exact = SkillResult(name="doubling", metric="exact", baseline=baseline, stages=stages)
    rate = SkillResult(
        name="doubling", metric="phoneme_error_rate", baseline=baseline, stages=stages
    )
    assert exact.best("base") is good
    assert rate.best("base") is bad
    assert (exact.higher_is_better, rate.higher_is_better) == (True, False)
