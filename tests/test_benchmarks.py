"""What the benchmarks make of their runs; the runs themselves belong on a quiet machine."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.load.figures import RESULTS

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def interleaved() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interleaved", FOLDER / "interleaved.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules["interleaved"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A script that measures the number it is given, and writes down that it was called."""
    script = tmp_path / "echo.py"
    script.write_text(
        "import json, pathlib, sys\n"
        "with (pathlib.Path(__file__).parent / 'called').open('a') as file:\n"
        "    file.write(sys.argv[1] + '\\n')\n"
        "print(json.dumps({'value': float(sys.argv[1])}))\n"
    )
    return script


def test_the_contestants_of_a_benchmark_take_turns(interleaved: ModuleType, echo: Path):
    contestants = [interleaved.Contestant(name=name, words=(name,)) for name in ("1", "2")]
    runs = interleaved.run_in_turn(echo, contestants, runs=2)
    assert runs == {"1": [1.0, 1.0], "2": [2.0, 2.0]}
    assert (echo.parent / "called").read_text().split() == ["1", "2", "1", "2"]


def test_a_contestant_that_fails_ends_the_benchmark(interleaved: ModuleType, tmp_path: Path):
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="exit code 3"):
        interleaved.run_once(script, interleaved.Contestant(name="it", words=()))


@pytest.mark.parametrize(("more_is_better", "ratio"), [(True, 3.0), (False, 1 / 3)])
def test_a_ratio_above_one_says_that_ours_is_better(
    interleaved: ModuleType, more_is_better: bool, ratio: float
):
    comparison = interleaved.Comparison(
        name="work", ours="a", peer="b", unit="x", more_is_better=more_is_better
    )
    found = interleaved.compared([comparison], {"a": [5.0, 6.0, 9.0], "b": [2.0, 1.0, 3.0]})["work"]
    assert (found["ours"], found["peer"], found["ratio"]) == (6.0, 2.0, pytest.approx(ratio))
    assert found["runs"] == {"ours": [5.0, 6.0, 9.0], "peer": [2.0, 1.0, 3.0]}


COMPARED = [path for path in sorted(FOLDER.glob("results/*.json")) if path != RESULTS]
"""Results that stand beside a peer's; those of loads stand beside what was promised."""


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.name)
def test_committed_results_hold_medians_ratios_and_all_runs(path: Path):
    for name, one in json.loads(path.read_text(encoding="utf-8")).items():
        assert {"ours", "peer", "ratio", "runs"} <= one.keys(), name
