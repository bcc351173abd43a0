"""A socket for the app: uvicorn with h11, slow openings cut, an end that waits for what runs."""

import asyncio
import gc
import logging
import socket
from types import FrameType
from typing import final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from cutaway.errors import ResourceError
from cutaway.server.engine_thread import EngineThread

HEADERS_S = 10.0
"""Seconds in which the headers of each request must come."""
TAKING_S = 60.0
"""Seconds after which a client that takes nothing of what it is sent is cut off."""
KEEP_ALIVE_S = 5
"""Seconds that an idle connection stays."""
MOST_CONNECTIONS = 1000
"""Connections at once; more are told to come again."""


@final
class PatientProtocol(H11Protocol):
    """h11 over one connection, which ends where headers do not come, or answers are not taken, in
    time.

    uvicorn limits only how long nothing at all comes between two requests.
    """

    _headers_clock: asyncio.TimerHandle | None = None
    _taking_clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first headers."""
        super().connection_made(transport)
        self._await_headers()

    def on_response_complete(self) -> None:
        """Waits for the next headers."""
        super().on_response_complete()
        self._await_headers()

    def pause_writing(self) -> None:
        """More waits to be taken than is kept for one connection."""
        super().pause_writing()
        self._taking_clock = self.loop.call_later(TAKING_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Most of it was taken."""
        super().resume_writing()
        self._stop(self._taking_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._stop(self._headers_clock)
        self._stop(self._taking_clock)
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._stop(self._headers_clock)
        self._headers_clock = self.loop.call_later(HEADERS_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
            # Closing waits for what is still to be taken.
            self._headers_clock = self.loop.call_later(TAKING_S, self.transport.abort)

    def _stop(self, clock: asyncio.TimerHandle | None) -> None:
        if clock is not None:
            clock.cancel()


@final
class DrainingServer(uvicorn.Server):
    """Ends at the first signal when all answers are written, and at the second one at once."""

    def __init__(self, config: uvicorn.Config, *, thread: EngineThread) -> None:
        super().__init__(config)
        self._engine_thread = thread

    async def main_loop(self) -> None:
        """Serves; what is there by now stays, and is not looked through for garbage again.

        The libraries alone are two hundred thousand objects: a tenth of a second in which nobody
        is answered, each time that a burst of requests makes the collector look.
        """
        gc.collect()
        gc.freeze()
        try:
            await super().main_loop()
        finally:
            gc.unfreeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end."""
        self.force_exit = self.force_exit or self.should_exit
        self.should_exit = True
        self._engine_thread.refuse()


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address; port 0 takes any that is free.

    Raises:
        ResourceError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host.strip("[]"), port))
    except OSError as error:
        opened.close()
        raise ResourceError(
            f"cannot listen on {host[:80]}, port {port}: {error.strerror or error}\n"
            "give another one: port=8001; port=0 takes any that is free"
        ) from error
    return opened


def make_server(app: FastAPI, *, most_header_bytes: int, grace_s: int) -> DrainingServer:
    """A server of the app; told to end, it gives answers `grace_s` seconds more."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=most_header_bytes,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
    )
    return DrainingServer(config, thread=app.state.thread)
