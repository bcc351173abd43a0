"""Text that may be shown while it is written: whole characters, up to the first stop string."""

from collections.abc import Sequence
from typing import final

from cutaway.tokenizer.base import StreamDecoder, Tokenizer


@final
class StreamingText:
    """Turns ids into text as they come and holds back what may become a stop string.

    All pieces together are the decoded text up to the stop string that is complete first (of two
    that end at the same character, the one that begins first), however the text is cut in tokens.
    """

    def __init__(self, tokenizer: Tokenizer, *, stop: Sequence[str] = ()) -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._stop = tuple(stop)
        self._held = ""
        self.is_stopped = False
        """Whether a stop string is complete; nothing is shown from then on."""

    def feed(self, token_id: int) -> str:
        """The text that has become safe to show with this id."""
        return self._show(self._decoder.feed(token_id))

    def finish(self) -> str:
        """What was held back, at the end of an answer."""
        shown = self._show(self._decoder.finish())
        if self.is_stopped:
            return shown
        held, self._held = self._held, ""
        return shown + held

    def _show(self, piece: str) -> str:
        if self.is_stopped or not piece:
            return ""
        if not self._stop:
            return piece
        text = self._held + piece
        ends = [
            (start + len(stop), start) for stop in self._stop if (start := text.find(stop)) >= 0
        ]
        if ends:
            self.is_stopped, self._held = True, ""
            return text[: min(ends)[1]]
        safe = len(text) - max(_begun(text, stop) for stop in self._stop)
        self._held = text[safe:]
        return text[:safe]


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop string."""
    most = min(len(text), len(stop) - 1)
    return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)
