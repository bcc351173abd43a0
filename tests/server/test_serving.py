"""A real server on loopback: OpenAI's own client, the drain, and those that are slow or hostile."""

import contextlib
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from cutaway.inference.engine import Engine
from cutaway.server import listening
from cutaway.server.app import PAGES, create_app
from cutaway.server.conversations import conversations_router
from cutaway.server.engine_thread import EngineThread
from cutaway.server.labelling import Study, labelling_router
from cutaway.server.models import Served
from cutaway.server.runs import runs_router
from cutaway.server.settings import Settings
from cutaway.server.storage import ConversationStore
from tests.alignment.conftest import compared
from tests.server.conftest import chat, toy_encoder

pytestmark = pytest.mark.faults

EXAMPLES = 25
"""Generated requests for each route and mode."""
INSIDE = re.compile(r"0x[0-9a-f]{6,}|Traceback|site-packages|\.py\b|sqlalchemy|pydantic", re.I)
"""What an error must never tell."""


@pytest.fixture(scope="module")
def url(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    folder = tmp_path_factory.mktemp("serving")
    store = ConversationStore(url_of_file(folder / "cutaway.db"))
    judged = PreferenceStore(url_of_file(folder / "cutaway.db"))
    judged.add(compared(f"question {number}", "x", "y") for number in range(3))
    app = create_app(
        Settings(body_seconds=1.0),
        models=[Served(name="toy", engine=engine, is_chat=True)],
        encoders=[toy_encoder()],
        routers=[
            conversations_router(store),
            runs_router(folder),
            labelling_router(Study(store=judged)),
        ],
        pages=list(PAGES),
    )
    server = listening.make_server(app, most_header_bytes=2**14, grace_s=5)
    opened = listening.listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    opened.close()
    store.close()
    judged.close()


def said(url: str, data: bytes, *, seconds: float = 5.0) -> bytes:
    """What the server answers to these bytes before it closes or is silent."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
            if b"\r\n\r\n" in answer:
                break
    return answer


HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"4"),
        (b"GET /v1/models HTTP/1.1\r\nHost: evil.test\r\n\r\n", b"421"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"4"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"413"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"408"),
        (HEAD + b"Content-Length: 1\r\n\r\n{", b"400"),
        (HEAD + b"Content-Length: 2\r\n\r\n\xff\xfe", b"400"),
        (HEAD + b"Content-Length: 20000\r\n\r\n" + b"[" * 20000, b"400"),
        (HEAD + b"Content-Length: 9000\r\n\r\n" + b"1" * 9000, b"400"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", b"415"),
    ],
)
def test_what_is_broken_or_too_large_gets_a_four_hundred(url: str, data: bytes, status: bytes):
    told = said(url, data)
    assert told.split(b" ")[1].startswith(status), told[:200]
    assert b"Traceback" not in told


def test_a_connection_goes_on_behind_a_refusal_whose_body_comes_later(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(EngineThread, "left", 0)
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        for body in (b"{}", b" " * 60_000):
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
            refusal = _answer(connection)
            assert refusal.startswith(b"HTTP/1.1 429")
            assert b"connection: close" not in refusal.lower()
            connection.sendall(body + b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert _answer(connection).startswith(b"HTTP/1.1 200")


def test_a_refused_body_that_is_large_is_not_taken_in(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(EngineThread, "left", 0)
    told = said(url, HEAD + b"Content-Length: 1000000\r\n\r\n{")
    assert told.startswith(b"HTTP/1.1 429")
    assert b"connection: close" in told.lower()


def _answer(connection: socket.socket) -> bytes:
    """One answer of a connection that may go on."""
    told = b""
    while b"\r\n\r\n" not in told:
        told += connection.recv(65536)
    head, _, body = told.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    assert found is not None
    while len(body) < int(found[1]):
        body += connection.recv(65536)
    assert len(body) == int(found[1])
    return head


def test_what_was_there_before_a_server_is_not_looked_through_for_garbage(url: str):
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
    assert gc.get_freeze_count() > 100_000


def test_a_client_that_leaves_frees_its_place(url: str):
    body = json.dumps(chat(stream=True, max_tokens=40, n=8)).encode()
    host, port = url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            connection.recv(64)
    deadline = time.monotonic() + 2
    while True:
        told = httpx.get(f"{url}/metrics", trust_env=False).text
        if "cutaway_requests_running 0.0" in told and "cutaway_requests_waiting 0.0" in told:
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.02)


def test_headers_that_never_end_are_cut(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listening, "HEADERS_S", 0.5)
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert connection.recv(10) == b""


def test_a_signal_lets_answers_be_finished(model_folder: Any):
    run = model_folder(stage="finetune", never_stops=True)
    with subprocess.Popen(
        [sys.executable, "-m", "cutaway", "serve", str(run), "port=0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        try:
            _drain(server)
        finally:
            server.kill()
    assert (run / "cutaway.db").is_file()


def _drain(server: "subprocess.Popen[str]") -> None:
    assert server.stdout is not None
    url = ""
    while not url:
        line = server.stdout.readline()
        assert line, "the server has ended"
        url = line.split()[1].rstrip("/") if line.startswith("open http://") else ""
    asked = {"model": "run", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/ready", trust_env=False)
            break
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with httpx.stream(
        "POST", f"{url}/v1/chat/completions", json={**asked, "stream": True}, trust_env=False
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        server.send_signal(signal.SIGTERM)
        rest = list(lines)
    assert "data: [DONE]" in rest
    assert server.wait(timeout=20) == 0


@pytest.mark.peer
def test_the_client_of_openai_is_understood(url: str):
    """Forty calls and more: every field that the client has and we offer."""
    openai = pytest.importorskip("openai", reason="openai's client is not installed")
    with httpx.Client(trust_env=False) as inner:
        client = openai.OpenAI(
            base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=inner
        )
        _use(client, openai)


def _use(client: Any, openai: Any) -> None:
    assert [model.id for model in client.models.list()] == ["toy", "vectors"]
    assert client.models.retrieve("toy").id == "toy"
    question: Any = [{"role": "user", "content": "hello"}]
    create = client.chat.completions.create
    fields: list[dict[str, Any]] = [
        {},
        {"temperature": 0},
        {"temperature": 2, "seed": 1},
        {"top_p": 1},
        {"top_p": 0.5},
        {"seed": -5},
        {"n": 3},
        {"stop": "e"},
        {"stop": ["a", "e"]},
        {"logprobs": True},
        {"logprobs": True, "top_logprobs": 5},
        {"max_completion_tokens": 3},
        {"user": "somebody"},
        {"presence_penalty": 0, "frequency_penalty": 0},
        {"response_format": {"type": "text"}},
        {"extra_body": {"top_k": 3}},
        {"extra_body": {"min_p": 0.1}},
    ]
    for each in fields:
        asked = {"max_tokens": 5, "seed": 7, **each}
        whole = create(model="toy", messages=question, **asked)
        chunks = list(
            create(
                model="toy",
                messages=question,
                stream=True,
                stream_options={"include_usage": True},
                **asked,
            )
        )
        for choice in whole.choices:
            parts = [
                part.delta.content or ""
                for chunk in chunks
                for part in chunk.choices
                if part.index == choice.index
            ]
            assert "".join(parts) == choice.message.content
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    said = create(model="toy", messages=question, max_tokens=5).choices[0].message
    more = [*question, said, {"role": "user", "content": "and then"}]
    assert create(model="toy", messages=more, max_tokens=5).choices
    for text in ("the old fox", ["the old fox", "fox"], [1, 2], [[1, 2], [3]]):
        floats = client.embeddings.create(model="vectors", input=text, encoding_format="float")
        packed = client.embeddings.create(model="vectors", input=text)  # base64, by default
        for one, other in zip(floats.data, packed.data, strict=True):
            assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert floats.usage.total_tokens == packed.usage.prompt_tokens > 0
    with pytest.raises(openai.BadRequestError, match="leave dimensions out"):
        client.embeddings.create(model="vectors", input="fox", dimensions=5)
    for prompt in ("abc", ["abc", "de"], [1, 2, 3], [[1, 2], [3]]):
        told = client.completions.create(model="toy", prompt=prompt, max_tokens=4, logprobs=2)
        assert all(choice.logprobs for choice in told.choices)
        streamed = client.completions.create(
            model="toy", prompt=prompt, max_tokens=4, stream=True, temperature=0
        )
        assert list(streamed)
    with pytest.raises(openai.NotFoundError):
        create(model="gpt-none", messages=question)
    for wrong in (
        {"n": 0},
        {"temperature": -1},
        {"max_tokens": 0},
        {"stop": [""]},
        {"seed": 2**80},
    ):
        with pytest.raises(openai.BadRequestError) as raised:
            create(model="toy", messages=question, **wrong)
        assert raised.value.body["param"].startswith(next(iter(wrong)))  # type: ignore[index]


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_whatever_fits_or_breaks_the_schema_gets_an_answer_or_a_reason(url: str, mode: str):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    with httpx.Client(base_url=url, trust_env=False) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        for found in schema.get_all_operations():
            operation = found.ok()
            modes = schemathesis.GenerationMode
            _try_all(client, operation.as_strategy(generation_mode=modes[mode]))


@pytest.mark.peer
def test_every_route_holds_to_its_schema_in_all_phases(url: str, tmp_path: Path):
    """Examples, chosen borders, generated requests and sequences; every route, nothing left out."""
    program = Path(sys.executable).parent / "schemathesis"
    if not program.exists():
        pytest.skip("schemathesis is not installed")
    checks = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    words = ["run", f"{url}/openapi.json", "--phases", "examples,coverage,fuzzing,stateful"]
    words += ["--mode", "all", "--checks", ",".join(checks), "--generation-deterministic"]
    words += ["--max-examples", "20", "--suppress-health-check", "all"]
    done = subprocess.run(
        [program, *words, "--no-color"], capture_output=True, text=True, cwd=tmp_path, timeout=420
    )
    assert done.returncode == 0, done.stdout[-6000:]
    routes = sum(
        len(each)
        for each in httpx.get(f"{url}/openapi.json", trust_env=False).json()["paths"].values()
    )
    assert f"Tested: {routes}" in done.stdout
    found = re.search(r"(\d+) generated", done.stdout)
    assert found is not None
    assert int(found[1]) >= 2000


def _try_all(client: httpx.Client, cases: Any) -> None:
    """Sends generated requests of one route."""

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=cases)
    def send(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=str(client.base_url).rstrip("/"))
        if isinstance(sent.get("json"), dict) and sent["json"].get("model"):
            # Nearly every generated name is unknown.
            sent["json"]["model"] = "vectors" if sent["url"].endswith("embeddings") else "toy"
        answer = client.request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            json=sent.get("json"),
            content=sent.get("data"),
        )
        assert answer.status_code < 500, (sent, answer.text)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert not INSIDE.search(error["message"]), error

    # A route that takes nothing cannot be asked wrongly.
    with contextlib.suppress(Unsatisfiable):
        send()
