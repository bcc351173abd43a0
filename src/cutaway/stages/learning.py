"""What pretraining and fine-tuning share: the settings of a run, and how its parts are wired."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cutaway import settings
from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder, provenance
from cutaway.training.choices import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.console import Console
    from cutaway.data.loaders import Batches
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.compile import Execution
    from cutaway.training.distributed import Processes
    from cutaway.training.objectives import Objective
    from cutaway.training.schedules import Schedule
    from cutaway.training.session import Session
    from cutaway.training.state import TrainingState

LOOKS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of a run after which it is evaluated and sampled."""

ONE_LENGTH = (
    "steps and minutes: a run has one length; give one of the two, here or under pacing,\n"
    "and switch the other off where a recipe gives it, as in minutes=none"
)

CHECKED_BYTES = 16_384
"""Bytes of held-out text that an evaluation along the way reads."""


@dataclass(frozen=True, kw_only=True)
class PacingConfig:
    """How long a run is and how its steps are made."""

    steps: int | None = None
    """Steps to take; none: as many as `minutes` allow, or as the size asks for."""
    minutes: float | None = None
    """Time for the training, in minutes; the first steps are timed and fix the number of steps."""
    rows: int = 32
    """Rows of a batch."""
    row_length: int | None = None
    """Tokens of a row; none: the model's context length."""
    micro_rows: int | None = None
    """Rows that pass through the model at once; none: all. Memory falls with it."""
    clip_norm: float | None = 1.0
    """Largest norm of all gradients together; larger ones are scaled down."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; auto: what is fast here."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """Whether the step is compiled; auto: where a C++ compiler is found."""
    threads: int | None = None
    """Threads for the tensors; none: one for each core."""
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ConfigError(ONE_LENGTH)
        positive = ("steps", "minutes", "rows", "row_length", "micro_rows", "clip_norm", "threads")
        for name in (*positive, "checkpoint_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}={value} is out of range; give more than 0")

    def lasting(self, *, steps: int | None, minutes: float | None) -> "PacingConfig":
        """Returns this pacing with the length that a stage's own keys give, if they give one.

        Raises ConfigError where a length is given twice.
        """
        lengths = (steps, minutes, self.steps, self.minutes)
        if sum(length is not None for length in lengths) > 1:
            raise ConfigError(ONE_LENGTH)
        return self if lengths[:2] == (None, None) else replace(self, steps=steps, minutes=minutes)


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A model with what it learns from, ready for `learn`."""

    stage: str
    folder: RunFolder
    model: "nn.Module"
    tokenizer: "Tokenizer"
    fingerprints: Mapping[str, str]
    """Hashes of the data, by what messages call it."""
    open_loader: "Callable[[Processes], Batches[Any]]"
    """Opens the data for one of the processes."""
    objective: "Objective[Any]"
    optimizer: OptimizerConfig
    schedule: "Schedule"
    pacing: PacingConfig
    steps: int | None
    """Steps to take where the pacing names no time."""
    seed: int
    identity: Mapping[str, Any]
    looks: "Callable[[nn.Module], dict[str, float]]"
    """Evaluates along the way: names to figures, bits_per_byte among them."""
    samples: "Callable[[nn.Module], list[tuple[str, str]]]"
    """Prompts with what the model makes of them."""
    begin: "Callable[[], None]"
    """Writes what describes the run, once its folder is known to hold no other one."""
    group: "Processes"
    """The processes that learn together; the first of them writes the files."""
    adapters: Mapping[str, Any] | None = None
    """What config.json says of LoRA adapters in the model; none: it has none."""


def execution_for(pacing: PacingConfig, console: "Console") -> "Execution":
    """Chooses device, precision and compilation, and says what was chosen and why."""
    from cutaway import devices
    from cutaway.training.compile import Execution

    machine = devices.describe_machine()
    accelerator, _ = devices.find_accelerator()
    precision = devices.choose_precision(machine, accelerator=accelerator, asked=pacing.precision)
    compilation = devices.choose_compilation(machine, accelerator=accelerator, asked=pacing.compile)
    devices.keep_freed_memory()
    threads = devices.set_threads(pacing.threads)
    console.say(f"precision {precision.name}: {precision.reason}")
    console.say(f"compiled {'yes' if compilation.compiled else 'no'}: {compilation.reason}")
    console.say(f"threads {threads}, device {accelerator}")
    return Execution(precision=precision.name, is_compiled=compilation.compiled, device=accelerator)


