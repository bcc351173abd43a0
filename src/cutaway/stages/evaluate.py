"""`cutaway evaluate MODEL [data=PATH]`: what a model can do, with error bars and rivals."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cutaway.errors import ConfigError, DataError, UsageError
from cutaway.run_folder import RunFolder
from cutaway.stages.judging import plain, show_skills, show_task

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.evaluation.lineage import Ancestor
    from cutaway.evaluation.report.card import ModelFacts, TextScores, TokenizerFacts
    from cutaway.evaluation.skills import SkillResult
    from cutaway.evaluation.subject import Subject
    from cutaway.text.skills.base import Skill

POSITIONAL: tuple[str, ...] = ("model",)

MOST_REPORT_BYTES = 65_536
"""Bytes of each kind of text from which the tokenizer's figures are taken."""

OTHER_TEXTS = ("king-james", "python")
"""Corpora beside its own that show what a tokenizer is good at, where they are installed."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which model is judged, and by what."""

    model: Path
    """The MODEL: a run folder, a checkpoint, or a folder with a LoRA adapter."""
    base: Path | None = None
    """The run it was fine-tuned from, judged beside it; none: the one that its settings name."""
    data: str | None = None
    """A corpus by name, or a file or folder that is known by its fields; none: held-out text and
    skills of what the run was trained on, and a report in its folder."""
    text: str | None = None
    """The corpus whose held-out text is predicted; none: the main one of pretraining."""
    skills: tuple[str, ...] = ()
    """Skills that are asked for; none: those that the run was taught."""
    items: int | None = None
    """The most questions of each skill, items of a file, or poems of each form; none: 200, all of a
    file, and 100."""
    base_items: int = 50
    """The most questions of each skill, and form of prompt, to a base model."""
    tries: int | None = None
    """Answers that are drawn to each question of a skill, to tell how often one of them is right
    (pass@k); none: the most probable answer alone."""
    shots: int = 4
    """Answered questions shown in a few-shot prompt."""
    seed: int = 0
    """Of which questions are asked."""
    stride: int | None = None
    """Tokens by which the window over a corpus's text moves; none: half the context. As many as the
    context cut the text into blocks that do not see each other."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; auto: what is fast here."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, mps."""
    beams: int = 4
    """Beams of the search for targets, of a model that reads a source."""
    length_penalty: float = 0.6
    """Exponent by which longer targets are favoured there (Wu et al. 2016, equation 14)."""

    def __post_init__(self) -> None:
        for name in ("items", "base_items", "tries", "shots", "stride", "beams"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} is out of range; give 1 or more")
        if self.data is not None and (self.skills or self.text):
            raise ConfigError("data= judges by that data alone; leave out skills= and text=")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found."""

    model: Path
    """What was judged."""
    report: Path | None
    """The page, where a whole run was judged."""
    results: dict[str, Any]
    """The figures: of a run as in report.json, of a file its measurements."""


def run(config: Config, *, console: "Console") -> Report:
    """Judges the model by the given data, or as a whole; the latter writes report.html."""
    from cutaway.interop.open import kind_at

    if kind_at(config.model) in ("encoder-decoder", "encoder", "classifier"):
        return _of_other_kind(config, console=console)
    if config.data is not None:
        return _by_data(config, config.data, console=console)
    return _as_a_whole(config, console=console)


def _of_other_kind(config: Config, *, console: "Console") -> Report:
    """Judges a model that is no decoder by what its kind does."""
    from cutaway.interop.open import OpenedClassifier, OpenedEncoder, OpenedPair, open_any
    from cutaway.stages.evaluate_encoder import judge_classifier, judge_encoder
    from cutaway.stages.evaluate_pairs import judge_pair_model

    with _prepared(config, console):
        opened = open_any(config.model, device=config.device)
        page: Path | None = None
        match opened:
            case OpenedPair():
                page, results = judge_pair_model(config, opened, console=console)
            case OpenedEncoder():
                page, results = judge_encoder(config, opened, console=console)
            case OpenedClassifier():
                page, results = judge_classifier(config, opened, console=console)
            case _:
                raise UsageError(f"{config.model} changed while it was opened; try again")
    return Report(model=config.model, report=page, results=results)


def tell_minutes(folder: Path, minutes: Mapping[str, float]) -> Path:
    """Writes the report of a judged run again, with other minutes by stage and in `total`."""
    from cutaway.evaluation.lineage import lineage
    from cutaway.evaluation.report.keeping import keep, kept
    from cutaway.evaluation.report.page import write_report

    card = replace(kept(folder), minutes=dict(minutes))
    keep(card, folder)
    return write_report(folder, card=card, before=_folders(lineage(folder))[:-1])


def _as_a_whole(config: Config, *, console: "Console") -> Report:
    from cutaway.evaluation.lineage import lineage, run_of
    from cutaway.evaluation.report.card import ReportCard, as_json
    from cutaway.evaluation.report.keeping import keep
    from cutaway.evaluation.report.page import write_report
    from cutaway.interop.open import open_model
    from cutaway.stages.evaluate_verses import poems_of_run

    ancestors = lineage(config.model, base=config.base)
    folder = run_of(config.model)
    if not ancestors or ancestors[-1].folder != folder:
        open_model(config.model)  # where there is no model at all, that is told
        raise UsageError(
            f"{config.model} does not say what it was trained on (it has no config.toml);\n"
            "give what to judge it by: data=basic-english, or data=PATH"
        )
    wanted = _wanted_skills(config, ancestors)
    begin = time.monotonic()
    with _prepared(config, console):
        subjects = _subjects(config, ancestors, console=console)
        text = _text(config, ancestors, subjects, console=console)
        skills = _skills(config, wanted, subjects, console=console)
        last = subjects[-1]
        verses = poems_of_run(config, _main_text(config, ancestors), last, console=console)
    spent = _training_minutes(ancestors)
    card = ReportCard(
        title=str(config.model),
        minutes={**spent, "evaluate": (time.monotonic() - begin) / 60},
        text=text,
        skills=skills,
        verses=verses,
        tokenizer=_tokenizer(config, ancestors, last),
        model=_model(last),
        next_command=f"cutaway chat {folder}"
        if last.can_chat
        else f"cutaway generate {folder} ...",
    )
    keep(card, folder)
    page = write_report(folder, card=card, before=_folders(ancestors)[:-1])
    console.say(f"report: {page}")
    return Report(model=config.model, report=page, results=as_json(card))


def _by_data(config: Config, data: str, *, console: "Console") -> Report:
    from cutaway.data.mixture import conversations, texts
    from cutaway.evaluation.tasks import drawn, judge_conversations, judge_texts, task_for
    from cutaway.evaluation.verses import verse_task
    from cutaway.stages.evaluate_verses import write_poems
    from cutaway.text.corpora import CORPORA, ConversationCorpus, VerseCorpus

    path = Path(data).expanduser()
    # A file that cannot be judged is told before the model is opened.
    task = None if data in CORPORA else task_for(path)
    with _prepared(config, console):
        subject = _opened(config, config.model, console=console)
        if task is not None:
            found = task.evaluate(subject, path, items=config.items, seed=config.seed)
        elif isinstance(CORPORA[data], ConversationCorpus):
            talks = list(conversations(data, "validation"))
            found = judge_conversations(subject, drawn(talks, items=config.items, seed=config.seed))
        elif isinstance(CORPORA[data], VerseCorpus):
            found = verse_task(write_poems(config, data, subject))
        else:
            held_out = list(texts(data, "validation"))
            chosen = drawn(held_out, items=config.items, seed=config.seed)
            found = judge_texts(subject, chosen, stride=config.stride)
    show_task(found, data=data, console=console)
    return Report(model=config.model, report=None, results=plain(found))


@contextmanager
def _prepared(config: Config, console: "Console") -> Iterator[None]:
    """Sets threads and memory, and the precision of what is computed inside."""
    import torch

    from cutaway import devices

    accelerator = "cpu" if config.device == "cpu" else config.device.partition(":")[0]
    machine = devices.describe_machine()
    precision = devices.choose_precision(
        machine,
        accelerator="cuda" if accelerator == "cuda" else "mps" if accelerator == "mps" else "cpu",
        asked=config.precision,
    )
    devices.keep_freed_memory()
    devices.set_threads()
    console.say(f"precision {precision.name}: {precision.reason}")
    is_low = precision.name == "bf16"
    with torch.autocast(accelerator, dtype=torch.bfloat16, enabled=is_low):
        yield


def _subjects(
    config: Config, ancestors: "Sequence[Ancestor]", *, console: "Console"
) -> "list[Subject]":
    """Opens each run's model; of two that have the same stage the later one stays."""
    paths = [*_folders(ancestors)[:-1], config.model]
    opened = [_opened(config, path, console=console) for path in paths]
    return list({subject.stage: subject for subject in opened}.values())


