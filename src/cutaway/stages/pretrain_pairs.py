"""`cutaway pretrain` for an encoder-decoder: pairs of texts to a model that writes one for another.

cutaway pretrain recipes/translate_multi30k/1_transformer.toml
cutaway pretrain data=my_pairs.csv model.architecture=transformer run=runs/mine
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder
from cutaway.stages.learning import (
    Learner,
    describe_run,
    identity_of,
    learn,
    require_room,
    schedule_for,
)
from cutaway.stages.pretrain import Config, Report

if TYPE_CHECKING:
    from torch import nn

    from cutaway.console import Console
    from cutaway.data.pair_loaders import BucketedPairs, PackedPairs
    from cutaway.data.pairs import PairData, PairShards
    from cutaway.text.pairs import Pair
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.distributed import Processes

EPOCHS = 10
"""Times that the pairs are read where neither steps nor minutes are given."""

SHOWN = 3
"""Held-out pairs whose translations are kept along the way."""


def run_pairs(config: Config, *, console: "Console") -> Report:
    """Trains an encoder-decoder, or goes on with it, in `config.run`."""
    from cutaway.data.pairs import write_pairs
    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build
    from cutaway.training.distributed import joined
    from cutaway.training.objectives import SourceToTarget

    folder = RunFolder(path=config.run)
    group = joined()
    data = _data(config)
    with folder.lock(is_ours=group.is_first):
        tokenizer = _tokenizer(config, data, folder=folder, console=console)
        sizes = config.model.resolved(size=config.size, vocab_size=tokenizer.vocab_size)
        require_room(sizes, config.paced)
        model = build(sizes, generator=seeded_generator(config.seed, "weights"))
        place = folder.path / "data"
        with group.first_alone():
            shards = write_pairs(data, tokenizer, folder=place, most=config.pairs.most)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        count = shards.source.num_documents
        console.say(f"model: {sizes['architecture']}, {parameters:,} weights; {count:,} pairs")
        console.say(f"a loss of {math.log(tokenizer.vocab_size):.2f} is what guessing costs")
        hashes = {config.data: shards.fingerprint}
        loader = _loader(config, shards, group)
        watched = _held_out(config, data)
        _tell_left_out(loader, config, data, tokenizer=tokenizer, console=console)
        state = learn(
            Learner(
                stage="pretrain",
                folder=folder,
                model=model,
                tokenizer=tokenizer,
                fingerprints=hashes,
                open_loader=lambda group: loader,
                objective=SourceToTarget(label_smoothing=config.pairs.label_smoothing),
                optimizer=config.optimizer,
                schedule=schedule_for(config.schedule),
                pacing=config.paced,
                steps=config.paced.steps or math.ceil(EPOCHS * loader.steps_per_epoch),
                seed=config.seed,
                group=group,
                identity=identity_of(config, leave_out=("run", "prompts", "tokenizer")),
                looks=_looks(data, watched, tokenizer),
                samples=_samples(config, watched, tokenizer),
                begin=lambda: describe_run(folder, config, tokenizer=tokenizer, hashes=hashes),
            ),
            console=console,
        )
    group.leave()
    console.say(f'the model is in {config.run}: cutaway generate {config.run} "..."')
    console.say(f"judge it: cutaway evaluate {config.run} data={config.data}")
    return Report(
        run=config.run,
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        parameters=parameters,
    )


def _data(config: Config) -> "PairData":
    from cutaway.data.pairs import PairData

    if config.mixture:
        raise ConfigError(
            f"model.architecture={config.model.architecture} learns from pairs, not from a mixture;"
            "\ngive data=NAME (a parallel corpus), or data=PATH of pairs"
        )
    return PairData(data=config.data, source=config.pairs.source, target=config.pairs.target)


def _tokenizer(
    config: Config, data: "PairData", *, folder: RunFolder, console: "Console"
) -> "Tokenizer":
    """Opens the given tokenizer, the run's own of an earlier sitting, or trains one."""
    from cutaway.tokenizer import characters, fast
    from cutaway.tokenizer.open import open_tokenizer

    if config.tokenizer is not None:
        return open_tokenizer(config.tokenizer)
    if folder.tokenizer.exists():
        return open_tokenizer(folder.tokenizer)
    if config.characters:
        # The alphabet of the held-out text too: a letter first met there would be an error.
        pairs = chain(data.pairs("train"), data.pairs("validation"), data.pairs("test"))
        return characters.train(chain.from_iterable((p.source, p.target) for p in pairs))
    console.say(f"trains a tokenizer of {config.vocab_size} tokens on the same text")
    return fast.train(_written(config, data), vocab_size=config.vocab_size)


