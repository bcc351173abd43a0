"""The run folder: one writer, metrics that are the truth, provenance that says what was run."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import DataError, ResourceError, UsageError
from cutaway.run_folder import JsonLines, RunFolder, hash_of_file, provenance


def lines_at(path: Path, *records: dict[str, object]) -> JsonLines:
    lines = JsonLines(path=path / "metrics.jsonl")
    for record in records:
        lines.append(record)
    return lines


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc"), inner, max_size=2),
    max_leaves=5,
)


@given(records=st.lists(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3), max_size=4))
def test_what_is_appended_is_read_in_order(
    records: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
):
    lines = lines_at(tmp_path_factory.mktemp("lines"), *records)
    assert lines.read() == records
    if lines.path.exists():
        assert lines.path.read_bytes().count(b"\n") == len(records)


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path):
    assert JsonLines(path=tmp_path / "none.jsonl").read() == []


def test_numbers_that_are_not_finite_stay_visible_in_valid_json(tmp_path: Path):
    lines = lines_at(tmp_path, {"loss": math.nan, "norms": [math.inf, -math.inf]})
    (record,) = lines.read()
    assert record == {"loss": "NaN", "norms": ["Infinity", "-Infinity"]}
    assert math.isnan(float(record["loss"]))


@pytest.mark.parametrize("torn", [1, 5, 12])
def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next(tmp_path: Path, torn: int):
    lines = lines_at(tmp_path, {"step": 1}, {"step": 2}, {"step": 3})
    os.truncate(lines.path, lines.path.stat().st_size - torn)
    whole = lines.read()
    assert whole == [{"step": 1}, {"step": 2}][: len(whole)]
    lines.append({"step": 9})
    assert lines.read() == [*whole, {"step": 9}]


def test_a_damaged_line_elsewhere_is_told_with_its_number(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step"\n{"step": 3}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: not a JSON object"):
        JsonLines(path=path).read()


def test_a_resumed_run_leaves_a_file_as_if_it_had_never_been_stopped(tmp_path: Path):
    unbroken = [{"step": step, "loss": 1 / step} for step in range(1, 10)]
    lines = lines_at(tmp_path, *unbroken[:7])
    lines.cut_after(4)
    for record in unbroken[4:]:
        lines.append(record)
    assert lines.read() == unbroken


def test_cutting_at_the_last_step_changes_nothing(tmp_path: Path):
    lines = lines_at(tmp_path, {"step": 1}, {"note": "no step"}, {"step": 2})
    before = lines.path.read_bytes()
    lines.cut_after(2)
    assert lines.path.read_bytes() == before
    lines.cut_after(0)
    assert lines.read() == []


def test_nothing_is_appended_through_a_link(tmp_path: Path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(ResourceError):
        lines_at(tmp_path, {"step": 1})
    assert (tmp_path / "target").read_text() == "precious"


def test_creating_writes_config_and_provenance_and_keeps_the_rest(tmp_path: Path):
    run = RunFolder(path=tmp_path / "runs" / "a name with spaces, 名字")
    run.create("steps = 1\n", {"python": "3"})
    run.metrics.append({"step": 1})
    run.create("steps = 2\n", {"python": "3"})
    assert run.config.read_text() == "steps = 2\n"
    assert json.loads(run.provenance.read_text()) == {"python": "3"}
    assert run.metrics.read() == [{"step": 1}]


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(UsageError, match="a file is in the way"):
        RunFolder(path=tmp_path / "run").create("", {})
    assert (tmp_path / "run").read_text() == "precious"


def test_a_path_that_is_too_long_is_told_as_such(tmp_path: Path):
    with pytest.raises(ResourceError, match="choose a shorter path"):
        RunFolder(path=tmp_path / ("x" * 300)).create("", {})


HOLD = """
import sys, time
from pathlib import Path
from cutaway.run_folder import RunFolder
with RunFolder(path=Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_is_gone_however_it_went(tmp_path: Path):
    run = RunFolder(path=tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid} on .* is writing here"):
            run.lock().__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with run.lock():
            assert json.loads(run.lock_file.read_text())["pid"] == os.getpid()
    assert run.lock_file.read_text() == ""


def test_a_lock_is_free_again_after_an_error_inside(tmp_path: Path):
    run = RunFolder(path=tmp_path / "run")
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    with run.lock():
        pass


def test_provenance_says_versions_command_and_hashes(tmp_path: Path):
    found = provenance(data={"basic-english": "ab"}, tokenizer="cd")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy"} <= set(found["packages"])  # type: ignore[call-overload]
    assert found["data"] == {"basic-english": "ab"}
    assert found["tokenizer"] == "cd"
    json.dumps(found)


def test_provenance_names_no_commit_where_there_is_no_git(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("PATH", "")
    assert provenance()["commit"] is None


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_of_file(tmp_path / "a").startswith("ba7816bf")
