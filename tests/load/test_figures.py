"""What loads have shown is written down as it was, misses too, and the page shows all of it."""

import json
from pathlib import Path

import pytest

from tests.load import figures as module
from tests.load.figures import PAGE, RESULTS, as_page, figures


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where loads write during a test."""
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    return tmp_path / "results.json"


def test_the_page_of_loads_shows_what_was_measured():
    assert PAGE.read_text() == as_page(json.loads(RESULTS.read_text()))


def test_a_load_that_is_run_again_replaces_its_own_figures_only(results: Path):
    for name, value in (("one", 1), ("two", 2), ("one", 3)):
        with figures(name, work="work", is_full=True) as told:
            told.at_most("size", value, 3, unit="MiB")
    told_of = json.loads(results.read_text())
    assert {name: one["figures"]["size"]["value"] for name, one in told_of.items()} == {
        "one": 3,
        "two": 2,
    }
    page = results.with_name("page.md").read_text()
    assert "| one | size | at most 3 MiB | 3 MiB | yes |" in page


def test_a_promise_that_is_missed_fails_the_load_and_is_written_down(results: Path):
    def load() -> None:
        with figures("one", work="work", is_full=True) as told:
            told.soon("delay", 2.0, 1.0)
            told.exactly("answers", 4000, 4000)

    with pytest.raises(AssertionError, match="delay: 2 s, but at most 1"):
        load()
    page = results.with_name("page.md").read_text()
    assert "| one | delay | at most 1 s | 2 s | **no** |" in page
    assert "| one | answers | 4,000 | 4,000 | yes |" in page


def test_a_load_that_breaks_off_is_written_down_as_one(results: Path):
    with pytest.raises(OSError), figures("one", work="work", is_full=True):
        raise OSError
    assert "| one | came to its end | 1 | 0 | **no** |" in results.with_name("page.md").read_text()


def test_a_short_load_asks_for_no_speed_and_writes_nothing(results: Path):
    with figures("one", work="work", is_full=False) as told:
        told.soon("delay", 2.0, 1.0)
    assert not results.exists()
