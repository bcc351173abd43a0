"""`cutaway align MODEL`: moves a model that answers towards answers of high reward.

    cutaway align runs/demo method=ppo reward=runs/reward run=runs/aligned
    cutaway align runs/demo method=dpo data=runs/demo run=runs/aligned
    cutaway align runs/demo method=grpo reward=rule skills=addition run=runs/aligned

A reward is a run of `cutaway reward`, `rule` (right answers of skills), `taste` (the simulated
person's, without noise), or `program:PATH`, which reads lines {"prompt": ..., "answer": ...} and
writes a number for each. DPO learns from judgements (`data=`), or from answers that a reward ranks.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from cutaway.alignment.choices import (
    BestOfConfig,
    DPOConfig,
    GRPOConfig,
    PPOConfig,
    RememberingConfig,
)
from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder
from cutaway.stages.aligning import GENTLE, MannerConfig, Work, base_hash, work
from cutaway.stages.learning import identity_of
from cutaway.training.choices import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.console import Console
    from cutaway.evaluation.intervals import Interval
    from cutaway.interop.open import Opened
    from cutaway.stages.align_parts import Parts
    from cutaway.training.state import TrainingState

POSITIONAL: tuple[str, ...] = ("model",)

STEPS = {"ppo": 150, "grpo": 100, "best_of": 100}
"""Steps of a method, where neither steps nor minutes are given."""

SHOWN = {
    "ppo": ("reward", "kl", "entropy", "length"),
    "grpo": ("reward", "kl", "groups_with_advantage"),
    "best_of": ("reward", "kl", "length"),
    "dpo": ("accuracy", "margin"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is aligned, with what, and how far."""

    model: Path
    """The MODEL to begin with, which has learned to answer."""
    run: Path = Path("runs/align")
    """Folder that the run writes."""
    method: Literal["ppo", "dpo", "grpo", "best_of"] = "ppo"
    """How the policy follows the reward, or the judgements."""
    reward: str | None = None
    """A run of `cutaway reward`, rule, taste, or program:PATH; none: judgements alone (dpo)."""
    truth: str | None = None
    """A second reward, which is only watched and decides who wins; none: the same."""
    data: str | None = None
    """dpo: judgements, as `cutaway reward` takes them."""
    prompts: str = "skills"
    """What is asked: skills, open (questions without a right answer), or a file of prompts: .txt,
    one a line, or conversations."""
    skills: tuple[str, ...] = ()
    """Skills whose questions are asked; none: all that the model was taught."""
    questions: int = 4000
    """Questions that are learned from, of all skills together."""
    held_out: int = 64
    """Held-out questions that are answered along the way."""
    trials: int = 200
    """Held-out questions that the aligned model and the one it began as both answer at the end."""
    max_tokens: int = 64
    """The most tokens of an answer."""
    seed: int = 0
    """Of questions, answers and order."""
    steps: int | None = None
    """Steps to take; none: 150 (ppo), 100 (grpo, best_of), or two epochs of the judgements."""
    minutes: float | None = None
    """Time for the training instead of steps, in minutes."""
    reward_seconds: float = 10.0
    """Time that a program may take for one answer."""
    most_failing: float = 0.01
    """Share of the rewards that may fail before the run ends."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """Of method=ppo."""
    dpo: DPOConfig = field(default_factory=DPOConfig)
    """Of method=dpo."""
    grpo: GRPOConfig = field(default_factory=GRPOConfig)
    """Of method=grpo."""
    best_of: BestOfConfig = field(default_factory=BestOfConfig)
    """Of method=best_of."""
    remembering: RememberingConfig = field(default_factory=RememberingConfig)
    """Of the skills that the model was taught and is not asked for."""
    value_rate: float = 0.003
    """Learning rate of PPO's value head, by AdamW."""
    optimizer: OptimizerConfig = field(default_factory=lambda: GENTLE)
    """What steps the weights."""
    schedule: ScheduleConfig = field(
        default_factory=lambda: ScheduleConfig(warmup=0.05, cooldown=0.5)
    )
    """How the learning rate rises and falls."""
    manner: MannerConfig = field(default_factory=MannerConfig)
    """How the steps are made."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ConfigError("steps and minutes: a run has one length; give one of the two")
        positive = ("questions", "held_out", "trials", "max_tokens", "steps", "minutes")
        for name in (*positive, "reward_seconds", "value_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}={value} is out of range; give more than 0")
        if not 0 <= self.most_failing <= 1:
            raise ConfigError(f"most_failing={self.most_failing} is a share; give 0 to 1")
        if self.data is not None and self.method != "dpo":
            raise ConfigError(
                f"data={self.data}: method={self.method} draws its own answers, only dpo learns "
                "from judgements;\nmake a reward model of them (cutaway reward), and give it as "
                "reward="
            )
        if self.reward is None and (self.method != "dpo" or self.data is None):
            raise ConfigError(
                f"method={self.method} needs a reward: reward=RUN of `cutaway reward`, rule, taste "
                "or program:PATH;\nmethod=dpo can learn from judgements instead: data=RUN"
            )


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where the aligned model came to."""

    run: Path
    """Its folder."""
    steps: int
    """Steps taken."""
    minutes: float
    """Time spent in training."""
    win_rate: "Interval | None"
    """Share of held-out questions where its answer is better, ties by half; none: no reward."""
    reward: "tuple[float, float] | None"
    """Mean reward by `truth` on those questions, before and after."""
    kl: "Interval | None"
    """Nats an answer by which it left the model that it began as, on those questions."""
    held_out_accuracy: "Interval | None"
    """dpo: share of held-out judgements that it agrees with; none: it learned from none."""