def describe_run(
    folder: RunFolder, config: Any, *, tokenizer: "Tokenizer", hashes: Mapping[str, str]
) -> None:
    """Writes the run's config, its provenance and its tokenizer into its folder."""
    tokenizer.save(folder.path)
    about = provenance(data=dict(hashes), tokenizer=tokenizer.fingerprint)
    folder.create(settings.dump(config), about)


def require_room(sizes: Mapping[str, Any], pacing: PacingConfig) -> None:
    """Raises ResourceError when the memory cannot hold a step of a model of these sizes."""
    import torch

    from cutaway.devices import describe_machine, find_accelerator
    from cutaway.models.catalog import build
    from cutaway.training.memory import require_memory

    if find_accelerator()[0] == "cpu":
        with torch.device("meta"):  # shapes without memory
            model = build(sizes)
        require_memory(
            model,
            machine=describe_machine(),
            rows=min(pacing.rows, pacing.micro_rows or pacing.rows),
            row_length=pacing.row_length or sizes["context_length"],
            vocab_size=sizes["vocab_size"],
        )


def schedule_for(config: ScheduleConfig) -> "Schedule":
    """Makes the schedule that a recipe describes."""
    from cutaway.training.schedules import Cosine, InverseSquareRoot, Trapezoid

    if config.kind == "inverse_root":
        return InverseSquareRoot(warmup_steps=config.warmup_steps)
    if config.kind == "cosine":
        return Cosine(warmup=config.warmup, floor=config.floor)
    return Trapezoid(warmup=config.warmup, cooldown=config.cooldown, floor=config.floor)


def learn(learner: Learner, *, console: "Console") -> "TrainingState":
    """Trains, or goes on training, in the learner's run folder; returns the last state."""
    from cutaway.training.hooks import AtShares, Checkpoints, Metrics, SkippedSteps
    from cutaway.training.loop import Hook, LoopConfig, train
    from cutaway.training.optimizers import optimizer_for
    from cutaway.training.plan import Plan
    from cutaway.training.state import TrainingState

    pacing, group = learner.pacing, learner.group
    seconds = _seconds(pacing, group)
    execution = execution_for(pacing, console)
    # Moved before the optimizer is made, whose state lies where the weights lie.
    model = learner.model.to(execution.device)
    state = TrainingState(
        model=model,
        optimizer=optimizer_for(model, learner.optimizer, precision=execution.precision),
        plan=Plan(steps=None if seconds else learner.steps, seconds=seconds),
    )
    session = _session(learner, console)
    with group.first_alone():
        if session.resume(state):
            console.say(f"{learner.stage}: goes on after step {state.step}")
        if group.is_first and not state.is_finished:
            learner.begin()
            if state.step == 0:
                session.save(state)
    if state.is_finished:
        console.say(f"{learner.stage}: all {state.step} steps are done")
        return state
    hooks: list[Hook] = [
        Metrics(session.write, every=1),
        SkippedSteps(learner.folder.path),
        AtShares(_look_with(learner, session, console), name="run", shares=LOOKS),
        _Live(console, stage=learner.stage, plan=state.plan),
        Checkpoints(session.save, seconds=pacing.checkpoint_seconds),
    ]
    train(
        state,
        learner.open_loader(group),
        objective=learner.objective,
        schedule=learner.schedule,
        config=LoopConfig(micro_rows=pacing.micro_rows, clip_norm=pacing.clip_norm),
        execution=execution,
        hooks=hooks if group.is_first else [],
        processes=group,
    )
    if group.is_first:
        _write_page(learner, state, console)
    return state


def _seconds(pacing: PacingConfig, group: "Processes") -> float | None:
    if pacing.minutes is not None and group.world > 1:
        raise ConfigError(
            f"minutes={pacing.minutes:g}: {group.world} processes would measure it differently;\n"
            "give steps= instead"
        )
    return None if pacing.minutes is None else 60 * pacing.minutes


def _write_page(learner: Learner, state: "TrainingState", console: "Console") -> None:
    """Writes the run's page: its curves, samples and settings; `evaluate` adds what it can do."""
    from cutaway.evaluation.report.card import ReportCard
    from cutaway.evaluation.report.page import write_report

    path = learner.folder.path
    minutes = state.seconds / 60
    card = ReportCard(
        title=str(path),
        minutes={learner.stage: minutes, "total": minutes},
        next_command=f"cutaway evaluate {path}",
    )
    console.say(f"curves and samples: {write_report(path, card=card)}")


def _context_length(model: "nn.Module") -> int:
    return int(model.config.context_length)  # type: ignore[union-attr, arg-type]


