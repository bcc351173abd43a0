"""`cutaway doctor`: what this machine offers, and what training will use of it and why."""

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cutaway import devices
from cutaway.console import Console
from cutaway.devices import Accelerator, PrecisionName
from cutaway.errors import DataError
from cutaway.text.corpora import corpus, names

POSITIONAL: tuple[str, ...] = ()

GIGA = 10**9

ROWS, WIDTH = 128, 768
"""Sizes of the matrices that are multiplied to measure the speed."""

MEASURED = 0.3
"""Seconds for each number format, once the first product has warmed up."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is looked at."""

    measure: bool = True
    """Whether matrix products are timed, which takes about a second."""

    corpora: bool = True
    """Whether each named corpus is opened and checked, which takes some seconds."""

    run: Path = Path("runs")
    """The folder for runs, whose disk is looked at."""


@dataclass(frozen=True, kw_only=True)
class CorpusFound:
    """Whether a corpus can be read, and if not, what to do."""

    name: str
    found: bool
    advice: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found."""

    python: str
    torch: str
    processor: str
    cores: int
    threads: int
    instruction_sets: tuple[str, ...]
    accelerator: Accelerator
    memory_bytes: int
    memory_free_bytes: int
    disk_free_bytes: int
    compiler: str | None
    precision: PrecisionName
    precision_reason: str
    compiled: bool
    compilation_reason: str
    kept_memory: bool
    gigaflops: dict[str, float]
    """Billions of operations a second in a matrix product on the CPU, by number format."""

    corpora: tuple[CorpusFound, ...]
    data_folder: str | None
    """What CUTAWAY_DATA names; nothing: it is not set."""

    terminal: bool


def run(config: Config, *, console: Console) -> Report:
    """Looks at everything and says what it found."""
    import torch

    machine = devices.describe_machine()
    accelerator, accelerator_name = devices.find_accelerator()
    precision = devices.choose_precision(machine, accelerator=accelerator)
    compilation = devices.choose_compilation(machine, accelerator=accelerator)
    kept = devices.keep_freed_memory()
    threads = devices.set_threads()
    report = Report(
        python=platform.python_version(),
        torch=torch.__version__,
        processor=machine.processor,
        cores=machine.cores,
        threads=threads,
        instruction_sets=machine.instruction_sets,
        accelerator=accelerator,
        memory_bytes=machine.memory,
        memory_free_bytes=machine.memory_free,
        disk_free_bytes=shutil.disk_usage(_existing(config.run)).free,
        compiler=str(machine.compiler) if machine.compiler else None,
        precision=precision.name,
        precision_reason=precision.reason,
        compiled=compilation.compiled,
        compilation_reason=compilation.reason,
        kept_memory=kept.kept,
        gigaflops=_speeds() if config.measure else {},
        corpora=_corpora() if config.corpora else (),
        data_folder=os.environ.get("CUTAWAY_DATA"),
        terminal=sys.stdout.isatty(),
    )
    _show(report, console=console, accelerator_name=accelerator_name, kept=kept.reason)
    return report


def _show(report: Report, *, console: Console, accelerator_name: str, kept: str) -> None:
    sets = ", ".join(report.instruction_sets) or "none that matters"
    speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in report.gigaflops.items())
    rows = [
        ("python, torch", f"{report.python}, {report.torch}", ""),
        ("processor", report.processor, sets),
        ("cores", report.cores, f"{report.threads} threads will be used"),
        ("GPU", accelerator_name, ""),
        ("memory", _gigabytes(report.memory_bytes), f"{_gigabytes(report.memory_free_bytes)} free"),
        ("disk", f"{_gigabytes(report.disk_free_bytes)} free", ""),
        ("compiler", report.compiler or "none", "for torch.compile"),
        ("precision", report.precision, report.precision_reason),
        ("compiled", "yes" if report.compiled else "no", report.compilation_reason),
        ("allocator", "keeps memory" if report.kept_memory else "gives it back", kept),
        ("speed", speeds or "not measured", "billion operations a second, matrix product"),
        ("CUTAWAY_DATA", report.data_folder or "not set", _about_data(report.data_folder)),
        ("terminal", "yes" if report.terminal else "no", "live lines" if report.terminal else ""),
    ]
    console.table("This machine", columns=("what", "found", "note"), rows=rows)
    if report.corpora:
        console.table(
            "\nCorpora",
            columns=("name", "found", "note"),
            rows=[
                (found.name, "yes" if found.found else "no", found.advice.split("; ")[0])
                for found in report.corpora
            ],
        )


def _about_data(folder: str | None) -> str:
    if folder is None:
        return "some corpora are read from the folder that it names"
    return "found" if Path(folder).is_dir() else "there is no such folder"


def _corpora() -> tuple[CorpusFound, ...]:
    """Opens each corpus as a stage would, hashes included."""
    found = []
    for name in names():
        try:
            next(iter(corpus(name).documents("validation")))
            found.append(CorpusFound(name=name, found=True, advice=corpus(name).source))
        except DataError as error:
            advice = "; ".join(str(error).splitlines())
            found.append(CorpusFound(name=name, found=False, advice=advice))
    return tuple(found)


def _speeds() -> dict[str, float]:
    """Billions of operations a second, by number format; the best of some products."""
    import torch

    speeds = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.ones(ROWS, WIDTH, dtype=dtype), torch.ones(WIDTH, WIDTH, dtype=dtype)
        best, end = float("inf"), None
        while end is None or time.perf_counter() < end:
            begin = time.perf_counter()
            torch.mm(left, right)
            took = time.perf_counter() - begin
            if end is None:
                end = time.perf_counter() + MEASURED  # the first one warms up
            best = min(best, took)
        speeds[name] = round(2 * ROWS * WIDTH**2 / best / GIGA, 1)
    return speeds


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


def _gigabytes(size: int) -> str:
    return f"{size / GIGA:,.1f} GB"
