"""report.json has the fields that programs rely on."""

import dataclasses
import json
import math

from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.report.card import ReportCard, as_json


def test_the_fields_for_machines_are_there(card):
    data = as_json(card)
    assert data["minutes"]["pretrain"] == 5.5
    assert data["minutes"]["total"] == math.fsum(card.minutes.values())
    bits = data["bits_per_byte"]
    assert {name: bits[name] for name in ("value", "gzip", "xz", "ngram5")} == {
        "value": 1.098,
        "gzip": 2.241,
        "xz": 1.652,
        "ngram5": 1.646,
    }
    assert bits["low"] < bits["value"] < bits["high"]
    assert bits["stages"]["finetuned"]["value"] == 1.131


def test_every_skill_has_its_measure_and_its_stages(card):
    skills = as_json(card)["skills"]
    assert list(skills) == [skill.name for skill in card.skills]
    dates, sounds = skills["dates"], skills["pronunciation"]
    assert (dates["metric"], dates["higher_is_better"]) == ("exact", True)
    assert (sounds["metric"], sounds["higher_is_better"]) == ("phoneme_error_rate", False)
    assert dates["n"] == 200
    assert isinstance(dates["baseline"], float)
    for stage in ("base", "finetuned"):
        assert {"value", "low", "high"} <= set(dates["stages"][stage])


def test_the_best_form_of_prompt_speaks_for_the_base_model(card):
    counting = as_json(card)["skills"]["counting"]
    assert counting["stages"]["base"]["prompt"] == "4-shot"
    assert counting["stages"]["base"]["n"] == 50
    assert set(counting["prompts"]["base"]) == {"zero-shot", "4-shot"}


def test_a_total_that_was_measured_is_kept():
    card = ReportCard(title="x", minutes={"pretrain": 1.0, "total": 1.5})
    assert as_json(card)["minutes"] == {"pretrain": 1.0, "total": 1.5}


def test_a_run_with_nothing_still_has_the_fields():
    data = as_json(ReportCard(title="x"))
    assert data["bits_per_byte"] is None
    assert data["skills"] == {}
    assert data["minutes"] == {}


def test_numbers_that_are_not_finite_become_null(card):
    lost = Interval(value=math.nan, low=math.nan, high=math.nan)
    score = dataclasses.replace(card.text.stages["base"], nats_per_word=lost)
    text = dataclasses.replace(card.text, stages={"base": score})
    data = as_json(dataclasses.replace(card, text=text))
    assert data["bits_per_byte"]["stages"]["base"]["perplexity_per_word"] is None
    json.dumps(data, allow_nan=False)
