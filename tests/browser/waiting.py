"""Waits for something on a page by asking again and again.

Playwright's own `wait_for_function` evaluates a text inside of the page, which its policy refuses.
"""

import time
from typing import Any

PATIENCE_S = 15.0
"""Seconds that a test waits for something on a busy machine."""


def until(page: Any, expression: str, arg: object = None, *, seconds: float = PATIENCE_S) -> None:
    """Returns when an expression, or a function of `arg`, is true on the page."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(20)
