"""Laws of the routes of runs: nothing outside is read, and pieces make the whole."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from cutaway.run_folder import RunFolder
from cutaway.server import runs as routes


def make_run(folder: Path, *, steps: int = 5) -> RunFolder:
    run = RunFolder(path=folder)
    run.create("size = 1\n", {})
    for step in range(1, steps + 1):
        run.metrics.append({"step": step, "loss": 1 / step})
    return run


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    app = FastAPI()
    app.include_router(routes.runs_router(tmp_path / "runs"))
    return TestClient(app)


def metrics(client: TestClient, id: str, after: int) -> dict[str, Any]:
    return client.get(f"/api/runs/{id}/metrics", params={"after": after}).json()


def test_runs_are_found_inside_of_runs_but_not_in_their_data(client: TestClient, tmp_path: Path):
    make_run(tmp_path / "runs" / "demo")
    make_run(tmp_path / "runs" / "demo" / "base")
    make_run(tmp_path / "runs" / "demo" / "data" / "hidden")
    found = client.get("/api/runs").json()["runs"]
    assert {run["id"] for run in found} == {"demo", "demo~base"}
    assert all(run["last"]["step"] == 5 for run in found)


def test_no_folder_is_no_error(client: TestClient):
    assert client.get("/api/runs").json() == {"runs": []}


@pytest.mark.parametrize(
    "name",
    ["..", "..~secret", "%2e%2e%2fsecret", "~", "secret", "/etc", "demo~..~..~secret", "a\0"],
)
def test_only_a_run_that_was_found_is_read(client: TestClient, tmp_path: Path, name: str):
    make_run(tmp_path / "secret")
    make_run(tmp_path / "runs" / "demo")
    for rest in ("", "/metrics", "/report"):
        assert client.get(f"/api/runs/{name.replace(chr(0), '%00')}{rest}").status_code == 404


def test_a_link_out_of_the_folder_is_not_followed(client: TestClient, tmp_path: Path):
    make_run(tmp_path / "secret")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "secret")
    assert client.get("/api/runs").json() == {"runs": []}


def test_pieces_of_metrics_make_the_whole(client: TestClient, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(routes, "PIECE", 70)
    make_run(tmp_path / "runs" / "demo", steps=20)
    rows, place, is_whole = [], 0, False
    while not is_whole:
        piece = metrics(client, "demo", place)
        rows += piece["rows"]
        place, is_whole = piece["next"], piece["is_whole"]
    assert [row["step"] for row in rows] == list(range(1, 21))


def test_a_line_that_is_being_written_comes_when_it_is_whole(client: TestClient, tmp_path: Path):
    path = make_run(tmp_path / "runs" / "demo", steps=1).metrics.path
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    first = metrics(client, "demo", 0)
    assert [row["step"] for row in first["rows"]] == [1]
    with path.open("a") as file:
        file.write('ss": 0.5}\n')
    assert metrics(client, "demo", first["next"])["rows"] == [{"step": 2, "loss": 0.5}]


def test_a_file_that_was_cut_back_is_read_from_its_beginning(client: TestClient, tmp_path: Path):
    run = make_run(tmp_path / "runs" / "demo", steps=9)
    end = metrics(client, "demo", 0)["next"]
    run.metrics.cut_after(4)
    piece = metrics(client, "demo", end)
    assert piece["is_anew"]
    assert [row["step"] for row in piece["rows"]] == [1, 2, 3, 4]


def test_a_run_is_live_while_its_lock_is_held(client: TestClient, tmp_path: Path):
    run = make_run(tmp_path / "runs" / "demo")
    with run.lock():
        assert client.get("/api/runs").json()["runs"][0]["is_live"]
    assert not client.get("/api/runs").json()["runs"][0]["is_live"]


def test_a_report_may_run_and_load_nothing(client: TestClient, tmp_path: Path):
    run = make_run(tmp_path / "runs" / "demo")
    assert client.get("/api/runs/demo/report").status_code == 404
    run.report.write_text("<p>a</p>")
    answer = client.get("/api/runs/demo/report")
    assert answer.headers["content-security-policy"] == routes.REPORT_POLICY
    assert answer.text == "<p>a</p>"


def test_samples_and_the_card_are_told(client: TestClient, tmp_path: Path):
    run = make_run(tmp_path / "runs" / "demo")
    run.samples.append({"stage": "pretrain", "step": 3, "prompt": "a", "text": "a b"})
    run.report_data.write_text(json.dumps({"title": "demo"}))
    told = client.get("/api/runs/demo").json()
    assert told["prompts"][0]["samples"] == [{"stage": "pretrain", "step": 3, "text": " b"}]
    assert told["card"] == {"title": "demo"}
    run.report_data.write_text("[" * 100_000)
    assert client.get("/api/runs/demo").json()["card"] is None
