"""What the page of runs is given: the run folders, their metrics piece by piece, samples, reports.

Nothing in a request is ever part of a path: a run is looked up among those that are found.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel

from cutaway.evaluation.report.history import samples_by_prompt, spread_out
from cutaway.run_folder import TAIL, RunFolder

DEEPEST = 3
"""How deep below the runs folder a run is looked for: a demo keeps its base model inside."""

MOST_RUNS = 500
"""Runs in the list; the newest."""

PIECE = 2**19
"""Bytes of metrics in one answer."""

MOST_BYTES = 2**22
"""Bytes of a samples file or a report's data that are read; what is longer is left out."""

MOST_SAMPLES = 8
"""Samples of a prompt."""

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What the report of a run may do: show itself, in its own style."""


class Run(BaseModel):
    """One run in the list."""

    id: str
    """The name with `~` for `/`."""
    name: str
    """Its path below the runs folder."""
    updated: float
    """When its metrics were last written to, in seconds since 1970."""
    is_live: bool
    """Whether a process on this machine is writing to it."""
    has_report: bool
    """Whether there is a report to open."""
    last: dict[str, Any]
    """The last line of its metrics that tells a step."""


class Runs(BaseModel):
    """The list of runs, the newest first."""

    runs: list[Run]


class Metrics(BaseModel):
    """The lines of metrics.jsonl from one byte on."""

    rows: list[dict[str, Any]]
    next: int
    """The byte from which to ask next."""
    is_whole: bool
    """Whether this was all that is there now."""
    is_anew: bool
    """Whether the file was cut back, so that these rows begin at the first."""


class SampleText(BaseModel):
    """What the model wrote after a prompt at one moment."""

    stage: str
    step: int
    text: str


class PromptSamples(BaseModel):
    """The samples of one prompt, the earliest first."""

    prompt: str
    samples: list[SampleText]


class RunDetails(BaseModel):
    """What a run is, and what it wrote on the way."""

    run: Run
    prompts: list[PromptSamples]
    card: dict[str, Any] | None
    """The report's data, where there is a report."""


def runs_router(runs: Path) -> APIRouter:
    """The routes below /api/runs, for the run folders in and below `runs`."""
    router = APIRouter(prefix="/api/runs", tags=["runs"])

    @router.get("")
    def list_runs() -> Runs:
        """Every run, the newest first."""
        found = [_describe(name, run) for name, run in _find(runs)]
        found.sort(key=lambda each: -each.updated)
        return Runs(runs=found[:MOST_RUNS])

    @router.get("/{id}")
    def show_run(id: str) -> RunDetails:
        """One run with its samples and its report card."""
        name, run = _look_up(runs, id)
        prompts = samples_by_prompt(_rows(_bytes(run.samples.path)))
        return RunDetails(
            run=_describe(name, run),
            prompts=[
                PromptSamples(
                    prompt=prompt,
                    samples=[
                        SampleText(stage=sample.stage, step=sample.step, text=sample.text)
                        for sample in spread_out(samples, most=MOST_SAMPLES)
                    ],
                )
                for prompt, samples in prompts.items()
            ],
            card=_card(run),
        )

    @router.get("/{id}/metrics")
    def read_metrics(id: str, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> Metrics:
        """The lines of metrics that were written after a byte, at most half a mebibyte of them."""
        _, run = _look_up(runs, id)
        return _metrics(run.metrics.path, after)

    @router.get("/{id}/report", response_class=FileResponse)
    def open_report(id: str) -> FileResponse:
        """The report to read, which may load and run nothing."""
        _, run = _look_up(runs, id)
        if not run.report.is_file():
            raise HTTPException(404, "this run has no report: cutaway evaluate writes it")
        headers = {"Content-Security-Policy": REPORT_POLICY, "Cache-Control": "no-cache"}
        return FileResponse(run.report, media_type="text/html; charset=utf-8", headers=headers)

    return router


def _find(runs: Path) -> Iterator[tuple[str, RunFolder]]:
    """The run folders in and below a folder, by the path that leads to each."""
    waiting = [(runs, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            inside = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
        except OSError:
            continue  # gone since, or not ours to read
        for path in inside:
            run = RunFolder(path=path)
            is_run = run.config.is_file()
            if is_run:
                yield path.relative_to(runs).as_posix(), run
            # Data and checkpoints of a run hold no runs, and may hold many files.
            if depth + 1 < DEEPEST and path.name not in ("checkpoints", "data"):
                waiting.append((path, depth + 1))


def _look_up(runs: Path, id: str) -> tuple[str, RunFolder]:
    for name, run in _find(runs):
        if name.replace("/", "~") == id:
            return name, run
    raise HTTPException(404, "there is no run of this name")


def _describe(name: str, run: RunFolder) -> Run:
    metrics = run.metrics.path
    try:
        updated = (metrics if metrics.is_file() else run.config).stat().st_mtime
    except OSError:
        updated = 0.0
    rows = _rows(_bytes(metrics, last=TAIL // 16))
    last = next((row for row in reversed(rows) if "loss" in row), rows[-1] if rows else {})
    return Run(
        id=name.replace("/", "~"),
        name=name,
        updated=updated,
        is_live=run.is_being_written,
        has_report=run.report.is_file(),
        last=last,
    )


def _metrics(path: Path, after: int) -> Metrics:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # The file of a resumed run is cut back: what was read before does not hold any more.
            is_anew = after > size or (after > 0 and _byte_before(path, after) != b"\n")
            begin = 0 if is_anew else after
            file.seek(begin)
            piece = file.read(PIECE)
    except FileNotFoundError:
        return Metrics(rows=[], next=0, is_whole=True, is_anew=after > 0)
    whole = piece[: piece.rfind(b"\n") + 1]
    end = begin + len(whole)
    is_whole = begin + len(piece) >= size or not whole
    return Metrics(rows=_rows(whole), next=end, is_whole=is_whole, is_anew=is_anew)


def _byte_before(path: Path, place: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place - 1)
        return file.read(1)


def _card(run: RunFolder) -> dict[str, Any] | None:
    try:
        card = json.loads(_bytes(run.report_data) or b"null")
    except (ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) else None


def _bytes(path: Path, *, last: int | None = None) -> bytes:
    """A file's content, or the whole lines of its last bytes; nothing of one that is too long."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if last is None and size > MOST_BYTES:
                return b""
            begin = 0 if last is None else max(0, size - last)
            file.seek(begin)
            content = file.read()
    except OSError:
        return b""
    return content[content.find(b"\n") + 1 :] if begin else content


def _rows(content: bytes) -> list[dict[str, Any]]:
    """The objects in lines of JSON; a torn or broken line is passed over."""
    rows = []
    for line in content.split(b"\n"):
        try:
            row = json.loads(line, parse_constant=str)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
