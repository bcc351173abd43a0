"""`cutaway pretrain` for BERT: text to an encoder that names hidden words.

cutaway pretrain data=my_folder model.architecture=bert run=runs/bert
cutaway generate runs/bert "The king [MASK] to the city."
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cutaway.data.parts import SKILL_PREFIX
from cutaway.errors import ConfigError, UsageError
from cutaway.run_folder import RunFolder
from cutaway.stages.learning import (
    Learner,
    describe_run,
    held_out_sample,
    identity_of,
    learn,
    require_room,
    schedule_for,
)
from cutaway.stages.pretrain import Config, Report, suitable_steps
from cutaway.stages.rows import fingerprints_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from cutaway.console import Console
    from cutaway.data.masked_loader import MaskedLoader
    from cutaway.data.sources import Source
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.distributed import Processes
    from cutaway.training.objectives import Objective

CHECKED_BYTES = 65_536
"""Bytes of held-out text whose hidden words are asked for along the way."""

SHOWN_WORDS = 8
"""Words of a held-out text in which one is hidden and asked for along the way."""


def run_masked(config: Config, *, console: "Console") -> Report:
    """Trains an encoder, or goes on with it, in `config.run`."""
    from cutaway.data.mixture import prepare
    from cutaway.training.distributed import joined

    _refuse_chats(config)
    folder = RunFolder(path=config.run)
    group = joined()
    with folder.lock(is_ours=group.is_first):
        tokenizer = _tokenizer(config, folder=folder, console=console)
        model = _model(config, tokenizer)
        row_length = config.paced.row_length or config.model.context_length
        with group.first_alone():
            sources = prepare(
                config.parts,
                tokenizer,
                folder=folder.path / "data",
                seed=config.seed,
                row_length=row_length,
            )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        tokens = sum(source.shards.num_tokens for source in sources)
        console.say(f"model: bert, {parameters:,} weights; {tokens:,} tokens")
        console.say(f"a loss of {math.log(tokenizer.vocab_size):.2f} a word is what guessing costs")
        state = learn(
            Learner(
                stage="pretrain",
                folder=folder,
                model=model,
                tokenizer=tokenizer,
                fingerprints=fingerprints_of(sources),
                open_loader=_opening(config, sources, tokenizer=tokenizer, row_length=row_length),
                objective=_objective(config, sources, tokenizer=tokenizer, row_length=row_length),
                optimizer=config.optimizer,
                schedule=schedule_for(config.schedule),
                pacing=config.paced,
                steps=config.paced.steps
                or suitable_steps(model, sources, tokens=config.paced.rows * row_length),
                seed=config.seed,
                group=group,
                identity=identity_of(config, leave_out=("run", "prompts", "tokenizer")),
                looks=_looks(config, tokenizer),
                samples=_samples(config, tokenizer),
                begin=lambda: describe_run(
                    folder, config, tokenizer=tokenizer, hashes=fingerprints_of(sources)
                ),
            ),
            console=console,
        )
    group.leave()
    console.say(f'fill a blank: cutaway generate {config.run} "... [MASK] ..."')
    console.say(f"judge it: cutaway evaluate {config.run}")
    return Report(
        run=config.run,
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        parameters=parameters,
    )


def _model(config: Config, tokenizer: "Tokenizer") -> "nn.Module":
    from cutaway.data.corruption import alphabet_of
    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build

    alphabet_of(tokenizer)  # what is lacking is told before anything takes time
    sizes = config.model.resolved(size=config.size, vocab_size=tokenizer.vocab_size)
    sizes["heads"] = "words_and_order" if config.masking.next_sentence else "words"
    require_room(sizes, config.paced)
    return build(sizes, generator=seeded_generator(config.seed, "weights"))


def _refuse_chats(config: Config) -> None:
    """A conversation is learned from by its answers, and an encoder learns from hidden words."""
    if any(part.form == "chat" for part in config.parts):
        raise ConfigError('an encoder reads text; give form = "text" to each part of the mixture')
    if config.characters:
        raise ConfigError("characters=true goes with a decoder; an encoder here reads word pieces")


def _tokenizer(config: Config, *, folder: RunFolder, console: "Console") -> "Tokenizer":
    """Opens the given tokenizer, the run's own of an earlier sitting, or trains word pieces."""
    from cutaway.data.mixture import written
    from cutaway.tokenizer import wordpiece
    from cutaway.tokenizer.open import open_tokenizer

    if config.tokenizer is not None:
        return open_tokenizer(config.tokenizer)
    if folder.tokenizer.exists():
        return open_tokenizer(folder.tokenizer)
    console.say(f"trains {config.vocab_size} word pieces on the same text")
    found = written(config.parts, seed=config.seed)
    return wordpiece.train(found, vocab_size=config.vocab_size)


