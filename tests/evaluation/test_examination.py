"""Every stage of a model answers the same questions, a base model in two forms of prompt."""

import random

from cutaway.evaluation.examination import ExaminationSize, examine_skill
from cutaway.evaluation.subject import Subject
from cutaway.inference.engine import Engine
from cutaway.text.skills.base import Skill, dialogue, same_last_line


class Echo(Skill[str]):
    """Says a letter again."""

    name = "echo"

    def baseline(self, example):
        return example.key

    def score(self, example, answer):
        return same_last_line(example, answer)

    def _draw(self, randomness: random.Random):
        return randomness.choice("xyz")

    def _held_out(self):
        return "abcdef"

    def _example(self, item, split, randomness):
        return dialogue(item, item, key=item)


def test_every_stage_answers_and_only_the_base_model_is_asked_twice(long_model, tokenizer):
    subjects = [
        Subject(
            stage=stage,
            model=long_model,
            tokenizer=tokenizer,
            engine=Engine(long_model, tokenizer),
            can_chat=stage == "finetuned",
        )
        for stage in ("base", "finetuned")
    ]
    size = ExaminationSize(items=6, base_items=2, shots=1)
    result = examine_skill(subjects, Echo(), size=size)
    assert result.baseline.value == 1
    assert [(score.form, score.n) for score in result.stages["base"]] == [
        ("zero-shot", 2),
        ("1-shot", 2),
    ]
    assert [(score.form, score.n) for score in result.stages["finetuned"]] == [("zero-shot", 6)]
    asked = [answered.question for answered in result.stages["finetuned"][0].answered]
    assert [one.question for one in result.stages["base"][0].answered] == asked[:2]
