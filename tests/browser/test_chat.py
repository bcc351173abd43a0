"""Journeys through the chat page, each by keyboard alone."""

import time
from typing import Any

import pytest

from tests.browser.stub import ANSWER, Stub
from tests.browser.waiting import until

pytestmark = pytest.mark.browser


def ask(page: Any, question: str = "What is a token?", *, count: int = 1) -> None:
    """Types a question and waits until it is answered, as the answer number `count` on the page."""
    page.locator("#question").focus()
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    wait_for_answers(page, count)


def wait_for_answers(page: Any, count: int) -> None:
    until(
        page,
        "count => document.querySelectorAll('.answer .told').length === count"
        " && !document.querySelector('[aria-busy]')",
        count,
    )


def answers(page: Any) -> list[str]:
    return [body.inner_text() for body in page.locator(".answer .message-body").all()]


def test_an_answer_is_drawn_as_markdown_with_its_facts_below(page: Any):
    ask(page)
    body = page.locator(".answer .message-body")
    assert body.locator("strong").inner_text() == "tokenizer"
    assert body.locator("ol > li").count() == 3
    assert body.locator("pre code").inner_text().startswith("def join")
    told = page.locator(".told").inner_text()
    assert all(word in told for word in ("tokens", "tokens/s", "first after", "finished", "seed"))


def test_text_and_state_stay_when_the_page_is_opened_again(page: Any, stub: Stub):
    ask(page)
    page.wait_for_url("**/?id=*")
    assert len(stub.conversations) == 1
    page.reload()
    page.wait_for_selector(".answer")
    assert page.locator(".question").inner_text().strip() == "What is a token?"
    assert page.locator(".answer .message-body strong").inner_text() == "tokenizer"


def test_escape_stops_an_answer_at_once_and_frees_the_server(page: Any, stub: Stub):
    stub.answers["long"] = "word " * 4000
    page.locator("#question").focus()
    page.keyboard.type("long")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.answer .message-body').innerText.length > 50")
    page.evaluate(
        "() => { addEventListener('keydown', () => { window.began = performance.now();"
        " new MutationObserver((_, all) => { if (document.querySelector('.told')) {"
        " window.took = performance.now() - window.began; all.disconnect(); } })"
        ".observe(document.body, { childList: true, subtree: true }); }, { capture: true }) }"
    )
    began = time.monotonic()
    page.keyboard.press("Escape")
    page.wait_for_selector(".told")
    while stub.running and time.monotonic() - began < 5:
        time.sleep(0.005)
    assert stub.running == 0
    assert stub.freed - began <= 0.25
    assert page.evaluate("window.took") <= 100
    assert "stopped" in page.locator(".told").inner_text()
    assert answers(page)[0].startswith("word word")


def test_an_answer_given_again_keeps_the_one_before(page: Any, stub: Stub):
    ask(page)
    stub.answers["What is a token?"] = "Another answer."
    page.keyboard.press("Alt+r")
    page.wait_for_selector("text=Another answer.")
    wait_for_answers(page, 1)
    assert page.locator(".versions-place").inner_text() == "2/2"
    page.locator(".answer").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=1/2")
    assert "tokenizer" in answers(page)[0]
    assert page.evaluate("document.activeElement.closest('.answer') !== null")


def test_an_edited_question_is_a_branch(page: Any):
    ask(page)
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(".edit-field")
    page.keyboard.press("Control+a")
    page.keyboard.type("And a vocabulary?")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=And a vocabulary?")
    wait_for_answers(page, 1)
    assert page.locator(".question .versions-place").inner_text() == "2/2"
    page.locator(".question").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".question .message-body").inner_text() == "What is a token?"


def test_an_edit_that_is_left_changes_nothing(page: Any, stub: Stub):
    ask(page)
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(".edit-field")
    page.keyboard.press("Escape")
    assert page.locator(".question .message-body").inner_text() == "What is a token?"
    assert len(stub.bodies) == 1


def test_an_answer_that_reached_its_length_goes_on(page: Any, stub: Stub):
    page.evaluate("localStorage.setItem('cutaway.settings', JSON.stringify({max_tokens: 5}))")
    page.reload()
    ask(page)
    assert "longest length" in page.locator(".told").inner_text()
    begun = ANSWER[:15]
    page.keyboard.press("Alt+Enter")
    until(page, "document.querySelector('.answer .message-body').innerText.length > 16")
    wait_for_answers(page, 1)
    assert stub.bodies[1]["messages"][-1] == {"role": "assistant", "content": begun}
    assert page.locator(".versions").count() == 0


def test_tokens_show_their_rivals_and_a_rival_is_a_branch(page: Any, stub: Stub):
    ask(page)
    page.keyboard.press("Alt+p")
    page.wait_for_selector(".token")
    page.locator(".token").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator(".rivals .rival").count() == 10
    assert page.locator(".rivals .rival.is-cut").count() == 4
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.querySelector('.rival-token').textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=2/2")
    wait_for_answers(page, 1)
    begun = stub.bodies[1]["messages"][-1]
    assert begun["role"] == "assistant"
    assert begun["content"] == ANSWER[:9] + chosen.replace("␣", " ")


