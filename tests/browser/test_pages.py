"""The other pages, and what holds for all: accessibility in every theme and at every width."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import write_run
from tests.browser.stub import Stub
from tests.browser.test_chat import ask
from tests.browser.waiting import until

pytestmark = pytest.mark.browser

WIDTHS = (360, 768, 1440)
THEMES = ("light", "dark")
GRAVE = ("serious", "critical")


def compare(context: Any) -> Any:
    page = context.new_page()
    page.goto("/compare")
    page.wait_for_selector(".side option", state="attached")
    page.locator("#question").focus()
    page.keyboard.type("Which one?")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.told').length === 2")
    return page


def test_two_models_answer_the_same_question(context: Any, stub: Stub):
    page = compare(context)
    assert {body["model"] for body in stub.bodies} == set(stub.models)
    assert stub.bodies[0]["messages"] == stub.bodies[1]["messages"]
    assert page.locator(".side .message-body strong").count() == 2


def test_a_model_that_only_goes_on_with_a_text_is_given_a_text(context: Any, stub: Stub):
    stub.base = frozenset({"pretrained"})
    page = compare(context)
    prompts = [body["prompt"] for body in stub.bodies if "prompt" in body]
    assert prompts == ["Which one?"]
    page.locator(".check", has_text="Show tokens").locator("input").check()
    assert page.locator(".side").first.locator(".token").all_inner_texts() == [" and", " so", " on"]
    page.locator(".side").first.locator(".token").first.focus()
    assert page.locator(".rivals .rival").count() == 2


def test_one_side_can_fail_alone(context: Any, stub: Stub, watch: Any):
    watch.expected.append("status of 503")
    stub.failures = [(503, "loading", {})]
    page = context.new_page()
    page.goto("/compare")
    page.wait_for_selector(".side option", state="attached")
    page.locator("#question").fill("Which one?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".failure")
    page.wait_for_selector(".told")
    assert page.locator(".side .message-body strong").count() == 1


def test_curves_grow_while_a_run_learns(context: Any, runs: Path):
    page = context.new_page()
    page.goto("/runs")
    page.wait_for_selector(".chart-lines")
    before = page.locator("figure[data-metric=loss] .line").last.get_attribute("d")
    with (runs / "first" / "metrics.jsonl").open("a") as file:
        rows = [{"stage": "pretrain", "step": step, "loss": 2.0} for step in range(61, 90)]
        file.write("".join(json.dumps(row) + "\n" for row in rows) + '{"torn')
    until(
        page,
        "before => document.querySelector('figure[data-metric=loss] .line:last-child')"
        ".getAttribute('d') !== before",
        before,
    )
    assert "step 89" in page.locator(".run-facts").inner_text()


def test_several_runs_are_drawn_in_one_chart_and_read_as_a_table(context: Any, runs: Path):
    write_run(runs / "second" / "inner")
    page = context.new_page()
    page.goto("/runs")
    page.wait_for_selector(".chart-lines")
    for box in page.locator(".run input").all():
        box.check()
    until(
        page, "document.querySelectorAll('figure[data-metric=loss] .line:not(.faint)').length === 2"
    )
    page.locator("figure[data-metric=loss] summary").click()
    page.wait_for_selector("figure[data-metric=loss] thead th")
    assert page.locator("figure[data-metric=loss] thead th").count() == 3
    assert "The moon rose." in page.locator(".sample-text").first.inner_text()


def test_a_report_opens_and_can_run_nothing(context: Any, address: str):
    page = context.new_page()
    response = page.goto("/api/runs/first/report")
    assert page.inner_text("p") == "A report."
    assert response.headers["content-security-policy"].startswith("sandbox;")


def test_a_folder_without_runs_says_how_to_begin(context: Any, runs: Path):
    for path in (runs / "first").iterdir():
        path.unlink()
    page = context.new_page()
    page.goto("/runs")
    page.wait_for_selector("text=No runs yet")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_has_a_grave_fault_for_whom_cannot_see_it(
    browser: Any, address: str, axe: str, theme: str, width: int
):
    size = {"width": width, "height": 800}
    context = browser.new_context(base_url=address, color_scheme=theme, viewport=size)
    pages = {"compare": compare(context), "chat": context.new_page(), "runs": context.new_page()}
    pages["label"] = context.new_page()
    pages["label"].goto("/label")
    pages["label"].locator("#name").fill("Ruth")
    pages["label"].keyboard.press("Enter")
    pages["label"].wait_for_selector(".answer-text")
    pages["chat"].goto("/")
    pages["chat"].wait_for_selector(".model option", state="attached")
    ask(pages["chat"])
    pages["runs"].goto("/runs")
    pages["runs"].wait_for_selector(".chart-lines")
    states = [(name, page, lambda: None) for name, page in pages.items()]
    chat = pages["chat"]
    states += [
        ("settings", chat, lambda: chat.keyboard.press("Control+.")),
        ("tokens", chat, lambda: (chat.keyboard.press("Escape"), chat.keyboard.press("Alt+p"))),
        ("rivals", chat, lambda: chat.locator(".token").nth(4).focus()),
        ("help", chat, lambda: chat.keyboard.press("Control+/")),
        ("reasons", pages["label"], lambda: pages["label"].keyboard.press("q")),
    ]
    grave, minor = [], []
    for name, page, prepare in states:
        prepare()
        page.wait_for_timeout(200)
        page.evaluate(axe)
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        for each in found:
            where = each["nodes"][0]
            told = f"{name}: {each['id']} {where['target']} {where['failureSummary'][:200]}"
            (grave if each["impact"] in GRAVE else minor).append(told)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{name} is wider than the window"
    context.close()
    assert grave == []
    assert len({told.split()[1] for told in minor}) <= 2, minor
