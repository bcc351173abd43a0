"""`cutaway demo`: from raw text to a model you can talk to, in one go that may be interrupted."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cutaway import settings
from cutaway.durable import write_file
from cutaway.errors import UsageError

if TYPE_CHECKING:
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ()

Outcome = TypeVar("Outcome")

UNCOMPILED = 1.6
"""Times as long as a compiled step takes an uncompiled one of the demo on two cores (measured)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the demo happens, and by which recipes."""

    run: Path = Path("runs/demo")
    """Folder that the demo writes; the models on the way lie in `base` and `finetuned` within."""
    recipes: Path | None = None
    """Folder of 1_pretrain.toml to 4_evaluate.toml; none: the recipes that come along."""
    pace: float | None = None
    """Multiplies the minutes of the trainings: 0.1 for a quick look, 6 for better figures; none: 1,
    or 1.6 where the step is not compiled, so that about as many steps are taken."""

    def __post_init__(self) -> None:
        if self.pace is not None and self.pace <= 0:
            raise UsageError(f"pace={self.pace} is out of range; give more than 0")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the demo left behind."""

    run: Path
    """Its folder: a MODEL for chat, generate and evaluate."""
    report: Path
    """The page to open."""
    minutes: dict[str, float]
    """Time of each stage over all sittings, and in total."""


def run(config: Config, *, console: "Console") -> Report:
    """Pretrains, fine-tunes, aligns and evaluates; what is done already is not done again."""
    from cutaway.evaluation.report.keeping import FILE_NAME
    from cutaway.stages import align, evaluate, finetune, pretrain

    whole, base, tuned = config.run, config.run / "base", config.run / "finetuned"
    if config.pace is None:
        config = replace(config, pace=_usual_pace(console))
    first = _loaded(config, pretrain.Config, "1_pretrain.toml", run=base)
    second = _loaded(config, finetune.Config, "2_finetune.toml", run=tuned, model=base)
    third = _loaded(config, align.Config, "3_align.toml", run=whole, model=tuned)
    last = _loaded(config, evaluate.Config, "4_evaluate.toml", model=whole)
    clock = _Clock(whole / "minutes.json")
    console.say("1 of 4: text to a base model")
    clock.time("pretrain", lambda: pretrain.run(first, console=console))
    console.say("2 of 4: a base model to one that answers")
    clock.time("finetune", lambda: finetune.run(second, console=console))
    console.say("3 of 4: a model that answers to one whose answers are liked")
    if not align.is_done(whole):
        (whole / FILE_NAME).unlink(missing_ok=True)
        clock.time("align", lambda: align.run(third, console=console))
    console.say("4 of 4: what it can do, on questions it has never seen")
    page = whole / "report.html"
    if not (whole / FILE_NAME).exists():
        clock.time("evaluate", lambda: evaluate.run(last, console=console))
    # The page tells where the minutes went, its own included; written each time, also where a kill
    # came between the figures and the page.
    evaluate.tell_minutes(whole, clock.minutes)
    console.say(f"report: {page}")
    console.say(f"now talk to it: cutaway chat {whole}")
    return Report(run=whole, report=page, minutes=clock.minutes)


def recipes_folder() -> Path:
    """Finds the recipes: in the package where it was installed, beside `src` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return folder
    raise UsageError(f"there are no recipes at {package / 'recipes'}; give recipes=PATH")


def _loaded(config: Config, kind: type[Outcome], name: str, **given: Path) -> Outcome:
    """Reads a stage's settings from its recipe, with the demo's own folders and pace."""
    recipe = _recipe(config.recipes or recipes_folder() / "demo", name)
    return settings.load(
        kind, recipe=recipe, overrides=_paced(recipe, config.pace or 1.0), given=dict(given)
    )


def _usual_pace(console: "Console") -> float:
    """1, or what makes up for a step that is not compiled here, and says so."""
    from cutaway import devices

    machine = devices.describe_machine()
    accelerator, _ = devices.find_accelerator()
    compilation = devices.choose_compilation(machine, accelerator=accelerator)
    if compilation.compiled or accelerator != "cpu":
        return 1.0
    console.say(
        f"not compiled: {compilation.reason}; the trainings get {UNCOMPILED:g} times their "
        "minutes (pace=1 leaves them as they are, with lower figures)"
    )
    return UNCOMPILED


def _recipe(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise UsageError(f"{path} is missing; recipes= is a folder with the demo's four recipes")
    return path


def _paced(recipe: Path, pace: float) -> list[str]:
    """Multiplies a recipe's minutes or steps."""
    import tomllib

    values: dict[str, Any] = tomllib.loads(recipe.read_text(encoding="utf-8"))
    if pace == 1.0:
        return []
    if "steps" in values:
        return [f"steps={max(1, round(values['steps'] * pace))}"]
    return [f"minutes={values['minutes'] * pace}"] if "minutes" in values else []


class _Clock:
    """Adds up the time of each stage over all sittings, in a file beside the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.exists():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                self._seconds = {str(name): float(value) for name, value in kept.items()}
            except (ValueError, AttributeError, TypeError):
                # Only times are lost, and the run goes on.
                self._seconds = {}

    def time(self, stage: str, do: Callable[[], Outcome]) -> Outcome:
        """Does it, and counts the time even when it is interrupted."""
        begin = time.monotonic()
        try:
            return do()
        finally:
            spent = time.monotonic() - begin
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._path, json.dumps(self._seconds).encode())

    @property
    def minutes(self) -> dict[str, float]:
        """Minutes by stage, and their sum."""
        spent = {stage: seconds / 60 for stage, seconds in self._seconds.items()}
        return {**spent, "total": sum(spent.values())}
