"""What a load has shown, beside what was promised; loads of full size write it down.

A load has two sizes. The short one is a test like any other: it asks whether answers are right, and
not how soon they come, which depends on what else the machine does. The full one, `make slow`, asks
for both. Its figures, also those that miss, go to `benchmarks/results/serving.json`, in place of
those of an earlier run of the same load, and all that stand there are shown by `docs/loads.md`.
"""

import datetime
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pytest

from cutaway.devices import describe_machine

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "serving.json"
PAGE = ROOT / "docs" / "loads.md"
MOST_TOLD = 10
"""Of what is wrong, so much is told where a load fails."""


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
        self._note(name, value, unit="", limit=_number(wanted), holds=value == wanted)

    def none(self, name: str, wrong: Sequence[str]) -> None:
        """What must not happen at any size."""
        self.exactly(name, len(wrong), 0)
        self.missed += wrong[:MOST_TOLD]

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
        figure = {"value": round(value, 6), "unit": unit, "limit": limit, "holds": holds}
        self.found[name] = figure
        if not holds:
            self.missed.append(f"{name}: {value:g} {unit}, but {limit}")


@contextmanager
def figures(name: str, *, work: str, is_full: bool) -> Iterator[Figures]:
    """Collects the figures of a load and, in the end, asks whether all promises are kept."""
    collected, begun = Figures(is_full=is_full), time.monotonic()
    busy = os.getloadavg()[0]
    try:
        yield collected
    except Exception:
        collected.exactly("came to its end", 0, 1)
        raise
    else:
        assert not collected.missed, "\n".join(collected.missed)
    finally:
        if is_full and collected.found:
            minutes = (time.monotonic() - begun) / 60
            machine = f"{_machine()}, load average {busy:.1f} as it began"
            _write_down(name, work=work, machine=machine, minutes=minutes, found=collected.found)


def _machine() -> str:
    told = describe_machine()
    cores = f"{told.cores} of {os.cpu_count()} cores for server and clients"
    return f"{told.processor}, {cores}, niceness {os.nice(0)}"


def _write_down(
    name: str, *, work: str, machine: str, minutes: float, found: dict[str, dict[str, Any]]
) -> None:
    told = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    told[name] = {
        "work": work,
        "figures": found,
        "minutes": round(minutes, 1),
        "machine": machine,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }
    RESULTS.write_text(json.dumps(dict(sorted(told.items())), indent=2) + "\n")
    PAGE.write_text(as_page(told))


def share(values: list[float], part: float) -> float:
    """The value that this part of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def as_page(results: dict[str, dict[str, Any]]) -> str:
    """The figures of all loads as `docs/loads.md` shows them."""
    lines = [
        "# What the server was seen to bear",
        "",
        "*Written by `make slow`; a load that is run again, `make slow ARGS='-k soak'`, replaces",
        "its own rows. What each load is, and when it was run, stands below the table.*",
        "",
        "| load | what | promised | measured | kept |",
        "|---|---|---|---|---|",
    ]
    for name, one in sorted(results.items()):
        for what, found in one["figures"].items():
            measured = f"{_number(found['value'])} {found['unit']}".strip()
            promised = f"{found['limit']} {found['unit']}".strip() if found["limit"] else ""
            kept = ("yes" if found["holds"] else "**no**") if promised else ""
            lines.append(f"| {name} | {what} | {promised} | {measured} | {kept} |")
    lines.append("")
    for name, one in sorted(results.items()):
        when = f"{one['minutes']:g} minutes on {one['date']}, {one['machine']}"
        lines.append(f"- **{name}**: {one['work']}. {when}.")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
