"""`cutaway finetune [MODEL] task=classify`: a model of the family to one that names classes.

cutaway finetune runs/bert task=classify data=mine.csv run=runs/classes
cutaway finetune task=classify data=mine.csv run=runs/classes

Rows have text, perhaps text_b, and label. A tenth of each class calibrates, a tenth tests.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder, hash_of_file
from cutaway.stages.finetune import Config, Report, adapt
from cutaway.stages.learning import (
    Learner,
    PacingConfig,
    describe_run,
    identity_of,
    learn,
    require_room,
    schedule_for,
)
from cutaway.training.choices import OptimizerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from cutaway.console import Console
    from cutaway.data.labelled import PackedTexts, Readable
    from cutaway.evaluation.classification import ClassScores
    from cutaway.models.heads import Classifier
    from cutaway.text.labelled import Divided, LabelledText
    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.distributed import Processes

GENTLE = OptimizerConfig(
    kind="adamw",
    learning_rate=3e-4,
    embedding_rate=3e-4,
    unembedding_rate=1e-3,
    vector_rate=3e-4,
    weight_decay=0.01,
    adapter_rate=2e-3,
    beta1=0.9,
    beta2=0.98,
)
"""For a model that has learned something already; a recipe may say otherwise."""

FRESH = replace(GENTLE, learning_rate=1e-3, embedding_rate=1e-3, vector_rate=1e-3)
"""For one that begins from nothing."""

SHORTEST_ROW = 128
"""Tokens of a row, where the longest text has fewer."""

SHOWN = 3
"""Texts whose classes are kept along the way."""


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """All that learning needs of the data."""

    model: "Classifier"
    tokenizer: "Tokenizer"
    base: str
    """A hash of what the model began as."""
    divided: "Divided"
    learn: "list[Readable]"
    calibrate: "list[Readable]"
    optimizer: OptimizerConfig


def run_classify(config: Config, *, console: "Console") -> Report:
    """Teaches classes, or goes on teaching them, and judges by the texts of the test."""
    from cutaway.models.catalog import describe
    from cutaway.training.distributed import joined
    from cutaway.training.encoder_objectives import Classes

    folder = RunFolder(path=config.run)
    group = joined()
    with folder.lock(is_ours=group.is_first):
        ready = _prepare(config, folder=folder, console=console)
        texts, model = ready.divided, ready.model
        pacing = _pacing(config, ready.learn)
        require_room(describe(model), pacing)
        adapters = adapt(model, config)
        for part in (model.pooler, model.classes):
            part.requires_grad_(True)
        fingerprints = {str(config.data): _fingerprint(texts)}
        loader = _opening(config, ready, pacing=pacing)
        epoch = loader(group).num_rows / pacing.rows
        state = learn(
            Learner(
                stage="finetune",
                folder=folder,
                model=model,
                tokenizer=ready.tokenizer,
                fingerprints=fingerprints,
                open_loader=loader,
                objective=Classes(),
                optimizer=ready.optimizer,
                schedule=schedule_for(config.schedule),
                pacing=pacing,
                steps=config.paced.steps or max(10, round(config.epochs * epoch)),
                seed=config.seed,
                group=group,
                identity={
                    **identity_of(config, leave_out=("run", "questions", "model")),
                    "base": ready.base,
                },
                looks=_looks(ready),
                samples=_samples(ready),
                begin=lambda: describe_run(
                    folder, config, tokenizer=ready.tokenizer, hashes=fingerprints
                ),
                adapters=adapters,
            ),
            console=console,
        )
        if group.is_first:
            _judge(config, ready, console=console)
    group.leave()
    console.say(f'name a class: cutaway generate {config.run} "..."')
    return Report(
        run=config.run,
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        learned_weights=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )


def _prepare(config: Config, *, folder: RunFolder, console: "Console") -> _Prepared:
    """Reads and parts the texts, opens or makes the model, and writes the texts as ids."""
    from cutaway.data.labelled import readable
    from cutaway.text.labelled import require_classes, require_known

    divided = _divided(config)
    labels = require_classes(divided.learn, place=str(config.data), least=1)
    require_known(divided.test, labels=labels)
    sizes = [len(divided.learn), len(divided.calibrate), len(divided.test)]
    console.say("texts: {:,} to learn from, {:,} to calibrate with, {:,} to test by".format(*sizes))
    model, tokenizer, base = _model(config, divided, labels=labels, folder=folder, console=console)

    def written(texts: "Sequence[LabelledText]") -> "list[Readable]":
        return readable(
            texts,
            tokenizer,
            reads=model.reads,
            context_length=int(model.config.context_length),
            too_long=config.classes.too_long,
        )

    written(divided.test)  # what is too long is told before anything takes time
    chosen = config.optimizer
    if chosen == OptimizerConfig():
        chosen = GENTLE if config.model else FRESH
    return _Prepared(
        model=model,
        tokenizer=tokenizer,
        base=base,
        divided=divided,
        learn=written(divided.learn),
        calibrate=written(divided.calibrate),
        optimizer=chosen,
    )


def _divided(config: Config) -> "Divided":
    from cutaway.data.mixture import existing
    from cutaway.text.corpora import CORPORA, LabelledCorpus, corpus
    from cutaway.text.labelled import balanced, divide, hold_out, read_labelled, require_classes

    data, classes = str(config.data), config.classes
    if data in CORPORA:
        found = corpus(data, LabelledCorpus)
        texts, test = list(found.labelled("train")), list(found.labelled("validation"))
    else:
        texts, test = list(read_labelled(existing(data))), []
        require_classes(texts, place=data)
    if classes.balanced:
        return balanced([*texts, *test], test=classes.test_items, salt=str(config.seed))
    if classes.test is not None:
        test = list(read_labelled(existing(classes.test)))
    return hold_out(texts, test=test) if test else divide(texts)


def _model(
    config: Config,
    divided: "Divided",
    *,
    labels: tuple[str, ...],
    folder: RunFolder,
    console: "Console",
) -> "tuple[Classifier, Tokenizer, str]":
    """The body that was given, or a new one, with a head for the classes."""
    from torch import nn

    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build, classifier_on

    dropout = config.classes.dropout
    pooler: nn.Module | None = None
    if config.model is not None:
        body, pooler, tokenizer, base = _given(config.model, console=console)
    else:
        tokenizer = _tokenizer(config, divided, folder=folder, console=console)
        sizes = config.classes.model.resolved(
            size=config.classes.size, vocab_size=tokenizer.vocab_size
        )
        body = build(sizes, generator=seeded_generator(config.seed, "weights"))
        base = "nothing"
    generator = seeded_generator(config.seed, "classes")
    model = classifier_on(body, labels=labels, dropout=dropout, generator=generator)
    if pooler is not None:
        model.pooler.load_state_dict(pooler.state_dict())
    for part in body.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
    return model, tokenizer, base


def _given(
    path: Path, *, console: "Console"
) -> "tuple[nn.Module, nn.Module | None, Tokenizer, str]":
    """A body, the pooler that stood on it, its tokenizer, and a hash of its weights."""
    from typing import cast

    from torch import nn

    from cutaway.interop.open import OpenedClassifier, OpenedEncoder, open_any
    from cutaway.models.bert import without_heads

    opened = open_any(path)
    console.say(opened.source.told())
    where = opened.source.checkpoint
    manifest = where / "MANIFEST.json"
    base = hash_of_file(manifest if manifest.exists() else where / "config.json")
    pooler: nn.Module | None = None
    body = cast(nn.Module, opened.model)
    if isinstance(opened, OpenedEncoder):
        pooler, body = opened.model.pooler, without_heads(opened.model)
    if isinstance(opened, OpenedClassifier):
        body = opened.model.body
        pooler = opened.model.pooler if opened.model.reads == "first" else None
    return body, pooler, opened.tokenizer, base


def _tokenizer(
    config: Config, divided: "Divided", *, folder: RunFolder, console: "Console"
) -> "Tokenizer":
    from cutaway.models.catalog import CATALOG
    from cutaway.tokenizer import fast, wordpiece
    from cutaway.tokenizer.open import open_tokenizer

    if folder.tokenizer.exists():
        return open_tokenizer(folder.tokenizer)
    console.say(f"trains a tokenizer of {config.classes.vocab_size} tokens on the texts")
    train = wordpiece if CATALOG[config.classes.model.architecture].kind == "encoder" else fast
    texts = [part for text in divided.learn for part in (text.text, text.second) if part]
    return train.train(texts, vocab_size=config.classes.vocab_size)


def _pacing(config: Config, texts: "Sequence[Readable]") -> PacingConfig:
    """Rows that hold the longest text, and as many of them as hold a batch of texts."""
    longest = max(len(text.ids) for text in texts)
    length = config.paced.row_length or max(SHORTEST_ROW, -(-longest // 8) * 8)
    if length < longest:
        raise ConfigError(f"pacing.row_length={length}, and the longest text has {longest} tokens")
    mean = sum(len(text.ids) for text in texts) / len(texts)
    rows = max(1, round(config.classes.batch * mean / length))
    return replace(config.paced, rows=rows, row_length=length)


def _opening(
    config: Config, ready: _Prepared, *, pacing: PacingConfig
) -> "Callable[[Processes], PackedTexts]":
    number = {label: place for place, label in enumerate(ready.model.labels)}

    def open_loader(group: "Processes") -> "PackedTexts":
        from cutaway.data.labelled import PackedTexts

        assert pacing.row_length is not None
        return PackedTexts(
            ready.learn,
            classes=[number[text.label] for text in ready.divided.learn],
            rows=pacing.rows,
            row_length=pacing.row_length,
            seed=config.seed,
            place=(group.rank, group.world),
        )

    return open_loader


def _looks(ready: _Prepared) -> "Callable[[nn.Module], dict[str, float]]":
    """Fits the temperature on the texts kept for it, and tells loss and accuracy there."""

    def looks(model: Any) -> dict[str, float]:
        import numpy as np

        from cutaway.evaluation.classification import class_scores, fit_temperature, targets_of
        from cutaway.inference.classify import logits_of

        texts, labels = ready.divided.calibrate, ready.model.labels
        heat = model.temperature.detach().cpu()
        plain = (logits_of(model, ready.calibrate) * heat).double().numpy()
        if not np.isfinite(plain).all():
            return {"validation_loss": float("nan")}
        temperature = fit_temperature(plain, targets_of(texts, labels=labels))
        # Saved with the weights, for no step depends on it.
        model.temperature.data.fill_(temperature)
        scores = class_scores(plain / temperature, texts, labels=labels, data="")
        return {"validation_loss": scores.nats, "validation_accuracy": scores.accuracy.value}

    return looks


def _samples(ready: _Prepared) -> "Callable[[nn.Module], list[tuple[str, str]]]":
    """Names the classes of a few texts along the way."""

    def samples(model: Any) -> list[tuple[str, str]]:
        from cutaway.inference.classify import logits_of

        texts = ready.divided.calibrate[:SHOWN]
        found = logits_of(model, ready.calibrate[:SHOWN]).softmax(dim=-1)
        return [
            (text.text[:200], f" → {model.labels[int(row.argmax())]} {float(row.max()):.0%}")
            for text, row in zip(texts, found, strict=True)
        ]

    return samples


def _judge(config: Config, ready: _Prepared, *, console: "Console") -> None:
    """Tests the model beside its rival, and writes the report."""
    import torch

    from cutaway.evaluation.report.keeping import keep
    from cutaway.evaluation.report.page import write_report
    from cutaway.interop.open import OpenedClassifier, open_any
    from cutaway.stages.evaluate_encoder import show_classes
    from cutaway.stages.judging import card_of

    opened = open_any(config.run)
    assert isinstance(opened, OpenedClassifier)
    with torch.compiler.set_stance("force_eager"):
        scores = _scores(config, ready, opened.model)
    show_classes(scores, console=console)
    card = replace(card_of(config.run, opened), classes=scores)
    keep(card, config.run)
    console.say(f"report: {write_report(config.run, card=card)}")


def _scores(config: Config, ready: _Prepared, model: "Classifier") -> "ClassScores":
    from cutaway.evaluation.classification import (
        bag_of_words,
        class_scores,
        targets_of,
        uncalibrated,
    )
    from cutaway.evaluation.intervals import wilson
    from cutaway.inference.classify import class_logits

    texts = ready.divided
    logits = class_logits(model, texts.test, tokenizer=ready.tokenizer, too_long="cut")
    found = logits.double().numpy()
    temperature = float(model.temperature.detach())
    scores = class_scores(
        found,
        texts.test,
        labels=model.labels,
        data=f"the test of {config.data}",
        temperature=temperature,
        uncalibrated_error=uncalibrated(
            found * temperature, targets_of(texts.test, labels=model.labels)
        ),
    )
    rival = bag_of_words(texts.learn, texts.test, calibrate=texts.calibrate)
    if rival is None:
        return scores
    right = sum(named == text.label for named, text in zip(rival, texts.test, strict=True))
    return replace(
        scores, rival=wilson(right, len(texts.test)), rival_errors=len(texts.test) - right
    )


def _fingerprint(texts: "Divided") -> str:
    digest = sha256()
    for part in (texts.learn, texts.calibrate):
        for text in part:
            digest.update(f"{text.key}\0{text.label}\n".encode())
    return digest.hexdigest()
