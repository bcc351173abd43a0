"""Debian's Chromium on our pages, with a stub behind them; whatever a test does, nothing is asked
of anybody else and the console stays empty."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.stub import Stub, make_app, served

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000
"""Milliseconds that a test waits for something on a busy machine."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests; each gets a context of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one run."""
    folder = tmp_path / "runs"
    write_run(folder / "first")
    return folder


def write_run(
    run: Path, *, steps: int = 60, prompt: str = "The moon", text: str = " rose."
) -> None:
    """Writes a run folder as training leaves it."""
    run.mkdir(parents=True)
    (run / "config.toml").write_text("size = 1\n")
    lines = [
        {"stage": "pretrain", "step": step, "steps": steps, "tokens": 64 * step}
        | {"seconds": float(step), "loss": 5 / step + 2, "gradient_norm": 1.0}
        for step in range(1, steps + 1)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sample = {"stage": "pretrain", "step": steps, "prompt": prompt, "text": text}
    (run / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    (run / "report.html").write_text("<!doctype html><title>Report</title><p>A report.</p>")
    (run / "report.json").write_text(json.dumps({"bits_per_byte": {"value": 1.5}}))


@pytest.fixture
def stub() -> Stub:
    """What the server says."""
    return Stub()


@pytest.fixture
def address(stub: Stub, runs: Path) -> Iterator[str]:
    """The server's address."""
    with served(make_app(stub, runs)) as url:
        yield url


class Watch:
    """What must not happen on any page."""

    def __init__(self) -> None:
        self.console: list[str] = []
        self.elsewhere: list[str] = []
        self.expected: list[str] = []
        """Parts of console messages that a test provokes."""

    def over(self, context: Any, address: str) -> None:
        """Watches every page of a context."""
        context.on("request", lambda request: self._request(request.url, address))
        context.on("console", lambda said: said.type == "error" and self.console.append(said.text))
        context.on("weberror", lambda error: self.console.append(str(error.error)))

    def _request(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.elsewhere.append(url)

    def check(self) -> None:
        """Fails if something happened."""
        unexpected = [
            said for said in self.console if not any(part in said for part in self.expected)
        ]
        assert (unexpected, self.elsewhere) == ([], [])


@pytest.fixture
def watch() -> Watch:
    """What the pages of a test did."""
    return Watch()


@pytest.fixture
def context(browser: Any, address: str, watch: Watch) -> Iterator[Any]:
    """A fresh profile, watched."""
    context = browser.new_context(
        base_url=address,
        locale="en-US",
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE)
    watch.over(context, address)
    yield context
    context.close()
    watch.check()


@pytest.fixture
def page(context: Any) -> Any:
    """The chat page."""
    page = context.new_page()
    page.goto("/")
    page.wait_for_selector(".model option", state="attached")
    return page


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm; it is no part of this project."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, and axe-core comes from there")
    command = [npm, "pack", "axe-core@4", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=90, cwd=folder)
    except subprocess.TimeoutExpired:
        pytest.skip("axe-core could not be had from npm in time")
    archives = list(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        pytest.skip("axe-core could not be had from npm")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()
