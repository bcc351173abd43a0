"""What reward models and alignment share: the settings of a run, and how its parts are wired."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cutaway import settings
from cutaway.errors import ConfigError, DataError
from cutaway.run_folder import RunFolder, provenance
from cutaway.training.choices import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.alignment.preferences import Ranking
    from cutaway.console import Console
    from cutaway.interop.open import Opened
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.compile import Execution
    from cutaway.training.loop import Hook, Taken
    from cutaway.training.session import Session
    from cutaway.training.state import TrainingState

PUBLISHED = "instructions"
"""The corpus whose published preferences are read by its name."""

LOOKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of a run after which held-out prompts are answered; before the first step, too."""

GENTLE = OptimizerConfig(
    kind="adamw",
    learning_rate=3e-4,
    embedding_rate=3e-4,
    unembedding_rate=3e-4,
    vector_rate=3e-4,
    beta1=0.9,
    beta2=0.99,
)
"""Every weight by AdamW, a tenth as fast as a model is trained anew."""


@dataclass(frozen=True, kw_only=True)
class MannerConfig:
    """How the steps are made."""

    clip_norm: float | None = 1.0
    """Largest norm of all gradients together; larger ones are scaled down."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Of the matrix products; the ratios of probabilities suffer from bf16."""
    threads: int | None = None
    """Threads for the tensors; none: one for each core."""
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints."""

    def __post_init__(self) -> None:
        for name in ("clip_norm", "threads", "checkpoint_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}={value} is out of range; give more than 0")


@dataclass(frozen=True, kw_only=True)
class Work:
    """A model with a way to take a step, ready for `work`."""

    stage: str
    folder: RunFolder
    config: Any
    """The stage's config: written into the run folder."""
    model: "nn.Module"
    tokenizer: "Tokenizer"
    companions: Mapping[str, "nn.Linear"]
    """Modules that learn beside the model, by the stem of their file."""
    companion_rate: float
    """AdamW's learning rate for them."""
    take: "Callable[[TrainingState, float], Taken]"
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    manner: MannerConfig
    steps: int | None
    minutes: float | None
    identity: Mapping[str, Any]
    look: "Callable[[TrainingState, Session], None]"
    """Evaluates along the way and writes what it finds."""
    shown: tuple[str, ...]
    """Metrics of the live line."""


def work(job: Work, *, console: "Console", hooks: "Sequence[Hook]" = ()) -> "TrainingState":
    """Takes the run's steps, or the rest of them, in its folder; returns the last state."""
    from cutaway.stages.learning import schedule_for
    from cutaway.training.compile import autocast
    from cutaway.training.hooks import AtShares, Checkpoints, Metrics, SkippedSteps
    from cutaway.training.loop import take_steps

    state = _first_state(job)
    session = _session(job, console)
    is_resumed = session.resume(state)
    if is_resumed:
        console.say(f"{job.stage}: goes on after step {state.step}")
    if state.is_finished:
        console.say(f"{job.stage}: all {state.step} steps are done")
        return state
    job.tokenizer.save(job.folder.path)
    about = provenance(tokenizer=job.tokenizer.fingerprint)
    job.folder.create(settings.dump(job.config), about)
    with autocast(_execution(job.manner, console)):
        if not is_resumed:
            # What a sitting that saved nothing wrote of step 0 is written again.
            job.folder.metrics.cut_after(-1)
            job.folder.samples.cut_after(-1)
            job.look(state, session)
            session.save(state)
        take_steps(
            state,
            lambda factor: job.take(state, factor),
            schedule=schedule_for(job.schedule),
            hooks=[
                Metrics(session.write, every=1),
                SkippedSteps(job.folder.path),
                *hooks,
                AtShares(lambda now: job.look(now, session), name="run", shares=LOOKS),
                Live(console, job),
                Checkpoints(session.save, seconds=job.manner.checkpoint_seconds),
            ],
        )
    return state


