"""A server like any other, but for its model: the stub writes letters at a steady pace.

Started as a process of its own, `python -m tests.load.stub [key=value ...]`, it says where it
listens as `cutaway serve` does. With it, a load measures the server and nothing else.
"""

import string
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, final

from cutaway.inference.request import Event, Finished, Request, Statistics, Token, Usage
from cutaway.server.app import create_app
from cutaway.server.listening import listen, make_server
from cutaway.server.models import Served
from cutaway.server.settings import Settings
from cutaway.tokenizer.characters import CharacterTokenizer

LETTERS = CharacterTokenizer(string.ascii_letters + string.digits + " .,?!")
CONTEXT = 16_384


def letters(prompt: str, count: int) -> str:
    """What the stub answers to a question: letters that depend on all of it."""
    start = sum(LETTERS.encode(prompt)) % 26
    return "".join(string.ascii_lowercase[(start + place) % 26] for place in range(count))


@dataclass(frozen=True)
class Sizes:
    """All that a server asks of a model's config."""

    context_length: int = CONTEXT


@dataclass(frozen=True)
class Nothing:
    """All that a server asks of a model."""

    config: Sizes


@final
class StubEngine:
    """Does what an engine does, with no model: a letter for every request at each step."""

    def __init__(self, *, step_s: float, stall_s: float) -> None:
        self.tokenizer, self.model = LETTERS, Nothing(Sizes())
        self.stop_ids = LETTERS.customs.stop_ids
        self._step_s, self._stall_s = step_s, stall_s
        self._rows: dict[int, tuple[Request, deque[int]]] = {}
        self._next = 0

    def submit(self, request: Request) -> int:
        """Begins an answer."""
        self._next += 1
        said = LETTERS.decode(request.prompt)
        count = min(request.max_tokens, CONTEXT - len(request.prompt))
        self._rows[self._next] = (request, deque(LETTERS.encode(letters(said, count))))
        return self._next

    def cancel(self, id_: int) -> None:
        """Ends an answer."""
        self._rows.pop(id_, None)

    def step(self) -> list[Event]:
        """A letter of every answer."""
        time.sleep(self._stall_s if self._is_stalled() else self._step_s)
        events: list[Event] = []
        for id_, (request, left) in list(self._rows.items()):
            token = left.popleft()
            text = LETTERS.decode([token])
            events.append(Token(id=id_, token=token, text=text, logprob=0.0))
            if not left:
                usage = Usage(
                    prompt_tokens=len(request.prompt), cached_tokens=0, completion_tokens=1
                )
                events.append(Finished(id=id_, reason="length", usage=usage))
                self.cancel(id_)
        return events

    def statistics(self) -> Statistics:
        """How busy it is; it keeps no blocks."""
        return Statistics(
            running=len(self._rows),
            waiting=0,
            max_rows=10_000,
            max_waiting=0,
            blocks=1,
            free_blocks=1,
            held_blocks=0,
            prompt_tokens=0,
            cached_tokens=0,
            completion_tokens=0,
            guessed_tokens=0,
            accepted_tokens=0,
        )

    def _is_stalled(self) -> bool:
        """Whether somebody has asked it to stand still: a seed of 13 does."""
        return any(request.seed == 13 for request, _ in self._rows.values())


def main(words: list[str]) -> None:
    """Serves the stub until it is asked to stop."""
    given: dict[str, Any] = dict(word.split("=", 1) for word in words)
    settings = Settings(
        most_running=int(given.get("max_running", 8)),
        most_waiting=int(given.get("max_waiting", 64)),
    )
    engine: Any = StubEngine(
        step_s=float(given.get("step_s", 0.001)), stall_s=float(given.get("stall_s", 0.0))
    )
    app = create_app(settings, models=[Served(name="stub", engine=engine, is_chat=True)])
    opened = listen("127.0.0.1", 0)
    server = make_server(app, most_header_bytes=settings.most_header_bytes, grace_s=30)
    print(f"open http://127.0.0.1:{opened.getsockname()[1]}/", flush=True)
    server.run(sockets=[opened])


if __name__ == "__main__":
    main(sys.argv[1:])
