"""Judging in Debian's Chromium, by keyboard alone; what a model wrote is text and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from cutaway.server.app import create_app
from cutaway.server.labelling import Study, labelling_router
from cutaway.server.settings import Settings
from tests.alignment.conftest import compared
from tests.browser.stub import Stub, make_app, served
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
    with judging(store) as url:
        yield url


@contextmanager
def judging(store: PreferenceStore) -> Iterator[str]:
    """The app with this page over a store; gives its address."""
    router = labelling_router(Study(store=store, minimum_s=0.0))
    app = create_app(Settings(), models=[], routers=[router], pages=["/label"])
    with served(app) as url:
        yield f"{url}/label"


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
    page.click(".theme-button")
    page.click(".language-button")
    page.wait_for_selector("text=按 1 或 2 选出更好的回答。")
    page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert told == []
    context.close()
    standing = store.judgements(rater="Ruth")
    assert len(standing) == 9
    assert len(store.judgements(with_undone=True)) == 10
    assert standing[8].reasons == ("correct",)


def test_more_than_two_answers_are_ranked_and_the_help_lists_the_keys(browser, tmp_path):
    stub = Stub(judged=("one", "two", "three"))
    with served(make_app(stub, tmp_path)) as url:
        page = browser.new_page()
        page.goto(f"{url}/label")
        page.keyboard.type("Ruth")
        page.keyboard.press("Enter")
        page.wait_for_selector(".answer-text")
        page.keyboard.press("3")
        page.wait_for_selector(".rank")
        page.keyboard.press("Backspace")
        page.keyboard.press("2")
        page.keyboard.press("3")
        until(page, STARTS, "1 of")
        page.keyboard.press("?")
        page.wait_for_selector("dialog")
        assert "Take the last judgement back" in page.locator("dialog").inner_text()
        page.close()
    (given,) = stub.judgements
    assert (given["verdict"], given["ranking"]) == ("ranking", ["k1", "k2", "k0"])


def test_the_header_leads_to_the_page_where_there_is_something_to_judge(browser, tmp_path):
    with served(make_app(Stub(), tmp_path)) as url:
        page = browser.new_page()
        page.goto(url)
        page.locator("nav >> text=Judge").click()
        page.wait_for_selector("#name")
        assert page.locator("nav [aria-current=page]").inner_text() == "Judge"
        page.keyboard.press("Escape")
        page.keyboard.press("Alt+1")
        page.wait_for_url(f"{url}/")
        page.close()


@pytest.mark.parametrize("count", [3, 4])
def test_three_and_four_answers_are_ranked_by_keyboard_from_the_best_to_the_worst(
    count: int, browser, tmp_path
):
    answers = ("The sea is wide.", "s e a", "It is a sea of salt.", HOSTILE)[:count]
    store = PreferenceStore(url_of_file(tmp_path / "ranked.db"))
    store.add(compared(f"Tell me about the sea {number}.", *answers) for number in range(4))
    with judging(store) as url:
        page = browser.new_page(viewport={"width": 1100, "height": 760}, locale="en-GB")
        page.goto(url)
        page.keyboard.type("Ruth")
        page.keyboard.press("Enter")
        page.wait_for_selector(".answer-text")
        shown = page.locator(".answer-text").all_inner_texts()
        assert len(shown) == count
        # A slip is taken back; of the last answer nothing need be said.
        for key in ("1", "Backspace", "2", "1", *("3",)[: count - 3]):
            page.keyboard.press(key)
        until(page, STARTS, "1 of")
        page.keyboard.press("t")
        until(page, STARTS, "2 of")
        page.keyboard.press("b")
        until(page, STARTS, "3 of")
        page.close()
    first, second, third = store.judgements(rater="Ruth")
    known = store.comparison(first.comparison)
    order = [known.answer(key).text for key in first.ranking]
    assert [text.strip() for text in order[:2]] == [shown[1].strip(), shown[0].strip()]
    assert len(first.ranking) == count
    assert (first.verdict, second.verdict, third.verdict) == ("ranking", "tie", "both_bad")
    store.close()
