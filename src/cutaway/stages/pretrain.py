"""`cutaway pretrain`: text to a base model, with a tokenizer of its own where none is given.

    cutaway pretrain data=my_folder size=3 run=runs/mine
    cutaway pretrain recipes/demo/1_pretrain.toml minutes=1 run=runs/short

Ctrl-C saves and stops; the same command goes on from there.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.data.masking import MaskingConfig
from cutaway.data.parts import SKILL_PREFIX, Part
from cutaway.errors import ConfigError
from cutaway.models.settings import ModelSettings
from cutaway.run_folder import RunFolder
from cutaway.stages.learning import (
    Learner,
    PacingConfig,
    describe_run,
    held_out_sample,
    identity_of,
    learn,
    require_room,
    sample_texts,
    schedule_for,
)
from cutaway.stages.rows import fingerprints_of, row_loader
from cutaway.stages.tokenizer import LEAST_VOCABULARY, MOST_VOCABULARY
from cutaway.training.choices import OptimizerConfig, PairConfig, ScheduleConfig

if TYPE_CHECKING:
    from torch import nn

    from cutaway.console import Console
    from cutaway.data.sources import Source
    from cutaway.tokenizer.base import Tokenizer

POSITIONAL: tuple[str, ...] = ()

TOKENS_PER_WEIGHT = 20
"""Tokens that a weight is worth (Hoffmann et al. 2022, table 3)."""

FIRST_WORDS = re.compile(r"\S+(?:\s+\S+){0,3}")
"""What is gone on from along the way, where no prompts are given."""

MOST_EPOCHS = 8
"""Beyond a few repetitions more reading of the same text teaches little (Muennighoff 2023)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a base model is trained on, how large it is and how long it learns."""

    run: Path = Path("runs/pretrain")
    """Folder that the run writes."""
    data: str = "basic-english"
    """A corpus by name, or a file or folder of your own text."""
    mixture: tuple[Part, ...] = ()
    """Several sources with their shares, in the place of `data`."""
    tokenizer: Path | None = None
    """A tokenizer.json or a folder with one; none: train one on the same text."""
    vocab_size: int = 2048
    """Tokens of the tokenizer that is trained."""
    characters: bool = False
    """Whether a token is a character, in the place of byte-pair encoding."""
    size: int = 3
    """The one dial: width 64 x size, 2 x size blocks, and as many steps as suit them."""
    seed: int = 0
    """Of weights, order and samples."""
    steps: int | None = None
    """Steps to take; none: as many as suit the size and the text. Same as pacing.steps."""
    minutes: float | None = None
    """Time for the training instead of steps, in minutes. Same as pacing.minutes."""
    model: ModelSettings = field(default_factory=ModelSettings)
    """Sizes of the model, where the dial is not enough."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """What steps the weights."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How the learning rate rises and falls."""
    pacing: PacingConfig = field(default_factory=PacingConfig)
    """How the steps are made."""
    prompts: tuple[str, ...] = ()
    """Texts that the model continues along the way; none: the first words of held-out text."""
    pairs: PairConfig = field(default_factory=PairConfig)
    """What is read and what is written, where the architecture is an encoder-decoder's."""
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    """What is hidden and asked for, where the architecture is an encoder's (bert)."""

    def __post_init__(self) -> None:
        _ = self.paced  # checks the length
        if not LEAST_VOCABULARY <= self.vocab_size <= MOST_VOCABULARY:
            raise ConfigError(
                f"vocab_size={self.vocab_size} is out of range; give {LEAST_VOCABULARY} "
                f"(256 bytes and 6 control tokens) to {MOST_VOCABULARY:,}"
            )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The mixture, or `data` alone."""
        return self.mixture or (Part(source=self.data),)

    @property
    def paced(self) -> PacingConfig:
        """The pacing with `steps` and `minutes` in it."""
        return self.pacing.lasting(steps=self.steps, minutes=self.minutes)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where a base model came to."""

    run: Path
    """Its folder."""
    steps: int
    """Steps taken."""
    tokens: int
    """Tokens read."""
    minutes: float
    """Time spent in training."""
    parameters: int
    """Weights of the model."""


def run(config: Config, *, console: "Console") -> Report:
    """Trains a base model, or goes on with it, in `config.run`."""
    from cutaway.models.catalog import CATALOG

    kind = CATALOG[config.model.architecture].kind
    if kind == "encoder":
        from cutaway.stages.pretrain_masked import run_masked

        return run_masked(config, console=console)
    if kind == "encoder-decoder":
        from cutaway.stages.pretrain_pairs import run_pairs

        return run_pairs(config, console=console)
    return _run_text(config, console=console)


