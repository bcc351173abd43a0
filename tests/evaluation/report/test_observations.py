"""What is said about a run follows from its numbers."""

import dataclasses
import math

import pytest

from cutaway.evaluation.compression import CompressionBaselines
from cutaway.evaluation.intervals import wilson
from cutaway.evaluation.report.card import ReportCard
from cutaway.evaluation.report.history import histories
from cutaway.evaluation.report.observations import observe
from tests.evaluation.report.conftest import skill


def run_of(losses=(), validation=(), speeds=()):
    rows = [{"stage": "pretrain", "step": step, "loss": loss} for step, loss in enumerate(losses)]
    rows += [
        {"stage": "pretrain", "step": step, "validation_loss": loss}
        for step, loss in enumerate(validation)
    ]
    rows += [
        {"stage": "pretrain", "step": step, "tokens_per_second": speed}
        for step, speed in enumerate(speeds)
    ]
    return histories(rows)


@pytest.mark.parametrize(
    ("first", "is_fine", "words"),
    [
        (7.6, True, "training began where it should"),
        (9.9, False, "sure of wrong things"),
        (4.0, True, "the first one written"),
    ],
)
def test_the_first_loss_is_held_against_the_logarithm_of_the_vocabulary(
    card, first, is_fine, words
):
    plain = ReportCard(title="x", model=card.model)
    [seen] = observe(plain, run_of(losses=[first]))
    assert seen.is_fine is is_fine
    assert words in seen.words
    assert f"ln 2,048 = {math.log(2048):.2f}" in seen.words


@pytest.mark.parametrize(
    ("validation", "is_fine", "words"),
    [
        ([5.0, 3.0, 2.9], True, "still falling"),
        ([5.0, 2.9, 2.91], True, "level"),
        ([5.0, 2.9, 3.2], False, "by heart"),
    ],
)
def test_rising_validation_loss_is_called_overfitting(validation, is_fine, words):
    [seen] = observe(ReportCard(title="x"), run_of(validation=validation))
    assert (seen.is_fine, words in seen.words) == (is_fine, True)


@pytest.mark.parametrize(("last", "is_much"), [(1.12, False), (1.3, True)])
def test_text_that_gets_much_worse_in_finetuning_is_called_forgetting(last, is_much):
    rows = [
        {"stage": "finetune", "step": step, "bits_per_byte": bits}
        for step, bits in enumerate([1.1, 1.2, last])
    ]
    seen = observe(ReportCard(title="x"), histories(rows))
    assert ["forgetting plain text" in one.words for one in seen] == [True] * is_much


def test_losses_that_are_not_finite_are_pointed_out():
    [seen] = observe(ReportCard(title="x"), run_of(losses=[3.0, math.inf, math.nan]))
    assert not seen.is_fine
    assert "2 of the losses" in seen.words
    assert "step 1" in seen.words


def test_a_machine_that_slows_down_is_pointed_out():
    steady = observe(ReportCard(title="x"), run_of(speeds=[1000, 980] * 8))
    [slowed] = observe(ReportCard(title="x"), run_of(speeds=[1000] * 8 + [600] * 8))
    assert steady == []
    assert "slowed from 1,000 to 600" in slowed.words


def test_forgetting_and_weak_models_are_pointed_out(card):
    healthy = ReportCard(title="x", text=card.text)
    assert [seen.is_fine for seen in observe(healthy, [])] == [True]
    weak = dataclasses.replace(
        card.text,
        stages={"base": card.text.stages["finetuned"], "finetuned": card.text.stages["base"]},
        baselines=CompressionBaselines(gzip=1.2, xz=1.0, ngram5=1.1),
    )
    first, _ = observe(ReportCard(title="x", text=weak), [])
    assert not first.is_fine
    assert "predicts the held-out text as well (1.000" in first.words


def test_skills_that_do_not_beat_a_trivial_answer_are_named(card):
    [all_good] = observe(ReportCard(title="x", skills=card.skills), [])
    assert all_good.is_fine
    weak = dataclasses.replace(
        card.skills[-2], baseline=card.skills[0].stages["finetuned"][0].value
    )
    [seen] = observe(ReportCard(title="x", skills=[*card.skills[:3], weak]), [])
    assert not seen.is_fine
    assert "system prompt" in seen.words
    assert "dates" not in seen.words


def test_remarks_of_the_run_are_passed_on():
    [seen] = observe(ReportCard(title="x", remarks=["No compiler was found."]), [])
    assert (seen.is_fine, seen.words) == (False, "No compiler was found.")


@pytest.mark.parametrize(("after", "is_worse"), [(150, True), (178, False)])
def test_a_skill_that_alignment_made_worse_than_chance_explains_is_named(after, is_worse):
    known = skill("names", 0.1, 10, 180)
    aligned = dataclasses.replace(known.stages["finetuned"][0], value=wilson(after, 200))
    worse = dataclasses.replace(known, stages={**known.stages, "aligned": (aligned,)})
    seen = observe(ReportCard(title="x", skills=[worse]), [])
    named = [each for each in seen if "made worse" in each.words]
    assert len(named) == is_worse
    assert not any(each.is_fine or "names" not in each.words.lower() for each in named)


def test_the_first_loss_of_what_follows_judgements_is_held_against_nothing(card):
    rows = [{"stage": "align", "step": 1, "loss": 0.02}]
    assert observe(ReportCard(title="x", model=card.model), histories(rows)) == []