def _opened(config: Config, path: Path, *, console: "Console") -> "Subject":
    from cutaway.evaluation.report.card import ALIGNED, BASE, FINETUNED
    from cutaway.evaluation.subject import Subject
    from cutaway.inference.engine import Engine
    from cutaway.interop.open import open_model

    opened = open_model(path, device=config.device)
    for reason in opened.source.passed_over:
        console.warn(f"passed over {reason}")
    console.say(opened.source.told())
    return Subject(
        stage=ALIGNED
        if opened.source.stage == "align"
        else FINETUNED
        if opened.source.can_chat
        else BASE,
        model=opened.model,
        tokenizer=opened.tokenizer,
        engine=Engine(opened.model, opened.tokenizer),
        can_chat=opened.source.can_chat,
    )


def _text(
    config: Config,
    ancestors: "Sequence[Ancestor]",
    subjects: "Sequence[Subject]",
    *,
    console: "Console",
) -> "TextScores | None":
    from cutaway.data.mixture import texts
    from cutaway.evaluation.compression import compression_baselines
    from cutaway.evaluation.likelihood import likelihood
    from cutaway.evaluation.report.card import TextScores

    corpus = _main_text(config, ancestors)
    if corpus is None:
        return None
    held_out = list(texts(corpus, "validation"))
    stages = {}
    for subject in subjects:
        stages[subject.stage] = likelihood(subject.model, held_out, tokenizer=subject.tokenizer)
        bits = stages[subject.stage].bits_per_byte
        console.say(
            f"{corpus}, {subject.stage}: {bits.value:.3f} bits per byte "
            f"({bits.low:.3f} to {bits.high:.3f})"
        )
    rivals = compression_baselines(list(texts(corpus, "train")), held_out)
    console.say(f"gzip {rivals.gzip:.3f}, xz {rivals.xz:.3f}, 5-gram {rivals.ngram5:.3f}")
    return TextScores(corpus=corpus, stages=stages, baselines=rivals)


