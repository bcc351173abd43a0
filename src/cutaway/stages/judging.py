"""What `evaluate` prints, and returns, of skills and of what it found by a file or a corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.evaluation.skills import SkillResult
    from cutaway.evaluation.tasks import TaskReport


def show_task(found: "TaskReport", *, data: str, console: "Console") -> None:
    rows: list[list[object]] = [
        [one.name, one.value.value, one.value.low, one.value.high, one.chance, one.n]
        for one in found.measurements
    ]
    columns = ["measure", "value", "low", "high", "chance", "items"]
    console.table(f"{data}: {found.task}", columns=columns, rows=rows)
    if found.groups:
        groups: list[list[object]] = [
            [kind, share.value, share.low, share.high] for kind, share in found.groups.items()
        ]
        console.table("by kind", columns=["kind", "value", "low", "high"], rows=groups)
    if found.left_out:
        console.warn(f"{found.left_out} items are longer than the model can read; left out")


def plain(found: "TaskReport") -> dict[str, Any]:
    return {
        "task": found.task,
        "left_out": found.left_out,
        "measurements": {
            one.name: {
                **asdict(one.value),
                "n": one.n,
                "chance": one.chance,
                "higher_is_better": one.higher_is_better,
            }
            for one in found.measurements
        },
        "groups": {kind: asdict(share) for kind, share in found.groups.items()},
    }


def show_skills(found: "Sequence[SkillResult]", *, console: "Console") -> None:
    """Shows each skill by stage beside its trivial answer, and how often tries succeed."""
    stages = list(dict.fromkeys(stage for result in found for stage in result.stages))
    rows: list[list[object]] = []
    for result in found:
        row: list[object] = [result.name, result.metric, f"{result.baseline.value:.1%}"]
        for stage in stages:
            score = result.best(stage)
            value = score.value
            row.append(f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%}, n {score.n})")
        rows.append(row)
    columns = ["skill", "measure", "trivial answer", *stages]
    console.table("held-out questions", columns=columns, rows=rows)
    _show_attempts(found, console=console)


def _show_attempts(found: "Sequence[SkillResult]", *, console: "Console") -> None:
    rows: list[list[object]] = []
    tries = 1
    for result in found:
        for stage, attempts in result.attempts.items():
            tries = attempts.tries
            shares = (attempts.pass_at(1), attempts.pass_at(tries))
            told = (f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" for one in shares)
            rows.append([result.name, stage, *told])
    if rows:
        columns = ["skill", "stage", "pass@1", f"pass@{tries}"]
        console.table(f"{tries} answers drawn to each question", columns=columns, rows=rows)