def test_escape_closes_the_rivals_and_the_focus_is_on_the_token_again(page: Any):
    ask(page)
    page.keyboard.press("Alt+p")
    page.locator(".token").nth(0).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".rivals")
    page.keyboard.press("Escape")
    assert page.locator(".rivals").count() == 0
    assert page.evaluate("document.activeElement.className").startswith("token")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "asks for a key"), (413, "too long"), (429, "is busy"), (500, "failed in the server")],
)
def test_an_error_is_told_in_its_place_and_can_be_tried_again(
    page: Any, stub: Stub, watch: Any, status: int, words: str
):
    watch.expected.append(f"status of {status}")
    stub.failures = [(status, "what the server said", {"Retry-After": "1"})]
    ask(page)
    failure = page.locator(".answer .failure")
    assert words in failure.inner_text()
    assert "what the server said" in failure.inner_text()
    until(
        page,
        "[...document.querySelectorAll('.failure button')].every((button) => !button.disabled)",
    )
    failure.locator("button", has_text="Try again").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer strong")
    wait_for_answers(page, 1)
    assert page.locator(".failure").count() == 0


def test_a_draft_is_kept(page: Any):
    page.locator("#question").focus()
    page.keyboard.type("half a thou")
    page.reload()
    assert page.locator("#question").input_value() == "half a thou"


def test_conversations_are_found_renamed_deleted_and_brought_back(page: Any, stub: Stub):
    ask(page, "first words")
    page.keyboard.press("Control+Shift+O")
    page.wait_for_selector(".welcome")
    ask(page, "second words")
    until(page, "document.querySelectorAll('.conversation').length === 2")
    page.keyboard.press("Control+k")
    page.keyboard.type("first")
    until(page, "document.querySelectorAll('.conversation').length === 1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=menu]")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog")
    page.keyboard.type("first of all")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=first of all")
    page.locator(".conversation .icon-button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".notice button")
    assert len(stub.conversations) == 1
    page.locator(".notice button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".conversation >> text=first of all")
    assert len(stub.conversations) == 2


def test_a_conversation_is_exported_as_a_file(page: Any):
    ask(page)
    page.wait_for_selector(".conversation .icon-button")
    page.locator(".conversation .icon-button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".jsonl")


def test_the_system_prompt_and_the_settings_reach_the_model(page: Any, stub: Stub):
    page.keyboard.press("Control+.")
    page.keyboard.type("Be brief.")
    page.locator("#set-temperature").fill("0.2")
    page.locator("#set-seed").fill("7")
    ask(page)
    body = stub.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["seed"], body["top_p"]) == (0.2, 7, 0.95)
    assert "seed 7" in page.locator(".told").inner_text()


def test_the_meter_counts_and_warns_before_anything_is_dropped(page: Any):
    page.locator("#question").fill("x" * 1300)
    page.wait_for_selector(".meter.is-full")
    assert "438 of 512" in page.locator(".meter").inner_text()
    assert "nearly full" in page.locator(".warning").inner_text()


def test_the_help_lists_the_keys_and_gives_the_focus_back(page: Any):
    page.keyboard.press("Control+/")
    page.wait_for_selector("dialog")
    assert "Stop the answer" in page.locator("dialog").inner_text()
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")
    assert page.evaluate("document.activeElement.id") == "question"


def test_the_theme_is_changed_and_remembered(page: Any):
    page.keyboard.press("Alt+t")
    page.keyboard.press("Alt+t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_selector(".theme-button")


def test_the_interface_is_chinese_for_who_reads_it(page: Any):
    page.locator(".language-button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=问它点什么")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.locator(".language-button").click()
    page.wait_for_selector("text=Ask it something")


def test_a_screen_reader_is_told_the_beginning_and_the_end_and_the_focus_stays(page: Any):
    page.evaluate(
        "() => { window.said = []; const region = document.querySelector('.hidden[role=status]');"
        " new MutationObserver(() => window.said.push(region.textContent))"
        ".observe(region, { childList: true }); }"
    )
    ask(page)
    until(page, "window.said.length >= 2")
    said = page.evaluate("window.said")
    assert said[0] == "Generating"
    assert said[-1].startswith("Answer: A **tokenizer**")
    assert page.evaluate("document.activeElement.id") == "question"
    assert page.locator(".message[aria-live], .thread[aria-live]").count() == 0


def test_who_scrolls_up_while_an_answer_comes_is_left_there(page: Any, stub: Stub):
    stub.answers["long"] = "A line of words.\n\n" * 300
    page.locator("#question").fill("long")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.thread').scrollTop > 200")
    page.evaluate("document.querySelector('.thread').scrollTop = 0")
    page.wait_for_selector(".jump:not([hidden])")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('.thread').scrollTop") == 0
    page.locator(".jump").click()
    page.keyboard.press("Escape")
    wait_for_answers(page, 1)


def test_the_page_works_where_the_browser_keeps_nothing(context: Any):
    page = context.new_page()
    page.add_init_script(
        "Storage.prototype.setItem = () => { throw new Error('full') };"
        "Storage.prototype.getItem = () => { throw new Error('off') };"
    )
    page.goto("/")
    ask(page)
    assert page.locator(".answer strong").inner_text() == "tokenizer"


def test_the_first_load_is_small(context: Any):
    page = context.new_page()
    page.goto("/")
    page.wait_for_selector(".welcome")
    size, loaded = page.evaluate(
        "() => [performance.getEntriesByType('resource').filter(one => one.name.includes('/web/'))"
        ".reduce((sum, each) => sum + each.decodedBodySize, 0),"
        " performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd]"
    )
    assert 20_000 < size < 300_000
    assert loaded < 3000
