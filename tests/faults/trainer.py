"""Runs commands in children of a process that has imported everything: a sitting costs a second.

Reads lines of JSON, `{"folder": ..., "words": [...]}`; for each prints the child's pid, then, when
it has ended, its exit code (negative: the signal). What the child says goes to `said.txt`.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch._dynamo

import cutaway.data.mixture
import cutaway.evaluation.likelihood
import cutaway.inference.engine
import cutaway.stages.pretrain
import cutaway.training.hooks
import cutaway.training.session
from cutaway import cli

MODULES = (
    torch._dynamo,
    cutaway.data.mixture,
    cutaway.evaluation.likelihood,
    cutaway.inference.engine,
    cutaway.stages.pretrain,
    cutaway.training.hooks,
    cutaway.training.session,
)
"""Imported before the first child is made, so that none has to."""


def child(folder: Path, words: list[str]) -> None:
    """What a forked child does; never returns."""
    code = 1
    try:
        said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(said, stream)
        os.chdir(folder)
        code = cli.main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Answers one line after the other."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(Path(asked["folder"]), asked["words"])
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
