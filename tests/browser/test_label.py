"""Judging in Debian's Chromium, by keyboard alone; what a model wrote is text and nothing else."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from cutaway.server.labelling import Study, labelling_app
from tests.alignment.conftest import compared
from tests.browser.waiting import until

pytestmark = pytest.mark.browser
STARTS = "text => document.querySelector('#done').textContent.startsWith(text)"
OWNED = "document.title='owned'"
HOSTILE = f"<img src=x onerror={OWNED}><script>{OWNED}</script>\n&lt;b&gt;"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PreferenceStore]:
    """A store with twenty pairs, half of their answers hostile."""
    opened = PreferenceStore(url_of_file(tmp_path / "cutaway.db"))
    good = "r a i n\nR EY N\nrain"
    opened.add(compared(f"Spell rain {number}.", good, HOSTILE) for number in range(20))
    yield opened
    opened.close()


@pytest.fixture
def address(store: PreferenceStore) -> Iterator[str]:
    """Where the page is served."""
    config = uvicorn.Config(
        labelling_app(Study(store=store, minimum_s=0.0)),
        host="127.0.0.1",
        port=0,
        log_level="error",
        http="h11",
        ws="none",
    )
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/label"
    server.should_exit = True
    thread.join()
    listening.close()


def test_ten_pairs_are_judged_by_keyboard_with_a_reload_and_an_undo(
    browser, address, store, tmp_path
):
    context = browser.new_context(viewport={"width": 1100, "height": 760}, locale="en-GB")
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(address)
    page.keyboard.type("Ruth")
    page.keyboard.press("Enter")
    for number, key in enumerate("1231421s41", start=1):
        page.wait_for_selector(".answer-text")
        page.keyboard.press("q")
        page.keyboard.press(key)
        until(page, STARTS, f"{number} of")
        if number == 5:
            page.reload()
    page.keyboard.press("u")
    until(page, STARTS, "9 of")
    assert "owned" not in page.title()
    assert page.locator("#answers img, #answers script").count() == 0
    assert any("<script>" in text for text in page.locator(".answer-text").all_inner_texts())
    page.keyboard.press("e")
    page.keyboard.type("r a i n 1")
    page.keyboard.press("Escape")
    page.reload()
    until(page, "() => document.querySelector('#better').value === 'r a i n 1'")
    page.screenshot(path=tmp_path / "wide.png")
    page.set_viewport_size({"width": 360, "height": 740})
    page.click("#theme")
    page.click("#language")
    page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert told == []
    context.close()
    standing = store.judgements(rater="Ruth")
    assert len(standing) == 9
    assert len(store.judgements(with_undone=True)) == 10
    assert standing[8].reasons == ("correct",)
