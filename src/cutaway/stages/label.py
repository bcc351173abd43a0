"""`cutaway label MODEL...`: collects judgements of answers, by people on a page or by judges.

judge=person opens a page; judge=rule, judge=simulated and judge=file fill the same store. Every
call ends by telling how far the judgements can be trusted; export=PATH writes them to a file.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cutaway.errors import ConfigError, CutawayError, UsageError

if TYPE_CHECKING:
    from cutaway.alignment.answers import Writer
    from cutaway.alignment.preferences import PreferenceStore
    from cutaway.alignment.prompts import Asked
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ("model", "second", "third", "fourth")

HOST = "127.0.0.1"
GRACE_S = 5
"""Seconds that requests have to end after Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Whose answers are judged, by whom, and where the judgements go."""

    model: Path | None = None
    """The MODEL that answers; none: only what the store or a file holds already."""
    second: Path | None = None
    """A second MODEL; the models and temperatures take turns in answering."""
    third: Path | None = None
    """A third MODEL."""
    fourth: Path | None = None
    """A fourth MODEL."""
    judge: Literal["person", "rule", "simulated", "file"] = "person"
    """Who judges: people on a page, a skill's rule, a known noisy taste, or a file."""
    run: Path | None = None
    """The run folder that holds the store; none: the first MODEL's."""
    database: str = ""
    """The URL of the store, such as postgresql://USER@HOST/NAME; empty: SQLite in the folder."""
    prompts: str | None = None
    """What is asked: open (questions without a right answer), skills, or a file (.txt, one prompt a
    line, or conversations); none: skills for judge=rule, open for the others."""
    data: str = "instructions"
    """What judge=file reads: the corpus instructions, or a file of preferences."""
    count: int = 200
    """Prompts that are answered, from 1 to 100,000."""
    answers: int = 2
    """Answers that are compared at once, from 2 to 4."""
    temperature: float = 1.0
    """How freely the answers are drawn; above 0, at most 100."""
    second_temperature: float | None = None
    """Another temperature, whose answers stand beside the first's; none: one only."""
    max_tokens: int = 96
    """The most tokens of an answer; at least 1."""
    flipped: float = 0.22
    """Share of judgements in which judge=simulated says the opposite, from 0 to below 0.5."""
    minimum_s: float = 2.0
    """Seconds that a person must look before judging, from 0 to 60."""
    export: Path | None = None
    """Writes the judgements to this file at the end; none: nowhere."""
    form: Literal["trl", "label-studio", "csv"] = "trl"
    """How export= is written."""
    port: int = 8040
    """The page's port on this machine, from 0 to 65,535; 0 takes any that is free."""
    seed: int = 0
    """Draws prompts, answers and the errors of judge=simulated."""
    device: str = "cpu"
    """Where the models run: cpu, cuda, mps."""

    def __post_init__(self) -> None:
        for name, least, most in (
            *(("count", 1, 100_000), ("answers", 2, 4), ("minimum_s", 0, 60)),
            *(("max_tokens", 1, 100_000), ("port", 0, 65_535)),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"{name}={value} is out of range; give {least} to {most:,}")
        if not 0 <= self.flipped < 0.5:
            raise ConfigError(f"flipped={self.flipped} is out of range; give 0 to below 0.5")
        for value in (self.temperature, self.second_temperature):
            if value is not None and not 0 < value <= 100:
                raise ConfigError(
                    f"temperature={value}: answers that are compared must differ;\n"
                    "give more than 0 and at most 100"
                )
        if self.judge == "rule" and self.prompts == "open":
            raise ConfigError("judge=rule knows right answers; prompts=open has none")
        if self.judge == "rule" and self.answers > 2:
            raise ConfigError("judge=rule compares answers=2: a ranking has no ties, a rule has")
        if self.model is None and self.run is None and not self.database:
            raise UsageError(
                "cutaway label: give the MODEL whose answers are judged, such as runs/demo,\n"
                "or run=FOLDER for the store alone"
            )

    @property
    def source(self) -> str:
        """Where the prompts come from."""
        return self.prompts or ("skills" if self.judge == "rule" else "open")

    @property
    def models(self) -> list[Path]:
        """The MODELs that were given."""
        given = (self.model, self.second, self.third, self.fourth)
        return [model for model in given if model is not None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the store holds now, and what it is worth."""

    store: str
    """The database."""
    added: int
    """Judgements that this call added."""
    agreement: dict[str, Any]
    """Self-agreement, kappa, biases and verdicts over all judgements of this kind of judge."""
    truth: dict[str, Any] | None
    """Of judge=simulated: agreement with the taste without noise, and length alone beside it."""


def run(config: Config, *, console: "Console") -> Report:
    """Opens the store, collects judgements, and tells what they are worth."""
    from cutaway.alignment.agreement import agreement
    from cutaway.alignment.exchange import write_preferences
    from cutaway.alignment.judges import compare_with_truth
    from cutaway.alignment.preferences import PreferenceStore, pairs
    from cutaway.database import told

    store = PreferenceStore(_url(config))
    try:
        before = len(store.judgements())
        if config.judge == "file":
            _read_file(config, store)
        elif config.judge == "person":
            _serve(config, store, console=console)
        else:
            _judge(config, store, console=console)
        judged = store.judged(judges=[config.judge])
        truth = None
        if config.judge == "simulated":
            chosen = ((each.prompt, each.chosen, each.rejected) for each in pairs(judged))
            truth = asdict(compare_with_truth(chosen))
        report = Report(
            store=told(store.url),
            added=len(store.judgements()) - before,
            agreement=asdict(agreement(judged)),
            truth=truth,
        )
        _tell(report, console=console)
        if config.export is not None:
            count = write_preferences(store.judged(), config.export, form=config.form)
            console.say(f"{config.export}: {count:,} records ({config.form})")
        return report
    finally:
        store.close()


def _url(config: Config) -> str:
    from cutaway.database import FILE_NAME, url_of_file
    from cutaway.durable import machine_errors

    if config.database:
        return config.database
    folder = config.run or config.model
    assert folder is not None  # held by the config
    if config.run is not None:
        with machine_errors(f"cannot make the folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise UsageError(f"there is no MODEL at {folder}; give a run folder such as runs/demo")
    return url_of_file(folder / FILE_NAME)


def _read_file(config: Config, store: "PreferenceStore") -> None:
    from cutaway.alignment.exchange import published_preferences, read_preferences

    is_corpus = config.data == "instructions"
    path = Path(config.data)
    read = published_preferences() if is_corpus else read_preferences(path, rater=path.name[:80])
    judged = list(read)
    store.add(each.comparison for each in judged)
    store.record_all(each.judgement for each in judged)


def _judge(config: Config, store: "PreferenceStore", *, console: "Console") -> None:
    """Lets a judge that is no person say what it thinks of all comparisons, new ones first made."""
    from cutaway.alignment.judges import MachineJudge, Rule, SimulatedPerson
    from cutaway.alignment.prompts import known_answers, prompts_from

    asked = prompts_from(config.source, count=config.count, seed=config.seed)
    _answer(config, store, asked, writers=_writers(config), console=console)
    judge: MachineJudge = SimulatedPerson(flipped=config.flipped, seed=config.seed)
    if config.judge == "rule":
        judge = Rule(known_answers(asked))
    wanted = {each.prompt for each in asked}
    store.record_all(judge.judge(each) for each in store.comparisons() if each.prompt in wanted)


def _writers(config: Config) -> "list[Writer]":
    from cutaway.alignment.answers import Writer
    from cutaway.inference.engine import Engine
    from cutaway.inference.sampling import choose_sampler
    from cutaway.interop.open import open_model
    from cutaway.interop.peft import hash_of_weights
    from cutaway.tokenizer.chat import ChatFormat

    temperatures = [config.temperature]
    if config.second_temperature is not None:
        temperatures.append(config.second_temperature)
    writers = []
    for path in config.models:
        opened = open_model(path, device=config.device)
        engine = Engine(opened.model, opened.tokenizer)
        for temperature in temperatures:
            writers.append(
                Writer(
                    engine=engine,
                    chat=ChatFormat(opened.tokenizer),
                    sampler=choose_sampler(temperature=temperature),
                    told_sampler=f"temperature {temperature:g}",
                    model=str(path),
                    model_hash=hash_of_weights(opened.source.checkpoint),
                )
            )
    return writers


def _answer(
    config: Config,
    store: "PreferenceStore",
    asked: "Sequence[Asked]",
    *,
    writers: "Sequence[Writer]",
    console: "Console | None",
    stop: threading.Event | None = None,
) -> None:
    """Answers the prompts that have no comparison yet, and stores these as they come."""
    from cutaway.alignment.answers import compare_answers

    known = {each.prompt for each in store.comparisons()}
    new = [each for each in asked if each.prompt not in known]
    if not writers or not new:
        return
    progress = console and console.progress("answers", total=len(new), unit="prompts")
    done = 0
    for some in compare_answers(
        new, writers, count=config.answers, max_tokens=config.max_tokens, seed=config.seed
    ):
        store.add(some)
        done += len(some)
        if progress:
            progress.update(done)
        if stop is not None and stop.is_set():
            return


def _serve(config: Config, store: "PreferenceStore", *, console: "Console") -> None:
    """Shows the page until Ctrl-C, while a thread goes on writing answers."""
    from cutaway.alignment.prompts import prompts_from
    from cutaway.server.access import doors
    from cutaway.server.app import create_app
    from cutaway.server.labelling import Study, labelling_router
    from cutaway.server.listening import listen, make_server

    settings = doors(host=HOST, key_file=None)
    listening = listen(HOST, config.port)
    writers = _writers(config)
    asked = prompts_from(config.source, count=config.count, seed=config.seed) if writers else []
    study = Study(store=store, minimum_s=config.minimum_s)
    stop = threading.Event()

    def write() -> None:
        try:
            _answer(config, store, asked, writers=writers, console=None, stop=stop)
        except CutawayError as error:
            study.failure = str(error)
        except Exception as error:
            study.failure = "an error of the program; where it was started, it is told"
            console.warn(f"no more answers are written: {type(error).__name__}: {error}")
        finally:
            study.is_writing = False

    study.is_writing = bool(writers)
    app = create_app(settings, models=[], routers=[labelling_router(study)], pages=["/label"])
    server = make_server(app, most_header_bytes=settings.most_header_bytes, grace_s=GRACE_S)
    worker = threading.Thread(target=write, name="answers", daemon=True)
    worker.start()
    port = listening.getsockname()[1]
    console.say(f"judge at http://{HOST}:{port}/label  (Ctrl-C ends; nothing is lost)")
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    finally:
        stop.set()
        listening.close()
        worker.join()


def _tell(report: Report, *, console: "Console") -> None:
    found = report.agreement
    verdicts = ", ".join(f"{count:,} x {name}" for name, count in found["verdicts"].items())
    console.say(f"{report.store}: {report.added:,} new judgements; in all {verdicts or 'none'}")
    rows = [
        (name, *(f"{share[part]:.1%}" for part in ("value", "low", "high")), share["trials"])
        for name, share in (
            ("agrees with oneself", found["with_oneself"]),
            ("prefers the first place", found["first_place"]),
            ("prefers the longer answer", found["longer"]),
        )
        if share is not None
    ]
    if rows:
        console.table("", columns=("", "share", "low", "high", "of"), rows=rows)
    for pair in found["between"]:
        kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        console.say(
            f"{' and '.join(pair['raters'])}: {pair['agreement']:.1%} alike of "
            f"{pair['shared']}, Cohen's kappa {kappa}"
        )
    if report.truth is not None:
        console.say(
            f"against the taste without noise: {report.truth['agreement']:.1%} of "
            f"{report.truth['decided']:,} pairs; length alone reaches {report.truth['length']:.1%}"
        )