def run(config: Config, *, console: "Console") -> Report:
    """Aligns the model, or goes on aligning it, in `config.run`; then lets it compete."""
    from cutaway.alignment.health import Health
    from cutaway.interop.open import open_model
    from cutaway.stages.align_parts import Parts

    folder = RunFolder(path=config.run)
    with folder.lock():
        opened = open_model(config.model)
        if not opened.source.can_chat:
            raise ConfigError(
                f"{config.model} has not learned to answer (it was made by `cutaway "
                f"{opened.source.stage}`);\nfine-tune it first: cutaway finetune {config.model} ..."
            )
        reference = open_model(config.model)
        for weight in cast("nn.Module", reference.model).parameters():
            weight.requires_grad_(False)
        parts = Parts(config, policy=opened, reference=reference, console=console)
        try:
            job = _job(config, parts, opened=opened, folder=folder)
            console.say(
                f"{config.method}: {len(parts.questions.learned)} questions to learn from, "
                f"{len(parts.questions.held_out)} held out"
            )
            health = Health(warn=console.warn, write=parts.write_to(folder))
            parts.health = health
            hooks = [] if config.method == "dpo" else [health]
            state = work(job, console=console, hooks=hooks)
            return _finished(config, parts, state=state, folder=folder)
        finally:
            parts.close()


def is_done(run: Path) -> bool:
    """Whether a run has come to its end, its trial included."""
    records = RunFolder(path=run).metrics.read()
    return any(record.get("stage") == "align" and "win_rate" in record for record in records)


def _job(config: Config, parts: "Parts", *, opened: "Opened", folder: RunFolder) -> Work:
    method = parts.method()
    identity = identity_of(config, leave_out=("run", "model", "manner", "trials"))
    return Work(
        stage="align",
        folder=folder,
        config=config,
        model=cast("nn.Module", opened.model),
        tokenizer=opened.tokenizer,
        companions=parts.companions,
        companion_rate=config.value_rate,
        take=method.take,
        optimizer=config.optimizer,
        schedule=config.schedule,
        manner=config.manner,
        steps=config.steps or parts.steps(),
        minutes=config.minutes,
        identity={**identity, "base": base_hash(opened), **parts.hashes},
        look=parts.look,
        shown=SHOWN[config.method],
    )


def _finished(
    config: Config, parts: "Parts", *, state: "TrainingState", folder: RunFolder
) -> Report:
    from cutaway.evaluation.report.card import ReportCard
    from cutaway.evaluation.report.page import write_report

    told = parts.trial(state, folder)
    minutes = state.seconds / 60
    card = ReportCard(
        title=str(config.run),
        minutes={"align": minutes, "total": minutes},
        next_command=f"cutaway evaluate {config.run}",
    )
    parts.console.say(f"curves and samples: {write_report(config.run, card=card)}")
    parts.console.say(f"the model is in {config.run}; talk to it: cutaway chat {config.run}")
    return Report(
        run=config.run,
        steps=state.step,
        minutes=minutes,
        win_rate=told.get("win_rate"),
        reward=told.get("reward"),
        kl=told.get("kl"),
        held_out_accuracy=told.get("held_out_accuracy"),
    )
