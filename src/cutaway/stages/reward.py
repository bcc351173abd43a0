"""`cutaway reward MODEL data=RUN`: learns from judgements how good an answer is.

    cutaway reward runs/demo data=runs/demo run=runs/reward
    cutaway reward runs/demo data=instructions run=runs/reward

`data` is a run that was judged (`cutaway label`), a database's URL, a file of preferences
(prompt, chosen, rejected), or the corpus `instructions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cutaway.alignment.choices import RewardConfig
from cutaway.errors import ConfigError, DataError
from cutaway.run_folder import RunFolder
from cutaway.stages.aligning import (
    GENTLE,
    MannerConfig,
    Work,
    base_hash,
    is_held_out,
    rankings_from,
    work,
)
from cutaway.stages.learning import identity_of
from cutaway.training.choices import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.alignment.preferences import Ranking
    from cutaway.alignment.reward import Measured, Ranked
    from cutaway.alignment.sequences import Written
    from cutaway.console import Console
    from cutaway.evaluation.intervals import Interval

POSITIONAL: tuple[str, ...] = ("model",)

PAIRS_OF_A_LOOK = 200
"""Held-out pairs that are measured along the way; all of them are at the end."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the reward model is made of, and what it learns from."""

    model: Path
    """The MODEL that it begins as: best the one whose answers were judged."""
    data: str
    """Judgements: a judged run, a database's URL, a file of preferences, or instructions."""
    run: Path = Path("runs/reward")
    """Folder that the run writes."""
    seed: int = 0
    """Of the order of the judgements."""
    epochs: float = 3.0
    """Times that the judgements are read, where neither steps nor minutes are given."""
    steps: int | None = None
    """Steps to take."""
    minutes: float | None = None
    """Time for the training instead of steps, in minutes."""
    held_out: float = 0.1
    """Share of the prompts whose judgements are only tested on, 0 to 0.5."""
    learning: RewardConfig = field(default_factory=RewardConfig)
    """What is learned in a step."""
    head_rate: float = 0.003
    """Learning rate of the head, by AdamW."""
    optimizer: OptimizerConfig = field(default_factory=lambda: GENTLE)
    """What steps the other weights."""
    schedule: ScheduleConfig = field(
        default_factory=lambda: ScheduleConfig(warmup=0.1, cooldown=0.9)
    )
    """How the learning rate rises and falls."""
    manner: MannerConfig = field(default_factory=MannerConfig)
    """How the steps are made."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ConfigError("steps and minutes: a run has one length; give one of the two")
        for name in ("epochs", "steps", "minutes", "head_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}={value} is out of range; give more than 0")
        if not 0 < self.held_out <= 0.5:
            raise ConfigError(f"held_out={self.held_out} is a share; give more than 0, up to 0.5")


@dataclass(frozen=True, kw_only=True)
class Report:
    """How good the reward model is."""

    run: Path
    """Its folder."""
    judgements: int
    """Rankings that it learned from."""
    accuracy: "Interval"
    """Share of held-out pairs of which it prefers the chosen answer."""
    length_alone: float
    """What choosing the longer answer, or always the shorter, would reach on the same pairs."""
    length_correlation: float
    """Between reward and length, -1 to 1."""
    calibration_error: float
    """Mean distance of its stated certainty from how often it is right."""
    taste: "Interval | None"
    """Agreement with the simulated person's taste, without its errors; none: not its judgements."""
    minutes: float
    """Time spent in training."""


def run(config: Config, *, console: "Console") -> Report:
    """Trains the reward model, or goes on training it, in `config.run`, and measures it."""
    from cutaway.alignment.reward import HEAD, RewardLearning, new_head
    from cutaway.interop.open import open_model
    from cutaway.tokenizer.chat import ChatFormat

    rankings, told = rankings_from(config.data)
    folder = RunFolder(path=config.run)
    with folder.lock():
        opened = open_model(config.model)
        model = cast("nn.Module", opened.model)
        chat = ChatFormat(opened.tokenizer)
        kept = _kept(rankings, chat, longest=opened.model.config.context_length, console=console)
        tested = [one for one in kept if is_held_out(one, share=config.held_out)]
        learned = [one for one in kept if not is_held_out(one, share=config.held_out)]
        if not tested or not learned:
            raise DataError(
                f"data={config.data}: {len(kept)} judgements are too few to keep some of them out\n"
                "judge more, or give another held_out="
            )
        console.say(f"{told}: {len(learned)} to learn from, {len(tested)} held out")
        learning = RewardLearning(
            config.learning,
            rankings=[_as_ids(one, chat) for one in learned],
            seed=config.seed,
            clip_norm=config.manner.clip_norm,
        )
        pairs = _pairs(tested, chat)
        head = new_head(model)
        job = Work(
            stage="reward",
            folder=folder,
            config=config,
            model=model,
            tokenizer=opened.tokenizer,
            companions={HEAD: head},
            companion_rate=config.head_rate,
            take=learning.take,
            optimizer=config.optimizer,
            schedule=config.schedule,
            manner=config.manner,
            steps=config.steps
            or max(5, round(config.epochs * len(learned) / config.learning.rankings)),
            minutes=config.minutes,
            identity={
                **identity_of(config, leave_out=("run", "model", "manner")),
                "base": base_hash(opened),
                "judgements": _fingerprint(kept),
            },
            look=_look(model, head, pairs=pairs[:PAIRS_OF_A_LOOK], console=console),
            shown=("accuracy", "margin"),
        )
        state = work(job, console=console)
        model.eval()
        minutes = state.seconds / 60
        return _measured(
            config, job, tested=tested, learned=len(learned), minutes=minutes, console=console
        )


