"""The one app: OpenAI's API, health, measures, the pages, and whatever routers other parts add."""

import logging
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from cutaway.errors import ResourceError, UsageError
from cutaway.server.access import Access
from cutaway.server.completions import CHAT, COMPLETIONS, completions_router, models_router
from cutaway.server.embeddings import EMBEDDINGS, embeddings_router
from cutaway.server.encoders import ServedEncoder
from cutaway.server.engine_thread import EngineThread, Overloaded
from cutaway.server.entrance import RETRY_SECONDS, Entrance, no_room
from cutaway.server.measures import Measured, Measures
from cutaway.server.models import Models, Served
from cutaway.server.protocol import ErrorBody, Refused, error_body
from cutaway.server.reading import Readers
from cutaway.server.rooms import Room, Rooms
from cutaway.server.settings import Settings
from cutaway.server.translations import ServedPair
from cutaway.server.turns import Turns

WEB = Path(__file__).parent / "web"
"""The pages; a server without them is an API only."""

PAGES = {
    "/": "index.html",
    "/compare": "compare.html",
    "/runs": "runs.html",
    "/label": "label.html",
}
USUAL_PAGES = ("/", "/compare", "/runs")

ERRORS: Mapping[int | str, dict[str, Any]] = MappingProxyType(
    {
        "4XX": {"model": ErrorBody, "description": "The request is not answered"},
        "5XX": {"model": ErrorBody, "description": "The server cannot answer"},
    }
)
"""What the schema says of errors."""


def create_app(
    settings: Settings,
    *,
    models: Sequence[Served],
    encoders: Sequence[ServedEncoder] = (),
    pairs: Sequence[ServedPair] = (),
    routers: Sequence[APIRouter] = (),
    pages: Sequence[str] = USUAL_PAGES,
    web: Path = WEB,
) -> FastAPI:
    """The app with its own engine thread, which lives as long as the app does.

    `pages` are those that its routers have something for; the first is shown at `/`.
    """
    measures = Measures()
    thread = EngineThread(
        most_running=settings.most_running,
        most_waiting=settings.most_waiting,
        stalled_seconds=settings.stalled_seconds,
        times=measures,
    )
    measures.watch(thread, models)
    # No more are read than there would be room for.
    readers = Readers(seconds=settings.read_seconds, most=thread.left)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        thread.start()
        yield
        thread.close()
        readers.close()

    known = Models(models, encoders=encoders, pairs=pairs)
    translating, embedding = (Turns(most_waiting=settings.most_waiting) for _ in range(2))
    # Of two rooms behind a route, which one is asked for is known when the request is read.
    completing: list[Room] = [*([thread] if models else []), *([translating] if pairs else [])]
    rooms = Rooms({CHAT: [thread], COMPLETIONS: completing, EMBEDDINGS: [embedding]})
    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="Cutaway", lifespan=life, docs_url=None, redoc_url=None, responses=dict(ERRORS)
    )
    app.state.thread = thread

    for router in (
        _health_router(thread),
        models_router(known, readers=readers),
        completions_router(
            models=known, thread=thread, turns=translating, readers=readers, settings=settings
        ),
        embeddings_router(models=known, turns=embedding, settings=settings),
        measures.router(),
        *routers,
    ):
        app.include_router(router)
    _add_pages(app, [page for page in pages if (web / PAGES[page]).is_file()], web=web)
    _tell_errors(app, measures=measures)
    app.add_middleware(Entrance, settings=settings, rooms=rooms, note_refusal=measures.rejected.inc)
    app.add_middleware(Access, settings=settings)
    app.add_middleware(Measured, measures=measures)
    return app


def _health_router(thread: EngineThread) -> APIRouter:
    """Whether the process answers, and whether it takes requests and does them."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> JSONResponse:
        state = thread.state
        return JSONResponse({"status": state}, status_code=200 if state == "ready" else 503)

    return router


def _add_pages(app: FastAPI, pages: Sequence[str], *, web: Path) -> None:
    """The pages, which of them there are, and their parts below `/web/`."""

    @app.get("/api/pages")
    async def list_pages() -> dict[str, list[str]]:
        return {"pages": list(pages)}

    for path in pages:
        app.add_api_route(path, _page(web / PAGES[path]), include_in_schema=False)
    if pages and "/" not in pages:
        app.add_api_route("/", _redirect(pages[0]), include_in_schema=False)
    if web.is_dir():
        app.mount("/web", StaticFiles(directory=web))


def _redirect(path: str) -> Any:
    async def elsewhere() -> RedirectResponse:
        return RedirectResponse(path)

    return elsewhere


def _page(path: Path) -> Any:
    async def page() -> FileResponse:
        return FileResponse(path, headers={"cache-control": "no-cache"})

    return page


def _tell_errors(app: FastAPI, *, measures: Measures) -> None:
    """Every failure in OpenAI's form, and nothing of the inside in it."""

    async def refused(_: Request, error: Refused) -> Response:
        return JSONResponse(error.body, status_code=error.status, headers=error.headers)

    async def overloaded(request: Request, error: Overloaded) -> Response:
        measures.rejected.inc()
        return await refused(request, no_room(str(error).replace("\n", " ")))

    async def invalid(_: Request, error: RequestValidationError) -> Response:
        message, param = _first_mistake(error)
        return JSONResponse(error_body(message, status=400, param=param), status_code=400)

    async def wrong(_: Request, error: UsageError) -> Response:
        return JSONResponse(error_body(str(error).replace("\n", " "), status=400), status_code=400)

    async def lacking(_: Request, error: ResourceError) -> Response:
        logging.getLogger(__name__).error("the machine lacks something: %s", error)
        body = error_body("the server lacks what this takes; come again later", status=503)
        return JSONResponse(body, status_code=503, headers={"retry-after": str(RETRY_SECONDS)})

    async def http(_: Request, error: HTTPException) -> Response:
        known = {404: "there is no such route", 405: "this route does not take that method"}
        message = known.get(error.status_code, "the request cannot be read")
        body = error_body(message, status=error.status_code)
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        number = uuid.uuid4().hex[:12]
        # In quotes: a path may hold what steers a terminal.
        logging.getLogger(__name__).error("failure %s at %.80r", number, request.url.path)
        body = error_body(f"the server failed; its log says why ({number})", status=500)
        return JSONResponse(body, status_code=500)

    handlers: dict[Any, Any] = {
        Refused: refused,
        Overloaded: overloaded,
        RequestValidationError: invalid,
        UsageError: wrong,
        ResourceError: lacking,
        HTTPException: http,
        Exception: failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _first_mistake(error: RequestValidationError) -> tuple[str, str | None]:
    """What is wrong first, and where; never what was sent."""
    mistakes = error.errors()
    if not mistakes:
        return "the request cannot be read", None
    # Where a field may be of several kinds, the names of these kinds are no part of the place.
    place = [str(part) for part in mistakes[0]["loc"][1:]]
    named = [part for part in place if part.replace("_", "").isalnum() and len(part) <= 64]
    if mistakes[0]["type"] == "json_invalid":
        return "the body is no JSON", None
    if mistakes[0]["type"] == "extra_forbidden":
        named = named[:8] if len(named) == len(place) else []
    param = ".".join(named) if named and all(part.isascii() for part in named) else None
    said = str(mistakes[0]["msg"])[:200]
    if mistakes[0]["type"] == "extra_forbidden":
        said = "this field is not offered here; leave it out"
    return f"{param or 'the body'}: {said}", param
