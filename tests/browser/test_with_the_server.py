"""The pages in front of the server itself and a toy model: what they ask is what it answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutaway.database import url_of_file
from cutaway.inference.engine import Engine
from cutaway.server.app import create_app
from cutaway.server.conversations import conversations_router
from cutaway.server.models import Served
from cutaway.server.runs import runs_router
from cutaway.server.settings import Settings
from cutaway.server.storage import ConversationStore
from cutaway.text.conversations import read_conversations
from tests.browser.conftest import Watch
from tests.browser.stub import served
from tests.browser.test_chat import answers, ask, wait_for_answers
from tests.browser.waiting import until
from tests.server.conftest import engine  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser

KEY = "a-key-of-this-test-0123456789"


@pytest.fixture
def address(engine: Engine, runs: Path, tmp_path: Path) -> Iterator[str]:  # noqa: F811
    """A server with two names for a toy model, and a key."""
    store = ConversationStore(url_of_file(tmp_path / "cutaway.db"))
    app = create_app(
        Settings(key=KEY),
        models=[Served(name=name, engine=engine, is_chat=True) for name in ("toy", "toy~2")],
        routers=[conversations_router(store), runs_router(runs)],
    )
    with served(app) as url:
        yield url
    store.close()


@pytest.fixture
def page(context: Any, watch: Watch) -> Any:
    """The chat page, after its key was given."""
    watch.expected.append("status of 401")
    page = context.new_page()
    page.goto("/")
    page.locator(".failure button.main").first.click()
    page.wait_for_selector("#asked-line")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".model option", state="attached")
    page.evaluate("localStorage.setItem('cutaway.settings', JSON.stringify({max_tokens: 12}))")
    page.reload()
    page.wait_for_selector(".model option", state="attached")
    return page


def test_a_conversation_is_held_branched_kept_and_exported(page: Any, tmp_path: Path):
    ask(page, "hello")
    first = answers(page)[0]
    page.keyboard.press("Alt+Enter")
    until(
        page,
        "before => document.querySelector('.answer .message-body').innerText.length > before",
        len(first),
    )
    wait_for_answers(page, 1)
    page.keyboard.press("Alt+r")
    page.wait_for_selector("text=2/2")
    wait_for_answers(page, 1)
    page.keyboard.press("Alt+p")
    page.locator(".token").nth(2).focus()
    # The ten likeliest, and the written one where it is none of them.
    assert page.locator(".rivals .rival").count() in (10, 11)
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=3/3")
    wait_for_answers(page, 1)
    page.wait_for_url("**/?id=*")
    page.reload()
    page.wait_for_selector("text=3/3")
    page.locator(".conversation .icon-button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "one.jsonl")
    (read,) = read_conversations(tmp_path / "one.jsonl")
    assert [each.role for each in read.messages] == ["user", "assistant"]


def test_two_models_are_compared_and_runs_are_drawn(page: Any):
    page.goto("/compare")
    page.wait_for_selector(".side option", state="attached")
    page.locator("#question").fill("hello")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.told').length === 2")
    page.goto("/runs")
    page.wait_for_selector(".chart-lines")


def test_the_meter_and_an_error_of_the_server_are_told(page: Any, watch: Watch):
    watch.expected.append("status of 400")
    page.locator("#question").fill("x" * 300)
    page.wait_for_selector(".meter.is-full, .meter.is-over")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer .failure")
    assert "too long" in page.locator(".answer .failure").inner_text()
