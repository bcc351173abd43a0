"""The page is one file that loads nothing, reads well by machine, and works with parts missing."""

import html.parser
import json
import re

import pytest

from cutaway.evaluation.report import wording
from cutaway.evaluation.report.card import ReportCard
from cutaway.evaluation.report.page import write_report


class Page(html.parser.HTMLParser):
    """Collects what a browser would build, and fails where elements are not closed in order."""

    VOID = frozenset({"br", "meta", "hr", "wbr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(run, card):
    return Page(write_report(run, card=card).read_text(encoding="utf-8"))


def test_every_section_of_what_was_measured_is_there_and_can_be_reached(page):
    anchors = {attributes["href"] for attributes in page.all("a")}
    others = {"classes", "masked", "pairs", "verses"}  # those are of models of other kinds
    measured = wording.SECTIONS.keys() - others
    assert anchors == {f"#{name}" for name in measured} | {"#report"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {anchor.removeprefix("#") for anchor in anchors} <= set(ids)


def test_the_page_loads_nothing_and_runs_nothing(page, run):
    names = {name for name, _ in page.elements}
    assert not names & {"script", "img", "link", "iframe", "object", "form", "base"}
    text = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import", text)
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    [policy] = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")


def test_tables_have_captions_and_named_rows_and_columns(page):
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert all(attributes["scope"] in ("row", "col") for attributes in page.all("th"))


def test_every_picture_is_named_or_hidden(page):
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))


def test_language_and_width_are_said(page):
    assert page.all("html") == [{"lang": "en"}]
    assert any(a.get("name") == "viewport" for a in page.all("meta"))


def test_figures_samples_settings_and_the_next_step_are_shown(page):
    for words in (
        "1.098",
        "2.241",
        "97.0%",
        "And God said,",
        "cutaway chat runs/demo",
        'name = "<b>"',
    ):
        assert words in page.text


def test_hostile_text_stays_text(run, card):
    hostile = "<script>alert(1)</script>\x00\ud800\u202e"
    row = {"stage": hostile, "step": 1, "prompt": hostile, "text": hostile, "loss": 1.0}
    for name in ("metrics.jsonl", "samples.jsonl"):
        (run / name).write_text(json.dumps(row) + "\n")
    card = ReportCard(title=hostile, remarks=[hostile], minutes={hostile: 1.0})
    page = Page(write_report(run, card=card).read_text(encoding="utf-8"))
    assert "<script>alert(1)</script>␀" in page.text
    assert not page.all("script")


def test_a_continuation_is_read_with_its_prompt_and_an_answer_alone(run):
    rows = [
        {"stage": "pretrain", "step": 1, "prompt": "In the", "text": " beginning"},
        {"stage": "finetune", "step": 1, "prompt": "Who are you?", "text": "I am small."},
    ]
    (run / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(write_report(run, card=ReportCard(title="x")).read_text(encoding="utf-8"))
    assert "In the beginning" in page.text
    assert "Asked “Who are you?”" in page.text
    assert page.text.count("Who are you?") == 1


def test_earlier_runs_give_their_curves_and_samples(run, tmp_path):
    later = tmp_path / "later"
    later.mkdir()
    row = {"stage": "align", "step": 1, "loss": 0.5}
    (later / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    page = Page(write_report(later, card=ReportCard(title="x"), before=[run]).read_text("utf-8"))
    assert "And God said," in page.text
    data = json.loads((later / "report.json").read_text(encoding="utf-8"))
    assert list(data["training"]) == ["pretrain", "finetune", "align"]


def test_a_pretraining_run_alone_has_a_report(run):
    page = Page(write_report(run, card=ReportCard(title="mine")).read_text(encoding="utf-8"))
    assert wording.SECTIONS["curves"] in page.text
    assert wording.SECTIONS["skills"] not in page.text


def test_an_empty_folder_has_a_report(tmp_path):
    page = Page(write_report(tmp_path, card=ReportCard(title="new")).read_text(encoding="utf-8"))
    assert "A language model." in page.text
    assert json.loads((tmp_path / "report.json").read_text())["title"] == "new"


def test_the_twin_for_machines_says_how_training_ended(run, card):
    write_report(run, card=card)
    data = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert data["training"]["pretrain"]["step"] == 2400
    assert data["training"]["finetune"]["loss"] < 1
    assert all(set(seen) == {"is_fine", "words"} for seen in data["observations"])


def test_damaged_provenance_does_not_stop_the_report(run, card):
    (run / "provenance.json").write_text("{")
    assert write_report(run, card=card).exists()


@pytest.mark.parametrize(
    ("minutes", "words"), [(0.2, "12 s"), (9.24, "9 min 14 s"), (75.0, "1 h 15 min")]
)
def test_times_are_told_in_their_own_unit(tmp_path, minutes, words):
    card = ReportCard(title="x", minutes={"pretrain": minutes})
    page = Page(write_report(tmp_path, card=card).read_text(encoding="utf-8"))
    assert f"built from text in {words}." in page.text.replace("\N{NO-BREAK SPACE}", " ")
