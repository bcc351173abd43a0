"""`cutaway finetune MODEL`: a base model to one that answers, on conversations; full or LoRA.

    cutaway finetune runs/mine data=chats.jsonl run=runs/chat
    cutaway finetune runs/mine data=chats.jsonl lora.rank=8 run=runs/chat

A line of chats.jsonl is {"prompt": "...", "completion": "..."}, {"messages": [...]}, or of the
Alpaca or ShareGPT form. Ctrl-C saves and stops; the same command goes on from there. With
task=classify it learns the classes of texts: see `classify.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from cutaway.data.parts import SKILL_PREFIX, Part
from cutaway.errors import ConfigError
from cutaway.models.settings import ModelSettings
from cutaway.run_folder import RunFolder, hash_of_file
from cutaway.stages.learning import (
    Learner,
    PacingConfig,
    describe_run,
    held_out_sample,
    identity_of,
    learn,
    require_room,
    schedule_for,
)
from cutaway.stages.rows import fingerprints_of, row_loader
from cutaway.text.conversations import Conversation, Message
from cutaway.training.choices import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.console import Console
    from cutaway.data.sources import Source
    from cutaway.tokenizer.base import Tokenizer

POSITIONAL: tuple[str, ...] = ("model",)

CHECKED_CONVERSATIONS = 64
"""Held-out conversations that an evaluation along the way reads."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021)."""

    rank: int = 0
    """Rank of the change of each matrix; 0: no adapters, every weight learns."""
    alpha: float = 16.0
    """The change is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Share of the adapter's input zeroed in training, 0 to 1."""
    targets: tuple[str, ...] = ("query_projection", "value_projection")
    """Last names of the matrices that get an adapter."""

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ConfigError(f"rank={self.rank} is negative; give 0 for none, or such as 4 or 8")
        if self.alpha <= 0:
            raise ConfigError(f"alpha={self.alpha} is out of range; give more than 0")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} is a share; give 0 up to, but not, 1")
        if not self.targets:
            raise ConfigError("targets names no matrix; give such as targets=query_projection")


