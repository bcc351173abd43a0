"""The door of the server: every request passes here first, and most attacks end here.

Plain ASGI, before routing: what is refused has cost nothing, and no route can be forgotten.
"""

import hashlib
import hmac
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, final

from cutaway.errors import ConfigError
from cutaway.server.bodies import (
    WRITES,
    App,
    Headers,
    Receive,
    Refusal,
    Scope,
    Send,
    has_body,
    values,
)
from cutaway.server.protocol import Refused
from cutaway.server.settings import LOOPBACK, Settings

PUBLIC = frozenset({"/", "/compare", "/runs", "/label", "/api/pages", "/health", "/ready"})
"""Routes that need no key: they hold no data. So does what is below `/web/`."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""What a page may load: what comes from this server, and no script that stands in a text."""

HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
"""Set on every answer that does not set its own."""

SHORTEST_KEY = 16


def doors(*, host: str, key_file: Path | None, names: tuple[str, ...] = ()) -> Settings:
    """The settings of a server on a host: loopback for all, elsewhere with a key only.

    Raises:
        ConfigError: another host without a key, or a key that does not protect.
    """
    bare = host.strip("[]")
    own = f"[{bare}]" if ":" in bare else bare.lower()
    if own not in LOOPBACK and key_file is None:
        raise ConfigError(
            f"host={host[:80]} lets others reach the server, so it needs a key:\n"
            "openssl rand -hex 24 > key.txt; chmod 600 key.txt; then key_file=key.txt\n"
            "(or leave host out: the server is reached from this machine only)"
        )
    key = None if key_file is None else _read_key(key_file)
    return Settings(hosts=LOOPBACK | {own} | {name.lower() for name in names}, key=key)


@final
class Access:
    """Refuses what comes under another name, without the key, from elsewhere or in disguise."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._key = None if settings.key is None else _digest(settings.key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        sender = _adding_headers(send)
        try:
            self._check(scope)
        except Refused as refused:
            rest = receive if has_body(scope) else None
            await Refusal(refused).say(sender, rest=rest)
            return
        await self._app(scope, receive, sender)

    def _check(self, scope: Scope) -> None:
        headers: Headers = scope["headers"]
        limits = self._settings
        if sum(len(name) + len(value) + 4 for name, value in headers) > limits.most_header_bytes:
            raise Refused(
                f"the headers have more than {limits.most_header_bytes} bytes", status=431
            )
        hosts = values(headers, b"host")
        if len(hosts) != 1 or _name(hosts[0]) not in limits.hosts:
            raise Refused(
                "this server does not go by that name; names= of `cutaway serve` allows more",
                status=421,
                code="unknown_host",
            )
        self._check_key(scope["path"], headers)
        if scope["method"] not in ("GET", "HEAD"):
            _check_origin(headers, host=hosts[0])
        if has_body(scope):
            _check_content(headers, method=scope["method"])

    def _check_key(self, path: str, headers: Headers) -> None:
        if self._key is None or path in PUBLIC or path.startswith("/web/"):
            return
        given = values(headers, b"authorization")
        scheme, _, key = (given[0] if len(given) == 1 else b"").partition(b" ")
        # Of digests, whose length tells nothing, and in a time that does not depend on the key.
        is_known = hmac.compare_digest(_digest(key.strip()), self._key)
        if scheme.lower() != b"bearer" or not is_known:
            raise Refused(
                "this server needs its key: Authorization: Bearer KEY",
                status=401,
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _read_key(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others can read the key;\nchmod 600 {path}")
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no key can be read from it ({type(error).__name__})") from error
    if len(key) < SHORTEST_KEY or len(key.split()) != 1:
        raise ConfigError(
            f"{path}: a key is one word of at least {SHORTEST_KEY} characters;\n"
            f"openssl rand -hex 24 > {path}"
        )
    return key


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _name(host: bytes) -> str:
    """The name of a Host header, without the port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[: text.find("]") + 1]
    return text.rpartition(":")[0] or text


def _check_content(headers: Headers, *, method: str) -> None:
    if any(value.lower() != b"identity" for value in values(headers, b"content-encoding")):
        raise Refused("a compressed body is not read; send it as it is", status=415)
    kinds = [value.split(b";")[0].strip().lower() for value in values(headers, b"content-type")]
    if method in WRITES and kinds != [b"application/json"]:
        raise Refused("the body must be JSON: Content-Type: application/json", status=415)


def _check_origin(headers: Headers, *, host: bytes) -> None:
    """A browser says from which page a request comes; another site's is refused."""
    sites = values(headers, b"sec-fetch-site")
    origins = values(headers, b"origin")
    is_foreign = any(site not in (b"same-origin", b"none") for site in sites)
    if is_foreign or any(origin.partition(b"://")[2] != host for origin in origins):
        raise Refused("pages of other sites may not use this server", status=403)


def _adding_headers(send: Send) -> Send:
    async def sender(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given += [(name, value) for name, value in HEADERS.items() if name not in names]
            message = {**message, "headers": given}
        await send(message)

    return sender
