"""Conversations are trees that are kept, searched, changed, brought back and exported."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cutaway.database import url_of_file
from cutaway.server.conversations import DEEPEST_DETAILS, LONGEST_DETAILS, conversations_router
from cutaway.server.storage import ConversationStore, Kept, Node
from cutaway.text.conversations import read_conversations


def node(id_: str, parent: str | None, role: str, content: str, **details: Any) -> dict[str, Any]:
    return {"id": id_, "parent": parent, "role": role, "content": content, "details": details}


TREE = {
    "title": "Rain",
    "system": "Be brief.",
    "leaf": "a2",
    "messages": [
        node("q1", None, "user", "How is rain spelled?"),
        node("a1", "q1", "assistant", "R-A-I-N"),
        node("a2", "q1", "assistant", "r a i n", seed=7, tokens=4),
    ],
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_of_file(tmp_path / "cutaway.db")


@pytest.fixture
def keeping(client_of: Callable[..., TestClient], url: str) -> TestClient:
    """A client of an app that keeps conversations."""
    return client_of(routers=[conversations_router(ConversationStore(url))])


def kept(client: TestClient, form: dict[str, Any] = TREE) -> dict[str, Any]:
    told = client.post("/api/conversations", json=form)
    assert told.status_code == 200, told.text
    return told.json()


def test_a_conversation_comes_back_as_it_was_kept(keeping: TestClient):
    whole = kept(keeping)
    assert {name: whole[name] for name in TREE} == TREE
    assert keeping.get(f"/api/conversations/{whole['id']}").json() == whole


def test_conversations_outlive_the_server(keeping: TestClient, url: str):
    whole = kept(keeping)
    assert ConversationStore(url).get(whole["id"]).messages[2].details == {"seed": 7, "tokens": 4}


def test_the_list_has_the_newest_first_and_goes_on_before_a_moment(keeping: TestClient):
    for title in ("one", "two", "three"):
        kept(keeping, {**TREE, "title": title})
    listed = keeping.get("/api/conversations?limit=2").json()["conversations"]
    assert [each["title"] for each in listed] == ["three", "two"]
    rest = keeping.get("/api/conversations", params={"before": listed[-1]["updated"]}).json()
    assert [each["title"] for each in rest["conversations"]] == ["one"]


@pytest.mark.parametrize(
    ("search", "count"), [("rain", 1), ("SPELLED", 1), ("r%n", 0), ("brief rain", 0), ("_", 0)]
)
def test_search_finds_words_of_titles_and_messages_only(
    keeping: TestClient, search: str, count: int
):
    kept(keeping)
    found = keeping.get("/api/conversations", params={"search": search}).json()
    assert len(found["conversations"]) == count


def test_what_is_written_anew_has_the_new_messages_only(keeping: TestClient):
    path = f"/api/conversations/{kept(keeping)['id']}"
    form = {**TREE, "title": "Snow", "leaf": "q9", "messages": [node("q9", None, "user", "Snow?")]}
    assert keeping.put(path, json=form).json()["messages"] == form["messages"]
    assert keeping.patch(path, json={"title": "Ice"}).json()["title"] == "Ice"


def test_a_deleted_conversation_can_be_brought_back(keeping: TestClient):
    whole = kept(keeping)
    path = f"/api/conversations/{whole['id']}"
    assert keeping.delete(path).status_code == 204
    assert keeping.get(path).status_code == keeping.delete(path).status_code == 404
    assert keeping.get("/api/conversations").json() == {"conversations": []}
    assert keeping.post(f"{path}/restore", json={}).json() == whole


def test_exports_are_read_by_finetune(keeping: TestClient, tmp_path: Path):
    whole = kept(keeping)
    kept(keeping, {**TREE, "leaf": "q1"})  # not answered: there is nothing to learn
    path = tmp_path / "all.jsonl"
    path.write_text(keeping.get("/api/conversations/export").text)
    (read,) = read_conversations(path)
    assert [(each.role, each.content) for each in read.messages] == [
        ("system", "Be brief."),
        ("user", "How is rain spelled?"),
        ("assistant", "r a i n"),
    ]
    one = keeping.get(f"/api/conversations/{whole['id']}/export").text
    assert json.loads(one)["messages"][2]["content"] == "r a i n"
    told = keeping.get(f"/api/conversations/{whole['id']}/export?as=markdown").text
    assert told.startswith("# Rain\n\n*Be brief.*\n\n**user**\n\nHow is rain spelled?")


def deep(levels: int) -> dict[str, Any]:
    return {"x": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": "nobody"},
        {"messages": [node("q1", "q1", "user", "its own parent")]},
        {"messages": [node("q1", None, "user", "x"), node("q1", None, "user", "the same id")]},
        {"messages": [node("q/1", None, "user", "x")]},
        {"messages": [node("q1", None, "system", "x")]},
        {"messages": [node("q1", None, "user", "x", y="y" * LONGEST_DETAILS)]},
        {"messages": [node("q1", None, "user", "x", y=deep(DEEPEST_DETAILS))]},
        {"title": 7},
        {"title": "x" * 201},
        {"more": "fields"},
    ],
)
def test_what_is_no_tree_is_refused(keeping: TestClient, change: dict[str, Any]):
    told = keeping.post("/api/conversations", json={**TREE, "leaf": None, **change})
    assert told.status_code == 400
    assert told.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("id_", ["0", "..%2f..%2fetc", "%00", "é", "x" * 500])
def test_an_id_that_nobody_has_is_told_so(keeping: TestClient, id_: str):
    assert keeping.get(f"/api/conversations/{id_}").status_code == 404
    assert keeping.put(f"/api/conversations/{id_}", json=TREE).status_code == 404


def test_text_that_no_database_takes_is_marked(keeping: TestClient):
    form = {**TREE, "title": "a\0b"}
    assert kept(keeping, form)["title"] == "a\ufffdb"


@pytest.mark.peer
def test_conversations_are_kept_on_postgresql(postgresql: str):
    store = ConversationStore(postgresql)
    first = Node(id="q1", parent=None, role="user", content="Snow 汉字\0", details={"a": [1]})
    whole = store.add(Kept(title="t", system="", leaf="q1", messages=(first,)))
    assert store.get(whole.id).messages[0].content == "Snow 汉字\ufffd"
    assert [each.id for each in store.entries(search="SNOW")] == [whole.id]
    assert store.delete(whole.id)
    assert store.restore(whole.id) == whole
    store.close()


def test_a_failure_of_the_database_tells_nothing_of_what_was_written(
    keeping: TestClient, url: str, caplog: pytest.LogCaptureFixture
):
    with sqlite3.connect(url.removeprefix("sqlite+pysqlite:///")) as connection:
        connection.execute("DROP TABLE conversation_messages")
    told = keeping.post("/api/conversations", json=TREE)
    assert told.status_code >= 500
    for word in ("rain spelled", "sqlite", "conversation_messages", ".db"):
        assert word not in told.text
    assert caplog.text
    assert "rain spelled" not in caplog.text
