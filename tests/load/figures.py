"""What a load has shown, beside what was promised; loads of full size write it down.

A load has two sizes. The short one is a test like any other: it asks whether answers are right, and
not how soon they come, which depends on what else the machine does. The full one, `make slow`, asks
for both and writes its figures to `benchmarks/results/serving.json`, also those that miss.
"""

import datetime
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pytest

from cutaway.devices import describe_machine

RESULTS = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "serving.json"


def in_two_sizes(*, short: Any, full: Any) -> pytest.MarkDecorator:
    """Runs a load short with the faults, and at full size with the slow tests."""
    return pytest.mark.parametrize(
        "size",
        [
            pytest.param(short, id="short", marks=pytest.mark.faults),
            pytest.param(full, id="full", marks=pytest.mark.slow),
        ],
    )


@final
@dataclass(kw_only=True)
class Figures:
    """The figures of one load."""

    is_full: bool
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def exactly(self, name: str, value: float, wanted: float) -> None:
        """A count, which must be right at every size."""
        self._note(name, value, unit="", limit=f"{wanted:g}", holds=value == wanted)

    def at_most(self, name: str, value: float, most: float, *, unit: str) -> None:
        """A figure that must not be exceeded at any size."""
        self._note(name, value, unit=unit, limit=f"at most {most:g}", holds=value <= most)

    def soon(self, name: str, seconds: float, most: float) -> None:
        """A time, which is asked for at full size only."""
        holds = seconds <= most or not self.is_full
        self._note(name, seconds, unit="s", limit=f"at most {most:g}", holds=holds)

    def told(self, name: str, value: float, *, unit: str) -> None:
        """A figure that nothing was promised of."""
        self._note(name, value, unit=unit, limit="", holds=True)

    def _note(self, name: str, value: float, *, unit: str, limit: str, holds: bool) -> None:
        self.found[name] = {"value": round(value, 6), "unit": unit, "limit": limit}
        if not holds:
            self.missed.append(f"{name}: {value:g} {unit}, but {limit}")


@contextmanager
def figures(name: str, *, work: str, is_full: bool) -> Iterator[Figures]:
    """Collects the figures of a load and, in the end, asks whether all promises are kept."""
    collected = Figures(is_full=is_full)
    yield collected
    if is_full:
        _write_down(name, work=work, found=collected.found)
    assert not collected.missed, "\n".join(collected.missed)


def _write_down(name: str, *, work: str, found: dict[str, dict[str, Any]]) -> None:
    machine = describe_machine()
    told = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    told[name] = {
        "work": work,
        "figures": found,
        "machine": f"{machine.processor}, {machine.cores} of {os.cpu_count()} cores for server and "
        f"clients, niceness {os.nice(0)}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")


def share(values: list[float], part: float) -> float:
    """The value that this part of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def as_table(results: dict[str, dict[str, Any]]) -> str:
    """The figures of all loads as `docs/serving.md` shows them."""
    lines = ["| load | figure | measured | promised |", "|---|---|---|---|"]
    for name, one in results.items():
        shown = [f"**{name}**: {one['work']}", *[""] * (len(one["figures"]) - 1)]
        for work, (figure, found) in zip(shown, one["figures"].items(), strict=True):
            measured = f"{_number(found['value'])} {found['unit']}".strip()
            lines.append(f"| {work} | {figure} | {measured} | {found['limit']} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    print(as_table(json.loads(RESULTS.read_text())), end="")