def _wanted_skills(config: Config, ancestors: "Sequence[Ancestor]") -> "list[Skill[Any]]":
    """Returns the skills to ask for; an unknown name is told before anything takes time."""
    from cutaway.data.mixture import skill_named
    from cutaway.text.skills.catalog import SKILLS

    taught = {name for ancestor in ancestors for name in ancestor.skills}
    names = config.skills or [name for name in SKILLS if name in taught]
    return [skill_named(name) for name in names]


def _skills(
    config: Config,
    wanted: "Sequence[Skill[Any]]",
    subjects: "Sequence[Subject]",
    *,
    console: "Console",
) -> "list[SkillResult]":
    from cutaway.evaluation.examination import ExaminationSize, examine_skill

    size = ExaminationSize(
        items=config.items or 200,
        base_items=config.base_items,
        shots=config.shots,
        seed=config.seed,
        tries=config.tries,
    )
    if not wanted:
        return []
    found: list[SkillResult] = []
    progress = console.progress("evaluate", total=len(wanted), unit="skills")
    for place, skill in enumerate(wanted):
        progress.update(place, {"skill": skill.name})
        found.append(examine_skill(subjects, skill, size=size))
    progress.update(len(wanted))
    show_skills(found, console=console)
    return found


def _main_text(config: Config, ancestors: "Sequence[Ancestor]") -> str | None:
    named = [text for ancestor in ancestors for text in ancestor.texts]
    return config.text or (named[0] if named else None)


def _tokenizer(
    config: Config, ancestors: "Sequence[Ancestor]", subject: "Subject"
) -> "TokenizerFacts":
    from cutaway.data.mixture import texts
    from cutaway.evaluation.report.card import TokenizerFacts
    from cutaway.stages.learning import held_out_sample
    from cutaway.tokenizer.report import measure, visible

    main = _main_text(config, ancestors)
    samples = {}
    for name in dict.fromkeys([*([main] if main else []), *OTHER_TEXTS]):
        try:
            sample = held_out_sample(name, most_bytes=MOST_REPORT_BYTES)
            subject.tokenizer.encode_batch(sample)
        except DataError:
            # It is not installed, or has letters that a tokenizer of characters cannot write.
            continue
        samples[name] = sample
    figures = measure(subject.tokenizer, samples)
    sentence = next(texts(main, "validation"), "")[:120] if main else ""
    own = figures.texts[0].bytes_per_token if main and figures.texts else None
    return TokenizerFacts(
        vocab_size=figures.vocab_size,
        bytes_per_token=own,
        tokens_per_word={text.name: text.tokens_per_word for text in figures.texts},
        longest=figures.longest,
        pieces=[visible(subject.tokenizer, id_) for id_ in subject.tokenizer.encode(sentence)],
    )


def _model(subject: "Subject") -> "ModelFacts":
    from cutaway.evaluation.report.card import ModelFacts

    settings: dict[str, Any] = asdict(subject.model.config)  # type: ignore[call-overload]
    told = {"architecture", "vocab_size", "context_length"}
    return ModelFacts(
        architecture=type(subject.model).__name__,
        parameters=sum(weight.numel() for weight in subject.model.parameters()),
        vocab_size=subject.model.config.vocab_size,
        context_length=subject.model.config.context_length,
        details={
            name.replace("_", " "): str(value)
            for name, value in settings.items()
            if name not in told and value is not None
        },
    )


def _training_minutes(ancestors: "Sequence[Ancestor]") -> dict[str, float]:
    """Returns what the metrics say of each stage's time."""
    from cutaway.evaluation.report.history import histories

    minutes: dict[str, float] = {}
    for folder in _folders(ancestors):
        for history in histories(RunFolder(path=folder).metrics.read()):
            seconds = history.series("seconds")
            if seconds:
                minutes[history.stage] = minutes.get(history.stage, 0.0) + seconds[-1][1] / 60
    return minutes


def _folders(ancestors: "Sequence[Ancestor]") -> list[Path]:
    return [ancestor.folder for ancestor in ancestors]