def _session(learner: Learner, console: "Console") -> "Session":
    from cutaway.models.catalog import describe
    from cutaway.tokenizer.exported import huggingface_files
    from cutaway.training.session import Session

    settings = describe(learner.model)
    if learner.adapters is not None:
        settings["lora"] = dict(learner.adapters)
    return Session(
        folder=learner.folder,
        stage=learner.stage,
        identity={
            **learner.identity,
            "model": settings,
            "tokenizer": learner.tokenizer.fingerprint,
            "data": dict(learner.fingerprints),
        },
        files={
            "config.json": json.dumps(settings, indent=2).encode(),
            "tokenizer.json": learner.tokenizer.to_json().encode(),
            **huggingface_files(learner.tokenizer, context_length=_context_length(learner.model)),
        },
        warn=console.warn,
    )


def _look_with(
    learner: Learner, session: "Session", console: "Console"
) -> "Callable[[TrainingState], None]":
    def look(state: "TrainingState") -> None:
        figures = learner.looks(learner.model)
        session.write({"step": state.step, "seconds": round(state.seconds, 3), **figures})
        told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        console.say(f"step {state.step}: {told}")
        if figures and not any(math.isfinite(value) for value in figures.values()):
            return  # a model that has lost its numbers says nothing
        for prompt, text in learner.samples(learner.model):
            session.folder.samples.append(
                {"stage": learner.stage, "step": state.step, "prompt": prompt, "text": text}
            )
            console.say(f"  {prompt} -> {text.strip()!r}")

    return look


class _Live:
    """Keeps the live line: loss, tokens per second, time left."""

    def __init__(self, console: "Console", *, stage: str, plan: Any) -> None:
        self._plan, self._console, self._stage = plan, console, stage
        self._progress: Any = None
        self._loss = 0.0

    def after_step(self, progress: Any) -> None:
        """Shows the figures of the step, the loss as a running mean."""
        state = progress.state
        if self._progress is None:
            is_timed = self._plan.seconds is not None
            self._progress = self._console.progress(
                self._stage,
                total=self._plan.seconds if is_timed else progress.steps,
                unit="s" if is_timed else "steps",
            )
            self._loss = progress.loss
        if not state.skipped_in_a_row:
            self._loss += 0.1 * (progress.loss - self._loss)
        done = state.seconds if self._plan.seconds is not None else state.step
        shown = {
            "step": state.step,
            "loss": progress.loss if state.skipped_in_a_row else self._loss,
            "tokens/s": round(progress.tokens / progress.seconds),
        }
        self._progress.update(done, shown)

    def at_end(self, state: Any) -> None:
        """Leaves the line as it is."""


def identity_of(config: Any, *, leave_out: Sequence[str]) -> dict[str, Any]:
    """Returns the settings that must not change while a run lasts, as JSON holds them."""
    plain = json.loads(json.dumps(asdict(config), default=str))
    return {name: value for name, value in plain.items() if name not in leave_out}


def sample_texts(
    prompts: Sequence[str], tokenizer: "Tokenizer", *, seed: int, tokens: int = 32
) -> "Callable[[nn.Module], list[tuple[str, str]]]":
    """Returns a function that continues fixed prompts, with the same seeds each time."""

    def sample(model: "nn.Module") -> list[tuple[str, str]]:
        from cutaway.inference.engine import Engine
        from cutaway.inference.sampling import TopK

        longest = max(1, _context_length(model) // 2)  # the other half is for what follows
        engine = Engine(model, tokenizer)  # type: ignore[arg-type]
        found = engine.generate(
            [tokenizer.prompt(prompt)[:longest] for prompt in prompts],
            sampler=TopK(50, temperature=0.8),
            max_tokens=tokens,
            seeds=[seed + place for place in range(len(prompts))],
        )
        return [
            (prompt, tokenizer.decode(completion.ids))
            for prompt, completion in zip(prompts, found, strict=True)
        ]

    return sample


def held_out_sample(source: str, *, most_bytes: int = CHECKED_BYTES) -> list[str]:
    """Returns held-out documents of a corpus, up to a number of bytes: enough to watch a run."""
    from cutaway.data.mixture import texts

    found: list[str] = []
    left = most_bytes
    for text in texts(source, "validation"):
        found.append(text[:left])
        left -= len(found[-1].encode())
        if left <= 0:
            break
    return found


def run_folder_at(path: Path) -> RunFolder:
    """Returns the run folder at a path."""
    return RunFolder(path=path)
