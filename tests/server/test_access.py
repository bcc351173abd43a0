"""Who may ask, and what ends at the door."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from cutaway.errors import ConfigError
from cutaway.server import access
from cutaway.server.access import PUBLIC, doors
from cutaway.server.settings import Settings
from tests.server.conftest import chat

KEY = "a-key-of-this-test-only"
CHAT = "/v1/chat/completions"


WRONG_KEYS: tuple[list[tuple[str, bytes]], ...] = (
    [],
    *(
        [("authorization", value)]
        for value in (
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearer wrong",
            KEY.encode(),
            f"Bearer {KEY[:-1]}".encode(),
            f"Bearer {KEY}x".encode(),
            f"Bearer {KEY.upper()}".encode(),
            f"Basic {KEY}".encode(),
            "Bearer ключ".encode(),
            b"Bearer " + b"x" * 15_000,
        )
    ),
    [("authorization", f"Bearer {KEY}".encode()), ("authorization", b"Bearer wrong")],
    [("x-api-key", KEY.encode())],
)


@pytest.fixture
def guarded(client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(Settings(key=KEY))


def test_every_route_but_the_public_ones_needs_the_key(guarded: TestClient):
    def routes(found) -> set[str]:
        return {each.path for each in found if isinstance(each, APIRoute)}

    schema = guarded.get("/openapi.json", headers={"authorization": f"Bearer {KEY}"}).json()
    paths = {"/openapi.json", *schema["paths"], *routes(guarded.app.routes)}
    assert CHAT in paths
    for path in paths - PUBLIC:
        for headers in WRONG_KEYS:
            told = guarded.get(path, headers=headers)
            assert told.status_code == 401, path
            assert told.json()["error"]["code"] == "invalid_api_key"
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/ready").json() == {"status": "ready"}
    models = guarded.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})
    assert models.status_code == 200


AROUND = ("/web/../v1/models", "/web/%2e%2e/v1/models", "//v1/models", "/web/..%2fmetrics")


@pytest.mark.parametrize("path", [*AROUND, "/health/../metrics", "/health%2f..%2fmetrics"])
def test_no_way_leads_around_the_key(guarded: TestClient, path: str):
    told = guarded.get(path)
    assert told.status_code in (401, 404)
    assert "cutaway_" not in told.text
    assert "context_length" not in told.text


def test_the_key_is_compared_in_constant_time():
    tree = ast.parse(inspect.getsource(access))
    names = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest" in names
    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert not [each for each in compared if "_digest" in each or "self._key ==" in each]


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "", "localhost@evil.test"])
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/", "/web/x.js"])
def test_a_request_under_another_name_is_refused(client: TestClient, host: str, path: str):
    assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:8000"])
def test_the_machines_own_names_are_known(client: TestClient, host: str):
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
def test_pages_of_other_sites_cannot_ask(client: TestClient, headers: dict[str, str]):
    told = client.post(CHAT, json=chat(), headers=headers)
    assert told.status_code == 403
    assert "access-control-allow-origin" not in told.headers


SITES = ("http://evil.test", "null", "file://", "http://localhost:1", "http://127.0.0.1.evil.test")


def test_no_page_of_another_site_is_ever_told_that_it_may_read(client: TestClient):
    paths = [CHAT, *client.get("/openapi.json").json()["paths"], "/", "/web/theme.js"]
    asked = {"access-control-request-method": "POST"}
    for path in paths:
        for site in SITES:
            for method in ("OPTIONS", "GET"):
                told = client.request(method, path, headers={"origin": site, **asked})
                assert not [name for name in told.headers if name.startswith("access-control")]


def test_what_is_not_plain_json_is_refused(client: TestClient):
    form = {"content-type": "multipart/form-data; boundary=x"}
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    for headers in (form, packed):
        assert client.post(CHAT, content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b"NaN", b"9" * 10_000],
    ids=["nothing", "half", "deep list", "deep table", "no UTF-8", "null", "NaN", "long number"],
)
def test_a_broken_body_is_a_mistake_of_the_sender(client: TestClient, body: bytes):
    told = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert told.status_code == 400
    assert "Traceback" not in told.text
    assert client.get("/health").status_code == 200


def test_a_request_that_is_too_large_is_refused(client_of: Callable[..., TestClient]):
    client = client_of(Settings(most_body_bytes=1000, most_header_bytes=2000))
    assert client.post(CHAT, json=chat("x" * 1000)).status_code == 413
    chunked = client.post(
        CHAT, content=iter([b" " * 600] * 2), headers={"content-type": "application/json"}
    )
    assert chunked.status_code == 413
    assert client.get("/health", headers={"x-long": "y" * 2000}).status_code == 431


def test_every_answer_says_what_a_page_may_load(client: TestClient):
    for told in (client.get("/health"), client.get("/nowhere"), client.post(CHAT, json={})):
        policy = told.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert told.headers["x-content-type-options"] == "nosniff"


def test_the_pages_are_served_and_nothing_beside_them(
    client_of: Callable[..., TestClient], tmp_path: Path
):
    (tmp_path / "secret.txt").write_text("secret")
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<!doctype html>")
    (web / "page.js").write_text("1")
    client = client_of(Settings(key=KEY), web=web)
    assert client.get("/").text == "<!doctype html>"
    assert client.get("/web/page.js").text == "1"
    for path in ("/web/../secret.txt", "/web/%2e%2e/secret.txt", "/web/..%2fsecret.txt"):
        assert "secret" not in client.get(path).text


def test_another_host_needs_a_key_that_protects(tmp_path: Path):
    assert doors(host="127.0.0.1", key_file=None).key is None
    with pytest.raises(ConfigError, match="needs a key"):
        doors(host="0.0.0.0", key_file=None)
    path = tmp_path / "key.txt"
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        doors(host="0.0.0.0", key_file=path)
    path.chmod(0o600)
    assert doors(host="0.0.0.0", key_file=path, names=("Box.test",)).hosts >= {"box.test"}
    path.write_text("short")
    with pytest.raises(ConfigError, match="at least 16"):
        doors(host="0.0.0.0", key_file=path)