def _loader(
    config: Config,
    sources: "Sequence[Source]",
    *,
    tokenizer: "Tokenizer",
    row_length: int,
    place: tuple[int, int],
) -> "MaskedLoader":
    from cutaway.data.corruption import alphabet_of
    from cutaway.data.masked_loader import MaskedLoader

    return MaskedLoader(
        sources,
        alphabet=alphabet_of(tokenizer),
        config=config.masking,
        rows=config.paced.rows,
        row_length=row_length,
        seed=config.seed,
        place=place,
    )


def _opening(
    config: Config, sources: "Sequence[Source]", *, tokenizer: "Tokenizer", row_length: int
) -> "Callable[[Processes], MaskedLoader]":
    def open_loader(group: "Processes") -> "MaskedLoader":
        place = (group.rank, group.world)
        return _loader(config, sources, tokenizer=tokenizer, row_length=row_length, place=place)

    return open_loader


def _objective(
    config: Config, sources: "Sequence[Source]", *, tokenizer: "Tokenizer", row_length: int
) -> "Objective[Any]":
    from cutaway.training.encoder_objectives import MaskedWords, MaskedWordsAndOrder

    if not config.masking.next_sentence:
        return MaskedWords()
    loader = _loader(config, sources, tokenizer=tokenizer, row_length=row_length, place=(0, 1))
    return MaskedWordsAndOrder(hidden_words=loader.mean_hidden)


def _held_out(config: Config, *, most_bytes: int) -> list[str]:
    named = [part.source for part in config.parts if not part.source.startswith(SKILL_PREFIX)]
    return held_out_sample(named[0], most_bytes=most_bytes) if named else []


def _looks(config: Config, tokenizer: "Tokenizer") -> "Callable[[nn.Module], dict[str, float]]":
    """Watches how many hidden words of held-out text are named, and how order is judged."""
    held_out = _held_out(config, most_bytes=CHECKED_BYTES)

    def looks(model: "nn.Module") -> dict[str, float]:
        from cutaway.evaluation.masked import masked_scores

        if not held_out:
            return {}
        found = masked_scores(
            model,  # type: ignore[arg-type]
            held_out,
            tokenizer=tokenizer,
            config=config.masking,
        )
        figures = {"validation_loss": found.nats.value, "masked_accuracy": found.words.value}
        return (
            figures
            if found.order is None
            else {**figures, "next_sentence_accuracy": found.order.value}
        )

    return looks


def _samples(config: Config, tokenizer: "Tokenizer") -> Any:
    """Fills the blanks of the prompts, or of the beginnings of held-out texts."""
    from cutaway.tokenizer.wordpiece import MASK

    prompts = list(config.prompts)
    for text in _held_out(config, most_bytes=4096)[:3] if not prompts else ():
        words = text.split()[:SHOWN_WORDS]
        if len(words) > 2:
            words[len(words) // 2] = MASK
            prompts.append(" ".join(words))

    def samples(model: "nn.Module") -> list[tuple[str, str]]:
        from cutaway.inference.fill import fill

        found = []
        for prompt in prompts:
            try:
                filled = fill(model, prompt, tokenizer=tokenizer, choices=3)  # type: ignore[arg-type]
            except UsageError:  # longer than the model, or without a blank
                continue
            told = [
                ", ".join(f"{choice.word} {choice.probability:.0%}" for choice in blank)
                for blank in filled.blanks
            ]
            found.append((prompt, f" → {'; '.join(told)}"))
        return found

    return samples
