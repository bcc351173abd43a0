"""Whatever a model, a user, a file or a folder says, it is text: no script runs, nothing loads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import write_run
from tests.browser.hostile import CORE, TEXTS
from tests.browser.stub import Stub
from tests.browser.test_chat import ask
from tests.browser.waiting import until

pytestmark = pytest.mark.browser

BATCH = 50
"""Messages in one conversation."""


@pytest.fixture
def guarded(context: Any) -> Iterator[Any]:
    """A page that notes each thing that its policy refused; at its end nothing has happened."""
    page = context.new_page()
    page.add_init_script(
        "window.refused = [];"
        "addEventListener('securitypolicyviolation', (e) => window.refused.push(e.blockedURI));"
    )
    yield page
    assert page.evaluate("[window.owned, window.refused.length]") == [None, 0]
    for tag in ("iframe", "object", "embed", "img", "style", "base", "video", "audio", "form form"):
        assert page.locator(f"main {tag}").count() == 0, tag
    assert page.locator("body script").count() == 0


def batches() -> list[tuple[str, ...]]:
    return [TEXTS[at : at + BATCH] for at in range(0, len(TEXTS), BATCH)]


def test_there_are_enough_of_them():
    assert len(set(TEXTS)) >= 250


def test_as_an_answer_a_question_and_a_title(guarded: Any, stub: Stub):
    for number, texts in enumerate(batches()):
        messages, parent = [], None
        for place, text in enumerate(texts):
            for role in ("user", "assistant"):
                id = f"{role}{place}"
                details = {"model": text, "seed": text, "reason": "stop", "tokens": 1}
                messages.append({"id": id, "parent": parent, "role": role, "content": text})
                messages[-1]["details"] = details | {"first": None, "seconds": 1, "dropped": 0}
                parent = id
        whole = {"id": f"c{number}", "title": texts[0], "system": texts[1], "leaf": parent}
        whole |= {
            "messages": messages,
            "created": "2026-01-01",
            "updated": f"2026-01-{number + 1:02}",
        }
        stub.conversations[whole["id"]] = whole
    for id in list(stub.conversations):
        guarded.goto(f"/?id={id}")
        guarded.wait_for_selector(".answer")
        guarded.wait_for_selector(".conversation")
        count = guarded.locator(".answer").count()
        assert count == len(stub.conversations[id]["messages"]) // 2
        assert guarded.evaluate("[window.owned, window.refused.length]") == [None, 0]


def test_as_titles_all_at_once(guarded: Any, stub: Stub):
    for number, text in enumerate(CORE):
        date = f"2026-01-01T00:00:{number:02}Z"
        stub.conversations[f"c{number}"] = {"id": f"c{number}", "title": text, "messages": []} | {
            "created": date,
            "updated": date,
        }
    guarded.goto("/")
    until(
        guarded, "count => document.querySelectorAll('.conversation').length === count", len(CORE)
    )


def test_as_tokens_and_their_rivals(guarded: Any, stub: Stub):
    stub.tokens["go"] = list(TEXTS)
    stub.pause = 0
    guarded.goto("/")
    guarded.evaluate("localStorage.setItem('cutaway.settings', '{\"areTokensShown\": true}')")
    guarded.reload()
    guarded.wait_for_selector(".model option", state="attached")
    ask(guarded, "go")
    assert guarded.locator(".token").count() == len(TEXTS)
    for place in range(0, len(TEXTS), 9):
        guarded.locator(".token").nth(place).focus()
        assert guarded.locator(".rivals .is-chosen").count() == 1


def test_as_an_answer_that_comes_letter_by_letter(guarded: Any):
    guarded.goto("/")
    guarded.evaluate(
        """async (texts) => {
            const { GrowingText } = await import("/web/parts/growing_text.js");
            const main = document.querySelector("main");
            for (const text of texts) {
                const place = document.createElement("div");
                main.append(place);
                const growing = new GrowingText(place, { copyLabel: "copy" });
                for (let end = 1; end < text.length; end += 9) growing.write(text.slice(0, end));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                growing.write(text);
                growing.finish(text);
            }
        }""",
        list(TEXTS),
    )


def test_as_what_an_error_says(guarded: Any):
    guarded.goto("/")
    # Once it has its models the page takes a failure away, and would take one of these.
    guarded.wait_for_selector(".model option", state="attached")
    guarded.evaluate(
        """async (texts) => {
            const { drawFailure } = await import("/web/parts/failure.js");
            const { notify } = await import("/web/parts/notice.js");
            for (const detail of texts) {
                document.querySelector("main").append(drawFailure({ kind: "failed", detail }));
                notify(detail);
            }
        }""",
        list(TEXTS),
    )
    assert guarded.locator(".failure").count() == len(TEXTS)


def test_as_names_of_models(guarded: Any, stub: Stub):
    stub.models = CORE
    guarded.goto("/compare")
    guarded.wait_for_selector(".side option", state="attached")
    assert guarded.locator("#model-left option").count() == len(CORE)


def test_as_names_of_runs_and_what_they_wrote(guarded: Any, runs: Path):
    names = [core.replace("/", "∕").replace("\0", "")[:80] for core in CORE if "\0" not in core]
    for name, text in zip(names, TEXTS[::9], strict=False):
        write_run(runs / name, steps=2, prompt=text, text=text)
    guarded.goto("/runs")
    until(guarded, "count => document.querySelectorAll('.run').length === count", len(names) + 1)
    boxes = guarded.locator(".run input")
    for place in range(0, len(names), 10):
        boxes.nth(place).check()
        guarded.wait_for_selector(".sample-text")


def test_as_answers_that_are_judged(guarded: Any, stub: Stub):
    stub.judged = TEXTS[:4]
    guarded.goto("/label")
    guarded.locator("#name").fill(CORE[0])
    guarded.keyboard.press("Enter")
    for at in range(0, len(TEXTS), 4):
        guarded.wait_for_selector(".answer-text")
        shown = guarded.locator(".answer-text").all_inner_texts()
        assert len(shown) == len(stub.judged)
        stub.judged = TEXTS[at + 4 : at + 8] or TEXTS[:2]
        guarded.keyboard.press("s")
        until(
            guarded,
            "count => document.querySelector('#done').textContent.startsWith(count)",
            f"{at // 4 + 1} of",
        )
    assert len(stub.judgements) * 4 >= len(TEXTS)
