"""What `evaluate` prints, and returns, of skills and of what it found by a file or a corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.evaluation.report.card import ReportCard
    from cutaway.evaluation.skills import SkillResult
    from cutaway.evaluation.tasks import TaskReport
    from cutaway.interop.open import OpenedClassifier, OpenedEncoder, OpenedPair
    from cutaway.stages.evaluate import Config


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


def card_of(path: Path, opened: "OpenedEncoder | OpenedClassifier | OpenedPair") -> "ReportCard":
    """Begins the report of what is no decoder: what it is, and how long it learned."""
    from cutaway.evaluation.lineage import run_of
    from cutaway.evaluation.report.card import ModelFacts, ReportCard
    from cutaway.run_folder import RunFolder

    sizes: Any = opened.model.config
    spent: dict[str, float] = {}
    for row in RunFolder(path=run_of(path)).metrics.read():
        if "stage" in row and "seconds" in row:
            spent[str(row["stage"])] = float(row["seconds"]) / 60
    return ReportCard(
        title=str(path),
        minutes=spent,
        model=ModelFacts(
            architecture=opened.source.architecture,
            parameters=opened.source.num_parameters,
            vocab_size=sizes.vocab_size,
            context_length=sizes.context_length,
            details={"width": f"{sizes.width:,}", "blocks": str(sizes.num_layers)},
        ),
        next_command=f'cutaway generate {path} "..."',
    )


def write_card(
    card: "ReportCard", *, config: "Config", console: "Console"
) -> tuple[Path | None, dict[str, Any]]:
    """Writes the report of a whole run; one judged by other data only gives its figures."""
    from cutaway.evaluation.lineage import run_of
    from cutaway.evaluation.report.card import as_json
    from cutaway.evaluation.report.keeping import keep
    from cutaway.evaluation.report.page import write_report

    folder = run_of(config.model)
    if config.data is not None or not (folder / "checkpoints").is_dir():
        return None, as_json(card)
    keep(card, folder)
    page = write_report(folder, card=card)
    console.say(f"report: {page}")
    return page, as_json(card)
