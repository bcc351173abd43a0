"""Ctrl-C and SIGTERM ask a run to stop; it saves and stops at its next step."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """While entered, remembers the first signal; the second one ends the process at once."""

    def __init__(self) -> None:
        self.is_raised = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        try:
            self._before = {number: signal.signal(number, self._ask) for number in ASKING}
        except ValueError:
            # Only the main thread may watch signals; elsewhere the caller stops the run.
            self._before = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_raised:
            os._exit(130)
        self.is_raised = True
