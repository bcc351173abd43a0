"""Runs contestants in turn, A B C A B C, each in a process of its own, and compares their medians.

A machine is faster in one minute than in the next; only runs that alternate can be compared.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REACHES = 1e-12
"""Smaller figures than this are taken as nothing measured."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One way of doing the work."""

    name: str
    """What the table calls it."""
    words: tuple[str, ...]
    """What the script is called with to measure it once."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that it alone is given."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two contestants on the same work."""

    name: str
    """Its key in the results."""
    ours: str
    """The name of our contestant."""
    peer: str
    """The name of the other one."""
    unit: str
    """What a figure counts."""
    more_is_better: bool = True
    """Whether a figure is a speed, or a time."""


Runs = dict[str, list[float]]
"""The figures of each contestant, in the order in which they were measured."""


def run_in_turn(script: Path, contestants: Sequence[Contestant], *, runs: int) -> Runs:
    """Measures every contestant once, then all of them again, `runs` times in all."""
    found: Runs = {contestant.name: [] for contestant in contestants}
    for number in range(1, runs + 1):
        for contestant in contestants:
            measured = run_once(script, contestant)
            found[contestant.name].append(measured["value"])
            rest = {key: value for key, value in measured.items() if key != "value"}
            told = "".join(f", {key} {value:,.6g}" for key, value in rest.items())
            say(f"run {number} of {runs}: {contestant.name}: {measured['value']:,.6g}{told}")
    return found


def run_once(script: Path, contestant: Contestant) -> dict[str, float]:
    """Starts the script for one contestant and reads the JSON object of its last line."""
    done = subprocess.run(
        [sys.executable, str(script), *contestant.words],
        env={**os.environ, **contestant.environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{contestant.name} failed with exit code {done.returncode}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def compared(comparisons: Sequence[Comparison], runs: Runs) -> dict[str, dict[str, object]]:
    """The medians side by side; a ratio above 1 says that ours is the better one."""
    found: dict[str, dict[str, object]] = {}
    for comparison in comparisons:
        ours = statistics.median(runs[comparison.ours])
        peer = statistics.median(runs[comparison.peer])
        if min(ours, peer) < REACHES:
            raise SystemExit(f"{comparison.name}: nothing was measured")
        found[comparison.name] = {
            "ours": ours,
            "peer": peer,
            "ratio": ours / peer if comparison.more_is_better else peer / ours,
            "runs": {"ours": runs[comparison.ours], "peer": runs[comparison.peer]},
            "unit": comparison.unit,
            "ours_is": comparison.ours,
            "peer_is": comparison.peer,
        }
    return found


def report(comparisons: Sequence[Comparison], runs: Runs, *, arguments: argparse.Namespace) -> None:
    """Prints all runs and the comparisons, and writes the latter to `--json FILE`."""
    results = compared(comparisons, runs)
    facts = machine()
    print("  ".join(f"{key}: {value}" for key, value in facts.items()))
    print()
    _table(
        ("contestant", "median", "all runs"),
        [
            (name, _figure(statistics.median(values)), "  ".join(_figure(v) for v in values))
            for name, values in runs.items()
        ],
    )
    print()
    _table(
        ("comparison", "unit", "ours", "peer", "ratio"),
        [
            (name, one["unit"], _figure(one["ours"]), _figure(one["peer"]), f"{one['ratio']:.2f}")
            for name, one in results.items()
        ],
    )
    if arguments.json is not None:
        told = {name: {**one, "machine": facts} for name, one in results.items()}
        arguments.json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def machine() -> dict[str, str]:
    """On what, with what and when it was measured."""
    import importlib.metadata

    from cutaway import devices

    found = devices.describe_machine()
    names = ("torch", "transformers", "tokenizers", "tiktoken", "trl")
    installed = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in names if name in installed}
    return {
        "processor": f"{found.processor}, {found.cores} cores",
        "instructions": " ".join(found.instruction_sets) or "none that matter",
        "compiler": str(found.compiler),
        "python": sys.version.split()[0],
        **versions,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def options(about: str, *, runs: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=runs, help="runs of each contestant")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser


def hand_over(**figures: float) -> None:
    """Tells the starting process what was measured; `value` is what is compared."""
    print(json.dumps(figures), flush=True)


def say(words: str) -> None:
    """Says how far the benchmark is, beside its table."""
    print(words, file=sys.stderr, flush=True)


def _figure(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