def _first_state(job: Work) -> "TrainingState":
    """Everything that learns, with its optimizer, before the first step."""
    from cutaway.training.optimizers import AdamW, AdamWConfig, Together, optimizer_for
    from cutaway.training.plan import Plan
    from cutaway.training.state import TrainingState

    seconds = None if job.minutes is None else 60 * job.minutes
    beside = {
        f"{stem}.{name}": parameter
        for stem, module in job.companions.items()
        for name, parameter in module.named_parameters()
    }
    rate = AdamWConfig(learning_rate=job.companion_rate, beta2=job.optimizer.beta2)
    parts = [optimizer_for(job.model, job.optimizer), *([AdamW(beside, rate)] if beside else [])]
    return TrainingState(
        model=job.model,
        optimizer=Together(parts),
        companions=job.companions,
        plan=Plan(steps=None if seconds else job.steps, seconds=seconds),
    )


def _execution(manner: MannerConfig, console: "Console") -> "Execution":
    """Sets threads and memory, and says in which precision is computed."""
    from cutaway import devices
    from cutaway.training.compile import Execution

    machine = devices.describe_machine()
    precision = devices.choose_precision(machine, accelerator="cpu", asked=manner.precision)
    devices.keep_freed_memory()
    devices.set_threads(manner.threads)
    console.say(f"precision {precision.name}: {precision.reason}")
    return Execution(precision=precision.name)


class Live:
    """Keeps the live line."""

    def __init__(self, console: "Console", job: Work) -> None:
        self._console, self._job = console, job
        self._progress: Any = None

    def after_step(self, progress: Any) -> None:
        """Shows the figures of the step."""
        state = progress.state
        seconds = state.plan.seconds
        if self._progress is None:
            total, unit = (progress.steps, "steps") if seconds is None else (seconds, "s")
            self._progress = self._console.progress(self._job.stage, total=total, unit=unit)
        shown = {name: progress.metrics[name] for name in self._job.shown}
        done = state.step if seconds is None else state.seconds
        self._progress.update(done, {"step": state.step, **shown})

    def at_end(self, state: Any) -> None:
        """Leaves the line as it is."""


def rankings_from(data: str) -> "tuple[list[Ranking], str]":
    """Reads judgements, and says where they came from in words.

    `data` is a run folder or a database with judgements, a file of preferences, or the corpus
    `instructions`.

    Raises:
        DataError: there are none, they are one-sided, or they are of answers that are gone.
    """
    from cutaway.alignment.exchange import published_preferences, read_preferences
    from cutaway.alignment.preferences import PreferenceStore, rankings
    from cutaway.database import FILE_NAME, url_of_file

    if data == PUBLISHED:
        return rankings(published_preferences()), f"the published preferences of {data}"
    path = Path(data).expanduser()
    if "://" not in data and path.suffix not in (".db", ".sqlite") and path.is_file():
        return rankings(read_preferences(path, rater=path.stem)), f"the preferences in {path}"
    file = path / FILE_NAME if path.is_dir() else path
    if "://" not in data and not file.is_file():
        raise DataError(
            f"data={data[:160]}: there are no judgements\n"
            "give a run that was judged (cutaway label RUN), a database's URL, a file of "
            f"preferences, or {PUBLISHED}"
        )
    store = PreferenceStore(data if "://" in data else url_of_file(file))
    try:
        return rankings(store.judged()), f"the judgements in {file if path.is_dir() else data}"
    finally:
        store.close()


def is_held_out(ranking: "Ranking", *, share: float) -> bool:
    """Whether a prompt's judgements are kept from training, by the hash of the prompt."""
    import hashlib

    text = "\n\n".join(message.content for message in ranking.prompt)
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < share


def base_hash(opened: "Opened") -> str:
    """The hash by which a run knows the model that it began from."""
    from cutaway.run_folder import hash_of_file

    return hash_of_file(opened.source.checkpoint / "MANIFEST.json")


def _session(job: Work, console: "Console") -> "Session":
    from cutaway.models.catalog import describe
    from cutaway.tokenizer.exported import huggingface_files
    from cutaway.training.session import Session

    described = describe(job.model)
    length = int(job.model.config.context_length)  # type: ignore[union-attr, arg-type]
    return Session(
        folder=job.folder,
        stage=job.stage,
        identity={**job.identity, "model": described, "tokenizer": job.tokenizer.fingerprint},
        files={
            "config.json": json.dumps(described, indent=2).encode(),
            "tokenizer.json": job.tokenizer.to_json().encode(),
            **huggingface_files(job.tokenizer, context_length=length),
        },
        warn=console.warn,
    )


def mean_error(values: Sequence[float]) -> float:
    """Standard error of a mean."""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