@dataclass(frozen=True, kw_only=True)
class ClassesConfig:
    """How classes are learned and tested (task=classify)."""

    test: str | None = None
    """A file of labelled texts to test by; none: a tenth of each class, or what a corpus holds
    out."""
    balanced: bool = False
    """Whether as many texts of each class are drawn as the rarest has; the seed draws them."""
    test_items: int = 300
    """Texts to test by, where classes are balanced."""
    too_long: Literal["error", "cut"] = "error"
    """What becomes of a text longer than the model: it stops the run, or loses its end."""
    batch: int = 32
    """Texts of a step, about; the rows that hold them follow from it."""
    dropout: float = 0.1
    """Share of activations zeroed while classes are learned, 0 up to, but not, 1."""
    model: ModelSettings = field(
        default_factory=lambda: ModelSettings(architecture="bert", context_length=256)
    )
    """Sizes of the model where none is given to start from."""
    size: int = 2
    """Its one dial: width 64 x size, 2 x size blocks."""
    vocab_size: int = 2048
    """Tokens of its tokenizer."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} is a share; give 0 up to, but not, 1")
        for name in ("batch", "test_items"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a model is taught, and how long it learns."""

    model: Path | None = None
    """The MODEL to start from: a run folder or a checkpoint; none: classes are learned by a new
    one."""
    task: Literal["chat", "classify"] = "chat"
    """To answer, on conversations, or to name the class of a text, on rows of text and label."""
    run: Path = Path("runs/finetune")
    """Folder that the run writes."""
    data: str | None = None
    """Conversations: a corpus by name, or a file or folder of your own."""
    mixture: tuple[Part, ...] = ()
    """Several sources with their shares, in the place of `data`; skill:NAME makes conversations."""
    seed: int = 0
    """Of order, adapters and samples."""
    epochs: float = 3.0
    """Times that the conversations are read, where neither steps nor minutes are given."""
    steps: int | None = None
    """Steps to take. Same as pacing.steps."""
    minutes: float | None = None
    """Time for the training instead of steps, in minutes. Same as pacing.minutes."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters in the place of full fine-tuning."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """What steps the weights."""
    schedule: ScheduleConfig = field(
        default_factory=lambda: ScheduleConfig(warmup=0.02, cooldown=0.9)
    )
    """How the learning rate rises and falls."""
    pacing: PacingConfig = field(default_factory=PacingConfig)
    """How the steps are made."""
    questions: tuple[str, ...] = ()
    """Questions that the model answers along the way; none: the first held-out ones."""
    classes: ClassesConfig = field(default_factory=ClassesConfig)
    """How classes are learned and tested (task=classify)."""

    def __post_init__(self) -> None:
        _ = self.paced  # checks the length
        if self.data is None and not self.mixture:
            raise ConfigError("nothing to learn from: give data=PATH or a [[mixture]] table")
        if self.task == "chat" and self.model is None:
            raise ConfigError("no MODEL to start from; give one: cutaway finetune runs/mine ...")
        if self.task == "classify" and self.mixture:
            raise ConfigError("task=classify learns from data= alone, not from a mixture")
        if self.epochs <= 0:
            raise ConfigError(f"epochs={self.epochs} is out of range; give more than 0")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The mixture, or `data` alone."""
        return self.mixture or (Part(source=str(self.data), form="chat"),)

    @property
    def paced(self) -> PacingConfig:
        """The pacing with `steps` and `minutes` in it."""
        return self.pacing.lasting(steps=self.steps, minutes=self.minutes)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where a fine-tuned model came to."""

    run: Path
    """Its folder."""
    steps: int
    """Steps taken."""
    tokens: int
    """Tokens read."""
    minutes: float
    """Time spent in training."""
    learned_weights: int
    """Weights that could change."""


def run(config: Config, *, console: "Console") -> Report:
    """Teaches the model, or goes on teaching it, in `config.run`."""
    if config.model is None or config.task == "classify":
        from cutaway.stages.classify import run_classify

        return run_classify(config, console=console)
    return _run_chat(config, config.model, console=console)


def _run_chat(config: Config, base: Path, *, console: "Console") -> Report:
    """Teaches a model to answer."""
    from cutaway.data.mixture import prepare
    from cutaway.interop.open import open_model
    from cutaway.interop.peft import save_adapter
    from cutaway.models.catalog import describe
    from cutaway.training.distributed import joined
    from cutaway.training.objectives import NextToken

    folder = RunFolder(path=config.run)
    group = joined()
    with folder.lock(is_ours=group.is_first):
        opened = open_model(base)
        model, tokenizer = cast("nn.Module", opened.model), opened.tokenizer
        row_length = config.paced.row_length or opened.model.config.context_length
        shards = folder.path / "data"
        with group.first_alone():
            sources = prepare(
                config.parts, tokenizer, folder=shards, seed=config.seed, row_length=row_length
            )
        paced, hashes = config.paced, fingerprints_of(sources)
        rows = row_loader(sources, paced, row_length=row_length, seed=config.seed, console=console)
        require_room(describe(model), paced)
        adapters = adapt(model, config)
        state = learn(
            Learner(
                stage="finetune",
                folder=folder,
                model=model,
                tokenizer=tokenizer,
                fingerprints=hashes,
                open_loader=rows,
                objective=NextToken(),
                optimizer=config.optimizer,
                schedule=schedule_for(config.schedule),
                pacing=paced,
                steps=paced.steps or _steps(config, sources, row_length=row_length),
                seed=config.seed,
                group=group,
                identity=_identity(config, base=opened.source.checkpoint),
                looks=_looks(config, tokenizer),
                samples=_answers(config, tokenizer),
                begin=lambda: describe_run(folder, config, tokenizer=tokenizer, hashes=hashes),
                adapters=adapters,
            ),
            console=console,
        )
        if adapters is not None and group.is_first:
            save_adapter(model, folder.path / "adapter", base=opened.source.checkpoint)
            console.say(f"the adapter alone is in {folder.path / 'adapter'}")
    group.leave()
    console.say(f"the model is in {config.run}; talk to it: cutaway chat {config.run}")
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Report(
        run=config.run,
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        learned_weights=learned,
    )


def _identity(config: Config, *, base: Path) -> dict[str, Any]:
    """Returns what must not change between sittings: the settings, and the base by its hash."""
    kept = identity_of(config, leave_out=("run", "questions", "model"))
    return {**kept, "base": hash_of_file(base / "MANIFEST.json")}


def _steps(config: Config, sources: "Sequence[Source]", *, row_length: int) -> int:
    """Counts the steps of the epochs that were asked for."""
    makers = [source.open(row_length=row_length, seed=config.seed) for source in sources]
    return max(10, round(config.epochs * sum(m.num_rows for m in makers) / config.paced.rows))


def adapt(model: "nn.Module", config: Config) -> dict[str, Any] | None:
    """Puts adapters into the model; returns what its config.json says of them."""
    from cutaway.devices import seeded_generator
    from cutaway.nn.lora import apply_lora

    lora = config.lora
    if not lora.rank:
        return None
    places = apply_lora(
        model,
        targets=[f"*.{name}" for name in lora.targets],
        rank=lora.rank,
        alpha=lora.alpha,
        dropout=lora.dropout,
        generator=seeded_generator(config.seed, "adapters"),
    )
    return {"targets": places, "rank": lora.rank, "alpha": lora.alpha, "dropout": lora.dropout}


def _held_out(config: Config) -> Iterator[Conversation]:
    from cutaway.data.mixture import conversations, skill_named

    for part in config.parts:
        if part.form != "chat":
            continue
        if part.source.startswith(SKILL_PREFIX):
            examples = skill_named(part.source).examples("validation", seed=config.seed, count=4)
            yield from (example.conversation for example in examples)
        else:
            yield from islice(conversations(part.source, "validation"), 32)


def _looks(config: Config, tokenizer: "Tokenizer") -> Any:
    """Watches the loss of held-out answers and, where text is replayed, of held-out text."""
    held_out = list(islice(_held_out(config), CHECKED_CONVERSATIONS))
    replayed = [p.source for p in config.parts if p.form == "text"]
    text = held_out_sample(replayed[0]) if replayed else []

    def looks(model: "nn.Module") -> dict[str, float]:
        from cutaway.evaluation.likelihood import likelihood

        figures: dict[str, float] = {}
        if held_out:
            figures["validation_loss"] = _answer_loss(model, held_out, tokenizer)
        if text:
            found = likelihood(model, text, tokenizer=tokenizer)  # type: ignore[arg-type]
            figures["bits_per_byte"] = found.bits_per_byte.value
        return figures

    return looks


def _answer_loss(
    model: "nn.Module", conversations: list[Conversation], tokenizer: "Tokenizer"
) -> float:
    """Returns the mean loss of the answers' tokens, in nats."""
    import torch

    from cutaway.tokenizer.chat import ChatFormat
    from cutaway.training.objectives import masked_cross_entropy

    chat = ChatFormat(tokenizer)
    written = [chat.encode(conversation) for conversation in conversations]
    longest = int(model.config.context_length) + 1  # type: ignore[union-attr, arg-type]
    length = min(max(len(one.ids) for one in written), longest)
    ids = torch.zeros(len(written), length, dtype=torch.int64)
    learned = torch.zeros(len(written), length, dtype=torch.bool)
    for row, one in enumerate(written):
        count = min(length, len(one.ids))
        ids[row, :count] = torch.tensor(one.ids[:count])
        learned[row, :count] = torch.tensor(one.learned[:count])
    device = next(model.parameters()).device
    ids, learned = ids.to(device), learned.to(device)
    with torch.inference_mode():
        logits = model(ids[:, :-1])
        total = masked_cross_entropy(logits, ids[:, 1:], mask=learned[:, 1:])
    return float(total / learned[:, 1:].sum())  # no number where no answer begins in time


def _answers(config: Config, tokenizer: "Tokenizer") -> Any:
    """Answers fixed questions along the way."""
    asked = [
        Conversation(messages=(Message(role="user", content=question),))
        for question in config.questions
    ] or [Conversation(messages=found.messages[:-1]) for found in islice(_held_out(config), 3)]

    def answer(model: "nn.Module") -> list[tuple[str, str]]:
        from cutaway.inference.engine import Engine
        from cutaway.inference.sampling import Greedy
        from cutaway.tokenizer.chat import ChatFormat

        chat = ChatFormat(tokenizer)
        prompts = [(chat.prompt(each), each.messages[-1].content) for each in asked]
        room = int(model.config.context_length)  # type: ignore[union-attr, arg-type]
        fitting = [(prompt, question) for prompt, question in prompts if len(prompt) < room]
        found = Engine(model, tokenizer).generate(  # type: ignore[arg-type]
            [prompt for prompt, _ in fitting], sampler=Greedy(), max_tokens=64
        )
        return [
            (question, tokenizer.decode(completion.ids))
            for (_, question), completion in zip(fitting, found, strict=True)
        ]

    return answer
