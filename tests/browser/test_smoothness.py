"""A long answer does not make the page slow, and leaves no memory behind."""

from typing import Any

import pytest

from tests.browser.stub import Stub

pytestmark = pytest.mark.browser


def test_two_thousand_tokens_block_nothing_and_keep_little(page: Any, stub: Stub, context: Any):
    stub.tokens["long"] = [("word " if place % 40 else "end.\n\n") for place in range(2000)]
    stub.pause = 0.002
    page.evaluate("localStorage.setItem('cutaway.settings', JSON.stringify({max_tokens: 4000}))")
    page.reload()
    page.wait_for_selector(".model option", state="attached")
    page.evaluate(
        "() => { window.long = []; new PerformanceObserver((list) => {"
        " for (const each of list.getEntries()) window.long.push(each.duration); })"
        ".observe({ type: 'longtask' }); }"
    )
    session = context.new_cdp_session(page)

    def heap() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"])

    before = heap()
    page.locator("#question").fill("long")
    page.keyboard.press("Enter")
    page.wait_for_selector(".told", timeout=60_000)
    tasks = page.evaluate("window.long")
    grown = (heap() - before) / 2**20
    print(f"tasks over 50 ms: {len(tasks)}, longest {max(tasks, default=0)} ms, {grown:.1f} MiB")
    assert max(tasks, default=0) <= 100
    assert grown < 20
