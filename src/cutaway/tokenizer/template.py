"""Conversations as an imported model writes them: by the Jinja template that came with it.

The template's text becomes ids as `transformers` makes them, with one difference: only what the
template itself wrote can become a control id. A message that spells one is broken up before, by a
character that no text has and that is taken out afterwards, and stays letters.
"""

import atexit
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any, cast, final

from cutaway.errors import CheckpointError, ResourceError, UsageError
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.layout import ChatIds, Layout

LARGEST_TEMPLATE = 2**18
"""Characters; the longest that are published have a tenth of it."""

SECONDS = 5.0
"""Time for one rendering, which takes about a millisecond; the first starts the process."""

SPARE = 2**16
"""Characters that a rendering may have beside four times its input."""

BREAK = "\ufdd0"
"""A code point that is no character (Unicode 15, section 23.7); a text that has it gets it back."""


@final
class Renderer:
    """The process that renders; ended where a template takes too long, and started again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """The text that a template makes.

        Raises:
            UsageError: the template refuses the conversation.
            CheckpointError: the template is broken, or needs too much time or memory.
        """
        size = len(json.dumps(variables))
        request = {"template": template, "variables": variables, "longest": 4 * size + SPARE}
        with self._lock:
            answer = self._ask(json.dumps(request).encode() + b"\n")
        if "refused" in answer:
            raise UsageError(f"the model's chat template refuses this: {answer['refused']}")
        if "text" not in answer:
            raise CheckpointError(
                f"the model's chat template cannot be used: {answer.get('broken')};\n"
                "give form=text, or put a working chat_template.jinja beside the model"
            )
        return str(answer["text"])

    def _ask(self, request: bytes) -> dict[str, Any]:
        process = self._started()
        try:
            sink, source = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            return cast(dict[str, Any], json.loads(_exchange(request, sink=sink, source=source)))
        except (OSError, ValueError, TimeoutError) as error:
            _end(process)
            self._process = None
            slow = isinstance(error, TimeoutError)
            reason = f"it takes more than {SECONDS:g} seconds" if slow else "it ends its process"
            return {"broken": reason}

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-I", str(Path(__file__).with_name("render.py"))]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                )
            except OSError as error:
                raise ResourceError(
                    f"cannot start a process for the chat template: {error.strerror}"
                ) from error
            atexit.register(_end, self._process)
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets the process go, and waits for it, when this one ends."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@cache
def renderer() -> Renderer:
    """The one renderer of this process."""
    return Renderer()


def _exchange(request: bytes, *, sink: IO[bytes], source: IO[bytes]) -> bytes:
    """Writes a line and reads one, both in time; the pipes are never waited for without end."""
    deadline = time.monotonic() + SECONDS
    os.set_blocking(sink.fileno(), False)
    left, answer = memoryview(request), bytearray()
    while not answer.endswith(b"\n"):
        rest = deadline - time.monotonic()
        writing = [sink] if left else []
        readable, writable, _ = select.select([source], writing, [], max(0.0, rest))
        if not readable and not writable:
            raise TimeoutError
        if writable:
            left = left[os.write(sink.fileno(), left[: 2**16]) :]
        if readable:
            part = os.read(source.fileno(), 2**16)
            if not part:
                raise OSError("the process has ended")
            answer += part
    return bytes(answer)


@final
class TemplateLayout(Layout):
    """Writes conversations by a template; needs a tokenizer that has the template's markers."""

    def __init__(self, tokenizer: Tokenizer, *, template: str) -> None:
        self._tokenizer, self._template = tokenizer, template

    @property
    def stop_ids(self) -> frozenset[int]:
        return self._tokenizer.customs.stop_ids

    def encode(self, conversation: Conversation) -> ChatIds:
        """The ids of a whole conversation; what follows each prompt for an answer is learned.

        Raises:
            CheckpointError: the template writes an answer otherwise once others follow it.
        """
        messages = conversation.messages
        ids = self._ids(messages, asks=False)
        learned = [False] * len(ids)
        for place, message in enumerate(messages):
            if message.role != "assistant":
                continue
            begin = self._ids(messages[:place], asks=True)
            until = self._ids(messages[: place + 1], asks=False)
            if ids[: len(begin)] != begin or ids[: len(until)] != until:
                raise CheckpointError(
                    "this model's chat template rewrites earlier answers, so that a conversation\n"
                    "of several answers cannot be learned from; give conversations of one answer"
                )
            learned[len(begin) : len(until)] = [True] * (len(until) - len(begin))
        return ChatIds(ids=ids, learned=learned)

    def prompt(self, conversation: Conversation) -> list[int]:
        return self._ids(conversation.messages, asks=True)

    def _ids(self, messages: Sequence[Message], *, asks: bool) -> list[int]:
        said = [{"role": each.role, "content": self._broken(each.content)} for each in messages]
        text = renderer().render(
            self._template,
            {
                **self._tokenizer.customs.words,
                "messages": said,
                "add_generation_prompt": asks,
                "tools": None,
                "documents": None,
            },
        )
        ids: list[int] = []
        for number, part in enumerate(self._markers.split(text)):
            if number % 2:
                ids.append(self._tokenizer.special[part])
            elif part:
                ids += self._tokenizer.encode(_mended(part))
        return ids

    def _broken(self, content: str) -> str:
        """The content with every marker in it, and every part of one at its ends, broken up."""
        content = content.replace(BREAK, BREAK + BREAK)
        content = self._markers.sub(lambda found: found[0][0] + BREAK + found[0][1:], content)
        inner = content.strip()
        begin = content.find(inner)
        end = begin + len(inner)
        for length in range(min(self._longest, len(inner)), 0, -1):
            if inner[-length:] in self._beginnings:
                cut = end - length + 1
                content = content[:cut] + BREAK + content[cut:]
                break
        for length in range(min(self._longest, len(inner)), 0, -1):
            if inner[:length] in self._endings:
                cut = begin + length - 1
                content = content[:cut] + BREAK + content[cut:]
                break
        return content

    @cached_property
    def _markers(self) -> re.Pattern[str]:
        names = sorted(self._tokenizer.special, key=len, reverse=True)
        return re.compile("(" + "|".join(re.escape(name) for name in names) + ")")

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(_parts(self._tokenizer.special, from_start=True))

    @cached_property
    def _endings(self) -> frozenset[str]:
        return frozenset(_parts(self._tokenizer.special, from_start=False))

    @cached_property
    def _longest(self) -> int:
        return max(len(name) for name in self._tokenizer.special)


def _parts(names: Iterable[str], *, from_start: bool) -> Iterable[str]:
    for name in names:
        for length in range(1, len(name)):
            yield name[:length] if from_start else name[-length:]


def _mended(text: str) -> str:
    """The text without the breaks, and with the code points that were there before."""
    return re.sub(f"{BREAK}({BREAK}?)", r"\1", text)
