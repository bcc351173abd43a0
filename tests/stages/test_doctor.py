"""The doctor finds what is there and says the same to people and to programs."""

import io
import json
from pathlib import Path

import pytest
import torch

from cutaway.console import JsonConsole, PlainConsole
from cutaway.stages import doctor


def test_the_doctor_tells_what_will_be_used_and_why(tmp_path: Path):
    threads, pipe = torch.get_num_threads(), io.StringIO()
    console = PlainConsole(prose=pipe, output=pipe, errors=pipe)
    try:
        report = doctor.run(
            doctor.Config(measure=False, corpora=False, run=tmp_path / "a" / "b"), console=console
        )
    finally:
        torch.set_num_threads(threads)
    assert report.threads == report.cores
    for said in (report.precision_reason, report.compilation_reason, report.processor):
        assert said in pipe.getvalue()
    JsonConsole(output=(stream := io.StringIO())).emit({"report": report})
    assert json.loads(stream.getvalue())["report"]["precision"] == report.precision


def test_the_doctor_says_which_corpora_wait_for_a_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUTAWAY_DATA", raising=False)
    found = {corpus.name: corpus for corpus in doctor._corpora()}
    assert found["python"].found
    assert not found["tang"].found
    assert "set CUTAWAY_DATA" in found["tang"].advice


def test_speeds_are_measured_for_both_number_formats(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "MEASURED", 0.0)
    speeds = doctor._speeds()
    assert speeds.keys() == {"fp32", "bf16"}
    assert min(speeds.values()) > 0