def _run_text(config: Config, *, console: "Console") -> Report:
    from cutaway.data.mixture import prepare
    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build
    from cutaway.models.speedrun import Speedrun
    from cutaway.training.distributed import joined
    from cutaway.training.objectives import NextToken

    folder = RunFolder(path=config.run)
    group = joined()
    with folder.lock(is_ours=group.is_first):
        tokenizer = _tokenizer(config, folder=folder, console=console)
        sizes = config.model.resolved(size=config.size, vocab_size=tokenizer.vocab_size)
        require_room(sizes, config.paced)
        model = build(sizes, generator=seeded_generator(config.seed, "weights"))
        if isinstance(model, Speedrun):
            model.tell_spelling([tokenizer.token_bytes(id_) for id_ in range(tokenizer.vocab_size)])
        row_length = config.paced.row_length or config.model.context_length
        shards = folder.path / "data"
        with group.first_alone():
            sources = prepare(
                config.parts, tokenizer, folder=shards, seed=config.seed, row_length=row_length
            )
        paced, hashes = config.paced, fingerprints_of(sources)
        rows = row_loader(sources, paced, row_length=row_length, seed=config.seed, console=console)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        tokens = sum(source.shards.num_tokens for source in sources)
        console.say(f"model: {sizes['architecture']}, {parameters:,} weights; {tokens:,} tokens")
        console.say(f"a loss of {math.log(tokenizer.vocab_size):.2f} is what guessing costs")
        state = learn(
            Learner(
                stage="pretrain",
                folder=folder,
                model=model,
                tokenizer=tokenizer,
                fingerprints=hashes,
                open_loader=rows,
                objective=NextToken(),
                optimizer=config.optimizer,
                schedule=schedule_for(config.schedule),
                pacing=paced,
                steps=paced.steps or suitable_steps(model, sources, tokens=paced.rows * row_length),
                seed=config.seed,
                group=group,
                identity=identity_of(config, leave_out=("run", "prompts", "tokenizer")),
                looks=_looks(config, tokenizer),
                samples=sample_texts(_prompts(config), tokenizer, seed=config.seed),
                begin=lambda: describe_run(folder, config, tokenizer=tokenizer, hashes=hashes),
            ),
            console=console,
        )
    group.leave()
    console.say(f'the base model is in {config.run}: cutaway generate {config.run} "..."')
    return Report(
        run=config.run,
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        parameters=parameters,
    )


def _tokenizer(config: Config, *, folder: RunFolder, console: "Console") -> "Tokenizer":
    """Opens the given tokenizer, the run's own of an earlier sitting, or trains one."""
    from cutaway.data.mixture import texts, written
    from cutaway.tokenizer import characters, fast
    from cutaway.tokenizer.open import open_tokenizer

    if config.tokenizer is not None:
        given = open_tokenizer(config.tokenizer)
        _ = given.begin_id  # raises where it is none of a decoder
        return given
    if folder.tokenizer.exists():
        return open_tokenizer(folder.tokenizer)
    found = written(config.parts, seed=config.seed)
    if config.characters:
        # The alphabet of the held-out text too: a letter first met there would be an error.
        named = [p.source for p in config.parts if not p.source.startswith(SKILL_PREFIX)]
        held_out = (text for source in named for text in texts(source, "validation"))
        return characters.train(chain(found, held_out))
    console.say(f"trains a tokenizer of {config.vocab_size} tokens on the same text")
    return fast.train(found, vocab_size=config.vocab_size)


def suitable_steps(model: "nn.Module", sources: "Sequence[Source]", *, tokens: int) -> int:
    """Counts the steps that suit a model and its text: neither starved nor bored."""
    weights = sum(p.numel() for n, p in model.named_parameters() if n.startswith("stack"))
    text = sum(source.shards.num_tokens for source in sources)
    return max(100, min(TOKENS_PER_WEIGHT * weights, MOST_EPOCHS * text) // tokens)


def _looks(config: Config, tokenizer: "Tokenizer") -> Any:
    named = [p.source for p in config.parts if not p.source.startswith(SKILL_PREFIX)]
    held_out = held_out_sample(named[0]) if named else []

    def looks(model: "nn.Module") -> dict[str, float]:
        from cutaway.evaluation.likelihood import likelihood

        if not held_out:
            return {}
        found = likelihood(model, held_out, tokenizer=tokenizer)  # type: ignore[arg-type]
        return {"bits_per_byte": found.bits_per_byte.value}

    return looks


def _prompts(config: Config) -> tuple[str, ...]:
    if config.prompts:
        return config.prompts
    named = [p.source for p in config.parts if not p.source.startswith(SKILL_PREFIX)]
    found = held_out_sample(named[0], most_bytes=4096) if named else []
    # As they stand: an alphabet that was found in the text may have no space.
    begins = (FIRST_WORDS.search(text) for text in found[:3])
    return tuple(begin[0] for begin in begins if begin)
