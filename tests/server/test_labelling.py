"""The page on which people judge: what it is given, what it sends, and who may ask."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from cutaway.server.app import create_app
from cutaway.server.labelling import Study, labelling_router
from cutaway.server.settings import Settings
from tests.alignment.conftest import compared

RUTH = {"rater": "Ruth"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PreferenceStore]:
    """A store with thirty pairs."""
    opened = PreferenceStore(url_of_file(tmp_path / "cutaway.db"))
    opened.add(compared(f"question {number}", "<b>x</b>", "y") for number in range(30))
    yield opened
    opened.close()


@pytest.fixture
def client(store: PreferenceStore) -> Iterator[TestClient]:
    """A browser of this machine."""
    router = labelling_router(Study(store=store))
    app = create_app(Settings(), models=[], routers=[router], pages=["/label"])
    with TestClient(app, base_url="http://127.0.0.1:8040") as opened:
        yield opened


def judgement(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    item = state["item"]
    shown = [answer["key"] for answer in item["answers"]]
    values = {"verdict": "a", "milliseconds": 3000, "shown": shown}
    return RUTH | {name: item[name] for name in ("comparison", "showing")} | values | fields


def test_a_judgement_is_in_the_store_before_the_next_one_is_shown(client, store):
    first = client.get("/api/label/next", params=RUTH).json()
    after = client.post("/api/label/judgements", json=judgement(first, reasons=["clear"])).json()
    (stored,) = store.judgements()
    assert (stored.rater, stored.judge, stored.reasons) == ("Ruth", "person", ("clear",))
    assert after["item"]["comparison"] != stored.comparison
    assert client.get("/api/label/next", params=RUTH).json() == after


def test_undo_shows_the_same_again_with_what_was_said(client):
    first = client.get("/api/label/next", params=RUTH).json()
    client.post("/api/label/judgements", json=judgement(first, better="z"))
    undone = client.post("/api/label/undo", json=RUTH).json()
    assert undone["undone"] == {"verdict": "a", "reasons": [], "better": "z"}
    assert undone["item"] == first["item"]
    assert client.post("/api/label/undo", json=RUTH).json()["undone"] is None


def test_the_page_is_not_told_who_wrote_an_answer(client):
    text = client.get("/api/label/next", params=RUTH).text
    assert "runs/test" not in text
    assert "temperature" not in text
    assert "abab" not in text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"milliseconds": 1500}, 409),
        ({"milliseconds": 1500, "verdict": "skip"}, 200),
        ({"shown": ["gone", "away"]}, 404),
        ({"comparison": "gone"}, 404),
        ({"verdict": "best"}, 400),
        ({"verdict": "ranking"}, 409),
        ({"rater": ""}, 400),
        ({"rater": "x" * 81}, 400),
        ({"better": "x" * 20_001}, 400),
        ({"milliseconds": "3000"}, 400),
        ({"showing": 2}, 400),
        ({"more": 1}, 400),
    ],
)
def test_what_cannot_be_a_judgement_is_refused_and_not_stored(client, store, fields, status: int):
    first = client.get("/api/label/next", params=RUTH).json()
    answer = client.post("/api/label/judgements", json=judgement(first, **fields))
    assert answer.status_code == status
    assert len(store.judgements()) == (status == 200)


def test_other_sites_and_other_names_of_this_machine_are_refused(client, store):
    first = client.get("/api/label/next", params=RUTH).json()
    for headers in ({"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        answer = client.post("/api/label/judgements", json=judgement(first), headers=headers)
        assert answer.status_code in (403, 421)
    assert store.judgements() == []


def test_the_page_loads_nothing_from_elsewhere(client):
    answer = client.get("/label")
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "http" not in answer.text.replace("http-equiv", "")
    assert client.get("/web/label/page.js").headers["content-type"].startswith("text/javascript")


def test_a_server_for_judging_alone_shows_its_page_at_once(client):
    assert client.get("/api/pages").json() == {"pages": ["/label"]}
    assert client.get("/").url.path == "/label"
    assert client.get("/runs").status_code == 404


def test_a_server_without_anything_to_judge_has_no_such_page():
    with TestClient(create_app(Settings(), models=[]), base_url="http://127.0.0.1") as other:
        assert other.get("/api/pages").json() == {"pages": ["/", "/compare", "/runs"]}
        assert other.get("/label").status_code == 404
        assert other.get("/api/label/next", params=RUTH).status_code == 404


def test_errors_have_the_form_of_all_others(client):
    error = client.post("/api/label/judgements", json={}).json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
