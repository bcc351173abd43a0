"""What /metrics tells, in Prometheus' text form: responses, times, how busy the engine is."""

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any, final

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cutaway.server.engine_thread import EngineThread, Times
from cutaway.server.models import Served

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@final
class Measures(Times):
    """The measures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.responses = Counter(
            "cutaway_http_responses",
            "Responses by method and status",
            ["method", "status"],
            registry=self._registry,
        )
        self.rejected = Counter(
            "cutaway_rejected", "Requests for which there was no room", registry=self._registry
        )
        self.whole = self._seconds("http_response", "From a request to the end of its response")
        self._first_token = self._seconds(
            "time_to_first_token", "From the acceptance of a request to the first token"
        )
        self._next_token = self._seconds("inter_token_latency", "From one token to the next")
        self._answer = self._seconds(
            "e2e_latency", "From the acceptance of a request to the end of its answer"
        )

    def watch(self, thread: EngineThread, models: Sequence[Served]) -> None:
        """Reads the engine's thread and the models' caches whenever somebody asks."""
        self._registry.register(_Engine(thread, models))

    def first_token(self, seconds: float) -> None:
        """An answer has begun."""
        self._first_token.observe(seconds)

    def next_token(self, seconds: float) -> None:
        """An answer goes on."""
        self._next_token.observe(seconds)

    def answer(self, seconds: float) -> None:
        """An answer has ended."""
        self._answer.observe(seconds)

    def router(self) -> APIRouter:
        """The route /metrics."""
        router = APIRouter()

        @router.get("/metrics", response_class=Response)
        async def metrics() -> Response:
            """Measures in the text form of Prometheus."""
            kind = "text/plain; version=1.0.0; charset=utf-8"
            return Response(generate_latest(self._registry), media_type=kind)

        return router

    def _seconds(self, name: str, told: str) -> Histogram:
        return Histogram(f"cutaway_{name}_seconds", told, buckets=SECONDS, registry=self._registry)


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
        start, status = time.monotonic(), 500

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._measures.responses.labels(method, str(status)).inc()
            self._measures.whole.observe(time.monotonic() - start)


@final
class _Engine(Collector):
    """Reads what others count."""

    def __init__(self, thread: EngineThread, models: Sequence[Served]) -> None:
        self._thread, self._models = thread, models

    def collect(self) -> Iterator[Metric]:
        """How busy the engines are, and what they have done."""
        thread = self._thread
        yield GaugeMetricFamily(
            "cutaway_requests_running", "Answers being written", value=thread.running
        )
        yield GaugeMetricFamily(
            "cutaway_requests_waiting", "Answers that wait", value=thread.waiting
        )
        for name, told, value in (
            ("prompt_tokens", "Tokens of the prompts that were accepted", thread.prompt_tokens),
            ("generation_tokens", "Tokens written", thread.tokens),
        ):
            yield CounterMetricFamily(f"cutaway_{name}", told, value=value)
        ended = CounterMetricFamily("cutaway_answers", "Answers by their end", labels=["reason"])
        for reason, count in sorted(thread.ended.items()):
            ended.add_metric([reason], count)
        yield ended
        blocks = GaugeMetricFamily(
            "cutaway_kv_cache_blocks",
            "Blocks of keys and values: free, held by answers, or kept for the next ones",
            labels=["model", "state"],
        )
        for served in self._models:
            found = served.engine.statistics()
            kept = found.blocks - found.free_blocks - found.held_blocks
            for state, count in (
                ("free", found.free_blocks),
                ("held", found.held_blocks),
                ("kept", kept),
            ):
                blocks.add_metric([served.name, state], count)
        yield blocks
