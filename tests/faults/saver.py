"""Saves checkpoints on command: forks a stopped child for each, so that a tracer can attach first.

Reads `FOLDER STEP` lines; for each prints the pid of a child that will save that step there once
it is continued, and then, when it has ended, its exit code (negative: the signal).
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import torch

from cutaway import checkpoint
from cutaway.errors import CutawayError

KEPT = 1


def save(folder: Path, step: int) -> None:
    """Saves one small checkpoint; every step has its own numbers."""
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "model": {"weight": torch.randn(8, 8, generator=generator)},
        "optimizer": {"momentum": torch.randn(8, 8, generator=generator)},
    }
    files = {"state.json": f'{{"step": {step}}}'.encode(), "config.json": b"{}"}
    checkpoint.save(folder, step=step, tensors=tensors, files=files, keep=KEPT)


def child(folder: Path, step: int) -> None:
    """What a forked child does; never returns."""
    code = 1
    try:
        os.kill(os.getpid(), signal.SIGSTOP)
        save(folder, step)
        code = 0
    except CutawayError as error:
        code = error.exit_code
    finally:
        os._exit(code)


def main() -> None:
    """Warms up, so that no child imports anything, and then serves."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), 1)
        save(Path(folder), 2)
    for line in sys.stdin:
        folder, step = line.rsplit(" ", 1)
        pid = os.fork()
        if pid == 0:
            child(Path(folder), int(step))
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
