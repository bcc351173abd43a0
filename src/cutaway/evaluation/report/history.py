"""What metrics.jsonl and samples.jsonl say about a run, stage by stage."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cutaway.evaluation.report.scales import Number, Point

FOLLOWING = ("reward", "align")
"""Stages that follow judgements or a reward: their loss is none over tokens."""


@dataclass(frozen=True, kw_only=True)
class StageHistory:
    """The lines of metrics.jsonl that one stage wrote, in order of their steps."""

    stage: str
    """The stage's name."""
    rows: Sequence[Mapping[str, Any]]
    """Its lines, each with a step."""

    def series(self, name: str) -> list[Point]:
        """Returns (step, value) wherever a finite number of this name was written."""
        return [
            (float(row["step"]), float(row[name])) for row in self.rows if _is_finite(row.get(name))
        ]

    def broken_steps(self) -> list[int]:
        """Returns the steps whose loss was not a finite number."""
        return [
            int(row["step"])
            for row in self.rows
            if isinstance(row.get("loss"), float) and not math.isfinite(row["loss"])
        ]

    def minutes_at(self, step: Number) -> Number | None:
        """Returns the minutes spent when a step was reached, from the nearest step before it."""
        steps, seconds = self._times
        return seconds[max(0, bisect_right(steps, step) - 1)] / 60 if steps else None

    @cached_property
    def _times(self) -> tuple[list[Number], list[Number]]:
        """The steps whose time is known, and their seconds."""
        times = self.series("seconds")
        return [step for step, _ in times], [spent for _, spent in times]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the model wrote at one moment after a fixed prompt."""

    stage: str
    """Which stage was running."""
    step: int
    """After how many steps."""
    text: str
    """The continuation, without the prompt."""


def histories(rows: Iterable[Mapping[str, Any]]) -> list[StageHistory]:
    """Parts the lines of metrics.jsonl by stage, in order of appearance; others are passed over."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if _is_finite(row.get("step")):
            stages.setdefault(str(row.get("stage", "training")), []).append(row)
    return [
        StageHistory(stage=stage, rows=sorted(lines, key=lambda line: float(line["step"])))
        for stage, lines in stages.items()
    ]


def samples_by_prompt(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Sample]]:
    """Parts the lines of samples.jsonl by prompt; the earliest sample comes first."""
    prompts: dict[str, list[Sample]] = {}
    for row in rows:
        prompt, text = row.get("prompt"), row.get("text")
        if not isinstance(prompt, str) or not isinstance(text, str):
            continue
        sample = Sample(
            stage=str(row.get("stage", "")),
            step=int(row["step"]) if _is_finite(row.get("step")) else 0,
            text=text.removeprefix(prompt),
        )
        prompts.setdefault(prompt, []).append(sample)
    return prompts


def spread_out(samples: Sequence[Sample], *, most: int) -> list[Sample]:
    """Returns at most `most` samples, close together at first, when much changes, and the last."""
    if len(samples) <= most:
        return list(samples)
    last = len(samples) - 1
    places = sorted({round(last * (place / (most - 1)) ** 1.7) for place in range(most)})
    return [samples[place] for place in places]


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
