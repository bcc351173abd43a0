"""What /metrics tells, in Prometheus' text form: responses, times, how busy the engine is."""

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, final

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cutaway.server.engine_thread import EngineThread

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@final
class Measures:
    """The measures of one server, in a registry of their own."""

    def __init__(self, thread: EngineThread) -> None:
        self._registry = CollectorRegistry()
        self.responses = Counter(
            "cutaway_http_responses",
            "Responses by method and status",
            ["method", "status"],
            registry=self._registry,
        )
        self.first_byte = Histogram(
            "cutaway_http_first_byte_seconds",
            "From a request to the first byte of its body: of a stream, about its first token",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.whole = Histogram(
            "cutaway_http_response_seconds",
            "From a request to the end of its response",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Engine(thread))

    def router(self) -> APIRouter:
        """The route /metrics."""
        router = APIRouter()

        @router.get("/metrics", response_class=Response)
        async def metrics() -> Response:
            """Measures in the text form of Prometheus."""
            kind = "text/plain; version=1.0.0; charset=utf-8"
            return Response(generate_latest(self._registry), media_type=kind)

        return router


@final
class Measured:
    """Counts the responses of an app, and how long they take."""

    def __init__(self, app: Any, measures: Measures) -> None:
        self._app, self._measures = app, measures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, is_silent = time.monotonic(), 500, True

        async def sender(message: Message) -> None:
            nonlocal status, is_silent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif is_silent and message.get("body"):
                is_silent = False
                self._measures.first_byte.observe(time.monotonic() - start)
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._measures.responses.labels(method, str(status)).inc()
            self._measures.whole.observe(time.monotonic() - start)


@final
class _Engine(Collector):
    """Reads the engine's thread whenever somebody asks."""

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread

    def collect(self) -> Iterator[Metric]:
        """How busy it is, and what it has done."""
        running, waiting = self._thread.running, self._thread.waiting
        yield GaugeMetricFamily("cutaway_requests_running", "Answers being written", value=running)
        yield GaugeMetricFamily("cutaway_requests_waiting", "Answers that wait", value=waiting)
        yield CounterMetricFamily(
            "cutaway_generation_tokens", "Tokens written", value=self._thread.tokens
        )
        ended = CounterMetricFamily("cutaway_answers", "Answers by their end", labels=["reason"])
        for reason, count in sorted(self._thread.ended.items()):
            ended.add_metric([reason], count)
        yield ended
