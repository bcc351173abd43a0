"""What `evaluate` prints, and returns, of what it found by a file or a corpus."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cutaway.console import Console
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