def _written(config: Config, data: "PairData") -> Iterator[str]:
    for pair in data.pairs("train"):
        if config.pairs.tokenizer_reads == "both":
            yield pair.source
        yield pair.target


def _loader(
    config: Config, shards: "PairShards", group: "Processes"
) -> "PackedPairs | BucketedPairs":
    from cutaway.data.pair_loaders import BucketedPairs, PackedPairs
    from cutaway.models.catalog import CATALOG

    pacing, longest = config.paced, config.model.context_length
    if CATALOG[config.model.architecture].batches == "bucketed":
        return BucketedPairs(
            shards,
            rows=pacing.rows,
            context_length=longest,
            seed=config.seed,
            rank=group.rank,
            world=group.world,
        )
    return PackedPairs(
        shards,
        rows=pacing.rows,
        row_length=pacing.row_length or longest,
        context_length=longest,
        seed=config.seed,
        rank=group.rank,
        world=group.world,
    )


def _tell_left_out(
    loader: "PackedPairs | BucketedPairs",
    config: Config,
    data: "PairData",
    *,
    tokenizer: "Tokenizer",
    console: "Console",
) -> None:
    from cutaway.data.pairs import first_too_long

    if loader.num_left_out:
        source, target = loader.longest
        where = first_too_long(data, tokenizer, source=source, target=target)
        console.warn(
            f"{loader.num_left_out:,} pairs of {config.data} are left out: a source is longer than "
            f"the {source} tokens of model.context_length, or a target than the {target} of it or "
            f"of pacing.row_length; the first: {where}"
        )


def _held_out(config: Config, data: "PairData") -> "Sequence[Pair]":
    """Draws the held-out pairs that are watched; the run's seed decides which."""
    from cutaway.evaluation.tasks import drawn

    found = list(data.pairs("validation"))
    return drawn(found, items=config.pairs.measured, seed=config.seed)


def _looks(
    data: "PairData", pairs: "Sequence[Pair]", tokenizer: "Tokenizer"
) -> "Callable[[nn.Module], dict[str, float]]":
    """Watches the loss of held-out targets, and how well they are met greedily."""

    def looks(model: "nn.Module") -> dict[str, float]:
        from cutaway.evaluation.translation import Translator, target_loss
        from cutaway.evaluation.writing import measured

        translator = Translator(model=model, tokenizer=tokenizer, beams=1)  # type: ignore[arg-type]
        readable = [pair for pair in pairs if translator.can_read(pair.source)]
        if not readable:
            return {}
        written = translator.translate([pair.source for pair in readable])
        name = data.measures[0]
        found = measured(name, written, readable, resamples=0)
        figures = {"validation_loss": target_loss(translator, readable)}
        return figures | {found.name: found.value.value}

    return looks


def _samples(config: Config, pairs: "Sequence[Pair]", tokenizer: "Tokenizer") -> Any:
    """Translates some of the sources that are watched, or what the config asks for."""
    from cutaway.evaluation.tasks import drawn

    some = drawn(pairs, items=SHOWN, seed=config.seed)
    sources = config.prompts or [pair.source for pair in some]

    def samples(model: "nn.Module") -> list[tuple[str, str]]:
        from cutaway.evaluation.translation import Translator

        translator = Translator(model=model, tokenizer=tokenizer, beams=1)  # type: ignore[arg-type]
        readable = [source for source in sources if translator.can_read(source)]
        return list(zip(readable, translator.translate(readable), strict=True))

    return samples