def _kept(
    rankings: "Sequence[Ranking]", chat: Any, *, longest: int, console: "Console"
) -> "list[Ranking]":
    """Leaves out what is longer than the model reads."""
    kept = [one for one in rankings if _longest(one, chat) <= longest]
    if len(kept) < len(rankings):
        left = len(rankings) - len(kept)
        console.warn(f"{left} of {len(rankings)} judgements are longer than the model reads")
    return kept


def _look(
    model: "nn.Module", head: "nn.Linear", *, pairs: "list[tuple[Written, Written]]", console: Any
) -> Any:
    """Measures held-out pairs along the way."""
    from cutaway.alignment.reward import measure

    def look(state: Any, session: Any) -> None:
        model.eval()
        found = measure(model, head, pairs)
        model.train()
        accuracy = found.right / found.pairs
        session.write({"step": state.step, "held_out_accuracy": accuracy})
        console.say(f"step {state.step}: {accuracy:.1%} of {found.pairs} held-out pairs")

    return look


def _measured(
    config: Config,
    job: Work,
    *,
    tested: "list[Ranking]",
    learned: int,
    minutes: float,
    console: "Console",
) -> Report:
    """Measures the finished model and says how good it is."""
    from cutaway.alignment.reward import HEAD, measure
    from cutaway.evaluation.intervals import wilson
    from cutaway.tokenizer.chat import ChatFormat

    chat = ChatFormat(job.tokenizer)
    found = measure(job.model, job.companions[HEAD], _pairs(tested, chat))
    accuracy = wilson(found.right, found.pairs)
    longer = found.longer_is_chosen / found.pairs
    taste = _taste_agreement(tested, job, chat)
    rows = _rows(found, accuracy, taste=taste)
    console.table("held-out judgements", columns=["measure", "value"], rows=rows)
    console.say(f"the reward model is in {config.run}; use it: reward={config.run}")
    return Report(
        run=config.run,
        judgements=learned,
        accuracy=accuracy,
        length_alone=max(longer, 1 - longer),
        length_correlation=found.length_correlation,
        calibration_error=found.calibration_error,
        taste=taste,
        minutes=minutes,
    )


def _rows(found: "Measured", accuracy: "Interval", *, taste: "Interval | None") -> list[list[Any]]:
    longer = found.longer_is_chosen / found.pairs
    rows: list[list[Any]] = [
        ["accuracy", f"{_told(accuracy)}, n {found.pairs}"],
        ["length alone", f"{max(longer, 1 - longer):.1%}"],
        ["correlation of reward and length", f"{found.length_correlation:+.2f}"],
        ["calibration error", f"{found.calibration_error:.1%}"],
    ]
    rows += [
        [f"says {said:.0%}", f"is right {right:.0%}, n {count}"]
        for said, right, count in found.calibration
    ]
    if taste is not None:
        rows.append(["agreement with the taste without noise", _told(taste)])
    return rows


def _told(interval: "Interval") -> str:
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _taste_agreement(tested: "list[Ranking]", job: Work, chat: Any) -> "Interval | None":
    """Holds the model against the simulated person's true taste, where it was the rater."""
    from cutaway.alignment.judges import SAME_WORTH
    from cutaway.alignment.reward import HEAD, score_answers
    from cutaway.alignment.taste import true_reward
    from cutaway.evaluation.intervals import wilson

    if not any(ranking.rater.startswith("simulated person") for ranking in tested):
        return None
    right = count = 0
    for ranking in tested:
        worth = [true_reward(ranking.prompt, answer.text) for answer in ranking.answers]
        ids = _as_ids(ranking, chat).answers
        scores = score_answers(job.model, job.companions[HEAD], ids).tolist()
        if abs(worth[0] - worth[1]) >= SAME_WORTH:
            count += 1
            right += (worth[0] > worth[1]) == (scores[0] > scores[1])
    return wilson(right, count) if count else None


def _as_ids(ranking: "Ranking", chat: Any) -> "Ranked":
    from cutaway.alignment.reward import Ranked
    from cutaway.alignment.rewards import Exchange
    from cutaway.alignment.sequences import written_by

    exchanges = [Exchange(prompt=ranking.prompt, answer=each.text) for each in ranking.answers]
    return Ranked(answers=tuple(written_by(chat, exchange) for exchange in exchanges))


def _longest(ranking: "Ranking", chat: Any) -> int:
    return max(len(one.prompt) + len(one.answer) for one in _as_ids(ranking, chat).answers)


def _pairs(rankings: "Sequence[Ranking]", chat: Any) -> "list[tuple[Written, Written]]":
    from itertools import combinations

    found = [_as_ids(ranking, chat).answers for ranking in rankings]
    return [pair for answers in found for pair in combinations(answers, 2)]


def _fingerprint(rankings: "Sequence[Ranking]") -> str:
    import hashlib
    import json

    told = [
        [[message.content for message in one.prompt], [answer.text for answer in one.answers]]
        for one in rankings
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
