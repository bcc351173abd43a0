"""A server in a process of its own, and what the system says of it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, final

import psutil

from tests.load.client import Address, Heard, ask

ROOT = Path(__file__).parent.parent.parent
MIB = 2**20

_Result = TypeVar("_Result")


@final
class Process:
    """A server that runs."""

    def __init__(self, popen: "subprocess.Popen[str]", address: Address, model: str) -> None:
        self.popen, self.address, self.model = popen, address, model
        self.seen = psutil.Process(popen.pid)

    @property
    def memory(self) -> float:
        """MiB that it holds."""
        return self.seen.memory_info().rss / MIB

    @property
    def files(self) -> int:
        """Open files and sockets."""
        return self.seen.num_fds()

    @property
    def threads(self) -> int:
        """Threads."""
        return self.seen.num_threads()

    async def metrics(self) -> dict[str, float]:
        """What /metrics tells: every sample by its name with labels."""
        heard = await ask(self.address, method="GET", path="/metrics")
        assert heard.status == 200
        samples = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", heard.body, re.MULTILINE)
        return {name: float(value) for name, value in samples}

    async def stream(self, body: dict[str, Any], **rest: Any) -> Heard:
        """Asks the model that is served."""
        return await ask(self.address, {"model": self.model, **body}, **rest)

    def end(self, *, number: int = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Sends a signal and returns the code with which the process ends."""
        self.popen.send_signal(number)
        return self.popen.wait(timeout=seconds)


@contextmanager
def serving(run: Path, *words: str) -> Iterator[Process]:
    """`cutaway serve` on a run folder."""
    command = [sys.executable, "-m", "cutaway", "serve", str(run), "port=0", *words]
    with _started(command, model=run.name) as process:
        yield process


@contextmanager
def serving_stub(*words: str) -> Iterator[Process]:
    """The same server with a stub for its model."""
    with _started([sys.executable, "-m", "tests.load.stub", *words], model="stub") as process:
        yield process


@contextmanager
def _started(command: Sequence[str], *, model: str) -> Iterator[Process]:
    log = os.environ.get("CUTAWAY_TEST_LOG", os.devnull)
    with (
        open(log, "ab") as errors,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as popen,
    ):
        try:
            address = _address(popen)
            process = Process(popen, address, model)
            asyncio.run(_answers(address))
            yield process
        finally:
            popen.kill()


def _address(popen: "subprocess.Popen[str]") -> Address:
    assert popen.stdout is not None
    for line in popen.stdout:
        if found := re.search(r"open http://([^:]+):(\d+)/", line):
            return found[1], int(found[2])
    raise AssertionError("the server ended before it listened")


async def _answers(address: Address) -> None:
    """Waits until the server answers."""
    for _ in range(600):
        try:
            await ask(address, method="GET", path="/ready")
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("the server does not answer")


def together(work: "Coroutine[Any, Any, _Result]") -> _Result:
    """Runs what happens at once."""
    return asyncio.run(work)
